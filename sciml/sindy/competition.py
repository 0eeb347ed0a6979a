"""Libraries in competition: the best law of each, judged by the same criterion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sciml.sindy.defects import Defects
from sciml.sindy.libraries import Library
from sciml.sindy.pooling import Pool, starting_supports
from sciml.sindy.refinement import HOLDS, NOISE_FLOOR, System
from sciml.sindy.request import Request
from sciml.sindy.samples import Samples
from sciml.sindy.screening import screened

__all__ = ["compete", "system_of"]

# Noise and model error of data without any, relative to the states' sizes.
CLEAN = 1e-7


def compete(
    request: Request, samples: Samples, report: Callable[[str], None], before: Pool | None = None
) -> tuple[Pool, Library]:
    """Return the pool of the library whose best law has the least criterion, and the library.

    Libraries that nobody asked for are tried only where those before them do not explain the data, or only by high
    powers. `before` is a pool
    on other states: where its winner holds, it is the only start.
    """
    best: tuple[Pool, Library] | None = None
    for library in request.libraries:
        if best is not None and not request.rivals and _plain(best[0]):
            break
        system = screened(system_of(request, samples, library), samples.smooth)
        pool = Pool(system, samples.smooth, samples.noise, report)
        again = before if before is not None and before.system.basis.texts == system.basis.texts else None
        if before is not None and again is None and _holds(before):
            continue
        if again is not None and _holds(again):
            supports = [again.ranked[0].estimate.support]
        else:
            degrees = system.basis.degrees
            groups = [degrees <= q for q in range(min(2, degrees.max()), degrees.max() + 1)]
            supports = starting_supports(system, samples.smooth, groups)
            if again is not None and again.ranked:
                supports.insert(0, again.ranked[0].estimate.support)
        pool.explore(supports)
        pool.compare()
        pool.insist()
        if best is None or _better(pool, best[0]):
            best = (pool, library)
    assert best is not None
    return _polish(best[0], report), best[1]


def _plain(pool: Pool) -> bool:
    """Whether the best law holds and is simple: cubes and higher powers may stand for another function.

    For a single unknown squares may, too: over an interval any smooth function is nearly a parabola.
    """
    highest = 2 if pool.system.y.shape[1] + pool.system.inputs.shape[1] > 1 else 1
    return _holds(pool) and bool(
        (pool.system.basis.degrees[pool.ranked[0].estimate.support // pool.system.shape[1]] <= highest).all()
    )


def _holds(pool: Pool | None) -> bool:
    return pool is not None and bool(pool.ranked) and pool.ranked[0].estimate.error <= HOLDS * 1.001


def _better(new: Pool, old: Pool) -> bool:
    if not new.ranked or not old.ranked:
        return bool(new.ranked)
    return new.ranked[0].criterion < old.ranked[0].criterion


def _polish(pool: Pool, report: Callable[[str], None]) -> Pool:
    """Data without noise: go on with ever less noise, as far as the law and the quadrature hold."""
    if not _holds(pool) or pool.ranked[0].estimate.noise.max() > 1.5 * NOISE_FLOOR or pool.system.floor < NOISE_FLOOR:
        return pool
    finer = Pool(replace(pool.system, floor=CLEAN), pool.x, pool.noise, report)
    for model in pool.ranked[:3]:
        finer.settle(replace(model.estimate, visited=()), most=45, least_error=CLEAN)
    # Where the quadrature is too coarse for so little noise, the first answer is the better one.
    return finer if _holds(finer) and finer.ranked[0].estimate.error <= pool.ranked[0].estimate.error * 1.01 else pool


def system_of(request: Request, samples: Samples, library: Library) -> System:
    """Build the system for a library."""
    record = request.trajectories
    variables = (*record.names, *record.control_names)
    basis = library.bind(variables, samples.scales)
    defects = Defects(samples.clock, samples.bounds, request.discrete)
    d, p = len(record.names), len(basis.terms)
    rows = max(int((samples.spread == 1).sum()) - (len(samples.bounds) - 1) * d, 2)
    penalty = np.log(rows) + 2 * np.log(basis.families) + 2 * np.log(2) * basis.degrees
    known, fixed = request.known_basis(samples)
    return System(
        y=samples.z,
        spread=samples.spread,
        inputs=samples.inputs,
        defects=defects,
        basis=basis,
        penalty=np.repeat(penalty[:, None], d, axis=1),
        allowed=request.allowed(basis).reshape(p, d),
        known=known,
        fixed=fixed,
        floor=request.floor,
        fixed_noise=samples.fixed_noise,
        smoothed_noise=None if request.discrete else samples.noise,
    )
