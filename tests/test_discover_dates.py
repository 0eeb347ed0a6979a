"""Dates as times: seconds or days since the first in files, refused with a cure from Python."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery_samples import wave
from sciml import sindy
from sciml.data_dates import is_date, since_first
from sciml.discover import main as discover
from sciml.errors import ArgumentError, FileFormatError
from sciml.gridded import grid_of
from sciml.sindy.estimator import SINDy
from sciml.tabular import records_of

pytestmark = pytest.mark.usefixtures("own_directory")

BEGIN = np.datetime64("2024-02-28T23:59:00")


def column(moments: np.ndarray, *, header: str = "t,x", form: str = "{}") -> None:
    rows = [f"{form.format(moment)},{np.cos(k)}" for k, moment in enumerate(moments)]
    Path("dated.csv").write_text("\n".join([header, *rows]) + "\n")


def test_a_law_from_dates_has_the_rates_per_second_that_the_truth_has(capsys: pytest.CaptureFixture[str]):
    seconds = np.arange(0, 300, 3)
    t = BEGIN + seconds * np.timedelta64(1, "s")
    x = np.cos(0.1 * seconds) + 1e-3 * np.random.default_rng(0).normal(size=100)
    y = np.sin(0.1 * seconds) + 1e-3 * np.random.default_rng(1).normal(size=100)
    rows = [f"{moment},{p},{q}" for moment, p, q in zip(t, x, y, strict=True)]
    Path("dated.csv").write_text("\n".join(["t,x,y", *rows]))
    discover(["dated.csv", "--degree", "1", "--json"])
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert found["coefficients"]["y"]["x"] == pytest.approx(0.1, rel=1e-2)
    sentence = "the time is the column 't'; the dates of 't' are read as seconds since 2024-02-28T23:59:00"
    assert sentence in found["assumed"]
    assert f"assumed: {sentence}" in output.err


@pytest.mark.parametrize(
    ("step", "form", "factor", "unit"),
    [
        (np.timedelta64(90, "s"), "{}", 90.0, "seconds"),
        (np.timedelta64(1, "D"), "{}", 1.0, "days"),
        (np.timedelta64(48, "h"), "{}Z", 2.0, "days"),
        (np.timedelta64(250, "ms"), "{}+02:00", 0.25, "seconds"),
        (np.timedelta64(125, "ns"), "{}", 1.25e-7, "seconds"),
    ],
)
def test_dates_are_seconds_since_the_first_or_days_where_all_are_whole(
    step: np.timedelta64, form: str, factor: float, unit: str
):
    column(BEGIN + np.arange(20) * step, form=form)
    found = records_of("dated.csv")
    assert found.names == ("x",)
    np.testing.assert_allclose(found.times[0], factor * np.arange(20), rtol=1e-9, atol=0)
    assert f"are read as {unit} since 2024-02-28T23:59:00" in found.assumptions[0]


@pytest.mark.parametrize("header", ["date,x", "Timestamp [UTC],x", ",x", "when,x", "x,t"])
def test_the_column_of_dates_is_found_whatever_its_name(header: str):
    days = np.datetime64("2024-01-01") + np.arange(20)
    column(days, header="first,x" if header == "x,t" else header)
    if header == "x,t":
        lines = [f"{k},{day}" for k, day in enumerate(days)]
        Path("dated.csv").write_text("\n".join([header, *lines]))
    found = records_of("dated.csv")
    assert found.names == ("x",)
    np.testing.assert_array_equal(found.times[0], np.arange(20.0))


def test_a_table_of_dates_without_names_keeps_its_first_row():
    days = np.datetime64("2024-01-01") + np.arange(20)
    column(days)
    Path("dated.csv").write_text(Path("dated.csv").read_text().removeprefix("t,x\n"))
    found = records_of("dated.csv")
    np.testing.assert_array_equal(found.times[0], np.arange(20.0))
    Path("tabs.tsv").write_text("t\tx\n" + "".join(f"{day} 10:00:00\t{k}\n" for k, day in enumerate(days)))
    np.testing.assert_array_equal(records_of("tabs.tsv").times[0], np.arange(20.0))


def test_numbers_called_a_time_come_before_dates_and_a_step_before_all():
    rows = "".join(f"2024-01-{k + 1:02d},{0.5 * k},{k * k}\n" for k in range(20))
    Path("both.csv").write_text("date,t,x\n" + rows)
    np.testing.assert_array_equal(records_of("both.csv").times[0], 0.5 * np.arange(20))
    np.testing.assert_array_equal(records_of("both.csv", time="date").times[0], np.arange(20.0))
    np.testing.assert_array_equal(records_of("both.csv", step=2.0).times[0], 2.0 * np.arange(20))


def test_archives_hold_dates_too():
    t = BEGIN + 5 * np.arange(20).astype("timedelta64[s]")
    np.savez("dated.npz", t=t, x=np.cos(np.arange(20.0)), created=np.datetime64("2024-01-01"))
    found = records_of("dated.npz")
    assert found.names == ("x",)
    np.testing.assert_array_equal(found.times[0], 5.0 * np.arange(20))
    x, moments, u = wave()
    np.savez("wave.npz", x=x, t=BEGIN + np.arange(len(moments)).astype("timedelta64[m]"), u=u)
    grid = grid_of("wave.npz")
    assert grid is not None
    np.testing.assert_array_equal(grid.coordinates["t"], 60.0 * np.arange(len(moments)))
    assert any("are read as seconds since" in text for text in grid.assumptions)


def test_a_long_table_may_have_dates_for_a_coordinate():
    rows = [f"{x},2024-03-{day:02d},{x * day}" for x in range(4) for day in range(1, 6)]
    Path("long.csv").write_text("\n".join(["x,t,u", *rows]))
    grid = grid_of("long.csv", coordinates=["x", "t"])
    assert grid is not None
    np.testing.assert_array_equal(grid.coordinates["t"], np.arange(5.0))
    np.testing.assert_array_equal(grid.fields["u"][2], 2.0 * np.arange(1, 6))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("2024-01-32", "line 6: '2024-01-32' in the column 't' is not a date such as '2024-01-01'"),
        ("2024-01-05T00:00Z", "line 6: the date '2024-01-05T00:00Z' has a time zone, but others have none"),
        ("", "the time is missing in row 5"),
    ],
)
def test_one_wrong_date_among_others_is_named(entry: str, message: str):
    days = [f"2024-01-{k:02d}" for k in range(1, 21)]
    days[4] = entry
    column(np.array(days))
    with pytest.raises(FileFormatError, match=message):
        records_of("dated.csv")


def test_a_time_in_texts_that_are_no_dates_is_not_left_out_in_silence():
    column(np.array([f"{k}/5/2024" for k in range(1, 21)]))
    with pytest.raises(FileFormatError, match=r"holds neither numbers nor dates of ISO 8601.*'1/5/2024'.*--step DT"):
        records_of("dated.csv")
    assert records_of("dated.csv", step=1.0).names == ("x",)


def test_leap_days_months_and_time_zones_are_those_of_the_calendar():
    texts = ["2024-02-28", "2024-02-29", "2024-03-01"]
    found = since_first(texts, [1, 2, 3], "t", "f.csv")
    assert found is not None
    np.testing.assert_array_equal(found[0], [0, 1, 2])
    months = since_first(["2023-01", "2023-02", "2023-03"], [1, 2, 3], "t", "f.csv")
    assert months is not None
    np.testing.assert_array_equal(months[0], [0, 31, 59])
    zones = since_first(["2024-01-01T00:00+02:00", "2023-12-31 23:30Z"], [1, 2], "t", "f.csv")
    assert zones is not None
    np.testing.assert_array_equal(zones[0], [0, 5400])
    assert not any(map(is_date, ["2024", "1.5", "2024-1-5", "10:00:00", "2024-01-05x", "nan", ""]))


# -- from Python ---------------------------------------------------------------------------------------------------


def given(kind: str) -> Any:
    moments = BEGIN + np.arange(50) * np.timedelta64(1, "s")
    if kind == "texts":
        return [str(moment) for moment in moments]
    if kind == "datetime":
        return [datetime.datetime(2024, 1, 1) + datetime.timedelta(seconds=k) for k in range(50)]
    if kind == "timedelta":
        return [datetime.timedelta(seconds=k) for k in range(50)]
    if kind in ("DatetimeIndex", "zoned", "Series"):
        pandas = pytest.importorskip("pandas")
        index = pandas.DatetimeIndex(moments)
        return {"DatetimeIndex": index, "zoned": index.tz_localize("UTC"), "Series": pandas.Series(index)}[kind]
    return {"datetime64": moments, "timedelta64": moments - BEGIN, "step": np.timedelta64(1, "s")}[kind]


SECOND = np.timedelta64(1, "s")
DIFFERENCE = "(t - t[0]) / numpy.timedelta64(1, 's')"
CURES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "datetime64": (DIFFERENCE, lambda t: (t - t[0]) / SECOND),
    "DatetimeIndex": (DIFFERENCE, lambda t: (t - t[0]) / SECOND),
    "zoned": (DIFFERENCE, lambda t: (t - t[0]) / SECOND),
    "Series": ("(t - t.iloc[0]) / numpy.timedelta64(1, 's')", lambda t: (t - t.iloc[0]) / SECOND),
    "datetime": ("[(m - t[0]).total_seconds() for m in t]", lambda t: [(m - t[0]).total_seconds() for m in t]),
    "texts": ("t = numpy.array(t, dtype='datetime64[us]'), then " + DIFFERENCE,
              lambda t: (np.array(t, dtype="datetime64[us]") - np.datetime64(t[0])) / SECOND),
    "timedelta64": ("t / numpy.timedelta64(1, 's')", lambda t: t / SECOND),
    "timedelta": ("[m.total_seconds() for m in t]", lambda t: [m.total_seconds() for m in t]),
    "step": ("t / numpy.timedelta64(1, 's')", lambda t: t / SECOND),
}  # fmt: skip


@pytest.mark.parametrize("kind", CURES)
def test_from_python_dates_are_refused_and_the_cure_makes_seconds(kind: str):
    t, x = given(kind), np.cos(np.arange(50.0))
    text, formula = CURES[kind]
    with pytest.raises(ArgumentError, match=r"t must be numbers, not .*(dates|time differences): ") as caught:
        sindy.discover(t, x)
    with pytest.raises(ArgumentError, match="t must be numbers"):
        SINDy().fit(x[:, None], t=t)
    assert str(caught.value).endswith(f", {text}")
    np.testing.assert_allclose(np.asarray(formula(t), dtype=float), 1.0 if kind == "step" else np.arange(50.0))


def test_dates_as_a_coordinate_of_a_field_are_refused():
    x, t, u = wave()
    moments = BEGIN + np.arange(len(t)).astype("timedelta64[s]")
    with pytest.raises(ArgumentError, match=r"t must be numbers, not dates.*\(t - t\[0\]\)"):
        sindy.discover_field({"x": x, "t": moments}, {"u": u})
