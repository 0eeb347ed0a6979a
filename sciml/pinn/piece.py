"""A trained network on its time window, and chains of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from sciml.notation import Partial
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.residual import Field

__all__ = ["Piece", "evaluate"]

# A point nearer than this to a singular corner, relative to the box, counts as the corner.
BESIDE = 1e-8
# How far away a field without a limit is evaluated instead.
ASIDE = 5e-3


@final
class Piece:
    """One network under its ansatz: partials of the unknowns at points of its window."""

    def __init__(self, ansatz: Ansatz, network: nn.Module) -> None:
        self.ansatz = ansatz
        self.network = network
        self._fields: dict[tuple[Partial, ...], Field] = {}

    def trace(self, partials: Sequence[Partial], points: Tensor) -> Tensor:
        """Return partials [A, N] at points [N, d] for the network's present parameters, without graph."""
        key = tuple(partials)
        if key not in self._fields:
            self._fields[key] = Field(self.ansatz, key)
        field = self._fields[key]
        block = field.block(points)
        with torch.no_grad():
            result = field.values(block, field.network_jet(self.network, block))
        return self._beside(partials, points, result) if self.ansatz.corners else result

    def _beside(self, partials: Sequence[Partial], points: Tensor, result: Tensor) -> Tensor:
        """Replace values in singular corners by those a little way along a side.

        A field's derivative along a side has a limit there: the way goes along the coordinates of the derivative. A
        field itself (a pressure) has none, and shows the size that it has nearby.
        """
        box = self.ansatz.problem.domain
        lengths = points.new_tensor(box.lengths)
        middle = points.new_tensor(box.lower) + 0.5 * lengths
        for corner in self.ansatz.corners:
            near = ((points - points.new_tensor(corner)).abs() < BESIDE * lengths).all(1)
            if near.any():
                for a, partial in enumerate(partials):
                    orders = self.ansatz.source(Partial(partial.unknown, (0,) * box.dimension)).orders
                    way = [2 * BESIDE * k for k in orders] if any(orders) else [ASIDE] * box.dimension
                    moved = points.new_tensor(corner)
                    moved = moved + lengths * points.new_tensor(way) * (middle - moved).sign()
                    result[a, near] = self.trace([partial], moved[None])[0, 0]
        return result


def evaluate(pieces: Sequence[Piece], partials: Sequence[Partial], points: Tensor) -> Tensor:
    """Return partials [A, N] of consecutive windows; a point on a joint belongs to the earlier one."""
    if len(pieces) == 1:
        return pieces[0].trace(partials, points)
    problem = pieces[0].ansatz.problem
    assert problem.time is not None
    axis = problem.domain.index(problem.time)
    bounds = [piece.ansatz.problem.domain.upper[axis] for piece in pieces[:-1]]
    ends = torch.tensor(bounds, dtype=points.dtype, device=points.device)
    owner = torch.bucketize(points[:, axis].contiguous(), ends)
    result = points.new_empty((len(partials), len(points)))
    for number, piece in enumerate(pieces):
        rows = torch.nonzero(owner == number)[:, 0]
        if len(rows):
            result[:, rows] = piece.trace(partials, points[rows])
    return result
