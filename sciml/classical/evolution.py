"""Evolution equations on boxes: which discretisation, and the ladder of resolutions in space and time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.fft
import sympy
from numpy.typing import NDArray

from sciml.classical.clock import Clock
from sciml.classical.evaluator import CollocationEvaluator, FourierEvaluator
from sciml.classical.evolution_collocation import CollocationSystem
from sciml.classical.evolution_fourier import FourierSystem, SemilinearSplit, split_linear
from sciml.classical.exponential import integrate_exponential
from sciml.classical.extension import Extension, find_extension
from sciml.classical.first_order import FirstOrderForm, first_order_form, initial_values
from sciml.classical.marching import march
from sciml.classical.modal import has_constant_linear_rates
from sciml.classical.refinement import Attempt, Ladder, Progress, refine
from sciml.classical.schedule import Elements, Points, Schedule
from sciml.classical.sides import sides_of
from sciml.classical.spaces import Mesh, PeriodicMesh
from sciml.classical.trajectory import Trajectory
from sciml.errors import ProblemError
from sciml.short_waves import short_waves
from sciml.solution import Solution, Status

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["solve_evolution"]

Array = NDArray[Any]

BLOWN_UP = 1e3  # times as large as at first where a solution ends
OVERTAKEN = 1e-6  # the tolerance at which elements become faster than Fourier modes with reflection
MODES = {1: 16384, 2: 512, 3: 64}  # largest number of points of a period, by number of space coordinates
POINTS = {1: 640, 2: 160, 3: 20}  # largest number of collocation points along a coordinate
BEAM_POINTS = 192  # the same for linear equations of fourth order: higher derivatives lose digits


class _EvolutionLadder(Ladder):
    """What the ladders of evolution equations have in common."""

    def __init__(self, problem: Problem, form: FirstOrderForm, initial: Sequence[sympy.Expr]) -> None:
        self.problem, self.form, self.initial = problem, form, tuple(initial)
        self.dimension = len(problem.space)
        self.span = problem.domain.interval(problem.coordinates[form.time])

    def failure(self, trajectory: Trajectory, clock: Clock) -> str:
        """Say why a trajectory ends too early; empty if it does not."""
        if trajectory.end >= self.span[1]:
            return ""
        first, last = np.max(np.abs(trajectory.values(np.array([trajectory.start, trajectory.end]))), axis=1)
        blow_up = bool(last > BLOWN_UP * first)
        if clock.expired:
            reason = "the time budget ended"
        elif blow_up:
            reason = f"the solution leaves the finite numbers (it grows {last / first:.0e} times, a blow-up)"
        else:
            reason = "the solution stopped being finite or resolvable"
        name = self.problem.coordinates[self.form.time]
        return f"{reason} near {name} = {trajectory.end:.6g}; from there on its last state is held"


class _FourierLadder(_EvolutionLadder):
    """More and more Fourier modes, with an exponential integrator or a splitting in time."""

    method = "Fourier spectral"

    def __init__(
        self,
        problem: Problem,
        form: FirstOrderForm,
        initial: Sequence[sympy.Expr],
        split: SemilinearSplit,
        extensions: Sequence[Extension],
        rtol: float,
    ) -> None:
        super().__init__(problem, form, initial)
        self.split, self.extensions, self.rtol = split, extensions, rtol
        self.space = Points(32, MODES[self.dimension], 2.0)
        self.schedule = Schedule(self.space, rtol)

    def climb(self, estimate: float | None, clock: Clock) -> Attempt | None:
        """Solve with more modes, skipping numbers of them that turn out to be far too small."""
        while True:
            refines = self.schedule.advance(estimate)
            if refines is None:
                return None
            size = 2 * int(scipy.fft.next_fast_len((self.space.size + 1) // 2, real=True))  # pyright: ignore
            system = FourierSystem(self.problem, self.form, self.split, self.extensions, [size] * self.dimension)
            start = system.initial(self.problem, self.initial)
            limit = np.inf if self.space.last else max(1e-3, 100 * self.rtol)
            worst = system.tail(start)
            if worst > limit:
                continue

            def watch(time: float, state: Array, system: FourierSystem = system, limit: float = limit) -> bool:
                nonlocal worst
                worst = max(worst, system.tail(state))
                return worst <= limit

            trajectory = integrate_exponential(
                system.rates,
                None if system.exact else system.nonlinear,
                None if system.exact else system.scheme(),
                self.span,
                start,
                self.schedule.tolerance,
                clock,
                watch,
            )
            if worst > limit and not clock.expired:
                continue
            self.method = system.method
            self.schedule.resolved = worst <= self.rtol
            trimmed, wavenumbers, vectors = system.trim(trajectory, 0.01 * self.schedule.tolerance)
            origins = [extension.a for extension in self.extensions]
            return Attempt(
                FourierEvaluator(trimmed, self.form, wavenumbers, origins, vectors),
                {"modes": size, "tolerance": self.schedule.tolerance, "slabs": len(trimmed.states)},
                start.size,
                refines,
                self.failure(trajectory, clock),
            )


class _CollocationLadder(_EvolutionLadder):
    """More and more collocation points, with Runge-Kutta methods of high order in time, or exact in time."""

    method = "polynomial collocation"

    def __init__(self, problem: Problem, form: FirstOrderForm, initial: Sequence[sympy.Expr], rtol: float) -> None:
        super().__init__(problem, form, initial)
        self.rtol, self.sides = rtol, sides_of(problem, form)
        self.linear = has_constant_linear_rates(problem, form)
        # The eigenvectors of a beam lose more digits on small elements than its waves gain there.
        beam = self.linear and any(problem.order(u, c) > 3 for u in problem.unknowns for c in problem.space)
        largest = BEAM_POINTS if beam else POINTS[self.dimension]
        if self.dimension == 1 and not problem.periodic and not beam:
            self.space: Points | Elements = Elements(*problem.domain.interval(problem.space[0]), rtol, largest)
        else:
            self.space = Points(12 if self.dimension > 1 else 16, largest, 1.5)
        self.schedule = Schedule(self.space, rtol)

    def climb(self, estimate: float | None, clock: Clock) -> Attempt | None:
        """Solve with more points, skipping numbers of them with which the discrete system is not even stable."""
        while True:
            refines = self.schedule.advance(estimate)
            if refines is None:
                return None
            system = CollocationSystem(self.problem, self.form, self.sides, self._meshes())
            trajectory, scheme = march(
                system, self.span, system.initial(self.initial), self.schedule.tolerance, clock, linear=self.linear
            )
            failure = self.failure(trajectory, clock)
            self._judge(system, trajectory, bool(failure))
            if failure and not self.schedule.resolved and not self.space.last and not clock.expired:
                continue
            self.method = f"polynomial collocation, {scheme}"
            return Attempt(
                CollocationEvaluator(trajectory, self.form, system.meshes, system.orders),
                {"points": self.space.size, "tolerance": self.schedule.tolerance},
                system.size,
                refines,
                failure,
            )

    def _meshes(self) -> list[Mesh | PeriodicMesh]:
        if isinstance(self.space, Elements):
            return [Mesh(self.space.breakpoints, self.space.count)]
        intervals = [self.problem.domain.interval(name) for name in self.problem.space]
        # An odd number of equispaced points has as many sines as cosines.
        return [
            PeriodicMesh(*ends, self.space.size | 1) if name in self.problem.periodic else Mesh(ends, self.space.size)
            for name, ends in zip(self.problem.space, intervals, strict=True)
        ]

    def _judge(self, system: CollocationSystem, trajectory: Trajectory, failed: bool) -> None:
        """Tell the schedule how well space was resolved; shortly before a failure it must be, or it is none."""
        times = trajectory.start + (trajectory.end - trajectory.start) * np.linspace(0.0, 0.9 if failed else 1.0, 33)
        tails = [system.tails(coefficients) for coefficients in trajectory.values(times)]
        self.schedule.resolved = max(float(along.max()) for moment in tails for along in moment) <= self.rtol
        if isinstance(self.space, Elements):
            self.space.tails = np.max([moment[0] for moment in tails], axis=0)


def solve_evolution(
    problem: Problem, *, rtol: float, clock: Clock, method: str = "auto", progress: Progress = None
) -> Solution:
    """Solve an evolution equation on a box.

    Fourier modes where every coordinate is periodic or continued by reflection at its sides, if what is stiff is
    linear with constant coefficients; polynomials on adapted elements otherwise. Space and time are refined until two
    results agree.

    Parameters
    ----------
    problem : with a time coordinate and one to three space coordinates.
    rtol : relative L2 error wanted.
    method : "auto", "fourier" or "collocation".
    clock, progress : as in `sciml.classical.refinement.refine`.

    Raises
    ------
    ProblemError : what the method cannot treat, with the reason.
    """
    assert problem.time is not None
    if len(problem.space) > 3:
        raise ProblemError(f"the classical solver takes at most three space coordinates, not {len(problem.space)}")
    _check_conditions(problem)
    form = first_order_form(problem, problem.time)
    initial = initial_values(problem, form, problem.domain.interval(problem.time)[0])
    split = split_linear(problem, form)
    extensions = [find_extension(problem, form, initial, name) for name in problem.space]
    found = [extension for extension in extensions if extension is not None]
    closed = len(found) == len(extensions)
    if method == "fourier" and not closed:
        names = ", ".join(c for c, e in zip(problem.space, extensions, strict=True) if e is None)
        raise ProblemError(
            "method='fourier' needs periodicity, or sides with odd or even reflection that the equations share, but "
            f"the solution has no such continuation in {names}; use 'collocation'"
        )
    if method == "fourier" or (method == "auto" and closed and _suits_fourier(problem, split, rtol)):
        ladder: Ladder = _FourierLadder(problem, form, initial, split, found, rtol)
    else:
        ladder = _CollocationLadder(problem, form, initial, rtol)
    solution = refine(problem, ladder, rtol=rtol, clock=clock, progress=progress)
    if not solution.success and (text := short_waves(problem)):
        return dataclasses.replace(solution, status=Status.ILL_POSED, message=text)
    return solution


def _suits_fourier(problem: Problem, split: SemilinearSplit, rtol: float) -> bool:
    """Whether Fourier modes are faster than elements for a problem that has a periodic continuation.

    Nonlinear problems in one coordinate with sides make layers, where elements put their points: on Burgers' equation
    they overtake at 1e-6 (1e-3: 0.6 against 0.2 s; 1e-8: 1.6 against 4.4 s).
    """
    if rtol >= OVERTAKEN and split.exponential:
        return True
    forced = not problem.vocabulary.partials(*split.rests)
    sides = any(name not in problem.periodic for name in problem.space)
    return split.exponential and (forced or not sides or len(problem.space) > 1)


def _check_conditions(problem: Problem) -> None:
    """Refuse what no evolution in time can use."""
    time = problem.time
    for condition in problem.conditions:
        coordinate = next(iter(condition.place))
        if time in condition.place and condition.kind != "initial":
            raise ProblemError(
                f"condition {condition.name!r} stands at a later time: the classical solver marches forward from "
                f"initial values at {time} = {problem.domain.interval(str(time))[0]:.6g} "
                f"(say time=None if {time} is no time)"
            )
        if condition.kind == "periodic" and coordinate not in problem.periodic:
            raise ProblemError(
                f"condition {condition.name!r}: the classical solver needs all unknowns periodic in {coordinate}, "
                "or none of them"
            )
