"""What all commands share: reading a command line, help, lists, progress; real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sciml
from command_lines import HEAT, read
from sciml.command import Option, Progress, parse
from sciml.listing import equations_in
from sciml.report import json_text
from sciml.request import directory_name, is_condition
from sciml.solve import main as solve

pytestmark = pytest.mark.usefixtures("own_directory")

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


# -- what is shown ----------------------------------------------------------------------------------------------------


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
