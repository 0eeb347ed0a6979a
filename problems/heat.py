"""Heat equation in a rod: a sine profile decays between ends that are kept cold.

Source: F. Dangel, J. Mueller, M. Zeinhofer, KFAC for physics-informed networks, 2024, doi:10.48550/arXiv.2405.15603.
"""

from sciml import Problem


def problem(alpha: float = 0.25) -> Problem:
    """Diffusivity alpha > 0."""
    return Problem(
        equations="u_t = alpha*u_xx",
        conditions=["u(x, 0) = sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"],
        domain={"x": (0, 1), "t": (0, 1)},
        parameters={"alpha": alpha},
        exact="exp(-alpha*pi**2*t)*sin(pi*x)",
    )
