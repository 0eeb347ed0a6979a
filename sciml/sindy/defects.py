"""Defects: what a law leaves unexplained between two neighbouring samples.

For every sampling interval, x(k+1) - x(k) - integral of f over it = 0. The integral is that of the polynomial which
interpolates f at six neighbouring samples (one-sided at the ends of a record), at any spacing of the times. Linearised
in the states, the defects of all intervals are J = A - B Df, and noise of variances S in the states gives them the
covariance J S J', which is banded: everything here costs O(N).
"""

from __future__ import annotations

from typing import final

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky_banded, lapack

__all__ = ["WIDTH", "Covariance", "Defects", "interval_weights"]

WIDTH = 6
NARROW = 4


def interval_weights(times: np.ndarray, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    r"""Return quadrature weights over the intervals of a grid.

    .. math:: \int_{t_k}^{t_{k+1}} f \approx \sum_a w_{ka} f(t_{s_k + a})

    Parameters
    ----------
    times : increasing, [N] with N >= 2
    width : int
        nodes of the interpolant; fewer where the record is shorter.

    Returns
    -------
    start : int array [N - 1], s_k
    weights : [N - 1, min(width, N)]
        exact for polynomials of a degree below the number of nodes.
    """
    count = len(times)
    width = min(width, count)
    start = np.clip(np.arange(count - 1) - (width // 2 - 1), 0, count - width)
    nodes = times[start[:, None] + np.arange(width)]
    # Each window is mapped to [-1, 1], where a Vandermonde matrix of six nodes is harmless.
    middle, half = (nodes[:, 0] + nodes[:, -1]) / 2, (nodes[:, -1] - nodes[:, 0]) / 2
    tau = (nodes - middle[:, None]) / half[:, None]
    lower, upper = (times[:-1] - middle) / half, (times[1:] - middle) / half
    powers = np.arange(width)
    vandermonde = tau[:, None, :] ** powers[None, :, None]
    moments = (upper[:, None] ** (powers + 1) - lower[:, None] ** (powers + 1)) / (powers + 1)
    return start, half[:, None] * np.linalg.solve(vandermonde, moments[..., None])[..., 0]


@final
class Defects:
    """The defects of one or many records, whose states stand one below the other.

    Parameters
    ----------
    times : [N], increasing within each record
    bounds : int [K + 1], the first nodes of the records, and N
    discrete : whether the law is a map: x(k+1) - f(x(k)) = 0.

    Attributes
    ----------
    nodes, count : numbers of nodes N and of defects n per unknown.
    left, right : the two nodes of each interval.
    """

    def __init__(self, times: np.ndarray, bounds: np.ndarray, discrete: bool = False) -> None:
        self.nodes = len(times)
        spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        self.left = np.concatenate([np.arange(a, b - 1) for a, b in spans])
        self.right = self.left + 1
        self.count = len(self.left)
        self.discrete = discrete
        width = 2 if discrete else min(WIDTH, self.nodes)
        starts, tables, narrow = [], [], []
        for a, b in spans:
            if discrete:
                start, weights = np.arange(b - a - 1), np.tile([1.0, 0.0], (b - a - 1, 1))
                coarse = weights
            else:
                start, weights = interval_weights(times[a:b], WIDTH)
                other, fewer = interval_weights(times[a:b], NARROW)
                coarse = np.zeros_like(weights)
                np.put_along_axis(coarse, (other - start)[:, None] + np.arange(fewer.shape[1]), fewer, axis=1)
            # A record shorter than the window: its window is filled up with nodes of weight zero.
            begin = np.minimum(start + a, self.nodes - width)
            shift = (start + a) - begin
            table, thin = np.zeros((len(start), width)), np.zeros((len(start), width))
            np.put_along_axis(table, shift[:, None] + np.arange(weights.shape[1]), weights, axis=1)
            np.put_along_axis(thin, shift[:, None] + np.arange(weights.shape[1]), coarse, axis=1)
            starts.append(begin)
            tables.append(table)
            narrow.append(thin)
        self.start = np.concatenate(starts)
        self.weights = np.concatenate(tables)
        self.width = width
        self.window = self.start[:, None] + np.arange(width)
        self.quadrature = self._matrix(self.weights)
        self.doubt = self._matrix(self.weights - np.concatenate(narrow))
        self._overlaps = self._plan()

    def _matrix(self, weights: np.ndarray) -> sparse.csr_array:
        pointers = np.arange(self.count + 1) * self.width
        shape = (self.count, self.nodes)
        return sparse.csr_array((weights.ravel(), self.window.ravel(), pointers), shape=shape)

    def _plan(self) -> list[tuple[int, int, np.ndarray]]:
        """Return (lag, shift, first defects): which pairs of windows overlap, and by how much."""
        plan = []
        for lag in range(self.count):
            shift = self.start[lag:] - self.start[: self.count - lag]
            if (shift >= self.width).all():
                break
            for value in np.unique(shift[shift < self.width]):
                plan.append((lag, int(value), np.flatnonzero(shift == value)))
        return plan

    @property
    def lags(self) -> int:
        """Over how many neighbouring intervals defects are correlated."""
        return 1 + max(lag for lag, _, _ in self._overlaps)

    def differences(self, x: np.ndarray) -> np.ndarray:
        """Return A x [n, d]: the increments of the states x [N, d]; for a map the next states."""
        return x[self.right] if self.discrete else x[self.right] - x[self.left]

    def integrals(self, values: np.ndarray) -> np.ndarray:
        """Return B F [n, ...] of values F [N, ...] at the nodes."""
        return self.quadrature @ values

    def jacobian(self, slopes: np.ndarray) -> np.ndarray:
        """Return J = A - B Df as blocks [n, d, width, d] over the windows, for Df [N, d, d]."""
        d = slopes.shape[1]
        blocks = -self.weights[:, None, :, None] * slopes[self.window].transpose(0, 2, 1, 3)
        every, i = np.arange(self.count), np.arange(d)
        blocks[every[:, None], i, (self.right - self.start)[:, None], i] += 1.0
        if not self.discrete:
            blocks[every[:, None], i, (self.left - self.start)[:, None], i] -= 1.0
        return blocks

    def apply(self, jacobian: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return J v [n, d] for v [N, d]."""
        n, d = jacobian.shape[:2]
        return (jacobian.reshape(n, d, -1) @ v[self.window].reshape(n, -1, 1))[..., 0]

    def transpose(self, jacobian: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return J' w [N, d] for w [n, d]."""
        n, d = jacobian.shape[:2]
        parts = (w[:, None, :] @ jacobian.reshape(n, d, -1)).reshape(n, self.width, d)
        result = np.zeros((self.nodes, d))
        for a in range(self.width):
            # The windows' a-th nodes are distinct except at the ends of records.
            np.add.at(result, self.start + a, parts[:, a])
        return result

    def gram(self, jacobian: np.ndarray, variances: np.ndarray | None) -> np.ndarray:
        """Return J S J' in LAPACK's lower banded form, S = diag(variances [N, d]), the identity if None."""
        n, d = jacobian.shape[:2]
        weighted = jacobian if variances is None else jacobian * variances[self.window][:, None]
        band = np.zeros((self.lags * d, n * d))
        lower = np.tril_indices(d)
        for lag, shift, first in self._overlaps:
            keep = (self.width - shift) * d
            # The rows of the later defect are those of the lower triangle.
            later = weighted[first + lag].reshape(len(first), d, -1)[:, :, :keep]
            earlier = jacobian[first].reshape(len(first), d, -1)[:, :, shift * d :]
            block = later @ earlier.transpose(0, 2, 1)
            if lag:
                for i in range(d):
                    for j in range(d):
                        band[lag * d + i - j, first * d + j] = block[:, i, j]
            else:
                for i, j in zip(*lower, strict=True):
                    band[i - j, first * d + j] = block[:, i, j]
        return band


@final
class Covariance:
    """A banded covariance C = L L' of all defects, factored. Raises `LinAlgError` if it is not positive definite."""

    def __init__(self, band: np.ndarray, diagonal: np.ndarray) -> None:
        band = band.copy()
        band[0] += diagonal.ravel()
        self.factor = cholesky_banded(band, overwrite_ab=True, lower=True, check_finite=False)
        self.logdet = 2.0 * float(np.sum(np.log(self.factor[0])))
        if not np.isfinite(self.logdet):
            raise LinAlgError("the covariance of the defects is not positive definite")

    def whiten(self, values: np.ndarray) -> np.ndarray:
        """Return L^-1 M for M [n d, ...]."""
        return lapack.dtbtrs(self.factor, np.asfortranarray(values), uplo="L")[0]

    def solve(self, values: np.ndarray) -> np.ndarray:
        """Return C^-1 v for v [n d]."""
        return lapack.dpbtrs(self.factor, values, lower=1)[0]
