"""Claims about data: every way of giving the same measurements gives the same observations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import sciml
from heat_measurements import FLAT, GRID, PLAIN, POINTS, TEXTS, T, U, X, dataset, flow, frame, heat, one, ring, same
from sciml import Problem
from sciml.data_files import number_of
from sciml.errors import ArgumentError, ProblemWarning
from sciml.observations import Observations, observations_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

WAYS: dict[str, Callable[[], Any]] = {
    "a grid": lambda: GRID,
    "columns": lambda: FLAT,
    "columns in another order": lambda: {name: FLAT[name] for name in ("u", "t", "x")},
    "lists": lambda: {name: column.tolist() for name, column in FLAT.items()},
    "tensors": lambda: {name: torch.tensor(column, requires_grad=True) for name, column in FLAT.items()},
    "columns and rows of MATLAB": lambda: {"x": FLAT["x"][:, None], "t": FLAT["t"][None, :], "u": FLAT["u"][:, None]},
    "a grid with axes of MATLAB": lambda: {"x": X[None, :], "t": T[:, None], "u": U},
    "a mesh": lambda: {"x": POINTS[:, 0].reshape(5, 4), "t": POINTS[:, 1].reshape(5, 4), "u": U},
    "an array": lambda: PLAIN,
    "a tensor": lambda: torch.tensor(PLAIN),
    "an array of Fortran": lambda: np.asfortranarray(PLAIN),
    "a structured array": lambda: np.array(
        [tuple(row) for row in PLAIN], dtype=[("x", float), ("t", float), ("u", float)]
    ),
    "objects": lambda: {name: column.astype(object) for name, column in FLAT.items()},
    "a masked array": lambda: {**FLAT, "u": np.ma.masked_array(FLAT["u"], mask=np.zeros(20, dtype=bool))},
    "a data frame": frame,
    "a data frame with an index": lambda: frame().set_index(["x", "t"]),
    "a data set": dataset,
    "a data set with its axes turned": lambda: dataset().transpose("t", "x"),
    "an array with names": lambda: dataset()["u"],
    "a data set of scattered points": lambda: pytest.importorskip("xarray").Dataset(
        {name: ("point", column) for name, column in FLAT.items()}
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_measurements_give_the_same_observations(way: str):
    assert same(one(WAYS[way]()))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.filterwarnings("ignore:other_columns.CSV. 'who' not used")
def test_tables_of_text_are_read_as_they_were_written(name: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(TEXTS[name].encode())
    assert same(one(path))
    assert one(str(path)).source == name


def test_archives_are_read_by_name_and_a_single_matrix_as_columns(tmp_path: Path):
    np.savez(tmp_path / "grid.npz", **GRID, more=np.zeros(3))
    np.savez(tmp_path / "plain.npz", PLAIN)
    np.save(tmp_path / "plain.npy", PLAIN)
    scipy.io.savemat(tmp_path / "grid.mat", {**GRID, "who": "me", "cell": np.array([1, "a"], dtype=object)})
    scipy.io.savemat(tmp_path / "plain.mat", {"data": PLAIN})
    for name in ("grid.npz", "plain.npz", "plain.npy", "grid.mat", "plain.mat"):
        assert same(one(tmp_path / name)), name


def test_columns_say_which_name_is_which():
    data = {"place": X, "tt": T, "usol": U, "u": "a remark"}
    assert same(one(data, columns={"x": "place", "t": "tt", "u": "usol"}))
    swapped = {"x": FLAT["t"], "t": FLAT["x"], "u": FLAT["u"]}
    assert same(one(swapped, columns={"x": "t", "t": "x"}))


def test_derivatives_may_be_measured_under_any_of_their_names():
    assert same(one({**FLAT, "u_x": FLAT["u"]}), u=FLAT["u"], u_x=FLAT["u"])
    only = one({"x": X, "t": T, "u_tx": U})
    assert list(only.values) == ["u_xt"]
    assert list(one({"x": X, "t": T, "d(u, x, 2)": U}).values) == ["u_xx"]


def test_a_coordinate_may_be_one_number_for_all():
    found = one({"x": X, "t": 0.5, "u": U[:, 1]})
    assert same(found, np.column_stack([X, np.full(5, 0.5)]), u=U[:, 1])
    assert same(one({"x": 0.5, "t": 1, "u": 2}), np.array([[0.5, 1.0]]), u=np.array([2.0]))


def test_integers_and_single_precision_are_numbers():
    found = one({"x": np.array([0, 1]), "t": np.float32([0, 2]), "u": [3, 4]})
    assert same(found, np.array([[0.0, 0.0], [1.0, 2.0]]), u=np.array([3.0, 4.0]))


def test_what_was_not_measured_is_nan_and_empty_rows_are_left_out(tmp_path: Path):
    path = tmp_path / "gaps.csv"
    path.write_text("x,t,u,p\n0,0,1,\n0.5,1,nan,NA\n1,2,,4\n,,,\n1,1,5,6\n")
    found = one(path, flow())
    nan = np.nan
    assert same(found, np.array([[0, 0], [1, 2], [1, 1.0]]), u=np.array([1, nan, 5]), p=np.array([nan, 4, 6]))
    assert (found.count, found.counts) == (4, {"u": 2, "p": 2})
    masked = {**FLAT, "u": np.ma.masked_array(FLAT["u"], mask=np.arange(20) < 15)}
    assert len(one(masked).points) == 5
    assert len(one({**FLAT, "u": [None] * 15 + [1.0] * 5}).points) == 5


def test_variables_of_a_data_set_stay_at_their_own_coordinates():
    xarray = pytest.importorskip("xarray")
    data = xarray.Dataset({"u": (("x", "t"), U), "p": ("x", X)}, coords={"x": X, "t": T})
    with pytest.raises(ArgumentError, match="'p' has the axes x and does not say at which t it was measured"):
        one(data, flow())
    both = xarray.Dataset({"u": (("x", "t"), U), "p": (("x", "s"), U[:, :1])}, coords={"x": X, "t": T})
    with pytest.raises(ArgumentError, match="at which t"):
        one(both, flow())
    last = xarray.Dataset({"u": ("x", X), "p": ("x", 2 * X)}, coords={"x": X, "t": 2.0})
    assert same(one(last, flow()), np.column_stack([X, np.full(5, 2.0)]), u=X, p=2 * X)


def test_several_experiments_are_a_list_each_with_its_source(tmp_path: Path):
    path = tmp_path / "b.csv"
    path.write_text(TEXTS["a.csv"])
    found = observations_of([GRID, path, PLAIN], heat())
    assert [entry.source for entry in found] == ["data 1", "b.csv", "data 3"]
    assert all(same(entry) for entry in found)
    longer = heat(domain={"x": (0, 1), "t": (0, 5)})
    late = {"x": X, "t": 4.0, "u": X}
    assert len(observations_of((GRID, late), [heat(), longer])) == 2


def test_observations_are_returned_as_they_are():
    made = Observations(POINTS, {"u": U.ravel()}, "the rig")
    assert observations_of(made, heat()) == (made,)
    assert observations_of([made, made], heat())[1] is made
    assert repr(made) == "Observations from the rig: 20 of u at 20 points"


def test_periodic_coordinates_wrap_and_others_do_not():
    data = {"x": [1.25, -0.25, 0.5], "t": [0, 1, 2], "u": [1, 2, 3]}
    np.testing.assert_allclose(one(data, ring()).points[:, 0], [0.25, 0.75, 0.5], rtol=1e-15)
    with pytest.raises(ArgumentError, match=r"row 0: x = 1\.25 is outside the domain x in \[0, 1\] \(2 such points\)"):
        one(data)


@given(arrays.arrays(np.float64, 7, elements=st.floats(-1e3, 1e3)))
def test_wrapped_points_lie_in_the_box_a_whole_number_of_periods_away(x: np.ndarray):
    points = one({"x": x, "t": 0.0, "u": np.ones(7)}, ring()).points[:, 0]
    assert np.all((points >= 0) & (points <= 1))
    np.testing.assert_allclose(np.round(x - points), x - points, atol=1e-9)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=5))
def test_what_a_person_would_write_is_read_back_exactly(numbers: list[float]):
    np.testing.assert_array_equal([number_of(repr(v)) for v in numbers], numbers)


def test_rounding_at_the_sides_is_forgiven_in_the_precision_of_the_data(tmp_path: Path):
    problem = Problem("u' = k*u", [], {"t": (0, "2*pi")}, {"k": 1.0})
    single = one({"t": np.float32([0, 2 * np.pi]), "u": [1, 2]}, problem)
    path = tmp_path / "six.csv"
    path.write_text("t,u\n0,1\n6.28319,2\n")
    for found in (single, one(path, problem)):
        assert found.points[1, 0] == problem.domain.upper[0]
    with pytest.raises(ArgumentError, match=r"t = 6\.28319 is outside"):
        one({"t": [0, 6.28319], "u": [1, 2]}, problem)


def test_the_imaginary_rounding_of_a_fourier_transform_is_dropped():
    assert same(one({**GRID, "u": U + 1e-17j}))


def test_names_without_a_meaning_are_told_once_unless_columns_are_given():
    extra = {**GRID, "k": 3.0, "u_std": U, "id": U}
    with pytest.warns(ProblemWarning, match=r"data: 'k', 'u_std', 'id' not used, since the problem has no such names"):
        assert same(one(extra))
    assert same(one(extra, columns={"u": "u"}))


@pytest.mark.parametrize(
    ("name", "problem", "columns", "shape"),
    [
        ("raissi_burgers.mat", "burgers", {"u": "usol"}, (256, 100)),
        ("raissi_kdv.mat", "kdv", {"u": "uu", "t": "tt"}, (512, 201)),
    ],
)
def test_the_grids_of_raissi_are_read_whole(name: str, problem: str, columns: dict[str, str], shape: tuple[int, int]):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the shared data {name} is not there")
    found = one(path, sciml.load(problem), columns=columns)
    saved = scipy.io.loadmat(path)
    field = saved[columns["u"]]
    assert field.shape == shape
    assert np.array_equal(found.values["u"].reshape(shape), field)
    assert found.count == field.size
    np.testing.assert_allclose(found.points[: shape[1], 1], saved[columns.get("t", "t")].ravel(), rtol=1e-15)
    assert found.points[-1, 0] == pytest.approx(saved["x"].ravel()[-1])


def test_the_pelts_of_hudson_bay_are_columns_without_names():
    path = SHARED / "hudson_bay_lynx_hare.dat"
    if not path.is_file():
        pytest.skip("the shared data are not there")
    problem = sciml.load("lotka_volterra").replace(domain={"t": (1900, 1920)}, conditions=[])
    found = one(path, problem)
    assert found.counts == {"x": 21, "y": 21}
    assert found.points[[0, -1], 0].tolist() == [1900, 1920]
    assert found.values["y"][:3].tolist() == [4, 6.1, 9.8]
