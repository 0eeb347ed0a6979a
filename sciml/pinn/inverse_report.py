"""From the end of a search to the `Fit` that the user gets."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import stats

from sciml.errors import SolveError
from sciml.fit import Fit, FunctionEstimate
from sciml.inference import LEVEL, estimates, open_directions
from sciml.misfit import misfits
from sciml.pinn.evaluator import NetworkEvaluator
from sciml.pinn.inverse_objective import InverseObjective
from sciml.pinn.inverse_search import Search
from sciml.pinn.inverse_setup import Setup
from sciml.pinn.piece import Piece
from sciml.solution import Solution
from sciml.status import Status

__all__ = ["fit_of"]


def fit_of(
    setup: Setup, search: Search, noise: Mapping[str, float] | None, noise_model: str, about: Mapping[str, Any]
) -> Fit:
    """Return the answer of a search that has ended."""
    best = search.best
    if best is None:
        raise SolveError("no finite state was found; look at the equations and the data, or give another start")
    objective, covariance = best.objective, best.covariance.double().cpu().numpy()
    quantities = objective.quantities
    ranges = setup.unknowns.ranges
    count = len(ranges)
    z = [float(value) for value in quantities.z]
    parameters = estimates(ranges, z, covariance[:count, :count], best.freedom)
    slopes = np.array(quantities.slopes)
    own = covariance[:count, :count] * np.outer(slopes, slopes)
    # A number that is zero within its error is determined: its start says what is large.
    values = [max(abs(parameters[name].value), abs(own.center)) for name, own in ranges.items()]
    quantile = float(stats.t.ppf(0.5 + LEVEL / 2, max(best.freedom, 1.0)))
    functions = {}
    for name, place in quantities.places().items():
        f = quantities.functions[name]
        low, high = f.network.description()["lower"], f.network.description()["upper"]
        functions[name] = FunctionEstimate(
            name, f.arguments, tuple(low), tuple(high), f.network, f.offset, f.factor,
            covariance[place, place], quantile,
        )  # fmt: skip
    history = _history(search.history)
    details = {
        "iterations": search.steps,
        "columns": best.columns,
        "points": best.rows,
        "equation residual": math.sqrt(best.equations),
        "network": setup.plan.text,
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
        **about,
    }
    method = f"network {setup.plan.text}, levenberg-marquardt, least squares with {best.columns} coefficients"
    solutions = []
    for problem, experiment, options in zip(setup.problems, objective.experiments, setup.options, strict=True):
        known = {name: parameters[name].value for name in ranges if name in problem.parameters}
        solutions.append(
            Solution(
                problem.replace(**known),
                NetworkEvaluator([Piece(experiment.ansatz, experiment.network)], options),
                method=method,
                status=search.status,
                wall_time=search.limits.seconds(),
                details=details,
            )
        )
    residuals = tuple(_residuals(setup, objective, k) for k in range(len(solutions)))
    nothing, alike = misfits(setup.observations, residuals, dict(objective.sigma), noise_model)
    return Fit(
        solutions[0].problem,
        parameters=parameters,
        functions=functions,
        solutions=tuple(solutions),
        observations=setup.observations,
        residuals=residuals,
        noise=dict(objective.sigma),
        noise_given=noise is not None,
        noise_model=noise_model,
        covariance=own,
        correlation=_correlation(own),
        freedom=best.freedom,
        undetermined=open_directions(list(ranges), values, own),
        method=method,
        status=Status.INACCURATE if nothing and search.status is Status.CONVERGED else search.status,
        message=" ".join([_message(search), *nothing, *alike, *(o.remark for o in setup.observations if o.remark)]),
        wall_time=search.limits.seconds(),
        history=history,
        details=details,
        state=_state(search.objective),
    )


def _message(search: Search) -> str:
    if search.status is Status.CONVERGED:
        return "The unknowns came to rest: two corrections of the state agree on them."
    if search.status in (Status.BUDGET, Status.ITERATIONS):
        what = "time" if search.status is Status.BUDGET else "iterations"
        return f"The {what} ended before the unknowns came to rest; the latest values are returned, allow more."
    return search.status.advice


def _history(history: Mapping[str, list[float]]) -> dict[str, list[float]]:
    length = max(map(len, history.values()), default=0)
    return {name: values for name, values in history.items() if len(values) == length}


def _correlation(covariance: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    spread = np.where(spread > 0, spread, 1.0)
    return covariance / np.outer(spread, spread)


def _residuals(setup: Setup, objective: InverseObjective, number: int) -> dict[str, np.ndarray]:
    """(state - data) / noise at all points of an experiment, by observed name."""
    own, experiment = setup.observations[number], objective.experiments[number]
    found = {name: np.full(len(own.points), np.nan) for name in own.values}
    for measured in experiment.measured:
        rows = objective.misfit(experiment, measured).double().cpu().numpy()
        for name, row in zip(measured.keys, rows, strict=True):
            found[name][np.isfinite(own.values[name])] = row
    return found


def _state(objective: InverseObjective) -> dict[str, np.ndarray]:
    """What `Search.resume` needs: trained networks, quantities, scales of the terms."""
    scales = [place.scales.double().cpu().numpy() for e in objective.experiments for place in e.places]
    return {"theta": objective.parameters().cpu().numpy(), "scales": np.concatenate(scales)}
