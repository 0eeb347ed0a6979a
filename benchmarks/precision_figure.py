"""Draws work-precision curves: small multiples with common axes, one legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from benchmarks.precision import OURS, ROUNDING, STYLES, Panel
from sciml.plotting import write_figure

__all__ = ["draw"]

COLUMNS = 4
PANEL = (2.35, 1.9)
TOP, BOTTOM = 0.25, 1.05
WRAP = 118
# Inches from which on the legend fits into a row.
WIDE = 8


def draw(panels: Sequence[Panel], path: Path, note: str) -> Path:
    """Draw the panels into a file and return its path; `note` stands below, in small letters."""
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    wide = columns * PANEL[0] + 0.6 > WIDE
    # In a narrow figure the legend has two rows.
    bottom = BOTTOM if wide else BOTTOM + 0.2
    size = max(columns * PANEL[0] + 0.6, 5.4), rows * PANEL[1] + TOP + bottom
    times = [seconds for panel in panels for curve in panel.curves for seconds, _ in curve.points]
    limits = 0.6 * min(times), 1.6 * max(times)
    with matplotlib.rc_context({"font.size": 8, "axes.linewidth": 0.6}):
        figure = Figure(figsize=size)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for k, axes in enumerate(grid.flat):
            if k >= len(panels):
                axes.set_visible(False)
                continue
            _panel(axes, panels[k])
            axes.set(xscale="log", yscale="log", xlim=limits, ylim=(0.3 * ROUNDING, 3.0))
            axes.xaxis.set_major_locator(LogLocator(base=100, numticks=20))
            axes.xaxis.set_minor_locator(LogLocator(numticks=20))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_locator(LogLocator(base=1e4, numticks=20))
            axes.yaxis.set_minor_locator(NullLocator())
            # Panels above an empty place have the axis themselves.
            axes.tick_params(labelbottom=k + columns >= len(panels), labelleft=k % columns == 0)
        height = size[1]
        figure.subplots_adjust(
            left=0.62 / size[0], right=1 - 0.1 / size[0], top=1 - TOP / height, bottom=bottom / height,
            wspace=0.07, hspace=0.17,
        )  # fmt: skip
        middle = (0.62 / size[0] + 1) / 2
        figure.text(middle, (bottom - 0.38) / height, "wall time (s)", ha="center", va="center", fontsize=9)
        figure.text(
            0.12 / size[0], (bottom + height - TOP) / 2 / height, "relative L2 error", rotation=90, ha="center",
            va="center", fontsize=9,
        )  # fmt: skip
        _legend(figure, panels, size)
        figure.text(
            middle, 0.08 / height, _wrapped(note, size[0]), ha="center", va="bottom", fontsize=5.5, color="0.35"
        )
        return write_figure(figure, path)


def _panel(axes: Any, panel: Panel) -> None:
    for curve in panel.curves:
        colour, line, marker = STYLES[curve.method]
        ours = curve.method in OURS
        if len(curve.runs) > 1:
            for run in curve.runs:
                axes.step(*_columns(run), where="post", color=colour, linewidth=0.6, alpha=0.35)
        # What is watched holds until the next report; between the rungs of a ladder there are others.
        if marker:
            axes.plot(*_columns(curve.points), color=colour, linestyle=line, marker=marker, ms=2.8, linewidth=1.0)
        else:
            axes.step(*_columns(curve.points), where="post", color=colour, linestyle=line, linewidth=1.5)
        if ours or not marker:
            # The end, which may be the only point.
            axes.plot(*curve.points[-1], color=colour, marker="D" if ours else ".", ms=3.0)
    axes.set_title(panel.problem.replace("_", " "), fontsize=8, loc="left", pad=2.5)
    axes.grid(True, which="major", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [seconds for seconds, _ in points], [error for _, error in points]


def _legend(figure: Figure, panels: Sequence[Panel], size: tuple[float, float]) -> None:
    used = {curve.method for panel in panels for curve in panel.curves}
    handles = []
    for method, (colour, line, marker) in STYLES.items():
        if method in used:
            sign = marker or ("D" if method in OURS else ".")
            handles.append(Line2D([], [], color=colour, linestyle=line, marker=sign, ms=3.5, label=method))
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles) if size[0] > WIDE else 3, frameon=False, fontsize=7.5,
        bbox_to_anchor=((0.62 / size[0] + 1) / 2, 0.22 / size[1]), handlelength=2.4, columnspacing=1.4,
    )  # fmt: skip


def _wrapped(note: str, width: float) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(note, max(40, round(WRAP * width / 6))))
