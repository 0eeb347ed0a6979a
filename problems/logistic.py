"""Logistic growth: a population approaches its capacity.

Source: A. Tsoularis, J. Wallace, Analysis of logistic growth models, 2002, doi:10.1016/S0025-5564(02)00096-2.
"""

from sciml import Problem


def problem(r: float = 1.0, K: float = 1.0, y0: float = 0.1) -> Problem:
    """Growth rate r, capacity K > 0, population y0 > 0 at the start."""
    return Problem(
        equations="y' = r*y*(1 - y/K)",
        conditions=["y(0) = y0"],
        domain={"t": (0, 10)},
        parameters={"r": r, "K": K, "y0": y0},
        exact="K/(1 + (K/y0 - 1)*exp(-r*t))",
    )
