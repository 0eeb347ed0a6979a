"""Where a training stands: what a checkpoint keeps besides parameters, optimizer and history."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from sciml.training.history import History
from sciml.training.objective import Evaluation
from sciml.training.stopping import TrainingStatus

__all__ = ["Best", "TrainingResult", "TrainingState"]


@final
@dataclass
class Best:
    """The best state so far: parameters [P], their loss on the present points, and the iteration that reached them."""

    theta: Tensor
    evaluation: Evaluation
    iteration: int


@final
@dataclass
class TrainingState:
    """Counters of a training.

    Attributes
    ----------
    iteration : updates so far.
    status, reason : why it is over, once it is.
    best : the best state so far.
    stale, mark : entries of the history since the loss last fell below `mark` noticeably.
    spent : seconds of earlier runs.
    """

    iteration: int = 0
    status: TrainingStatus | None = None
    reason: str = ""
    best: Best | None = None
    stale: int = 0
    mark: float = math.inf
    spent: float = 0.0

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and JSON-able numbers; a stop is not kept, so that a resumed training can go on."""
        numbers: dict[str, Any] = {
            "iteration": self.iteration,
            "stale": self.stale,
            "mark": self.mark if math.isfinite(self.mark) else None,
            "spent": self.spent,
        }
        if self.best is None:
            return {}, numbers
        numbers["best"] = {
            "loss": self.best.evaluation.loss,
            "terms": dict(self.best.evaluation.terms),
            "iteration": self.best.iteration,
        }
        return {"theta": self.best.theta}, numbers

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> TrainingState:
        """Return what `state` described."""
        mark = math.inf if numbers["mark"] is None else numbers["mark"]
        result = cls(numbers["iteration"], stale=numbers["stale"], mark=mark, spent=numbers["spent"])
        if "best" in numbers:
            best = numbers["best"]
            result.best = Best(tensors["theta"], Evaluation(best["loss"], best["terms"]), best["iteration"])
        return result


@final
@dataclass(frozen=True)
class TrainingResult:
    """How a training ended; the objective then holds the best parameters.

    Attributes
    ----------
    status, message : why it ended, and the same in words with the advice.
    history : series "iteration", "seconds", "loss" and "loss: NAME", of equal length.
    iterations : number of updates that were made.
    wall_time : seconds.
    best_loss, best_terms, best_iteration : of the state that is kept (the loss on the points in use at the end).
    """

    status: TrainingStatus
    message: str
    history: History
    iterations: int
    wall_time: float
    best_loss: float
    best_terms: Mapping[str, float]
    best_iteration: int

    @property
    def success(self) -> bool:
        """Whether the tolerance was reached."""
        return self.status.success
