"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from torch import Tensor

from sciml.training.quasi_newton import QuasiNewton, whole

__all__ = ["LBFGS"]


@final
class LBFGS(QuasiNewton):
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
    pace: ClassVar[int] = 60  # it begins anew with new points

    def __init__(self, memory: int = 50, *, evaluations: int = 25) -> None:
        self.memory = whole("memory", memory, 1)
        super().__init__(evaluations=evaluations)

    def points_changed(self) -> None:
        """Forget everything: the few pairs are soon replaced, and keeping those of other points was measured worse."""
        self.reset()

    def _forget(self) -> None:
        self._steps: list[Tensor] = []
        self._changes: list[Tensor] = []

    @property
    def _informed(self) -> bool:
        return bool(self._steps)

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

    def _learn(self, step: Tensor, change: Tensor, pulled: Tensor) -> None:
        self._steps = [*self._steps, step][-self.memory :]
        self._changes = [*self._changes, change][-self.memory :]

    def _curvature(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"step {i}": s for i, s in enumerate(self._steps)}
        tensors |= {f"change {i}": y for i, y in enumerate(self._changes)}
        return tensors, {"pairs": len(self._steps)}

    def _set_curvature(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        self._steps = [tensors[f"step {i}"] for i in range(numbers["pairs"])]
        self._changes = [tensors[f"change {i}"] for i in range(numbers["pairs"])]
