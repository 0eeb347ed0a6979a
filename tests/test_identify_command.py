"""The command `identify`: what it assumes, prints, writes and returns."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identifications import LOGISTIC, ROD, fake
from sciml import Status, classical, load_fit, pinn
from sciml.compare import main as compare
from sciml.errors import SolveError
from sciml.identify import OPTIONS
from sciml.identify import main as identify
from sciml.inference import Estimate

pytestmark = pytest.mark.usefixtures("identification_files")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


# -- help ----------------------------------------------------------------------------------------------------------


def test_help_and_version_answer_at_once_without_the_heavy_libraries():
    for argument in ("--help", "--version", "--list"):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            result = subprocess.run(
                [sys.executable, "-X", "importtime", "-m", "sciml.identify", argument], capture_output=True, text=True
            )
            times.append(time.perf_counter() - start)
            assert result.returncode == 0
            imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
            assert not {"torch", "sympy", "numpy", "matplotlib"} & imported
            if min(times) < 1.0:
                break
        assert min(times) < 1.0
        assert result.stdout.strip()


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]):
    assert identify(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"--{option.name} " in text or f"--{option.name}\n" in text for option in OPTIONS)
    assert max(map(len, text.splitlines())) <= 125


# -- identifying ---------------------------------------------------------------------------------------------------


def test_the_solver_gets_the_words_of_the_command_line(solver: Any, monkeypatch: pytest.MonkeyPatch):
    argv = [*LOGISTIC, "--set", "r=0.5", "--bounds", "r=0:2", "--noise", "0.02", "--noise-model", "multiplicative"]
    network = ["--budget", "7", "--tol", "1e-3", "--seed", "5", "--iterations", "9", "--network", "8x2"]
    assert identify([*argv[:-2], *network, "--dtype", "float32", "--device", "cpu", "--start", "old"]) == 0
    asked = solver.asked
    assert asked.pop("problem").parameters["r"] == 0.5
    assert asked.pop("data")[0].count == 41
    assert asked.pop("progress")
    assert asked == {
        "unknown": ["r"], "noise": 0.02, "noise_model": "additive", "bounds": {"r": (0.0, 2.0)}, "budget": 7.0,
        "tol": 1e-3, "seed": 5, "iterations": 9, "network": "8x2", "dtype": "float32", "device": "cpu", "start": "old",
    }  # fmt: skip
    other = fake()
    monkeypatch.setattr(classical, "identify", other)
    assert identify([*LOGISTIC, "--method", "classical", "--rtol", "1e-6", "--seed", "3"]) == 0
    asked = other.asked  # type: ignore[attr-defined]
    assert (asked["rtol"], asked["budget"], asked["bounds"]) == (1e-6, 60.0, None)
    assert "seed" not in asked


def test_what_is_assumed_stands_above_what_was_found(solver: Any, capsys: pytest.CaptureFixture[str]):
    assert identify([*LOGISTIC, "--set", "r=0.5", "--bounds", "r=0:"]) == 0
    captured = capsys.readouterr()
    lines = [line.rstrip() for line in captured.out.splitlines()]
    for text in (
        "    unknown:    r, starting at 0.5 within [0, inf]",
        "    conditions: the 1 above are assumed; --no-conditions assumes none",
        "    data:       points.csv: 41 of y",
        "    noise:      to be estimated, additive",
        "converged after 0.5 s: The estimated error meets the tolerance.",
        "name   value   standard error   95 % interval",
        "r      0.5     0.005            [0.49, 0.51]",
        "noise: y 0.01 (standard deviation estimated; additive)",
    ):
        assert text in lines, text
    assert lines[-1].startswith("written to runs/identify-logistic: fit.safetensors, history.csv, figure.png")
    assert captured.err == ""
    assert identify([*LOGISTIC, "--no-conditions", "--noise", "y=0.1"]) == 0
    text = capsys.readouterr().out
    assert "conditions: none (--no-conditions)" in text
    assert "noise:      y 0.1, additive" in text
    assert identify([*ROD]) == 0
    text = capsys.readouterr().out
    assert "unknown:    k(x)\n" in text
    assert "conditions: none\n" in text
    many = ["--data", *["points.csv"] * 5]
    assert identify([*LOGISTIC, *many]) == 0
    assert "points.csv: 41 of y; points.csv: 41 of y; and 4 more" in capsys.readouterr().out


def test_json_is_one_object_on_stdout_and_the_directory_holds_the_rest(solver: Any, capsys: pytest.CaptureFixture[str]):
    code = identify([*LOGISTIC, "--json", "--seed", "3", "--out", "here"])
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    result = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert code == 0
    assert result["parameters"] == {"r": {"value": 1.0, "standard_error": 0.01, "interval": [0.98, 1.02]}}
    assert (result["functions"], result["noise"]) == ({}, {"y": 0.01})
    assert (result["success"], result["status"], result["seconds"], result["seed"]) == (True, "converged", 0.5, 3)
    assert result["message"] == Status.CONVERGED.advice
    assert (result["problem"], result["method"], result["solver"]) == ("logistic", "pinn", "fake")
    assert result["start"] == {"r": 1.0}
    assert set(result["versions"]) >= {"sciml", "torch", "numpy", "scipy", "sympy", "python"}
    assert "95 % interval" in captured.err
    files = {path.name for path in Path("here").iterdir()}
    assert files == {"figure.png", "figure.pdf", "history.csv", "fit.safetensors", "config.json"}
    config = json.loads(Path("here/config.json").read_text())
    assert config["command"][0] == "logistic"
    assert config["result"]["parameters"] == result["parameters"]
    assert config["options"]["out"] == "here"
    fit = load_fit("here")
    assert fit.parameters["r"].value == 1.0
    assert fit.observations[0].count == 41


def test_functions_are_sampled_in_the_json(solver: Any, capsys: pytest.CaptureFixture[str]):
    assert identify([*ROD, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["parameters"] == {}
    assert {name: len(column) for name, column in result["functions"]["k"].items()} == {
        "arguments": 1, "x": 101, "value": 101, "standard_error": 101, "lower": 101, "upper": 101,
    }  # fmt: skip
    (directory,) = Path("runs").iterdir()
    assert directory.name.startswith("identify-u_t_")


@pytest.mark.usefixtures("solver")
def test_the_grids_of_raissi_are_identified_under_their_own_names(capsys: pytest.CaptureFixture[str]):
    path = SHARED / "raissi_kdv.mat"
    if not path.is_file():
        pytest.skip("the shared data are not there")
    text = ["u_t + l1*u*u_x + l2*u_xxx = 0", "u(-1, t) = u(1, t)", "--domain", "x=-1:1", "t=0:1", "--unknown", "l1,l2"]
    assert identify([*text, "--data", str(path), "--columns", "t=tt", "u=uu"]) == 0
    assert "raissi_kdv.mat: 102912 of u" in capsys.readouterr().out


def test_what_did_not_converge_is_written_all_the_same_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    nothing = {"r": Estimate(2.0, math.inf, (-math.inf, math.inf))}
    run = fake(Status.BUDGET, parameters=nothing, undetermined=[{"r": 1.0}])
    monkeypatch.setattr(pinn, "identify", run)
    assert identify([*LOGISTIC, "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (result["success"], result["status"]) == (False, "budget")
    assert result["parameters"]["r"] == {"value": 2.0, "standard_error": None, "interval": [None, None]}
    assert result["warnings"] == ["the data do not determine r"]
    assert "warning: the data do not determine r" in captured.err
    assert Path("runs/identify-logistic/figure.png").exists()


def test_a_solver_without_a_result_exits_with_1_and_still_prints_its_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any, **__: Any) -> None:
        raise SolveError("nothing finite was found")

    monkeypatch.setattr(pinn, "identify", fail)
    assert identify([*LOGISTIC, "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["success"], result["parameters"], result["message"]) == (False, None, "nothing finite was found")
    assert {"functions", "noise", "status", "seconds", "seed"} <= set(result)
    assert captured.err.splitlines()[-1] == "sciml.identify: nothing finite was found"
    assert not Path("runs").exists()


def test_a_failure_that_carries_a_fit_is_shown_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: Any, **options: Any) -> None:
        raise SolveError("it diverged", fake(Status.DIVERGED)(*arguments, **options))

    monkeypatch.setattr(pinn, "identify", fail)
    assert identify([*LOGISTIC]) == 1
    assert "diverged after 0.5 s" in capsys.readouterr().out
    assert load_fit("runs/identify-logistic").status is Status.DIVERGED


def test_an_interrupt_ends_quietly_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pinn, "identify", interrupted)
    assert identify([*LOGISTIC]) == 130
    assert compare(["--identify", *LOGISTIC]) == 130
    assert capsys.readouterr().err == ""


def test_progress_names_the_numbers(monkeypatch: pytest.MonkeyPatch, solver: Any):
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("sciml.command.Progress.__call__", lambda self, report: shown.append(dict(report)))
    assert identify([*LOGISTIC]) == 0
    assert [report["stage"] for report in shown] == ["training  r = 1"]
    assert shown[0]["iteration"] == 3


# -- the whole way -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pinn", "classical"])
def test_a_rate_is_identified_from_a_file_to_the_answer(method: str, capsys: pytest.CaptureFixture[str]):
    argv = ["logistic", "--data", "points.csv", "--unknown", "r,K", "--set", "r=0.5", "K=2", "--budget", "30"]
    assert identify([*argv, "--method", method, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for name in ("r", "K"):
        e = result["parameters"][name]
        # Four standard errors: one draw in 16,000 is farther off.
        assert abs(e["value"] - 1.0) < 4 * e["standard_error"] < 0.05
        assert e["interval"][0] < e["value"] < e["interval"][1]
    assert 0.007 < result["noise"]["y"] < 0.013
    fit = load_fit("runs/identify-logistic")
    assert fit.parameters["r"].value == result["parameters"]["r"]["value"]
    assert np.sqrt(np.nanmean(fit.residuals[0]["y"] ** 2)) == pytest.approx(1.0, abs=0.05)
    t = np.linspace(0, 10, 11)
    np.testing.assert_allclose(fit.solution(t), 1 / (1 + 9 * np.exp(-t)), atol=0.02)


def test_a_fit_in_a_file_is_where_the_next_one_starts(capsys: pytest.CaptureFixture[str]):
    argv = [*LOGISTIC, "--set", "r=0.5", "--json", "--budget", "30"]
    assert identify([*argv, "--out", "first"]) == 0
    assert identify([*argv, "--out", "second", "--start", "first"]) == 0
    one, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    difference = one["parameters"]["r"]["value"] - other["parameters"]["r"]["value"]
    assert abs(difference) < 0.05 * one["parameters"]["r"]["standard_error"]
    assert other["iterations"] < one["iterations"]
