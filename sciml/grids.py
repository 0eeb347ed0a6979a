"""Points at which solutions are compared, tabulated and drawn, and the values of references there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ArgumentError

if TYPE_CHECKING:
    from sciml.domain import Box
    from sciml.problem import Problem

__all__ = ["axes_of", "comparison_points", "real_array", "relative", "tensor_points", "values_of"]

# Points per coordinate of the grids on which errors are measured: fine enough for the layers of the bundled problems,
# coarse enough to take less than a second. From four dimensions on a tensor grid is hopeless and Sobol points serve.
COMPARISON = {1: 2001, 2: 201, 3: 51}
SOBOL_EXPONENT = 16


def axes_of(box: Box, sizes: Mapping[str, int] | int) -> list[np.ndarray]:
    """Return equispaced points per coordinate, the sides included; `sizes` by name, or one number for all."""
    counts = [sizes if isinstance(sizes, int) else sizes[name] for name in box.coordinates]
    return [np.linspace(low, high, n) for low, high, n in zip(box.lower, box.upper, counts, strict=True)]


def tensor_points(axes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the points [N, d] of the tensor grid of `axes`, the last coordinate running fastest."""
    return np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")], axis=1)


def comparison_points(box: Box) -> np.ndarray:
    """Return the points [N, d] at which errors are measured by default.

    An equispaced tensor grid with its sides: 2001 points in one dimension, 201 x 201 in two, 51 x 51 x 51 in three;
    the first 2^16 points of the Sobol sequence from four on.
    """
    dimension = len(box.coordinates)
    if dimension in COMPARISON:
        return tensor_points(axes_of(box, COMPARISON[dimension]))
    from scipy.stats import qmc

    unit = qmc.Sobol(dimension, scramble=False).random_base2(SOBOL_EXPONENT)
    return np.array(box.lower) + unit * (np.array(box.upper) - np.array(box.lower))


def values_of(other: Any, problem: Problem, unknowns: Sequence[str], points: np.ndarray) -> np.ndarray:
    """Return the values [len(unknowns), N] of a reference at points in the order of the problem's domain.

    Parameters
    ----------
    other : Problem (its exact solution), Solution, or callable of one array [N] per coordinate
        a callable returns an array for one unknown, a tuple in the order of the unknowns, or a mapping by name.
    problem : Problem
        whose coordinates and unknowns are meant.
    unknowns : names to return
    points : array [N, d]

    Raises
    ------
    ArgumentError
        the reference does not fit the problem, or is not finite at some point.
    """
    values: Any
    if hasattr(other, "evaluate_exact"):
        if not other.has_exact:
            raise ArgumentError(
                "the problem has no exact solution to compare with: give a Solution or a function, "
                "for example classical.solve(problem)"
            )
        values = other.evaluate_exact(points)
    elif hasattr(other, "evaluator"):
        values = _values_of_solution(other, problem, unknowns, points)
    elif callable(other):
        values = _call(other, problem, points)
    else:
        raise ArgumentError(f"compare with a Solution or a function of the coordinates, not {type(other).__name__}")
    if not isinstance(values, Mapping):
        if not isinstance(values, tuple | list):
            values = (values,)
        if len(values) != len(problem.unknowns):
            raise ArgumentError(
                f"the function returned {len(values)} arrays, but the unknowns are {', '.join(problem.unknowns)}"
            )
        values = dict(zip(problem.unknowns, values, strict=True))
    result = np.empty((len(unknowns), len(points)))
    for row, name in zip(result, unknowns, strict=True):
        if name not in values:
            raise ArgumentError(f"the reference has no values of the unknown {name!r}")
        row[:] = _column(values[name], name, len(points))
    bad = ~np.isfinite(result).all(axis=0)
    if bad.any():
        place = ", ".join(f"{c} = {v:.6g}" for c, v in zip(problem.coordinates, points[bad.argmax()], strict=True))
        raise ArgumentError(f"the reference is not finite at {bad.sum()} of {len(points)} points, first at {place}")
    return result


def _values_of_solution(other: Any, problem: Problem, unknowns: Sequence[str], points: np.ndarray) -> dict[str, Any]:
    theirs = other.problem.coordinates
    if set(theirs) != set(problem.coordinates):
        raise ArgumentError(f"the solutions have different coordinates: {problem.coordinates} and {theirs}")
    missing = [name for name in unknowns if name not in other.problem.unknowns]
    if missing:
        raise ArgumentError(f"the reference is of {other.problem.unknowns} and has no {', '.join(missing)}")
    order = [problem.coordinates.index(name) for name in theirs]
    return dict(zip(unknowns, other.evaluate(unknowns, points[:, order]), strict=True))


def _call(function: Callable[..., Any], problem: Problem, points: np.ndarray) -> Any:
    """Call a user's function with one array per coordinate; a wrong signature is named instead of a traceback."""
    try:
        inspect.signature(function).bind(*points.T)
    except TypeError as problem_with_call:
        wanted = ", ".join(problem.coordinates)
        raise ArgumentError(f"the function must take ({wanted}): {problem_with_call}") from None
    except ValueError:  # built-in functions without a signature
        pass
    return function(*np.ascontiguousarray(points.T))


def _column(values: Any, name: str, count: int) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.shape not in ((), (count,)):
        raise ArgumentError(
            f"the reference must give real numbers of the shape [{count}] for {name!r}, "
            f"not {array.dtype} of the shape {list(array.shape)}"
        )
    return array.astype(np.float64)


def real_array(value: Any, what: str) -> np.ndarray:
    """Return a finite floating array from numbers, sequences, arrays or tensors."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise ArgumentError(f"{what} must be an array of real numbers, but its rows differ in length") from None
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"{what} must be real numbers, not {type(value).__name__} of {array.dtype}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ArgumentError(f"{what} must be finite, but NaN or infinity was given")
    return array


def relative(values: np.ndarray, reference: np.ndarray) -> float:
    """Return the L2 norm of the difference relative to that of the reference (its root mean square if that is zero)."""
    difference, norm = float(np.sum((values - reference) ** 2)), float(np.sum(reference**2))
    return float(np.sqrt(difference / norm)) if norm > 0 else float(np.sqrt(difference / reference.size))
