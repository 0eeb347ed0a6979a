"""What the equations and the initial values themselves say of a result: why it is none, or not the only one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sciml.initial_values import blow_up, other_solution
from sciml.short_waves import short_waves
from sciml.status import Status

if TYPE_CHECKING:
    from sciml.solution import Solution

__all__ = ["explained"]


def explained(solution: Solution) -> Solution:
    """Return a solution with status and message by what can be said of its problem.

    Where other solutions begin at the same initial state, or short waves grow without bound, it is no success however
    small its residual is; where it has none because it leaves the finite numbers, that is said.
    """
    problem = solution.problem
    if text := other_solution(problem):
        return replace(solution, status=Status.ILL_POSED, message=text, estimate=None)
    if text := short_waves(problem):
        return replace(solution, status=Status.ILL_POSED, message=text)
    if not solution.success and (text := blow_up(problem)):
        return replace(solution, status=Status.DIVERGED, message=text)
    return solution
