"""Time windows one after another, with what each is corrected by and starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from sciml.notation import Partial
from sciml.pinn.growth import comparable, grown_errors
from sciml.pinn.handover import Handover
from sciml.pinn.piece import Piece, evaluate
from sciml.pinn.polish import Polished
from sciml.pinn.window import Window

__all__ = ["Chain"]


@final
@dataclass
class Chain:
    """Windows that hand over to each other, the first of which begins where the problem does.

    Attributes
    ----------
    windows : as they were trained.
    corrections : of each window the correction that is part of the solution, if there is one.
    attempts : the latest one tried.
    handovers : what the window starts from; None for the first.
    estimate : of the relative L2 error of the whole, as far as there is one.
    """

    windows: list[Window] = field(default_factory=list)
    corrections: list[Polished | None] = field(default_factory=list)
    attempts: list[Polished | None] = field(default_factory=list)
    handovers: list[Handover | None] = field(default_factory=list)
    estimate: float | None = None

    @property
    def pieces(self) -> list[Piece]:
        """The solution: of each window the corrected state if there is one, else the trained one."""
        return [
            window.piece if correction is None else correction.piece
            for window, correction in zip(self.windows, self.corrections, strict=True)
        ]

    @property
    def losses(self) -> list[float]:
        """The loss of each window's part of the solution, on fresh points."""
        return [
            window.loss if correction is None else correction.loss
            for window, correction in zip(self.windows, self.corrections, strict=True)
        ]

    @property
    def steps(self) -> int:
        """Optimizer steps of all windows."""
        return sum(window.steps for window in self.windows)

    def open(self, window: Window, handover: Handover | None) -> None:
        """Append a window that starts from `handover`."""
        self.windows.append(window)
        self.corrections.append(None)
        self.attempts.append(None)
        self.handovers.append(handover)

    def close(self) -> None:
        """Drop the last window."""
        for entries in (self.windows, self.corrections, self.attempts, self.handovers):
            entries.pop()

    def hand_over(self, number: int, correction: Polished | None) -> None:
        """Set what a window's solution is, and with it what the next one starts from."""
        self.corrections[number] = correction
        following = self.handovers[number + 1] if number + 1 < len(self.windows) else None
        if following is not None:
            following.piece = self.pieces[number]

    def grown(self, partials: list[Partial], points: Tensor, columns: int, generator: torch.Generator) -> float | None:
        """Return the estimated relative error of the windows' partials at points [N, d], growth included.

        None where a window could not be judged.

        Parameters
        ----------
        columns : coefficients with which errors are carried on.
        """
        attempts = [attempt for attempt in self.attempts if attempt is not None]
        if len(attempts) < len(self.windows):
            return None
        used = [correction is not None for correction in self.corrections]
        if not comparable(attempts, used):
            return None
        errors = grown_errors(self.windows, attempts, used, columns, generator)
        now = evaluate(self.pieces, partials, points)
        return float(evaluate(errors, partials, points).norm() / now.norm().clamp_min(1e-300))

    def better(self, other: Chain) -> bool:
        """Whether the estimate is smaller than another's; where neither has one, the largest loss."""
        if self.estimate is None and other.estimate is None:
            return max(self.losses) < max(other.losses)
        return self.estimate is not None and (other.estimate is None or self.estimate < other.estimate)
