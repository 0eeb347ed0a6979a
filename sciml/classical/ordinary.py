"""Ordinary differential equations with values given at one end of the interval, stiff or not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.clock import Clock
from sciml.classical.evaluator import OrdinaryEvaluator
from sciml.classical.explicit import FINEST, TooManyStepsError, integrate_explicit
from sciml.classical.first_order import FirstOrderForm, first_order_form, initial_values
from sciml.classical.radau import DenseLinearisation, integrate_radau
from sciml.classical.refinement import Attempt, Ladder, Progress, refine
from sciml.classical.rounding import rounding_error
from sciml.classical.trajectory import PiecewisePolynomial
from sciml.errors import ProblemError
from sciml.formulas import Formula
from sciml.initial_values import blow_up, other_solution, steep_components
from sciml.notation import to_numpy
from sciml.solution import Solution, Status

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["OrdinarySystem", "is_initial_value_problem", "solve_ordinary"]

Array = NDArray[Any]

EXPLICIT_STEPS = 20_000  # more than this many: limited by stability, or so long that the implicit method is as good
FLOOR = 1e-3  # components smaller than this fraction of their size so far are held to an absolute tolerance


class OrdinarySystem:
    """y' = f(t, y) for the components of a problem in one coordinate, vectorised over times.

    Parameters
    ----------
    problem : with one coordinate.
    form : its first-order form.
    """

    def __init__(self, problem: Problem, form: FirstOrderForm) -> None:
        self.form = form
        leaves = [problem.vocabulary.expression(component) for component in form.components]
        moment = problem.vocabulary.symbol(problem.coordinates[0])
        self._rates = to_numpy(list(form.rates), [moment, *leaves], dict(problem.functions))
        self._formulas = [Formula(rate, problem) for rate in form.rates]

    def rates(self, times: Array, states: Array) -> Array:
        """Return f at `times` [T] and `states` [T, n], as [T, n]."""
        return np.stack(self._rates(times, *states.T), axis=1)

    def jacobian(self, time: float, state: Array) -> DenseLinearisation:
        """Derivative of f by y, [n, n]."""
        return DenseLinearisation(self.jacobians(np.array([time]), state[None])[0])

    def jacobians(self, times: Array, states: Array) -> Array:
        """Derivatives of f by y at `times` [T] and `states` [T, n], [T, n, n]."""
        matrix = np.zeros((len(times), states.shape[1], states.shape[1]))
        position = {component: i for i, component in enumerate(self.form.components)}
        for row, formula in enumerate(self._formulas):
            columns = [position[partial] for partial in formula.partials]
            slopes = formula.slopes([times], [states[:, column] for column in columns])
            for column, slope in zip(columns, slopes, strict=True):
                matrix[:, row, column] = slope
        return matrix


class _OrdinaryLadder(Ladder):
    """Two tolerances of an integrator, and smaller ones until they agree."""

    def __init__(self, problem: Problem, rtol: float, method: str) -> None:
        self.problem, self.rtol = problem, rtol
        self.coordinate = problem.coordinates[0]
        lower, upper = problem.domain.interval(self.coordinate)
        place = next(iter(problem.conditions[0].place.values()))
        self.backward = place == upper
        self.form = first_order_form(problem, self.coordinate)
        self.system = OrdinarySystem(problem, self.form)
        self.initial = _numbers(problem, initial_values(problem, self.form, place))
        self.span = (-upper, -lower) if self.backward else (lower, upper)
        self.steep = bool(steep_components(self._rate, self.span[0], self.initial))
        self.stiff = method == "implicit" or (method == "auto" and self._stiff_at_start())
        self.steps = 10**9 if method == "explicit" else EXPLICIT_STEPS
        self.tolerance: float | None = None
        self.trajectory: PiecewisePolynomial | None = None

    def rounding(self) -> float:
        """Return the relative error that rounding makes of the latest trajectory."""
        if self.trajectory is None:
            return 0.0
        sign = -1.0 if self.backward else 1.0
        judged = [i for i, component in enumerate(self.form.components) if not any(component.orders)]
        return rounding_error(self.trajectory, lambda t, y: sign * self.system.jacobians(sign * t, y), judged)

    @property
    def method(self) -> str:
        """Name of the method."""
        return "Radau IIA of order 13" if self.stiff else "Dormand-Prince 8(5,3)"

    def climb(self, estimate: float | None, clock: Clock) -> Attempt | None:
        """Integrate with the next tolerance."""
        refines = self.tolerance is not None
        if self.tolerance is None:
            self.tolerance = max(self.rtol / 10, 16 * FINEST)
        elif self.tolerance <= FINEST:
            return None
        else:
            factor = 1 / 16 if not estimate else min(1 / 16, self.rtol / estimate)
            self.tolerance = max(self.tolerance * factor, FINEST)
        trajectory = self.trajectory = self._integrate(self.tolerance, clock)
        failure, reached = "", trajectory.end
        if reached < self.span[1]:
            reason = "the time budget ended" if clock.expired else "the solution stopped being finite or smooth"
            held = "on towards the other end" if self.backward else "from there on"
            failure = (
                f"{reason} near {self.coordinate} = {-reached if self.backward else reached:.6g}; "
                f"{held} its last value is held"
            )
        if self.backward:
            trajectory = trajectory.reversed()
        return Attempt(
            OrdinaryEvaluator(trajectory, self.form),
            {"tolerance": self.tolerance, "pieces": len(trajectory.nodal)},
            len(self.initial),
            refines,
            failure,
        )

    def _integrate(self, tolerance: float, clock: Clock) -> PiecewisePolynomial:
        """Integrate explicitly, or implicitly if that is or turns out to be cheaper."""
        groups = np.arange(len(self.initial))
        trajectory = None
        if not self.stiff:
            try:
                trajectory = integrate_explicit(
                    self._rate, self.span, self.initial, tolerance, groups, clock, floor=FLOOR, steps=self.steps
                )
            except TooManyStepsError:
                self.stiff = True
        if self.stiff:
            trajectory = integrate_radau(
                self._rates, self._jacobian, self.span, self.initial, tolerance, clock, groups=groups, floor=FLOOR**2
            )
        if trajectory is None:
            return PiecewisePolynomial.constant(self.span, self.initial)
        return trajectory

    def _rates(self, times: Array, states: Array) -> Array:
        return -self.system.rates(-times, states) if self.backward else self.system.rates(times, states)

    def _rate(self, time: float, state: Array) -> Array:
        return self._rates(np.array([time]), state[None])[0]

    def _jacobian(self, time: float, state: Array) -> DenseLinearisation:
        sign = -1.0 if self.backward else 1.0
        return DenseLinearisation(sign * self.system.jacobian(sign * time, state).matrix)

    def _stiff_at_start(self) -> bool:
        """Whether stability alone would ask for more explicit steps than are made."""
        matrix = self._jacobian(self.span[0], self.initial).matrix
        if not np.all(np.isfinite(matrix)):
            return False
        radius = float(np.max(np.abs(np.linalg.eigvals(matrix))))
        return radius * (self.span[1] - self.span[0]) / 6 > EXPLICIT_STEPS


def is_initial_value_problem(problem: Problem) -> bool:
    """Whether all conditions of a problem in one coordinate stand at the same end of it."""
    places = {tuple(condition.place.items()) for condition in problem.conditions}
    ends = problem.domain.interval(problem.coordinates[0])
    return (
        len(places) == 1
        and all(condition.partner is None for condition in problem.conditions)
        and next(iter(places))[0][1] in ends
    )


def solve_ordinary(
    problem: Problem, *, rtol: float, clock: Clock, method: str = "auto", progress: Progress = None
) -> Solution:
    """Solve an initial-value problem in one coordinate.

    The equations are solved for the highest derivatives and integrated as a first-order system, by an explicit method
    of order 8 or, where stability would limit its steps, an implicit one of order 13; both are right between the steps
    too. Two tolerances are compared.

    Parameters
    ----------
    problem : in one coordinate, all conditions at the same end.
    rtol : relative L2 error wanted.
    method : "auto", "explicit" or "implicit".
    clock, progress : as in `sciml.classical.refinement.refine`.

    Returns
    -------
    Solution : of the status "ill-posed" where others begin at the same initial state, because the slope there is
        infinite.

    Raises
    ------
    ProblemError : the equations cannot be solved for their highest derivatives, or the initial values are not numbers.
    """
    ladder = _OrdinaryLadder(problem, rtol, method)
    solution = refine(problem, ladder, rtol=rtol, clock=clock, progress=progress)
    if ladder.steep and (text := other_solution(problem)):
        return dataclasses.replace(solution, status=Status.ILL_POSED, message=text, estimate=None)
    if solution.status is Status.DIVERGED and (text := blow_up(problem)):
        return dataclasses.replace(solution, message=f"{text} From there on its last value is held.")
    if solution.success:
        return dataclasses.replace(_with_rounding(solution, ladder), wall_time=clock.seconds)
    coarser = solution.details.get("coarser")
    if coarser is None:
        return solution
    time = _agreement(solution, coarser)
    message = f"{solution.message} They agree to 1 % until {problem.coordinates[0]} = {time:.4g}."
    return dataclasses.replace(solution, message=message)


def _with_rounding(solution: Solution, ladder: _OrdinaryLadder) -> Solution:
    """Return the solution with an estimate that is no smaller than what rounding makes of it."""
    floor = ladder.rounding()
    if floor <= (solution.estimate or 0.0):
        return solution
    if floor <= ladder.rtol:
        return dataclasses.replace(solution, estimate=floor)
    message = (
        f"{solution.message}, but the problem magnifies errors so much that rounding alone makes one of about "
        f"{floor:.1e}, {ladder.rtol:.1e} was asked for; ask for less or shorten the interval"
    )
    return dataclasses.replace(solution, status=Status.INACCURATE, estimate=floor, message=message)


def _agreement(fine: Solution, coarse: Solution) -> float:
    """Distance along the interval over which two solutions agree to one percent of their size: chaos ends it early."""
    lower, upper = fine.problem.domain.lower[0], fine.problem.domain.upper[0]
    times = np.linspace(lower, upper, 2001)[:, None]
    one, two = fine.evaluate(fine.problem.unknowns, times), coarse.evaluate(fine.problem.unknowns, times)
    apart = np.max(np.abs(one - two), axis=0) > 0.01 * np.max(np.abs(one))
    return float(times[np.argmax(apart), 0]) if apart.any() else upper


def _numbers(problem: Problem, values: tuple[sympy.Expr, ...]) -> Array:
    result = np.array([float(f) for f in to_numpy([sympy.N(v, 17) for v in values], [], dict(problem.functions))()])
    if not np.all(np.isfinite(result)):
        raise ProblemError("the initial values are not finite numbers")
    return result
