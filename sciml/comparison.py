"""An honest comparison of a network with the classical solver: at equal accuracy and at equal time.

The two rules are those of N. McGreivy and A. Hakim (2024, doi:10.1038/s42256-024-00897-5): compare at equal accuracy
or at equal time, and against an efficient method. The classical solver runs at a ladder of tolerances; each run counts
with its whole time, the check by a second resolution included, and with its true error against the same reference.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from sciml.errors import ArgumentError, ProblemError, SolveError
from sciml.grids import values_of
from sciml.typography import short

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = ["Comparison", "Reference", "Step", "compare", "reference"]

LADDER = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11)
# No number is better than this in float64 on the grids of `Solution.error`.
ROUNDING = 1e-16
# Runs shorter than this are repeated and the faster one counts: the first pays for imports and caches.
SHORT = 0.3

Report = Callable[[Mapping[str, Any]], None]


@final
@dataclass(frozen=True)
class Reference:
    """What errors are measured against; callable with one array per coordinate, it gives values by unknown.

    Attributes
    ----------
    kind : "exact" or "classical"
    problem : Problem
    accuracy : relative L2; rounding for an exact solution, the estimate for a classical one. Smaller errors than this
        cannot be seen.
    unknowns : names that enter the error. An unknown that only a condition at a single point fixes stays out: it is the
        pressure of an incompressible flow, singular where the velocity jumps.
    solution : the classical Solution, or None.
    """

    kind: Literal["exact", "classical"]
    problem: Problem
    accuracy: float
    unknowns: tuple[str, ...]
    solution: Solution | None = None

    def __call__(self, *coordinates: np.ndarray) -> dict[str, np.ndarray]:
        """Return values by unknown at points given by arrays [N], one for each coordinate."""
        names = self.problem.unknowns
        source = self.problem if self.solution is None else self.solution
        rows = values_of(source, self.problem, names, np.stack(coordinates, axis=1))
        return dict(zip(names, rows, strict=True))

    def error(self, solution: Solution) -> float:
        """Return the relative L2 error of a solution over the box, never below the accuracy of this reference."""
        return max(solution.error(self, unknowns=self.unknowns), self.accuracy)

    def shown(self, error: float, digits: int = 1) -> str:
        """Return an error for a sentence; one that this reference cannot see is at most its accuracy."""
        if error > self.accuracy:
            return short(error, digits)
        return f"<= {short(self.accuracy, 0)} ({self.limit})"

    @property
    def limit(self) -> str:
        """What smaller errors drown in."""
        return "rounding" if self.solution is None else "the reference's accuracy"

    @property
    def text(self) -> str:
        """What this is, in words."""
        if self.solution is None:
            return "the exact solution"
        return f"a classical reference ({_short(self.solution)}), itself good to {short(self.accuracy, 0)}"


@final
@dataclass(frozen=True)
class Step:
    """One run of the classical solver: tolerance asked for, seconds, true relative L2 error, method."""

    rtol: float
    seconds: float
    error: float
    method: str


@final
@dataclass(frozen=True)
class Comparison:
    """A network's solution against the classical solver.

    Attributes
    ----------
    problem : name
    reference : what the errors are measured against, in words; `accuracy` of it
    network_method, network_seconds, network_error
    classical_seconds : least time in which the classical solver is as accurate as the network; None if it never was
    classical_error : least error that it reaches in the network's time; None if no run was that short
    steps : all runs
    text : one sentence for the user
    """

    problem: str
    reference: str
    accuracy: float
    network_method: str
    network_seconds: float
    network_error: float
    classical_seconds: float | None
    classical_error: float | None
    steps: tuple[Step, ...]
    text: str

    @property
    def network_at_limit(self) -> bool:
        """Whether the network's error is one that the reference cannot see: at most its accuracy."""
        return self.network_error <= self.accuracy

    @property
    def speedup(self) -> float | None:
        """How many times faster the classical solver reaches the network's accuracy (below 1: the network is)."""
        return None if self.classical_seconds is None else self.network_seconds / max(self.classical_seconds, 1e-6)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts."""
        steps = [asdict(step) | {"at_limit": step.error <= self.accuracy} for step in self.steps]
        return {**asdict(self), "steps": steps, "speedup": self.speedup, "network_at_limit": self.network_at_limit}


def reference(problem: Problem, *, budget: float | None = None, progress: Report | None = None) -> Reference:
    """Return the exact solution where the problem has one, else a classical solution as tight as the problem allows.

    Parameters
    ----------
    problem : Problem
        its `reference` is the tolerance that the classical solver is asked for.
    budget : float, optional
        seconds for the classical solver; what it has by then counts, with the estimate it has by then.
    progress : callable, optional
        receives the solver's reports.

    Raises
    ------
    SolveError
        there is no exact solution and the classical solver cannot treat the problem, or not to 10 %; the text says why.
    """
    unknowns = _judged(problem)
    if problem.has_exact:
        return Reference("exact", problem, ROUNDING, unknowns)
    from sciml import classical

    reasons: list[str] = []
    for rtol in dict.fromkeys((problem.reference, max(problem.reference, 1e-6), max(problem.reference, 1e-4))):
        try:
            solution = classical.solve(problem, rtol=rtol, budget=budget, progress=progress)
        except SolveError as error:
            reasons.append(str(error))
            continue
        except ProblemError as error:
            raise SolveError(f"no reference: {error}") from error
        if solution.estimate is not None and solution.estimate <= 0.1:
            return Reference("classical", problem, max(solution.estimate, ROUNDING), unknowns, solution)
        reasons.append(solution.message)
    raise SolveError(f"no exact solution, and no classical reference: {reasons[0]}")


def compare(
    problem: Problem,
    solution: Solution | None = None,
    *,
    against: Reference | None = None,
    budget: float = 30.0,
    ladder: Sequence[float] = LADDER,
    progress: Report | None = None,
    **options: Any,
) -> Comparison:
    """Compare a network with the classical solver on one problem.

    Parameters
    ----------
    problem : Problem
    solution : Solution, optional
        the network's; `pinn.solve(problem, budget=budget, **options)` if absent.
    against : Reference, optional
        `reference(problem, budget=budget)` if absent.
    budget : float
        seconds; the classical runs together take no more.
    ladder : floats, falling
        tolerances for the classical solver.
    progress : callable, optional
        receives the solvers' reports.

    Raises
    ------
    SolveError
        there is no reference.
    """
    if not budget > 0:
        raise ArgumentError(f"budget must be a number of seconds above 0, not {budget!r}")
    if solution is None:
        from sciml import pinn

        solution = pinn.solve(problem, budget=budget, progress=progress, **options)
    against = reference(problem, budget=budget, progress=progress) if against is None else against
    return _compared(problem, solution, against, budget, ladder, progress)


def _compared(
    problem: Problem,
    solution: Solution,
    against: Reference,
    budget: float,
    ladder: Sequence[float],
    progress: Report | None,
) -> Comparison:
    error = against.error(solution)
    steps = _climb(problem, against, ladder, solution.wall_time, error, budget, progress)
    enough = [step.seconds for step in steps if step.error <= error]
    in_time = [step.error for step in steps if step.seconds <= solution.wall_time]
    seconds, reached = min(enough, default=None), min(in_time, default=None)
    return Comparison(
        problem=problem.name,
        reference=against.text,
        accuracy=against.accuracy,
        network_method=solution.method,
        network_seconds=solution.wall_time,
        network_error=error,
        classical_seconds=seconds,
        classical_error=reached,
        steps=tuple(steps),
        text=_sentence(solution.wall_time, error, seconds, reached, steps, against, budget),
    )


def _climb(
    problem: Problem,
    against: Reference,
    ladder: Sequence[float],
    network_seconds: float,
    network_error: float,
    budget: float,
    progress: Report | None,
) -> list[Step]:
    """Run the classical solver at falling tolerances until it is both as accurate as the network and slower."""
    from sciml import classical

    steps: list[Step] = []
    finest = 0.0
    if against.solution is not None:
        made = against.solution
        finest = max(made.details.get("rtol", problem.reference), against.accuracy)
        steps.append(Step(finest, made.wall_time, against.accuracy, _short(made)))
    # The reference was a run too; what it took is no longer there for others, but a third of the budget always is.
    left = budget if against.solution is None else max(budget - against.solution.wall_time, budget / 3)
    for rtol in ladder:
        if left <= 0 or rtol <= finest:
            break
        started = time.perf_counter()
        try:
            found = classical.solve(problem, rtol=rtol, budget=left, progress=progress)
            seconds = found.wall_time
            if not steps and seconds < SHORT:
                seconds = min(seconds, classical.solve(problem, rtol=rtol, budget=left).wall_time)
        except (SolveError, ProblemError):
            break
        left -= time.perf_counter() - started
        steps.append(Step(rtol, seconds, against.error(found), _short(found)))
        accurate = min(step.error for step in steps) <= max(network_error, against.accuracy)
        if accurate and seconds > network_seconds:
            break
    return sorted(steps, key=lambda step: -step.rtol)


def _judged(problem: Problem) -> tuple[str, ...]:
    """Return the unknowns without those that only a condition at a single point fixes."""
    if len(problem.coordinates) == 1:
        return tuple(problem.unknowns)
    kinds: dict[str, set[str]] = {}
    for condition in problem.conditions:
        for partial in problem.vocabulary.partials(condition.expression):
            kinds.setdefault(partial.unknown, set()).add(condition.kind)
    kept = tuple(name for name in problem.unknowns if kinds.get(name) != {"point"})
    return kept or tuple(problem.unknowns)


def _short(solution: Solution) -> str:
    """Return the method without the word classical, which stands beside it anyway."""
    return solution.method.removeprefix("classical").lstrip(":, ") or "adaptive"


def _sentence(
    seconds: float,
    error: float,
    classical_seconds: float | None,
    classical_error: float | None,
    steps: Sequence[Step],
    against: Reference,
    budget: float,
) -> str:
    seen: list[bool] = []

    def shown(value: float) -> str:
        seen.append(value > against.accuracy)
        return short(value) if seen[-1] else f"<= {short(against.accuracy)}"

    network = f"network {shown(error)} in {seconds:.2g} s"
    if not steps:
        return f"{network}; the classical solver has no result within {budget:.3g} s"
    if classical_seconds is None:
        fastest = min(steps, key=lambda step: step.error)
        equal = f"reaches {shown(fastest.error)} in {fastest.seconds:.2g} s at best, less accurate than the network"
    else:
        fastest = next(s for s in steps if s.seconds == classical_seconds and s.error <= error)
        ratio = seconds / max(classical_seconds, 1e-6)
        pace = f"{_rounded(ratio)} times faster" if ratio >= 1 else f"the network is {_rounded(1 / ratio)} times faster"
        equal = f"reaches {shown(fastest.error)} in {classical_seconds:.2g} s ({pace})"
    if classical_error is None:
        there = " and has no result in the network's time"
    elif classical_seconds is None or classical_error < fastest.error:
        there = f" and {shown(classical_error)} in the network's time"
    else:
        there = ""
    limit = "" if all(seen) else f" (<= is {against.limit})"
    return f"{network}; classical ({fastest.method}) {equal}{there}{limit}"


def _rounded(ratio: float) -> str:
    """Return a ratio with two digits, without an exponent."""
    if ratio < 10:
        return f"{ratio:.1f}"
    digits = math.floor(math.log10(ratio)) - 1
    return f"{round(ratio / 10**digits) * 10**digits:.0f}"
