"""Rows of the data without a number are left out, and that is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from decay_problem import decay
from sciml import classical, pinn
from sciml.identify import main as identify
from sciml.observations import observations_of

TIMES = np.linspace(0, 2, 21)


def measured() -> np.ndarray:
    values = np.exp(-0.7 * TIMES) + 0.001 * np.random.default_rng(0).standard_normal(len(TIMES))
    values[[3, 7, 8]] = np.nan
    return values


def test_points_without_a_number_are_counted():
    (own,) = observations_of({"t": TIMES, "y": measured()}, decay())
    assert own.left_out == 3
    assert own.remark == "Of the 21 of data 3 points hold no number (NaN) and were left out."
    (whole,) = observations_of({"t": TIMES, "y": np.exp(-TIMES)}, decay())
    assert (whole.left_out, whole.remark) == (0, "")


@pytest.mark.parametrize("solver", [classical, pinn])
def test_a_fit_says_how_many_points_it_was_not_given(solver):
    fit = solver.identify(decay(), {"t": TIMES, "y": measured()}, unknown=["k"], budget=20)
    assert "3 points hold no number (NaN) and were left out" in fit.message


@pytest.mark.usefixtures("own_directory")
def test_the_command_says_how_many_rows_it_left_out(capsys: pytest.CaptureFixture[str]):
    rows = "\n".join(f"{t:.6f},{y:.6f}" for t, y in zip(TIMES, measured(), strict=True))
    Path("points.csv").write_text(f"t,y\n{rows}\n")
    texts = ["y' = -k*y", "y(0) = 1", "--domain", "t=0:2", "--set", "k=0.5"]
    identify([*texts, "--data", "points.csv", "--unknown", "k", "--method", "classical", "--json"])
    captured = capsys.readouterr()
    assert "18 of y, 3 without a number (NaN) left out" in captured.err
    assert "of points.csv 3 points hold no number" in json.loads(captured.out)["message"]
