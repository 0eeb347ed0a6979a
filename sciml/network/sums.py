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

    Parameters
    ----------
    parts
        At least one network.
    offsets
        For each part the output of the sum that its first output is added to; parts may then differ in their numbers
        of outputs. None: all zero, and equal numbers of outputs.

    Raises
    ------
    ArgumentError
        If there is none, or they do not match.
    """

    def __init__(self, parts: Sequence[MLP], offsets: Sequence[int] | None = None) -> None:
        super().__init__()
        same = offsets is not None or all(p.outputs == parts[0].outputs for p in parts)
        if not parts or not same or any(p.inputs != parts[0].inputs for p in parts):
            raise ArgumentError("parts: at least one MLP is needed, and equal numbers of inputs and of outputs")
        if offsets is not None and (len(offsets) != len(parts) or any(o < 0 for o in offsets)):
            raise ArgumentError(f"offsets: {list(offsets)!r} is not accepted; one of 0, 1, ... for each part is")
        self.parts = nn.ModuleList(parts)
        self.inputs = parts[0].inputs
        self.offsets = (0,) * len(parts) if offsets is None else tuple(int(o) for o in offsets)
        self.outputs = max(o + p.outputs for o, p in zip(self.offsets, parts, strict=True))

    def __iter__(self) -> Iterator[MLP]:
        for part in self.parts:
            assert isinstance(part, MLP)
            yield part

    def forward(self, x: Tensor) -> Tensor:
        """Return the values [..., outputs] at points [..., inputs]."""
        return self.add([part(x) for part in self])

    def add(self, values: Sequence[Tensor]) -> Tensor:
        """Return the sum [..., outputs] of what the parts give, [..., outputs of each]."""
        if all(value.shape[-1] == self.outputs for value in values):
            return torch.stack(list(values)).sum(0)
        rest = [(o, self.outputs - o - value.shape[-1]) for o, value in zip(self.offsets, values, strict=True)]
        return torch.stack([nn.functional.pad(v, ends) for v, ends in zip(values, rest, strict=True)]).sum(0)

    def description(self) -> dict[str, Any]:
        """Return a JSON-able description of the architecture; with `state_dict()` it restores the network."""
        result: dict[str, Any] = {"sum": [part.description() for part in self]}
        return {**result, "offsets": list(self.offsets)} if any(self.offsets) else result


def network_from_description(description: Mapping[str, Any]) -> MLP | Sum:
    """Return a network of the architecture that `description` gave, for `load_state_dict`."""
    if "sum" in description:
        parts = [MLP.from_description(part) for part in description["sum"]]
        return Sum(parts, description.get("offsets", [0] * len(parts)))
    return MLP.from_description(description)


@final
class SumTape(Tape):
    """The tapes of the parts that have trainable parameters; theta is theirs, one after another.

    Parameters
    ----------
    tapes, counts
        Of each such part, its tape and number of trainable parameters.
    slots
        The outputs of the sum that each gives.
    outputs
        How many there are.
    """

    def __init__(self, tapes: Sequence[Tape], counts: Sequence[int], slots: Sequence[slice], outputs: int) -> None:
        self._tapes = list(tapes)
        self._counts = list(counts)
        self._slots = list(slots)
        self._outputs = outputs

    @torch.no_grad()
    def jacobian(self, cotangent: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the per-point Jacobian; see `Tape.jacobian`."""
        if out is None:
            shape = (*cotangent.shape[:-3], sum(self._counts), cotangent.shape[-2])
            out = cotangent.new_empty(shape).mT
        start = 0
        for tape, count, slot in zip(self._tapes, self._counts, self._slots, strict=True):
            tape.jacobian(cotangent[..., slot], out[..., start : start + count])
            start += count
        return out

    def gradient(self, cotangent: Tensor) -> Tensor:
        """Return the Jacobian summed over the points; see `Tape.gradient`."""
        pairs = zip(self._tapes, self._slots, strict=True)
        return torch.cat([tape.gradient(cotangent[..., slot]) for tape, slot in pairs], -1)

    def tangent(self, direction: Tensor) -> Tensor:
        """Return the derivative along a direction of the parameters; see `Tape.tangent`."""
        parts = direction.split(self._counts)
        moved = [tape.tangent(part) for tape, part in zip(self._tapes, parts, strict=True)]
        ends = [(slot.start, self._outputs - slot.stop) for slot in self._slots]
        return torch.stack([nn.functional.pad(m, end) for m, end in zip(moved, ends, strict=True)]).sum(0)

    @property
    def memory(self) -> int:
        """Bytes that the records hold."""
        return sum(tape.memory for tape in self._tapes)
