"""Rows for stochastic optimizers: mini-batches and single samples, with and without replacement."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError, closest
from sciml.training.objective import Objective

__all__ = ["BatchSampler"]


@final
class BatchSampler:
    """Draws rows of every term, at each call a batch; terms of one group get the same rows.

    Without replacement a random permutation of all rows is used up before the next is drawn, so that every row appears
    once per epoch (the last batch of an epoch may be shorter). With replacement rows are independent and uniform.

    Parameters
    ----------
    objective
        The objective whose rows are drawn.
    batch
        Rows per term, at least 1 (all rows of a term that has fewer); or a mapping from terms to such numbers, where a
        term that is not named takes all its rows.
    replacement
        Whether to draw with replacement.
    generator
        Source of randomness, a CPU generator.
    """

    def __init__(
        self, objective: Objective, batch: int | Mapping[str, int], replacement: bool, generator: torch.Generator
    ) -> None:
        self._objective = objective
        self._replacement = bool(replacement)
        self._generator = generator
        self._batch = batch if isinstance(batch, Mapping) else None
        self._uniform = None if isinstance(batch, Mapping) else _rows("batch", batch)
        sizes = objective.sizes()
        for name, value in (self._batch or {}).items():
            if name not in sizes:
                raise ArgumentError(f"batch: no term {name!r}{closest(name, sizes)}; accepted: {', '.join(sizes)}")
            _rows(f"batch[{name!r}]", value)
        self._orders: dict[str, Tensor] = {}
        self._used: dict[str, int] = {}

    def _take(self, name: str, size: int) -> int:
        wanted = self._uniform if self._batch is None else self._batch.get(name, size)
        return min(size, wanted or size)

    @property
    def epoch(self) -> int:
        """Number of draws after which every row of every term has been used once."""
        sizes = self._objective.sizes()
        return max(
            -(-sizes[names[0]] // max(1, self._take(names[0], sizes[names[0]]))) for names in self._objective.groups()
        )

    def draw(self) -> dict[str, Tensor]:
        """Return the next rows by term."""
        sizes, rows = self._objective.sizes(), {}
        for names in self._objective.groups():
            key, size = names[0], sizes[names[0]]
            take = self._take(key, size)
            if self._replacement:
                chosen = torch.randint(size, (take,), generator=self._generator)
            else:
                used = self._used.get(key, size)
                if key not in self._orders or len(self._orders[key]) != size or used >= size:
                    self._orders[key], used = torch.randperm(size, generator=self._generator), 0
                chosen = self._orders[key][used : used + take]
                self._used[key] = used + take
            rows.update(dict.fromkeys(names, chosen))
        return rows

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return the present permutations and how much of each is used."""
        return dict(self._orders), dict(self._used)

    def restore(self, orders: Mapping[str, Tensor], used: Mapping[str, int]) -> None:
        """Set what `state` returned."""
        self._orders = {key: order.clone() for key, order in orders.items()}
        self._used = {key: int(value) for key, value in used.items()}


def _rows(name: str, value: Any) -> int:
    try:
        count = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise ArgumentError(f"{name}: {value!r} is not accepted; accepted are integers of at least 1")
    return count
