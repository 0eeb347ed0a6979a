"""Equations of first order in time, solved for the time derivatives: u_t = f(x, t, u, u_x, ...)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast, final

import sympy

from sciml.errors import ArgumentError, ProblemError
from sciml.notation import Partial, to_text
from sciml.problem import Problem

__all__ = ["Evolution", "evolution_of"]


@final
@dataclass(frozen=True)
class Evolution:
    """A system of evolution equations in one space dimension.

    Attributes
    ----------
    problem : whose equations they are.
    rates : f by unknown, free of time derivatives; parameters are symbols.
    residuals : u_t - f for each unknown, in their order.
    time, space : the names of the coordinates.
    order : the highest order of a derivative in space.
    """

    problem: Problem
    rates: dict[str, sympy.Expr]
    residuals: tuple[sympy.Expr, ...]
    time: str
    space: str
    order: int

    @property
    def axes(self) -> tuple[int, int]:
        """The places of space and time among the coordinates."""
        return self.problem.domain.index(self.space), self.problem.domain.index(self.time)


def evolution_of(problem: Problem) -> Evolution:
    """Solve the equations of a problem for the time derivatives of its unknowns.

    Raises
    ------
    ProblemError : a problem without time or with another number of space coordinates than one; equations that are not
        of first order in time, in which a time derivative does not stand linearly, or that do not determine one.
    """
    if not isinstance(problem, Problem):
        raise ArgumentError(f"problem must be a sciml.Problem (sciml.load gives one by name), got {problem!r}")
    named = f"problem {problem.name}".rstrip()
    time, space = problem.time, problem.space
    if time is None:
        raise ProblemError(f"{named}: a step in time needs a time coordinate; the domain has {_listed(space)}")
    if len(space) != 1:
        raise ProblemError(
            f"{named}: one step by Runge-Kutta stages is for one space coordinate, the domain has {_listed(space)}; "
            "use pinn.solve or pinn.identify"
        )
    words = problem.vocabulary
    axis = problem.domain.index(time)
    partials = words.partials(*problem.residuals)
    for partial in partials:
        order = partial.orders[axis]
        if order > 1 or (order == 1 and sum(partial.orders) > 1):
            shown = to_text(words.expression(partial), words)
            advice = "write it as a system of first order in time" if order > 1 else "solve for the time derivative"
            raise ProblemError(
                f"{named}: {shown} stands in an equation, but only first derivatives in {time} alone can; {advice}"
            )
    if len(problem.residuals) != len(problem.unknowns):
        raise ProblemError(
            f"{named}: {len(problem.residuals)} equations for {len(problem.unknowns)} unknowns; a step needs as many"
        )
    rates = dict(zip(problem.unknowns, _solved(problem, named, axis), strict=True))
    leaves = {name: words.expression(_first(name, axis, problem)) for name in problem.unknowns}
    residuals = tuple(cast(sympy.Expr, leaves[name] - rate) for name, rate in rates.items())
    place = problem.domain.index(space[0])
    highest = max((p.orders[place] for p in partials), default=0)
    return Evolution(problem, rates, residuals, time, space[0], highest)


def _first(name: str, axis: int, problem: Problem) -> Partial:
    """The first time derivative of an unknown."""
    return Partial(name, tuple(int(i == axis) for i in range(problem.domain.dimension)))


def _solved(problem: Problem, named: str, axis: int) -> list[sympy.Expr]:
    """The time derivatives, by elimination in the matrix of their coefficients."""
    words = problem.vocabulary
    marks = {name: sympy.Dummy(f"{name}_rate", real=True) for name in problem.unknowns}
    table = {words.expression(_first(name, axis, problem)): mark for name, mark in marks.items()}
    flat = [cast(sympy.Expr, residual.xreplace(table)) for residual in problem.residuals]
    rows = []
    for residual, equation in zip(flat, problem.equations, strict=True):
        row = [sympy.diff(residual, mark) for mark in marks.values()]
        if any(entry.has(*marks.values()) for entry in row):
            raise ProblemError(
                f"{named}: {to_text(equation, words)} is not linear in its time derivatives; solve it for them"
            )
        rows.append(row)
    matrix: Any = sympy.Matrix(rows)
    for column, name in enumerate(problem.unknowns):
        if not any(matrix[:, column]):
            raise ProblemError(
                f"{named}: no equation has the time derivative of {name}; such a constraint has no Runge-Kutta step "
                "here, use pinn.solve or pinn.identify"
            )
    if sympy.simplify(matrix.det()) == 0:
        raise ProblemError(
            f"{named}: the equations do not determine the time derivatives of {_listed(problem.unknowns)} one by one"
        )
    rest: Any = sympy.Matrix([residual.subs(dict.fromkeys(marks.values(), 0)) for residual in flat])
    if matrix.is_diagonal():
        solved: list[Any] = [-rest[i] / matrix[i, i] for i in range(len(flat))]
    else:
        solved = list(-matrix.LUsolve(rest))
    return [cast(sympy.Expr, sympy.expand_mul(entry)) for entry in solved]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "none"
