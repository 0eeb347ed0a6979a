"""Minimising named residual vectors: objectives, optimizers, the trainer; nothing here knows of equations."""

from sciml.training.adam import Adam
from sciml.training.gradient_descent import GradientDescent
from sciml.training.history import History
from sciml.training.lbfgs import LBFGS
from sciml.training.levenberg_marquardt import LevenbergMarquardt
from sciml.training.linearization import Linearization
from sciml.training.momentum import Momentum
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.objectives import FitObjective, ModuleObjective
from sciml.training.optimizer import Optimizer, Step
from sciml.training.optimizers import make_optimizer, optimizer_names
from sciml.training.sampling import BatchSampler
from sciml.training.state import TrainingResult
from sciml.training.stopping import TrainingStatus
from sciml.training.trainer import Trainer

__all__ = [
    "LBFGS",
    "Adam",
    "BatchSampler",
    "Evaluation",
    "FitObjective",
    "GradientDescent",
    "History",
    "LevenbergMarquardt",
    "Linearization",
    "ModuleObjective",
    "Momentum",
    "Objective",
    "Optimizer",
    "Rows",
    "Step",
    "Trainer",
    "TrainingResult",
    "TrainingStatus",
    "make_optimizer",
    "optimizer_names",
]
