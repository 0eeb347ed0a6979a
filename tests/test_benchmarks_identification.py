"""The command that measures identification: its rows, its table, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.identification import ROWS, Case, heat_number, main, predators, record_of, table
from sciml import Problem, classical


def test_starts_are_far_from_the_truth():
    for case in (heat_number(True)(0), predators(0)):
        for name, truth in case.truth.items():
            assert abs(case.problem.parameters[name] / truth - 1) > 0.15


def test_a_seed_makes_the_same_data_again_and_another_seed_others():
    first, again, other = (heat_number(True)(seed).data["u"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_record_says_error_and_coverage():
    t = np.linspace(0, 2, 21)
    problem = Problem("y' = -k*y", ["y(0) = 3"], {"t": (0, 2)}, {"k": 0.5})
    noise = 0.01 * np.random.default_rng(0).standard_normal(21)
    case = Case(problem, {"t": t, "y": 3 * np.exp(-1.3 * t) + noise}, ("k",), {"k": 1.3}, published={"k": 9.0})
    about = record_of(classical.identify(problem, case.data, case.unknown), case)["parameters"]["k"]
    assert about["error"] == pytest.approx(abs(about["value"] / 1.3 - 1))
    assert about["covered"] == (about["interval"][0] <= 1.3 <= about["interval"][1])
    assert about["contains"] is False
    assert abs(about["score"] * about["standard_error"]) == pytest.approx(1.3 * about["error"])


def test_the_table_counts_covered_runs():
    row = next(row for row in ROWS if row.name == "heat, k, conditions known, classical")
    records = [
        {"name": row.name, "seed": k, "seconds": 1.0 + k, "parameters": {"k": {"error": 0.01 * k, "covered": k > 0}}}
        for k in range(3)
    ]
    assert "| heat, k, conditions known, classical | k | 1 (2) | 2 of 3 | 2.0 | 3 |" in table(records)


def test_an_interrupted_file_is_read_and_printed(tmp_path, capsys):
    path = tmp_path / "found.jsonl"
    about = {"error": 0.5, "covered": True}
    record = {"name": "heat, k, conditions known, classical", "seed": 0, "seconds": 1.0, "parameters": {"k": about}}
    path.write_text(json.dumps(record) + "\n" + '{"name": "cov')
    assert main(["--table", "--out", str(path)]) == 0
    assert "50 (50)" in capsys.readouterr().out


def test_an_unknown_row_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "burgres"])
    assert "lynx and hare" in capsys.readouterr().err
