"""Claims about tapes: Jacobians, gradients and tangents with respect to the parameters, for every network."""

import itertools
import math

import pytest
import torch
from torch.func import functional_call, jacrev, vmap

from networks import NETWORKS, network, points, relative
from sciml.network import GeneralTape, MLPTape, closure, jet, record
from sciml.network.general import jet_general


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
