"""Exponential time differencing for w' = rates * w + N(t, w), stiff in its linear part.

The linear part is integrated exactly, also between the steps: the trajectory keeps the states at the starts of slabs
and N as polynomials in time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from sciml.classical.clock import Clock
from sciml.classical.exponential_trajectory import ExponentialTrajectory, phi_functions, power_matrix

__all__ = ["ETDRK4", "Scheme", "integrate_equal_steps", "integrate_exponential"]

Array = NDArray[Any]
Nonlinear = Callable[[float, Array], Array]

SAMPLES = 64  # half steps per slab at most
DEGREE = 10  # of N in a slab at most; least squares on equispaced samples are stable for degree**2 < 2 SAMPLES
DEEPEST = 40  # halvings of the time interval before a step counts as too small


class Scheme(ABC):
    """A one-step method for w' = rates * w + N(t, w)."""

    order: ClassVar[int]

    @abstractmethod
    def step(self, t: float, h: float, y: Array, n: Array) -> Array:
        """Return the state at t + h from the state y at t, where n = N(t, y)."""


class _Coefficients(NamedTuple):
    full: Array
    half: Array
    stage: Array
    first: Array
    middle: Array
    last: Array


@final
class ETDRK4(Scheme):
    """The fourth-order exponential Runge-Kutta scheme of Cox and Matthews.

    Its coefficients come from stable recursions instead of contour integrals.

    Parameters
    ----------
    rates : the diagonal linear part, shape [n].
    nonlinear : N(t, y), [n] to [n].

    References
    ----------
    A.-K. Kassam, L. N. Trefethen, Fourth-order time-stepping for stiff PDEs, 2005, doi:10.1137/S1064827502410633
    """

    order: ClassVar[int] = 4

    def __init__(self, rates: Array, nonlinear: Nonlinear) -> None:
        self._rates, self._nonlinear = rates, nonlinear
        self._coefficients = lru_cache(maxsize=6)(self._compute)

    def step(self, t: float, h: float, y: Array, n: Array) -> Array:
        """Return the state at t + h from the state y at t, where n = N(t, y)."""
        c, nonlinear = self._coefficients(h), self._nonlinear
        a = c.half * y + c.stage * n
        na = nonlinear(t + h / 2, a)
        b = c.half * y + c.stage * na
        nb = nonlinear(t + h / 2, b)
        d = c.half * a + c.stage * (2 * nb - n)
        nd = nonlinear(t + h, d)
        return c.full * y + c.first * n + c.middle * (na + nb) + c.last * nd

    def _compute(self, h: float) -> _Coefficients:
        phi, half = phi_functions(h * self._rates, 3), phi_functions(h * self._rates / 2, 1)
        return _Coefficients(
            full=phi[0],
            half=half[0],
            stage=h / 2 * half[1],
            first=h * (phi[1] - 3 * phi[2] + 4 * phi[3]),
            middle=h * (2 * phi[2] - 4 * phi[3]),
            last=h * (4 * phi[3] - phi[2]),
        )


def integrate_equal_steps(
    scheme: Scheme, nonlinear: Nonlinear, span: tuple[float, float], y: Array, steps: int
) -> Array:
    """Integrate over `span` with equal steps; return the last state."""
    h = (span[1] - span[0]) / steps
    for i in range(steps):
        t = span[0] + i * h
        y = scheme.step(t, h, y, nonlinear(t, y))
    return y


def integrate_exponential(
    rates: Array,
    nonlinear: Nonlinear | None,
    scheme: Scheme | None,
    span: tuple[float, float],
    y: Array,
    tolerance: float,
    clock: Clock,
    watch: Callable[[float, Array], bool] | None = None,
) -> ExponentialTrajectory:
    """Integrate with steps adapted by halving and doubling.

    A step is made once in full and once in two halves; the difference gives the error of the halves and is added to
    them. It may be `tolerance` times the norm of the state and the root of the fraction of the interval.

    Parameters
    ----------
    rates : the diagonal linear part, shape [n].
    nonlinear : N(t, y), or None where it vanishes: then one slab is exact, and no scheme is needed.
    scheme : how to make one step.
    span : first and last time.
    y : initial state [n].
    tolerance : relative error allowed over the whole interval.
    clock : ends the integration when the time budget is used up.
    watch : stops the integration where it returns False for an accepted (t, y).

    Returns
    -------
    ExponentialTrajectory
        shorter than `span` if the state stopped being finite, the steps became too small, or time ran out.
    """
    t0, t1 = span
    if nonlinear is None or scheme is None:
        return ExponentialTrajectory(rates, np.array([t0, t1]), y[None], np.zeros((0, y.size), complex), np.array([0]))
    slabs = _Slabs(rates, t0, y, 4 * tolerance, 1e-9 * (t1 - t0))
    level, position, end = 6, 0, 2**DEEPEST
    n = nonlinear(t0, y)
    while position < end:
        h = (t1 - t0) / 2 ** (level + 1)
        t = t0 + (t1 - t0) * (position / end)
        with np.errstate(all="ignore"):
            whole = scheme.step(t, 2 * h, y, n)
            middle = scheme.step(t, h, y, n)
            n_middle = nonlinear(t + h, middle)
            fine = scheme.step(t + h, h, middle, n_middle)
            correction = (fine - whole) / (2**scheme.order - 1)
            error = float(np.linalg.norm(correction))
            size = max(float(np.linalg.norm(y)), float(np.linalg.norm(fine)))
        # Errors are expected to add up like independent ones. Below the floor they are those of rounding.
        allowed = max(tolerance * 2 ** (-level / 2), 4e-16) * size
        if not error <= allowed:
            level += 1
            if level >= DEEPEST - 1 or clock.expired:
                break
            continue
        y = fine + correction
        n_next = nonlinear(t + 2 * h, y)
        if not np.all(np.isfinite(n_next)):
            break
        slabs.add(h, n, n_middle, y, n_next)
        n = n_next
        position += 2 ** (DEEPEST - level)
        if clock.expired or (watch is not None and not watch(t + 2 * h, y)):
            break
        if error < allowed / 50 and level > 0 and position % 2 ** (DEEPEST - level + 1) == 0:
            level -= 1
    return slabs.trajectory(t1 if position == end else None)


class _Slabs:
    """Collects half steps of equal length and turns them into slabs with polynomials of N."""

    def __init__(self, rates: Array, t: float, y: Array, tolerance: float, moment: float) -> None:
        self.rates, self.tolerance, self.moment = rates, tolerance, moment
        self.breaks, self.states, self.forcing = [t], [], []
        self.size = float(np.linalg.norm(y))
        self._h = 0.0
        self._t, self._y, self._n = [t], [y], []

    def add(self, h: float, n: Array, n_middle: Array, y: Array, n_next: Array) -> None:
        """Add two half steps of length h with N at the start, the middle and the end, and the state at the end."""
        if self._n and (h != self._h or len(self._n) > SAMPLES):
            self._flush()
        self._h = h
        if not self._n:
            self._n.append(n)
        t = self._t[-1]
        self._t += [t + h, t + 2 * h]
        self._y += [None, y]
        self._n += [n_middle, n_next]
        self.size = max(self.size, float(np.linalg.norm(y)))

    def trajectory(self, end: float | None) -> ExponentialTrajectory:
        """Return what was collected; `end` replaces the accumulated last time by the exact one."""
        if self._n:
            self._flush()
        if not self.states:
            self.breaks.append(self.breaks[0] + self.moment)
            self.states.append(self._y[0])
            self.forcing.append(np.zeros((0, self.rates.size), dtype=complex))
        if end is not None:
            self.breaks[-1] = end
        return ExponentialTrajectory(
            self.rates,
            np.array(self.breaks),
            np.array(self.states),
            np.concatenate(self.forcing),
            np.array([len(powers) for powers in self.forcing]),
        )

    def _flush(self) -> None:
        self._fit(0, len(self._n) - 1)
        self._t, self._y, self._n = self._t[-1:], self._y[-1:], []

    def _fit(self, first: int, last: int) -> None:
        """Fit N on the half steps first..last by one polynomial, or by two on halves if that misses the tolerance."""
        intervals = last - first
        degree = min(DEGREE, intervals // 2 + 2 if intervals > 2 else intervals)
        samples = np.array(self._n[first : last + 1])
        table, inverse = _least_squares(intervals, degree)
        coefficients = inverse @ samples
        length = intervals * self._h
        # What a misfit of N does to a mode in a slab is limited by the slab and by the decay of the mode.
        misfit = (samples - table @ coefficients) / (1 / length + np.abs(np.real(self.rates)))
        if intervals > 2 and np.max(np.linalg.norm(misfit, axis=1)) > self.tolerance * self.size:
            middle = first + 2 * max(intervals // 4, 1)
            self._fit(first, middle)
            self._fit(middle, last)
            return
        self.states.append(self._y[first])
        self.forcing.append(power_matrix(degree + 1) @ coefficients)
        self.breaks.append(self._t[last])


@lru_cache(maxsize=128)
def _least_squares(intervals: int, degree: int) -> tuple[Array, Array]:
    """Return the matrix from Chebyshev coefficients to values at i/intervals in [0, 1], and its pseudo-inverse."""
    table = chebvander(2 * np.arange(intervals + 1) / intervals - 1, degree)
    return table, np.linalg.pinv(table)
