"""The search of an identification: Levenberg-Marquardt on data and equations, corrections, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
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
FRESH = 2048
# A correction is tried again when this part of the steps so far has been added.
PAUSE = 0.5
# Where corrections are dear a last one is not worth its time for fewer steps than this multiple of those before.
MORE = 1.2
# Errors that fall like the residuals of two corrections in a row are up to this multiple of what the unknowns moved.
REMAINING = 2.0
# At the strictest, the residual is as small as it gets where it has not halved in so many redraws of the points.
PLATEAU = 20
# Twice the coefficients of a correction take so many times as long.
DOUBLING = 6.0
# Points of the equations while they do not count.
FEW = 16
SMALL_PRIOR = 1e-3


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
        experiments = [e.with_fewer(setup.course.data, setup.generator) for e in setup.experiments]
        self.objective = InverseObjective(experiments, setup.quantities, sigma, 1.0, setup.multiplicative, SMALL_PRIOR)
        self._optimizer = LevenbergMarquardt()
        count = len(self.objective.parameters()) / len(setup.experiments)
        self._levels = [max(64, int(factor * count)) for factor in setup.plan.levels]
        self._level = 0
        self._resumed = False
        self._columns = setup.course.columns
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
        objective, plan, course = self.objective, self.setup.plan, self.setup.course
        if not self._resumed:
            self._follow()
        record, stale, tried = math.inf, 0, -math.inf
        least, plateau = math.inf, 0
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
            plateau, least = (plateau + 1, least) if equations > 0.5 * least else (0, equations)
            ready = self._resumed or (
                self.steps >= course.first
                and (equations <= course.ready or (plateau >= PLATEAU and objective.tightness <= course.strictest))
            )
            last = self._spent()
            if last is not None and course.growing and self.best is not None and self.steps < MORE * tried:
                self.status = last
                return
            if last is not None or self._due() or (ready and self.steps >= tried + PAUSE * max(tried, 0.0)):
                if self._corrected():
                    self.status = Status.CONVERGED
                    return
                tried = float(self.steps)
                self._resumed = False
                if last is None and course.growing and self._costly():
                    last = Status.BUDGET
            if last is not None:
                self.status = last
                return
            stale = stale + 1 if evaluation.loss > 0.5 * record else 0
            record = min(record, evaluation.loss)
            if stale >= 2:
                # What keeps the loss from falling is noise, or data that pull harder than the equations.
                self._level, stale = min(self._level + 1, len(self._levels) - 1), 0
                objective.tightness = max(course.tightening * objective.tightness, course.strictest)
                record = math.inf
            self._redraw()
            self._train(plan.periods[self._level])

    def _follow(self) -> None:
        """Let the networks follow the data alone, or nearly so; the quantities stay what they were."""
        objective, course = self.objective, self.setup.course
        start = objective.quantities.parameters()
        objective.draw(self._levels[0])
        objective.scale()
        objective.tightness = course.tightness
        if not course.redrawn:
            self._train(course.following)
        else:
            objective.draw(FEW)
            while self.steps < course.following and self._spent() is None:
                self._train(self.setup.plan.periods[0])
                missed = objective.misfits()
                if max(missed[key] / size for key, size in self.setup.sizes.items()) <= course.misfit:
                    break
                objective.thin(self.setup.experiments, course.data, self.setup.generator)
                self._optimizer.points_changed()
            objective.quantities.load(start)
            objective.draw(self._levels[0])
            self._optimizer = LevenbergMarquardt()
        objective.scale()
        objective.tightness = 1.0

    def _redraw(self) -> None:
        course = self.setup.course
        if course.redrawn:
            self.objective.thin(self.setup.experiments, course.data, self.setup.generator)
        self.objective.resample(count=self._levels[self._level])
        self._optimizer.points_changed()

    def _due(self) -> bool:
        """Whether the first correction must not wait any longer."""
        budget, share = self.limits.budget, self.setup.course.share
        return self.best is None and share < 1 and budget is not None and self.limits.seconds() >= share * budget

    def _spent(self) -> Status | None:
        """Which limit is met; some time is left for the last correction."""
        cost = 0.0 if self.best is None else self.best.seconds
        budget = self.limits.budget
        if budget is not None and self.limits.seconds() >= max(0.8 * budget, budget - 2 * cost):
            return Status.BUDGET
        if self.limits.iterations is not None and self.steps >= self.limits.iterations:
            return Status.ITERATIONS
        return None

    def _costly(self) -> bool:
        """Whether there is no time for another correction."""
        left = self.limits.left()
        return self.best is not None and left is not None and self.best.seconds > left

    def _train(self, steps: int) -> None:
        for _ in range(steps):
            if self._spent() is not None:
                return
            step = self._optimizer.step(self.objective)
            self.steps += 1
            if step.finished is not None or not step.evaluation.finite:
                self._optimizer.reset()
                return

    def _corrected(self) -> bool:
        """Correct the state, with more and more coefficients where there is time; whether the unknowns rest."""
        course = self.setup.course
        while self._correct():
            if self._rested():
                return True
            assert self.best is not None
            left = self.limits.left()
            if self._columns >= course.most_columns or (left is not None and DOUBLING * self.best.seconds > left):
                return False
            self._columns = min(2 * self._columns, course.most_columns)
        return False

    def _correct(self) -> bool:
        """Try a correction; whether it is usable."""
        if not all(isinstance(e.network, MLP) for e in self.objective.experiments):
            return False
        former, course = self.best, self.setup.course
        found = identified(
            self.objective, self.setup.experiments, self._columns, self.noise, self.setup.generator,
            self.limits.left(), course.points, course.rounds if self._columns == course.most_columns else course.few,
            course.settling,
        )  # fmt: skip
        if found is None:
            return False
        self.best = self._widened(former, found) if course.growing and former is not None else found
        self._note(found.evaluation, "corrected")
        self._changes.append(math.inf if former is None else self._change(former, found))
        return True

    def _widened(self, former: Identified, found: Identified) -> Identified:
        """Add to the covariance of the numbers what another correction changed of them.

        The equations' residuals at neighbouring points are alike; as an error of the unknowns this shows in what
        a better state changes, not in the residuals' size. What is left is as large as the change, or larger where
        the residuals fall by less than a half.
        """
        count = len(self.setup.unknowns.ranges)
        moved = REMAINING * (found.theta[:count] - former.theta[:count])
        covariance = found.covariance.clone()
        covariance[:count, :count] += torch.outer(moved, moved)
        return replace(found, covariance=covariance)

    def _rested(self) -> bool:
        return len(self._changes) >= 2 and self._changes[-1] <= 1.0

    def _change(self, former: Identified, found: Identified) -> float:
        """How much two corrections differ, in units of what is allowed."""
        ranges, worst = self.setup.unknowns.ranges, 0.0
        for k, own in enumerate(ranges.values()):
            before, now = own.value(float(former.theta[k])), own.value(float(found.theta[k]))
            spread = abs(own.slope(float(found.theta[k]))) * math.sqrt(max(float(found.covariance[k, k]), 0.0))
            allowed = max(self.limits.tol * abs(now), self.setup.course.agreed * spread)
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
