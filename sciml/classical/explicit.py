"""Explicit integration of problems that are not stiff: SciPy's DOP853, its dense output merged into long pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import DOP853

from sciml.classical.clock import Clock
from sciml.classical.trajectory import PiecewisePolynomial, merge_pieces

__all__ = ["TooManyStepsError", "integrate_explicit"]

Array = NDArray[Any]

DEGREE = 14
BLOCK = 32  # steps that are merged at most
FINEST = 2.3e-14  # DOP853 accepts no smaller relative tolerance


class TooManyStepsError(Exception):
    """An explicit method is the wrong one: its steps are limited by stability."""


def integrate_explicit(
    rate: Callable[[float, Array], Array],
    span: tuple[float, float],
    y: Array,
    tolerance: float,
    groups: Array,
    clock: Clock,
    *,
    floor: float,
    steps: int = 100_000,
    watch: Callable[[float, Array], bool] | None = None,
) -> PiecewisePolynomial | None:
    """Integrate y' = f(t, y) by the explicit Runge-Kutta method of order 8.

    Parameters
    ----------
    rate : f(t, y).
    span : first and last time.
    y : initial state [n].
    tolerance : relative error of a step.
    groups : number of the field, 0, 1, ..., to which each component belongs, shape [n]; fields have a common scale.
    clock : ends the integration when the time budget is used up.
    floor : components smaller than this fraction of their field are held to an absolute tolerance.
    steps : most steps.
    watch : stops the integration where it returns False for an accepted (t, y).

    Returns
    -------
    PiecewisePolynomial or None
        shorter than `span` if the steps became too small or time ran out; None if not even one step was made.

    Raises
    ------
    TooManyStepsError

    References
    ----------
    E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I, 1993, doi:10.1007/978-3-540-78862-1
    """
    with np.errstate(all="ignore"):
        tolerance = max(tolerance, FINEST)
        sizes = _field_sizes(y, groups)
        # A field that starts at zero is measured by what it becomes in a hundredth of the time.
        speed = _field_sizes(rate(span[0], y), groups) * (span[1] - span[0]) / 100
        sizes = np.where(sizes > 0, sizes, speed)
        sizes = np.maximum(sizes, 1e-10 * float(np.max(sizes)) or 1.0)
        solver = DOP853(rate, span[0], y, span[1], rtol=tolerance, atol=tolerance * floor * sizes[groups])  # pyright: ignore
        breaks, nodal, block = [span[0]], [], []

        def flush() -> None:
            if block:
                np.maximum(sizes, _field_sizes(solver.y, groups), out=sizes)
                for end, values in merge_pieces(block, DEGREE, 3 * tolerance * sizes[groups]):
                    breaks.append(end)
                    nodal.append(values)
                block.clear()

        for count in range(steps + 1):
            if solver.status != "running" or clock.expired:
                break
            if count == steps:
                raise TooManyStepsError
            solver.step()
            if solver.status == "failed" or not np.all(np.isfinite(solver.y)):
                break
            dense = solver.dense_output()
            block.append((solver.t_old, solver.t, lambda times, dense=dense: dense(times).T))
            if len(block) == BLOCK:
                flush()
            if watch is not None and not watch(solver.t, solver.y):
                break
        flush()
    return PiecewisePolynomial(np.array(breaks), np.array(nodal)) if nodal else None


def _field_sizes(y: Array, groups: Array) -> Array:
    result = np.zeros(groups.max() + 1)
    np.maximum.at(result, groups, np.abs(y))
    return result
