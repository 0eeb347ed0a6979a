"""Diffusion with a given reaction rate: a sum of five sine waves decays as one.

Source: L. Lu, X. Meng, Z. Mao, G. E. Karniadakis, DeepXDE, 2021, doi:10.1137/19M1274067 (diffusion-reaction example of
the library).
"""

from math import pi

from sciml import Problem


def problem() -> Problem:
    """Diffusivity 1."""
    start = "sin(x) + sin(2*x)/2 + sin(3*x)/3 + sin(4*x)/4 + sin(8*x)/8"
    return Problem(
        equations="u_t = u_xx + exp(-t)*(3*sin(2*x)/2 + 8*sin(3*x)/3 + 15*sin(4*x)/4 + 63*sin(8*x)/8)",
        conditions=[f"u(x, 0) = {start}", "u(-pi, t) = 0", "u(pi, t) = 0"],
        domain={"x": (-pi, pi), "t": (0, 1)},
        exact=f"exp(-t)*({start})",
    )
