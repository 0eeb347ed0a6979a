"""The polynomial systems of `dysts` (Gilpin 2021, doi:10.48550/arXiv.2110.05266), read from its own files.

`dysts` is no dependency: `pip install --no-deps dysts` is enough, since only two of its files are read; what it
requires (gluonts, and with it pandas below 3) contradicts constraints.txt. The right-hand sides are evaluated with
SymPy's symbols, and what is no polynomial is left out.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import sympy
from scipy.integrate import solve_ivp

from sciml.sindy.libraries import monomial_text

__all__ = ["INSTALL", "System", "available", "systems"]

INSTALL = "pip install --no-deps dysts"
HIGHEST_DEGREE = 4
POINTS, PER_PERIOD = 1000, 100


@final
@dataclass(frozen=True, eq=False)
class System:
    """A polynomial system with an initial state on its attractor.

    Attributes
    ----------
    name : in dysts; names : of the unknowns
    law : {unknown: {term: coefficient}}
    exponents, coefficients : of each equation, [terms, d] and [terms]
    initial : state; period : of the dominant oscillation.
    """

    name: str
    names: tuple[str, ...]
    law: dict[str, dict[str, float]]
    exponents: list[np.ndarray]
    coefficients: list[np.ndarray]
    initial: np.ndarray
    period: float

    @property
    def degree(self) -> int:
        """Of the highest monomial."""
        return max(int(rows.sum(axis=1).max()) for rows in self.exponents)

    def trajectory(self, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
        """Return times [N] and states [N, d] at a hundred samples a period."""
        times = np.arange(points) * self.period / PER_PERIOD

        def slope(t: float, x: np.ndarray) -> list[float]:
            return [float(c @ np.prod(x**e, axis=1)) for e, c in zip(self.exponents, self.coefficients, strict=True)]

        solved = solve_ivp(slope, (0, times[-1]), self.initial, "DOP853", times, rtol=1e-10, atol=1e-12)
        return times, solved.y.T


def available() -> bool:
    """Whether dysts is installed."""
    return importlib.util.find_spec("dysts") is not None


@functools.cache
def systems() -> tuple[System, ...]:
    """Return the autonomous polynomial systems of three or four states and a degree up to four, by name."""
    found = importlib.util.find_spec("dysts")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"dysts is not installed: {INSTALL}")
    folder = Path(found.submodule_search_locations[0])
    tables = json.loads((folder / "data" / "chaotic_attractors.json").read_text())
    module = _flows(folder / "flows.py")
    made = (_system(name, getattr(module, name, None), table) for name, table in sorted(tables.items()))
    return tuple(system for system in made if system is not None)


def _flows(path: Path) -> types.ModuleType:
    """Return the module of the right-hand sides; the base of its classes imports what the equations do not need."""
    package, base = types.ModuleType("dysts"), types.ModuleType("dysts.base")
    base.__dict__.update(DynSys=object, DynSysDelay=object, staticjit=staticmethod)
    package.__path__ = []
    kept = {name: sys.modules.get(name) for name in ("dysts", "dysts.base")}
    sys.modules.update({"dysts": package, "dysts.base": base})
    try:
        spec = importlib.util.spec_from_file_location("dysts.flows", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, module_before in kept.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before
    return module


def _system(name: str, flow: Any, table: dict[str, Any]) -> System | None:
    d = table["embedding_dimension"]
    if flow is None or table.get("delay") or table.get("nonautonomous") or d not in (3, 4) or not hasattr(flow, "_rhs"):
        return None
    names = ("x", "y", "z") if d == 3 else tuple(f"x{k + 1}" for k in range(d))
    states, time = [sympy.Symbol(n, real=True) for n in names], sympy.Symbol("t")
    keywords = list(inspect.signature(flow._rhs).parameters)[d + 1 :]
    given = {key: np.array(value) if isinstance(value, list) else value for key, value in table["parameters"].items()}
    try:
        sides = [
            sympy.expand(sympy.sympify(side))
            for side in flow._rhs(*states, time, **{key: given[key] for key in keywords})
        ]
        polynomials = [sympy.Poly(side, *states) for side in sides]
    except Exception:
        # Whatever a right-hand side does that symbols cannot: it is then no polynomial.
        return None
    if any(time in side.free_symbols for side in sides):
        return None
    if max(int(polynomial.total_degree()) for polynomial in polynomials) > HIGHEST_DEGREE:
        return None
    tables = [{row: float(value) for row, value in p.terms() if value != 0} for p in polynomials]
    return System(
        name,
        names,
        {n: {monomial_text(row, names): c for row, c in own.items()} for n, own in zip(names, tables, strict=True)},
        [np.array(list(own), dtype=float) for own in tables],
        [np.array(list(own.values())) for own in tables],
        np.array(table["initial_conditions"], dtype=float),
        float(table["period"]),
    )
