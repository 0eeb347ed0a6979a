r"""The covariance of the residual between different modes, and the errors of all columns that a residual reveals.

The noise of a product lives where the field is large, so the residuals of neighbouring modes are correlated. The
residual of mode m is :math:`\sum_g e^{-i k_m g} \sum_{e,l} P_{e,l}(m)\, w^{(l)}(g)\, \epsilon_e(g)` with the errors
:math:`\epsilon_e` of the monomials, the derivatives :math:`w^{(l)}` of the window and :math:`P_{e,l}` from the
coefficients; covariances of two modes are Fourier sums of :math:`w^{(l)} w^{(l')} c_{e e'}` at the difference and the
sum of their wave numbers. In modes of few waves the derivatives of the window weigh as much as those of the waves;
where there are many modes, these are few, and the window is taken as slow, which leaves l = 0 alone. The diagonal is
set to the exact variances.
"""

from __future__ import annotations

from itertools import product
from math import comb, factorial
from typing import final

import numpy as np
from scipy import fft

from sciml.sindy.field_aliasing import Aliasing
from sciml.sindy.field_spectrum import denoised
from sciml.sindy.field_system import WeakSystem
from sciml.sindy.test_functions import leibniz, window

__all__ = ["ModeCovariance", "Moments"]

Powers = tuple[int, ...]
# A monomial and the orders of the window's derivatives, time last.
Key = tuple[Powers, Powers]
# Up to so many modes the window's derivatives are carried: the work grows with the square of both.
MOST_EXACT = 600
# Points of the coarse grid on an axis: so many for each wave, and these, which the window's derivatives need.
POINTS_PER_WAVE, POINTS = 4, 16
POINTS_OF_TAPERS = 64
# Rows of a covariance that are made at a time.
ROWS = 64


@final
class Moments:
    """Covariances of monomials at each point of a coarse grid, times the cell's size, and the window there.

    Parameters
    ----------
    noisy : measured fields [F, ...].
    sigma : standard deviations of the noise [F].
    index : whole numbers of waves [M, d] of the modes, which the grid resolves.
    orders : of the derivatives that the window of each axis must carry.
    aliasing : errors of sampling, if there are any.
    """

    def __init__(
        self,
        noisy: np.ndarray,
        sigma: np.ndarray,
        index: np.ndarray,
        orders: tuple[int, ...],
        aliasing: Aliasing | None = None,
    ) -> None:
        self._aliasing = aliasing
        whole = noisy.shape[1:]
        most = np.abs(index).max(axis=0, initial=0)
        self.exact = len(index) <= MOST_EXACT
        least = POINTS_OF_TAPERS if self.exact else 0
        self.shape = tuple(
            int(min(n, max(POINTS_PER_WAVE * k + POINTS, least))) for n, k in zip(whole, most, strict=True)
        )
        self.phase = np.pi * (1.0 / np.array(self.shape) - 1.0 / np.array(whole))
        self._clean = np.stack([denoised(y, s, self.shape) for y, s in zip(noisy, sigma, strict=True)])
        self._sigma = sigma
        self._cell = float(np.prod(whole) / np.prod(self.shape))
        self._tables = []
        for n, coarse, order in zip(whole, self.shape, orders, strict=True):
            places = (np.arange(coarse) + 0.5) * n / coarse - 0.5
            self._tables.append([np.interp(places, np.arange(n), line) for line in window(n, order)])
        self._cache: dict[tuple[Powers, Powers, bool], np.ndarray | None] = {}

    def taper(self, lag: Powers) -> np.ndarray:
        """Return a derivative of the window."""
        result = np.ones(())
        for table, order in zip(self._tables, lag, strict=True):
            result = result[..., None] * table[order]
        return result

    def __call__(self, e: Powers, other: Powers, linear: bool = False) -> np.ndarray | None:
        """Return c_{e e'}, None where it is zero; `linear`: to first order in the noise."""
        e, other = sorted((e, other))
        if (e, other, linear) not in self._cache:
            self._cache[e, other, linear] = self._compute(e, other, linear)
        return self._cache[e, other, linear]

    def _compute(self, e: Powers, other: Powers, linear: bool) -> np.ndarray | None:
        total: np.ndarray | None = None
        for j in product(*(range(min(a, b) + 1) for a, b in zip(e, other, strict=True))):
            if not sum(j) or (linear and sum(j) > 1):
                continue
            part: np.ndarray | float = 1.0
            for field, a, b, k, level in zip(self._clean, e, other, j, self._sigma, strict=True):
                part = part * (comb(a, k) * comb(b, k) * factorial(k) * level ** (2 * k))
                if a + b > 2 * k:
                    part = part * field ** (a + b - 2 * k)
            part = np.broadcast_to(part * self._cell, self.shape)
            total = part if total is None else total + part
        if self._aliasing is not None:
            sampling = self._aliasing.coarse(e, other, self.shape) * self._cell
            total = sampling if total is None else total + sampling
        return total


@final
class ModeCovariance:
    """Covariances between the modes of a weak system.

    Parameters
    ----------
    system : the weak form of one equation.
    moments : of the fields on the grid of the modes.
    """

    def __init__(self, system: WeakSystem, moments: Moments) -> None:
        self.system, self._moments = system, moments
        index = system.modes.index
        self.real: np.ndarray = np.asarray(~index.any(axis=1))
        self._index = index
        self._unit = tuple(int(k == system.field) for k in range(len(system.library.terms[0].powers)))
        # The points of the coarse grid are shifted against those of the data.
        shift = np.exp(-1j * index @ moments.phase)
        still = (0,) * index.shape[1]
        self._time: dict[Key, np.ndarray] = {(self._unit, still): 1j * system.omega * shift}
        if moments.exact:
            self._time[self._unit, (*still[:-1], 1)] = -shift
        self._terms = [self._waves(j, shift) for j in range(len(system.library.terms))]
        self._tapers: dict[Powers, np.ndarray] = {}
        shape = np.array(moments.shape)
        first, second = index[:, None, :], index[None, :, :]
        steps = np.append(np.cumprod(shape[:0:-1])[::-1], 1)
        self._straight, self._crossed = ((first - second) % shape) @ steps, ((first + second) % shape) @ steps
        self._sums: dict[tuple[Key, Key, bool], np.ndarray | None] = {}

    def _waves(self, j: int, shift: np.ndarray) -> dict[Key, np.ndarray]:
        """Return the factors of the window and its derivatives in a term, [M] each."""
        term = self.system.library.terms[j]
        kappa = self.system.modes.frequencies[:, :-1]
        if not self._moments.exact:
            waves = shift * np.prod((1j * kappa) ** np.array(term.derivatives), axis=1)
            return {(term.powers, (0,) * self._index.shape[1]): waves}
        factors = shift[:, None]
        for axis, k in enumerate(term.derivatives):
            factors = (factors[:, :, None] * leibniz(k, kappa[:, axis])[:, None, :]).reshape(len(shift), -1)
        lags = product(*(range(k + 1) for k in term.derivatives))
        return {(term.powers, (*lag, 0)): column for lag, column in zip(lags, factors.T, strict=True)}

    def _taper(self, lag: Powers) -> np.ndarray:
        if lag not in self._tapers:
            self._tapers[lag] = self._moments.taper(lag)
        return self._tapers[lag]

    def stack(self, columns: np.ndarray) -> np.ndarray:
        """Return real and imaginary parts as rows, the latter without those of the real mode."""
        return np.concatenate([np.real(columns), np.imag(columns)[~self.real]])

    def _factors(self, w: np.ndarray) -> dict[Key, np.ndarray]:
        """Return P_{e,l}(m) for each monomial with an error and each derivative of the window."""
        found = dict(self._time)
        for j in np.flatnonzero(w):
            for key, waves in self._terms[j].items():
                if sum(key[0]):
                    found[key] = found.get(key, 0.0) - w[j] * waves
        return found

    def _pair(self, key: Key, other: Key, linear: bool) -> np.ndarray | None:
        """Return the Fourier sums of w w' c at all wave numbers of the coarse grid, in a row; None: they are zero."""
        key, other = sorted((key, other))
        if (key, other, linear) not in self._sums:
            values = self._moments(key[0], other[0], linear)
            if values is None:
                self._sums[key, other, linear] = None
            else:
                spectrum = np.asarray(fft.fftn(values * (self._taper(key[1]) * self._taper(other[1]))))
                self._sums[key, other, linear] = spectrum.ravel()
        return self._sums[key, other, linear]

    def _sides(self, w: np.ndarray, linear: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariances of the complex residuals with each other and with their conjugates, [M, M] each."""
        factors = self._factors(w)
        M = len(self._index)
        straight, crossed = np.empty((M, M), dtype=complex), np.empty((M, M), dtype=complex)
        pairs = []
        parts = list(factors.items())
        for k, (key, left) in enumerate(parts):
            for other, right in parts[k:]:
                sums = self._pair(key, other, linear)
                if sums is not None:
                    # A part with itself is its own mirror image; of others the image is added.
                    sides = ([left], [right]) if other == key else ([left, right], [right, left])
                    pairs.append((sums, np.stack(sides[0], axis=1), np.stack(sides[1])))
        # Few rows at a time stay in fast memory, and what is left of the diagonal are mirror images.
        for low in range(0, M, ROWS):
            rows = slice(low, min(low + ROWS, M))
            shape = (rows.stop - low, M - low)
            here, there = np.zeros(shape, dtype=complex), np.zeros(shape, dtype=complex)
            at, across = (np.ascontiguousarray(places[rows, low:]) for places in (self._straight, self._crossed))
            for sums, left, right in pairs:
                here += sums[at] * (left[rows] @ np.conj(right[:, low:]))
                there += sums[across] * (left[rows] @ right[:, low:])
            straight[rows, low:], crossed[rows, low:] = here, there
            straight[low:, rows], crossed[low:, rows] = np.conj(here.T), there.T
        return straight, crossed

    def matrix(self, w: np.ndarray, linear: bool = False) -> np.ndarray:
        """Return the covariance of the stacked residual [n, n]."""
        straight, crossed = self._sides(w, linear)
        exact = self.system.residual_spectrum(w, linear)
        slow = np.real(np.diag(straight))
        # What slow windows miss belongs to single modes; what they have too much is scaled away.
        missing = np.maximum(exact - slow, 0.0) + 1e-12 * exact
        scale = np.sqrt(exact / (slow + missing))
        own = missing * scale**2
        kept = ~self.real
        M = len(scale)
        straight *= 0.5 * scale[:, None] * scale
        crossed *= 0.5 * scale[:, None] * scale
        result = np.empty((M + int(kept.sum()),) * 2)
        result[:M, :M] = np.real(straight) + np.real(crossed)
        result[M:, M:] = (np.real(straight) - np.real(crossed))[np.ix_(kept, kept)]
        result[:M, M:] = (np.imag(crossed) - np.imag(straight))[:, kept]
        result[M:, :M] = result[:M, M:].T
        np.einsum("mm->m", result)[:] += np.append(np.where(self.real, own, 0.5 * own), 0.5 * own[kept])
        return result

    def revealed(self, w: np.ndarray, z: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return Cov(e_j, r) z for the columns `chosen` and z [n] = C^-1 r, complex [M, len(chosen)]."""
        M = len(self._index)
        zeta = z[:M].astype(complex)
        zeta[~self.real] += 1j * z[M:]
        shape = self._moments.shape
        places = tuple((self._index % np.array(shape)).T)
        waves: dict[Powers, np.ndarray] = {}
        for (e, lag), factor in self._factors(w).items():
            spectrum = np.zeros(shape, dtype=complex)
            spectrum[places] = zeta * np.conj(factor)
            waves[e] = waves.get(e, 0.0) + self._taper(lag) * np.real(np.asarray(fft.ifftn(spectrum, norm="forward")))
        revealed: dict[Powers, np.ndarray] = {}
        responses: dict[Key, np.ndarray] = {}
        result = np.zeros((M, len(chosen)), dtype=complex)
        for k, j in enumerate(chosen):
            for (e, lag), factor in self._terms[j].items():
                if not sum(e):
                    continue
                if e not in revealed:
                    parts = ((self._moments(e, other), wave) for other, wave in waves.items())
                    revealed[e] = sum((c * wave for c, wave in parts if c is not None), np.zeros(shape))
                if (e, lag) not in responses:
                    responses[e, lag] = np.asarray(fft.fftn(self._taper(lag) * revealed[e]))[places]
                result[:, k] += factor * responses[e, lag]
        return result
