"""`pinn.identify`: unknown numbers and functions of an equation from data, by networks for the state."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sciml.errors import ArgumentError
from sciml.fit import Fit
from sciml.observations import Observations, observations_of
from sciml.pinn.forward import check_arguments, device_of, dtype_of
from sciml.pinn.inverse_report import fit_of
from sciml.pinn.inverse_search import Search
from sciml.pinn.inverse_setup import prepared
from sciml.pinn.progress import Limits, Progress
from sciml.problem import Problem
from sciml.unknowns import check_data, noise_of, unknowns_of

__all__ = ["identify"]


def identify(
    problem: Problem | Sequence[Problem],
    data: Any,
    unknown: str | Sequence[str],
    *,
    noise: float | Mapping[str, float] | None = None,
    noise_model: str = "additive",
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    tol: float = 1e-4,
    budget: float | None = 60.0,
    iterations: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float64",
    network: str | None = None,
    start: Fit | str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Fit:
    r"""Identify unknown numbers and functions from measurements of the state.

    The state is a network under the ansatz of the conditions that the problem declares (what is not declared is not
    assumed); it and the unknowns minimise the misfit of the data and the residuals of the equations. Training by
    Levenberg-Marquardt is followed by least squares on the trained layers for state and unknowns together
    (`sciml.pinn.inverse_polish`),

    .. math:: \sum_i (u(p_i) - y_i)^2/\sigma^2 + N\,\mathrm{mean}(r^2)/\epsilon^2 + \text{prior of functions},

    whose normal matrix gives standard errors, intervals and correlations. The noise :math:`\sigma` is estimated from
    the misfit where it is not given, one for each observed name; :math:`\epsilon` bounds the mean square error that
    comes of the residual which the network cannot avoid (`sciml.pinn.evidence`). An unknown function is a sum of random
    sines with normal coefficients, a Gaussian process, whose size follows from its evidence.

    From three coordinates on training takes a longer course (`sciml.pinn.course`): thinned data first, a first layer
    stretched to how fast they vary, corrections with more and more coefficients, whose differences widen the
    intervals. Such states want minutes; the first correction is tried at half of the budget at the latest.

    Parameters
    ----------
    problem : with the unknown numbers among its parameters (their values are the start) and unknown functions declared
        by `functions=`. A sequence gives one problem for each experiment.
    data : what `sciml.observations.observations_of` accepts: a mapping of arrays, an array, a file, a table; a list of
        these for several experiments, which share the unknowns.
    unknown : names of parameters and of unknown functions.
    noise : standard deviation, or one for each observed name; estimated if absent. With a multiplicative (log-normal)
        noise, of the logarithm.
    noise_model : "additive" or "multiplicative".
    bounds : (lower, upper) by name of a number, None where there is none.
    tol : relative change of the unknowns (of functions in L2) between two corrections at which the search ends, unless
        it is below a tenth of the standard errors before.
    budget, iterations, seed, device, dtype : as in `sciml.pinn.solve`.
    network : "12x5" (width x hidden layers) of the state, or None for a choice by the problem.
    start : a former fit of the same problem, or its file, to go on from.
    columns : names of the data's columns by the problem's names.
    progress : called with a mapping "iteration", "seconds", "loss", "terms", "stage", "parameters".

    Returns
    -------
    Fit : success if the unknowns came to rest; its `undetermined` names combinations that the data leave open.

    Raises
    ------
    ArgumentError : data or names that do not belong to the problem, with what to change.
    SolveError : no finite state exists at all.

    References
    ----------
    M. Raissi, P. Perdikaris, G. E. Karniadakis, doi:10.1016/j.jcp.2018.10.045. D. J. C. MacKay,
    doi:10.1162/neco.1992.4.3.415 (evidence).

    Examples
    --------
    >>> import numpy as np
    >>> from sciml import Problem, pinn
    >>> decay = Problem("y' = -k*y", [], {"t": (0, 2)}, {"k": 0.5})
    >>> t = np.linspace(0, 2, 21)
    >>> fit = pinn.identify(decay, {"t": t, "y": 3 * np.exp(-1.3 * t)}, ["k"])
    >>> abs(fit.parameters["k"].value - 1.3) < 1e-5
    True
    """
    begun = time.perf_counter()
    problems = [problem] if isinstance(problem, Problem) else list(problem)
    for one in problems:
        check_arguments(one, tol, budget, iterations, seed)
    if network is not None and not isinstance(network, str):
        raise ArgumentError(f"network must be 'WIDTHxDEPTH' or None, got {network!r}")
    observations = _observations(problems, data, columns)
    if len(problems) == 1:
        problems = problems * len(observations)
    if len(problems) != len(observations):
        raise ArgumentError(
            f"{len(problems)} problems were given for {len(observations)} experiments; give one, or one for each"
        )
    names = tuple(dict.fromkeys(name for one in observations for name in one.values))
    unknowns = unknowns_of(problems, unknown, bounds)
    known = noise_of(noise, names)
    check_data(unknowns, observations, noise=known, noise_model=noise_model)
    setup = prepared(
        problems,
        observations,
        unknowns,
        noise_model == "multiplicative",
        torch.Generator().manual_seed(seed),
        dtype_of(dtype),
        device_of(device),
        network,
    )
    limits = Limits(tol, budget, iterations, begun)
    search = Search(setup, known, limits, progress)
    if start is not None:
        search.resume(_former(start))
    search.run()
    about = {
        "seed": seed,
        "device": str(device_of(device)),
        "dtype": str(dtype_of(dtype)).removeprefix("torch."),
        "tol": tol,
    }
    return fit_of(setup, search, known, noise_model, about)


def _observations(
    problems: Sequence[Problem], data: Any, columns: Mapping[str, str] | None
) -> tuple[Observations, ...]:
    if len(problems) == 1:
        return observations_of(data, problems[0], columns)
    if not isinstance(data, (list, tuple)) or len(data) != len(problems):
        raise ArgumentError(f"data must be a list of {len(problems)} data sets, one for each problem")
    return tuple(
        one for problem, part in zip(problems, data, strict=True) for one in observations_of(part, problem, columns)
    )


def _former(start: Fit | str | Path) -> Fit:
    if isinstance(start, Fit):
        return start
    from sciml.fit import load_fit

    return load_fit(start)
