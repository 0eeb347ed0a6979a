"""The evaluator of a network solution: values and derivatives through ansatz and jets, and what a file must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch

from sciml.errors import ArgumentError
from sciml.network import MLP, Sum, network_from_description
from sciml.notation import Partial
from sciml.pinn.ansatz import build_ansatz, continued
from sciml.pinn.handover import Handover
from sciml.pinn.piece import Piece, evaluate
from sciml.problem import Problem
from sciml.solution import Evaluator

__all__ = ["NetworkEvaluator"]


@final
class NetworkEvaluator(Evaluator):
    """Evaluate `u = g + s*d*N(features)` and its derivatives, in one or several time windows.

    Parameters
    ----------
    pieces : consecutive windows.
    options : the keywords with which the ansatz was built, for `restore`.
    """

    kind: ClassVar[str] = "network"

    def __init__(self, pieces: Sequence[Piece], options: Mapping[str, Any]) -> None:
        self.pieces = tuple(pieces)
        self._options = dict(options)

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the partials [len(partials), N] at points [N, d]."""
        like = next(self.pieces[0].network.parameters())
        place = torch.as_tensor(points, dtype=like.dtype, device=like.device)
        return evaluate(self.pieces, partials, place).to("cpu", torch.float64).numpy()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return parameters and buffers by window and name, the windows' bounds and the architecture."""
        arrays: dict[str, np.ndarray] = {}
        windows, architectures = [], []
        for number, piece in enumerate(self.pieces):
            if not isinstance(piece.network, (MLP, Sum)):
                kind = type(piece.network).__name__
                raise ArgumentError(f"network: only an MLP can be saved, not {kind}; save its state_dict yourself")
            values = piece.network.state_dict().items()
            arrays |= {f"{number}.{name}": value.detach().cpu().numpy() for name, value in values}
            problem = piece.ansatz.problem
            windows.append(None if problem.time is None else list(problem.domain.interval(problem.time)))
            architectures.append(piece.network.description())
        return arrays, {"architectures": architectures, "ansatz": self._options, "windows": windows}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> NetworkEvaluator:
        """Rebuild the ansatz of each window from the problem and the networks from their arrays."""
        options = dict(rest["ansatz"])
        whole = build_ansatz(problem, **options)
        pieces: list[Piece] = []
        for number, bounds in enumerate(rest["windows"]):
            network = network_from_description(rest["architectures"][number])
            start = f"{number}."
            state = {k[len(start) :]: torch.as_tensor(np.array(v)) for k, v in arrays.items() if k.startswith(start)}
            network.load_state_dict(state)
            ansatz = whole
            if len(rest["windows"]) > 1:
                made = continued(whole, float(bounds[0]), float(bounds[1]), Handover(pieces[-1]) if pieces else None)
                if made is None:
                    raise ValueError("this problem has no time windows")
                ansatz = made
            if isinstance(network, Sum) and network.outputs > len(ansatz.fields):
                ansatz = ansatz.with_waves
            pieces.append(Piece(ansatz, network))
        return cls(pieces, options)
