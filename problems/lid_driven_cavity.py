"""Lid-driven cavity: a steady viscous vortex in a box whose lid slides; the pressure is singular at the lid's corners.

Source: U. Ghia, K. N. Ghia, C. T. Shin, High-Re solutions for incompressible flow, 1982,
doi:10.1016/0021-9991(82)90058-4.
"""

from sciml import Problem


def problem(Re: float = 100.0) -> Problem:
    """Reynolds number Re > 0."""
    return Problem(
        equations=["u*u_x + v*u_y = -p_x + laplacian(u)/Re", "u*v_x + v*v_y = -p_y + laplacian(v)/Re", "u_x + v_y = 0"],
        conditions=[
            "u(x, 1) = 1",
            "u(x, 0) = 0",
            "u(0, y) = 0",
            "u(1, y) = 0",
            "v(boundary) = 0",
            "p(0, 0) = 0",
        ],
        domain={"x": (0, 1), "y": (0, 1)},
        parameters={"Re": Re},
        reference=1e-4,
        incompatible="accept",
    )
