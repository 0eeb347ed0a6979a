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
            return field.values(block, field.network_jet(self.network, block))


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
