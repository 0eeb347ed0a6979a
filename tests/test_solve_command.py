"""The command `solve`: what it prints, writes and returns."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml
from command_lines import HEAT, read
from sciml import classical, pinn
from sciml.compare import main as compare
from sciml.errors import ProblemWarning, SolveError
from sciml.solve import main as solve
from sciml.status import Status

pytestmark = pytest.mark.usefixtures("own_directory")


def test_json_is_one_object_on_stdout_and_the_directory_holds_the_rest(capsys: pytest.CaptureFixture[str]):
    code = solve(["logistic", "--json", "--budget", "60", "--seed", "3", "--out", "here"])
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    result = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert code == 0
    assert (result["problem"], result["method"], result["success"], result["status"]) == (
        "logistic",
        "pinn",
        True,
        "converged",
    )
    assert result["error"] < 1e-3
    assert result["seconds"] > 0
    assert result["seed"] == 3
    assert result["parameters"] > 10
    assert result["iterations"] > 0
    assert set(result["versions"]) >= {"sciml", "torch", "numpy", "scipy", "sympy", "python"}
    assert result["comparison"]["text"].startswith("network ")
    assert result["message"]
    assert "relative L2 error" in captured.err
    files = {path.name for path in Path("here").iterdir()}
    assert files == {"figure.png", "figure.pdf", "history.csv", "solution.safetensors", "config.json"}
    config = json.loads(Path("here/config.json").read_text())
    assert config["command"][0] == "logistic"
    assert config["result"]["error"] == result["error"]
    assert config["problem"]["equations"] == result["equations"]
    with Path("here/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert sciml.load_solution("here").error() == pytest.approx(result["error"])


def test_the_classical_solver_solves_equations_typed_as_text(capsys: pytest.CaptureFixture[str]):
    code = solve([*HEAT, "--domain", "x=0:1", "t=0:1", "--method", "classical", "--rtol", "1e-8"])
    captured = capsys.readouterr()
    assert code == 0
    assert "u_t = 0.1·u_xx" in captured.out
    assert "u(x,0) = sin(π·x); u(0,t) = 0" in captured.out
    (directory,) = Path("runs").iterdir()
    assert json.loads((directory / "config.json").read_text())["result"]["problem"] == "u_t = 0.1*u_xx"
    u = sciml.load_solution(directory)
    x = np.linspace(0, 1, 11)
    np.testing.assert_allclose(u(x, 0.7), np.exp(-0.07 * np.pi**2) * np.sin(np.pi * x), atol=1e-8)
    assert "no exact solution" in captured.out


def test_a_loose_classical_result_is_measured_against_a_tight_one(capsys: pytest.CaptureFixture[str]):
    assert solve(["lotka_volterra", "--method", "classical", "--rtol", "1e-3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["reference"] == "classical"
    assert 1e-12 < result["error"] < 1e-3
    assert result["comparison"] is None


def fake(status: Status, **changes: Any) -> Callable[..., sciml.Solution]:
    """Return a solver that gives the classical solution of logistic growth, ended in some way."""

    def run(problem: sciml.Problem, **options: Any) -> sciml.Solution:
        u = classical.solve(problem, rtol=1e-6)
        given = {"estimate": float("nan"), "wall_time": 0.5, "history": {"loss": [1.0, float("inf")]}} | changes
        return sciml.Solution(problem, u.evaluator, method="fake", status=status, **given)

    return run


def test_what_did_not_converge_is_written_all_the_same_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pinn, "solve", fake(Status.DIVERGED))
    assert solve(["logistic", "--json", "--no-compare"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (result["success"], result["status"], result["estimate"]) == (False, "diverged", None)
    assert result["message"] == Status.DIVERGED.advice
    assert result["comparison"] is None
    assert Path("runs/logistic/figure.png").exists()


def test_a_solver_without_any_result_exits_with_1_and_still_prints_its_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(problem: sciml.Problem, **_: Any) -> None:
        raise SolveError("nothing finite was found")

    monkeypatch.setattr(pinn, "solve", fail)
    assert solve(["logistic", "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["success"], result["error"], result["message"]) == (False, None, "nothing finite was found")
    assert captured.err.splitlines()[-1] == "sciml.solve: nothing finite was found"
    assert solve(["logistic"]) == 1


def test_an_interrupt_ends_quietly_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupted(problem: sciml.Problem, **_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pinn, "solve", interrupted)
    assert solve(["logistic"]) == 130
    assert compare(["logistic"]) == 130
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_program_is_told_in_two_lines_or_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(problem: sciml.Problem, **_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(pinn, "solve", broken)
    assert solve(["logistic"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    with pytest.raises(ZeroDivisionError):
        solve(["logistic", "--traceback"])


def test_a_fault_of_the_comparison_costs_no_result(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(pinn, "solve", fake(Status.CONVERGED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml.comparison.compare", broken)
        assert solve(["logistic", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["error"] < 1e-5
    assert "ZeroDivisionError" in result["note"]
    assert "no comparison: ZeroDivisionError" in captured.err
    assert Path("runs/logistic/solution.safetensors").exists()
    assert Path("runs/logistic/figure.png").exists()


def test_warnings_are_one_line_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pinn, "solve", fake(Status.CONVERGED))
    text = [*HEAT[:2], "u(0,t) = 1", "u(1,t) = 0"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pinn, "solve", lambda problem, **_: (_ for _ in ()).throw(SolveError("stop")))
        assert solve([*text, "--domain", "x=0:1", "t=0:1"]) == 1
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: conditions")
    with pytest.warns(ProblemWarning):
        read(*text, "--domain", "x=0:1", "t=0:1")


def test_the_solver_gets_the_words_of_the_command_line(monkeypatch: pytest.MonkeyPatch):
    got: dict[str, Any] = {}

    def spy(problem: sciml.Problem, **options: Any) -> None:
        got.update(options)
        raise SolveError("enough")

    monkeypatch.setattr(pinn, "solve", spy)
    words = ["--tol", "1e-3", "--budget", "7", "--seed", "5", "--device", "cpu"]
    words += ["--dtype", "float32", "--optimizer", "adam", "--iterations", "9"]
    assert solve(["logistic", *words]) == 1
    got.pop("progress")
    expected = {"tol": 1e-3, "budget": 7.0, "seed": 5, "device": "cpu", "dtype": "float32"}
    assert got == {**expected, "optimizer": "adam", "iterations": 9}
