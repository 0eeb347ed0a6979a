"""Evolution equations on boxes that are not periodic: polynomials in space, collocated at Gauss points.

An unknown with k conditions in a coordinate is a polynomial with k coefficients more than there are collocation
points; values there and the conditions determine it. So the state of the system in time is free of constraints, and any
linear conditions, as many as there may be at each end, hold exactly at all times.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.fields import apply
from sciml.classical.first_order import FirstOrderForm
from sciml.classical.radau import DenseLinearisation
from sciml.classical.separable import SeparableLinearisation
from sciml.classical.sides import Side
from sciml.classical.spaces import Mesh, PeriodicMesh, Space
from sciml.errors import ProblemError
from sciml.formulas import Formula
from sciml.notation import to_numpy

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["CollocationSystem"]

Array = NDArray[Any]


class CollocationSystem:
    """y' = f(t, y) for the values y of all components at the collocation points.

    Parameters
    ----------
    problem, form : the equations.
    sides : the boundary conditions of the coordinates that are not periodic.
    meshes : one for each space coordinate.
    """

    def __init__(
        self, problem: Problem, form: FirstOrderForm, sides: Sequence[Side], meshes: Sequence[Mesh | PeriodicMesh]
    ) -> None:
        self.problem, self.form, self.meshes = problem, form, tuple(meshes)
        self.shape = tuple(mesh.size for mesh in meshes)
        self.dimension = len(meshes)
        self.sides = {
            (u, axis): [side for side in sides if side.unknown == u and side.axis == axis]
            for u in problem.unknowns
            for axis in range(self.dimension)
        }
        self.spaces = {key: self.meshes[key[1]].space(len(found)) for key, found in self.sides.items()}
        # Corners belong to the conditions with the lowest derivatives: these are imposed last, at all points along.
        highest = [max((len(s.weights) for s in sides if s.axis == axis), default=0) for axis in range(self.dimension)]
        self._order = sorted(range(self.dimension), key=lambda axis: (-highest[axis], -axis))
        self._inner, self._outer = self._solve_conditions()
        self._constant_sides: dict[tuple[Side, int], Array] = {}
        self._tables: dict[tuple[str, int, int], Array] = {}
        partials = problem.vocabulary.partials(*form.rates)
        self._leaves = [form.component_of(p)[:2] for p in partials]
        symbols = [problem.vocabulary.symbol(c) for c in problem.coordinates]
        leaves = [problem.vocabulary.expression(p) for p in partials]
        self._rates = to_numpy(list(form.rates), [*symbols, *leaves], dict(problem.functions))
        self._formulas = [Formula(rate, problem) for rate in form.rates]
        count = len(form.components)
        self.groups = np.repeat(np.arange(count), int(np.prod(self.shape)))
        self.size = self.groups.size

    def initial(self, formulas: Sequence[sympy.Expr]) -> Array:
        """Return the state of initial values given as formulas in the space coordinates."""
        symbols = [self.problem.vocabulary.symbol(c) for c in self.problem.space]
        grid = np.meshgrid(*(mesh.points for mesh in self.meshes), indexing="ij")
        values = to_numpy(list(formulas), symbols, dict(self.problem.functions))(*grid)
        return np.concatenate([value.ravel() for value in values])

    def rates(self, times: Array, states: Array) -> Array:
        """Return f at `times` [T] and `states` [T, n], as [T, n]."""
        coefficients = self._coefficients(times, states)
        values = self._rates(*self._grid(times), *self._fields(coefficients, self._leaves))
        shape = (len(times), *self.shape)
        return np.concatenate([np.broadcast_to(v, shape).reshape(len(times), -1) for v in values], axis=1)

    def jacobian(self, time: float, state: Array) -> DenseLinearisation:
        """Return the derivative of f by y, dense."""
        times = np.array([time])
        coefficients, grid = self._coefficients(times, state[None]), self._grid(times)
        block = int(np.prod(self.shape))
        matrix = np.zeros((self.size, self.size))
        for i, formula in enumerate(self._formulas):
            places = [self.form.component_of(p)[:2] for p in formula.partials]
            for (j, orders), slope in zip(
                places, formula.slopes(grid, self._fields(coefficients, places)), strict=True
            ):
                unknown = self.form.components[j].unknown
                parts = [self._table(unknown, axis, k) @ self._inner[unknown, axis] for axis, k in enumerate(orders)]
                slope = np.broadcast_to(slope, (1, *self.shape)).ravel()
                matrix[i * block : (i + 1) * block, j * block : (j + 1) * block] += slope[:, None] * reduce(
                    np.kron, parts
                )
        return DenseLinearisation(matrix)

    @property
    def separable(self) -> bool:
        """Whether mean coefficients can stand for the Jacobian: first order in time, two space coordinates."""
        return len(self.form.components) == len(self.problem.unknowns) and self.dimension == 2

    def mean_jacobian(self, time: float, state: Array) -> SeparableLinearisation:
        """Return the Jacobian with mean coefficients, without mixed derivatives and without other components."""
        times = np.array([time])
        coefficients, grid = self._coefficients(times, state[None]), self._grid(times)
        result = []
        for i, formula in enumerate(self._formulas):
            places = [self.form.component_of(p)[:2] for p in formula.partials]
            unknown = self.form.components[i].unknown
            along = [np.zeros((n, n)) for n in self.shape]
            for (j, orders), slope in zip(
                places, formula.slopes(grid, self._fields(coefficients, places)), strict=True
            ):
                if j == i and not all(orders):
                    axis = 1 if orders[1] else 0
                    table = self._table(unknown, axis, orders[axis]) @ self._inner[unknown, axis]
                    along[axis] += float(np.mean(slope)) * table
            result.append((along[0], along[1]))
        return SeparableLinearisation(result)

    def expand(self, times: Array, states: Array) -> Array:
        """Return the coefficients of all components, flat, at `times` [T] for `states` [T, n]."""
        return np.concatenate([c.reshape(len(times), -1) for c in self._coefficients(times, states)], axis=1)

    @property
    def orders(self) -> list[list[int]]:
        """The number of conditions along each coordinate for each component: the orders of its spaces."""
        return [
            [len(self.sides[component.unknown, axis]) for axis in range(self.dimension)]
            for component in self.form.components
        ]

    def component_spaces(self) -> list[tuple[Space, ...]]:
        """Return the spaces along the coordinates of each component."""
        return [tuple(self.spaces[c.unknown, axis] for axis in range(self.dimension)) for c in self.form.components]

    def tails(self, coefficients: Array) -> list[Array]:
        """For each coordinate and element the relative size of the highest functions, for flat coefficients.

        Relative to the norm of all unknowns over the box.
        """
        high = [np.zeros(mesh.elements) for mesh in self.meshes]
        total, start = 0.0, 0
        for component, spaces in zip(self.form.components, self.component_spaces(), strict=True):
            shape = tuple(space.size for space in spaces)
            field = coefficients[start : start + int(np.prod(shape))].reshape(shape)
            start += field.size
            if any(component.orders):
                continue
            # Matrices to values at the points, weighted so that sums of squares are integrals.
            weighted = [
                self._table(component.unknown, axis, 0) * np.sqrt(mesh.weights)[:, None]
                for axis, mesh in enumerate(self.meshes)
            ]
            for axis, space in enumerate(spaces):
                values = field
                for other in range(self.dimension):
                    values = values if other == axis else apply(weighted[other], values, other)
                values = np.moveaxis(values, axis, -1)
                for element, (indices, norms) in enumerate(space.tails()):
                    high[axis][element] += np.sum((values[..., indices] * norms) ** 2)
            for axis in range(self.dimension):
                field = apply(weighted[axis], field, axis)
            total += float(np.sum(field**2))
        return [np.sqrt(h / total) if total > 0 else h for h in high]

    def _solve_conditions(self) -> tuple[dict[tuple[str, int], Array], dict[tuple[str, int], Array]]:
        """For each unknown and coordinate the maps from point values, and from right-hand sides, to coefficients."""
        inner, outer = {}, {}
        for (unknown, axis), space in self.spaces.items():
            sides, mesh = self.sides[unknown, axis], self.meshes[axis]
            system = np.vstack([space.matrix(mesh.points).toarray(), *(side.row(space)[None] for side in sides)])
            # Rows and columns of the same size, so that only a true dependence looks like one.
            columns = np.abs(system[: mesh.size]).max(axis=0, keepdims=True)
            rows = np.abs(system / columns).max(axis=1, keepdims=True)
            scaled = system / columns / np.where(rows == 0, 1.0, rows)
            if np.linalg.cond(scaled) > 1e14:
                names = "; ".join(repr(side.name) for side in sides)
                raise ProblemError(f"the conditions {names} do not determine {unknown} at the boundary")
            inverse = np.linalg.inv(scaled) / rows.T / columns.T
            inner[unknown, axis], outer[unknown, axis] = inverse[:, : mesh.size], inverse[:, mesh.size :]
        return inner, outer

    def _coefficients(self, times: Array, states: Array) -> list[Array]:
        """Coefficients [T, *sizes] of each component from values at the points and conditions at the sides."""
        values = states.reshape(len(times), len(self.form.components), *self.shape)
        result = []
        for i, component in enumerate(self.form.components):
            unknown, order = component.unknown, component.orders[self.form.time]
            field = values[:, i]
            done: list[int] = []
            for axis in self._order:
                extended = apply(self._inner[unknown, axis], field, axis + 1)
                sides = self.sides[unknown, axis]
                if sides:
                    data = [self._side_values(side, order, times, done) for side in sides]
                    extended = extended + apply(
                        self._outer[unknown, axis], np.concatenate(data, axis=axis + 1), axis + 1
                    )
                field = extended
                done.append(axis)
            result.append(field)
        return result

    def _side_values(self, side: Side, order: int, times: Array, done: Sequence[int]) -> Array:
        """Right-hand side of a condition: along coordinates that are done as coefficients, else at the points."""
        if not side.constant:
            return self._compute_side(side, order, times, done)
        if (side, order) not in self._constant_sides:
            self._constant_sides[side, order] = self._compute_side(side, order, times[:1], done)
        value = self._constant_sides[side, order]
        return np.broadcast_to(value, (len(times), *value.shape[1:]))

    def _compute_side(self, side: Side, order: int, times: Array, done: Sequence[int]) -> Array:
        points = [
            np.array([side.end]) if axis == side.axis
            else self.spaces[side.unknown, axis].nodes if axis in done
            else self.meshes[axis].points
            for axis in range(self.dimension)
        ]  # fmt: skip
        value = side.value(order, self._broadcast(points, times))
        value = np.broadcast_to(value, (len(times), *(p.size for p in points)))
        for axis in done:
            value = apply(self.spaces[side.unknown, axis].fit, value, axis + 1)
        return value

    def _fields(self, coefficients: list[Array], leaves: Sequence[tuple[int, tuple[int, ...]]]) -> list[Array]:
        result = []
        for component, orders in leaves:
            field = coefficients[component]
            for axis, order in enumerate(orders):
                field = apply(self._table(self.form.components[component].unknown, axis, order), field, axis + 1)
            result.append(field)
        return result

    def _table(self, unknown: str, axis: int, order: int) -> Array:
        key = (unknown, axis, order)
        if key not in self._tables:
            self._tables[key] = self.spaces[unknown, axis].matrix(self.meshes[axis].points, order).toarray()
        return self._tables[key]

    def _grid(self, times: Array) -> list[Array]:
        return self._broadcast([mesh.points for mesh in self.meshes], times)

    def _broadcast(self, points: Sequence[Array], times: Array) -> list[Array]:
        """One array per coordinate of the problem, broadcasting to [T, *points]."""
        rank = self.dimension + 1
        columns = [p.reshape([-1 if a == axis + 1 else 1 for a in range(rank)]) for axis, p in enumerate(points)]
        columns.insert(self.form.time, np.reshape(times, [-1] + [1] * self.dimension))
        return columns
