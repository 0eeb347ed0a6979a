"""From samples of trajectories to the law behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sciml.sindy.answers import answer
from sciml.sindy.defects import Defects
from sciml.sindy.discovery import Discovery
from sciml.sindy.libraries import Library
from sciml.sindy.pooling import Pool, starting_supports
from sciml.sindy.refinement import HOLDS, NOISE_FLOOR, System, linearise
from sciml.sindy.request import Request, request_of
from sciml.sindy.samples import MOST_GARBAGE, NOTICED, Samples, prepare

__all__ = ["discover"]

SECOND_LOOKS = 2
# Grids of states that are finer than the samples: how often the intervals are divided; from which quadrature error on,
# in units of the noise (of which less than NEGLIGIBLE counts as this); in which part of the intervals at least; and how
# many states there may be.
FINER_GRIDS = 3
DOUBTFUL = 0.3
COARSE = 0.02
NEGLIGIBLE = 3e-6
MOST_NODES = 12_000


def discover(
    t: Any,
    x: Any,
    *,
    names: Sequence[str] | str | None = None,
    library: Any = None,
    degree: int | None = None,
    control: Any = None,
    control_names: Sequence[str] | str | None = None,
    known: str | Sequence[str] | None = None,
    forbidden: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    discrete: bool = False,
    noise: float | Sequence[float] | Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Discovery:
    r"""Find the ordinary differential equations, or the map, behind sampled trajectories.

    States and coefficients are estimated together by maximum likelihood: the samples are states with noise of unknown
    size, the states obey the law, and the law is a sum of few terms of a library,

    .. math:: x_i' = \sum_j \Xi_{ji} \theta_j(x).

    Which terms is decided by the likelihood with a description length of each term. There is nothing to tune: no
    threshold, no noise level, one setting for all systems.

    Parameters
    ----------
    t : array [N] of increasing times, a list of such arrays, or the time step
    x : array [N, d] (or [N] for one unknown), or a list of trajectories, in any units; NaN marks missing samples
    names : of the unknowns ("x,y" or a sequence); by default x, y, z, or x1, x2, ... from four on
    library : a `Library`, a mapping from unknowns to libraries, texts in the notation, or a pysindy library;
        by default polynomials
    degree : of the polynomial library; by default chosen by evidence, up to what the data allow
    control : inputs [N, c] that act on the system, or a list of them; complete and without noise
    control_names : by default u, or u1, u2, ...
    known : equations that are known, "z' = x*y - 8/3*z"; ending in "+ ..." where further terms are sought
    forbidden : term texts that no equation may have, or a mapping from unknowns to such texts
    discrete : whether x are successive states of a map; t is then ignored
    noise : standard deviation of the noise in units of x, if it is known: a number, or one for each unknown
    seed : noted in the answer; the computation uses no randomness that depends on it
    progress : called with a line of text now and then

    Returns
    -------
    Discovery

    Raises
    ------
    ArgumentError
        shapes that do not fit, names that are none, too few samples, an unknown term.

    Notes
    -----
    Errors-in-variables likelihood with banded covariances (Fuller 1987, doi:10.1002/9780470316665); the idea of sparse
    regression of dynamics: Brunton, Proctor and Kutz (2016), doi:10.1073/pnas.1517384113.

    Examples
    --------
    >>> import numpy as np
    >>> from sciml import sindy
    >>> t = np.linspace(0, 10, 500)
    >>> x = np.stack([np.cos(2 * t), np.sin(2 * t)], axis=1)
    >>> law = sindy.discover(t, x + 0.01 * np.random.default_rng(0).normal(size=x.shape), degree=2)
    >>> [sorted(law.coefficients[name]) for name in law.names]
    [['y'], ['x']]
    """
    begin = time.perf_counter()
    report = progress or (lambda text: None)
    request = request_of(t, x, names, library, degree, control, control_names, known, forbidden, discrete, noise, seed)
    samples = prepare(request)
    report(f"smoothed {len(samples.z)} samples of {', '.join(request.trajectories.names)}")
    pool, chosen = _climb(request, samples, report)
    pieces = np.ones(len(request.trajectories.times) - 1, dtype=np.int64)
    for _ in range(FINER_GRIDS):
        finer = finer_grid(request, samples, pool, pieces)
        if (finer == pieces).all():
            break
        pieces = finer
        samples = prepare(request, samples.rejected, pieces)
        report(f"the sampling is coarse for this law: {len(samples.z)} states for {len(samples.rows)} samples")
        before = pool.ranked[0].estimate.error
        pool, chosen = _climb(request, samples, report, pool)
        if not pool.ranked or (
            pool.ranked[0].estimate.error > HOLDS * 1.001 and before < 2 * pool.ranked[0].estimate.error
        ):
            # It was not the sampling.
            break
    for _ in range(SECOND_LOOKS):
        rejected = second_look(request, samples, pool)
        if (rejected == samples.rejected).all():
            break
        report(f"the law rejects {int(rejected.sum())} samples, the smoother {int(samples.rejected.sum())}: once more")
        samples = prepare(request, rejected, pieces)
        pool, chosen = _climb(request, samples, report, pool)
    if pool.system.floor == NOISE_FLOOR:
        pool.finish()
    return answer(request, samples, pool, chosen, time.perf_counter() - begin)


def finer_grid(request: Request, samples: Samples, pool: Pool, pieces: np.ndarray) -> np.ndarray:
    """Return into how many parts each interval is to be divided, int [M - 1].

    An interval is halved where the quadrature over it is less accurate than the noise, with its neighbours, whose
    quadratures pass through it.
    """
    if request.discrete or not pool.ranked:
        return pieces
    system, winner = pool.system, pool.ranked[0].estimate
    doubt = linearise(system, winner.x, winner.coefficients, winner.noise).doubt
    coarse = system.defects.left[(np.sqrt(doubt) > DOUBTFUL * np.maximum(winner.noise, NEGLIGIBLE)).any(axis=1)]
    marked = np.zeros(len(pieces), dtype=bool)
    marked[np.searchsorted(samples.rows, coarse, side="right") - 1] = True
    if marked.sum() < COARSE * len(pieces):
        return pieces
    for _ in range(2):
        marked[1:-1] |= marked[:-2] | marked[2:]
    marked[request.trajectories.bounds[1:-1] - 1] = False
    finer = np.where(marked, 2 * pieces, pieces)
    return finer if finer.sum() <= MOST_NODES else pieces


def second_look(request: Request, samples: Samples, pool: Pool) -> np.ndarray:
    """Return which samples the law itself calls garbage, bool [N, d].

    A sample that was rejected is taken back where the law, which did not see it, passes through it; one in use is
    rejected where it is too far off for noise.
    """
    if not pool.ranked or pool.ranked[0].estimate.error > HOLDS * 1.001 or request.discrete:
        return samples.rejected
    winner = pool.ranked[0].estimate
    with np.errstate(invalid="ignore"):
        values = request.trajectories.values / samples.scales[: winner.x.shape[1]]
        off = np.abs(values - winner.x[samples.rows]) / winner.noise
        garbage = np.where(samples.rejected, off > 4.5, off > 6.0)
    garbage &= np.isfinite(off)
    # Clean data: what is left is no noise, and its tails say nothing.
    garbage &= off * winner.noise > NOTICED / 3
    return garbage if garbage.mean() <= MOST_GARBAGE else samples.rejected


def _climb(
    request: Request, samples: Samples, report: Callable[[str], None], before: Pool | None = None
) -> tuple[Pool, Library]:
    """Fit with the libraries on offer, small ones first; a larger one follows where its terms are wanted.

    `before` is a pool on other states whose winner is a start, too.
    """
    best: tuple[Pool, Library] | None = None
    for library in request.libraries:
        system = system_of(request, samples, library)
        pool = Pool(system, samples.smooth, samples.noise, report)
        if best is not None and not _wanted(best[0], pool):
            continue
        groups = [np.ones(len(system.basis.terms), dtype=bool)]
        degrees = system.basis.degrees
        groups = [degrees <= q for q in range(min(2, degrees.max()), degrees.max())] + groups
        supports = starting_supports(system, samples.smooth, groups)
        if before is not None and before.ranked and before.system.basis.texts == system.basis.texts:
            winner = before.ranked[0].estimate
            supports = [winner.support] if winner.error <= HOLDS * 1.001 else [winner.support, *supports]
        pool.explore(supports)
        pool.compare()
        if best is None or _better(pool, best[0]):
            best = (pool, library)
    assert best is not None
    return _polish(best[0], report), best[1]


def _wanted(old: Pool, new: Pool) -> bool:
    return True


def _better(new: Pool, old: Pool) -> bool:
    if not new.ranked or not old.ranked:
        return bool(new.ranked)
    return new.ranked[0].criterion < old.ranked[0].criterion


def _polish(pool: Pool, report: Callable[[str], None]) -> Pool:
    """Data without noise: fit once more with a noise that is far below what the first fits assume."""
    if not pool.ranked or pool.ranked[0].estimate.noise.max() > 1.5 * NOISE_FLOOR or pool.system.floor < NOISE_FLOOR:
        return pool
    system = replace(pool.system, floor=1e-7)
    finer = Pool(system, pool.x, pool.noise, report)
    for model in pool.ranked[:3]:
        start = replace(model.estimate, noise=np.full_like(model.estimate.noise, 1e-6), error=1e-3, visited=())
        finer.settle(start, least_error=1e-8)
    return finer if finer.ranked else pool


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
