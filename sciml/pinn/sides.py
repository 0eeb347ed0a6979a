"""Data on the sides of a box: what conditions prescribe there, and polynomials that meet it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import sympy

from sciml.problem import Condition, Problem

__all__ = ["Datum", "datum_of", "exact_number", "interpolant", "scaled", "vanishing_factor"]

_XI = sympy.Symbol("xi", real=True)


@dataclass(frozen=True)
class Datum:
    """One condition `d^order u / d coordinate^order = value` on a whole side of the box."""

    condition: Condition
    unknown: str
    coordinate: str
    end: int  # 0 lower, 1 upper
    order: int
    value: sympy.Expr


def datum_of(condition: Condition, problem: Problem) -> Datum | None:
    """Read a condition as data on a side; None where it is something else."""
    solved = condition.solved(problem.vocabulary)
    if solved is None or len(condition.place) != 1:
        return None
    ((coordinate, value),) = condition.place.items()
    ends = problem.domain.interval(coordinate)
    partial, g = solved
    index = problem.domain.index(coordinate)
    if value not in ends or any(order for i, order in enumerate(partial.orders) if i != index):
        return None
    g = problem.substituted(g)
    if problem.functions and any(
        g.has(atom) for atom in g.atoms(sympy.Function) if atom.func.__name__ in problem.functions
    ):
        return None  # data without a formula: their derivatives are not at hand
    return Datum(condition, partial.unknown, coordinate, ends.index(value), partial.orders[index], g)


def scaled(problem: Problem, coordinate: str) -> sympy.Expr:
    """Return the coordinate, scaled to [0, 1]."""
    a, b = problem.domain.interval(coordinate)
    return (problem.vocabulary.symbol(coordinate) - exact_number(a)) / exact_number(b - a)


def exact_number(value: float) -> sympy.Expr:
    """Return a number as SymPy has it: an integer where it is one."""
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, 17)


def _functional(polynomial: sympy.Expr, end: int, order: int) -> sympy.Expr:
    return sympy.diff(polynomial, _XI, order).subs(_XI, end)


def vanishing_factor(problem: Problem, coordinate: str, ends: Sequence[Datum]) -> sympy.Expr:
    """The polynomial of lowest degree with the zeros that d needs, largest value 1 on the interval."""
    needed = [(t.end, t.order) for t in ends]
    powers = [_XI**k for k in range(len(needed) + 1)]
    matrix = sympy.Matrix([[_functional(p, end, order) for p in powers] for end, order in needed])
    kernel = matrix.nullspace()[0]
    polynomial = sum((c * p for c, p in zip(kernel, powers, strict=True)), sympy.Integer(0))
    samples = np.polyval([float(c) for c in reversed(list(kernel))], np.linspace(0, 1, 201))
    largest = samples[np.argmax(np.abs(samples))]
    normalized: Any = sympy.factor(polynomial / sympy.nsimplify(largest, rational=True))
    return cast(sympy.Expr, normalized.subs(_XI, scaled(problem, coordinate)))


def interpolant(problem: Problem, coordinate: str, ends: Sequence[Datum], so_far: sympy.Expr) -> sympy.Expr:
    """What must be added to `so_far` so that it meets the data at the ends of one coordinate."""
    symbol = problem.vocabulary.symbol(coordinate)
    length = exact_number(problem.domain.lengths[problem.domain.index(coordinate)])
    bounds = problem.domain.interval(coordinate)
    functionals = [(t.end, t.order) for t in ends]
    powers = _independent_powers(functionals)
    matrix = sympy.Matrix([[_functional(p, end, order) for p in powers] for end, order in functionals])
    dual = matrix.inv()
    result: sympy.Expr = sympy.Integer(0)
    for k, datum in enumerate(ends):
        phi = sum((dual[j, k] * powers[j] for j in range(len(powers))), sympy.Integer(0))
        place = {symbol: exact_number(bounds[datum.end])}
        missing = (datum.value - sympy.diff(so_far, symbol, datum.order)).subs(list(place.items()))
        result += sympy.factor(phi).subs(_XI, scaled(problem, coordinate)) * length**datum.order * missing
    return result


def _independent_powers(functionals: Sequence[tuple[int, int]]) -> list[sympy.Expr]:
    """The lowest powers of xi on which the functionals are independent (two Neumann ends: xi and xi**2)."""
    chosen: list[sympy.Expr] = []
    columns: list[list[sympy.Expr]] = []
    power = 0
    while len(chosen) < len(functionals):
        column = [_functional(_XI**power, end, order) for end, order in functionals]
        if sympy.Matrix([*columns, column]).rank() > len(columns):
            columns.append(column)
            chosen.append(_XI**power)
        power += 1
    return chosen
