"""Figures of fits: data on the state, what is left between them, the unknown numbers and functions with their bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sciml.fit_table import digits_for
from sciml.grids import axes_of, tensor_points
from sciml.panels import STYLE, Picture, color_of, curves, field, mathtext
from sciml.plotting import checked_format, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sciml.fit import Fit, FunctionEstimate
    from sciml.observations import Observations
    from sciml.solution import Solution

__all__ = ["plot", "plot_fits"]

# Points of a curve and per axis of a map; data drawn at most, spread over all of them.
CURVE, MAP, MOST_DATA = 501, 161, 4000
# Panels of data: more experiments or names than these make a figure that nobody reads.
MOST_PANELS = 6
# Normalised residuals beyond this have the colour of the end.
FARTHEST = 3.0


def plot(fit: Fit, path: str | Path | None = None) -> Picture:
    """Draw a fit.

    For each experiment and observed name the data on the state: over one coordinate a curve, over two a map, over more
    the state against the data; the colour is (state - data)/noise. Then the distribution of these residuals beside the
    unit Gaussian that they should have, the unknown numbers with 95 % intervals relative to their values, and each
    unknown function with its pointwise 95 % band.

    Parameters
    ----------
    fit : Fit
    path : write the figure there; the suffix chooses the format (.png, .pdf, .svg).

    Raises
    ------
    ArgumentError : the suffix is unknown, or the file cannot be written.
    """
    if path is not None:
        checked_format(path)
    panels = _panels(fit)
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(3.7 * columns, 2.9 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(rows, columns)
        for number, draw in enumerate(panels):
            draw(figure.add_subplot(grid[number // columns, number % columns]))
    if path is not None:
        write_figure(figure, path)
    return figure


def plot_fits(fits: Sequence[tuple[str, Fit]], truth: Mapping[str, float]) -> Picture:
    """Draw the numbers of several fits to the same data with their intervals, one panel for each number.

    Parameters
    ----------
    fits : pairs of a label and a fit.
    truth : true values by name, drawn as lines.
    """
    names = list(dict.fromkeys(name for _, fit in fits for name in fit.parameters))
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(2.9 * columns, (0.9 + 0.45 * len(fits)) * rows), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(rows, columns)
        for number, name in enumerate(names):
            axes = figure.add_subplot(grid[number // columns, number % columns])
            for row, (_, fit) in enumerate(fits):
                e = fit.parameters[name]
                ends = np.array([[e.value - e.interval[0]], [e.interval[1] - e.value]])
                spread = ends if np.isfinite(ends).all() else None
                axes.errorbar(
                    [e.value],
                    [row],
                    xerr=spread,
                    fmt="o",
                    color=color_of(row),
                    capsize=4,
                    markersize=4.5,
                    linewidth=1.4,
                )
            if name in truth:
                axes.axvline(truth[name], color="0.5", linestyle=":", linewidth=1.0, label="true value")
                axes.legend(loc="best", fontsize=8)
            axes.set_yticks(range(len(fits)), [f"{who}, {fit.wall_time:.2g} s" for who, fit in fits])
            axes.set_ylim(len(fits) - 0.5, -0.5)
            axes.ticklabel_format(axis="x", useOffset=False)
            axes.tick_params(axis="x", labelrotation=20)
            axes.set_title(f"${mathtext(name)}$")
    return figure


def _panels(fit: Fit) -> list[Callable[[Axes], None]]:
    """Return what draws each panel."""
    found: list[Callable[[Axes], None]] = []
    data = [_Data(fit, number, name) for number, one in enumerate(fit.observations) for name in one.values]
    found += [panel.draw for panel in data[:MOST_PANELS]]
    if any(np.isfinite(row).any() for one in fit.residuals for row in one.values()):
        found.append(lambda axes: _histogram(axes, fit))
    if fit.parameters:
        found.append(lambda axes: _intervals(axes, fit))
    found += [_function_panel(function) for function in fit.functions.values()]
    return found or [lambda axes: axes.set_axis_off()]


@final
class _Data:
    """One observed name of one experiment."""

    def __init__(self, fit: Fit, number: int, name: str) -> None:
        self.fit = fit
        self.name = name
        self.number = number
        self.one: Observations = fit.observations[number]
        self.solution: Solution | None = fit.solutions[number] if number < len(fit.solutions) else None
        self.problem = self.solution.problem if self.solution is not None else fit.problem
        residuals = fit.residuals[number] if number < len(fit.residuals) else {}
        values = self.one.values[name]
        rows = np.flatnonzero(np.isfinite(values))
        if len(rows) > MOST_DATA:
            rows = rows[np.linspace(0, len(rows) - 1, MOST_DATA).astype(int)]
        self.points, self.values = self.one.points[rows], values[rows]
        self.residuals = np.asarray(residuals.get(name, np.full(len(values), np.nan)))[rows]

    @property
    def title(self) -> str:
        """The name, and where the data came from if there are several."""
        source = self.one.source.replace("$", r"\$")
        return f"${_symbol(self.name)}$: " + ("data on the state" if len(self.fit.observations) == 1 else source)

    def draw(self, axes: Axes) -> None:
        """Draw data and state."""
        dimension = len(self.problem.coordinates)
        draw = {1: self._curve, 2: self._map}.get(dimension, self._against)
        dots = draw(axes)
        axes.set_title(self.title)
        if np.isfinite(self.residuals).any():
            bar = axes.figure.colorbar(dots, ax=axes, pad=0.02, aspect=24, extend="both")
            bar.set_label("(state $-$ data) / noise", fontsize=8)
            bar.outline.set_linewidth(0.5)  # type: ignore[union-attr]

    def _dots(self, axes: Axes, x: np.ndarray, y: np.ndarray) -> Any:
        colors = np.nan_to_num(self.residuals)
        size = 16 if len(x) <= 200 else 6 if len(x) <= 1500 else 3
        return axes.scatter(
            x, y, c=colors, s=size, cmap="RdBu_r", vmin=-FARTHEST, vmax=FARTHEST, edgecolors="0.25", linewidths=0.3,
            zorder=3, rasterized=len(x) > 500,
        )  # fmt: skip

    def _curve(self, axes: Axes) -> Any:
        (name,) = self.problem.coordinates
        if self.solution is not None:
            t = axes_of(self.problem.domain, CURVE)[0]
            curves(axes, t, {self.name: self.solution.evaluate([self.name], t[:, None])[0]}, {})
        axes.set_xlabel(f"${mathtext(name)}$")
        axes.set_ylabel(f"${_symbol(self.name)}$")
        return self._dots(axes, self.points[:, 0], self.values)

    def _map(self, axes: Axes) -> Any:
        time = self.problem.time
        # Time runs to the right, as in the figures of solutions.
        across = self.problem.coordinates.index(time) if time is not None else 0
        up = 1 - across
        names = self.problem.coordinates
        if self.solution is not None:
            x, y = axes_of(self.problem.domain, MAP)
            values = self.solution.evaluate([self.name], tensor_points([x, y]))[0].reshape(MAP, MAP)
            sides = (x, y) if across == 0 else (y, x)
            mesh = field(axes, *sides, values.T if across == 0 else values)
            # The colours belong to the residuals, whose pattern is what the eye should find.
            mesh.set_cmap("Greys")
            mesh.set_clim(float(values.min()), 1.25 * float(values.max()) - 0.25 * float(values.min()))
        axes.set_xlabel(f"${mathtext(names[across])}$")
        axes.set_ylabel(f"${mathtext(names[up])}$")
        return self._dots(axes, self.points[:, across], self.points[:, up])

    def _against(self, axes: Axes) -> Any:
        """Draw the state against the data: a space of three and more coordinates has no picture."""
        state = self.values if self.solution is None else self.solution.evaluate([self.name], self.points)[0]
        ends = [min(self.values.min(), state.min()), max(self.values.max(), state.max())]
        axes.plot(ends, ends, color="0.6", linewidth=1.0, zorder=1)
        axes.set_xlabel(f"data of ${_symbol(self.name)}$")
        axes.set_ylabel(f"state ${_symbol(self.name)}$")
        return self._dots(axes, self.values, state)


def _histogram(axes: Axes, fit: Fit) -> None:
    """Draw the distribution of the normalised residuals and the unit Gaussian."""
    by_name: dict[str, list[np.ndarray]] = {}
    for one in fit.residuals:
        for name, row in one.items():
            by_name.setdefault(name, []).append(row[np.isfinite(row)])
    joined = {name: np.concatenate(rows) for name, rows in by_name.items()}
    count = max((len(row) for row in joined.values()), default=0)
    bins = np.linspace(-5, 5, int(np.clip(2 * math.sqrt(count), 10, 60)) + 1).tolist()
    for index, (name, row) in enumerate(joined.items()):
        if len(row):
            kept = np.clip(row, -5, 5)
            axes.hist(kept, bins, density=True, color=color_of(index), alpha=0.55, label=f"${_symbol(name)}$")
    r = np.linspace(-5, 5, 201)
    axes.plot(r, np.exp(-(r**2) / 2) / math.sqrt(2 * math.pi), color="black", linewidth=1.0, label="unit Gaussian")
    axes.set_xlabel("(state $-$ data) / noise")
    axes.set_title("residuals")
    axes.set_xlim(-5, 5)
    axes.legend(loc="upper right", fontsize=8)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.15)


def _intervals(axes: Axes, fit: Fit) -> None:
    """Draw the intervals relative to the values, with the values in writing."""
    names = list(fit.parameters)
    labels = []
    for row, (name, e) in enumerate(fit.parameters.items()):
        shown = f"{e.value:.{digits_for(e.value, e.standard_error)}g}"
        labels.append(f"${mathtext(name)}$ = {shown}")
        size = abs(e.value) or 1.0
        low, high = ((end - e.value) / size * 100 for end in e.interval)
        color = color_of(row)
        if math.isfinite(low) and math.isfinite(high):
            axes.errorbar(
                [0.0], [row], xerr=[[-low], [high]], fmt="o", color=color, capsize=4, markersize=4.5, linewidth=1.4
            )
        else:
            axes.plot([0.0], [row], "o", color=color, markersize=4.5)
            axes.annotate("not determined", (0.0, row), (6, 4), textcoords="offset points", fontsize=8)
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0.0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_xlabel("95 % interval, % of the value")
    axes.set_title("unknown numbers")


def _function_panel(function: FunctionEstimate) -> Callable[[Axes], None]:
    return lambda axes: _draw_function(axes, function)


def _draw_function(axes: Axes, function: FunctionEstimate) -> None:
    """Draw a function of one argument with its band, of two as a map, of more through the middle of the others."""
    symbol = mathtext(function.name)
    arguments = ", ".join(mathtext(name) for name in function.arguments)
    axes.set_title(f"${symbol}({arguments})$")
    if len(function.arguments) == 2:
        x, y = (np.linspace(low, high, MAP) for low, high in zip(function.lower, function.upper, strict=True))
        mesh = field(axes, x, y, function(x[None, :], y[:, None]))
        axes.figure.colorbar(mesh, ax=axes, pad=0.02, aspect=24)
        axes.set_xlabel(f"${mathtext(function.arguments[0])}$")
        axes.set_ylabel(f"${mathtext(function.arguments[1])}$")
        return
    x = np.linspace(function.lower[0], function.upper[0], CURVE)
    rest = [(low + high) / 2 for low, high in zip(function.lower[1:], function.upper[1:], strict=True)]
    low, high = function.band(x, *rest)
    if np.isfinite(low).all():
        axes.fill_between(x, low, high, color=color_of(0), alpha=0.25, linewidth=0, label="95 % band")
        axes.legend(loc="best")
    axes.plot(x, function(x, *rest), color=color_of(0))
    axes.set_xlabel(f"${mathtext(function.arguments[0])}$")
    axes.set_ylabel(f"${symbol}$")
    axes.margins(x=0)


def _symbol(name: str) -> str:
    """Return an unknown or derivative as mathematics: `u_xx` with both letters in the subscript."""
    stem, _, order = name.partition("_")
    return (
        f"{mathtext(stem)}_{{{order}}}" if order.isalpha() else mathtext(name.replace("'", "")) + "'" * name.count("'")
    )
