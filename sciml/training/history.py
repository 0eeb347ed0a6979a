"""The course of a training: loss, named terms and time per recorded iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.objective import Evaluation

__all__ = ["History"]


@final
class History(Mapping[str, list[float]]):
    """Series of equal length: "iteration", "seconds", "loss", and "loss: NAME" (mean square, unweighted) per term.

    Iteration i is the state after i updates; 0 is the initial one.
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        self._columns: dict[str, list[float]] = {key: list(values) for key, values in (columns or {}).items()}
        for key in ("iteration", "seconds", "loss"):
            self._columns.setdefault(key, [])
        if len({len(values) for values in self._columns.values()}) > 1:
            raise ArgumentError("columns: the series of a history have one length")

    def append(self, iteration: int, seconds: float, evaluation: Evaluation) -> None:
        """Add one entry; a term that appears late (or rests) has NaN where it took no part."""
        length = len(self)
        entry = {"iteration": iteration, "seconds": seconds, "loss": evaluation.loss}
        entry |= {f"loss: {name}": value for name, value in evaluation.terms.items()}
        for key in entry:
            self._columns.setdefault(key, [float("nan")] * length)
        for key, values in self._columns.items():
            values.append(entry.get(key, float("nan")))

    def tensors(self) -> dict[str, Tensor]:
        """Return the series as float64 tensors, for a checkpoint."""
        return {key: torch.tensor(values, dtype=torch.float64) for key, values in self._columns.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> History:
        """Return the history that `tensors` described."""
        columns = {key: values.tolist() for key, values in tensors.items()}
        columns["iteration"] = [int(i) for i in columns.get("iteration", [])]
        return cls(columns)

    @property
    def last_iteration(self) -> int | None:
        """The iteration of the last entry, or None."""
        return int(self._columns["iteration"][-1]) if len(self) else None

    def __getitem__(self, key: str) -> list[float]:
        return self._columns[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of entries, not of series."""
        return len(self._columns["iteration"])

    def __repr__(self) -> str:
        if not len(self):
            return "History(empty)"
        return f"History({len(self)} entries, loss {self['loss'][0]:.3g} -> {self['loss'][-1]:.3g})"
