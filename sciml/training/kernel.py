"""Damped normal equations of a few rows, solved in the space of the rows or of the parameters, whichever is smaller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from sciml.training.objective import Objective
from sciml.training.optimizer import all_finite

__all__ = ["DampedRows", "stacked"]


@final
class DampedRows:
    r"""(J'J + lambda I)^-1 for J of shape [n, P] by a Cholesky factor of J J' + lambda I if n < P.

    (J'J + lambda I)^-1 J' = J'(J J' + lambda I)^-1, hence (J'J + lambda I)^-1 = (I - J'(J J' + lambda I)^-1 J) / lambda
    (Sherman, Morrison, Woodbury): n^2 P operations instead of n P^2.

    Parameters
    ----------
    jacobian : J.
    """

    def __init__(self, jacobian: Tensor) -> None:
        self.jacobian = jacobian
        self.dual = jacobian.shape[0] < jacobian.shape[1]
        self._gram = jacobian @ jacobian.T if self.dual else jacobian.T @ jacobian
        self._factor = self._gram
        self.damping = 0.0

    def damp(self, damping: float) -> bool:
        """Set lambda, raised where it would drown in rounding; False if no lambda helps (J is not finite)."""
        if not all_finite(self._gram):
            return False
        floor = 10 * len(self._gram) ** 0.5 * torch.finfo(self._gram.dtype).eps * float(self._gram.diagonal().max())
        self.damping = max(damping, floor)
        for _ in range(40):
            damped = self._gram.clone()
            damped.diagonal().add_(self.damping)
            self._factor, info = torch.linalg.cholesky_ex(damped)
            if int(info) == 0:
                return True
            self.damping *= 10
        return False

    def solve(self, vector: Tensor) -> Tensor:
        """Return (J'J + lambda I)^-1 v for v [P]."""
        if self.dual:
            return (vector - self.jacobian.T @ self._inner(self.jacobian @ vector)) / self.damping
        return self._inner(vector)

    def fit(self, rows: Tensor) -> Tensor:
        """Return (J'J + lambda I)^-1 J'v for v [n], the minimiser of |J x - v|^2 + lambda |x|^2."""
        return self.jacobian.T @ self._inner(rows) if self.dual else self._inner(self.jacobian.T @ rows)

    def _inner(self, vector: Tensor) -> Tensor:
        return torch.cholesky_solve(vector[:, None], self._factor)[:, 0]


def stacked(objective: Objective, parts: Mapping[str, Tensor]) -> Tensor:
    """Return the rows of all terms, each times sqrt(weight_k / n_k): of r_k the square sum is then the loss."""
    scaled = [(objective.weight(name) / max(1, len(part))) ** 0.5 * part for name, part in parts.items()]
    return torch.cat([part.mT for part in scaled], -1).mT if scaled[0].ndim == 2 else torch.cat(scaled)
