"""Evolution equations by py-pde: central differences of second order, compiled, with steps that follow the error.

D. Zwicker, py-pde, doi:10.21105/joss.02158. The equation is given as text, the grid and the tolerance form the ladder,
and the solver is its adaptive Runge-Kutta method, whose compiled steps are so short that it beats the implicit ones of
SciPy for these three equations, a banded LSODA included; equations that diffusion makes stiff are left out. Seconds are
those of the steps; the compilation, which each new grid needs, is told beside them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from math import pi
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LADDER", "PROBLEMS", "Run", "installed", "solve", "version"]

Real = NDArray[np.float64]
# Cells and the tolerance of a step.
LADDER = ((64, 1e-4), (128, 1e-5), (256, 1e-6), (512, 1e-6), (1024, 1e-7), (2048, 1e-8))
# Cells that a periodic solution is continued by before it is interpolated.
WRAPPED = 8
DEGREE = 5


@final
@dataclass(frozen=True)
class _Equation:
    """u_t = rate(u, x, t) on an interval, for t in [0, 1]; u = 0 at the ends or periodic."""

    rate: str
    start: str
    interval: tuple[float, float]
    periodic: bool


@final
@dataclass(frozen=True)
class Run:
    """Seconds of the steps and of the compilation, and values [N] at the points."""

    seconds: float
    compilation: float
    values: Real


# u u_x as (u u_x + (u^2)_x)/3 keeps the energy in central differences; the plain form fails on coarse grids.
PROBLEMS = {
    "burgers": _Equation(f"{0.01 / pi!r}*laplace(u) - (u*d_dx(u) + d_dx(u**2))/3", "-sin(pi*x)", (-1, 1), False),
    "allen_cahn": _Equation("1e-4*laplace(u) - 5*u**3 + 5*u", "x**2*cos(pi*x)", (-1, 1), True),
    "kdv": _Equation(f"-(u*d_dx(u) + d_dx(u**2))/3 - {0.022**2!r}*d_dx(laplace(u))", "cos(pi*x)", (-1, 1), True),
}


def installed() -> bool:
    """Whether py-pde is there."""
    return importlib.util.find_spec("pde") is not None


def version() -> str:
    """Return the library with its version."""
    return f"py-pde {importlib.metadata.version('py-pde')}"


def solve(name: str, cells: int, tolerance: float, points: Real) -> Run:
    """Solve one of `PROBLEMS` and interpolate u at points [N, 2] with columns x, t, which is not timed."""
    # Imported by name: the package is an extra, and has no types.
    pde: Any = importlib.import_module("pde")
    equation = PROBLEMS[name]
    grid = pde.CartesianGrid([list(equation.interval)], [cells], periodic=equation.periodic)
    sides = "auto_periodic_neumann" if equation.periodic else {"value": 0}
    system = pde.PDE({"u": equation.rate}, bc=sides)
    start = pde.ScalarField.from_expression(grid, equation.start)
    stored = pde.MemoryStorage()
    # Times as fine as the grid, so that the interpolation between them is no less accurate.
    system.solve(
        start,
        t_range=1.0,
        tracker=stored.tracker(1 / max(cells // 2, 64)),
        backend="numba",
        solver="runge-kutta",
        adaptive=True,
        tolerance=tolerance,
    )
    spent = system.diagnostics["controller"]["profiler"]
    values = np.array([np.asarray(field.data) for field in stored])
    read = _interpolated(equation, grid.axes_coords[0], np.asarray(stored.times, float), values, points)
    return Run(float(spent["solver"] + spent["tracker"]), float(spent["compilation"]), read)


def _interpolated(equation: _Equation, x: Real, times: Real, values: Real, points: Real) -> Real:
    """Return a spline through values [times, cells] at the points; cells have their values in the middle."""
    from scipy.interpolate import RectBivariateSpline

    lower, upper = equation.interval
    if equation.periodic:
        period, k = upper - lower, WRAPPED
        x = np.concatenate([x[-k:] - period, x, x[:k] + period])
        values = np.concatenate([values[:, -k:], values, values[:, :k]], axis=1)
    else:
        x = np.concatenate([[lower], x, [upper]])
        values = np.pad(values, ((0, 0), (1, 1)))
    return RectBivariateSpline(times, x, values, kx=DEGREE, ky=DEGREE).ev(points[:, 1], points[:, 0])
