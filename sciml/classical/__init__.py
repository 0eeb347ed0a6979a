"""Classical solvers of the same declarations: spectral methods in space, integrators of high order in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from sciml.classical.clock import Clock
from sciml.classical.evolution import solve_evolution
from sciml.classical.inverse import identify
from sciml.classical.ordinary import is_initial_value_problem, solve_ordinary
from sciml.classical.refinement import Progress, check_arguments
from sciml.classical.stationary import solve_stationary
from sciml.errors import ArgumentError, closest

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = ["identify", "solve"]

METHODS = {
    "ordinary": ("auto", "explicit", "implicit"),
    "evolution": ("auto", "fourier", "collocation"),
    "stationary": ("auto",),
}


def solve(
    problem: Problem,
    *,
    rtol: float = 1e-8,
    budget: float | None = None,
    method: str = "auto",
    progress: Progress = None,
) -> Solution:
    r"""Solve a problem forward to an estimated relative error.

    The problem is solved at finer and finer resolution, in space and in time, until two results agree:

    .. math:: \|u_\mathrm{fine} - u_\mathrm{coarse}\|_2 \le \mathrm{rtol}\,\|u_\mathrm{fine}\|_2

    on the points of `sciml.grids.comparison_points`. The finer one is returned; it holds its accuracy between time
    steps too. Ordinary equations with all values at one end are integrated by methods of order 8 or 13; evolution
    equations are discretised by Fourier modes or polynomials in space; everything else, boundary-value problems of
    ordinary equations included, is a stationary problem, solved by Newton's method.

    Parameters
    ----------
    problem : Problem
    rtol : float
        relative L2 error wanted, in (0, 1).
    budget : float or None
        seconds after which the best result so far is returned.
    method : str
        "auto", or for ordinary equations "explicit" or "implicit" (integration in time), for evolution equations
        "fourier" or "collocation" (discretisation in space).
    progress : callable, optional
        called after each resolution with a mapping of "iteration", "seconds", "loss" and "estimate" (the difference of
        the last two results, None at first), "terms", "stage".

    Returns
    -------
    Solution
        `estimate` is the difference above, `details["coarser"]` the coarser Solution. `success` is False where the
        results did not come to agree: `status` and `message` say why and what can be done.

    Raises
    ------
    ProblemError
        the problem is not well-posed, or of a kind that these methods cannot treat; the text says what would work.
    ArgumentError
        an argument is out of range.
    SolveError
        there is no usable result at all.

    Examples
    --------
    >>> from sciml import Problem, classical
    >>> heat = Problem("u_t = 0.1*u_xx", ["u(x, 0) = sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"],
    ...                {"x": (0, 1), "t": (0, 1)}, exact="exp(-0.1*pi**2*t)*sin(pi*x)")
    >>> u = classical.solve(heat)
    >>> u.success and u.error() < 1e-8
    True
    """
    check_arguments(rtol, budget)
    kind = _kind(problem)
    if method not in METHODS[kind]:
        names = ", ".join(map(repr, METHODS[kind]))
        raise ArgumentError(
            f"method of this {kind} problem must be one of {names}, not {method!r}{closest(str(method), METHODS[kind])}"
        )
    problem.check_forward()
    if kind == "stationary":
        return solve_stationary(problem, rtol=rtol, budget=budget, progress=progress)
    march = solve_ordinary if kind == "ordinary" else solve_evolution
    # Many products of small matrices: threads would spend ten times as long waiting for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        return march(problem, rtol=rtol, clock=Clock(budget), method=method, progress=progress)


def _kind(problem: Problem) -> str:
    if len(problem.coordinates) == 1:
        return "ordinary" if is_initial_value_problem(problem) else "stationary"
    return "stationary" if problem.time is None else "evolution"
