r"""Whether an initial-value problem has one solution on the whole interval, asked by integrating it plainly.

Where the right-hand side of y' = f(t, y) has no finite slope at the initial state, several solutions may begin there:
:math:`x' = 2\sqrt{x}` has x = 0 and x = t**2. Where it grows faster than y, the solution may leave the finite numbers
before the interval ends: that of :math:`x' = x^2` with x(0) = 1 at t = 1. Solvers with a residual or an estimate meet
both as something else, a solution at rest and a lack of time.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.integrate import DOP853

from sciml.errors import ProblemError, ScimlError
from sciml.formulas import Formula
from sciml.notation import Partial

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["blow_up", "other_solution", "steep_components"]

Array = NDArray[Any]

# Distances from the initial state, relative to what the solution becomes. Solutions from there that have nothing to do
# with them end as far from each other as no finite slope makes them; a factor of a thousand nearer, hardly less far.
BESIDE, NEARER = 1e-10, 1e-13
APART, LEFT = 1e5, 0.2
# Differences whose quotients tell an infinite slope: from one to the next they grow by this factor at least.
DIFFERENCES, GROWING = (1e-6, 1e-9, 1e-12), 3.0
# A solution this many times as large as the initial state is on its way to infinity if its logarithm goes faster and
# faster: the time for a power of ten is at most this fraction of that for one four powers before.
LARGE, LARGEST = 1e8, 1e10
FRACTION = 0.2
RELATIVE = 1e-8
STEPS, SECONDS = 20_000, 1.0


def blow_up(problem: Problem) -> str:
    """Return a sentence if the solution of a problem in one coordinate leaves the finite numbers, else an empty text.

    Nothing is said of problems that are none of initial values, or whose equations are not explicit.
    """
    system = _system(problem)
    if system is None:
        return ""
    times, states = system.integrate(system.initial)
    size = np.max(np.abs(states), axis=1)
    if times[-1] == system.span[1] or not size[-1] > LARGE * (1 + size[0]):
        return ""
    # Exponential growth takes as long for each power of ten; towards a pole each takes a fraction of the one before.
    tenfold = [np.interp(np.log(size[-1] / 10.0**k), np.log(1 + size), times) for k in (0, 1, 4, 5)]
    if not tenfold[0] - tenfold[1] < FRACTION * (tenfold[2] - tenfold[3]):
        return ""
    end = system.sign * times[-1]
    worst = problem.unknowns[system.owner[int(np.argmax(np.abs(states[-1])))]]
    name = problem.coordinates[0]
    return (
        f"The solution leaves the finite numbers near {name} = {end:.6g}: {worst} grows beyond {size[-1]:.0e} there "
        f"(a blow-up). No solver goes on from there; let the interval of {name} end before it."
    )


def other_solution(problem: Problem) -> str:
    """Return a sentence if other solutions begin at the same initial state, else an empty text.

    The slopes of the right-hand side at the initial state must be infinite, and solutions from beside it must end far
    from each other however near to it they begin.
    """
    system = _system(problem)
    if system is None:
        return ""
    steep = system.steep()
    rest = system.integrate(system.initial)[1][-1] if steep else system.initial
    for column in steep:
        found = []
        for distance in (BESIDE, NEARER):
            ends = [system.integrate(_moved(system.initial, column, sign * distance)) for sign in (1.0, -1.0)]
            reached = [states[-1] for times, states in ends if times[-1] == system.span[1]]
            apart = [float(np.max(np.abs(state - rest))) for state in reached]
            found.append(max(apart, default=0.0))
        if found[0] > APART * BESIDE and found[1] > LEFT * found[0]:
            name, place = problem.coordinates[0], system.place
            state = problem.vocabulary.partial_text(system.components[column])
            value = system.initial[column]
            return (
                f"The conditions do not determine the solution: at {name} = {place:.6g}, where {state} = {value:.6g}, "
                f"the slope of the right-hand side by {state} is infinite, and a solution that begins {NEARER:.0e} "
                f"beside it ends {found[1]:.2g} away, so that more than one begin there. Begin a little beside it."
            )
    return ""


def steep_components(rates: Callable[[float, Array], Array], t: float, state: Array) -> list[int]:
    """Return the components by which a slope of the rates f(t, y) is infinite at a state that rests in them.

    A finite slope is the same for all small differences, that of a root grows the smaller they are.
    """
    with np.errstate(all="ignore"):
        try:
            rest = np.asarray(rates(t, state))
        except (ArithmeticError, np.linalg.LinAlgError):
            return []
        found = []
        for column in map(int, np.flatnonzero(rest == 0)):
            for sign in (1.0, -1.0):
                try:
                    steps = [rates(t, _moved(state, column, sign * d)) - rest for d in DIFFERENCES]
                except (ArithmeticError, np.linalg.LinAlgError):
                    continue  # on this side there is no right-hand side
                slopes = [float(np.max(np.abs(step))) / d for step, d in zip(steps, DIFFERENCES, strict=True)]
                if all(GROWING * one < two < np.inf for one, two in itertools.pairwise(slopes)):
                    found.append(column)
                    break
    return found


def _moved(state: Array, column: int, distance: float) -> Array:
    result = state.copy()
    result[column] += distance
    return result


def _system(problem: Problem) -> _System | None:
    if problem.domain.dimension != 1:
        return None
    try:
        return _System(problem)
    except (ScimlError, ArithmeticError, KeyError, RuntimeError, TypeError, ValueError):
        return None


@final
class _System:
    """y' = f(t, y) by solving the equations, which are linear in the highest derivatives, at each state.

    Attributes
    ----------
    components : the unknowns' derivatives below the highest.
    owner : the index of the unknown of each.
    span : from the place of the initial values to the other end; both negative where that is backward.
    """

    def __init__(self, problem: Problem) -> None:
        places = {tuple(condition.place.items()) for condition in problem.conditions}
        (self.coordinate,) = problem.coordinates
        lower, upper = problem.domain.interval(self.coordinate)
        if len(places) != 1:
            raise ProblemError("not a problem of initial values")
        ((_, self.place),) = next(iter(places))
        if self.place not in (lower, upper):
            raise ProblemError("not a problem of initial values")
        self.sign = 1.0 if self.place == lower else -1.0
        self.span = (lower, upper) if self.sign > 0 else (-upper, -lower)
        orders = [problem.order(u, self.coordinate) for u in problem.unknowns]
        self.tops = [Partial(u, (n,)) for u, n in zip(problem.unknowns, orders, strict=True)]
        self.components = [Partial(u, (k,)) for u, n in zip(problem.unknowns, orders, strict=True) for k in range(n)]
        self.owner = [problem.unknowns.index(c.unknown) for c in self.components]
        self.formulas = [Formula(residual, problem) for residual in problem.residuals]
        symbol = problem.vocabulary.symbol(self.coordinate)
        values: dict[Partial, float] = {}
        for condition in problem.conditions:
            solved = condition.solved(problem.vocabulary)
            if solved is None:
                raise ProblemError("a condition that is no value")
            values[solved[0]] = float(sympy.N(problem.substituted(solved[1]).subs(symbol, self.place), 17))
        self.initial = np.array([values[component] for component in self.components])

    def _parts(self, t: float, y: Array) -> tuple[Array, Array]:
        """The matrix of the highest derivatives, and what stands beside them."""
        state = dict(zip(self.components, y, strict=True))
        matrix, rest = np.zeros((len(self.tops),) * 2), np.zeros(len(self.tops))
        for row, formula in enumerate(self.formulas):
            fields = [np.array(state.get(partial, 0.0)) for partial in formula.partials]
            rest[row] = float(formula.value([np.array(t)], fields))
            for partial, slope in zip(formula.partials, formula.slopes([np.array(t)], fields), strict=True):
                if partial in self.tops:
                    matrix[row, self.tops.index(partial)] = float(slope)
        return matrix, rest

    def rates(self, t: float, y: Array) -> Array:
        """Return f(t, y), with the direction of integration; ArithmeticError where it is not finite."""
        matrix, rest = self._parts(self.sign * t, y)
        if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(rest))):
            raise ArithmeticError
        top = np.linalg.solve(matrix, -rest)
        found = dict(zip(self.tops, top, strict=True)) | dict(zip(self.components, y, strict=True))
        return self.sign * np.array([found[Partial(c.unknown, (c.orders[0] + 1,))] for c in self.components])

    def steep(self) -> list[int]:
        """Return the components by which a slope is infinite at the initial state, which rests in them there."""
        return steep_components(self.rates, self.span[0], self.initial)

    def integrate(self, start: Array) -> tuple[Array, Array]:
        """Return times [steps + 1] and states [steps + 1, n], all finite, as far as it goes."""
        times, states, begun = [self.span[0]], [start], time.monotonic()
        with np.errstate(all="ignore"), suppress(ArithmeticError, np.linalg.LinAlgError):
            solver = DOP853(self.rates, self.span[0], start, self.span[1], rtol=RELATIVE, atol=1e-14)
            while solver.status == "running" and len(times) < STEPS and time.monotonic() - begun < SECONDS:
                solver.step()
                if solver.status == "failed" or not np.max(np.abs(solver.y)) < LARGEST * (1 + np.max(np.abs(start))):
                    break
                times.append(float(solver.t))
                states.append(solver.y.copy())
        return np.array(times), np.array(states)
