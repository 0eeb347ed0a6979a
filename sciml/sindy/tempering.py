"""Samples that show no noise, and that no law explains: by an inexact integrator, smoothed or interpolated.

Their errors are small, but no noise: neighbours are alike, and a likelihood of independent samples buys ten needless
terms to follow them. With a likelihood to the power 1/K, K samples count as one (Miller and Dunson 2019,
doi:10.1080/01621459.2018.1469995): the terms that matter stay, those that follow such errors do not pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.sindy.answers import answer
from sciml.sindy.competition import system_of
from sciml.sindy.output_error import thinned, wrong
from sciml.sindy.pooling import Model, Pool, starting_supports
from sciml.sindy.refinement import NOISE_FLOOR
from sciml.sindy.screening import screened, told_apart
from sciml.sindy.shooting import pieces_of, predict, variation

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery
    from sciml.sindy.libraries import Library
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples

__all__ = ["tempered"]

# K. Of Lorenz, Lotka-Volterra, a pendulum and an epidemic, solved with a relative tolerance of 1e-3, 5 finds two laws
# among all libraries (three among cubic polynomials and sines), 20 and 50 all four.
SAMPLES_PER_ONE = 20.0
# A state that moves by less than this part of its size has no law.
STILL = 1e-6
# From the beginnings of pieces of so many nodes the law must predict all but this part of each unknown's variation.
LENGTHS, UNEXPLAINED = (12, 24), 1e-3


def tempered(
    request: Request, samples: Samples, pool: Pool, law: Discovery, report: Callable[[str], None]
) -> Discovery | None:
    """Return the law with the terms that matter, never trusted; None where that is not the case, or there is none.

    Parameters
    ----------
    pool, law : of the best law so far
    """
    no_flow = request.discrete or bool(request.trajectories.control_names)
    if no_flow or request.noise is not None or samples.noise.max() > NOISE_FLOOR * 1.001:
        return None
    if law.trusted or not pool.ranked or not wrong(pool, law) or np.ptp(samples.smooth, axis=0).min() < STILL:
        return None
    best: tuple[Pool, Library] | None = None
    for library in request.libraries:
        system = system_of(request, samples, library)
        if library is not request.libraries[0] and not request.rivals:
            system = told_apart(system, samples.smooth)
        system = screened(replace(system, penalty=SAMPLES_PER_ONE * system.penalty), samples.smooth)
        own = Pool(system, samples.smooth, samples.noise, lambda text: None)
        degrees = system.basis.degrees
        groups = [degrees <= q for q in range(min(2, degrees.max()), degrees.max() + 1)]
        own.explore(starting_supports(system, samples.smooth, groups))
        own.compare()
        # A library with more functions must pay for itself, too.
        if own.ranked and (best is None or own.ranked[0].criterion < best[0].ranked[0].criterion - SAMPLES_PER_ONE):
            best = own, library
    if best is None or not _predicts(request, samples, *best):
        return None
    found, library = best
    report("the data show no noise, and no law explains them to rounding: the terms that matter are kept")
    for key, model in list(found.models.items()):
        if model is not None:
            estimate = model.estimate
            if estimate.covariance is not None:
                estimate = replace(estimate, covariance=SAMPLES_PER_ONE * estimate.covariance)
            found.models[key] = Model(estimate, model.criterion / SAMPLES_PER_ONE)
    second = answer(request, samples, found, library, law.wall_time)
    error = float(second.diagnostics["misfit"])
    reason = (
        "no law of the library explains the data, which show no noise, to rounding; this one has the terms that matter "
        f"and leaves {100 * error:.1g} % of the increments, as a loose integrator, interpolation or smoothing does "
        "(solve with rtol=1e-8, give the data as they were measured), or a small term that was not offered"
    )
    changed = {"trusted": False, "reason": reason, "assumption": "inexact data"}
    return replace(second, diagnostics={**second.diagnostics, **changed})


def _predicts(request: Request, samples: Samples, pool: Pool, library: Library) -> bool:
    """Whether the best law predicts the data from the beginnings of pieces."""
    few = thinned(samples)
    system = system_of(request, few, library)
    winner = pool.ranked[0].estimate
    shots = (
        predict(
            system,
            few.clock,
            winner.coefficients,
            winner.support,
            few.smooth,
            pieces_of(system.defects.bounds, length),
            variation(system),
        )
        for length in LENGTHS
    )
    return all(bool(np.all(shot.unexplained < UNEXPLAINED)) for shot in shots)
