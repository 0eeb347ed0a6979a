"""Solutions that depend on time, evaluated: a trajectory in time of the coefficients of a basis in space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from sciml.classical.exponential_trajectory import ExponentialTrajectory
from sciml.classical.first_order import FirstOrderForm
from sciml.classical.modal import ModalTrajectory
from sciml.classical.spaces import Mesh, PeriodicMesh
from sciml.classical.trajectory import PiecewisePolynomial
from sciml.notation import Partial
from sciml.solution import Evaluator

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["CollocationEvaluator", "FourierEvaluator", "OrdinaryEvaluator"]

Array = NDArray[Any]

# Coefficients of as many times as fit into this many numbers are formed at once.
NUMBERS = 2**22


@final
class OrdinaryEvaluator(Evaluator):
    """The solution of a system of ordinary equations.

    Parameters
    ----------
    trajectory : the components as functions of time, n = number of components.
    form : which component is what.
    """

    kind: ClassVar[str] = "ordinary"

    def __init__(self, trajectory: PiecewisePolynomial, form: FirstOrderForm) -> None:
        self.trajectory, self.form = trajectory, form

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the derivatives `partials` at `points` [N, 1] as [len(partials), N]."""
        wanted = [self.form.component_of(partial) for partial in partials]
        orders = {order: self.trajectory.values(points[:, 0], order) for _, _, order in wanted}
        return np.stack([orders[order][:, component] for component, _, order in wanted])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return named arrays and a JSON-able rest."""
        return self.trajectory.arrays(), {"form": describe(self.form)}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> OrdinaryEvaluator:
        """Build the evaluator from `state` again."""
        return cls(PiecewisePolynomial.restore(arrays), recover(rest["form"]))


def describe(form: FirstOrderForm) -> dict[str, Any]:
    """Return what an evaluator needs of a first-order form, JSON-able."""
    return {"time": form.time, "components": [[c.unknown, list(c.orders)] for c in form.components]}


def recover(description: Mapping[str, Any]) -> FirstOrderForm:
    """Return the form of `describe`, without its rates."""
    components = tuple(Partial(name, tuple(orders)) for name, orders in description["components"])
    return FirstOrderForm(int(description["time"]), components, ())


@final
class FourierEvaluator(Evaluator):
    """The solution of an evolution equation in Fourier modes, their trajectory from an exponential integrator.

    Parameters
    ----------
    trajectory : the modes in the basis in which the linear part is diagonal, n = components * modes.
    form : which component is what.
    wavenumbers : angular wave numbers along each space coordinate; along the last those >= 0 stand for both signs.
    origins : where the phase of each coordinate is zero.
    vectors : eigenvectors of each mode, [*modes, components, components]; None for the components themselves.
    """

    kind: ClassVar[str] = "fourier"

    def __init__(
        self,
        trajectory: ExponentialTrajectory,
        form: FirstOrderForm,
        wavenumbers: Sequence[Array],
        origins: Sequence[float],
        vectors: Array | None,
    ) -> None:
        self.trajectory, self.form = trajectory, form
        self.wavenumbers, self.origins = tuple(map(np.ascontiguousarray, wavenumbers)), tuple(origins)
        self.vectors = None if vectors is None else np.ascontiguousarray(vectors)

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the derivatives `partials` at `points` [N, d] as [len(partials), N]."""
        shape = (len(self.form.components), *(k.size for k in self.wavenumbers))
        wanted = [self.form.component_of(partial) for partial in partials]

        def coefficients(times: Array) -> list[Array]:
            found = {}
            for order in {order for _, _, order in wanted}:
                w = self.trajectory.values(times, order).reshape(-1, *shape)
                found[order] = w if self.vectors is None else np.einsum("...ij,tj...->ti...", self.vectors, w)
            return [found[order][:, component] for component, _, order in wanted]

        space = np.delete(points, self.form.time, axis=1)
        values = _synthesise(
            points[:, self.form.time],
            [np.unique(column, return_inverse=True) for column in space.T],
            [lambda axis, x, orders=orders: self._table(axis, x, orders[axis]) for _, orders, _ in wanted],
            coefficients,
            math.prod(shape),
        )
        return np.real(values)

    def _table(self, axis: int, x: Array, order: int) -> Array:
        k = self.wavenumbers[axis]
        table = (1j * k) ** order * np.exp(1j * np.outer(x - self.origins[axis], k))
        if axis == len(self.wavenumbers) - 1:
            table[:, k > 0] *= 2
        return table

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return named arrays and a JSON-able rest."""
        arrays = self.trajectory.arrays()
        for axis, k in enumerate(self.wavenumbers):
            arrays[f"wavenumbers_{axis}"] = k
        if self.vectors is not None:
            arrays["vectors"] = self.vectors
        return arrays, {"form": describe(self.form), "origins": list(self.origins)}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> FourierEvaluator:
        """Build the evaluator from `state` again."""
        origins = [float(x) for x in rest["origins"]]
        wavenumbers = [arrays[f"wavenumbers_{axis}"] for axis in range(len(origins))]
        trajectory = ExponentialTrajectory.restore(arrays)
        return cls(trajectory, recover(rest["form"]), wavenumbers, origins, arrays.get("vectors"))


@final
class CollocationEvaluator(Evaluator):
    """The solution of an evolution equation in tensor-product spaces of polynomials (and of trigonometric ones).

    Parameters
    ----------
    trajectory : coefficients of all components, flat, as functions of time.
    form : which component is what.
    meshes : one for each space coordinate.
    orders : for each component the orders of its spaces along the coordinates, [components, d].
    """

    kind: ClassVar[str] = "collocation"

    def __init__(
        self,
        trajectory: PiecewisePolynomial | ModalTrajectory,
        form: FirstOrderForm,
        meshes: Sequence[Mesh | PeriodicMesh],
        orders: Sequence[Sequence[int]],
    ) -> None:
        self.trajectory, self.form = trajectory, form
        self.meshes, self.orders = tuple(meshes), tuple(tuple(row) for row in orders)
        self._spaces = [[mesh.space(k) for mesh, k in zip(self.meshes, row, strict=True)] for row in self.orders]
        self._shapes = [tuple(space.size for space in row) for row in self._spaces]
        self._starts = np.cumsum([0, *(math.prod(shape) for shape in self._shapes)])
        if len(self._spaces) != len(form.components) or self._starts[-1] != trajectory.size:
            raise ValueError(f"{trajectory.size} coefficients do not fit the shapes {self._shapes}")

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the derivatives `partials` at `points` [N, d] as [len(partials), N]."""
        wanted = [self.form.component_of(partial) for partial in partials]

        def coefficients(times: Array) -> list[Array]:
            found = {order: self.trajectory.values(times, order) for order in {order for _, _, order in wanted}}
            return [
                found[order][:, self._starts[i] : self._starts[i + 1]].reshape(-1, *self._shapes[i])
                for i, _, order in wanted
            ]

        space = np.delete(points, self.form.time, axis=1)
        return _synthesise(
            points[:, self.form.time],
            [np.unique(column, return_inverse=True) for column in space.T],
            [
                lambda axis, x, i=i, orders=orders: self._spaces[i][axis].matrix(x, orders[axis]).toarray()
                for i, orders, _ in wanted
            ],
            coefficients,
            int(self._starts[-1]),
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return named arrays and a JSON-able rest."""
        arrays = self.trajectory.arrays()
        for axis, mesh in enumerate(self.meshes):
            arrays[f"breakpoints_{axis}"] = mesh.breakpoints
        return arrays, {
            "form": describe(self.form),
            "counts": [mesh.count for mesh in self.meshes],
            "periodic": [mesh.periodic for mesh in self.meshes],
            "orders": [list(row) for row in self.orders],
        }

    @classmethod
    def restore(
        cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem
    ) -> CollocationEvaluator:
        """Build the evaluator from `state` again."""
        meshes: list[Mesh | PeriodicMesh] = []
        for axis, (count, periodic) in enumerate(zip(rest["counts"], rest["periodic"], strict=True)):
            ends = arrays[f"breakpoints_{axis}"]
            meshes.append(PeriodicMesh(ends[0], ends[1], count) if periodic else Mesh(ends, count))
        kind = ModalTrajectory if "basis" in arrays else PiecewisePolynomial
        return cls(kind.restore(arrays), recover(rest["form"]), meshes, rest["orders"])


def _synthesise(
    times: Array,
    columns: Sequence[tuple[Array, Array]],
    tables: Sequence[Callable[[int, Array], Array]],
    coefficients: Callable[[Array], Sequence[Array]],
    size: int,
) -> Array:
    """Sum expansions whose coefficients depend on time.

    Parameters
    ----------
    times : of the points, [N].
    columns : for each space coordinate its distinct values [X] and for each point which of them it has, [N].
    tables : for each result the map (axis, values [X]) to the basis functions there, [X, K of the axis].
    coefficients : times [T] to one array [T, *K] for each result.
    size : number of coefficients of one time.

    Returns
    -------
    Array [results, N].
    """
    moments, which = np.unique(times, return_inverse=True)
    matrices = [[table(axis, x) for axis, (x, _) in enumerate(columns)] for table in tables]
    kind = complex if any(np.iscomplexobj(m) for row in matrices for m in row) else float
    result = np.empty((len(tables), times.size), dtype=kind)
    batch = max(1, NUMBERS // size)
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(0, moments.size + batch, batch))
    for number, start in enumerate(range(0, moments.size, batch)):
        here = order[bounds[number] : bounds[number + 1]]
        local = which[here] - start
        indices = [inverse[here] for _, inverse in columns]
        grid = math.prod(x.size for x, _ in columns) * min(batch, moments.size - start)
        for row, field in enumerate(coefficients(moments[start : start + batch])):
            contract = _on_tensor if grid <= 4 * here.size + 64 else _scattered
            result[row, here] = contract(field, local, matrices[row], indices)
    return result


def _on_tensor(field: Array, local: Array, matrices: Sequence[Array], indices: Sequence[Array]) -> Array:
    """Sum on the tensor grid of all coordinates, then pick the points: far cheaper where they fill the grid."""
    for axis, matrix in enumerate(matrices, start=1):
        field = np.moveaxis(np.tensordot(field, matrix, axes=(axis, 1)), -1, axis)
    return field[(local, *indices)]


def _scattered(field: Array, local: Array, matrices: Sequence[Array], indices: Sequence[Array]) -> Array:
    """Sum point by point, those of one time together."""
    result = np.empty(local.size, dtype=matrices[0].dtype)
    starts = np.searchsorted(local, np.arange(field.shape[0] + 1))
    for moment, (first, last) in enumerate(itertools.pairwise(starts)):
        rows = [matrix[index[first:last]] for matrix, index in zip(matrices, indices, strict=True)]
        value = np.tensordot(rows[0], field[moment], axes=(1, 0))
        for row in rows[1:]:
            value = np.einsum("nk,nk...->n...", row, value)
        result[first:last] = value
    return result
