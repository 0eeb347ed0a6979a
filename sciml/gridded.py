"""Fields on a grid in a file of measurements, and what was assumed about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from sciml.data_arrays import numbers_of
from sciml.data_files import DataFile, read_data_file
from sciml.data_names import listed
from sciml.errors import ArgumentError, closest
from sciml.tabular import TIMES, columns_of, holds_dates, times_of

__all__ = ["Grid", "grid_of"]

# An imaginary part below this share of the real one is an error of a Fourier transform, not a second field.
IMAGINARY = 1e-3


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """Fields on a grid from a file.

    Attributes
    ----------
    coordinates : array [n] by name, in the order of the fields' axes, time last.
    fields : array by name, one axis for each coordinate.
    assumptions : sentences about what the file did not say.
    """

    coordinates: Mapping[str, np.ndarray]
    fields: Mapping[str, np.ndarray]
    assumptions: tuple[str, ...]


def grid_of(
    path: str | Path,
    *,
    names: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    coordinates: Sequence[str] | None = None,
    time: str | None = None,
) -> Grid | None:
    """Read fields on a grid; None if the file holds none.

    In an archive a field is an array with at least two axes whose lengths are those of one-dimensional arrays, its
    coordinates. In a table it is a column beside columns of coordinates, which must be named, with a row for each point
    of the grid in any order.

    Parameters
    ----------
    names, columns : as of `records_of`.
    coordinates : names of the coordinates in the order of the axes, "x,t" or "x=xx,t=tt" with the names in the file.
    time : name of the time in the file.

    Raises
    ------
    FileFormatError, ArgumentError
        no such array, coordinates that do not fit.
    """
    source = Path(path).name
    file = read_data_file(path)
    if not file.archive:
        return None if coordinates is None else _pivoted(file, source, names, columns, coordinates)
    notes: list[str] = []
    arrays = _arrays(file.named, source, notes)
    lines = {name: array for name, array in arrays.items() if array.ndim == 1}
    clock = time or next((name for name in lines if name.lower() in TIMES), None)
    if clock is not None and clock not in lines:
        raise ArgumentError(
            f"--time: {source} has no array {clock!r}{closest(clock, lines)}; it has {listed(list(lines))}"
        )
    wanted = dict(columns or {}) or {name: name for name in names or ()}
    for name in wanted.values():
        if name not in arrays:
            raise ArgumentError(f"{source} has no array {name!r}{closest(name, arrays)}; it has {listed(list(arrays))}")
    axes = _axes(coordinates, lines, source)
    fields: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.ndim < 2 or (wanted and name not in wanted.values()):
            continue
        order = _order(array.shape, axes or None, lines, clock)
        if order is None:
            continue
        found, turned = order
        if axes and found != axes:
            continue
        axes = found
        if turned != tuple(range(array.ndim)):
            notes.append(f"the axes of {name!r} are turned to ({', '.join(axes)})")
        label = next((new for new, old in wanted.items() if old == name), name)
        fields[label] = array.transpose(turned)
    if not fields or not axes:
        return None
    if coordinates is None:
        notes.append(f"the axes of {', '.join(fields)} are ({', '.join(axes)}); --coordinates says otherwise")
    labels = _field_names(list(fields), wanted, notes)
    axes = _single_letters(axes, clock, labels, notes)
    return Grid(
        {new: lines[old] for new, old in axes.items()},
        dict(zip(labels, fields.values(), strict=True)),
        tuple(notes),
    )


def _pivoted(
    file: DataFile,
    source: str,
    names: Sequence[str] | None,
    columns: Mapping[str, str] | None,
    coordinates: Sequence[str],
) -> Grid:
    """Return the grid whose points are the rows of a table."""
    notes: list[str] = []
    named = dict(file.named)
    for name in (text.partition("=")[2] or text for text in coordinates):
        if name in named and holds_dates(named[name]):
            named[name], sentence = times_of(named[name], name, source)
            notes.append(sentence)
    table = columns_of(replace(file, named=named), source, notes, keep=set())
    axes = _axes(coordinates, table, source)
    wanted = dict(columns or {}) or {name: name for name in names or ()}
    wanted = wanted or {name: name for name in table if name not in axes.values()}
    axes = _single_letters(axes, None, list(wanted), notes)
    ticks, places = {}, []
    for new, old in axes.items():
        ticks[new], place = np.unique(table[old], return_inverse=True)
        places.append(place)
    shape, rows = tuple(len(tick) for tick in ticks.values()), len(places[0])
    fields = {}
    for new, old in wanted.items():
        if old not in table:
            raise ArgumentError(f"{source} has no column {old!r}{closest(old, table)}; it has {listed(list(table))}")
        fields[new] = np.full(shape, np.nan)
        fields[new][tuple(places)] = table[old]
    filled = np.zeros(shape, dtype=bool)
    filled[tuple(places)] = True
    if rows != math.prod(shape) or not filled.all():
        sizes = " times ".join(str(n) for n in shape)
        raise ArgumentError(
            f"{source}: the points are no grid: {rows} rows, but {sizes} different values of {', '.join(axes)}"
        )
    return Grid(ticks, fields, tuple(notes))


def _arrays(named: Mapping[str, Any], source: str, notes: list[str]) -> dict[str, np.ndarray]:
    """Return the arrays of numbers without axes of length one; cells of MATLAB one by one."""
    found: dict[str, np.ndarray] = {}
    for name, value in named.items():
        array: Any = np.asarray(value)
        if array.dtype.kind == "O":
            cells = [np.squeeze(np.asarray(cell)) for cell in array.ravel()]
            grids = [cell for cell in cells if cell.dtype.kind in "fiuc" and cell.ndim >= 2]
            found |= {name if len(grids) == 1 else f"{name}{k + 1}": grid for k, grid in enumerate(grids)}
        elif array.dtype.kind == "c":
            size, part = abs(array.real).max(initial=0.0), abs(array.imag).max(initial=0.0)
            found[name] = np.squeeze(array if part > IMAGINARY * size else array.real)
            if 0 < part <= IMAGINARY * size:
                notes.append(
                    f"the imaginary part of {name!r} is at most {part / size:.1g} of the real one and left out"
                )
        elif holds_dates(array):
            found[name], sentence = times_of(array, name, source)
            notes.append(sentence)
        elif array.dtype.kind in "fiu" and array.size > 1:
            found[name] = numbers_of(array, f"{name!r} of {source}")
    return found


def _axes(coordinates: Sequence[str] | None, lines: Mapping[str, np.ndarray], source: str) -> dict[str, str]:
    """Return the names in the file by name of the coordinate, as far as the user gave them."""
    axes: dict[str, str] = {}
    for text in coordinates or ():
        new, _, old = text.partition("=")
        if (old or new) not in lines:
            raise ArgumentError(
                f"--coordinates: {source} has no array {(old or new)!r}{closest(old or new, lines)}; "
                f"it has {listed(list(lines))}"
            )
        axes[new] = old or new
    return axes


def _order(
    shape: tuple[int, ...], axes: Mapping[str, str] | None, lines: Mapping[str, np.ndarray], clock: str | None
) -> tuple[dict[str, str], tuple[int, ...]] | None:
    """Return the coordinates of an array, time last, and how its axes are to be turned for that."""
    if axes:
        if len(axes) != len(shape) or any(len(lines[old]) != n for old, n in zip(axes.values(), shape, strict=True)):
            return None
        chosen = list(axes.items())
    else:
        free = [name for name in lines if name != clock]
        free += [clock] if clock is not None else []
        chosen = []
        for n in shape:
            match = next((name for name in free if len(lines[name]) == n), None)
            if match is None:
                return None
            free.remove(match)
            chosen.append((match, match))
    places = list(range(len(shape)))
    if clock is not None and clock in [old for _, old in chosen]:
        last = [old for _, old in chosen].index(clock)
        places = [*places[:last], *places[last + 1 :], last]
    return {chosen[k][0]: chosen[k][1] for k in places}, tuple(places)


def _single_letters(
    axes: Mapping[str, str], clock: str | None, fields: Sequence[str], notes: list[str]
) -> dict[str, str]:
    """Return the coordinates with t for the time and x for xx: u_xx, the first derivative by xx, reads as the second.

    What the user named otherwise (x=xx) keeps its name, and so does what would get the name of something else.
    """
    found: dict[str, str] = {}
    for new, old in axes.items():
        letter = new
        if new == old:
            letter = "t" if old == clock else new[0] if new == new[0] * len(new) else new
        found[new if letter in (*axes, *found, *fields) else letter] = old
    changed = [f"{name} for {new!r}" for name, new in zip(found, axes, strict=True) if name != new]
    if changed:
        notes.append(f"coordinates: {', '.join(changed)}")
    return found


def _field_names(given: Sequence[str], wanted: Mapping[str, str], notes: list[str]) -> tuple[str, ...]:
    if all(name in wanted for name in given):
        return tuple(given)
    found = tuple("uvw"[k] if len(given) <= 3 else f"u{k + 1}" for k in range(len(given)))
    changed = [f"{new} for {old!r}" for old, new in zip(given, found, strict=True) if old != new]
    if changed:
        notes.append(f"names: {', '.join(changed)}; --columns {found[0]}={given[0]} gives others")
    return found
