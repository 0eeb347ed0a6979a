"""The two-resolution loop: solve at finer and finer resolution until two results agree, and return the finer one."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.classical.clock import Clock
from sciml.errors import ArgumentError, SolveError
from sciml.grids import comparison_points, relative
from sciml.notation import Partial
from sciml.solution import Evaluator, Solution, Status

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Attempt", "Ladder", "Progress", "check_arguments", "refine"]

Progress = Callable[[Mapping[str, Any]], None] | None


@dataclass(frozen=True)
class Attempt:
    """The solution at one resolution.

    Attributes
    ----------
    evaluator : what was found.
    resolution : numbers that describe it, for example {"x": 64, "tolerance": 1e-9}.
    unknown_count : number of unknowns of the discrete system (per time).
    refines : whether it is finer than the attempt before in every respect (space and time), so that their difference
        estimates the error of that one.
    failure : why it is incomplete (what the user should know); empty if it is complete.
    notes : further details for the solution.
    """

    evaluator: Evaluator
    resolution: Mapping[str, float]
    unknown_count: int
    refines: bool = True
    failure: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


class Ladder(ABC):
    """A sequence of resolutions for one problem."""

    method: str

    @abstractmethod
    def climb(self, estimate: float | None, clock: Clock) -> Attempt | None:
        """Solve at the next resolution, or return None where there is no finer one.

        `estimate` is the relative difference of the last two attempts, None where there were none to compare.
        """


def check_arguments(rtol: float, budget: float | None) -> None:
    """Raise ArgumentError for a tolerance or a budget out of range."""
    if isinstance(rtol, bool) or not isinstance(rtol, int | float | np.number) or not 0 < rtol < 1:
        raise ArgumentError(f"rtol must be a relative error between 0 and 1, not {rtol!r}")
    if budget is not None and (
        isinstance(budget, bool) or not isinstance(budget, int | float | np.number) or not budget > 0
    ):
        raise ArgumentError(f"budget must be a positive number of seconds or None, not {budget!r}")


def refine(
    problem: Problem,
    ladder: Ladder,
    *,
    rtol: float,
    clock: Clock,
    progress: Progress = None,
    failures: int = 3,
    unknowns: tuple[str, ...] | None = None,
) -> Solution:
    """Climb a ladder of resolutions until two results agree.

    Parameters
    ----------
    problem, ladder : what to solve and how.
    rtol : relative L2 difference of two attempts on `sciml.grids.comparison_points` that is small enough.
    clock : its budget ends the loop; the best result so far is returned.
    progress : called after each attempt with "iteration", "seconds", "loss" (the estimate), "estimate", "stage".
    failures : incomplete attempts in a row (a solution that stops being finite) after which the loop ends.
    unknowns : those that enter the estimate; all by default.

    Returns
    -------
    Solution
        the finest result; `details["coarser"]` is the Solution it was compared with, `estimate` their difference.

    Raises
    ------
    SolveError : not a single result was found.
    """
    names = tuple(problem.unknowns if unknowns is None else unknowns)
    points = comparison_points(problem.domain)
    history: dict[str, list[float]] = {"iteration": [], "seconds": [], "estimate": [], "unknowns": []}
    fine: tuple[Attempt, np.ndarray] | None = None
    coarse: Attempt | None = None
    partial: Attempt | None = None
    estimate, iteration, failed = None, 0, 0
    status, message, seen = Status.INACCURATE, "", []
    while True:
        # What overflows on the way is told by the status.
        with np.errstate(all="ignore"):
            attempt = ladder.climb(estimate, clock)
        if attempt is None:
            if clock.expired:
                status, message = Status.BUDGET, ""
            elif fine is None and partial is not None:
                status, message = Status.DIVERGED, partial.failure
            else:
                status, message = Status.INACCURATE, "the finest resolution was reached before two results agreed"
            break
        iteration += 1
        values = None if attempt.failure else _values(attempt, problem, names, points)
        if values is None or not np.all(np.isfinite(values)):
            failed, partial = failed + 1, attempt
            if clock.expired or failed >= failures:
                status = Status.BUDGET if clock.expired else Status.DIVERGED
                message = attempt.failure or "the values stopped being finite"
                break
            continue
        failed = 0
        if fine is not None:
            coarse = fine[0]
            estimate = relative(fine[1], values)
        fine = attempt, values
        row = (iteration, clock.seconds, np.nan if estimate is None else estimate, attempt.unknown_count)
        for series, value in zip(history.values(), row, strict=True):
            series.append(float(value))
        if progress is not None:
            progress(_report(iteration, clock, estimate, attempt))
        if estimate is not None and attempt.refines:
            if estimate <= rtol:
                status, message = Status.CONVERGED, f"two resolutions agree to {estimate:.1e}"
                break
            seen.append(estimate)
            if len(seen) >= 4 and min(seen[-2:]) > 0.5 * min(seen[:-2]):
                status, message = Status.INACCURATE, "finer resolutions no longer come closer to each other"
                break
        if clock.expired:
            status = Status.BUDGET
            break

    def solution(attempt: Attempt, status: Status, message: str, estimate: float | None, **details: Any) -> Solution:
        return Solution(
            problem,
            attempt.evaluator,
            method=ladder.method,
            status=status,
            message=message,
            wall_time=clock.seconds,
            estimate=estimate,
            history=history,
            details={
                "iterations": iteration,
                "unknown_count": attempt.unknown_count,
                "resolution": dict(attempt.resolution),
                "versions": _versions(),
                **attempt.notes,
                **details,
            },
        )

    if fine is None:
        if partial is None:
            raise SolveError(f"no solution was found: {message or status.advice}")
        return solution(partial, status, message, None)
    text = _sentence(status, message, estimate, rtol)
    if coarse is None:
        return solution(fine[0], status, text, None)
    coarser = solution(coarse, Status.INACCURATE, "the coarser of two resolutions", estimate)
    return solution(fine[0], status, text, estimate, coarser=coarser)


def _sentence(status: Status, message: str, estimate: float | None, rtol: float) -> str:
    if status is Status.CONVERGED or not message:
        return message
    gap = "" if estimate is None else f"; the last two differ by {estimate:.1e}, {rtol:.1e} was asked for"
    return f"{message}{gap}. {status.advice}"


def _values(attempt: Attempt, problem: Problem, names: tuple[str, ...], points: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        solution = Solution(problem, attempt.evaluator, method="", status=Status.INACCURATE)
        return solution.evaluate([Partial(name, (0,) * problem.domain.dimension) for name in names], points)


def _report(iteration: int, clock: Clock, estimate: float | None, attempt: Attempt) -> dict[str, Any]:
    shown = ", ".join(f"{name} {value:.6g}" for name, value in attempt.resolution.items())
    return {
        "iteration": iteration,
        "seconds": clock.seconds,
        "loss": estimate,
        "terms": {},
        "estimate": estimate,
        "stage": f"resolution {shown}",
    }


def _versions() -> dict[str, str]:
    import scipy

    return {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
