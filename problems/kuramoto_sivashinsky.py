"""Kuramoto-Sivashinsky equation: long waves feed on energy, short ones are damped, and chaos lies between.

Source: Y. Kuramoto, T. Tsuzuki, Persistent propagation of concentration waves, 1976, doi:10.1143/PTP.55.356; as posed
for networks by S. Wang et al., PirateNets, 2024, doi:10.48550/arXiv.2402.00326.
"""

from math import pi

from sciml import Problem


def problem(alpha: float = 100 / 16, beta: float = 100 / 16**2, gamma: float = 100 / 16**4) -> Problem:
    """Strength of advection alpha, of growth beta, of damping gamma."""
    return Problem(
        equations="u_t + alpha*u*u_x + beta*u_xx + gamma*u_xxxx = 0",
        conditions=["u(x, 0) = cos(x)*(1 + sin(x))", "u(0, t) = u(2*pi, t)"],
        domain={"x": (0, 2 * pi), "t": (0, 0.5)},
        parameters={"alpha": alpha, "beta": beta, "gamma": gamma},
    )
