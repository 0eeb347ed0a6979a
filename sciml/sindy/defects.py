"""Defects: what a law leaves unexplained between two neighbouring samples.

For every sampling interval, x(k+1) - x(k) - integral of f over it = 0. The integral is that of the polynomial which
interpolates f at six neighbouring samples (one-sided at the ends of a record), at any spacing of the times. Linearised
in the states, the defects of all intervals are J = A - B Df, and noise of variances S in the states gives them the
covariance J S J', which is banded: everything here costs O(N).
"""

from __future__ import annotations

import itertools
from typing import final

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky_banded, get_lapack_funcs

__all__ = ["WIDTH", "Covariance", "Defects", "interval_weights"]

_tbtrs, _pbtrs = get_lapack_funcs(("tbtrs", "pbtrs"), dtype=np.float64)

WIDTH = 6
NARROW = 4
# Gaps that differ by more than this factor are uneven; nodes of a quadrature keep this part of the interval apart, and
# are looked for so many samples further out.
UNEVEN = 2.0
APART = 0.4
REACH = 3


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
    weights : [N - 1, W], W = min(width, N) where the times are even
        exact for polynomials of a degree below the number of nodes with a weight.
    """
    count = len(times)
    width = min(width, count)
    gaps = np.diff(times)
    if gaps.max() > UNEVEN * gaps.min():
        return _uneven_weights(times, width)
    start = np.clip(np.arange(count - 1) - (width // 2 - 1), 0, count - width)
    return start, _weights(times[start[:, None] + np.arange(width)], times[:-1], times[1:])


def _weights(nodes: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return the integrals of the Lagrange polynomials of nodes [n, w] over intervals [n]."""
    # Each window is mapped to [-1, 1], where a Vandermonde matrix of six nodes is harmless.
    middle = (nodes.max(axis=1) + nodes.min(axis=1)) / 2
    half = (nodes.max(axis=1) - nodes.min(axis=1)) / 2
    tau = (nodes - middle[:, None]) / half[:, None]
    lower, upper = (lower - middle) / half, (upper - middle) / half
    powers = np.arange(nodes.shape[1])
    vandermonde = tau[:, None, :] ** powers[None, :, None]
    moments = (upper[:, None] ** (powers + 1) - lower[:, None] ** (powers + 1)) / (powers + 1)
    return half[:, None] * np.linalg.solve(vandermonde, moments[..., None])[..., 0]


def _uneven_weights(times: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights where gaps differ: nodes that nearly coincide are passed over.

    Two neighbours at a small distance would fix a slope that is then carried across the whole interval, and the noise
    with it. So every node but the two ends of the interval keeps `APART` of its length from the others.
    """
    count = len(times)
    reach = width // 2 + REACH
    span = min(2 * reach, count)
    start = np.clip(np.arange(count - 1) - reach + 1, 0, count - span)
    table = np.zeros((count - 1, span))
    chosen: dict[int, list[tuple[int, list[int]]]] = {}
    for k in range(count - 1):
        apart = APART * (times[k + 1] - times[k])
        left, right = [k], [k + 1]
        for j in range(k - 1, start[k] - 1, -1):
            if times[left[-1]] - times[j] >= apart:
                left.append(j)
        for j in range(k + 2, start[k] + span):
            if times[j] - times[right[-1]] >= apart:
                right.append(j)
        half = width // 2
        few = min(len(left), max(half, width - len(right)))
        nodes = left[:few] + right[: width - few]
        chosen.setdefault(len(nodes), []).append((k, nodes))
    for rows in chosen.values():
        k = np.array([row for row, _ in rows])
        nodes = np.array([own for _, own in rows])
        table[k[:, None], nodes - start[k][:, None]] = _weights(times[nodes], times[k], times[k + 1])
    return start, table


def _shifted(table: np.ndarray, shift: np.ndarray, width: int) -> np.ndarray:
    """Return rows of weights moved to the right by `shift` in rows of `width`; what falls off must be zero."""
    wide = np.zeros((len(table), width + table.shape[1]))
    np.put_along_axis(wide, shift[:, None] + np.arange(table.shape[1]), table, axis=1)
    return wide[:, :width]


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
    nodes, count : numbers of nodes N and of defects n per unknown; bounds : as given.
    left, right : the two nodes of each interval; lengths : of the intervals [n], 1 for a map.
    """

    def __init__(self, times: np.ndarray, bounds: np.ndarray, discrete: bool = False) -> None:
        self.nodes, self.bounds = len(times), bounds
        spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        self.left = np.concatenate([np.arange(a, b - 1) for a, b in spans])
        self.right = self.left + 1
        self.count = len(self.left)
        self.discrete = discrete
        self.lengths = np.ones(self.count) if discrete else times[self.right] - times[self.left]
        starts, tables, narrow = [], [], []
        for a, b in spans:
            if discrete:
                start, weights = np.arange(b - a - 1), np.tile([1.0, 0.0], (b - a - 1, 1))
                coarse = weights
            else:
                start, weights = interval_weights(times[a:b], WIDTH)
                other, fewer = interval_weights(times[a:b], NARROW)
                coarse = _shifted(fewer, other - start, weights.shape[1])
            starts.append(start + a)
            tables.append(weights)
            narrow.append(coarse)
        # Records may be shorter than others' windows: all are filled up to one width with nodes of weight zero.
        width = max(table.shape[1] for table in tables)
        begins = [np.minimum(start, self.nodes - width) for start in starts]
        shifts = [start - begin for start, begin in zip(starts, begins, strict=True)]
        tables = [_shifted(table, shift, width) for table, shift in zip(tables, shifts, strict=True)]
        narrow = [_shifted(table, shift, width) for table, shift in zip(narrow, shifts, strict=True)]
        starts = begins
        self.start = np.concatenate(starts)
        self.weights = np.concatenate(tables)
        self.width = width
        self.window = self.start[:, None] + np.arange(width)
        self._flat = self.window.ravel()
        self.quadrature = self._matrix(self.weights)
        self.doubt = self._matrix(self.weights - np.concatenate(narrow))
        self._overlaps = self._plan()

    def _matrix(self, weights: np.ndarray) -> sparse.csr_array:
        pointers = np.arange(self.count + 1) * self.width
        shape = (self.count, self.nodes)
        return sparse.csr_array((weights.ravel(), self.window.ravel(), pointers), shape=shape)

    def _plan(self) -> list[tuple[int, int, slice]]:
        """Return (lag, shift, first defects): which pairs of windows overlap, and by how much, in runs."""
        plan = []
        for lag in range(self.count):
            shift = self.start[lag:] - self.start[: self.count - lag]
            if (shift >= self.width).all():
                break
            ends = np.flatnonzero(np.diff(shift)) + 1
            for a, b in itertools.pairwise([0, *ends.tolist(), len(shift)]):
                if shift[a] < self.width:
                    plan.append((lag, int(shift[a]), slice(a, b)))
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
        result = np.empty((self.nodes, d))
        for i in range(d):
            result[:, i] = np.bincount(self._flat, parts[:, :, i].ravel(), self.nodes)
        return result

    def gram(self, jacobian: np.ndarray, variances: np.ndarray | None) -> np.ndarray:
        """Return J S J' in LAPACK's lower banded form, S = diag(variances [N, d]), the identity if None."""
        n, d = jacobian.shape[:2]
        weighted = jacobian if variances is None else jacobian * variances[self.window][:, None]
        weighted = weighted.reshape(n, d, -1)
        # Both factors with rows in memory order: only then are the many small products fast.
        turned = np.ascontiguousarray(jacobian.reshape(n, d, -1).transpose(0, 2, 1))
        band = np.zeros((self.lags * d, n, d))
        for lag, shift, first in self._overlaps:
            keep = (self.width - shift) * d
            later = weighted[first.start + lag : first.stop + lag, :, :keep]
            block = later @ turned[first, shift * d :]
            for i in range(d):
                for j in range(d if lag else i + 1):
                    band[lag * d + i - j, first, j] = block[:, i, j]
        return band.reshape(self.lags * d, n * d)


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
        return _tbtrs(self.factor, np.asfortranarray(values), uplo="L")[0]

    def solve(self, values: np.ndarray) -> np.ndarray:
        """Return C^-1 v for v [n d]."""
        return _pbtrs(self.factor, values, lower=1)[0]
