"""Claims about data: every way of giving the same measurements gives the same observations; wrong ones are named."""

from __future__ import annotations

import contextlib
import os
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
from sciml import Problem
from sciml.data_files import number_of, read_data_file
from sciml.errors import ArgumentError, FileFormatError, ProblemWarning, ScimlError
from sciml.observations import Observations, observations_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

X, T = np.linspace(0, 1, 5), np.linspace(0, 2, 4)
U = np.exp(-T)[None, :] * np.sin(np.pi * X)[:, None]
POINTS = np.stack([grid.ravel() for grid in np.meshgrid(X, T, indexing="ij")], axis=1)
GRID = {"x": X, "t": T, "u": U}
FLAT = {"x": POINTS[:, 0], "t": POINTS[:, 1], "u": U.ravel()}
PLAIN = np.column_stack([POINTS, U.ravel()])


def heat(**changes: Any) -> Problem:
    problem = Problem("u_t = k*u_xx", [], {"x": (0, 1), "t": (0, 2)}, {"k": 0.1})
    return problem.replace(**changes) if changes else problem


def flow() -> Problem:
    return Problem(["u_t + u*u_x = -p_x", "u_x = 0"], [], {"x": (0, 1), "t": (0, 2)}, unknowns=["u", "p"])


def ring() -> Problem:
    return Problem("u_t + u_x = 0", ["u(0, t) = u(1, t)"], {"x": (0, 1), "t": (0, 2)})


def one(data: Any, problem: Problem | None = None, **options: Any) -> Observations:
    (found,) = observations_of(data, problem or heat(), **options)
    return found


def same(found: Observations, points: np.ndarray = POINTS, **values: np.ndarray) -> bool:
    wanted = values or {"u": U.ravel()}
    assert found.points.dtype == np.float64
    assert list(found.values) == list(wanted)
    return np.array_equal(found.points, points) and all(
        np.array_equal(found.values[name], wanted[name], equal_nan=True) for name in wanted
    )


# -- the same measurements, however they are given -----------------------------------------------------------------


def frame() -> Any:
    return pytest.importorskip("pandas").DataFrame(FLAT)


def dataset() -> Any:
    return pytest.importorskip("xarray").Dataset({"u": (("x", "t"), U)}, coords={"x": X, "t": T})


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


def text(separator: str, decimal: str = ".", head: str | None = None) -> str:
    rows = [separator.join(repr(float(v)).replace(".", decimal) for v in row) for row in PLAIN]
    return "\n".join([separator.join("xtu") if head is None else head, *rows]) + "\n"


TEXTS = {
    "a.csv": text(","),
    "semicolons.csv": text(";"),
    "decimal_commas.csv": text(";", ","),
    "decimal_commas_and_tabs.txt": text("\t", ","),
    "tabs.tsv": text("\t"),
    "blanks.dat": text("   "),
    "comma_blank.txt": text(", "),
    "quoted.csv": text(",", head='"x","t","u"'),
    "remarks.csv": "# measured in spring\n\n# twice\n" + text(","),
    "savetxt.txt": text(" ", head="# x t u"),
    "no_names.csv": text(",", head="# from the second rig"),
    "mark_of_excel.csv": "\ufeff" + text(","),
    "carriage_returns.csv": text(",").replace("\n", "\r\n"),
    "fortran.dat": text(" ", head="x t u\n").replace("e-", "D-"),
    "other_columns.CSV": text(",", head="x,t,u,who").replace("\n", ",a b\n").replace("who,a b", "who"),
}


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


# -- wrong inputs --------------------------------------------------------------------------------------------------

Wrong = tuple[Callable[[], Any], str]


def records() -> Any:
    return np.array([(0.0, 1.0)], dtype=[("x", float), ("u", float)])


WRONG: dict[str, Wrong] = {
    "nothing": (lambda: None, "data must be a mapping of names to arrays, an array"),
    "a number": (lambda: 3.0, "not float"),
    "a function": (lambda: np.sin, "data must be a mapping"),
    "an empty mapping": (dict, r"data is empty; give arrays by name, such as \{'x': x, 't': t, 'u': u\}"),
    "no experiment": (list, "data is empty"),
    "rows as lists": (lambda: [[0, 0, 1], [1, 1, 2]], "its entry 1 is a list; give each experiment as"),
    "columns as a tuple": (lambda: (X, T, U), r"data 1: an array must have the shape \[N, 3\] .* not \[5\]"),
    "numbers as names": (lambda: {0: X, 1: T, 2: U}, "names must be texts"),
    "a vector": (lambda: X, r"shape \[N, 3\] with the columns x, t, u, not \[5\]"),
    "too few columns": (lambda: PLAIN[:, :2], "data has 2 columns without names, but 3 are needed: x, t, u"),
    "too many columns": (lambda: np.ones((4, 5)), "5 columns without names, but 3 are needed"),
    "a transposed array": (lambda: PLAIN.T, "it is transposed: give its .T"),
    "an array of no rows": (lambda: np.ones((0, 3)), "data has no rows"),
    "empty columns": (lambda: {"x": [], "t": [], "u": []}, "data has no rows: 'x' is empty"),
    "a missing coordinate": (lambda: {"x": X, "u": X}, "data has no coordinate 't'; there are 'x', 'u'"),
    "a misspelt coordinate": (lambda: {"x": X, "T": T, "u": U}, r"columns=\{'t': 'T'\} \(--columns t=T\)"),
    "a misspelt unknown": (lambda: {"x": X, "t": T, "usol": U}, r"no measurements of 'u' .*columns=\{'u': 'usol'\}"),
    "only coordinates": (lambda: {"x": X, "t": T}, "no measurements of 'u' or their derivatives"),
    "two names of one derivative": (lambda: {**GRID, "u_xt": U, "u_tx": U}, "two columns for u_xt: 'u_xt' and 'u_tx'"),
    "a record without a coordinate": (records, "no coordinate 't'"),
    "columns of other lengths": (lambda: {**FLAT, "u": FLAT["u"][:-1]}, r"x \[20\], t \[20\], u \[19\]"),
    "coordinates of other lengths": (
        lambda: {**FLAT, "t": T},
        r"do not fit: x \[20\], t \[4\], u \[20\]; give columns",
    ),
    "a grid as one column": (lambda: {**GRID, "u": U.ravel()}, r"u\.reshape\(5, 4\)"),
    "a transposed grid": (lambda: {**GRID, "u": U.T}, r"has the shape \[4, 5\].*u is transposed: give u\.T"),
    "a grid of another size": (lambda: {**GRID, "u": U[:-1]}, r"shape \[4, 4\], but x has 5 points, t has 4 points"),
    "ragged rows": (lambda: {**GRID, "u": [[1, 2], [3]]}, "'u' of data must be an array of real numbers, but its rows"),
    "a point outside": (
        lambda: {"x": [0.5, 1.5], "t": 0, "u": [1, 2]},
        r"data, row 1: x = 1\.5 is outside .*x: \(0, 1",
    ),
    "a grid outside": (lambda: {"x": X, "t": T + 0.5, "u": U}, r"entry \[0, 3\]: t = 2\.5 .*\(5 such points\)"),
    "a coordinate of NaN": (lambda: {"x": [0, np.nan], "t": 0, "u": [1, 2]}, "row 1: x = nan is missing"),
    "an infinite coordinate": (lambda: {"x": [0, np.inf], "t": 0, "u": [1, 2]}, "row 1: x = inf is infinite"),
    "an infinite value": (lambda: {"x": [0, 1], "t": 0, "u": [1, -np.inf]}, "row 1: u = -inf is infinite; write NaN"),
    "nothing measured": (lambda: {"x": [0, 1], "t": 0, "u": [np.nan] * 2}, "every value of 'u' is missing"),
    "complex values": (lambda: {**GRID, "u": U * 1j}, "is complex .*as two unknowns, u = p"),
    "text as values": (lambda: {"x": [0, 1], "t": 0, "u": ["a", "b"]}, "must be real numbers, not text"),
    "one text among values": (lambda: {"x": [0, 1], "t": 0, "u": [1, object()]}, r"row 1 is <object .*\(object\)"),
    "truth values": (lambda: {"x": [0, 1], "t": 0, "u": [True, False]}, "not truth values"),
    "dates": (lambda: {"x": 0, "t": np.array(["2020-01-01", "2020-01-02"], "M8[D]"), "u": [1, 2]}, "not dates; give"),
    "a data frame with twice a name": (
        lambda: frame().set_axis(["x", "u", "u"], axis=1),
        "two columns with the name 'u'",
    ),
    "a data frame of text": (lambda: frame().assign(u="a"), "must be real numbers"),
    "an array without its time": (lambda: dataset()["u"].drop_vars("t"), "no coordinate 't'"),
    "points of another problem": (lambda: Observations(POINTS[:, :1], {"u": U.ravel()}), r"shape \[N, 2\]"),
    "observations of a stranger": (lambda: Observations(POINTS, {"w": U.ravel()}), r"values\['w'\] is unknown name"),
    "observations of other lengths": (lambda: Observations(POINTS, {"u": U[0]}), r"must have the shape \[20\]"),
    "observations of nothing": (lambda: Observations(POINTS, {}), "holds no values"),
    "observations outside": (lambda: Observations(POINTS + 1, {"u": U.ravel()}), "outside the domain"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_get_an_error_that_says_what_to_change(case: str):
    make, pattern = WRONG[case]
    with pytest.raises(ArgumentError, match=pattern) as caught:
        one(make())
    assert "\n" not in str(caught.value)


WRONG_COLUMNS: dict[str, tuple[Any, str]] = {
    "swapped": ({"usol": "u"}, r"did you mean \{'u': 'usol'\}\?"),
    "a stranger": ({"w": "usol"}, r"columns: 'w' is neither a coordinate nor an unknown of the problem \(x, t, u\)"),
    "a parameter": ({"k": "usol"}, "'k' is neither"),
    "a number": ({3: "usol"}, "columns: 3 is neither"),
    "absent": ({"u": "usoll"}, "data has no 'usoll' for u; there are 'x', 't', 'usol'; did you mean 'usol'"),
    "one for two": ({"u": "usol", "u_x": "usol"}, "'usol' cannot be both u and u_x"),
    "two for one": ({"u_xt": "usol", "u_tx": "x"}, "u_xt is given twice"),
    "a text": ("u=usol", "columns must be a mapping such as"),
}


@pytest.mark.parametrize("case", WRONG_COLUMNS)
def test_wrong_columns_get_an_error_that_says_what_to_change(case: str):
    columns, pattern = WRONG_COLUMNS[case]
    with pytest.raises(ArgumentError, match=pattern):
        one({"x": X, "t": T, "usol": U}, columns=columns)


def test_columns_need_names():
    with pytest.raises(ArgumentError, match="columns: data has no names; its columns are taken as x, t, u"):
        one(PLAIN, columns={"u": "usol"})


def test_experiments_and_problems_must_match():
    with pytest.raises(ArgumentError, match="there are 2 problems but 1 data sets"):
        observations_of(GRID, [heat(), heat()])
    with pytest.raises(ArgumentError, match=r"problem must be a sciml\.Problem"):
        observations_of(GRID, "burgers")  # type: ignore[arg-type]


WRONG_FILES: dict[str, tuple[bytes | None, str]] = {
    "absent.csv": (None, "there is no file"),
    "sheet.xlsx": (b"PK", "ends in .csv.*save the sheet as CSV"),
    "objects.pkl": (b"", "a pickle can execute code"),
    "no_suffix": (b"x,t,u\n", "ends in .csv, .tsv"),
    "empty.csv": (b"", "empty.csv is empty"),
    "remarks.csv": (b"# nothing\n\n", "remarks.csv is empty"),
    "names.csv": (b"x,t,u\n", "a line of names but no line of numbers"),
    "word.csv": (b"x,t,u\n0,0,1\n0,1,high\n", r"word\.csv, line 3: 'high' in the column 'u' is not a number"),
    "complex.csv": (b"x,t,u\n0,0,1+2i\n", "a complex number is two columns"),
    "short.csv": (b"x,t,u\n\n0,0,1\n0,1\n", r"short\.csv, line 4: 2 columns, but there are 3 names"),
    "long.csv": (
        b"0,0,1\n0,1,2,3\n",
        r"long\.csv, line 1: 3 columns|line 2: 4 columns, but there are 3 columns in line 1",
    ),
    "twice.csv": (b"x,t,u,u\n0,0,1,2\n", "two columns with the name 'u'"),
    "outside.csv": (b"# t up to 2\nx,t,u\n0,0,1\n0,3,1\n", r"outside\.csv, line 4: t = 3 is outside"),
    "far.csv": (b"x,t,u\n0,0,inf\n", r"far\.csv, line 2: u = inf is infinite"),
    "latin.csv": ("x,t,u\n0,0,1\n# Größe\n".encode("latin-1"), r"latin\.csv, line 3: not text in UTF-8"),
    "wide.csv": ("x,t,u\n".encode("utf-16"), "is text in UTF-16"),
    "binary.csv": (b"x,t,u\n\0\0\0\n", "is a binary file"),
    "plain.csv": (b"0,0\n1,1\n", "plain.csv has 2 columns without names, but 3 are needed"),
    "damaged.npz": (b"PK\x03\x04 broken", "damaged.npz is damaged or was not written by numpy.savez"),
    "damaged.npy": (b"not an array", "damaged or was not written by numpy.save"),
    "damaged.mat": (b"not a matrix" * 50, "damaged.mat is damaged or not a MATLAB file"),
    "newer.mat": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "is a MATLAB 7.3 file .*save.*'-v7'"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_wrong_files_get_an_error_that_says_what_to_change(name: str, tmp_path: Path):
    content, pattern = WRONG_FILES[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((FileFormatError, ArgumentError), match=pattern):
        one(path)


def test_misspelt_files_and_directories_are_named(tmp_path: Path):
    (tmp_path / "points.csv").write_text(TEXTS["a.csv"])
    with pytest.raises(FileFormatError, match=r"did you mean 'points\.csv'"):
        one(tmp_path / "point.csv")
    with pytest.raises(FileFormatError, match="is a directory"):
        one(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path):
    path = tmp_path / "closed.csv"
    path.write_text(TEXTS["a.csv"])
    path.chmod(0)
    with pytest.raises(FileFormatError, match=r"closed\.csv cannot be read: Permission denied"):
        one(path)


def test_objects_in_archives_are_never_executed(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    for name, save in (("a.npz", np.savez), ("a.npy", np.save)):
        save(tmp_path / name, np.array([Trap()], dtype=object))
        with pytest.raises(FileFormatError, match="holds Python objects, which are not read"):
            one(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@given(st.binary(max_size=200), st.sampled_from([".csv", ".npz", ".npy", ".mat", ".dat"]))
def test_no_file_makes_another_error_than_ours(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str):
    path = tmp_path_factory.mktemp("any") / f"file{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(ScimlError):
        read_data_file(path)
