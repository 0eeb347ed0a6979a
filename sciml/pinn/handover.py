"""What a time window hands over to the next: its values at its end, as functions of space.

In one space coordinate every partial that is asked for is interpolated by Chebyshev polynomials on panels, which are
halved until the coefficients have decayed to rounding (L. N. Trefethen, Approximation Theory and Approximation
Practice, 2013, chapters 3 and 4; derivatives are interpolated, not interpolants differentiated). So the cost of the
hundredth window is that of the second, though each continues all before it. In more coordinates, and where the panels
do not suffice, the former network itself is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.notation import Partial
from sciml.pinn.piece import Piece

__all__ = ["Handover"]

DEGREE = 20
FIRST_PANELS = 8
MOST_PANELS = 1024
# The last coefficients of a resolved panel are below this part of the largest value.
RESOLVED = 1e-13
NOISE = 1e-8


@final
@dataclass(frozen=True)
class _Panels:
    """Functions of one coordinate: the panels' ends [K + 1] in [0, 1] and Chebyshev coefficients [A, K, DEGREE + 1]."""

    ends: Tensor
    coefficients: Tensor

    def __call__(self, unit: Tensor) -> Tensor:
        """Return the values [A, N] at N places in [0, 1]."""
        owner = (torch.searchsorted(self.ends, unit, right=True) - 1).clamp(0, len(self.ends) - 2)
        left, right = self.ends[owner], self.ends[owner + 1]
        argument = (2 * (unit - left) / (right - left) - 1).clamp(-1, 1)
        table = (argument.acos()[:, None] * torch.arange(DEGREE + 1, dtype=unit.dtype, device=unit.device)).cos()
        return torch.stack([(table * series[owner]).sum(1) for series in self.coefficients])


@final
class Handover:
    """Partials of a piece at the end of its window, at any point of space.

    Parameters
    ----------
    piece : of the window; it may be replaced, and a later change of its network is noticed at the next call.
    """

    def __init__(self, piece: Piece) -> None:
        problem = piece.ansatz.problem
        assert problem.time is not None
        self.piece = piece
        self._time = problem.domain.index(problem.time)
        self._end = problem.domain.interval(problem.time)[1]
        self._box = problem.domain
        self._stamp = 0
        self._former = -1
        self._parameters: Tensor | None = None
        self._known: dict[tuple[Partial, ...], _Panels | Tensor | None] = {}

    def __call__(self, partials: Sequence[Partial], points: Tensor) -> Tensor:
        """Return partials [A, N] at points [N, d] whose time is the window's end."""
        self.refresh()
        dimension = points.shape[1]
        if dimension > 2:
            return self.piece.trace(partials, points)
        key = tuple(partials)
        if key not in self._known:
            # Without space there is one number to remember.
            single = torch.full_like(points[:1], self._end)
            self._known[key] = self.piece.trace(key, single) if dimension == 1 else self._interpolated(key, points)
        known = self._known[key]
        if known is None:
            return self.piece.trace(partials, points)
        if isinstance(known, Tensor):
            return known.expand(-1, len(points))
        space = 1 - self._time
        return known((points[:, space] - self._box.lower[space]) / self._box.lengths[space])

    def refresh(self) -> int:
        """Forget what a network on which it depends has changed; returns the number of changes so far."""
        former = self.piece.ansatz.trace
        stamp = former.refresh() if isinstance(former, Handover) else 0
        parameters = torch.cat([p.detach().reshape(-1) for p in self.piece.network.parameters()])
        if self._parameters is None or stamp != self._former or not torch.equal(parameters, self._parameters):
            self._parameters, self._former = parameters, stamp
            self._known = {}
            self._stamp += 1
        return self._stamp

    def _interpolated(self, partials: tuple[Partial, ...], like: Tensor) -> _Panels | None:
        tolerance = max(RESOLVED, 10 * torch.finfo(like.dtype).eps)
        order = torch.arange(DEGREE + 1, dtype=like.dtype, device=like.device)
        nodes = (1 - torch.cos(order * (math.pi / DEGREE))) / 2
        # Values at the nodes to coefficients: the inverse of the table of polynomials.
        table = ((2 * nodes - 1).clamp(-1, 1).acos()[:, None] * order).cos()
        transform = torch.linalg.inv(table)
        lefts = torch.arange(FIRST_PANELS, dtype=like.dtype, device=like.device) / FIRST_PANELS
        widths = torch.full_like(lefts, 1 / FIRST_PANELS)
        finished: list[tuple[Tensor, Tensor]] = []
        largest: Tensor | None = None
        count = 0
        while len(lefts):
            count += len(lefts)
            if count > MOST_PANELS:
                return None
            places = lefts[:, None] + widths[:, None] * nodes
            series = self._values(partials, places.reshape(-1)).reshape(len(partials), len(lefts), -1) @ transform.T
            size = series.abs().amax((1, 2))
            largest = size if largest is None else torch.maximum(largest, size)
            size = series.abs() / largest[:, None, None].clamp_min(torch.finfo(like.dtype).tiny)
            tail, before = size[:, :, -3:].amax(2), size[:, :, -9:-6].amax(2)
            # Coefficients that are small and decay no more are the rounding of the values.
            done = ((tail <= tolerance) | ((tail <= NOISE) & (tail > 0.1 * before))).all(0)
            finished.append((lefts[done], series[:, done]))
            lefts, widths = lefts[~done], widths[~done] / 2
            lefts = torch.cat((lefts, lefts + widths))
            widths = torch.cat((widths, widths))
        starts = torch.cat([left for left, _ in finished])
        order = starts.argsort()
        ends = torch.cat((starts[order], starts.new_ones(1)))
        return _Panels(ends, torch.cat([series for _, series in finished], 1)[:, order])

    def _values(self, partials: tuple[Partial, ...], unit: Tensor) -> Tensor:
        space = 1 - self._time
        points = torch.full((len(unit), 2), self._end, dtype=unit.dtype, device=unit.device)
        points[:, space] = self._box.lower[space] + self._box.lengths[space] * unit
        return self.piece.trace(partials, points)
