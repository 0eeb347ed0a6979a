"""How a step is solved: hidden layers are trained a little, then spaces of functions of x are solved in, in rounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from sciml.pinn.cascade import Cascade, body_network
from sciml.pinn.stage_objective import StageObjective
from sciml.pinn.stage_subspace import Newton, Subspace, spread
from sciml.pinn.step import Step
from sciml.status import Status
from sciml.training import LevenbergMarquardt

__all__ = ["Search", "Stopping"]

WIDTHS = (12, 12, 16)
# Training: modes of time to begin with, places, steps between fresh places, and when to end.
FIRST_MODES = 16
TRAINING_PLACES = 160
FRESH_EVERY = 5
BOUT = 30
MOST_BOUTS = 10
# A loss near the tolerance: better hidden layers make better spaces, but take longer.
READY = 1e-6, 1e-4
# Training that is this far from an answer, and of which a bout leaves more than a part, is in a valley that has none:
# the search begins anew, up to so many times, with unknown numbers within a factor e^SPREAD of the first.
STUCK = 1e-4
LEFT = 0.3
MOST_STARTS = 5
SPREAD = 1.5
# What noise leaves of the loss by itself, times this, is near enough to it.
NEAR_NOISE = 1.5
# Rounds: coefficients that are affordable, sines that are added, places for each function, modes' growth.
COLUMNS = 4200
FEWEST_SINES, MOST_SINES = 40, 100
MOSTLY, LATE_SINES = 0.5, 12
PLACES_PER_FUNCTION, FEWEST_PLACES = 3.2, 200
# Modes of time are added where more than this part of the residual is one that they could meet.
GROWTH, LATE, SMALL = 1.7, 0.1, 0.1
ROUNDS = 12
OVERFITTED = 4.0
# A round that leaves more than this part of the residual gains little; after so many of them there is no more to gain.
GAIN = 0.8
PATIENCE = 3
LEAST_WEIGHT = 1e-6


@final
@dataclass(frozen=True)
class Stopping:
    """When a search ends.

    Attributes
    ----------
    tol : relative error of the state; of unknown numbers, their relative change.
    budget : seconds, or None.
    began : by `time.perf_counter`.
    """

    tol: float
    budget: float | None
    began: float

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.began

    def over(self, part: float = 1.0) -> bool:
        """Whether a part of the budget is spent."""
        return self.budget is not None and self.seconds >= part * self.budget


@final
@dataclass(frozen=True)
class _Start:
    """Hidden layers that were trained a little."""

    loss: float
    cascade: Cascade
    coefficients: Tensor
    z: Tensor
    damping: float


@final
@dataclass
class _Best:
    """The state with the smallest residual."""

    subspace: Subspace
    z: Tensor
    residual: float
    late: float
    newton: Newton
    weight: float


@final
class Search:
    """The search.

    Parameters
    ----------
    step : what is solved.
    stopping : when to end.
    generator : of weights and places.
    widths : units of the hidden layers.
    judge : for unknown numbers: from the search to (settled, weight of the data); None for a state alone.
    progress : told what happens.
    noise : mean square of the data's noise over that of the state, as far as it is known before.
    weight : of the data in the first round.
    """

    def __init__(
        self,
        step: Step,
        stopping: Stopping,
        generator: torch.Generator,
        widths: tuple[int, ...] = WIDTHS,
        judge: Callable[[Search], tuple[bool, float]] | None = None,
        progress: Callable[[Mapping[str, Any]], None] | None = None,
        noise: float = 0.0,
        weight: float = 1.0,
    ) -> None:
        self.step = step
        self.stopping = stopping
        self.generator = generator
        self.judge = judge
        self.progress = progress
        self.candidates = spread(step, generator)
        self.widths = widths
        self.noise = noise
        self.cascade = self._fresh()
        self.history: dict[str, list[float]] = {}
        self.steps = 0
        self.starts = 1
        self.rounds = 0
        self.weight = weight
        self.estimate: float | None = None
        self.status = Status.STAGNATED
        self.best: _Best | None = None
        self._trained: Tensor | None = None
        self._damping = 1e-2
        self._monitor = self._monitored()

    # -- the course --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Search until the estimate meets the tolerance, the time is up, or nothing helps."""
        count = min(self.step.most_modes, FIRST_MODES)
        enough = max(min(max(self.stopping.tol, READY[0]), READY[1]), NEAR_NOISE * self.noise)
        bouts = self._begin(count, enough)
        while self._trained is not None:
            subspace = self._round(Subspace(
                self.step, self.cascade, torch.eye(self.cascade.base, dtype=torch.float64),
                self._trained, count, self.candidates,
            ), None)  # fmt: skip
            if subspace is not None:
                self._rounds(subspace)
                break
            bouts += 1
            if self.stopping.over() or bouts > MOST_BOUTS:
                self.status = Status.BUDGET if self.stopping.over() else Status.STAGNATED
                break
            self._train(count, enough)
        if self.best is not None:
            self.step.quantities.load(self.best.z)

    def _begin(self, count: int, enough: float) -> int:
        """Train the hidden layers, from other starts if one leads nowhere, and return the number of bouts."""
        stuck = max(STUCK, 4 * self.noise)
        first = self.step.quantities.z.clone()
        best: _Start | None = None
        while True:
            loss, bouts = math.inf, 0
            while bouts < MOST_BOUTS:
                bouts += 1
                # As long as the state is nothing but a guess, its defects would drive the numbers anywhere.
                former, loss = loss, self._train(count, enough, held=bouts == 1)
                if loss <= enough or self.stopping.over(0.4) or (loss > stuck and loss > LEFT * former):
                    break
            if self._trained is not None and (best is None or loss < best.loss):
                best = _Start(loss, self.cascade, self._trained, self.step.quantities.z.clone(), self._damping)
            if loss <= stuck or self.starts >= MOST_STARTS or self.stopping.over(0.4):
                break
            self.starts += 1
            self.cascade, self._trained, self._damping = self._fresh(), None, 1e-2
            self.step.quantities.load(self._elsewhere(first))
        if best is not None:
            self.cascade, self._trained, self._damping = best.cascade, best.coefficients, best.damping
            self.step.quantities.load(best.z)
        return bouts

    def _fresh(self) -> Cascade:
        """A cascade with hidden layers as they are drawn."""
        return Cascade(self.step.inputs, body_network(self.step.inputs.count, self.widths, self.generator))

    def _elsewhere(self, first: Tensor) -> Tensor:
        """Unconstrained unknown numbers about the first."""
        z = first.clone()
        for i, own in enumerate(self.step.quantities.ranges.values()):
            shift = SPREAD * (2 * float(torch.rand(1, generator=self.generator, dtype=torch.float64)) - 1)
            value = own.value(float(first[i]))
            bounded = own.sides[0] or own.sides[1]
            z[i] = first[i] + shift if bounded or value == 0 else own.inverse(value * math.exp(shift))
        return z

    def _rounds(self, subspace: Subspace) -> None:
        """Rounds of keeping, adding and solving."""
        values = self._values(subspace)
        idle = 0
        assert self.best is not None
        while True:
            if self.judge is not None:
                settled, self.weight = self.judge(self)
                if settled:
                    self.status = Status.CONVERGED
                    return
            if self.stopping.over():
                self.status = Status.BUDGET
                return
            if idle >= PATIENCE or self.rounds >= ROUNDS:
                self.status = Status.STAGNATED
                return
            former = self.best.residual
            start = self.best.subspace
            self.step.quantities.load(self.best.z)
            found = self._round(start.with_modes(self._wanted(start, self.best.late)), former, self.best.late)
            if found is None:
                idle += 1
                continue
            residual = self._last_residual
            idle = 0 if residual <= GAIN * former else idle + 1
            now = self._values(found)
            rho = residual / max(former, 1e-300)
            estimate = 2 * (min(rho / (1 - rho), 1.0) if rho < 1 else 1.0) * float((now - values).norm() / now.norm())
            if residual <= former or self.judge is not None:
                self.estimate, values = estimate, now
            elif self.estimate is None or estimate < self.estimate:
                # The former state stays, and another that is little worse is as near to it as this.
                self.estimate = estimate
            if self.judge is None and self.estimate is not None and self.estimate <= self.stopping.tol:
                self.status = Status.CONVERGED
                return

    def _round(self, start: Subspace, residual: float | None, late: float = 0.0) -> Subspace | None:
        """Widen a state's space and solve; None where Newton's method fails.

        Where most of the residual was in modes of time that the state had not, `late`, few functions of x are added.
        """
        self.rounds += 1
        affordable = COLUMNS // len(start.coefficients) - (20 if residual is None else 24)
        sines = LATE_SINES if late > MOSTLY else max(FEWEST_SINES, min(MOST_SINES, affordable))
        wide = start.widened(sines, residual, self.generator)
        left = wide.residual()
        number = max(FEWEST_PLACES, round(PLACES_PER_FUNCTION * wide.size))
        z = self.step.quantities.z.clone()
        for _ in range(2):
            newton = wide.solve(*wide.places(left.local, number), self.weight, self.stopping.over)
            left = wide.residual()
            if left.size**2 <= OVERFITTED * max(newton.loss, 1e-30) or self.stopping.over():
                break
            number *= 2  # small at the places and not between them
        if not newton.converged or not math.isfinite(left.size):
            self.step.quantities.load(z)
            return None
        self._last_residual = left.size
        worse = self.best is not None and left.size > self.best.residual and self.judge is None
        if not worse:
            self.best = _Best(wide, self.step.quantities.z.clone(), left.size, left.late, newton, self.weight)
        self._note(f"round {self.rounds}", newton.loss, left.size)
        return wide

    def _wanted(self, subspace: Subspace, late: float) -> int:
        """How many modes of time the next round takes: more where the residual is in those that are missing.

        As many as make the last ones small against the tolerance, if they go on decaying as they do.
        """
        count = subspace.count
        if late <= LATE:
            return count
        sizes = subspace.mode_sizes()
        half = count // 2
        rate = math.log(max(float(sizes[half : half + 4].norm() / sizes[-4:].norm()), 1.1)) / max(count - half - 4, 1)
        tail = float(sizes[-4:].norm()) * math.sqrt(2 * count) / (SMALL * self.stopping.tol * float(sizes.norm()))
        more = math.log(max(tail, 1.1)) / rate
        return min(self.step.most_modes, math.ceil(min(count + more, GROWTH * count)))

    # -- training ----------------------------------------------------------------------------------------------------

    def _train(self, count: int, enough: float, held: bool = False) -> float:
        """Take a bout of Levenberg-Marquardt steps, fewer if the loss is small, and return the loss.

        Unknown numbers that are held stay as they are.
        """
        stages = min(self.step.stages, 3 * count)
        held = held and len(self.step.quantities.z) > 0
        objective = StageObjective(self.step, self.cascade, count, stages, self._trained, held)
        optimizer = LevenbergMarquardt(self._damping, acceleration=False)
        self._replace(objective)
        loss = math.inf
        while optimizer.accepted < BOUT and loss > enough and not self.stopping.over(0.5):
            before = optimizer.accepted
            result = optimizer.step(objective)
            self.steps += 1
            loss = result.evaluation.loss
            if result.finished is not None or not math.isfinite(loss):
                break
            if optimizer.accepted > before and optimizer.accepted % FRESH_EVERY == 0:
                self._note("training", loss, math.sqrt(loss))
                self._replace(objective)
                optimizer.points_changed()
        self._damping = optimizer.damping
        self._trained = objective.coefficients
        return loss

    def _replace(self, objective: StageObjective) -> None:
        """Take fresh places, half of them where the residual is large."""
        count = objective.modes.count
        basis = torch.eye(self.cascade.base, dtype=torch.float64)
        state = Subspace(self.step, self.cascade, basis, objective.coefficients, count, self.candidates)
        x, _ = state.places(state.residual(objective.modes.stages).local, TRAINING_PLACES)
        objective.place(x)

    # -- looking -----------------------------------------------------------------------------------------------------

    def _monitored(self) -> tuple[Tensor, Tensor]:
        """Places and times at which states are compared."""
        unit = torch.quasirandom.SobolEngine(2, scramble=True, seed=1).draw(1024, dtype=torch.float64)
        return (
            self.step.low + (self.step.high - self.step.low) * unit[:, 0],
            self.step.start + (self.step.stop - self.step.start) * unit[:, 1],
        )

    def _values(self, subspace: Subspace) -> Tensor:
        """The state at the monitored points."""
        from sciml.pinn.step_evaluator import StepEvaluator

        x, t = self._monitor
        points = torch.empty(len(x), 2, dtype=torch.float64)
        space, time_axis = self.step.evolution.axes
        points[:, space], points[:, time_axis] = x, t
        return StepEvaluator.of(subspace).unknowns(points)

    def _note(self, stage: str, loss: float, residual: float) -> None:
        row = {
            "iteration": float(self.steps),
            "seconds": self.stopping.seconds,
            "loss": loss,
            "residual": residual,
        }
        for name, value in {**row, **self.step.quantities.numbers}.items():
            self.history.setdefault(name, []).append(value)
        if self.progress is not None:
            numbers = dict(self.step.quantities.numbers)
            self.progress({**row, "stage": stage, "estimate": self.estimate, "parameters": numbers})
