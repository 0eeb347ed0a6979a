"""Burgers equations in two dimensions: an oblique front between two states travels through the square.

Source: C. A. J. Fletcher, Generating exact solutions of the two-dimensional Burgers' equations, 1983,
doi:10.1002/fld.1650030302.
"""

from sciml import Problem


def problem(Re: float = 100.0) -> Problem:
    """Reynolds number Re > 0; the front is 32/Re thick."""
    # 1/(1 + exp(2*s)) = (1 - tanh(s))/2: the same function, without overflow for large Re.
    front = "tanh((4*y - 4*x - t)*Re/64)/8"
    u, v = f"5/8 + {front}", f"7/8 - {front}"
    return Problem(
        equations=["u_t + u*u_x + v*u_y = laplacian(u)/Re", "v_t + u*v_x + v*v_y = laplacian(v)/Re"],
        conditions=[f"u(x, y, 0) = {u}", f"v(x, y, 0) = {v}", f"u(boundary) = {u}", f"v(boundary) = {v}"],
        domain={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        parameters={"Re": Re},
        exact={"u": u, "v": v},
    )
