"""Wave equation: a string with two standing waves.

Source: S. Wang, X. Yu, P. Perdikaris, When and why PINNs fail to train: a neural tangent kernel perspective, 2022,
doi:10.1016/j.jcp.2021.110768.
"""

from sciml import Problem


def problem(c: float = 2.0) -> Problem:
    """Speed of sound c."""
    return Problem(
        equations="u_tt = c**2*u_xx",
        conditions=["u(x, 0) = sin(pi*x) + sin(4*pi*x)/2", "u_t(x, 0) = 0", "u(0, t) = 0", "u(1, t) = 0"],
        domain={"x": (0, 1), "t": (0, 1)},
        parameters={"c": c},
        exact="sin(pi*x)*cos(c*pi*t) + sin(4*pi*x)*cos(4*c*pi*t)/2",
    )
