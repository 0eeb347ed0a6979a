"""Which network and which schedule of points suit a problem; the choices were measured in benchmarks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, final

from torch import nn

from sciml.errors import ArgumentError
from sciml.problem import Problem

__all__ = ["Plan", "plan_for"]


@final
@dataclass(frozen=True)
class Plan:
    """A network and a schedule.

    Attributes
    ----------
    width, depth, activation : of the MLP.
    harmonics : of each periodic coordinate.
    levels : numbers of points as multiples of parameters per unknown; the next level is taken when the loss on fresh
        points has not halved twice in a row.
    periods : steps between redraws of the points, for each level, of Levenberg-Marquardt; other rules take `pace` times
        as many (`sciml.training.Optimizer`).
    patience : redraws without halving after which the last level counts as stagnated.
    trial_steps, trial_loss, promise : a time window whose loss is larger than this after so many steps, or later does
        not promise to be small within `promise` times as many more, is halved.
    fair_steps : a window is not halved for lack of accuracy before so many.
    most_windows : the shortest window is this fraction of the interval.
    columns, most_columns : coefficients of a correction by least squares (`sciml.pinn.polish`), at first and at most.
    reach : twice the columns are tried if the loss that they promise is at most so many times the one that is needed.
    ready : from this loss on a correction is tried; before that the linearised equation is not the equation.
    """

    width: int
    depth: int
    activation: str = "tanh"
    harmonics: int = 1
    levels: tuple[float, ...] = (1.5, 3.5, 6.0, 10.0)
    periods: tuple[int, ...] = (3, 5, 10, 20)
    patience: int = 12
    trial_steps: int = 60
    fair_steps: int = 45
    trial_loss: float = 1e-3
    promise: float = 2.0
    most_windows: int = 128
    columns: int = 240
    most_columns: int = 1200
    reach: float = 10.0
    ready: float = 1e-3

    @property
    def text(self) -> str:
        """The network in words."""
        return f"{self.width}x{self.depth} {self.activation}"


def plan_for(problem: Problem, network: str | nn.Module | None = None, waves: bool = False) -> Plan:
    """Choose a plan by the number of coordinates and the kind of equation.

    Parameters
    ----------
    waves : whether the corrections carry those of a kink (`sciml.pinn.waves`): they need many columns, and a state that
        lacks little else.
    network : "12x5" (width x hidden layers), optionally with an activation, "12x5 sin"; else the choice is free.

    Raises
    ------
    ArgumentError : for text that is not of that form.
    """
    order = max(problem.order(u, c) for u in problem.unknowns for c in problem.space or problem.coordinates)
    dimension = problem.domain.dimension
    if dimension == 1:
        plan = Plan(10, 3, columns=90, most_columns=400)
    elif dimension == 2:
        columns = 480 if len(problem.unknowns) == 1 else Plan.columns
        plan = Plan(20, 2, columns=columns) if problem.time is None else Plan(12, 5)
    elif dimension == 3:
        plan = Plan(16, 3)
    else:
        plan = Plan(20, 3, "sin")
    if problem.periodic:
        plan = replace(plan, harmonics=5 if order >= 3 else 1)
    if order >= 3:
        shape = {"width": 16, "depth": 3} if dimension == 2 and problem.time is not None else {}
        plan = replace(plan, activation="sin", **shape)
    if waves:
        plan = replace(plan, width=14, depth=4, columns=480, most_columns=960, reach=math.inf, ready=3e-6)
    return _parsed(network, plan) if isinstance(network, str) else plan


def _parsed(text: Any, plan: Plan) -> Plan:
    match = re.fullmatch(r"\s*(\d{1,4})\s*[xX]\s*(\d{1,2})(?:\s+([a-z]+))?\s*", text)
    if match is None or int(match[1]) < 1 or int(match[2]) < 1:
        raise ArgumentError(f"network must be 'WIDTHxDEPTH' such as '12x5' or '12x5 sin', or a module, got {text!r}")
    return replace(plan, width=int(match[1]), depth=int(match[2]), activation=match[3] or plan.activation)
