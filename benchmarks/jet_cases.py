"""Networks with the derivatives that an equation needs of them, and the bare products that no algorithm can avoid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from sciml.network import MLP, Index, InputJet, closure, lift
from sciml.network.general import jet_general
from sciml.network.mlp import Layer


@final
class Harmonics(nn.Module):
    """The seven inputs t, cos kx, sin kx (k = 1, 2, 3) of a problem that is periodic in x."""

    def forward(self, x: Tensor) -> Tensor:
        """Map points [N, 2] to inputs [N, 7]."""
        waves = [f(k * math.pi * x[:, 0]) for k in (1, 2, 3) for f in (torch.cos, torch.sin)]
        return torch.stack([x[:, 1], *waves], 1)


@final
@dataclass(frozen=True)
class Case:
    """A network with the derivatives of its output that an equation uses.

    Attributes
    ----------
    name : what is printed.
    network : the MLP.
    whole : the same function of the coordinates as a module, for the ways that know only modules.
    points : coordinates [N, d].
    indices : the derivatives.
    source : what the jets start from.
    """

    name: str
    network: MLP
    whole: nn.Module
    points: Tensor
    indices: tuple[Index, ...]
    source: InputJet


def cases(points: int) -> list[Case]:
    """Return the standard cases."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(points, 2, generator=generator, dtype=torch.float64) - 1
    burgers, laplace, kdv = MLP(2, 1, 12, 5), MLP(2, 1, 20, 2), MLP(7, 1, 12, 5, "sin")
    first = ((0, 0), (1, 0), (0, 1), (2, 0))
    second = ((0, 0), (2, 0), (0, 2))
    third = ((0, 0), (1, 0), (0, 1), (3, 0))
    inputs = jet_general(Harmonics(), x, closure(third))
    return [
        Case("12x5 tanh, u u_x u_t u_xx", burgers, burgers, x, first, lift(burgers, x, first)),
        Case("20x2 tanh, u u_xx u_yy", laplace, laplace, x, second, lift(laplace, x, second)),
        Case("12x5 sin, u u_x u_t u_xxx", kdv, nn.Sequential(Harmonics(), kdv), x, third, lift(kdv, inputs, third)),
    ]


def part(case: Case, count: int) -> Case:
    """Return the case at its first points."""
    return Case(case.name, case.network, case.whole, case.points[:count], case.indices, case.source[:count])


@final
class Bare:
    """The matrix products and activation evaluations of a jet and of its Jacobian, without anything between them."""

    def __init__(self, case: Case) -> None:
        count, points = len(case.source.tables), len(case.source)
        self.layers = [layer for layer in case.network.layers if isinstance(layer, Layer)]
        series = lambda width: torch.rand(width, count * points, dtype=torch.float64)  # noqa: E731
        batch = lambda *shape: torch.rand(points, *shape, dtype=torch.float64)  # noqa: E731
        sizes = [layer.weight.shape for layer in self.layers]
        self.inputs = [series(fan_in) for _, fan_in in sizes]
        self.outputs = [series(fan_out) for fan_out, _ in sizes]
        self.left = [batch(count, fan_out).mT for fan_out, _ in sizes]
        self.right = [batch(count, fan_in) for _, fan_in in sizes]
        self.blocks = [batch(*size) for size in sizes]
        self.points = points
        weights = sum(size.numel() for size in sizes)
        passed = weights - sizes[0].numel()
        self.units = sum(fan_out for fan_out, _ in sizes[:-1]) * points
        hidden = len(sizes) - 1
        self.jet_counts = (len(sizes), 2 * count * points * weights, self.units)
        forward = self.jet_counts[1]
        self.jacobian_counts = (2 * len(sizes) + hidden, 2 * forward + 2 * count * points * passed, self.units)

    def jet(self) -> None:
        """Map the series through every layer; evaluate the activation at the constant terms."""
        for layer, a, z in zip(self.layers, self.inputs, self.outputs, strict=True):
            torch.mm(layer.weight, a, out=z)
            if layer.function is not None:
                layer.function(z[:, : self.points])

    def jacobian(self) -> None:
        """Do the same, map adjoints back, and sum the products of adjoint and input over the series at every point."""
        self.jet()
        for number in reversed(range(len(self.layers))):
            torch.bmm(self.left[number], self.right[number], out=self.blocks[number])
            if number:
                torch.mm(self.layers[number].weight.T, self.outputs[number], out=self.inputs[number])
