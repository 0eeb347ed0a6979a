"""Smoothing of records without anything to choose: third-order Whittaker with its penalty by marginal likelihood.

The smooth x of samples y with noise variances sigma^2 v minimises sum (y - x)^2 / v + lam sum (x''')^2, the third
derivatives by divided differences. As the mean of a Gaussian process with x''' white, its penalty lam and sigma follow
from the likelihood of the data (Whittaker 1923, doi:10.1017/S0013091500077853; Wahba 1985, doi:10.1214/aos/1176349743).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.linalg import cholesky_banded, get_lapack_funcs

__all__ = ["Smooth", "difference_noise", "differences", "leverages", "smooth"]

(_pbtrs,) = get_lapack_funcs(("pbtrs",), dtype=np.float64)

ORDER = 3
LEAST_GAP = 0.1
# Differences of these orders show the noise where most of a record is smooth; so many of them are needed, of times that
# are even but for this part of a step.
ORDERS, LEAST_DIFFERENCES, EVEN = range(2, 8), 60, 0.02
# Half-decades of the penalty in units of the (median) time step.
PENALTIES = 10.0 ** np.arange(-3.0, 13.01, 0.5)


@final
@dataclass(frozen=True)
class Smooth:
    """A smoothed column.

    Attributes
    ----------
    values : [N]
    noise : standard deviation of the samples.
    penalty : lam.
    """

    values: np.ndarray
    noise: float
    penalty: float


def differences(times: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return third derivatives as rows of four weights [M, 4] at nodes first[M] + (0, 1, 2, 3).

    Gaps below a tenth of the median one count as this. Each row is multiplied by the root of its length in time, so
    that sums of squares stand for integrals. `bounds` are the first nodes of the records and N; no row crosses them.
    """
    first = np.concatenate([np.arange(a, b - ORDER) for a, b in itertools.pairwise(bounds)])
    # Samples at nearly the same time would have differences that drown all others in rounding.
    gaps = np.diff(times)
    inside = np.setdiff1d(np.arange(len(gaps)), bounds[1:-1] - 1)
    least = LEAST_GAP * np.median(gaps[inside])
    times = np.concatenate([[0.0], np.cumsum(np.where(gaps > 0, np.maximum(gaps, least), gaps))])
    nodes = times[first[:, None] + np.arange(ORDER + 1)]
    gaps = nodes[:, :, None] - nodes[:, None, :]
    gaps[:, np.arange(ORDER + 1), np.arange(ORDER + 1)] = 1.0
    length = (nodes[:, -1] - nodes[:, 0]) / ORDER
    return first, 6.0 / gaps.prod(axis=2) * np.sqrt(length)[:, None]


def difference_noise(values: np.ndarray, used: np.ndarray, times: np.ndarray, bounds: np.ndarray) -> float:
    """Return the standard deviation of the noise by the median of high differences, NaN where there are too few.

    A smooth curve adds little to them, and the median does not see bursts, which mislead a likelihood that takes the
    curve to be as rough everywhere. Of all orders the least counts: what a curve adds is never negative.
    """
    found = []
    for order in ORDERS:
        parts = []
        for a, b in itertools.pairwise(bounds):
            if b - a <= order:
                continue
            own = np.diff(values[a:b], order)
            gaps = np.diff(times[a:b])
            step = np.median(gaps)
            window = np.lib.stride_tricks.sliding_window_view
            whole = window(used[a:b], order + 1).all(axis=1)
            even = (np.abs(window(gaps, order) - step) <= EVEN * step).all(axis=1)
            parts.append(np.abs(own[whole & even]))
        every = np.concatenate(parts) if parts else np.zeros(0)
        if len(every) >= LEAST_DIFFERENCES:
            found.append(1.4826 * float(np.median(every)) / math.sqrt(math.comb(2 * order, order)))
    return min(found, default=math.nan)


def smooth(
    values: np.ndarray,
    used: np.ndarray,
    first: np.ndarray,
    rows: np.ndarray,
    records: int,
    noise: float | None = None,
) -> Smooth:
    """Smooth one column.

    Parameters
    ----------
    values : [N], finite where used
    used : bool [N], which samples count
    first, rows : of `differences`
    records : how many of them there are
    noise : standard deviation of the samples, estimated if absent.
    """
    count, m = len(values), int(used.sum())
    weights = used.astype(np.float64)
    y = np.where(used, values, 0.0)
    gram = _gram(first, rows, count)
    window = first[:, None] + np.arange(ORDER + 1)
    freedom = max(m - ORDER * records, 1)
    size = float(np.mean(y[used] ** 2)) or 1.0
    best: tuple[float, float, np.ndarray, float] | None = None
    for penalty in PENALTIES:
        band = penalty * gram
        band[0] += weights
        try:
            factor = cholesky_banded(band, lower=True, overwrite_ab=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        x, _ = _pbtrs(factor, y, lower=1)
        # Both parts by themselves: where the solution is lost in rounding, they show it.
        rough = np.einsum("ma,ma->m", rows, x[window])
        square = float(weights @ (y - x) ** 2 + penalty * (rough @ rough))
        variance = max(square / freedom, 1e-30 * size) if noise is None else noise**2
        fit = freedom * np.log(variance) if noise is None else square / variance
        score = fit + 2 * np.sum(np.log(factor[0])) - len(first) * np.log(penalty)
        if best is None or score < best[0]:
            best = (float(score), float(penalty), x, variance)
    if best is None:
        return Smooth(np.interp(np.arange(count), np.flatnonzero(used), values[used]), np.sqrt(size), float("nan"))
    return Smooth(best[2], float(np.sqrt(best[3])), best[1])


def leverages(nodes: np.ndarray, used: np.ndarray, first: np.ndarray, rows: np.ndarray, penalty: float) -> np.ndarray:
    """Return by how much each sample draws the curve to itself, between 0 and 1, at some nodes [k]."""
    band = penalty * _gram(first, rows, len(used))
    band[0] += used
    unit = np.zeros((len(used), len(nodes)), order="F")
    unit[nodes, np.arange(len(nodes))] = 1.0
    try:
        factor = cholesky_banded(band, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return np.zeros(len(nodes))
    solved, _ = _pbtrs(factor, unit, lower=1)
    return np.clip(solved[nodes, np.arange(len(nodes))] * used[nodes], 0.0, 1.0)


def _gram(first: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Return D'D in LAPACK's lower banded form."""
    gram = np.zeros((ORDER + 1, count))
    for a in range(ORDER + 1):
        for b in range(a, ORDER + 1):
            np.add.at(gram[b - a], first + a, rows[:, a] * rows[:, b])
    return gram
