"""`python -m benchmarks`: what is done is kept, what fails loses only itself, and a stop is no loss."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import distributed

from benchmarks import families, pseudospectral, scale, scale_distributed
from benchmarks.__main__ import main
from benchmarks.families import Family, break_even, family
from benchmarks.items import ITEMS, Item, item_named
from benchmarks.runner import Runner, summary
from benchmarks.scale import LAWS, exponent

# Stands for all commands: told by its arguments what to do.
SCRIPT = """
import json, os, pathlib, signal, subprocess, sys, time
module, *arguments = sys.argv[1:]
print("module", module, "arguments", *arguments, flush=True)
if "fail" in arguments:
    sys.exit("no such file: x.csv")
if "kill" in arguments:
    os.kill(os.getpid(), signal.SIGKILL)
if "hang" in arguments:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(arguments[arguments.index("hang") + 1]).write_text(str(child.pid))
    time.sleep(600)
if "--json" in arguments:
    pathlib.Path(arguments[-1]).write_text('{"old": 1}\\n{"seconds": 2.5}\\n')
print("| error | 1e-5 |")
print("the end")
"""


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., Runner]:
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)

    def make(**options: Any) -> Runner:
        return Runner(
            tmp_path / "runs.jsonl",
            about=lambda: {"versions": {"torch": "2"}},
            command=(sys.executable, str(script)),
            say=lambda text: None,
            **options,
        )

    return make


def item(name: str, *arguments: str, **options: Any) -> Item:
    return Item(name, "a question", "kernels", arguments, None, **options)


def states(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {record["name"]: record["state"] for record in results}


def test_a_killed_or_failing_benchmark_loses_only_its_item(runner: Callable[..., Runner]):
    items = [item("a"), item("b", "kill"), item("c", "fail"), item("d")]
    results = runner().run(items)
    assert states(results) == {"a": "done", "b": "killed", "c": "failed", "d": "done"}
    text = summary(results)
    assert "2 of 4 done" in text
    assert "exit code 1: no such file: x.csv" in text
    assert f"exit code {-signal.SIGKILL}" in text
    # Only what was not done is run again.
    began = {record["name"]: record["began"] for record in results}
    items[2] = item("c")
    time.sleep(1.1)  # "began" is written to the second
    again = runner().run(items)
    assert states(again) == {"a": "done", "b": "killed", "c": "done", "d": "done"}
    assert {name for name in began if next(r for r in again if r["name"] == name)["began"] != began[name]} == {"b", "c"}


def test_what_is_done_is_not_run_again_unless_asked(runner: Callable[..., Runner]):
    items = [item("a", resumes=True), item("b", "--points", "3")]
    first = runner().run(items)
    assert runner().run(items) == first
    assert len(runner().records()) == 2
    fresh = runner(fresh=True).run(items)
    assert len(runner().records()) == 4
    # A command that keeps measurements of its own is told to forget them; its identity does not change with that.
    assert "--fresh" in fresh[0]["lines"][0]
    assert "--fresh" not in fresh[1]["lines"][0]
    assert fresh[0]["arguments"] == first[0]["arguments"] == []
    # Other arguments are another measurement.
    assert states(runner().run([item("b", "--points", "4")])) == {"b": "done"}
    assert len(runner().records()) == 5


def test_a_record_says_what_its_figures_depend_on(runner: Callable[..., Runner]):
    [record] = runner().run([item("a", writes=True, shown=(r"^\|",), seed=3)])
    assert record["figures"] == {"seconds": 2.5}
    assert record["lines"] == ["| error | 1e-5 |"]
    assert record["machine"] == {"versions": {"torch": "2"}}
    assert record["seed"] == 3
    assert record["mode"] == "quick"
    assert record["seconds"] > 0
    assert {"load", "began", "exit", "arguments", "module"} <= set(record)
    assert json.loads(runner().path.read_text()) == record
    assert (runner().path.parent / "output" / "a-quick.txt").read_text().endswith("the end\n")


def test_a_line_that_was_cut_off_costs_one_run(runner: Callable[..., Runner]):
    runner().run([item("a")])
    with runner().path.open("a") as file:
        file.write('{"name": "b", "mo')
    assert states(runner().run([item("a"), item("b")])) == {"a": "done", "b": "done"}
    assert [record["name"] for record in runner().records()] == ["a", "b"]


def test_what_is_not_there_is_left_out_and_said(runner: Callable[..., Runner]):
    missing = Item("x", "", "no_such_command", ())
    results = runner().run([missing, Item("y", "", "kernels", None), item("z")])
    assert states(results) == {"x": "left out", "y": "left out", "z": "done"}
    assert "there is no benchmarks/no_such_command.py" in summary(results)
    assert "no quick run" in summary(results)
    assert states(runner(full=True).run([item("z")])) == {"z": "left out"}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status")
    return "State:\tZ" not in status.read_text() if status.exists() else True


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are those of POSIX")
def test_what_takes_too_long_ends_with_all_its_processes(
    runner: Callable[..., Runner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("benchmarks.runner.LEAST", 5.0)
    child = tmp_path / "child"
    results = runner().run([item("a", "hang", str(child), minutes=(0.01, 1.0)), item("b")])
    assert states(results) == {"a": "too long", "b": "done"}
    for _ in range(100):
        if not alive(int(child.read_text())):
            break
        time.sleep(0.05)
    assert not alive(int(child.read_text()))


def test_an_interruption_keeps_what_was_done(runner: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch):
    wait, calls = subprocess.Popen.wait, []

    def interrupted(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        calls.append(timeout)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner().run([item("a"), item("b", "hang", os.devnull)])
    assert [record["name"] for record in runner().records()] == ["a"]


def test_items_are_named_once_and_their_commands_accept_their_arguments(capsys: pytest.CaptureFixture[str]):
    assert len({it.name for it in ITEMS}) == len(ITEMS)
    for it in ITEMS:
        if not it.exists:
            continue
        command = importlib.import_module(f"benchmarks.{it.module}")
        for full in (False, True):
            arguments = it.arguments(full, "cuda")
            if arguments is None:
                continue
            more = ["--json", "x.json"] if it.writes else []
            more += ["--fresh"] if it.resumes else []
            # argparse takes in the arguments in their order; the help at the end stops it before anything is measured.
            with pytest.raises(SystemExit) as stopped:
                command.main([*arguments, *more, "--help"])
            assert stopped.value.code == 0, it.name
            capsys.readouterr()


def test_all_small_runs_together_are_said_to_take_less_than_ten_minutes():
    assert sum(it.minutes[0] for it in ITEMS if it.quick is not None) < 10


def test_the_list_names_every_benchmark_and_nothing_is_run(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["--list", "--out", str(tmp_path / "runs.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert all(it.name in printed for it in ITEMS)
    assert not (tmp_path / "runs.jsonl").exists()


def test_a_device_goes_to_the_commands_that_have_networks_and_counts_as_another_run(runner: Callable[..., Runner]):
    items = [item("a", devices=True), item("b")]
    runner().run(items)
    on_gpu = runner(device="cuda").run(items)
    assert on_gpu[0]["arguments"] == ["--device", "cuda"]
    assert any("arguments --device cuda" in line for line in on_gpu[0]["lines"])
    assert on_gpu[1]["arguments"] == []
    assert (runner().known(items[0]) or {})["arguments"] == []


def test_without_a_network_there_is_nothing_to_put_on_a_device(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--only", "discovery", "--device", "cuda"])
    assert "none of discovery has networks" in capsys.readouterr().err


def test_an_unknown_name_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "kernel"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "there is no benchmark 'kernel'" in error
    assert "kernels" in error


def test_the_summary_of_a_former_session_is_printed(
    runner: Callable[..., Runner], capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert main(["--summary", "--out", str(tmp_path / "none.jsonl")]) == 0
    assert "nothing is done yet" in capsys.readouterr().out
    laws = item_named("laws")
    runner().run([laws])
    assert main(["--summary", "--only", "laws", "--out", str(runner().path)]) == 0
    assert "1 of 1 done" in capsys.readouterr().out


# -- the commands of scale and families --------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_a_power_law_has_its_exponent_and_no_error(power: float):
    values = [10, 20, 50, 100]
    slope, error, last = exponent(values, [2e-6 * n**power for n in values])
    assert slope == pytest.approx(power, abs=1e-12)
    assert last == pytest.approx(power, abs=1e-12)
    assert error < 1e-12


def test_a_fixed_cost_flattens_the_fit_and_less_the_last_exponent():
    values = [100, 1000, 10000]
    slope, error, last = exponent(values, [1.0 + 1e-3 * n for n in values])
    assert slope < last < 1
    assert error > 0.01


def test_laws_of_scale_have_growing_values_and_a_task_of_that_size():
    for law in LAWS:
        for values in (law.values, law.quick):
            assert list(values) == sorted(set(values))
            assert len(values) >= 3
    law = next(law for law in LAWS if law.quantity == "equations")
    count, task = law.make(4)
    assert count == 4
    assert task().coefficients.shape[0] == 4


def test_a_network_pays_off_when_its_training_is_saved_by_classical_solutions():
    assert break_even(100.0, 0.1, 0.6) == pytest.approx(200.0)
    assert break_even(100.0, 0.6, 0.6) == float("inf")
    assert break_even(100.0, 0.7, 0.6) == float("inf")


@pytest.mark.parametrize("coordinate", ["nu", "log"])
def test_a_family_is_a_forward_problem_whose_members_are_those_of_the_bundled_one(coordinate: str):
    problem = family(coordinate)
    problem.check_forward()
    assert problem.time == "t"
    members = Family(3, coordinate)
    assert members.viscosities == pytest.approx([0.003, 0.0003**0.5, 0.1])
    assert members.error(0, members.exact[0]) == 0
    assert members.error(0, 1.01 * members.exact[0]) == pytest.approx(0.01)
    assert members.error(0, members.exact[0] * float("nan")) == float("inf")
    for inputs in members.inputs:
        assert inputs.shape == (4096, 3)
        assert (inputs >= problem.domain.lower).all()
        assert (inputs <= problem.domain.upper).all()


def test_the_hand_written_baseline_converges_to_the_exact_solution_and_the_cheapest_resolution_is_taken():
    members = Family(3, "log")
    viscosity = members.viscosities[2]
    coarse, fine = (
        members.error(2, pseudospectral.solve(viscosity, 128, steps).evaluate(members.points)) for steps in (64, 128)
    )
    assert fine < 2e-8
    assert coarse / fine > 14  # fourth order in time
    cheap = families.written(members, 1, 1e-3)
    assert cheap["error"] <= 1e-3
    assert cheap["size"] <= 128
    assert families.written(members, 0, 1e-16)["error"] is None


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (scale, ["--repeat", "0"]),
        (scale, ["--only", "point"]),
        (families, ["--budget", "-1"]),
        (families, ["--values", "1"]),
        (families, ["--coordinate", "mu"]),
        (scale_distributed, ["--processes", "0"]),
        (scale_distributed, ["--problem", "heat_3d"]),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_measured(
    command: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of torch has no torch.distributed with gloo",
)
def test_two_processes_under_torchrun_reach_the_error_of_one(tmp_path: Path):
    out = tmp_path / "distributed.jsonl"
    arguments = ["--problem", "heat", "--points", "200", "--iterations", "5", "--rounds", "1", "--json", str(out)]
    assert scale_distributed.main(arguments) == 0
    record = json.loads(out.read_text())
    assert record["processes"] == 2
    assert record["difference of the parameters"] < 1e-9
    assert record["error together"] == pytest.approx(record["error alone"], rel=1e-6)
    assert record["ratio of processes"] == pytest.approx(record["seconds alone"][0] / record["seconds together"][0])
