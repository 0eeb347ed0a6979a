"""Natural gradient on batches in the space of their rows, with momentum (SPRING)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.training.gradient_descent import LearningRate, Schedule
from sciml.training.kernel import DampedRows, stacked
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.optimizer import Optimizer, Step, positive
from sciml.training.quasi_newton import whole

__all__ = ["Spring"]


@final
class Spring(Optimizer):
    r"""Gauss-Newton steps for small batches, each one the least change of the last that fits the batch.

    With r and J the residuals of the batch and their Jacobian, weighted so that the loss is |r|^2,

    v <- argmin_v |J v + r|^2 + lambda |v - m v_old|^2 = m v_old - J'(J J' + lambda I)^-1 (r + m J v_old),
    theta <- theta + rate v.

    For n rows and n < P the work is n^2 P, so that networks of any size can be trained; small rates average over many
    batches. lambda = min(`damping`, `relative` times the running mean of the batches' losses): with a fixed lambda the
    loss stalls, with one that follows the loss it goes on falling at a constant rate.

    Parameters
    ----------
    learning_rate
        Number > 0, or a function of the number of updates made so far.
    momentum
        m in [0, 1).
    damping
        Largest lambda, > 0.
    relative
        lambda over the loss, > 0.
    batch
        Rows in all that suit the rule, at least 1, for callers that leave the choice to it; it takes what it is given.

    References
    ----------
    Goldshlager, Abrahamsen, Lin, arXiv:2401.10190, doi:10.1016/j.jcp.2024.113351. Guzman-Cordero, Dangel, Goldshlager,
    Zeinhofer, arXiv:2505.12149 (for differential equations).
    """

    name: ClassVar[str] = "spring"
    stochastic: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Schedule = 0.05,
        momentum: float = 0.9,
        *,
        damping: float = 1e-3,
        relative: float = 0.03,
        batch: int = 300,
    ) -> None:
        self._rate = LearningRate(learning_rate)
        self.momentum = positive("momentum", momentum, below=1.0, zero=True)
        self.damping = positive("damping", damping)
        self.relative = positive("relative", relative)
        self.batch = whole("batch", batch, 1)
        self.reset()

    def reset(self) -> None:
        """Forget the last change and the mean of the losses."""
        self.updates = 0
        self._mean = 0.0
        self._change: Tensor | None = None

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Make one update."""
        theta = objective.parameters()
        residuals, jacobians = objective.jacobian(rows)
        evaluation = objective.evaluation(residuals)
        residuals, jacobians = objective.gathered(residuals), objective.gathered(jacobians)
        mean = self._mean + max(1 / 200, 1 / (self.updates + 1)) * (evaluation.loss - self._mean)
        system = DampedRows(stacked(objective, jacobians))
        if not evaluation.finite or not system.damp(min(self.damping, self.relative * mean)):
            return Step(Evaluation(float("nan"), evaluation.terms), theta, False)
        former = torch.zeros_like(theta) if self._change is None else self.momentum * self._change
        self._change = former - system.fit(stacked(objective, residuals) + system.jacobian @ former)
        self._mean = mean
        objective.load(theta + self._rate(self.updates) * self._change)
        self.updates += 1
        return Step(evaluation, theta, False)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the last change, the mean of the losses and the number of updates."""
        tensors = {} if self._change is None else {"change": self._change}
        return tensors, {"updates": self.updates, "mean": self._mean}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self._change = tensors.get("change")
        self.updates, self._mean = int(numbers["updates"]), float(numbers["mean"])
