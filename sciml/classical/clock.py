"""The time that a solver has used and may use."""

from __future__ import annotations

import math
import time

__all__ = ["Clock"]


class Clock:
    """Runs from its creation; `budget` in seconds, None for no limit."""

    def __init__(self, budget: float | None = None) -> None:
        self.budget = math.inf if budget is None else float(budget)
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the creation."""
        return time.perf_counter() - self._start

    @property
    def expired(self) -> bool:
        """Whether the budget is used up."""
        return self.seconds > self.budget
