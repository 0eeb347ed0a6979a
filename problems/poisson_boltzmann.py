"""Poisson-Boltzmann equation: the potential of ions in thermal equilibrium, forced so that the solution is known.

Source: F. Fogolari, A. Brigo, H. Molinari, The Poisson-Boltzmann equation for biomolecular electrostatics, 2002,
doi:10.1002/jmr.577 (the equation; the solution is manufactured).
"""

from sciml import Problem


def problem() -> Problem:
    """Potential u in units of kT/e, lengths in units of the Debye length."""
    exact = "sin(pi*x)*sin(pi*y)"
    return Problem(
        equations=f"laplacian(u) - sinh(u) = -2*pi**2*{exact} - sinh({exact})",
        conditions=["u(boundary) = 0"],
        domain={"x": (0, 1), "y": (0, 1)},
        exact=exact,
    )
