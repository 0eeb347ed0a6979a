r"""Errors of sampling: what a grid makes of fields that it does not resolve, shocks above all.

Sums over a grid are integrals only as far as the waves beyond the grid's highest frequency are small. What is there
cannot be seen, but a field without an end to its spectrum has as much of it just below the highest frequency. Its local
size is taken from a high-pass filter along each axis, :math:`d = ((1 - \cos \kappa)/2)^4\, u^e`, its size in the modes
from the spectrum one grid frequency away, and it enters as a further noise, one for each axis and shared by all powers.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import final

import numpy as np
from scipy import fft, ndimage

from sciml.sindy.field_spectrum import Modes

__all__ = ["Aliasing"]

Powers = tuple[int, ...]
PASSES = 4
# Below this part of the noise, the errors of sampling are left out.
NEGLIGIBLE = 0.02
# The unseen error over the one that the coarser half of the grid would make.
EXTRAPOLATION = 1.0


def _high_pass(values: np.ndarray, axis: int) -> np.ndarray:
    for _ in range(PASSES):
        values = ndimage.convolve1d(values, [-0.25, 0.5, -0.25], axis=axis, mode="nearest")
    return values


@final
class Aliasing:
    """Covariances of the errors of sampling at each point.

    Parameters
    ----------
    clean : denoised fields [F, ...].
    sigma : standard deviations of their noise [F].
    taper : the window on the grid.
    modes : the plane waves in use.
    """

    def __init__(self, clean: np.ndarray, sigma: np.ndarray, taper: np.ndarray, modes: Modes) -> None:
        self._clean = clean
        self._square = taper**2
        units = np.eye(len(clean), dtype=int)
        self._cache: dict[tuple[Powers, int], np.ndarray] = {}
        self.factors = np.zeros(taper.ndim)
        shape = np.array(taper.shape)
        spectra = [np.asarray(fft.fftn(taper * field)) for field in clean]
        for axis in range(taper.ndim):
            offset = np.zeros(taper.ndim, dtype=int)
            offset[axis] = shape[axis] // 2
            places = tuple(((modes.index + offset) % shape).T)
            worst = 0.0
            for field, level, spectrum in zip(range(len(clean)), sigma, spectra, strict=True):
                seen = float(np.mean(np.abs(spectrum[places]) ** 2))
                if seen > NEGLIGIBLE * level**2 * self._square.sum():
                    local = float(np.sum(self._square * self._error(tuple(units[field]), axis) ** 2))
                    worst = max(worst, EXTRAPOLATION * seen / max(local, 1e-300))
            self.factors[axis] = worst

    def scaled(self, factor: float) -> Aliasing:
        """Return the same errors with their variance times `factor`."""
        other = copy(self)
        other.factors = self.factors * factor
        return other

    @property
    def active(self) -> bool:
        """Whether sampling makes errors that are worth counting."""
        return bool(self.factors.any())

    def _error(self, e: Powers, axis: int) -> np.ndarray:
        if (e, axis) not in self._cache:
            values: np.ndarray | float = 1.0
            for field, power in zip(self._clean, e, strict=True):
                if power:
                    values = values * field**power
            self._cache[e, axis] = _high_pass(np.asarray(values), axis)
        return self._cache[e, axis]

    def product(self, e: Powers, other: Powers) -> np.ndarray:
        """Return the covariance of the errors of two monomials at each point."""
        total = np.zeros(self._square.shape)
        for axis, factor in enumerate(self.factors):
            if factor:
                total += factor * self._error(e, axis) * self._error(other, axis)
        return total

    def coarse(self, e: Powers, other: Powers, shape: Sequence[int]) -> np.ndarray:
        """Return `product` on a coarser grid, averaged over its cells."""
        values = self.product(e, other)
        for axis, n in enumerate(shape):
            if n < values.shape[axis]:
                starts = np.ceil(np.arange(n) * values.shape[axis] / n).astype(int)
                counts = np.diff(np.append(starts, values.shape[axis]))
                column = [-1 if k == axis else 1 for k in range(values.ndim)]
                values = np.add.reduceat(values, starts, axis=axis) / counts.reshape(column)
        return values
