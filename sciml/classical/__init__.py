"""Classical solvers of the same declarations: spectral methods in space, high-order integrators in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.classical.clock import Clock
from sciml.classical.evolution import solve_evolution
from sciml.classical.ordinary import is_initial_value_problem, solve_ordinary
from sciml.classical.refinement import Progress, check_arguments
from sciml.classical.stationary import solve_stationary

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = ["solve"]


def solve(
    problem: Problem, *, rtol: float = 1e-8, budget: float | None = None, progress: Progress = None
) -> Solution:
    """x."""
    check_arguments(rtol, budget)
    problem.check_forward()
    if len(problem.coordinates) == 1 and is_initial_value_problem(problem):
        return solve_ordinary(problem, rtol=rtol, clock=Clock(budget), progress=progress)
    if problem.time is None or len(problem.coordinates) == 1:
        return solve_stationary(problem, rtol=rtol, budget=budget, progress=progress)
    return solve_evolution(problem, rtol=rtol, clock=Clock(budget), progress=progress)
