"""Damped Newton iteration with an affine-invariant monotonicity test, and the linear algebra under it.

The test compares Newton corrections, not residuals, so the scaling of equations against conditions does not matter
(P. Deuflhard, Newton Methods for Nonlinear Problems, 2011, doi:10.1007/978-3-642-23899-4, section 3.3).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, onenormest, splu

__all__ = ["Factors", "Root", "SingularSystemError", "System", "follow", "newton"]

Array = NDArray[Any]
Record = Callable[[Array], None]

# Reciprocal condition number below which a null vector is looked at.
SINGULAR = 1e-12

# Where continuation begins: the highest derivatives outweigh all else.
RELAXED = 1e3


class System(ABC):
    """A nonlinear system F(c) = 0, possibly with more equations than unknowns (then in least squares)."""

    linear: bool
    size: int

    @abstractmethod
    def residual(self, vector: Array) -> Array:
        """F(c)."""

    @abstractmethod
    def jacobian(self, vector: Array) -> Any:
        """Derivative of F by c, a dense array or a sparse matrix."""

    @abstractmethod
    def norm(self, vector: Array) -> float:
        """Norm of the function that a vector of coefficients stands for."""

    @abstractmethod
    def relaxed(self, relaxation: float) -> System:
        """The same system with the highest derivatives of the equations multiplied by 1 + `relaxation`."""

    @abstractmethod
    def resolves(self, vector: Array) -> bool:
        """Whether the function that a vector stands for is smooth on the scale of the discretisation."""


class SingularSystemError(Exception):
    """The linear system does not determine its solution; `null` is a vector that it does not see."""

    def __init__(self, null: Array, rcond: float) -> None:
        super().__init__(f"singular system, reciprocal condition number {rcond:.1e}")
        self.null = null


class Factors:
    """An equilibrated matrix ready to solve with.

    Square matrices get an LU factorisation. A few rows too many, which depend on the others if the equations are
    consistent, are given as many slack unknowns with generic coefficients, which come out as zero; with many rows too
    many the solution is that of least squares, by QR (dense) or a saddle-point system (sparse).

    Parameters
    ----------
    matrix : [rows, columns], rows >= columns, dense or sparse.

    Attributes
    ----------
    rcond : estimated reciprocal condition number in the 1-norm of the equilibrated matrix.
    """

    def __init__(self, matrix: Any) -> None:
        self.sparse = sparse.issparse(matrix)
        rows, columns = matrix.shape
        if rows < columns:
            raise SingularSystemError(np.zeros(columns), 0.0)
        magnitude = abs(matrix)
        self._row = 1 / _positive(np.asarray(magnitude.max(axis=1).todense() if self.sparse else magnitude.max(axis=1)))
        excess = rows - columns
        bordered = 0 < excess <= max(4, columns // 100)
        slack = np.random.default_rng(1).standard_normal((rows, excess)) / np.sqrt(rows) if bordered else None
        if self.sparse:
            scaled = sparse.csc_array(sparse.diags_array(self._row) @ matrix)
            self._column = 1 / _positive(np.sqrt(np.asarray((scaled * scaled).sum(axis=0))))
            scaled = sparse.csc_array(scaled @ sparse.diags_array(self._column))
            self._factor_sparse(scaled if slack is None else sparse.csc_array(sparse.hstack([scaled, slack])))
        else:
            scaled = matrix * self._row[:, None]
            self._column = 1 / _positive(np.sqrt(np.einsum("ij,ij->j", scaled, scaled)))
            scaled *= self._column
            self._factor_dense(scaled if slack is None else np.hstack([scaled, slack]))

    def solve(self, right: Array) -> Array:
        """Solve A x = right."""
        return self._column * self._apply(self._row * right)[: self._column.size]

    def null(self) -> Array:
        """Return a unit vector that the matrix nearly maps to zero (one step of inverse iteration)."""
        rng = np.random.default_rng(0)
        vector = self._apply(rng.standard_normal(self._row.size))[: self._column.size]
        vector = self._column * np.nan_to_num(vector, posinf=0.0, neginf=0.0)
        return vector / (np.abs(vector).max() or 1.0)

    def _factor_dense(self, scaled: Array) -> None:
        rows, columns = scaled.shape
        if rows == columns:
            norm = float(np.abs(scaled).sum(axis=0).max())
            factorise, condition, substitute = linalg.get_lapack_funcs(("getrf", "gecon", "getrs"), (scaled,))
            lu, pivots, info = factorise(scaled)
            _fill_zeros(lu)
            self.rcond = float(condition(lu, norm)[0]) if info == 0 else 0.0
            self._apply = lambda right: substitute(lu, pivots, right)[0]
            return
        names = ("geqrf", "trcon", "ormqr", "trtrs")
        factorise, condition, rotate, substitute = linalg.get_lapack_funcs(names, (scaled,))
        qr, tau, _, _ = factorise(scaled, lwork=64 * columns)
        triangle = np.asfortranarray(qr[:columns])
        _fill_zeros(triangle)
        self.rcond = float(condition(triangle)[0])

        def apply(right: Array) -> Array:
            work = rotate("L", "T", qr, tau, right[:, None], 64 * right.size)[0]
            return substitute(triangle, work[:columns, 0])[0]

        self._apply = apply

    def _factor_sparse(self, scaled: Any) -> None:
        rows, columns = scaled.shape
        square = rows == columns
        if not square:
            # Least squares by the saddle-point system [[I, A], [A', 0]]: sparse, and no condition number is squared.
            scaled = sparse.csc_array(sparse.block_array([[sparse.eye_array(rows), scaled], [scaled.T, None]]))
        try:
            factor = splu(scaled)
        except RuntimeError:  # exactly singular; a tiny perturbation brings the null vector within reach
            factor = splu(sparse.csc_array(scaled + 1e-15 * sparse.eye_array(scaled.shape[0])))
        norm = float(abs(scaled).sum(axis=0).max())
        inverse: Any = onenormest(_Inverse(factor, scaled.shape[0]))
        self.rcond = 1 / max(norm * float(inverse), 1e-300)

        def apply(right: Array) -> Array:
            if square:
                return factor.solve(right)
            return factor.solve(np.concatenate([right, np.zeros(columns)]))[rows:]

        self._apply = apply


class _Inverse(LinearOperator):
    """The inverse of a sparse matrix as an operator."""

    def __init__(self, factor: Any, size: int) -> None:
        super().__init__(np.dtype(np.float64), (size, size))
        self._factor = factor

    def _matvec(self, x: Array) -> Array:
        return self._factor.solve(x.ravel())

    def _rmatvec(self, x: Array) -> Array:
        return self._factor.solve(x.ravel(), trans="T")


@dataclass(frozen=True)
class Root:
    """How a Newton iteration ended: the vector, whether it is a root, the iterations, the last relative correction."""

    vector: Array
    converged: bool
    iterations: int
    correction: float


def newton(
    system: System,
    start: Array,
    *,
    tol: float = 1e-12,
    iterations: int = 40,
    deadline: float = np.inf,
    record: Record | None = None,
) -> Root:
    """Find a root of a system by Newton's method with damping.

    Parameters
    ----------
    system : residual, Jacobian and norm.
    start : first vector; its residual must be finite.
    tol : accepted size of a correction relative to the norm of the solution.
    iterations : factorisations at most.
    deadline : value of `time.perf_counter()` after which no factorisation is begun.
    record : called with the vector after every accepted step.

    Returns
    -------
    Root; not converged if damping failed, or iterations or time ran out. Its vector always has a finite residual if
    `start` has one.

    Raises
    ------
    SingularSystemError : a Jacobian has a smooth null function. (High orders of derivatives make the matrix badly
        conditioned on rough functions alone; that does no harm.)
    """
    vector, residual = start, system.residual(start)
    if not np.all(np.isfinite(residual)):
        return Root(start, False, 0, np.inf)
    damping, correction = 1.0, np.inf
    for iteration in range(1, iterations + 1):
        if time.perf_counter() > deadline:
            return Root(vector, False, iteration - 1, correction)
        matrix = system.jacobian(vector)
        data = matrix.data if sparse.issparse(matrix) else matrix
        if not np.all(np.isfinite(data)):
            return Root(vector, False, iteration, np.inf)
        factors = Factors(matrix)
        if factors.rcond < SINGULAR and _vanishes(system, matrix, factors.null()):
            raise SingularSystemError(factors.null(), factors.rcond)
        step = factors.solve(residual)
        if system.linear:
            vector = vector - step
            vector = vector - factors.solve(system.residual(vector))  # one refinement of rounding
            if record:
                record(vector)
            return Root(vector, bool(np.all(np.isfinite(vector))), iteration, 0.0)
        size = system.norm(step)
        chord = False  # further steps with the same factors while they contract fast
        while True:
            scale = max(system.norm(vector), system.norm(vector - step))
            correction = size / scale if scale > 0 else size
            if (chord and correction <= tol) or size == 0:
                return Root(vector - step, True, iteration, correction)
            trial = vector - damping * step
            trial_residual = system.residual(trial)
            finite = bool(np.all(np.isfinite(trial_residual)))
            next_step = factors.solve(trial_residual) if finite else step
            next_size = system.norm(next_step) if finite else np.inf
            contraction = next_size / size
            if correction <= 1e-8 and contraction > 0.3 and damping == 1.0:
                # Rounding: the corrections no longer shrink because they are noise.
                return Root(vector, True, iteration, correction)
            if contraction < 1 - damping / 4 or (damping == 1.0 and next_size <= tol * scale):
                vector, residual, size, step = trial, trial_residual, next_size, next_step
                if record:
                    record(vector)
                chord = damping == 1.0 and contraction < 0.1
                damping = min(1.0, 2 * damping)
                if not chord:
                    break
            elif chord:
                break
            else:
                damping /= 2 if damping > 0.1 else 4
                if damping < 1e-5:
                    return Root(vector, False, iteration, correction)
    return Root(vector, False, iterations, correction)


def follow(
    system: System,
    start: Array,
    relaxation: float = RELAXED,
    *,
    tol: float = 1e-12,
    deadline: float = np.inf,
    record: Record | None = None,
) -> tuple[Root, float]:
    """Find a root by continuation from a problem in which the highest derivatives weigh more.

    For the Navier-Stokes equations this is continuation in the Reynolds number, for layers in their thickness, for
    ordinary equations in the length of the interval.

    Parameters
    ----------
    system, tol, deadline, record : as in `newton`.
    start : first guess for the relaxed problem.
    relaxation : factor kappa of the first problem; the highest derivatives are multiplied by 1 + kappa.

    Returns
    -------
    root, relaxation : the root of the system and 0, or the last root found (marked as not converged) and its kappa.
    """
    options: dict[str, Any] = {"deadline": deadline, "record": record, "iterations": 15}
    reached, ratio, iterations, found = relaxation, 10.0, 0, False
    vector = start
    while time.perf_counter() < deadline:
        target = reached if not found else reached / ratio if reached > 0.02 else 0.0
        try:
            trial = newton(system.relaxed(target), vector, tol=tol if target == 0 else 1e-3, **options)
        except SingularSystemError:
            trial = Root(vector, False, 1, np.inf)
        iterations += trial.iterations
        if trial.converged:
            vector, reached, found = trial.vector, target, True
            if target == 0:
                return Root(vector, True, iterations, trial.correction), 0.0
            ratio = min(ratio**1.5, 10.0)
        elif not found or ratio < 1.1 or target == 0:
            break
        else:
            ratio **= 0.5
    return Root(vector, False, iterations, np.inf), reached if found else RELAXED


def _vanishes(system: System, matrix: Any, null: Array) -> bool:
    image = float(np.abs(matrix @ null).max(initial=0.0))
    return image <= 1e-10 * float(abs(matrix).sum(axis=1).max()) * system.norm(null) and system.resolves(null)


def _fill_zeros(triangle: Array) -> None:
    """Put tiny pivots in place of exact zeros, which keeps the null vector within reach."""
    diagonal = np.diag(triangle)
    np.fill_diagonal(triangle, np.where(diagonal == 0, np.finfo(float).eps ** 2, diagonal))


def _positive(values: Array) -> Array:
    return np.where(values > 0, values, 1.0).ravel()
