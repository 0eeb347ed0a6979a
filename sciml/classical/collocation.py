"""Collocation of a stationary problem on a tensor mesh: residuals and Jacobians, dense or sparse.

Every unknown lives in a tensor product of one-dimensional spaces, of the order to which it is differentiated in each
coordinate. All equations hold at the tensor product of the meshes' Gauss points. The conditions of one coordinate hold
along the others at as many points as the spaces there have functions, those of a later coordinate only at the Gauss
points, so that equations and conditions together are as many as coefficients and no corner is asked twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sciml.classical.discretisation import Discretisation
from sciml.classical.fields import Fields, Meshes, StationaryEvaluator, apply
from sciml.classical.terms import Declaration, Term
from sciml.notation import Partial

if TYPE_CHECKING:
    pass

__all__ = ["Collocation"]

Array = NDArray[Any]


class Collocation(Discretisation):
    """The nonlinear system F(c) = 0 for the coefficients c of all unknowns on given meshes.

    Parameters
    ----------
    declaration : the compiled problem.
    meshes : one per coordinate.
    """

    def __init__(self, declaration: Declaration, meshes: Meshes) -> None:
        self.declaration, self.meshes = declaration, tuple(meshes)
        self.linear = declaration.linear
        self.relaxation = 0.0
        self.spaces = {
            u: tuple(mesh.space(k) for mesh, k in zip(meshes, orders, strict=True))
            for u, orders in declaration.orders.items()
        }
        self.shapes = {u: tuple(space.size for space in spaces) for u, spaces in self.spaces.items()}
        self.size = sum(math.prod(shape) for shape in self.shapes.values())
        self.sparse = any(mesh.elements > 1 for mesh in meshes)
        self._tables: dict[tuple[str, int, int, bytes], sparse.csr_array] = {}
        self._terms = [(term, self._axes(term)) for term in (*declaration.equations, *declaration.conditions)]
        self.rows = sum(math.prod(points.size for points in axes) for _, axes in self._terms)
        weights = [mesh.weights for mesh in meshes]
        self._weights = reduce(np.multiply.outer, weights)

    def relaxed(self, relaxation: float) -> Collocation:
        """The same system with the highest derivatives of the equations multiplied by 1 + `relaxation`."""
        other = copy(self)
        other.relaxation = relaxation
        return other

    def fields(self, vector: Array) -> Fields:
        """Split a vector of coefficients by unknown."""
        coefficients, start = {}, 0
        for u, shape in self.shapes.items():
            stop = start + math.prod(shape)
            coefficients[u] = vector[start:stop].reshape(shape)
            start = stop
        return Fields(self.spaces, coefficients)

    def transfer(self, fields: Fields) -> Array:
        """Coefficients that interpolate given fields at the nodes of this system's spaces."""
        zero = (0,) * len(self.meshes)
        parts = []
        for u, spaces in self.spaces.items():
            values = fields.on_grid(u, zero, [space.nodes for space in spaces])
            for axis, space in enumerate(spaces):
                values = apply(space.fit, values, axis)
            parts.append(values.ravel())
        return np.concatenate(parts)

    def starts(self) -> list[Array]:
        """First guesses: zero, the smoothest fields that fit the conditions, a constant."""
        zero = np.zeros(self.size)
        return [zero] if self.linear else [zero, self._lift(), self.constant(1.0)]

    def constant(self, value: float) -> Array:
        """Coefficients of fields that have one value everywhere."""
        parts = []
        for spaces in self.spaces.values():
            values = np.full([space.size for space in spaces], value)
            for axis, space in enumerate(spaces):
                values = apply(space.fit, values, axis)
            parts.append(values.ravel())
        return np.concatenate(parts)

    def _lift(self) -> Array:
        """Coefficients of the smoothest fields (in their second derivatives) that satisfy the linearised conditions."""
        if self.sparse or self.size > 2500 or not self.declaration.conditions:
            return np.zeros(self.size)
        zero = np.zeros(self.size)
        first = sum(math.prod(a.size for a in axes) for _, axes in self._terms[: len(self.declaration.equations)])
        sides, values = self.jacobian(zero)[first:], self.residual(zero)[first:]
        rough, start = [], 0
        for u, shape in self.shapes.items():
            for axis in range(len(shape)):
                orders = [2 if a == axis else 0 for a in range(len(shape))]
                tables = [self._table(u, a, k, self.meshes[a].points).toarray() for a, k in enumerate(orders)]
                block = np.zeros((self._weights.size, self.size))
                block[:, start : start + math.prod(shape)] = reduce(np.kron, tables)
                rough.append(block)
            start += math.prod(shape)
        if not (np.all(np.isfinite(sides)) and np.all(np.isfinite(values))):
            return zero
        weight = 1e4 / (np.abs(sides).max() or 1.0)
        matrix = np.vstack([weight * sides, *rough])
        right = np.concatenate([-weight * values, np.zeros(len(matrix) - len(values))])
        return np.linalg.lstsq(matrix, right, rcond=1e-12)[0]

    def norm(self, vector: Array) -> float:
        """L2 norm of the fields of a vector, by quadrature over the collocation points."""
        fields, zero = self.fields(vector), (0,) * len(self.meshes)
        axes, total = [mesh.points for mesh in self.meshes], 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for u in self.shapes:
                total += float(np.sum(self._weights * self._on_grid(fields, Partial(u, zero), axes) ** 2))
        return math.sqrt(total)

    def residual(self, vector: Array) -> Array:
        """F(c), the equations first."""
        fields = self.fields(vector)
        return np.concatenate([self._evaluate(term, axes, fields) for term, axes in self._terms])

    def evaluator(self, vector: Array) -> StationaryEvaluator:
        """All unknowns of the problem as functions."""
        fields = self.fields(vector.copy())
        return StationaryEvaluator(fields, dict.fromkeys(fields.spaces, self.meshes), self.declaration.orders)

    def losses(self, vector: Array) -> dict[str, float]:
        """Mean square of the residual by term."""
        residual = self.residual(vector)
        result: dict[str, float] = {}
        start = 0
        for term, axes in self._terms:
            stop = start + math.prod(points.size for points in axes)
            result[term.name] = result.get(term.name, 0.0) + float(np.mean(residual[start:stop] ** 2))
            start = stop
        return result

    def jacobian(self, vector: Array) -> Array | sparse.csc_array:
        """Derivative of F by c, [rows, size]; sparse where a coordinate has several elements."""
        fields = self.fields(vector)
        if self.sparse:
            blocks = [self._linearise(term, axes, fields, None) for term, axes in self._terms]
            return sparse.csc_array(sparse.vstack(blocks, format="csc"))
        matrix = np.zeros((self.rows, self.size))
        start = 0
        for term, axes in self._terms:
            stop = start + math.prod(points.size for points in axes)
            self._linearise(term, axes, fields, matrix[start:stop])
            start = stop
        return matrix

    def tails(self, vector: Array) -> list[Array]:
        """For each coordinate and element, the size of the highest functions relative to the norm of all fields."""
        fields = self.fields(vector)
        scale = self.norm(vector) or 1.0
        result = []
        for axis, mesh in enumerate(self.meshes):
            square = np.zeros(mesh.elements)
            others = [a for a in range(len(self.meshes)) if a != axis]
            weights = reduce(np.multiply.outer, [self.meshes[a].weights for a in others], np.array(1.0))
            for u, spaces in self.spaces.items():
                values = fields.coefficients[u]
                for a in others:
                    values = apply(self._table(u, a, 0, self.meshes[a].points), values, a)
                values = np.moveaxis(values, axis, 0)
                for element, (indices, norms) in enumerate(spaces[axis].tails()):
                    amplitude = (values[indices] ** 2 * weights).reshape(indices.size, -1).sum(axis=1)
                    square[element] += float(np.sum(norms**2 * amplitude))
            result.append(np.sqrt(square) / scale)
        return result

    def _axes(self, term: Term) -> list[Array]:
        """Points along each coordinate at which a term is asked."""
        if not term.place:
            return [mesh.points for mesh in self.meshes]
        rank = self.declaration.rank
        own = min((rank[axis] for axis in term.place), default=0)
        # The unknown that the condition is about: the one with the highest derivative across the side.
        leading = max(term.formula.partials, key=lambda p: (max(p.orders[a] for a in term.place), sum(p.orders)))
        axes = []
        for axis, mesh in enumerate(self.meshes):
            if axis in term.place:
                axes.append(np.array([term.place[axis]]))
            elif rank[axis] > own:
                axes.append(self.spaces[leading.unknown][axis].nodes)
            else:
                axes.append(mesh.points)
        return axes

    def _evaluate(self, term: Term, axes: list[Array], fields: Fields) -> Array:
        arguments = self._arguments(term, axes, fields)
        value = term.formula.value(_grid(axes), arguments)
        if term.partner is not None:
            other = self._moved(term, axes)
            value = value - term.formula.value(_grid(other), self._arguments(term, other, fields))
        return value

    def _linearise(self, term: Term, axes: list[Array], fields: Fields, out: Array | None):
        """Rows of the Jacobian of a term: added to `out` (dense), or returned (sparse)."""
        rows = math.prod(points.size for points in axes)
        blocks = (
            {u: sparse.csr_array((rows, math.prod(shape))) for u, shape in self.shapes.items()} if out is None else {}
        )
        columns, start = {}, 0
        for u, shape in self.shapes.items():
            columns[u] = slice(start, start + math.prod(shape))
            start += math.prod(shape)
        sides = [(1.0, axes)] if term.partner is None else [(1.0, axes), (-1.0, self._moved(term, axes))]
        for sign, points in sides:
            slopes = term.formula.slopes(_grid(points), self._arguments(term, points, fields))
            for i, (partial, slope) in enumerate(zip(term.formula.partials, slopes, strict=True)):
                slope = self._weight(term, i) * slope
                if not np.any(slope):
                    continue
                tables = [self._table(partial.unknown, a, k, points[a]) for a, k in enumerate(partial.orders)]
                if out is None:
                    product = reduce(lambda one, two: sparse.kron(one, two, format="csr"), tables)
                    blocks[partial.unknown] = blocks[partial.unknown] + sparse.diags_array(sign * slope) @ product
                else:
                    product = reduce(np.kron, [table.toarray() for table in tables])
                    product *= (sign * slope)[:, None]
                    out[:, columns[partial.unknown]] += product
        return None if out is not None else sparse.hstack(list(blocks.values()), format="csr")

    def _moved(self, term: Term, axes: list[Array]) -> list[Array]:
        partner = term.partner or {}
        return [np.array([partner[a]]) if a in partner else points for a, points in enumerate(axes)]

    def _arguments(self, term: Term, axes: list[Array], fields: Fields) -> list[Array]:
        return [
            self._weight(term, i) * self._on_grid(fields, partial, axes).ravel()
            for i, partial in enumerate(term.formula.partials)
        ]

    def _weight(self, term: Term, i: int) -> float:
        """Factor of the i-th partial of a term in a relaxed system."""
        return 1 + self.relaxation if term.top and term.top[i] else 1.0

    def _on_grid(self, fields: Fields, partial: Partial, axes: Sequence[Array]) -> Array:
        result = fields.coefficients[partial.unknown]
        for axis, order in enumerate(partial.orders):
            result = apply(self._table(partial.unknown, axis, order, axes[axis]), result, axis)
        return result

    def _table(self, unknown: str, axis: int, order: int, points: Array) -> sparse.csr_array:
        key = (unknown, axis, order, points.tobytes())
        if key not in self._tables:
            self._tables[key] = self.spaces[unknown][axis].matrix(points, order)
        return self._tables[key]


def _grid(axes: Sequence[Array]) -> list[Array]:
    return [grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")]
