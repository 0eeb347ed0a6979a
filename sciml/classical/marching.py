"""Which way a collocated evolution equation is integrated in time: exactly, explicitly or implicitly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml.classical.clock import Clock
from sciml.classical.explicit import TooManyStepsError, integrate_explicit
from sciml.classical.modal import ModalTrajectory, integrate_linear
from sciml.classical.radau import integrate_radau
from sciml.classical.trajectory import PiecewisePolynomial

if TYPE_CHECKING:
    from sciml.classical.evolution_collocation import CollocationSystem

__all__ = ["march"]

Array = NDArray[Any]

LARGEST_EIGENPROBLEM = 1300  # unknowns: some seconds
LARGEST_DENSE = 800  # unknowns: factors of Jacobians in a tenth of a second
SMALL_DENSE = 200  # unknowns: factors for next to nothing
STEPS = 1000  # explicit steps that stability may ask for before costly implicit ones are preferred
IMPLICIT_STEPS = 3000  # at most
LARGEST_GROWTH = 1e6  # of the values beyond what the problem sets
NEGLIGIBLE = 1e-3  # fraction of the tolerance below which a mode of a linear system does not matter
FAILURES = 8  # halvings of a step in a row that show that mean coefficients are no substitute for a Jacobian
MOST = 5000  # explicit steps after which an implicit method is tried


def march(
    system: CollocationSystem,
    span: tuple[float, float],
    start: Array,
    tolerance: float,
    clock: Clock,
    *,
    linear: bool,
) -> tuple[PiecewisePolynomial | ModalTrajectory, str]:
    """Integrate the system; return the trajectory of its coefficients and the name of the method.

    Linear systems with constant coefficients are integrated exactly, others explicitly as long as stability allows.
    Implicit steps use the dense Jacobian, or where that is too large one with mean coefficients.

    Parameters
    ----------
    system : of the values at the collocation points.
    span, start : first and last time, initial state [n].
    tolerance : relative error of a step.
    clock : ends the integration when the time budget is used up.
    linear : whether the rates are linear with coefficients constant in time.
    """

    def rate(t: float, y: Array) -> Array:
        return system.rates(np.array([t]), y[None])[0]

    # Far beyond what the problem sets: an instability, of the equation or of too few points.
    bound = LARGEST_GROWTH * (np.max(np.abs(start)) + (span[1] - span[0]) * np.max(np.abs(rate(span[0], start))))

    bounded = True

    def watch(t: float, y: Array) -> bool:
        nonlocal bounded
        bounded = bool(np.max(np.abs(y)) <= bound)
        return bounded

    if linear and system.size <= LARGEST_EIGENPROBLEM:
        exact = integrate_linear(
            system.rates,
            system.jacobian(span[0], np.zeros_like(start)).matrix,
            system.expand,
            span,
            start,
            NEGLIGIBLE * tolerance,
            system.groups,
        )
        if exact is not None:
            return exact, "exact in time"
    steps = _spectral_radius(rate, span[0], start) * (span[1] - span[0]) / 5
    ways = _ways(system, steps)
    for way in ways:
        if way == "explicit":
            method, most = "Dormand-Prince 8(5,3)", MOST if way != ways[-1] else 10**9
            try:
                result = integrate_explicit(
                    rate, span, start, tolerance, system.groups, clock, floor=1.0, steps=most, watch=watch
                )
                break
            except TooManyStepsError:
                continue
        else:
            method, mean = "Radau IIA of order 13", way == "mean"
            result = integrate_radau(
                system.rates,
                system.mean_jacobian if mean else system.jacobian,
                span,
                start,
                tolerance,
                clock,
                groups=system.groups,
                watch=watch,
                failures=FAILURES if mean else 50,
                steps=IMPLICIT_STEPS,
            )
        if clock.expired or not bounded or (result is not None and result.end >= span[1]):
            break
    values = PiecewisePolynomial.constant(span, start) if result is None else result
    return values.mapped(system.expand), method


def _ways(system: CollocationSystem, steps: float) -> list[str]:
    """Return the ways to integrate, the most promising first, for a number of steps that stability asks for.

    An implicit step is one of order 13 whose stages are evaluated together: where the linear algebra costs little it
    is the better way even for problems that are not stiff.
    """
    implicit = ["mean"] * system.separable + ["dense"] * (system.size <= LARGEST_DENSE)
    if system.size <= SMALL_DENSE or (steps > STEPS and "dense" in implicit):
        return implicit
    return [*implicit, "explicit"] if system.separable else ["explicit", *implicit]


def _spectral_radius(rate, t: float, y: Array) -> float:
    """Estimate the spectral radius of the Jacobian by power iteration on differences."""
    base = rate(t, y)
    step = 1e-7 * (1 + float(np.linalg.norm(y)))
    vector, growth = np.random.default_rng(0).standard_normal(y.size), 0.0
    for _ in range(12):
        vector *= step / np.linalg.norm(vector)
        image = (rate(t, y + vector) - base) / step
        growth = float(np.linalg.norm(image))
        if not np.isfinite(growth) or growth == 0:
            return 0.0
        vector = image
    return growth
