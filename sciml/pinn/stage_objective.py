"""The least-squares objective that trains the hidden layers of a step's network, all stages and unknown numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from sciml.pinn.cascade import Cascade
from sciml.pinn.quantities import Quantities
from sciml.pinn.stage_normal import NormalEquations
from sciml.pinn.stage_rows import Rows, Slopes
from sciml.pinn.step import Step
from sciml.training import Objective
from sciml.training.linearization import Linearization

__all__ = ["StageObjective"]

Chosen = Mapping[str, "slice | Tensor"]


@final
class StageObjective(Objective):
    """Stage equations at places, conditions and snapshots; the loss is the sum of the rows' squares.

    The parameters are the coefficients [K, m] of the modes in the units, those of the hidden layers, and the
    unconstrained unknown numbers. Levenberg-Marquardt's matrix is put together without the Jacobian; `jacobian` forms
    it, for checks.

    Parameters
    ----------
    step : the problem.
    cascade : without sines yet.
    count : the number of modes.
    stages : how many to look at while training: those of a smaller method are enough for `count` modes.
    coefficients : to start from, or zero.
    held : whether the unknown numbers stay as they are: nothing depends on them, so no step moves them.
    """

    def __init__(
        self,
        step: Step,
        cascade: Cascade,
        count: int,
        stages: int,
        coefficients: Tensor | None,
        held: bool = False,
    ) -> None:
        self.step = step
        self.cascade = cascade
        self.modes = step.modes(count, stages)
        width = len(step.ansatz.fields) * count
        zero = torch.zeros(width, cascade.base, dtype=torch.float64)
        self.coefficients = zero if coefficients is None else coefficients.clone()
        self._trained = [p for p in cascade.body.parameters() if p.requires_grad]
        self._others = step.others(self.modes, 1.0)
        self._held = held
        self._rows: list[Rows] = []

    @property
    def quantities(self) -> Quantities:
        """The unknown numbers."""
        return self.step.quantities

    def place(self, x: Tensor) -> None:
        """Ask for the equations at x [N]."""
        self._rows = [self.step.equations(self.modes, x), *self._others]

    def parameters(self) -> Tensor:
        """Return a copy of all parameters."""
        trained = [p.detach().flatten() for p in self._trained]
        return torch.cat([self.coefficients.flatten(), *trained, self.quantities.z])

    def load(self, theta: Tensor) -> None:
        """Set them."""
        counts = [self.coefficients.numel(), *(p.numel() for p in self._trained), len(self.quantities.z)]
        first, *parts, last = theta.split(counts)
        self.coefficients = first.view_as(self.coefficients).clone()
        with torch.no_grad():
            for parameter, part in zip(self._trained, parts, strict=True):
                parameter.copy_(part.view_as(parameter))
        self.quantities.load(last)

    @property
    def weights(self) -> Mapping[str, float]:
        """The squares of the rows are summed."""
        return {name: float(size) for name, size in self.sizes().items()}

    def sizes(self) -> Mapping[str, int]:
        """Return the number of residuals of each kind of row."""
        return {name: kind.size for name, kind in self._named().items()}

    def residuals(self, rows: Chosen | None = None) -> dict[str, Tensor]:
        """Return the residuals of each kind of row."""
        found = {}
        for name, kind in self._named().items():
            units = self.cascade.units(kind.x, kind.order)
            found[name] = kind.values(units, self.coefficients, self.quantities).flatten()
        return found if rows is None else {name: found[name][part] for name, part in rows.items()}

    def jacobian(
        self, rows: Chosen | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return residuals and Jacobians, formed row by row."""
        residuals, jacobians = {}, {}
        for name, kind in self._named().items():
            units, moved = self._sensitivities(kind)
            slopes = self._slopes(kind, units)
            at = list(slopes.orders)
            by_modes = torch.einsum("nrek,enj->nrkj", slopes.modes, units[at]).flatten(2)
            outer = self.coefficients[:, self.cascade.trained]
            by_units = torch.einsum("nrek,kj->nrej", slopes.modes, outer)
            by_layers = torch.einsum("nrej,enjp->nrp", by_units, moved[at])
            both = torch.cat((by_modes, by_layers, slopes.numbers), 2).flatten(0, 1)
            part = slice(None) if rows is None else rows.get(name)
            if part is not None:
                residuals[name], jacobians[name] = slopes.values.flatten()[part], both[part]
        return residuals, jacobians

    def linearize(self, keep: int = 1 << 30, recycled: Linearization | None = None) -> Linearization:
        """Return the Gauss-Newton model, put together from its blocks."""
        count = sum(p.numel() for p in self._trained)
        equations = NormalEquations(self.coefficients, len(self.quantities.z), self.cascade.trained, count)
        residuals: dict[str, Tensor] = {}
        for name, kind in self._named().items():
            units, moved = self._sensitivities(kind)
            slopes = self._slopes(kind, units)
            equations.add(slopes, units, moved)
            residuals[name] = slopes.values.flatten()
        matrix, vector = equations.result()
        factors = dict.fromkeys(residuals, 1.0)
        return Linearization(
            self, self.parameters(), residuals, self.evaluation(residuals), matrix, vector, factors, None
        )

    def _named(self) -> dict[str, Rows]:
        first, *others = self._rows
        return {"equations": first, **{f"rows {number}": one for number, one in enumerate(others, 1)}}

    def _slopes(self, kind: Rows, units: Tensor) -> Slopes:
        slopes = kind.slopes(units, self.coefficients, self.quantities)
        return slopes._replace(numbers=torch.zeros_like(slopes.numbers)) if self._held else slopes

    def _sensitivities(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """The units' derivatives [A, N, m], and theirs by the trained parameters, [A, N, trained units, P]."""
        units, tape = self.cascade.record(rows.x, rows.order)
        width, count = self.cascade.body.outputs, sum(p.numel() for p in self._trained)
        orders, places, _ = units.shape
        moved = units.new_empty((orders, width, count, places))
        cotangent = units.new_zeros((orders, places, width))
        for a in range(orders):
            for j in range(width):
                cotangent[a, :, j] = 1
                tape.jacobian(cotangent, moved[a, j].T)
                cotangent[a, :, j] = 0
        return units, moved.permute(0, 3, 1, 2)
