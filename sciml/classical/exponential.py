"""Exponential time differencing for y' = diag(rates) y + N(t, y), stiff in its linear part.

The linear part is integrated exactly, also between the steps: the trajectory keeps the states at the starts of slabs
and N as polynomials in time, so modes that oscillate or decay much faster than the steps stay right everywhere.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from sciml.classical.bases import ChebyshevBasis
from sciml.classical.clock import Clock
from sciml.classical.trajectory import Trajectory

__all__ = [
    "ETDRK4",
    "ExponentialTrajectory",
    "Scheme",
    "integrate_equal_steps",
    "integrate_exponential",
    "phi_functions",
]

Complex = NDArray[np.complexfloating]
Nonlinear = Callable[[float, Complex], Complex]

SAMPLES = 64  # half steps per slab at most
DEGREE = 10  # of N in a slab at most; least squares on equispaced samples are stable for degree**2 < 2 SAMPLES
NODES = 36  # per slab where slow modes are interpolated: exact to rounding for abs(rate) * length < NODES / 3
DEEPEST = 40  # halvings of the time interval before a step counts as too small


def phi_functions(z: NDArray, count: int) -> NDArray:
    r"""Return :math:`\varphi_0(z), \dots, \varphi_p(z)`, where :math:`\varphi_0 = e^z` and
    :math:`\varphi_{k+1}(z) = (\varphi_k(z) - 1/k!)/z`.

    The recursion is used upwards for k <= abs(z) and, started with the Taylor series of the last one, downwards for
    the rest: each direction where it damps rounding errors.

    Parameters
    ----------
    z : array of any shape, Re z bounded above.
    count : p, the last index.

    Returns
    -------
    Array [p + 1, *z.shape].
    """  # noqa: D205
    z = np.asarray(z)
    size = np.abs(z)
    result = np.empty((count + 1, *z.shape), dtype=z.dtype)
    np.exp(z, out=result[0])
    inverse = 1 / np.where(size > 0.5, z, 1.0)
    for k in range(count):
        np.subtract(result[k], 1 / math.factorial(k), out=result[k + 1])
        result[k + 1] *= inverse
    low = np.nonzero(size < count)
    if low[0].size:
        part, bound = z[low], size[low]
        term = np.full(part.shape, 1 / math.factorial(count), dtype=z.dtype)
        downward = term.copy()
        for j in range(1, 40 + 2 * count):
            term *= part / (count + j)
            downward += term
        result[(count, *low)] = downward
        for k in range(count - 1, 0, -1):
            downward = part * downward + 1 / math.factorial(k)
            result[(k, *low)] = np.where(bound < k, downward, result[(k, *low)])
    return result


class Scheme(ABC):
    """A one-step method for w' = rates * w + N(t, w)."""

    order: ClassVar[int]

    @abstractmethod
    def step(self, t: float, h: float, y: Complex, n: Complex) -> Complex:
        """Return the state at t + h from the state y at t, where n = N(t, y)."""


class _Coefficients(NamedTuple):
    full: NDArray
    half: NDArray
    stage: NDArray
    first: NDArray
    middle: NDArray
    last: NDArray


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

    def __init__(self, rates: NDArray, nonlinear: Nonlinear) -> None:
        self._rates, self._nonlinear = rates, nonlinear
        self._coefficients = lru_cache(maxsize=6)(self._compute)

    def step(self, t: float, h: float, y: Complex, n: Complex) -> Complex:
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
    scheme: Scheme, nonlinear: Nonlinear, span: tuple[float, float], y: Complex, steps: int
) -> Complex:
    """Integrate over `span` with equal steps; return the last state."""
    h = (span[1] - span[0]) / steps
    for i in range(steps):
        t = span[0] + i * h
        y = scheme.step(t, h, y, nonlinear(t, y))
    return y


class ExponentialTrajectory(Trajectory):
    """States at the starts of slabs, and N as a polynomial in the time since then.

    Parameters
    ----------
    rates : the diagonal linear part, shape [n].
    breaks : ends of the slabs, shape [K + 1].
    states : values at the starts, shape [K, n].
    forcing : coefficients of N in powers of (t - start)/length, those of all slabs below each other, [.., n].
    degrees : number of powers of each slab, shape [K].
    """

    def __init__(
        self,
        rates: NDArray,
        breaks: NDArray,
        states: Complex,
        forcing: Complex,
        degrees: NDArray[np.integer],
    ) -> None:
        self.rates, self.breaks, self.states = rates, breaks, states
        self.forcing, self.degrees = forcing, degrees
        self._offsets = np.concatenate([[0], np.cumsum(degrees)])
        if self.breaks.shape != (len(states) + 1,) or len(forcing) != self._offsets[-1]:
            raise ValueError("breaks, states and forcing of a trajectory do not fit each other")

    @property
    def start(self) -> float:
        """First time."""
        return float(self.breaks[0])

    @property
    def end(self) -> float:
        """Last time."""
        return float(self.breaks[-1])

    def values(self, times: NDArray, order: int = 0) -> Complex:
        """Return the derivative of this order at `times` [T], as [T, n]; times outside are moved to the nearer end."""
        times = np.clip(np.asarray(times, dtype=float), self.start, self.end)
        slab = np.clip(np.searchsorted(self.breaks, times, side="right") - 1, 0, len(self.states) - 1)
        result = np.empty((times.size, self.rates.size), dtype=complex)
        for k in np.unique(slab):
            here = np.nonzero(slab == k)[0]
            self._within(k, times[here] - self.breaks[k], order, here, result)
        return result

    def _within(self, k: int, elapsed: NDArray, order: int, rows: NDArray[np.integer], result: Complex) -> None:
        """Write the values at times since the start of slab k into rows of the result."""
        length = self.breaks[k + 1] - self.breaks[k]
        nodes = ChebyshevBasis(NODES, 0.0, length)
        slow = np.abs(self.rates) * length < NODES / 3
        if elapsed.size > 2 * NODES and slow.any():
            # Modes that hardly change within the slab are interpolated: one product of matrices for all times.
            result[np.ix_(rows, slow)] = nodes.interpolation(elapsed) @ self._exact(k, nodes.points, order, slow)
            chosen = ~slow
        else:
            chosen = np.ones_like(slow)
        # Bounded memory: the phi functions of many times and modes at once would be gigabytes.
        for part in np.array_split(np.arange(rows.size), math.ceil(rows.size * max(chosen.sum(), 1) / 2**17)):
            result[np.ix_(rows[part], chosen)] = self._exact(k, elapsed[part], order, chosen)

    def _exact(self, k: int, elapsed: NDArray, order: int, chosen: NDArray[np.bool_]) -> Complex:
        length = self.breaks[k + 1] - self.breaks[k]
        rates = self.rates[chosen] if np.any(self.rates.imag) else self.rates.real[chosen]
        powers = self.forcing[self._offsets[k] : self._offsets[k + 1], chosen]
        used = len(powers)
        phi = phi_functions(np.multiply.outer(elapsed, rates), used)
        value = phi[0] * self.states[k, chosen]
        for j in range(used):
            scale = elapsed * (elapsed / length) ** j * math.factorial(j)
            phi[j + 1] *= scale[:, None]
            value += phi[j + 1] * powers[j]
        # y' = rates y + N, and the same for higher derivatives.
        for i in range(order):
            value = rates * value
            for j in range(i, used):
                factor = math.perm(j, i) * (elapsed / length) ** (j - i) / length**i
                value += factor[:, None] * powers[j]
        return value

    def restricted(self, chosen: NDArray[np.integer]) -> ExponentialTrajectory:
        """Return the trajectory of some of the components."""
        return ExponentialTrajectory(
            self.rates[chosen], self.breaks, self.states[:, chosen], self.forcing[:, chosen], self.degrees
        )

    def arrays(self) -> dict[str, NDArray]:
        """Return the named arrays that determine the trajectory."""
        return {
            "rates": self.rates,
            "breaks": self.breaks,
            "states": self.states,
            "forcing": self.forcing,
            "degrees": self.degrees,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray]) -> ExponentialTrajectory:
        """Build the trajectory from `arrays` again."""
        return cls(*(arrays[name] for name in ("rates", "breaks", "states", "forcing", "degrees")))


def integrate_exponential(
    rates: Complex,
    nonlinear: Nonlinear | None,
    scheme: Scheme | None,
    span: tuple[float, float],
    y: Complex,
    tolerance: float,
    clock: Clock,
    watch: Callable[[float, Complex], bool] | None = None,
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
    slabs = _Slabs(rates, t0, y, 4 * tolerance)
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

    def __init__(self, rates: Complex, t: float, y: Complex, tolerance: float) -> None:
        self.rates, self.tolerance = rates, tolerance
        self.breaks, self.states, self.forcing = [t], [], []
        self.size = float(np.linalg.norm(y))
        self._h = 0.0
        self._t, self._y, self._n = [t], [y], []

    def add(self, h: float, n: Complex, n_middle: Complex, y: Complex, n_next: Complex) -> None:
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
            self.breaks.append(float(np.nextafter(self.breaks[0], np.inf)))
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
        table = (np.arange(intervals + 1) / intervals)[:, None] ** np.arange(degree + 1)
        powers = _least_squares(intervals, degree) @ samples
        length = intervals * self._h
        # What a misfit of N does to a mode in a slab is limited by the slab and by the decay of the mode.
        misfit = (samples - table @ powers) / (1 / length + np.abs(self.rates.real))
        if intervals > 2 and np.max(np.linalg.norm(misfit, axis=1)) > self.tolerance * self.size:
            middle = first + 2 * max(intervals // 4, 1)
            self._fit(first, middle)
            self._fit(middle, last)
            return
        self.states.append(self._y[first])
        self.forcing.append(powers)
        self.breaks.append(self._t[last])


@lru_cache(maxsize=128)
def _least_squares(intervals: int, degree: int) -> NDArray:
    """Matrix from samples at i/intervals in [0, 1] to the coefficients of powers of the best polynomial."""
    nodes = 2 * np.arange(intervals + 1) / intervals - 1
    chebyshev = np.polynomial.chebyshev.chebvander(nodes, degree)
    shifted = np.zeros((degree + 1, degree + 1))
    for k in range(degree + 1):
        series = np.polynomial.Chebyshev.basis(k, domain=[0, 1]).convert(kind=np.polynomial.Polynomial, domain=[-1, 1])
        shifted[: series.coef.size, k] = series.coef
    return shifted @ np.linalg.pinv(chebyshev)
