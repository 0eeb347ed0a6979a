"""The error of a chain of time windows: what each adds, and what the equation makes of it in the later ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import sympy
import torch

from sciml.network import MLP, Sum
from sciml.network.mlp import Layer
from sciml.pinn.handover import Handover
from sciml.pinn.piece import Piece
from sciml.pinn.polish import HELPFUL, Polished, carried
from sciml.pinn.window import Window

__all__ = ["comparable", "grown_errors"]

# If errors fall like residuals the correction is most of the former error; see `extrapolated` for the factor two.
SAFETY = 2.0
LARGEST_RATIO = 0.95


def comparable(windows: Sequence[Window], attempts: Sequence[Polished], used: Sequence[bool]) -> bool:
    """Whether the residuals of each window's states differ enough to tell its error.

    A correction that does not lower the residual is next to nothing, and says nothing of the error of the state that it
    left as it was. Arguments as in `grown_errors`.
    """
    states = zip(windows, attempts, used, strict=True)
    return all(corrected or _ratio(window, attempt) < HELPFUL for window, attempt, corrected in states)


def grown_errors(
    windows: Sequence[Window],
    attempts: Sequence[Polished],
    used: Sequence[bool],
    columns: int,
    generator: torch.Generator,
) -> list[Piece]:
    """Return the estimated error of each window as a piece.

    Parameters
    ----------
    windows : of the chain.
    attempts : the latest correction of each.
    used : whether it is part of the solution.
    columns : coefficients with which errors are carried on.
    """
    result: list[Piece] = []
    for window, attempt, corrected in zip(windows, attempts, used, strict=True):
        trained = window.piece.network
        assert isinstance(trained, MLP)
        rho = min(math.sqrt(max(attempt.loss, 1e-300) / max(attempt.before, 1e-300)), LARGEST_RATIO)
        if corrected:
            parts = [_scaled(attempt.correction, SAFETY * rho / (1 - rho))]
        else:
            # Training has overtaken the correction: the two differ by about the error of the worse, or, where the
            # correction was little, by what training has gained since.
            rho = min(math.sqrt(_ratio(window, attempt)), LARGEST_RATIO)
            factor = SAFETY * max(rho / (1 - rho), 1.0)
            parts = [_scaled(part, factor) for part in attempt.parts] + [_scaled(trained, -factor)]
        ansatz = attempt.piece.ansatz
        trace = None
        if result:
            trace = Handover(result[-1])
            parts.append(carried(attempt.piece if corrected else window.piece, window, trace, columns, generator))
        zero = {name: sympy.Integer(0) for name in ansatz.g}
        result.append(Piece(replace(ansatz, g=zero, trace=trace), Sum(parts)))
    return result


def _ratio(window: Window, attempt: Polished) -> float:
    """The least loss of a window's states, relative to that before its correction."""
    return min(attempt.loss, window.loss) / max(attempt.before, 1e-300)


def _scaled(network: MLP, factor: float) -> MLP:
    result = deepcopy(network)
    last = result.layers[-1]
    assert isinstance(last, Layer)
    with torch.no_grad():
        last.weight.mul_(factor)
        last.bias.mul_(factor)
    return result
