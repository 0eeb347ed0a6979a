"""What quasi-Newton methods share: a strong-Wolfe search along -H g, and H as a dense matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.line_search import Trial, strong_wolfe
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.optimizer import Optimizer, Step, all_finite

__all__ = ["DenseQuasiNewton", "QuasiNewton", "whole"]


class QuasiNewton(Optimizer):
    """Steps along -H g, where H approximates the inverse Hessian of the loss; one call of `step` is one line search.

    What is known of the curvature outlives a change of the objective's points: the loss at other points has nearly the
    same Hessian, whereas a restart costs as many steps as it took to learn it.

    Parameters
    ----------
    evaluations
        Largest number of evaluations in one line search, at least 2.
    """

    def __init__(self, *, evaluations: int = 25) -> None:
        self.evaluations = whole("evaluations", evaluations, 2)
        self.reset()

    def reset(self) -> None:
        """Forget all state."""
        self._forget()
        self._known: tuple[Tensor, Evaluation, Tensor] | None = None

    def points_changed(self) -> None:
        """Forget the gradient, which belongs to another function; the curvature stays."""
        self._known = None

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Search along one direction."""
        if rows is not None:
            raise ArgumentError(f"rows: {self.name} uses all rows")
        theta = objective.parameters()
        if self._known is None or not torch.equal(self._known[0], theta):
            self._known = (theta, *objective.gradient())
        _, before, gradient = self._known
        if not before.finite or not all_finite(gradient):
            return Step(Evaluation(float("nan"), before.terms), theta, True)
        if not bool(gradient.any()):
            return Step(before, theta, True, "the gradient is zero")
        trial = self._search(objective, theta, before, gradient, self._direction(gradient))
        if trial is None and self._informed:
            # The curvature in memory misleads: begin again with the steepest descent.
            self._forget()
            trial = self._search(objective, theta, before, gradient, -gradient)
        if trial is None:
            objective.load(theta)
            return Step(before, theta, True, "no step along the gradient reduces the loss any more")
        point, evaluation, slope = trial.payload
        objective.load(point)
        step, change = point - theta, slope - gradient
        # Without positive curvature an update would lose definiteness.
        eps = torch.finfo(step.dtype).eps
        if bool(step.dot(change) > eps * step.norm() * change.norm()):
            self._learn(step, change, -trial.step * gradient)
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
        first = 1.0 if self._informed else min(1.0, 1.0 / float(gradient.abs().sum()))
        return strong_wolfe(evaluate, before.loss, slope, first, evaluations=self.evaluations)

    @property
    @abstractmethod
    def _informed(self) -> bool:
        """Whether anything is known of the curvature."""

    @abstractmethod
    def _direction(self, gradient: Tensor) -> Tensor:
        """Return -H g; -g while nothing is known."""

    @abstractmethod
    def _learn(self, step: Tensor, change: Tensor, pulled: Tensor) -> None:
        """Take in a step s, the change y of the gradient along it (s'y > 0), and H^-1 s."""

    @abstractmethod
    def _forget(self) -> None:
        """Forget the curvature."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the curvature and the last known gradient."""
        tensors, numbers = self._curvature()
        if self._known is not None:
            theta, evaluation, gradient = self._known
            tensors |= {"theta": theta, "gradient": gradient}
            numbers |= {"loss": evaluation.loss, "terms": dict(evaluation.terms)}
        return tensors, numbers

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self._set_curvature(tensors, numbers)
        self._known = None
        if "theta" in tensors:
            self._known = (tensors["theta"], Evaluation(numbers["loss"], numbers["terms"]), tensors["gradient"])

    @abstractmethod
    def _curvature(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what is known of the curvature as named tensors and JSON-able numbers."""

    @abstractmethod
    def _set_curvature(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `_curvature` returned."""


class DenseQuasiNewton(QuasiNewton, ABC):
    r"""A dense matrix H [P, P], updated by scaled members of Broyden's family.

    H <- (H - Hy (Hy)' / y'Hy + phi (y'Hy) v v') / tau + s s' / s'y,  v = s / s'y - Hy / y'Hy,

    for a step s and the change y of the gradient along it, so that H y = s. phi = tau = 1 is BFGS, phi = 0 DFP.

    Memory is P^2 numbers and the work besides the gradient 6 P^2 operations a step.
    """

    def _forget(self) -> None:
        self._inverse: Tensor | None = None

    @property
    def _informed(self) -> bool:
        return self._inverse is not None

    def points_changed(self) -> None:
        """Forget the gradient; the matrix stays, if rounding has left it positive definite."""
        super().points_changed()
        if self._inverse is not None:
            self._inverse = 0.5 * (self._inverse + self._inverse.T)
            if int(torch.linalg.cholesky_ex(self._inverse)[1]) != 0:
                self._forget()

    def _direction(self, gradient: Tensor) -> Tensor:
        return -gradient if self._inverse is None else -(self._inverse @ gradient)

    def _learn(self, step: Tensor, change: Tensor, pulled: Tensor) -> None:
        inner = float(step.dot(change))
        first = self._inverse is None
        if self._inverse is None:
            # s'y / y'y is the inverse Hessian's size along the steepest curvatures (Nocedal, Wright, section 6.1); the
            # others are larger, and a matrix that is too large is corrected faster than one that is too small.
            size = 10 * inner / float(change.dot(change))
            self._inverse = size * torch.eye(len(step), dtype=step.dtype, device=step.device)
            pulled = step / size
        moved = self._inverse @ change
        length = float(change.dot(moved))
        phi, tau = self._family(float(step.dot(pulled)) / inner, length / inner, len(step), first)
        # In terms of W = (Hy, s) the update is H / tau + W M W'.
        mixed = -phi / (inner * tau)
        inside = [[(phi - 1) / (length * tau), mixed], [mixed, phi * length / (inner * inner * tau) + 1 / inner]]
        both = torch.stack((moved, step), 1)
        weights = torch.tensor(inside, dtype=step.dtype, device=step.device)
        updated = torch.addmm(self._inverse, both @ weights, both.T, beta=1 / tau)
        if all_finite(updated):
            self._inverse = updated
        else:
            self._forget()

    @abstractmethod
    def _family(self, b: float, h: float, count: int, first: bool) -> tuple[float, float]:
        """Return phi and tau for b = s'H^-1 s / s'y, h = y'Hy / s'y, P, and whether this is the first update."""

    def _curvature(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return ({} if self._inverse is None else {"inverse": self._inverse}), {}

    def _set_curvature(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        self._inverse = tensors.get("inverse")


def whole(name: str, value: int, least: int) -> int:
    """Return an integer of at least `least`.

    Raises
    ------
    ArgumentError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"{name}: {value!r} is not accepted; accepted are integers of at least {least}")
    return value
