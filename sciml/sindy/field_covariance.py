r"""The covariance of the residual between different modes, and the errors of all columns that a residual reveals.

The noise of a product lives where the field is large, so the residuals of neighbouring modes are correlated. Away from
the tapers the windows are slow, so that the residual of mode m is :math:`\sum_g w(g) e^{-i k_m g} \sum_e P_e(m)
\epsilon_e(g)` with the error :math:`\epsilon_e` of monomial e and :math:`P_e` from the coefficients; covariances of two
modes are Fourier sums of :math:`w^2 c_{e e'}` at the difference and the sum of their wave numbers. The diagonal is then
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
from sciml.sindy.test_functions import window

__all__ = ["ModeCovariance", "Moments"]

Powers = tuple[int, ...]


@final
class Moments:
    """Covariances of monomials at each point of a coarse grid, times the square of the window and the cell's size.

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
        self.shape = tuple(int(min(n, 4 * k + 16)) for n, k in zip(whole, most, strict=True))
        self.phase = np.pi * (1.0 / np.array(self.shape) - 1.0 / np.array(whole))
        self._clean = np.stack([denoised(y, s, self.shape) for y, s in zip(noisy, sigma, strict=True)])
        self._sigma = sigma
        self._square = np.array(np.prod(whole) / np.prod(self.shape))
        for n, coarse, order in zip(whole, self.shape, orders, strict=True):
            places = (np.arange(coarse) + 0.5) * n / coarse - 0.5
            taper = np.interp(places, np.arange(n), window(n, order)[0])
            self._square = self._square[..., None] * taper**2
        self._cache: dict[tuple[Powers, Powers, bool], np.ndarray | None] = {}

    def __call__(self, e: Powers, other: Powers, linear: bool = False) -> np.ndarray | None:
        """Return w^2 c_{e e'}, None where it is zero; `linear`: to first order in the noise."""
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
            total = part * self._square if total is None else total + part * self._square
        if self._aliasing is not None:
            sampling = self._aliasing.coarse(e, other, self.shape) * self._square
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
        self._time = 1j * system.omega * shift
        self._slow = np.repeat(shift[:, None], len(system.library.terms), axis=1)
        kappa = system.modes.frequencies[:, :-1]
        for j, term in enumerate(system.library.terms):
            for axis, k in enumerate(term.derivatives):
                if k:
                    self._slow[:, j] *= (1j * kappa[:, axis]) ** k
        self._sums: dict[tuple[Powers, Powers, bool], tuple[np.ndarray, np.ndarray] | None] = {}

    def stack(self, columns: np.ndarray) -> np.ndarray:
        """Return real and imaginary parts as rows, the latter without those of the real mode."""
        return np.concatenate([np.real(columns), np.imag(columns)[~self.real]])

    def _factors(self, w: np.ndarray) -> dict[Powers, np.ndarray]:
        """Return P_e(m) for each monomial with an error."""
        found = {self._unit: self._time}
        for j in np.flatnonzero(w):
            e = self.system.library.terms[j].powers
            if sum(e):
                found[e] = found.get(e, 0.0) - w[j] * self._slow[:, j]
        return found

    def _pair(self, e: Powers, other: Powers, linear: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the Fourier sums of w^2 c at the differences and at the sums of wave numbers, [M, M] each."""
        e, other = sorted((e, other))
        if (e, other, linear) not in self._sums:
            values = self._moments(e, other, linear)
            if values is None:
                self._sums[e, other, linear] = None
            else:
                spectrum = np.asarray(fft.fftn(values))
                first, second = self._index[:, None, :], self._index[None, :, :]
                self._sums[e, other, linear] = (
                    spectrum[tuple(np.moveaxis(first - second, -1, 0) % np.array(values.shape)[:, None, None])],
                    spectrum[tuple(np.moveaxis(first + second, -1, 0) % np.array(values.shape)[:, None, None])],
                )
        return self._sums[e, other, linear]

    def matrix(self, w: np.ndarray, linear: bool = False) -> np.ndarray:
        """Return the covariance of the stacked residual [n, n]."""
        factors = self._factors(w)
        M = len(self._index)
        straight, crossed = np.zeros((M, M), dtype=complex), np.zeros((M, M), dtype=complex)
        parts = list(factors.items())
        for k, (e, left) in enumerate(parts):
            for other, right in parts[k:]:
                sums = self._pair(e, other, linear)
                if sums is None:
                    continue
                here = sums[0] * left[:, None]
                here *= np.conj(right)
                there = sums[1] * left[:, None]
                there *= right
                straight += here
                crossed += there
                if other != e:
                    straight += np.conj(here.T)
                    crossed += there.T
        exact = self.system.residual_spectrum(w, linear)
        slow = np.real(np.diag(straight))
        # What the slow windows miss belongs to single modes; what they have too much is scaled away.
        missing = np.maximum(exact - slow, 0.0) + 1e-12 * exact
        scale = np.sqrt(exact / (slow + missing))
        straight *= scale[:, None] * scale
        crossed *= scale[:, None] * scale
        own = missing * scale**2
        kept = ~self.real
        top = 0.5 * np.real(straight + crossed)
        low = 0.5 * np.real(straight - crossed)[np.ix_(kept, kept)]
        side = 0.5 * np.imag(crossed - straight)[:, kept]
        np.einsum("mm->m", top)[:] += np.where(self.real, own, 0.5 * own)
        np.einsum("mm->m", low)[:] += 0.5 * own[kept]
        return np.block([[top, side], [side.T, low]])

    def revealed(self, w: np.ndarray, z: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return Cov(e_j, r) z for the columns `chosen` and z [n] = C^-1 r, complex [M, len(chosen)]."""
        M = len(self._index)
        zeta = z[:M].astype(complex)
        zeta[~self.real] += 1j * z[M:]
        shape = self._moments.shape
        places = tuple((self._index % np.array(shape)).T)
        waves: dict[Powers, np.ndarray] = {}
        factors = self._factors(w)
        for e, factor in factors.items():
            spectrum = np.zeros(shape, dtype=complex)
            spectrum[places] = zeta * np.conj(factor)
            waves[e] = np.real(np.asarray(fft.ifftn(spectrum, norm="forward")))
        terms = self.system.library.terms
        responses: dict[Powers, np.ndarray] = {}
        result = np.zeros((M, len(chosen)), dtype=complex)
        for k, j in enumerate(chosen):
            e = terms[j].powers
            if not sum(e):
                continue
            if e not in responses:
                total = np.zeros(shape)
                for other, wave in waves.items():
                    values = self._moments(e, other)
                    if values is not None:
                        total += values * wave
                responses[e] = np.asarray(fft.fftn(total))[places]
            result[:, k] = self._slow[:, j] * responses[e]
        return result
