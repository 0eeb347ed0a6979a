"""Claims about wrong data, columns and files: each gets an error that says what to change."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat_measurements import FLAT, GRID, PLAIN, POINTS, TEXTS, T, U, X, dataset, frame, heat, one
from sciml.data_files import read_data_file
from sciml.errors import ArgumentError, FileFormatError, ScimlError
from sciml.observations import Observations, observations_of

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
