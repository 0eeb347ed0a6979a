"""Roessler system: chaos with a single nonlinear term, a spiral that folds back through sharp peaks of z.

Source: O. E. Roessler, An equation for continuous chaos, 1976, doi:10.1016/0375-9601(76)90101-8.
"""

from sciml import Problem


def problem(a: float = 0.2, b: float = 0.2, c: float = 5.7, T: float = 20.0) -> Problem:
    """Constants a, b, c of the system; time interval [0, T]."""
    return Problem(
        equations=["x' = -y - z", "y' = x + a*y", "z' = b + z*(x - c)"],
        conditions=["x(0) = 1", "y(0) = 1", "z(0) = 1"],
        domain={"t": (0, T)},
        parameters={"a": a, "b": b, "c": c},
    )
