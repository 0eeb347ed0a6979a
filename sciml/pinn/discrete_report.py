"""Statements about the unknown numbers of a step: when they are at rest, how sure they are, and the `Fit`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from sciml.errors import SolveError
from sciml.fit import Fit
from sciml.inference import estimates, open_directions
from sciml.observations import Observations
from sciml.pinn.snapshots import Snapshot
from sciml.pinn.stage_rows import SnapshotRows
from sciml.pinn.stage_search import Search
from sciml.pinn.step import Step
from sciml.pinn.step_evaluator import StepEvaluator
from sciml.solution import Solution
from sciml.status import Status
from sciml.unknowns import Unknowns

__all__ = ["Judge", "Uncertainty", "fit_of", "most_weight", "uncertainty_of"]

# How much the data count against the equations. With more, noise is fitted where the equations should say no; with less
# the equations are exact for all that the data can say. In between it is a part of the ratio of the mean squares, so
# that the equations become as strict as the state's functions can meet them.
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1.0
STRICT = 0.05
# What the noise, times the data's weight, may add to the residual of the equations.
VIOLATION = 1e-4
STEADY = 3.0
SURE = 0.1
UNFINISHED = 2.0
# A distance of the state from equations and data that no answer has.
APART = 0.03
# Numbers whose equations are met no better than this are not at rest, however little a round moves them.
MET = 1e-3


class Uncertainty(NamedTuple):
    """How sure the numbers are.

    Attributes
    ----------
    covariance : of the unconstrained numbers, [S, S].
    noise : standard deviation of the data by unknown.
    freedom : observations less what was determined by them.
    ratio : mean square of the equations over that of the data, both relative to the state.
    misfit : root mean square of data less state, relative to the state.
    """

    covariance: np.ndarray
    noise: dict[str, float]
    freedom: float
    ratio: float
    misfit: float


def uncertainty_of(search: Search, step: Step, given: Mapping[str, float] | None) -> Uncertainty:
    r"""Return the uncertainty at the best state.

    With rows J of the equations (their squares' mean) and of the data, which count w/N each, the matrix of the last
    Newton step is M = J_e'J_e + (w/N) J_d'J_d, and the posterior covariance sigma^2 (w/N) M^-1, the noise sigma^2 that
    of the data relative to the state. The freedom is N - tr((w/N) J_d M^-1 J_d').
    """
    best = search.best
    assert best is not None
    subspace = best.subspace
    modes = step.modes(subspace.count)
    rows = step.snapshots(modes, best.weight)
    numbers = len(step.quantities.z)
    count = sum(len(one.x) for one in step.measured)
    factor = _factor(best.newton.matrix)
    if factor is None:
        raise SolveError("the normal equations of state and numbers cannot be factored; ask for fewer unknowns")
    columns = torch.cat([_jacobian(one, subspace.functions(one.x, 0), step) for one in rows])
    half = torch.linalg.solve_triangular(factor, columns.T, upper=False)
    used = float(half.square().sum())
    freedom = max(count - used, 1.0)
    noise, squares, misfit = {}, 0.0, 0.0
    for name in dict.fromkeys(one.name for one in step.measured):
        differences = torch.cat([
            r.state(subspace.functions(r.x, 0), subspace.coefficients) - one.values
            for r, one in zip(rows, step.measured, strict=True) if one.name == name
        ])  # fmt: skip
        share = max(1 - used / count, 1.0 / len(differences))
        found = float(differences.square().mean().sqrt()) / math.sqrt(share)
        noise[name] = given[name] if given is not None else found
        misfit += float(differences.square().sum()) / step.scales[name] ** 2 / count
        squares += (noise[name] / step.scales[name]) ** 2 * len(differences) / count
    last = torch.zeros(len(best.newton.matrix), numbers, dtype=torch.float64)
    last[-numbers:] = torch.eye(numbers, dtype=torch.float64)
    inverse = torch.linalg.solve_triangular(factor, last, upper=False)
    names = len(noise)
    ratio = best.residual**2 / max(squares, 1e-300)
    # Where the equations are less exact than that weight supposes, their error is the larger one.
    covariance = squares * max(best.weight, ratio) * names / count * (inverse.T @ inverse)
    return Uncertainty(covariance.numpy(), noise, freedom, ratio, math.sqrt(misfit))


def most_weight(noise: float) -> float:
    """Return how much data count at most, from the mean square of their noise over that of the state."""
    return min(VIOLATION / max(math.sqrt(noise), 1e-300), MOST_WEIGHT)


@final
class Judge:
    """Decides between rounds whether the numbers are at rest, and how much the data count in the next.

    Parameters
    ----------
    step : of the search.
    noise : as given, or None.
    tol : relative change that is at rest.

    Attributes
    ----------
    moved : what the last round changed of the unconstrained numbers, [S].
    """

    def __init__(self, step: Step, noise: Mapping[str, float] | None, tol: float) -> None:
        self.step = step
        self.noise = noise
        self.tol = tol
        self._former: np.ndarray | None = None
        self._last = step.quantities.z.clone()
        self.moved = np.zeros(len(step.quantities.z))

    def __call__(self, search: Search) -> tuple[bool, float]:
        """Return whether the search is over, and the weight of the data."""
        assert search.best is not None
        found = uncertainty_of(search, self.step, self.noise)
        last, self._last = self._last, self.step.quantities.z.clone()
        self.moved = (self._last - last).numpy()
        # Data that are farther off than their noise are not fitted yet, and do not count less for it.
        expected = max(min(found.misfit**2, 4 * search.noise), 1e-300)
        strict = STRICT * search.best.residual**2 / expected
        weight = min(max(strict, LEAST_WEIGHT), most_weight(search.noise))
        slopes = np.array(self.step.quantities.slopes)
        values = np.array(list(self.step.quantities.numbers.values()))
        errors = slopes * np.sqrt(np.diagonal(found.covariance))
        former, self._former = self._former, values
        if former is None:
            return False, weight
        steady = max(weight / search.best.weight, search.best.weight / weight) <= STEADY
        allowed = np.maximum(self.tol * np.abs(values), SURE * abs(errors))
        joined = _distance(search, found) <= APART and search.best.residual <= MET
        return bool(joined and steady and np.all(np.abs(values - former) <= allowed)), weight


def fit_of(
    search: Search,
    step: Step,
    unknowns: Unknowns,
    snapshots: Sequence[Snapshot],
    given: Mapping[str, float] | None,
    method: str,
    details: Mapping[str, Any],
) -> Fit:
    """Return the answer of a search that has ended."""
    found = uncertainty_of(search, step, given)
    assert search.best is not None
    if search.status is not Status.CONVERGED and isinstance(search.judge, Judge):
        # Numbers that still move are not as sure as their curvature says: twice the last change joins the errors.
        moved = UNFINISHED * search.judge.moved
        found = found._replace(covariance=found.covariance + np.outer(moved, moved))
    z = [float(value) for value in step.quantities.z]
    parameters = estimates(unknowns.ranges, z, found.covariance, found.freedom)
    slopes = np.array(step.quantities.slopes)
    own = found.covariance * np.outer(slopes, slopes)
    values = [max(abs(parameters[name].value), abs(r.center)) for name, r in unknowns.ranges.items()]
    spread = np.sqrt(np.maximum(np.diagonal(own), 0.0))
    spread = np.where(spread > 0, spread, 1.0)
    problem = step.evolution.problem.replace(**{name: e.value for name, e in parameters.items()})
    evaluator = StepEvaluator.of(search.best.subspace)
    seconds = search.stopping.seconds
    solution = Solution(
        problem, evaluator, method=method, status=search.status, wall_time=seconds, history={}, details=dict(details)
    )
    observations = _observations(step, snapshots)
    states = evaluator.unknowns(torch.from_numpy(observations.points)).numpy()
    residuals = {
        name: (states[problem.unknowns.index(name)] - values_of) / found.noise[name]
        for name, values_of in observations.values.items()
    }
    return Fit(
        problem,
        parameters=parameters,
        solutions=(solution,),
        observations=(observations,),
        residuals=(residuals,),
        noise=found.noise,
        noise_given=given is not None,
        covariance=own,
        correlation=own / np.outer(spread, spread),
        freedom=found.freedom,
        undetermined=open_directions(list(unknowns.ranges), values, own),
        method=method,
        status=search.status,
        message=_message(search.status, _distance(search, found)),
        wall_time=seconds,
        history=search.history,
        details={**details, "data weight": search.best.weight},
    )


def _distance(search: Search, found: Uncertainty) -> float:
    """How far the state is from the equations, or beyond the noise of the samples from the data, relative to it."""
    assert search.best is not None
    return max(search.best.residual, found.misfit - 3 * math.sqrt(search.noise))


def _message(status: Status, distance: float) -> str:
    if status is Status.CONVERGED:
        return "The unknowns came to rest: two rounds of the search agree on them."
    if distance > APART:
        return (
            f"These numbers do not join the snapshots: equations or data are met only to {distance:.1%} of the state. "
            "Start the unknown numbers nearer to what is expected, or allow another seed or more time."
        )
    if status is Status.BUDGET:
        return "The time ended before the unknowns came to rest; the latest values are returned, allow more."
    return status.advice


def _observations(step: Step, snapshots: Sequence[Snapshot]) -> Observations:
    """The snapshots as one table; NaN where an unknown was not measured."""
    space, axis = step.evolution.axes
    count = sum(len(one.x) for one in snapshots)
    points = np.empty((count, 2))
    points[:, space] = np.concatenate([one.x for one in snapshots])
    points[:, axis] = np.concatenate([np.full(len(one.x), one.time) for one in snapshots])
    names = [n for n in step.evolution.problem.unknowns if any(n in one.values for one in snapshots)]
    values = {
        name: np.concatenate([one.values.get(name, np.full(len(one.x), np.nan)) for one in snapshots]) for name in names
    }
    return Observations(points, values, "snapshots")


def _jacobian(rows: SnapshotRows, functions: Tensor, step: Step) -> Tensor:
    """The snapshot's rows of the Jacobian, [N, P]."""
    width = rows.slopes(functions, functions.new_zeros((_width(rows), functions.shape[2])), step.quantities)
    table = torch.einsum("nk,nj->nkj", width.modes[:, 0, 0], functions[0]).flatten(1)
    return torch.cat((table, width.numbers[:, 0]), 1)


def _width(rows: SnapshotRows) -> int:
    return rows.width


def _factor(matrix: Tensor) -> Tensor | None:
    ridge = 1e-13
    for _ in range(12):
        damped = matrix.clone()
        damped.diagonal().add_(ridge)
        factor, info = torch.linalg.cholesky_ex(damped)
        if int(info) == 0:
            return factor
        ridge *= 10
    return None
