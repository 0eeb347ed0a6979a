"""The names of unknowns in a discovery: which are refused, and where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discovery_samples import oscillator, wave
from sciml import sindy
from sciml.errors import ArgumentError
from sciml.sindy.estimator import SINDy
from sciml.tabular import records_of


def circle() -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 10, 200)
    return t, np.stack([np.cos(t), -np.sin(t)], axis=1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["sin", "y"], "names: 'sin' is a function of the notation; write 'sin_', say"),
        (["max", "max_"], "'max' is a function of the notation; write 'max_1', say"),
        ("x,pi", "'pi' is a number of the notation; write 'pi_', say"),
        (["ln", "y"], "'ln' is a function of the notation"),
    ],
)
def test_names_of_functions_are_refused_at_once_with_a_free_name(names: list[str] | str, message: str):
    t, x = circle()
    with pytest.raises(ArgumentError, match=message):
        sindy.discover(t, x, names=names)
    with pytest.raises(ArgumentError, match=message):
        SINDy(names=names).fit(x, t=t)
    with pytest.raises(ArgumentError, match=message):
        SINDy(names=names).fit(x, x[:, ::-1])
    with pytest.raises(ArgumentError, match="control_names: 'exp' is a function"):
        sindy.discover(t, x, control=t, control_names="exp")
    space, moments, u = wave()
    with pytest.raises(ArgumentError, match="names of coordinates and fields: 'abs' is a function"):
        sindy.discover_field({"x": space, "t": moments}, {"abs": u})


def test_the_name_that_the_refusal_proposes_is_accepted():
    t, x = circle()
    law = sindy.discover(t, x, names=["sin_", "pi_"], degree=1)
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"sin_": {"pi_"}, "pi_": {"sin_"}}


def test_the_exposed_of_an_epidemic_may_be_called_E():
    t, x = circle()
    law = sindy.discover(t, x, names=["E", "I"], library=sindy.PolynomialLibrary(1) + sindy.ExponentialLibrary())
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"E": {"I"}, "I": {"E"}}


def test_a_file_with_columns_called_like_functions_is_read_under_free_names(own_directory: object):
    t, x = oscillator()
    rows = "\n".join(f"{time},{a},{b}" for time, (a, b) in zip(t, x, strict=True))
    Path("extremes.csv").write_text(f"t,min,max (K)\n{rows}\n")
    found = records_of("extremes.csv")
    assert found.names == ("min_", "max_")
    assert "names: min_ for 'min', max_ for 'max (K)'" in found.assumptions


# -- data frames -----------------------------------------------------------------------------------------------------


def test_the_columns_of_a_data_frame_are_the_names():
    pandas = pytest.importorskip("pandas")
    t, x = circle()
    frame = pandas.DataFrame(x, columns=["q", "p"])
    assert sindy.discover(t, frame, degree=1).names == ("q", "p")
    assert sindy.discover([t, t], [frame, frame], degree=1).names == ("q", "p")
    assert sindy.discover(t, frame, names="a,b", degree=1).names == ("a", "b")


@pytest.mark.parametrize("columns", [["angle (rad)", "p"], [0, 1], ["sin", "p"], ["t", "p"]])
def test_columns_that_cannot_be_names_leave_the_usual_ones(columns: list[object]):
    pandas = pytest.importorskip("pandas")
    t, x = circle()
    assert sindy.discover(t, pandas.DataFrame(x, columns=columns), degree=1).names == ("x", "y")


def test_data_frames_with_other_columns_are_not_put_one_below_the_other():
    pandas = pytest.importorskip("pandas")
    t, x = circle()
    frame = pandas.DataFrame(x, columns=["q", "p"])
    with pytest.raises(ArgumentError, match="all data frames must have the same columns in the same order"):
        sindy.discover([t, t], [frame, frame[["p", "q"]]])


def test_a_column_called_u_gives_an_input_another_name():
    pandas = pytest.importorskip("pandas")
    t, x = circle()
    law = sindy.discover(t, pandas.DataFrame(x, columns=["u", "v"]), control=np.sin(3 * t), degree=1)
    assert law.names == ("u", "v")
    assert law.control == ("u_",)


# -- terms -----------------------------------------------------------------------------------------------------------


def test_terms_may_be_one_text_with_commas():
    t, x = circle()
    law = sindy.discover(t, x, library="1, x, y, atan2(x, y), sin(x)")
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"x": {"y"}, "y": {"x"}}
    with_list = sindy.discover(t, x, library=["1", "x", "y", "atan2(x, y)", "sin(x)"])
    assert law.coefficients == with_list.coefficients
    model = SINDy(library="1,x,y").fit(x, t=t)
    assert model.get_feature_names() == ["1", "x", "y"]
    each = sindy.discover(t, x, library={"x": "1,y", "y": "x"})
    assert {name: set(terms) for name, terms in each.coefficients.items()} == {"x": {"y"}, "y": {"x"}}
    shut = sindy.discover(t, x, degree=1, forbidden="1,y")
    assert not {"1", "y"} & (set(shut.coefficients["x"]) | set(shut.inclusion["x"]))
    with pytest.raises(ArgumentError, match="library: a list is written as x,y without empty entries, not 'x,,y'"):
        sindy.discover(t, x, library="x,,y")


def test_terms_of_a_field_may_be_one_text_with_commas():
    x, t, u = wave(64, 96)
    noisy = u + 0.05 * np.random.default_rng(0).normal(size=u.shape)
    law = sindy.discover_field({"x": x, "t": t}, {"u": noisy}, library="u, u_x, d(u**2, x, 1)", forbidden="u,1")
    assert set(law.coefficients["u"]) == {"u_x"}


# -- too few samples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0], "got 1$"),
        ([0.0, 1.0, 2.0], "got 3$"),
        ([0.0, 0.0, 1.0], r"got 2 \(1 of 3 repeat a time\)$"),
    ],
)
def test_too_few_samples_are_counted_as_they_are(times: list[float], message: str):
    with pytest.raises(ArgumentError, match="x must have at least 8 samples at different times, " + message):
        sindy.discover(np.array(times), np.array(times)[:, None] + 1)


def test_trajectories_of_one_sample_each_are_too_short():
    times = [np.array([float(k)]) for k in range(9)]
    with pytest.raises(ArgumentError, match=r"in trajectories of at least two, got 0$"):
        sindy.discover(times, [time[:, None] for time in times])
