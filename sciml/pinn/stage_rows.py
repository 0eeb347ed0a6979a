r"""Rows of the least-squares problem of a step: stage equations, conditions at the sides, and measured snapshots.

The state's network is N(x, t) = sum_kj C[k, j] p_k(t) phi_j(x) for each field, with modes p of time and units phi.
Every kind of row has, at each place x_n, residuals whose derivative by the modes c_k = sum_j C[k, j] phi_j(x_n) and
their derivatives in x is a small matrix, `slopes`: the whole Jacobian is a sum of products of it with the units'
values, and is never formed (`sciml.pinn.stage_normal`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from torch import Tensor

from sciml.notation import Partial
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.parametric import ParametricGroup
from sciml.pinn.quantities import Quantities
from sciml.pinn.residual import Field
from sciml.pinn.stage_modes import StageModes

__all__ = ["EquationRows", "Rows", "Slopes", "SnapshotRows"]

# Places that are treated at once.
CHUNK = 48


class Slopes(NamedTuple):
    """Residuals at N places and their derivatives.

    Attributes
    ----------
    values : [N, R].
    modes : by the E derivatives in x, those of `orders`, of K modes: [N, R, E, K].
    numbers : by the unconstrained unknown numbers, [N, R, S].
    orders : which derivatives in x.
    """

    values: Tensor
    modes: Tensor
    numbers: Tensor
    orders: tuple[int, ...]


class Rows(ABC):
    """Rows of one kind at the places `x` [N]; the square of each counts with its factor already inside."""

    x: Tensor

    @property
    @abstractmethod
    def order(self) -> int:
        """The highest derivative in x of the units that is needed."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of residuals, N R."""

    @abstractmethod
    def values(self, units: Tensor, coefficients: Tensor, quantities: Quantities) -> Tensor:
        """Return the residuals [N, R].

        Parameters
        ----------
        units : their derivatives [A, N, m] at the places.
        coefficients : C, [K, m]; K counts the modes of the first field, then those of the next.
        """

    @abstractmethod
    def slopes(self, units: Tensor, coefficients: Tensor, quantities: Quantities) -> Slopes:
        """Return residuals and their derivatives."""


@final
class EquationRows(Rows):
    """Equations at all stages, in their Legendre coefficients.

    Parameters
    ----------
    group : residuals.
    ansatz : of the step.
    modes : of time.
    x : places [N].
    weights : factors of the squares, [N].
    transform : [R, q], from residuals at the stages to what is to be small.
    scales : size of each residual [M].
    axes : columns of space and time.
    """

    def __init__(
        self,
        group: ParametricGroup,
        ansatz: Ansatz,
        modes: StageModes,
        x: Tensor,
        weights: Tensor,
        transform: Tensor,
        scales: Tensor,
        axes: tuple[int, int],
    ) -> None:
        self.x = x
        self.group = group
        self.modes = modes
        self._fields = len(ansatz.fields)
        self._space, self._time = axes
        self._transform = transform
        self._scales = scales
        self._root = weights.sqrt()
        self._block = group.block(modes.grid(x, axes))

    @property
    def order(self) -> int:
        """The highest derivative in x."""
        return max(index[self._space] for index in self.group.field.indices)

    @property
    def size(self) -> int:
        """The number of residuals."""
        return len(self.x) * self.group.count * len(self._transform)

    def values(self, units: Tensor, coefficients: Tensor, quantities: Quantities) -> Tensor:
        """Return the residuals [N, M R]."""
        found = self.group.values(self._block, self._jets(units, coefficients), quantities)
        return self._transformed(found)

    def slopes(self, units: Tensor, coefficients: Tensor, quantities: Quantities) -> Slopes:
        """Return residuals and their derivatives."""
        found = self.group.linearised(self._block, self._jets(units, coefficients), quantities)
        count, stages, rows = len(self.x), self.modes.stages, len(self._transform)
        cotangent = found.cotangent.unflatten(2, (count, stages))  # [M, C, N, q, O]
        places = self._places(cotangent)
        orders = tuple(dict.fromkeys(a for a, _, _ in places))
        width = self.modes.count
        result = cotangent.new_zeros((count, len(cotangent) * rows, len(orders), self._fields * width))
        for (a, m, o), terms in places.items():
            target = result[:, m * rows : (m + 1) * rows, orders.index(a), o * width : (o + 1) * width]
            for start in range(0, count, CHUNK):
                part = slice(start, start + CHUNK)
                total = torch.stack([cotangent[m, c, part, :, o, None] * self.modes.values(b) for c, b in terms]).sum(0)
                target[part] = self._transform @ (total * (self._root[part, None, None] / self._scales[m]))
        numbers = torch.stack([self._transformed(n) for n in found.numbers.unbind(-1)], -1) if quantities.ranges else (
            result.new_zeros((count, result.shape[1], 0))
        )  # fmt: skip
        return Slopes(self._transformed(found.values), result, numbers, orders)

    def _places(self, cotangent: Tensor) -> dict[tuple[int, int, int], list[tuple[int, int]]]:
        """For each (order in x, residual, field) with a part: the jets (index, order in time) that it comes from."""
        found: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
        for c, index in sorted(enumerate(self.group.field.indices), key=lambda pair: pair[1][self._space]):
            for m in range(len(cotangent)):
                for o in range(self._fields):
                    if bool(cotangent[m, c, :, :, o].any()):
                        key = index[self._space], m, o
                        found.setdefault(key, []).append((c, index[self._time]))
        return found

    def _jets(self, units: Tensor, coefficients: Tensor) -> Tensor:
        """The network's jets [C, N q, O] at all stages."""
        by_order = [(units[a] @ coefficients.T).unflatten(1, (self._fields, -1)) for a in range(self.order + 1)]
        jets = [
            (by_order[index[self._space]] @ self.modes.values(index[self._time]).T).mT.flatten(0, 1)
            for index in self.group.field.indices
        ]
        return torch.stack(jets)

    def _transformed(self, values: Tensor) -> Tensor:
        """From values [M, N q] to rows [N, M R]."""
        values = values.unflatten(1, (len(self.x), self.modes.stages)) / self._scales[:, None, None]
        return (values @ self._transform.T).transpose(0, 1).flatten(1) * self._root[:, None]


@final
class SnapshotRows(Rows):
    """Differences of the state and measured values at one time.

    Parameters
    ----------
    ansatz : of the step.
    modes : of time.
    time : of the snapshot.
    x : places [N].
    name : of the unknown.
    data : its measured values [N].
    weight : factor of all squares together, so that one row's is weight / N.
    scale : size of the unknown.
    """

    def __init__(
        self,
        ansatz: Ansatz,
        modes: StageModes,
        time: float,
        x: Tensor,
        name: str,
        data: Tensor,
        weight: float,
        scale: float,
        axes: tuple[int, int],
    ) -> None:
        self.x = x
        self._data = data
        points = x.new_empty((len(x), 2))
        points[:, axes[0]], points[:, axes[1]] = x, time
        field = Field(ansatz, [Partial(name, (0, 0))])
        block = field.block(points)
        (output,) = field.outputs
        self._given = block.g[0]
        self._mode = modes.at(x.new_tensor([time]))[0]
        self._columns = slice(output * modes.count, (output + 1) * modes.count)
        self._factor = block.factors[0, 0]
        self._root = (weight / len(x)) ** 0.5 / scale
        self.width = len(ansatz.fields) * modes.count

    @property
    def order(self) -> int:
        """No derivative is needed."""
        return 0

    @property
    def size(self) -> int:
        """The number of values."""
        return len(self.x)

    def state(self, units: Tensor, coefficients: Tensor) -> Tensor:
        """Return the state [N] at the places."""
        return self._given + self._factor * (units[0] @ (coefficients[self._columns].T @ self._mode))

    def values(self, units: Tensor, coefficients: Tensor, quantities: Quantities) -> Tensor:
        """Return the residuals [N, 1]."""
        return self._root * (self.state(units, coefficients) - self._data)[:, None]

    def slopes(self, units: Tensor, coefficients: Tensor, quantities: Quantities) -> Slopes:
        """Return residuals and their derivatives."""
        modes = units.new_zeros((len(self.x), 1, 1, self.width))
        modes[:, 0, 0, self._columns] = self._root * self._factor[:, None] * self._mode
        numbers = units.new_zeros((len(self.x), 1, len(quantities.ranges)))
        return Slopes(self.values(units, coefficients, quantities), modes, numbers, (0,))
