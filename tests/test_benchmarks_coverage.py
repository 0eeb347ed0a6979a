"""The command that counts how often intervals contain the truth: what it draws, resumes, prints and refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import coverage
from benchmarks.coverage import STUDIES, main, read, summary


def record(problem, seed, covered=True, **more):
    about = {"error": 0.01 * (seed + 1), "covered": covered, "score": 1.0 + seed}
    return {"problem": problem, "seed": seed, "seconds": 2.0, "parameters": {"k": about}, **more}


@pytest.mark.parametrize("problem", ["heat", "lotka_volterra"])
def test_a_seed_draws_the_same_data_again_and_another_seed_others(problem):
    first, again, other = (np.asarray(STUDIES[problem].make(seed).data["u"]) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_ends_by_the_clock():
    assert all(study.settings["budget"] is None for study in STUDIES.values())


def test_the_table_has_the_part_covered_and_the_mean_square_score():
    first = record("heat", 0, **{"false alarms": 0})
    text = summary([first, record("heat", 1, covered=False, **{"false alarms": 2})])
    assert "| heat | k | 50.0% | 1.5 (2) | 2.50 | 2.0 | 1 of 2 | 2 |" in text


def test_the_table_has_the_places_of_a_function():
    more = [{"function error": e, "function covered": c, "function score": 1.0} for e, c in ((0.01, 1.0), (0.02, 0.8))]
    text = summary([{**record("conductivity", k), "parameters": {}, **own} for k, own in enumerate(more)])
    assert "| conductivity | function | 90.0% of places | 1.5 (2) | 1.00 | 2.0 | - | 2 |" in text


def test_the_latest_record_of_a_draw_counts_and_a_line_that_was_cut_off_does_not(tmp_path):
    path = tmp_path / "found.jsonl"
    lines = [json.dumps(record("heat", 0, covered=False)), json.dumps(record("heat", 0)), '{"problem": "he']
    path.write_text("\n".join(lines))
    assert read(path) == [record("heat", 0)]


def test_draws_that_are_there_are_not_run_again(tmp_path, monkeypatch, capsys):
    asked = []

    def run(problem, seed):
        asked.append(seed)
        return record(problem, seed)

    monkeypatch.setattr(coverage, "run", run)
    path = tmp_path / "found.jsonl"
    path.write_text(json.dumps(record("heat", 1)) + "\n")
    assert main(["--problem", "heat", "--draws", "2", "--first", "1", "--out", str(path)]) == 0
    assert asked == [2]
    assert "| heat | k | 100.0% |" in capsys.readouterr().out


def test_a_draw_that_fails_loses_only_itself_and_is_drawn_again(tmp_path, monkeypatch, capsys):
    asked = []

    def run(problem, seed):
        asked.append(seed)
        if asked == [0]:
            raise ArithmeticError("no result")
        return record(problem, seed)

    monkeypatch.setattr(coverage, "run", run)
    command = ["--problem", "heat", "--draws", "2", "--out", str(tmp_path / "found.jsonl")]
    assert main(command) == 1
    assert "seed   0  ArithmeticError: no result" in capsys.readouterr().out
    assert main(command) == 0
    assert asked == [0, 1, 0]


@pytest.mark.parametrize("arguments", [["--problem", "wave"], ["--draws", "0"], ["--first", "-1"], ["--jobs", "0"]])
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["--table", *arguments])
    assert "usage" in capsys.readouterr().err
