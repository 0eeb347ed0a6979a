"""Figures of solutions, fit for a paper: the solution, its error, profiles or snapshots, and the loss by term.

Only matplotlib's object-oriented interface is used: no display is needed and no state of a session is touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sciml.errors import ArgumentError, closest
from sciml.layouts import Content, plane, snapshots, space_time, trajectory
from sciml.panels import STYLE, Picture, color_of

if TYPE_CHECKING:
    from sciml.comparison import Comparison
    from sciml.solution import Solution

__all__ = ["Picture", "plot", "plot_comparison", "write_figure"]


def plot(solution: Solution, *, reference: Any = None, path: str | Path | None = None) -> Picture:
    """Draw a solution.

    One coordinate: the functions, their errors, the phase portrait of two or three unknowns (or of an unknown and its
    rate), the loss. One space coordinate and time: the solution and its error as colour maps, profiles at four times.
    Two space coordinates: solution, reference, error; streamlines where the unknowns are (u, v). Two space coordinates
    and time: snapshots at three times. More: the plane through the middle of the box.

    Parameters
    ----------
    solution : Solution
    reference : Solution or callable of the coordinates, optional
        the exact solution of the problem if absent and known; without any, no errors are drawn.
    path : str or Path, optional
        write the figure there; the suffix chooses the format (.png, .pdf, .svg).

    Returns
    -------
    Picture
        a `matplotlib.figure.Figure`.

    Raises
    ------
    ArgumentError
        the reference does not fit, the suffix is unknown, the file cannot be written.
    """
    if path is not None:
        checked_format(path)
    problem = solution.problem
    content = Content(solution, reference)
    dimension, moving = len(problem.coordinates), problem.time is not None
    layout = (
        trajectory if dimension == 1 else {(2, True): space_time, (3, True): snapshots}.get((dimension, moving), plane)
    )
    with matplotlib.rc_context(STYLE):
        figure = layout(content)
    if path is not None:
        write_figure(figure, path)
    return figure


def write_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure; directories are made, and the suffix of the path chooses the format."""
    target = checked_format(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # No date in the metadata: the same figure is the same file.
        metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(target.suffix.lower())
        with matplotlib.rc_context(STYLE):
            figure.savefig(target, metadata=metadata)
    except OSError as error:
        raise ArgumentError(f"the figure cannot be written to {target}: {error.strerror or error}") from None
    return target


def checked_format(path: str | Path) -> Path:
    """Return the path of a figure; ArgumentError for a suffix that is no format."""
    target = Path(path)
    known = FigureCanvasAgg.get_supported_filetypes()
    if target.suffix.lower().removeprefix(".") not in known:
        hint = closest(target.suffix.removeprefix("."), known)
        raise ArgumentError(f"path must end in a format such as .png, .pdf or .svg, not {str(path)!r}{hint}")
    return target


def plot_comparison(comparison: Comparison, path: str | Path | None = None) -> Picture:
    """Draw error against time: the classical solver's runs as a line, the network as a point."""
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(4.4, 3.3), layout="constrained")
        axes = figure.add_subplot()
        runs = sorted((step.seconds, step.error) for step in comparison.steps)
        best = np.minimum.accumulate([error for _, error in runs] or [np.nan])
        axes.loglog([s for s, _ in runs], [e for _, e in runs], "o", color=color_of(0), ms=4.5, label="classical")
        axes.step([s for s, _ in runs] or [np.nan], best, where="post", color=color_of(0), linewidth=1.0, alpha=0.6)
        axes.loglog(
            [comparison.network_seconds], [comparison.network_error], "D", color=color_of(1), ms=6, label="network"
        )
        if comparison.accuracy > 1e-14:
            axes.axhline(
                comparison.accuracy, color="0.6", linestyle=":", linewidth=1.0, label="accuracy of the reference"
            )
        axes.set_xlabel("time / s")
        axes.set_ylabel("relative $L_2$ error")
        axes.set_title(comparison.problem.replace("_", " "))
        axes.legend()
    if path is not None:
        write_figure(figure, path)
    return figure
