"""Files to discover laws from: tables become trajectories, arrays become fields on a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discovery_samples import DATA, oscillator, wave, write_csv
from sciml.errors import ArgumentError, FileFormatError
from sciml.gridded import grid_of
from sciml.tabular import records_of

pytestmark = pytest.mark.usefixtures("own_directory")

# -- tables --------------------------------------------------------------------------------------------------------


def test_the_time_is_found_by_its_name_or_because_it_increases():
    t, x = oscillator()
    write_csv("named.csv", "x,y,Time [s]", x, t)
    named = records_of("named.csv")
    assert named.names == ("x", "y")
    np.testing.assert_array_equal(named.times[0], t)
    write_csv("first.csv", "clock,x,y", t, x)
    first = records_of("first.csv")
    assert "the first column, 'clock'" in first.assumptions[0]
    write_csv("none.csv", "x,y", x)
    none = records_of("none.csv")
    np.testing.assert_array_equal(none.times[0], np.arange(400))
    assert "one unit of time apart" in none.assumptions[0]
    np.testing.assert_allclose(records_of("none.csv", step=0.5).times[0], 0.5 * np.arange(400))
    np.testing.assert_array_equal(records_of("first.csv", time="clock", columns={"b": "y"}).states[0][:, 0], x[:, 1])


def test_names_choose_columns_or_rename_them_all():
    t, x = oscillator()
    write_csv("three.csv", "t,x,y,Hare pelts (1000)", t, x, x[:, 0] + 1)
    assert records_of("three.csv").names == ("x", "y", "Hare_pelts")
    assert records_of("three.csv", names=["y"]).names == ("y",)
    renamed = records_of("three.csv", names=["a", "b", "c"])
    np.testing.assert_array_equal(renamed.states[0][:, 0], x[:, 0])
    assert renamed.names == ("a", "b", "c")
    np.savetxt("bare.dat", np.column_stack([t, x]))
    assert records_of("bare.dat").names == ("x", "y")


def test_trajectories_begin_where_the_time_goes_back_or_a_label_changes():
    t, x = oscillator()
    write_csv("two.csv", "t,x,y", np.tile(t, 2), np.tile(x, (2, 1)))
    two = records_of("two.csv")
    assert [len(times) for times in two.times] == [400, 400]
    assert "the time goes back after row 400" in two.assumptions[-1]
    write_csv("labels.csv", "run,t,x,y", np.repeat([1.0, 2.0], 200), np.arange(400.0), x)
    labelled = records_of("labels.csv", group="run")
    assert [len(times) for times in labelled.times] == [200, 200]
    assert labelled.names == ("x", "y")


def test_remarks_are_left_out_and_missing_entries_stay_missing():
    rows = "".join(f"{k},{k**2 if k != 5 else ''},fine\n" for k in range(20))
    Path("remarks.csv").write_text("t,x,remark\n" + rows)
    found = records_of("remarks.csv")
    assert found.names == ("x",)
    assert np.isnan(found.states[0][5, 0])
    assert np.isfinite(np.delete(found.states[0], 5)).all()
    assert any("'remark' holds no numbers" in text for text in found.assumptions)


def test_archives_hold_vectors_and_matrices_of_samples():
    t, x = oscillator()
    np.savez("a.npz", t=t, states=x, mass=np.array(2.0), other=np.ones(3))
    found = records_of("a.npz")
    assert found.names == ("x", "y")
    np.testing.assert_array_equal(found.states[0], x)
    assert any("'other' of the shape [3] is left out" in text for text in found.assumptions)
    turned = records_of_turned(t, x)
    np.testing.assert_array_equal(turned.states[0], x)
    second = records_of("a.npz", columns={"v": "states:2"})
    np.testing.assert_array_equal(second.states[0][:, 0], x[:, 1])
    with pytest.raises(ArgumentError, match="no column 'states:3'"):
        records_of("a.npz", columns={"v": "states:3"})
    np.savez("b.npz", t=np.where(np.arange(400) == 2, np.nan, t), states=x)
    with pytest.raises(FileFormatError, match="the time is missing in row 3"):
        records_of("b.npz")


def records_of_turned(t: np.ndarray, x: np.ndarray):
    np.savez("turned.npz", t=t, states=x.T)
    return records_of("turned.npz")


# -- fields --------------------------------------------------------------------------------------------------------


def test_fields_are_arrays_as_long_as_their_coordinates():
    x, t, u = wave()
    np.savez("wave.npz", x=x, t=t, usol=u, extra=np.ones((3, 4)))
    found = grid_of("wave.npz")
    assert found is not None
    assert list(found.coordinates) == ["x", "t"]
    np.testing.assert_array_equal(found.fields["u"], u)
    assert any("u for 'usol'" in text for text in found.assumptions)
    renamed = grid_of("wave.npz", columns={"h": "usol"})
    assert renamed is not None
    assert list(renamed.fields) == ["h"]


def test_the_time_becomes_the_last_axis():
    x, t, u = wave()
    np.savez("turned.npz", xx=x, tt=t, u=u.T)
    found = grid_of("turned.npz")
    assert found is not None
    assert list(found.coordinates) == ["x", "t"]
    assert "coordinates: x for 'xx', t for 'tt'" in found.assumptions
    np.testing.assert_array_equal(found.fields["u"], u)
    asked = grid_of("turned.npz", coordinates=["t=tt", "x=xx"])
    assert asked is not None
    assert list(asked.coordinates) == ["x", "t"]
    np.testing.assert_array_equal(asked.fields["u"], u)


def test_a_matrix_of_samples_is_no_field_and_a_table_can_be_one():
    t, x = oscillator()
    np.savez("samples.npz", t=t, states=x)
    assert grid_of("samples.npz") is None
    x, t, u = wave()
    order = np.random.default_rng(0).permutation(u.size)
    rows = np.stack([*(a.ravel() for a in np.meshgrid(x, t, indexing="ij")), u.ravel()], 1)[order]
    write_csv("long.csv", "x,t,u", rows)
    assert grid_of("long.csv") is None
    found = grid_of("long.csv", coordinates=["x", "t"])
    assert found is not None
    np.testing.assert_allclose(found.fields["u"], u)
    write_csv("gap.csv", "x,t,u", rows[1:])
    with pytest.raises(ArgumentError, match="the points are no grid"):
        grid_of("gap.csv", coordinates=["x", "t"])


@pytest.mark.parametrize(
    ("name", "shape", "complex_"),
    [("raissi_burgers", (256, 100), False), ("pdefind_kdv", (512, 201), False), ("esindy_ks", (256, 301), False),
     ("raissi_nls", (256, 201), True)],
)  # fmt: skip
def test_files_that_others_made_are_read(name: str, shape: tuple[int, int], complex_: bool):
    path = DATA / f"{name}.mat"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = grid_of(path)
    assert found is not None
    assert list(found.coordinates) == ["x", "t"]
    assert found.fields["u"].shape == shape
    assert np.iscomplexobj(found.fields["u"]) == complex_
