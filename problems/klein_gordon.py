"""Klein-Gordon equation with a cubic term, forced so that the solution is known.

Source: S. Wang, Y. Teng, P. Perdikaris, Understanding and mitigating gradient flow pathologies, 2021,
doi:10.1137/20M1318043.
"""

from sciml import Problem


def problem(gamma: float = 1.0) -> Problem:
    """Strength gamma of the cubic term."""
    exact = "x*cos(5*pi*t) + x**3*t**3"
    return Problem(
        equations=f"u_tt - u_xx + gamma*u**3 = -25*pi**2*x*cos(5*pi*t) + 6*x*t*(x**2 - t**2) + gamma*({exact})**3",
        conditions=["u(x, 0) = x", "u_t(x, 0) = 0", "u(0, t) = 0", "u(1, t) = cos(5*pi*t) + t**3"],
        domain={"x": (0, 1), "t": (0, 1)},
        parameters={"gamma": gamma},
        exact=exact,
    )
