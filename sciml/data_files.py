"""Files of measurements: tables as text, archives of NumPy and MATLAB. Nothing in them is ever executed."""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from sciml.data_dates import is_date
from sciml.errors import FileFormatError, closest

__all__ = ["DataFile", "TextColumn", "read_data_file"]

TABLES = (".csv", ".tsv", ".txt", ".dat")
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
# What people have instead of a table, and what to do about it.
_OTHERS = {
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".ods": "save the sheet as CSV",
    ".json": "save the columns as CSV, or read it with json.load and give the arrays from Python",
    ".parquet": "give the data frame: pandas.read_parquet(path)",
    ".feather": "give the data frame: pandas.read_feather(path)",
    ".pkl": "a pickle can execute code and is not read; save the arrays with numpy.savez",
    ".pickle": "a pickle can execute code and is not read; save the arrays with numpy.savez",
    ".pt": "a pickle can execute code and is not read; save the arrays with numpy.savez",
    ".nc": "give the data set: xarray.open_dataset(path)",
    ".h5": "read it with h5py and give the arrays as a mapping of names",
    ".hdf5": "read it with h5py and give the arrays as a mapping of names",
}
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


@final
@dataclass(frozen=True)
class TextColumn:
    """A column of a text file, made numbers only when it is used: a column of remarks may stand beside the data.

    Attributes
    ----------
    name : from the header, or "column 3".
    texts : the entries, without blanks around them.
    lines : their lines in the file, counted from 1.
    source : name of the file.
    """

    name: str
    texts: Sequence[str]
    lines: Sequence[int]
    source: str

    def numbers(self) -> np.ndarray:
        """Return the entries as float64 [N], NaN where an entry is empty, "nan", "NA" or "null".

        Raises
        ------
        FileFormatError : an entry is no number, with its line.
        """
        return np.array([self._number(text, line) for text, line in zip(self.texts, self.lines, strict=True)])

    def _number(self, text: str, line: int) -> float:
        try:
            return number_of(text)
        except ValueError:
            hint = "; a complex number is two columns, its real and its imaginary part" if _is_complex(text) else ""
            raise FileFormatError(
                f"{self.source}, line {line}: {text[:40]!r} in the column {self.name!r} is not a number{hint}"
            ) from None


@final
@dataclass(frozen=True)
class DataFile:
    """What a file holds: named columns or arrays, or nameless columns in the order of the file.

    Attributes
    ----------
    named : TextColumn or array by name; empty where there are no names.
    nameless : the columns of a table without a header, or of a single matrix; `shape` is [rows, columns].
    lines : of a text file, the line of each row.
    archive : whether the file may well hold other things beside the data.
    """

    named: Mapping[str, Any]
    nameless: Sequence[Any] = ()
    shape: tuple[int, ...] = ()
    lines: Sequence[int] | None = None
    archive: bool = False


def read_data_file(path: str | Path) -> DataFile:
    """Read a file of measurements.

    Parameters
    ----------
    path : .csv, .tsv, .txt, .dat (columns separated by commas, semicolons, tabs or blanks; lines that begin with `#`
        are comments; names in the first line or in the comment above the numbers; decimal commas where the separator
        is another one), .npz, .npy, .mat (MATLAB 4 to 7.2).

    Raises
    ------
    FileFormatError : the file is missing, unreadable, or not what its suffix says.
    """
    target = Path(path)
    readers: dict[str, Callable[[Path], DataFile]] = dict.fromkeys(TABLES, _read_text)
    readers |= {".npz": _read_npz, ".npy": _read_npy, ".mat": _read_mat}
    suffix = target.suffix.lower()
    if target.is_dir():
        raise FileFormatError(f"{str(path)!r} is a directory; give one file of data")
    if suffix not in readers:
        known = ", ".join(readers)
        advice = f"; {_OTHERS[suffix]}" if suffix in _OTHERS else closest(suffix, readers)
        raise FileFormatError(f"a file of data ends in {known}, {target.name!r} does not{advice}")
    if not target.is_file():
        neighbours = [entry.name for entry in target.parent.glob("*")] if target.parent.is_dir() else []
        raise FileFormatError(f"there is no file {str(path)!r}{closest(target.name, neighbours)}")
    try:
        return readers[suffix](target)
    except OSError as error:
        raise FileFormatError(f"{target.name} cannot be read: {error.strerror or error}") from None


def number_of(text: str) -> float:
    """Return the number that a text stands for, NaN for what is missing; ValueError for anything else."""
    if text.lower() in MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        if _DECIMAL_COMMA.fullmatch(text):
            return float(text.replace(",", "."))
        if re.fullmatch(r"[+-]?[\d.]+[dD][+-]?\d+", text):  # Fortran's double precision
            return float(text.lower().replace("d", "e"))
        raise


def _is_number(text: str) -> bool:
    try:
        number_of(text)
    except ValueError:
        return False
    return True


def _is_complex(text: str) -> bool:
    try:
        complex(text.replace("i", "j").replace(" ", ""))
    except ValueError:
        return False
    return True


def _read_text(path: Path) -> DataFile:
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FileFormatError(f"{path.name} is text in UTF-16; save it as CSV in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileFormatError(f"{path.name}, line {line}: not text in UTF-8; save the table as CSV in UTF-8") from None
    if "\0" in text:
        raise FileFormatError(f"{path.name} is a binary file and no table; save the table as CSV")
    lines = text.splitlines()
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not _is_comment(line)]
    if not rows:
        raise FileFormatError(f"{path.name} is empty; it needs a line of names and lines of numbers")
    separator = _separator(rows[-1][1])
    fields = [(number, _split(line, separator, path.name, number)) for number, line in rows]
    first, names = fields[0][0], fields[0][1]
    if all(_is_number(field) or is_date(field) for field in names):
        above = [line.strip()[1:] for line in lines[: first - 1] if _is_comment(line)]
        names = _names_in_comment(above, len(names), separator)
    else:
        fields = fields[1:]
        if not fields:
            raise FileFormatError(f"{path.name} has a line of names but no line of numbers")
    for number, row in fields:
        if len(row) != len(names or fields[0][1]):
            wanted = f"{len(names)} names" if names else f"{len(fields[0][1])} columns in line {fields[0][0]}"
            raise FileFormatError(
                f"{path.name}, line {number}: {len(row)} columns, but there are {wanted}; "
                "leave an entry empty or write nan where nothing was measured"
            )
    numbers = [number for number, _ in fields]
    headers = [name or f"column {k}" for k, name in enumerate(names or [""] * len(fields[0][1]), 1)]
    twice = next((name for name in headers if headers.count(name) > 1), None)
    if twice is not None:
        raise FileFormatError(f"{path.name} has two columns with the name {twice!r}; rename or remove one of them")
    columns = [TextColumn(name, [row[k] for _, row in fields], numbers, path.name) for k, name in enumerate(headers)]
    if names is None:
        return DataFile({}, columns, (len(fields), len(columns)), numbers)
    return DataFile({column.name: column for column in columns}, lines=numbers)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _separator(line: str) -> str | None:
    """Return what separates the columns of a line of numbers; None for blanks."""
    if ";" in line:
        return ";"
    if "\t" in line and not any(re.search(r"\S\s+\S", field) and not is_date(field) for field in line.split("\t")):
        return "\t"
    return "," if "," in line else None


def _split(line: str, separator: str | None, source: str, number: int) -> list[str]:
    if separator is None:
        return line.split()
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error as error:
        raise FileFormatError(f"{source}, line {number}: {error}") from None


def _names_in_comment(comments: Sequence[str], count: int, separator: str | None) -> list[str] | None:
    """Return the names in the last comment above the numbers, as `numpy.savetxt` writes them."""
    for comment in comments[-1:]:
        for candidate in (separator, ",", None):
            names = [name.strip() for name in (comment.split() if candidate is None else comment.split(candidate))]
            if len(names) == count and all(names) and not any(_is_number(name) for name in names):
                return names
    return None


def _read_npz(path: Path) -> DataFile:
    if not zipfile.is_zipfile(path):
        raise _no_archive(path, "numpy.savez", ValueError("no archive"))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise _no_archive(path, "numpy.savez", error) from None
    return _archive(arrays, path)


def _read_npy(path: Path) -> DataFile:
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise _no_archive(path, "numpy.save", ValueError("no array"))
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _no_archive(path, "numpy.save", error) from None
    if array.dtype.names:
        return DataFile({name: array[name] for name in array.dtype.names})
    return _archive({"the array": array}, path)


def _no_archive(path: Path, writer: str, error: Exception) -> FileFormatError:
    if "allow_pickle" in str(error):
        return FileFormatError(
            f"{path.name} holds Python objects, which are not read since they can execute code; "
            f"save arrays of numbers with {writer}"
        )
    return FileFormatError(f"{path.name} is damaged or was not written by {writer} ({error}); write it once more")


def _read_mat(path: Path) -> DataFile:
    import scipy.io

    v73 = FileFormatError(
        f"{path.name} is a MATLAB 7.3 file (HDF5), which is not read: save it in MATLAB with save('{path.name}', "
        "'-v7'), or read it with h5py and give the arrays as a mapping of names (transposed: HDF5 turns the axes)"
    )
    with path.open("rb") as file:
        head = file.read(520)
    if b"\x89HDF\r\n\x1a\n" in head or head.startswith(b"MATLAB 7.3"):
        raise v73
    try:
        found = scipy.io.loadmat(path)
    except NotImplementedError:
        raise v73 from None
    except Exception as error:  # SciPy's reader raises whatever it stumbles over in a damaged file
        first = (str(error).splitlines() or [""])[0][:100]
        raise FileFormatError(
            f"{path.name} is damaged or not a MATLAB file ({type(error).__name__}: {first}); write it once more"
        ) from None
    return _archive({name: value for name, value in found.items() if not name.startswith("__")}, path)


def _archive(arrays: Mapping[str, np.ndarray], path: Path) -> DataFile:
    """Return the arrays by name; a single matrix is taken as nameless columns."""
    if not arrays:
        raise FileFormatError(f"{path.name} holds no arrays")
    only = next(iter(arrays.values()))
    if len(arrays) == 1 and only.ndim == 2 and min(only.shape) > 1:
        return DataFile(dict(arrays), list(only.T), only.shape, archive=True)
    return DataFile(dict(arrays), archive=True)
