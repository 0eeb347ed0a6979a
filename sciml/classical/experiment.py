"""What an experiment would measure for given parameters, and how that depends on them."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from sciml.classical.clock import Clock
from sciml.classical.ordinary import is_initial_value_problem
from sciml.classical.variational import VariationalSystem
from sciml.errors import ProblemError, ScimlError
from sciml.inference import Range
from sciml.observations import Observations
from sciml.solution import Solution, Status
from sciml.unknowns import moving_names

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Experiment", "TrialError", "experiment_of"]

Array = NDArray[Any]

KEPT = 1e-5  # tolerance of the solver below which slopes serve at finer ones too
USABLE = 0.05  # estimated relative error above which a solution says nothing
LARGEST_STEP = 0.05  # of a finite difference, in z
NEAR = 1e-2  # change of z, and
SAME = 1e-3  # relative change of the values, up to which slopes are kept


class TrialError(Exception):
    """The forward problem has no usable solution for some values of the parameters; the text says why."""


class Experiment(ABC):
    """The values that were measured, as the equations predict them, as a function of unconstrained numbers z.

    Parameters
    ----------
    problem : Problem
    observations : Observations
    ranges : mapping
        of all unknown numbers, by name; those that are no parameters of this problem belong to other experiments.
    logarithm : bool
        whether logarithms of the values are compared.

    Attributes
    ----------
    names, data : of each of the M measured numbers the name of what was measured, and its value (or logarithm).
    scale : of each of them the size of its errors where the relative error of the solution is one: the root mean
        square of all data of that name (one for logarithms).
    solves : how often the forward problem was solved.
    """

    def __init__(
        self, problem: Problem, observations: Observations, ranges: Mapping[str, Range], logarithm: bool
    ) -> None:
        self.problem, self.observations, self.ranges, self.logarithm = problem, observations, ranges, logarithm
        self.own = tuple(name for name in ranges if name in problem.parameters)
        self.columns = np.array([list(ranges).index(name) for name in self.own], dtype=int)
        self.partials = [problem.vocabulary.parse_partial(name) for name in observations.values]
        table = np.array(list(observations.values.values()), dtype=float)
        self.present = np.isfinite(table)
        counts = self.present.sum(axis=1)
        self.names = np.repeat(np.array(list(observations.values), dtype=object), counts)
        self.data = np.log(table[self.present]) if logarithm else table[self.present]
        squares = np.where(self.present, table, 0.0) ** 2
        sizes = np.ones(len(counts)) if logarithm else np.sqrt(squares.sum(axis=1) / np.maximum(counts, 1))
        self.scale = np.repeat(np.where(sizes > 0, sizes, 1.0), counts)
        self.solves = 0

    @property
    @abstractmethod
    def method(self) -> str:
        """How slopes are obtained, in words."""

    @abstractmethod
    def values(self, z: Array, tolerance: float, clock: Clock) -> Array:
        """Return the predicted values [M] to a relative error of the solution.

        Raises
        ------
        TrialError : there are none.
        """

    @abstractmethod
    def slopes(self, z: Array, tolerance: float, clock: Clock) -> tuple[Array, Array]:
        """Return the derivatives [M, P] by all of z, and the norm of the error of each column in units of `scale`."""

    def parameters(self, z: Array) -> dict[str, float]:
        """Return the parameters of this problem."""
        return {name: self.ranges[name].value(float(z[k])) for name, k in zip(self.own, self.columns, strict=True)}

    def shortened(self, part: float) -> Experiment | None:
        """Return the experiment with the data of the first part of its time only, None where that saves nothing."""
        return None

    def compared(self, values: Array) -> Array:
        """Return what is compared with `data`, from the values [partials, N] of the solution."""
        found = values[self.present]
        if not np.all(np.isfinite(found)):
            raise TrialError("the solution is not finite at the data")
        if not self.logarithm:
            return found
        if np.any(found <= 0):
            raise TrialError("the solution is not positive at the data, as multiplicative noise needs it")
        return np.log(found)


@final
class VariationalExperiment(Experiment):
    """An initial-value problem in one coordinate: slopes by its variational equations."""

    method = "variational equations, Radau IIA of order 13"  # pyright: ignore[reportAssignmentType]

    def __init__(
        self,
        problem: Problem,
        observations: Observations,
        ranges: Mapping[str, Range],
        logarithm: bool,
        system: VariationalSystem | None = None,
    ) -> None:
        super().__init__(problem, observations, ranges, logarithm)
        self.system = VariationalSystem(problem, self.own) if system is None else system
        self.times = observations.points[:, 0]
        self._seen: tuple[bytes, float, Array] = (b"", 0.0, np.empty(0))

    def shortened(self, part: float) -> Experiment | None:
        """Return the experiment with the data of the first part of its time only."""
        origin = self.system.upper if self.system.backward else self.system.lower
        distance = abs(self.times - origin)
        rows = distance <= part * distance.max()
        values = {name: column[rows] for name, column in self.observations.values.items()}
        if not all(np.isfinite(column).any() for column in values.values()):
            return None
        early = Observations(self.observations.points[rows], values, self.observations.source)
        return VariationalExperiment(self.problem, early, self.ranges, self.logarithm, self.system)

    def values(self, z: Array, tolerance: float, clock: Clock) -> Array:
        """Return the predicted values [M]; their slopes come along and are kept."""
        return self.compared(self._table(z, tolerance, clock)[0])

    def slopes(self, z: Array, tolerance: float, clock: Clock) -> tuple[Array, Array]:
        """Return the derivatives [M, P] and the norm of the error of each column in units of `scale`."""
        table = self._table(z, tolerance, clock)
        rates = np.array([self.ranges[name].slope(float(z[k])) for name, k in zip(self.own, self.columns, strict=True)])
        found = table[1:, self.present].T * rates
        if self.logarithm:
            found = found / table[0][self.present][:, None]
        result = np.zeros((len(self.data), len(self.ranges)))
        result[:, self.columns] = found
        return result, 10 * tolerance * np.linalg.norm(result / self.scale[:, None], axis=0)

    def _table(self, z: Array, tolerance: float, clock: Clock) -> Array:
        """Return the values and their derivatives by the own parameters, [1 + P, partials, N]."""
        if self._seen[:2] != (z.tobytes(), tolerance):
            self.solves += 1
            reach = float(self.times.min() if self.system.backward else self.times.max())
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                # A tenth for each step, so that they add up to the tolerance.
                found = self.system.integrate(self.parameters(z), reach, tolerance / 10, clock)
            if found is None:
                raise TrialError("the solution stopped being finite or smooth before the last datum")
            self._seen = z.tobytes(), tolerance, self.system.values(found, self.partials, self.times)
        return self._seen[2]


@final
class ForwardExperiment(Experiment):
    """Any problem with a forward solver: slopes by differences, their steps chosen by the solver's accuracy.

    With a relative error tau of the solution, a difference whose step changes the solution by sqrt(tau) is right to
    about sqrt(tau): its rounding and its curvature weigh the same.
    """

    def __init__(
        self, problem: Problem, observations: Observations, ranges: Mapping[str, Range], logarithm: bool
    ) -> None:
        super().__init__(problem, observations, ranges, logarithm)
        self._latest: tuple[Array, float, Solution | None] = (np.empty(0), 0.0, None)
        self._accepted = self._latest
        self._last: tuple[Array, Array, Array, Array, float] | None = None
        self._method = ""

    @property
    def method(self) -> str:
        """How slopes are obtained, in words."""
        return f"finite differences, {self._method}"

    def values(self, z: Array, tolerance: float, clock: Clock) -> Array:
        """Return the predicted values [M]."""
        return self._values(self.solution(z, tolerance, clock))

    def solution(self, z: Array, tolerance: float, clock: Clock) -> Solution:
        """Return the solution; the last one and that of the last slopes are kept."""
        for place, accuracy, found in (self._latest, self._accepted):
            if found is not None and accuracy == tolerance and np.array_equal(place, z):
                return found
        found = self._solve(z, tolerance, clock)
        self._latest = z.copy(), tolerance, found
        return found

    def accepted(self) -> Solution | None:
        """Return the solution where slopes were asked for last."""
        return self._accepted[2]

    def slopes(self, z: Array, tolerance: float, clock: Clock) -> tuple[Array, Array]:
        """Return the derivatives [M, P] and the norm of the error of each column in units of `scale`."""
        base = self.values(z, tolerance, clock)
        self._accepted = z.copy(), tolerance, self.solution(z, tolerance, clock)
        size = math.sqrt(len(base)) if self.logarithm else float(np.linalg.norm(base / self.scale))
        if self._last is not None:
            place, before, slopes, errors, accuracy = self._last
            moved = float(np.linalg.norm((base - before) / self.scale))
            if accuracy <= max(tolerance, KEPT) and moved <= SAME * size and np.max(abs(z - place)) <= NEAR:
                return slopes, errors
        result, errors = np.zeros((len(base), len(self.ranges))), np.zeros(len(self.ranges))
        for k in self.columns:
            step = math.sqrt(tolerance)
            if self._last is not None:
                response = float(np.linalg.norm(self._last[2][:, k] / self.scale))
                step = min(max(step * size / max(response, 1e-300), 1e-3 * step), LARGEST_STEP)
            moved, step = self._moved(z, k, step, tolerance, clock)
            result[:, k] = (moved - base) / step
            response = float(np.linalg.norm(result[:, k] / self.scale))
            errors[k] = tolerance * size / abs(step) + math.sqrt(tolerance) * response
        self._last = z.copy(), base, result, errors, tolerance
        return result, errors

    def _moved(self, z: Array, k: int, step: float, tolerance: float, clock: Clock) -> tuple[Array, float]:
        """Return the values a step away, to the other side where there are none."""
        for signed in (step, -step):
            moved = z.copy()
            moved[k] += signed
            try:
                return self._values(self._solve(moved, tolerance, clock)), signed
            except TrialError:
                if clock.expired:
                    raise
        raise TrialError(f"no solution was found on either side of {list(self.ranges)[k]}")

    def _values(self, solution: Solution) -> Array:
        try:
            return self.compared(solution.evaluate(self.partials, self.observations.points))
        except ScimlError as error:
            raise TrialError(str(error)) from None

    def _solve(self, z: Array, tolerance: float, clock: Clock) -> Solution:
        from sciml.classical import solve  # which stands on this room's other modules

        self.solves += 1
        left = None if math.isinf(clock.budget) else max(clock.budget - clock.seconds, 1e-3)
        try:
            # What a declaration warns of, it has warned of already; far-off trials overflow.
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                solution = solve(self.problem.replace(**self.parameters(z)), rtol=tolerance, budget=left)
        except (ScimlError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise TrialError(str(error)) from None
        if solution.status in (Status.DIVERGED, Status.BUDGET) or not (solution.estimate or 0.0) <= USABLE:
            raise TrialError(solution.message)
        self._method = solution.method
        return solution


def experiment_of(
    problem: Problem, observations: Observations, ranges: Mapping[str, Range], logarithm: bool
) -> Experiment:
    """Return the experiment with the best way to slopes.

    Raises
    ------
    ProblemError : the problem is no forward problem.
    """
    try:
        problem.check_forward()
    except ProblemError as error:
        raise ProblemError(
            f"classical.identify solves the problem forward for each trial, but {error}. Declare what is missing, with "
            "unknown numbers where it is not known; pinn.identify needs no conditions"
        ) from None
    moving = moving_names(problem) & set(ranges)
    if len(problem.coordinates) == 1 and is_initial_value_problem(problem) and not moving:
        try:
            return VariationalExperiment(problem, observations, ranges, logarithm)
        except ProblemError:
            pass  # no formulas to differentiate: by differences then, or the solver says what is wrong
    return ForwardExperiment(problem, observations, ranges, logarithm)
