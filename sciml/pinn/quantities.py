"""What an identification looks for besides the state: unknown numbers, and unknown functions as small networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast, final

import sympy
import torch
from sympy.core.function import AppliedUndef
from torch import Tensor

from sciml.inference import Range
from sciml.network import MLP, Index, Tape, closure, jet, record
from sciml.network.mlp import Layer
from sciml.notation import Vocabulary

__all__ = ["Leaf", "Quantities", "UnknownFunction", "function_network", "leaves_of"]

# Random sines of an unknown function: per number of arguments, and the length scale relative to half the range.
SINES = {1: 40, 2: 120}
LENGTH = 0.5
STEEPEST = 20.0


class Leaf(NamedTuple):
    """A derivative of an unknown function by its own arguments."""

    function: str
    orders: Index


def leaves_of(
    expressions: Sequence[sympy.Expr], vocabulary: Vocabulary, names: Sequence[str]
) -> dict[Leaf, sympy.Expr]:
    """Return all derivatives of the named functions that occur, with the expressions that they are."""
    found: dict[Leaf, sympy.Expr] = {}
    bare = {name: vocabulary.function(name) for name in names}
    for expression in expressions:
        for node in sympy.preorder_traversal(expression):
            base: Any = node.expr if isinstance(node, sympy.Derivative) else node
            if not isinstance(base, AppliedUndef) or str(base.func) not in bare:
                continue
            name = str(base.func)
            counts: dict[Any, Any] = dict(node.variable_count) if isinstance(node, sympy.Derivative) else {}  # pyright: ignore
            orders = tuple(int(counts.get(argument, 0)) for argument in bare[name].args)
            found[Leaf(name, orders)] = cast(sympy.Expr, node)
    return found


def function_network(lower: Sequence[float], upper: Sequence[float], generator: torch.Generator, like: Tensor) -> MLP:
    """Return an MLP of one layer of fixed random sines whose last layer is trained, and is zero.

    With independent normal weights of the last layer it is a sample of a Gaussian process with a Matern-like kernel
    (A. Rahimi, B. Recht, NIPS 2007): frequencies are those of Student's t with three degrees of freedom.
    """
    inputs = len(lower)
    count = SINES.get(inputs, 240)
    network = MLP(inputs, 1, count, 1, "sin", lower=list(lower), upper=list(upper), generator=generator)
    normal = torch.randn(count, inputs, generator=generator, dtype=torch.float64)
    spread = torch.randn(count, 3, generator=generator, dtype=torch.float64).square().mean(1).sqrt()[:, None]
    hidden, last = network.layers
    assert isinstance(hidden, Layer)
    assert isinstance(last, Layer)
    with torch.no_grad():
        hidden.weight.copy_((normal / spread.clamp_min(1e-3) / LENGTH).clamp(-STEEPEST, STEEPEST))
        phase = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
        hidden.bias.copy_(phase)
        last.weight.zero_()
        last.bias.zero_()
    network.requires_grad_(False)
    last.requires_grad_(True)
    return network.to(dtype=like.dtype, device=like.device)


@final
class UnknownFunction:
    """offset + factor * network(arguments), the weights of the network's last layer normal with variance 1 / count.

    Attributes
    ----------
    name, arguments : as declared.
    network : from the arguments to one value.
    offset, factor : the mean and the standard deviation of the prior; the last bias of the network is free.
    """

    def __init__(self, name: str, arguments: tuple[str, ...], network: MLP, offset: float, factor: float) -> None:
        self.name = name
        self.arguments = arguments
        self.network = network
        self.offset = offset
        self.factor = factor

    @property
    def trained(self) -> list[Tensor]:
        """The parameters of the last layer."""
        return [p for p in self.network.parameters() if p.requires_grad]

    @property
    def count(self) -> int:
        """How many parameters there are."""
        return sum(p.numel() for p in self.trained)

    @property
    def weights(self) -> Tensor:
        """The coefficients [K] on which the prior lies, of unit variance."""
        weight = self.trained[0].detach().reshape(-1)
        return weight * math.sqrt(len(weight))

    def record(self, points: Tensor, indices: Sequence[Index]) -> tuple[Tensor, Tape]:
        """Return derivatives [C, N] of the function at points [N, A], and the tape of the network."""
        out, tape = record(self.network, points, indices)
        return self._scaled(out[..., 0], indices), tape

    def values(self, points: Tensor, indices: Sequence[Index]) -> Tensor:
        """Return derivatives [C, N] of the function at points [N, A]."""
        with torch.no_grad():
            return self._scaled(jet(self.network, points, indices)[..., 0], indices)

    def _scaled(self, values: Tensor, indices: Sequence[Index]) -> Tensor:
        values = self.factor * values
        for row, index in enumerate(indices):
            if not any(index):
                values[row] += self.offset
        return values


@final
class Quantities:
    """The unknown numbers and functions of an identification, which all experiments share.

    Parameters
    ----------
    ranges : of the numbers, by name.
    z : their unconstrained values [S].
    functions : by name.
    """

    def __init__(self, ranges: Mapping[str, Range], z: Tensor, functions: Mapping[str, UnknownFunction]) -> None:
        self.ranges = dict(ranges)
        self.z = z.clone()
        self.functions = dict(functions)

    @property
    def count(self) -> int:
        """How many parameters there are, numbers first."""
        return len(self.z) + sum(f.count for f in self.functions.values())

    @property
    def numbers(self) -> dict[str, float]:
        """The values of the numbers."""
        return {name: own.value(float(self.z[k])) for k, (name, own) in enumerate(self.ranges.items())}

    @property
    def slopes(self) -> list[float]:
        """dp/dz of the numbers."""
        return [own.slope(float(self.z[k])) for k, own in enumerate(self.ranges.values())]

    def parameters(self) -> Tensor:
        """Return a copy of z and of the functions' parameters, [count]."""
        parts = [p.detach().reshape(-1) for f in self.functions.values() for p in f.trained]
        return torch.cat([self.z, *parts])

    def load(self, theta: Tensor) -> None:
        """Set them from [count]."""
        self.z = theta[: len(self.z)].clone()
        start = len(self.z)
        with torch.no_grad():
            for f in self.functions.values():
                for p in f.trained:
                    p.copy_(theta[start : start + p.numel()].view_as(p))
                    start += p.numel()

    def places(self) -> dict[str, slice]:
        """Return where each function's parameters stand."""
        start, found = len(self.z), {}
        for name, f in self.functions.items():
            found[name] = slice(start, start + f.count)
            start += f.count
        return found


def raised(orders: Index, axis: int) -> Index:
    """One derivative more in an argument."""
    return tuple(order + (k == axis) for k, order in enumerate(orders))


def closed(leaves: Sequence[Leaf], name: str) -> list[Index]:
    """Return the index set that a jet of a function needs."""
    return list(closure([leaf.orders for leaf in leaves if leaf.function == name]))
