"""From the searched equations of fields to the answer: coefficients in the data's units and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from sciml.sindy.discovery import Alternative, Discovery
from sciml.sindy.exports import equation_text
from sciml.sindy.field_request import FieldRequest
from sciml.sindy.field_search import Search
from sciml.sindy.field_selection import Candidate
from sciml.sindy.field_trust import cancellation, objections

__all__ = ["FieldFit", "field_answer", "untrusted"]

METHOD = "weak form with errors in variables"
QUANTILE = 1.959963984540054
MOST_ALTERNATIVES = 10


@final
@dataclass(frozen=True)
class FieldFit:
    """The equation of one field.

    Attributes
    ----------
    search : what was found.
    cut : signal-to-noise ratio above which modes were used, and how many they are.
    units : [J] from scaled coefficients to those in the data's units.
    resolved : whether the equation is the same however large the errors of sampling are.
    """

    search: Search
    cut: float
    modes: int
    units: np.ndarray
    resolved: bool = True


def field_answer(
    request: FieldRequest,
    fits: tuple[FieldFit, ...],
    clean: np.ndarray,
    levels: np.ndarray,
    scales: np.ndarray,
    seconds: float,
) -> Discovery:
    """Write the answer."""
    names = request.words.unknowns
    coefficients: dict[str, dict[str, float]] = {}
    errors: dict[str, dict[str, float]] = {}
    inclusion: dict[str, dict[str, float]] = {}
    shares: list[dict[tuple[int, ...], float]] = []
    for f, (name, fit) in enumerate(zip(names, fits, strict=True)):
        best = fit.search.best
        coefficients[name] = _coefficients(request, fit, best, f)
        # Where the model fits worse than its noise says, the errors grow with it.
        spread = np.sqrt(np.maximum(np.diag(best.covariance), 0.0) * max(1.0, best.misfit))
        errors[name] = dict.fromkeys(coefficients[name], 0.0)
        for j, value in zip(best.support, spread, strict=True):
            text, factor = _text(request, j)
            errors[name][text] = float(value * abs(fit.units[j] * factor))
        share = _shares(fit.search)
        shares.append(share)
        inclusion[name] = {_text(request, j)[0]: 1.0 for j in np.flatnonzero(request.fixed[f]).tolist()}
        for support, weight in share.items():
            for j in support:
                text = _text(request, j)[0]
                inclusion[name][text] = min(inclusion[name].get(text, 0.0) + weight, 1.0)
    shape = [-1] + [1] * (clean.ndim - 1)
    diagnostics = _diagnostics(request, fits, shares, levels, clean)
    return Discovery(
        names,
        _equations(request, coefficients),
        coefficients,
        standard_errors=errors,
        intervals={
            name: {
                term: (value - QUANTILE * errors[name][term], value + QUANTILE * errors[name][term])
                for term, value in terms.items()
            }
            for name, terms in coefficients.items()
        },
        inclusion=inclusion,
        alternatives=_alternatives(request, fits, shares, coefficients),
        noise=dict(zip(names, (levels * scales).tolist(), strict=True)),
        states=tuple(clean * scales.reshape(shape)),
        times=request.grids,
        data=tuple(request.values),
        diagnostics=diagnostics,
        method=METHOD,
        wall_time=seconds,
        seed=request.seed,
        kind="field",
        coordinates=request.words.coordinates,
    )


def untrusted(request: FieldRequest, reason: str, states: np.ndarray, noise: np.ndarray, seconds: float) -> Discovery:
    """Return the answer where there is nothing to fit: no terms, and why."""
    names = request.words.unknowns
    empty: dict[str, dict[str, float]] = {name: {} for name in names}
    return Discovery(
        names,
        _equations(request, empty),
        empty,
        standard_errors=empty,
        intervals={name: {} for name in names},
        inclusion=empty,
        noise=dict(zip(names, noise.tolist(), strict=True)),
        states=tuple(states),
        times=request.grids,
        data=tuple(request.values),
        diagnostics={"trusted": False, "reason": reason, "misfit": float("inf")},
        method=METHOD,
        wall_time=seconds,
        seed=request.seed,
        kind="field",
        coordinates=request.words.coordinates,
    )


def _text(request: FieldRequest, j: int) -> tuple[str, float]:
    return request.library.terms[j].text(request.words.unknowns, request.words.coordinates[:-1])


def _coefficients(request: FieldRequest, fit: FieldFit, candidate: Candidate, field: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for j in sorted({*candidate.support, *np.flatnonzero(request.fixed[field]).tolist()}):
        text, factor = _text(request, j)
        value = request.fixed[field, j] or candidate.w[j] * fit.units[j]
        found[text] = float(value * factor)
    return found


def _equations(request: FieldRequest, coefficients: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    time = request.words.coordinates[-1]
    return tuple(equation_text(f"{name}_{time}", terms) for name, terms in coefficients.items())


def _shares(found: Search) -> dict[tuple[int, ...], float]:
    """Return the weight of every support that was compared, the winner's first."""
    criteria = {candidate.support: candidate.criterion for candidate in found.pool}
    for value, support in found.neighbours:
        criteria.setdefault(support, max(value, found.best.criterion))
    weights = {support: float(np.exp(-0.5 * (value - found.best.criterion))) for support, value in criteria.items()}
    total = sum(weights.values())
    return {support: weight / total for support, weight in weights.items()}


def _alternatives(
    request: FieldRequest,
    fits: tuple[FieldFit, ...],
    shares: list[dict[tuple[int, ...], float]],
    coefficients: Mapping[str, Mapping[str, float]],
) -> tuple[Alternative, ...]:
    """Return the models that differ from the winner in the equation of one field."""
    whole = float(np.prod([share[fit.search.best.support] for share, fit in zip(shares, fits, strict=True)]))
    found = []
    for f, (name, fit, share) in enumerate(zip(request.words.unknowns, fits, shares, strict=True)):
        for candidate in fit.search.pool[1:]:
            if not np.isfinite(candidate.criterion):
                continue
            own = {**coefficients, name: _coefficients(request, fit, candidate, f)}
            weight = whole * share[candidate.support] / share[fit.search.best.support]
            found.append(Alternative(_equations(request, own), weight, own))
    return tuple(sorted(found, key=lambda a: -a.weight)[:MOST_ALTERNATIVES])


def _diagnostics(
    request: FieldRequest,
    fits: tuple[FieldFit, ...],
    shares: list[dict[tuple[int, ...], float]],
    levels: np.ndarray,
    clean: np.ndarray,
) -> dict[str, Any]:
    names = request.words.unknowns
    reasons: list[str] = []
    for f, (fit, share) in enumerate(zip(fits, shares, strict=True)):
        reasons += objections(request, f, fit.search, fit.resolved, share)
    return {
        "trusted": not reasons,
        "reason": "; ".join(reasons),
        "misfit": max(fit.search.best.misfit for fit in fits),
        "misfits": {name: fit.search.best.misfit for name, fit in zip(names, fits, strict=True)},
        "weight": float(np.prod([share[fit.search.best.support] for share, fit in zip(shares, fits, strict=True)])),
        "modes": {name: fit.modes for name, fit in zip(names, fits, strict=True)},
        "cuts": {name: fit.cut for name, fit in zip(names, fits, strict=True)},
        "signal_to_noise": {
            name: float(np.std(u) / s) if s > 0 else float("inf")
            for name, u, s in zip(names, clean, levels, strict=True)
        },
        # Terms with the same derivative over their sum, without their means.
        "cancellation": {name: cancellation(fit.search) for name, fit in zip(names, fits, strict=True)},
        "terms_offered": len(request.library.terms),
        "models": sum(len(share) for share in shares),
    }
