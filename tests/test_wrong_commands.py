"""Wrong command lines: each ends with exit code 2 and at most two lines that help, never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml.compare import main as compare
from sciml.solve import main as solve

HEAT = ("u_t = u_xx", "u(x,0) = sin(pi*x)", "u(0,t) = 0", "u(1,t) = 0")
BOX = ("--domain", "x=0:1", "t=0:1")
LINE = ("--domain", "t=0:1")

# Command line, and what its message must contain.
WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    # names and files
    "nothing": ((), "give a problem"),
    "empty text": (("",), "give a problem"),
    "misspelt name": (("burger",), "did you mean 'burgers'?"),
    "other name": (("quantum_gravity",), "--list"),
    "capitals": (("Burgers",), "did you mean 'burgers'?"),
    "two names": (("burgers", "heat"), "one problem at a time"),
    "name and condition": (("burgers", "u(x, 0) = 0"), "one problem at a time"),
    "missing file": (("nowhere.py",), "no problem file 'nowhere.py'"),
    "text file": (("notes.txt",), "ends in .py"),
    "directory": (("folder",), "is a directory"),
    "path without file": (("./burgers",), "burgers"),
    "file with a syntax error": (("broken.py",), "broken.py cannot be run: SyntaxError"),
    "file that fails": (("failing.py",), "failing.py cannot be run: ZeroDivisionError"),
    "file without a function": (("empty.py",), "function problem()"),
    "file that returns a number": (("number.py",), "must return a sciml.Problem, got int"),
    "binary file": (("binary.py",), "binary.py"),
    # options
    "unknown option": (("burgers", "--budgt", "3"), "did you mean --budget?"),
    "far option": (("burgers", "--xyzzy"), "--help"),
    "option without value": (("burgers", "--budget"), "--budget SECONDS"),
    "option before option": (("burgers", "--budget", "--json"), "--budget SECONDS"),
    "switch with value": (("burgers", "--json=yes"), "takes no value"),
    "budget of words": (("burgers", "--budget", "long"), "not 'long'"),
    "no budget": (("burgers", "--budget", "0"), "above 0"),
    "negative budget": (("burgers", "--budget", "-3"), "above 0"),
    "endless budget": (("burgers", "--budget", "inf"), "above 0"),
    "undefined budget": (("burgers", "--budget", "nan"), "above 0"),
    "no tolerance": (("burgers", "--tol", "0"), "--tol"),
    "tolerance of one": (("burgers", "--tol", "1"), "below 1"),
    "rtol of words": (("burgers", "--rtol", "tight"), "--rtol"),
    "broken seed": (("burgers", "--seed", "1.5"), "--seed: the seed must be an integer"),
    "negative seed": (("burgers", "--seed", "-1"), "at least 0"),
    "huge seed": (("burgers", "--seed", "1" * 30), "integer"),
    "no iterations": (("burgers", "--iterations", "0"), "at least 1"),
    "method": (("burgers", "--method", "classic"), "did you mean 'classical'?"),
    "precision": (("burgers", "--dtype", "float16"), "float64, float32"),
    "device": (("logistic", "--device", "toaster"), "device"),
    "absent device": (("logistic", "--device", "cuda:99"), "cuda:99"),
    "optimizer": (("logistic", "--optimizer", "levenberg"), "did you mean 'levenberg-marquardt'"),
    "network's option": (
        ("burgers", "--method", "classical", "--optimizer", "adam"),
        "no meaning with --method classical",
    ),
    "unwritable directory": (("logistic", "--out", "notes.txt/here"), "--out: nothing can be written"),
    # values of parameters
    "value without name": (("burgers", "--set", "0.02"), "written as nu=0.02"),
    "value without number": (("burgers", "--set", "nu="), "written as nu=0.02"),
    "unknown parameter": (("burgers", "--set", "mu=0.02"), "no parameter 'mu'"),
    "parameter of words": (("burgers", "--set", "nu=small"), "small"),
    "complex parameter": (("burgers", "--set", "nu=sqrt(-1)"), "nu"),
    "two values": (("burgers", "--set", "nu=1", "nu=2"), "'nu' has two values"),
    "coordinate as parameter": ((*HEAT, *BOX, "--set", "x=1"), "'x' is a coordinate"),
    "hostile value": (("burgers", "--set", "nu=__import__('os')"), "nu"),
    # domain
    "no domain": (HEAT, "--domain x=0:1 t=0:1"),
    "half an interval": ((*HEAT, "--domain", "x=0"), "written as x=0:1"),
    "interval without name": ((*HEAT, "--domain", "0:1"), "written as x=0:1"),
    "three bounds": ((*HEAT, "--domain", "x=0:1:2"), "written as x=0:1"),
    "empty interval": ((*HEAT, "--domain", "x=1:1", "t=0:1"), "lower bound of x"),
    "reversed interval": ((*HEAT, "--domain", "x=1:0", "t=0:1"), "lower bound of x"),
    "endless interval": ((*HEAT, "--domain", "x=0:oo", "t=0:1"), "oo"),
    "bound of words": ((*HEAT, "--domain", "x=0:far", "t=0:1"), "far"),
    "interval twice": ((*HEAT, *BOX, "--domain", "x=0:2"), "'x' has two intervals"),
    "missing coordinate": ((*HEAT, "--domain", "x=0:1"), "t"),
    "foreign coordinate": (("burgers", "--domain", "y=0:1"), "coordinates x, t, not 'y'"),
    "smaller bundled domain": (("burgers", "--domain", "x=0:1"), "outside the domain"),
    "reserved coordinate": ((*HEAT, "--domain", "x=0:1", "t=0:1", "laplacian=0:1"), "laplacian"),
    "time elsewhere": ((*HEAT, *BOX, "--time", "s"), "'s' is not in the domain"),
    "time of words": ((*HEAT, *BOX, "--time", "a b"), "a name such as t"),
    "time of a bundled problem": (("burgers", "--time", "t"), "has its own"),
    "unknowns of a bundled problem": (("burgers", "--unknowns", "u"), "has its own"),
    "unknowns of signs": ((*HEAT, *BOX, "--unknowns", "u,*"), "names such as u,v"),
    "unknown without equation": ((*HEAT, *BOX, "--unknowns", "u,v"), "v"),
    # equations and conditions
    "only conditions": (("u(x,0) = 0", *BOX), "no equation"),
    "name among equations": (("u_t = u_xx", "burgers", *BOX), "neither an equation nor a condition"),
    "unknown name": (("u_t = nu*u_xx", *HEAT[1:], *BOX), "nu"),
    "misspelt function": (("u_t = u_xx + sine(x)", *HEAT[1:], *BOX), "did you mean 'sin'"),
    "unbalanced": (("u_t = (u_xx", *HEAT[1:], *BOX), "character"),
    "dangling operator": (("u_t = u_xx +", *HEAT[1:], *BOX), "u_xx"),
    "two equals signs": (("u_t = u_xx = 0", *HEAT[1:], *BOX), "="),
    "comparison": (("u_t == u_xx", *HEAT[1:], *BOX), "="),
    "foreign letters": (("u_t = ∂u", *HEAT[1:], *BOX), "∂"),
    "code": (("u_t = __import__('os').system('true')", *HEAT[1:], *BOX), "character"),
    "attribute": (("u_t = u.real", *HEAT[1:], *BOX), "character"),
    "huge power": (("u_t = 9**9**9**9", *HEAT[1:], *BOX), "9"),
    "deep nesting": (("u_t = " + "(" * 9_900 + "u" + ")" * 9_900, *HEAT[1:], *BOX), "nest"),
    "place outside": ((HEAT[0], "u(x,0) = 0", "u(0,t) = 0", "u(2,t) = 0", *BOX), "outside the domain"),
    "place with too few": ((HEAT[0], "u(0) = 0", *HEAT[2:], *BOX), "u"),
    "coordinates swapped": ((HEAT[0], "u(t, x) = 0", *HEAT[2:], *BOX), "order"),
    "no condition": (("u_t = u_xx", *BOX), "misses"),
    "condition missing": ((*HEAT[:3], *BOX), "misses 1 condition(s) in x"),
    "condition too many": ((*HEAT, "u_x(0,t) = 0", *BOX), "1 condition(s) too many in x"),
    "equation missing": (("x' = y", "x(0) = 1", "y(0) = 0", *LINE), "y"),
    "initial value missing": (("x'' = -x", "x(0) = 1", *LINE), "misses 1 condition(s) in t"),
}

ALSO_COMPARE = (
    "nothing",
    "misspelt name",
    "unknown option",
    "negative budget",
    "no domain",
    "code",
    "condition missing",
)


@pytest.fixture(autouse=True)
def _among_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "notes.txt": "u_t = u_xx",
        "broken.py": "def problem(:",
        "failing.py": "1/0",
        "empty.py": "",
        "number.py": "def problem():\n    return 3\n",
    }.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "binary.py").write_bytes(b"\x00\xff\xfe" * 10)
    (tmp_path / "folder").mkdir()


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_exits_with_2_and_says_what_would_be_right(case: str, capsys: pytest.CaptureFixture[str]):
    argv, expected = WRONG[case]
    assert solve(list(argv)) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    if "device" not in case and case != "optimizer":  # what the solver itself refuses comes after the equation
        assert captured.out == ""
    assert 1 <= len(lines) <= 2
    assert all(len(line) < 500 for line in lines)
    assert lines[0].startswith("sciml.solve: ")
    assert "Traceback" not in captured.err
    assert expected in captured.err


@pytest.mark.parametrize("case", ALSO_COMPARE)
def test_the_compare_command_has_the_same_manners(case: str, capsys: pytest.CaptureFixture[str]):
    argv, expected = WRONG[case]
    assert compare(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert 1 <= len(captured.err.splitlines()) <= 2
    assert captured.err.startswith("sciml.compare: ")
    assert expected in captured.err


def test_there_are_at_least_sixty_of_them():
    assert len({argv for argv, _ in WRONG.values()}) >= 60


def test_a_wrong_command_line_leaves_no_directory_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for case in ("misspelt name", "condition missing", "optimizer", "device"):
        assert solve(list(WRONG[case][0])) == 2
    assert not (tmp_path / "runs").exists()
    capsys.readouterr()
