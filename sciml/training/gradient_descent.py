"""Gradient descent, and the learning rates that the gradient methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.objective import Objective, Rows
from sciml.training.optimizer import Optimizer, Step, positive

__all__ = ["GradientDescent", "LearningRate"]

Schedule = float | Callable[[int], float]


@final
class LearningRate:
    """A constant learning rate > 0, or a function of the number of updates made so far."""

    def __init__(self, value: Schedule) -> None:
        self._value = value if callable(value) else positive("learning_rate", value)

    def __call__(self, updates: int) -> float:
        """Return the rate of the next update."""
        if not callable(self._value):
            return self._value
        rate = float(self._value(updates))
        if not rate >= 0:
            raise ArgumentError(
                f"learning_rate: the schedule gave {rate} at update {updates}; accepted are numbers >= 0"
            )
        return rate


@final
class GradientDescent(Optimizer):
    """theta <- theta - rate * gradient; with batches this is stochastic gradient descent.

    Parameters
    ----------
    learning_rate
        Number > 0, or a function of the number of updates made so far.
    """

    name: ClassVar[str] = "gradient-descent"
    stochastic: ClassVar[bool] = True

    def __init__(self, learning_rate: Schedule = 1e-2) -> None:
        self._rate = LearningRate(learning_rate)
        self.reset()

    def reset(self) -> None:
        """Forget the number of updates."""
        self.updates = 0

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Make one update."""
        theta = objective.parameters()
        evaluation, gradient = objective.gradient(rows)
        objective.load(theta - self._rate(self.updates) * gradient)
        self.updates += 1
        return Step(evaluation, theta, False)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the number of updates."""
        return {}, {"updates": self.updates}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self.updates = int(numbers["updates"])
