"""The figure of a discovery: data and denoised states, the solved law beside them, coefficients with intervals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from sciml.errors import ScimlError
from sciml.panels import STYLE, Picture, color_of, field, mathtext, phase
from sciml.plotting import write_figure
from sciml.typography import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sciml.sindy.discovery import Discovery

__all__ = ["plot"]

# Panels of unknowns, rows of coefficients and points of a curve that are still readable.
MOST_PANELS, MOST_TERMS, MOST_POINTS = 6, 40, 4000
# Samples that spread so many times as far as the states are noise about a state at rest.
NOISY = 5.0
# An interval is cut so far beyond zero and twice the estimate.
FAR = 0.6
FINE = 500
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SYMBOL = re.compile(r"([A-Za-z]+)(\d*|_[A-Za-z0-9]{1,3})")


def plot(law: Discovery, path: str | Path | None = None) -> Picture:
    """Draw a discovery.

    Trajectories: for each unknown the samples of the first trajectory, its denoised states, and the law solved from the
    first of them; the phase portrait of two or three unknowns. Fields: data and denoised field as colour maps. Beside
    them every coefficient with its 95 % interval relative to the estimate (a hollow dot: an inclusion probability below
    one half), the runner-up's as a cross, and in words the estimate with its standard error. A term of the runner-up
    alone has no estimate that it could be drawn relative to, and stands there in words.

    Parameters
    ----------
    law : Discovery
    path : str or Path, optional
        write the figure there; the suffix chooses the format (.png, .pdf, .svg).

    Raises
    ------
    ArgumentError
        the suffix is unknown, the file cannot be written.
    """
    panels = min(len(law.names), MOST_PANELS)
    rows = sum(max(1, len(law.coefficients[name])) for name in law.names)
    height = max(1.35 * panels + 0.6, 0.24 * min(rows, MOST_TERMS) + 1.0, 3.2)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(11.0, height), layout="constrained")
        portrait = law.kind != "field" and len(law.names) in (2, 3) and bool(law.states)
        grid = figure.add_gridspec(1, 3 if portrait else 2, width_ratios=[2.0, 1.5, 1.1] if portrait else [2.4, 1.1])
        if law.kind == "field":
            _fields(law, figure, grid[0])
        else:
            _trajectories(law, figure, grid[0], panels)
            if portrait:
                _portrait(law, figure, grid[1])
        _coefficients(law, figure.add_subplot(grid[-1]))
    if path is not None:
        write_figure(figure, path)
    return figure


def _thin(count: int) -> slice:
    return slice(None, None, max(1, count // MOST_POINTS))


def _solved(law: Discovery) -> tuple[np.ndarray, np.ndarray] | None:
    """Return times and states of the law over the first trajectory; None where it cannot be solved."""
    if law.control or not law.states:
        return None
    times = np.asarray(law.times[0])
    try:
        if law.kind == "map":
            return times, law.simulate(np.asarray(law.states[0])[0], len(times)).states
        # Few samples are far apart, and the solution between them is a curve.
        finer = times if len(times) >= FINE else np.linspace(times[0], times[-1], FINE)
        return finer, law.simulate(np.asarray(law.states[0])[0], finer).states
    except ScimlError:
        return None


def _trajectories(law: Discovery, figure: Picture, place: Any, panels: int) -> None:
    inner = place.subgridspec(panels, 1, hspace=0.05)
    solved = _solved(law)
    first: Axes | None = None
    for i, name in enumerate(law.names[:panels]):
        axes = figure.add_subplot(inner[i], sharex=first)
        first = first or axes
        if law.data:
            thin = _thin(len(law.times[0]))
            axes.plot(law.times[0][thin], law.data[0][thin, i], ".", color="0.7", ms=3, label="data")
        if law.states:
            axes.plot(law.times[0], law.states[0][:, i], color=color_of(0), linewidth=1.3, label="denoised")
            low, high = float(np.min(law.states[0][:, i])), float(np.max(law.states[0][:, i]))
            if law.data and len(law.data[0]):
                column = law.data[0][:, i]
                usual = np.quantile(column[np.isfinite(column)], (0.02, 0.98)) if np.isfinite(column).any() else (0, 0)
                if usual[1] - usual[0] > NOISY * (high - low):
                    # All that moves is noise: what is drawn through it is a line at rest, and not its rounding.
                    low, high = min(low, float(usual[0])), max(high, float(usual[1]))
            room = 0.12 * (high - low) or 0.5
            # Garbage among the samples, or a law that leaves the record, must not flatten the curves.
            axes.set_ylim(low - room, high + room)
        if solved is not None:
            axes.plot(solved[0], solved[1][:, i], "--", color=color_of(1), linewidth=1.0, label="law, solved")
        axes.set_ylabel(_symbol(name))
        axes.margins(x=0.01)
        if i < panels - 1:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("step" if law.kind == "map" else _symbol(law.coordinates[-1]))
    if first is not None and first.get_legend_handles_labels()[1]:
        first.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _portrait(law: Discovery, figure: Picture, place: Any) -> None:
    axes: Any = figure.add_subplot(place, projection="3d" if len(law.names) == 3 else None)
    states = np.asarray(law.states[0])
    thin = _thin(len(states))
    phase(axes, dict(zip(law.names, states[thin].T, strict=True)), {})
    if law.data:
        axes.plot(*law.data[0][thin].T, ".", color="0.7", ms=2, zorder=0)
    for axis, name in zip("xyz", law.names, strict=False):
        getattr(axes, f"set_{axis}label")(_symbol(name))
    if len(law.names) == 3:
        axes.set_box_aspect(None, zoom=0.8)


def _fields(law: Discovery, figure: Picture, place: Any) -> None:
    groups = [(title, group) for title, group in (("data", law.data), ("denoised", law.states)) if len(group)]
    names = law.names[:MOST_PANELS]
    inner = place.subgridspec(len(names), max(1, len(groups)))
    for i, name in enumerate(names):
        for k, (title, group) in enumerate(groups):
            if i >= len(group):
                continue
            values = np.real(np.asarray(group[i], dtype=complex))
            while values.ndim > 2:  # of two space dimensions the middle line
                values = values[:, values.shape[1] // 2]
            axes = figure.add_subplot(inner[i, k])
            x, t = np.asarray(law.times[0]), np.asarray(law.times[-1])
            mesh = field(axes, t[_thin(len(t))], x, np.nan_to_num(values[:, _thin(len(t))]))
            figure.colorbar(mesh, ax=axes, pad=0.01)
            axes.set_title(f"{_symbol(name)}, {title}")
            axes.set_xlabel(_symbol(law.coordinates[-1]))
            axes.set_ylabel(_symbol(law.coordinates[0]))


def _coefficients(law: Discovery, axes: Axes) -> None:
    """Draw every coefficient relative to its estimate: an interval that reaches zero is a term that may be missing."""
    rival = law.alternatives[0].coefficients if law.alternatives else {}
    rows: list[tuple[int, str, str]] = []
    for i, name in enumerate(law.names):
        extra = [term for term in rival.get(name, {}) if term not in law.coefficients[name]]
        rows += [(i, name, term) for term in [*law.coefficients[name], *extra]]
    left_out, rows = max(0, len(rows) - MOST_TERMS), rows[:MOST_TERMS]
    labels = []
    for place, (i, name, term) in enumerate(rows):
        color = color_of(i)
        value, other = law.coefficients[name].get(term), rival.get(name, {}).get(term)
        size = abs(value) if value else abs(other or 1.0)
        text = f"{other if value is None else value:.{4 + (value is not None)}g}".replace("-", "−")
        text += ", runner-up only" if value is None else ""
        if value is not None:
            low, high = law.intervals.get(name, {}).get(term, (value, value))
            ends = np.clip(np.array([low, high]) * np.sign(value) / size, -FAR, 2 + FAR)
            axes.plot(ends, [place, place], color=color, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
            probability = float(np.clip(law.inclusion.get(name, {}).get(term, 1.0), 0.0, 1.0))
            axes.plot(1, place, "o", ms=5, mfc=color if probability > 0.5 else "white", mec=color, mew=1.1)
            error = law.standard_errors.get(name, {}).get(term)
            text += f" ± {error:.2g}" if error else ""
        if law.alternatives and value is not None:
            shown = 0.0 if other is None else other * np.sign(value) / size
            axes.plot(np.clip(shown, -FAR, 2 + FAR), place, "x", color="0.35", ms=5, mew=1.0)
        labels.append(f"{_left_side(law, name)}: {_plain(term)}")
        axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)
    if not rows:
        axes.text(0.5, 0.5, "no terms", transform=axes.transAxes, ha="center", va="center", color="0.4")
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for at in (0, 1):
        axes.axvline(at, color="0.6", linewidth=0.7, linestyle="-" if at == 0 else ":")
    axes.set_xlabel("relative to the estimate" + (f"; {left_out} more terms" if left_out else ""))
    axes.set_title("bars: 95 % intervals, ±: standard errors" + ("\n×: runner-up" if rival else ""), fontsize=9)


def _left_side(law: Discovery, name: str) -> str:
    """What an equation gives: the rate of an unknown, or of a map its next value."""
    symbol = _symbol(name)
    if law.kind == "map":
        return f"next {symbol}"
    if law.kind == "field":
        time = mathtext(law.coordinates[-1])
        return rf"${{{mathtext(name)}}}_{{{time}}}$" if symbol.startswith("$") else rf"{name}$_{{{time}}}$"
    if not symbol.startswith("$"):
        return f"{name}'"
    # A dot belongs over a letter, not over the middle of a word.
    return rf"$\dot{{{mathtext(name)}}}$" if len(name.rstrip("0123456789")) == 1 else rf"${mathtext(name)}'$"


def _symbol(name: str) -> str:
    """Return a name for a label: a letter with at most one short subscript as mathematics, a word as it is written."""
    match = _SYMBOL.fullmatch(name)
    if match is None:
        return name
    stem = mathtext(match[1])
    return f"${mathtext(name)}$" if len(match[1]) == 1 or not stem.startswith(r"\mathrm") else name


def _plain(term: str) -> str:
    """Return a term for a label: raised exponents, dots for products, nothing that matplotlib takes for mathematics."""
    shown = pretty(term).replace("$", r"\$")
    # Beside mathematics matplotlib has no raised digits but 1, 2 and 3.
    return _RAISED.sub(lambda match: f"$^{{{match[0].translate(_DIGITS)}}}$", shown)
