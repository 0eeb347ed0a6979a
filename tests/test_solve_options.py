"""What `pinn.solve` and `Problem` accept can be said on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sciml
from sciml import Status, classical, pinn
from sciml.command import parse
from sciml.errors import ProblemWarning
from sciml.request import PROBLEM_OPTIONS, requested_problem
from sciml.solve import main as solve

pytestmark = pytest.mark.usefixtures("own_directory")

HEAT = ("u_t = 0.1*u_xx", "u(x,0) = 1", "u(0,t) = 0", "u(1,t) = 0", "--domain", "x=0:1", "t=0:1")


def test_network_and_soft_conditions_reach_the_solver(monkeypatch: pytest.MonkeyPatch):
    given: list[dict[str, Any]] = []

    def seen(problem: sciml.Problem, **options: Any) -> sciml.Solution:
        given.append(options)
        u = classical.solve(problem, rtol=1e-6)
        return sciml.Solution(problem, u.evaluator, method="fake", status=Status.CONVERGED)

    monkeypatch.setattr(pinn, "solve", seen)
    assert solve(["logistic", "--network", "20x3 sin", "--no-compare"]) == 0
    assert given[-1]["network"] == "20x3 sin"
    assert "exact_conditions" not in given[-1]
    assert solve(["logistic", "--soft-conditions", "--no-compare"]) == 0
    assert given[-1]["exact_conditions"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["logistic", "--network", "20by3"], "WIDTHxDEPTH"),
        (["logistic", "--network", "8x2", "--method", "classical"], "no meaning with --method classical"),
        (["logistic", "--soft-conditions", "--method", "classical"], "no meaning with --method classical"),
        (["burgers", "--network", "8x2", "--stages", "20"], "no meaning with --stages"),
        (["burgers", "--incompatible", "ignore"], "must be one of warn, accept"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]):
    assert solve(arguments) == 2
    assert words in capsys.readouterr().err


def asked(*words: str) -> sciml.Problem:
    return requested_problem(parse(words, PROBLEM_OPTIONS))


def test_conditions_that_disagree_at_a_corner_can_be_accepted():
    with pytest.warns(ProblemWarning, match="disagree"):
        asked(*HEAT)
    # Warnings are errors in this suite.
    assert asked(*HEAT, "--incompatible", "accept").incompatible == "accept"


def test_a_problem_file_with_conditions_that_disagree_can_be_accepted(tmp_path: Path):
    path = tmp_path / "step.py"
    path.write_text(
        "from sciml import Problem\n"
        "def problem():\n"
        f"    return Problem({HEAT[0]!r}, {list(HEAT[1:4])!r}, {{'x': (0, 1), 't': (0, 1)}})\n"
    )
    with pytest.warns(ProblemWarning, match="disagree"):
        asked(str(path))
    assert asked(str(path), "--incompatible", "accept").incompatible == "accept"


def test_an_earlier_run_that_is_written_over_is_mentioned(capsys: pytest.CaptureFixture[str]):
    words = ["logistic", "--method", "classical", "--rtol", "1e-3"]
    solve(words)
    assert "earlier run" not in capsys.readouterr().err
    solve(words)
    assert "runs/logistic holds an earlier run, whose files are written over" in capsys.readouterr().err
    solve([*words, "--out", "runs/again"])
    assert "earlier run" not in capsys.readouterr().err
