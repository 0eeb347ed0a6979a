r"""Steady incompressible flow in two coordinates by a stream function and Galerkin's method.

With :math:`u = \psi_y, v = -\psi_x` the flow is incompressible exactly. The momentum equations
:math:`R_1 + p_x = 0, R_2 + p_y = 0`, tested with the curl :math:`(\varphi_y, -\varphi_x)` of stream functions that
vanish on the boundary with their normal derivative, lose the pressure:

.. math:: \int R_1 \varphi_y - R_2 \varphi_x = 0 .

Stream functions are piecewise polynomials with two continuous derivatives, for which these integrals contain nothing
at the interfaces of elements. Velocities that jump in a corner have a stream function of locally finite slope but
infinite energy; the error of the velocity is then confined to elements in the corner, whose size sets it.
"""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sciml.classical.discretisation import Discretisation
from sciml.classical.fields import Fields, Meshes, Source, StationaryEvaluator
from sciml.classical.flow import Flow, boundary_coefficients
from sciml.classical.galerkin import Quadrature
from sciml.classical.newton import Factors
from sciml.classical.spaces import ElementSpace, Mesh
from sciml.formulas import Formula
from sciml.notation import Partial

__all__ = ["StreamFunction"]

Array = NDArray[Any]

PSI = "stream function"


class StreamFunction(Discretisation):
    """The nonlinear system for the coefficients of the stream function that the boundary leaves free.

    Parameters
    ----------
    flow : equations and velocities on the sides.
    meshes : of the two coordinates.
    """

    def __init__(self, flow: Flow, meshes: Meshes) -> None:
        self.flow, self.momentum = flow, flow.momentum
        self.meshes = [mesh for mesh in meshes if isinstance(mesh, Mesh)]
        self.relaxation = 0.0
        self.spaces = tuple(ElementSpace(mesh, 3) for mesh in self.meshes)
        self.rule = Quadrature(self.meshes, 4)
        self.linear = all(formula.linear for formula in flow.momentum)
        self.boundary = boundary_coefficients(self.spaces, flow)
        # At each end the value and the first derivative are given: the second derivative there is free.
        inside = [np.r_[2 : n - 3, n - 1] for n in self.boundary.shape]
        self.inside = np.ix_(*inside)
        self._flat = (inside[0][:, None] * self.boundary.shape[1] + inside[1]).ravel()
        self.size = self.rows = self._flat.size
        self._grid = [grid.ravel() for grid in np.meshgrid(*self.rule.points, indexing="ij")]

    def relaxed(self, relaxation: float) -> StreamFunction:
        """The same flow with viscous terms multiplied by 1 + `relaxation`."""
        other = copy(self)
        other.relaxation = relaxation
        return other

    def coefficients(self, vector: Array) -> Array:
        """All coefficients of the stream function, boundary included, [size, size]."""
        full = self.boundary.copy()
        full[self.inside] = vector.reshape(full[self.inside].shape)
        return full

    def fields(self, vector: Array) -> Fields:
        """The stream function of a vector."""
        return Fields({PSI: self.spaces}, {PSI: self.coefficients(vector)})

    def transfer(self, fields: Fields) -> Array:
        """The free coefficients of another resolution's stream function here."""
        result = fields.coefficients[PSI]
        for axis, (old, new) in enumerate(zip(fields.spaces[PSI], self.spaces, strict=True)):
            points = new.mesh.gauss(new.mesh.count + 2)[0]
            # A fit of values and slopes: derivatives at breakpoints are coefficients.
            system = np.vstack([new.matrix(points).toarray(), new.matrix(points, 1).toarray()])
            target = sparse.vstack([old.matrix(points), old.matrix(points, 1)])
            moved = np.moveaxis(result, axis, 0)
            result = np.moveaxis(np.linalg.lstsq(system, target @ moved, rcond=None)[0], 0, axis)
        return result[self.inside].ravel()

    def evaluator(self, vector: Array) -> StationaryEvaluator:
        """Velocities as derivatives of the stream function, and the pressure."""
        spaces, pressure = self._pressure(vector)
        if self.flow.level is not None:
            place, value = self.flow.level
            there = spaces[0].matrix(np.array(place[:1])) @ pressure @ spaces[1].matrix(np.array(place[1:])).toarray().T
            pressure = pressure + (value - float(there[0, 0])) * np.multiply.outer(_one(spaces[0]), _one(spaces[1]))
        name = self.flow.pressure
        fields = Fields({PSI: self.spaces, name: spaces}, {PSI: self.coefficients(vector), name: pressure})
        u, v = self.flow.velocity
        sources = {u: Source(PSI, (0, 1)), v: Source(PSI, (1, 0), -1.0), name: Source(name, (0, 0))}
        orders = {PSI: (3, 3), name: (1, 1)}
        return StationaryEvaluator(fields, dict.fromkeys(orders, self.meshes), orders, sources)

    def starts(self) -> list[Array]:
        """First guess: no stream function but that of the boundary."""
        return [np.zeros(self.size)]

    def norm(self, vector: Array) -> float:
        """L2 norm of the velocity of a vector of free coefficients (zero velocity on the boundary)."""
        full = np.zeros_like(self.boundary)
        full[self.inside] = vector.reshape(full[self.inside].shape)
        return self._speed(full)

    def residual(self, vector: Array) -> Array:
        """Integrals of the momentum equations times the curl of each test function."""
        psi = self.coefficients(vector)
        one, two = (self._value(formula, psi) for formula in self.momentum)
        total = self.rule.project(self.spaces, one, (0, 1)) - self.rule.project(self.spaces, two, (1, 0))
        return total[self.inside].ravel()

    def jacobian(self, vector: Array) -> Any:
        """Derivative of the residual by the free coefficients."""
        psi = self.coefficients(vector)
        terms: dict[tuple[int, int], list[tuple[tuple[int, int], Array]]] = {}
        for test, sign, formula in (((0, 1), 1.0, self.momentum[0]), ((1, 0), -1.0, self.momentum[1])):
            slopes = formula.slopes(self._grid, self._fields(formula, psi))
            terms[test] = []
            for partial, slope in zip(formula.partials, slopes, strict=True):
                orders, factor = self._source(partial)
                terms[test].append((orders, sign * factor * slope.reshape(self.rule.weights.shape)))
        matrix = self.rule.assemble(self.spaces, terms)
        if isinstance(matrix, np.ndarray):
            return matrix[np.ix_(self._flat, self._flat)]
        return sparse.csc_array(matrix[self._flat][:, self._flat])

    def losses(self, vector: Array) -> dict[str, float]:
        """Mean square of the projected momentum equations."""
        return {"momentum": float(np.mean(self.residual(vector) ** 2))}

    def tails(self, vector: Array) -> list[Array]:
        """For each coordinate and element the highest functions' part of the velocity, relative to its norm."""
        psi = self.coefficients(vector)
        scale = self._speed(psi) or 1.0
        result = []
        for axis, space in enumerate(self.spaces):
            along = np.moveaxis(psi, axis, 0)
            other, points = self.spaces[1 - axis], self.meshes[1 - axis].points
            weights, total = self.meshes[1 - axis].weights, np.zeros(self.meshes[axis].elements)
            for across, order in ((0, 1), (1, 0)):
                values = along @ other.matrix(points, across).T
                for element, (indices, norms) in enumerate(space.tails(order)):
                    total[element] += np.sum(norms**2 * (values[indices] ** 2 @ weights))
            result.append(np.sqrt(total) / scale)
        return result

    def _pressure(self, vector: Array) -> tuple[tuple[ElementSpace, ElementSpace], Array]:
        """Spaces and coefficients of the pressure with mean zero, from its gradient by weighted least squares.

        The weight vanishes in corners where the velocity jumps: there the pressure is singular like 1/r, and its
        discrete gradient must not disturb the rest.
        """
        psi = self.coefficients(vector)
        one, two = (-self._value(formula, psi) for formula in self.momentum)
        weight = np.ones_like(one)
        x, y = (grid.reshape(weight.shape) for grid in self._grid)
        lengths = [mesh.breakpoints[-1] - mesh.breakpoints[0] for mesh in self.meshes]
        for corner in self.flow.corners:
            if corner.jump > 0:
                square = ((x - corner.place[0]) / lengths[0]) ** 2 + ((y - corner.place[1]) / lengths[1]) ** 2
                weight *= np.minimum(1.0, square) ** 2
        spaces = (ElementSpace(self.spaces[0].mesh, 1), ElementSpace(self.spaces[1].mesh, 1))
        matrix = self.rule.assemble(spaces, {(1, 0): [((1, 0), weight)], (0, 1): [((0, 1), weight)]})
        right = self.rule.project(spaces, weight * one, (1, 0)) + self.rule.project(spaces, weight * two, (0, 1))
        # The constant is fixed by one coefficient, then by the mean.
        if isinstance(matrix, np.ndarray):
            matrix[0, 0] *= 2
        else:
            matrix = sparse.csc_array(matrix + sparse.coo_array(([matrix[0, 0]], ([0], [0])), shape=matrix.shape))
        coefficients = Factors(matrix).solve(right.ravel()).reshape(right.shape)
        mean = float(np.sum(self.rule.weights * self.rule.evaluate(spaces, coefficients, (0, 0)))) / math.prod(lengths)
        return spaces, coefficients - mean * np.multiply.outer(_one(spaces[0]), _one(spaces[1]))

    def _speed(self, psi: Array) -> float:
        u, v = self.rule.evaluate(self.spaces, psi, (0, 1)), self.rule.evaluate(self.spaces, psi, (1, 0))
        return math.sqrt(float(np.sum(self.rule.weights * (u * u + v * v))))

    def _source(self, partial: Partial) -> tuple[tuple[int, int], float]:
        """The derivative of the stream function that a partial of a velocity is, and its factor."""
        a, b = partial.orders
        weight = 1 + self.relaxation if a + b == 2 else 1.0
        return ((a, b + 1), weight) if partial.unknown == self.flow.velocity[0] else ((a + 1, b), -weight)

    def _fields(self, formula: Formula, psi: Array) -> list[Array]:
        result = []
        for partial in formula.partials:
            orders, factor = self._source(partial)
            result.append(factor * self.rule.evaluate(self.spaces, psi, orders).ravel())
        return result

    def _value(self, formula: Formula, psi: Array) -> Array:
        return formula.value(self._grid, self._fields(formula, psi)).reshape(self.rule.weights.shape)


def _one(space: ElementSpace) -> Array:
    """Coefficients of the constant one in a space of order one."""
    result = np.zeros(space.size)
    result[:: space.mesh.count] = 1.0
    return result
