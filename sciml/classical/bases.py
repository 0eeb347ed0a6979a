"""One-dimensional spectral bases: points, quadrature, differentiation and interpolation matrices.

A basis is an interval with `n` points and the interpolant through values at them: a polynomial of degree n - 1 at
Chebyshev points, a trigonometric polynomial at equispaced points. Everything linear that can be asked of this
interpolant (integral, derivatives at the points, values and derivatives elsewhere) is a dense matrix here; tensor
products of these matrices are the multidimensional methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct, idct

__all__ = ["Basis", "ChebyshevBasis", "FourierBasis", "resample_fourier"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Basis(ABC):
    """Interpolation on the interval [a, b] through values at `n` points.

    Parameters
    ----------
    n : number of points.
    a, b : ends of the interval, a < b.
    """

    n: int
    a: float = -1.0
    b: float = 1.0
    _cache: dict[object, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n < 1 or not (math.isfinite(self.a) and math.isfinite(self.b) and self.a < self.b):
            raise ValueError(f"a basis needs n >= 1 and finite a < b, not n = {self.n}, a = {self.a}, b = {self.b}")

    @property
    def length(self) -> float:
        """Length b - a of the interval."""
        return self.b - self.a

    @property
    def points(self) -> Array:
        """The points, ascending, shape [n], read-only."""
        return self._cached("points", self._points)

    @property
    def weights(self) -> Array:
        """Quadrature weights, shape [n]: `weights @ f(points)` is the integral of the interpolant of f."""
        return self._cached("weights", self._weights)

    def derivative(self, order: int = 1) -> Array:
        """Matrix [n, n] from values at the points to the derivative of this order of the interpolant there."""
        if order < 0:
            raise ValueError(f"order of a derivative must be >= 0, not {order}")
        if order == 0:
            return self._cached(0, lambda: np.eye(self.n))
        return self._cached(order, lambda: self._derivative(order))

    @abstractmethod
    def interpolation(self, points: ArrayLike, order: int = 0) -> Array:
        """Matrix [m, n] from values at the points to the derivative of this order at the given points [m]."""

    @abstractmethod
    def coefficients(self, values: Array, axis: int = 0) -> NDArray:
        """Expansion coefficients of the interpolant of `values` along `axis`, lowest degree or frequency first."""

    @abstractmethod
    def _points(self) -> Array: ...

    @abstractmethod
    def _weights(self) -> Array: ...

    @abstractmethod
    def _derivative(self, order: int) -> Array: ...

    def _cached(self, key, make) -> Array:
        if key not in self._cache:
            array = make()
            array.setflags(write=False)
            self._cache[key] = array
        return self._cache[key]


@dataclass(frozen=True)
class ChebyshevBasis(Basis):
    r"""Polynomial interpolation at Chebyshev points.

    Lobatto points :math:`x_j = -\cos(\pi j/(n-1))` include both ends (needs n >= 2); Gauss points
    :math:`x_j = -\cos(\pi (2j+1)/(2n))` do not. Differences of points come from products of sines, lower halves from
    symmetry and diagonals from the negative sum of the row, which keeps the rounding error of order n**2 eps in the
    first derivative [1]_; higher orders use the recursion of Welfert [2]_ instead of matrix powers. Interpolation is
    barycentric [3]_; the weights are those of Clenshaw and Curtis (Lobatto) or of Fejer's first rule (Gauss).

    References
    ----------
    .. [1] R. Baltensperger, M. R. Trummer, Spectral differencing with a twist, 2003, doi:10.1137/S1064827501388182
    .. [2] J. A. C. Weideman, S. C. Reddy, A MATLAB differentiation matrix suite, 2000, doi:10.1145/365723.365727
    .. [3] J.-P. Berrut, L. N. Trefethen, Barycentric Lagrange interpolation, 2004, doi:10.1137/S0036144502417715

    Examples
    --------
    >>> basis = ChebyshevBasis(16, 0.0, 2.0)
    >>> bool(np.allclose(basis.derivative(2) @ np.exp(basis.points), np.exp(basis.points)))
    True
    """

    gauss: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 2 and not self.gauss:
            raise ValueError("Chebyshev-Lobatto points include both ends: n must be at least 2")

    @property
    def barycentric_weights(self) -> Array:
        """Weights of the barycentric formula, shape [n], up to a common factor."""
        return self._cached("barycentric", self._barycentric)

    def interpolation(self, points: ArrayLike, order: int = 0) -> Array:
        """Matrix [m, n] from values at the points to the derivative of this order at the given points [m]."""
        targets = np.atleast_1d(np.asarray(points, dtype=float)).ravel()
        difference = targets[:, None] - self.points[None, :]
        rows, columns = np.nonzero(difference == 0.0)
        difference[rows, columns] = 1.0
        matrix = self.barycentric_weights / difference
        matrix /= matrix.sum(axis=1, keepdims=True)
        matrix[rows] = 0.0
        matrix[rows, columns] = 1.0
        return matrix @ self.derivative(order) if order else matrix

    def coefficients(self, values: Array, axis: int = 0) -> Array:
        """Chebyshev coefficients c_k, k = 0..n-1, of `values` along `axis`: sum_k c_k T_k((2x - a - b)/(b - a))."""
        flipped = np.moveaxis(np.flip(np.asarray(values, dtype=float), axis=axis), axis, -1)
        result = np.asarray(dct(flipped, type=2 if self.gauss else 1, axis=-1))
        result = result / (self.n if self.gauss else self.n - 1)
        result[..., 0] /= 2
        if not self.gauss:
            result[..., -1] /= 2
        return np.moveaxis(result, -1, axis)

    def values(self, coefficients: Array, axis: int = 0) -> Array:
        """Values at the points from Chebyshev coefficients along `axis`: the inverse of `coefficients`."""
        scaled = np.moveaxis(np.array(coefficients, dtype=float), axis, -1)
        scaled = scaled * (self.n if self.gauss else self.n - 1)
        scaled[..., 0] *= 2
        if not self.gauss:
            scaled[..., -1] *= 2
        result = np.asarray(idct(scaled, type=2 if self.gauss else 1, axis=-1))
        return np.flip(np.moveaxis(result, -1, axis), axis=axis)

    def _angles(self) -> Array:
        if self.gauss:
            return np.pi * (2 * np.arange(self.n) + 1) / (2 * self.n)
        return np.pi * np.arange(self.n) / (self.n - 1)

    def _points(self) -> Array:
        # The sine of an angle about the centre makes the points exactly antisymmetric.
        if self.gauss:
            reference = np.sin(np.pi * (2 * np.arange(self.n) + 1 - self.n) / (2 * self.n))
        else:
            reference = np.sin(np.pi * (2 * np.arange(self.n) + 1 - self.n) / (2 * (self.n - 1)))
        points = (self.a + self.b) / 2 + self.length / 2 * reference
        if not self.gauss:
            points[0], points[-1] = self.a, self.b
        return points

    def _barycentric(self) -> Array:
        signs = (-1.0) ** np.arange(self.n)
        if self.gauss:
            return signs * np.sin(self._angles())
        signs[[0, -1]] /= 2
        return signs

    def _weights(self) -> Array:
        # The integral of T_k over [-1, 1] is 2/(1 - k**2) for even k; the transform is symmetric up to end factors.
        moments = np.zeros(self.n)
        even = np.arange(0, self.n, 2)
        moments[even] = 2 / (1 - even.astype(float) ** 2)
        degrees = np.arange(self.n)
        matrix = np.cos(np.outer(self._angles(), degrees))
        if self.gauss:
            moments[1:] *= 2
            return self.length / 2 * (matrix @ moments) / self.n
        moments[1:-1] *= 2
        weights = (matrix @ moments) / (self.n - 1)
        weights[[0, -1]] /= 2
        return self.length / 2 * weights

    def _derivative(self, order: int) -> Array:
        n, angle, weight = self.n, self._angles(), self.barycentric_weights
        gap = 2 * np.sin((angle[:, None] + angle[None, :]) / 2) * np.sin((angle[:, None] - angle[None, :]) / 2)
        half = n // 2
        gap[n - half :] = -gap[:half][::-1, ::-1]  # sines of small angles only
        np.fill_diagonal(gap, 1.0)
        ratio = weight[None, :] / weight[:, None]
        np.fill_diagonal(ratio, 0.0)
        matrix = np.eye(n)
        for k in range(1, order + 1):
            matrix = k / gap * (ratio * np.diag(matrix)[:, None] - matrix)
            np.fill_diagonal(matrix, 0.0)
            np.fill_diagonal(matrix, -matrix.sum(axis=1))
        return matrix * (2 / self.length) ** order


@dataclass(frozen=True)
class FourierBasis(Basis):
    r"""Trigonometric interpolation at the equispaced points :math:`x_j = a + j (b-a)/n` of a period [a, b).

    For even n the highest mode is the cosine :math:`\cos(\pi n (x-a)/(b-a))`; its odd derivatives vanish at the points.

    Examples
    --------
    >>> basis = FourierBasis(16, 0.0, 2 * np.pi)
    >>> bool(np.allclose(basis.derivative() @ np.sin(basis.points), np.cos(basis.points)))
    True
    """

    @property
    def wavenumbers(self) -> Array:
        """Angular wave numbers 2 pi k/(b - a), k = 0..n//2, of the coefficients of a real function."""
        return 2 * np.pi / self.length * np.arange(self.n // 2 + 1)

    def interpolation(self, points: ArrayLike, order: int = 0) -> Array:
        """Matrix [m, n] from values at the points to the derivative of this order at the given points [m]."""
        targets = np.atleast_1d(np.asarray(points, dtype=float)).ravel()
        # Whole periods are removed first, so that far points lose nothing to large arguments.
        phase = 2 * np.pi * np.mod((targets - self.a) / self.length, 1.0)
        return self._cardinal(phase, order)

    def coefficients(self, values: Array, axis: int = 0) -> NDArray[np.complexfloating]:
        """Coefficients c_k, k = 0..n//2, of exp(2 pi i k (x - a)/(b - a)) for real `values` along `axis`."""
        return np.fft.rfft(np.asarray(values, dtype=float), axis=axis) / self.n

    def differentiate(self, values: Array, order: int = 1, axis: int = 0) -> Array:
        """Differentiate `values` along `axis` at the points by fast Fourier transform, O(n log n)."""
        values = np.moveaxis(np.asarray(values, dtype=float), axis, -1)
        factors = (1j * self.wavenumbers) ** order
        if self.n % 2 == 0 and order % 2:
            factors[-1] = 0.0
        return np.moveaxis(np.fft.irfft(np.fft.rfft(values, axis=-1) * factors, n=self.n, axis=-1), -1, axis)

    def _points(self) -> Array:
        return self.a + self.length * np.arange(self.n) / self.n

    def _weights(self) -> Array:
        return np.full(self.n, self.length / self.n)

    def _derivative(self, order: int) -> Array:
        column = self._cardinal(2 * np.pi * np.arange(self.n) / self.n, order)[:, 0]
        if self.n % 2 == 0 and order % 2:
            column[self.n // 2] = 0.0
        # Exact parity of the circulant: an even or odd cardinal function.
        column = (column + (-1.0) ** order * np.roll(column[::-1], 1)) / 2
        column[0] -= column.sum()
        return column[np.mod(np.arange(self.n)[:, None] - np.arange(self.n)[None, :], self.n)]

    def _cardinal(self, phase: Array, order: int) -> Array:
        k = np.arange(self.n // 2 + 1)
        scale = np.full(k.size, 2.0 / self.n)
        scale[0] = 1.0 / self.n
        if self.n % 2 == 0:
            scale[-1] = 1.0 / self.n
        scale = scale * (2 * np.pi / self.length * k) ** order
        nodes = 2 * np.pi * np.mod(np.outer(np.arange(self.n), k), self.n) / self.n
        angle = np.outer(phase, k) + order * np.pi / 2
        # cos(angle - nodes); at the highest even mode the sine of the nodes is exactly zero: the cosine convention.
        sines = np.sin(nodes)
        if self.n % 2 == 0:
            sines[:, -1] = 0.0
        return (np.cos(angle) * scale) @ np.cos(nodes).T + (np.sin(angle) * scale) @ sines.T


def resample_fourier(values: ArrayLike, n: int, axis: int = 0) -> Array:
    """Trigonometric interpolation from the given equispaced points of a period to `n` others by zero-padding.

    Parameters
    ----------
    values : real values at m equispaced points along `axis`.
    n : number of points wanted. n > m pads the spectrum with zeros (the interpolant is unchanged); n < m removes the
        higher modes.
    axis : axis of the periodic coordinate.

    Returns
    -------
    Array with length n along `axis`.
    """
    moved = np.moveaxis(np.asarray(values, dtype=float), axis, -1)
    m = moved.shape[-1]
    if n == m:
        return np.moveaxis(moved, -1, axis).copy()
    spectrum = np.fft.rfft(moved, axis=-1)
    result = np.zeros((*moved.shape[:-1], n // 2 + 1), dtype=np.complex128)
    kept = min(m, n) // 2 + 1
    result[..., :kept] = spectrum[..., :kept]
    if min(m, n) % 2 == 0:
        # A cosine at the highest mode is one coefficient of the even grid and a conjugate pair of a finer one.
        if n > m:
            result[..., kept - 1] /= 2
        else:
            result[..., kept - 1] = 2 * np.real(result[..., kept - 1])
    return np.moveaxis(np.fft.irfft(result, n=n, axis=-1) * (n / m), -1, axis)
