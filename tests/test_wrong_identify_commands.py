"""Wrong command lines of identification: each ends with exit code 2 and at most two lines that help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from identifications import LOGISTIC, ROD
from sciml.compare import main as compare
from sciml.identify import main as identify

pytestmark = pytest.mark.usefixtures("identification_files")

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
    "bounds the wrong way round": ((*LOGISTIC, "--bounds", "r=2:0.5"), "r=2:0.5 is empty, expected lower < upper"),
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
