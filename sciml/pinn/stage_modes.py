r"""Functions of time in one Runge-Kutta step: Legendre modes, their values at the stages, and the stage equations.

In a step of length h the state is u(x, t) = sum_k N_k(x) p_k((t - t0)/h) with the orthonormal Legendre polynomials p_k
on [0, 1]. With r = u_t - f at the q stages, U the stages, and u(x, t0) = u_0(x),

.. math:: U_i - u_0 - h \sum_j a_{ij} f(U_j) = h \sum_j a_{ij} r_j

are the equations of the Runge-Kutta method. Their Legendre coefficients, W^T B times that vector, are as many equations
with the same sum of squares under the weights b; of a state with n modes and a right-hand side of degree d in it the
ones from d n on vanish, so that some multiple of n of them say all that q stages say. Where the last of them are not
zero the end of the step suffers most: its own equation is asked for as well.

These are the equations of the state integrated in time, which least squares like far better than the differential ones:
the residual is in the unit of the state, and a wrong state cannot hide in short times of fast change.
"""

from __future__ import annotations

from functools import lru_cache
from typing import final

import numpy as np
import torch
from torch import Tensor

from sciml.pinn.tableau import Tableau, gauss_legendre, integration, legendre

__all__ = ["StageModes"]

# Legendre coefficients of the equations that are asked for, per mode of the state: enough for a cubic right-hand side.
EQUATIONS_PER_MODE = 3


@lru_cache(maxsize=8)
def _tableau(stages: int) -> Tableau:
    return gauss_legendre(stages)


@final
class StageModes:
    """The modes of a step.

    Parameters
    ----------
    count : n, the number of modes.
    stages : q.
    start, length : t0 and h.

    Attributes
    ----------
    times : [q], of the stages.
    equations : [R + 1, q], from residuals u_t - f at the stages to R Legendre coefficients of the stage equations and,
        last, to the equation of the end of the step, u(x, t1) - u_0 - h sum_j b_j f(U_j).
    averages : [R, q], from any values at the stages to their Legendre coefficients.
    """

    def __init__(self, count: int, stages: int, start: float, length: float) -> None:
        self.count = count
        self.stages = stages
        self.start = start
        self.length = length
        tableau = _tableau(stages)
        self._nodes = tableau.nodes
        self.times = torch.from_numpy(start + length * tableau.nodes)
        rows = min(stages, EQUATIONS_PER_MODE * count)
        # X is tridiagonal: coefficients beyond the next one do not come in.
        inner = min(stages, rows + 1)
        self.averages = torch.from_numpy(tableau.transform[:rows].copy())
        inside = integration(stages)[:rows, :inner] @ tableau.transform[:inner]
        self.equations = torch.from_numpy(length * np.concatenate((inside, tableau.weights[None])))
        self._values: dict[int, Tensor] = {}

    @property
    def limit(self) -> int:
        """The number R of Legendre coefficients that are asked for."""
        return len(self.averages)

    def values(self, order: int = 0) -> Tensor:
        """Return the modes, or a time derivative of them, at the stages, [q, n]."""
        if order not in self._values:
            table = legendre(self.count, self._nodes, order) / self.length**order
            self._values[order] = torch.from_numpy(table)
        return self._values[order]

    def at(self, times: Tensor, order: int = 0) -> Tensor:
        """Return the modes, or a time derivative of them, at any times [N] of the step, [N, n]."""
        place = (times.numpy() - self.start) / self.length
        return torch.from_numpy(legendre(self.count, np.clip(place, 0.0, 1.0), order) / self.length**order)

    def grid(self, x: Tensor, axes: tuple[int, int]) -> Tensor:
        """Return the points [N q, 2] of places x [N] at all stages, the stages running fastest.

        `axes` are the columns of space and time.
        """
        points = x.new_empty((len(x) * self.stages, 2))
        points[:, axes[0]] = x.repeat_interleave(self.stages)
        points[:, axes[1]] = self.times.repeat(len(x))
        return points
