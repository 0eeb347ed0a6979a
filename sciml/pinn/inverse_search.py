"""The search of an identification: Levenberg-Marquardt on data and equations, corrections, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import numpy as np
import torch

from sciml.errors import ArgumentError, SolveError
from sciml.fit import Fit
from sciml.network import MLP
from sciml.pinn.inverse_objective import InverseObjective
from sciml.pinn.inverse_polish import Identified, identified
from sciml.pinn.inverse_setup import Setup
from sciml.pinn.progress import INTERVAL, Limits, Progress
from sciml.status import Status
from sciml.training import Evaluation, LevenbergMarquardt

__all__ = ["Search"]

# Data weigh ten times what equations do until the noise is known (METHODS: the recipe for inverse problems).
DATA_WEIGHT = 10.0
# First the networks follow the data; the equations' terms then have their sizes.
FOLLOWING_STEPS, FOLLOWING_TIGHTNESS = 15, 10.0
FRESH = 2048
# Of more data a random part is enough to train; corrections take all.
TRAINING_DATA = 4000
# Mean square of the relative residuals below which a correction is tried.
READY = 3e-3
# A correction is tried again when this part of the steps so far has been added.
PAUSE = 0.5
FIRST_STEPS = 45
STRICTEST = 1e-4
SMALL_PRIOR = 1e-3
AGREED = 0.1


@final
class Search:
    """Train, correct, compare with the former correction, go on.

    Attributes
    ----------
    best : the latest correction, or None.
    status, steps, history : how it ended, steps of training, losses.
    """

    def __init__(
        self, setup: Setup, noise: Mapping[str, float] | None, limits: Limits, progress: Progress | None
    ) -> None:
        self.setup = setup
        self.noise = noise
        self.limits = limits
        self.progress = progress
        self.best: Identified | None = None
        self.status = Status.STAGNATED
        self.steps = 0
        self.history: dict[str, list[float]] = {}
        self._reported = -math.inf
        sigma = {key: size / math.sqrt(DATA_WEIGHT) for key, size in setup.sizes.items()}
        experiments = [e.with_fewer(TRAINING_DATA, setup.generator) for e in setup.experiments]
        self.objective = InverseObjective(experiments, setup.quantities, sigma, 1.0, setup.multiplicative, SMALL_PRIOR)
        self._optimizer = LevenbergMarquardt()
        count = len(self.objective.parameters()) / len(setup.experiments)
        self._levels = [max(64, int(factor * count)) for factor in setup.plan.levels]
        self._level = 0
        self._resumed = False
        self._changes: list[float] = []

    def resume(self, fit: Fit) -> None:
        """Take the trained networks and the quantities of a former fit."""
        theta, scales = fit.state.get("theta"), fit.state.get("scales")
        expected = len(self.objective.parameters())
        if theta is None or scales is None or len(theta) != expected:
            raise ArgumentError(
                f"start: a fit of {0 if theta is None else len(theta)} parameters, here are {expected}; "
                "start from a fit of pinn.identify of the same problem, unknowns and network"
            )
        like = self.objective.parameters()
        self.objective.load(torch.as_tensor(np.array(theta)).to(like))
        self.objective.draw(self._levels[-1])
        rest = iter(scales)
        for experiment in self.objective.experiments:
            for place in experiment.places:
                place.scales = like.new_tensor([next(rest) for _ in place.scales])
        self._level = len(self._levels) - 1
        self._resumed = True

    def run(self) -> None:
        """Search until the unknowns come to rest or a limit is met."""
        objective, plan = self.objective, self.setup.plan
        if not self._resumed:
            objective.draw(self._levels[0])
            objective.scale()
            objective.tightness = FOLLOWING_TIGHTNESS
            self._train(FOLLOWING_STEPS)
            objective.scale()
            objective.tightness = 1.0
        record, stale, tried = math.inf, 0, -math.inf
        while True:
            evaluation = objective.evaluation(objective.fresh(count=FRESH))
            if not evaluation.finite:
                if not self.steps:
                    raise SolveError(
                        "the residual is not a finite number at the initial network; look for a division by zero, a "
                        "logarithm or a root of something negative in the equations"
                    )
                self.status = Status.DIVERGED
                return
            equations = objective.equation_loss(evaluation.terms)
            self._note(evaluation, "training")
            ready = self._resumed or (self.steps >= FIRST_STEPS and equations <= READY)
            last = self._spent()
            if last is not None or (ready and self.steps >= tried + PAUSE * max(tried, 0.0)):
                if self._correct() and self._rested():
                    self.status = Status.CONVERGED
                    return
                tried = float(self.steps)
                self._resumed = False
            if last is not None:
                self.status = last
                return
            stale = stale + 1 if evaluation.loss > 0.5 * record else 0
            record = min(record, evaluation.loss)
            if stale >= 2:
                # What keeps the loss from falling is noise, or data that pull harder than the equations.
                self._level, stale = min(self._level + 1, len(self._levels) - 1), 0
                objective.tightness = max(0.5 * objective.tightness, STRICTEST)
                record = math.inf
            objective.resample(count=self._levels[self._level])
            self._optimizer.points_changed()
            self._train(plan.periods[self._level])

    def _spent(self) -> Status | None:
        """Which limit is met; some time is left for the last correction."""
        cost = 0.0 if self.best is None else self.best.seconds
        budget = self.limits.budget
        if budget is not None and self.limits.seconds() >= max(0.8 * budget, budget - 2 * cost):
            return Status.BUDGET
        if self.limits.iterations is not None and self.steps >= self.limits.iterations:
            return Status.ITERATIONS
        return None

    def _train(self, steps: int) -> None:
        for _ in range(steps):
            if self._spent() is not None:
                return
            step = self._optimizer.step(self.objective)
            self.steps += 1
            if step.finished is not None or not step.evaluation.finite:
                self._optimizer.reset()
                return

    def _correct(self) -> bool:
        """Try a correction; whether it is usable."""
        columns = self.setup.plan.columns * 2
        if not all(isinstance(e.network, MLP) for e in self.objective.experiments):
            return False
        former = self.best
        found = identified(
            self.objective, self.setup.experiments, columns, self.noise, self.setup.generator, self.limits.left()
        )
        if found is None:
            return False
        self.best = found
        self._note(found.evaluation, "corrected")
        self._changes.append(math.inf if former is None else self._change(former, found))
        return True

    def _rested(self) -> bool:
        return len(self._changes) >= 2 and self._changes[-1] <= 1.0

    def _change(self, former: Identified, found: Identified) -> float:
        """How much two corrections differ, in units of what is allowed."""
        ranges, worst = self.setup.unknowns.ranges, 0.0
        for k, own in enumerate(ranges.values()):
            before, now = own.value(float(former.theta[k])), own.value(float(found.theta[k]))
            spread = abs(own.slope(float(found.theta[k]))) * math.sqrt(max(float(found.covariance[k, k]), 0.0))
            allowed = max(self.limits.tol * abs(now), AGREED * spread)
            worst = max(worst, abs(now - before) / allowed if allowed else 0.0)
        return worst

    def _note(self, evaluation: Evaluation, stage: str) -> None:
        seconds = self.limits.seconds()
        row = {"iteration": float(self.steps), "seconds": seconds, "loss": evaluation.loss}
        row |= {f"loss: {name}": value for name, value in evaluation.terms.items()}
        source = self.best.objective if self.best is not None and stage == "corrected" else self.objective
        numbers = source.quantities.numbers
        row |= {f"parameter: {name}": value for name, value in numbers.items()}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        if self.progress is None or (seconds - self._reported < INTERVAL and stage != "corrected"):
            return
        self._reported = seconds
        self.progress(
            {
                "iteration": self.steps,
                "seconds": seconds,
                "loss": evaluation.loss,
                "terms": dict(evaluation.terms),
                "stage": stage,
                "estimate": None,
                "parameters": numbers,
            }
        )
