"""Minimising named residual vectors: objectives, optimizers, the trainer; nothing here knows of equations."""

from sciml.training.adam import Adam
from sciml.training.bfgs import BFGS
from sciml.training.broyden import SelfScaledBroyden
from sciml.training.differential import Differential
from sciml.training.gauss_newton import GaussNewtonCG
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
from sciml.training.parallel import ParallelObjective, Processes, processes
from sciml.training.rmsprop import RMSProp
from sciml.training.sampling import BatchSampler
from sciml.training.share import Share
from sciml.training.spring import Spring
from sciml.training.state import TrainingResult
from sciml.training.stopping import TrainingStatus
from sciml.training.trainer import Trainer

__all__ = [
    "BFGS",
    "LBFGS",
    "Adam",
    "BatchSampler",
    "Differential",
    "Evaluation",
    "FitObjective",
    "GaussNewtonCG",
    "GradientDescent",
    "History",
    "LevenbergMarquardt",
    "Linearization",
    "ModuleObjective",
    "Momentum",
    "Objective",
    "Optimizer",
    "ParallelObjective",
    "Processes",
    "RMSProp",
    "Rows",
    "SelfScaledBroyden",
    "Share",
    "Spring",
    "Step",
    "Trainer",
    "TrainingResult",
    "TrainingStatus",
    "make_optimizer",
    "optimizer_names",
    "processes",
]
