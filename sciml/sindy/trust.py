"""Whether a law is to be trusted: whether it explains the data, and whether the data determine it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.sindy.pooling import TIE
from sciml.sindy.refinement import HOLDS, NOISE_FLOOR, Estimate, System
from sciml.sindy.reproduction import FAR, correlations, reach
from sciml.sindy.simulation import single_slope
from sciml.sindy.wider import outside

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery
    from sciml.sindy.libraries import Library
    from sciml.sindy.pooling import Pool
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples
    from sciml.sindy.trajectories import Trajectories

__all__ = ["diagnose"]

# The winner must have more than half of the weight of all models, and no other may have an equal criterion. The models
# that have all of its terms must have more than two thirds: one with a term more says nothing against it, others do.
# Of 237 development records this leaves one trusted and wrong of three, and takes the trust from 9 of 210 right ones.
LEAST_WEIGHT, LEAST_CONTAINING = 0.5, 2 / 3
# Noise above this part of a state's own variation leaves nothing to explain.
MOST_NOISE = 1.0
LEAST_SAMPLES = 40
# The law's noise may exceed what the smoother's may be wrong by, but not by this factor.
MORE_NOISE = 1.5
# Neighbouring residuals are not independent where their products are so many standard deviations, and so large a part
# of their squares, off; what is hardly more than the least noise that is told from none is not asked.
COHERENT, NOTICED, AUDIBLE = 5.0, 0.15, 2.0
# Where nobody chose the library: terms that exceed their sum by more than this. Of 40 chaotic laws the most is 25.
CANCELLING = 60.0
# Where the variation is this part of a state's size, errors relative to the size hide it; below STEADY it is rounding.
OFFSET, STEADY = 0.02, 1e-9
# Noise that is the least which the first fits tell from none.
UNRESOLVED = 1.5
# By how much a term from outside of the library must make the data likelier, in the criterion.
AHEAD = 0.0


def diagnose(
    request: Request, samples: Samples, pool: Pool, library: Library, weights: np.ndarray, law: Discovery
) -> dict[str, Any]:
    """Return the diagnostics of a discovery, with `trusted` and `reason`; `law` is the answer without them."""
    record = request.trajectories
    winner = pool.ranked[0].estimate
    system = pool.system
    d = len(record.names)
    states = winner.x[samples.rows]
    variation = np.array([_variation(states[:, i], record.slices) for i in range(d)])
    reasons = []
    still = [
        name
        for name, v, s, column in zip(record.names, variation, winner.noise, winner.x.T, strict=True)
        if v < 1e-6 * np.sqrt(np.mean(column**2)) or not column.any()
    ]
    if still:
        reasons.append(f"{', '.join(still)}: nothing moves, so that any law with this fixed point explains the data")
    elif winner.error > HOLDS * 1.001:
        reasons.append(
            f"the library does not explain the data: the model error is {winner.error:.1g} of the increments; "
            "offer other terms or a finer sampling"
        )
    loud = [
        name
        for name, own in zip(
            record.names, winner.noise > MORE_NOISE * np.broadcast_to(system.most_noise, d), strict=True
        )
        if own and name not in still
    ]
    if loud:
        reasons.append(f"{', '.join(loud)}: the law calls more of the samples noise than their scatter shows")
    if not winner.converged:
        reasons.append("the fit did not converge")
    drowned = [
        name
        for name, v, s in zip(record.names, variation, winner.noise, strict=True)
        if s > MOST_NOISE * v and name not in still
    ]
    if drowned:
        reasons.append(f"{', '.join(drowned)}: hardly any variation beyond the noise")
    ahead = min((model.criterion for model in pool.ranked[1:]), default=np.inf) - pool.ranked[0].criterion
    ahead = min(ahead, *pool.elsewhere, np.inf)
    own = set(pool.ranked[0].key)
    containing = float(sum(weight for model, weight in zip(pool.ranked, weights, strict=True) if own <= set(model.key)))
    if weights[0] < LEAST_WEIGHT or containing < LEAST_CONTAINING or ahead < TIE:
        reasons.append(
            f"another model is nearly as likely (weight of this one {weights[0]:.2f}, of all that have its terms "
            f"{containing:.2f}); see alternatives" + ("" if weights.sum() > 0.9 else ", and other libraries")
        )
    residuals = np.where(samples.spread == 1, system.y - winner.x, np.nan)[samples.rows]
    products = correlations(residuals, record.slices)
    coherence = np.abs(products).max(axis=0)
    coloured = [
        name
        for name, far, s in zip(record.names, coherence, winner.noise, strict=True)
        if far > max(COHERENT, NOTICED * np.sqrt(len(residuals))) and s > AUDIBLE * NOISE_FLOOR and name not in still
    ]
    if coloured:
        reasons.append(
            f"{', '.join(coloured)}: what the law leaves of the samples is no independent noise: the law is only near, "
            "or the noise is coloured"
        )
    if len(request.libraries) > 1 and not request.rivals:
        series = [
            name for name, times in zip(record.names, _cancelling(system, winner), strict=True) if times > CANCELLING
        ]
        if series:
            reasons.append(
                f"{', '.join(series)}: large terms cancel each other, as those of a series for another function do"
            )
    counted = int((samples.spread[samples.rows] == 1).all(axis=1).sum())
    if counted < LEAST_SAMPLES:
        reasons.append(f"only {counted} complete samples")
    far = [
        f"{name} ({part:.1g})"
        for name, part in zip(record.names, _moving(samples, record.slices), strict=True)
        if STEADY < part < OFFSET
    ]
    if reasons and far:
        reasons.insert(
            0,
            f"the unknowns vary by a small part of their size, {', '.join(far)}: measure them from a value nearby, as "
            "x - 300 for temperatures around 300",
        )
    unresolved = pool.system.floor == NOISE_FLOOR and winner.noise.max() <= UNRESOLVED * NOISE_FLOOR
    if unresolved and request.noise is None and not still and not far:
        # The fits went on with ever less noise, and the law held no longer.
        reasons.append(
            f"the law follows the data to {float(winner.noise.max()):.1g} of their size, and not more closely, though "
            "they show no noise: it is only near, or the sampling is coarse"
        )
    # The last two are asked of laws only that nothing else speaks against: they cost a fit and a solution.
    without = None if reasons else outside(request, samples, pool, library)
    if without is not None and without.ahead > AHEAD:
        reasons.append(
            f"with {without.term} in the equation of {without.unknown}, which the library does not have, the data are "
            f"likelier (by {without.ahead:.2g} in the criterion); offer it, or a higher degree"
        )
    farthest = None if reasons or request.discrete else _farthest(law, record)
    if farthest is not None and farthest > FAR:
        reasons.append("the law's own solution from the first state leaves the data within the time of the record")
    return {
        "trusted": not reasons,
        "reason": "; ".join(reasons),
        "misfit": winner.error,
        "weight": float(weights[0]),
        "weight_of_terms": containing,
        "converged": winner.converged,
        "residual": winner.rss / max(system.effective - len(winner.support), 1),
        "signal_to_noise": {
            name: float(v / s) for name, v, s in zip(record.names, variation, winner.noise, strict=True)
        },
        "coherence": dict(zip(record.names, map(float, coherence), strict=True)),
        "steady": far,
        # In units of the data's range; None where other reasons made the question idle.
        "farthest": farthest,
        # The best term that the library does not have, its unknown, and by how much the law with it is likelier.
        "outside": None if without is None else asdict(without),
        "samples": len(samples.rows),
        "nodes": len(samples.z),
        "trajectories": len(record.slices),
        "missing": int(np.isnan(record.values).sum()),
        "rejected": int(samples.rejected.sum()),
        "duplicates": record.duplicates,
        "terms_offered": len(system.basis.terms),
        "models": len(pool.ranked),
        "library": repr(library),
    }


def _moving(samples: Samples, parts: list[slice]) -> np.ndarray:
    """Return the variation of each smooth state relative to its size, [d]."""
    x = samples.smooth[samples.rows]
    sizes = np.sqrt(np.mean(x**2, axis=0))
    return np.array([_variation(x[:, i], parts) for i in range(x.shape[1])]) / np.where(sizes > 0, sizes, 1.0)


def _cancelling(system: System, winner: Estimate) -> np.ndarray:
    """Return by which factor the terms of each equation exceed what is left of them, [d]: root mean squares."""
    theta = system.basis.values(np.concatenate([winner.x, system.inputs], axis=1))
    sizes = np.sqrt(np.mean(theta**2, axis=0)) @ np.abs(winner.coefficients)
    left = np.sqrt(np.mean((theta @ winner.coefficients) ** 2, axis=0))
    return np.where(sizes > 0, sizes / np.maximum(left, 1e-300), 1.0)


def _farthest(law: Discovery, record: Trajectories) -> float | None:
    """Return how far the law's solutions from the first states go from the data, in units of the data's own range."""
    found = []
    for states, times, part in zip(law.states, law.times, record.slices, strict=True):
        slope = single_slope(law, record.inputs[part] if law.control else None, times)
        found.append(reach(slope, states, times))
    known = [each for each in found if each is not None]
    return max(known) if known else None


def _variation(x: np.ndarray, parts: list[slice]) -> float:
    return float(np.sqrt(np.mean(np.concatenate([(x[part] - x[part].mean()) ** 2 for part in parts]))))
