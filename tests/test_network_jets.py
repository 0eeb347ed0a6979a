import itertools
import math

import pytest
import sympy
import torch
from torch.func import functional_call, jacrev, vmap

from sciml.errors import ArgumentError
from sciml.network import (
    MLP,
    Cosine,
    Fourier,
    GeneralTape,
    InputJet,
    MLPTape,
    Periodic,
    closure,
    index_set,
    jet,
    lift,
    record,
)
from sciml.network.general import jet_general
from sciml.network.taylor import _outer

BOX = {"lower": (-1.0, 0.0), "upper": (1.0, 2.0)}
ORDER_FOUR = closure([(4, 0), (3, 1), (2, 2), (1, 3), (0, 4)])
NETWORKS = {
    "tanh": {},
    "sigmoid": {"activation": "sigmoid"},
    "softplus": {"activation": "softplus"},
    "sin": {"activation": "sin"},
    "relu": {"activation": "relu"},
    "steep": {"activation": "tanh", "steepness": "unit"},
    "shifted": {"activation": "sigmoid", "shift": "layer"},
    "steep and shifted": {"activation": "softplus", "steepness": "layer", "shift": "unit"},
    "periodic": {"embedding": Periodic({0: 2.0}, 2)},
    "cosine": {"embedding": Cosine({1: (0.0, 2.0)}, 2), "activation": "sin"},
    "fourier": {"embedding": Fourier(4, scale=2.0)},
    "one wide layer": {"widths": (9,)},
    "uneven": {"widths": (3, 11, 5)},
    "linear": {"depth": 0},
}


def network(name, outputs=2, **rest):
    net = MLP(2, outputs, **{"width": 6, "depth": 3, **BOX, **NETWORKS[name], **rest})
    generator = torch.Generator().manual_seed(1)
    theta = net.flat_parameters()
    noise = torch.randn(len(theta), generator=generator, dtype=torch.float64)
    net.load_flat(theta + (0.1 * noise).to(theta))
    return net


def points(n, d=2, seed=2):
    return 2 * torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def relative(a, b):
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-300))


@pytest.mark.parametrize("indices", [[(0,)], [(3,)], [(2, 0), (0, 1)], [(1, 1, 1)], [(2, 1, 0), (0, 0, 4)]])
def test_closure_is_the_least_downward_closed_set(indices):
    closed = closure(indices)
    assert len(set(closed)) == len(closed)
    assert all(index in closed for index in indices)
    for alpha in closed:
        assert any(all(a <= b for a, b in zip(alpha, top, strict=True)) for top in indices)
        for place, order in enumerate(alpha):
            if order:
                assert (*alpha[:place], order - 1, *alpha[place + 1 :]) in closed
    assert list(closed) == sorted(closed, key=lambda alpha: (sum(alpha), [-a for a in alpha]))


def test_products_of_series_follow_the_tables():
    tables = index_set([(3, 1), (0, 2)])
    x = sympy.symbols("x y")
    names = {alpha: sympy.Symbol(f"c{''.join(map(str, alpha))}") for alpha in tables.indices if any(alpha)}
    h = sum(c * x[0] ** a * x[1] ** b for (a, b), c in names.items())
    for k, terms in enumerate(tables.powers, start=2):
        exact = sympy.Poly(sympy.expand(h**k), *x)
        found = {}
        lower = sympy.Poly(sympy.expand(h ** (k - 1)), *x)
        for target, left, right, factor, _ in terms:
            product = factor * names[tables.indices[left]] * lower.coeff_monomial(tables.indices[right])
            found[target] = found.get(target, 0) + product
        for position in range(tables.starts[k], len(tables)):
            difference = sympy.nsimplify(found[position]) - exact.coeff_monomial(tables.indices[position])
            assert sympy.expand(difference) == 0


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_taylor_and_nested_derivatives_agree_to_total_order_four(name):
    net, x = network(name), points(5)
    taylor = jet(net, x, ORDER_FOUR)
    nested = jet_general(net, x, ORDER_FOUR)
    for a, b in zip(taylor, nested, strict=True):
        assert float((a - b).abs().max()) <= 1e-12 * max(1.0, float(b.abs().max()))


def test_any_list_of_derivatives_comes_in_its_order():
    net, x = network("tanh"), points(4)
    wanted = [(0, 3), (2, 1), (0, 0), (2, 1)]
    whole = dict(zip(ORDER_FOUR, jet(net, x, ORDER_FOUR), strict=True))
    for alpha, part in zip(wanted, jet(net, x, wanted), strict=True):
        assert torch.allclose(part, whole[alpha], rtol=1e-14, atol=1e-14)


@torch.no_grad()
def test_jets_reach_order_six_in_one_coordinate_and_order_four_in_three():
    net, x = MLP(1, 1, 5, 2), points(3, 1)
    assert relative(jet(net, x, [(6,)]), jet_general(net, x, [(6,)])) < 1e-12
    net, x = MLP(3, 1, 5, 2), points(3, 3)
    indices = [(2, 1, 1), (0, 2, 2), (1, 0, 3)]
    assert relative(jet(net, x, indices), jet_general(net, x, indices)) < 1e-12


@pytest.mark.parametrize(("activation", "function"), [("tanh", sympy.tanh), ("sin", sympy.sin)])
def test_jets_agree_with_sympy(activation, function):
    net = MLP(2, 1, widths=(2, 2), activation=activation, seed=3)
    x, t = sympy.symbols("x t")
    values = sympy.Matrix([x, t])
    for number, layer in enumerate(net.layers):
        weight = sympy.Matrix(layer.weight.tolist())
        values = weight * values + sympy.Matrix(layer.bias.tolist())
        if number < 2:
            values = values.applyfunc(function)
    place = points(2, seed=5)
    indices = [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (3, 0), (1, 3)]
    found = jet(net, place, indices)
    for (a, b), part in zip(indices, found, strict=True):
        derivative = sympy.diff(values[0], *([x] * a + [t] * b)) if a + b else values[0]
        for n, (p, q) in enumerate(place.tolist()):
            exact = float(derivative.subs({x: sympy.Float(p, 30), t: sympy.Float(q, 30)}).evalf(25))
            assert abs(float(part[n, 0].detach()) - exact) <= 1e-12 * max(1.0, abs(exact))


@pytest.mark.parametrize("name", NETWORKS)
def test_parameter_jacobian_agrees_with_jacrev(name):
    net, x = network(name), points(7)
    indices = [(0, 0), (2, 0), (1, 2)]
    out, tape = record(net, x, indices)
    assert isinstance(tape, MLPTape)
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    parameters = {key: p.detach() for key, p in net.named_parameters()}

    def scalars(values):
        def function(y):
            return functional_call(net, values, (y,))

        from sciml.network.general import _derivatives

        return (_derivatives(function, x, indices) * cotangent).sum((0, 2))

    blocks = jacrev(scalars)(parameters)
    exact = torch.cat([blocks[key].flatten(1) for key in parameters], 1)
    found = tape.jacobian(cotangent)
    assert found.shape == (7, net.parameter_count)
    assert relative(found, exact) < 1e-10
    assert relative(tape.gradient(cotangent), exact.sum(0)) < 1e-10


def test_jacobian_writes_into_a_part_of_a_larger_buffer():
    net, x = network("steep and shifted"), points(6)
    out, tape = record(net, x, [(1, 1)])
    cotangent = torch.ones_like(out)
    buffer = torch.full((6, net.parameter_count + 5), math.nan, dtype=torch.float64)
    part = buffer[:, 2 : 2 + net.parameter_count]
    assert tape.jacobian(cotangent, part) is part
    assert torch.equal(part, tape.jacobian(cotangent))
    assert buffer[:, :2].isnan().all()
    assert buffer[:, 2 + net.parameter_count :].isnan().all()


@pytest.mark.parametrize("general", [False, True])
def test_a_batch_of_cotangents_is_as_many_single_ones(general):
    net, x = network("tanh"), points(5)
    indices = [(2, 0), (0, 1)]
    out, tape = record(net, x, indices)
    if general:
        tape = GeneralTape(net, x, indices)
    batch = torch.randn((3, *out.shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = tape.jacobian(batch)
    assert found.shape == (3, 5, net.parameter_count)
    for single, rows, total in zip(batch, found, tape.gradient(batch), strict=True):
        assert torch.allclose(rows, tape.jacobian(single), rtol=1e-14, atol=1e-14)
        assert torch.allclose(total, rows.sum(0), rtol=1e-11, atol=1e-11)


def test_an_input_jet_is_the_chain_rule():
    """Inputs (x t, t^2) as functions of (x, t), given by their derivatives, equal the composed module."""
    net, x = network("tanh"), points(5)
    indices = [(0, 0), (2, 1), (0, 2)]

    class Composed(torch.nn.Module):
        def forward(self, y):
            return net(torch.stack((y[:, 0] * y[:, 1], y[:, 1] ** 2), 1))

    given = torch.zeros(len(closure(indices)), 5, 2, dtype=torch.float64)
    derivatives = {
        (0, 0): torch.stack((x[:, 0] * x[:, 1], x[:, 1] ** 2), 1),
        (1, 0): torch.stack((x[:, 1], 0 * x[:, 1]), 1),
        (0, 1): torch.stack((x[:, 0], 2 * x[:, 1]), 1),
        (1, 1): torch.tensor([1.0, 0.0], dtype=torch.float64),
        (0, 2): torch.tensor([0.0, 2.0], dtype=torch.float64),
    }
    for position, alpha in enumerate(closure(indices)):
        if alpha in derivatives:
            given[position] = derivatives[alpha]
    out, tape = net.record(given, indices)
    assert relative(out, jet_general(Composed(), x, indices)) < 1e-12
    cotangent = torch.ones_like(out)
    nested = GeneralTape(net, given, indices)  # only its parameter split is used
    parameters, fixed = nested._parameters, nested._fixed

    def value(p, y):
        from sciml.network.general import _derivatives

        def function(z):
            inner = torch.stack((z[:, 0] * z[:, 1], z[:, 1] ** 2), 1)
            return functional_call(net, {**p, **fixed}, (inner,))

        return _derivatives(function, y[None], indices).sum()

    blocks = vmap(torch.func.grad(value), in_dims=(None, 0))(parameters, x)
    assert relative(tape.jacobian(cotangent), torch.cat([b.flatten(1) for b in blocks.values()], 1)) < 1e-10


@pytest.mark.parametrize("name", ["tanh", "periodic", "fourier"])
def test_a_lifted_point_set_gives_the_same_bits_and_can_be_cut(name):
    net, x = network(name), points(9)
    indices = [(2, 0), (0, 1)]
    lifted = net.lift(x, indices)
    assert isinstance(lifted, InputJet)
    assert len(lifted) == 9
    assert torch.equal(record(net, lifted)[0], record(net, x, indices)[0])
    rows = torch.tensor([3, 1])
    assert torch.allclose(jet(net, lifted[rows]), jet(net, x[rows], indices), rtol=1e-14, atol=1e-14)
    assert torch.allclose(jet(net, lifted[2:5]), jet(net, x[2:5], indices), rtol=1e-14, atol=1e-14)


def test_jets_are_differentiable_by_autograd_and_by_torch_func():
    net, x = network("tanh", outputs=1), points(6)
    indices = [(2, 0), (1, 1)]
    out, tape = record(net, x, indices)
    loss = jet(net, x, indices).square().sum()
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(net.parameters()))])
    assert relative(gradient, tape.gradient(2 * out)) < 1e-12
    column = torch.func.jacfwd(lambda b: _with_bias(net, b, x, indices))(net.layers[0].bias.detach())
    start = net.layers[0].weight.numel()
    exact = tape.jacobian(torch.ones_like(out))[:, start : start + 6]
    assert relative(column.sum((0, 2)), exact) < 1e-12


def _with_bias(net, bias, x, indices):
    class Call(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self):
            return jet(self.net, x, indices)

    return functional_call(Call(), {"net.layers.0.bias": bias}, ())


def test_frozen_parameters_have_no_columns():
    net, x = network("steep and shifted"), points(5)
    net.layers[0].weight.requires_grad_(False)
    net.layers[1].steepness.requires_grad_(False)
    net.layers[2].shift.requires_grad_(False)
    net.layers[3].bias.requires_grad_(False)
    out, tape = record(net, x, [(2, 0)])
    cotangent = torch.ones_like(out)
    general = GeneralTape(net, x, [(2, 0)])
    assert tape.jacobian(cotangent).shape == (5, net.parameter_count) == (5, len(net.flat_parameters()))
    assert relative(tape.jacobian(cotangent), general.jacobian(cotangent)) < 1e-12
    assert relative(tape.gradient(cotangent), general.gradient(cotangent)) < 1e-12


@pytest.mark.parametrize("name", NETWORKS)
def test_the_tangent_is_the_jacobian_times_a_direction(name):
    net, x = network(name), points(5)
    out, tape = record(net, x, [(2, 1), (0, 0), (1, 0)])
    generator = torch.Generator().manual_seed(3)
    direction = torch.randn(net.parameter_count, generator=generator, dtype=torch.float64)
    tangent = tape.tangent(direction)
    for k, o in itertools.product(range(3), range(2)):
        unit = torch.zeros_like(out)
        unit[k, :, o] = 1
        expected = tape.jacobian(unit) @ direction
        assert torch.allclose(tangent[k, :, o], expected, rtol=1e-11, atol=1e-12 * (1 + float(expected.abs().max())))


def test_tangents_agree_with_those_of_any_module_and_skip_frozen_parameters():
    net, x = network("steep and shifted"), points(5)
    net.layers[0].weight.requires_grad_(False)
    net.layers[1].steepness.requires_grad_(False)
    net.layers[2].shift.requires_grad_(False)
    net.layers[3].bias.requires_grad_(False)
    _, tape = record(net, x, [(2, 0), (0, 1)])
    direction = torch.randn(net.parameter_count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    general = GeneralTape(net, x, [(2, 0), (0, 1)])
    assert relative(tape.tangent(direction), general.tangent(direction)) < 1e-12
    assert tape.memory > general.memory == x.nbytes
    with pytest.raises(RuntimeError, match="split"):
        tape.tangent(direction[:-1])


def test_any_module_has_jets_and_a_tape():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(2, 6), torch.nn.GELU(), torch.nn.LayerNorm(6), torch.nn.Linear(6, 2)]
    module = torch.nn.Sequential(*layers).to(torch.float64)
    module[0].bias.requires_grad_(False)
    x, h = points(4), 1e-4
    out, tape = record(module, x, [(0, 0), (1, 0), (1, 1)])
    assert isinstance(tape, GeneralTape)
    step = torch.tensor([[h, 0.0]], dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(out[0], module(x))
        assert relative((module(x + step) - module(x - step)) / (2 * h), out[1]) < 1e-6
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = tape.jacobian(cotangent)
    assert jacobian.shape == (4, sum(p.numel() for p in module.parameters() if p.requires_grad))
    assert relative(tape.gradient(cotangent), jacobian.sum(0)) < 1e-12
    weight = module[3].weight
    numeric = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2] += sign * h
        numeric.append((record(module, x, [(0, 0), (1, 0), (1, 1)])[0] * cotangent).sum((0, 2)))
        with torch.no_grad():
            weight[1, 2] -= sign * h
    column = 12 + 6 + 6 + 6 + 2  # first weight, layer norm, then row 1, column 2 of the last weight
    assert relative((numeric[0] - numeric[1]) / (2 * h), jacobian[:, column]) < 1e-7


@pytest.mark.parametrize("first", [1, 2, 3])
def test_layers_below_the_first_trained_one_leave_the_other_derivatives_alone(first):
    net, x = network("steep and shifted"), points(6)
    indices = [(2, 0), (0, 1)]
    out, whole = record(net, x, indices)
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = whole.jacobian(cotangent)
    rest = sum(p.numel() for layer in net.layers[first:] for p in layer.parameters())
    direction = torch.ones(rest, dtype=torch.float64)
    moved = whole.tangent(torch.cat((torch.zeros(exact.shape[1] - rest, dtype=torch.float64), direction)))
    for layer in net.layers[:first]:
        layer.requires_grad_(False)
    found, tape = record(net, x, indices)
    columns = exact[:, -rest:]
    assert torch.equal(found, out)
    assert torch.allclose(tape.jacobian(cotangent), columns, rtol=1e-14, atol=1e-14)
    assert relative(tape.gradient(cotangent), columns.sum(0)) < 1e-12
    assert relative(tape.tangent(direction), moved) < 1e-12
    assert tape.memory < whole.memory


@pytest.mark.parametrize("name", ["tanh", "steep and shifted", "fourier", "relu"])
def test_float32_agrees_with_float64_within_its_precision(name):
    double, x = network(name), points(6)
    single = MLP.from_description({**double.description(), "dtype": "float32"})
    single.load_state_dict({key: value.to(torch.float32) for key, value in double.state_dict().items()})
    indices = [(2, 0), (0, 1)]
    out, tape = record(double, x, indices)
    out32, tape32 = record(single, x.to(torch.float32), indices)
    jacobian = tape32.jacobian(torch.ones_like(out32))
    assert out32.dtype == jacobian.dtype == torch.float32
    assert relative(out32.double(), out) < 1e-4
    assert relative(jacobian.double(), tape.jacobian(torch.ones_like(out))) < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_run_on_the_meta_device(name):
    net = MLP(2, 2, **{"width": 6, "depth": 3, **BOX, **NETWORKS[name]}, device="meta")
    x = torch.empty(5, 2, dtype=torch.float64, device="meta")
    out, tape = record(net, lift(net, x, [(2, 1)]))
    jacobian = tape.jacobian(torch.empty_like(out))
    assert out.device.type == jacobian.device.type == "meta"
    assert out.shape == (1, 5, 2)
    assert jacobian.shape == (5, net.parameter_count)
    assert tape.gradient(torch.empty_like(out)).shape == (net.parameter_count,)
    assert tape.tangent(torch.empty_like(net.flat_parameters())).shape == out.shape
    assert net(x).shape == (5, 2)


@pytest.mark.parametrize("cached", [1, 700, 1 << 19])
def test_per_point_products_are_the_same_however_they_are_cut(monkeypatch, cached):
    """sum_c a[i, c, n] b[j, c, n], for blocks of one unit, of some and of all."""
    monkeypatch.setattr("sciml.network.taylor.CACHED", cached)
    for count, units, features in itertools.product((1, 2, 9), (1, 3, 30), (1, 2, 10)):
        generator = torch.Generator().manual_seed(0)
        a = torch.randn(units, count, 4, generator=generator, dtype=torch.float64)
        b = torch.randn(features, count, 4, generator=generator, dtype=torch.float64)
        out = torch.empty(units, features, 4, dtype=torch.float64)
        _outer(a, b, out)
        assert torch.allclose(out, torch.einsum("icn,jcn->ijn", a, b), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda net, x: jet(net, x), "indices"),
        (lambda net, x: jet(net, x, []), "indices"),
        (lambda net, x: jet(net, x, [(1,)]), "indices"),
        (lambda net, x: jet(net, x, [(1, -1)]), "indices"),
        (lambda net, x: jet(net, x, [(1, 0.5)]), "indices"),
        (lambda net, x: jet(net, x, [(1, 0), (1,)]), "indices"),
        (lambda net, x: jet(net, x, [3]), "indices"),
        (lambda net, x: jet(net, x[:, :1], [(0, 0)]), "x"),
        (lambda net, x: jet(net, x[0], [(0, 0)]), "x"),
        (lambda net, x: jet(net, x[None], [(1, 0)]), "x"),
        (lambda net, x: jet(torch.nn.Linear(2, 1).double(), x, [(1,)]), "indices"),
        (lambda net, x: jet(torch.nn.Linear(2, 1).double(), x[None], [(1, 0)]), "x"),
        (lambda net, x: record(net, x, [(1, 0)])[1].jacobian(torch.ones(2, 5, 2).double()), "cotangent"),
        (lambda net, x: record(net, x, [(1, 0)])[1].jacobian(torch.ones(1, 5, 2).double(), torch.ones(5, 2)), "out"),
        (lambda net, x: index_set([(1, 0)]).positions([(0, 1)]), "indices"),
    ],
)
def test_wrong_arguments_are_named(call, named):
    with pytest.raises(ArgumentError, match=f"^{named}: .*(accepted|at least|needed|one order|not in)"):
        call(network("tanh"), points(5))
