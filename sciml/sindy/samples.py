"""Samples made ready for the fit: scaled, smoothed, gaps filled, garbage rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from sciml.sindy.refinement import NOISE_FLOOR
from sciml.sindy.smoothing import differences, smooth

if TYPE_CHECKING:
    from sciml.sindy.request import Request

__all__ = ["MISSING", "Samples", "prepare"]

# Variance factor of a node without a sample: the smooth value stands there with a hundred times the noise.
MISSING = 1e4


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


def prepare(request: Request) -> Samples:
    """Scale and smooth the records of a request."""
    record = request.trajectories
    used = np.isfinite(record.values)
    d = record.values.shape[1]
    if request.discrete:
        clock, step = np.arange(len(record.times), dtype=np.float64), 1.0
    else:
        gaps = np.concatenate([np.diff(record.times[part]) for part in record.slices])
        step = float(np.median(gaps))
        clock = record.times / step
    scales = np.array([_size(record.values[used[:, i], i]) for i in range(d)])
    z = record.values / scales
    rejected = np.zeros_like(used)
    first, rows = differences(clock, record.bounds)
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


def _size(values: np.ndarray) -> float:
    size = float(np.sqrt(np.mean((values / (m := float(np.max(np.abs(values))) or 1.0)) ** 2)) * m)
    return size if size > 0 else 1.0
