"""Forward solution in time windows: how many there must be, passes of growing accuracy, and the estimated error."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from sciml.pinn.ansatz import Ansatz, continued
from sciml.pinn.piece import evaluate
from sciml.pinn.plan import Plan
from sciml.pinn.progress import Limits, Recorder, extrapolated, monitor_points, values_of
from sciml.pinn.window import Window
from sciml.solution import Status
from sciml.training import Evaluation, Optimizer, TrainingStatus

__all__ = ["March"]

# States are compared whose mean squared residuals differ by this factor or more: three in the residual.
LOSS_RATIO = 9.0
# A window with such a loss is on its way, however slow: halving it would not help.
EASY_LOSS = 1e-7
_STATUS = {
    TrainingStatus.CONVERGED: Status.CONVERGED,
    TrainingStatus.BUDGET: Status.BUDGET,
    TrainingStatus.ITERATIONS: Status.ITERATIONS,
    TrainingStatus.STAGNATED: Status.STAGNATED,
    TrainingStatus.DIVERGED: Status.DIVERGED,
}


@final
@dataclass
class March:
    """Train windows one after another, pass after pass.

    The whole interval is tried first. If the residual has not fallen enough after a number of steps, the window is
    halved, and so on; a window that went easily is followed by a longer one. When the end is reached, the windows are
    trained again from where they are, to a smaller residual. The change from pass to pass, growth of errors from window
    to window included, estimates the error of the former pass. With a single window there are no passes: its state is
    compared with the latest earlier one whose residual was at least three times larger.

    Parameters
    ----------
    ansatz : of the whole problem.
    network : the first network; later windows start from a copy of the former's.
    plan : schedule.
    make_optimizer : gives a new optimizer for each window.
    generator : of points.
    recorder, limits : the record of losses, and when to end.
    """

    ansatz: Ansatz
    network: nn.Module
    plan: Plan
    make_optimizer: Callable[[], Optimizer]
    generator: torch.Generator
    recorder: Recorder
    limits: Limits
    windows: list[Window] = field(default_factory=list)
    estimate: float | None = None
    discarded: int = 0

    def __post_init__(self) -> None:
        self._initial = deepcopy(self.network)
        self._met = 0
        like = next(self.network.parameters())
        self._points = monitor_points(self.ansatz, like.dtype, like.device)
        self._values = values_of(self.ansatz)

    @property
    def steps(self) -> int:
        """Optimizer steps so far, those of windows that had to be halved included."""
        return self.discarded + sum(window.steps for window in self.windows)

    def run(self) -> tuple[Status, str]:
        """Solve; returns the status and a message (empty: the status's own advice)."""
        interval = self._interval()
        if interval is None:
            first, splittable = self.ansatz, False
        else:
            made = continued(self.ansatz, *interval, None)
            first, splittable = (self.ansatz, False) if made is None else (made, True)
        window = self._window(first)
        self.windows = [window]
        status = self._alone(window, splittable)
        if status is None and (spent := self.limits.spent(self.steps)) is not None:
            status = spent  # no time to do it better: a poor state of the whole interval is what there is
        if status is None:
            assert interval is not None
            self.discarded += window.steps
            self.windows = []
            status = self._passes(*interval)
        return self._verdict(status)

    def values(self, points: Tensor) -> Tensor:
        """Return all unknowns [U, N] at points [N, d]."""
        return evaluate([window.piece for window in self.windows], self._values, points)

    # -- one window ------------------------------------------------------------------------------------------------

    def _alone(self, window: Window, splittable: bool) -> TrainingStatus | None:
        """Train a window over the whole interval; None means that it has to be halved."""
        past: list[tuple[float, Tensor]] = []
        split = False

        def decide(evaluation: Evaluation) -> bool:
            nonlocal past, split
            values = self.values(self._points)
            earlier = [state for state in past if state[0] >= LOSS_RATIO * evaluation.loss]
            if earlier:
                self.estimate = extrapolated(earlier[-1][1], values, evaluation.loss / earlier[-1][0])
            # States whose loss a later one undercuts less than that are of no use: keep the losses decreasing.
            past = [(loss, old) for loss, old in past if loss > evaluation.loss]
            past.append((evaluation.loss, values))
            self._note(window, evaluation, "")
            split = splittable and self._hopeless(window, evaluation)
            return split or self._twice()

        status = window.train(decide, self.limits.left(), self.limits.iterations)
        stuck = status in (TrainingStatus.STAGNATED, TrainingStatus.DIVERGED) and window.loss > EASY_LOSS
        return None if split or (splittable and stuck) else status

    def _hopeless(self, window: Window, evaluation: Evaluation) -> bool:
        """Whether the loss falls so slowly that two shorter windows would be done sooner.

        It must have fallen to `trial_loss` after `trial_steps` steps, and from then on promise, at the rate of the last
        half of the steps, to be small enough within `promise` trials more.
        """
        window.record.append((window.rounds, evaluation.loss))
        if window.rounds < self.plan.trial_steps or evaluation.loss <= EASY_LOSS:
            return False
        if evaluation.loss > self.plan.trial_loss:
            return True
        then, loss = next(entry for entry in reversed(window.record) if entry[0] <= window.rounds / 2)
        rate = math.log(max(loss / evaluation.loss, 1.0)) / (window.rounds - then)
        return rate * self.plan.promise * self.plan.trial_steps < math.log(evaluation.loss / EASY_LOSS)

    def _twice(self) -> bool:
        self._met = self._met + 1 if self.estimate is not None and self.estimate <= self.limits.tol else 0
        return self._met >= 2

    # -- several windows -------------------------------------------------------------------------------------------

    def _passes(self, lower: float, upper: float) -> TrainingStatus:
        target = max(self.limits.tol**2, 1e-6)
        status = self._first_pass(lower, upper, target)
        before, losses = self.values(self._points), [window.loss for window in self.windows]
        reduction = 1e-2
        while status is None:
            target *= reduction
            for number, window in enumerate(self.windows):
                goal = min(target, 0.05 * losses[number])
                if self._train(window, number, goal, self.limits.left()) is TrainingStatus.DIVERGED:
                    return TrainingStatus.DIVERGED
                if (spent := self.limits.spent(self.steps)) is not None:
                    return spent
            now = self.values(self._points)
            ratio = max(window.loss / max(old, 1e-300) for window, old in zip(self.windows, losses, strict=True))
            if ratio > 0.8:
                return TrainingStatus.STAGNATED
            self.estimate = extrapolated(before, now, ratio)
            before, losses = now, [window.loss for window in self.windows]
            if self.estimate <= self.limits.tol:
                return TrainingStatus.CONVERGED
            # The error follows the residual, the loss its square.
            reduction = min(0.05, max(1e-4, (0.3 * self.limits.tol / self.estimate) ** 2))
        return status

    def _first_pass(self, lower: float, upper: float, target: float) -> TrainingStatus | None:
        """March from lower to upper, with windows as long as they go; afterwards `windows` cover the interval."""
        start, length = lower, (upper - lower) / 2
        network = self._initial
        while start < upper:
            remaining = upper - start
            length = remaining / max(1, round(remaining / length + 0.3))
            end = upper if length > 0.999 * remaining else start + length
            made = continued(self.ansatz, start, end, self.windows[-1].piece.trace if self.windows else None)
            assert made is not None
            window = self._window(made, network)
            left = self.limits.left()
            share = None if left is None else max(1.2 * left * (end - start) / remaining, 0.05)
            self.windows.append(window)
            smallest = (upper - lower) / self.plan.most_windows
            limit = self.limits.spent(self.steps)
            if limit is None:
                ended = self._train(window, len(self.windows) - 1, target, share, split=length > 2 * smallest)
                if ended is TrainingStatus.DIVERGED and length <= 2 * smallest:
                    return ended
                if ended in (TrainingStatus.STAGNATED, TrainingStatus.DIVERGED) and length > 2 * smallest:
                    self.discarded += window.steps
                    self.windows.pop()
                    length /= 2
                    continue
                if window.rounds < self.plan.trial_steps / 2:
                    length *= 1.5
            else:
                # No time is left: the rest of the interval is covered by the continued initial state.
                length = remaining
            start, network = end, window.piece.network
        return self.limits.spent(self.steps)

    def _train(
        self, window: Window, number: int, target: float, budget: float | None, split: bool = False
    ) -> TrainingStatus | None:
        """Train to a target loss; None means that it was met."""
        stage = f"window {number + 1}, "
        hopeless = False

        def decide(evaluation: Evaluation) -> bool:
            nonlocal hopeless
            self._note(window, evaluation, stage)
            hopeless = split and self._hopeless(window, evaluation)
            return hopeless or evaluation.loss <= target

        iterations = None if self.limits.iterations is None else max(self.limits.iterations - self.steps, 1)
        status = window.train(decide, budget, iterations)
        if hopeless:
            return TrainingStatus.STAGNATED
        # A window that used up its share of the time, or cannot do better, is left as good as it is.
        return status if status is TrainingStatus.DIVERGED else None

    # -- common ----------------------------------------------------------------------------------------------------

    def _interval(self) -> tuple[float, float] | None:
        problem = self.ansatz.problem
        return None if problem.time is None else problem.domain.interval(problem.time)

    def _window(self, ansatz: Ansatz, network: nn.Module | None = None) -> Window:
        network = self.network if network is None else deepcopy(network)
        return Window(ansatz, network, self.plan, self.make_optimizer(), self.generator)

    def _verdict(self, status: TrainingStatus) -> tuple[Status, str]:
        found = _STATUS[status]
        if found in (Status.CONVERGED, Status.DIVERGED):
            return found, ""
        if self.estimate is None:
            return found, "There is no error estimate yet: the residual has not fallen far enough. " + found.advice
        missed = f"The estimated error {self.estimate:.1e} misses tol = {self.limits.tol:.1e}. "
        return found, missed + found.advice

    def _note(self, window: Window, evaluation: Evaluation, stage: str) -> None:
        pieces = [window.piece for window in self.windows]
        self.recorder.note(self.steps, evaluation, self.estimate, f"{stage}{window.objective.size} points", pieces)
