"""Samples made ready for the fit: scaled, smoothed, gaps filled, garbage rejected."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from scipy.ndimage import median_filter
from scipy.stats import poisson

from sciml.sindy.refinement import NOISE_FLOOR
from sciml.sindy.smoothing import difference_noise, differences, leverages, smooth

if TYPE_CHECKING:
    from sciml.sindy.request import Request

__all__ = ["MISSING", "Samples", "prepare"]

# A node without a sample: the smooth value stands there, with at least a hundred times the noise as its standard
# deviation, and at least this part of the state's size.
MISSING = 1e4
FAR = 1.0
# Garbage: at least so far off, relative to a column's size; at most such a part of its samples.
NOTICED = 0.03
MOST_GARBAGE = 0.35
ROUNDS = 6
# Garbage comes independently: so many neighbours in it must not be less likely than this.
UNLIKELY = 1e-4
# Two estimates of the noise that differ by this factor are not the same.
UNLIKE = 1.5
# Shorter records do not tell garbage from events.
LEAST_FOR_GARBAGE = 50


@final
@dataclass(frozen=True, eq=False)
class Samples:
    """Scaled records.

    Attributes
    ----------
    z : samples [N, d] in units of `scales`, smooth values where there are none
    spread : variance factors [N, d]: 1, or `MISSING`
    smooth : smoothed states [N, d]
    noise : standard deviations [d] by the smoother (or as given), at least the floor
    inputs : control inputs [N, c] in units of their scales
    scales : [d + c], root mean squares in the user's units
    clock : times [N] in units of `step`
    step : the time step in the user's units; 1 for a map
    bounds : int [K + 1], the first nodes of the records, and N
    rows : int [M], the nodes of the M samples; between them stand nodes that only the law determines
    rejected : bool [M, d], samples that were taken for garbage
    fixed_noise : bool [d], whether the noise was given.
    """

    z: np.ndarray
    spread: np.ndarray
    smooth: np.ndarray
    noise: np.ndarray
    inputs: np.ndarray
    scales: np.ndarray
    clock: np.ndarray
    step: float
    bounds: np.ndarray
    rows: np.ndarray
    rejected: np.ndarray
    fixed_noise: np.ndarray


def prepare(request: Request, rejected: np.ndarray | None = None, pieces: np.ndarray | None = None) -> Samples:
    """Scale and smooth the records of a request.

    Parameters
    ----------
    request : the data
    rejected : bool [M, d], the garbage, if it is known already
    pieces : int [M - 1], into how many equal parts the interval behind each sample is divided by nodes without samples
        (1 between records); none if absent.
    """
    record = request.trajectories
    d = record.values.shape[1]
    if rejected is None:
        rejected = _all_garbage(request)
    node_times, rows, bounds = _nodes(record.times, record.bounds, pieces)
    values_at = np.full((len(node_times), d), np.nan)
    values_at[rows] = np.where(rejected, np.nan, record.values)
    used = np.isfinite(values_at)
    clock, step = _clock(request, node_times)
    parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
    first, curves = differences(clock, bounds)
    scales = np.array([_size(values_at[used[:, i], i]) for i in range(d)])
    z = values_at / scales
    values, noise = np.empty_like(z), np.empty(d)
    for i in range(d):
        if request.discrete:
            # Successive states of a map are no smooth curve: the samples themselves are the first guess.
            values[:, i] = np.where(used[:, i], z[:, i], np.interp(clock, clock[used[:, i]], z[used[:, i], i]))
            noise[i] = 0.01
        else:
            curve = smooth(z[:, i], used[:, i], first, curves, len(parts))
            robust = difference_noise(z[rows, i], used[rows, i], clock[rows], record.bounds)
            ratio = max(curve.noise, NOISE_FLOOR) / max(robust, NOISE_FLOOR)
            if ratio > UNLIKE or ratio < 1 / UNLIKE:
                curve = smooth(z[:, i], used[:, i], first, curves, len(parts), max(robust, NOISE_FLOOR))
            values[:, i], noise[i] = curve.values, curve.noise
    given = request.noise
    fixed = np.zeros(d, dtype=bool)
    if given is not None:
        noise, fixed = given / scales[:d], np.ones(d, dtype=bool)
    drives = np.zeros((len(node_times), record.inputs.shape[1]))
    for own, part in zip(record.slices, parts, strict=True):
        for k in range(drives.shape[1]):
            drives[part, k] = np.interp(node_times[part], record.times[own], record.inputs[own, k])
    sizes = np.array([_size(column) for column in drives.T]) if drives.shape[1] else np.zeros(0)
    level = np.maximum(noise, np.where(fixed, 1e-9, NOISE_FLOOR))
    return Samples(
        z=np.where(used, z, values),
        spread=np.where(used, 1.0, np.maximum(MISSING, (FAR / level) ** 2)),
        smooth=values,
        noise=level,
        inputs=drives / sizes if drives.shape[1] else drives,
        scales=np.concatenate([scales, sizes]),
        clock=clock,
        step=step,
        bounds=bounds,
        rows=rows,
        rejected=rejected,
        fixed_noise=fixed,
    )


def _clock(request: Request, times: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the times in units of the median sampling interval, and that."""
    if request.discrete:
        return np.arange(len(times), dtype=np.float64), 1.0
    record = request.trajectories
    step = float(np.median(np.concatenate([np.diff(record.times[part]) for part in record.slices])))
    return times / step, step


def _nodes(
    times: np.ndarray, bounds: np.ndarray, pieces: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nodes' times, the rows of the samples among them, and the records' bounds."""
    if pieces is None or (pieces == 1).all():
        return times, np.arange(len(times)), bounds
    rows = np.concatenate([[0], np.cumsum(pieces)])
    nodes = np.empty(rows[-1] + 1)
    for k, count in enumerate(pieces):
        nodes[rows[k] : rows[k + 1]] = times[k] + (times[k + 1] - times[k]) * np.arange(count) / count
    nodes[-1] = times[-1]
    return nodes, rows, np.append(rows[bounds[:-1]], len(nodes))


def _all_garbage(request: Request) -> np.ndarray:
    """Return which samples are garbage, column by column; of a map none can be told."""
    record = request.trajectories
    used = np.isfinite(record.values)
    rejected = np.zeros_like(used)
    if not request.discrete:
        clock, _ = _clock(request, record.times)
        first, rows = differences(clock, record.bounds)
        for i in range(used.shape[1]):
            rejected[:, i] = _garbage(record.values[:, i], used[:, i], record.slices, first, rows)
    return rejected


def _garbage(
    values: np.ndarray, used: np.ndarray, parts: list[slice], first: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Return which samples of a column do not belong to it, bool [N].

    The first guess are the samples far from the median of their neighbours; then those far from the curve which is
    smoothed without the garbage, until these do not change. What is less than `NOTICED` of the column's size off is
    never garbage, and neither is too large a part of it: then it is the curve that is wrong.
    """
    place = np.flatnonzero(used)
    y = values[place]
    if len(y) < LEAST_FOR_GARBAGE:
        return np.zeros(len(values), dtype=bool)
    size = 1.4826 * float(np.median(np.abs(y)))
    size = size if size > 0 else _size(y)
    away = y - np.concatenate([median_filter(values[part][used[part]], 5, mode="mirror") for part in parts])
    rejected = np.zeros(len(values), dtype=bool)
    rejected[place] = np.abs(away) > max(6 * _spread(away), NOTICED * size)
    if not rejected.any():
        return rejected
    for _ in range(ROUNDS):
        kept = used & ~rejected
        if kept.sum() < (1 - MOST_GARBAGE) * used.sum():
            return np.zeros_like(rejected)
        curve = smooth(values / size, kept, first, rows, len(parts))
        off = (values - curve.values * size) * _studentised(kept, parts, first, rows, curve.penalty)
        new = np.zeros_like(rejected)
        new[place] = np.abs(off[place]) > max(4 * _spread(off[kept]), NOTICED * size)
        if (new == rejected).all():
            break
        rejected = new
    wrong = rejected.sum() > MOST_GARBAGE * used.sum() or _clustered(rejected, used, parts)
    return np.zeros_like(rejected) if wrong else rejected


def _clustered(rejected: np.ndarray, used: np.ndarray, parts: list[slice]) -> bool:
    """Whether the rejected samples stand side by side more often than samples that were spoilt independently.

    Then they are events, such as bursts, for which the smooth curve is too stiff.
    """
    own = [rejected[part][used[part]] for part in parts]
    pairs = sum(int((each[1:] & each[:-1]).sum()) for each in own)
    rate = float(rejected.sum()) / float(used.sum())
    return bool(poisson.sf(pairs - 1, rate**2 * float(used.sum())) < UNLIKELY)


def _studentised(
    kept: np.ndarray, parts: list[slice], first: np.ndarray, rows: np.ndarray, penalty: float
) -> np.ndarray:
    """Return factors that make residuals of equal size mean equal surprise, [N].

    A sample at an end or beside a gap draws the curve to itself by its leverage h: its residual has the variance
    sigma^2 (1 - h). Elsewhere h is small.
    """
    alone = np.zeros(len(kept), dtype=bool)
    for part in parts:
        own = np.concatenate([[False, False], kept[part], [False, False]])
        near = own[:-4].astype(int) + own[1:-3] + own[3:-1] + own[4:]
        alone[part] = kept[part] & (near < 4)
    nodes = np.flatnonzero(alone)
    factors = np.ones(len(kept))
    if len(nodes):
        factors[nodes] = 1 / np.sqrt(np.maximum(1 - leverages(nodes, kept, first, rows, penalty), 1e-3))
    return factors


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation that the median of the absolute values stands for."""
    return 1.4826 * float(np.median(np.abs(values)))


def _size(values: np.ndarray) -> float:
    size = float(np.sqrt(np.mean((values / (m := float(np.max(np.abs(values))) or 1.0)) ** 2)) * m)
    return size if size > 0 else 1.0
