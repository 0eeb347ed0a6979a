"""Samples made ready for the fit: scaled, smoothed, gaps filled, garbage rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from scipy.ndimage import median_filter

from sciml.sindy.refinement import NOISE_FLOOR
from sciml.sindy.smoothing import differences, smooth

if TYPE_CHECKING:
    from sciml.sindy.request import Request

__all__ = ["MISSING", "Samples", "prepare"]

# Variance factor of a node without a sample: the smooth value stands there with a hundred times the noise.
MISSING = 1e4
# Garbage: at least so far off, relative to a column's size; at most such a part of its samples.
NOTICED = 0.03
MOST_GARBAGE = 0.35
ROUNDS = 6
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
    rejected : bool [N, d], samples that were taken for garbage
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
    rejected: np.ndarray
    fixed_noise: np.ndarray


def prepare(request: Request, rejected: np.ndarray | None = None) -> Samples:
    """Scale and smooth the records of a request; find the garbage, unless it is given as bool [N, d]."""
    record = request.trajectories
    used = np.isfinite(record.values)
    d = record.values.shape[1]
    if request.discrete:
        clock, step = np.arange(len(record.times), dtype=np.float64), 1.0
    else:
        gaps = np.concatenate([np.diff(record.times[part]) for part in record.slices])
        step = float(np.median(gaps))
        clock = record.times / step
    first, rows = differences(clock, record.bounds)
    if rejected is None:
        rejected = np.zeros_like(used)
        if not request.discrete:
            for i in range(d):
                rejected[:, i] = _garbage(record.values[:, i], used[:, i], record.slices, first, rows)
    scales = np.array([_size(record.values[used[:, i] & ~rejected[:, i], i]) for i in range(d)])
    z = record.values / scales
    values, noise = np.empty_like(z), np.empty(d)
    for i in range(d):
        if request.discrete:
            # Successive states of a map are no smooth curve: the samples themselves are the first guess.
            values[:, i] = np.where(used[:, i], z[:, i], np.interp(clock, clock[used[:, i]], z[used[:, i], i]))
            noise[i] = 0.01
        else:
            curve = smooth(z[:, i], used[:, i] & ~rejected[:, i], first, rows, len(record.slices))
            values[:, i], noise[i] = curve.values, curve.noise
    counted = used & ~rejected
    given = request.noise
    fixed = np.zeros(d, dtype=bool)
    if given is not None:
        noise, fixed = given / scales[:d], np.ones(d, dtype=bool)
    drives = record.inputs
    sizes = np.array([_size(column) for column in drives.T]) if drives.shape[1] else np.zeros(0)
    return Samples(
        z=np.where(counted, z, values),
        spread=np.where(counted, 1.0, MISSING),
        smooth=values,
        noise=np.maximum(noise, np.where(fixed, 1e-9, NOISE_FLOOR)),
        inputs=drives / sizes if drives.shape[1] else drives,
        scales=np.concatenate([scales, sizes]),
        clock=clock,
        step=step,
        rejected=rejected,
        fixed_noise=fixed,
    )


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
    away = y - np.concatenate([median_filter(values[part][used[part]], 5, mode="nearest") for part in parts])
    rejected = np.zeros(len(values), dtype=bool)
    rejected[place] = np.abs(away) > max(6 * _spread(away), NOTICED * size)
    if not rejected.any():
        return rejected
    for _ in range(ROUNDS):
        kept = used & ~rejected
        if kept.sum() < (1 - MOST_GARBAGE) * used.sum():
            return np.zeros_like(rejected)
        curve = smooth(values / size, kept, first, rows, len(parts)).values * size
        off = values - curve
        new = np.zeros_like(rejected)
        new[place] = np.abs(off[place]) > max(4 * _spread(off[kept]), NOTICED * size)
        if (new == rejected).all():
            break
        rejected = new
    return rejected if rejected.sum() <= MOST_GARBAGE * used.sum() else np.zeros_like(rejected)


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation that the median of the absolute values stands for."""
    return 1.4826 * float(np.median(np.abs(values)))


def _size(values: np.ndarray) -> float:
    size = float(np.sqrt(np.mean((values / (m := float(np.max(np.abs(values))) or 1.0)) ** 2)) * m)
    return size if size > 0 else 1.0
