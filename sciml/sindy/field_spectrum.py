"""What the spectrum of sampled fields says: the level of white noise, the modes with signal, the denoised fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import fft, ndimage

from sciml.sindy.test_functions import window

__all__ = ["Modes", "denoised", "noise_level", "signal_modes"]

# The median of the square of a standard normal number.
CHI2_MEDIAN = 0.45493642311957


def noise_level(field: np.ndarray) -> float:
    """Return the standard deviation of white noise, from the quarter of highest frequency in all axes (DCT-II)."""
    spectrum = fft.dctn(field, norm="ortho")
    corner = tuple(slice(max(n - max(n // 4, 1), 1) if n > 1 else 0, n) for n in field.shape)
    return float(np.sqrt(np.median(spectrum[corner] ** 2) / CHI2_MEDIAN))


def denoised(field: np.ndarray, sigma: float) -> np.ndarray:
    """Return the field with each cosine mode damped by 1 - sigma^2 / (smoothed power), none below 4 sigma^2."""
    spectrum = fft.dctn(field, norm="ortho")
    power = ndimage.uniform_filter(spectrum**2, size=3, mode="nearest")
    gain = np.where(power > 4.0 * sigma**2, 1.0 - sigma**2 / np.maximum(power, 1e-300), 0.0)
    return fft.idctn(gain * spectrum, norm="ortho")


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


def signal_modes(fields: np.ndarray, sigma: np.ndarray, cut: float, orders: tuple[int, ...]) -> Modes:
    """Return the modes in which a field [F, ...] has a smoothed periodogram above `cut` times the noise.

    Parameters
    ----------
    fields, sigma : [F, ...] and [F].
    cut : in units of sigma^2.
    orders : of the derivatives that the window of each axis must carry.
    """
    shape = fields.shape[1:]
    taper = np.ones(shape)
    for axis, (n, order) in enumerate(zip(shape, orders, strict=True)):
        taper = taper * window(n, order)[0].reshape([-1 if k == axis else 1 for k in range(len(shape))])
    ratio = np.zeros(shape)
    for field, level in zip(fields, sigma, strict=True):
        power = np.abs(fft.fftn(taper * field)) ** 2 / (np.sum(taper**2) * level**2)
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
