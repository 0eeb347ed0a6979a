"""Splitting for dispersive equations: free waves and the reaction at each point, each integrated by itself.

Modes that oscillate much faster than the steps and are turned by the reaction on their way, as those of a kink in
Schroedinger's equation, keep their phase; exponential Runge-Kutta schemes would need steps as short as their period.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from sciml.classical.exponential import Scheme

__all__ = ["Splitting"]


Array = NDArray[Any]

# Durations of the free parts and of the reactions between them, first half; the scheme is symmetric.
FREE = (0.0792036964311957, 0.353172906049774, -0.0420650803577195)
REACTION = (0.209515106613362, -0.143851773179818)


@final
class Splitting(Scheme):
    """The symmetric splitting of order 4 with six stages of Blanes and Moan.

    Parameters
    ----------
    rates : the diagonal linear part, imaginary, shape [n].
    reaction : (t, duration, y) to the state after the reaction alone has acted for that duration at fixed t.

    References
    ----------
    S. Blanes, P. C. Moan, Practical symplectic partitioned Runge-Kutta and Runge-Kutta-Nystroem methods, 2002,
    doi:10.1016/S0377-0427(01)00492-7
    """

    order: ClassVar[int] = 4

    def __init__(self, rates: Array, reaction: Callable[[float, float, Array], Array]) -> None:
        self._rates, self._reaction = rates, reaction
        first, second = list(FREE), list(REACTION)
        self._free = [*first, 1 - 2 * sum(first), *first[::-1]]
        self._acts = [*second, 0.5 - sum(second), 0.5 - sum(second), *second[::-1]]
        self._turns = lru_cache(maxsize=6)(self._compute)

    def step(self, t: float, h: float, y: Array, n: Array) -> Array:
        """Return the state at t + h from the state y at t."""
        turns = self._turns(h)
        for free, duration, turn in zip(self._free, self._acts, turns, strict=False):
            t += free * h
            y = self._reaction(t, duration * h, turn * y)
        return turns[-1] * y

    def _compute(self, h: float) -> list[Array]:
        return [np.exp(h * part * self._rates) for part in self._free]
