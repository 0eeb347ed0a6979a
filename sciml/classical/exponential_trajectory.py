"""Trajectories of w' = rates * w + N(t) with N polynomial in pieces: exact, however fast the rates are.

Modes that oscillate or decay much faster than the pieces are long stay right everywhere between their ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

from sciml.classical.bases import ChebyshevBasis
from sciml.classical.trajectory import Trajectory

__all__ = ["ExponentialTrajectory", "phi_functions", "power_matrix"]

Array = NDArray[Any]

NODES = 36  # per slab where slow modes are interpolated: exact to rounding for abs(rate) * length < NODES / 3
ELEMENTS = 2**17  # times * modes for which phi functions are formed at once


def phi_functions(z: Array, count: int) -> Array:
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
        rates: Array,
        breaks: Array,
        states: Array,
        forcing: Array,
        degrees: Array,
    ) -> None:
        # One layout in memory, so that a restored trajectory gives the same bits.
        self.rates, self.breaks, self.states, self.forcing, self.degrees = map(
            np.ascontiguousarray, (rates, breaks, states, forcing, degrees)
        )
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

    def values(self, times: Array, order: int = 0) -> Array:
        """Return the derivative of this order at `times` [T], as [T, n]; times outside are moved to the nearer end."""
        times = np.clip(np.asarray(times, dtype=float), self.start, self.end)
        slab = np.clip(np.searchsorted(self.breaks, times, side="right") - 1, 0, len(self.states) - 1)
        result = np.empty((times.size, self.rates.size), dtype=complex)
        for k in np.unique(slab):
            here = np.nonzero(slab == k)[0]
            self._fill(k, times[here] - self.breaks[k], order, here, result)
        return result

    def _fill(self, k: int, elapsed: Array, order: int, rows: Array, result: Array) -> None:
        """Write the values at times since the start of slab k into rows of the result."""
        length = self.breaks[k + 1] - self.breaks[k]
        nodes = ChebyshevBasis(NODES, 0.0, length)
        slow = np.abs(self.rates) * length < NODES / 3
        if elapsed.size > 2 * NODES and slow.any():
            # Modes that hardly change within the slab are interpolated: one product of matrices for all times.
            result[np.ix_(rows, slow)] = nodes.interpolation(elapsed) @ self.within(k, nodes.points, order, slow)
            chosen = ~slow
        else:
            chosen = np.ones_like(slow)
        # Bounded memory: the phi functions of many times and modes at once would be gigabytes.
        for part in np.array_split(np.arange(rows.size), math.ceil(rows.size * max(chosen.sum(), 1) / ELEMENTS)):
            result[np.ix_(rows[part], chosen)] = self.within(k, elapsed[part], order, chosen)

    def within(self, k: int, elapsed: Array, order: int = 0, chosen: Array | slice = slice(None)) -> Array:
        """Return the values of the chosen components at times since the start of slab k, ends included."""
        length = self.breaks[k + 1] - self.breaks[k]
        rates = self.rates[chosen] if np.any(np.imag(self.rates)) else np.real(self.rates)[chosen]
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

    def restricted(self, chosen: Array) -> ExponentialTrajectory:
        """Return the trajectory of some of the components."""
        return ExponentialTrajectory(
            self.rates[chosen], self.breaks, self.states[:, chosen], self.forcing[:, chosen], self.degrees
        )

    def arrays(self) -> dict[str, Array]:
        """Return the named arrays that determine the trajectory."""
        return {
            "rates": self.rates,
            "breaks": self.breaks,
            "states": self.states,
            "forcing": self.forcing,
            "degrees": self.degrees,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array]) -> ExponentialTrajectory:
        """Build the trajectory from `arrays` again."""
        return cls(*(arrays[name] for name in ("rates", "breaks", "states", "forcing", "degrees")))


@lru_cache(maxsize=32)
def power_matrix(count: int) -> Array:
    """Return the matrix from Chebyshev coefficients on [0, 1] to those of powers.

    Its entries grow like 6**count, which does no harm to coefficients that fall faster; so it must be applied to these
    and not be multiplied into the map from values.
    """
    matrix = np.zeros((count, count))
    for k in range(count):
        series = Chebyshev.basis(k, domain=[0, 1]).convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1])
        matrix[: series.coef.size, k] = series.coef
    return matrix
