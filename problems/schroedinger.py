"""Focusing cubic Schroedinger equation i*h_t + h_xx/2 + abs(h)**2*h = 0 for h = u + i*v: a breathing pulse.

The pulse 2/cosh(x) is not zero at the ends, so the slope of its periodic continuation, which is what is solved, jumps
by 0.05 at x = 5; the kink limits a reference to about 1e-6.

Source: M. Raissi, P. Perdikaris, G. E. Karniadakis, Physics-informed neural networks, 2019,
doi:10.1016/j.jcp.2018.10.045.
"""

from math import pi

from sciml import Problem


def problem() -> Problem:
    """Real part u and imaginary part v."""
    return Problem(
        equations=["u_t = -v_xx/2 - (u**2 + v**2)*v", "v_t = u_xx/2 + (u**2 + v**2)*u"],
        conditions=["u(x, 0) = 2/cosh(x)", "v(x, 0) = 0", "u(-5, t) = u(5, t)", "v(-5, t) = v(5, t)"],
        domain={"x": (-5, 5), "t": (0, pi / 2)},
        reference=1e-6,
    )
