"""The table of optimizers by name."""

from __future__ import annotations

from sciml.errors import ArgumentError, closest
from sciml.training.adam import Adam
from sciml.training.bfgs import BFGS
from sciml.training.broyden import SelfScaledBroyden
from sciml.training.gauss_newton import GaussNewtonCG
from sciml.training.gradient_descent import GradientDescent
from sciml.training.lbfgs import LBFGS
from sciml.training.levenberg_marquardt import LevenbergMarquardt
from sciml.training.momentum import Momentum
from sciml.training.optimizer import Optimizer
from sciml.training.rmsprop import RMSProp
from sciml.training.spring import Spring

__all__ = ["make_optimizer", "optimizer_names"]

_TABLE: dict[str, type[Optimizer]] = {
    kind.name: kind
    for kind in (
        LevenbergMarquardt,
        GaussNewtonCG,
        SelfScaledBroyden,
        BFGS,
        LBFGS,
        Spring,
        Adam,
        RMSProp,
        Momentum,
        GradientDescent,
    )
}


def optimizer_names(*, stochastic: bool | None = None) -> tuple[str, ...]:
    """Return the accepted names; with `stochastic`, only those that do (or do not) accept batches."""
    return tuple(name for name, kind in _TABLE.items() if stochastic is None or kind.stochastic == stochastic)


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return an optimizer by name with its default settings; an `Optimizer` passes through.

    Raises
    ------
    ArgumentError
        If the name is unknown; the text lists the accepted ones.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in _TABLE:
        hint = closest(optimizer, _TABLE) if isinstance(optimizer, str) else ""
        raise ArgumentError(
            f"optimizer: {optimizer!r} is not known{hint}; accepted are {', '.join(_TABLE)} or an Optimizer object"
        )
    return _TABLE[optimizer]()
