"""RMSProp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.training.gradient_descent import LearningRate, Schedule
from sciml.training.objective import Objective, Rows
from sciml.training.optimizer import Optimizer, Step, positive

__all__ = ["RMSProp"]


@final
class RMSProp(Optimizer):
    """RMSProp: the gradient divided by the root of the running mean of its squares, with optional momentum.

    v <- a v + (1 - a) g^2; b <- m b + g / (sqrt(v) + eps); theta <- theta - rate * b. `centred` subtracts the square of
    the running mean of g from v in the root. The defaults and the numbers are those of `torch.optim.RMSprop`.

    Parameters
    ----------
    learning_rate
        Number > 0, or a function of the number of updates made so far.
    decay
        a in [0, 1).
    eps
        Number > 0 that keeps the division finite.
    momentum
        m in [0, 1).
    centred
        Whether to divide by the running standard deviation.

    References
    ----------
    Tieleman, Hinton, Lecture 6.5 of Neural Networks for Machine Learning, Coursera, 2012. Graves, arXiv:1308.0850,
    doi:10.48550/arXiv.1308.0850 (centred).
    """

    name: ClassVar[str] = "rmsprop"
    stochastic: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Schedule = 1e-2,
        decay: float = 0.99,
        eps: float = 1e-8,
        *,
        momentum: float = 0.0,
        centred: bool = False,
    ) -> None:
        self._rate = LearningRate(learning_rate)
        self.decay = positive("decay", decay, below=1.0, zero=True)
        self.eps = positive("eps", eps)
        self.momentum = positive("momentum", momentum, below=1.0, zero=True)
        self.centred = bool(centred)
        self.reset()

    def reset(self) -> None:
        """Forget the running means."""
        self.updates = 0
        self._means: dict[str, Tensor] = {}

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Make one update."""
        theta = objective.parameters()
        evaluation, gradient = objective.gradient(rows)
        zero = torch.zeros_like(theta)
        square = self.decay * self._means.get("square", zero) + (1 - self.decay) * gradient * gradient
        means, spread = {"square": square}, square
        if self.centred:
            mean = self._means.get("mean", zero)
            mean = mean + (1 - self.decay) * (gradient - mean)
            means["mean"], spread = mean, square - mean * mean
        direction = gradient / (spread.sqrt() + self.eps)
        if self.momentum:
            direction = self.momentum * self._means.get("velocity", zero) + direction
            means["velocity"] = direction
        objective.load(theta - self._rate(self.updates) * direction)
        self._means = means
        self.updates += 1
        return Step(evaluation, theta, False)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the running means and the number of updates."""
        return dict(self._means), {"updates": self.updates}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self._means = dict(tensors)
        self.updates = int(numbers["updates"])
