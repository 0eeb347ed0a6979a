"""Trajectories as a user has them: one or many, at regular or irregular times, with gaps, controls and duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from sciml.data_dates import refuse_dates
from sciml.data_names import free_name, is_word, refuse_words
from sciml.errors import ArgumentError, NotationError
from sciml.notation import Vocabulary

__all__ = ["LEAST_SAMPLES", "Trajectories", "refuse_many", "refuse_sizes", "trajectories_of", "usable"]

LEAST_SAMPLES = 8
# Coupled oscillators with linear terms alone: 20 of them take about a minute, 30 several.
MOST_UNKNOWNS = 20
# Powers of values as large or as small as this are still numbers, with room for quotients of two.
LARGEST = 1e250
_DEFAULT_NAMES = {1: ("x",), 2: ("x", "y"), 3: ("x", "y", "z")}


@final
@dataclass(frozen=True, eq=False)
class Trajectories:
    """Records one below the other, in the user's units.

    Attributes
    ----------
    names, control_names : of the d unknowns and c control inputs
    times : [N], increasing within each record
    values : samples [N, d], NaN where there are none
    inputs : control inputs [N, c]
    bounds : int [K + 1], the first nodes of the records, and N
    duplicates : how many samples were merged with others of the same time.
    """

    names: tuple[str, ...]
    control_names: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    inputs: np.ndarray
    bounds: np.ndarray
    duplicates: int = 0

    @property
    def slices(self) -> list[slice]:
        """The rows of each record."""
        return [slice(int(a), int(b)) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]


def trajectories_of(
    t: Any,
    x: Any,
    names: Sequence[str] | str | None = None,
    control: Any = None,
    control_names: Sequence[str] | str | None = None,
    discrete: bool = False,
) -> Trajectories:
    """Check and collect what a user gave.

    Parameters
    ----------
    t : array [N], a list of them, or the time step (a number)
    x : array [N, d] or [N], or a list of them; NaN marks missing samples
    names : of the unknowns; by default those of a data frame's columns if all of them can be names, else x, y, z up
        to three, else x1, x2, ...
    control : array [N, c] or [N], or a list of them, complete
    control_names : by default u, or u1, u2, ...
    discrete : whether the samples are successive states of a map; times are then counted.

    Raises
    ------
    ArgumentError
        shapes that do not fit, too few samples, times that decrease, nothing finite.
    """
    several = isinstance(x, (list, tuple)) and len(x) > 0 and all(np.ndim(record) >= 1 for record in x)
    # A list of numbers per row is one record; a list of two-dimensional arrays, or of arrays with clocks, is many.
    if several and all(np.ndim(record) == 1 for record in x):
        several = isinstance(t, (list, tuple)) and len(t) == len(x) and np.ndim(t[0]) == 1
    headers = _headers(x if several else [x], "x")
    records = [_array(record, "x") for record in (x if several else [x])]
    records = [record[:, None] if record.ndim == 1 else record for record in records]
    if any(record.ndim != 2 for record in records):
        raise ArgumentError(f"x must have the shape [N, d], or be a list of such arrays, not {list(records[0].shape)}")
    d = records[0].shape[1]
    if d == 0 or any(record.shape[1] != d for record in records):
        raise ArgumentError("x: all trajectories must have the same number of columns, at least one")
    clocks = _clocks(t, records, discrete)
    drives = _drives(control, records)
    labels = _names(
        "names", headers if names is None else names, d, _DEFAULT_NAMES.get(d, tuple(f"x{k + 1}" for k in range(d)))
    )
    c = drives[0].shape[1]
    usual = ("u",) if c == 1 else tuple(f"u{k + 1}" for k in range(c))
    usual = tuple(free_name(name, labels) if name in labels else name for name in usual)
    inputs = _names("control_names", control_names, c, usual)
    refuse_words(labels, "names")
    refuse_words(inputs, "control_names")
    try:
        Vocabulary(("t",), labels, inputs)
    except NotationError as error:
        raise ArgumentError(f"names: {error}") from None
    kept, merged = [], 0
    for clock, record, drive in zip(clocks, records, drives, strict=True):
        clock, record, drive, lost = _merge(clock, record, drive)
        merged += lost
        if len(clock) >= 2:
            kept.append((clock, record, drive))
    total = sum(len(clock) for clock, _, _ in kept)
    if total < LEAST_SAMPLES:
        given = sum(len(record) for record in records)
        single = f" in trajectories of at least two, got {total}" if len(records) > 1 else f", got {given - merged}"
        repeated = f" ({merged} of {given} repeat a time)" if merged else ""
        raise ArgumentError(f"x must have at least {LEAST_SAMPLES} samples at different times{single}{repeated}")
    values = np.concatenate([record for _, record, _ in kept])
    empty = [
        name for name, column in zip(labels, values.T, strict=True) if np.isfinite(column).sum() < LEAST_SAMPLES // 2
    ]
    if empty:
        raise ArgumentError(f"x has almost no finite values for {', '.join(empty)}")
    bounds = np.cumsum([0, *(len(clock) for clock, _, _ in kept)])
    times = np.concatenate([clock for clock, _, _ in kept])
    return Trajectories(labels, inputs, times, values, np.concatenate([drive for _, _, drive in kept]), bounds, merged)


def refuse_many(count: int, what: str = "x") -> None:
    """Refuse more unknowns than the search for terms gets through.

    Raises
    ------
    ArgumentError
        with what such data probably are.
    """
    if count > MOST_UNKNOWNS:
        raise ArgumentError(
            f"{what} has {count} unknowns, more than {MOST_UNKNOWNS}: if it is a field on a grid, its coordinates are "
            "missing (discover_field; arrays beside it in the file, --coordinates x,t); else take a few modes first, "
            "such as the leading principal components"
        )


def refuse_sizes(record: Trajectories, degree: int) -> None:
    """Refuse values whose powers of that degree, or times whose squares, are no numbers.

    Raises
    ------
    ArgumentError
        naming the unknown, its size and the sizes that are accepted.
    """
    largest = LARGEST ** (1 / max(degree, 1))
    named = zip(
        (*record.names, *record.control_names), np.concatenate([record.values, record.inputs], 1).T, strict=True
    )
    steps = np.diff(record.times)
    sizes = [(f"x: {name!r} has values", np.nanmax(np.abs(column)), largest) for name, column in named]
    sizes.append(("t has steps", steps[steps > 0].max(initial=0.0), LARGEST**0.4))
    for what, size, most in sizes:
        if size > 0 and not 1 / most < size < most:
            raise ArgumentError(
                f"{what} up to {size:.2g}; between {1 / most:.0e} and {most:.0e}"
                f"{f' are accepted with terms of degree {degree}' if what[0] == 'x' else ' are accepted'}: "
                "give them in another unit"
            )


def _array(given: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(given)
        refuse_dates(given, what)
        if array.dtype.kind == "c":
            raise ArgumentError(f"{what} must be real; give real and imaginary parts as two unknowns")
        if array.dtype.kind == "b":
            raise ArgumentError(
                f"{what} must be real numbers, not truth values, which have no rates of change; "
                f"if 0 and 1 are meant, give {what}.astype(float)"
            )
        array = np.array(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{what} must be an array of numbers, got {type(given).__name__}") from None
    if np.isinf(array).any():
        raise ArgumentError(f"{what} must not contain infinities; mark missing samples by NaN")
    return array


def _clocks(t: Any, records: list[np.ndarray], discrete: bool) -> list[np.ndarray]:
    if discrete and t is None:
        return [np.arange(len(record), dtype=np.float64) for record in records]
    if not isinstance(t, (list, tuple)) and np.ndim(t) == 0:
        refuse_dates(t, "t")
        try:
            step = float(t)
        except (TypeError, ValueError):
            raise ArgumentError(f"t must be an array of times or a time step, got {t!r}") from None
        if not (np.isfinite(step) and step > 0):
            raise ArgumentError(f"t as a time step must be positive, got {t!r}")
        return [step * np.arange(len(record)) for record in records]
    listed = isinstance(t, (list, tuple)) and len(t) > 0 and np.ndim(t[0]) == 1
    clocks = [_array(clock, "t") for clock in (t if listed else [t])]
    if not listed and len(records) > 1:
        clocks = clocks * len(records)
    if len(clocks) != len(records):
        raise ArgumentError(f"t has {len(clocks)} trajectories, x has {len(records)}")
    for clock, record in zip(clocks, records, strict=True):
        if clock.ndim != 1 or len(clock) != len(record):
            raise ArgumentError(f"t must have one time for each row of x: [{len(record)}], not {list(clock.shape)}")
        if not np.isfinite(clock).all():
            raise ArgumentError("t must be finite; leave out the rows without a time")
        if (np.diff(clock) < 0).any():
            raise ArgumentError("t must not decrease; sort the rows by time, or give several trajectories as a list")
    return clocks


def _drives(control: Any, records: list[np.ndarray]) -> list[np.ndarray]:
    if control is None:
        return [np.zeros((len(record), 0)) for record in records]
    listed = isinstance(control, (list, tuple)) and len(control) == len(records) and np.ndim(control[0]) >= 1
    drives = [_array(drive, "control") for drive in (control if listed and len(records) > 1 else [control])]
    if len(drives) == 1 and drives[0].ndim == 3 and len(drives[0]) == len(records):
        drives = list(drives[0])
    drives = [drive[:, None] if drive.ndim == 1 else drive for drive in drives]
    if len(drives) != len(records) or any(
        drive.ndim != 2 or len(drive) != len(record) or drive.shape[1] != drives[0].shape[1]
        for drive, record in zip(drives, records, strict=False)
    ):
        raise ArgumentError(
            "control must have the shape [N, c] with a row for each row of x, or be a list of such arrays"
        )
    if any(np.isnan(drive).any() for drive in drives):
        raise ArgumentError("control must be complete: it has NaN")
    return drives


def _headers(records: Sequence[Any], what: str) -> tuple[str, ...] | None:
    """Return the columns' names of data frames, where they can be names of unknowns.

    Raises
    ------
    ArgumentError
        several frames whose columns have other names or another order.
    """
    found = [tuple(record.columns) if hasattr(record, "columns") else None for record in records]
    if any(header != found[0] for header in found):
        raise ArgumentError(f"{what}: all data frames must have the same columns in the same order, not {found[:2]}")
    return found[0] if usable(found[0] or ()) else None


def usable(names: Sequence[Any]) -> bool:
    """Return whether all of these can be names of unknowns together."""
    if not names or not all(isinstance(name, str) and not is_word(name) for name in names):
        return False
    try:
        Vocabulary(("t",), tuple(names))
    except NotationError:
        return False
    return True


def _names(what: str, given: Sequence[str] | str | None, count: int, default: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return default
    names = tuple(n.strip() for n in given.split(",")) if isinstance(given, str) else tuple(given)
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"{what} must be {count} names, one for each column, got {list(names)}")
    return names


def _merge(clock: np.ndarray, record: np.ndarray, drive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Average the samples that share a time."""
    if (np.diff(clock) > 0).all():
        return clock, record, drive, 0
    moments, place = np.unique(clock, return_inverse=True)
    known = np.isfinite(record)
    counts, sums = np.zeros((len(moments), record.shape[1])), np.zeros((len(moments), record.shape[1]))
    np.add.at(counts, place, known)
    np.add.at(sums, place, np.where(known, record, 0.0))
    with np.errstate(invalid="ignore"):
        values = np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), np.nan)
    first = np.searchsorted(clock, moments)
    return moments, values, drive[first], len(clock) - len(moments)
