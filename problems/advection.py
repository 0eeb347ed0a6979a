"""Advection: a sine wave travels round a circle, fast.

Source: A. S. Krishnapriyan et al., Characterizing possible failure modes in physics-informed neural networks, 2021,
doi:10.48550/arXiv.2109.01050.
"""

from math import pi

from sciml import Problem


def problem(c: float = 30.0) -> Problem:
    """Speed c."""
    return Problem(
        equations="u_t + c*u_x = 0",
        conditions=["u(x, 0) = sin(x)", "u(0, t) = u(2*pi, t)"],
        domain={"x": (0, 2 * pi), "t": (0, 1)},
        parameters={"c": c},
        exact="sin(x - c*t)",
    )
