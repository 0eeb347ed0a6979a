"""Predators and prey: closed orbits, along which d*x - c*log(x) + b*y - a*log(y) stays constant.

Source: A. J. Lotka, Analytical note on certain rhythmic relations in organic systems, 1920, doi:10.1073/pnas.6.7.410.
"""

from sciml import Problem


def problem(a: float = 1.5, b: float = 1.0, c: float = 3.0, d: float = 1.0) -> Problem:
    """Birth rate a of the prey x, death rate c of the predators y, rates b and d of their encounters."""
    return Problem(
        equations=["x' = a*x - b*x*y", "y' = -c*y + d*x*y"],
        conditions=["x(0) = 1", "y(0) = 1"],
        domain={"t": (0, 10)},
        parameters={"a": a, "b": b, "c": c, "d": d},
    )
