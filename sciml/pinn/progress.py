"""What the ways to a solution share: limits, the record of losses, and the error estimated from two states."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from sciml.notation import Partial
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.piece import Piece, evaluate
from sciml.training import Evaluation, TrainingStatus

__all__ = ["Limits", "Progress", "Recorder", "extrapolated", "monitor_points", "values_of"]

Progress = Callable[[Mapping[str, Any]], None]
MONITOR = 2048
# Seconds between reports.
INTERVAL = 0.2


@final
@dataclass(frozen=True)
class Limits:
    """When a solution ends: tolerance for the estimate, seconds since `start`, optimizer steps."""

    tol: float
    budget: float | None
    iterations: int | None
    start: float

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    def left(self) -> float | None:
        """Seconds left, at least a millisecond, or None without a budget."""
        return None if self.budget is None else max(self.budget - self.seconds(), 1e-3)

    def spent(self, steps: int) -> TrainingStatus | None:
        """Which limit is met, if one is."""
        if self.budget is not None and self.seconds() >= self.budget:
            return TrainingStatus.BUDGET
        if self.iterations is not None and steps >= self.iterations:
            return TrainingStatus.ITERATIONS
        return None


@final
@dataclass
class Recorder:
    """Losses on fresh points by term, and reports to the caller a few times a second."""

    limits: Limits
    progress: Progress | None
    history: dict[str, list[float]] = field(default_factory=dict)
    _reported: float = -math.inf

    def note(
        self, steps: int, evaluation: Evaluation, estimate: float | None, stage: str, pieces: Sequence[Piece]
    ) -> None:
        """Append a row to the history and report it, with the present state, `pieces`, as a function of points."""
        seconds = self.limits.seconds()
        row = {"iteration": float(steps), "seconds": seconds, "loss": evaluation.loss}
        row |= {f"loss: {name}": value for name, value in evaluation.terms.items()}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        # Corrections are few, and often the last word.
        soon = seconds - self._reported < INTERVAL and not stage.startswith("corrected")
        if self.progress is None or soon:
            return
        self._reported = seconds
        terms = dict(evaluation.terms)
        report = {"iteration": steps, "seconds": seconds, "loss": evaluation.loss, "terms": terms}
        self.progress({**report, "estimate": estimate, "stage": stage, "values": _state_of(pieces)})


def _state_of(pieces: Sequence[Piece]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that gives the unknowns [N, unknowns] at points [N, d], NaN where there is none yet."""

    def values(points: np.ndarray) -> np.ndarray:
        like = next(pieces[0].network.parameters())
        ansatz = pieces[-1].ansatz
        place = torch.as_tensor(points, dtype=like.dtype, device=like.device)
        known = [ansatz.problem.unknowns.index(u) for u in ansatz.represented]
        result = np.full((len(points), len(ansatz.problem.unknowns)), np.nan)
        result[:, known] = evaluate(pieces, values_of(ansatz), place).to("cpu", torch.float64).numpy().T
        time, box = ansatz.problem.time, ansatz.problem.domain
        if time is not None:
            axis = box.index(time)
            # Windows meet up to rounding.
            rounding = 1e-12 * max(abs(box.lower[axis]), abs(box.upper[axis]))
            result = np.where(points[:, axis, None] > box.upper[axis] + rounding, np.nan, result)
        return result

    return values


def monitor_points(ansatz: Ansatz, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the points [2048, d] on which states of a solution are compared, the same in every run."""
    box = ansatz.problem.domain
    unit = torch.quasirandom.SobolEngine(box.dimension, scramble=True, seed=1).draw(MONITOR, dtype=torch.float64)
    lower, lengths = (torch.tensor(side, dtype=torch.float64) for side in (box.lower, box.lengths))
    return (lower + lengths * unit).to(dtype=dtype, device=device)


def values_of(ansatz: Ansatz) -> list[Partial]:
    """Return the unknowns themselves, those that the network determines, as partials."""
    return [Partial(u, (0,) * ansatz.problem.domain.dimension) for u in ansatz.represented]


def extrapolated(before: Tensor, now: Tensor, ratio: float) -> float:
    """Estimate the relative error of `now` from a former state and the ratio of their losses.

    If errors fall like residuals, by rho = sqrt(ratio) < 1, then |now - before| >= (1 - rho) |error before|, and the
    present error is at most rho/(1 - rho) of the difference; twice that is returned.
    """
    size = float(now.norm())
    rho = min(math.sqrt(ratio), 0.95)
    difference = float((now - before).norm())
    return 2 * rho / (1 - rho) * difference / size if size > 0 else difference
