"""From named arrays to points and values: types, shapes, grids, and whether the points lie in the box."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.data_files import TextColumn
from sciml.data_names import listed
from sciml.errors import ArgumentError

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Rows", "checked", "numbers_of", "rows_of"]

# An imaginary part below this share is rounding of a Fourier transform in single precision.
IMAGINARY = 1e-7
# Points of a text file with six digits may lie this far outside, relative to the size of the coordinates.
SIX_DIGITS = 5e-6


@final
@dataclass(frozen=True)
class Rows:
    """Measurements as rows, before they are checked.

    Attributes
    ----------
    points : [N, d].
    values : by name, [N].
    label : how a row is called in messages: "line 17", "row 3", "entry [3, 0]".
    precision : relative rounding of the coordinates.
    """

    points: np.ndarray
    values: Mapping[str, np.ndarray]
    label: Callable[[int], str]
    precision: float


def numbers_of(value: Any, what: str) -> np.ndarray:
    """Return real numbers as float64 without axes of length one; NaN stays.

    Parameters
    ----------
    value : array, tensor, sequence, masked array (masked is not measured) or `TextColumn`.
    what : for messages, "'u' of data".

    Raises
    ------
    ArgumentError : complex numbers, texts, dates, truth values, ragged rows.
    """
    if isinstance(value, TextColumn):
        return value.numbers()
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ma.MaskedArray):
        value = np.where(np.ma.getmaskarray(value), np.nan, value.data)
    try:
        array: Any = np.asarray(value)
    except ValueError:
        raise ArgumentError(f"{what} must be an array of real numbers, but its rows differ in length") from None
    if array.dtype.kind == "O":
        array = _from_objects(array, what)
    if array.dtype.kind == "c":
        size = float(np.nanmax(abs(array.real), initial=0.0))
        part = float(np.nanmax(abs(array.imag), initial=0.0))
        if part > IMAGINARY * size:
            raise ArgumentError(
                f"{what} is complex (imaginary parts up to {part:.2g}), but unknowns are real: declare its real and "
                "imaginary part as two unknowns, u = p + i q, and give z.real and z.imag under their names"
            )
        array = array.real
    if array.dtype.kind not in "fiu":
        kinds = {"b": "truth values", "U": "text", "S": "text", "M": "dates", "m": "time differences", "V": "records"}
        advice = {
            "M": "; give the time since a first moment in one unit: (t - t[0]) / numpy.timedelta64(1, 's')",
            "m": "; divide by a unit: dt / numpy.timedelta64(1, 's')",
            "U": "; convert it with float",
            "S": "; convert it with float",
        }
        kind = array.dtype.kind
        raise ArgumentError(f"{what} must be real numbers, not {kinds.get(kind, array.dtype)}{advice.get(kind, '')}")
    return np.squeeze(array.astype(np.float64))


def _from_objects(array: np.ndarray, what: str) -> np.ndarray:
    """Return numbers from an array of Python objects; None and pandas' NA are not measured."""
    found = []
    for place, item in np.ndenumerate(array):
        if item is None or type(item).__name__ in ("NAType", "NaTType"):
            found.append(math.nan)
        elif isinstance(item, numbers.Complex) and not isinstance(item, bool):
            found.append(item)
        else:
            where = f"row {place[0]}" if len(place) == 1 else f"entry {list(place)}"
            raise ArgumentError(f"{what} must be real numbers, but {where} is {item!r:.40} ({type(item).__name__})")
    return np.array(found, dtype=complex if any(isinstance(i, complex) for i in found) else float).reshape(array.shape)


def rows_of(columns: Mapping[str, Any], problem: Problem, source: str, lines: Sequence[int] | None = None) -> Rows:
    """Bring coordinates and values, by the problem's names, into rows.

    They are columns of equal length; or arrays of equal shape; or a grid, one array for each coordinate and values
    with one axis for each coordinate in the order of the domain. A coordinate may be one number for all.

    Raises
    ------
    ArgumentError : the shapes do not fit, or an axis of a grid stands at the wrong place.
    """
    arrays = {name: numbers_of(value, f"{name!r} of {source}") for name, value in columns.items()}
    coordinates = {name: arrays[name] for name in problem.coordinates}
    values = {name: array for name, array in arrays.items() if name not in coordinates}
    precision = max(_precision(columns[name]) for name in problem.coordinates)
    for name, array in arrays.items():
        if array.size == 0:
            raise ArgumentError(f"{source} has no rows: {name!r} is empty")
    axes = {name: array for name, array in coordinates.items() if array.ndim}
    shapes = {array.shape for array in values.values()}
    flat = len({array.shape for array in (*axes.values(), *values.values())}) <= 1
    if flat:
        shape = shapes.pop()
        full = [np.broadcast_to(array, shape) for array in coordinates.values()]
    else:
        _check_grid(axes, values, source)
        shape = tuple(len(array) for array in axes.values())
        grids = dict(zip(axes, np.meshgrid(*axes.values(), indexing="ij"), strict=True))
        full = [grids[name] if name in grids else np.broadcast_to(array, shape) for name, array in coordinates.items()]
    points = np.stack([array.ravel() for array in full], axis=1)
    return Rows(points, {name: array.ravel().copy() for name, array in values.items()}, _label(shape, lines), precision)


def _label(shape: tuple[int, ...], lines: Sequence[int] | None) -> Callable[[int], str]:
    if lines is not None:
        return lambda row: f"line {lines[row]}"
    if len(shape) > 1:
        return lambda row: f"entry {[int(i) for i in np.unravel_index(row, shape)]}"
    return lambda row: f"row {row}"


def _precision(value: Any) -> float:
    """Return the relative rounding with which coordinates were stored."""
    if isinstance(value, TextColumn):
        return SIX_DIGITS
    kind = str(getattr(value, "dtype", "float64")).removeprefix("torch.")
    return 16 * float(np.finfo(kind).eps) if kind in ("float16", "float32") else 16 * float(np.finfo(np.float64).eps)


def _check_grid(axes: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], source: str) -> None:
    """Refuse shapes that are neither columns nor a grid, naming a transposed one."""
    everything = {**axes, **values}
    lengths = ", ".join(f"{name} {_shape(array)}" for name, array in everything.items())
    if any(array.ndim != 1 for array in axes.values()) or any(array.ndim == 1 for array in values.values()):
        raise ArgumentError(
            f"the shapes in {source} do not fit: {lengths}; give columns of equal length, or one array for each "
            f"coordinate and values of the shape {_shape_of(axes)}{_reshaping(axes, values)}"
        )
    wanted = tuple(len(axis) for axis in axes.values())
    for name, array in values.items():
        if array.shape == wanted:
            continue
        if array.shape == wanted[::-1] and len(wanted) == 2:
            turned = f"; {name} is transposed: give {name}.T"
        elif sorted(array.shape) == sorted(wanted):
            order = [array.shape.index(n) for n in wanted]
            turned = f"; its axes are in another order: give numpy.transpose({name}, {order})"
        else:
            turned = ""
        sizes = ", ".join(f"{axis} has {len(x)} points" for axis, x in axes.items())
        raise ArgumentError(
            f"{name!r} of {source} has the shape {_shape(array)}, but {sizes}: the shape must be {_shape_of(axes)}, "
            f"one axis for each coordinate in the order {', '.join(axes)}{turned}"
        )


def _reshaping(axes: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> str:
    """Return the advice for values of a grid that came as one long array."""
    size = math.prod(array.size for array in axes.values())
    for name, array in values.items():
        if array.ndim == 1 and array.size == size and len(axes) > 1:
            return f": {name}.reshape({', '.join(str(a.size) for a in axes.values())})"
    return ""


def _shape(array: np.ndarray) -> list[int]:
    return list(array.shape)


def _shape_of(axes: Mapping[str, np.ndarray]) -> str:
    return "[" + ", ".join(f"len({name})" for name in axes) + "]"


def checked(rows: Rows, problem: Problem, source: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return points within the box and values of the rows in which something was measured.

    Raises
    ------
    ArgumentError : nothing is left, a coordinate or value is not finite, a point is outside the box.
    """
    measured = np.any([~np.isnan(column) for column in rows.values.values()], axis=0)
    if not measured.any():
        raise ArgumentError(f"{source} holds no measurement: every value of {listed(list(rows.values))} is missing")
    for name, column in rows.values.items():
        _refuse(np.isinf(column), name, column, rows, source, "infinite; write NaN for what was not measured")
    for name, column in zip(problem.coordinates, rows.points.T, strict=True):
        _refuse(measured & np.isnan(column), name, column, rows, source, "missing; leave such rows out")
        _refuse(measured & np.isinf(column), name, column, rows, source, "infinite; leave such rows out")
    kept = np.flatnonzero(measured)
    points = rows.points[kept].copy()
    lower, upper = np.array(problem.domain.lower), np.array(problem.domain.upper)
    for k, name in enumerate(problem.coordinates):
        if name in problem.periodic:
            column = points[:, k]
            out = (column < lower[k]) | (column > upper[k])
            points[out, k] = lower[k] + np.mod(column[out] - lower[k], upper[k] - lower[k])
    slack = rows.precision * np.maximum(upper - lower, np.maximum(abs(lower), abs(upper)))
    outside = (points < lower - slack) | (points > upper + slack)
    if outside.any():
        row, k = np.argwhere(outside)[0]
        name, many = problem.coordinates[k], int(outside.any(axis=1).sum())
        low, high = float(np.min(points[:, k])), float(np.max(points[:, k]))
        ends = f"({min(low, lower[k]):.6g}, {max(high, upper[k]):.6g})"
        raise ArgumentError(
            f"{source}, {rows.label(int(kept[row]))}: {name} = {points[row, k]:.9g} is outside the domain {name} in "
            f"[{lower[k]:.9g}, {upper[k]:.9g}]{f' ({many} such points)' if many > 1 else ''}; "
            f"leave such rows out, or widen the domain to {name}: {ends}"
        )
    return np.clip(points, lower, upper), {name: column[kept] for name, column in rows.values.items()}


def _refuse(bad: np.ndarray, name: str, column: np.ndarray, rows: Rows, source: str, why: str) -> None:
    if bad.any():
        row, many = int(np.argmax(bad)), int(bad.sum())
        others = f" ({many} such rows)" if many > 1 else ""
        raise ArgumentError(f"{source}, {rows.label(row)}: {name} = {column[row]:g} is {why}{others}")
