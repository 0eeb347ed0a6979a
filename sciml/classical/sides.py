"""Boundary conditions of evolution equations: linear conditions of one unknown, imposed exactly at all times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.first_order import FirstOrderForm
from sciml.classical.spaces import Space
from sciml.errors import ProblemError
from sciml.notation import to_numpy

if TYPE_CHECKING:
    from sciml.condition import Condition
    from sciml.problem import Problem

__all__ = ["Side", "sides_of"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Side:
    """The condition sum_k weights[k] * (k-th derivative across the side) = value(time, place along the side).

    Attributes
    ----------
    name : the condition as typed.
    unknown : of which it is a condition.
    axis : number of the space coordinate that it fixes, and `end` its value.
    weights : of the derivatives, lowest first.
    values : the right-hand side and its time derivatives, as many as the unknown has components, each a function of
        one array per coordinate.
    constant : whether the right-hand side does not depend on time.
    """

    name: str
    unknown: str
    axis: int
    end: float
    weights: tuple[float, ...]
    values: tuple[Callable[..., Array], ...]
    constant: bool

    def row(self, space: Space) -> Array:
        """Return the condition as a row [size] of a system for the coefficients in a space."""
        place = np.array([self.end])
        return sum(
            (weight * space.matrix(place, order).toarray()[0] for order, weight in enumerate(self.weights) if weight),
            np.zeros(space.size),
        )

    def value(self, order: int, coordinates: list[Array]) -> Array:
        """Right-hand side, differentiated `order` times by time, at points given by one array per coordinate."""
        return self.values[order](*coordinates)


def sides_of(problem: Problem, form: FirstOrderForm) -> list[Side]:
    """Return the boundary conditions of the coordinates that are not periodic.

    Raises
    ------
    ProblemError : a condition that is nonlinear, has coefficients that vary, joins several unknowns, or contains
        derivatives along the side or in time.
    """
    time = problem.coordinates[form.time]
    result = []
    for condition in problem.conditions:
        if condition.kind == "initial" or (
            condition.partner is not None and next(iter(condition.place)) in problem.periodic
        ):
            continue
        if condition.partner is not None or len(condition.place) != 1 or time in condition.place:
            raise _refusal(condition, "it is neither an initial condition nor one at a side of the box")
        ((name, end),) = condition.place.items()
        if end not in problem.domain.interval(name):
            raise _refusal(condition, "it holds inside the domain")
        result.append(_side(problem, form, condition, name, end))
    return result


def _side(problem: Problem, form: FirstOrderForm, condition: Condition, name: str, end: float) -> Side:
    vocabulary, index = problem.vocabulary, problem.coordinates.index(name)
    expression = problem.substituted(condition.expression)
    partials = vocabulary.partials(expression)
    if len({p.unknown for p in partials}) != 1:
        raise _refusal(condition, "it joins several unknowns; write it as one condition for each")
    if any(order for p in partials for axis, order in enumerate(p.orders) if axis != index):
        raise _refusal(condition, "it contains derivatives along the side or in time")
    leaves = [sympy.Dummy(f"b{i}", real=True) for i in range(len(partials))]
    plain = expression.xreplace({vocabulary.expression(p): leaf for p, leaf in zip(partials, leaves, strict=True)})
    weights = [0.0] * (1 + max(p.orders[index] for p in partials))
    for partial, leaf in zip(partials, leaves, strict=True):
        slope = sympy.diff(plain, leaf)
        slope = sympy.N(slope if slope.is_number else sympy.simplify(slope), 17)
        if not slope.is_number:
            raise _refusal(condition, "it is not linear with constant coefficients")
        weights[partial.orders[index]] = float(slope)
    value = sympy.Mul(-1, plain.xreplace(dict.fromkeys(leaves, sympy.Integer(0))))
    moment = vocabulary.symbol(problem.coordinates[form.time])
    symbols = [vocabulary.symbol(c) for c in problem.coordinates]
    unknown = partials[0].unknown
    count = sum(c.unknown == unknown for c in form.components)
    derivatives = [sympy.diff(value, moment, order) if order else value for order in range(count)]
    functions = dict(problem.functions)
    values = tuple(_compile(derivative, symbols, functions) for derivative in derivatives)
    return Side(condition.name, unknown, problem.space.index(name), end, tuple(weights), values, not value.has(moment))


def _compile(
    formula: sympy.Expr, symbols: Sequence[sympy.Symbol], functions: Mapping[str, Callable[..., Any]]
) -> Callable[..., Array]:
    compiled = to_numpy([formula], symbols, functions)
    return lambda *coordinates: compiled(*coordinates)[0]


def _refusal(condition: Condition, reason: str) -> ProblemError:
    return ProblemError(
        f"the classical solver cannot impose {condition.name!r} on an evolution equation: {reason} "
        "(pinn.solve takes any condition as a residual)"
    )
