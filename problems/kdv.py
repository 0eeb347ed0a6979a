"""Korteweg-de Vries equation: a cosine breaks up into solitons.

Source: N. J. Zabusky, M. D. Kruskal, Interaction of "solitons" in a collisionless plasma, 1965,
doi:10.1103/PhysRevLett.15.240; as posed for networks by S. Wang et al., PirateNets, 2024,
doi:10.48550/arXiv.2402.00326.
"""

from sciml import Problem


def problem(delta: float = 0.022) -> Problem:
    """Dispersion delta, a length."""
    return Problem(
        equations="u_t + u*u_x + delta**2*u_xxx = 0",
        conditions=["u(x, 0) = cos(pi*x)", "u(-1, t) = u(1, t)"],
        domain={"x": (-1, 1), "t": (0, 1)},
        parameters={"delta": delta},
    )
