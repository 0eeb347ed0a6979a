"""Linear systems y' = A y + b(t) with constant A, exactly in time: eigenvectors of A and quadrature of polynomials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.bases import ChebyshevBasis
from sciml.classical.exponential_trajectory import ExponentialTrajectory, power_matrix
from sciml.classical.first_order import FirstOrderForm
from sciml.classical.trajectory import PiecewisePolynomial, Trajectory

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["ModalTrajectory", "fit_in_time", "has_constant_linear_rates", "integrate_linear", "integrate_modal"]

Array = NDArray[Any]
Function = Callable[[Array], Array]

DEGREE = 10  # of the polynomials in time that stand for b
PIECES = 1000  # of a fit at most
MISFIT = 1e-3  # of b relative to the tolerance: what is large in b at the boundary is small in y
WORST_CONDITION = 1e8  # of the eigenvectors, rows scaled: beyond it they lose too many digits


def has_constant_linear_rates(problem: Problem, form: FirstOrderForm) -> bool:
    """Whether the rates are linear in the components and their derivatives, with coefficients constant in time."""
    vocabulary = problem.vocabulary
    moment = vocabulary.symbol(problem.coordinates[form.time])
    for rate in form.rates:
        leaves = {
            vocabulary.expression(p): sympy.Dummy(f"u{i}", real=True) for i, p in enumerate(vocabulary.partials(rate))
        }
        plain = rate.xreplace(leaves)
        if any(sympy.diff(plain, leaf).has(moment, *leaves.values()) for leaf in leaves.values()):
            return False
    return True


def fit_in_time(function: Function, span: tuple[float, float], tolerance: float) -> PiecewisePolynomial:
    """Fit a function of time by polynomials of degree 10, the interval halved where they misfit.

    Parameters
    ----------
    function : times [T] to values [T, n].
    span : first and last time.
    tolerance : misfit of each component relative to its size; components 1e-6 times smaller than others count less.
    """
    size = np.max(np.abs(function(np.linspace(*span, 17))), axis=0)
    allowed = tolerance * np.maximum(size, 1e-6 * np.max(size, initial=0.0))
    pending, done = [span], []
    while pending:
        a, b = pending.pop()
        basis = ChebyshevBasis(DEGREE + 1, a, b)
        between = a + (b - a) * (0.5 + np.arange(DEGREE)) / DEGREE
        values = function(basis.points)
        misfit = np.abs(basis.interpolation(between) @ values - function(between))
        # A jump is halved down to nothing; what is rough everywhere ends with the largest number of pieces.
        if np.all(misfit <= allowed) or len(pending) + len(done) >= PIECES or b - a < 1e-9 * (span[1] - span[0]):
            done.append((a, b, values))
        else:
            pending += [((a + b) / 2, b), (a, (a + b) / 2)]
    return PiecewisePolynomial(np.array([span[0], *(b for _, b, _ in done)]), np.array([v for _, _, v in done]))


def integrate_modal(rates: Array, forcing: PiecewisePolynomial, to_modes: Array, w: Array) -> ExponentialTrajectory:
    """Integrate w' = rates * w + to_modes @ b(t) from w, exactly for a piecewise polynomial b.

    Parameters
    ----------
    rates : shape [n].
    forcing : b, with values in R^m.
    to_modes : [n, m].
    w : initial state [n].
    """
    count = forcing.nodal.shape[1]
    coefficients = ChebyshevBasis(count).coefficients(forcing.nodal, axis=1)
    # Trailing coefficients of the size of rounding errors are none.
    coefficients[np.abs(coefficients) < 1e-15 * np.max(np.abs(coefficients), axis=(0, 1))] = 0.0
    powers = np.einsum("jp,kpm,nm->kjn", power_matrix(count), coefficients, to_modes, optimize=True)
    used = np.nonzero(np.any(powers, axis=(0, 2)))[0]
    count = used[-1] + 1 if used.size else 0
    pieces = len(forcing.nodal)
    states = np.zeros((pieces, w.size), dtype=complex)
    flat = powers[:, :count].reshape(-1, w.size)
    trajectory = ExponentialTrajectory(rates, forcing.breaks, states, flat, np.full(pieces, count))
    states[0] = w
    for k in range(1, pieces):
        # Just before the break, so that the earlier slab answers.
        states[k] = trajectory.within(k - 1, forcing.breaks[k : k + 1] - forcing.breaks[k - 1])[0]
    return trajectory


class ModalTrajectory(Trajectory):
    """Real(basis @ w(t)) + offset(t) for modes w.

    Parameters
    ----------
    modes : w, with values in C^n.
    basis : [m, n].
    offset : with values in R^m.
    """

    def __init__(self, modes: ExponentialTrajectory, basis: Array, offset: PiecewisePolynomial) -> None:
        self.modes, self.basis, self.offset = modes, basis, offset

    @property
    def start(self) -> float:
        """First time."""
        return self.modes.start

    @property
    def end(self) -> float:
        """Last time."""
        return self.modes.end

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.basis)

    def values(self, times: Array, order: int = 0) -> Array:
        """Return the derivative of this order at `times` [T], as [T, n]; times outside are moved to the nearer end."""
        return np.real(self.modes.values(times, order) @ self.basis.T) + self.offset.values(times, order)

    def arrays(self) -> dict[str, Array]:
        """Return the named arrays that determine the trajectory."""
        offset = {f"offset_{name}": array for name, array in self.offset.arrays().items()}
        return {**self.modes.arrays(), "basis": self.basis, **offset}

    @classmethod
    def restore(cls, arrays: Mapping[str, Array]) -> ModalTrajectory:
        """Build the trajectory from `arrays` again."""
        offset = PiecewisePolynomial(arrays["offset_breaks"], arrays["offset_nodal"])
        return cls(ExponentialTrajectory.restore(arrays), arrays["basis"], offset)


def integrate_linear(
    matrix: Array,
    forcing: Function,
    expand: Callable[[Array, Array], Array],
    span: tuple[float, float],
    y: Array,
    tolerance: float,
) -> ModalTrajectory | None:
    """Integrate y' = matrix y + forcing(t) and return the trajectory of expand(t, y).

    Parameters
    ----------
    matrix : [n, n].
    forcing : times [T] to [T, n].
    expand : affine map (times [T], states [T, n]) to [T, m] with a constant linear part.
    span, y : first and last time, initial state [n].
    tolerance : relative misfit of what depends on time.

    Returns
    -------
    ModalTrajectory, or None where the eigenvectors of the matrix are too ill-conditioned.
    """
    if not np.all(np.isfinite(matrix)):
        return None
    rates, vectors = np.linalg.eig(matrix)
    scaled = vectors / np.maximum(np.max(np.abs(vectors), axis=1, keepdims=True), 1e-300)
    if not np.linalg.cond(scaled) < WORST_CONDITION:
        return None
    inverse = np.linalg.inv(vectors)
    pieces = fit_in_time(forcing, span, MISFIT * tolerance)
    modes = integrate_modal(rates, pieces, inverse, inverse @ y)
    start = np.array([span[0]])
    zero, unit = np.zeros((1, y.size)), np.eye(y.size)
    linear = (expand(np.full(y.size, span[0]), unit) - expand(start, zero)).T

    def offset(times: Array) -> Array:
        return expand(times, np.zeros((times.size, y.size)))

    return ModalTrajectory(modes, linear @ vectors, fit_in_time(offset, span, MISFIT * tolerance))
