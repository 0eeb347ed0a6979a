"""The network beside the classical solver: what is measured, said and written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml
from sciml import classical
from sciml.compare import main as compare
from sciml.compare import table
from sciml.comparison import Reference, reference
from sciml.comparison import compare as measure
from sciml.errors import ArgumentError, SolveError
from sciml.report import Results
from sciml.status import Status
from sciml.typography import short

pytestmark = pytest.mark.usefixtures("own_directory")


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


def test_an_error_that_the_reference_cannot_see_is_said_to_be_at_most_its_accuracy():
    orbit = sciml.load("lotka_volterra")
    against = reference(orbit)
    assert against.solution is not None
    limit = short(against.accuracy, 0)
    results = Results(orbit, "pinn", against.solution, 0, against, against.accuracy)
    assert f"error <= {limit} (the reference's accuracy) against" in results.error_line()
    assert results.to_dict()["error_at_limit"] is True
    assert results.to_dict()["reference_accuracy"] == against.accuracy
    seen = replace(results, error=2 * against.accuracy)
    assert "<=" not in seen.error_line()
    assert seen.to_dict()["error_at_limit"] is False
    comparison = measure(orbit, replace(against.solution, wall_time=1e3), against=against, budget=5.0)
    assert f"network <= {short(against.accuracy)} in" in comparison.text
    assert "(<= is the reference's accuracy)" in comparison.text
    assert comparison.to_dict()["network_at_limit"] is True
    assert f"<={against.accuracy:.0e}" in table(comparison)


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
    assert compare(["logistic", "--budget", "60", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["problem"] == "logistic"
    assert result["network_error"] < 1e-3
    assert len(result["steps"]) >= 3
    assert "rtol" in captured.err
    files = {path.name for path in Path("runs/logistic").iterdir()}
    assert files == {"comparison.json", "comparison.png", "comparison.pdf"}
