"""A sum of multilayer perceptrons of the same inputs, such as a trained one and a correction to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from sciml.errors import ArgumentError
from sciml.network.mlp import MLP
from sciml.network.tape import Tape

__all__ = ["Sum", "SumTape", "network_from_description"]


@final
class Sum(nn.Module):
    """N(x) = sum_k N_k(x) of networks with equal numbers of inputs and outputs.

    Raises
    ------
    ArgumentError
        If there is none, or they do not match.
    """

    def __init__(self, parts: Sequence[MLP]) -> None:
        super().__init__()
        if not parts or any((p.inputs, p.outputs) != (parts[0].inputs, parts[0].outputs) for p in parts):
            raise ArgumentError("parts: at least one MLP is needed, and equal numbers of inputs and of outputs")
        self.parts = nn.ModuleList(parts)
        self.inputs, self.outputs = parts[0].inputs, parts[0].outputs

    def __iter__(self) -> Iterator[MLP]:
        for part in self.parts:
            assert isinstance(part, MLP)
            yield part

    def forward(self, x: Tensor) -> Tensor:
        """Return the values [..., outputs] at points [..., inputs]."""
        return torch.stack([part(x) for part in self]).sum(0)

    def description(self) -> dict[str, Any]:
        """Return a JSON-able description of the architecture; with `state_dict()` it restores the network."""
        return {"sum": [part.description() for part in self]}


def network_from_description(description: Mapping[str, Any]) -> MLP | Sum:
    """Return a network of the architecture that `description` gave, for `load_state_dict`."""
    if "sum" in description:
        return Sum([MLP.from_description(part) for part in description["sum"]])
    return MLP.from_description(description)


@final
class SumTape(Tape):
    """The tapes of the parts that have trainable parameters; theta is theirs, one after another."""

    def __init__(self, tapes: Sequence[Tape], counts: Sequence[int]) -> None:
        self._tapes = list(tapes)
        self._counts = list(counts)

    @torch.no_grad()
    def jacobian(self, cotangent: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the per-point Jacobian; see `Tape.jacobian`."""
        if out is None:
            shape = (*cotangent.shape[:-3], sum(self._counts), cotangent.shape[-2])
            out = cotangent.new_empty(shape).mT
        start = 0
        for tape, count in zip(self._tapes, self._counts, strict=True):
            tape.jacobian(cotangent, out[..., start : start + count])
            start += count
        return out

    def gradient(self, cotangent: Tensor) -> Tensor:
        """Return the Jacobian summed over the points; see `Tape.gradient`."""
        return torch.cat([tape.gradient(cotangent) for tape in self._tapes], -1)

    def tangent(self, direction: Tensor) -> Tensor:
        """Return the derivative along a direction of the parameters; see `Tape.tangent`."""
        parts = direction.split(self._counts)
        return torch.stack([tape.tangent(part) for tape, part in zip(self._tapes, parts, strict=True)]).sum(0)

    @property
    def memory(self) -> int:
        """Bytes that the records hold."""
        return sum(tape.memory for tape in self._tapes)
