r"""Sparse regression of given rates: the simpler half of discovery, by evidence, by ensembles, or by pysindy.

Given the terms :math:`\Theta` [N, p] at the samples and the rates :math:`\dot X` [N, m], coefficients with few entries
are sought such that :math:`\dot X \approx \Theta\, \Xi^T`. Noise in the states is not modelled here; `sindy.discover`
does that. For trajectories without measured rates the rows are integrals over the sampling intervals,
:math:`x_{k+1} - x_k = \int \Theta\, dt\; \Xi^T`, along smoothed states.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import torch

from sciml.errors import ArgumentError
from sciml.sindy.adoption import library_of
from sciml.sindy.baselines import fitted_members, pysindy_optimizer
from sciml.sindy.bases import Basis
from sciml.sindy.defects import Defects
from sciml.sindy.discovery import Discovery
from sciml.sindy.ensembles import Ensemble, choose_threshold, ensemble, threshold_path
from sciml.sindy.exports import equation_text, left_side
from sciml.sindy.libraries import Library, PolynomialLibrary
from sciml.sindy.request import Request
from sciml.sindy.samples import Samples
from sciml.sindy.selection import Factor, path, search

__all__ = ["SMOOTHED", "Regression", "law_of", "library_for", "offered_library", "regress", "rows_of"]

MOST_DEGREE, MOST_COLUMNS = 5, 340
# Thresholds of an ensemble whose threshold is not given: parts of the rate's size that a term must contribute, which
# no choice of units changes; and sizes of a coefficient in the user's units, in which large monomials have small ones.
SHARES = tuple(10.0 ** np.arange(-3.0, 0.01, 0.25))
SIZES = tuple(10.0 ** np.arange(-4.0, 2.01, 0.5))
# Smallest RMS of the residuals relative to the rates that counts. Measured rates are right to rounding; the means over
# sampling intervals along smoothed states have errors of quadrature and smoothing.
EXACT, SMOOTHED = 1e-10, 1e-4
STUDENT = 1.959963984540054


@final
@dataclass(frozen=True, eq=False)
class Regression:
    """Coefficients that a regression found.

    Attributes
    ----------
    coefficients, standard_errors : [m, p].
    inclusion : [m, p], inclusion probabilities of an ensemble; 0 and 1 for a single regression.
    method : a sentence's worth of words.
    details : more, by name.
    """

    coefficients: np.ndarray
    standard_errors: np.ndarray
    inclusion: np.ndarray
    method: str
    details: Mapping[str, Any] = field(default_factory=dict)


def library_for(samples: int, variables: Sequence[str]) -> PolynomialLibrary:
    """Return the polynomial library of the highest degree whose terms are at most half as many as the samples."""
    degree = 1
    for candidate in range(2, MOST_DEGREE + 1):
        if len(PolynomialLibrary(candidate).terms(variables)) <= min(MOST_COLUMNS, samples / 2):
            degree = candidate
    return PolynomialLibrary(degree)


def offered_library(law: Discovery, library: Any, degree: int | None) -> Library:
    """Return the library that a discovery chose its terms from, as `sindy.discover` was asked."""
    variables = (*law.names, *law.control)
    if isinstance(library, Mapping):
        first, *others = (library_of(each, variables) for each in library.values())
        return sum(others, start=first)
    if library is not None:
        return library_of(library, variables)
    if degree is not None:
        return PolynomialLibrary(degree)
    ladder = [PolynomialLibrary(each) for each in range(21)]
    texts = {text for terms in law.coefficients.values() for text in terms}
    named = [each for each in ladder if repr(each) == law.diagnostics.get("library")]
    return next(each for each in [*named, *ladder] if texts <= {term.text for term in each.terms(variables)})


def rows_of(request: Request, samples: Samples, library: Library) -> tuple[Basis, np.ndarray, np.ndarray]:
    """Return the basis, features [n, p] and targets [n, d] of trajectories, in the user's units.

    A row is a sampling interval: mean rates of change, and mean values of the terms along smoothed states. For a map
    it is a pair of successive states.
    """
    record = request.trajectories
    d = len(record.names)
    states = samples.smooth * samples.scales[:d]
    basis = library.bind((*record.names, *record.control_names))
    values = basis.values(np.concatenate([states, record.inputs], axis=1))
    defects = Defects(samples.clock, record.bounds, request.discrete)
    features, targets = defects.integrals(values), defects.differences(states)
    if not request.discrete:
        length = np.diff(samples.clock)[defects.left][:, None]
        features, targets = features / length, targets / (length * samples.step)
    return basis, features, targets


def regress(
    features: np.ndarray,
    targets: np.ndarray,
    basis: Basis,
    method: Any,
    *,
    kind: str = "bragging",
    members: int = 200,
    threshold: float | None = None,
    ridge: float | None = None,
    inclusion: float = 0.6,
    seed: int = 0,
    floor: float = EXACT,
) -> Regression:
    """Find sparse coefficients.

    Parameters
    ----------
    features : [N, p], the terms; targets : [N, m].
    basis : says how complex each term is.
    method : "evidence" (terms by likelihood and description length, nothing to choose), "ensemble" (the arguments
        `kind`, `members`, `inclusion` are those of `sindy.ensemble`), or a pysindy optimizer by name or as an object.
    threshold : of an ensemble's members, or of a named optimizer that has one. Without it an ensemble's threshold is
        chosen for each equation by an information criterion.
    ridge : weight of the ridge, likewise; pysindy calls it alpha.
    floor : RMS of residuals relative to the rates below which nothing speaks for a further term.

    Raises
    ------
    ArgumentError
        a method that is not known or not installed, or that has no such setting.
    """
    bad = ~np.isfinite(features).all(axis=0)
    if bad.any():
        raise ArgumentError(
            f"library: the term {basis.texts[int(np.argmax(bad))]!r} has no finite value at some samples"
        )
    given = {name: value for name, value in (("threshold", threshold), ("ridge", ridge)) if value is not None}
    if isinstance(method, str) and method == "evidence":
        if given:
            raise ArgumentError(f"{', '.join(given)} has no meaning for method='evidence', which chooses terms itself")
        return _by_evidence(features, targets, basis, floor)
    if isinstance(method, str) and method == "ensemble":
        settings = {"kind": kind, "members": members, "inclusion": inclusion, "seed": seed}
        alpha = {} if ridge is None else {"alpha": float(ridge)}
        return _by_ensemble(features, targets, settings, threshold, alpha, floor)
    optimizer = pysindy_optimizer(
        method, **{"alpha" if name == "ridge" else name: value for name, value in given.items()}
    )
    once = torch.ones(1, len(features), dtype=torch.float64)
    every = torch.ones(1, targets.shape[1], features.shape[1], dtype=torch.bool)
    found = fitted_members(optimizer, torch.as_tensor(features), torch.as_tensor(targets), once, every)[0].numpy()
    name = f"pysindy's {type(optimizer).__name__}"
    return Regression(found, _spread(features, targets, found), (found != 0).astype(float), name)


def _by_evidence(features: np.ndarray, targets: np.ndarray, basis: Basis, floor: float) -> Regression:
    r"""Choose terms by :math:`n \log RSS + \sum (\log n + 2 \log N_q + 2 q \log 2)`; see `sindy.discover`."""
    n, p = features.shape
    penalty = np.log(n) + 2 * np.log(basis.families) + 2 * np.log(2) * basis.degrees
    allowed = np.linalg.norm(features, axis=0) > 0
    coefficients = np.zeros((targets.shape[1], p))
    for row, target in zip(coefficients, targets.T, strict=True):
        size = float(np.sqrt(np.mean(target**2)))
        if size == 0:
            continue
        factor = Factor.of(features, target / size)
        candidates = path(factor, penalty, allowed)
        best = min(candidates, key=lambda support: _criterion(factor, penalty, support, floor))
        for _ in range(10):
            # With the noise of the best so far, single moves; a better support lowers the noise.
            noise = _noise(factor, best, floor)
            scaled = Factor(factor.columns, factor.target / noise, factor.rest / noise**2, factor.norms, factor.n)
            moved = search(scaled, penalty, best, allowed)
            if not _criterion(factor, penalty, moved, floor) < _criterion(factor, penalty, best, floor) - 1e-9:
                break
            best = moved
        row[best] = size * factor.solve(best)[0]
    included = (coefficients != 0).astype(float)
    return Regression(
        coefficients, _spread(features, targets, coefficients), included, "regression by description length"
    )


def _noise(factor: Factor, support: np.ndarray, floor: float) -> float:
    return max(float(np.sqrt(factor.solve(support)[1] / max(factor.n - len(support), 1))), floor)


def _criterion(factor: Factor, penalty: np.ndarray, support: np.ndarray, floor: float) -> float:
    rss = max(factor.solve(support)[1], factor.n * floor**2)
    return factor.n * float(np.log(rss)) + float(penalty[support].sum())


def _by_ensemble(
    features: np.ndarray,
    targets: np.ndarray,
    settings: Mapping[str, Any],
    threshold: float | None,
    alpha: Mapping[str, Any],
    floor: float,
) -> Regression:
    m = targets.shape[1]
    if threshold is not None:
        found, sizes = [ensemble(features, targets, threshold=threshold, **settings, **alpha)] * m, np.ones(m)
    else:
        found, sizes = _chosen(features, targets, settings, alpha, floor)

    def scaled(attribute: str) -> np.ndarray:
        return np.stack([getattr(each, attribute)[i].numpy() * sizes[i] for i, each in enumerate(found)])

    support = np.stack([each.support[i].numpy() for i, each in enumerate(found)])
    return Regression(
        scaled("refitted"),
        np.where(support, scaled("standard_errors"), 0.0),
        scaled("inclusion") / sizes[:, None],
        f"ensemble of {settings['members']} regressions ({settings['kind']})",
        {"thresholds": [each.threshold for each in found]},
    )


def _chosen(
    features: np.ndarray, targets: np.ndarray, settings: Mapping[str, Any], alpha: Mapping[str, Any], floor: float
) -> tuple[list[Ensemble], np.ndarray]:
    """Return for each equation the ensemble with the best criterion, and the factor of its coefficients."""
    norms = np.linalg.norm(targets, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    # The usual ridge of 0.05 would decide between collinear terms where it is no small number. Members without a refit
    # are enough to see which terms are chosen, and what is chosen is refitted in the end.
    common: dict[str, Any] = {"alpha": 1e-10, "relative": True, "unbias": False, **settings}
    if alpha:
        common |= {"relative": False, **alpha}
    shares = threshold_path(features, targets / norms, SHARES, normalize=True, **common)
    sizes = threshold_path(features, targets, SIZES, **common)
    rows = torch.as_tensor(_independent(targets - features @ (shares[0].refitted.numpy().T * norms)))
    # What the rows cannot resolve counts as noise.
    least = torch.as_tensor(floor**2 * norms**2)
    sizes = tuple(replace(each, residual=each.residual + least) for each in sizes)
    shares = tuple(replace(each, residual=each.residual + floor**2) for each in shares)
    best, found, factors = choose_threshold(shares, rows), [], np.ones(len(norms))
    for i, (one, other) in enumerate(zip(best, choose_threshold(sizes, rows), strict=True)):
        # The criterion of rates in units of their norm lacks this constant.
        constant = 2 * float(rows[i]) * float(np.log(norms[i]))
        if float(shares[one].criterion(rows)[i]) + constant < float(sizes[other].criterion(rows)[i]):
            found.append(shares[one])
            factors[i] = norms[i]
        else:
            found.append(sizes[other])
    return found, factors


def _independent(residuals: np.ndarray) -> np.ndarray:
    """Return how many independent rows the residuals [n, m] are worth: n over the integrated correlation time.

    Smoothing makes the errors of neighbouring rows alike. Correlations count up to the first that is not positive.
    """
    n = len(residuals)
    centred = residuals - residuals.mean(axis=0)
    spectrum = abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[:n]
    correlation = correlation / np.where(correlation[0] > 0, correlation[0], 1.0)
    positive = np.cumprod(correlation > 0, axis=0)
    time_scale = 2 * np.sum(correlation * positive, axis=0) - 1
    return n / np.maximum(time_scale, 1.0)


def _spread(features: np.ndarray, targets: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return the standard errors of least squares on each equation's support, [m, p]."""
    errors = np.zeros_like(coefficients)
    for row, target, error in zip(coefficients, targets.T, errors, strict=True):
        support = np.flatnonzero(row)
        if not len(support):
            continue
        columns = features[:, support]
        size = np.linalg.norm(columns, axis=0)
        inverse = np.linalg.pinv(columns / np.where(size > 0, size, 1.0))
        residual = target - columns @ row[support]
        variance = residual @ residual / max(len(target) - len(support), 1)
        error[support] = np.sqrt(variance * np.sum(inverse**2, axis=1)) / np.where(size > 0, size, 1.0)
    return errors


def law_of(
    found: Regression,
    basis: Basis,
    names: Sequence[str],
    *,
    control: Sequence[str] = (),
    kind: Any = "flow",
    begin: float,
    seed: int = 0,
    request: Request | None = None,
    samples: Samples | None = None,
) -> Discovery:
    """Return the coefficients as a `Discovery`; `begin` is when it started, by `time.perf_counter`."""

    def table(values: np.ndarray, where: np.ndarray) -> dict[str, dict[str, float]]:
        return {
            name: {basis.texts[j]: float(values[i, j]) for j in np.flatnonzero(where[i])}
            for i, name in enumerate(names)
        }

    support = found.coefficients != 0
    coefficients, errors = table(found.coefficients, support), table(found.standard_errors, support)
    intervals = {
        name: {text: (c - STUDENT * errors[name][text], c + STUDENT * errors[name][text]) for text, c in terms.items()}
        for name, terms in coefficients.items()
    }
    data: dict[str, Any] = {}
    if request is not None and samples is not None:
        record = request.trajectories
        scales = samples.scales[: len(names)]
        data = {
            "noise": {name: float(s) for name, s in zip(names, samples.noise * scales, strict=True)},
            "states": tuple(samples.smooth[part] * scales for part in record.slices),
            "times": tuple(record.times[part] for part in record.slices),
            "data": tuple(record.values[part] for part in record.slices),
        }
    return Discovery(
        tuple(names),
        tuple(equation_text(left_side(name, kind), terms) for name, terms in coefficients.items()),
        coefficients,
        standard_errors=errors,
        intervals=intervals,
        inclusion=table(found.inclusion, found.inclusion > 0),
        diagnostics={
            "trusted": False,
            "reason": "this method does not test whether the equations explain the data; method='evidence' does",
            **found.details,
        },
        method=found.method,
        wall_time=time.perf_counter() - begin,
        seed=seed,
        kind=kind,
        control=tuple(control),
        **data,
    )
