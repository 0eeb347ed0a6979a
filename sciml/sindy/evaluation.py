"""One state at a time: a law's right-hand sides in plain numbers, and its solution from one initial state.

An array operation costs a microsecond however short the array is. For a single state the products and sums of a
polynomial law are ten times cheaper as plain floating-point numbers.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

__all__ = ["Polynomial", "monomial_exponents", "polynomial_of", "solve_one", "stiff_rest"]

_FACTOR = re.compile(r"([A-Za-z][A-Za-z0-9_]*)(?:\*\*(\d+))?")
HIGHEST = 64
# Steps of the explicit method before a stiff one takes over.
MOST_STEPS = 20_000


def monomial_exponents(text: str, names: Sequence[str]) -> tuple[int, ...] | None:
    """Return the exponents of a monomial such as `x**2*y` or `1`; None for every other text.

    >>> monomial_exponents("x**2*y", ("x", "y")), monomial_exponents("x*sin(y)", ("x", "y"))
    ((2, 1), None)
    """
    exponents = dict.fromkeys(names, 0)
    rest = "" if text == "1" else text
    while rest:
        match = _FACTOR.match(rest)
        if match is None or match[1] not in exponents:
            return None
        exponents[match[1]] += int(match[2] or 1)
        rest = rest[match.end() :]
        if rest[:1] == "*" and rest[1:2] not in ("", "*"):
            rest = rest[1:]
        elif rest:
            return None
    return tuple(exponents.values()) if sum(exponents.values()) <= HIGHEST else None


@final
class Polynomial:
    """Polynomials of a few variables, for one point at a time.

    Parameters
    ----------
    rows : for each polynomial {exponents: coefficient}.
    count : number of variables.
    """

    def __init__(self, rows: Sequence[Mapping[tuple[int, ...], float]], count: int) -> None:
        self.count = count
        # Where each monomial stands in the list of values: the variables come first, every other is a product of two.
        place = {tuple(int(k == v) for k in range(count)): v for v in range(count)}
        products: list[tuple[int, int]] = []

        def find(exponents: tuple[int, ...]) -> int:
            if exponents not in place:
                variable = next(k for k in reversed(range(count)) if exponents[k])
                lower = (*exponents[:variable], exponents[variable] - 1, *exponents[variable + 1 :])
                products.append((find(lower), variable))
                place[exponents] = count + len(products) - 1
            return place[exponents]

        self._sums = []
        for row in rows:
            constant = sum(float(value) for exponents, value in row.items() if not any(exponents))
            terms = [(float(value), find(exponents)) for exponents, value in row.items() if any(exponents)]
            self._sums.append((constant, terms))
        self._products = products

    def __call__(self, point: Sequence[float]) -> list[float]:
        """Return the values at a point; infinities and NaN where they overflow."""
        values = [*point]
        for left, right in self._products:
            values.append(values[left] * values[right])
        found = []
        for total, terms in self._sums:
            for coefficient, place in terms:
                total += coefficient * values[place]
            found.append(total)
        return found


def polynomial_of(
    coefficients: Mapping[str, Mapping[str, float]], names: Sequence[str], control: Sequence[str] = ()
) -> Polynomial | None:
    """Return right-hand sides {unknown: {term text: value}} as polynomials; None if a term is no monomial."""
    variables = (*names, *control)
    rows = []
    for name in names:
        row: dict[tuple[int, ...], float] = {}
        for text, value in coefficients[name].items():
            exponents = monomial_exponents(text, variables)
            if exponents is None:
                return None
            row[exponents] = row.get(exponents, 0.0) + value
        rows.append(row)
    return Polynomial(rows, len(variables))


def solve_one(
    slope: Callable[[float, Any], Any], initial: np.ndarray, times: np.ndarray, rtol: float, atol: Any
) -> np.ndarray:
    """Solve y' = slope(t, y) and return the states [T, d] at the times; NaN after a blow-up.

    Dormand and Prince's method of order 8 with its interpolant of order 7 (Hairer, Nørsett and Wanner 1993,
    doi:10.1007/978-3-540-78862-1); LSODA goes on where it would take too many steps.
    """
    from scipy.integrate import DOP853

    states = np.full((len(times), len(initial)), np.nan)
    states[0] = initial
    filled = 1
    if len(times) == 1:
        return states
    with np.errstate(all="ignore"):
        solver: Any = DOP853(slope, times[0], np.array(initial), times[-1], rtol=max(rtol, 3e-14), atol=atol)
        for _ in range(MOST_STEPS):
            solver.step()
            if solver.status == "failed" or not math.isfinite(float(np.sum(solver.y))):
                return states
            upto = int(np.searchsorted(times, solver.t, side="right"))
            if upto > filled:
                states[filled:upto] = solver.dense_output()(times[filled:upto]).T
                filled = upto
            if solver.status == "finished":
                states[-1] = solver.y
                return states
        return _stiff(slope, states, filled, times, solver, rtol, atol)


def _stiff(slope: Any, states: np.ndarray, filled: int, times: np.ndarray, solver: Any, rtol: float, atol: Any) -> Any:
    span = (solver.t, times[-1])
    rest = stiff_rest(slope, span, solver.y, times[filled:], rtol, atol)
    states[filled : filled + len(rest)] = rest
    states[filled:][~np.isfinite(states[filled:]).all(axis=1)] = np.nan
    return states


def stiff_rest(
    slope: Any, span: tuple[float, float], state: np.ndarray, times: np.ndarray, rtol: float, atol: Any
) -> np.ndarray:
    """Return the states [n, d] at the first n of the times, by an implicit method; none after a blow-up."""
    from scipy.integrate import LSODA

    found = np.empty((len(times), len(state)))
    filled = 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # That it gives up is said by the missing states.
        warnings.simplefilter("ignore")
        solver: Any = LSODA(slope, span[0], np.array(state), span[1], rtol=max(rtol, 3e-14), atol=atol)
        # Towards a pole its steps shrink without end.
        for _ in range(MOST_STEPS):
            if solver.status != "running":
                break
            solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all() or solver.t == solver.t_old:
                break
            upto = int(np.searchsorted(times, solver.t, side="right"))
            if upto > filled:
                found[filled:upto] = solver.dense_output()(times[filled:upto]).T
                filled = upto
    return found[:filled]
