"""Training one time window, or a whole problem: levels of collocation points, checks on fresh points, best state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

import torch
from torch import nn

from sciml.pinn.ansatz import Ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.pinn.piece import Piece
from sciml.pinn.plan import Plan
from sciml.training import Evaluation, Optimizer, Trainer, TrainingStatus

__all__ = ["Window"]

# Fresh points at which losses are judged; the mean of squares is then known to a few per cent.
FRESH = 2048
# Multiplications for each point and parameter that a jet and its derivative take, about.
JET_WORK = 150


@final
class Window:
    """One network on one time window.

    Parameters
    ----------
    ansatz : of this window.
    network : its network.
    plan : levels and periods of redrawing.
    optimizer : the rule; its state lasts as long as the window.
    generator : of points.

    Attributes
    ----------
    steps, loss : optimizer steps so far, and the latest loss on fresh points.
    record : rounds, loss and work at each check, for whoever judges the progress.
    work : multiplications so far, about; unlike seconds, the same in every run.
    """

    def __init__(
        self, ansatz: Ansatz, network: nn.Module, plan: Plan, optimizer: Optimizer, generator: torch.Generator
    ) -> None:
        like = next(network.parameters())
        self.piece = Piece(ansatz, network)
        self.optimizer = optimizer
        self.steps = 0
        self.loss = math.inf
        self.record: list[tuple[float, float, float]] = []
        self.work = 0.0
        self._plan = plan
        self._generator = generator
        self.objective = ForwardObjective(
            ansatz, network, Sampler(ansatz.problem.domain, generator, like.dtype, like.device)
        )
        count = len(self.objective.parameters()) / len(ansatz.fields)
        self._levels = [max(64, int(factor * count)) for factor in plan.levels]
        self._level = 0
        self._drawn = False

    @property
    def length(self) -> float:
        """Duration of the window; zero without time."""
        problem = self.piece.ansatz.problem
        if problem.time is None:
            return 0.0
        lower, upper = problem.domain.interval(problem.time)
        return upper - lower

    @property
    def latest_half(self) -> tuple[float, float, float]:
        """The entry of the record with which the latest half of the steps began."""
        return next(entry for entry in reversed(self.record) if entry[0] <= self.rounds / 2)

    @property
    def rounds(self) -> float:
        """Steps so far, in units of one Levenberg-Marquardt step."""
        return self.steps / self.optimizer.pace

    def check(self) -> Evaluation:
        """Return the loss on fresh points."""
        return self.objective.evaluation(self.objective.fresh(count=FRESH))

    def train(
        self, decide: Callable[[Evaluation], bool], budget: float | None, iterations: int | None
    ) -> TrainingStatus:
        """Train until `decide`, asked at every check on fresh points, says so, or a limit is met.

        Parameters
        ----------
        decide : receives the evaluation on fresh points; True ends the training (status CONVERGED).
        budget, iterations : of this call.

        Returns
        -------
        CONVERGED, or why the training ended otherwise; the network then has the state with the least fresh loss.
        """
        unlimited = 2**62 if iterations is None else iterations
        trainer = self._trainer(budget, unlimited)
        if self._drawn:
            # The former window may have changed since, and with it what the points carry.
            self.objective.resample(count=self._levels[self._level])
        else:
            self.objective.draw(self._levels[0])
            self._drawn = True
        self.optimizer.points_changed()
        best, best_state = math.inf, self.objective.parameters()
        stale, record = 0, math.inf
        while True:
            evaluation = self.check()
            self.loss = evaluation.loss
            if not evaluation.finite:
                status = TrainingStatus.DIVERGED
                break
            if evaluation.loss <= best:
                best, best_state = evaluation.loss, self.objective.parameters()
            if decide(evaluation):
                return TrainingStatus.CONVERGED
            if trainer.status not in (None, TrainingStatus.STAGNATED):
                status = trainer.status
                break
            stale = stale + 1 if evaluation.loss > 0.5 * record else 0
            record = min(record, evaluation.loss)
            if stale >= 2 and self._level + 1 < len(self._levels):
                self._level, stale = self._level + 1, 0
            elif stale >= self._plan.patience:
                status = TrainingStatus.STAGNATED
                break
            if trainer.iteration:
                self.objective.resample(count=self._levels[self._level])
                trainer.points_changed()
            if trainer.status is TrainingStatus.STAGNATED:
                # The optimizer was at a minimum for the former points; there are new ones now.
                trainer = self._again(trainer, budget, unlimited)
            self._advance(trainer)
        self.objective.load(best_state)
        self.loss = best
        return status

    def _advance(self, trainer: Trainer) -> None:
        for _ in range(self._plan.periods[self._level] * self.optimizer.pace):
            before = trainer.iteration
            trainer.step()
            self.steps += trainer.iteration - before
            self.work += self._step_work()
            if trainer.status is not None:
                return

    def _step_work(self) -> float:
        count = len(self.objective.parameters())
        curvature = count if self.optimizer.pace == 1 else 0
        return sum(self.objective.sizes().values()) * count * (curvature + JET_WORK)

    def _again(self, trainer: Trainer, budget: float | None, iterations: int) -> Trainer:
        left = None if budget is None else max(budget - trainer.seconds, 1e-3)
        return self._trainer(left, max(iterations - trainer.iteration, 1))

    def _trainer(self, budget: float | None, iterations: int) -> Trainer:
        batch = self.optimizer.batch
        return Trainer(
            self.objective,
            self.optimizer,
            budget=budget,
            iterations=iterations,
            batch=None if batch is None else max(batch // len(self.objective.sizes()), 16),
            generator=self._generator,
            patience=None,
        )
