"""Which resolution in space and time comes next, from how the last ones went."""

from __future__ import annotations

__all__ = ["Schedule"]

FINEST = 1e-14
FACTOR = 0.25  # of the tolerance from one result to the next: makes the finer one clearly better
SMALLEST = 1.25  # ratio of two numbers of points that says something about the error
NEAR = 10.0  # an estimate within this factor of the tolerance: time steps are refined as well from here on


class Schedule:
    """Number of points along a coordinate and tolerance of the time steps.

    As long as space is not resolved only the points are made more, because that is cheap to find out. From then on
    both are refined together, so that the difference of two results says something about both.

    Parameters
    ----------
    size, largest : first and last number of points.
    rtol : relative error wanted.
    growth : factor of the number of points while space is not resolved.

    Attributes
    ----------
    tolerance : of the time steps.
    resolved : whether the last attempt resolved the solution in space; set by the user of the schedule.
    paired : whether the last attempt was finer in time too than the one before.
    """

    def __init__(self, size: int, largest: int, rtol: float, growth: float = 2.0) -> None:
        self.size, self.largest, self.rtol, self.growth = size, largest, rtol, growth
        self.tolerance = max(rtol / 2, 16 * FINEST)
        self.resolved = self.paired = False
        self._started = False

    @property
    def last(self) -> bool:
        """Whether there is no finer resolution in space."""
        return self.size >= self.largest

    def advance(self, estimate: float | None) -> bool | None:
        """Go to the next resolution.

        `estimate` is the relative difference of the last two results. Returns whether the next one is finer in time
        too, or None where there is none.
        """
        if not self._started:
            self._started = True
            return False
        if self.largest < SMALLEST * self.size:
            return None
        near = estimate is not None and estimate <= NEAR * self.rtol
        grow = self.growth if not self.resolved else min(1.5, self.growth)
        self.size = min(max(int(self.size * grow), self.size + 1), self.largest)
        if not (self.resolved or near or self.paired):
            return False
        # Where both were refined and the results still differ, the missing factor is made up at once.
        missing = self.rtol / estimate if self.paired and self.resolved and estimate else 1.0
        self.tolerance = max(self.tolerance * min(FACTOR, missing), FINEST)
        self.paired = True
        return True
