"""One experiment of an identification: the state's ansatz and network, its data, its equations and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import sympy
import torch
from torch import Tensor, nn

from sciml.notation import Partial, to_text
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.parametric import ParametricGroup
from sciml.pinn.quantities import Quantities
from sciml.pinn.residual import Block, Field
from sciml.problem import Condition, Problem

__all__ = ["Experiment", "Measured", "Place"]

# Conditions count as exactly as this multiple of the equations.
CONDITION_WEIGHT = 10.0


@final
@dataclass
class Measured:
    """Data of some unknowns or derivatives at the same points.

    Attributes
    ----------
    partials, names : what was measured; the names of the terms.
    keys : the observed names, by which the noise is known.
    field, block : the ansatz at the points.
    values : [A, N].
    """

    partials: Sequence[Partial]
    names: list[str]
    keys: list[str]
    field: Field
    block: Block
    values: Tensor


@final
@dataclass
class Place:
    """Residuals and the points of one or, for periodicity, two places where they are asked for."""

    names: list[str]
    group: ParametricGroup
    places: tuple[dict[str, float], ...]
    weight: float
    scales: Tensor
    blocks: tuple[Block, ...] = ()


@final
class Experiment:
    """The state in one experiment: its ansatz and network, its data, its equations.

    Parameters
    ----------
    problem : declares the unknown numbers as parameters.
    ansatz : the exact conditions; all others are terms of the loss.
    network : from features to fields.
    sampler : of points.
    label : "" or a prefix for the names of terms.
    """

    def __init__(
        self, problem: Problem, ansatz: Ansatz, network: nn.Module, sampler: Sampler, quantities: Quantities, label: str
    ) -> None:
        self.problem = problem
        self.ansatz = ansatz
        self.network = network
        self.sampler = sampler
        self.label = label
        fixed = {s: v for s, v in problem.constants.items() if str(s) not in quantities.ranges}
        expressions = [cast(sympy.Expr, r.xreplace(fixed)) for r in problem.residuals]
        names = [label + to_text(e, problem.vocabulary) for e in problem.equations]
        group = ParametricGroup(ansatz, expressions, quantities)
        self.places = [Place(names, group, ({},), 1.0, torch.ones(len(names), dtype=torch.float64))]
        for condition in ansatz.soft:
            self.places.append(
                self._condition(condition, cast(sympy.Expr, condition.expression.xreplace(fixed)), quantities)
            )
        self.measured: list[Measured] = []

    def _condition(self, condition: Condition, expression: sympy.Expr, quantities: Quantities) -> Place:
        name = self.label + condition.name
        places = [dict(condition.place)]
        if condition.partner is not None:
            places.append(dict(condition.partner))
        group = ParametricGroup(self.ansatz, [expression], quantities)
        return Place([name], group, tuple(places), CONDITION_WEIGHT, torch.ones(1, dtype=torch.float64))

    @property
    def trained(self) -> list[nn.Parameter]:
        """The network's parameters that are trained."""
        return [p for p in self.network.parameters() if p.requires_grad]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(p.numel() for p in self.trained)

    def with_network(self, network: nn.Module) -> Experiment:
        """Return the same experiment with another network, its points apart."""
        other = object.__new__(Experiment)
        other.__dict__.update(self.__dict__, network=network)
        other.places = [Place(p.names, p.group, p.places, p.weight, p.scales.clone(), p.blocks) for p in self.places]
        return other

    def with_fewer(self, most: int, generator: torch.Generator) -> Experiment:
        """Return the same experiment with a random part of its data, at most so many points of each kind."""
        other = self.with_network(self.network)
        other.measured = []
        for measured in self.measured:
            if measured.values.shape[1] > most:
                chosen = torch.randperm(measured.values.shape[1], generator=generator)[:most].sort().values
                chosen = chosen.to(measured.values.device)
                part, values = measured.block.part(chosen), measured.values[:, chosen]
                measured = Measured(measured.partials, measured.names, measured.keys, measured.field, part, values)
            other.measured.append(measured)
        return other

    def fresh(self, place: Place, count: int) -> tuple[Block, ...]:
        """Return blocks of a place at fresh points."""
        box = self.problem.domain
        free = box.dimension - len(place.places[0])
        number = count if free == box.dimension else max(16, round(2 * count ** (free / box.dimension)))
        points = self.sampler.place(place.places[0], number)
        blocks = [place.group.block(points)]
        for other in place.places[1:]:
            points = points.clone()
            for name, value in other.items():
                points[:, box.index(name)] = value
            blocks.append(place.group.block(points))
        return tuple(blocks)
