"""From samples of trajectories to the law behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sciml.sindy.answers import answer
from sciml.sindy.competition import compete
from sciml.sindy.discovery import Discovery
from sciml.sindy.output_error import observed
from sciml.sindy.pooling import Pool
from sciml.sindy.refinement import HOLDS, NOISE_FLOOR
from sciml.sindy.request import request_of
from sciml.sindy.revision import finer_grid, first_grid, garbage
from sciml.sindy.samples import prepare
from sciml.sindy.tempering import tempered

__all__ = ["discover"]

# How often the grid of states is refined, and how often the law has a word on what is garbage.
FINER_GRIDS, SECOND_LOOKS = 3, 2


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
    names : of the unknowns ("x,y" or a sequence); by default a data frame's, or x, y, z, or x1, x2, ... from four on
    library : a `Library`, several in a list (the evidence decides between them), a mapping from unknowns to libraries,
        texts in the notation, or a pysindy library; by default polynomials, and where these do not explain the data,
        polynomials with sines, fractions, exponentials, logarithms and roots (of positive states), magnitudes and
        signs (of others), or saturations x*y/(b + x), whose b is estimated, too
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
    pieces = first_grid(request)
    samples = prepare(request, None, pieces)
    report(f"smoothed {len(samples.z)} samples of {', '.join(request.trajectories.names)}")

    def coarse(pool: Pool) -> bool:
        return bool((finer_grid(request, samples, pool, pieces) != pieces).any())

    pool, chosen = compete(request, samples, report, coarse=coarse)
    for left in reversed(range(FINER_GRIDS)):
        finer = finer_grid(request, samples, pool, pieces)
        if (finer == pieces).all():
            break
        pieces = finer
        samples = prepare(request, samples.rejected, pieces)
        report(f"the sampling is coarse for this law: {len(samples.z)} states for {len(samples.rows)} samples")
        before = pool.ranked[0].estimate.error
        pool, chosen = compete(request, samples, report, pool, coarse if left else None)
        if not pool.ranked or (
            pool.ranked[0].estimate.error > HOLDS * 1.001 and before < 2 * pool.ranked[0].estimate.error
        ):
            # It was not the sampling.
            break
    if pool.provisional:
        pool, chosen = compete(request, samples, report, pool)
    for _ in range(SECOND_LOOKS):
        rejected = garbage(request, samples, pool)
        if (rejected == samples.rejected).all():
            break
        report(f"the law rejects {int(rejected.sum())} samples, the smoother {int(samples.rejected.sum())}: once more")
        samples = prepare(request, rejected, pieces)
        pool, chosen = compete(request, samples, report, pool)
        if not pool.ranked or pool.ranked[0].estimate.error > HOLDS * 1.001:
            # Without a law that holds there is nobody to ask a second time.
            break
    if pool.system.floor == NOISE_FLOOR:
        pool.finish()
    law = answer(request, samples, pool, chosen, time.perf_counter() - begin)
    law = tempered(request, samples, pool, law, report) or observed(request, samples, pool, chosen, law, report)
    return replace(law, wall_time=time.perf_counter() - begin)
