"""Pendulum without damping, released at rest: a nonlinear oscillator with an elliptic function as its solution.

Source: A. Belendez et al., Exact solution for the nonlinear pendulum, 2007, doi:10.1590/S1806-11172007000400024.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import TYPE_CHECKING

from sciml import Problem

if TYPE_CHECKING:
    from torch import Tensor


def swing(t: Tensor, *, theta0: float) -> Tensor:
    """Return theta = 2 asin(k sn(K + t, k)), k = sin(theta0/2), K a quarter of the period.

    The Jacobi function comes from the arithmetic-geometric mean (DLMF 22.20(ii), doi:10.1023/A:1022915830921): phases
    are halved from 2^n (pi/2 + a_n t) down to the amplitude, by smooth steps through which automatic differentiation
    goes. Valid for abs(theta0) < pi.
    """
    import torch

    a, b = 1.0, cos(theta0 / 2)
    ratios = []
    while a - b > 1e-15 * a:
        ratios.append((a - b) / (a + b))
        a, b = (a + b) / 2, (a * b) ** 0.5
    phase = 2 ** len(ratios) * (pi / 2 + a * t)
    for ratio in reversed(ratios):
        phase = (phase + torch.asin(ratio * torch.sin(phase))) / 2
    return 2 * torch.asin(sin(theta0 / 2) * torch.sin(phase))


def problem(theta0: float = pi / 2) -> Problem:
    """Angle theta0 at the start, in radians; time in units of sqrt(length/gravity)."""
    return Problem(
        equations="theta'' = -sin(theta)",
        conditions=["theta(0) = theta0", "theta'(0) = 0"],
        domain={"t": (0, 10)},
        parameters={"theta0": theta0},
        exact=swing,
    )
