"""What tables hold beside numbers: labels of trajectories, row numbers, truth values; and names that are too many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discovery_samples import wave
from sciml import sindy
from sciml.discover import main as discover
from sciml.errors import ArgumentError, FileFormatError
from sciml.gridded import grid_of
from sciml.sindy.estimator import SINDy
from sciml.tabular import records_of

pytestmark = pytest.mark.usefixtures("own_directory")


def table(header: str, *columns: object) -> None:
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]  # type: ignore[call-overload]
    Path("table.csv").write_text("\n".join([header, *rows]) + "\n")


# -- labels ----------------------------------------------------------------------------------------------------------


def test_labels_of_trajectories_may_be_texts():
    runs = [f"r{k % 3}" for k in range(30)]
    table("run,t,x", runs, [k // 3 for k in range(30)], range(30))
    found = records_of("table.csv", group="run")
    assert found.names == ("x",)
    np.testing.assert_array_equal([states[:, 0] for states in found.states], [np.arange(k, 30, 3) for k in range(3)])
    np.savez("runs.npz", run=np.array(runs), t=np.arange(30) // 3, x=np.arange(30.0))
    again = records_of("runs.npz", group="run")
    np.testing.assert_array_equal(again.states, found.states)


def test_dates_and_labels_go_together():
    days = [f"2024-01-{k + 1:02d}" for k in range(10)]
    table("run,date,x", ["wet"] * 10 + ["dry"] * 10, days * 2, range(20))
    found = records_of("table.csv", group="run")
    np.testing.assert_array_equal(found.times, [np.arange(10.0)] * 2)


def test_a_missing_label_is_named_with_its_row():
    table("run,t,x", ["a", "b", ""] * 5, range(15), range(15))
    with pytest.raises(FileFormatError, match="the label 'run' is missing in row 3"):
        records_of("table.csv", group="run")


# -- row numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [",t,x", "Unnamed: 0,t,x"])
@pytest.mark.parametrize(
    "rows", [list(range(20)), list(range(1, 21)), [3 * k for k in range(20)], [*range(10), *range(10)]]
)
def test_the_row_numbers_of_pandas_are_left_out_beside_a_time(header: str, rows: list[int]):
    t = 0.5 * np.arange(20)
    table(header, rows, t, range(20))
    found = records_of("table.csv")
    assert found.names == ("x",)
    np.testing.assert_array_equal(found.times[0], t)
    assert any("counts the rows and is left out" in text for text in found.assumptions)


def test_row_numbers_without_a_time_leave_rows_one_unit_or_a_step_apart():
    table(",x", range(20), range(20))
    found = records_of("table.csv")
    assert found.names == ("x",)
    assert any("rows are one unit of time apart" in text for text in found.assumptions)
    np.testing.assert_array_equal(records_of("table.csv", step=0.5).times[0], 0.5 * np.arange(20))
    assert records_of("table.csv", step=0.5).names == ("x",)


def test_row_numbers_are_kept_where_they_are_asked_for_or_say_more_than_the_place_of_a_row():
    table(",t,x", range(20), [0.5 * k for k in range(20)], range(20))
    np.testing.assert_array_equal(records_of("table.csv", time="column 1").times[0], np.arange(20))
    table(",x", [2 * k for k in range(20)], range(20))
    np.testing.assert_array_equal(records_of("table.csv").times[0], 2 * np.arange(20))


def test_a_column_with_a_name_or_with_fractions_is_no_row_number():
    table("n,t,x", range(20), [0.5 * k for k in range(20)], range(20))
    assert records_of("table.csv").names == ("n", "x")
    table(",t,x", [0.5 * k for k in range(20)], range(20), range(20))
    assert len(records_of("table.csv").names) == 2


# -- truth values ----------------------------------------------------------------------------------------------------


def test_truth_values_are_refused_from_python_and_left_out_of_files_with_a_word():
    t, x = np.arange(50.0), np.arange(50) % 3 == 0
    for given in (x, x[:, None], x.tolist()):
        with pytest.raises(ArgumentError, match="x must be real numbers, not truth values"):
            sindy.discover(t, given)
    with pytest.raises(ArgumentError, match="X must be real numbers, not truth values"):
        SINDy().fit(x[:, None], t=t)
    with pytest.raises(ArgumentError, match="control must be real numbers"):
        sindy.discover(t, np.cos(t), control=x)
    np.savez("b.npz", t=t, x=np.cos(t), on=x)
    found = records_of("b.npz")
    assert found.names == ("x",)
    assert any("'on' holds no real numbers and is left out" in text for text in found.assumptions)


# -- many names ------------------------------------------------------------------------------------------------------


def test_lists_of_names_are_cut():
    x, t, u = wave(150, 48)
    np.savez("wave.npz", x=x, t=t, usol=u, other=np.ones((150, 48)))
    for options in ({"columns": {"u": "foo"}}, {"coordinates": ["x", "s"]}):
        with pytest.raises(ArgumentError) as caught:
            grid_of("wave.npz", **options)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 120
    with pytest.raises(ArgumentError, match=r"no column 'foo'; it has 'usol:1', .* and \d+ more$") as caught:
        records_of("wave.npz", columns={"u": "foo"})
    assert str(caught.value).count("usol") == 12


def test_the_command_lists_a_few_names(capsys: pytest.CaptureFixture[str]):
    x, t, u = wave(150, 48)
    np.savez("wave.npz", x=x, t=t, usol=u)
    assert discover(["wave.npz", "--columns", "u=foo"]) == 2
    assert capsys.readouterr().err.count("usol") <= 12
