"""What a discovery refuses before it begins: too many unknowns, sizes whose powers are no numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discovery_samples import wave
from sciml import sindy
from sciml.discover import main as discover
from sciml.errors import ArgumentError
from sciml.sindy.estimator import SINDy

pytestmark = pytest.mark.usefixtures("own_directory")


# -- many unknowns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"degree": 1}, {"library": ["x1"]}])
def test_a_matrix_of_many_columns_is_refused_with_what_it_probably_is(options: dict[str, object]):
    with pytest.raises(
        ArgumentError, match=r"x has 21 unknowns, more than 20: if it is a field.*discover_field.*modes"
    ):
        sindy.discover(0.1, np.random.default_rng(0).normal(size=(60, 21)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv"])
def test_a_file_with_one_matrix_alone_is_refused_before_anything_is_written(
    suffix: str, capsys: pytest.CaptureFixture[str]
):
    _, _, u = wave(128, 150)
    if suffix == "npz":
        np.savez("heat.npz", u=u)
    elif suffix == "npy":
        np.save("heat.npy", u)
    else:
        np.savetxt("heat.csv", u.T, delimiter=",")
    assert discover([f"heat.{suffix}"]) == 2
    output = capsys.readouterr()
    assert f"heat.{suffix} has " in output.err
    assert "--coordinates" in output.err
    assert output.out == ""
    assert not Path("runs").exists()


def test_a_method_that_is_fast_takes_many_unknowns():
    t, rng = np.linspace(0, 5, 300), np.random.default_rng(0)
    x = np.stack([np.cos((1 + k) * t + k) for k in range(24)], axis=1) + 1e-3 * rng.normal(size=(300, 24))
    assert len(SINDy("STLSQ", degree=1).fit(x, t=t).law_.names) == 24


# -- sizes -----------------------------------------------------------------------------------------------------------


def circle(noise: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 10, 200)
    x = np.stack([np.cos(t), np.sin(t)], axis=1)
    return t, x + noise * np.random.default_rng(0).normal(size=x.shape)


@pytest.mark.parametrize("scale", [1e-49, 1e49, (1e49, 1e-49)])
def test_a_law_is_the_same_in_all_units_that_are_accepted(scale: float | tuple[float, float]):
    t, x = circle()
    # Warnings of NumPy are errors here.
    law = sindy.discover(1e3 * t, x * scale)
    ratio = np.broadcast_to(scale, 2)[0] / np.broadcast_to(scale, 2)[1]
    assert law.coefficients["x"]["y"] == pytest.approx(-1e-3 * ratio, rel=1e-2)
    assert law.coefficients["y"]["x"] == pytest.approx(1e-3 / ratio, rel=1e-2)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-60, 1e60, 1e200, 1e300])
@pytest.mark.filterwarnings("error")
def test_sizes_whose_powers_are_no_numbers_are_refused_without_a_warning(scale: float):
    t, x = circle()
    with pytest.raises(ArgumentError, match=r"x: 'y' has values up to .*e.*; between 1e-50 and 1e\+50 are accepted"):
        sindy.discover(t, x * [1.0, scale])
    u = np.sin(t)[:, None] * np.ones(50)
    with pytest.raises(ArgumentError, match=r"the field 'u' has values up to .*between 1e-40 and 1e\+40"):
        sindy.discover_field({"x": t, "t": np.arange(50.0)}, {"u": u * scale})


def test_steps_of_time_and_terms_of_a_high_degree_have_their_own_bounds():
    t, x = circle()
    with pytest.raises(
        ArgumentError, match=r"t has steps up to 5e-14\d; between 1e-100 and 1e\+100 are accepted: give"
    ):
        sindy.discover(1e-140 * t, x)
    with pytest.raises(ArgumentError, match=r"between 1e-25 and 1e\+25 are accepted with terms of degree 10"):
        sindy.discover(t, 1e30 * x, degree=10)
    with pytest.raises(ArgumentError, match=r"the coordinate 'x' has steps up to 5e-6\d"):
        sindy.discover_field({"x": 1e-60 * t, "t": np.arange(50.0)}, {"u": np.ones((200, 50))})


def test_an_unknown_that_is_zero_throughout_has_no_size_to_refuse():
    t, x = circle()
    law = sindy.discover(t, x * [1.0, 0.0], degree=1)
    assert not law.coefficients["y"]
