"""Trajectories in a file of measurements, and what was assumed about it; fields are read in `sciml.gridded`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from sciml.data_arrays import numbers_of
from sciml.data_dates import elapsed, mostly_dates, since_first
from sciml.data_files import DataFile, TextColumn, read_data_file
from sciml.data_names import free_name, is_word, listed
from sciml.errors import ArgumentError, FileFormatError, NotationError, closest

__all__ = ["TIMES", "Records", "bare", "columns_of", "holds_dates", "records_of", "times_of"]

TIMES = ("t", "tt", "time", "times", "year", "years", "day", "days", "second", "seconds", "hour", "hours")
DATES = ("date", "dates", "datetime", "timestamp", "timestamps")
_UNIT = re.compile(r"\s*[\[(][^\])]*[\])]\s*$")
_DEFAULT = {1: ("x",), 2: ("x", "y"), 3: ("x", "y", "z")}


@final
@dataclass(frozen=True, eq=False)
class Records:
    """Trajectories from a file.

    Attributes
    ----------
    names, control_names : of the unknowns and of the inputs.
    times, states, control : an array [N], [N, d], [N, c] for each trajectory.
    assumptions : sentences about what the file did not say.
    """

    names: tuple[str, ...]
    control_names: tuple[str, ...]
    times: tuple[np.ndarray, ...]
    states: tuple[np.ndarray, ...]
    control: tuple[np.ndarray, ...]
    assumptions: tuple[str, ...]


def records_of(
    path: str | Path,
    *,
    names: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    time: str | None = None,
    step: float | None = None,
    control: Sequence[str] = (),
    group: str | None = None,
) -> Records:
    """Read trajectories.

    Parameters
    ----------
    path : a table or an archive, see `read_data_file`.
    names : of the columns that are unknowns; or new names for all columns that are not the time.
    columns : names in the file by name of the unknown, of those that are taken. `alpha:2` is a matrix' second column.
    time : the column of times; found by its name, or as a first column that increases, if absent.
    step : the time step of a file without times.
    control : names of the columns that are inputs.
    group : a column whose equal entries mark a trajectory; without it a new one begins where the time goes back.

    Raises
    ------
    FileFormatError, ArgumentError
        the file cannot be read, has no such column, no numbers.
    """
    source = Path(path).name
    notes: list[str] = []
    keep = {time, group, *control, *(columns or {}).values()}
    file, labels = _labelled(read_data_file(path), source, group)
    file, clock = _dated(file, source, notes, keep, time, step)
    file = _without_index(file, notes, keep, clock is not None or time is not None or step is not None)
    table = columns_of(file, source, notes, keep)
    if clock is None:
        clock = _clock(table, time, step, source, notes)
    inputs = {name: _taken(table, name, source) for name in control}
    chosen = _chosen(table, names, columns, source, notes)
    states = np.stack(list(chosen.values()), axis=1)
    if clock is None:
        moments = np.arange(len(states)) * (1.0 if step is None else step)
    else:
        moments = clock
    if len(moments) != len(states):
        raise FileFormatError(f"{source} has {len(moments)} times, but {len(states)} samples")
    if np.isnan(moments).any():
        raise FileFormatError(f"{source}: the time is missing in row {int(np.argmax(np.isnan(moments))) + 1}")
    parts = _parts(moments, labels, source, notes)
    drives = np.stack(list(inputs.values()), axis=1) if inputs else np.zeros((len(states), 0))
    unknowns = _readable(list(chosen), notes)
    return Records(
        unknowns,
        _readable(list(inputs), notes) if inputs else (),
        tuple(moments[part] for part in parts),
        tuple(states[part] for part in parts),
        tuple(drives[part] for part in parts),
        tuple(notes),
    )


def _columns(file: DataFile) -> dict[str, Any]:
    """Return all columns by name, nameless ones as "column 3"."""
    if file.named and not (file.archive and len(file.named) == 1 and file.nameless):
        return dict(file.named)
    return {f"column {k}": column for k, column in enumerate(file.nameless, 1)}


def _labelled(file: DataFile, source: str, group: str | None) -> tuple[DataFile, np.ndarray | None]:
    """Return the file without the column of labels, and the labels: texts or numbers."""
    columns = _columns(file)
    if group is None:
        return file, None
    if group not in columns:
        raise ArgumentError(
            f"--group: {source} has no column {group!r}{closest(group, columns)}; it has {listed(list(columns))}"
        )
    column = columns.pop(group)
    labels = np.array(column.texts) if isinstance(column, TextColumn) else np.ravel(column)
    missing = labels == "" if labels.dtype.kind == "U" else labels != labels
    if missing.any():
        raise FileFormatError(f"{source}: the label {group!r} is missing in row {int(np.argmax(missing)) + 1}")
    return replace(file, named=columns, nameless=()), labels


def _without_index(file: DataFile, notes: list[str], keep: set[str | None], timed: bool) -> DataFile:
    """Return a table without the column of row numbers that pandas writes, whose name is empty.

    Row numbers with gaps or restarts stay where no other column is a time: they say more than the place of the row.
    """
    columns = _columns(file)
    timed = timed or any(bare(name).lower() in TIMES for name in columns)
    name = next(iter(columns), None)
    if name in keep or name not in file.named or name not in ("column 1", "Unnamed: 0"):
        return file
    if not isinstance(columns[name], TextColumn) or _is_remark(columns[name]):
        return file
    rows = columns[name].numbers()
    steps = np.diff(rows)
    if (np.mod(rows, 1) != 0).any() or not ((steps > 0) | (rows[1:] <= rows[0])).all():
        return file
    if not (timed or (steps == 1).all()) or len(columns) == 1:
        return file
    notes.append(
        f"the first column has no name, counts the rows and is left out; --time {name!r} takes it for the time"
    )
    return replace(file, named={other: column for other, column in columns.items() if other != name})


def _dated(
    file: DataFile, source: str, notes: list[str], keep: set[str | None], time: str | None, step: float | None
) -> tuple[DataFile, np.ndarray | None]:
    """Return the file without its column of dates, and the times that they stand for; None where no dates are the time.

    A column of numbers that is called like a time comes before dates in a column that is not.
    """
    columns = _columns(file)
    if step is not None or (time is not None and time not in columns):
        return file, None
    names = [name for name in columns if name not in keep] if time is None else [time]
    words = TIMES if time is None else (bare(time).lower(),)
    name = next((name for word in (words, DATES) for name in names if bare(name).lower() in word), None)
    if name is None:
        name = next((name for name in names if holds_dates(columns[name])), None)
    if name is None or not (holds_dates(columns[name]) or _holds_texts(columns[name])):
        return file, None
    moments, sentence = times_of(columns.pop(name), name, source)
    notes.append(f"the time is the column {name!r}; {sentence}")
    return replace(file, named=columns, nameless=()), moments


def times_of(column: Any, name: str, source: str) -> tuple[np.ndarray, str]:
    """Return the times that a column of dates stands for, and what was assumed; see `since_first`."""
    if not isinstance(column, TextColumn):
        return elapsed(np.ravel(column), name)
    found = since_first(column.texts, column.lines, name, source)
    if found is None:
        raise FileFormatError(
            f"{source}: the time {name!r} holds neither numbers nor dates of ISO 8601, such as 2024-01-05T10:30, but "
            f"{column.texts[0]!r:.40}; rewrite it, or say --time COLUMN or --step DT"
        )
    return found


def _holds_texts(column: Any) -> bool:
    return isinstance(column, TextColumn) and _is_remark(column)


def holds_dates(column: Any) -> bool:
    """Return whether a column holds dates, as texts or as NumPy has them."""
    if isinstance(column, TextColumn):
        return mostly_dates(column.texts)
    return np.asarray(column).dtype.kind in "mM" and np.size(column) > 1


def bare(name: str) -> str:
    """Return the name of a column without its unit: "time" for "time (s)"."""
    return _UNIT.sub("", name).strip()


def columns_of(file: DataFile, source: str, notes: list[str], keep: set[str | None]) -> dict[str, np.ndarray]:
    """Return all columns of numbers of one length, by name."""
    found: dict[str, np.ndarray] = {}
    for name, value in _columns(file).items():
        if isinstance(value, TextColumn) and name not in keep and _is_remark(value):
            notes.append(f"the column {name!r} holds no numbers and is left out")
            continue
        if not isinstance(value, TextColumn) and np.asarray(value).dtype.kind not in "fiu":
            if np.size(value) > 1:
                notes.append(f"{name!r} holds no real numbers and is left out")
            continue
        found[name] = numbers_of(value, f"{name!r} of {source}")
    lengths = [max(array.shape) for array in found.values() if array.ndim]
    if not lengths:
        raise FileFormatError(f"{source} holds no columns of numbers")
    # In an archive the longest arrays are the samples; what does not have that length is something else.
    length = max(lengths)
    table: dict[str, np.ndarray] = {}
    for name, array in found.items():
        if array.ndim == 1 and len(array) == length:
            table[name] = array
        elif array.ndim == 2 and length in array.shape:
            matrix = array if len(array) == length else array.T
            if len(array) != length:
                notes.append(f"the rows of {name!r} are taken for unknowns, its {length} columns for samples")
            table |= {f"{name}:{k + 1}": column for k, column in enumerate(matrix.T)}
        elif array.size > 1:
            notes.append(f"{name!r} of the shape {list(array.shape)} is left out")
    return table


def _is_remark(column: TextColumn) -> bool:
    """Whether most entries are no numbers: a wrong one among many numbers is an error and no remark."""
    bad = 0
    for text, line in zip(column.texts, column.lines, strict=True):
        try:
            TextColumn(column.name, [text], [line], column.source).numbers()
        except FileFormatError:
            bad += 1
    return bad > len(column.texts) / 2


def _taken(table: dict[str, np.ndarray], name: str, source: str) -> np.ndarray:
    if name not in table:
        raise ArgumentError(f"{source} has no column {name!r}{closest(name, table)}; it has {listed(list(table))}")
    return table.pop(name)


def _clock(
    table: dict[str, np.ndarray], time: str | None, step: float | None, source: str, notes: list[str]
) -> np.ndarray | None:
    if time is not None:
        return _taken(table, time, source)
    if step is not None:
        return None
    for name in table:
        if bare(name).lower() in TIMES and len(table) > 1:
            notes.append(f"the time is the column {name!r}")
            return table.pop(name)
    first = next(iter(table))
    if len(table) > 1 and (np.diff(table[first]) > 0).all():
        notes.append(f"the time is the first column, {first!r}, which increases; --time or --step says otherwise")
        return table.pop(first)
    notes.append("no column is a time: rows are one unit of time apart; --time or --step says otherwise")
    return None


def _chosen(
    table: dict[str, np.ndarray],
    names: Sequence[str] | None,
    columns: Mapping[str, str] | None,
    source: str,
    notes: list[str],
) -> dict[str, np.ndarray]:
    if not table:
        raise ArgumentError(f"{source} has a time but no other column")
    if columns:
        return {name: _taken(table, column, source) for name, column in columns.items()}
    if names is None:
        if len(table) > 1:
            notes.append(f"the unknowns are the columns {listed(list(table))}; --names or --columns choose")
        return table
    known = [name for name in names if name in table]
    if len(known) == len(names):
        return {name: table[name] for name in names}
    if known or len(names) != len(table):
        missing = next(name for name in names if name not in table)
        raise ArgumentError(
            f"--names: {source} has no column {missing!r}{closest(missing, table)}; it has {listed(list(table))}"
            + ("" if known else f", which are {len(table)} and not {len(names)}")
        )
    notes.append(f"{', '.join(names)} are the columns {listed(list(table))}, in this order")
    return dict(zip(names, table.values(), strict=True))


def _parts(moments: np.ndarray, labels: np.ndarray | None, source: str, notes: list[str]) -> list[np.ndarray]:
    rows = np.arange(len(moments))
    if labels is not None:
        return [rows[labels == label] for label in dict.fromkeys(labels.tolist())]
    ends = np.flatnonzero(np.diff(moments) < 0) + 1
    if len(ends) > len(moments) / 4:
        raise FileFormatError(
            f"{source}: the time goes back in {len(ends)} of {len(moments)} rows; sort the rows by time"
        )
    if len(ends):
        notes.append(f"{len(ends) + 1} trajectories: the time goes back after row {', '.join(map(str, ends[:5]))}")
    return np.split(rows, ends)


def _readable(given: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """Return names that the notation accepts, close to those of the file."""
    from sciml.notation import Vocabulary

    if all(re.match(r"column \d+$|.*:\d+$", name) for name in given):
        found = _DEFAULT.get(len(given), tuple(f"x{k + 1}" for k in range(len(given))))
    else:
        found = tuple(re.sub(r"\W+", "_", bare(name)).strip("_") or "x" for name in given)
        found = tuple(name if name[0].isalpha() else f"x{name}" for name in found)
        found = tuple(free_name(name, found) if is_word(name) else name for name in found)
    try:
        Vocabulary(("t",), found, ())
    except NotationError:
        found = tuple(f"x{k + 1}" for k in range(len(given)))
    changed = [f"{new} for {old!r}" for old, new in zip(given, found, strict=True) if old != new]
    if changed:
        notes.append(f"names: {', '.join(changed)}")
    return found
