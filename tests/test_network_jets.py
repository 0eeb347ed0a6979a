"""Claims about jets: they are the derivatives of the network, in any order and of any kind."""

import itertools

import pytest
import sympy
import torch

from networks import BOX, NETWORKS, network, points, relative
from sciml.errors import ArgumentError
from sciml.network import MLP, InputJet, closure, index_set, jet, lift, record
from sciml.network.general import jet_general
from sciml.network.taylor import _outer

ORDER_FOUR = closure([(4, 0), (3, 1), (2, 2), (1, 3), (0, 4)])


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
