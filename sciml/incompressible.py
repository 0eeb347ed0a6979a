"""Steady incompressible flow in two coordinates, recognised in a declared problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sympy

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["PlaneFlow", "recognised_flow"]


@dataclass(frozen=True)
class PlaneFlow:
    """What a problem says of an incompressible flow; parameters are numbers already.

    Attributes
    ----------
    velocity : names of the components along the two coordinates.
    pressure : name of the pressure.
    momentum : momentum equations R1 + p_x = 0, R2 + p_y = 0 without the pressure, as expressions R1, R2.
    sides : velocities on the sides by axis (0 for x = const), end (0 lower, 1 upper) and name, functions of the other
        coordinate; None where they are not given on all of them.
    level : place and value of the pressure where it is given at a point, else None.
    """

    velocity: tuple[str, str]
    pressure: str
    momentum: tuple[sympy.Expr, sympy.Expr]
    sides: Mapping[tuple[int, int, str], sympy.Expr] | None
    level: tuple[tuple[float, float], float] | None


def recognised_flow(problem: Problem) -> PlaneFlow | None:
    """Find velocity, pressure and momentum equations in a problem.

    The problem must have two coordinates and three unknowns; one equation must be c (u_x + v_y) = 0, and the pressure
    must stand only in the other two, as constant factors times p_x in one and p_y in the other.

    Returns
    -------
    The flow, or None where the problem is something else.
    """
    if len(problem.coordinates) != 2 or len(problem.unknowns) != 3 or len(problem.residuals) != 3:
        return None
    vocabulary = problem.vocabulary
    residuals = [sympy.expand(problem.substituted(residual)) for residual in problem.residuals]
    for constraint in range(3):
        velocity = _divergence(residuals[constraint], problem)
        if velocity is None:
            continue
        (pressure,) = set(problem.unknowns) - set(velocity)
        found: dict[int, sympy.Expr] = {}
        for residual in (residuals[i] for i in range(3) if i != constraint):
            gradient = [p for p in vocabulary.partials(residual) if p.unknown == pressure]
            if len(gradient) != 1 or sum(gradient[0].orders) != 1:
                return None
            leaf = vocabulary.expression(gradient[0])
            slope = constant_slope(residual, leaf)
            if slope is None:
                return None
            found[gradient[0].orders.index(1)] = sympy.expand((residual - slope * leaf) / slope)
        if len(found) < 2:
            return None
        sides, level = _conditions(problem, velocity, pressure)
        return PlaneFlow(velocity, pressure, (found[0], found[1]), sides, level)
    return None


def constant_slope(residual: sympy.Expr, leaf: sympy.Expr) -> sympy.Expr | None:
    """The factor of `leaf` in a residual if it is a number other than zero, else None."""
    symbol = sympy.Dummy("leaf", real=True)
    slope = sympy.diff(residual.xreplace({leaf: symbol}), symbol)
    return slope if slope.is_number and not slope.is_zero else None


def _divergence(residual: sympy.Expr, problem: Problem) -> tuple[str, str] | None:
    """The names (u, v) if a residual is a constant times u_x + v_y."""
    partials = problem.vocabulary.partials(residual)
    if sorted(p.orders for p in partials) != [(0, 1), (1, 0)] or partials[0].unknown == partials[1].unknown:
        return None
    by_order = {p.orders: p for p in partials}
    one, two = by_order[1, 0], by_order[0, 1]
    leaves = [problem.vocabulary.expression(p) for p in (one, two)]
    slopes = [constant_slope(residual, leaf) for leaf in leaves]
    if slopes[0] is None or slopes[1] is None or abs(float(slopes[0] - slopes[1])) > 1e-12 * abs(float(slopes[0])):
        return None
    rest = sympy.expand(residual - slopes[0] * leaves[0] - slopes[1] * leaves[1])
    return (one.unknown, two.unknown) if abs(complex(rest.evalf()) if rest.is_number else 1.0) < 1e-12 else None


def _conditions(
    problem: Problem, velocity: tuple[str, str], pressure: str
) -> tuple[Mapping[tuple[int, int, str], sympy.Expr] | None, tuple[tuple[float, float], float] | None]:
    """Velocities on all sides and the pressure at a point, or None where conditions are of another kind."""
    found: dict[tuple[int, int, str], sympy.Expr] = {}
    level = None
    symbols = [problem.vocabulary.symbol(name) for name in problem.coordinates]
    for condition in problem.conditions:
        solved = condition.solved(problem.vocabulary)
        if solved is None or any(solved[0].orders):
            return None, None
        unknown, value = solved[0].unknown, problem.substituted(solved[1])
        fixed = {s: sympy.Float(condition.place[str(s)], 17) for s in symbols if str(s) in condition.place}
        if unknown == pressure:
            number: Any = value.xreplace(fixed)
            if len(fixed) != 2 or level is not None or not number.is_number:
                return None, None
            level = ((float(fixed[symbols[0]]), float(fixed[symbols[1]])), float(number))
            continue
        if len(condition.place) != 1:
            return None, None
        ((name, at),) = condition.place.items()
        axis, ends = problem.domain.index(name), problem.domain.interval(name)
        if at not in ends or (axis, ends.index(at), unknown) in found:
            return None, None
        found[axis, ends.index(at), unknown] = cast(sympy.Expr, value.xreplace(fixed))
    keys = {(axis, end, name) for axis in (0, 1) for end in (0, 1) for name in velocity}
    return (found if set(found) == keys else None), level
