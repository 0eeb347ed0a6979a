"""Heat equation in a square plate whose edges are kept cold.

Source: D. W. Peaceman, H. H. Rachford, The numerical solution of parabolic and elliptic differential equations, 1955,
doi:10.1137/0103003.
"""

from sciml import Problem


def problem(alpha: float = 0.1) -> Problem:
    """Diffusivity alpha > 0."""
    return Problem(
        equations="u_t = alpha*laplacian(u)",
        conditions=["u(x, y, 0) = sin(pi*x)*sin(pi*y)", "u(boundary) = 0"],
        domain={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        parameters={"alpha": alpha},
        exact="exp(-2*alpha*pi**2*t)*sin(pi*x)*sin(pi*y)",
    )
