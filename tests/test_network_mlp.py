import json
import math

import pytest
import torch

from sciml.errors import ArgumentError
from sciml.network import (
    MLP,
    Cosine,
    Fourier,
    Periodic,
    Sine,
    activation,
    activation_names,
    embedding_from_dict,
    jet,
    record,
)


def grid(n=50, d=2):
    return 2 * torch.rand(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


@pytest.mark.parametrize("name", activation_names())
def test_taylor_coefficients_are_derivatives_by_autograd(name):
    f = activation(name)
    z = torch.tensor([-3.0, -0.4, 0.1, 1.3, 6.0], dtype=torch.float64, requires_grad=True)
    derivative = f(z)
    for k, coefficient in enumerate(f.taylor(z.detach(), 6)):
        expected = (derivative / math.factorial(k)).detach()
        assert torch.allclose(coefficient, expected, rtol=1e-11, atol=1e-13)
        (derivative,) = torch.autograd.grad(
            derivative.sum(), z, create_graph=True, allow_unused=True, materialize_grads=True
        )


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("tanh", torch.tanh),
        ("sigmoid", torch.sigmoid),
        ("relu", torch.relu),
        ("sin", torch.sin),
        ("softplus", lambda z: torch.log1p(torch.exp(-z.abs())) + z.clamp_min(0)),
    ],
)
def test_activations_are_the_named_functions(name, reference):
    z = torch.linspace(-40, 40, 401, dtype=torch.float64)
    assert torch.allclose(activation(name)(z), reference(z), rtol=0, atol=5e-16 * 40)


def test_the_network_is_affine_maps_and_activations():
    net = MLP(2, 3, widths=(5, 4), activation="sigmoid", steepness="unit", shift="layer", seed=1)
    theta = net.flat_parameters()
    net.load_flat(theta + 0.3 * torch.randn(len(theta), generator=torch.Generator().manual_seed(1), dtype=theta.dtype))
    x = grid()
    a = x
    for layer in net.layers[:-1]:
        z = a @ layer.weight.T + layer.bias
        assert layer.steepness.shape == (len(layer.bias),)
        assert layer.shift.shape == (1,)
        a = 1 / (1 + torch.exp(-layer.steepness * (z - layer.shift)))
    expected = a @ net.layers[-1].weight.T + net.layers[-1].bias
    assert torch.allclose(net(x), expected, rtol=1e-14, atol=1e-14)
    assert net.parameter_count == len(theta) == (2 * 5 + 5 + 5 + 1) + (5 * 4 + 4 + 4 + 1) + (4 * 3 + 3)


def test_steepened_and_shifted_forms_start_as_the_plain_network():
    x = grid()
    plain = MLP(2, 1, 8, 2, seed=3)(x)
    assert torch.equal(MLP(2, 1, 8, 2, steepness="unit", shift="layer", seed=3)(x), plain)


@pytest.mark.parametrize("embedding", [None, Periodic({0: 1.5}), Cosine({1: (0.0, 2.0)}), Fourier(3)])
def test_forward_is_the_zeroth_derivative(embedding):
    net, x = MLP(2, 2, 7, 3, embedding=embedding, lower=(-1, 0), upper=(1, 2)), grid()
    assert torch.allclose(jet(net, x, [(0, 0)])[0], net(x), rtol=1e-14, atol=1e-14)
    assert torch.allclose(record(net, x, [(2, 0), (0, 0)])[0][1], net(x), rtol=1e-14, atol=1e-14)


def test_weights_are_glorot_uniform_and_first_transitions_lie_in_the_box():
    lower, upper = torch.tensor([-3.0, 10.0]), torch.tensor([1.0, 20.0])
    net = MLP(2, 1, width=2000, depth=2, lower=lower.tolist(), upper=upper.tolist(), dtype="float32", seed=5)
    for layer, bound in zip(net.layers, [math.sqrt(6 / 2002), math.sqrt(6 / 4000), math.sqrt(6 / 2001)], strict=True):
        weight = layer.weight.detach()
        assert float(weight.abs().max()) <= bound * (1 + 1e-6)
        assert float(weight.abs().max()) > 0.99 * bound
        assert abs(float(weight.var()) - bound**2 / 3) < 0.1 * bound**2 / 3
    first = net.layers[0]
    scaled = -first.bias.detach()
    reach = first.weight.detach().abs().sum(1)
    assert bool((scaled.abs() <= reach * (1 + 1e-6)).all())  # W c = -b has a solution c in [-1, 1]^2
    # c uniform on [-1, 1]^2 has W c of variance |W|^2 / 3.
    assert abs(float((scaled / first.weight.detach().norm(dim=1)).var()) - 1 / 3) < 0.03
    assert not bool(net.layers[1].bias.any())
    assert not bool(MLP(2, 1, 9, 2, centred=False).layers[0].bias.any())


def test_inputs_are_scaled_from_the_box():
    plain = MLP(2, 1, 6, 2, seed=1)
    scaled = MLP(2, 1, 6, 2, seed=1, lower=(2, -5), upper=(3, 5))
    scaled.load_flat(plain.flat_parameters())
    x = grid()
    raw = torch.stack((2.5 + 0.5 * x[:, 0], 5 * x[:, 1]), 1)
    assert torch.allclose(scaled(raw), plain(x), rtol=1e-13, atol=1e-13)


def test_equal_seeds_give_equal_networks_and_the_global_state_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (MLP(2, 1, embedding=Fourier(5), seed=seed) for seed in (4, 4, 5))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.flat_parameters(), second.flat_parameters())
    assert torch.equal(first(grid()), second(grid()))
    assert not torch.equal(first.flat_parameters(), other.flat_parameters())
    drawn = MLP(2, 1, embedding=Fourier(5), generator=torch.Generator().manual_seed(4))
    assert torch.equal(drawn(grid()), first(grid()))


@pytest.mark.parametrize("harmonics", [1, 3])
def test_a_periodic_embedding_makes_all_derivatives_periodic(harmonics):
    net = MLP(2, 1, 8, 2, embedding=Periodic({0: 3.0}, harmonics), lower=(0, 0), upper=(3, 1))
    x = grid(10)
    indices = [(0, 0), (1, 0), (3, 0), (2, 1)]
    shifted = x + torch.tensor([3.0, 0.0], dtype=torch.float64)
    assert torch.allclose(jet(net, x, indices), jet(net, shifted, indices), rtol=1e-10, atol=1e-10)
    elsewhere = x + torch.tensor([1.1, 0.0], dtype=torch.float64)
    assert not torch.allclose(net(x), net(elsewhere), atol=1e-3)


def test_a_cosine_embedding_makes_odd_derivatives_vanish_at_both_ends():
    net = MLP(2, 1, 8, 2, embedding=Cosine({0: (-1.0, 2.0)}, 2), lower=(-1, 0), upper=(2, 1))
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    for end in (-1.0, 2.0):
        ends = torch.stack((torch.full_like(t, end), t), 1)
        odd = jet(net, ends, [(1, 0), (3, 0), (1, 1)])
        assert float(odd.detach().abs().max()) < 1e-12
    assert float(jet(net, grid(), [(1, 0)]).detach().abs().max()) > 1e-2


def test_fourier_features_are_waves_of_the_scaled_coordinates():
    net = MLP(2, 1, 4, 1, embedding=Fourier(400, scale=5.0, keep=False), lower=(0, 10), upper=(2, 30))
    layer = net.input_layer
    assert layer.features == 800
    assert MLP(2, 1, 4, 1, embedding=Fourier(400)).input_layer.features == 802
    x = torch.tensor([[0.3, 12.0]], dtype=torch.float64)
    wave = (layer.matrix @ x[0] + layer.phase)[400:]
    assert torch.allclose(layer(x)[0, :400], torch.cos(wave), atol=1e-13)
    assert torch.allclose(layer(x)[0, 400:], torch.sin(wave), atol=1e-13)
    centre = torch.tensor([[1.0, 20.0]], dtype=torch.float64)
    assert torch.allclose(layer(centre)[0, 400:], torch.zeros(400, dtype=torch.float64), atol=1e-11)
    scaled = layer.matrix[:400] * torch.tensor([1.0, 10.0], dtype=torch.float64)  # half lengths of the box
    assert abs(float(scaled.std()) - 5.0) < 0.4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"embedding": Periodic({1: 2.0}, 2), "activation": "sin"},
        {"embedding": Cosine({0: (0.0, 1.0)}), "steepness": "layer"},
        {"embedding": Fourier(3), "shift": "unit", "dtype": "float32", "lower": (0, 0), "upper": (1, 5)},
    ],
)
def test_description_and_state_restore_the_network(options):
    net = MLP(2, 3, widths=(4, 6), seed=8, **options)
    text = json.dumps(net.description())
    again = MLP.from_description(json.loads(text))
    again.load_state_dict(net.state_dict())
    x = grid().to(net.flat_parameters().dtype)
    assert torch.equal(again(x), net(x))
    assert json.loads(json.dumps(again.description())) == json.loads(text)


def test_an_activation_object_serves_as_well_as_its_name():
    assert torch.equal(MLP(1, 1, activation=Sine())(grid(d=1)), MLP(1, 1, activation="sin")(grid(d=1)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MLP(0, 1), r"^inputs: 0 .*at least 1"),
        (lambda: MLP(2, 1.5), r"^outputs: 1.5"),
        (lambda: MLP(2, True), r"^outputs: True"),
        (lambda: MLP(2, 1, width=0), r"^width: 0"),
        (lambda: MLP(2, 1, depth=-1), r"^depth: -1 .*at least 0"),
        (lambda: MLP(2, 1, widths=(4, 0)), r"^widths: 0"),
        (lambda: MLP(2, 1, activation="tanhh"), r"^activation: 'tanhh'.*did you mean 'tanh'.*sigmoid, relu"),
        (lambda: MLP(2, 1, activation=3), r"^activation: 3 .*accepted"),
        (lambda: MLP(2, 1, steepness="units"), r"^steepness: 'units'.*'layer', 'unit'"),
        (lambda: MLP(2, 1, shift=1), r"^shift: 1 .*'layer', 'unit'"),
        (lambda: MLP(2, 1, lower=(0, 0)), r"^lower, upper: both"),
        (lambda: MLP(2, 1, lower=(0,), upper=(1,)), r"^lower, upper: 1 and 1 numbers, accepted are 2"),
        (lambda: MLP(2, 1, lower=(0, 1), upper=(1, 1)), r"^lower, upper: .*lower < upper"),
        (lambda: MLP(2, 1, lower=(0, math.nan), upper=(1, 1)), r"^lower, upper: .*finite"),
        (lambda: MLP(2, 1, seed=-1), r"^seed: -1"),
        (lambda: MLP(2, 1, dtype="int32"), r"^dtype: 'int32'.*float64"),
        (lambda: MLP(2, 1, dtype="nonsense"), r"^dtype: 'nonsense'"),
        (lambda: MLP(2, 1, embedding="periodic"), r"^embedding: 'periodic'.*Periodic"),
        (lambda: MLP(2, 1, embedding=Periodic({2: 1.0})), r"^embedding: Periodic names coordinate 2.*0 to 1"),
        (lambda: MLP(2, 1, embedding=Cosine({-1: (0, 1)})), r"^embedding: Cosine names coordinate -1"),
        (lambda: Periodic({0: 0.0}), r"^embedding: the period of coordinate 0 is 0.0.*> 0"),
        (lambda: Periodic({0: 1.0}, 0), r"^embedding: Periodic: harmonics is 0.*at least 1"),
        (lambda: Periodic({}), r"^embedding: Periodic: .*at least one"),
        (lambda: Cosine({0: (1, 1)}), r"^embedding: the ends of coordinate 0.*a < b"),
        (lambda: Cosine({0: (0, 1)}, 1.5), r"^embedding: Cosine: harmonics is 1.5"),
        (lambda: Fourier(0), r"^embedding: Fourier: count is 0"),
        (lambda: Fourier(3, scale=-1), r"^embedding: Fourier: scale is -1"),
        (lambda: embedding_from_dict({"kind": "periodik"}), r"^embedding: 'periodik'.*did you mean 'periodic'"),
        (lambda: MLP(2, 1).load_flat(torch.zeros(3)), r"^theta: shape \(3,\)"),
    ],
)
def test_wrong_arguments_are_named(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
