"""The interface of optimizers: one update of an objective's parameters at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.objective import Evaluation, Objective, Rows

__all__ = ["Optimizer", "Step", "positive"]


@final
@dataclass(frozen=True)
class Step:
    """What one update did.

    Attributes
    ----------
    evaluation : a loss that became known; not finite if the state cannot be continued from.
    theta : the parameters at which it was taken.
    ahead : True if `theta` is the state after the update, False if it is the one before.
    finished : text if the optimizer cannot improve any more, else None.
    """

    evaluation: Evaluation
    theta: Tensor
    ahead: bool
    finished: str | None = None


class Optimizer(ABC):
    """A rule that updates an objective's parameters; it holds the state that the rule needs."""

    name: ClassVar[str]
    stochastic: ClassVar[bool] = False
    """Whether the rule may be given a part of the rows."""
    pace: ClassVar[int] = 25
    """How many steps come to about the work and the progress of one step of Levenberg-Marquardt."""
    batch: int | None = None
    """Rows in all that suit a stochastic rule where the caller leaves the choice to it; None: all of them."""

    @abstractmethod
    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Update the parameters of the objective once."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all state."""

    def points_changed(self) -> None:
        """Forget what is tied to the objective's present points; called after they were drawn anew."""
        return

    @abstractmethod
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the state as named tensors and JSON-able numbers."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set the state that `state` returned."""


def positive(name: str, value: float, *, below: float = float("inf"), zero: bool = False) -> float:
    """Return a number that must lie in (0, below), or in [0, below) with `zero`.

    Raises
    ------
    ArgumentError
        If it does not.
    """
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    if not ((number >= 0 if zero else number > 0) and number < below):
        upper = "" if below == float("inf") else f" and < {below:g}"
        raise ArgumentError(f"{name}: {value!r} is not accepted; accepted are numbers {'>=' if zero else '>'} 0{upper}")
    return number


def all_finite(tensor: Tensor) -> bool:
    """Return whether no entry is NaN or infinite."""
    return bool(torch.isfinite(tensor).all())
