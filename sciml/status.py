"""How a solver ended, and what that means for the user."""

from __future__ import annotations

import enum
from collections.abc import Mapping

__all__ = ["Status"]


class Status(enum.Enum):
    """How a solver ended. The value is a word for tables and files, `advice` is the sentence for the user."""

    CONVERGED = "converged"
    INACCURATE = "inaccurate"
    ITERATIONS = "iterations"
    BUDGET = "budget"
    STAGNATED = "stagnated"
    DIVERGED = "diverged"
    ILL_POSED = "ill-posed"

    @property
    def success(self) -> bool:
        """Whether the estimate meets the tolerance that was asked for."""
        return self is Status.CONVERGED

    @property
    def advice(self) -> str:
        """What happened and what to do about it."""
        return _ADVICE[self]


_ADVICE: Mapping[Status, str] = {
    Status.CONVERGED: "The estimated error meets the tolerance.",
    Status.INACCURATE: (
        "The solver finished, but its estimated error misses the tolerance; ask for less or give it more resolution."
    ),
    Status.ITERATIONS: "The iterations were used up before the tolerance was met; allow more of them.",
    Status.BUDGET: "The time budget ended before the tolerance was met; the best state is returned, allow more time.",
    Status.STAGNATED: (
        "Progress stopped before the tolerance was met; another seed, a larger network or a looser tolerance may help."
    ),
    Status.DIVERGED: (
        "The values stopped being finite; the last good state is returned. Check the conditions, "
        "shorten the time interval or use smaller steps."
    ),
    Status.ILL_POSED: (
        "The problem has no solution, or more than one, or one that the smallest errors change beyond all bounds: "
        "change its conditions or its parameters."
    ),
}
