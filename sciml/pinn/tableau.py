r"""Gauss-Legendre implicit Runge-Kutta tableaux with any number of stages, from the Legendre modes of their stages.

The q stages of a Gauss method are the values at the zeros c_i of the Legendre polynomial of degree q on [0, 1] of a
polynomial of degree q in time whose derivative is right there: collocation, of order 2q. With the orthonormal Legendre
polynomials p_k, k < q, and W[i, k] = p_k(c_i) the tableau is

.. math:: A = W X W^T B, \qquad W^T B W = I, \qquad B = \mathrm{diag}(b),

where X integrates a Legendre series from 0: it is zero but for X[0, 0] = 1/2, X[k, k-1] = xi_k and X[k-1, k] = -xi_k,
xi_k = 1 / (2 sqrt(4 k^2 - 1)) (the W-transformation, E. Hairer and G. Wanner, Solving Ordinary Differential Equations
II, section IV.5, doi:10.1007/978-3-642-05221-7). All numbers in it are of size one, so that nothing is lost for
hundreds of stages, where the Vandermonde systems of the textbook definition have no digit left.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from sciml.errors import ArgumentError

__all__ = ["MOST_STAGES", "Tableau", "gauss_legendre", "legendre"]

MOST_STAGES = 500


@final
@dataclass(frozen=True, eq=False)
class Tableau:
    """The coefficients of a Gauss-Legendre method with q stages.

    Attributes
    ----------
    nodes : c, [q], increasing, in (0, 1).
    weights : b, [q], positive, of sum 1.
    modes : W, [q, q]: the orthonormal Legendre polynomials of degree 0 to q - 1 at the nodes.
    """

    nodes: np.ndarray
    weights: np.ndarray
    modes: np.ndarray

    @property
    def stages(self) -> int:
        """The number q of stages."""
        return len(self.nodes)

    @property
    def order(self) -> int:
        """The order 2q of the method."""
        return 2 * self.stages

    @property
    def transform(self) -> np.ndarray:
        """W^T B, [q, q]: the Legendre coefficients of a function from its values at the nodes, exact to degree q."""
        return self.modes.T * self.weights

    @property
    def integration(self) -> np.ndarray:
        """X, [q, q]: from Legendre coefficients of a function to those of its integral from 0 (less degree q)."""
        return integration(self.stages)

    @property
    def matrix(self) -> np.ndarray:
        """A, [q, q]."""
        return self.modes @ self.integration @ self.transform

    def __repr__(self) -> str:
        return f"Tableau of Gauss-Legendre, {self.stages} stages, order {self.order}"


def gauss_legendre(stages: int) -> Tableau:
    """Return the tableau of the Gauss-Legendre method.

    Parameters
    ----------
    stages : q, from 1 to 500.

    Returns
    -------
    Tableau : every entry accurate to rounding; the weights, the least of which are 1e-5 for 500 stages, relative to
        themselves.

    Raises
    ------
    ArgumentError : not a number of stages.

    References
    ----------
    J. C. Butcher, doi:10.1090/S0025-5718-1964-0159424-9.

    Examples
    --------
    >>> midpoint = gauss_legendre(1)
    >>> midpoint.nodes.tolist(), midpoint.weights.tolist(), midpoint.matrix.tolist()
    ([0.5], [1.0], [[0.5]])
    """
    q = _count(stages)
    points, _ = np.polynomial.legendre.leggauss(q)
    nodes = (1 + points) / 2
    modes = legendre(q, nodes)
    # The Christoffel function has relative accuracy at the ends too, where quotients of derivatives lose six digits.
    weights = 1 / np.sum(modes**2, axis=1)
    for array in (nodes, weights, modes):
        array.setflags(write=False)
    return Tableau(nodes, weights, modes)


def integration(count: int) -> np.ndarray:
    """Return X, [count, count]."""
    k = np.arange(1, count)
    xi = 0.5 / np.sqrt(4.0 * k**2 - 1)
    result = np.diag(xi, -1) - np.diag(xi, 1)
    result[0, 0] = 0.5
    return result


def legendre(count: int, s: Any, derivative: int = 0) -> np.ndarray:
    r"""Return orthonormal Legendre polynomials on [0, 1], or a derivative of them.

    .. math:: p_k(s) = \sqrt{2k + 1}\, P_k(2s - 1), \qquad \int_0^1 p_j p_k\, ds = \delta_{jk}

    Parameters
    ----------
    count : how many, from degree 0 on.
    s : points [N].
    derivative : order of the derivative in s, >= 0.

    Returns
    -------
    ndarray [N, count]
    """
    z = 2 * np.asarray(s, dtype=np.float64) - 1
    values = np.polynomial.legendre.legvander(z, count - 1)
    for _ in range(derivative):
        # P_k' = P_{k-2}' + (2k - 1) P_{k-1}, which has no subtraction, and every derivative of it.
        slopes = np.zeros_like(values)
        for k in range(1, count):
            slopes[:, k] = (2 * k - 1) * values[:, k - 1]
            if k > 1:
                slopes[:, k] += slopes[:, k - 2]
        values = 2 * slopes
    return values * np.sqrt(2 * np.arange(count) + 1)


def _count(stages: Any) -> int:
    try:
        count = operator.index(stages)
    except TypeError:
        count = 0
    if isinstance(stages, bool) or not 1 <= count <= MOST_STAGES:
        raise ArgumentError(f"stages must be a whole number from 1 to {MOST_STAGES}, got {stages!r}")
    return count
