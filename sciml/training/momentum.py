"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from torch import Tensor

from sciml.training.gradient_descent import LearningRate, Schedule
from sciml.training.objective import Objective, Rows
from sciml.training.optimizer import Optimizer, Step, positive

__all__ = ["Momentum"]


@final
class Momentum(Optimizer):
    """v <- m v + gradient; theta <- theta - rate * v (heavy ball), or - rate * (gradient + m v) (Nesterov).

    Parameters
    ----------
    learning_rate
        Number > 0, or a function of the number of updates made so far.
    momentum
        m in [0, 1).
    nesterov
        Whether to look ahead.

    References
    ----------
    Polyak, doi:10.1016/0041-5553(64)90137-5. Sutskever, Martens, Dahl, Hinton, ICML 2013 (PMLR 28(3):1139-1147).
    """

    name: ClassVar[str] = "momentum"
    stochastic: ClassVar[bool] = True

    def __init__(self, learning_rate: Schedule = 1e-2, momentum: float = 0.9, *, nesterov: bool = False) -> None:
        self._rate = LearningRate(learning_rate)
        self.momentum = positive("momentum", momentum, below=1.0, zero=True)
        self.nesterov = bool(nesterov)
        self.reset()

    def reset(self) -> None:
        """Forget the velocity."""
        self.updates = 0
        self._velocity: Tensor | None = None

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Make one update."""
        theta = objective.parameters()
        evaluation, gradient = objective.gradient(rows)
        velocity = gradient if self._velocity is None else self.momentum * self._velocity + gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        objective.load(theta - self._rate(self.updates) * direction)
        self._velocity = velocity
        self.updates += 1
        return Step(evaluation, theta, False)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the velocity and the number of updates."""
        return ({} if self._velocity is None else {"velocity": self._velocity}), {"updates": self.updates}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self._velocity = tensors.get("velocity")
        self.updates = int(numbers["updates"])
