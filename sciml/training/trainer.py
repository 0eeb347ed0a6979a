"""The trainer: drives an optimizer, decides when to stop, keeps the best finite state and the history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError, FileFormatError
from sciml.training import checkpoint
from sciml.training.history import History
from sciml.training.objective import Evaluation, Objective
from sciml.training.optimizer import Optimizer
from sciml.training.optimizers import make_optimizer, optimizer_names
from sciml.training.sampling import BatchSampler
from sciml.training.state import Best, TrainingResult, TrainingState
from sciml.training.stopping import TrainingStatus, limit

__all__ = ["Trainer"]


@final
class Trainer:
    """Minimises an objective.

    Parameters
    ----------
    objective
        What is minimised; its present parameters are the start.
    optimizer
        A name of `optimizer_names`, such as "levenberg-marquardt", "ssbroyden", "lbfgs", "adam", or an `Optimizer`.
    tol
        Stop when the loss is at most this, >= 0.
    iterations
        Largest number of updates, >= 1.
    budget
        Seconds, > 0; no step is begun that is expected to end after it.
    batch
        Rows per term and update for stochastic optimizers (1: single samples), or a mapping by term; None: all rows.
        The loss is then evaluated on all rows once per epoch, or every `evaluate_every` updates.
    replacement
        Whether batches are drawn with replacement.
    generator, seed
        A CPU `torch.Generator` for batches and new points, or the seed of one.
    resample
        When to draw new points, before an update: every so many updates, or a function of the iteration number.
    stop
        Function of a progress mapping; the training ends as converged when it returns True.
    patience
        Stop as stagnated when so many entries of the history bring no improvement of the best loss by one part in a
        million; None: never.

    Raises
    ------
    ArgumentError
        If an argument is not as described, or none of tol, iterations, budget is given.

    Examples
    --------
    >>> from sciml.network import MLP
    >>> from sciml.training import FitObjective
    >>> x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    >>> objective = FitObjective(MLP(1, 1, width=6, depth=2), x, torch.sin(3 * x))
    >>> Trainer(objective, tol=1e-6, iterations=200).run().success
    True
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: str | Optimizer = "levenberg-marquardt",
        *,
        tol: float | None = None,
        iterations: int | None = None,
        budget: float | None = None,
        batch: int | Mapping[str, int] | None = None,
        replacement: bool = False,
        generator: torch.Generator | None = None,
        seed: int = 0,
        resample: int | Callable[[int], bool] | None = None,
        stop: Callable[[Mapping[str, Any]], bool] | None = None,
        patience: int | None = 1000,
        evaluate_every: int | None = None,
    ) -> None:
        if not isinstance(objective, Objective):
            raise ArgumentError(
                f"objective: {type(objective).__name__} is not accepted; accepted are Objective objects"
            )
        if tol is None and iterations is None and budget is None:
            raise ArgumentError("tol, iterations, budget: at least one is needed, or the training would never end")
        self.objective = objective
        self.optimizer = make_optimizer(optimizer)
        self.tol = limit("tol", tol, least=0.0)
        self.iterations = limit("iterations", iterations, least=1, whole=True)
        self.budget = limit("budget", budget, least=0.0, strict=True)
        self.patience = limit("patience", patience, least=1, whole=True)
        every = limit("evaluate_every", evaluate_every, least=1, whole=True)
        if resample is not None and not callable(resample):
            limit("resample", resample, least=1, whole=True)
        self._resample = resample
        self._stop = stop
        if stop is not None and not callable(stop):
            raise ArgumentError(
                f"stop: {stop!r} is not accepted; accepted are functions of a progress mapping, or None"
            )
        if generator is None:
            generator = torch.Generator().manual_seed(limit("seed", seed, least=0, whole=True) or 0)
        elif not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
            raise ArgumentError(f"generator: {generator!r} is not accepted; accepted are CPU torch.Generator objects")
        self.generator = generator
        self.sampler: BatchSampler | None = None
        if batch is not None:
            if not self.optimizer.stochastic:
                names = ", ".join(optimizer_names(stochastic=True))
                raise ArgumentError(f"batch: {self.optimizer.name} uses all rows; batches are for {names}")
            self.sampler = BatchSampler(objective, batch, replacement, self.generator)
        self._every = every
        self.history = History()
        self.state = TrainingState()
        self._started: float | None = None

    @property
    def iteration(self) -> int:
        """Number of updates so far."""
        return self.state.iteration

    @property
    def status(self) -> TrainingStatus | None:
        """Why the training is over, or None while it is not."""
        return self.state.status

    @property
    def seconds(self) -> float:
        """Seconds since the first step, those of a resumed training included."""
        return self.state.spent + (0.0 if self._started is None else time.perf_counter() - self._started)

    @property
    def best_loss(self) -> float:
        """Least loss so far, on the present points."""
        best = self.state.best
        return math.inf if best is None else best.evaluation.loss

    def step(self) -> Mapping[str, Any] | None:
        """Make one update (new points first, where they are due); return the new entry of the history, if there is one.

        Ends at once, with `status` set, when the training is over. Callers that drive the trainer themselves call this
        until `status` is set and then `finish`; between steps they may change the objective's points (then call
        `points_changed`) or the optimizer's settings.
        """
        if self.status is not None:
            return None
        if self.state.best is None:
            entry = self._begin()
            if self.status is not None:
                return entry
        elif self._started is None:
            self._started = time.perf_counter()
        began = self.seconds
        if self.iteration and self._resample_due():
            self.objective.resample(self.generator)
            self.points_changed()
        rows = None if self.sampler is None else self.sampler.draw()
        step = self.optimizer.step(self.objective, rows)
        self.state.iteration += 1
        entry = None
        if not step.evaluation.finite:
            self._end(TrainingStatus.DIVERGED, f"the loss became {step.evaluation.loss} at iteration {self.iteration}")
            return None
        if self.sampler is None:
            entry = self._note(self.iteration if step.ahead else self.iteration - 1, step.evaluation, step.theta)
        elif self.iteration % (self._every or self.sampler.epoch) == 0:
            entry = self._note(self.iteration, self.objective.evaluate(), self.objective.parameters())
        if self.status is None:
            self._limits(step.finished, self.seconds - began)
        return entry

    def run(self, progress: Callable[[Mapping[str, Any]], None] | None = None) -> TrainingResult:
        """Train to the end and return the result; the objective then holds the best state.

        Parameters
        ----------
        progress
            Called with each new entry of the history: "iteration", "seconds", "loss", "terms" (by name), "best".
        """
        try:
            entry = self._begin() if self.state.best is None and self.status is None else None
            while True:
                if progress is not None and entry is not None:
                    progress(entry)
                if self.status is not None:
                    break
                entry = self.step()
        except KeyboardInterrupt:
            if self.state.best is not None:
                self.objective.load(self.state.best.theta)
            raise
        return self.finish()

    def finish(self) -> TrainingResult:
        """Load the best state into the objective and return the result (also before `status` is set)."""
        state = self.state
        if state.best is None and state.status is None:
            self._begin()
        if state.status is not TrainingStatus.DIVERGED and self.history.last_iteration != state.iteration:
            before, state.status = (state.status, state.reason), None
            self._note(state.iteration, self.objective.evaluate(), self.objective.parameters())
            if state.status is None:  # else the very last update met the tolerance, or diverged
                state.status, state.reason = before
        wall_time = self.seconds
        status = state.status or TrainingStatus.ITERATIONS
        reason = state.reason or f"stopped after {state.iteration} iterations"
        best = state.best
        if best is None:
            return TrainingResult(
                status, f"{reason}; {status.advice}", self.history, state.iteration, wall_time, math.nan, {}, 0
            )
        self.objective.load(best.theta)
        loss = best.evaluation.loss
        message = f"{reason} (best loss {loss:.3g} at iteration {best.iteration}); {status.advice}"
        return TrainingResult(
            status, message, self.history, state.iteration, wall_time, loss, dict(best.evaluation.terms), best.iteration
        )

    def points_changed(self) -> None:
        """Tell that the objective's points are new: losses before and after are not comparable."""
        self.optimizer.points_changed()
        state = self.state
        state.stale, state.mark = 0, math.inf
        if state.best is None:
            return
        current = self.objective.parameters()
        candidates = [state.best]
        if not torch.equal(current, state.best.theta):
            candidates.append(Best(current, state.best.evaluation, state.iteration))
        for candidate in candidates:
            self.objective.load(candidate.theta)
            candidate.evaluation = self.objective.evaluate()
        self.objective.load(current)
        state.best = min(candidates, key=lambda c: c.evaluation.loss if c.evaluation.finite else math.inf)

    def fresh_loss(self) -> float:
        """Return the loss at the present parameters on newly drawn points, an honest measure of the fit."""
        return self.objective.evaluation(self.objective.fresh(self.generator)).loss

    def save(self, path: str | Path) -> None:
        """Write a checkpoint (safetensors with JSON) from which `load` continues bit for bit."""
        self.state.spent, self._started = self.seconds, time.perf_counter()
        parts: dict[str, Mapping[str, Tensor]] = {
            "now": {"theta": self.objective.parameters(), "generator": self.generator.get_state()},
            "history": self.history.tensors(),
            "objective": self.objective.state(),
        }
        numbers: dict[str, Any] = {"optimizer_name": self.optimizer.name}
        parts["best"], numbers["state"] = self.state.state()
        parts["optimizer"], numbers["optimizer"] = self.optimizer.state()
        if self.sampler is not None:
            parts["sampler"], numbers["sampler"] = self.sampler.state()
        checkpoint.write(path, parts, numbers)

    def load(self, path: str | Path) -> None:
        """Continue from a checkpoint of a trainer that was made with the same arguments.

        Limits (tol, iterations, budget) are those of this trainer, so a training that had ended goes on if they allow.

        Raises
        ------
        FileFormatError
            If the file is not a checkpoint, or one of another objective or optimizer.
        """
        like = self.objective.parameters()
        parts, numbers = checkpoint.read(path, like)
        theta = parts["now"]["theta"]
        if theta.shape != like.shape or numbers["optimizer_name"] != self.optimizer.name:
            raise FileFormatError(
                f"{path}: a checkpoint of {theta.numel()} parameters and {numbers['optimizer_name']!r}; "
                f"this trainer has {like.numel()} and {self.optimizer.name!r}"
            )
        if (self.sampler is None) != ("sampler" not in numbers):
            raise FileFormatError(f"{path}: one of checkpoint and trainer uses batches, the other does not")
        self.objective.load(theta)
        self.objective.restore(parts.get("objective", {}))
        self.optimizer.reset()
        self.optimizer.restore(parts.get("optimizer", {}), numbers["optimizer"])
        self.generator.set_state(parts["now"]["generator"].cpu())
        self.history = History.from_tensors(parts["history"])
        self.state = TrainingState.restored(parts.get("best", {}), numbers["state"])
        if self.sampler is not None:
            self.sampler.restore(
                {key: order.cpu() for key, order in parts.get("sampler", {}).items()}, numbers["sampler"]
            )
        self._started = None

    def _begin(self) -> Mapping[str, Any] | None:
        """Take stock of the initial state."""
        self._started = time.perf_counter()
        evaluation = self.objective.evaluate()
        if not evaluation.finite:
            self._end(TrainingStatus.DIVERGED, f"the loss is {evaluation.loss} at the initial parameters")
            return None
        return self._note(0, evaluation, self.objective.parameters())

    def _resample_due(self) -> bool:
        if self._resample is None:
            return False
        return (
            bool(self._resample(self.iteration)) if callable(self._resample) else self.iteration % self._resample == 0
        )

    def _note(self, iteration: int, evaluation: Evaluation, theta: Tensor) -> Mapping[str, Any] | None:
        """Record a known loss, keep it if it is the best, and see whether it is good enough."""
        if not evaluation.finite:
            self._end(TrainingStatus.DIVERGED, f"the loss became {evaluation.loss} at iteration {iteration}")
            return None
        state = self.state
        if state.best is None or evaluation.loss < state.best.evaluation.loss:
            state.best = Best(theta.clone(), evaluation, iteration)
        if evaluation.loss < state.mark * (1 - 1e-6):
            state.mark, state.stale = evaluation.loss, 0
        else:
            state.stale += 1
        last = self.history.last_iteration
        if last is not None and iteration <= last:
            return None  # this state is on record already
        self.history.append(iteration, self.seconds, evaluation)
        entry = {
            "iteration": iteration,
            "seconds": self.history["seconds"][-1],
            "loss": evaluation.loss,
            "terms": dict(evaluation.terms),
            "best": self.best_loss,
        }
        if self.tol is not None and evaluation.loss <= self.tol:
            self._end(TrainingStatus.CONVERGED, f"the loss is at most {self.tol:.3g}")
        elif self._stop is not None and self.objective.decided(bool(self._stop(entry))):
            self._end(TrainingStatus.CONVERGED, "the stop rule is met")
        return entry

    def _limits(self, finished: str | None, duration: float) -> None:
        if finished is not None:
            self._end(TrainingStatus.STAGNATED, finished)
        elif self.patience is not None and self.state.stale >= self.patience:
            self._end(TrainingStatus.STAGNATED, f"no improvement over {self.patience} entries of the history")
        elif self.iterations is not None and self.iteration >= self.iterations:
            self._end(TrainingStatus.ITERATIONS, f"{self.iteration} iterations were made")
        elif self.budget is not None and self.objective.decided(self.seconds + duration > self.budget):
            self._end(TrainingStatus.BUDGET, f"{self.seconds:.3g} s were used of {self.budget:g} s")

    def _end(self, status: TrainingStatus, reason: str) -> None:
        self.state.status, self.state.reason = status, reason
