"""A part of an objective's rows as an objective of its own, for processes that all hold the same points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.training.differential import Differential
from sciml.training.objective import Objective, Rows

__all__ = ["Share"]


@final
class Share(Objective):
    """The `index`-th of `count` nearly equal shares of every term's rows of an objective.

    Where all processes hold the same points, or draw them alike, each one's share makes up the same problem as in one
    process.

    Parameters
    ----------
    objective
        With the rows of all shares.
    index, count
        0 <= index < count.
    """

    def __init__(self, objective: Objective, index: int, count: int) -> None:
        if not isinstance(objective, Objective):
            raise ArgumentError(
                f"objective: {type(objective).__name__} is not accepted; accepted are Objective objects"
            )
        if not 0 <= index < count:
            raise ArgumentError(f"index, count: {index!r}, {count!r} are not accepted; accepted are 0 <= index < count")
        self._whole = objective
        self._index, self._count = int(index), int(count)

    @property
    def whole(self) -> Objective:
        """The objective that is shared."""
        return self._whole

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term."""
        return self._whole.weights

    def parameters(self) -> Tensor:
        """Return a copy of the parameters, [P]."""
        return self._whole.parameters()

    def load(self, theta: Tensor) -> None:
        """Set the parameters from [P]."""
        self._whole.load(theta)

    def _range(self, size: int) -> range:
        return range(size * self._index // self._count, size * (self._index + 1) // self._count)

    def sizes(self) -> Mapping[str, int]:
        """Return the number of rows of each term in this share; 0 for terms with fewer rows than shares, in some."""
        return {name: len(self._range(size)) for name, size in self._whole.sizes().items()}

    def _rows(self, rows: Rows | None) -> dict[str, slice | Tensor]:
        """Return rows of the whole objective for rows of the share."""
        result: dict[str, slice | Tensor] = {}
        for name, size in self._whole.sizes().items():
            mine = self._range(size)
            chosen = slice(None) if rows is None else rows.get(name, slice(0))
            if isinstance(chosen, Tensor):
                result[name] = chosen + mine.start
            elif part := mine[chosen]:
                result[name] = slice(part.start, part.stop, part.step)
        return result

    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return r_k at rows of the share."""
        return self._whole.residuals(self._rows(rows))

    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return r_k and J_k at rows of the share."""
        return self._whole.jacobian(self._rows(rows), out)

    def weighted_gradient(
        self, factors: Mapping[str, float], rows: Rows | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return r_k and sum_k factors[k] J_k' r_k at rows of the share."""
        return self._whole.weighted_gradient(factors, self._rows(rows))

    def differential(self, rows: Rows | None = None) -> Differential:
        """Return r_k and products with J_k at rows of the share."""
        return self._whole.differential(self._rows(rows))

    def groups(self) -> Sequence[Sequence[str]]:
        """Return the names of terms that share their points."""
        return self._whole.groups()

    def chunk_size(self) -> int:
        """Return how many rows are treated at once."""
        return self._whole.chunk_size()

    def resample(self, generator: torch.Generator) -> None:
        """Draw new points of the whole objective."""
        self._whole.resample(generator)

    def fresh(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return residuals at newly drawn points of the whole objective."""
        return self._whole.fresh(generator)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must keep besides the parameters."""
        return self._whole.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what `state` returned."""
        self._whole.restore(state)
