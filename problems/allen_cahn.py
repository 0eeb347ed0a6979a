"""Allen-Cahn equation: phases +1 and -1 separate; the periodic continuation of the start has a kink at x = 1.

The initial value x**2*cos(pi*x) is even, so it continues periodically without a jump, but its slope jumps from -2 to 2
at x = 1. This periodic continuation is what is solved; the kink limits a reference to about 1e-6.

Source: M. Raissi, P. Perdikaris, G. E. Karniadakis, Physics-informed neural networks, 2019,
doi:10.1016/j.jcp.2018.10.045.
"""

from sciml import Problem


def problem(epsilon: float = 1e-4) -> Problem:
    """Diffusivity epsilon > 0, the square of the thickness of an interface but for a factor."""
    return Problem(
        equations="u_t = epsilon*u_xx - 5*u**3 + 5*u",
        conditions=["u(x, 0) = x**2*cos(pi*x)", "u(-1, t) = u(1, t)"],
        domain={"x": (-1, 1), "t": (0, 1)},
        parameters={"epsilon": epsilon},
        reference=1e-6,
    )
