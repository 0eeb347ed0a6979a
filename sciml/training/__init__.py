"""Minimising named residual vectors: objectives, optimizers, the trainer; nothing here knows of equations."""

from sciml.training.levenberg_marquardt import LevenbergMarquardt
from sciml.training.linearization import Linearization
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.objectives import FitObjective, ModuleObjective
from sciml.training.optimizer import Optimizer, Step

__all__ = [
    "Evaluation",
    "FitObjective",
    "LevenbergMarquardt",
    "Linearization",
    "ModuleObjective",
    "Objective",
    "Optimizer",
    "Rows",
    "Step",
]
