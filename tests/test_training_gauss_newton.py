import itertools

import pytest
import torch

from sciml.errors import ArgumentError
from sciml.network import MLP
from sciml.training import (
    FitObjective,
    GaussNewtonCG,
    LevenbergMarquardt,
    ModuleObjective,
    Spring,
    Trainer,
)
from sciml.training.differential import gauss_newton_model
from sciml.training.gauss_newton import conjugate_gradients
from sciml.training.kernel import DampedRows


def samples(n=60):
    x = torch.linspace(-1, 1, n, dtype=torch.float64)[:, None]
    return x, torch.sin(3 * x)


def regression(n=60, width=8, **options):
    x, y = samples(n)
    return FitObjective(MLP(1, 1, width, 2, seed=0, **options), x, y)


def objectives():
    x = torch.rand(45, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.stack((x.prod(1), x.sum(1).sin()), 1)
    shaped = MLP(2, 2, 7, 2, steepness="unit", shift="layer")
    for p in list(shaped.parameters())[2:4]:
        p.requires_grad_(False)
    plain = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
    own = MLP(2, 1, 4, 1)
    return {
        "mlp": FitObjective(shaped, x, y, weights={"fit 2": 3.0}),
        "module": FitObjective(plain, x, y),
        "own": ModuleObjective(own, lambda m: {"data": m(x)[:, 0] - y[:, 0], "size": 0.1 * m.layers[0].bias}),
    }


@pytest.mark.parametrize("name", ["mlp", "module", "own"])
@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_products_without_the_jacobian_are_those_with_it(name, keep, monkeypatch):
    objective = objectives()[name]
    monkeypatch.setattr(type(objective), "chunk_size", lambda self: 19)
    dense, model = objective.linearize(), gauss_newton_model(objective, keep)
    direction = torch.randn(len(dense.vector), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for k, product in dense.product(direction).items():
        assert torch.allclose(model.product(direction)[k], product, rtol=1e-12, atol=1e-13)
    assert torch.allclose(model.curvature(direction), dense.matrix @ direction, rtol=1e-11, atol=1e-13)
    assert torch.allclose(model.transposed(model.residuals), dense.vector, rtol=1e-11, atol=1e-14)
    assert torch.allclose(model.vector, dense.vector, rtol=1e-11, atol=1e-14)
    assert model.evaluation.loss == pytest.approx(dense.evaluation.loss, rel=1e-13)
    # The products stay those of the model's parameters, wherever the objective has gone since.
    before = model.curvature(direction)
    objective.load(dense.theta + 1.0)
    assert torch.equal(model.curvature(direction), before)


@pytest.mark.parametrize("rows", [3, 40])
def test_damped_rows_are_solved_alike_in_both_spaces(rows):
    generator = torch.Generator().manual_seed(0)
    jacobian, vector, values = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((rows, 12), (12,), (rows,))
    )
    system = DampedRows(jacobian)
    assert system.dual == (rows < 12)
    assert system.damp(0.3)
    matrix = jacobian.T @ jacobian + 0.3 * torch.eye(12, dtype=torch.float64)
    assert torch.allclose(system.solve(vector), torch.linalg.solve(matrix, vector), rtol=1e-10)
    assert torch.allclose(system.fit(values), torch.linalg.solve(matrix, jacobian.T @ values), rtol=1e-10)


def test_damping_is_raised_above_rounding_and_no_damping_cures_nan():
    jacobian = torch.ones(5, 8, dtype=torch.float64)
    system = DampedRows(jacobian)
    assert system.damp(1e-300)
    assert 1e-300 < system.damping < 1e-12
    assert not DampedRows(jacobian * torch.nan).damp(1.0)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_conjugate_gradients_are_exact_after_as_many_products_as_variables(n):
    generator = torch.Generator().manual_seed(n)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    matrix = root @ root.T + 0.1 * torch.eye(n, dtype=torch.float64)
    vector = torch.randn(n, generator=generator, dtype=torch.float64)
    solution, used = conjugate_gradients(lambda v: matrix @ v, vector, products=n, tolerance=1e-15)
    assert used <= n
    assert torch.allclose(solution, torch.linalg.solve(matrix, vector), rtol=1e-6)


def test_conjugate_gradients_need_as_many_products_as_eigenvalues_differ():
    values = torch.tensor([1.0, 1.0, 5.0, 5.0, 5.0, 90.0], dtype=torch.float64)
    vector = torch.arange(1.0, 7.0, dtype=torch.float64)
    solution, used = conjugate_gradients(lambda v: values * v, vector, products=3, tolerance=1e-15)
    assert used == 3
    assert torch.allclose(solution, vector / values, rtol=1e-12)
    solution, used = conjugate_gradients(lambda v: values * v, vector, lambda v: v / values, products=1)
    assert torch.allclose(solution, vector / values, rtol=1e-14)
    assert torch.equal(conjugate_gradients(lambda v: values * v, torch.zeros(6))[0], torch.zeros(6))


def test_conjugate_gradients_stop_where_the_gain_is_small():
    values = torch.logspace(0, 6, 200, dtype=torch.float64)
    counts = [conjugate_gradients(lambda v: values * v, values.sqrt(), None, 500, t)[1] for t in (0.3, 1e-2, 1e-4)]
    assert counts == sorted(counts)
    assert counts[0] < counts[2] < 500


def test_with_a_sample_of_rows_a_dozen_products_do_more_than_sixty_without():
    x = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = FitObjective(MLP(2, 1, 12, 3, seed=0), x, torch.sin(5 * x[:, :1] * x[:, 1:]))
    Trainer(objective, iterations=25).run()
    model, sample = gauss_newton_model(objective), DampedRows(objective.jacobian({"fit": slice(0, 250)})[1]["fit"])
    sample = DampedRows(sample.jacobian / 250**0.5)
    assert sample.damp(1e-7)
    matrix = objective.normal_equations()[0] + 1e-7 * torch.eye(len(model.vector))
    most = float(model.vector.dot(torch.linalg.solve(matrix, model.vector)))
    gains = {}
    for products, precondition in ((12, sample.solve), (12, None), (60, None)):
        solution, _ = conjugate_gradients(
            lambda v: model.curvature(v) + 1e-7 * v, model.vector, precondition, products, 1e-12
        )
        gains[products, precondition is None] = float(2 * model.vector.dot(solution) - solution.dot(matrix @ solution))
    assert gains[12, False] > 0.98 * most
    assert gains[12, True] < gains[60, True] < gains[12, False]


def test_with_all_rows_the_steps_are_those_of_levenberg_marquardt():
    first, second = regression(), regression()
    exact, iterative = LevenbergMarquardt(1e-3), GaussNewtonCG(1e-3, acceleration=True, rows=60, tolerance=1e-6)
    for _ in range(8):
        one, two = exact.step(first), iterative.step(second)
        assert two.evaluation.loss == pytest.approx(one.evaluation.loss, rel=1e-5)
        assert torch.allclose(second.parameters(), first.parameters(), rtol=1e-4, atol=1e-6)
        assert iterative.damping == pytest.approx(exact.damping, rel=1e-3)
    assert iterative.used <= 4 * iterative.models + 4 * 8  # two solutions a step, each ends at once


@pytest.mark.parametrize("rows", [0, 20])
def test_convergence_to_a_minimum_without_residual_is_superlinear(rows):
    theta = torch.nn.Linear(2, 1, dtype=torch.float64)  # holds three parameters; two are used
    objective = ModuleObjective(
        theta,
        lambda m: {"valley": 10 * (m.weight[0, 1] - m.weight[0, 0] ** 2)[None], "slope": 1 - m.weight[0, :1]},
    )
    objective.load(torch.tensor([-1.2, 1.0, 0.0], dtype=torch.float64))
    method, errors = GaussNewtonCG(rows=rows, tolerance=1e-8), []
    for _ in range(60):
        method.step(objective)
        errors.append(float((objective.parameters()[:2] - 1).norm()))
        if errors[-1] < 1e-12:
            break
    assert errors[-1] < 1e-12
    ratios = [b / a for a, b in itertools.pairwise(errors) if b > 1e-14]
    assert max(ratios[-3:]) < 0.05


def test_a_network_is_fitted_with_products_only(monkeypatch):
    x = torch.rand(600, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = FitObjective(MLP(2, 1, 12, 3, seed=0), x, torch.sin(5 * x[:, :1] * x[:, 1:]))
    monkeypatch.setattr(FitObjective, "linearize", None)
    result = Trainer(objective, GaussNewtonCG(rows=150), tol=1e-7, iterations=120).run()
    assert result.success, result.message


def test_a_step_fits_the_batch_with_the_least_change_of_the_last_step():
    objective = regression(20, 6)
    method = Spring(1.0, 0.7, damping=1e-3, relative=1e9)
    former = torch.zeros(len(objective.parameters()), dtype=torch.float64)
    for start in (0, 7, 14):
        rows = {"fit": torch.arange(start, start + 6)}
        residuals, jacobians = objective.jacobian(rows)
        r, jacobian = residuals["fit"] / 6**0.5, jacobians["fit"] / 6**0.5
        theta = objective.parameters()
        # |J v + r|^2 + lambda |v - m v_old|^2 as one least-squares problem.
        top = torch.cat((jacobian, 1e-3**0.5 * torch.eye(len(theta), dtype=torch.float64)))
        former = torch.linalg.lstsq(top, torch.cat((-r, 1e-3**0.5 * 0.7 * former))[:, None]).solution[:, 0]
        step = method.step(objective, rows)
        assert torch.equal(step.theta, theta)
        assert torch.allclose(objective.parameters() - theta, former, rtol=1e-8, atol=1e-10)


def test_without_momentum_a_full_step_is_one_of_levenberg_marquardt():
    first, second = regression(), regression()
    LevenbergMarquardt(0.05, acceleration=False).step(first)
    Spring(1.0, 0.0, damping=0.05, relative=1e9).step(second)
    assert torch.allclose(second.parameters(), first.parameters(), rtol=1e-9, atol=1e-11)


def test_batches_of_a_consistent_problem_converge_linearly_to_its_solution():
    """Without noise every batch agrees on the solution, as in Kaczmarz's method, and damping follows the loss."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 10, generator=generator, dtype=torch.float64) * torch.logspace(0, -2, 10, dtype=torch.float64)
    target = torch.randn(10, generator=generator, dtype=torch.float64)
    line = torch.nn.Linear(10, 1, bias=False, dtype=torch.float64)
    objective = FitObjective(line, x, x @ target)
    result = Trainer(objective, Spring(0.2), batch=5, tol=1e-18, iterations=4000, patience=None).run()
    assert result.success, result.message
    assert torch.allclose(line.weight.detach()[0], target, atol=1e-5)
    losses = result.history["loss"]
    assert losses[len(losses) // 2] < 1e-6


def test_small_batches_fit_a_network():
    objective = regression(200, 10)
    result = Trainer(objective, "spring", batch=25, tol=1e-8, iterations=1500, seed=1).run()
    assert result.success, result.message


@pytest.mark.parametrize("method", [GaussNewtonCG, Spring])
def test_a_residual_without_value_is_reported_not_raised(method):
    line = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    torch.nn.init.constant_(line.weight, -1.0)
    step = method().step(ModuleObjective(line, lambda m: {"r": torch.log(m.weight[0])}))
    assert not step.evaluation.finite
    assert float(line.weight.detach()) == -1.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: GaussNewtonCG(0), r"^damping: 0 .*> 0"),
        (lambda: GaussNewtonCG(rows=-1), r"^rows: -1 .*at least 0"),
        (lambda: GaussNewtonCG(products=0), r"^products: 0 .*at least 1"),
        (lambda: GaussNewtonCG(tolerance=1.0), r"^tolerance: 1.0 .*< 1"),
        (lambda: GaussNewtonCG().step(regression(), {"fit": slice(1)}), r"^rows: gauss-newton-cg uses all rows"),
        (lambda: Spring(-1), r"^learning_rate: -1"),
        (lambda: Spring(momentum=1.0), r"^momentum: 1.0 .*< 1"),
        (lambda: Spring(damping=0), r"^damping: 0"),
        (lambda: Spring(relative=-1), r"^relative: -1"),
        (lambda: Spring(batch=0), r"^batch: 0 .*at least 1"),
    ],
)
def test_wrong_arguments_are_named(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
