r"""Windowed transforms of monomials of noisy fields, and the covariance of what the noise does to them.

The raw features are sums over the grid, one for each monomial e and each derivative l of the window,

.. math:: \hat h_{e,l}(m) = \sum_g w^{(l)}(g) \prod_f He_{e_f}(y_f(g); \sigma_f)\, e^{-i k_m \cdot g},

with Hermite polynomials :math:`h_{p+1} = y h_p - p \sigma^2 h_{p-1}`, whose expectation under normal noise is the
monomial of the clean field. With the field u, the covariance of two monomials at a grid point is

.. math:: \sum_{j \ne 0} \prod_f \binom{e_f}{j_f} \binom{e'_f}{j_f} j_f!\, \sigma_f^{2 j_f}\, u_f^{e_f + e'_f - 2 j_f},

so that the covariance of all features, the same for every mode, needs only windowed sums of monomials of u.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb, factorial
from typing import Any, final

import numpy as np
from scipy import fft

from sciml.sindy.field_aliasing import Aliasing
from sciml.sindy.field_spectrum import Modes
from sciml.sindy.test_functions import window

__all__ = ["Features", "hermite", "transform"]

Powers = tuple[int, ...]


def hermite(values: np.ndarray, degree: int, sigma: float) -> list[np.ndarray]:
    """Return the Hermite polynomials h_0, ..., h_degree: unbiased powers of what `values` measures with noise."""
    found = [np.ones_like(values), values]
    for p in range(1, degree):
        found.append(values * found[p] - p * sigma**2 * found[p - 1])
    return found[: degree + 1]


@final
@dataclass(frozen=True)
class Features:
    """Raw features of all modes and their covariance.

    Attributes
    ----------
    place : row in `values` of each (monomial, derivative of the window); of the time derivative of the window for
        (monomial of one field, None).
    values : complex [P, M].
    covariance, linear : real [P, P]; `linear` is the part of first order in the noise.
    """

    place: dict[tuple[Powers, Powers | None], int]
    values: np.ndarray
    covariance: np.ndarray
    linear: np.ndarray


def _windows(shape: Sequence[int], order: int) -> list[np.ndarray]:
    return [window(n, order) for n in shape[:-1]] + [window(shape[-1], 1)]


def transform(
    noisy: np.ndarray,
    clean: np.ndarray,
    sigma: np.ndarray,
    monomials: Sequence[Powers],
    order: int,
    modes: Modes,
    aliasing: Aliasing | None = None,
) -> Features:
    """Return the features of monomials for derivatives of the windows up to `order` in all.

    Parameters
    ----------
    noisy, clean : the measured and the denoised fields [F, n_1, ..., n_t], time last.
    sigma : standard deviations of the noise [F].
    monomials : exponents of the fields, each once; those of the single fields must be among them.
    order : highest order of the derivatives in space together.
    modes : the plane waves.
    aliasing : errors of sampling, if there are any.
    """
    shape = noisy.shape[1:]
    windows = _windows(shape, order)
    lags = [a for a in product(range(order + 1), repeat=len(shape) - 1) if sum(a) <= order]
    units = [tuple(int(k == f) for k in range(len(noisy))) for f in range(len(noisy))]
    place: dict[tuple[Powers, Powers | None], int] = {}
    for e in monomials:
        for lag in lags if sum(e) else lags[:1]:
            place[e, lag] = len(place)
    for e in units:
        place[e, None] = len(place)

    degree = max(max(e) for e in monomials)
    powers = [hermite(field, degree, level) for field, level in zip(noisy, sigma, strict=True)]
    values = np.empty((len(place), len(modes.index)), dtype=complex)
    for e in monomials:
        product_ = _monomial(powers, e)
        for lag, row in _spectra(product_, windows, lags if sum(e) else lags[:1], modes, 0).items():
            values[place[e, lag]] = row
        if e in units:
            values[place[e, None]] = _spectra(product_, windows, lags[:1], modes, 1)[lags[0]]
    covariance, linear = _covariances(clean, sigma, place, windows, lags, aliasing)
    return Features(place, values, covariance, linear)


def _monomial(powers: Sequence[Sequence[np.ndarray]], e: Powers) -> np.ndarray:
    result = None
    for table, p in zip(powers, e, strict=True):
        if p:
            result = table[p] if result is None else result * table[p]
    return powers[0][0] if result is None else result


def _spectra(
    values: np.ndarray, windows: Sequence[np.ndarray], lags: Sequence[Powers], modes: Modes, time_order: int
) -> dict[Powers, np.ndarray]:
    """Return the windowed Fourier sums of a grid function at the modes, for each derivative of the space windows."""
    index = modes.index
    top = int(index[:, -1].max(initial=0)) + 1
    first = np.asarray(fft.rfft(values * windows[-1][time_order], axis=-1))[..., :top]
    partial: dict[Powers, np.ndarray] = {(): first}
    for axis, table in enumerate(windows[:-1]):
        # Only waves that some mode has are kept, so later axes are short.
        waves, inverse = np.unique(index[:, axis], return_inverse=True)
        index = np.concatenate([index[:, :axis], inverse.reshape(-1, 1), index[:, axis + 1 :]], axis=1)
        column = [-1 if k == axis else 1 for k in range(values.ndim)]
        grown: dict[Powers, np.ndarray] = {}
        for head, array in partial.items():
            for k in range(len(table)):
                if any(lag[: axis + 1] == (*head, k) for lag in lags):
                    spectrum = np.asarray(fft.fft(array * table[k].reshape(column), axis=axis))
                    grown[(*head, k)] = np.take(spectrum, waves, axis=axis)
        partial = grown
    return {lag: partial[lag][tuple(index.T)] for lag in lags}


def _covariances(
    clean: np.ndarray,
    sigma: np.ndarray,
    place: dict[tuple[Powers, Powers | None], int],
    windows: Sequence[np.ndarray],
    lags: Sequence[Powers],
    aliasing: Aliasing | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of all features, and its part of first order in the noise."""
    monomials = list(dict.fromkeys(e for e, _ in place))
    degree = max(max(e) for e in monomials)
    powers = [[field**p for p in range(2 * degree)] for field in clean]
    space = [[table[:, None] * table[None] for table in windows[:-1]], windows[-1]]
    cache: dict[tuple[Powers, int, int], np.ndarray] = {}

    def windowed(e: Powers, i: int, j: int) -> np.ndarray:
        """Sums of w^(l) w^(l') (time orders i, j) times the monomial e, for all l, l' of all space axes."""
        if (e, i, j) not in cache:
            cache[e, i, j] = contracted(_monomial(powers, e), i, j)
        return cache[e, i, j]

    def contracted(array: np.ndarray, i: int, j: int) -> np.ndarray:
        array = array @ (space[1][i] * space[1][j])
        for table in space[0]:
            array = np.tensordot(array, table, axes=(0, 2))
        return array

    def pair(e: Powers, other: Powers, i: int, j: int, at: Any) -> tuple[np.ndarray, np.ndarray]:
        both, first = _pair(e, other, sigma, lambda s: windowed(s, i, j)[at])
        if aliasing is not None:
            sampling = contracted(aliasing.product(e, other), i, j)[at]
            both, first = both + sampling, first + sampling
        return both, first

    size = len(place)
    whole, linear = np.zeros((size, size)), np.zeros((size, size))
    flat = np.array(lags)
    grid = tuple(a for k in range(flat.shape[1]) for a in (flat[:, None, k], flat[None, :, k]))
    rows = {e: np.array([place[e, lag] for lag in lags if (e, lag) in place]) for e in monomials}
    for e in monomials:
        for other in monomials:
            if not sum(e) or not sum(other):
                continue
            both, first = pair(e, other, 0, 0, grid)
            whole[np.ix_(rows[e], rows[other])], linear[np.ix_(rows[e], rows[other])] = both, first
    timed = [e for e, lag in place if lag is None]
    zero = (0,) * (2 * len(windows) - 2)
    for e in timed:
        a = place[e, None]
        for other in monomials:
            if sum(other):
                # The window of e has its time derivative and no space derivative.
                line = tuple(
                    np.zeros(len(flat), dtype=int) if k % 2 == 0 else flat[:, k // 2] for k in range(len(zero))
                )
                both, first = pair(e, other, 1, 0, line)
                whole[a, rows[other]] = whole[rows[other], a] = both
                linear[a, rows[other]] = linear[rows[other], a] = first
        for other in timed:
            both, first = pair(e, other, 1, 1, zero)
            whole[a, place[other, None]], linear[a, place[other, None]] = both, first
    return whole, linear


def _pair(
    e: Powers, other: Powers, sigma: np.ndarray, sums: Callable[[Powers], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    whole: np.ndarray | float = 0.0
    linear: np.ndarray | float = 0.0
    for j in product(*(range(min(a, b) + 1) for a, b in zip(e, other, strict=True))):
        if not sum(j):
            continue
        factor = 1.0
        for a, b, k, level in zip(e, other, j, sigma, strict=True):
            factor *= comb(a, k) * comb(b, k) * factorial(k) * level ** (2 * k)
        part = factor * sums(tuple(a + b - 2 * k for a, b, k in zip(e, other, j, strict=True)))
        whole = whole + part
        if sum(j) == 1:
            linear = linear + part
    # Independent fields share no noise.
    like = sums((0,) * len(e)) * 0.0
    return whole + like, linear + like
