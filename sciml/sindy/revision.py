"""What a first law says about its data: where the sampling is too coarse for it, and which samples are garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sciml.sindy.refinement import HOLDS, linearise
from sciml.sindy.samples import MOST_GARBAGE, NOTICED

if TYPE_CHECKING:
    from sciml.sindy.pooling import Pool
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples

__all__ = ["finer_grid", "first_grid", "garbage"]

# Gaps from this many typical intervals on are divided at once, into so many parts at most.
WIDE, MOST_PARTS = 2.5, 16

# A grid of states that is finer than the samples: from which quadrature error on, in units of the noise (of which less
# than NEGLIGIBLE counts as this); in which part of the intervals at least; and how many states there may be.
DOUBTFUL = 0.3
COARSE = 0.002
NEGLIGIBLE = 3e-6
MOST_NODES = 12_000


def first_grid(request: Request) -> np.ndarray:
    """Return into how many parts each interval is divided before there is a law, int [M - 1].

    Only wide gaps are: quadrature needs neighbours at distances that are comparable to the interval.
    """
    record = request.trajectories
    gaps = np.diff(record.times)
    inside = np.ones(len(gaps), dtype=bool)
    inside[record.bounds[1:-1] - 1] = False
    if request.discrete:
        return np.ones(len(gaps), dtype=np.int64)
    typical = float(np.median(gaps[inside]))
    wanted = np.minimum(np.ceil(gaps / (WIDE * typical)), MOST_PARTS).astype(np.int64)
    return np.where(inside & (gaps > WIDE * typical), wanted, 1)


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


def garbage(request: Request, samples: Samples, pool: Pool) -> np.ndarray:
    """Return which samples the law itself calls garbage, bool [N, d].

    A sample that was rejected is taken back where the law, which did not see it, passes through it; one in use is
    rejected where it is too far off for noise.
    """
    if not pool.ranked or request.discrete:
        return samples.rejected
    winner = pool.ranked[0].estimate
    with np.errstate(invalid="ignore"):
        values = request.trajectories.values / samples.scales[: winner.x.shape[1]]
        off = np.abs(values - winner.x[samples.rows]) / winner.noise
        if winner.error <= HOLDS * 1.001:
            wild = np.where(samples.rejected, off > 4.5, off > 6.0)
        else:
            # Garbage that the smoother followed may be why no law holds: what the best one cannot follow goes, too.
            wild = samples.rejected | (off > 6.0) if samples.rejected.any() else samples.rejected
    wild = wild & np.isfinite(off)
    # Clean data: what is left is no noise, and its tails say nothing.
    wild &= off * winner.noise > NOTICED / 3
    return wild if wild.mean() <= MOST_GARBAGE else samples.rejected
