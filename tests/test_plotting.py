"""Figures: which panels there are, that they show the numbers they claim to show, that nothing global is touched."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import QuadMesh

import sciml
from sciml import Problem, Solution, Status
from sciml.comparison import Comparison, Step
from sciml.errors import ArgumentError
from sciml.notation import Partial
from sciml.panels import Picture, losses
from sciml.plotting import plot, plot_comparison
from sciml.solution import Evaluator
from sciml.typography import pretty, short


class Shifted(Evaluator):
    """The exact solution of a problem plus a known error; the rate of an oscillator by differences."""

    kind = "shifted"

    def __init__(self, problem: Problem, shift: float) -> None:
        self.problem, self.shift = problem, shift

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        def exact(points: np.ndarray) -> Mapping[str, np.ndarray]:
            return {name: values.numpy() for name, values in self.problem.evaluate_exact(points).items()}

        rows = []
        for partial in partials:
            if any(partial.orders):
                rows.append((exact(points + 1e-6)[partial.unknown] - exact(points - 1e-6)[partial.unknown]) / 2e-6)
            else:
                rows.append(exact(points)[partial.unknown] + self.shift)
        return np.array(rows)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        raise NotImplementedError

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> Shifted:
        raise NotImplementedError


HISTORY = {
    "iteration": [0, 1, 2, 3],
    "seconds": [0.0, 0.1, 0.2, 0.3],
    "loss": [1.1, 0.11, np.nan, 0.0011],
    "loss: u_t = alpha*u_xx": [1.0, 0.1, np.nan, 0.001],
    "loss: u(0, t) = 0": [0.1, 0.01, np.nan, 0.0001],
}


def solution(problem: Problem | str, shift: float = 1e-3, history: Mapping[str, Any] = HISTORY) -> Solution:
    problem = sciml.load(problem) if isinstance(problem, str) else problem
    return Solution(problem, Shifted(problem, shift), method="by hand", status=Status.CONVERGED, history=history)


def orbit() -> Problem:
    exact = {"x": "cos(t)", "y": "-sin(t)", "z": "t"}
    starts = ["x(0) = 1", "y(0) = 0", "z(0) = 0"]
    return Problem(["x' = y", "y' = -x", "z' = 1"], starts, {"t": (0, 6)}, exact=exact)


def box3() -> Problem:
    exact = "sin(pi*x)*sin(pi*y)*sin(pi*z)"
    return Problem(f"laplacian(u) = -3*pi**2*{exact}", "u(boundary) = 0", dict.fromkeys("xyz", (0, 1)), exact=exact)


# Panels (colour bars are axes too): problem, with errors and losses, without either.
LAYOUTS = {
    "curves and errors": ("logistic", 3, 1),
    "and the plane of an oscillator": ("pendulum", 4, 2),
    "and a phase portrait in space": (orbit(), 4, 2),
    "maps, loss and four profiles": ("heat", 2 * 2 + 1 + 4, 2 + 4),
    "solution, reference, error": ("poisson", 3 * 2 + 1, 2),
    "snapshots, and the error over time": ("heat_2d", 2 * 4 + 2, 4),
    "two rows for each unknown": ("burgers_2d", 4 * 4 + 2, 2 * 4),
    "the plane through the middle": (box3(), 3 * 2 + 1, 2),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_each_kind_of_problem_has_its_panels(case: str):
    name, with_everything, alone = LAYOUTS[case]
    u = solution(name)
    assert len(plot(u).axes) == with_everything
    bare = Solution(u.problem.replace(exact=None), u.evaluator, method="by hand", status=Status.CONVERGED)
    assert len(plot(bare).axes) == alone


def test_a_velocity_gets_streamlines_over_its_speed():
    exact = {"u": "sin(pi*x)*cos(pi*y)", "v": "-cos(pi*x)*sin(pi*y)"}
    problem = Problem(
        ["u_x + v_y = 0", "u_y - v_x = -2*pi*sin(pi*x)*sin(pi*y)"], [], {"x": (0, 1), "y": (0, 1)}, exact=exact
    )
    figure = plot(solution(problem))
    assert "streamlines" in figure.axes[0].get_title()
    mesh = next(c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    assert float(np.max(mesh.get_array())) == pytest.approx(1.0, rel=2e-3)


def test_the_error_map_shows_the_error_and_the_title_says_its_norm():
    figure = plot(solution("heat", shift=2e-3))
    maps = [axes for axes in figure.axes if any(isinstance(c, QuadMesh) for c in axes.collections)]
    error = next(axes for axes in maps if axes.get_title().startswith("$|u - u_"))
    (mesh,) = error.collections
    np.testing.assert_allclose(np.asarray(mesh.get_array()), 2e-3, rtol=1e-9)
    relative = solution("heat", shift=2e-3).error()
    mantissa, exponent = f"{relative:.1e}".split("e")
    assert f"{mantissa}\\times 10^{{{int(exponent)}}}" in error.get_title()


def test_maps_have_time_to_the_right_whatever_the_order_of_the_coordinates():
    plain = sciml.load("heat")
    turned = Problem(
        "u_t = u_xx/4",
        ["u(0, x) = sin(pi*x)", "u(t, 0) = 0", "u(t, 1) = 0"],
        {"t": (0, 1), "x": (0, 1)},
        exact="exp(-pi**2*t/4)*sin(pi*x)",
    )
    meshes = [plot(solution(problem)).axes[0].collections[0].get_array() for problem in (plain, turned)]
    np.testing.assert_allclose(np.asarray(meshes[0]), np.asarray(meshes[1]), atol=1e-14)
    values = np.asarray(meshes[0])
    assert values[100, 0] == pytest.approx(1.001)  # x = 1/2, t = 0
    assert values[100, -1] == pytest.approx(np.exp(-(np.pi**2) / 4) + 1e-3)


def test_profiles_are_dots_of_the_solution_on_lines_of_the_reference():
    figure = plot(solution("heat", shift=0.05))
    profiles = [axes for axes in figure.axes if axes.get_title().startswith("$t = ")]
    assert [axes.get_title() for axes in profiles] == [f"$t = {t}$" for t in ("0.25", "0.5", "0.75", "1")]
    for axes, t in zip(profiles, (0.25, 0.5, 0.75, 1.0), strict=True):
        line, dots = axes.lines
        for curve, shift in ((line, 0.0), (dots, 0.05)):
            x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
            np.testing.assert_allclose(y, np.exp(-(np.pi**2) * t / 4) * np.sin(np.pi * x) + shift, atol=1e-12)
        assert dots.get_linestyle() == "None"
        assert len(dots.get_xdata()) < 30 < len(line.get_xdata())


def test_the_loss_is_drawn_by_term_and_a_gap_stays_a_gap():
    figure = plot(solution("heat"))
    axes = next(axes for axes in figure.axes if axes.get_title() == "loss")
    assert axes.get_yscale() == "log"
    curves = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
    assert list(curves) == ["total", "u_t = α·u_xx", "u(0, t) = 0"]
    np.testing.assert_array_equal(curves["total"], HISTORY["loss"])


def test_signed_fields_are_drawn_about_zero_and_positive_ones_are_not():
    signed = plot(solution("poisson")).axes[0].collections[0]
    positive = plot(solution("heat")).axes[0].collections[0]
    assert signed.get_clim()[0] == -signed.get_clim()[1]
    assert signed.get_cmap().name != positive.get_cmap().name
    assert positive.get_clim()[0] == pytest.approx(1e-3)


def test_another_solution_or_a_function_serves_as_reference():
    u = solution("heat")
    for reference in (solution("heat", shift=0.0), lambda x, t: np.exp(-(np.pi**2) * t / 4) * np.sin(np.pi * x)):
        titles = [axes.get_title() for axes in plot(u, reference=reference).axes]
        assert any("reference" in title for title in titles)
    with pytest.raises(ArgumentError, match="not str"):
        plot(u, reference="exact")


def test_neither_pyplot_nor_the_settings_of_a_session_are_touched(tmp_path: Path):
    before = dict(matplotlib.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    solution("heat").plot(path=tmp_path / "figure.png")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_is_written_in_the_format_of_its_suffix_and_twice_the_same(tmp_path: Path, suffix: str, start: bytes):
    paths = [tmp_path / "a" / f"figure.{suffix}", tmp_path / "b" / f"figure.{suffix}"]
    for path in paths:
        solution("logistic").plot(path=path)
    assert paths[0].read_bytes().startswith(start)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_wrong_path_is_refused_before_anything_is_drawn(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"must end in a format such as .png"):
        solution("heat").plot(path=tmp_path / "figure.docx")
    with pytest.raises(ArgumentError, match="must end in a format"):
        solution("heat").plot(path="figure")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="cannot be written"):
        solution("logistic").plot(path=tmp_path / "file" / "figure.png")


def test_a_figure_shows_itself_in_a_notebook():
    assert plot(solution("logistic"))._repr_png_().startswith(b"\x89PNG")


def test_flat_fields_and_perfect_solutions_have_figures(tmp_path: Path):
    zero = Problem("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0", "u(1, t) = 0"], {"x": (0, 1), "t": (0, 1)}, exact="0*x")
    solution(zero, shift=0.0, history={}).plot(path=tmp_path / "zero.png")
    solution("logistic", shift=0.0, history={}).plot(path=tmp_path / "perfect.png")
    assert (tmp_path / "zero.png").stat().st_size > 1000


def test_a_comparison_is_drawn_as_error_over_time(tmp_path: Path):
    steps = (Step(1e-3, 0.01, 1e-4, "Fourier"), Step(1e-6, 0.1, 1e-8, "Fourier"))
    comparison = Comparison("heat", "the exact solution", 1e-15, "pinn", 2.0, 1e-4, 0.01, 1e-8, steps, "")
    figure = plot_comparison(comparison, tmp_path / "comparison.pdf")
    (axes,) = figure.axes
    classical, best, network = axes.lines
    assert list(best.get_ydata()) == [1e-4, 1e-8]
    assert list(classical.get_ydata()) == [1e-4, 1e-8]
    assert (list(network.get_xdata()), list(network.get_ydata())) == ([2.0], [1e-4])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u_t + u*u_x = nu*u_xx", "u_t + u·u_x = ν·u_xx"),
        ("-laplacian(u) = 2*pi**2*sin(pi*x)", "-Δu = 2·π²·sin(π·x)"),
        ("laplacian(u**2) = x**0.5 + x**-1", "Δ(u²) = x^0.5 + x^-1"),
        ("x1'' = x1**12", "x1'' = x1¹²"),
    ],
)
def test_equations_are_shown_as_a_person_writes_them(text: str, shown: str):
    assert pretty(text) == shown
    assert pretty(text, "ascii") == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3.14e-5, "3.1e-5"),
        (2e-12, "2.0e-12"),
        (0.25, "0.25"),
        (4.75, "4.8"),
        (1234.0, "1.2e+3"),
        (0.0, "0"),
        (np.nan, "nan"),
    ],
)
def test_errors_in_sentences_are_short(value: float, shown: str):
    assert short(value) == shown


def test_the_last_loss_lies_inside_the_panel_also_where_a_correction_made_it_at_one_iteration():
    axes = Picture().add_subplot()
    loss = np.array([1.0, 1e-3, 1e-6, 1e-20])
    losses(axes, {"iteration": np.array([0.0, 10.0, 20.0, 20.0]), "loss": loss, "loss: u_t = u_xx": loss})
    low, high = axes.get_xlim()
    assert low == 0
    assert high > 20.5
    (curve,) = axes.lines
    assert (curve.get_marker(), curve.get_markevery()) == ("o", [3])
    assert axes.get_ylim()[0] < 1e-20
