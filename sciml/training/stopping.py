"""Why a training ended, with what that means for the user, and the limits that end it."""

from __future__ import annotations

import enum
import math
from typing import Any

from sciml.errors import ArgumentError

__all__ = ["TrainingStatus", "limit"]


class TrainingStatus(enum.Enum):
    """Why a training ended; the value is the advice to the user."""

    CONVERGED = "the loss is within the tolerance"
    ITERATIONS = "the number of iterations is used up: allow more iterations, or start again from the result"
    BUDGET = "the time is used up: allow a larger budget, or start again from the result"
    STAGNATED = "the loss does not fall any more: change the model, the points or the optimizer, or accept the result"
    DIVERGED = (
        "the loss is not finite any more: take a smaller learning rate or another start; the last good state is kept"
    )

    @property
    def success(self) -> bool:
        """Whether the tolerance was reached."""
        return self is TrainingStatus.CONVERGED

    @property
    def advice(self) -> str:
        """The text for the user."""
        return self.value


def limit(name: str, value: Any, *, least: float, strict: bool = False, whole: bool = False) -> Any:
    """Return a limit that is None or a finite number of at least `least`."""
    if value is None:
        return None
    good = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not (value > least if strict else value >= least):
        kind = "integers" if whole else "finite numbers"
        raise ArgumentError(
            f"{name}: {value!r} is not accepted; accepted are None and {kind} {'>' if strict else '>='} {least:g}"
        )
    return value
