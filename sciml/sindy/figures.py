"""The figure of a discovery: data and denoised states, a simulation of the law, coefficients with their intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from sciml.errors import ScimlError
from sciml.panels import STYLE, Picture, color_of
from sciml.plotting import write_figure

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery

__all__ = ["plot"]


def plot(law: Discovery, path: str | Path | None = None) -> Picture:
    """Draw a discovery.

    Trajectories: one panel for each unknown with the samples, the denoised states and the law solved from the first of
    them. A field: the data and the denoised field as maps. Below: the coefficients with 95 % intervals.
    """
    with matplotlib.rc_context(STYLE):
        count = len(law.names)
        figure = Picture(figsize=(7.0, 1.5 * count + 2.4), layout="constrained")
        grid = figure.add_gridspec(count + 1, 1, height_ratios=[1.0] * count + [1.6])
        if law.kind == "field":
            _fields(law, figure, grid)
        else:
            _trajectories(law, figure, grid)
        _coefficients(law, figure.add_subplot(grid[count]))
    if path is not None:
        write_figure(figure, path)
    return figure


def _trajectories(law: Discovery, figure: Picture, grid: object) -> None:
    solved = None
    if law.states and not law.control:
        try:
            solved = law.simulate(law.states[0][0], law.times[0]).states
        except ScimlError:
            solved = None
    first = None
    for i, name in enumerate(law.names):
        axes = figure.add_subplot(grid[i], sharex=first)  # type: ignore[index]
        first = first or axes
        if law.data:
            axes.plot(law.times[0], law.data[0][:, i], ".", color="0.65", ms=3, label="data")
        if law.states:
            axes.plot(law.times[0], law.states[0][:, i], color=color_of(0), label="denoised")
        if solved is not None:
            # A chaotic law leaves the record sooner or later, but must not stretch the axes.
            axes.set_autoscaley_on(not law.states)
            axes.plot(law.times[0], solved[:, i], "--", color=color_of(1), linewidth=1.0, label="law, solved")
        axes.set_ylabel(name)
        if i == 0 and law.data + law.states:
            axes.legend(ncols=3, loc="upper right")
        if i == len(law.names) - 1:
            axes.set_xlabel(law.coordinates[-1])


def _fields(law: Discovery, figure: Picture, grid: object) -> None:
    for i, name in enumerate(law.names):
        inner = grid[i].subgridspec(1, 2)  # type: ignore[index]
        for k, (group, title) in enumerate(((law.data, "data"), (law.states, "denoised"))):
            if i >= len(group):
                continue
            axes = figure.add_subplot(inner[k])
            image = np.real(np.asarray(group[i]))
            while image.ndim > 2:
                image = image[image.shape[0] // 2]
            axes.imshow(image, aspect="auto", origin="lower", cmap="RdBu_r")
            axes.set_title(f"{name}, {title}")


def _coefficients(law: Discovery, axes: object) -> None:
    labels, values, errors, colors = [], [], [], []
    for i, name in enumerate(law.names):
        for term, value in law.coefficients[name].items():
            labels.append(f"{name}: {term}")
            values.append(value)
            lower, upper = law.intervals.get(name, {}).get(term, (value, value))
            errors.append((max(value - lower, 0.0), max(upper - value, 0.0)))
            colors.append(color_of(i))
    places = np.arange(len(labels))
    if labels:
        axes.bar(places, values, color=colors, alpha=0.7)  # type: ignore[attr-defined]
        axes.errorbar(places, values, yerr=np.array(errors).T, fmt="none", ecolor="0.2", capsize=2)  # type: ignore
    axes.set_xticks(places, labels, rotation=60, ha="right")  # type: ignore[attr-defined]
    axes.axhline(0, color="0.5", linewidth=0.6)  # type: ignore[attr-defined]
    axes.set_ylabel("coefficient")  # type: ignore[attr-defined]
