"""The commands: what they read, print, write and return."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml
from sciml import classical, pinn
from sciml.command import Option, Progress, parse
from sciml.compare import main as compare
from sciml.comparison import Reference, reference
from sciml.comparison import compare as measure
from sciml.errors import ArgumentError, ProblemWarning, SolveError
from sciml.listing import equations_in
from sciml.report import json_text
from sciml.request import PROBLEM_OPTIONS, directory_name, is_condition, requested_problem
from sciml.solve import main as solve
from sciml.status import Status

HEAT = ["u_t = 0.1*u_xx", "u(x,0) = sin(pi*x)", "u(0,t) = 0", "u(1,t) = 0"]


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(*argv: str) -> sciml.Problem:
    return requested_problem(parse(argv, PROBLEM_OPTIONS))


# -- reading the command line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [*HEAT, "--domain", "x=0:1", "t=0:1"],
        ["--domain", "x=0:1", "t=0:1", *HEAT],
        ["--domain=x=0:1", "t=0:1", *HEAT],
        ["--domain", "x=0:1", *HEAT[:2], "--domain", "t=0:1", *HEAT[2:]],
        ["--domain", " x = 0 : 1 ", "t=0:2-1", "--", *HEAT],
        ["--", *HEAT, "--domain", "x=0:1", "t=0:1"],
    ],
)
def test_the_domain_may_stand_before_between_and_after_the_equations(argv: list[str]):
    problem = read(*argv)
    assert problem.coordinates == ("x", "t")
    assert (problem.domain.lower, problem.domain.upper) == ((0.0, 0.0), (1.0, 1.0))
    assert len(problem.equations) == 1
    assert [c.kind for c in problem.conditions] == ["initial", "boundary", "boundary"]


def test_an_equation_may_begin_with_a_minus_sign():
    for argv in (["-laplacian(u) = 1", "u(boundary) = 0"], ["-u_xx - u_yy = 1", "u(boundary) = 0"]):
        problem = read("--domain", "x=-1:1", "y=-pi:pi", *argv)
        assert problem.domain.lower == pytest.approx((-1.0, -np.pi))
        assert len(problem.conditions) == 4


def test_values_end_where_an_equation_begins():
    problem = read("--set", "k=2*pi", "c=1e-3", "u_t=k*u_xx+c", *HEAT[1:], "--domain", "x=0:1", "t=0:1")
    assert dict(problem.parameters) == pytest.approx({"k": 2 * np.pi, "c": 1e-3})
    assert len(problem.equations) == 1


def test_names_files_and_equations_are_told_apart(tmp_path: Path):
    assert read("burgers", "--set", "nu=0.05").parameters["nu"] == 0.05
    (tmp_path / "mine.py").write_text(
        "from sciml import Problem\ndef problem(k=1.0):\n"
        "    return Problem(\"y' = -k*y\", 'y(0) = 1', {'t': (0, 1)}, {'k': k})\n"
    )
    assert read("mine.py", "--set", "k=3").parameters["k"] == 3
    assert read(str(tmp_path / "mine.py")).name == "mine"
    assert read("y' = -y", "y(0) = 1", "--domain", "t=0:1").unknowns == ("y",)
    assert read("s' = -s", "s(1) = 1", "--domain", "z=1:2", "--time", "z").time == "z"
    assert read("0 = -x + cos(t)", "--unknowns", "x", "--domain", "t=0:1").unknowns == ("x",)


def test_a_bundled_problem_takes_another_domain():
    problem = read("burgers", "--domain", "t=0:0.5")
    assert problem.domain.interval("t") == (0.0, 0.5)
    assert problem.domain.interval("x") == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "coordinates", "expected"),
    [
        ("u(x, 0) = 0", ("x", "t"), True),
        ("u_t(x, 0) = 0", ("x", "t"), True),
        ("u_x(1,t) + 2*u(1,t) = 0", ("x", "t"), True),
        ("u(-1, t) = u(1, t)", ("x", "t"), True),
        ("u(boundary) = 0", ("x", "y"), True),
        ("0 = u(x, sin(1))", ("x", "t"), True),
        ("x'(0) = 1", ("t",), True),
        ("x(0) = 1", ("t",), True),
        ("u_t = u_xx", ("x", "t"), False),
        ("u_t = u(x, t)*sin(pi*x)", ("x", "t"), False),
        ("laplacian(u) = exp(1)*max(x, 0)", ("x", "t"), False),
        ("d(u*u_x, x) = ln(2)", ("x", "t"), False),
        ("x' = -sine(2*t)", ("t",), False),
        ("u_t = 3*(x)", ("x", "t"), False),
    ],
)
def test_conditions_are_what_places_an_unknown(text: str, coordinates: tuple[str, ...], expected: bool):
    assert is_condition(text, coordinates) is expected


def test_options_have_values_switches_have_none():
    options = (Option("switch", ""), Option("value", "", "V"), Option("several", "", "V", int, str.isdigit))
    arguments = parse(["a", "--value", "-1", "--switch", "-x = 1", "--several", "1", "2", "b", "--several=3"], options)
    assert arguments.positional == ("a", "-x = 1", "b")
    assert arguments.options == {"value": "-1", "switch": True, "several": [1, 2, 3]}
    assert parse(["--value=a=b"], options).get("value") == "a=b"


def test_results_of_different_equations_have_different_directories():
    names = {directory_name(read(*HEAT, "--domain", "x=0:1", f"t=0:{end}")) for end in (1, 2)}
    assert len(names) == 2
    assert all(name.startswith("u_t_") and name.isidentifier() for name in names)
    assert directory_name(sciml.load("heat")) == "heat"


# -- help and lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["--help", "--list", "--version", "-h"])
def test_help_and_lists_answer_at_once(argument: str):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "sciml.solve", argument], capture_output=True, text=True
        )
        times.append(time.perf_counter() - start)
        assert result.returncode == 0
        assert not {"torch", "sympy", "numpy", "matplotlib"} & {
            line.split("|")[-1].strip() for line in result.stderr.splitlines()
        }
        if min(times) < 1.0:
            break
    assert min(times) < 1.0
    assert result.stdout.strip()


def test_the_list_shows_name_equation_and_description(capsys: pytest.CaptureFixture[str]):
    assert solve(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(sciml.names())
    assert lines[4].split(maxsplit=1) == ["burgers", "u_t + u*u_x = nu*u_xx"]
    assert "sine wave steepens" in lines[5]
    assert not any("{" in line for line in lines)


def test_equations_are_read_off_a_file_without_running_it():
    source = "a = 'sin(x)'\nraise SystemExit\ndef problem():\n    return Problem(equations=[f'u_t = {a}', 'v_t = u'])\n"
    assert equations_in(source) == ["u_t = sin(x)", "v_t = u"]
    assert equations_in("def problem(:") == []
    assert equations_in("x = 1") == []


# -- solving -------------------------------------------------------------------------------------------------------


def test_json_is_one_object_on_stdout_and_the_directory_holds_the_rest(capsys: pytest.CaptureFixture[str]):
    code = solve(["logistic", "--json", "--budget", "5", "--seed", "3", "--out", "here"])
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


def test_progress_on_a_pipe_is_an_occasional_line(capsys: pytest.CaptureFixture[str]):
    with Progress("network", every=0.0) as progress:
        progress(
            {"iteration": 3, "seconds": 0.25, "loss": 1.5e-3, "terms": {}, "estimate": float("nan"), "stage": "fine"}
        )
        progress({"iteration": None, "seconds": 1.0})
    assert capsys.readouterr().err.splitlines() == ["  fine  iteration 3  loss 1.50e-03  0.2 s", "  network  1.0 s"]
    with Progress("network") as progress:
        for _ in range(1000):
            progress({"iteration": 3, "seconds": 0.25})
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_live():
    class Terminal:
        encoding = "utf-8"

        def __init__(self) -> None:
            self.text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            pass

    terminal = Terminal()
    with Progress("network", terminal) as progress:  # type: ignore[arg-type]
        progress({"iteration": 7, "loss": 0.5})
    assert "network" in terminal.text


def test_numbers_that_are_not_finite_are_null():
    assert json_text({"a": float("nan"), "b": [np.float64("inf"), np.int64(3)], "c": (True, None)}) == (
        '{"a": null, "b": [null, 3], "c": [true, null]}'
    )


# -- comparing -----------------------------------------------------------------------------------------------------


def network(seconds: float, error: float) -> sciml.Solution:
    """Return a solution of logistic growth with this relative error, as if a network had taken so long."""
    problem = sciml.load("logistic")
    accurate = classical.solve(problem, rtol=1e-12)

    class Scaled(type(accurate.evaluator)):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def evaluate(self, partials: Any, points: np.ndarray) -> np.ndarray:
            return (1 + error) * accurate.evaluator.evaluate(partials, points)

    return sciml.Solution(problem, Scaled(), method="pinn", status=Status.CONVERGED, wall_time=seconds)


def test_the_comparison_measures_at_equal_accuracy_and_equal_time():
    slow = network(seconds=100.0, error=1e-5)
    result = measure(slow.problem, slow, budget=20.0)
    assert result.network_error == pytest.approx(1e-5, rel=1e-3)
    assert result.classical_seconds is not None
    assert result.classical_seconds < 1.0
    assert result.classical_error is not None
    assert result.classical_error < 1e-8
    assert result.speedup == pytest.approx(100.0 / result.classical_seconds)
    assert "times faster" in result.text
    assert "in the network's time" in result.text
    for step in result.steps:
        assert step.error == pytest.approx(
            max(1e-15, classical.solve(slow.problem, rtol=step.rtol).error()), rel=0.5, abs=1e-14
        )


def test_the_comparison_is_honest_when_the_network_wins():
    fast = network(seconds=1e-7, error=1e-13)
    result = measure(fast.problem, fast, budget=10.0, ladder=(1e-2, 1e-4))
    assert result.classical_seconds is None
    assert result.classical_error is None
    assert "less accurate than the network" in result.text
    assert "no result in the network's time" in result.text
    quick = network(seconds=1e-6, error=1e-2)
    assert "the network is" in measure(quick.problem, quick, budget=10.0, ladder=(1e-6,)).text


def test_the_reference_is_exact_where_possible_and_classical_otherwise():
    logistic, orbit = sciml.load("logistic"), sciml.load("lotka_volterra")
    exact = reference(logistic)
    assert (exact.kind, exact.solution) == ("exact", None)
    np.testing.assert_allclose(exact(np.array([0.0]))["y"], [0.1])
    tight = reference(orbit)
    assert tight.kind == "classical"
    assert tight.solution is not None
    assert 0 < tight.accuracy <= 1e-8
    assert tight.error(tight.solution) == tight.accuracy  # no error below what the reference can show
    assert "classical reference" in tight.text


def test_a_pressure_known_at_one_point_stays_out_of_the_error():
    cavity = Reference("classical", sciml.load("lid_driven_cavity"), 1e-4, ("u", "v"))
    from sciml.comparison import _judged

    assert _judged(cavity.problem) == ("u", "v")
    assert _judged(sciml.load("schroedinger")) == ("u", "v")
    assert _judged(sciml.load("lorenz")) == ("x", "y", "z")


def test_without_a_reference_the_reason_is_given():
    problem = sciml.Problem("u_xxy + u_yyyyx = 1", ["u(0, y) = 0"], {"x": (0, 1), "y": (0, 1)})
    with pytest.raises(SolveError, match="no "):
        reference(problem, budget=5.0)
    with pytest.raises(ArgumentError, match="budget"):
        measure(sciml.load("logistic"), budget=-1.0)


def test_the_compare_command_prints_a_table_and_writes_a_figure(capsys: pytest.CaptureFixture[str]):
    assert compare(["logistic", "--budget", "5", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["problem"] == "logistic"
    assert result["network_error"] < 1e-3
    assert len(result["steps"]) >= 3
    assert "rtol" in captured.err
    files = {path.name for path in Path("runs/logistic").iterdir()}
    assert files == {"comparison.json", "comparison.png", "comparison.pdf"}


# -- real processes ------------------------------------------------------------------------------------------------


def test_real_command_lines_exit_as_they_should():
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *argv],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "80"},
            timeout=120,
        )

    typed = run("sciml.solve", "--domain", "x=0:1", "--json", "--method=classical", "-u_xx = 1", "u(0) = 0", "u(1) = 0")
    assert typed.returncode == 0, typed.stderr
    assert json.loads(typed.stdout)["success"] is True
    wrong = run("sciml.solve", "burger")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "sciml.solve: no problem named 'burger'; did you mean 'burgers'?\n"
    wrong = run("sciml.compare", "-laplacian(u) = 1", "u(boundary) = 0")
    assert wrong.returncode == 2
    assert "--domain x=0:1" in wrong.stderr
    with subprocess.Popen([sys.executable, "-m", "sciml.solve", "burgers"], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("burgers: ")
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == ""
        assert process.returncode == 130
    cut = subprocess.run(
        f"{sys.executable} -m sciml.solve --list | head -1", shell=True, capture_output=True, text=True
    )
    assert cut.stderr == ""
