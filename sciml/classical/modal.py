"""Linear systems y' = A y + b(t) with constant A, exactly in time: eigenvectors of A and quadrature of polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve

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
PIECES = 200  # of a fit at most
FAST = 20.0  # abs(rate) * length from which a mode follows its forcing
MISFIT = 1e-12  # of the polynomials in time relative to the function
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
    breaks = np.array([span[0], *(b for _, b, _ in done)])
    return PiecewisePolynomial(breaks, np.array([values for _, _, values in done]))


def integrate_modal(
    rates: Array, forcing: PiecewisePolynomial, to_modes: Array, w: Array, negligible: Array
) -> ExponentialTrajectory:
    """Integrate w' = rates * w + to_modes @ b(t) from w, exactly for a piecewise polynomial b.

    A fast mode follows its forcing along a polynomial in each piece; what differs from that decays or oscillates by
    itself. Where the difference is negligible it is removed: multiplied by the rate, rounding errors would be the
    largest part of a time derivative.

    Parameters
    ----------
    rates : shape [n].
    forcing : b, with values in R^m.
    to_modes : [n, m].
    w : initial state [n].
    negligible : amplitudes that do not matter, shape [n].
    """
    count = forcing.nodal.shape[1]
    coefficients = ChebyshevBasis(count).coefficients(forcing.nodal, axis=1)
    # Coefficients of the size of rounding errors are none.
    coefficients[np.abs(coefficients) < 1e-15 * np.max(np.abs(coefficients), axis=(0, 1))] = 0.0
    powers = np.einsum("jp,kpm,nm->kjn", power_matrix(count), coefficients, to_modes, optimize=True)
    used = np.nonzero(np.any(powers, axis=(0, 2)))[0]
    count = used[-1] + 1 if used.size else 0
    states = np.zeros((len(forcing.nodal), w.size), dtype=complex)
    degrees = np.full(len(states), count)
    trajectory = ExponentialTrajectory(rates, forcing.breaks, states, powers[:, :count].reshape(-1, w.size), degrees)
    for k, length in enumerate(np.diff(forcing.breaks)):
        states[k] = w
        fast = np.abs(rates) * length > FAST
        followed = np.zeros(int(fast.sum()), dtype=complex)
        for j in range(count):
            followed -= math.factorial(j) * powers[k, j, fast] / (length**j * rates[fast] ** (j + 1))
        states[k, fast] = np.where(np.abs(w[fast] - followed) <= negligible[fast], followed, w[fast])
        w = trajectory.within(k, np.array([length]))[0]
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
        self.modes, self.basis, self.offset = modes, np.ascontiguousarray(basis), offset

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
    rates: Callable[[Array, Array], Array],
    matrix: Array,
    expand: Callable[[Array, Array], Array],
    span: tuple[float, float],
    y: Array,
    tolerance: float,
    groups: Array,
) -> ModalTrajectory | None:
    """Integrate y' = matrix y + b(t) and return the trajectory of expand(t, y).

    Boundary values make b large at a few points, and its modes cancel each other to many digits. So a function r(t)
    with (matrix - shift) r = -b, smooth in space and time, is split off; the modes of y - r are forced by shift r - r'.

    Parameters
    ----------
    rates : times [T] and states [T, n] to matrix y + b, [T, n].
    matrix : [n, n].
    expand : affine map (times [T], states [T, n]) to [T, m] with a constant linear part.
    span, y : first and last time, initial state [n].
    tolerance : relative size of what may be neglected in a field.
    groups : number of the field, 0, 1, ..., to which each component of y belongs, shape [n].

    Returns
    -------
    ModalTrajectory, or None where the eigenvectors of the matrix are too ill-conditioned.
    """
    if not np.all(np.isfinite(matrix)):
        return None
    eigenvalues, vectors = np.linalg.eig(matrix)
    scaled = vectors / np.maximum(np.max(np.abs(vectors), axis=1, keepdims=True), 1e-300)
    if not np.linalg.cond(scaled) < WORST_CONDITION:
        return None
    shift = 1 / (span[1] - span[0]) + max(float(np.max(np.real(eigenvalues))), 0.0)
    factors = lu_factor(shift * np.eye(y.size) - matrix)

    def follower(times: Array) -> Array:
        r = np.zeros((times.size, y.size))
        for _ in range(2):  # the second time it is a step of iterative refinement
            r = r + np.asarray(lu_solve(factors, (rates(times, r) - shift * r).T)).T
        return r

    follow = fit_in_time(follower, span, MISFIT)
    source = PiecewisePolynomial(follow.breaks, shift * follow.nodal - follow.differentiated().nodal)
    inverse = np.linalg.inv(vectors)
    # A mode is negligible if in at least one field it is: a displacement of no size may have a large velocity.
    negligible = np.zeros(y.size)
    for group in range(groups.max() + 1):
        mine = groups == group
        size = max(np.max(np.abs(y[mine])), np.max(np.abs(follow.nodal[..., mine])))
        shape = np.max(np.abs(vectors[mine]), axis=0)
        negligible = np.maximum(negligible, tolerance * size / np.maximum(shape, 1e-300))
    modes = integrate_modal(eigenvalues, source, inverse, inverse @ (y - follow.nodal[0, 0]), negligible)
    start, unit = np.array([span[0]]), np.eye(y.size)
    linear = (expand(np.full(y.size, span[0]), unit) - expand(start, np.zeros((1, y.size)))).T
    return ModalTrajectory(modes, linear @ vectors, follow.mapped(expand))
