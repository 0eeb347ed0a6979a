"""Which resolution in space and time comes next, from how the last ones went."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from sciml.classical.resolution import split

__all__ = ["Elements", "Points", "Schedule", "Space"]

Array = NDArray[Any]

FINEST = 1e-14
FACTOR = 0.25  # of the tolerance from one result to the next: makes the finer one clearly better
NEAR = 10.0  # an estimate within this factor of the tolerance: time steps are refined as well from here on
RATIO = 1.5  # of numbers of points once space is resolved
SMALLEST = 1.25  # ratio of two numbers of points that still says something about the error


class Space(ABC):
    """A resolution in space that can be made finer."""

    @property
    @abstractmethod
    def last(self) -> bool:
        """Whether there is no finer one."""

    @abstractmethod
    def refine(self, resolved: bool) -> bool:
        """Go to the next resolution, moderately where the last one resolved the solution; False if there is none."""


@final
class Points(Space):
    """A number of points along every coordinate.

    Parameters
    ----------
    size, largest : first and last number.
    growth : factor from one to the next while space is not resolved.
    """

    def __init__(self, size: int, largest: int, growth: float) -> None:
        self.size, self.largest, self.growth = size, largest, growth

    @property
    def last(self) -> bool:
        """Whether there is no finer one."""
        return self.largest < SMALLEST * self.size

    def refine(self, resolved: bool) -> bool:
        """Go to the next number."""
        if self.last:
            return False
        growth = min(RATIO, self.growth) if resolved else self.growth
        self.size = min(max(int(self.size * growth), self.size + 1), self.largest)
        return True


@final
class Elements(Space):
    """A mesh of an interval: one polynomial while its degree is moderate, then elements that are split where needed.

    Parameters
    ----------
    a, b : the interval.
    rtol : relative error wanted.
    largest : most points altogether.

    Attributes
    ----------
    breakpoints, count : ends of the elements and points in each.
    tails : for each element the relative size of the highest functions in the last result; set by the user.
    """

    FIRST, GLOBAL, LOCAL = 16, 100, 16  # points of the first polynomial, of the last one, and of elements

    def __init__(self, a: float, b: float, rtol: float, largest: int) -> None:
        self.breakpoints, self.count = np.array([a, b]), self.FIRST
        self.rtol, self.largest = rtol, largest
        self.tails = np.ones(1)

    @property
    def size(self) -> int:
        """Number of points altogether."""
        return self.count * (self.breakpoints.size - 1)

    @property
    def last(self) -> bool:
        """Whether there is no finer one."""
        return self.largest < SMALLEST * self.size

    def refine(self, resolved: bool) -> bool:
        """Go to the next mesh."""
        if self.last:
            return False
        if resolved or (len(self.tails) == 1 and RATIO * self.count <= self.GLOBAL):
            self.count = min(math.ceil(RATIO * self.count), self.largest // len(self.tails))
            return True
        if len(self.tails) == 1:
            self.breakpoints, self.count = np.linspace(self.breakpoints[0], self.breakpoints[-1], 9), self.LOCAL
        else:
            limit = max(0.5 * self.rtol / math.sqrt(len(self.tails)), 0.02 * float(self.tails.max()))
            self.breakpoints = split(self.breakpoints, self.tails > limit)
        self.tails = np.ones(self.breakpoints.size - 1)
        return self.size <= self.largest


class Schedule:
    """Space and tolerance of the time steps of the next attempt.

    As long as space is not resolved only space is refined, because that is cheap to find out. From then on both are
    refined together, so that the difference of two results says something about both.

    Parameters
    ----------
    space : first resolution in space.
    rtol : relative error wanted.

    Attributes
    ----------
    tolerance : of the time steps.
    resolved : whether the last attempt resolved the solution in space; set by the user of the schedule.
    paired : whether the last attempt was finer in time too than the one before.
    """

    def __init__(self, space: Space, rtol: float) -> None:
        self.space, self.rtol = space, rtol
        self.tolerance = max(rtol / 2, 16 * FINEST)
        self.resolved = self.paired = False
        self._started = False

    def advance(self, estimate: float | None) -> bool | None:
        """Go to the next resolution.

        `estimate` is the relative difference of the last two results. Returns whether the next one is finer in time
        too, or None where there is none.
        """
        if not self._started:
            self._started = True
            return False
        if not self.space.refine(self.resolved):
            return None
        near = estimate is not None and estimate <= NEAR * self.rtol
        if not (self.resolved or near or self.paired):
            return False
        # Where both were refined and the results still differ, the missing factor is made up at once.
        missing = self.rtol / estimate if self.paired and self.resolved and estimate else 1.0
        self.tolerance = max(self.tolerance * min(FACTOR, missing), FINEST)
        self.paired = True
        return True
