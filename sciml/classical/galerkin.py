"""Integrals of products of basis functions over tensor-product elements in two coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sciml.classical.spaces import ElementSpace, Mesh

__all__ = ["Quadrature"]

Array = NDArray[Any]
Orders = tuple[int, int]


class Quadrature:
    """Gauss quadrature on a tensor mesh of two coordinates.

    Parameters
    ----------
    meshes : of the two coordinates, without Fourier.
    extra : Gauss points per element and coordinate beyond those of the meshes.
    """

    def __init__(self, meshes: Sequence[Mesh], extra: int) -> None:
        self.meshes = tuple(meshes)
        self.counts = [mesh.count + extra for mesh in meshes]
        rules = [mesh.gauss(count) for mesh, count in zip(meshes, self.counts, strict=True)]
        self.points = [points for points, _ in rules]
        self.weights = np.multiply.outer(rules[0][1], rules[1][1])
        self._tables: dict[tuple[int, int, int], sparse.csr_array] = {}

    def table(self, space: ElementSpace, axis: int, order: int) -> sparse.csr_array:
        """Derivatives of the basis functions of a space at the points of one coordinate, [points, size]."""
        key = (space.order, axis, order)
        if key not in self._tables:
            self._tables[key] = space.matrix(self.points[axis], order)
        return self._tables[key]

    def evaluate(self, spaces: Sequence[ElementSpace], coefficients: Array, orders: Orders) -> Array:
        """Values of a derivative of a function at the points, [points, points]."""
        one, two = (self.table(space, axis, orders[axis]) for axis, space in enumerate(spaces))
        return one @ (two @ coefficients.T).T

    def project(self, spaces: Sequence[ElementSpace], values: Array, orders: Orders) -> Array:
        """Integrals of `values` times the derivatives of all basis functions, [size, size]."""
        one, two = (self.table(space, axis, orders[axis]) for axis, space in enumerate(spaces))
        return one.T @ (two.T @ (self.weights * values).T).T

    def assemble(
        self, spaces: Sequence[ElementSpace], terms: Mapping[Orders, Sequence[tuple[Orders, Array]]]
    ) -> Array | sparse.csc_array:
        """Matrix of integrals of s * (derivative of a test function) * (derivative of a basis function).

        Parameters
        ----------
        spaces : of the two coordinates, for tests and basis functions alike.
        terms : for each derivative of the test function the derivatives of the basis function with their factors s at
            the points.

        Returns
        -------
        [size, size] over the flattened tensor product; dense for a single element.
        """
        local = [space.order + space.mesh.count for space in spaces]
        width, elements = local[0] * local[1], [mesh.elements for mesh in self.meshes]
        matrices = np.zeros((elements[0], elements[1], width, width))
        for ex in range(elements[0]):
            for ey in range(elements[1]):
                rows = [self._rows(0, ex), self._rows(1, ey)]
                weights = self.weights[rows[0], rows[1]]
                for test, trials in terms.items():
                    total = np.zeros((weights.size, width))
                    for trial, factor in trials:
                        product = self._product(spaces, local, (ex, ey), trial)
                        product *= (weights * factor[rows[0], rows[1]]).ravel()[:, None]
                        total += product
                    matrices[ex, ey] += self._product(spaces, local, (ex, ey), test).T @ total
        if elements == [1, 1]:
            return matrices[0, 0]
        first = [
            np.arange(mesh.elements)[:, None] * mesh.count + np.arange(n)
            for mesh, n in zip(self.meshes, local, strict=True)
        ]
        index = first[0][:, None, :, None] * spaces[1].size + first[1][None, :, None, :]
        index = index.reshape(elements[0], elements[1], width)
        rows_index = np.broadcast_to(index[..., :, None], matrices.shape)
        columns = np.broadcast_to(index[..., None, :], matrices.shape)
        size = spaces[0].size * spaces[1].size
        entries = sparse.coo_array((matrices.ravel(), (rows_index.ravel(), columns.ravel())), shape=(size, size))
        return sparse.csc_array(entries)

    def _rows(self, axis: int, element: int) -> slice:
        return slice(element * self.counts[axis], (element + 1) * self.counts[axis])

    def _product(
        self, spaces: Sequence[ElementSpace], local: Sequence[int], element: tuple[int, int], orders: Orders
    ) -> Array:
        """Products of the local functions of both coordinates at the points of one element, [points, functions]."""
        one, two = (
            self.table(space, axis, orders[axis]).data.reshape(-1, local[axis])[self._rows(axis, element[axis])]
            for axis, space in enumerate(spaces)
        )
        return (one[:, None, :, None] * two[None, :, None, :]).reshape(one.shape[0] * two.shape[0], -1)
