import itertools
import math

import pytest
import torch

from sciml.errors import ArgumentError
from sciml.network import MLP
from sciml.training import (
    LBFGS,
    Adam,
    FitObjective,
    GradientDescent,
    LevenbergMarquardt,
    ModuleObjective,
    Momentum,
    RMSProp,
    Trainer,
    make_optimizer,
    optimizer_names,
)
from sciml.training.line_search import Trial, strong_wolfe


class Vector(torch.nn.Module):
    def __init__(self, *start):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))


def function(start, residuals):
    return ModuleObjective(Vector(*start), lambda m: {name: r[None] for name, r in residuals(*m.theta).items()})


def rosenbrock():
    return function((-1.2, 1.0), lambda a, b: {"valley": 10 * (b - a**2), "slope": 1 - a}), (1.0, 1.0)


def powell():
    def residuals(a, b, c, d):
        return {"r1": a + 10 * b, "r2": 5**0.5 * (c - d), "r3": (b - 2 * c) ** 2, "r4": 10**0.5 * (a - d) ** 2}

    return function((3.0, -1.0, 0.0, 1.0), residuals), (0.0, 0.0, 0.0, 0.0)


def beale():
    def residuals(a, b):
        return {f"r{k}": value - a * (1 - b**k) for k, value in ((1, 1.5), (2, 2.25), (3, 2.625))}

    return function((1.0, 1.0), residuals), (3.0, 0.5)


@pytest.mark.parametrize(("make", "accuracy"), [(rosenbrock, 1e-8), (powell, 1e-3), (beale, 1e-8)])
@pytest.mark.parametrize("optimizer", optimizer_names(stochastic=False))
def test_known_minima_are_found(make, accuracy, optimizer):
    objective, minimum = make()
    result = Trainer(objective, optimizer, tol=1e-20 if make is not powell else 1e-14, iterations=300).run()
    assert result.success, result.message
    assert torch.allclose(objective.parameters(), torch.tensor(minimum, dtype=torch.float64), atol=accuracy)


def test_levenberg_marquardt_converges_quadratically_without_damping_and_residual():
    objective, minimum = beale()
    objective.load(torch.tensor([2.6, 0.42], dtype=torch.float64))
    rule = LevenbergMarquardt(1e-14, acceleration=False)
    errors = []
    for _ in range(6):
        rule.step(objective)
        errors.append(float((objective.parameters() - torch.tensor(minimum)).norm()))
    errors = [error for error in errors if error > 1e-13]
    rates = [math.log(b) / math.log(a) for a, b in itertools.pairwise(errors) if a < 0.1]
    assert len(rates) >= 2
    assert rates[-1] > 1.7


def test_damping_follows_the_gain_ratio():
    """On a linear problem the model is exact, rho = 1, so an accepted step divides the damping by five."""
    objective = function((4.0, -3.0), lambda a, b: {"one": a + b, "two": a - 2 * b})
    rule = LevenbergMarquardt(0.5)
    rule.step(objective)
    assert rule.accepted == 1
    assert math.isclose(rule.damping, 0.1)
    # A start from which the full Gauss-Newton step of atan overshoots: rejections multiply by 2, 4, 8, 16, 16.
    steep = function((60.0,), lambda a: {"atan": torch.atan(a)})
    rule = LevenbergMarquardt(1e-16, acceleration=False)
    seen = []
    for _ in range(7):
        rule.step(steep)
        seen.append(rule.damping)
    assert rule.accepted == 0
    ratios = [b / a for a, b in itertools.pairwise([1e-16, *seen])]
    assert ratios == pytest.approx([2, 4, 8, 16, 16, 16, 16])
    assert float(steep.parameters()) == 60.0


def test_a_step_solves_the_damped_normal_equations():
    objective, _ = rosenbrock()
    theta = objective.parameters()
    matrix, vector, *_ = objective.normal_equations()
    damping = 10.0
    rule = LevenbergMarquardt(damping, acceleration=False)
    step = rule.step(objective)
    eye = torch.eye(2, dtype=torch.float64)
    assert rule.accepted == 1
    assert torch.allclose(step.theta, theta - torch.linalg.solve(matrix + damping * eye, vector), rtol=1e-12)


def test_geodesic_acceleration_follows_a_curved_valley():
    """Along r = (a, b - a^2) the second-order step of the geodesic equation is known in closed form."""
    objective = function((1.0, 2.0), lambda a, b: {"a": a, "b": b - a**2})
    theta = objective.parameters()
    matrix, vector, *_ = objective.normal_equations()
    damping = 1.0
    damped = matrix + damping * torch.eye(2, dtype=torch.float64)
    direction = -torch.linalg.solve(damped, vector)
    curvature = torch.tensor([0.0, -2 * float(direction[0]) ** 2], dtype=torch.float64)  # d^2 r along the direction
    jacobian = torch.tensor([[1.0, 0.0], [-2.0, 1.0]], dtype=torch.float64)
    acceleration = -0.5 * torch.linalg.solve(damped, jacobian.T @ curvature)
    assert 2 * acceleration.norm() <= 0.75 * direction.norm()
    step = LevenbergMarquardt(damping).step(objective)
    assert torch.allclose(step.theta, theta + direction + acceleration, rtol=1e-10)


def test_acceleration_needs_fewer_steps_in_rosenbrocks_valley():
    counts = {}
    for acceleration in (True, False):
        objective, _ = rosenbrock()
        result = Trainer(objective, LevenbergMarquardt(acceleration=acceleration), tol=1e-18, iterations=300).run()
        assert result.success
        counts[acceleration] = result.iterations
    assert counts[True] < counts[False]


def test_a_singular_problem_is_damped_until_it_can_be_solved():
    objective = function((1.0, 1.0), lambda a, b: {"sum": a + b - 4, "again": 1e8 * (a + b) - 4e8})
    result = Trainer(objective, LevenbergMarquardt(1e-300), tol=1e-8, iterations=50).run()
    assert result.success
    assert abs(float(objective.parameters().sum()) - 4) < 1e-8


def test_an_mlp_fits_a_sine_to_1e_5():
    x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
    net = MLP(1, 1, 10, 2, seed=0)
    result = Trainer(FitObjective(net, x, torch.sin(3 * x)), tol=1e-12, iterations=400).run()
    assert result.success, result.message
    between = x[:-1] + 1 / 59
    assert float((net(between) - torch.sin(3 * between)).detach().abs().max()) < 1e-5


def quadratic():
    """Residuals sqrt(h_i) theta_i whose loss is (sum h_i theta_i^2): Hessian 2 diag(h)."""
    return ModuleObjective(Vector(1.0, 1.0), lambda m: {"x": 2.0 * m.theta[:1], "y": 0.5 * m.theta[1:]})


def test_gradient_descent_contracts_by_the_known_factors():
    objective, rate = quadratic(), 0.1
    rule = GradientDescent(rate)
    for k in range(1, 6):
        rule.step(objective)
        # Curvatures 8 and 1/2 of 4 x^2 + y^2 / 4.
        expected = torch.tensor([(1 - 8 * rate) ** k, (1 - 0.5 * rate) ** k], dtype=torch.float64)
        assert torch.allclose(objective.parameters(), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: Adam(0.05), lambda p: torch.optim.Adam(p, 0.05)),
        (lambda: Adam(0.01, (0.7, 0.9), 1e-4), lambda p: torch.optim.Adam(p, 0.01, (0.7, 0.9), 1e-4)),
        (lambda: RMSProp(0.001), lambda p: torch.optim.RMSprop(p, 0.001)),
        (lambda: RMSProp(0.003, 0.9, 1e-6), lambda p: torch.optim.RMSprop(p, 0.003, 0.9, 1e-6)),
        (lambda: RMSProp(0.003, momentum=0.5), lambda p: torch.optim.RMSprop(p, 0.003, momentum=0.5)),
        (lambda: RMSProp(0.003, centred=True), lambda p: torch.optim.RMSprop(p, 0.003, centered=True)),
        (lambda: GradientDescent(0.02), lambda p: torch.optim.SGD(p, 0.02)),
        (lambda: Momentum(0.01, 0.8), lambda p: torch.optim.SGD(p, 0.01, momentum=0.8)),
        (lambda: Momentum(0.01, 0.9, nesterov=True), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True)),
    ],
)
def test_gradient_methods_agree_with_torch_step_for_step(ours, theirs):
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    y = torch.sin(3 * x)
    nets = [MLP(1, 1, 5, 2, seed=0) for _ in range(2)]
    objective, rule, other = FitObjective(nets[0], x, y), ours(), theirs(nets[1].parameters())
    for _ in range(50):
        rule.step(objective)
        other.zero_grad()
        (nets[1](x) - y).square().mean().backward()
        other.step()
        assert torch.allclose(nets[0].flat_parameters(), nets[1].flat_parameters(), rtol=1e-11, atol=1e-12)


def test_a_learning_rate_may_follow_a_schedule():
    objective = quadratic()
    rule = GradientDescent(lambda update: 0.1 / (1 + update))
    rule.step(objective)
    rule.step(objective)
    assert torch.allclose(
        objective.parameters()[1], torch.tensor((1 - 0.05) * (1 - 0.025), dtype=torch.float64), rtol=1e-13
    )


def test_lbfgs_minimises_a_quadratic_in_about_as_many_steps_as_variables():
    scales = torch.logspace(0, 2, 6, dtype=torch.float64)
    objective = ModuleObjective(Vector(*([1.0] * 6)), lambda m: {"r": scales.sqrt() * (m.theta - 2)})
    result = Trainer(objective, "lbfgs", tol=1e-20, iterations=40).run()
    assert result.success
    assert torch.allclose(objective.parameters(), torch.full((6,), 2.0, dtype=torch.float64), atol=1e-9)


def test_lbfgs_lowers_the_loss_of_a_network_at_every_step():
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    result = Trainer(FitObjective(MLP(1, 1, 8, 2), x, torch.sin(3 * x)), LBFGS(), iterations=300).run()
    losses = result.history["loss"]
    assert all(b <= a for a, b in itertools.pairwise(losses))
    assert losses[-1] < 1e-5


@pytest.mark.parametrize("start", [1e-4, 0.3, 1.0, 50.0])
@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (lambda a: (a - 2) ** 2, lambda a: 2 * (a - 2)),
        (lambda a: -a / (a**2 + 2), lambda a: (a**2 - 2) / (a**2 + 2) ** 2),
        (lambda a: math.exp(a) - 3 * a if a < 8 else math.inf, lambda a: math.exp(a) - 3 if a < 8 else math.nan),
        (lambda a: (a - 1) ** 2 + 0.1 * math.sin(30 * a) - 4 * a, lambda a: 2 * (a - 1) + 3 * math.cos(30 * a) - 4),
    ],
)
def test_the_line_search_meets_the_strong_wolfe_conditions(value, slope, start):
    first, steepness = value(0.0), slope(0.0)
    trial = strong_wolfe(lambda a: Trial(a, value(a), slope(a)), first, steepness, start, curvature=0.5, evaluations=60)
    assert trial is not None
    assert trial.value <= first + 1e-4 * trial.step * steepness
    assert abs(trial.slope) <= 0.5 * abs(steepness)


def test_the_line_search_gives_up_where_nothing_is_lower():
    assert strong_wolfe(lambda a: Trial(a, 1.0 + a, 1.0), 1.0, -1.0, 1.0) is None
    assert strong_wolfe(lambda a: Trial(a, math.nan, math.nan), 1.0, -1.0, 1.0) is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: make_optimizer("levenberg-marquard"), r"^optimizer: .*did you mean 'levenberg-marquardt'.*adam"),
        (lambda: make_optimizer(3), r"^optimizer: 3 .*accepted are levenberg-marquardt, .*lbfgs"),
        (lambda: LevenbergMarquardt(0), r"^damping: 0 .*> 0"),
        (lambda: LevenbergMarquardt(math.nan), r"^damping: nan"),
        (lambda: LevenbergMarquardt(probe=-1), r"^probe: -1"),
        (lambda: LevenbergMarquardt(bend="x"), r"^bend: 'x'"),
        (lambda: LBFGS(0), r"^memory: 0 .*at least 1"),
        (lambda: LBFGS(evaluations=1), r"^evaluations: 1 .*at least 2"),
        (lambda: Adam(-1), r"^learning_rate: -1 .*> 0"),
        (lambda: Adam(betas=(0.9, 1.0)), r"^betas: 1.0 .*< 1"),
        (lambda: Adam(eps=0), r"^eps: 0"),
        (lambda: RMSProp(decay=1.0), r"^decay: 1.0 .*< 1"),
        (lambda: RMSProp(eps=0), r"^eps: 0"),
        (lambda: Momentum(momentum=1.0), r"^momentum: 1.0 .*>= 0 and < 1"),
        (lambda: GradientDescent(True), r"^learning_rate: True"),
        (lambda: GradientDescent(lambda k: -1.0).step(quadratic()), r"^learning_rate: the schedule gave -1.0"),
        (lambda: LBFGS().step(quadratic(), {"x": slice(1)}), r"^rows: lbfgs uses all rows"),
        (lambda: LevenbergMarquardt().step(quadratic(), {"x": slice(1)}), r"^rows: levenberg-marquardt uses all rows"),
    ],
)
def test_wrong_arguments_are_named(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
