"""The figure of a discovery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml.discovery_plotting import plot
from sciml.errors import ArgumentError
from sciml.sindy.discovery import Alternative, Discovery

pytestmark = pytest.mark.usefixtures("own_directory")


def law(names: str = "xy", kind: str = "flow") -> Discovery:
    t = np.linspace(0, 5, 60)
    states = np.stack([np.cos(t + k) for k in range(len(names))], 1)
    terms = {name: {names[(k + 1) % len(names)]: 0.5, f"{name}**3": -0.5} for k, name in enumerate(names)}
    return Discovery(
        tuple(names), ("",) * len(names), terms,
        standard_errors={name: dict.fromkeys(own, 0.1) for name, own in terms.items()},
        intervals={n: {term: (value - 0.2, value + 0.2) for term, value in own.items()} for n, own in terms.items()},
        inclusion={name: dict.fromkeys(own, 0.4) for name, own in terms.items()},
        alternatives=(Alternative(("",) * len(names), 0.2, {name: {"1": 3.0} for name in names}),),
        states=(states,), times=(t,), data=(states + 0.01,), kind=kind,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(("names", "kind", "panels"), [("x", "flow", 2), ("xy", "flow", 4), ("xyz", "flow", 5),
                                                       ("abcd", "flow", 5), ("xy", "map", 4)])  # fmt: skip
def test_the_figure_has_a_panel_for_each_unknown_one_for_the_coefficients_and_a_portrait(
    names: str, kind: str, panels: int
):
    figure = plot(law(names, kind))
    assert len(figure.axes) == panels
    labels = [tick.get_text() for tick in figure.axes[-1].get_yticklabels()]
    # Two terms of each equation, and the constant that only the runner-up has.
    assert len(labels) == 3 * len(names)
    curves = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"data", "denoised", "law, solved"} <= set(curves)
    assert np.size(curves["data"].get_xdata()) == 60


def test_a_law_draws_itself_into_a_file_and_twice_the_same():
    for name in ("one.png", "two.png"):
        law().plot(name)
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    with pytest.raises(ArgumentError, match="path must end in a format"):
        law().plot("figure.jpgg")


def test_a_law_that_leaves_the_record_does_not_flatten_the_curves():
    wild = Discovery(
        ("x",), ("x' = x**2",), {"x": {"x**2": 1.0}}, times=(np.linspace(0, 2, 50),),
        states=(np.ones((50, 1)) + 0.1 * np.sin(np.arange(50))[:, None],), data=(np.full((50, 1), 1.0),),
    )  # fmt: skip
    low, high = plot(wild).axes[0].get_ylim()
    assert 0.5 < low < 0.95 < 1.05 < high < 1.5


def test_pure_noise_is_drawn_with_its_samples_and_not_by_the_rounding_of_a_state_at_rest():
    rng, t = np.random.default_rng(0), np.linspace(0, 10, 200)
    states = np.stack([1e-9 * rng.standard_normal(200), 2 + 1e-9 * rng.standard_normal(200)], 1)
    data = states + rng.standard_normal((200, 2))
    data[3, 0] = np.nan
    rest = Discovery(
        ("x", "y"), ("x' = 0", "y' = 0"), {"x": {}, "y": {}}, times=(t,), states=(states,), data=(data,),
        alternatives=(Alternative(("x' = 0", "y' = -0.02"), 0.1, {"x": {}, "y": {"1": -0.02}}),),
    )  # fmt: skip
    figure = plot(rest)
    for i in range(2):
        low, high = figure.axes[i].get_ylim()
        shown = np.mean((data[:, i] > low) & (data[:, i] < high))
        assert shown > 0.95
    coefficients = figure.axes[-1]
    assert [tick.get_text() for tick in coefficients.get_yticklabels()] == [r"$\dot{y}$: 1"]
    assert coefficients.texts[0].get_text() == "−0.02, runner-up only"


def test_a_law_without_any_term_says_so():
    rest = Discovery(("x",), ("x' = 0",), {"x": {}}, times=(np.arange(9.0),), states=(np.zeros((9, 1)),))
    assert [text.get_text() for text in plot(rest).axes[-1].texts] == ["no terms"]
