"""Stationary problems by scikit-fem: finite elements of order p on n x n squares, as its documentation builds them.

T. Gustafsson, G. D. McBain, scikit-fem, doi:10.21105/joss.02369. The solutions are smooth, so high orders on few
elements are the efficient choice; quadrature is exact for the linear terms, the sparse systems go to SciPy's direct
solver, and the nonlinear problem to Newton's method.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LADDER", "PROBLEMS", "installed", "solve", "version"]

Real = NDArray[np.float64]
# Orders and elements a side; those that are beaten by others drop out of the running best.
LADDER = ((2, 8), (2, 16), (2, 32), (4, 4), (4, 8), (4, 16), (6, 4), (6, 8), (8, 4), (8, 8), (10, 4), (10, 8), (12, 6))
NEWTON_STEPS = 20


@final
@dataclass(frozen=True)
class _Equation:
    """-laplacian(u) + r(u) = f on a square with u = 0 on its boundary.

    Attributes
    ----------
    interval : of both coordinates.
    source : f(x, y).
    reaction, slope : r(u) and r'(u), if there are any.
    linear : whether r is.
    """

    interval: tuple[float, float]
    source: Callable[[Real, Real], Real]
    reaction: Callable[[Real], Real] | None = None
    slope: Callable[[Real], Real] | None = None
    linear: bool = True


def _product(a: float, b: float) -> Callable[[Real, Real], Real]:
    return lambda x, y: np.sin(a * np.pi * x) * np.sin(b * np.pi * y)


def _boltzmann(x: Real, y: Real) -> Real:
    exact = _product(1, 1)(x, y)
    return 2 * np.pi**2 * exact + np.sinh(exact)


PROBLEMS = {
    "poisson": _Equation((-1, 1), lambda x, y: 2 * np.pi**2 * _product(1, 1)(x, y)),
    "helmholtz": _Equation(
        (-1, 1), lambda x, y: (17 * np.pi**2 - 1) * _product(1, 4)(x, y), np.negative, lambda u: -np.ones_like(u)
    ),
    "poisson_boltzmann": _Equation((0, 1), _boltzmann, np.sinh, np.cosh, linear=False),
}


def installed() -> bool:
    """Whether scikit-fem is there."""
    return importlib.util.find_spec("skfem") is not None


def version() -> str:
    """Return the library with its version."""
    return f"scikit-fem {importlib.metadata.version('scikit-fem')}"


def solve(name: str, order: int, count: int, points: Real) -> tuple[float, Real]:
    """Solve one of `PROBLEMS` and return the seconds, mesh and assembly included, and u at points [N, 2] after that.

    Parameters
    ----------
    name : of the problem.
    order : of the elements, at least 2.
    count : of elements a side.
    points : where u is wanted; this is not timed, as for the other solvers.
    """
    # Imported by name: the package is an extra, and has no types.
    fem: Any = importlib.import_module("skfem")
    forms: Any = importlib.import_module("skfem.helpers")
    logging.getLogger("skfem").setLevel(logging.ERROR)  # it says that order 2 has a faster class, which is taken
    equation = PROBLEMS[name]

    def stiffness(u: Any, v: Any, w: Any) -> Any:
        return forms.dot(forms.grad(u), forms.grad(v))

    def mass(u: Any, v: Any, w: Any) -> Any:
        return w["factor"] * u * v

    def load(v: Any, w: Any) -> Any:
        return w["factor"] * v

    start = time.perf_counter()
    line = np.linspace(*equation.interval, count + 1)
    element = fem.ElementQuad2() if order == 2 else fem.ElementQuadP(order)
    basis = fem.CellBasis(fem.MeshQuad.init_tensor(line, line), element, intorder=2 * order + 2)
    boundary = basis.get_dofs()
    state = basis.zeros()
    laplacian = fem.BilinearForm(stiffness).assemble(basis)
    source = equation.source(*basis.global_coordinates())
    for _ in range(1 if equation.linear else NEWTON_STEPS):
        matrix, inside = laplacian, source
        if equation.reaction is not None and equation.slope is not None:
            present = np.asarray(basis.interpolate(state))
            matrix = laplacian + fem.BilinearForm(mass).assemble(basis, factor=equation.slope(present))
            inside = source - equation.reaction(present)
        vector = fem.LinearForm(load).assemble(basis, factor=inside) - laplacian @ state
        step = fem.solve(*fem.condense(matrix, vector, D=boundary))
        state = state + step
        # Newton's method is quadratic: after a step this small the next would be rounding.
        if np.linalg.norm(step) <= 1e-8 * np.linalg.norm(state):
            break
    seconds = time.perf_counter() - start
    return seconds, np.asarray(basis.probes(np.ascontiguousarray(points.T)) @ state)
