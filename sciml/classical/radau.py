"""Implicit Runge-Kutta methods of Radau type of high order, with steps adapted to the polynomial within each step.

The collocation polynomial of s stages is right to order s + 1 everywhere in the step, and to 2s - 1 at its end where
the problem is not stiff. Its stage order s is what matters for discretised partial differential equations, where
methods of low stage order lose accuracy at the boundary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import Legendre, legendre
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve

from sciml.classical.bases import ChebyshevBasis
from sciml.classical.clock import Clock
from sciml.classical.trajectory import PiecewisePolynomial

__all__ = ["DenseLinearisation", "Linearisation", "integrate_radau", "radau_fixed", "radau_tableau"]

Array = NDArray[Any]
Rates = Callable[[Array, Array], Array]

STAGES = 7
REAL = 1e-8  # an imaginary part of an eigenvalue of the tableau below this is a rounding error
SLOWEST = 0.6  # contraction of the simplified Newton iteration that is still accepted
ITERATIONS = 12  # with the Jacobian; three times as many with a substitute for it


class Linearisation(ABC):
    """The Jacobian matrix J of the right-hand side, or what stands for it in a simplified Newton iteration."""

    exact: bool = True

    @abstractmethod
    def solver(self, shift: complex) -> Callable[[Array], Array]:
        """Return the map from b [n] to x with (shift I - J) x = b."""


class DenseLinearisation(Linearisation):
    """A dense Jacobian [n, n], solved with by LU factors."""

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix

    def solver(self, shift: complex) -> Callable[[Array], Array]:
        """Return the map from b [n] to x with (shift I - J) x = b."""
        system = np.array(-self.matrix, dtype=type(shift), order="F")
        system[np.diag_indices_from(system)] += shift
        factors = lu_factor(system, overwrite_a=True, check_finite=False)
        return lambda b: np.asarray(lu_solve(factors, b, check_finite=False))


class _Tableau(NamedTuple):
    nodes: Array  # c_i in (0, 1], [s]
    inverse: Array  # A^-1, [s, s]
    eigenvalues: Array  # of A^-1: real ones, and one of each conjugate pair
    forward: Array  # rows of T^-1 that belong to them
    backward: Array  # columns of T, doubled for pairs: Z = Re(backward @ W)
    interpolation: Array  # from values at 0 and c to Chebyshev-Lobatto points of [0, 1]
    highest: Array  # from values at 0 and c to the two highest Legendre coefficients


@lru_cache(maxsize=8)
def radau_tableau(stages: int) -> _Tableau:
    """Return nodes and matrices of the Radau IIA method; order 2 * stages - 1."""
    nodes = np.sort((Legendre.basis(stages) - Legendre.basis(stages - 1)).roots().real)
    nodes[-1] = 1.0
    c = (nodes + 1) / 2
    table = legendre.legvander(nodes, stages - 1)
    integrals = np.empty((stages, stages))
    for k in range(stages):
        integrals[:, k] = Legendre.basis(k).integ(lbnd=-1)(nodes) / 2
    inverse = np.linalg.inv(integrals @ np.linalg.inv(np.asarray(table, dtype=float)))
    eigenvalues, vectors = np.linalg.eig(inverse)
    chosen = np.nonzero(np.imag(eigenvalues) > -REAL)[0]
    pairs = np.where(np.imag(eigenvalues[chosen]) > REAL, 2.0, 1.0)
    full = legendre.legvander(np.concatenate([[-1.0], nodes]), stages)
    points = ChebyshevBasis(stages + 1).points
    coefficients = np.linalg.inv(full)
    return _Tableau(
        nodes=c,
        inverse=inverse,
        eigenvalues=eigenvalues[chosen],
        forward=np.linalg.inv(vectors)[chosen],
        backward=vectors[:, chosen] * pairs,
        interpolation=legendre.legvander(points, stages) @ coefficients,
        highest=coefficients[-2:],
    )


class _Stages:
    """Solves the stage equations of one step by simplified Newton iteration."""

    def __init__(self, rates: Rates, linearise: Callable[[float, Array], Linearisation], tableau: _Tableau) -> None:
        self.rates, self.linearise, self.tableau = rates, linearise, tableau
        self._linearisation: Linearisation | None = None
        self._solvers: list[Callable[[Array], Array]] = []
        self._h = 0.0
        self.fresh = False
        self.iterations = 0

    def refresh(self, t: float, y: Array) -> None:
        """Take the Jacobian at (t, y)."""
        self._linearisation, self._h, self.fresh = self.linearise(t, y), 0.0, True

    def solve(self, t: float, y: Array, h: float, guess: Array, scale: Array, tolerance: float) -> Array | None:
        """Return the stage increments Z [s, n], or None where the iteration does not converge."""
        tab = self.tableau
        if self._linearisation is None:
            self.refresh(t, y)
        assert self._linearisation is not None
        if h != self._h:
            shifts = [complex(e / h) if abs(e.imag) > REAL else float(e.real / h) for e in tab.eigenvalues]
            self._solvers, self._h = [self._linearisation.solver(shift) for shift in shifts], h
        z, before, factor = guess, np.inf, 0.5
        exact = self._linearisation.exact
        for count in range(ITERATIONS if exact else 3 * ITERATIONS):
            self.iterations = count
            rates = self.rates(t + h * tab.nodes, y + z)
            if not np.all(np.isfinite(rates)):
                return None
            residual = tab.forward @ (rates - tab.inverse @ z / h)
            update = [
                solve(r if abs(e.imag) > REAL else r.real)
                for solve, r, e in zip(self._solvers, residual, tab.eigenvalues, strict=True)
            ]
            change = np.real(tab.backward @ np.array(update))
            z = z + change
            size = float(np.sqrt(np.mean((change / scale) ** 2)))
            if not np.isfinite(size):
                return None
            if np.isfinite(before) and before > 0:
                factor = size / before
            if factor / max(1 - factor, 0.1) * size <= tolerance:
                return z
            if count > (1 if exact else 4) and factor > SLOWEST and size > 10 * tolerance:
                return None
            before = size
        return None


def radau_fixed(
    rates: Rates,
    linearise: Callable[[float, Array], Linearisation],
    span: tuple[float, float],
    y: Array,
    steps: int,
    stages: int = STAGES,
) -> Array:
    """Integrate with equal steps of the Radau IIA method; return the last state.

    References
    ----------
    E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, 1996, doi:10.1007/978-3-642-05221-7
    """
    h = (span[1] - span[0]) / steps
    newton = _Stages(rates, linearise, radau_tableau(stages))
    for i in range(steps):
        t = span[0] + i * h
        newton.refresh(t, y)
        z = newton.solve(t, y, h, np.zeros((stages, y.size)), np.full(y.size, np.max(np.abs(y)) + 1e-300), 1e-14)
        if z is None:
            raise ArithmeticError(f"the stage equations of the step at t = {t:g} were not solved")
        y = y + z[-1]
    return y


@np.errstate(all="ignore")
def integrate_radau(
    rates: Rates,
    linearise: Callable[[float, Array], Linearisation],
    span: tuple[float, float],
    y: Array,
    tolerance: float,
    clock: Clock,
    *,
    groups: Array | None = None,
    floor: float = 1e-2,
    watch: Callable[[float, Array], bool] | None = None,
    failures: int = 50,
    steps: int = 100_000,
    stages: int = STAGES,
) -> PiecewisePolynomial | None:
    """Integrate a stiff system y' = f(t, y) with adapted steps.

    The error of a step is measured by the highest Legendre coefficients of its polynomial.

    Parameters
    ----------
    rates : f at times [T] and states [T, n], as [T, n].
    linearise : (t, y) to the Jacobian.
    span : first and last time.
    y : initial state [n].
    tolerance : relative error of a step.
    clock : ends the integration when the time budget is used up.
    groups : number of the field, 0, 1, ..., to which each component belongs, shape [n]; fields have a common scale.
        By default each component is one.
    floor : a field smaller than this fraction of its largest size so far is measured by that.
    watch : stops the integration where it returns False for an accepted (t, y).
    failures : halvings in a row, because the stage equations were not solved, that end the integration.
    steps : most steps.
    stages : s; the order is 2 s - 1.

    Returns
    -------
    PiecewisePolynomial or None
        shorter than `span` if the steps became too small or time ran out; None if not even one step was made.
    """
    t, end = span
    groups = np.arange(y.size) if groups is None else groups
    tableau = radau_tableau(stages)
    newton = _Stages(rates, linearise, tableau)
    largest, speed = np.zeros(groups.max() + 1), _sizes(rates(np.array([t]), y[None]), groups)
    breaks, nodal, rejected, failed = [t], [], False, 0
    h, previous = _first_step(rates, span, y, tolerance), None
    while t < end:
        h = min(h, end - t)
        last = end - t - h < 1e-12 * (end - span[0])
        h = end - t if last else h
        if h < 1e-14 * max(end - span[0], abs(t)) or failed > failures or len(nodal) >= steps or clock.expired:
            break
        guess = np.zeros((stages, y.size)) if previous is None else previous(h)
        # Before the first step a field that starts at zero is measured by what it becomes in it.
        scale = _scales(y + guess, groups, floor * largest if nodal else h * speed)
        z = newton.solve(t, y, h, guess, scale, 0.02 * tolerance)
        if z is None:
            if newton.fresh:
                h, previous, rejected, failed = h / 2, None, True, failed + 1
            else:
                newton.refresh(t, y)
            continue
        values = np.concatenate([y[None], y + z])
        scale = _scales(values, groups, floor * largest)
        tails = np.sqrt(np.mean((tableau.highest @ values / scale) ** 2, axis=1))
        failed = 0
        error = max(tails[1], 0.1 * tails[0])
        factor = 0.85 * (tolerance / max(error, 1e-300)) ** (1 / stages)
        if error > tolerance:
            h, rejected = h * max(factor, 0.2), True
            continue
        np.maximum(largest, _sizes(values, groups), out=largest)
        breaks.append(end if last else t + h)
        nodal.append(tableau.interpolation @ values)
        t, y, newton.fresh = breaks[-1], values[-1], False
        if watch is not None and not watch(t, y):
            break
        previous = _extrapolation(values, h, tableau)
        factor = min(factor, 1.0 if rejected or newton.iterations > 2 * ITERATIONS else 4.0)
        # A slightly longer step is not worth new factors.
        if not 0.9 <= factor <= 1.3:
            h *= factor
            newton.refresh(t, y)
        rejected = False
    return PiecewisePolynomial(np.array(breaks), np.array(nodal)) if nodal else None


def _sizes(values: Array, groups: Array) -> Array:
    mean = np.bincount(groups, np.mean(values**2, axis=0)) / np.bincount(groups)
    return np.sqrt(mean)


def _scales(values: Array, groups: Array, least: Array) -> Array:
    sizes = np.maximum(_sizes(values, groups), least)
    sizes = np.maximum(sizes, 1e-10 * max(float(sizes.max()), 1e-290))
    return sizes[groups]


def _first_step(rates: Rates, span: tuple[float, float], y: Array, tolerance: float) -> float:
    speed = float(np.linalg.norm(rates(np.array([span[0]]), y[None])))
    length = span[1] - span[0]
    return min(
        length / 20,
        10 * tolerance ** (1 / STAGES) * max(float(np.linalg.norm(y)), 1e-3 * speed * length) / (speed + 1e-300),
    )


def _extrapolation(values: Array, h: float, tableau: _Tableau) -> Callable[[float], Array]:
    nodes = 2 * np.concatenate([[0.0], tableau.nodes]) - 1
    size = len(nodes) - 1

    def guess(step: float) -> Array:
        if step > 3 * h:  # a polynomial is no guide that far outside
            return np.zeros_like(values[1:])
        targets = 2 * (1 + tableau.nodes * step / h) - 1
        matrix = legendre.legvander(targets, size) @ np.linalg.inv(legendre.legvander(nodes, size))
        return matrix @ values - values[-1]

    return guess
