"""A substitute for large Jacobians on two-dimensional tensor grids: one matrix along each coordinate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs, schur

from sciml.classical.radau import Linearisation

__all__ = ["SeparableLinearisation"]

Array = NDArray[Any]


class SeparableLinearisation(Linearisation):
    """For each component a matrix that acts along the first coordinate plus one that acts along the second.

    Systems (shift I - J) x = b are Sylvester equations, solved after Bartels and Stewart (doi:10.1145/361573.361582):
    unitary transformations keep their accuracy where eigenvectors of advection and diffusion would lose it.

    Parameters
    ----------
    matrices : for each component the two matrices [M, M], [N, N].
    """

    exact = False

    def __init__(self, matrices: Sequence[tuple[Array, Array]]) -> None:
        # Triangular factors and unitary matrices: first = q r q', transposed second = p s p'.
        self._parts = [(*_schur(first), *_schur(second.T)) for first, second in matrices]
        (self._sylvester,) = get_lapack_funcs(("trsyl",), (np.zeros((1, 1), dtype=complex),))

    def solver(self, shift: complex) -> Callable[[Array], Array]:
        """Return the map from b [n] to x with (shift I - J) x = b."""
        shifted = [shift * np.eye(len(r)) - r for r, _, _, _ in self._parts]

        def solve(b: Array) -> Array:
            result, start = [], 0
            for left, (_, q, s, p) in zip(shifted, self._parts, strict=True):
                shape = (len(q), len(p))
                stop = start + shape[0] * shape[1]
                x, scale, _ = self._sylvester(left, -s, q.conj().T @ b[start:stop].reshape(shape) @ p)
                result.append((q @ (x / scale) @ p.conj().T).ravel())
                start = stop
            solution = np.concatenate(result)
            return solution if isinstance(shift, complex) else np.real(solution)

        return solve


def _schur(matrix: Array) -> tuple[Array, Array]:
    triangle, unitary, *_ = schur(matrix, output="complex")
    return triangle, unitary
