"""Sums of networks are the sum of their parts: values, derivatives, Jacobians, descriptions; and their bad inputs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jacrev

from sciml.errors import ArgumentError
from sciml.network import (
    MLP,
    Fourier,
    Index,
    Periodic,
    Sum,
    flat_parameters,
    jet,
    lift,
    load_flat,
    network_from_description,
    record,
)

INDICES: list[Index] = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (4, 0)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def three_parts() -> list[MLP]:
    return [
        MLP(2, 2, 5, 2, "sin", seed=1),
        MLP(2, 2, widths=(4, 6), activation=["tanh", "sin"], embedding=Periodic({0: 2.0}, 2), seed=2),
        MLP(2, 2, 3, 1, "sigmoid", steepness="unit", shift="layer", seed=3),
    ]


def freeze(part: MLP, kind: str) -> None:
    if kind == "all":
        part.requires_grad_(False)
    elif kind == "hidden":
        part.requires_grad_(False)
        part.layers[-1].requires_grad_(True)
    elif kind == "first":
        part.layers[0].requires_grad_(False)


FROZEN = {
    "nothing": ("", "", ""),
    "a trained network and a correction": ("all", "hidden", ""),
    "the last": ("", "", "all"),
    "hidden layers": ("hidden", "hidden", "hidden"),
    "some layers": ("first", "all", "hidden"),
}


def partly_frozen(name: str) -> Sum:
    parts = three_parts()
    for part, kind in zip(parts, FROZEN[name], strict=True):
        freeze(part, kind)
    return Sum(parts)


def reference_jacobian(network: Sum, points: Tensor, cotangent: Tensor) -> Tensor:
    """d s_n / d theta by torch.func, through the jets of a network that is called with given parameters."""
    trained = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    names, sizes = list(trained), [p.numel() for p in trained.values()]

    def scalars(theta: Tensor) -> Tensor:
        given = {n: part.view_as(trained[n]) for n, part in zip(names, theta.split(sizes), strict=True)}

        def value(x: Tensor) -> Tensor:
            return functional_call(network, given, (x[None],))[0]

        rows = []
        for k, index in enumerate(INDICES):
            function = value
            for axis in itertools.chain.from_iterable([axis] * order for axis, order in enumerate(index)):
                function = derivative(function, axis)
            rows.append((torch.func.vmap(function)(points) * cotangent[k]).sum(1))
        return torch.stack(rows).sum(0)

    return jacrev(scalars)(torch.cat([p.reshape(-1) for p in trained.values()]))


def derivative(function, axis: int):
    direction = torch.eye(2, dtype=torch.float64)[axis]
    return lambda x: torch.func.jvp(function, (x,), (direction,))[1]


def close(have: Tensor, want: Tensor, tolerance: float = 1e-12) -> bool:
    have, want = have.detach(), want.detach()
    return have.shape == want.shape and float((have - want).abs().max()) <= tolerance * float(want.abs().max())


def test_the_value_is_the_sum_of_the_parts_values():
    parts, x = three_parts(), random(4, 7, 2)
    network = Sum(parts)
    assert (network.inputs, network.outputs) == (2, 2)
    assert list(network) == parts
    assert close(network(x), parts[0](x) + parts[1](x) + parts[2](x), 1e-15)
    assert torch.equal(Sum(parts[:1])(x), parts[0](x))


def test_derivatives_are_the_sums_of_the_parts_derivatives():
    parts, x = three_parts(), random(9, 2)
    network = Sum(parts)
    expected = torch.stack([jet(part, x, INDICES) for part in parts]).sum(0).detach()
    assert torch.equal(jet(network, x, INDICES).detach(), expected)
    values, _ = record(network, x, INDICES)
    assert close(values, expected, 1e-14)
    assert not values.requires_grad
    assert close(jet(network, x, [(0, 0)])[0].detach(), network(x).detach(), 1e-14)


def test_a_network_and_its_negative_are_zero_with_all_derivatives():
    part = MLP(2, 1, 6, 3, seed=4)
    other = deepcopy(part)
    with torch.no_grad():
        other.layers[-1].weight.neg_()
        other.layers[-1].bias.neg_()
    assert not bool(jet(Sum([part, other]), random(5, 2), INDICES).any())


def test_jets_are_differentiable_in_the_parameters_of_all_parts():
    network, x, cotangent = Sum(three_parts()), random(6, 2), random(len(INDICES), 6, 2, seed=1)
    (jet(network, x, INDICES) * cotangent).sum().backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None])
    _, tape = record(network, x, INDICES)
    assert close(tape.gradient(cotangent), gradient)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", FROZEN)
def test_the_jacobian_is_the_one_of_torch_func_whatever_is_frozen(name):
    network, x = partly_frozen(name), random(5, 2)
    cotangent = random(len(INDICES), 5, 2, seed=2)
    _, tape = record(network, x, INDICES)
    have = tape.jacobian(cotangent)
    assert have.shape == (5, len(flat_parameters(network)))
    assert close(have, reference_jacobian(network, x, cotangent), 1e-11)


@pytest.mark.parametrize("name", FROZEN)
def test_jacobian_gradient_and_tangent_are_the_same_derivative(name):
    network, x = partly_frozen(name), random(8, 2)
    count = len(flat_parameters(network))
    cotangents = random(3, len(INDICES), 8, 2, seed=3)
    direction = random(count, seed=4)
    values, tape = record(network, x, INDICES)
    matrix = tape.jacobian(cotangents)
    assert matrix.shape == (3, 8, count)
    for m in range(3):
        assert close(tape.jacobian(cotangents[m]), matrix[m], 1e-13)
    assert close(tape.gradient(cotangents), matrix.sum(1))
    assert close(tape.gradient(cotangents[0]), matrix[0].sum(0))
    tangent = tape.tangent(direction)
    assert tangent.shape == values.shape
    assert close((tangent * cotangents).sum((1, 3)), matrix @ direction, 1e-11)
    theta, step = flat_parameters(network), 1e-5
    moved = []
    for sign in (1, -1):
        load_flat(network, theta + sign * step * direction)
        moved.append(record(network, x, INDICES)[0])
    assert close((moved[0] - moved[1]) / (2 * step), tangent, 1e-6)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_jacobian_is_written_into_a_given_tensor_and_nowhere_else(batch):
    network, x = partly_frozen("some layers"), random(7, 2)
    cotangent = random(*batch, len(INDICES), 7, 2, seed=5)
    _, tape = record(network, x, INDICES)
    want = tape.jacobian(cotangent)
    # A block of rows in the middle of a larger matrix, whose columns are padded.
    room = torch.full((*batch, 11, want.shape[-1] + 3), torch.nan, dtype=torch.float64)
    out = room[..., 2:9, 1:-2]
    assert tape.jacobian(cotangent, out) is not None
    assert close(out, want, 1e-14)
    assert int(torch.isfinite(room).sum()) == want.numel()


def test_the_memory_of_a_tape_is_that_of_the_trained_parts():
    x = random(20, 2)
    network = partly_frozen("the last")
    parts = list(network)
    records = [record(part, x, INDICES)[1].memory for part in parts]
    assert record(network, x, INDICES)[1].memory == sum(records[:2]) > 0


def test_a_lifted_jet_is_not_taken_for_that_of_a_part():
    network, x = Sum(three_parts()), random(4, 2)
    lifted = lift(next(iter(network)), x, INDICES)
    for act in (jet, record):
        with pytest.raises(ArgumentError, match="points"):
            act(network, lifted)


def some_network(kind: str) -> MLP | Sum:
    if kind == "MLP":
        return MLP(2, 2, 4, 2, ["sin", "relu"], embedding=Fourier(3), lower=(0, 0), upper=(1, 3), seed=7)
    parts = three_parts() if kind == "three" else three_parts()[1:2]
    return Sum(parts)


@pytest.mark.parametrize("kind", ["MLP", "three", "one"])
def test_description_and_state_restore_the_network_bit_for_bit(kind):
    network, x = some_network(kind), random(9, 2)
    text = json.dumps(network.description())
    again = network_from_description(json.loads(text))
    assert type(again) is type(network)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x), network(x))
    assert torch.equal(jet(again, x, INDICES), jet(network, x, INDICES))
    assert json.dumps(again.description()) == text


@pytest.mark.parametrize("functions", [["tanh", "sin", "softplus"], ["sin", "sin", "sin"], ["relu", "sigmoid", "tanh"]])
def test_each_hidden_layer_has_its_own_activation(functions: Sequence[str]):
    network, x = MLP(2, 1, 5, 3, functions, seed=6), random(30, 2)
    known = {
        "tanh": torch.tanh, "sin": torch.sin, "sigmoid": torch.sigmoid, "relu": torch.relu,
        "softplus": torch.nn.functional.softplus,
    }  # fmt: skip
    a = x
    for layer, name in zip(network.layers, functions, strict=False):
        a = known[name](a @ layer.weight.T + layer.bias)  # type: ignore[operator]
    last = network.layers[-1]
    assert close(network(x), a @ last.weight.T + last.bias, 1e-14)  # type: ignore[operator]
    text = json.dumps(network.description())
    again = MLP.from_description(json.loads(text))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x), network(x))
    assert json.dumps(again.description()) == text


def test_equal_activations_in_a_row_are_one_activation():
    x = random(10, 2)
    assert torch.equal(MLP(2, 1, 5, 2, ["sin", "sin"], seed=1)(x), MLP(2, 1, 5, 2, "sin", seed=1)(x))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Sum([]), r"^parts: .*at least one"),
        (lambda: Sum([MLP(2, 1), MLP(1, 1)]), r"^parts: .*equal numbers of inputs"),
        (lambda: Sum([MLP(2, 1), MLP(2, 1), MLP(2, 2)]), r"^parts: .*of outputs"),
        (lambda: MLP(2, 1, 4, 3, ["tanh", "sin"]), r"^activation: 2 for 3 hidden layers"),
        (lambda: MLP(2, 1, 4, 1, ["tanh", "sin"]), r"^activation: 2 for 1 hidden layers"),
        (lambda: MLP(2, 1, 4, 2, []), r"^activation: 0 for 2 hidden layers.*one for each"),
        (lambda: MLP(2, 1, 4, 2, ["tanh", "sine"]), r"^activation: 'sine'.*did you mean 'sin'"),
        (lambda: MLP(2, 1, 4, 2, ["tanh", 3]), r"^activation: 3 .*accepted"),  # type: ignore[list-item]
        (lambda: network_from_description({"sum": []}), r"^parts: .*at least one"),
    ],
)
def test_wrong_arguments_are_named(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_a_direction_of_the_wrong_length_is_refused():
    network = partly_frozen("the last")
    _, tape = record(network, random(3, 2), INDICES)
    with pytest.raises((ArgumentError, RuntimeError)):
        tape.tangent(torch.zeros(len(flat_parameters(network)) + 1, dtype=torch.float64))
