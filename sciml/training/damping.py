"""Damped Gauss-Newton steps: acceptance by the gain ratio, geodesic acceleration; how a step is solved is left open."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.optimizer import Optimizer, Step, all_finite, positive

__all__ = ["DampedGaussNewton"]


class _Model(Protocol):
    """loss(theta + d) ~ loss + 2 g'd + d'A d."""

    @property
    def objective(self) -> Objective: ...
    @property
    def theta(self) -> Tensor: ...
    @property
    def residuals(self) -> dict[str, Tensor]: ...
    @property
    def evaluation(self) -> Evaluation: ...
    @property
    def vector(self) -> Tensor: ...
    def product(self, direction: Tensor) -> dict[str, Tensor]: ...
    def transposed(self, vectors: Mapping[str, Tensor]) -> Tensor: ...


Model = TypeVar("Model", bound=_Model)
Solver = Callable[[Tensor], Tensor]


class DampedGaussNewton(Optimizer, Generic[Model]):
    r"""Steps from d = -(A + lambda I)^-1 g with identity damping and Nielsen's update of lambda.

    With F the loss, A = sum_k f_k J_k'J_k and g = sum_k f_k J_k'r_k, f_k = weight_k / N_k, the geodesic acceleration is
    a = -(A + lambda I)^-1 J'q / 2 with q = (2/h) [(r(theta + h d) - r(theta)) / h - J d], the second derivative of r
    along d; the step is s = d + a if 2 |a| <= `bend` |d|, else d. It is accepted if F falls. With the gain ratio
    rho = (F(theta) - F(theta + s)) / (lambda d'd - g'd), an accepted step multiplies lambda by
    max(1/5, 1 - (2 rho - 1)^3); rejected ones by 2, 4, 8, 16, 16, ...

    One call of `step` is one trial, accepted or not; the model is kept until a trial is accepted.

    Parameters
    ----------
    damping
        Initial lambda, > 0; the attribute `damping` is the present one and may be set.
    acceleration
        Whether to use geodesic acceleration (one more evaluation of the residuals and one more solution).
    probe
        The h of the difference quotient, > 0.
    bend
        Largest 2 |a| / |d| at which the acceleration is trusted, > 0.
    keep
        Bytes of the model that may be kept in memory.
    """

    pace: ClassVar[int] = 1

    def __init__(
        self,
        damping: float = 1e-2,
        *,
        acceleration: bool = True,
        probe: float = 0.1,
        bend: float = 0.75,
        keep: int = 1 << 30,
    ) -> None:
        self.damping = self._initial = positive("damping", damping)
        self.acceleration = bool(acceleration)
        self.probe = positive("probe", probe)
        self.bend = positive("bend", bend)
        self.keep = int(keep)
        self.accepted = 0
        self.rejected_in_a_row = 0
        self._growth = 2.0
        self._model: Model | None = None
        self._fresh = False

    def reset(self) -> None:
        """Forget all state: the damping is the initial one again."""
        self.damping, self._growth = self._initial, 2.0
        self.accepted = self.rejected_in_a_row = 0
        self._model, self._fresh = None, False

    def points_changed(self) -> None:
        """Forget the model; the damping stays."""
        self._fresh = False
        self.rejected_in_a_row = 0

    @abstractmethod
    def _linearized(self, objective: Objective, former: Model | None) -> Model:
        """Return the model at the present parameters; the former one is no longer needed."""

    @abstractmethod
    def _solver(self, model: Model) -> Solver | None:
        """Return what applies (A + lambda I)^-1 to a vector [P], lambda raised until that can be done, else None."""

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Try one step; the parameters stay if the loss does not fall."""
        if rows is not None:
            raise ArgumentError(f"rows: {self.name} uses all rows")
        theta = objective.parameters()
        model = self._model
        if model is None or not self._fresh or model.objective is not objective or not torch.equal(model.theta, theta):
            model = self._model = self._linearized(objective, model)
            self._fresh = True
        before = model.evaluation
        if not before.finite or not all_finite(model.vector):
            return Step(Evaluation(float("nan"), before.terms), theta, True)
        solve = self._solver(model)
        if solve is None:
            return Step(before, theta, True, "the normal equations cannot be solved at any damping")
        direction = -solve(model.vector)
        step = direction + self._bending(objective, model, direction, solve) if self.acceleration else direction
        objective.load(theta + step)
        after = objective.evaluate()
        gained = before.loss - after.loss
        if after.finite and gained > 0:
            predicted = float(self.damping * direction.dot(direction) - model.vector.dot(direction))
            ratio = gained / predicted if predicted > 0 else 1.0
            self.damping *= max(0.2, 1 - (2 * min(ratio, 10.0) - 1) ** 3)
            self._growth = 2.0
            self._fresh = False
            self.accepted += 1
            self.rejected_in_a_row = 0
            return Step(after, theta + step, True)
        objective.load(theta)
        self.damping *= self._growth
        self._growth = min(2 * self._growth, 16.0)
        self.rejected_in_a_row += 1
        small = float(direction.norm()) <= 4 * torch.finfo(theta.dtype).eps * (1 + float(theta.norm()))
        finished = "no step reduces the loss any more" if small or self.rejected_in_a_row >= 40 else None
        return Step(before, theta, True, finished)

    def _bending(self, objective: Objective, model: Model, direction: Tensor, solve: Solver) -> Tensor:
        """Return the geodesic acceleration, or zero where it is not small against the direction."""
        h = self.probe
        objective.load(model.theta + h * direction)
        probed = objective.collected()
        objective.load(model.theta)
        slopes = model.product(direction)
        curvature = {
            name: (2 / h) * ((probed[name] - r) / h - slopes[name]) for name, r in model.residuals.items() if r.numel()
        }
        acceleration = -0.5 * solve(model.transposed(curvature))
        trusted = 2 * acceleration.norm() <= self.bend * direction.norm()  # False for NaN too
        return acceleration if bool(trusted) else torch.zeros_like(direction)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the damping and the counters; the model is built again from the parameters."""
        return {}, {
            "damping": self.damping,
            "growth": self._growth,
            "accepted": self.accepted,
            "rejected_in_a_row": self.rejected_in_a_row,
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        self.damping, self._growth = float(numbers["damping"]), float(numbers["growth"])
        self.accepted, self.rejected_in_a_row = int(numbers["accepted"]), int(numbers["rejected_in_a_row"])
        self._fresh = False
