"""Equations and conditions of a stationary problem, compiled, with what a discretisation must know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from sciml.formulas import Formula
from sciml.notation import Partial

if TYPE_CHECKING:
    from sciml.condition import Condition
    from sciml.problem import Problem

__all__ = ["Declaration", "Term", "breaks"]


@dataclass(frozen=True)
class Term:
    """An equation or condition: a formula that vanishes where the coordinates in `place` have the values given."""

    name: str
    formula: Formula
    place: dict[int, float]
    partner: dict[int, float] | None = None
    order: int = 0  # highest derivative across the side
    top: tuple[bool, ...] = ()  # which of the formula's partials are of its highest order (equations only)


def _equation(name: str, formula: Formula) -> Term:
    highest = max((sum(p.orders) for p in formula.partials), default=0)
    return Term(name, formula, {}, top=tuple(highest > 0 and sum(p.orders) == highest for p in formula.partials))


class Declaration:
    """What collocation needs to know of a problem, independent of resolution: compiled terms and orders.

    Parameters
    ----------
    problem : Problem
    discontinuous : unknowns without conditions of their own (a pressure), whose space is not made continuous.
    """

    def __init__(self, problem: Problem, discontinuous: Sequence[str] = ()) -> None:
        self.problem = problem
        self.dimension = len(problem.coordinates)
        self.periodic = [name in problem.periodic for name in problem.coordinates]
        partials = problem.vocabulary.partials(*problem.residuals)
        self.orders: dict[str, tuple[int, ...]] = {
            u: tuple(
                0 if u in discontinuous else max((p.orders[axis] for p in partials if p.unknown == u), default=0)
                for axis in range(self.dimension)
            )
            for u in problem.unknowns
        }
        numbered = len(problem.residuals) > 1
        self.equations = [
            _equation(f"equation {i + 1}" if numbered else "equation", Formula(residual, problem))
            for i, residual in enumerate(problem.residuals)
        ]
        self.conditions = [term for condition in problem.conditions for term in self._terms(condition)]
        self.linear = all(term.formula.linear for term in (*self.equations, *self.conditions))
        # The sides with values own the corners, those with derivatives follow: a value is known in a corner itself.
        highest = [
            max((t.order for t in self.conditions if axis in t.place), default=0) for axis in range(self.dimension)
        ]
        self.rank = [
            sorted(range(self.dimension), key=lambda a: (highest[a], a)).index(b) for b in range(self.dimension)
        ]

    def _terms(self, condition: Condition) -> list[Term]:
        index = self.problem.coordinates.index
        place = {index(name): float(value) for name, value in condition.place.items()}
        if condition.partner is None:
            formula = Formula(condition.expression, self.problem)
            order = max((p.orders[axis] for p in formula.partials for axis in place), default=0)
            return [Term(condition.name, formula, place, None, order)]
        (axis,) = place
        partial = self.problem.vocabulary.partial_of(condition.expression)
        if self.periodic[axis]:
            return []
        partner = {index(name): float(value) for name, value in condition.partner.items()}
        if partial is None or any(partial.orders):
            return [Term(condition.name, Formula(condition.expression, self.problem), place, partner)]
        # Periodicity of one unknown among several: its derivatives below the order of the equations agree as well.
        terms = []
        for order in range(self.orders[partial.unknown][axis]):
            orders = tuple(order if a == axis else 0 for a in range(self.dimension))
            expression = self.problem.vocabulary.expression(Partial(partial.unknown, orders))
            terms.append(Term(condition.name, Formula(expression, self.problem), place, partner, order))
        return terms


def breaks(problem: Problem) -> list[list[float]]:
    """Find for each coordinate the places inside the box where the problem's formulas are not smooth.

    These are the places where the argument of a piecewise function, an absolute value or the like, which depends on
    one coordinate alone, changes its sign: x = 0.3 for `where(x < 0.3, 1, 2)` or `abs(x - 0.3)`.
    """
    formulas = [*problem.residuals, *(condition.expression for condition in problem.conditions)]
    switches: set[Any] = set()
    for formula in map(problem.substituted, formulas):
        nodes: set[Any] = formula.atoms(sympy.core.relational.Relational, sympy.Abs, sympy.sign, sympy.Heaviside)
        pairs: set[Any] = formula.atoms(sympy.Max, sympy.Min)
        switches |= {node.lhs - node.rhs if node.is_Relational else node.args[0] for node in nodes}
        switches |= {one - two for node in pairs for i, one in enumerate(node.args) for two in node.args[:i]}
    result: list[list[float]] = []
    for name, a, b in zip(problem.coordinates, problem.domain.lower, problem.domain.upper, strict=True):
        symbol, found = problem.vocabulary.symbol(name), set()
        for switch in switches:
            polynomial = switch.as_poly(symbol) if switch.free_symbols == {symbol} else None
            if polynomial is not None and not problem.vocabulary.partials(switch):
                roots = [complex(root) for root in polynomial.nroots(n=17, maxsteps=200)]
                found |= {root.real for root in roots if abs(root.imag) < 1e-12}
        inside = sorted(root for root in found if a + 1e-9 * (b - a) < root < b - 1e-9 * (b - a))
        result.append([root for i, root in enumerate(inside) if i == 0 or root - inside[i - 1] > 1e-9 * (b - a)])
    return result
