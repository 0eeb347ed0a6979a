import itertools

import pytest
import torch

from sciml.errors import ArgumentError
from sciml.network import MLP
from sciml.training import BFGS, LBFGS, FitObjective, ModuleObjective, SelfScaledBroyden, Trainer

RULES = [BFGS, SelfScaledBroyden]


class Vector(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.as_tensor(start, dtype=torch.float64))


def function(start, residuals):
    return ModuleObjective(Vector(start), lambda m: residuals(m.theta))


def rosenbrock(n):
    def residuals(x):
        return {"valley": 10 * (x[1::2] - x[::2] ** 2), "slope": 1 - x[::2]}

    return function([-1.2, 1.0] * (n // 2), residuals), torch.ones(n, dtype=torch.float64)


def quadratic(n=6, condition=1e3, seed=0):
    """Return the loss |scales Q (x - c)|^2 / n and its Hessian: the eigenvalues spread over `condition`."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    scales = torch.logspace(0, torch.log10(torch.tensor(condition)) / 2, n, dtype=torch.float64)
    matrix = scales[:, None] * q
    centre = torch.randn(n, generator=generator, dtype=torch.float64)
    return function([0.0] * n, lambda x: {"r": matrix @ (x - centre)}), 2 * matrix.T @ matrix / n, centre


def matrix_after(rule, pairs):
    """Feed steps s, changes y and H^-1 s to a rule; return its matrix before and after the last of them."""
    matrices = []
    for s, y in pairs:
        matrix = rule.state()[0].get("inverse")
        rule._learn(s, y, s if matrix is None else torch.linalg.solve(matrix, s))
        matrices.append((matrix, rule.state()[0]["inverse"]))
    return matrices[-1]


def pairs_of(hessian, count, seed=1, noise=0.0):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, len(hessian), generator=generator, dtype=torch.float64)
    bent = noise * torch.randn(count, len(hessian), generator=generator, dtype=torch.float64)
    return [(s, hessian @ s + b) for s, b in zip(steps, bent, strict=True)]


@pytest.mark.parametrize("rule", RULES)
def test_an_update_keeps_the_secant_equation_symmetry_and_definiteness(rule):
    hessian = quadratic()[1]
    for count in range(1, 12):
        pairs = pairs_of(hessian, count)
        after = matrix_after(rule(), pairs)[1]
        s, y = pairs[-1]
        assert torch.allclose(after @ y, s, rtol=1e-8, atol=1e-10)
        assert torch.allclose(after, after.T, rtol=1e-10, atol=1e-12 * float(after.abs().max()))
        assert float(torch.linalg.eigvalsh(after)[0]) > 0


def test_bfgs_is_the_textbook_product_form():
    hessian = quadratic()[1]
    pairs = pairs_of(hessian, 3)
    before, after = matrix_after(BFGS(), pairs)
    s, y = pairs[-1]
    left = torch.eye(6, dtype=torch.float64) - torch.outer(s, y) / s.dot(y)
    assert torch.allclose(after, left @ before @ left.T + torch.outer(s, s) / s.dot(y), rtol=1e-10)


@pytest.mark.parametrize("factor", [0.01, 0.3, 1.0, 3.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_self_scaled_broyden_is_the_inverse_of_the_update_of_the_hessian(factor, seed):
    """B <- tau (B - Bs(Bs)'/s'Bs + theta (s'Bs) w w') + y y'/s'y with w = y/s'y - Bs/s'Bs, in Al-Baali's interval."""
    hessian = quadratic(seed=seed)[1]
    rule = SelfScaledBroyden()
    first = pairs_of(hessian, 2, seed)
    pairs = [*first, (first[0][0] + 0.3 * first[1][0], factor * (hessian @ (first[0][0] + 0.3 * first[1][0])))]
    before, after = matrix_after(rule, pairs)
    s, y = pairs[-1]
    old = torch.linalg.inv(before)
    bs, inner = old @ s, float(s.dot(y))
    b, h = float(s.dot(bs)) / inner, float(y.dot(before @ y)) / inner
    a = b * h - 1
    phi, tau = rule._family(b, h, 6, False)
    theta = (1 - phi) / (1 + a * phi)
    w = y / inner - bs / s.dot(bs)
    removed = torch.outer(bs, bs) / s.dot(bs)
    expected = tau * (old - removed + theta * s.dot(bs) * torch.outer(w, w)) + torch.outer(y, y) / inner
    assert torch.allclose(torch.linalg.inv(after), expected, rtol=1e-6, atol=1e-8 * float(expected.abs().max()))
    assert 0 < tau <= 1
    least = min(1.0, h * (1 - (a / (1 + a)) ** 0.5))
    assert (least - 1) / a - 1e-9 <= theta <= 1 / least + 1e-9


def test_self_scaled_broyden_changes_nothing_where_the_model_is_right():
    assert SelfScaledBroyden()._family(1.0, 1.0, 10, False) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [2, 8])
def test_the_minimum_of_rosenbrocks_function_is_found_superlinearly(rule, n):
    objective, minimum = rosenbrock(n)
    method, errors = rule(), []
    for _ in range(150):
        finished = method.step(objective).finished
        errors.append(float((objective.parameters() - minimum).norm()))
        if finished or errors[-1] < 1e-12:
            break
    assert errors[-1] < 1e-12
    ratios = [b / a for a, b in itertools.pairwise(errors) if b > 1e-13]
    # Linear convergence would keep its ratio; here it falls, while the steepest descent would be held at 0.998 or more.
    assert max(ratios[-3:]) < 0.2


@pytest.mark.parametrize("rule", RULES)
def test_a_quadratic_needs_few_steps_per_variable_and_yields_its_inverse_hessian(rule):
    objective, hessian, centre = quadratic()
    method = rule()
    result = Trainer(objective, method, tol=1e-18, iterations=60).run()
    assert result.success, result.message
    assert result.iterations <= 5 * 6
    assert torch.allclose(objective.parameters(), centre, atol=1e-8)
    if rule is BFGS:  # a self-scaled matrix is right along its steps only
        product = method.state()[0]["inverse"] @ hessian
        assert torch.allclose(torch.linalg.eigvals(product).real, torch.ones(6, dtype=torch.float64), atol=0.5)


@pytest.mark.parametrize("rule", RULES)
def test_curvature_outlives_new_points_and_saves_steps(rule):
    generator = torch.Generator().manual_seed(0)
    scales = torch.logspace(0, 2, 8, dtype=torch.float64)

    class Sampled(Vector):
        target = torch.zeros(8, dtype=torch.float64)

    module = Sampled([1.0] * 8)
    objective = ModuleObjective(module, lambda m: {"r": scales * (m.theta - m.target)})
    counts = {}
    for keep in (True, False):
        objective.load(torch.ones(8, dtype=torch.float64))
        module.target = torch.zeros(8, dtype=torch.float64)
        method = rule()
        assert Trainer(objective, method, tol=1e-16, iterations=200).run().success
        module.target = torch.randn(8, generator=generator.manual_seed(3), dtype=torch.float64)
        if keep:
            method.points_changed()
        else:
            method.reset()
        result = Trainer(objective, method, tol=1e-16, iterations=200).run()
        assert result.success
        counts[keep] = result.iterations
    assert counts[True] <= 0.6 * counts[False]


@pytest.mark.parametrize("rule", RULES)
def test_a_matrix_that_is_not_definite_any_more_is_dropped_with_the_points(rule):
    method = rule()
    bad = torch.diag(torch.tensor([1.0, -1e-9], dtype=torch.float64))
    method.restore({"inverse": bad}, {})
    method.points_changed()
    assert "inverse" not in method.state()[0]


@pytest.mark.parametrize("rule", RULES)
def test_a_direction_that_climbs_is_replaced_by_the_steepest_descent(rule):
    objective, _, centre = quadratic()
    method = rule()
    method.restore({"inverse": -torch.eye(6, dtype=torch.float64)}, {})
    before = objective.evaluate().loss
    assert method.step(objective).evaluation.loss < before
    assert Trainer(objective, method, tol=1e-18, iterations=60).run().success
    assert torch.allclose(objective.parameters(), centre, atol=1e-8)


def test_one_parameter_is_enough():
    for rule in (*RULES, LBFGS):
        objective = function([3.0], lambda x: {"r": torch.exp(x) - 2})
        assert Trainer(objective, rule(), tol=1e-24, iterations=40).run().success
        assert abs(float(objective.parameters()) - 0.6931471805599453) < 1e-11


@pytest.mark.parametrize("rule", RULES)
def test_a_network_is_fitted_further_than_by_its_limited_memory_relative(rule):
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    y = torch.sin(3 * x) + 0.3 * torch.sin(9 * x)
    losses = {}
    for method in (rule(), LBFGS(5)):
        result = Trainer(FitObjective(MLP(1, 1, 8, 2, seed=1), x, y), method, iterations=250).run()
        assert all(b <= a for a, b in itertools.pairwise(result.history["loss"]))
        losses[method.name] = result.best_loss
    assert losses[rule.name] < 1e-5
    assert losses[rule.name] < 0.01 * losses["lbfgs"]


@pytest.mark.parametrize("rule", RULES)
def test_wrong_arguments_are_named(rule):
    with pytest.raises(ArgumentError, match=r"^evaluations: 1 .*at least 2"):
        rule(evaluations=1)
    with pytest.raises(ArgumentError, match=rf"^rows: {rule.name} uses all rows"):
        rule().step(quadratic()[0], {"r": slice(1)})
