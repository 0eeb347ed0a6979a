"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.line_search import Trial, strong_wolfe
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.optimizer import Optimizer, Step, all_finite

__all__ = ["LBFGS"]


@final
class LBFGS(Optimizer):
    """Limited-memory BFGS with a strong-Wolfe line search; one call of `step` is one line search.

    Parameters
    ----------
    memory
        Number of step and gradient differences that are kept, at least 1 (residuals of differential equations are badly
        scaled and profit from many).
    evaluations
        Largest number of evaluations in one line search, at least 2.

    References
    ----------
    Liu, Nocedal, Math. Programming 45 (1989) 503-528, doi:10.1007/BF01589116
    """

    name: ClassVar[str] = "lbfgs"

    def __init__(self, memory: int = 50, *, evaluations: int = 25) -> None:
        for name, value, least in (("memory", memory, 1), ("evaluations", evaluations, 2)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"{name}: {value!r} is not accepted; accepted are integers of at least {least}")
        self.memory = memory
        self.evaluations = evaluations
        self.reset()

    def reset(self) -> None:
        """Forget the differences."""
        self._steps: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._known: tuple[Tensor, Evaluation, Tensor] | None = None

    def points_changed(self) -> None:
        """Forget the differences, which belong to another function."""
        self.reset()

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Search along one direction."""
        if rows is not None:
            raise ArgumentError("rows: lbfgs uses all rows")
        theta = objective.parameters()
        if self._known is None or not torch.equal(self._known[0], theta):
            self._known = (theta, *objective.gradient())
        _, before, gradient = self._known
        if not before.finite or not all_finite(gradient):
            return Step(Evaluation(float("nan"), before.terms), theta, True)
        if not bool(gradient.any()):
            return Step(before, theta, True, "the gradient is zero")
        trial = self._search(objective, theta, before, gradient, self._direction(gradient))
        if trial is None and self._steps:
            # The curvature in memory misleads: begin again with the steepest descent.
            self._steps, self._changes = [], []
            trial = self._search(objective, theta, before, gradient, -gradient)
        if trial is None:
            objective.load(theta)
            return Step(before, theta, True, "no step along the gradient reduces the loss any more")
        point, evaluation, slope = trial.payload
        objective.load(point)
        self._remember(point - theta, slope - gradient)
        self._known = (point, evaluation, slope)
        return Step(evaluation, point, True)

    def _search(
        self, objective: Objective, theta: Tensor, before: Evaluation, gradient: Tensor, direction: Tensor
    ) -> Trial | None:
        def evaluate(length: float) -> Trial:
            point = theta + length * direction
            objective.load(point)
            evaluation, slope = objective.gradient()
            return Trial(length, evaluation.loss, float(slope.dot(direction)), (point, evaluation, slope))

        slope = float(gradient.dot(direction))
        if not slope < 0:
            return None
        first = 1.0 if self._steps else min(1.0, 1.0 / float(gradient.abs().sum()))
        return strong_wolfe(evaluate, before.loss, slope, first, evaluations=self.evaluations)

    def _direction(self, gradient: Tensor) -> Tensor:
        """Return minus the approximate inverse Hessian times the gradient (two-loop recursion)."""
        q = -gradient
        if not self._steps:
            return q
        pairs = [(s, y, 1.0 / y.dot(s)) for s, y in zip(self._steps, self._changes, strict=True)]
        weights = []
        for s, y, scale in reversed(pairs):
            weights.append(scale * s.dot(q))
            q = q - weights[-1] * y
        s, y, _ = pairs[-1]
        q = q * (s.dot(y) / y.dot(y))
        for (s, y, scale), weight in zip(pairs, reversed(weights), strict=True):
            q = q + (weight - scale * y.dot(q)) * s
        return q

    def _remember(self, step: Tensor, change: Tensor) -> None:
        # Without positive curvature the update would lose definiteness.
        eps = torch.finfo(step.dtype).eps
        if bool(step.dot(change) > eps * step.norm() * change.norm()):
            self._steps = [*self._steps, step][-self.memory :]
            self._changes = [*self._changes, change][-self.memory :]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the differences and the last known gradient."""
        tensors = {f"step {i}": s for i, s in enumerate(self._steps)}
        tensors |= {f"change {i}": y for i, y in enumerate(self._changes)}
        numbers: dict[str, Any] = {"pairs": len(self._steps)}
        if self._known is not None:
            theta, evaluation, gradient = self._known
            tensors |= {"theta": theta, "gradient": gradient}
            numbers |= {"loss": evaluation.loss, "terms": dict(evaluation.terms)}
        return tensors, numbers

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self._steps = [tensors[f"step {i}"] for i in range(numbers["pairs"])]
        self._changes = [tensors[f"change {i}"] for i in range(numbers["pairs"])]
        self._known = None
        if "theta" in tensors:
            self._known = (tensors["theta"], Evaluation(numbers["loss"], numbers["terms"]), tensors["gradient"])
