"""The normal form of a Hopf bifurcation, and the six-mode model of magnetohydrodynamics of Carbone and Veltri (1992).

Both are benchmarks of Bertsimas and Gurnee (2023), doi:10.1007/s11071-022-08178-9, there solved to optimality by
mixed-integer optimization.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.integrate import solve_ivp

from sciml.sindy.evaluation import polynomial_of

__all__ = ["HOPF", "MHD", "normal_record"]

STEP = 0.01
HOPF = {
    "x": {"x": -0.05, "y": -1.0, "x**3": -1.0, "x*y**2": -1.0},
    "y": {"x": 1.0, "y": -0.05, "x**2*y": -1.0, "y**3": -1.0},
}
MHD = {
    "x1": {"x2*x3": 4.0, "x5*x6": -4.0},
    "x2": {"x1*x3": -7.0, "x4*x6": 7.0},
    "x3": {"x1*x2": 3.0, "x4*x5": -3.0},
    "x4": {"x2*x6": 2.0, "x3*x5": -2.0},
    "x5": {"x3*x4": 5.0, "x1*x6": -5.0},
    "x6": {"x1*x5": 9.0, "x2*x4": -9.0},
}


def normal_record(
    law: Mapping[str, Mapping[str, float]], seconds: float, noise: float, draw: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return times [N] and samples [N, d] of a draw.

    It begins on a circle of radius two (two unknowns) or in a normal state, and has noise relative to each unknown's
    root mean square.
    """
    rng = np.random.default_rng(draw)
    angle = rng.uniform(0, 2 * np.pi) if len(law) == 2 else 0.0
    initial = 2 * np.array([np.cos(angle), np.sin(angle)]) if len(law) == 2 else rng.normal(size=len(law))
    right = polynomial_of(law, tuple(law))
    if right is None:
        raise ValueError("the law is no polynomial")
    times = np.arange(0, seconds, STEP)
    solved = solve_ivp(lambda _, s: right(s), (0, times[-1]), initial, "DOP853", times, rtol=1e-10, atol=1e-12)
    size = np.sqrt(np.mean(solved.y**2, axis=1))
    return times, solved.y.T + noise * size * rng.normal(size=solved.y.T.shape)
