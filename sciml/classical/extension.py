"""Periodic extension of a problem in a space coordinate: it is periodic, or odd or even about both of its ends.

A homogeneous Dirichlet side (u = 0, u_xx = 0, ...) continues the solution as an odd function, a Neumann side (u_x = 0,
u_xxx = 0, ...) as an even one, if the equations keep their form under the reflection. Then Fourier methods apply.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.first_order import FirstOrderForm
from sciml.formulas import Formula

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Extension", "find_extension"]

Array = NDArray[Any]

SAMPLES = 40  # random points at which a symmetry is asked; chance agreement of all is out of the question


@dataclass(frozen=True)
class Extension:
    """How one coordinate is continued beyond [a, b].

    Attributes
    ----------
    a, b : the interval of the problem.
    period : b - a, or 2 or 4 times that.
    signs : for each unknown its parities about a and b, 1 or -1; empty for a periodic coordinate.
    """

    a: float
    b: float
    period: float
    signs: Mapping[str, tuple[int, int]]

    def fold(self, x: Array, unknown: str) -> tuple[Array, Array]:
        """Return points of [a, b] and signs with u(x) = sign * u(point) for points of one period from a."""
        if not self.signs:
            return x, np.ones_like(x)
        length = self.b - self.a
        cell = np.floor((x - self.a) / length)
        within = x - self.a - cell * length
        odd = np.mod(cell, 2) == 1
        first, second = self.signs[unknown]
        sign = float(second) ** np.ceil(cell / 2) * float(first) ** np.floor(cell / 2)
        return self.a + np.where(odd, length - within, within), sign


def find_extension(
    problem: Problem, form: FirstOrderForm, initial: Sequence[sympy.Expr], coordinate: str
) -> Extension | None:
    """Return the periodic extension of a problem in a space coordinate, or None where it has none.

    The symmetry of the equations is asked at random points and values, which finds every true identity whatever its
    form and, with probability one, no false one.
    """
    a, b = problem.domain.interval(coordinate)
    if coordinate in problem.periodic:
        return Extension(a, b, b - a, {})
    if any(coordinate in arguments for arguments in problem.vocabulary.functions.values()):
        return None  # data are known on the interval only
    first, second = _parities(problem, coordinate, a), _parities(problem, coordinate, b)
    if first is None or second is None:
        return None
    formulas = [Formula(rate, problem) for rate in form.rates]
    free = [u for u in problem.unknowns if u not in first and u not in second]
    if {u for u in problem.unknowns if (u in first) != (u in second)}:
        return None
    for guess in itertools.product((1, -1), repeat=2 * len(free)):
        ends = [
            {**known, **dict(zip(free, part, strict=True))}
            for known, part in zip((first, second), (guess[: len(free)], guess[len(free) :]), strict=True)
        ]
        signs = {u: (ends[0][u], ends[1][u]) for u in problem.unknowns}
        same = all(one == two for one, two in signs.values())
        period = (2 if same else 4) * (b - a)
        symmetric = [
            _symmetric(problem, form, formulas, coordinate, place, end, (a, a + period))
            for place, end in zip((a, b), ends, strict=True)
        ]
        if all(symmetric):
            middle = (a + b) / 2
            if (
                same
                and _symmetric(problem, form, formulas, coordinate, middle, ends[0], (a, b))
                and _symmetric_data(problem, form, initial, coordinate, middle, ends[0])
            ):
                period = b - a
            return Extension(a, b, period, signs)
    return None


def _parities(problem: Problem, coordinate: str, place: float) -> dict[str, int] | None:
    """Parity of each unknown about an end that its conditions there mean; None for other conditions."""
    axis = problem.coordinates.index(coordinate)
    orders: dict[str, list[int]] = {}
    for condition in problem.conditions:
        if dict(condition.place) != {coordinate: place}:
            continue
        solved = condition.solved(problem.vocabulary)
        if solved is None or condition.partner is not None:
            return None
        partial, value = solved
        if any(order for i, order in enumerate(partial.orders) if i != axis):
            return None
        if not _vanishes(problem, value):
            return None
        orders.setdefault(partial.unknown, []).append(partial.orders[axis])
    result = {}
    for unknown, found in orders.items():
        parities = {order % 2 for order in found}
        highest = problem.order(unknown, coordinate)
        complete = set(found) == set(range(min(found), max(highest, 1), 2))
        if len(parities) > 1 or not complete:
            return None
        result[unknown] = 1 if parities == {1} else -1
    return result


def _vanishes(problem: Problem, value: sympy.Expr) -> bool:
    """Whether a formula in the coordinates is zero, asked at random points of the box."""
    if problem.substituted(value) == 0:
        return True
    low, high = np.array(problem.domain.lower), np.array(problem.domain.upper)
    points = list((low + (high - low) * np.random.default_rng(2).random((SAMPLES, low.size))).T)
    return bool(np.all(Formula(value, problem).value(points, []) == 0))


def _symmetric(
    problem: Problem,
    form: FirstOrderForm,
    formulas: Sequence[Formula],
    coordinate: str,
    centre: float,
    signs: Mapping[str, int],
    interval: tuple[float, float],
) -> bool:
    """Whether the rates keep their form under x -> 2 centre - x together with the signs of the unknowns."""
    axis = problem.coordinates.index(coordinate)
    rng = np.random.default_rng(0)
    low, high = np.array(problem.domain.lower), np.array(problem.domain.upper)
    low[axis], high[axis] = interval
    points = list((low + (high - low) * rng.random((SAMPLES, low.size))).T)
    mirrored = [2 * centre - p if i == axis else p for i, p in enumerate(points)]
    for component, formula in zip(form.components, formulas, strict=True):
        fields = [rng.standard_normal(SAMPLES) for _ in formula.partials]
        turned = [f * signs[p.unknown] * (-1) ** p.orders[axis] for p, f in zip(formula.partials, fields, strict=True)]
        here, there = formula.value(points, fields), formula.value(mirrored, turned) * signs[component.unknown]
        finite = np.isfinite(here) & np.isfinite(there)
        close = np.abs(here - there) <= 1e-9 * (1 + np.abs(here))
        if finite.sum() < SAMPLES // 4 or not np.all(close[finite]):
            return False
    return True


def _symmetric_data(
    problem: Problem,
    form: FirstOrderForm,
    initial: Sequence[sympy.Expr],
    coordinate: str,
    centre: float,
    signs: Mapping[str, int],
) -> bool:
    """Whether the initial values are symmetric in the same way."""
    axis = problem.coordinates.index(coordinate)
    low, high = np.array(problem.domain.lower), np.array(problem.domain.upper)
    points = list((low + (high - low) * np.random.default_rng(1).random((SAMPLES, low.size))).T)
    mirrored = [2 * centre - p if i == axis else p for i, p in enumerate(points)]
    for component, value in zip(form.components, initial, strict=True):
        formula = Formula(value, problem)
        here, there = formula.value(points, []), signs[component.unknown] * formula.value(mirrored, [])
        if not np.all(np.abs(here - there) <= 1e-12 * (1 + np.abs(here))):
            return False
    return True
