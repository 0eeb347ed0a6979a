"""Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.training.gradient_descent import LearningRate, Schedule
from sciml.training.objective import Objective, Rows
from sciml.training.optimizer import Optimizer, Step, positive

__all__ = ["Adam"]


@final
class Adam(Optimizer):
    """Adam: steps along the running mean of gradients, scaled by the root of the running mean of their squares.

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2; with t updates made,
    theta <- theta - rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    Parameters
    ----------
    learning_rate
        Number > 0, or a function of the number of updates made so far.
    betas
        The decay rates b1, b2 in [0, 1).
    eps
        Number > 0 that keeps the division finite.

    References
    ----------
    Kingma, Ba, ICLR 2015, doi:10.48550/arXiv.1412.6980
    """

    name: ClassVar[str] = "adam"
    stochastic: ClassVar[bool] = True

    def __init__(
        self, learning_rate: Schedule = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        self._rate = LearningRate(learning_rate)
        self.betas = tuple(positive("betas", beta, below=1.0, zero=True) for beta in betas)
        self.eps = positive("eps", eps)
        self.reset()

    def reset(self) -> None:
        """Forget the running means."""
        self.updates = 0
        self._mean: Tensor | None = None
        self._square: Tensor | None = None

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Make one update."""
        theta = objective.parameters()
        evaluation, gradient = objective.gradient(rows)
        rate = self._rate(self.updates)
        first, second = self.betas
        mean = torch.zeros_like(theta) if self._mean is None else self._mean
        square = torch.zeros_like(theta) if self._square is None else self._square
        self._mean = mean + (1 - first) * (gradient - mean)
        self._square = second * square + (1 - second) * gradient * gradient
        self.updates += 1
        corrections = 1 - first**self.updates, 1 - second**self.updates
        scale = self._square.sqrt() / math.sqrt(corrections[1]) + self.eps
        objective.load(theta - (rate / corrections[0]) * self._mean / scale)
        return Step(evaluation, theta, False)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the running means and the number of updates."""
        tensors = {} if self._mean is None or self._square is None else {"mean": self._mean, "square": self._square}
        return tensors, {"updates": self.updates}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self._mean, self._square = tensors.get("mean"), tensors.get("square")
        self.updates = int(numbers["updates"])
