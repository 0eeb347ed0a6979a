"""Measurements of a problem's unknowns at points of its box, from whatever a user has them in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.data_arrays import Rows, checked, numbers_of, rows_of
from sciml.data_files import read_data_file
from sciml.data_names import assigned
from sciml.errors import ArgumentError

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Observations", "observations_of"]

ACCEPTED = (
    "a mapping of names to arrays, an array [N, coordinates + unknowns], a path (.csv, .npz, .mat), "
    "a pandas DataFrame or an xarray Dataset"
)


@final
@dataclass(frozen=True, eq=False)
class Observations:
    """The measurements of one experiment.

    Attributes
    ----------
    points : float64 array [N, d], columns in the order of the domain.
    values : what was measured at them, by name of an unknown (or of a derivative, "u_x"), arrays [N]; NaN where that
        one was not measured. Every point has at least one number.
    source : where they came from, for messages ("data", "points.csv").
    left_out : how many points of the source held no number at all and are none of these.
    """

    points: np.ndarray
    values: Mapping[str, np.ndarray]
    source: str = "data"
    left_out: int = 0

    @property
    def count(self) -> int:
        """How many numbers were measured."""
        return sum(int(np.isfinite(column).sum()) for column in self.values.values())

    @property
    def counts(self) -> dict[str, int]:
        """How many numbers were measured, by name."""
        return {name: int(np.isfinite(column).sum()) for name, column in self.values.items()}

    @property
    def remark(self) -> str:
        """A sentence about the points that were left out, empty where there are none."""
        if not self.left_out:
            return ""
        total = self.left_out + len(self.points)
        were = "points hold no number (NaN) and were" if self.left_out > 1 else "point holds no number (NaN) and was"
        return f"Of the {total} of {self.source} {self.left_out} {were} left out."

    def __repr__(self) -> str:
        counted = ", ".join(f"{count} of {name}" for name, count in self.counts.items())
        return f"Observations from {self.source}: {counted} at {len(self.points)} points"


def observations_of(
    data: Any, problem: Problem | Sequence[Problem], columns: Mapping[str, str] | None = None
) -> tuple[Observations, ...]:
    """Return the observations of each experiment.

    Parameters
    ----------
    data : one experiment, or a list or tuple of several. Of each:

        - a mapping of names to arrays: columns [N]; or a grid, one array for each coordinate and values with one axis
          for each coordinate in the order of the domain (u: [len(x), len(t)]); axes of length one do not count, and a
          coordinate may be one number for all. Names are those of coordinates, unknowns and derivatives ("u_x").
        - an array [N, d + unknowns], columns in the order of the domain and of the unknowns.
        - a path: CSV and other tables of text, .npz, .npy, .mat; see `sciml.data_files.read_data_file`. A table without
          names is read as an array.
        - a pandas DataFrame, or an xarray Dataset or DataArray, whose axes may stand in any order.
        - `Observations`, which are checked and returned as they are.
    problem : whose names and box are meant; or one for each experiment.
    columns : name in the data by name in the problem, where they differ: `{"u": "usol"}`.

    Returns
    -------
    tuple of Observations
        float64; NaN is what was not measured, and rows without any measurement are left out and counted. Periodic
        coordinates are wrapped into the box, rounding at its sides is forgiven.

    Raises
    ------
    ArgumentError : data that do not fit the problem; the text says what to change.
    FileFormatError : a file that cannot be read.

    Examples
    --------
    >>> import sciml
    >>> burgers = sciml.load("burgers")
    >>> (one,) = observations_of({"x": [0.0, 0.5], "t": 0.1, "u": [0.0, -0.7]}, burgers)
    >>> one.points.tolist(), one.count
    ([[0.0, 0.1], [0.5, 0.1]], 2)
    """
    from sciml.problem import Problem

    several = isinstance(data, (list, tuple))
    sets = list(data) if several else [data]
    problems: list[Any] = list(problem) if isinstance(problem, (list, tuple)) else [problem] * len(sets)
    if not sets:
        raise ArgumentError(f"data is empty; give {ACCEPTED}, or a list of those, one for each experiment")
    if len(problems) != len(sets):
        raise ArgumentError(f"there are {len(problems)} problems but {len(sets)} data sets; give one for each other")
    if not all(isinstance(one, Problem) for one in problems):
        raise ArgumentError(f"problem must be a sciml.Problem or a list of them, not {problem!r:.60}")
    found = []
    for number, (one, own) in enumerate(zip(sets, problems, strict=True), 1):
        if isinstance(one, (int, float, list, tuple)) and several:
            raise ArgumentError(
                f"data: a list or tuple stands for several experiments, but its entry {number} is a "
                f"{type(one).__name__}; give each experiment as {ACCEPTED}"
            )
        found.append(_experiment(one, own, columns, f"data {number}" if len(sets) > 1 else "data"))
    return tuple(found)


def _experiment(data: Any, problem: Problem, columns: Mapping[str, str] | None, source: str) -> Observations:
    """Return the observations of one experiment."""
    if isinstance(data, Observations):
        return _as_they_are(data, problem)
    library = type(data).__module__.partition(".")[0]
    if library == "xarray":
        return _from_xarray(data, problem, columns, source)
    if isinstance(data, (str, os.PathLike)):
        return _from_file(data, problem, columns)
    if isinstance(data, Mapping):
        return _from_columns(data, problem, columns, source)
    if library in ("pandas", "polars") and hasattr(data, "columns"):
        return _from_columns(_frame_columns(data, problem, source), problem, columns, source)
    detach = getattr(data, "detach", None)
    if detach is not None or isinstance(data, np.ndarray):
        if getattr(getattr(data, "dtype", None), "names", None):
            return _from_columns({name: data[name] for name in data.dtype.names}, problem, columns, source)
        array = np.asarray(detach().cpu() if detach is not None else data)
        if array.ndim != 2:
            raise ArgumentError(
                f"{source}: an array must have the shape [N, {_width(problem)}] with the columns "
                f"{_order(problem)}, not {list(array.shape)}; or give a mapping such as {_example(problem)}"
            )
        return _from_nameless(list(array.T), problem, columns, source, shape=array.shape)
    raise ArgumentError(f"{source} must be {ACCEPTED}, not {type(data).__name__}")


def _from_columns(
    data: Mapping[Any, Any],
    problem: Problem,
    columns: Mapping[str, str] | None,
    source: str,
    lines: Sequence[int] | None = None,
    archive: bool = False,
) -> Observations:
    if not data:
        raise ArgumentError(f"{source} is empty; give arrays by name, such as {_example(problem)}")
    for name in data:
        if not isinstance(name, str):
            raise ArgumentError(f"{source}: names must be texts such as {_example(problem)}, not {name!r}")
    names = assigned(list(data), problem, columns, source, archive=archive)
    rows = rows_of({own: data[name] for own, name in names.items()}, problem, source, lines)
    points, values = checked(rows, problem, source)
    return Observations(points, values, source, len(rows.points) - len(points))


def _from_file(path: Any, problem: Problem, columns: Mapping[str, str] | None) -> Observations:
    file = read_data_file(path)
    source = os.path.basename(os.fspath(path))
    meant = file.named and (columns or any(name in file.named for name in problem.coordinates))
    if file.nameless and not meant:
        return _from_nameless(file.nameless, problem, columns, source, shape=file.shape, lines=file.lines)
    return _from_columns(file.named, problem, columns, source, file.lines, file.archive)


def _from_nameless(
    parts: Sequence[Any],
    problem: Problem,
    columns: Mapping[str, str] | None,
    source: str,
    *,
    shape: tuple[int, ...],
    lines: Sequence[int] | None = None,
) -> Observations:
    """Take columns without names in the order of the domain and of the unknowns."""
    if columns:
        raise ArgumentError(f"columns: {source} has no names; its columns are taken as {_order(problem)}")
    width = _width(problem)
    if len(parts) != width:
        turned = "; it is transposed: give its .T" if len(shape) == 2 and shape[0] == width else ""
        raise ArgumentError(
            f"{source} has {len(parts)} columns without names, but {width} are needed: {_order(problem)} "
            f"(NaN where one was not measured){turned or f'; or give a mapping such as {_example(problem)}'}"
        )
    names = (*problem.coordinates, *problem.unknowns)
    return _from_columns(dict(zip(names, parts, strict=True)), problem, None, source, lines)


def _frame_columns(frame: Any, problem: Problem, source: str) -> dict[Any, Any]:
    """Return the columns of a data frame; coordinates may be its index."""
    index = [name for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None]
    if any(name in problem.coordinates for name in index):
        frame = frame.reset_index()
    names = list(frame.columns)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ArgumentError(f"{source} has two columns with the name {twice!r}; rename or remove one of them")
    return {name: frame[name].to_numpy() for name in names}


def _from_xarray(data: Any, problem: Problem, columns: Mapping[str, str] | None, source: str) -> Observations:
    """Take each variable at its own coordinates: a snapshot of one beside a film of another is no repetition."""
    import xarray

    if isinstance(data, xarray.DataArray):
        names = [name for name in (columns or {}).values() if name not in data.coords]
        data = data.to_dataset(name=data.name or (names[0] if len(names) == 1 else problem.unknowns[0]))
    names = assigned([str(name) for name in data.variables], problem, columns, source)
    parts, left_out = [], 0
    for name in (name for name in names if name not in problem.coordinates):
        variable = data[names[name]]
        axes = [data[names[axis]] for axis in problem.coordinates]
        for axis, place in zip(problem.coordinates, axes, strict=True):
            if not set(place.dims) <= set(variable.dims):
                raise ArgumentError(
                    f"{source}: {names[name]!r} has the axes {', '.join(map(str, variable.dims))} and does not say "
                    f"at which {axis} it was measured; give {axis} as a coordinate of it"
                )
        order = dict.fromkeys(dim for place in (*axes, variable) for dim in place.dims)
        variable = variable.transpose(*order)
        _, *places = xarray.broadcast(variable, *axes)
        places = [place.transpose(*variable.dims) for place in places]
        shaped = {axis: place.to_numpy() for axis, place in zip(problem.coordinates, places, strict=True)}
        rows = rows_of({**shaped, name: variable.to_numpy()}, problem, source)
        parts.append(checked(rows, problem, source))
        left_out += len(rows.points) - len(parts[-1][0])
    return Observations(*_merged(parts), source, left_out)


def _merged(parts: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Join measurements of several names; those at the same points, in the same order, share their rows."""
    points, values = parts[0]
    for more, others in parts[1:]:
        if points.shape == more.shape and np.array_equal(points, more):
            values = values | others
            continue
        before, after = len(points), len(more)
        values = {name: np.concatenate([column, np.full(after, np.nan)]) for name, column in values.items()}
        values |= {name: np.concatenate([np.full(before, np.nan), column]) for name, column in others.items()}
        points = np.concatenate([points, more])
    return points, values


def _as_they_are(data: Observations, problem: Problem) -> Observations:
    """Check what was built by hand, without touching it."""
    points = np.asarray(data.points)
    if points.ndim != 2 or points.shape[1] != len(problem.coordinates):
        raise ArgumentError(
            f"{data.source}: points must have the shape [N, {len(problem.coordinates)}] with the columns "
            f"{', '.join(problem.coordinates)}, not {list(points.shape)}"
        )
    if not data.values:
        raise ArgumentError(f"{data.source} holds no values; give them by name, such as {{'{problem.unknowns[0]}': u}}")
    for name, column in data.values.items():
        try:
            problem.vocabulary.parse_partial(name)
        except ValueError as error:
            raise ArgumentError(f"{data.source}: values[{name!r}] is {str(error).splitlines()[0]}") from None
        if np.shape(column) != (len(points),):
            raise ArgumentError(
                f"{data.source}: values[{name!r}] must have the shape [{len(points)}] of the points, "
                f"not {list(np.shape(column))}"
            )
    values = {name: numbers_of(column, f"{name!r} of {data.source}") for name, column in data.values.items()}
    values = {name: column.reshape(len(points)) for name, column in values.items()}
    checked(Rows(points.astype(np.float64), values, "row {}".format, 1e-9), problem, data.source)
    return data


def _width(problem: Problem) -> int:
    return len(problem.coordinates) + len(problem.unknowns)


def _order(problem: Problem) -> str:
    return ", ".join((*problem.coordinates, *problem.unknowns))


def _example(problem: Problem) -> str:
    names = (*problem.coordinates, problem.unknowns[0])
    return "{" + ", ".join(f"{name!r}: {name}" for name in names) + "}"
