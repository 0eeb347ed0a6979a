"""Times that are dates: those of a file as seconds or days since the first, those given from Python refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from sciml.errors import ArgumentError, FileFormatError

__all__ = ["elapsed", "is_date", "mostly_dates", "refuse_dates", "since_first"]

DAY = 86400.0
MISSING = frozenset({"", "nan", "nat", "na", "n/a", "null", "none"})
_ISO = re.compile(
    r"(\d{4}-\d{2}(?:-\d{2})?)(?:[Tt ]\s*(\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d+))?\s*([Zz]|[+-]\d{2}(?::?\d{2})?)?)?"
)


def is_date(text: str) -> bool:
    """Return whether a text is a date of ISO 8601, with or without a time of day.

    >>> is_date("2024-01-05"), is_date("2024-01-05T10:30:00.5Z"), is_date("2024-13-05"), is_date("20240105")
    (True, True, False, False)
    """
    return _read(text) is not None


def mostly_dates(texts: Sequence[str]) -> bool:
    """Return whether more than half of the entries that are not missing are dates."""
    there = [text for text in texts if not _is_missing(text)]
    return sum(map(is_date, there)) > len(there) / 2


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def _read(text: str) -> tuple[datetime, float] | None:
    """Return whole seconds and the fraction of one, which may be finer than a `datetime` holds."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day if len(day) > 7 else day + '-01'}T{clock or '00:00'}{(zone or '').upper()}"
        )
    except ValueError:
        return None
    return moment, float(f"0.{fraction or 0}")


def since_first(texts: Sequence[str], lines: Sequence[int], name: str, source: str) -> tuple[np.ndarray, str] | None:
    """Return the times that a column of dates stands for.

    Parameters
    ----------
    texts : [N], dates of ISO 8601 with or without a time of day; empty, "NaT" or "NA" where one is missing.
    lines : [N], their lines in the file.
    name, source : of the column and of the file, for messages.

    Returns
    -------
    (times, sentence) or None
        float64 [N], days since the first date where all differ by whole days, else seconds; NaN where one is missing;
        and what was assumed. None where most entries are no dates.

    Raises
    ------
    FileFormatError
        an entry among dates is none, or only some of them have a time zone.
    """
    if not mostly_dates(texts):
        return None
    moments = [_read(text) for text in texts]
    begin, first, fraction = next((text, *read) for text, read in zip(texts, moments, strict=True) if read is not None)
    zoned = first.tzinfo is not None
    seconds = np.full(len(texts), np.nan)
    for k, (text, line, moment) in enumerate(zip(texts, lines, moments, strict=True)):
        if moment is None:
            if not _is_missing(text):
                raise FileFormatError(
                    f"{source}, line {line}: {text[:40]!r} in the column {name!r} is not a date such as {begin!r}"
                )
            continue
        if (moment[0].tzinfo is not None) != zoned:
            raise FileFormatError(
                f"{source}, line {line}: the date {text!r} has {'no' if zoned else 'a'} time zone, but others have "
                f"{'one' if zoned else 'none'}; write all in one way"
            )
        seconds[k] = (moment[0] - first).total_seconds() + (moment[1] - fraction)
    return _in_units(seconds, name, begin)


def elapsed(array: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Return the times that an array of NumPy's dates or time differences stands for; see `since_first`."""
    if array.dtype.kind == "m":
        return array / np.timedelta64(1, "s"), f"the time differences of {name!r} are read as seconds"
    # Months and years have no length in seconds.
    fine = array.astype("datetime64[D]") if np.datetime_data(array.dtype)[0] in ("Y", "M", "W") else array
    known = fine[~np.isnat(fine)]
    if not known.size:
        raise FileFormatError(f"{name!r} holds no dates: all of them are missing")
    return _in_units((fine - known.flat[0]) / np.timedelta64(1, "s"), name, str(known.flat[0]))


def _in_units(seconds: np.ndarray, name: str, begin: str) -> tuple[np.ndarray, str]:
    whole = not np.remainder(seconds[np.isfinite(seconds)], DAY).any()
    unit = "days" if whole else "seconds"
    return seconds / (DAY if whole else 1.0), f"the dates of {name!r} are read as {unit} since {begin}"


def refuse_dates(given: Any, what: str) -> None:
    """Refuse dates and time differences, which as numbers would be nanoseconds or whatever their unit is.

    Parameters
    ----------
    given : what a user gave for numbers.
    what : its name, which stands in the cure, too.

    Raises
    ------
    ArgumentError
        dates or time differences of NumPy, pandas or Python, or texts of dates.
    """
    array = np.asarray(given)
    kind, entry = array.dtype.kind, array.flat[0] if array.size else None
    python = kind == "O" and isinstance(entry, (date, timedelta)) and not hasattr(given, "dtype")
    text = kind == "U" and isinstance(entry, str) and is_date(entry)
    unit = "numpy.timedelta64(1, 's')"
    if kind == "m" or (kind == "O" and isinstance(entry, timedelta)):
        kinds, wanted = "time differences", "give it in seconds"
        cure = f"[m.total_seconds() for m in {what}]" if python and array.ndim else f"{what} / {unit}"
    elif kind == "M" or text or (kind == "O" and isinstance(entry, date)):
        kinds, wanted = "texts of dates" if text else "dates", "give the seconds since the first moment"
        cure = f"({what} - {what}{'.iloc' if hasattr(given, 'iloc') else ''}[0]) / {unit}"
        cure = f"[(m - {what}[0]).total_seconds() for m in {what}]" if python else cure
        cure = f"{what} = numpy.array({what}, dtype='datetime64[us]'), then {cure}" if text else cure
    else:
        return
    raise ArgumentError(f"{what} must be numbers, not {kinds}: {wanted}, {cure}")
