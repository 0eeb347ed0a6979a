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
from sciml.pinn.polish import Polished, carried
from sciml.pinn.window import Window

__all__ = ["comparable", "grown_errors"]

# If errors fall like residuals the correction is most of the former error; see `extrapolated` for the factor two.
SAFETY = 2.0
LARGEST_RATIO = 0.95
# Losses in this ratio or nearer are those of one state.
SAME = 0.5


def comparable(attempts: Sequence[Polished], used: Sequence[bool]) -> bool:
    """Whether the correction of every window, taken or not, tells something of its error.

    One that only made the residual larger is zero, and says nothing of the error of the state that it left as it was.
    """
    return all(corrected or attempt.loss < attempt.before for attempt, corrected in zip(attempts, used, strict=True))


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
            # Training has gone on since the correction, and the two differ by about the error of the worse; or they are
            # of the same state, whose error the correction resolves though it lowers the residual by little.
            ratio = _ratio(window, attempt)
            rho = math.sqrt(ratio) if ratio < SAME else 0.0
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
