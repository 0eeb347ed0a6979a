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
from sciml.sindy.saturation import saturated, sharpened, value
from sciml.sindy.screening import screened, told_apart

__all__ = ["compete", "system_of"]

# Noise and model error of data without any, relative to the states' sizes.
CLEAN = 1e-7
# A term's part of a rate that only data without any error could show.
TRACE = 1e-5
# Fits of one law from two sides agree in the criterion to this.
SAME = 0.05


def compete(
    request: Request,
    samples: Samples,
    report: Callable[[str], None],
    before: Pool | None = None,
    coarse: Callable[[Pool], bool] | None = None,
) -> tuple[Pool, Library]:
    """Return the pool of the library whose best law has the least criterion, and the library.

    Libraries that nobody asked for are tried only where those before them do not explain the data, or only by high
    powers. `before` is a pool on other states: where its winner holds, it is the only start. Where the states are too
    `coarse` for the first laws, the answer is these, without a comparison: on coarse states every law is wrong, and
    comparing wrong laws took minutes.
    """
    best: tuple[Pool, Library] | None = None
    tried: list[tuple[Pool, Library]] = []

    def build(library: Library) -> System:
        return system_of(request, samples, library)

    if before is not None and before.inner and _holds(before):
        again = saturated(request, samples, before, build, report)
        if again is not None and _holds(again[0]):
            again[0].elsewhere = before.elsewhere
            return _sharp(request, _polish(again[0], report), again[1], build)
        before = None
    for library in request.libraries:
        if best is not None and not request.rivals and _polynomial(best[0]):
            break
        system = system_of(request, samples, library)
        again = before if before is not None and before.system.basis.texts == system.basis.texts else None
        if before is not None and again is None and _settled(before):
            continue
        if not request.rivals and not request.discrete and library is not request.libraries[0]:
            system = told_apart(system, samples.smooth)
            if again is None and not system.allowed[_functions(system)].any():
                continue
        system = screened(system, samples.smooth)
        pool = Pool(system, samples.smooth, samples.noise, report)
        if again is not None and _settled(again):
            supports = [again.ranked[0].estimate.support]
        else:
            degrees = system.basis.degrees
            groups = [degrees <= q for q in range(min(2, degrees.max()), degrees.max() + 1)]
            supports = starting_supports(system, samples.smooth, groups)
            if again is not None and again.ranked:
                supports.insert(0, again.ranked[0].estimate.support)
        pool.explore(supports)
        if coarse is not None and library is request.libraries[0] and coarse(pool):
            pool.provisional = True
            return pool, library
        pool.compare()
        pool.insist()
        tried.append((pool, library))
        if best is None or _better(pool, best[0]):
            best = (pool, library)
    assert best is not None
    if len(request.libraries) > 1 and not request.rivals and best[0].ranked and not _polynomial(best[0]):
        # Nobody asked for these either.
        other = saturated(request, samples, best[0], build, report)
        if other is not None:
            tried.append(other)
            best = other if _better(other[0], best[0]) else best
    best[0].elsewhere = before.elsewhere if before is not None and _settled(before) else _gaps(best[0], tried)
    return _sharp(request, _polish(best[0], report), best[1], build)


def _sharp(request: Request, pool: Pool, library: Library, build: Callable[[Library], System]) -> tuple[Pool, Library]:
    """Return a polished pool and its library, with their inner constants as exact as data without noise allow."""
    if not pool.inner or pool.system.floor != CLEAN:
        return pool, library
    return sharpened(request, pool, build)


def _plain(pool: Pool) -> bool:
    """Whether the best law holds and is simple: cubes and higher powers may stand for another function.

    For a single unknown squares may, too: over an interval any smooth function is nearly a parabola.
    """
    highest = 2 if pool.system.y.shape[1] + pool.system.inputs.shape[1] > 1 else 1
    return _holds(pool) and bool(
        (pool.system.basis.degrees[pool.ranked[0].estimate.support // pool.system.shape[1]] <= highest).all()
    )


def _functions(system: System) -> np.ndarray:
    """Return which terms are no monomials, bool [p]."""
    return np.array([term.exponents is None for term in system.basis.terms])


def _polynomial(pool: Pool) -> bool:
    """Whether the best law is plain and has monomials only."""
    own = pool.ranked[0].estimate.support // pool.system.shape[1]
    return _plain(pool) and not _functions(pool.system)[own].any()


def _holds(pool: Pool | None) -> bool:
    return pool is not None and bool(pool.ranked) and pool.ranked[0].estimate.error <= HOLDS * 1.001


def _settled(pool: Pool | None) -> bool:
    """Whether the best law holds after a comparison."""
    return pool is not None and not pool.provisional and _holds(pool)


def _better(new: Pool, old: Pool) -> bool:
    """Whether a pool's best law is better than that of an earlier one, and not the same but for rounding."""
    if not new.ranked or not old.ranked:
        return bool(new.ranked)
    if _holds(old) and not _holds(new):
        # With a model error, slopes that no sample resolves can make a criterion as low as one likes.
        return False
    return value(new) < value(old) - SAME


def _clean(pool: Pool) -> bool:
    """Whether the best law leaves no more noise than the first fits can tell from none."""
    return bool(pool.ranked[0].estimate.noise.max() <= 1.5 * NOISE_FLOOR) and pool.system.floor == NOISE_FLOOR


def _gaps(best: Pool, tried: list[tuple[Pool, Library]]) -> tuple[float, ...]:
    """Return by how much the best laws of other libraries that hold are behind; the same law counts once."""

    def law(pool: Pool) -> frozenset[tuple[str, int]]:
        d = pool.system.shape[1]
        return frozenset((pool.system.basis.texts[k // d], k % d) for k in pool.ranked[0].key)

    if not best.ranked:
        return ()
    found = {law(best): 0.0}
    for pool, _ in tried:
        if pool.ranked and (_holds(pool) or not _holds(best)):
            own = law(pool)
            found[own] = min(found.get(own, np.inf), value(pool) - value(best))
    return tuple(list(found.values())[1:])


def _polish(pool: Pool, report: Callable[[str], None]) -> Pool:
    """Data without noise: go on with ever less noise, as far as the law and the quadrature hold."""
    if not _holds(pool) or not _clean(pool):
        return pool
    finer = Pool(replace(pool.system, floor=CLEAN), pool.x, pool.noise, report)
    finer.inner, finer.elsewhere = pool.inner, pool.elsewhere
    for model in pool.ranked[:3]:
        finer.settle(replace(model.estimate, visited=()), most=45, least_error=CLEAN)
    _without_traces(finer, pool.ranked[0].key)
    # Where the quadrature is too coarse for so little noise, the first answer is the better one.
    return finer if _holds(finer) and finer.ranked[0].estimate.error <= pool.ranked[0].estimate.error * 1.01 else pool


def _without_traces(pool: Pool, key: tuple[int, ...]) -> None:
    """Leave out laws that only add traces to the one with this support: terms that follow an integrator's last digits.

    The errors of a solution with a tolerance of 1e-6 are no noise, and a constant of 3e-7 follows them.
    """
    plain = pool.models.get(key)
    if plain is None or plain.estimate.error > HOLDS * 1.001:
        return
    d = pool.system.shape[1]
    for other, model in list(pool.models.items()):
        if model is None or not set(key) < set(other):
            continue
        estimate = model.estimate
        theta = pool.system.basis.values(np.concatenate([estimate.x, pool.system.inputs], axis=1))
        sizes = np.sqrt(np.mean(theta**2, axis=0))[:, None] * np.abs(estimate.coefficients)
        rates = np.sqrt(np.mean((theta @ estimate.coefficients) ** 2, axis=0))
        if all(sizes[k // d, k % d] < TRACE * rates[k % d] for k in set(other) - set(key)):
            del pool.models[other]


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
