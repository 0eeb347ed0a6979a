"""Claims about the figure of a fit: data on the state, residuals, intervals, bands."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fits import fit, function, rod
from sciml import Problem
from sciml.errors import ArgumentError
from sciml.fit_plotting import plot


def oscillator() -> Problem:
    return Problem(["x' = a*y", "y' = -x + b"], [], {"t": (0, 4)}, {"a": 0.3, "b": -2e-3}, name="oscillator")


def box() -> Problem:
    return Problem("u_t = a*laplacian(u) + b", [], {"x": (0, 1), "y": (0, 1), "t": (0, 1)}, {"a": 0.3, "b": -2e-3})


def titles(figure: Any) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize("make", [oscillator, rod, box])
def test_data_stand_on_the_state_coloured_by_their_residuals(make: Any, tmp_path: Path):
    made = fit(make())
    path = tmp_path / "figure.png"
    figure = made.plot(path)
    assert path.stat().st_size > 10_000
    names = list(made.problem.unknowns)
    assert len(titles(figure)) == len(names) + 3
    one = made.observations[0]
    for axes, name in zip((axes for axes in figure.axes if axes.get_title()), names, strict=False):
        dots = np.asarray(axes.collections[-1].get_offsets())
        known = {
            "oscillator": lambda name=name: np.column_stack([one.points[:, 0], one.values[name]]),
            "rod": lambda: one.points[:, ::-1],
        }.get(
            made.problem.name,
            lambda name=name: np.column_stack([one.values[name], made.solution.evaluate([name], one.points)[0]]),
        )
        np.testing.assert_allclose(dots, known())
        np.testing.assert_allclose(axes.collections[-1].get_array(), made.residuals[0][name])


def test_the_figure_shows_intervals_bands_and_the_unit_gaussian():
    figure = plot(fit())
    residuals, numbers_, k = (
        next(axes for axes in figure.axes if axes.get_title() == title)
        for title in ("residuals", "unknown numbers", "$k(x)$")
    )
    assert [text.get_text() for text in residuals.get_legend().get_texts()] == ["$u$", "unit Gaussian"]
    assert residuals.lines[0].get_ydata().max() == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-3)
    assert [label.get_text() for label in numbers_.get_yticklabels()] == ["$a$ = 0.3", "$b$ = -0.002"]
    assert [text.get_text() for text in numbers_.texts] == ["not determined"]
    band = k.collections[0].get_paths()[0].vertices
    low, high = fit().functions["k"].band(np.linspace(-1, 2, 501))
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((low.min(), high.max()))


def test_figures_of_partial_fits_are_drawn_too():
    few = fit()
    assert titles(plot(dataclasses.replace(few, solutions=(), residuals=()))) == [
        "$u$: data on the state", "unknown numbers", "$k(x)$",
    ]  # fmt: skip
    assert titles(plot(dataclasses.replace(few, observations=(), residuals=(), parameters={}, functions={}))) == []
    two = dataclasses.replace(
        few,
        functions={"f": function(inputs=2), "g": function(inputs=3), "k": function(covariance=False)},
        observations=(*few.observations, dataclasses.replace(few.observations[0], source="a_b$.csv")),
        solutions=few.solutions * 2,
        residuals=tuple(few.residuals) * 2,
    )
    assert titles(plot(two))[1] == r"$u$: a_b\$.csv"
    assert len(titles(plot(two))) == 7


def test_a_derivative_that_was_measured_is_drawn_as_one():
    made = fit()
    one = dataclasses.replace(made.observations[0], values={"u_xx": made.observations[0].values["u"]})
    figure = plot(dataclasses.replace(made, observations=(one,), residuals=()))
    assert titles(figure)[0] == "$u_{xx}$: data on the state"


def test_a_figure_needs_a_format_and_a_place(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"path must end in a format such as \.png"):
        fit().plot(tmp_path / "figure.doc")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match="cannot be written"):
        fit().plot(tmp_path / "file" / "figure.png")
