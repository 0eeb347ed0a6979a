"""What is asked of a declaration: when it is made, and before it is solved forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from sciml.condition import Condition
from sciml.domain import Box
from sciml.errors import ProblemError
from sciml.notation import Partial, Vocabulary, to_numpy, to_text

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["check_equations", "check_forward", "corner_mismatches", "corner_warnings"]


def check_equations(problem: Problem) -> None:
    """Refuse an unknown that stands in no equation, and an equation without unknowns."""
    partials = problem.vocabulary.partials(*problem.residuals)
    for unknown in problem.unknowns:
        if not any(p.unknown == unknown for p in partials):
            raise ProblemError(f"the unknown {unknown} stands in no equation")
    for equation, residual in zip(problem.equations, problem.residuals, strict=True):
        if not problem.vocabulary.partials(residual):
            raise ProblemError(f"the equation {to_text(equation, problem.vocabulary)!r} contains no unknown")


def corner_warnings(problem: Problem) -> list[str]:
    """One sentence for each pair of conditions whose values disagree where they meet, unless that is accepted."""
    if problem.incompatible == "accept" or len(problem.conditions) < 2 or problem.unknown_functions:
        return []
    leaves = [problem.vocabulary.symbol(c) for c in problem.coordinates]

    def evaluate(formula: sympy.Expr, points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return to_numpy([problem.substituted(formula)], leaves, dict(problem.functions))(*points.T)[0]

    return [
        f"conditions {one.name!r} and {other.name!r} disagree by {gap:.3g} where they meet; "
        "say incompatible='accept' if that is meant"
        for one, other, gap in corner_mismatches(problem.conditions, problem.vocabulary, problem.domain, evaluate)
    ]


def check_forward(problem: Problem) -> None:
    """Ask whether equations and conditions are as many as the orders need; see `Problem.check_forward`."""
    if problem.unknown_functions:
        names = ", ".join(problem.unknown_functions)
        raise ProblemError(f"the functions {names} are not known; identify them from data first")
    if len(problem.equations) != len(problem.unknowns):
        raise ProblemError(
            f"{len(problem.unknowns)} unknown(s) ({', '.join(problem.unknowns)}) need as many equations, "
            f"got {len(problem.equations)}"
        )
    for coordinate in problem.coordinates:
        needed = {unknown: problem.order(unknown, coordinate) for unknown in problem.unknowns}
        given, points, named = 0, 0, dict.fromkeys(problem.unknowns, 0)
        for condition in problem.conditions:
            if coordinate not in condition.place:
                continue
            partials = problem.vocabulary.partials(condition.expression)
            if condition.kind == "periodic":
                # u(-1, t) = u(1, t) includes the derivatives; u_x(-1, t) = u_x(1, t) then adds nothing.
                count = 0 if any(partials[0].orders) else needed[partials[0].unknown]
            else:
                count = 1
            # A value at a point fixes a level that derivatives leave open; it is no condition on a side.
            at_point = condition.kind == "point" and problem.domain.dimension > 1
            points += count if at_point else 0
            given += 0 if at_point else count
            for unknown in {p.unknown for p in partials}:
                named[unknown] += count
        total = sum(needed.values())
        if given > total or given + points < total:
            per_unknown = ", ".join(f"{u}: order {needed[u]}, {named[u]} given" for u in problem.unknowns)
            what = (
                f"misses {total - given} condition(s)"
                if given < total
                else f"has {given - total} condition(s) too many"
            )
            hint = _hint(problem, coordinate) if given < total else ""
            raise ProblemError(
                f"the problem {what} in {coordinate}: {total} needed, {given} given ({per_unknown}){hint}"
            )


def _hint(problem: Problem, coordinate: str) -> str:
    """An example of a condition that is missing in a coordinate."""
    ends = problem.domain.interval(coordinate)
    axis, timely = problem.domain.index(coordinate), coordinate == problem.time
    orders = {u: problem.order(u, coordinate) for u in problem.unknowns}
    given = {
        (partial.unknown, partial.orders[axis], condition.place[coordinate])
        for condition in problem.conditions
        if coordinate in condition.place
        for partial in problem.vocabulary.partials(condition.expression)
    }
    # What evolves is asked at its beginning, all else at both ends; values before derivatives.
    places = ends[:1] if timely else ends
    several = max(orders.values()) if timely else -(-max(orders.values()) // 2)
    candidates = [
        (u, k, place)
        for k in range(max(several, 1))
        for u in problem.unknowns
        for place in places
        if orders[u] and k < orders[u] and (u, k, place) not in given
    ]
    unknown, order, place = candidates[0] if candidates else (max(orders, key=orders.__getitem__), 0, ends[0])

    def at(value: float, derivative: int = 0) -> str:
        marks = "'" * derivative if problem.domain.dimension == 1 else f"_{coordinate * derivative}" * (derivative > 0)
        arguments = ", ".join(f"{value:.4g}" if c == coordinate else c for c in problem.coordinates)
        return f"{unknown}{marks}({arguments})"

    example = f"; for example '{at(place, order)} = ...'"
    if timely or given:
        return example
    return f"{example} or periodic '{at(ends[0])} = {at(ends[1])}'"


def corner_mismatches(
    conditions: Iterable[Condition], vocabulary: Vocabulary, box: Box, evaluate: Any
) -> list[tuple[Condition, Condition, float]]:
    """Pairs of conditions whose values of one unknown disagree where their places meet.

    `evaluate(g, points)` gives the numbers of a formula at points of shape [N, dimension]. Returns the two conditions
    and the largest absolute difference, for differences above 1e-8 of the values' size.
    """
    rng = np.random.default_rng(0)
    found: list[tuple[Condition, Condition, float]] = []
    plain = []
    for condition in conditions:
        solved = condition.solved(vocabulary)
        if solved is not None and not any(solved[0].orders):
            plain.append((condition, solved[0].unknown, solved[1]))
    periodic = [c for c in conditions if c.kind == "periodic" and vocabulary.partial_of(c.expression) is not None]
    sample = np.asarray(box.lower) + rng.random((7, box.dimension)) * np.asarray(box.lengths)

    def at(*places: Mapping[str, float] | None) -> np.ndarray:
        points = sample.copy()
        for place in places:
            for name, value in (place or {}).items():
                points[:, box.index(name)] = value
        return points

    def compare(one: Condition, other: Condition, left: np.ndarray, right: np.ndarray) -> None:
        gap = float(np.max(np.abs(left - right)))
        if gap > 1e-8 * (1 + float(np.max(np.abs(left)))):
            found.append((one, other, gap))

    for i, (one, unknown, g) in enumerate(plain):
        for other, unknown2, h in plain[i + 1 :]:
            shared = one.place.keys() & other.place.keys()
            if unknown == unknown2 and all(one.place[c] == other.place[c] for c in shared):
                points = at(one.place, other.place)
                compare(one, other, evaluate(g, points), evaluate(h, points))
        for other in periodic:
            partial = vocabulary.partial_of(other.expression)
            if partial is not None and partial == Partial(unknown, (0,) * box.dimension):
                if one.place.keys() & other.place.keys():
                    continue
                low, high = at(one.place, other.place), at(one.place, other.partner)
                compare(one, other, evaluate(g, low), evaluate(g, high))
    return found
