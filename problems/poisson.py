"""Poisson equation on a square, with a product of sines as solution.

Source: F. Dangel, J. Mueller, M. Zeinhofer, KFAC for physics-informed networks, 2024, doi:10.48550/arXiv.2405.15603
(there on the unit square).
"""

from sciml import Problem


def problem() -> Problem:
    """Pose the problem on [-1, 1] x [-1, 1]."""
    return Problem(
        equations="-laplacian(u) = 2*pi**2*sin(pi*x)*sin(pi*y)",
        conditions=["u(boundary) = 0"],
        domain={"x": (-1, 1), "y": (-1, 1)},
        exact="sin(pi*x)*sin(pi*y)",
    )
