"""What every solver returns: a `Solution`, its `Status`, and the abstract `Evaluator` that a solver brings along.

A solution is a function: `u(x, t)` gives values, `u("u_x", x, t)` derivatives, at points of the box and on arrays of
any shape. It knows its problem, how it ended and what that means for the user, its history, and how to be saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from sciml.errors import ArgumentError, closest
from sciml.grids import comparison_points, real_array, values_of
from sciml.status import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciml.notation import Partial
    from sciml.problem import Problem

__all__ = ["Evaluator", "Solution", "Status", "load_solution"]

# Points per call of an evaluator: bounds the memory that a large grid takes, far above the size where calls cost.
CHUNK = 32_768


class Evaluator(ABC):
    """The part of a solution that a solver brings: values and derivatives at points, and what has to be saved."""

    kind: ClassVar[str]

    @abstractmethod
    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the derivatives `partials` at `points` [N, d] of the closed box, as float64 [len(partials), N]."""

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return named arrays and a JSON-able rest, from which `restore` gives bit-identical values."""

    @classmethod
    @abstractmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> Evaluator:
        """Build the evaluator from `state` again; a wrong state raises KeyError, TypeError or ValueError."""


@final
@dataclass(frozen=True, repr=False, eq=False)
class Solution:
    """The solution of a problem, callable like the function it is.

    Parameters
    ----------
    problem : Problem
    evaluator : Evaluator
        gives values and derivatives at points of the box.
    method : str
        what computed it, in words for the user ("pinn, Levenberg-Marquardt").
    status : Status
    message : str
        one sentence about the end of the computation; the advice of the status if empty.
    wall_time : float
        seconds.
    estimate : float or None
        estimated relative L2 error.
    history : mapping of str to sequences of float, equal lengths
        "iteration", "seconds", "loss" and one series "loss: NAME" per named term.
    details : mapping
        "iterations", "parameter_count", "seed", "versions" and what else a solver has to say.

    Examples
    --------
    >>> import sciml
    >>> from sciml import classical
    >>> y = classical.solve(sciml.load("logistic"))
    >>> bool(abs(y(0.0) - 0.1) < 1e-8), y([0.0, 1.0, 2.0]).shape, y("y'", t=1.0).shape
    (True, (3,), ())
    """

    problem: Problem
    evaluator: Evaluator
    _: KW_ONLY
    method: str
    status: Status
    message: str = ""
    wall_time: float = 0.0
    estimate: float | None = None
    history: Mapping[str, Sequence[float] | np.ndarray] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.status, Status):
            raise ArgumentError(f"status must be a sciml.solution.Status, not {self.status!r}")
        series = {str(name): np.array(values, dtype=np.float64) for name, values in self.history.items()}
        lengths = {name: len(values) for name, values in series.items() if values.ndim == 1}
        if len(lengths) < len(series) or len(set(lengths.values())) > 1:
            raise ArgumentError(f"the series of a history must be one-dimensional and of equal length, not {lengths}")
        for values in series.values():
            values.setflags(write=False)
        object.__setattr__(self, "history", series)
        object.__setattr__(self, "details", dict(self.details))
        object.__setattr__(self, "message", self.message or self.status.advice)

    @property
    def success(self) -> bool:
        """Whether the estimate meets the tolerance that was asked for."""
        return self.status.success

    @property
    def parameters(self) -> Mapping[str, float]:
        """The values of the problem's parameters for which this is the solution."""
        return self.problem.parameters

    def __call__(self, /, *arguments: Any, **named: Any) -> Any:
        """Evaluate at points given by one array (or number) per coordinate; the arrays broadcast.

        Parameters
        ----------
        *arguments
            the coordinates in the order of the domain, optionally after the name of an unknown or of a derivative in
            the notation of the equations: `u(x, t)`, `u("u_x", x, t)`, `x("x''", t)`.
        **named
            coordinates by name: `u(t=1.0, x=x)`.

        Returns
        -------
        ndarray of the broadcast shape (a NumPy float for numbers), or a dict by unknown where there are several.

        Raises
        ------
        ArgumentError
            wrong coordinates, shapes that do not broadcast, points outside the box (periodic coordinates wrap).
        NotationError
            the first argument names no unknown or derivative.
        """
        name: str | None = None
        if arguments and isinstance(arguments[0], str):
            name, arguments = arguments[0], arguments[1:]
        columns = self._columns(arguments, named)
        try:
            columns = np.broadcast_arrays(*columns)
        except ValueError:
            shapes = ", ".join(f"{c} {a.shape}" for c, a in zip(self.problem.coordinates, columns, strict=True))
            raise ArgumentError(f"the coordinates must broadcast, but their shapes are {shapes}") from None
        # Mixed precisions are stacked in the finest, but are exact only to the coarsest.
        precision = max((float(np.finfo(column.dtype).eps) for column in columns), default=0.0)
        points = self._inside(np.stack([column.ravel() for column in columns], axis=1), precision)
        wanted = self.problem.unknowns if name is None else (name,)
        values = self._values(wanted, points).reshape(len(wanted), *columns[0].shape)
        if name is None and len(wanted) > 1:
            return {unknown: value[()] for unknown, value in zip(wanted, values, strict=True)}
        return values[0][()]

    def evaluate(self, partials: Sequence[str | Partial], points: np.ndarray) -> np.ndarray:
        """Evaluate several unknowns or derivatives at once.

        Parameters
        ----------
        partials : sequence of str ("u", "u_xx") or Partial
        points : array [N, d]
            columns in the order of the domain, within the box.

        Returns
        -------
        ndarray [len(partials), N]
        """
        return self._values(partials, self._inside(np.asarray(points)))

    def _values(self, partials: Sequence[str | Partial], points: np.ndarray) -> np.ndarray:
        parse = self.problem.vocabulary.parse_partial
        wanted = [parse(partial) if isinstance(partial, str) else partial for partial in partials]
        values = np.empty((len(wanted), len(points)))
        for start in range(0, len(points), CHUNK):
            part = slice(start, start + CHUNK)
            values[:, part] = self.evaluator.evaluate(wanted, points[part])
        return values

    def _columns(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> list[np.ndarray]:
        """Return one float array per coordinate from positional and named arguments."""
        coordinates = self.problem.coordinates
        usage = f"expected the coordinates ({', '.join(coordinates)}) by position or name"
        if len(arguments) > len(coordinates):
            raise ArgumentError(f"{len(arguments)} coordinates were given, {usage}")
        given = dict(zip(coordinates, arguments, strict=False))
        for name, value in named.items():
            if name not in coordinates:
                raise ArgumentError(f"{name!r} is not a coordinate, {usage}{closest(name, coordinates)}")
            if name in given:
                raise ArgumentError(f"the coordinate {name!r} was given twice, {usage}")
            given[name] = value
        missing = [name for name in coordinates if name not in given]
        if missing:
            raise ArgumentError(f"{', '.join(missing)} missing: {usage}")
        return [real_array(given[name], f"the coordinate {name!r}") for name in coordinates]

    def _inside(self, points: np.ndarray, precision: float = 0.0) -> np.ndarray:
        """Wrap periodic coordinates, forgive rounding at the sides, and refuse points outside the box."""
        box = self.problem.domain
        if points.ndim != 2 or points.shape[1] != len(box.coordinates):
            raise ArgumentError(f"points must have the shape [N, {len(box.coordinates)}], not {list(points.shape)}")
        points = real_array(points, "the points")
        lower, upper = np.array(box.lower), np.array(box.upper)
        precision = max(precision, float(np.finfo(points.dtype).eps))
        points = points.astype(np.float64)
        for k, name in enumerate(box.coordinates):
            if name in self.problem.periodic:
                column, length = points[:, k], upper[k] - lower[k]
                outside = (column < lower[k]) | (column > upper[k])
                points[outside, k] = lower[k] + np.mod(column[outside] - lower[k], length)
        rounding = 16 * precision * np.maximum(upper - lower, np.maximum(abs(lower), abs(upper)))
        outside = (points < lower - rounding) | (points > upper + rounding)
        if outside.any():
            row, k = np.argwhere(outside)[0]
            name = box.coordinates[k]
            raise ArgumentError(
                f"{name} = {points[row, k]:.9g} is outside the domain {name} in [{lower[k]:.9g}, {upper[k]:.9g}]"
            )
        return np.clip(points, lower, upper)

    def error(
        self,
        other: Solution | Callable[..., Any] | None = None,
        points: np.ndarray | None = None,
        *,
        unknowns: Sequence[str] | None = None,
    ) -> float:
        r"""Return the relative L2 distance to another solution v.

        .. math:: \sqrt{\sum_{k,i} (u_k(p_i) - v_k(p_i))^2 \big/ \sum_{k,i} v_k(p_i)^2}

        Parameters
        ----------
        other : Solution, callable `v(x, t)` of arrays, or None for the exact solution of the problem
        points : array [N, d], optional
            `sciml.grids.comparison_points` of the box if absent: an equispaced tensor grid with its sides, of 2001
            points in one dimension, 201 x 201 in two, 51 x 51 x 51 in three, and 2^16 Sobol points from four on.
        unknowns : names, optional
            only these enter the sums (a pressure that is singular at a corner may stay out).

        Returns
        -------
        float
            the root mean square of the difference if v is zero everywhere.

        Raises
        ------
        ArgumentError
            there is nothing to compare with, or it is not finite at some point.
        """
        squares = self._squares(other, points, unknowns)
        return _ratio(*np.sum(list(squares.values()), axis=0))

    def errors(
        self,
        other: Solution | Callable[..., Any] | None = None,
        points: np.ndarray | None = None,
        *,
        unknowns: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Return the relative L2 distance to another solution for each unknown by itself; arguments as `error`."""
        return {name: _ratio(*pair) for name, pair in self._squares(other, points, unknowns).items()}

    def _squares(self, other: Any, points: np.ndarray | None, unknowns: Sequence[str] | None) -> dict[str, np.ndarray]:
        """Return sums of (u - v)^2 and v^2 and the number of points, for each unknown."""
        names = tuple(self.problem.unknowns if unknowns is None else unknowns)
        for name in names:
            if name not in self.problem.unknowns:
                raise ArgumentError(f"{name!r} is not an unknown{closest(name, self.problem.unknowns)}")
        if not names:
            raise ArgumentError("unknowns must name at least one unknown")
        points = comparison_points(self.problem.domain) if points is None else np.asarray(points, dtype=np.float64)
        reference = values_of(self.problem if other is None else other, self.problem, names, points)
        mine = self.evaluate(names, points)
        return {
            name: np.array([np.sum((u - v) ** 2), np.sum(v**2), u.size])
            for name, u, v in zip(names, mine, reference, strict=True)
        }

    def plot(self, reference: Any = None, path: str | Path | None = None) -> Figure:
        """Draw the solution, its error and its history; see `sciml.plotting.plot`.

        Parameters
        ----------
        reference : Solution, callable or None
            what to compare with; the exact solution of the problem where there is one.
        path : str or Path, optional
            write the figure there; the suffix chooses the format (.png, .pdf, .svg).
        """
        from sciml.plotting import plot

        return plot(self, reference=reference, path=path)

    def to_table(self, points: np.ndarray | None = None, path: str | Path | None = None) -> dict[str, np.ndarray]:
        """Return columns of coordinates and unknowns (each one-dimensional), and write them as CSV to `path`."""
        from sciml.storage import table

        return table(self, points, path)

    def to_xarray(self, **sizes: int) -> Any:
        """Return an `xarray.Dataset` on an equispaced grid (`u.to_xarray(x=101, t=51)`); needs the extra `xarray`."""
        from sciml.storage import dataset

        return dataset(self, sizes)

    def save(self, path: str | Path) -> Path:
        """Write the solution to one safetensors file and return its path; see `sciml.storage.save`."""
        from sciml.storage import save

        return save(self, path)

    def _summary(self) -> dict[str, str]:
        box = self.problem.domain
        sides = (
            f"{name} in [{low:g}, {high:g}]"
            for name, low, high in zip(box.coordinates, box.lower, box.upper, strict=True)
        )
        rows = {
            "unknowns": f"{', '.join(self.problem.unknowns)} of {', '.join(sides)}",
            "method": self.method,
            "status": f"{self.status.value}: {self.message}",
            "estimate": "none" if self.estimate is None else f"{self.estimate:.2g} (relative L2 error)",
            "time": f"{self.wall_time:.3g} s",
        }
        if self.parameters:
            rows["parameters"] = ", ".join(f"{name} = {value:.6g}" for name, value in self.parameters.items())
        return rows

    def __repr__(self) -> str:
        head = f"Solution of {self.problem.name or 'a problem'}"
        return "\n".join([head, *(f"  {key:<10} {text}" for key, text in self._summary().items())])

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f'<tr><th style="text-align:left">{escape(key)}</th><td style="text-align:left">{escape(text)}</td></tr>'
            for key, text in self._summary().items()
        )
        title = escape(f"Solution of {self.problem.name or 'a problem'}")
        return f"<div><b>{title}</b><div>{self._repr_latex_()}</div><table>{rows}</table></div>"

    def _repr_latex_(self) -> str:
        return self.problem._repr_latex_()


def load_solution(path: str | Path, problem: Problem | None = None) -> Solution:
    """Read a solution that `Solution.save` wrote; see `sciml.storage.load`.

    Parameters
    ----------
    path : str or Path
        the file, or the directory that holds `solution.safetensors`.
    problem : Problem, optional
        the problem to attach; needed only where it holds functions of Python that a file cannot carry.

    Raises
    ------
    FileFormatError
        the file is damaged, cut off, or not a solution.
    """
    from sciml.storage import load

    return load(path, problem)


def _ratio(difference: float, norm: float, count: float) -> float:
    return float(np.sqrt(difference / norm)) if norm > 0 else float(np.sqrt(difference / count))
