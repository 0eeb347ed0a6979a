"""The Gauss-Newton model of an objective about its current parameters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sciml.training.objective import Evaluation, Objective

__all__ = ["Linearization", "accumulate", "keep_heap"]


def accumulate(matrix: Tensor, vector: Tensor, jacobian: Tensor, residual: Tensor, factor: float) -> None:
    """Add factor J'J to the lower block triangle of `matrix` and factor J'r to `vector`.

    Whole blocks above the diagonal are left out: with eight blocks that is nine sixteenths of the work of J'J.
    """
    count = jacobian.shape[1]
    blocks = min(8, max(1, count // 96))
    edges = [count * block // blocks for block in range(blocks + 1)]
    for start, stop in itertools.pairwise(edges):
        matrix[start:stop, :stop].addmm_(jacobian[:, start:stop].T, jacobian[:, :stop], alpha=factor)
    vector.addmv_(jacobian.T, residual, alpha=factor)


@final
@dataclass(frozen=True)
class Linearization:
    """r_k(theta + d) ~ r_k + J_k d, so that loss ~ loss + 2 g'd + d'A d.

    Attributes
    ----------
    theta : the parameters [P] about which the model is taken.
    residuals, evaluation : r_k and the loss there.
    matrix, vector : A = sum_k f_k J_k'J_k [P, P] and g = sum_k f_k J_k'r_k [P], with factors f_k = weight_k / N_k.
    kept : J_k by term, or None if they are recomputed for each product.
    """

    objective: Objective
    theta: Tensor
    residuals: dict[str, Tensor]
    evaluation: Evaluation
    matrix: Tensor
    vector: Tensor
    factors: Mapping[str, float]
    kept: dict[str, Tensor] | None

    def product(self, direction: Tensor) -> dict[str, Tensor]:
        """Return J_k d by term."""
        if self.kept is not None:
            return {name: jacobian @ direction for name, jacobian in self.kept.items() if name in self.residuals}
        parts: dict[str, list[Tensor]] = {name: [] for name in self.residuals}
        for chunk in self._chunks():
            for name, jacobian in self.objective.jacobian(chunk)[1].items():
                parts[name].append(jacobian @ direction)
        return {name: torch.cat(pieces) for name, pieces in parts.items()}

    def transposed(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return sum_k f_k J_k' v_k."""
        total = torch.zeros_like(self.vector)
        if self.kept is not None:
            for name, v in vectors.items():
                total.addmv_(self.kept[name].T, v, alpha=self.factors[name])
            return self.objective.summed(total)
        for chunk in self._chunks():
            for name, jacobian in self.objective.jacobian(chunk)[1].items():
                total.addmv_(jacobian.T, vectors[name][chunk[name]], alpha=self.factors[name])
        return self.objective.summed(total)

    def _chunks(self):
        self.objective.load(self.theta)
        return self.objective.chunks()


def keep_heap() -> None:
    """Let the C library keep freed memory instead of returning it to the system after every step.

    glibc raises its thresholds for mapping and trimming to the size of the largest mapped block that was freed (up to
    32 MiB); until then each step pays for page faults, which more than doubles the cost of a Jacobian. The block is
    never touched, and the call takes a microsecond.
    """
    block = torch.empty(31 << 20, dtype=torch.uint8)
    del block
