"""One-dimensional trial spaces for collocation: smooth piecewise polynomials and trigonometric polynomials.

A space of order k holds functions with k - 1 continuous derivatives, so that a differential expression of order k makes
sense at every collocation point. It has exactly k functions more than collocation points: room for the k conditions
that an equation of order k needs in this coordinate. A global polynomial is the mesh with one element.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import roots_legendre

from sciml.classical.bases import ChebyshevBasis, FourierBasis

__all__ = ["ElementSpace", "FourierSpace", "Mesh", "PeriodicMesh", "Space", "legendre_table"]

Array = NDArray[Any]


class Space(ABC):
    """Functions of one coordinate, spanned by `size` basis functions."""

    size: int

    @abstractmethod
    def matrix(self, points: Array, order: int = 0) -> csr_array:
        """Matrix [N, size] of the derivatives of this order of the basis functions at points [N]."""

    @property
    @abstractmethod
    def nodes(self) -> Array:
        """As many points as functions, ascending, at which values determine a function of the space."""

    @abstractmethod
    def tails(self, order: int = 0) -> list[tuple[Array, Array]]:
        """For each element the indices of its highest functions and the L2 norms of their derivatives."""

    @cached_property
    def fit(self) -> Array:
        """Matrix [size, size] from values at the nodes to coefficients."""
        return np.linalg.inv(self.matrix(self.nodes).toarray())


class Mesh:
    """Elements of an interval with the same number of Gauss points in each.

    Parameters
    ----------
    breakpoints : ascending ends of the elements, shape [E + 1].
    count : Gauss-Legendre points per element, at least 1.
    """

    periodic = False

    def __init__(self, breakpoints: Sequence[float] | Array, count: int) -> None:
        self.breakpoints = np.asarray(breakpoints, dtype=float)
        self.count = count
        if self.breakpoints.size < 2 or np.any(np.diff(self.breakpoints) <= 0) or count < 1:
            raise ValueError("a mesh needs ascending breakpoints and at least one point per element")

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.breakpoints.size - 1

    @property
    def size(self) -> int:
        """Number of collocation points."""
        return self.elements * self.count

    @cached_property
    def points(self) -> Array:
        """Gauss points of all elements, ascending, shape [E * count]: where equations are collocated."""
        return self.gauss(self.count)[0]

    @cached_property
    def weights(self) -> Array:
        """Quadrature weights of the points."""
        return self.gauss(self.count)[1]

    def gauss(self, count: int) -> tuple[Array, Array]:
        """Gauss-Legendre points and weights, `count` per element."""
        reference, weights = roots_legendre(count)
        lower, half = self.breakpoints[:-1, None], np.diff(self.breakpoints)[:, None] / 2
        return (lower + half * (1 + reference)).ravel(), (half * weights).ravel()

    def space(self, order: int) -> Space:
        """Return the space for an unknown that is differentiated `order` times in this coordinate."""
        return ElementSpace(self, order)


class PeriodicMesh:
    """Equispaced points of a period, collocated with trigonometric polynomials.

    Parameters
    ----------
    a, b : the period. count : number of points.
    """

    periodic = True
    elements = 1

    def __init__(self, a: float, b: float, count: int) -> None:
        self.breakpoints = np.array([a, b], dtype=float)
        self.count = count

    @property
    def ends(self) -> tuple[float, float]:
        """The period."""
        return float(self.breakpoints[0]), float(self.breakpoints[-1])

    @property
    def size(self) -> int:
        """Number of collocation points."""
        return self.count

    @cached_property
    def points(self) -> Array:
        """Equispaced points, the end left out."""
        return FourierBasis(self.count, *self.ends).points

    @cached_property
    def weights(self) -> Array:
        """Quadrature weights of the points."""
        return FourierBasis(self.count, *self.ends).weights

    def gauss(self, count: int) -> tuple[Array, Array]:
        """Equispaced points and weights of the trapezoidal rule."""
        basis = FourierBasis(count, *self.ends)
        return basis.points, basis.weights

    def space(self, order: int) -> Space:
        """Return the trigonometric polynomials; `order` scales them only."""
        return FourierSpace(self, order)


class ElementSpace(Space):
    r"""Piecewise polynomials with k - 1 continuous derivatives, by derivatives at breakpoints and interior functions.

    On an element there are 2k Hermite functions (those that carry the derivatives 0..k-1 at its ends) and the k-fold
    integrals :math:`\int\cdots\int P_n`, n >= k, of Legendre polynomials, which vanish at the ends together with
    k - 1 derivatives. The k-th derivative of the interior functions is P_n itself: a differential operator of order k
    is well conditioned in this basis whatever the degree, and no derivative up to order k loses digits.

    Parameters
    ----------
    mesh : breakpoints and Gauss points per element, count >= k.
    order : k >= 0.
    """

    def __init__(self, mesh: Mesh, order: int) -> None:
        if mesh.count < order:
            raise ValueError(f"order {order} needs at least {order} points per element, not {mesh.count}")
        self.mesh, self.order = mesh, order
        self.bubbles = mesh.count - order
        self.size = mesh.size + order
        h = np.diff(mesh.breakpoints)
        # A common scale of the derivatives at a breakpoint keeps the columns comparable on graded meshes.
        self.scales = np.minimum(np.append(h, h[-1]), np.insert(h, 0, h[0])) / 2

    def matrix(self, points: Array, order: int = 0) -> csr_array:
        """Matrix [N, size] of the derivatives of this order of the basis functions at points [N]."""
        points = np.asarray(points, dtype=float).ravel()
        mesh, k = self.mesh, self.order
        element = np.clip(np.searchsorted(mesh.breakpoints, points, side="right") - 1, 0, mesh.elements - 1)
        a, b = mesh.breakpoints[element], mesh.breakpoints[element + 1]
        h = b - a
        local = k + mesh.count
        values = np.empty((points.size, local))
        values[:, k : local - k] = self._interior((points - a - (b - points)) / h, order)
        for i in range(k):
            left, right = self._hermite(i, order)
            values[:, i] = left((points - a) / h) * (h / self.scales[element]) ** i
            values[:, local - k + i] = right((b - points) / h) * (h / self.scales[element + 1]) ** i
        values[:, k : local - k] *= 2.0**order
        values /= (h**order)[:, None]
        columns = element[:, None] * mesh.count + np.arange(local)
        offsets = np.arange(0, values.size + 1, local)
        return csr_array((values.ravel(), columns.ravel(), offsets), shape=(points.size, self.size))

    @property
    def nodes(self) -> Array:
        """As many points as functions, ascending, at which values determine a function of the space."""
        mesh, k = self.mesh, self.order
        if mesh.elements == 1:
            return ChebyshevBasis(self.size, *mesh.breakpoints, gauss=k == 0).points
        left, right = (k + 1) // 2, k // 2
        first, last = mesh.breakpoints[0], mesh.breakpoints[-1]
        before = first + (mesh.points[0] - first) * np.arange(left) / max(left, 1)
        after = last - (last - mesh.points[-1]) * np.arange(right)[::-1] / max(right, 1)
        return np.concatenate([before, mesh.points, after])

    def tails(self, order: int = 0) -> list[tuple[Array, Array]]:
        """For each element the indices of its highest functions (a quarter) and the norms of their derivatives."""
        used = min(max(2, self.bubbles // 4), self.bubbles)
        reference, weights = roots_legendre(self.size if self.mesh.elements == 1 else self.mesh.count + self.order)
        norms = np.sqrt(weights @ self._interior(reference, order)[:, self.bubbles - used :] ** 2)
        return [
            (
                np.arange(e * self.mesh.count + self.mesh.count - used, (e + 1) * self.mesh.count),
                norms * (2 / h) ** order * np.sqrt(h / 2),
            )
            for e, h in enumerate(np.diff(self.mesh.breakpoints))
        ]

    def _interior(self, t: Array, order: int) -> Array:
        return legendre_table(t, self.order, self.bubbles, order - self.order)

    def _hermite(self, i: int, order: int) -> tuple[Polynomial, Polynomial]:
        """Derivatives in s in [0, 1] of the two-point Hermite functions of the i-th derivative.

        The second is to be evaluated at 1 - s, the distance from its own end.
        """
        k = self.order
        series = Polynomial([math.comb(k - 1 + s, s) for s in range(k - i)])
        function = Polynomial([0.0] * i + [1 / math.factorial(i)]) * Polynomial([1.0, -1.0]) ** k * series
        derivative = function.deriv(order) if order else function
        return derivative, derivative * (-1.0) ** (i + order)


class FourierSpace(Space):
    """Real trigonometric polynomials, scaled so that a derivative of `order` is of size one."""

    def __init__(self, mesh: PeriodicMesh, order: int) -> None:
        self.mesh, self.order = mesh, order
        self.size = mesh.count
        self.basis = FourierBasis(mesh.count, *mesh.breakpoints)
        # Columns 1, cos 1, sin 1, cos 2, sin 2, ...; for an even count the last sine is missing.
        self._frequency = (np.arange(self.size) + 1) // 2
        self._shift = np.where(np.arange(self.size) % 2 == 0, np.pi / 2, 0.0)
        self._shift[0] = 0.0

    def matrix(self, points: Array, order: int = 0) -> csr_array:
        """Matrix [N, size] of the derivatives of this order of the basis functions at points [N]."""
        a, b = self.mesh.breakpoints
        phase = 2 * np.pi * np.mod((np.asarray(points, dtype=float).ravel() - a) / (b - a), 1.0)
        scale = (2 * np.pi / (b - a) * self._frequency) ** order / np.maximum(self._frequency, 1.0) ** self.order
        values = np.cos(np.outer(phase, self._frequency) - self._shift + order * np.pi / 2) * scale
        return csr_array(values)

    @property
    def nodes(self) -> Array:
        """The equispaced points."""
        return self.mesh.points

    def tails(self, order: int = 0) -> list[tuple[Array, Array]]:
        """Return the indices of the highest quarter of the functions and the L2 norms of their derivatives."""
        highest = np.arange(max(self.size - max(4, self.size // 4), 1), self.size)
        length = self.mesh.breakpoints[1] - self.mesh.breakpoints[0]
        frequency = np.maximum(self._frequency[highest], 1.0)
        return [(highest, np.sqrt(length / 2) * (2 * np.pi / length) ** order * frequency ** (order - self.order))]


def legendre_table(t: Array, start: int, count: int, order: int) -> Array:
    """Derivatives (order > 0) or iterated integrals (order < 0) of the Legendre polynomials of degree start, ....

    Parameters
    ----------
    t : points in [-1, 1], shape [N].
    start, count : the degrees start, ..., start + count - 1; start >= -order.
    order : of the derivative; -r means the r-fold integral that vanishes at both ends with r - 1 derivatives.

    Returns
    -------
    Array [N, count].
    """
    t = np.asarray(t, dtype=float)
    if count == 0:
        return np.zeros((t.size, 0))
    integrals = max(-order, 0)
    top = start + count + integrals
    table = np.zeros((top + 1, t.size))
    table[0] = 1.0
    table[1] = t
    for n in range(1, top):
        table[n + 1] = ((2 * n + 1) * t * table[n] - n * table[n - 1]) / (n + 1)
    for _ in range(order):
        # P'_{n+1} = P'_{n-1} + (2n + 1) P_n, and the same for higher derivatives.
        derivative = np.zeros_like(table)
        derivative[1] = 1.0 if _ == 0 else 0.0
        for n in range(1, top):
            derivative[n + 1] = derivative[n - 1] + (2 * n + 1) * table[n]
        table = derivative
    for r in range(integrals):
        degree = np.arange(1, top - r)
        integral = np.zeros((top - r, t.size))
        integral[1:] = (table[2 : top - r + 1] - table[: top - r - 1]) / (2 * degree + 1)[:, None]
        table = integral
    return table[start : start + count].T
