"""From compared models to the answer: coefficients in the user's units and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.sindy.discovery import Alternative, Discovery
from sciml.sindy.exports import equation_text, left_side, quantile
from sciml.sindy.inner_errors import joint_covariance
from sciml.sindy.pooling import Model, Pool
from sciml.sindy.trust import diagnose

if TYPE_CHECKING:
    from sciml.sindy.libraries import Library
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples

__all__ = ["answer"]

MOST_ALTERNATIVES = 10


def answer(request: Request, samples: Samples, pool: Pool, library: Library, seconds: float) -> Discovery:
    """Write the answer from a pool of compared models."""
    record = request.trajectories
    names = record.names
    d = len(names)
    kind = "map" if request.discrete else "flow"
    models = pool.ranked
    units = _units(samples, pool, d)
    if not models:
        return _nothing(request, samples, seconds, kind)
    winner = models[0]
    gaps = np.array([model.criterion - winner.criterion for model in models])
    weights = np.exp(-gaps / 2)
    # What laws of other libraries weigh is not named among the alternatives, but is not the winner's either.
    weights /= weights.sum() + np.exp(-np.array(pool.elsewhere) / 2).sum()
    coefficients = _coefficients(request, pool, winner, units)
    estimate = winner.estimate
    errors: dict[str, dict[str, float]] = {name: dict.fromkeys(terms, 0.0) for name, terms in coefficients.items()}
    freedom = max(pool.system.effective - len(estimate.support), 1)
    # Where the model fits worse than its noise says, the errors grow with it.
    inflation = max(1.0, estimate.rss / freedom)
    covariance, inner = joint_covariance(pool, names)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0) * inflation)
    for k, error in zip(estimate.support, spread, strict=True):
        errors[names[k % d]][pool.system.basis.texts[k // d]] = float(error * units[k // d, k % d])
    half = quantile(float(freedom))
    intervals = {
        name: {
            term: (value - half * errors[name][term], value + half * errors[name][term])
            for term, value in terms.items()
        }
        for name, terms in coefficients.items()
    }
    inclusion: dict[str, dict[str, float]] = {name: {} for name in names}
    for model, weight in zip(models, weights, strict=True):
        for name, terms in _coefficients(request, pool, model, units).items():
            for term in terms:
                inclusion[name][term] = min(inclusion[name].get(term, 0.0) + float(weight), 1.0)
    alternatives = tuple(
        Alternative(_equations(own, kind), float(weight), own)
        for model, weight in zip(models[1 : MOST_ALTERNATIVES + 1], weights[1:], strict=False)
        for own in [_coefficients(request, pool, model, units)]
    )
    scales = samples.scales[:d]
    law = Discovery(
        names,
        _equations(coefficients, kind),
        coefficients,
        standard_errors=errors,
        intervals=intervals,
        inclusion=inclusion,
        alternatives=alternatives,
        noise={name: float(s * c) for name, s, c in zip(names, estimate.noise, scales, strict=True)},
        states=tuple((estimate.x[samples.rows] * scales)[part] for part in record.slices),
        times=tuple(record.times[part] for part in record.slices),
        data=tuple(record.values[part] for part in record.slices),
        method="errors-in-variables maximum likelihood",
        wall_time=seconds,
        seed=request.seed,
        kind=kind,
        control=record.control_names,
    )
    diagnostics = diagnose(request, samples, pool, library, weights, law)
    diagnostics["inner_constants"] = {below: error * math.sqrt(inflation) for below, error in inner.items()}
    return replace(law, diagnostics=diagnostics)


def _units(samples: Samples, pool: Pool, d: int) -> np.ndarray:
    """Return [p, d]: a coefficient in the user's units is this times the scaled one."""
    return samples.scales[:d] / samples.step / pool.system.basis.factors[:, None]


def _coefficients(request: Request, pool: Pool, model: Model, units: np.ndarray) -> dict[str, dict[str, float]]:
    names = request.trajectories.names
    d = len(names)
    texts = pool.system.basis.texts
    result: dict[str, dict[str, float]] = {name: {} for name in names}
    for name, part in request.known.items():
        result[name].update(part.terms)
    for k in model.estimate.support:
        term, i = int(k) // d, int(k) % d
        result[names[i]][texts[term]] = float(model.estimate.coefficients[term, i] * units[term, i])
    return result


def _equations(coefficients: Mapping[str, Mapping[str, float]], kind: str) -> tuple[str, ...]:
    return tuple(equation_text(left_side(name, kind), terms) for name, terms in coefficients.items())


def _nothing(request: Request, samples: Samples, seconds: float, kind: Any) -> Discovery:
    """Return the answer where no model could be fitted at all."""
    record = request.trajectories
    empty: dict[str, dict[str, float]] = {name: {} for name in record.names}
    reason = "no model of the library could be fitted to these data"
    return Discovery(
        record.names,
        _equations(empty, kind),
        empty,
        standard_errors=empty,
        intervals={name: {} for name in record.names},
        inclusion=empty,
        noise=dict.fromkeys(record.names, math.nan),
        states=tuple(
            (samples.smooth[samples.rows] * samples.scales[: len(record.names)])[part] for part in record.slices
        ),
        times=tuple(record.times[part] for part in record.slices),
        data=tuple(record.values[part] for part in record.slices),
        diagnostics={"trusted": False, "reason": reason, "misfit": math.inf},
        method="errors-in-variables maximum likelihood",
        wall_time=seconds,
        seed=request.seed,
        kind=kind,
        control=record.control_names,
    )
