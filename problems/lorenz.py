"""Lorenz system: the chaotic butterfly, whose small errors grow by a factor e in about 1.1 units of time.

Source: E. N. Lorenz, Deterministic nonperiodic flow, 1963, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.
"""

from sciml import Problem


def problem(sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3, T: float = 10.0) -> Problem:
    """Prandtl number sigma, reduced Rayleigh number rho, geometry beta; time interval [0, T].

    `sciml.load("lorenz", T=1.1)` stops after one Lyapunov time, before chaos amplifies errors.
    """
    return Problem(
        equations=["x' = sigma*(y - x)", "y' = x*(rho - z) - y", "z' = x*y - beta*z"],
        conditions=["x(0) = -8", "y(0) = 7", "z(0) = 27"],
        domain={"t": (0, T)},
        parameters={"sigma": sigma, "rho": rho, "beta": beta},
    )
