"""Forward solution in one or several time windows: training, correction by least squares, and the estimated error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from sciml.pinn.ansatz import Ansatz, continued
from sciml.pinn.chain import Chain
from sciml.pinn.conditioning import Judge
from sciml.pinn.handover import Handover
from sciml.pinn.piece import evaluate
from sciml.pinn.plan import Plan
from sciml.pinn.polish import Polished, can_be_polished, polished
from sciml.pinn.progress import Limits, Recorder, extrapolated, monitor_points, values_of
from sciml.pinn.restriction import restricted
from sciml.pinn.trial import EASY_LOSS, Halving, hopeless
from sciml.pinn.window import Window
from sciml.solution import Status
from sciml.training import Evaluation, Optimizer, TrainingStatus

__all__ = ["March"]

# States are compared whose mean squared residuals differ by this factor or more: three in the residual.
LOSS_RATIO = 9.0
# With less than that it is tried at once.
EARLY_LOSS = 1e-6
# Training goes on for so many times the work of the latest correction before the next is tried.
PATIENCE = 4.0
# A window may take a little more than its part of the time; the error has still to be estimated at the end.
FOR_WINDOWS = 1.1
FOR_ESTIMATE = 0.07
# From this tolerance on a window that trains well is not halved for more accuracy.
LOOSE = 1e-4
ENDLESS = 1e6
# Part of the time that is kept for the last correction.
RESERVE = 0.15
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
    """Train windows one after another; correct each by least squares; estimate the error of the whole.

    The whole interval is tried first. If the residual has not fallen enough after a number of steps, the window is
    halved, its network restricted to the first half, and so on. A window that is finished hands the corrected solution
    over to the next; one that went easily is followed by a longer one.

    The error of a single window is estimated from two states whose residuals differ: the trained and the corrected one,
    or two of the same training. In a chain, that estimate of each window is carried on through the equation linearised
    about the solution, so that growth is part of it.

    Parameters
    ----------
    ansatz : of the whole problem.
    network : the first network; later windows start from a copy of the former's.
    plan : schedule.
    make_optimizer : gives a new optimizer for each window.
    generator : of points.
    recorder, limits : the record of losses, and when to end.
    judge : of the estimated error of a single window.

    Attributes
    ----------
    chain : the windows, which cover the interval in the end, and their estimated error.
    discarded : optimizer steps of windows that are no longer in it.
    """

    ansatz: Ansatz
    network: nn.Module
    plan: Plan
    make_optimizer: Callable[[], Optimizer]
    generator: torch.Generator
    recorder: Recorder
    limits: Limits
    judge: Judge
    chain: Chain = field(default_factory=Chain)
    discarded: int = 0

    def __post_init__(self) -> None:
        self._met = 0
        like = next(self.network.parameters())
        self._points = monitor_points(self.ansatz, like.dtype, like.device)
        self._values = values_of(self.ansatz)
        self._polishable = can_be_polished(self.network)
        self._columns = self.plan.columns
        self._cost = 0.0
        self._window_cost: float | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps so far, those of windows that had to be halved included."""
        return self.discarded + self.chain.steps

    @property
    def _target(self) -> float:
        """The loss at which a window is left for the next: the error is often that of a few tenths of its root."""
        return min((self.limits.tol / 10) ** 2, 1e-8)

    def run(self) -> tuple[Status, str]:
        """Solve; returns the status and a message (empty: the status's own advice)."""
        interval = self._interval()
        made = None if interval is None else continued(self.ansatz, *interval, None)
        window = self._window(self.ansatz if made is None else made)
        self.chain.open(window, None)
        status = self._alone(window, made is not None)
        if status is None and (spent := self.limits.spent(self.steps)) is not None:
            status = spent  # no time to do it better: a poor state of the whole interval is what there is
        if status is None:
            assert interval is not None
            whole = self.chain
            self._take(Chain())
            status = self._chain(*interval, window.piece.network)
            if status is not TrainingStatus.CONVERGED and whole.better(self.chain):
                self._take(whole)  # time ended before the windows were as good as what there was before them
        return self._verdict(status)

    # -- one window ------------------------------------------------------------------------------------------------

    def _alone(self, window: Window, splittable: bool) -> TrainingStatus | None:
        """Train a window over the whole interval; None means that it has to be halved."""
        past: list[tuple[float, Tensor]] = []
        values = evaluate([window.piece], self._values, self._points)

        def judged() -> None:
            if self.chain.estimate is not None and self.chain.estimate <= self.limits.tol:
                self.chain.estimate = self.judge.estimate(self.chain.estimate, self.chain.pieces[0])

        def estimated(evaluation: Evaluation) -> bool:
            nonlocal past, values
            values = evaluate([window.piece], self._values, self._points)
            earlier = [state for state in past if state[0] >= LOSS_RATIO * evaluation.loss]
            trained = extrapolated(earlier[-1][1], values, evaluation.loss / earlier[-1][0]) if earlier else None
            # States whose loss a later one undercuts less than that are of no use: keep the losses decreasing.
            past = [(loss, old) for loss, old in past if loss > evaluation.loss]
            past.append((evaluation.loss, values))
            best = self.chain.corrections[0]
            if best is None or evaluation.loss < best.loss:
                self.chain.corrections[0], self.chain.estimate = None, trained
                judged()
            self._met = (
                self._met + 1 if self.chain.estimate is not None and self.chain.estimate <= self.limits.tol else 0
            )
            return self._met >= 2 or self.judge.hopeless

        def corrected(attempt: Polished) -> bool:
            now = evaluate([attempt.piece], self._values, self._points)
            self.chain.estimate = extrapolated(values, now, max(attempt.loss / attempt.before, 1e-16))
            judged()
            return self.chain.estimate <= self.limits.tol or self.judge.hopeless

        def wanting() -> float:
            return math.inf if self.chain.estimate is None else (self.chain.estimate / self.limits.tol) ** 2

        # In more than one space coordinate it is the network itself that is handed over, which soon takes long.
        # And a loose tolerance is met by training on.
        single = self.ansatz.problem.domain.dimension > 2 or self.limits.tol >= LOOSE
        patience = ENDLESS if single else 0.3
        halving = self._halving(window.length, window, patience) if splittable else None
        left = self.limits.left()
        return self._train(window, 0, estimated, corrected, self._target, left, wanting, halving)

    def _train(
        self,
        window: Window,
        number: int,
        trained: Callable[[Evaluation], bool],
        corrected: Callable[[Polished], bool],
        target: float,
        budget: float | None,
        wanting: Callable[[], float],
        halving: Halving | None,
    ) -> TrainingStatus | None:
        """Train a window, and correct it now and then; None means that it should be halved.

        Parameters
        ----------
        trained : whether training may end, asked with each loss on fresh points.
        corrected : whether the correction, the best so far, is good enough.
        target : about the loss with which it will be.
        wanting : by which factor the loss is still too large.
        halving : whether windows of half the length would be done sooner, from that; None where there can be none.
        """
        stage = "" if number == 0 and halving is None else f"window {number + 1}, "
        tried, cost = -math.inf, 0.0
        split = False
        begun = time.perf_counter()

        def correct() -> bool:
            nonlocal tried, cost
            columns, first = self._columns if window.loss <= EARLY_LOSS else self.plan.columns, True
            while True:
                attempt = polished(window.piece, window.objective, columns, self.generator)
                tried = window.work
                cost = attempt.work if first else cost
                first = False
                self.chain.attempts[number] = attempt
                best = self.chain.corrections[number]
                if attempt.helps and (best is None or attempt.loss < best.loss):
                    self.chain.hand_over(number, attempt)
                    good = corrected(attempt)
                    self._note(window, attempt.evaluation, "corrected, " + stage)
                    if good:
                        # The next window is much like this one; with less, if that was more than needed.
                        generous = attempt.loss < 1e-2 * target and columns > self.plan.columns
                        self._columns, self._cost = columns // 2 if generous else columns, attempt.seconds
                        return True
                late = budget is not None and time.perf_counter() - begun + 4 * attempt.seconds > budget
                # Twice the columns square the factor, roughly.
                expected = attempt.loss**2 / max(attempt.before, 1e-300)
                short = expected > self.plan.reach * target
                if not attempt.pays or short or late or 2 * columns > self.plan.most_columns:
                    return False
                columns *= 2

        def decide(evaluation: Evaluation) -> bool:
            nonlocal split
            done = trained(evaluation)
            window.record.append((window.rounds, evaluation.loss, window.work))
            self._note(window, evaluation, stage)
            split = halving is not None and hopeless(window, self.plan, evaluation.loss)
            if done or split:
                return True
            fair = window.rounds >= self.plan.fair_steps
            ready = self._polishable and evaluation.loss <= (self.plan.ready if fair else EARLY_LOSS)
            if ready and window.work - tried >= PATIENCE * cost:
                if correct():
                    return True
                split = halving is not None and fair and halving(wanting())
            return split

        # The last part of the time is for the last correction.
        reserve = 0.0
        if self._polishable and budget is not None:
            reserve = max(RESERVE * budget, min(self._cost, 0.5 * budget))
        iterations = None if self.limits.iterations is None else max(self.limits.iterations - self.steps, 1)
        status = window.train(decide, None if budget is None else budget - reserve, iterations)
        stuck = status in (TrainingStatus.STAGNATED, TrainingStatus.DIVERGED) and window.loss > EASY_LOSS
        if split or (halving is not None and stuck):
            return None
        if status in (TrainingStatus.CONVERGED, TrainingStatus.DIVERGED) or not self._polishable:
            return status
        return TrainingStatus.CONVERGED if window.loss <= self.plan.ready and correct() else status

    def _halving(self, remaining: float, window: Window, patience: float) -> Halving | None:
        interval = self._interval()
        if interval is None or window.length <= 2 * (interval[1] - interval[0]) / self.plan.most_windows:
            return None
        return Halving(window, self.limits, self.limits.seconds(), remaining, self._window_cost, patience)

    # -- several windows -------------------------------------------------------------------------------------------

    def _chain(self, lower: float, upper: float, network: nn.Module) -> TrainingStatus:
        """March to a residual that should do; again, to a smaller one, while the estimate says no."""
        former: Chain | None = None
        target, length = self._target, (upper - lower) / 2
        network = restricted(network, self.ansatz, 0.5)
        while True:
            begun = time.perf_counter()
            status = self._pass(lower, upper, length, network, target)
            chain = self.chain
            chain.estimate = chain.grown(self._values, self._points, self.plan.columns, self.generator)
            met = chain.estimate is not None and chain.estimate <= self.limits.tol
            if former is not None and not met and not (chain.estimate or math.inf) < (former.estimate or math.inf):
                self._take(former)
            if met:
                return TrainingStatus.CONVERGED
            status = self.limits.spent(self.steps) if status is None else status
            left, took = self.limits.left(), time.perf_counter() - begun
            if status is not None or (left is not None and left < 0.5 * took):
                return status or TrainingStatus.BUDGET
            if former is self.chain:
                return TrainingStatus.STAGNATED
            # Again, from smaller windows and to a smaller residual: the error follows it, the loss its square.
            former = chain
            gap = math.inf if chain.estimate is None else chain.estimate / self.limits.tol
            target *= min(0.05, max(1e-6, (0.3 / gap) ** 2))
            length, network = chain.windows[0].length, chain.windows[0].piece.network
            self._take(Chain())

    def _take(self, chain: Chain) -> None:
        """Go on with another chain; the steps of this one stay counted."""
        self.discarded += self.chain.steps - chain.steps
        self.chain = chain

    def _approach(
        self, window: Window, number: int, target: float, budget: float | None, halving: Halving | None
    ) -> TrainingStatus | None:
        """Train and correct a window of a chain to a target loss, or as well as the budget allows; None: halve it."""
        self.chain.hand_over(number, None)

        def trained(evaluation: Evaluation) -> bool:
            best = self.chain.corrections[number]
            if best is not None and evaluation.loss < best.loss:
                self.chain.hand_over(number, None)
            return evaluation.loss <= target

        def wanting() -> float:
            return self.chain.losses[number] / target

        return self._train(
            window, number, trained, lambda attempt: attempt.loss <= target, target, budget, wanting, halving
        )

    def _pass(
        self, lower: float, upper: float, length: float, network: nn.Module, target: float
    ) -> TrainingStatus | None:
        """March from lower to upper, with windows as long as they go; afterwards `windows` cover the interval."""
        start = lower
        halved = 0
        while start < upper:
            remaining = upper - start
            length = remaining / max(1, round(remaining / length + 0.3))
            end = upper if length > 0.999 * remaining else start + length
            handover = Handover(self.chain.pieces[-1]) if self.chain.windows else None
            made = continued(self.ansatz, start, end, handover)
            assert made is not None
            window = self._window(made, network)
            self.chain.open(window, handover)
            if self.limits.spent(self.steps) is not None:
                # No time is left: the rest of the interval is covered by the continued initial state.
                length = remaining
            else:
                left, begun = self.limits.left(), time.perf_counter()
                if left is not None and self.limits.budget is not None:
                    left = max(left - FOR_ESTIMATE * self.limits.budget, 0.0)
                share = None if left is None else max(FOR_WINDOWS * left * (end - start) / remaining, 0.05)
                halving = self._halving(remaining, window, 0.3)
                ended = self._approach(window, len(self.chain.windows) - 1, target, share, halving)
                if ended is TrainingStatus.DIVERGED:
                    return ended
                if ended is None:
                    self.discarded += window.steps
                    self.chain.close()
                    poor = window.loss > EARLY_LOSS and len(self.chain.windows) > 0
                    former = self.chain.windows[-1].piece.network if poor else window.piece.network
                    network = former if poor else restricted(former, made, 0.5)
                    length, halved = length / 2, 3
                    continue
                took = time.perf_counter() - begun
                self._window_cost = took if self._window_cost is None else 0.5 * (took + self._window_cost)
                halved -= 1
                if window.rounds < self.plan.fair_steps / 2 and halved <= 0:
                    length *= 1.5
            start, network = end, window.piece.network
        return self.limits.spent(self.steps)

    # -- common ----------------------------------------------------------------------------------------------------

    def _interval(self) -> tuple[float, float] | None:
        problem = self.ansatz.problem
        return None if problem.time is None else problem.domain.interval(problem.time)

    def _window(self, ansatz: Ansatz, network: nn.Module | None = None) -> Window:
        network = self.network if network is None else deepcopy(network)
        return Window(ansatz, network, self.plan, self.make_optimizer(), self.generator)

    def _verdict(self, status: TrainingStatus) -> tuple[Status, str]:
        if status is not TrainingStatus.CONVERGED and len(self.chain.windows) == 1:
            self.judge.ask(self.chain.pieces[0])
        if (judged := self.judge.verdict) is not None:
            return judged
        found = _STATUS[status]
        if found in (Status.CONVERGED, Status.DIVERGED):
            return found, ""
        if self.chain.estimate is None:
            return found, "There is no error estimate yet: the residual has not fallen far enough. " + found.advice
        missed = f"The estimated error {self.chain.estimate:.1e} misses tol = {self.limits.tol:.1e}. "
        return found, missed + found.advice

    def _note(self, window: Window, evaluation: Evaluation, stage: str) -> None:
        text = f"{stage}{window.objective.size} points"
        self.recorder.note(self.steps, evaluation, self.chain.estimate, text, self.chain.pieces)
