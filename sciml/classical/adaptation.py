"""The loop over resolutions of a stationary problem: refine until two agree, return the finer."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
from numpy.typing import NDArray

from sciml.classical.clock import Clock
from sciml.classical.discretisation import Discretisation
from sciml.classical.fields import Fields, Meshes
from sciml.classical.newton import RELAXED, Root, SingularSystemError, follow, newton
from sciml.classical.resolution import Resolution
from sciml.errors import ProblemError, SolveError
from sciml.grids import comparison_points, relative, tensor_points
from sciml.notation import Partial
from sciml.solution import Evaluator, Solution, Status

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Adaptation", "Journal"]

Array = NDArray[Any]
Progress = Callable[[Mapping[str, Any]], None]


class Journal:
    """Clock, history and progress of one computation."""

    def __init__(self, budget: float | None, progress: Progress | None) -> None:
        self.clock = Clock(budget)
        self.deadline = time.perf_counter() + self.clock.budget
        self.progress = progress
        self.estimate: float | None = None
        self.stage = ""
        self.iterations = 0
        self._rows: list[tuple[float, float, dict[str, float]]] = []

    def record(self, terms: Mapping[str, float]) -> None:
        """Note one Newton step with its mean squares by term."""
        self.iterations += 1
        loss = float(sum(terms.values()))
        self._rows.append((self.clock.seconds, loss, dict(terms)))
        if self.progress:
            self.progress(
                {
                    "iteration": self.iterations,
                    "seconds": self.clock.seconds,
                    "loss": loss,
                    "terms": dict(terms),
                    "estimate": self.estimate,
                    "stage": self.stage,
                }
            )

    @property
    def history(self) -> dict[str, list[float]]:
        """Series of equal length by name."""
        names = list(self._rows[-1][2]) if self._rows else []
        series = {
            "iteration": [float(i + 1) for i in range(len(self._rows))],
            "seconds": [row[0] for row in self._rows],
            "loss": [row[1] for row in self._rows],
        }
        return series | {f"loss: {name}": [row[2].get(name, math.nan) for row in self._rows] for name in names}


class _Level:
    """A solution on one resolution."""

    def __init__(self, system: Discretisation, root: Root) -> None:
        self.system, self.root = system, root
        self.evaluator = system.evaluator(root.vector)
        self.tails = system.tails(root.vector)


class Adaptation:
    """The loop over resolutions.

    Parameters
    ----------
    problem : what is solved.
    make : builds the discrete system on given meshes.
    resolution : proposes the meshes.
    rtol : relative L2 difference of two resolutions that is small enough.
    journal : clock and history.
    method : words for the user.
    compared : unknowns that enter the estimate; all by default.
    remark : a sentence for the message.
    """

    def __init__(
        self,
        problem: Problem,
        make: Callable[[Meshes], Discretisation],
        resolution: Resolution,
        rtol: float,
        journal: Journal,
        *,
        method: str,
        compared: Sequence[str] | None = None,
        remark: str = "",
    ) -> None:
        self.problem, self.make, self.resolution = problem, make, resolution
        self.rtol, self.journal, self.method, self.remark = rtol, journal, method, remark
        self.compared = tuple(problem.unknowns if compared is None else compared)
        self.levels: list[dict[str, Any]] = []
        self.estimates: list[float] = []
        self.misfits: list[float] = []
        self.relaxed: tuple[Fields, float] | None = None  # where continuation got to on the last resolution

    def run(self) -> Solution:
        """Refine until two resolutions agree."""
        journal, meshes = self.journal, self.resolution.first()
        best: _Level | None = None
        coarser: _Level | None = None
        failed: tuple[Discretisation, Root] | None = None
        failures = 0
        status, message = Status.INACCURATE, ""
        while True:
            system = self.make(meshes)
            journal.stage = f"resolution {' x '.join(str(mesh.size) for mesh in meshes)}"
            began = journal.clock.seconds
            root = self._solve(system, best)
            if root.converged:
                coarser, best, failures = best, _Level(system, root), 0
                if coarser is not None:
                    journal.estimate = self._difference(best, coarser)
                    self.estimates.append(journal.estimate)
            else:
                failed, failures = (system, root), failures + 1
            self._note(system, root, journal.clock.seconds - began)
            estimate = journal.estimate
            if best is not None and self._contradicts(best):
                message = "no solution satisfies all equations and conditions: they contradict each other"
                break
            if coarser is not None and estimate is not None and estimate <= self.rtol and failures == 0:
                status, message = Status.CONVERGED, f"two resolutions agree to {estimate:.1e}"
                break
            if journal.clock.expired:
                status = Status.BUDGET
                break
            if failures > (12 if len(meshes) == 1 else 3):
                status, message = Status.STAGNATED, "Newton's method does not converge on any affordable resolution"
                break
            if self._noise():
                message = "rounding errors keep two resolutions from coming closer to each other"
                break
            finer = self.resolution.next(meshes, best.tails if best and failures == 0 else None, estimate)
            if finer is None:
                message = "the finest affordable resolution was reached before two results agreed"
                break
            growth = self.resolution.size(finer) / self.resolution.size(meshes)
            if journal.clock.seconds + 0.5 * growth**2 * (journal.clock.seconds - began) > journal.clock.budget:
                # One factorisation cannot be interrupted: it is not begun if it would end far beyond the budget.
                status = Status.BUDGET
                break
            meshes = finer
        if best is None:
            return self._unfinished(failed, status, message)
        text = self._sentence(status, message)
        if coarser is None:
            return self._solution(best, status, text, None)
        other = self._solution(coarser, Status.INACCURATE, "the coarser of two resolutions", journal.estimate)
        return self._solution(best, status, text, journal.estimate, coarser=other)

    def _solve(self, system: Discretisation, previous: _Level | None) -> Root:
        """Find a root: from the previous resolution, from first guesses, in the end by continuation."""
        if system.rows < system.size:
            self.problem.check_forward()
            raise ProblemError(
                f"the conditions are too few: {system.rows} equations for {system.size} coefficients at this resolution"
            )

        def record(vector: Array) -> None:
            self.journal.record(system.losses(vector))

        tol = min(1e-10, 1e-3 * self.rtol)
        options: dict[str, Any] = {"tol": tol, "deadline": self.journal.deadline, "record": record}
        root = Root(np.zeros(system.size), False, 0, math.inf)
        null: Array | None = None
        for start in self._starts(system, previous):
            try:
                trial = newton(system, start, **options)
            except SingularSystemError as error:
                null = error.null
                if system.linear:
                    raise ProblemError(self._undetermined(system, null)) from None
                continue
            if trial.converged or system.linear:
                return trial
            root = trial
        if null is not None and _always_singular(system, null):
            raise ProblemError(self._undetermined(system, null))
        start = system.starts()[-1] if self.relaxed is None else system.transfer(self.relaxed[0])
        trial, relaxation = follow(system, start, RELAXED if self.relaxed is None else self.relaxed[1], **options)
        if trial.converged:
            self.relaxed = None
            return trial
        found = relaxation < RELAXED and bool(np.all(np.isfinite(trial.vector)))
        self.relaxed = (system.fields(trial.vector), relaxation) if found else None
        # The root of a relaxed problem is a better state than where Newton's method got lost.
        return trial if found else root

    def _starts(self, system: Discretisation, previous: _Level | None) -> Iterator[Array]:
        if previous is not None:
            yield system.transfer(previous.system.fields(previous.root.vector))
        elif self.relaxed is None:
            yield from system.starts()

    def _difference(self, fine: _Level, coarse: _Level) -> float:
        """Relative L2 difference: the larger of those on the fine mesh's Gauss points and on the package's grid."""
        partials = [Partial(name, (0,) * len(self.problem.coordinates)) for name in self.compared]
        rules = [mesh.gauss(mesh.count + 2) for mesh in fine.system.meshes]
        weights: Array = np.array(1.0)
        for _, weight in rules:
            weights = np.multiply.outer(weights, weight)
        result = 0.0
        for points, weight in (
            (tensor_points([axis for axis, _ in rules]), np.sqrt(weights.ravel())),
            (comparison_points(self.problem.domain), 1.0),
        ):
            one, two = (weight * level.evaluator.evaluate(partials, points) for level in (fine, coarse))
            result = max(result, relative(two, one))
        return result

    def _undetermined(self, system: Discretisation, null: Array) -> str:
        """Say what a singular problem leaves open."""
        evaluator, zero = system.evaluator(null), (0,) * len(self.problem.coordinates)
        points = tensor_points([mesh.points for mesh in system.meshes])
        partials = [Partial(name, zero) for name in self.problem.unknowns]
        values = dict(zip(self.problem.unknowns, evaluator.evaluate(partials, points), strict=True))
        largest = max(float(np.abs(v).max()) for v in values.values())
        free = [u for u, v in values.items() if np.abs(v).max() > 1e-6 * largest]
        if free and all(np.ptp(values[u]) <= 1e-6 * largest for u in free):
            place = ", ".join(f"{a:.6g}" for a in self.problem.domain.lower)
            return (
                f"the problem determines {' and '.join(free)} only up to a constant, because equations and conditions "
                f"contain its derivatives alone; add a condition at a point, such as {free[0]}({place}) = 0"
            )
        return (
            f"the problem does not determine {' and '.join(free) or 'its unknowns'}: with zero data it has a solution "
            "that is not zero (a resonance, or conditions that repeat each other); change a parameter or a condition"
        )

    def _note(self, system: Discretisation, root: Root, seconds: float) -> None:
        self.levels.append(
            {
                "points": [mesh.size for mesh in system.meshes],
                "elements": [mesh.elements for mesh in system.meshes],
                "coefficients": system.size,
                "iterations": root.iterations,
                "converged": root.converged,
                "estimate": self.journal.estimate,
                "seconds": seconds,
            }
        )

    def _noise(self) -> bool:
        """Whether the estimates have stopped falling at the level of rounding."""
        last = self.estimates[-3:]
        return len(last) == 3 and last[-1] < 1e-9 and min(last[1:]) > 0.5 * last[0]

    def _contradicts(self, level: _Level) -> bool:
        """Whether an overdetermined system keeps a residual that does not fall with resolution."""
        system = level.system
        if system.rows == system.size:
            return False
        scale = float(np.linalg.norm(system.residual(np.zeros(system.size))))
        rest = float(np.linalg.norm(system.residual(level.root.vector)))
        self.misfits.append(rest / scale if scale > 0 else rest)
        last = self.misfits[-3:]
        return len(last) == 3 and min(last) > max(1e-4, 10 * self.rtol) and last[2] > 0.3 * last[0]

    def _sentence(self, status: Status, message: str) -> str:
        parts = [message or status.advice]
        if status is not Status.CONVERGED and self.journal.estimate is not None:
            parts.append(f"the last two differ by {self.journal.estimate:.1e}, {self.rtol:.1e} was asked for")
        if self.remark:
            parts.append(self.remark)
        return "; ".join(part.rstrip(".") for part in parts)

    def _unfinished(self, failed: tuple[Discretisation, Root] | None, status: Status, message: str) -> Solution:
        if failed is None or not np.all(np.isfinite(failed[0].residual(failed[1].vector))):
            raise SolveError("no finite state was found: the equations are not finite at any first guess")
        return self._solution(_Level(*failed), status, self._sentence(status, message), None)

    def _solution(
        self, level: _Level, status: Status, message: str, estimate: float | None, **details: Any
    ) -> Solution:
        meshes = level.system.meshes
        evaluator: Evaluator = level.evaluator
        return Solution(
            self.problem,
            evaluator,
            method=f"{self.method} ({_describe(meshes)}), Newton",
            status=status,
            message=message,
            wall_time=self.journal.clock.seconds,
            estimate=estimate,
            history=self.journal.history,
            details={
                "iterations": self.journal.iterations,
                "unknown_count": level.system.size,
                "resolution": {name: mesh.size for name, mesh in zip(self.problem.coordinates, meshes, strict=True)},
                "compared": list(self.compared),
                "levels": list(self.levels),
                "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
                **details,
            },
        )


def _describe(meshes: Meshes) -> str:
    return " x ".join(
        f"Fourier {mesh.size}"
        if mesh.periodic
        else f"degree {mesh.count + 1}"
        if mesh.elements == 1
        else f"{mesh.elements} elements of {mesh.count} points"
        for mesh in meshes
    )


def _always_singular(system: Discretisation, null: Array) -> bool:
    """Whether a null vector at one state is one at another state too, as where a constant is free."""
    matrix = system.jacobian(np.random.default_rng(0).uniform(0.2, 0.4, system.size))
    size = float(abs(matrix).sum(axis=1).max())
    return float(np.abs(matrix @ null).max()) <= 1e-9 * size * system.norm(null)
