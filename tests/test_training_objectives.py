import math

import pytest
import torch

from sciml.errors import ArgumentError
from sciml.network import MLP, jet
from sciml.training import BatchSampler, FitObjective, ModuleObjective, Objective


def data(n=30):
    x = torch.linspace(-1, 1, n, dtype=torch.float64)[:, None]
    return x, torch.cat((torch.sin(3 * x), x**2), 1)


class Chunked(Objective):
    """Two coupled terms at shared points and a third elsewhere, in chunks of 7; Jacobian by hand."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.theta = torch.randn(5, generator=generator, dtype=torch.float64)
        self.a = torch.randn(40, 5, generator=generator, dtype=torch.float64)
        self.b = torch.randn(11, 5, generator=generator, dtype=torch.float64)
        self.calls = []

    weights = {"sine": 3.0, "far": 0.25}  # noqa: RUF012

    def parameters(self):
        return self.theta.clone()

    def load(self, theta):
        self.theta = theta.clone()

    def sizes(self):
        return {"sine": 40, "cube": 40, "far": 11}

    def groups(self):
        return [("sine", "cube"), ("far",)]

    def chunk_size(self):
        return 7

    def residuals(self, rows=None):
        return self.jacobian(rows)[0]

    def jacobian(self, rows=None, out=None):
        rows = dict.fromkeys(self.sizes(), slice(None)) if rows is None else rows
        residuals, jacobians = {}, {}
        for name, chosen in rows.items():
            matrix = (self.b if name == "far" else self.a)[chosen]
            z = matrix @ self.theta
            self.calls.append((name, len(z)))
            value, slope = (torch.sin(z), torch.cos(z)) if name == "sine" else (z**3 - 1, 3 * z**2)
            residuals[name], jacobians[name] = value, slope[:, None] * matrix
        return residuals, jacobians


def dense(objective):
    residuals, jacobians = objective.jacobian()
    factors = {name: objective.weight(name) / len(r) for name, r in residuals.items()}
    matrix = sum(factors[k] * j.T @ j for k, j in jacobians.items())
    vector = sum(factors[k] * j.T @ residuals[k] for k, j in jacobians.items())
    loss = sum(factors[k] * float(r @ r) for k, r in residuals.items())
    return residuals, jacobians, matrix, vector, loss


def test_normal_equations_in_chunks_are_the_dense_ones():
    objective = Chunked()
    residuals, _, matrix, vector, loss = dense(objective)
    objective.calls.clear()
    found_matrix, found_vector, found_loss, found_residuals = objective.normal_equations()
    assert max(length for _, length in objective.calls) == 7
    assert torch.allclose(found_matrix, matrix, rtol=1e-13, atol=1e-13)
    assert torch.allclose(found_vector, vector, rtol=1e-13, atol=1e-13)
    assert math.isclose(found_loss, loss, rel_tol=1e-13)
    for name, r in residuals.items():
        assert torch.allclose(found_residuals[name], r, rtol=1e-14, atol=1e-14)


def test_the_gradient_is_twice_the_vector_of_the_normal_equations():
    objective = Chunked()
    _, _, _, vector, loss = dense(objective)
    evaluation, gradient = objective.gradient()
    assert torch.allclose(gradient, 2 * vector, rtol=1e-12, atol=1e-12)
    assert math.isclose(evaluation.loss, loss, rel_tol=1e-13)
    assert math.isclose(objective.evaluate().loss, loss, rel_tol=1e-13)
    assert math.isclose(evaluation.terms["far"], float(objective.residuals()["far"].square().mean()), rel_tol=1e-13)


@pytest.mark.parametrize("keep", [1 << 30, 0])
def test_products_with_kept_and_with_recomputed_jacobians_agree(keep):
    objective = Chunked()
    residuals, jacobians, *_ = dense(objective)
    model = objective.linearize(keep)
    assert (model.kept is None) == (keep == 0)
    direction = torch.arange(5, dtype=torch.float64)
    objective.load(objective.parameters() + 1)  # a product is taken where the model was, not where we are
    for name, product in model.product(direction).items():
        assert torch.allclose(product, jacobians[name] @ direction, rtol=1e-12, atol=1e-12)
    vectors = {name: r.cos() for name, r in residuals.items()}
    expected = sum(objective.weight(k) / len(v) * jacobians[k].T @ v for k, v in vectors.items())
    assert torch.allclose(model.transposed(vectors), expected, rtol=1e-12, atol=1e-12)


def test_blocks_of_a_wide_gauss_newton_matrix_are_assembled_symmetrically():
    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.theta = torch.nn.Parameter(torch.zeros(700, dtype=torch.float64))

    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(50, 700, generator=generator, dtype=torch.float64)
    objective = ModuleObjective(Wide(), lambda m: {"r": matrix @ m.theta - 1})
    found = objective.normal_equations()[0]
    assert torch.equal(found, found.T)
    assert torch.allclose(found, matrix.T @ matrix / 50, rtol=1e-12, atol=1e-12)


def test_a_part_of_the_rows_has_means_over_that_part():
    objective = Chunked()
    rows = {"sine": torch.tensor([3, 17, 5]), "cube": torch.tensor([3, 17, 5])}
    evaluation, gradient = objective.gradient(rows)
    residuals, jacobians = objective.jacobian(rows)
    expected = sum(2 * objective.weight(k) / 3 * jacobians[k].T @ residuals[k] for k in rows)
    assert torch.allclose(gradient, expected, rtol=1e-12, atol=1e-12)
    assert set(evaluation.terms) == {"sine", "cube"}
    alone = objective.gradient({"cube": torch.tensor([3, 17])})
    assert set(alone[0].terms) == {"cube"}
    same = objective.gradient({"far": slice(2, 11, 4)})[1]
    assert torch.allclose(same, objective.gradient({"far": torch.tensor([2, 6, 10])})[1], rtol=1e-13, atol=1e-13)


def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(torch.float64)


@pytest.mark.parametrize("make", [lambda: MLP(1, 2, 5, 2, steepness="layer"), module])
def test_regression_has_the_jacobian_of_central_differences(make):
    net, (x, y) = make(), data()
    objective = FitObjective(net, x, y, names=["sine", "square"], weights={"square": 2.0})
    assert objective.check() < 1e-8
    residuals, jacobians = objective.jacobian()
    assert torch.allclose(residuals["sine"], (net(x) - y)[:, 0].detach(), rtol=1e-13, atol=1e-13)
    second = objective.jacobian({"square": slice(4, 9)})
    assert list(second[0]) == list(second[1]) == ["square"]
    assert torch.allclose(second[1]["square"], jacobians["square"][4:9], rtol=1e-12, atol=1e-13)
    part = objective.weighted_gradient({"square": 2.0}, {"square": slice(4, 9)})[1]
    assert torch.allclose(part, 2 * second[1]["square"].T @ second[0]["square"], rtol=1e-11, atol=1e-13)
    _, gradient = objective.weighted_gradient({"sine": 0.5, "square": 3.0})
    expected = 0.5 * jacobians["sine"].T @ residuals["sine"] + 3 * jacobians["square"].T @ residuals["square"]
    assert torch.allclose(gradient, expected, rtol=1e-11, atol=1e-12)
    assert math.isclose(
        objective.evaluate().loss,
        float((net(x) - y)[:, 0].detach().square().mean() + 2 * (net(x) - y)[:, 1].detach().square().mean()),
        rel_tol=1e-12,
    )


@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
def test_a_users_residuals_have_the_jacobian_of_central_differences(mode):
    net, (x, y) = MLP(1, 2, 4, 2), data(12)
    objective = ModuleObjective(
        net, lambda m: {"fit": m(x) - y, "curvature": 0.1 * jet(m, x, [(2,)])[0, :5]}, weights={"fit": 2.0}, mode=mode
    )
    assert objective.sizes() == {"fit": 24, "curvature": 10}
    assert objective.check(rows=24) < 1e-8
    residuals, jacobians = objective.jacobian({"curvature": slice(2, 5)})
    assert list(residuals) == ["curvature"]
    assert torch.allclose(jacobians["curvature"], objective.jacobian()[1]["curvature"][2:5], rtol=1e-12, atol=1e-13)
    _, gradient = objective.weighted_gradient({"fit": 1.0, "curvature": 1.0})
    residuals, jacobians = objective.jacobian()
    assert torch.allclose(gradient, sum(jacobians[k].T @ r for k, r in residuals.items()), rtol=1e-11, atol=1e-12)


def test_residuals_that_call_autograd_themselves_are_served_in_reverse_mode():
    net = MLP(1, 1, 4, 2)
    x, _ = data(6)

    def residuals(m):
        points = x.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(m(points).sum(), points, create_graph=True)
        return {"slope": slope[:, 0] - 1}

    objective = ModuleObjective(net, residuals, mode="reverse")
    expected = ModuleObjective(net, lambda m: {"slope": jet(m, x, [(1,)])[0, :, 0] - 1})
    assert torch.allclose(objective.jacobian()[1]["slope"], expected.jacobian()[1]["slope"], rtol=1e-12, atol=1e-13)


def test_without_replacement_every_row_comes_once_per_epoch():
    objective = Chunked()
    sampler = BatchSampler(objective, 6, False, torch.Generator().manual_seed(0))
    assert sampler.epoch == 7
    seen = []
    for _ in range(2):
        epoch = [sampler.draw() for _ in range(7)]
        assert all(torch.equal(rows["sine"], rows["cube"]) for rows in epoch)
        order = torch.cat([rows["sine"] for rows in epoch])
        assert order.sort().values.tolist() == list(range(40))
        assert len(epoch[-1]["sine"]) == 4
        seen.append(order)
    assert not torch.equal(*seen)


def test_with_replacement_rows_are_independent_and_uniform():
    objective = Chunked()
    sampler = BatchSampler(objective, 20, True, torch.Generator().manual_seed(0))
    draws = torch.stack([sampler.draw()["sine"] for _ in range(2000)])
    counts = torch.bincount(draws.reshape(-1), minlength=40).double()
    expected = draws.numel() / 40
    chi = float(((counts - expected) ** 2 / expected).sum())
    assert 15 < chi < 75  # 39 degrees of freedom: beyond these with probability below 1e-3
    repeats = torch.tensor([len(set(row.tolist())) for row in draws]).double().mean()
    assert abs(float(repeats) - 40 * (1 - (39 / 40) ** 20)) < 0.15


def test_a_mapping_gives_terms_their_own_batches():
    sampler = BatchSampler(Chunked(), {"sine": 3}, False, torch.Generator().manual_seed(0))
    rows = sampler.draw()
    assert {name: len(chosen) for name, chosen in rows.items()} == {"sine": 3, "cube": 3, "far": 11}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda net, x, y: FitObjective(net, x, y[:5]), r"^x, y: shapes \(30, 1\) and \(5, 2\)"),
        (lambda net, x, y: FitObjective(net, x[:, 0], y), r"^x, y: shapes"),
        (lambda net, x, y: FitObjective(net, x[:0], y[:0]), r"^x, y: shapes.*N >= 1"),
        (lambda net, x, y: FitObjective(net, x * math.nan, y), r"^x, y: every number must be finite"),
        (lambda net, x, y: FitObjective(net, x, y[:, 0]), r"^y: 1 values per point, but the module returns 2"),
        (lambda net, x, y: FitObjective(net, x, y, names=["a", "a"]), r"^names: .*2 different names"),
        (lambda net, x, y: FitObjective(net, x, y, weights={"fit1": 1}), r"^weights: .*did you mean 'fit 1'"),
        (lambda net, x, y: FitObjective(net, x, y, weights={"fit 1": -1}), r"^weights: 'fit 1' has -1.*>= 0"),
        (lambda net, x, y: FitObjective(torch.nn.Tanh(), x, y), r"^module: it has no trainable parameters"),
        (lambda net, x, y: ModuleObjective(net, lambda m: m(x)), r"^residuals: the function must return"),
        (lambda net, x, y: ModuleObjective(net, lambda m: {}), r"^residuals: the function must return"),
        (lambda net, x, y: ModuleObjective(net, lambda m: {"a": 3.0}), r"^residuals: 'a' is float"),
        (lambda net, x, y: ModuleObjective(net, lambda m: {"a": m(x)}, mode="back"), r"^mode: 'back'.*'reverse'"),
        (lambda net, x, y: ModuleObjective(net, lambda m: {"a": m(x)}, weights={"b": 1}), r"^weights: no term 'b'"),
        (lambda net, x, y: FitObjective(net, x, y).gradient({"fit 3": slice(2)}), r"^rows: no term 'fit 3'"),
        (lambda net, x, y: BatchSampler(Chunked(), 0, False, torch.Generator()), r"^batch: 0 .*at least 1"),
        (lambda net, x, y: BatchSampler(Chunked(), {"sin": 3}, False, torch.Generator()), r"^batch: .*'sine'"),
        (lambda net, x, y: BatchSampler(Chunked(), {"far": 1.5}, False, torch.Generator()), r"^batch\['far'\]: 1.5"),
    ],
)
def test_wrong_arguments_are_named(make, text):
    with pytest.raises(ArgumentError, match=text):
        make(MLP(1, 2, 4, 2), *data())


def test_residuals_that_change_their_length_are_refused():
    lengths = iter((3, 4))
    net = MLP(1, 1, 3, 1)
    objective = ModuleObjective(net, lambda m: {"a": torch.ones(next(lengths)) * m.layers[0].bias.sum()})
    with pytest.raises(ArgumentError, match="changed its names or lengths"):
        objective.residuals()
