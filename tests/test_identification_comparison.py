"""The command `compare --identify`: both solvers at equal time on the same data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sciml
from identifications import LOGISTIC, ROD, fake
from sciml import Fit, Status, classical, pinn
from sciml.compare import main as compare
from sciml.errors import ProblemError
from sciml.identification_comparison import IdentificationComparison, Run
from sciml.inference import Estimate

pytestmark = pytest.mark.usefixtures("identification_files")


def contest(monkeypatch: pytest.MonkeyPatch, network: Any, other: Any) -> None:
    monkeypatch.setattr(pinn, "identify", network)
    monkeypatch.setattr(classical, "identify", other)


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


def test_both_solvers_agree_on_the_same_data(capsys: pytest.CaptureFixture[str]):
    assert compare(["--identify", *LOGISTIC, "--set", "r=0.7", "--budget", "30", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    one, other = (run["fit"]["parameters"]["r"] for run in (runs[0], runs[-1]))
    assert abs(one["value"] - other["value"]) < 0.2 * other["standard_error"]
    assert one["standard_error"] == pytest.approx(other["standard_error"], rel=0.2)
