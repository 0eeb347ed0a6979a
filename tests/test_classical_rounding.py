"""What rounding makes of a solution where errors grow is part of its estimated error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciml import Problem, classical
from sciml.classical.rounding import ROUNDING, rounding_error
from sciml.classical.trajectory import PiecewisePolynomial


@pytest.mark.parametrize("end", [2.5, 3.0])
@pytest.mark.parametrize("rtol", [1e-4, 1e-6])
def test_two_tolerances_that_agree_by_chance_are_not_believed(end, rtol):
    """Of y'' = 100 y the decaying solution; with rtol = 1e-4 on [0, 3] the difference was a sixtieth of the error."""
    problem = Problem("y'' = 100*y", ["y(0) = 1", "y'(0) = -10"], {"t": (0, end)}, exact="exp(-10*t)")
    solution = classical.solve(problem, rtol=rtol)
    assert solution.estimate is not None
    assert solution.error() <= 3 * solution.estimate
    assert solution.success == (solution.estimate <= rtol)


def test_a_missed_tolerance_says_that_rounding_is_why():
    problem = Problem("y'' = 100*y", ["y(0) = 1", "y'(0) = -10"], {"t": (0, 3)})
    solution = classical.solve(problem, rtol=1e-4)
    assert not solution.success
    assert "rounding" in solution.message


def test_backward_in_time_a_decaying_mode_is_the_one_that_grows():
    problem = Problem("y'' = 100*y", ["y(3) = 1", "y'(3) = 10"], {"t": (0, 3)}, exact="exp(10*(t - 3))")
    solution = classical.solve(problem, rtol=1e-4)
    assert solution.estimate is not None
    assert solution.error() <= 3 * solution.estimate


@pytest.mark.parametrize("rate", [-3.0, 0.5, 4.0])
def test_a_constant_rate_magnifies_rounding_by_its_exponential(rate):
    """With e' = rate*e about y = 1 on [0, 5] the variance grows by exp(2 rate h) and eps**2 a step."""
    count = 2000
    trajectory = PiecewisePolynomial(np.linspace(0, 5, 3), np.ones((2, 5, 1)))
    found = rounding_error(trajectory, lambda t, y: np.full((len(t), 1, 1), rate), [0])
    steps = np.linspace(0, 5, count)
    initial = np.exp(2 * rate * steps)
    # At least the initial error, at most as many errors as steps.
    least = ROUNDING * math.sqrt(np.mean(initial))
    assert least * 0.99 < found < least * math.sqrt(1 + 240) * 1.01 + ROUNDING * math.sqrt(240)
    if rate > 1:
        assert found < 10 * least


def test_what_many_components_make_is_left_out():
    trajectory = PiecewisePolynomial(np.linspace(0, 1, 2), np.ones((1, 5, 50)))
    assert rounding_error(trajectory, lambda t, y: np.zeros((len(t), 50, 50)), [0]) == 0.0
