"""The evaluator of a network solution: values and derivatives through ansatz and jets, and what a file must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import nn

from sciml.errors import ArgumentError
from sciml.network import MLP
from sciml.notation import Partial
from sciml.pinn.ansatz import Ansatz, build_ansatz
from sciml.pinn.residual import Field
from sciml.problem import Problem
from sciml.solution import Evaluator

__all__ = ["NetworkEvaluator"]


@final
class NetworkEvaluator(Evaluator):
    """Evaluate `u = g + s*d*N(features)` and its derivatives.

    Parameters
    ----------
    ansatz : the exact conditions.
    network : a module from features [N, F] to outputs [N, unknowns].
    options : the keywords with which the ansatz was built, for `restore`.
    """

    kind: ClassVar[str] = "network"

    def __init__(self, ansatz: Ansatz, network: nn.Module, options: Mapping[str, Any]) -> None:
        self.ansatz = ansatz
        self.network = network
        self._options = dict(options)
        self._fields: dict[tuple[Partial, ...], Field] = {}

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the partials [len(partials), N] at points [N, d]."""
        key = tuple(partials)
        if key not in self._fields:
            self._fields[key] = Field(self.ansatz, key)
        field = self._fields[key]
        like = next(self.network.parameters())
        block = field.block(torch.as_tensor(points, dtype=like.dtype, device=like.device))
        with torch.no_grad():
            values = field.values(block, field.network_jet(self.network, block))
        return values.to("cpu", torch.float64).numpy()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the parameters and buffers by name, and the architecture."""
        if not isinstance(self.network, MLP):
            raise ArgumentError(
                f"network: only an MLP can be saved, not {type(self.network).__name__}; save its state_dict yourself"
            )
        arrays = {name: value.detach().cpu().numpy() for name, value in self.network.state_dict().items()}
        return arrays, {"architecture": self.network.description(), "ansatz": self._options}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> NetworkEvaluator:
        """Rebuild the ansatz from the problem and the network from its arrays."""
        network = MLP.from_description(rest["architecture"])
        network.load_state_dict({name: torch.as_tensor(np.array(value)) for name, value in arrays.items()})
        options = dict(rest["ansatz"])
        return cls(build_ansatz(problem, **options), network, options)
