"""One step in time as a least-squares problem: its ansatz, equations, conditions, snapshots and unknown numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, final

import sympy
import torch
from torch import Tensor

from sciml.errors import ProblemError
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.cascade import Inputs
from sciml.pinn.evolution import Evolution
from sciml.pinn.parametric import ParametricGroup
from sciml.pinn.quantities import Quantities
from sciml.pinn.stage_modes import StageModes
from sciml.pinn.stage_rows import EquationRows, Rows, SnapshotRows
from sciml.problem import Condition

__all__ = ["Measured", "Step"]

# Conditions at the sides that no network meets by itself count as exactly as this multiple of the equations.
CONDITION_WEIGHT = 10.0


@final
@dataclass(frozen=True)
class Measured:
    """Measured values [N] of one unknown at places x [N] and one time."""

    time: float
    name: str
    x: Tensor
    values: Tensor


@final
class Step:
    """A step of the Gauss-Legendre method.

    Parameters
    ----------
    evolution : the equations.
    ansatz : of the step: sides, and the initial state unless it is free.
    stages : q.
    quantities : the unknown numbers, at their present values.
    measured : snapshots, if the state is to be near them.
    scales : size of each unknown.
    sampled : whether the initial state is an input of the network.
    softened : conditions that the ansatz was told not to meet.
    """

    def __init__(
        self,
        evolution: Evolution,
        ansatz: Ansatz,
        stages: int,
        quantities: Quantities,
        measured: Sequence[Measured],
        scales: Mapping[str, float],
        sampled: bool,
        softened: Sequence[str] = (),
    ) -> None:
        self.evolution = evolution
        self.ansatz = replace(ansatz, scale=dict(scales))
        self.stages = stages
        self.quantities = quantities
        self.measured = tuple(measured)
        self.scales = dict(scales)
        self.softened = tuple(softened)
        domain = ansatz.problem.domain
        self.low, self.high = domain.interval(evolution.space)
        self.start, self.stop = domain.interval(evolution.time)
        self.inputs = Inputs(self.ansatz, evolution.space, sampled)
        self._group = ParametricGroup(self.ansatz, [self._known(r) for r in evolution.residuals], quantities)
        self._sides = [(c, self._side(c)) for c in ansatz.soft if c.kind != "initial"]

    @property
    def free(self) -> bool:
        """Whether the initial state is unknown."""
        return not any(c.kind == "initial" for c in self.ansatz.hard)

    @property
    def most_modes(self) -> int:
        """Degree q in time: as many coefficients as stages, and one more where the initial state is unknown."""
        return self.stages + self.free

    @property
    def order(self) -> int:
        """The highest derivative in x that any row needs."""
        space = self.evolution.axes[0]
        groups = [self._group, *(group for _, group in self._sides)]
        return max(index[space] for group in groups for index in group.field.indices)

    def modes(self, count: int, stages: int | None = None) -> StageModes:
        """Return `count` modes of time; with fewer stages than q for a look at the equations."""
        return StageModes(count, stages or self.stages, self.start, self.stop - self.start)

    def equations(self, modes: StageModes, x: Tensor, weights: Tensor | None = None) -> EquationRows:
        """Return the stage equations at places x [N]; by default the squares' mean counts."""
        weights = torch.full_like(x, 1 / len(x)) if weights is None else weights
        scales = x.new_tensor([self.scales[name] for name in self.evolution.rates])
        return EquationRows(self._group, self.ansatz, modes, x, weights, modes.equations, scales, self.evolution.axes)

    def others(self, modes: StageModes, weight: float) -> list[Rows]:
        """Return the rows of conditions and of snapshots, whose mean squares count `weight`."""
        rows: list[Rows] = []
        for condition, group in self._sides:
            place = torch.tensor([condition.place[self.evolution.space]], dtype=torch.float64)
            factor = torch.full_like(place, CONDITION_WEIGHT)
            scale = place.new_tensor([self._size(condition)])
            rows.append(
                EquationRows(group, self.ansatz, modes, place, factor, modes.averages, scale, self.evolution.axes)
            )
        return rows + list(self.snapshots(modes, weight))

    def snapshots(self, modes: StageModes, weight: float) -> list[SnapshotRows]:
        """Return the rows of the snapshots: all of one unknown together have the factor `weight` / their number."""
        counts: dict[str, int] = {}
        for one in self.measured:
            counts[one.name] = counts.get(one.name, 0) + len(one.x)
        return [
            SnapshotRows(
                self.ansatz, modes, one.time, one.x, one.name, one.values,
                weight * len(one.x) / counts[one.name], self.scales[one.name], self.evolution.axes,
            )
            for one in self.measured
        ]  # fmt: skip

    def _known(self, expression: sympy.Expr) -> sympy.Expr:
        """Put in the numbers that are known."""
        constants = self.evolution.problem.constants
        return cast(
            sympy.Expr,
            expression.xreplace({s: v for s, v in constants.items() if str(s) not in self.quantities.ranges}),
        )

    def _side(self, condition: Condition) -> ParametricGroup:
        if set(condition.place) != {self.evolution.space} or condition.kind == "periodic":
            what = "periodicity of only some of the unknowns" if condition.kind == "periodic" else "a place in time"
            raise ProblemError(
                f"{condition.name}: a step cannot keep {what}; accepted are conditions at places of "
                f"{self.evolution.space} and periodicity of all unknowns"
            )
        return ParametricGroup(self.ansatz, [self._known(condition.expression)], self.quantities)

    def _size(self, condition: Condition) -> float:
        """The size of a condition's terms, by the lowest derivative in it."""
        words = self.ansatz.problem.vocabulary
        lowest = min(words.partials(condition.expression), key=lambda p: sum(p.orders))
        return self.scales[lowest.unknown] / (self.high - self.low) ** sum(lowest.orders)
