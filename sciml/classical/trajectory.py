"""Functions of time with values in R^n, as time integrators leave them behind: dense output that is kept.

The state between steps is as accurate as at them: a `Trajectory` answers any time of its interval, in any order of
derivative, and can be saved as arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.classical.bases import ChebyshevBasis

__all__ = ["PiecewisePolynomial", "Trajectory", "merge_pieces"]

Array = NDArray[Any]


class Trajectory(ABC):
    """A function of time on [start, end] with values in R^n (or C^n)."""

    @property
    @abstractmethod
    def start(self) -> float:
        """First time."""

    @property
    @abstractmethod
    def end(self) -> float:
        """Last time."""

    @abstractmethod
    def values(self, times: Array, order: int = 0) -> Array:
        """Return the derivative of this order at `times` [T], as [T, n]; times outside are moved to the nearer end."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return the named arrays that determine the trajectory."""


class PiecewisePolynomial(Trajectory):
    """A polynomial of degree p on each of K intervals.

    Parameters
    ----------
    breaks : ends of the intervals, shape [K + 1], ascending.
    nodal : values at the p + 1 Chebyshev-Lobatto points of each interval, shape [K, p + 1, n].
    """

    def __init__(self, breaks: Array, nodal: Array) -> None:
        # One layout in memory, so that a restored trajectory gives the same bits.
        self.breaks, self.nodal = np.ascontiguousarray(breaks, dtype=float), np.ascontiguousarray(nodal)
        if self.nodal.ndim != 3 or self.breaks.shape != (self.nodal.shape[0] + 1,):
            raise ValueError(f"{self.breaks.shape} breaks do not fit values of shape {self.nodal.shape}")
        self._basis = ChebyshevBasis(self.nodal.shape[1])

    @property
    def start(self) -> float:
        """First time."""
        return float(self.breaks[0])

    @property
    def end(self) -> float:
        """Last time."""
        return float(self.breaks[-1])

    @property
    def size(self) -> int:
        """Number of values n."""
        return self.nodal.shape[2]

    def values(self, times: Array, order: int = 0) -> Array:
        """Return the derivative of this order at `times` [T], as [T, n]; times outside are moved to the nearer end."""
        times = np.clip(np.asarray(times, dtype=float), self.start, self.end)
        piece = np.clip(np.searchsorted(self.breaks, times, side="right") - 1, 0, len(self.nodal) - 1)
        result = np.empty((times.size, self.nodal.shape[2]))
        for k in np.unique(piece):
            here = piece == k
            a, b = self.breaks[k], self.breaks[k + 1]
            local = np.clip((times[here] - a - (b - times[here])) / (b - a), -1.0, 1.0)
            result[here] = self._basis.interpolation(local, order) @ self.nodal[k] * (2 / (b - a)) ** order
        return result

    def arrays(self) -> dict[str, Array]:
        """Return the named arrays that determine the trajectory."""
        return {"breaks": self.breaks, "nodal": self.nodal}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array]) -> PiecewisePolynomial:
        """Build the trajectory from `arrays` again."""
        return cls(arrays["breaks"], arrays["nodal"])

    @classmethod
    def constant(cls, span: tuple[float, float], value: Array) -> PiecewisePolynomial:
        """Return the trajectory that rests at one value for a moment from the start of a span."""
        moment = span[0] + 1e-9 * (span[1] - span[0])
        return cls(np.array([span[0], moment]), np.stack([value, value])[None])

    def reversed(self) -> PiecewisePolynomial:
        """Return the trajectory in the negative time."""
        return PiecewisePolynomial(-self.breaks[::-1], self.nodal[::-1, ::-1])

    def differentiated(self) -> PiecewisePolynomial:
        """Return the derivative."""
        scale = 2 / np.diff(self.breaks)[:, None, None]
        return PiecewisePolynomial(self.breaks, scale * (self._basis.derivative(1) @ self.nodal))

    def mapped(self, function: Callable[[Array, Array], Array]) -> PiecewisePolynomial:
        """Return the trajectory of `function(times [T], values [T, n]) -> [T, m]`, formed at the nodes."""
        half, middle = np.diff(self.breaks) / 2, (self.breaks[1:] + self.breaks[:-1]) / 2
        times = middle[:, None] + half[:, None] * self._basis.points
        values = [function(t, v) for t, v in zip(times, self.nodal, strict=True)]
        return PiecewisePolynomial(self.breaks, np.stack(values))


def merge_pieces(
    steps: Sequence[tuple[float, float, Callable[[Array], Array]]], degree: int, tolerance: Array
) -> Iterator[tuple[float, Array]]:
    """Replace consecutive steps by as few polynomials as are within a tolerance.

    Parameters
    ----------
    steps : (start, end, interpolant) of consecutive steps; an interpolant maps times [T] to values [T, n].
    degree : of the polynomials; at least that of the interpolants.
    tolerance : largest distance between the polynomial and the interpolants, absolute, shape [n].

    Yields
    ------
    The end of a piece and its values at the Chebyshev-Lobatto points, [degree + 1, n].
    """
    ends = np.array([end for _, end, _ in steps])

    def sample(times: Array) -> Array:
        owner = np.clip(np.searchsorted(ends, times, side="left"), 0, len(steps) - 1)
        return np.concatenate([steps[k][2](times[owner == k]) for k in np.unique(owner)])

    a, b = steps[0][0], steps[-1][1]
    basis = ChebyshevBasis(degree + 1, a, b)
    nodal = sample(np.clip(basis.points, a, b))
    if len(steps) > 1:
        between = a + (b - a) * (0.5 + np.arange(degree)) / degree
        if not np.all(np.abs(basis.interpolation(between) @ nodal - sample(between)) <= tolerance):
            half = len(steps) // 2
            yield from merge_pieces(steps[:half], degree, tolerance)
            yield from merge_pieces(steps[half:], degree, tolerance)
            return
    yield b, nodal
