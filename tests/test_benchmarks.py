"""The accuracy table: measurements are kept, an interrupted command resumes, the tables say what was measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import Bench, main
from benchmarks.measurement import KINDS, THRESHOLDS, Reference, Watch
from benchmarks.rows import ROWS, problem_of
from benchmarks.tables import tables
from sciml.testing import check_problem

QUICK = [
    "--only",
    "poisson",
    "--seeds",
    "1",
    "--budget-scale",
    "0.1",
    "--threads",
    "1",
    "--no-deepxde",
    "--no-classical",
]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_measurements_are_kept_and_a_second_command_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "accuracy.jsonl"
    assert main([*QUICK, "--out", str(out)]) == 0
    [network] = lines_of(out)
    assert network["best"] < 1e-9
    assert network["seconds_to"]["1e-09"] <= network["seconds"] < network["budget"] + 2
    assert {"estimate", "parameters", "points", "status", "rate", "load", "machine", "threads"} <= set(network)
    capsys.readouterr()
    assert main([*QUICK, "--out", str(out)]) == 0
    assert lines_of(out) == [network]
    printed = capsys.readouterr().out
    assert "| poisson | " in printed
    assert "| poisson | 1e-9 | 3 | " in printed
    # The classical solver's job on the same reference, in this process.
    job = {"name": "poisson", "reference": network["reference"], "target": network["best"], "budget": 20.0}
    classical = KINDS["classical"](job)
    assert classical["reason"] == "as accurate"
    assert classical["steps"][-1]["error"] <= 1e-12


def test_a_measurement_after_an_interrupted_line_is_kept(tmp_path: Path):
    bench = Bench(tmp_path / "accuracy.jsonl", 1)
    bench.path.write_text('{"kind": "network", "name": "poi')
    bench.keep(record(1e-3, 1e-3))
    assert bench.records() == [record(1e-3, 1e-3)]


def record(error: float | None, estimate: float | None, **more: Any) -> dict[str, Any]:
    machine = {"processor": "one", "cores": 2, "memory_gib": 8, "versions": dict.fromkeys(
        ("commit", "python", "torch", "numpy", "scipy"), "1")}  # fmt: skip
    base = {
        "kind": "network", "name": "heat", "seed": 0, "error": error, "best": error, "best_seconds": 4.0,
        "seconds": 5.0, "estimate": estimate, "status": "converged", "threads": 2, "rate": 32.0, "load": 0.1,
        "machine": machine, "seconds_to": {"1e-02": 1.0, "1e-06": 20.0}, "parameters": 7, "points": 9,
        "method": "network",
    }  # fmt: skip
    return {**base, **more}


def test_the_table_flags_a_dishonest_estimate_and_says_who_is_faster():
    classical = {
        "kind": "classical",
        "name": "heat",
        "reason": "as accurate",
        "steps": [{"rtol": 1e-3, "seconds": 0.1, "error": 1e-4, "method": "spectral"}],
    }
    text = tables([record(1e-4, 1e-6), classical])
    assert "100 **estimate too small**" in text
    assert "classical, 40 times" in text
    assert "1 had one more than 10 times too small: heat seed 0 (1.0e-04 against 1.0e-06)" in text
    assert "estimate too large" in tables([record(1e-6, 1e-4)])
    assert "**network**, 100 times" in tables([record(1e-4, 1e-4, best_seconds=0.001), classical])
    assert "ends at 1.0e-04 (as accurate)" in tables([record(1e-5, 1e-5), classical])


def test_a_run_that_was_killed_has_its_line():
    killed = {"kind": "network", "name": "poisson_10d", "seed": 0, "threads": 2, "failure": "killed after 480 s"}
    assert "Nothing has been measured" in tables([])
    for text in (tables([killed]), tables([killed, record(1e-7, 1e-7)])):
        assert "| 0 | killed after 480 s | - | no result of the network |" in text
        assert "| poisson_10d | 1e-3 | 120 | - | - | - | **missed, not reached** |" in text


def test_another_program_is_compared_at_the_error_that_it_reaches():
    ours = record(1e-5, 1e-5, name="burgers", trace=[[1.0, 1e-2, None], [2.0, 1e-3, None], [9.0, 1e-5, None]])
    theirs = record(5e-3, None, name="theirs", kind="deepxde", best_seconds=100.0, seconds=8.0)
    assert "our network has 5.0e-03 after 2.0 s, 50 times sooner; 1.0e-03 at its end" in tables([ours, theirs])
    assert "ours does not reach 1.0e-06" in tables([ours, {**theirs, "best": 1e-6}])


def test_of_several_tolerances_the_quickest_is_compared_at_each_error():
    trace = [[4.0, 4e-3, None], [9.0, 1e-7, None]]
    tight, loose = (
        record(1e-7, 1e-7, name="burgers", trace=trace),
        record(1e-3, 1e-3, name="burgers, tol 1e-03", trace=[[1.0, 3e-3, None]]),
    )
    theirs = record(5e-3, None, name="theirs", kind="deepxde", best_seconds=100.0, seconds=100.0)
    found = tables([tight, loose, theirs])
    assert "our network has 5.0e-03 after 1.0 s, 100 times sooner; 1.0e-07 at its end" in found


def test_required_seconds_are_for_a_slower_machine_and_the_worst_seed_counts():
    # 20 s on a core of 32 GFLOP/s are 40 s on one of 16; 30 s are required.
    assert "| heat | 1e-6 | 30 | 20 | 20 | 40 | met here, not on a core of 16 GFLOP/s |" in tables([record(1e-7, 1e-7)])
    slow = record(1e-7, 1e-7, rate=16.0, seconds_to={"1e-06": 91.0}, seed=1)
    fast = [record(1e-7, 1e-7, rate=16.0, seconds_to={"1e-06": 2.0}, seed=seed) for seed in (0, 2)]
    assert "**missed by the worst seed**" in tables([slow, *fast])
    assert "**missed, not reached**" in tables([record(1e-3, 1e-3, seconds_to={})])


def test_an_error_counts_only_where_all_windows_have_come():
    points, values = np.linspace(0, 1, 5)[:, None], np.ones((5, 1))
    watch = Watch(Reference(points, values, np.array([1]), 1e-3, None, ""), THRESHOLDS)
    state = np.ones((5, 2))
    assert watch.look(np.where(points > 0.5, math.nan, state), None, 1.0) == math.inf
    assert watch.look(state + np.array([5.0, 0.05]), None, 2.0) == pytest.approx(0.05)
    assert watch.look(state, None, 3.0) == 1e-3  # the reference sees no more
    assert watch.to_record()["seconds_to"] == {"1e-01": 2.0, "1e-02": 3.0, "1e-03": 3.0}


@pytest.mark.parametrize("row", [row for row in ROWS if row.group == "typed"], ids=lambda row: row.name)
def test_exact_solutions_of_typed_problems_satisfy_them(row: Any):
    problem = problem_of(row)
    assert problem is not None
    assert check_problem(problem, points=100).success


def test_a_wrong_row_is_refused_with_the_known_names(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--only", "burger"])
    assert "burgers_2d" in capsys.readouterr().err
