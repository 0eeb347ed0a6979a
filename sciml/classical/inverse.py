"""`classical.identify`: unknown numbers from data by least squares around the forward solver."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sciml.classical.clock import Clock
from sciml.classical.experiment import Experiment, ForwardExperiment, TrialError, experiment_of
from sciml.classical.information import Information
from sciml.classical.refinement import Progress, check_arguments
from sciml.classical.regression import COARSEST, Regression, sizes_of
from sciml.errors import ProblemError, SolveError
from sciml.fit import Fit
from sciml.inference import Estimate, Range, estimates, open_directions
from sciml.misfit import misfits
from sciml.observations import Observations, observations_of
from sciml.problem import Problem
from sciml.solution import Solution
from sciml.status import Status
from sciml.unknowns import check_data, noise_of, unknowns_of

__all__ = ["identify"]

Array = NDArray[Any]

PARTS = (0.25, 0.5)  # of the time of initial-value problems that are looked at before the whole
EARLY = 0.2  # of the budget, at most, for each of those parts
MORE = 0.1  # of the budget, at most, for the solution at the end


def identify(
    problem: Problem | Sequence[Problem],
    data: Any,
    unknown: str | Sequence[str],
    *,
    noise: float | Mapping[str, float] | None = None,
    noise_model: str = "additive",
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    rtol: float = 1e-8,
    budget: float | None = 60.0,
    columns: Mapping[str, str] | None = None,
    progress: Progress = None,
) -> Fit:
    r"""Identify unknown numbers by nonlinear least squares around `classical.solve`.

    .. math:: \min_p \sum_i \big(u(x_i; p) - y_i\big)^2 / \sigma_i^2

    where u is the solution of the problem with the parameters p (of logarithms, where the noise is multiplicative). The
    search is one of `scipy.optimize.least_squares` in unconstrained numbers z, see `sciml.inference.Range`. Slopes of
    initial-value problems of ordinary equations come from their variational equations, all others from finite
    differences whose steps follow from the accuracy of the forward solver; see `sciml.classical.regression` for how
    that accuracy and the noise are found. Standard errors and intervals are those of the linearised problem,

    .. math:: \mathrm{cov}(z) = (J^\top J)^{-1}, \quad J_{ik} = \frac{1}{\sigma_i} \frac{\partial u_i}{\partial z_k},

    with Student's t where the noise is estimated; if several noises are, with the degrees of freedom of
    Satterthwaite [1]_ for each number.

    Parameters
    ----------
    problem : Problem or sequence of them
        a forward problem with the unknown numbers among its parameters, in the equations, the conditions
        (`x(0) = x0`) or the domain; their values are the start. A sequence gives one problem for each experiment: a
        number is shared by those that declare it.
    data : anything that `sciml.observations.observations_of` takes
        a mapping of arrays, an array, a file, a table; a list of these for several experiments.
    unknown : names of parameters
    noise : float or mapping by observed name, optional
        standard deviation of the noise, of the logarithm where it is multiplicative; estimated if absent, one for each
        observed name.
    noise_model : "additive" or "multiplicative" (log-normal)
    bounds : mapping from names to (lower, upper), optional
        None for a side without a bound.
    rtol : float
        relative error of the solutions at the end, in (0, 1); where the noise hides so small errors, the search does
        not go so far.
    budget : float or None
        seconds after which the best state is returned.
    columns : mapping, optional
        names of the data's columns by the problem's names.
    progress : callable, optional
        called after each step with "iteration", "seconds", "loss", "terms", "stage", "parameters".

    Returns
    -------
    Fit
        `success` if a minimum was found and the solutions there meet `rtol`; `undetermined` names combinations that
        the data leave open.

    Raises
    ------
    ArgumentError : names, data, noise or bounds that do not belong to the problem.
    ProblemError : conditions are missing, or functions are unknown: what only `pinn.identify` can do.
    SolveError : the forward problem has no solution at the start.

    References
    ----------
    .. [1] F. E. Satterthwaite, Biometrics Bulletin 2, 1946, doi:10.2307/3002019.

    Examples
    --------
    >>> import numpy as np
    >>> from sciml import Problem, classical
    >>> decay = Problem("y' = -k*y", "y(0) = a", {"t": (0, 2)}, {"k": 0.5, "a": 1.0})
    >>> t = np.linspace(0, 2, 21)
    >>> fit = classical.identify(decay, {"t": t, "y": 3 * np.exp(-1.3 * t)}, ["k", "a"])
    >>> bool(abs(fit.parameters["k"].value - 1.3) < 1e-6)
    True
    """
    check_arguments(rtol, budget)
    clock = Clock(budget)
    observations = observations_of(data, problem, columns)
    problems = [problem] * len(observations) if isinstance(problem, Problem) else list(problem)
    unknowns = unknowns_of(problems, unknown, bounds)
    known = noise_of(noise, dict.fromkeys(name for one in observations for name in one.values))
    check_data(unknowns, observations, noise=known, noise_model=noise_model)
    if unknowns.functions:
        raise ProblemError(
            f"classical.identify finds numbers, not the functions {', '.join(unknowns.functions)}: give them a form "
            "with unknown numbers, such as k0 + k1*x + k2*x**2 in place of k(x); pinn.identify needs no form"
        )
    # Many products of small matrices: threads would spend ten times as long waiting for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        experiments = [
            experiment_of(one, seen, unknowns.ranges, noise_model == "multiplicative")
            for one, seen in zip(problems, observations, strict=True)
        ]
        regression = _searched(experiments, unknowns.ranges, known, rtol, clock, progress)
        solutions = [_solution(one, regression, rtol) for one in experiments]
    return _fit(regression, solutions, unknowns.ranges, observations, noise_model)


def _searched(
    experiments: Sequence[Experiment],
    ranges: Mapping[str, Range],
    noise: Mapping[str, float] | None,
    rtol: float,
    clock: Clock,
    progress: Progress,
) -> Regression:
    """Return the search after its end; solutions in time are followed from the start on.

    Far from the minimum the end of an oscillation is in any phase, and the sum of squares full of minima; its beginning
    leads to the right one.
    """

    def search(
        parts: Sequence[Experiment], noise: Mapping[str, float] | None, rtol: float, clock: Clock, progress: Progress
    ) -> Regression:
        made = Regression(parts, ranges, starts, noise, rtol=rtol, clock=clock, progress=progress)
        made.run()
        return made

    starts = [np.array([own.inverse(own.center) for own in ranges.values()])]
    for part in PARTS:
        early = [short for one in experiments if (short := one.shortened(part)) is not None]
        if len(early) < len(experiments) or sum(len(short.data) for short in early) <= len(ranges):
            continue

        def tell(report: Mapping[str, Any], part: float = part) -> None:
            if progress is not None:
                progress({**report, "seconds": clock.seconds, "stage": f"the first {part:.0%} of the time"})

        limit = Clock(None if math.isinf(clock.budget) else EARLY * clock.budget)
        try:
            starts = [starts[0], search(early, sizes_of(early), COARSEST, limit, tell).z]
        except SolveError:
            if not limit.expired:
                raise
            break
    return search(experiments, noise, rtol, clock, progress)


def _solution(experiment: Experiment, regression: Regression, rtol: float) -> Solution:
    """Return the state of an experiment at the end, which is worth a tenth of the budget more."""
    from sciml.classical import solve  # which stands on this room's other modules

    clock, z = regression.clock, regression.z
    left = None if math.isinf(clock.budget) else max(clock.budget - clock.seconds, MORE * clock.budget)
    if not isinstance(experiment, ForwardExperiment):
        return solve(experiment.problem.replace(**experiment.parameters(z)), rtol=rtol, budget=left)
    try:
        return experiment.solution(z, rtol, Clock(left))
    except TrialError as error:
        coarse = experiment.accepted()
        if coarse is None:
            raise SolveError(f"there is no solution with the numbers that were found: {error}") from None
        return coarse


def _fit(
    regression: Regression,
    solutions: Sequence[Solution],
    ranges: Mapping[str, Range],
    observations: Sequence[Observations],
    noise_model: str,
) -> Fit:
    """Return the answer of a search that has ended."""
    z, found = regression.z, regression.information()
    covariance = found.covariance * np.outer(regression.rates(), regression.rates())
    spread = np.sqrt(np.diagonal(covariance))
    undetermined = _open(regression, covariance)
    status = regression.status
    worst = max(solutions, key=lambda one: (not one.success, one.estimate or 0.0))
    if status is Status.CONVERGED and not worst.success:
        status = Status.INACCURATE
    history = regression.history
    residuals = tuple(
        _residuals(*pair, regression.sigma, noise_model) for pair in zip(solutions, observations, strict=True)
    )
    nothing, alike = misfits(observations, residuals, regression.sigma, noise_model)
    sentences = [*_sentences(regression, status, worst, undetermined), *nothing, *alike]
    sentences += [one.remark for one in observations if one.remark]
    if status is Status.CONVERGED and nothing:
        status = Status.INACCURATE
    return Fit(
        solutions[0].problem,
        parameters=_estimates(regression, ranges, found),
        solutions=tuple(solutions),
        observations=tuple(observations),
        residuals=residuals,
        noise=dict(regression.sigma),
        noise_given=regression.noise is not None,
        noise_model=noise_model,
        correlation=covariance / np.outer(spread, spread),
        covariance=covariance,
        freedom=float(len(regression.data) - found.rank),
        undetermined=undetermined,
        method=f"least squares, {regression.experiments[0].method}",
        status=status,
        message=" ".join(sentences),
        wall_time=regression.clock.seconds,
        history=history,
        details={
            "iterations": regression.iterations,
            "solves": regression.solves,
            "tolerance": regression.tolerance,
            "offset": regression.offset,
            "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        },
        state={"z": z},
    )


def _open(regression: Regression, covariance: Array) -> list[dict[str, float]]:
    """Return the directions that the data leave open; a number that is zero within its error is not one."""
    numbers = regression.numbers(regression.z)
    small = {
        name
        for name, size, variance in zip(numbers, regression.extents(), np.diagonal(covariance), strict=True)
        if variance <= size**2
    }
    found = open_directions(list(numbers), list(numbers.values()), covariance)
    return [direction for direction in found if not set(direction) <= small]


def _estimates(regression: Regression, ranges: Mapping[str, Range], found: Information) -> dict[str, Estimate]:
    """Return the estimates, each with the degrees of freedom of the noises that its own error comes from."""
    parts, freedoms = regression.shares()
    result: dict[str, Estimate] = {}
    for k, (name, own) in enumerate(ranges.items()):
        variance = math.inf if found.unseen[k] else float(found.covariance[k, k])
        shares = {seen: float(part[k, k]) for seen, part in parts.items()}
        freedom = math.inf
        if regression.noise is None and not found.unseen[k]:
            total = sum(share**2 / max(freedoms[seen], 1.0) for seen, share in shares.items())
            freedom = sum(shares.values()) ** 2 / total if total > 0 else math.inf
        result |= estimates({name: own}, [float(regression.z[k])], np.array([[variance]]), freedom)
    return result


def _residuals(
    solution: Solution, seen: Observations, sigma: Mapping[str, float], noise_model: str
) -> dict[str, Array]:
    """Return (state - data) / noise, or that of the logarithms, by observed name."""
    values = solution.evaluate(list(seen.values), seen.points)
    with np.errstate(all="ignore"):
        return {
            name: (np.log(state / data) if noise_model == "multiplicative" else state - data) / sigma[name]
            for (name, data), state in zip(seen.values.items(), values, strict=True)
        }


def _sentences(
    regression: Regression, status: Status, worst: Solution, undetermined: Sequence[Mapping[str, float]]
) -> list[str]:
    """Return what the user should know."""
    sentences = []
    if status is Status.CONVERGED:
        sentences.append(f"A minimum was found; the step that is left is {regression.offset:.1e} standard errors.")
    elif status is Status.INACCURATE:
        sentences.append(f"A minimum was found, but the solution there is not as accurate as wanted: {worst.message}")
    elif status is Status.BUDGET:
        sentences.append(status.advice)
    else:
        reason = regression.reason or "the search made too many steps"
        sentences.append(f"No minimum was found: {reason}. Try other starts by problem.replace, or give bounds.")
    for direction in undetermined:
        text = " ".join(f"{part:+g} {name}" for name, part in direction.items())
        sentences.append(
            f"The data do not determine the direction {text} (relative changes); give one of them, or observe more."
        )
    sentences += _doubts(regression)
    return sentences


def _doubts(regression: Regression) -> list[str]:
    """Return where the residuals are larger than the noise that was given."""
    if regression.noise is None:
        return []
    freedoms = regression.shares()[1]
    doubts = []
    for name in regression.observed:
        residual = regression.residual[regression.names == name]
        ratio = math.sqrt(float(np.sum(residual**2)) / max(freedoms[name], 1.0)) / regression.sigma[name]
        if freedoms[name] > 0 and ratio > 1 + 3 / math.sqrt(2 * max(freedoms[name], 1.0)):
            doubts.append(
                f"The residuals of {name} are {ratio:.3g} times the noise that was given: the noise, the equations "
                "or the minimum (try other starts by problem.replace) is not the right one."
            )
    return doubts
