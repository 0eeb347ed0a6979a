"""What the labels of a discovery's figure say: names, intervals, terms that only the runner-up has."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from sciml.discovery_plotting import plot
from sciml.sindy.discovery import Alternative, Discovery


def law(names: tuple[str, ...], kind: str = "flow") -> Discovery:
    t = np.linspace(0, 5, 60)
    states = np.stack([np.cos(t + k) for k in range(len(names))], 1)
    terms = {name: {names[0]: -2.0} for name in names}
    other = {name: {names[0]: -1.0, "1": 3.0} for name in names}
    return Discovery(
        names, ("",) * len(names), terms,
        standard_errors={name: {names[0]: 0.1} for name in names},
        intervals={name: {names[0]: (-2.2, -1.8)} for name in names},
        alternatives=(Alternative(("",) * len(names), 0.2, other),),
        states=(states,), times=(t,), data=(states,), kind=kind,  # type: ignore[arg-type]
    )  # fmt: skip


def labels(axes: Axes) -> list[str]:
    return [tick.get_text() for tick in axes.get_yticklabels()]


def crosses(axes: Axes) -> list[tuple[float, float]]:
    return [
        (float(np.ravel(line.get_xdata())[0]), float(np.ravel(line.get_ydata())[0]))
        for line in axes.lines
        if line.get_marker() == "x"
    ]


def test_a_term_of_the_runner_up_alone_is_not_drawn_relative_to_an_estimate_that_does_not_exist():
    axes = plot(law(("x", "y"))).axes[-1]
    assert [text.get_text() for text in axes.texts] == ["−2 ± 0.1", "3, runner-up only"] * 2
    # The runner-up's -1 is half of the estimate -2; its constant has no mark at all.
    assert crosses(axes) == [(0.5, 0.0), (0.5, 2.0)]
    for line in axes.lines:
        if line.get_marker() != "None" or line.get_alpha():
            assert set(np.ravel(line.get_ydata())) <= {0.0, 2.0}


def test_the_title_says_what_the_bars_and_what_the_numbers_are():
    axes = plot(law(("x",))).axes[-1]
    title = axes.get_title()
    assert "bars: 95 % intervals" in title
    assert "±: standard errors" in title
    assert "×: runner-up" in title
    bar = next(line for line in axes.lines if line.get_alpha() is not None)
    np.testing.assert_allclose(np.ravel(bar.get_xdata()), [1.1, 0.9])


@pytest.mark.parametrize(
    ("name", "shown", "left"),
    [
        ("x", "$x$", r"$\dot{x}$"),
        ("x1", "$x_{1}$", r"$\dot{x_{1}}$"),
        ("omega_0", r"$\omega_{0}$", r"$\omega_{0}'$"),
        ("ang_vel_s_1", "ang_vel_s_1", "ang_vel_s_1'"),
        ("hare", "hare", "hare'"),
        ("Hare_pelts", "Hare_pelts", "Hare_pelts'"),
    ],
)
def test_a_word_is_written_as_it_is_and_a_letter_has_one_subscript_at_most(name: str, shown: str, left: str):
    figure = plot(law((name, "q")))
    samples, _, portrait, coefficients = figure.axes
    assert samples.get_ylabel() == portrait.get_xlabel() == shown
    assert labels(coefficients)[0].startswith(f"{left}: ")
    figure.canvas.draw()


def test_every_character_of_the_labels_has_a_glyph(caplog: pytest.LogCaptureFixture, own_directory: None):
    terms = ["x**4*theta", "theta**12", "x*sin(theta)**2", "omega_0*x**0.5", "1"]
    found = Discovery(
        ("x", "theta", "omega_0"), ("",) * 3, {name: dict.fromkeys(terms, -2.0) for name in ("x", "theta", "omega_0")}
    )
    figure = plot(found, "figure.png")
    assert "glyph" not in caplog.text
    assert labels(figure.axes[-1])[:2] == [r"$\dot{x}$: x$^{4}$·θ", r"$\dot{x}$: θ$^{12}$"]


@pytest.mark.parametrize(("name", "shown", "left"), [("u1", "$u_{1}$", "${u_{1}}_{t}$"), ("dye", "dye", "dye$_{t}$")])
def test_the_names_of_fields_can_be_drawn(name: str, shown: str, left: str):
    x, t = np.linspace(0, 1, 20), np.linspace(0, 2, 30)
    u = np.sin(x[:, None] - t)
    found = Discovery((name,), ("",), {name: {f"{name}_x": -1.0}}, kind="field", coordinates=("x", "t"), times=(x, t),
                      data=(u,), states=(u,))  # fmt: skip
    figure = plot(found)
    assert figure.axes[0].get_title() == f"{shown}, data"
    assert labels(figure.axes[-1])[0].startswith(f"{left}: ")
    figure.canvas.draw()
