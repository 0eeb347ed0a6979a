"""Levenberg-Marquardt with geodesic acceleration."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from sciml.training.damping import DampedGaussNewton, Solver
from sciml.training.linearization import Linearization
from sciml.training.objective import Objective
from sciml.training.optimizer import all_finite

__all__ = ["LevenbergMarquardt"]


@final
class LevenbergMarquardt(DampedGaussNewton[Linearization]):
    r"""Damped Gauss-Newton steps with identity damping, geodesic acceleration and Nielsen's update of the damping.

    With F the loss, A and g of `Objective.normal_equations` and d = -(A + lambda I)^-1 g, the acceleration is
    a = -(A + lambda I)^-1 J'q / 2 with q = (2/h) [(r(theta + h d) - r(theta)) / h - J d], the second derivative of r
    along d; the step is s = d + a if 2 |a| <= `bend` |d|, else d. It is accepted if F falls. With the gain ratio
    rho = (F(theta) - F(theta + s)) / (lambda d'd - g'd), an accepted step multiplies lambda by
    max(1/5, 1 - (2 rho - 1)^3); rejected ones by 2, 4, 8, 16, 16, ...

    The work of a step is N P^2 for A and P^3 / 3 for its Cholesky factor. One call of `step` is one trial, accepted or
    not; the model is kept until a trial is accepted.

    Parameters
    ----------
    damping
        Initial lambda, > 0; the attribute `damping` is the present one and may be set.
    acceleration
        Whether to use geodesic acceleration (one more evaluation of the residuals).
    probe
        The h of the difference quotient, > 0.
    bend
        Largest 2 |a| / |d| at which the acceleration is trusted, > 0.
    keep
        Bytes of Jacobian that may be kept in memory.

    References
    ----------
    Transtrum, Sethna, arXiv:1201.5885, doi:10.48550/arXiv.1201.5885. Nielsen, Damping parameter in Marquardt's method,
    IMM-REP-1999-05, Technical University of Denmark.
    """

    name: ClassVar[str] = "levenberg-marquardt"

    def _linearized(self, objective: Objective, former: Linearization | None) -> Linearization:
        return objective.linearize(self.keep, recycled=former)

    def _solver(self, model: Linearization) -> Solver | None:
        factor = self._factor(model.matrix)
        return None if factor is None else lambda vector: torch.cholesky_solve(vector[:, None], factor)[:, 0]

    def _factor(self, matrix: Tensor) -> Tensor | None:
        """Return the Cholesky factor of A + lambda I, with lambda raised until there is one."""
        # Below this no damping is felt in the largest diagonal entry.
        floor = torch.finfo(matrix.dtype).eps * float(matrix.diagonal().max())
        for _ in range(40):
            damped = matrix.clone()
            damped.diagonal().add_(self.damping)
            factor, info = torch.linalg.cholesky_ex(damped)
            if int(info) == 0 and all_finite(factor.diagonal()):
                return factor
            self.damping = max(10 * self.damping, floor)
        return None
