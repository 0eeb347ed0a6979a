"""What the spectrum of sampled fields says: the level of white noise, the modes with signal, the denoised fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import fft, ndimage

from sciml.sindy.test_functions import window

__all__ = ["Modes", "denoised", "noise_level", "signal_modes", "whole_window"]

# The median of the square of a standard normal number.
CHI2_MEDIAN = 0.45493642311957
BLOCKS = 10


def noise_level(field: np.ndarray) -> float:
    """Return the standard deviation of white noise from the cosine spectrum (DCT-II).

    The median of the squares in the quarter of highest frequency in all axes, which signals reach last, is a first
    value; the mean over all blocks of the spectrum that agree with it is the result. An error of the variance would
    make false terms, since it corrects every product.
    """
    power = np.asarray(fft.dctn(field, norm="ortho")) ** 2
    corner = tuple(slice(n - max(n // 4, 1), n) for n in field.shape)
    variance = float(np.median(power[corner])) / CHI2_MEDIAN
    counts = np.ones_like(power)
    for axis, n in enumerate(field.shape):
        starts = np.unique(np.linspace(0, n, min(BLOCKS, max(n // 4, 1)) + 1).astype(int)[:-1])
        power, counts = np.add.reduceat(power, starts, axis=axis), np.add.reduceat(counts, starts, axis=axis)
    for _ in range(3):
        agrees = power < variance * (counts + 3.0 * np.sqrt(2.0 * counts))
        if agrees.any() and variance > 0.0:
            variance = float(power[agrees].sum() / counts[agrees].sum())
    return float(np.sqrt(variance))


def denoised(field: np.ndarray, sigma: float, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return the field with each cosine mode damped by 1 - sigma^2 / (smoothed power), none below 4 sigma^2.

    Parameters
    ----------
    field : on the grid.
    sigma : standard deviation of its noise.
    shape : of a coarser grid for the result, which has its points at (i + 1/2) N / N_c - 1/2 of each axis.
    """
    spectrum = np.asarray(fft.dctn(field, norm="ortho"))
    power = ndimage.uniform_filter(spectrum**2, size=3, mode="nearest")
    spectrum *= np.where(power > 4.0 * sigma**2, 1.0 - sigma**2 / np.maximum(power, 1e-300), 0.0)
    if shape is not None and shape != field.shape:
        spectrum = spectrum[tuple(slice(n) for n in shape)] * np.sqrt(np.prod(shape) / field.size)
    return np.asarray(fft.idctn(spectrum, norm="ortho"))


@final
@dataclass(frozen=True)
class Modes:
    """Plane waves, one of each conjugate pair.

    Attributes
    ----------
    index : [M, d] whole numbers of waves along each axis, time last.
    ratio : [M] smoothed periodogram over the variance of the noise, the largest of the fields.
    shape : number of samples on each axis.
    """

    index: np.ndarray
    ratio: np.ndarray
    shape: tuple[int, ...]

    @property
    def frequencies(self) -> np.ndarray:
        """Angular frequencies [M, d] in radians per step."""
        return 2.0 * np.pi * self.index / np.array(self.shape)

    def subset(self, keep: np.ndarray) -> Modes:
        """Return the modes at the places `keep`."""
        return Modes(self.index[keep], self.ratio[keep], self.shape)


def whole_window(shape: Sequence[int], orders: Sequence[int]) -> np.ndarray:
    """Return the product of the windows of all axes."""
    taper = np.ones(())
    for n, order in zip(shape, orders, strict=True):
        taper = taper[..., None] * window(n, order)[0]
    return taper


def signal_modes(fields: np.ndarray, sigma: np.ndarray, cut: float, orders: tuple[int, ...]) -> Modes:
    """Return the modes in which a field [F, ...] has a smoothed periodogram above `cut` times the noise.

    Parameters
    ----------
    fields, sigma : [F, ...] and [F].
    cut : in units of sigma^2.
    orders : of the derivatives that the window of each axis must carry.
    """
    shape = fields.shape[1:]
    taper = whole_window(shape, orders)
    ratio = np.zeros(shape)
    for field, level in zip(fields, sigma, strict=True):
        power = np.abs(np.asarray(fft.fftn(taper * field))) ** 2 / (np.sum(taper**2) * level**2)
        ratio = np.maximum(ratio, ndimage.uniform_filter(power, size=3, mode="wrap"))
    ratio = fft.fftshift(ratio)
    index = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij"), axis=-1)
    keep = ratio > cut
    # One of each pair: the first axis from the last that is not zero is positive; the highest frequency has no pair.
    first = np.zeros(shape, dtype=index.dtype)
    for axis in range(len(shape)):
        first = np.where(index[..., axis] != 0, np.sign(index[..., axis]), first)
        keep &= 2 * np.abs(index[..., axis]) < shape[axis] - 1
    keep &= first >= 0
    return Modes(index[keep], ratio[keep], shape)
