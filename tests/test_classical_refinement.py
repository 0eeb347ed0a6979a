"""The two-resolution loop, on scripted attempts."""

import numpy as np
import pytest

import sciml
from sciml.classical.clock import Clock
from sciml.classical.refinement import Attempt, Ladder, refine
from sciml.errors import SolveError
from sciml.solution import Evaluator, Status


class _Constant(Evaluator):
    kind = "constant"

    def __init__(self, value):
        self.value = value

    def evaluate(self, partials, points):
        return np.full((len(partials), len(points)), self.value)

    def state(self):
        raise NotImplementedError

    @classmethod
    def restore(cls, arrays, rest, problem):
        raise NotImplementedError


class _Scripted(Ladder):
    method = "scripted"

    def __init__(self, *attempts):
        self.attempts = list(attempts)

    def climb(self, estimate, clock):
        if not self.attempts:
            return None
        value, refines, failure = self.attempts.pop(0)
        return Attempt(_Constant(value), {"n": 1}, 1, refines, failure)


def run(*attempts, rtol=1e-3):
    return refine(sciml.load("logistic"), _Scripted(*attempts), rtol=rtol, clock=Clock())


def test_refinement_accepts_only_results_that_are_finer_in_every_respect():
    solution = run((1.0, False, ""), (1.0, False, ""), (1.0001, True, ""))
    assert solution.success
    assert solution.details["iterations"] == 3
    assert solution.estimate == pytest.approx(1e-4, rel=1e-3)
    assert solution.details["coarser"](0.0) == 1.0


def test_refinement_returns_the_best_where_the_resolutions_end_or_stagnate():
    solution = run((1.0, False, ""), (1.1, True, ""))
    assert solution.status is Status.INACCURATE
    assert solution.estimate == pytest.approx(0.1 / 1.1)
    stagnating = run(*((1.0 + 0.1 * (i % 2), True, "") for i in range(50)))
    assert stagnating.status is Status.INACCURATE
    assert stagnating.details["iterations"] < 10


def test_refinement_reports_divergence_and_keeps_earlier_results():
    nothing = run((1.0, True, "it blew up"), (1.0, True, "it blew up"), (1.0, True, "it blew up at t = 3"))
    assert nothing.status is Status.DIVERGED
    assert "t = 3" in nothing.message
    solution = run((1.0, False, ""), (np.nan, True, ""), (np.nan, True, ""), (np.nan, True, ""))
    assert solution.status is Status.DIVERGED
    assert solution(0.0) == 1.0
    with pytest.raises(SolveError):
        run()
