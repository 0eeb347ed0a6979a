"""The commands identify and compare --identify: what they read, assume, print, write and return."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml
from sciml import Fit, Solution, Status, classical, load_fit, pinn
from sciml.command import parse
from sciml.compare import main as compare
from sciml.errors import ProblemError, SolveError
from sciml.fit import FunctionEstimate
from sciml.identification import requested_identification
from sciml.identification_comparison import IdentificationComparison, Run
from sciml.identify import OPTIONS
from sciml.identify import main as identify
from sciml.inference import Estimate
from sciml.network import MLP

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# Logistic growth from 0.1 with rate 1 and capacity 1, measured with an error of 0.01 (seed 0).
T = np.linspace(0, 10, 41)
Y = 1 / (1 + 9 * np.exp(-T)) + 0.01 * np.random.default_rng(0).standard_normal(41)
LOGISTIC = ("logistic", "--data", "points.csv", "--unknown", "r")
ROD = ("u_t = d(k(x)*u_x, x)", "--domain", "x=0:1", "t=0:1", "--functions", "k(x)", "--data", "rod.csv")


@pytest.fixture(autouse=True)
def _among_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{t!r},{y!r}" for t, y in zip(T.tolist(), Y.tolist(), strict=True))
    Path("points.csv").write_text(f"t,y\n{rows}\n")
    Path("other.csv").write_text("time;size\n0,5;0,2\n2;0,4\n3;0,7\n")
    Path("rod.csv").write_text("x,t,u\n0.1,0.2,1\n0.5,0.5,2\n0.9,1,3\n0.2,0.3,1\n")
    Path("late.csv").write_text("t,y\n1,0.2\n12,1\n3,0.5\n")
    Path("word.csv").write_text("t,y\n1,0.2\n2,many\n")
    Path("one.csv").write_text("t,y\n1,0.2\n")
    Path("negative.csv").write_text("t,y\n1,0.2\n2,-0.1\n3,0.5\n")
    Path("notes.txt").write_text("in the way")


def fake(status: Status = Status.CONVERGED, **changes: Any) -> Callable[..., Fit]:
    """Return a solver that answers with the start and remembers what it was asked."""

    def run(problem: sciml.Problem, data: Any, unknown: Any, **options: Any) -> Fit:
        run.asked = {"problem": problem, "data": data, "unknown": unknown, **options}  # type: ignore[attr-defined]
        numbers = [name for name in unknown if name in problem.parameters]
        values = {name: problem.parameters[name] for name in numbers}
        network = MLP(1, 1, depth=0, seed=0)
        solutions = ()
        if problem.name == "logistic" and problem.conditions:
            u = classical.solve(problem, rtol=1e-6)
            solutions = (Solution(problem, u.evaluator, method="fake", status=status),) * len(data)
        if "progress" in options:
            options["progress"](
                {"iteration": 3, "seconds": 1.0, "loss": 0.5, "stage": "training", "parameters": values}
            )
        return Fit(
            problem,
            **{
                "parameters": {n: Estimate(v, 0.01 * abs(v), (0.98 * v, 1.02 * v)) for n, v in values.items()},
                "functions": {
                    name: FunctionEstimate(name, arguments, (0.0,), (1.0,), network, covariance=0.01 * np.eye(2))
                    for name, arguments in problem.unknown_functions.items()
                },
                "solutions": solutions,
                "observations": tuple(data),
                "noise": {"y": 0.01},
                "correlation": np.eye(len(values)),
                "method": "fake",
                "status": status,
                "wall_time": 0.5,
                "history": {"iteration": [1.0, 2.0], "loss": [1.0, math.inf]},
                "details": {"seed": options.get("seed")},
                **changes,
            },
        )

    return run


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Fit]:
    run = fake()
    monkeypatch.setattr(pinn, "identify", run, raising=False)
    return run


def request(*argv: str) -> Any:
    return requested_identification(parse(argv, OPTIONS))


# -- reading the command line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["burgers", "--data", "b.csv", "--unknown", "nu"],
        ["--unknown=nu", "--data=b.csv", "burgers"],
        ["--data", "b.csv", "burgers", "--unknown", "nu"],
    ],
)
def test_options_may_stand_before_and_after_the_problem(argv: list[str]):
    Path("b.csv").write_text("x,t,u\n0,0.5,0\n0.5,0.5,-0.4\n")
    made = request(*argv)
    assert made.problem.name == "burgers"
    assert made.unknown == ("nu",)
    assert (made.noise, made.noise_model, made.bounds, made.seed) == (None, "additive", {}, 0)
    assert made.observations[0].count == 2


def test_lists_may_be_written_with_commas_blanks_or_again_and_again():
    for argv in (
        ["--unknown", "r,K", "--columns", "t=time,y=size", "--noise", "y=0.1"],
        ["--unknown", "r", "--unknown", "K", "--columns", "t=time", "y=size", "--noise", "0.1"],
        ["--unknown=r, K", "--columns=t=time", "--columns=y=size", "--noise=y=0.1"],
    ):
        made = request("logistic", "--data", "other.csv", *argv)
        assert made.unknown == ("r", "K")
        assert made.observations[0].points[:, 0].tolist() == [0.5, 2, 3]
        assert made.noise in ({"y": 0.1}, 0.1)


def test_several_files_are_several_experiments():
    for argv in (["--data", "points.csv", "one.csv"], ["--data", "points.csv", "--data", "one.csv"]):
        made = request("logistic", *argv, "--unknown", "r")
        assert [one.source for one in made.observations] == ["points.csv", "one.csv"]


def test_bounds_may_be_formulas_and_open_on_one_side():
    made = request(*LOGISTIC[:3], "--unknown", "r,K,y0", "--bounds", "r=0:2*pi", "K=0.5:", "y0=:inf")
    assert made.bounds == {"r": (0.0, 2 * math.pi), "K": (0.5, None), "y0": (None, None)}


def test_typed_equations_declare_what_is_unknown_and_start_within_the_bounds():
    text = ("y' = r*y*(1 - y/K) + c", "y(0) = a", "--domain", "t=0:10", "--data", "points.csv")
    made = request(*text, "--unknown", "r,K,c,a", "--set", "a=0.2", "--bounds", "r=0.04:25", "K=2:", "c=-3:-1")
    assert dict(made.problem.parameters) == {"r": 1.0, "K": 4.0, "c": -2.0, "a": 0.2}
    assert [c.kind for c in made.problem.conditions] == ["initial"]


def test_a_token_with_an_equals_sign_is_still_an_equation():
    Path("d.csv").write_text("x,t,v\n0.5,0.5,1\n0.7,0.5,1\n")
    made = request(
        "--columns", "u=v", "u_t=c*u_xx", "--noise", "0.1", "u(0,t)=0", "--data", "d.csv", "u(1,t)=0",
        "--unknown", "c", "--domain", "x=0:1", "t=0:1",
    )  # fmt: skip
    assert len(made.problem.equations) == 1
    assert len(made.problem.conditions) == 2
    assert made.observations[0].counts == {"u": 2}


def test_functions_of_typed_equations_are_unknown_without_being_named():
    for text in ("u_t = d(k(x)*u_x, x)", "u_t = k*u_xx + k_x*u_x"):
        made = request(text, *ROD[1:])
        assert made.unknown == ("k",)
        assert made.problem.unknowns == ("u",)
        assert made.problem.unknown_functions == {"k": ("x",)}
    both = request("u_t = k*u_xx + f(u) + q", *ROD[1:6], "f(u)", "--data", "rod.csv", "--unknown", "q")
    assert both.unknown == ("q", "k", "f")


def test_a_function_may_take_the_place_of_a_parameter_of_a_bundled_problem():
    Path("b.csv").write_text("x,t,u\n0,0.5,0\n0.5,0.5,-0.4\n")
    made = request("burgers", "--data", "b.csv", "--functions", "nu(x)")
    assert made.problem.unknown_functions == {"nu": ("x",)}
    assert dict(made.problem.parameters) == {}
    assert len(made.problem.conditions) == 3


def test_conditions_can_be_left_out():
    assert len(request(*LOGISTIC).problem.conditions) == 1
    made = request(*LOGISTIC, "--no-conditions")
    assert made.problem.conditions == ()
    assert made.problem.unknowns == ("y",)


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
    monkeypatch.setattr(classical, "identify", other, raising=False)
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
    monkeypatch.setattr(pinn, "identify", run, raising=False)
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

    monkeypatch.setattr(pinn, "identify", fail, raising=False)
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

    monkeypatch.setattr(pinn, "identify", fail, raising=False)
    assert identify([*LOGISTIC]) == 1
    assert "diverged after 0.5 s" in capsys.readouterr().out
    assert load_fit("runs/identify-logistic").status is Status.DIVERGED


def test_an_interrupt_ends_quietly_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pinn, "identify", interrupted, raising=False)
    assert identify([*LOGISTIC]) == 130
    assert compare(["--identify", *LOGISTIC]) == 130
    assert capsys.readouterr().err == ""


def test_progress_names_the_numbers(monkeypatch: pytest.MonkeyPatch, solver: Any):
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("sciml.command.Progress.__call__", lambda self, report: shown.append(dict(report)))
    assert identify([*LOGISTIC]) == 0
    assert [report["stage"] for report in shown] == ["training  r = 1"]
    assert shown[0]["iteration"] == 3


# -- wrong command lines -------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": ((), "give a problem"),
    "misspelt name": (("logistics", *LOGISTIC[1:]), "did you mean 'logistic'"),
    "no data": (("logistic", "--unknown", "r"), "no data: --data FILE"),
    "no unknown": (LOGISTIC[:3], "nothing is unknown: --unknown NAME names parameters (r, K, y0)"),
    "unknown option": ((*LOGISTIC, "--unknwn", "K"), "did you mean --unknown"),
    "option without value": ((*LOGISTIC, "--noise"), "--noise needs a value: --noise 0.01"),
    "unknown of signs": ((*LOGISTIC[:4], "1+r"), "named as in the equations, nu or a,b, not '1+r'"),
    "misspelt unknown": ((*LOGISTIC[:4], "R"), "'R' of unknown is neither a parameter nor an unknown function"),
    "the state as unknown": ((*LOGISTIC[:4], "y"), "'y' of unknown is what the equations are for"),
    "a coordinate as unknown": ((*LOGISTIC[:4], "t"), "'t' of unknown is a coordinate"),
    "unknown twice": ((*LOGISTIC, "--unknown", "r"), "--unknown names 'r' twice"),
    "missing file": (("logistic", "--data", "point.csv", "--unknown", "r"), "did you mean 'points.csv'"),
    "a sheet": (("logistic", "--data", "points.xlsx", "--unknown", "r"), "save the sheet as CSV"),
    "a directory as data": (("logistic", "--data", ".", "--unknown", "r"), "is a directory"),
    "other names": (("logistic", "--data", "other.csv", "--unknown", "r"), "(--columns t=time)"),
    "column of a stranger": ((*LOGISTIC, "--columns", "u=y"), "columns: 'u' is neither a coordinate nor an unknown"),
    "column that is absent": ((*LOGISTIC, "--columns", "y=size"), "points.csv has no 'size' for y"),
    "columns swapped": (("logistic", "--data", "other.csv", "--unknown", "r", "--columns", "size=y"), "did you mean"),
    "column without name": ((*LOGISTIC, "--columns", "size"), "a column is written as u=usol"),
    "column twice": ((*LOGISTIC, "--columns", "y=y", "y=t"), "--columns: 'y' is given twice, 'y' and 't'"),
    "data outside": (("logistic", "--data", "late.csv", "--unknown", "r"), "late.csv, line 3: t = 12 is outside"),
    "a word in the data": (("logistic", "--data", "word.csv", "--unknown", "r"), "word.csv, line 3: 'many'"),
    "too few data": (("logistic", "--data", "one.csv", "--unknown", "r,K"), "2 unknowns (r, K) cannot be found from 1"),
    "negative data": (
        ("logistic", "--data", "negative.csv", "--unknown", "r", "--noise-model", "multiplicative"),
        "multiplicative noise needs positive data",
    ),
    "noise of words": ((*LOGISTIC, "--noise", "little"), "--noise: a standard deviation must be a number above 0"),
    "negative noise": ((*LOGISTIC, "--noise", "-1"), "above 0, not '-1'"),
    "noise of a stranger": ((*LOGISTIC, "--noise", "u=0.1"), "noise is given for 'u', which is not observed"),
    "noise twice": ((*LOGISTIC, "--noise", "y=0.1", "y=0.2"), "--noise: 'y' is given twice"),
    "noise with and without name": ((*LOGISTIC, "--noise", "0.1", "y=0.2"), "one number for all, or one for each name"),
    "two noises": ((*LOGISTIC, "--noise", "0.1,0.2"), "noise is written as 0.01, or u=0.01,v=0.02"),
    "noise model": ((*LOGISTIC, "--noise-model", "multiplicativ"), "did you mean 'multiplicative'"),
    "bounds without name": ((*LOGISTIC, "--bounds", "0:1"), "bounds are written as nu=0:1"),
    "bounds without end": ((*LOGISTIC, "--bounds", "r=:"), "bounds are written as nu=0:1"),
    "one bound": ((*LOGISTIC, "--bounds", "r=1"), "bounds are written as nu=0:1"),
    "bounds of words": ((*LOGISTIC, "--bounds", "r=low:high"), "--bounds: a bound of r"),
    "bounds reversed": ((*LOGISTIC, "--bounds", "r=1:1"), "lower < upper"),
    "bounds elsewhere": ((*LOGISTIC, "--bounds", "r=2:3"), "starts at 1, which is outside; --set r=..."),
    "bounds of a known number": ((*LOGISTIC, "--bounds", "K=0:2"), "bounds are given for 'K', which is not unknown"),
    "bounds twice": ((*LOGISTIC, "--bounds", "r=0:2", "r=0:3"), "--bounds: 'r' is given twice"),
    "function without arguments": ((*LOGISTIC, "--functions", "k"), "a function is written with its arguments, k(x)"),
    "function of a stranger": ((*LOGISTIC, "--functions", "k(z)"), "'z' of the function 'k' is neither"),
    "function twice": ((*ROD, "--functions", "k(x)"), "--functions names 'k(x)' twice"),
    "method": ((*LOGISTIC, "--method", "classic"), "did you mean 'classical'"),
    "tol of the classical solver": ((*LOGISTIC, "--method", "classical", "--tol", "0.1"), "--tol has no meaning"),
    "rtol of the network": ((*LOGISTIC, "--rtol", "1e-6"), "--rtol has no meaning with --method pinn"),
    "no budget": ((*LOGISTIC, "--budget", "0"), "--budget: the budget must be a number above 0"),
    "broken seed": ((*LOGISTIC, "--seed", "1.5"), "--seed: the seed must be an integer"),
    "start of words": ((*LOGISTIC, "--set", "r=small"), "--set: r must be a real number"),
    "start of a stranger": ((*LOGISTIC, "--set", "q=1"), "no parameter 'q'"),
    "unwritable directory": ((*LOGISTIC, "--out", "notes.txt/here"), "--out: nothing can be written"),
    "conditions only": (("y(0) = 1", "--domain", "t=0:1", *LOGISTIC[1:]), "only conditions and no equation"),
    "hostile equation": (("y' = __import__('os')", "--domain", "t=0:10", *LOGISTIC[1:]), "character"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_exits_with_2_and_says_what_would_be_right(case: str, capsys: pytest.CaptureFixture[str]):
    argv, expected = WRONG[case]
    assert identify(list(argv)) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert 1 <= len(lines) <= 2
    assert all(len(line) < 500 for line in lines)
    assert lines[0].startswith("sciml.identify: ")
    assert expected in captured.err
    assert not Path("runs").exists()


def test_there_are_at_least_forty_of_them():
    assert len({argv for argv, _ in WRONG.values()}) >= 40


@pytest.mark.parametrize("case", ["nothing", "no data", "other names", "misspelt unknown", "too few data"])
def test_the_compare_command_has_the_same_manners(case: str, capsys: pytest.CaptureFixture[str]):
    argv, expected = WRONG[case]
    assert compare(["--identify", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sciml.compare: ")
    assert expected in captured.err


def test_columns_that_are_not_used_are_told_in_one_line(solver: Any, capsys: pytest.CaptureFixture[str]):
    Path("more.csv").write_text("t,y,who\n1,0.2,a\n2,0.4,b\n3,0.7,c\n")
    assert identify(["logistic", "--data", "more.csv", "--unknown", "r"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: more.csv: 'who' not used")


# -- both solvers at equal time ------------------------------------------------------------------------------------


def contest(monkeypatch: pytest.MonkeyPatch, network: Any, other: Any) -> None:
    monkeypatch.setattr(pinn, "identify", network, raising=False)
    monkeypatch.setattr(classical, "identify", other, raising=False)


def test_both_solvers_get_the_same_time_and_one_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    budgets: list[float] = []
    late = fake(Status.BUDGET, wall_time=2.0, parameters={"r": Estimate(1.2, 0.1, (1.0, 1.4))})

    def slow(*arguments: Any, **options: Any) -> Fit:
        budgets.append(options["budget"])
        return (late if options["budget"] < 10 else fake(wall_time=8.0))(*arguments, **options)

    contest(monkeypatch, fake(wall_time=2.0), slow)
    argv = ["--identify", *LOGISTIC, "--budget", "30", "--truth", "r=0.99", "--json", "--out", "here"]
    assert compare(argv) == 0
    assert budgets == [2.0, 30.0]
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert [(run["who"], run["fit"]["status"]) for run in result["runs"]] == [
        ("network", "converged"), ("classical", "budget"), ("classical", "converged"),
    ]  # fmt: skip
    assert result["runs"][1]["errors"]["r"] == pytest.approx(0.21 / 0.99)
    assert result["success"] is True
    assert "network to 1 % in 2 s; classical to 1 % in 8 s (the network is 4 times faster)" in result["text"]
    table = [line.split() for line in captured.err.splitlines()]
    assert ["network", "2", "converged", "r", "1", "0.01", "[0.98,", "1.02]", "1", "%", "yes"] in table
    assert ["classical", "2", "budget", "r", "1.2", "0.1", "[1,", "1.4]", "21", "%", "no"] in table
    assert {path.name for path in Path("here").iterdir()} == {"comparison.json", "comparison.png", "comparison.pdf"}


def test_what_the_classical_solver_cannot_treat_is_a_result_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any, **__: Any) -> None:
        raise ProblemError("classical.identify finds numbers, not the functions k")

    contest(monkeypatch, fake(), refuse)
    assert compare(["--identify", *ROD]) == 1
    text = capsys.readouterr().out
    assert "classical: classical.identify finds numbers, not the functions k" in text
    assert "; the classical solver has no result" in text
    assert "k(x)" in text


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--identify", *LOGISTIC, "--truth", "K=1"), "--truth: 'K' is not among what is unknown (r)"),
        (("--identify", *LOGISTIC, "--truth", "r=1", "r=2"), "--truth: 'r' is given twice"),
        (("--identify", *LOGISTIC, "--optimizer", "adam"), "--optimizer has no meaning with --identify"),
        (LOGISTIC, "--data goes with --identify"),
        (("logistic", "--truth", "r=1"), "--truth goes with --identify"),
    ],
)
def test_comparing_identifications_needs_its_own_words(
    argv: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
):
    assert compare(list(argv)) == 2
    assert expected in capsys.readouterr().err


def test_the_sentence_of_a_comparison_says_who_has_what():
    def fit(value: float, error: float, seconds: float) -> Fit:
        problem = sciml.load("logistic")
        return Fit(problem, parameters={"r": Estimate(value, error, (0.0, 2.0))}, wall_time=seconds)

    one, other = Run("network", 9.0, fit(1.0, 0.02, 6.0)), Run("classical", 9.0, fit(1.01, 0.01, 2.0))
    text = IdentificationComparison("logistic", (one, other), {}).text
    assert text == (
        "network with standard errors up to 2 % in 6 s; classical with standard errors up to 0.99 % in 2 s "
        "(3 times faster); they differ by 0.5 standard errors at most"
    )
    nobody = Run("classical", 9.0, None, "why")
    assert IdentificationComparison("", (one, nobody), {}).text.endswith("; the classical solver has no result")
    assert IdentificationComparison("", (Run("network", 9.0, None), other), {}).text == "the network has no result"
    assert IdentificationComparison("", (nobody,), {}).text == "there is no result"


# -- the whole way -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "room"), [("pinn", pinn), ("classical", classical)])
def test_a_rate_is_identified_from_a_file_to_the_answer(method: str, room: Any, capsys: pytest.CaptureFixture[str]):
    if not hasattr(room, "identify"):
        pytest.skip(f"{method}.identify is not there yet")
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
    if not hasattr(pinn, "identify"):
        pytest.skip("pinn.identify is not there yet")
    argv = [*LOGISTIC, "--set", "r=0.5", "--json", "--budget", "30"]
    assert identify([*argv, "--out", "first"]) == 0
    assert identify([*argv, "--out", "second", "--start", "first"]) == 0
    one, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    difference = one["parameters"]["r"]["value"] - other["parameters"]["r"]["value"]
    assert abs(difference) < 0.05 * one["parameters"]["r"]["standard_error"]
    assert other["iterations"] < one["iterations"]


def test_both_solvers_agree_on_the_same_data(capsys: pytest.CaptureFixture[str]):
    if not (hasattr(pinn, "identify") and hasattr(classical, "identify")):
        pytest.skip("identify is not there yet")
    assert compare(["--identify", *LOGISTIC, "--set", "r=0.7", "--budget", "30", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    one, other = (run["fit"]["parameters"]["r"] for run in (runs[0], runs[-1]))
    assert abs(one["value"] - other["value"]) < 0.2 * other["standard_error"]
    assert one["standard_error"] == pytest.approx(other["standard_error"], rel=0.2)
