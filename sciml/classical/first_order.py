"""Problems in time as first-order systems: equations solved for their highest time derivatives, and initial values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from sciml.errors import ProblemError
from sciml.notation import Partial

if TYPE_CHECKING:
    from sciml.condition import Condition
    from sciml.problem import Problem

__all__ = ["FirstOrderForm", "first_order_form", "initial_values"]


Expr = Any  # a SymPy expression; the annotations of SymPy's methods forget that they return one
Constants = Mapping[Any, Any]  # from symbols to numbers


@dataclass(frozen=True)
class FirstOrderForm:
    """The system d(component)/dt = rate.

    Attributes
    ----------
    time : index of the coordinate in which the problem evolves.
    components : the state, each unknown with its time derivatives below the highest: u, u_t, v, ...
    rates : for each component its time derivative as a field expression, parameters replaced by numbers; time
        derivatives occur in it only as components and their derivatives in space.
    """

    time: int
    components: tuple[Partial, ...]
    rates: tuple[Expr, ...]

    def component_of(self, partial: Partial) -> tuple[int, tuple[int, ...], int]:
        """Write a partial as a space derivative of a component: (component, orders without time, time order left)."""
        mine = [i for i, c in enumerate(self.components) if c.unknown == partial.unknown]
        order = partial.orders[self.time]
        index = mine[min(order, len(mine) - 1)]
        return index, self.space_orders(partial), order - self.components[index].orders[self.time]

    def space_orders(self, partial: Partial) -> tuple[int, ...]:
        """Return the orders of a partial in the coordinates other than time."""
        return tuple(order for axis, order in enumerate(partial.orders) if axis != self.time)


def first_order_form(problem: Problem, coordinate: str, constants: Constants | None = None) -> FirstOrderForm:
    """Solve the equations for the highest derivative of each unknown in a coordinate.

    `constants` are the numbers that are put in for parameters, all those of the problem by default.

    Raises
    ------
    ProblemError : an unknown without such a derivative, equations that are not linear in the highest derivatives or
        do not determine them.
    """
    vocabulary, time = problem.vocabulary, problem.coordinates.index(coordinate)
    numbers = dict(problem.constants if constants is None else constants)
    residuals = [residual.xreplace(numbers) for residual in problem.residuals]
    orders = {u: problem.order(u, coordinate) for u in problem.unknowns}
    for unknown, order in orders.items():
        if order == 0:
            raise ProblemError(
                f"no equation contains a derivative of {unknown} in {coordinate}: systems with algebraic or stationary "
                f"constraints do not evolve in {coordinate}; eliminate {unknown} by hand or differentiate its equation"
                f" (or say time=None if {coordinate} is no time)"
            )
    components = tuple(
        _pure(problem, unknown, time, order) for unknown in problem.unknowns for order in range(orders[unknown])
    )
    tops = {u: _pure(problem, u, time, order) for u, order in orders.items()}
    for partial in vocabulary.partials(*residuals):
        if partial.orders[time] == orders[partial.unknown] and partial != tops[partial.unknown]:
            raise ProblemError(
                f"{vocabulary.partial_text(partial)} mixes the highest derivative in {coordinate} with space "
                "derivatives: the classical solver needs equations that can be solved for it at each point; pinn.solve "
                "takes them as they are"
            )
    leaves = {u: sympy.Dummy(f"top_{u}", real=True) for u in problem.unknowns}
    plain = [r.xreplace({vocabulary.expression(tops[u]): leaf for u, leaf in leaves.items()}) for r in residuals]
    highest = _solve_linear(plain, list(leaves.values()), coordinate)
    solved = dict(zip(problem.unknowns, highest, strict=True))
    rates = []
    for component in components:
        order = component.orders[time] + 1
        last = order == orders[component.unknown]
        following = _pure(problem, component.unknown, time, order)
        rates.append(solved[component.unknown] if last else vocabulary.expression(following))
    return FirstOrderForm(time, components, tuple(rates))


def initial_values(
    problem: Problem, form: FirstOrderForm, place: float, constants: Constants | None = None
) -> tuple[Expr, ...]:
    """Return the initial value of each component as a formula in the other coordinates and what is no constant.

    The conditions at `place` may be linear combinations: values that are known are put into the others, with their
    space derivatives, until the rest can be solved together.

    Raises
    ------
    ProblemError : a condition that is nonlinear or contains too high a derivative; a component without a value.
    """
    vocabulary, name = problem.vocabulary, problem.coordinates[form.time]
    conditions = [c for c in problem.conditions if dict(c.place) == {name: place} and c.partner is None]
    moment = vocabulary.symbol(name)
    leaves = {component: sympy.Dummy(f"y{i}", real=True) for i, component in enumerate(form.components)}
    known: dict[Partial, Expr] = {}
    numbers = dict(problem.constants if constants is None else constants)
    pending = [(c, c.expression.xreplace(numbers)) for c in conditions]
    while pending:
        rest = []
        for condition, expression in pending:
            expression = _insert(problem, form, expression, known, condition)
            unsolved = vocabulary.partials(expression)
            if len(unsolved) == 1 and unsolved[0] in leaves:
                leaf = leaves[unsolved[0]]
                plain = expression.xreplace({vocabulary.expression(unsolved[0]): leaf})
                known[unsolved[0]] = _solve_linear([plain], [leaf], name, condition)[0].subs(moment, place)
            else:
                rest.append((condition, expression))
        if len(rest) == len(pending):
            known |= _solve_together(problem, rest, leaves, name, place)
            break
        pending = rest
    missing = [c for c in form.components if c not in known]
    if missing:
        texts = ", ".join(vocabulary.partial_text(c) for c in missing)
        raise ProblemError(f"the conditions at {name} = {place:.6g} give no value of {texts}")
    return tuple(known[component] for component in form.components)


def _pure(problem: Problem, unknown: str, time: int, order: int) -> Partial:
    return Partial(unknown, tuple(order if i == time else 0 for i in range(len(problem.coordinates))))


def _insert(
    problem: Problem,
    form: FirstOrderForm,
    expression: Expr,
    known: dict[Partial, Expr],
    condition: Condition,
) -> Expr:
    """Put known initial values and their space derivatives into a condition."""
    vocabulary = problem.vocabulary
    found: dict[Expr, Expr] = {}
    for partial in vocabulary.partials(expression):
        index, orders, excess = form.component_of(partial)
        if excess:
            raise ProblemError(
                f"condition {condition.name!r} contains {vocabulary.partial_text(partial)}, which the equation itself "
                "determines; give values of the lower derivatives"
            )
        value = known.get(form.components[index])
        if value is not None:
            axes = [c for axis, c in enumerate(problem.coordinates) if axis != form.time]
            for axis, order in zip(axes, orders, strict=True):
                value = sympy.diff(value, vocabulary.symbol(axis), order)
        # A partial without value stands for itself, lest the unknown inside its derivative be replaced.
        leaf = vocabulary.expression(partial)
        found[leaf] = leaf if value is None else value
    return expression.xreplace(found)


def _solve_together(
    problem: Problem,
    rest: Sequence[tuple[Condition, Expr]],
    leaves: dict[Partial, sympy.Dummy],
    name: str,
    place: float,
) -> dict[Partial, Expr]:
    """Solve conditions that share several unknown initial values."""
    vocabulary = problem.vocabulary
    partials = vocabulary.partials(*(expression for _, expression in rest))
    if len(partials) != len(rest) or any(p not in leaves for p in partials):
        names = "; ".join(repr(condition.name) for condition, _ in rest)
        raise ProblemError(f"the conditions {names} cannot be solved for the initial values at {name} = {place:.6g}")
    plain = [e.xreplace({vocabulary.expression(p): leaves[p] for p in partials}) for _, e in rest]
    values = _solve_linear(plain, [leaves[p] for p in partials], name, rest[0][0])
    return {p: value.subs(vocabulary.symbol(name), place) for p, value in zip(partials, values, strict=True)}


def _solve_linear(
    expressions: Sequence[Expr],
    leaves: Sequence[sympy.Dummy],
    coordinate: str,
    condition: Condition | None = None,
) -> list[Expr]:
    """Solve expressions = 0 for the leaves, in which they must be linear."""
    where = f"condition {condition.name!r} is" if condition else "the equations are"
    what = "the initial values" if condition else f"the highest derivatives in {coordinate}"
    matrix: Any = sympy.Matrix([[sympy.diff(e, leaf) for leaf in leaves] for e in expressions])
    if matrix.has(*leaves):
        raise ProblemError(f"{where} not linear in {what}; solve for them by hand")
    constant: Any = sympy.Matrix([e.subs(dict.fromkeys(leaves, 0)) for e in expressions])
    if sympy.expand(matrix.det()) == 0:
        raise ProblemError(f"{where} not independent: they do not determine {what}")
    if matrix.is_diagonal():
        return [-constant[i] / matrix[i, i] for i in range(len(leaves))]
    return list(matrix.LUsolve(-constant))
