"""Van der Pol oscillator: slow drifts and fast jumps on a limit cycle, stiff for large mu.

Source: B. van der Pol, On relaxation-oscillations, 1926, doi:10.1080/14786442608564127.
"""

from sciml import Problem


def problem(mu: float = 1.0, T: float = 10.0) -> Problem:
    """Damping mu; time interval [0, T]. The usual stiff case is mu = 1000, T = 2000."""
    return Problem(
        equations="x'' = mu*(1 - x**2)*x' - x",
        conditions=["x(0) = 2", "x'(0) = 0"],
        domain={"t": (0, T)},
        parameters={"mu": mu},
    )
