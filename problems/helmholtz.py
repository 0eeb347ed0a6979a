"""Helmholtz equation on a square, with a1 waves in x and a2 in y.

Source: S. Wang, Y. Teng, P. Perdikaris, Understanding and mitigating gradient flow pathologies, 2021,
doi:10.1137/20M1318043.
"""

from sciml import Problem


def problem(a1: float = 1.0, a2: float = 4.0, k: float = 1.0) -> Problem:
    """Whole numbers of waves a1 and a2 (the boundary values vanish for no others), wave number k of the operator."""
    exact = "sin(a1*pi*x)*sin(a2*pi*y)"
    return Problem(
        equations=f"laplacian(u) + k**2*u = (k**2 - (a1**2 + a2**2)*pi**2)*{exact}",
        conditions=["u(boundary) = 0"],
        domain={"x": (-1, 1), "y": (-1, 1)},
        parameters={"a1": a1, "a2": a2, "k": k},
        exact=exact,
    )
