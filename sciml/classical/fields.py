"""Functions of tensor-product spaces and their evaluation: what the stationary solvers return."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sciml.classical.spaces import Mesh, PeriodicMesh, Space
from sciml.notation import Partial
from sciml.solution import Evaluator

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Fields", "Meshes", "Source", "StationaryEvaluator", "apply"]

Array = NDArray[Any]
Meshes = Sequence[Mesh | PeriodicMesh]


def apply(matrix: Array | sparse.csr_array, values: Array, axis: int) -> Array:
    """Apply a matrix along one axis of an array."""
    moved = np.moveaxis(values, axis, 0)
    result = matrix @ moved.reshape(moved.shape[0], -1)
    return np.moveaxis(result.reshape(-1, *moved.shape[1:]), 0, axis)


class Fields:
    """Functions of tensor-product spaces, by name.

    Parameters
    ----------
    spaces : for each field one space per coordinate.
    coefficients : for each field an array with one axis per coordinate.
    """

    def __init__(self, spaces: Mapping[str, tuple[Space, ...]], coefficients: Mapping[str, Array]) -> None:
        self.spaces, self.coefficients = dict(spaces), dict(coefficients)

    def on_grid(self, name: str, orders: Sequence[int], axes: Sequence[Array]) -> Array:
        """Values of a derivative on the tensor product of points, one axis per coordinate."""
        result = self.coefficients[name]
        for axis, (space, points, order) in enumerate(zip(self.spaces[name], axes, orders, strict=True)):
            result = apply(space.matrix(points, order), result, axis)
        return result

    def at(self, name: str, orders: Sequence[int], points: Array) -> Array:
        """Values of a derivative at points [N, d]."""
        spaces, coefficients = self.spaces[name], self.coefficients[name]
        axes = [np.unique(column, return_inverse=True) for column in np.asarray(points).T]
        if math.prod(values.size for values, _ in axes) <= 4 * len(points):
            # A tensor grid in disguise: far cheaper one coordinate at a time.
            grid = self.on_grid(name, orders, [values for values, _ in axes])
            return grid[tuple(inverse for _, inverse in axes)]
        matrices = [space.matrix(points[:, a], orders[a]) for a, space in enumerate(spaces)]
        result = (matrices[0] @ coefficients.reshape(spaces[0].size, -1)).reshape(len(points), *coefficients.shape[1:])
        for matrix in matrices[1:]:
            result = np.einsum("ni,ni...->n...", matrix.toarray(), result)
        return result


class Source(NamedTuple):
    """How an unknown is read off a field: `factor` times its derivative of `orders`."""

    field: str
    orders: tuple[int, ...]
    factor: float = 1.0


@final
class StationaryEvaluator(Evaluator):
    """Evaluation of tensor-product fields, derivatives of any order taken from the basis functions.

    Parameters
    ----------
    fields : the functions.
    meshes : for each field its meshes.
    orders : for each field the order of its space in each coordinate.
    sources : for each unknown where its values come from; by default the field of the same name.
    """

    kind: ClassVar[str] = "stationary"

    def __init__(
        self,
        fields: Fields,
        meshes: Mapping[str, Meshes],
        orders: Mapping[str, Sequence[int]],
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        self.fields, self.meshes, self.orders = fields, dict(meshes), dict(orders)
        self.sources = dict(sources or {name: Source(name, (0,) * len(orders[name])) for name in fields.spaces})

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the derivatives `partials` at `points` [N, d], as float64 [len(partials), N]."""
        points = np.asarray(points, dtype=float)
        result = np.empty((len(partials), len(points)))
        for row, partial in zip(result, partials, strict=True):
            source = self.sources[partial.unknown]
            orders = [a + b for a, b in zip(source.orders, partial.orders, strict=True)]
            row[:] = source.factor * self.fields.at(source.field, orders, points)
        return result

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return coefficients and breakpoints, and the description of the spaces."""
        arrays = {f"coefficients {name}": values for name, values in self.fields.coefficients.items()}
        description = {}
        for name, meshes in self.meshes.items():
            for axis, mesh in enumerate(meshes):
                arrays[f"breakpoints {name} {axis}"] = mesh.breakpoints
            description[name] = {
                "counts": [mesh.count for mesh in meshes],
                "periodic": [mesh.periodic for mesh in meshes],
                "orders": [int(k) for k in self.orders[name]],
            }
        sources = {unknown: [s.field, list(s.orders), s.factor] for unknown, s in self.sources.items()}
        return arrays, {"fields": description, "sources": sources}

    @classmethod
    def restore(
        cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem
    ) -> StationaryEvaluator:
        """Build the evaluator from `state` again."""
        meshes: dict[str, list[Mesh | PeriodicMesh]] = {}
        orders, spaces, coefficients = {}, {}, {}
        for name, about in rest["fields"].items():
            meshes[name] = []
            for axis, (count, periodic) in enumerate(zip(about["counts"], about["periodic"], strict=True)):
                ends = np.asarray(arrays[f"breakpoints {name} {axis}"], dtype=float)
                meshes[name].append(PeriodicMesh(ends[0], ends[1], count) if periodic else Mesh(ends, count))
            orders[name] = tuple(about["orders"])
            spaces[name] = tuple(mesh.space(k) for mesh, k in zip(meshes[name], orders[name], strict=True))
            coefficients[name] = np.asarray(arrays[f"coefficients {name}"], dtype=float)
            shape = tuple(space.size for space in spaces[name])
            if coefficients[name].shape != shape or len(shape) != len(problem.coordinates):
                raise ValueError(f"the coefficients of {name} have shape {coefficients[name].shape}, not {shape}")
        sources = {
            unknown: Source(str(field), tuple(shift), float(factor))
            for unknown, (field, shift, factor) in rest["sources"].items()
        }
        return cls(Fields(spaces, coefficients), meshes, orders, sources)
