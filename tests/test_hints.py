"""What is missing or misspelt is answered with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

import sciml
from sciml import Problem, classical
from sciml.errors import ProblemError, UnknownProblemError
from sciml.solve import main as solve

SQUARE = {"x": (0, 1), "y": (0, 1)}
FLOW = {"x": (0, 1), "t": (0, 1)}
FILE = "from sciml import Problem\n\n\ndef problem():\n    return Problem(\"y' = -y\", 'y(0) = 1', {'t': (0, 1)})\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A present directory with a problem file, and another below it."""
    monkeypatch.chdir(tmp_path)
    Path("my_problem.py").write_text(FILE)
    Path("work").mkdir()
    Path("work/reactor.py").write_text(FILE)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("burger", "did you mean 'burgers'?"),
        ("kuramoto", "did you mean 'kuramoto_sivashinsky'?"),
        ("cavity", "did you mean 'lid_driven_cavity'?"),
        ("my_problem", "did you mean the file 'my_problem.py'?"),
        ("my_probelm", "did you mean 'my_problem.py'?"),
        ("my_probelm.py", "did you mean 'my_problem.py'?"),
        ("reactor.py", "did you mean 'work/reactor.py'?"),
        ("work/reaktor.py", "did you mean 'work/reactor.py'?"),
        ("elsewhere/reactor.py", "did you mean 'work/reactor.py'?"),
        ("elsewhere/tank.py", "there is no directory 'elsewhere'"),
        ("burgers.py", "'burgers' without .py is a bundled problem"),
        ("burger.py", "did you mean 'burgers'?"),
        ("quantum_gravity", "--list"),
    ],
)
def test_the_nearest_name_or_file_is_named(files: Path, typed: str, words: str):
    with pytest.raises(UnknownProblemError) as caught:
        sciml.load(typed)
    assert words in str(caught.value)


def test_a_saved_solution_is_no_problem_and_its_reader_is_named(files: Path, capsys: pytest.CaptureFixture[str]):
    solution = classical.solve(Problem("y' = -y", "y(0) = 1", {"t": (0, 1)}), rtol=1e-3)
    Path("run").mkdir()
    solution.save("u")
    solution.save("run")
    for typed in ("u.safetensors", "u", "run", "run/solution.safetensors"):
        with pytest.raises(UnknownProblemError) as caught:
            sciml.load(typed)
        assert f"sciml.load_solution({typed!r})" in str(caught.value)
        assert sciml.load_solution(typed).success
        assert solve([typed]) == 2
        assert "load_solution" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("equation", "conditions", "domain", "example"),
    [
        ("x'' = -x", ["x(0) = 1"], {"t": (0, 1)}, "'x'(0) = ...'"),
        ("x'' = -x", ["x'(0) = 1"], {"t": (0, 1)}, "'x(0) = ...'"),
        ("u_xx = 1", ["u(0) = 0"], {"x": (0, 1)}, "'u(1) = ...'"),
        ("u_xx = 1", ["u(1) = 0"], {"x": (0, 1)}, "'u(0) = ...'"),
        ("u_xxxx = 1", ["u(0) = 0", "u(1) = 0", "u_x(0) = 0"], {"x": (0, 1)}, "'u'(1) = ...'"),
        ("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0"], FLOW, "'u(1, t) = ...'"),
        ("u_t = u_xx", ["u(0, t) = 0", "u(1, t) = 0"], FLOW, "'u(x, 0) = ...'"),
        ("u_tt = u_xx", ["u(x, 0) = 0", "u(0, t) = 0", "u(1, t) = 0"], FLOW, "'u_t(x, 0) = ...'"),
        ("u_tt = u_xx", ["u(x, 0) = 0", "u_t(x, 0) = 0"], FLOW, "'u(0, t) = ...' or periodic 'u(0, t) = u(1, t)'"),
        ("laplacian(u) = 1", ["u(0, y) = 0", "u(1, y) = 0", "u(x, 0) = 0"], SQUARE, "'u(x, 1) = ...'"),
        (["x' = y", "y' = -x"], ["x(0) = 1"], {"t": (0, 1)}, "'y(0) = ...'"),
    ],
)
def test_the_example_of_a_missing_condition_is_one_that_is_missing(equation, conditions, domain, example):
    problem = Problem(equation, conditions, domain)
    with pytest.raises(ProblemError) as caught:
        problem.check_forward()
    assert example in str(caught.value)
    # With it the problem is complete, but for the second of a pair.
    added = problem.replace(conditions=[*conditions, example.split(" or ")[0][1:-1].replace("...", "0")])
    if "periodic" not in example:
        added.check_forward()
