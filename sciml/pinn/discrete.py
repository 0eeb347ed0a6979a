r"""Discrete-time models: one Runge-Kutta step of hundreds of stages, all of them one network of x.

For u_t = f(x, t, u, u_x, ...) the q stages of the Gauss-Legendre method from t0 to t1 = t0 + h are

.. math:: U_i(x) = u(x, t_0) + h \sum_j a_{ij} f(U_j)(x), \qquad u(x, t_1) = u(x, t_0) + h \sum_j b_j f(U_j)(x),

of order 2q, so that a step as long as the whole time of interest is as accurate as the stages are. The network gives
the Legendre coefficients in time of the polynomial through the stages (`sciml.pinn.stage_modes`), and least squares
asks for the stage equations at places of x (`sciml.pinn.stage_search`).
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sciml.errors import ArgumentError, ProblemError, SolveError
from sciml.fit import Fit
from sciml.pinn.discrete_report import Judge, fit_of, most_weight
from sciml.pinn.evolution import Evolution, evolution_of
from sciml.pinn.forward import check_arguments
from sciml.pinn.quantities import Quantities
from sciml.pinn.snapshots import (
    Snapshot,
    declared_initial,
    initial_of,
    noise_level,
    sampled_state,
    snapshots_of,
    time_of,
)
from sciml.pinn.stage_search import WIDTHS, Search, Stopping
from sciml.pinn.step import Measured, Step
from sciml.pinn.step_ansatz import on_interval, step_ansatz
from sciml.pinn.step_evaluator import StepEvaluator
from sciml.pinn.tableau import gauss_legendre
from sciml.problem import Problem
from sciml.solution import Solution
from sciml.unknowns import noise_of, unknowns_of

__all__ = ["identify_step", "solve_step"]

Progress = Callable[[Mapping[str, Any]], None]


def solve_step(
    problem: Problem,
    *,
    start: float | None = None,
    stop: float | None = None,
    initial: Any = None,
    stages: int = 100,
    tol: float = 1e-4,
    budget: float | None = 60.0,
    seed: int = 0,
    network: str | None = None,
    progress: Progress | None = None,
) -> Solution:
    r"""Solve an evolution equation by one step of the Gauss-Legendre method.

    Parameters
    ----------
    problem : of first order in time, in one space dimension; systems are welcome. Conditions at the sides are met as in
        `sciml.pinn.solve`.
    start, stop : t0 and t1; the ends of the domain if absent.
    initial : the state at t0: a pair (x, u) of samples, a mapping {"x": x, "u": u}, a Solution, or a function of x;
        absent where the problem's initial conditions say it at its beginning. Samples are met by a smoothing spline.
    stages : q, from 1 to 500.
    tol : relative L2 error of the step to stop at, by the estimate, which compares two rounds of the search.
    budget : seconds of wall time, or None for no limit.
    seed : of weights and places.
    network : "12x2" (width x hidden layers) of the trained layers, or None: 12, 12 and 16 units.
    progress : called with a mapping "iteration", "seconds", "loss", "residual", "stage", "estimate".

    Returns
    -------
    Solution : on [t0, t1]; u(x, t) is the collocation polynomial in t, whose values at the nodes are the stages.
        `details["stage residual"]` is the root mean square of the Runge-Kutta equations, relative to the state.

    Raises
    ------
    ProblemError : an equation of another form.
    ArgumentError : a keyword or samples that do not fit.
    SolveError : no state was found at all.

    References
    ----------
    M. Raissi, P. Perdikaris, G. E. Karniadakis, section 4.1, doi:10.1016/j.jcp.2018.10.045.

    Examples
    --------
    >>> import sciml
    >>> from sciml import pinn
    >>> u = pinn.solve_step(sciml.load("heat"), stages=20, tol=1e-6)
    >>> u.success, u.error() < 1e-5
    (True, True)
    """
    began = time.perf_counter()
    evolution = evolution_of(problem)
    check_arguments(problem, tol, budget, None, seed)
    gauss_legendre(stages)
    widths = _widths(network)
    first, last = problem.domain.interval(evolution.time)
    begin = first if start is None else time_of(start, "start")
    end = last if stop is None else time_of(stop, "stop")
    if not first <= begin < end <= last:
        raise ArgumentError(
            f"start and stop must be times of the domain [{first:g}, {last:g}] in order, got {begin:g} and {end:g}"
        )
    _refuse_unknown_functions(problem)
    own, ansatz, snapshot = _forward(problem, evolution, begin, end, initial)
    evolution = evolution_of(own)
    scales = _scales(own, snapshot)
    step = Step(evolution, ansatz, stages, _known(), (), scales, ansatz.trace is not None)
    generator = torch.Generator().manual_seed(seed)
    search = Search(step, Stopping(tol, budget, began), generator, widths, None, progress)
    search.run()
    if search.best is None:
        raise SolveError(
            "no state was found that the stage equations accept; take a shorter step, more time or another seed"
        )
    best = search.best.subspace
    details = {**_about(search, step, seed), "stage residual": best.residual(stages).size}
    return Solution(
        own,
        StepEvaluator.of(best),
        method=_method(search, step),
        status=search.status,
        wall_time=search.stopping.seconds,
        estimate=search.estimate,
        history=search.history,
        details=details,
    )


def identify_step(
    problem: Problem,
    snapshots: Mapping[float, Any],
    unknown: str | Sequence[str],
    *,
    stages: int = 100,
    noise: float | Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    tol: float = 1e-5,
    budget: float | None = 120.0,
    seed: int = 0,
    network: str | None = None,
    progress: Progress | None = None,
) -> Fit:
    r"""Identify unknown numbers of an evolution equation from two snapshots of its state.

    The snapshots are joined by one step of the Gauss-Legendre method whose initial state is unknown. Stage equations
    and snapshots are one least-squares problem for the state and the numbers, in which the equations become as strict
    as the network can meet them. Training that is stuck far from an answer begins anew at other numbers within a factor
    of 4.5 of the first; `details["starts"]` counts.

    Parameters
    ----------
    problem : of first order in time, in one space dimension, with the unknown numbers among its parameters, whose
        values are the start. What it declares at the sides is used; its initial conditions are not.
    snapshots : {t0: (x0, u0), t1: (x1, u1)}, at places that need not be the same; instead of a pair also a mapping
        {"x": x, "u": u}, with some of the unknowns.
    unknown : names of parameters.
    stages : q, from 1 to 500.
    noise : standard deviation of the data, one or one for each unknown; estimated if absent.
    bounds : (lower, upper) by name, None where there is none.
    tol : relative change of the numbers between two rounds at which the search ends, unless the change is below a tenth
        of their standard errors before.
    budget, seed, network, progress : as in `solve_step`; progress has "parameters" as well.

    Returns
    -------
    Fit : success if the numbers came to rest.

    Raises
    ------
    ProblemError : an equation of another form.
    ArgumentError : data or names that do not fit.
    SolveError : no state was found at all.

    References
    ----------
    M. Raissi, P. Perdikaris, G. E. Karniadakis, section 4.2, doi:10.1016/j.jcp.2018.10.045.

    Examples
    --------
    >>> import numpy as np
    >>> from sciml import Problem, pinn
    >>> heat = Problem("u_t = k*u_xx", ["u(0, t) = 0", "u(1, t) = 0"], {"x": (0, 1), "t": (0, 1)}, {"k": 0.2})
    >>> x = np.linspace(0, 1, 30)
    >>> data = {t: (x, np.exp(-0.1 * np.pi**2 * t) * np.sin(np.pi * x)) for t in (0.0, 1.0)}
    >>> fit = pinn.identify_step(heat, data, "k", stages=20)
    >>> abs(fit.parameters["k"].value - 0.1) < 1e-5
    True
    """
    began = time.perf_counter()
    evolution_of(problem)
    check_arguments(problem, tol, budget, None, seed)
    gauss_legendre(stages)
    widths = _widths(network)
    pair = snapshots_of(snapshots, problem)
    unknowns = unknowns_of(problem, unknown, bounds)
    if unknowns.functions:
        raise ArgumentError(
            f"unknown: {unknowns.functions[0]!r} is a function; a step identifies numbers, pinn.identify functions too"
        )
    observed = [name for name in problem.unknowns if any(name in one.values for one in pair)]
    known_noise = noise_of(noise, observed)
    _refuse_unknown_functions(problem)
    own = on_interval(problem, pair[0].time, pair[1].time, initial=False)
    softened = tuple(
        c.name for c in own.conditions if {str(s) for s in c.expression.free_symbols} & set(unknowns.ranges)
    )
    evolution = evolution_of(own)
    ansatz = step_ansatz(own, None, softened)
    start = [r.inverse(problem.parameters[name]) for name, r in unknowns.ranges.items()]
    quantities = Quantities(unknowns.ranges, torch.tensor(start, dtype=torch.float64), {})
    measured = [
        Measured(one.time, name, torch.from_numpy(one.x), torch.from_numpy(values))
        for one in pair
        for name, values in one.values.items()
    ]
    scales = _scales(own, *pair)
    step = Step(evolution, ansatz, stages, quantities, measured, scales, False, softened)
    judge = Judge(step, known_noise, tol)
    generator = torch.Generator().manual_seed(seed)
    levels = [
        (known_noise[m.name] if known_noise else noise_level(m.x.numpy(), m.values.numpy())) / scales[m.name]
        for m in measured
    ]
    noise_part = float(np.mean(np.square(levels)))
    search = Search(
        step, Stopping(tol, budget, began), generator, widths, judge, progress, noise_part, most_weight(noise_part)
    )
    search.run()
    if search.best is None:
        raise SolveError(
            "no state was found that equations and snapshots accept; look at the data, or start the unknown numbers "
            "nearer to what is expected"
        )
    return fit_of(search, step, unknowns, pair, known_noise, _method(search, step), _about(search, step, seed))


def _forward(
    problem: Problem, evolution: Evolution, start: float, stop: float, initial: Any
) -> tuple[Problem, Any, Snapshot | None]:
    """The problem on the step, its ansatz, and the samples of its initial state if it is given by them."""
    if initial is None:
        if start != problem.domain.interval(evolution.time)[0]:
            raise ArgumentError(
                f"initial: the problem's initial conditions hold at {evolution.time} = "
                f"{problem.domain.interval(evolution.time)[0]:g}; a step from {start:g} needs initial=(x, u)"
            )
        own = on_interval(problem, start, stop, initial=True)
        own.check_forward()
        ansatz = step_ansatz(own, None)
        if not any(c.kind == "initial" for c in ansatz.soft):
            return own, ansatz, None
        snapshot = declared_initial(own)
    else:
        snapshot = initial_of(initial, problem, start)
    own = on_interval(problem, start, stop, initial=False)
    trace = sampled_state(own, snapshot, evolution.order)
    return own, step_ansatz(own, trace), snapshot


def _known() -> Quantities:
    return Quantities({}, torch.zeros(0, dtype=torch.float64), {})


def _scales(problem: Problem, *snapshots: Snapshot | None) -> dict[str, float]:
    """The size of each unknown, 1 where nothing is known of it."""
    scales = {}
    for name in problem.unknowns:
        parts = [one.values[name] for one in snapshots if one is not None and name in one.values]
        size = float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) if parts else 0.0
        scales[name] = size if size > 0 else 1.0
    if not any(snapshots):
        ansatz = step_ansatz(problem, None)
        scales = dict(ansatz.scale)
    return scales


def _widths(network: Any) -> tuple[int, ...]:
    if network is None:
        return WIDTHS
    parts = network.split("x") if isinstance(network, str) else ()
    if len(parts) != 2 or not all(p.isdigit() and 0 < int(p) <= 64 for p in parts):
        raise ArgumentError(f"network must be 'WIDTHxDEPTH' such as '12x3', each at most 64, or None, got {network!r}")
    return (int(parts[0]),) * int(parts[1])


def _refuse_unknown_functions(problem: Problem) -> None:
    if problem.unknown_functions:
        name = next(iter(problem.unknown_functions))
        raise ProblemError(f"the function {name!r} is not known; a step needs one, use pinn.identify")


def _about(search: Search, step: Step, seed: int) -> dict[str, Any]:
    assert search.best is not None
    best = search.best.subspace
    return {
        "iterations": search.steps,
        "starts": search.starts,
        "rounds": search.rounds,
        "stages": step.stages,
        "modes": best.count,
        "functions": best.size,
        "parameter_count": best.coefficients.numel() + sum(p.numel() for p in best.cascade.body.parameters()),
        "equation residual": search.best.residual,
        "seed": seed,
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _method(search: Search, step: Step) -> str:
    assert search.best is not None
    best = search.best.subspace
    return (
        f"one Gauss-Legendre step of {step.stages} stages, network of {best.cascade.count} units, "
        f"{best.count} modes of time in {best.size} functions of {step.evolution.space}, Newton"
    )
