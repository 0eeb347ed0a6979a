"""How the panels of a figure are arranged: one layout for each kind of box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sciml.grids import axes_of, relative, tensor_points, values_of
from sciml.panels import Picture, curves, error_curves, field, headroom, losses, mathtext, phase, visible_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sciml.solution import Solution

__all__ = ["Content", "plane", "snapshots", "space_time", "trajectory"]

Values = dict[str, np.ndarray]

# Points per axis of curves, colour maps, snapshots and profiles.
CURVE, MAP, SNAPSHOT, PROFILE = 1001, 201, 81, 401
# The same for the error over time: moments, and points per space coordinate.
MOMENTS, COARSE = 41, 31
# More unknowns make rows that nobody reads; the table of the solution has them all.
MOST_UNKNOWNS = 4


@final
class Content:
    """What the layouts draw: a solution, the reference (the exact one by default) and what it is called."""

    def __init__(self, solution: Solution, reference: Any) -> None:
        self.solution = solution
        self.problem = solution.problem
        self.unknowns = tuple(self.problem.unknowns)[:MOST_UNKNOWNS]
        if reference is None and self.problem.has_exact:
            reference = self.problem
        self.reference = reference
        # An unknown that the reference does not judge (a pressure) is drawn, but without an error.
        self.judged = tuple(getattr(reference, "unknowns", self.unknowns))
        exact = reference is self.problem or getattr(reference, "kind", "") == "exact"
        self.reference_name = "exact" if exact else "reference"
        self.history = {name: np.asarray(values) for name, values in solution.history.items()}
        self.has_losses = len(self.history.get("loss", ())) > 1

    def axis(self, name: str, count: int) -> np.ndarray:
        """Return equispaced points of one coordinate."""
        sizes = dict.fromkeys(self.problem.coordinates, 2) | {name: count}
        return axes_of(self.problem.domain, sizes)[self.problem.coordinates.index(name)]

    def grid(self, axes: Mapping[str, np.ndarray], fixed: Mapping[str, float] | None = None) -> tuple[Values, Values]:
        """Return solution and reference by unknown on the tensor grid of `axes`, the other coordinates fixed.

        The arrays have one axis per entry of `axes`, in its order; the second mapping is empty without a reference.
        """
        grid = tensor_points(list(axes.values()))
        points = np.empty((len(grid), len(self.problem.coordinates)))
        for name, column in [*zip(axes, grid.T, strict=True), *(fixed or {}).items()]:
            points[:, self.problem.coordinates.index(name)] = column
        shape = [len(axis) for axis in axes.values()]
        mine = self.solution.evaluate(self.unknowns, points)
        solution = {name: row.reshape(shape) for name, row in zip(self.unknowns, mine, strict=True)}
        if self.reference is None:
            return solution, {}
        theirs = values_of(self.reference, self.problem, self.unknowns, points)
        return solution, {name: row.reshape(shape) for name, row in zip(self.unknowns, theirs, strict=True)}

    def difference(self, name: str) -> str:
        """Return |u - u_exact| as mathematics."""
        symbol = mathtext(name)
        return rf"|{symbol} - {symbol}_{{\mathrm{{{self.reference_name}}}}}|"


def trajectory(content: Content) -> Picture:
    """One coordinate: curves, errors, phase portrait, loss."""
    (name,) = content.problem.coordinates
    t = content.axis(name, CURVE)
    mine, theirs = content.grid({name: t})
    portrait, portrait_reference = _portrait(content, t, mine, theirs)
    panels = ["curves"] + ["error"] * bool(theirs) + ["phase"] * bool(portrait) + ["loss"] * content.has_losses
    figure, cells = _cells(len(panels), 3.6, 2.8, most=2 if len(panels) == 4 else 3)
    for panel, cell in zip(panels, cells, strict=True):
        axes: Any = figure.add_subplot(cell, projection="3d" if panel == "phase" and len(portrait) == 3 else None)
        if panel == "curves":
            curves(axes, t, mine, theirs)
            axes.set_title(f"solution (dots), {content.reference_name} (lines)" if theirs else "solution")
        elif panel == "error":
            error_curves(axes, t, {k: abs(mine[k] - theirs[k]) for k in mine})
            axes.set_title(f"absolute error (relative $L_2$: {_scientific(_relative(mine, theirs))})")
        elif panel == "phase":
            phase(axes, portrait, portrait_reference)
            axes.set_title("phase portrait")
        else:
            losses(axes, content.history)
        if panel in ("curves", "error"):
            axes.set_xlabel(f"${mathtext(name)}$")
            if len(mine) > 1:
                axes.legend(ncols=len(mine), loc="upper right", columnspacing=1.0)
                headroom(axes, 0.14)
            else:
                axes.set_ylabel(f"${mathtext(*mine)}$" if panel == "curves" else f"${content.difference(*mine)}$")
    return figure


def space_time(content: Content) -> Picture:
    """One space coordinate and time: maps over the (t, x) plane, profiles at four times, loss."""
    time, (space,) = str(content.problem.time), content.problem.space
    t, x = content.axis(time, MAP), content.axis(space, MAP)
    mine, theirs = content.grid({space: x, time: t})
    rows, columns = len(mine), 1 + bool(theirs) + content.has_losses
    figure = _figure(3.6 * max(columns, 2.5), 2.45 * (rows + 1))
    grid = figure.add_gridspec(rows + 1, 12)
    span = 12 // columns
    for row, name in enumerate(mine):
        axes = figure.add_subplot(grid[row, :span])
        _colorbar(figure, axes, field(axes, t, x, mine[name]))
        _label(axes, f"${mathtext(name)}$", time, space)
        if theirs:
            axes = figure.add_subplot(grid[row, span : 2 * span])
            error = abs(mine[name] - theirs[name])
            _colorbar(figure, axes, field(axes, t, x, error, error=True), scientific=True)
            ratio = _scientific(_relative({name: mine[name]}, theirs))
            _label(axes, f"${content.difference(name)}$ (relative $L_2$: {ratio})", time, space)
    if content.has_losses:
        losses(figure.add_subplot(grid[:rows, (columns - 1) * span :]), content.history)
    _profiles(content, figure, grid[rows, :].subgridspec(1, 4), time, space)
    return figure


def _profiles(content: Content, figure: Picture, cells: Any, time: str, space: str) -> None:
    x = content.axis(space, PROFILE)
    low, high = content.problem.domain.interval(time)
    shared: Any = None
    for k, fraction in enumerate((0.25, 0.5, 0.75, 1.0)):
        moment = low + fraction * (high - low)
        mine, theirs = content.grid({space: x}, {time: moment})
        axes: Any = figure.add_subplot(cells[0, k], sharey=shared)
        curves(axes, x, mine, theirs)
        axes.set_title(f"${mathtext(time)} = {moment:.3g}$")
        axes.set_xlabel(f"${mathtext(space)}$")
        if shared is None:
            axes.set_ylabel(f"${', '.join(mathtext(name) for name in mine)}$")
        else:
            axes.tick_params(labelleft=False)
        shared = shared or axes
        if k == 3:
            _key(axes, content, mine, bool(theirs))


def plane(content: Content) -> Picture:
    """Two space coordinates (of more, the plane through the middle): solution, reference, error, streamlines, loss."""
    problem = content.problem
    (first, second), others = problem.space[:2], [c for c in problem.coordinates if c not in problem.space[:2]]
    fixed = {name: float(np.mean(problem.domain.interval(name))) for name in others}
    x, y = content.axis(first, MAP), content.axis(second, MAP)
    mine, theirs = content.grid({first: x, second: y}, fixed)
    where = "".join(f", ${mathtext(name)} = {value:.3g}$" for name, value in fixed.items())
    flow = {"u", "v"} <= set(mine) and len(problem.space) == 2
    fields: list[tuple[str, np.ndarray, bool]] = []
    limits: dict[str, tuple[float, float]] = {}
    for name, values in mine.items():
        titles = f"${mathtext(name)}${where}", rf"${mathtext(name)}_\mathrm{{{content.reference_name}}}${where}"
        fields.append((titles[0], values, False))
        if theirs and not flow:
            fields.append((titles[1], theirs[name], False))
            both = np.stack([values, theirs[name]])  # one scale, or the two could not be compared
            limits |= dict.fromkeys(titles, visible_range(both))
    for name in (name for name in theirs if name in content.judged):
        ratio = _scientific(_relative({name: mine[name]}, theirs))
        title = f"${content.difference(name)}$ (rel. $L_2$: {ratio})"
        fields.append((title, abs(mine[name] - theirs[name]), True))
    count = len(fields) + flow + content.has_losses
    figure, cells = _cells(count, 3.2, 2.8, most={4: 2, 7: 4, 8: 4}.get(count, 3))
    if flow:
        axes: Any = figure.add_subplot(cells.pop(0))
        u, v = mine["u"].T, mine["v"].T
        mesh = field(axes, x, y, np.hypot(u, v), equal=_similar(x, y))
        axes.streamplot(x, y, u, v, color="white", linewidth=0.6, arrowsize=0.6, density=1.1)
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        _colorbar(figure, axes, mesh)
        _label(axes, r"$\sqrt{u^2 + v^2}$ and streamlines", first, second)
    for title, values, error in fields:
        axes = figure.add_subplot(cells.pop(0))
        mesh = field(axes, x, y, values.T, error=error, limits=limits.get(title), equal=_similar(x, y))
        _colorbar(figure, axes, mesh, scientific=error)
        _label(axes, title, first, second)
    if content.has_losses:
        losses(figure.add_subplot(cells.pop(0)), content.history)
    return figure


def snapshots(content: Content) -> Picture:
    """Two space coordinates and time: rows of solution and error at three times, and the loss."""
    time, (first, second) = str(content.problem.time), content.problem.space
    x, y = content.axis(first, SNAPSHOT), content.axis(second, SNAPSHOT)
    low, high = content.problem.domain.interval(time)
    moments = (low, (low + high) / 2, high)
    taken = [content.grid({first: x, second: y}, {time: moment}) for moment in moments]
    rows: list[tuple[str, list[np.ndarray], bool]] = []
    for name in content.unknowns:
        rows.append((f"${mathtext(name)}$", [mine[name] for mine, _ in taken], False))
        if taken[0][1]:
            errors = [abs(mine[name] - theirs[name]) for mine, theirs in taken]
            rows.append((f"${content.difference(name)}$", errors, True))
    figure = _figure(3.0 * (3 + content.has_losses), 2.7 * len(rows))
    grid = figure.add_gridspec(len(rows), 3 + content.has_losses)
    for row, (title, arrays, error) in enumerate(rows):
        limits = min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)
        panels: list[Any] = []
        mesh: Any = None
        for column, (moment, values) in enumerate(zip(moments, arrays, strict=True)):
            panels.append(figure.add_subplot(grid[row, column]))
            mesh = field(panels[-1], x, y, values.T, error=error, limits=limits, equal=_similar(x, y))
            _label(panels[-1], f"{title}, ${mathtext(time)} = {moment:.3g}$", first, second)
        _colorbar(figure, panels, mesh, scientific=error)
    half = max(1, len(rows) // 2)
    if content.has_losses:
        losses(figure.add_subplot(grid[:half, 3]), content.history)
    if content.has_losses and taken[0][1]:
        _error_over_time(content, figure.add_subplot(grid[half:, 3]), time, first, second)
    return figure


def _error_over_time(content: Content, axes: Any, time: str, first: str, second: str) -> None:
    """Draw the relative L2 error of each unknown over the space, as it grows or falls with time."""
    t = content.axis(time, MOMENTS)
    space = {first: content.axis(first, COARSE), second: content.axis(second, COARSE)}
    mine, theirs = content.grid({time: t, **space})
    growth = {k: np.array([relative(a, b) for a, b in zip(mine[k], theirs[k], strict=True)]) for k in mine}
    error_curves(axes, t, growth)
    axes.set_title("relative $L_2$ error at time $" + mathtext(time) + "$")
    axes.set_xlabel(f"${mathtext(time)}$")
    if len(growth) > 1:
        axes.legend()


def _portrait(content: Content, t: np.ndarray, mine: Values, theirs: Values) -> tuple[Values, Values]:
    """Return the columns of a phase portrait by label: two or three unknowns, or one of second order and its rate."""
    problem = content.problem
    if len(problem.unknowns) in (2, 3):
        return mine, theirs
    (name,), (unknown, *others) = problem.coordinates, problem.unknowns
    if others or name != problem.time or problem.order(unknown, name) < 2:
        return {}, {}
    rate = content.solution.evaluate([f"{unknown}'"], t[:, None])[0]
    return {unknown: mine[unknown], f"{unknown}'": rate}, {}


def _figure(width: float, height: float) -> Picture:
    figure = Picture(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _cells(count: int, width: float, height: float, most: int) -> tuple[Picture, list[Any]]:
    """Return a figure and `count` cells of a grid that is at most `most` wide."""
    columns = min(count, most)
    rows = math.ceil(count / columns)
    figure = _figure(width * columns, height * rows)
    grid = figure.add_gridspec(rows, columns)
    return figure, [grid[k // columns, k % columns] for k in range(count)]


def _label(axes: Axes, title: str, horizontal: str, vertical: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(f"${mathtext(horizontal)}$")
    axes.set_ylabel(f"${mathtext(vertical)}$")


def _key(axes: Axes, content: Content, mine: Values, with_reference: bool) -> None:
    """Say once which is the line and which are the dots."""
    handles, labels = axes.get_legend_handles_labels()
    if len(mine) > 1:
        axes.legend(handles, labels)
    elif with_reference:
        axes.legend([axes.lines[0], axes.lines[1]], [content.reference_name, "solution"])


def _colorbar(figure: Picture, axes: Any, mesh: Any, scientific: bool = False) -> None:
    (low, high), values = mesh.get_clim(), np.asarray(mesh.get_array())
    beyond = values.min() < low - 1e-9 * (high - low), values.max() > high + 1e-9 * (high - low)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(beyond, "both")
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=24, extend=extend)
    bar.outline.set_linewidth(0.5)  # type: ignore[union-attr]
    bar.ax.tick_params(direction="out", width=0.5, length=2.5)
    if scientific:
        bar.formatter.set_powerlimits((-2, 2))  # type: ignore[attr-defined]


def _relative(mine: Values, theirs: Values) -> float:
    names = list(mine)
    return relative(np.stack([mine[k].ravel() for k in names]), np.stack([theirs[k].ravel() for k in names]))


def _scientific(value: float) -> str:
    """Return 3.1e-4 as mathematics."""
    if value == 0 or not math.isfinite(value) or 0.01 <= value < 1000:
        return f"${value:.2g}$"
    exponent = math.floor(math.log10(value))
    return rf"${value / 10.0**exponent:.1f}\times 10^{{{exponent}}}$"


def _similar(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> bool:
    """Whether equal scales on both axes leave a readable panel."""
    return 0.4 < (x[-1] - x[0]) / (y[-1] - y[0]) < 2.5
