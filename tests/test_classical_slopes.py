"""Claims about derivatives by unknown numbers: variational equations, differences, what slopes say of the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml
from sciml import Problem, classical
from sciml.classical.clock import Clock
from sciml.classical.information import information
from sciml.classical.variational import VariationalSystem
from sciml.notation import Partial

# -- slopes -----------------------------------------------------------------------------------------------------------


def slopes_by_differences(problem: Problem, name: str, unknown: str, t: np.ndarray) -> np.ndarray:
    value, step = problem.parameters[name], 1e-4
    above, below = (
        classical.solve(problem.replace(**{name: value + signed}), rtol=1e-12)(unknown, t) for signed in (step, -step)
    )
    return (above - below) / (2 * step)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("x'' = -w^2*x - c*x'", ["x(0) = a", "x'(0) = v"], {"t": (0, 3)}, {"w": 2, "c": 0.3, "a": 1, "v": 0.5}),
        Problem("x' = a*x*(1 - x/K)", "x(2) = b", {"t": (0, 2)}, {"a": 1.0, "K": 3.0, "b": 1.0}),
        Problem("x' = abs(x - a) + b*sin(c*t)", "x(0) = a^2", {"t": (0, 2)}, {"a": 0.5, "b": 0.3, "c": 2.0}),
        Problem(
            ["m*x' + y' = -x", "x' - y' = k*y"],
            ["x(0) + y(0) = s", "y(0) = 1"],
            {"t": (0, 2)},
            {"m": 2, "k": 1, "s": 3},
        ),
    ],
    ids=["second order", "backward in time", "time-dependent", "coupled"],
)  # fmt: skip
def test_variational_equations_give_the_derivatives_by_the_parameters(problem):
    names, unknown, t = list(problem.parameters), problem.unknowns[0], np.linspace(0, 2, 9)
    system = VariationalSystem(problem, names)
    reach = system.lower if system.backward else system.upper
    trajectory = system.integrate(problem.parameters, reach, 1e-10, Clock())
    assert trajectory is not None
    found = system.values(trajectory, [Partial(unknown, (0,))], t)
    assert found[0, 0] == pytest.approx(classical.solve(problem, rtol=1e-11)(unknown, t), abs=1e-8)
    for k, name in enumerate(names):
        assert found[1 + k, 0] == pytest.approx(slopes_by_differences(problem, name, unknown, t), abs=2e-6), name


def test_variational_equations_of_a_stiff_problem_are_integrated_in_few_steps():
    problem = Problem(
        ["x' = -k*x + y", "y' = -q*(y - cos(t))"],
        ["x(0) = 1", "y(0) = b"],
        {"t": (0, 5)},
        {"k": 1.0, "q": 1e5, "b": 0.5},
    )
    trajectory = VariationalSystem(problem, ["k", "b"]).integrate(problem.parameters, 5.0, 1e-8, Clock())
    assert trajectory is not None
    assert len(trajectory.nodal) < 150


def test_slopes_by_differences_give_the_standard_error_of_the_closed_form():
    rng = np.random.default_rng(7)
    x, t = rng.uniform(0, 1, 300), rng.uniform(0, 1, 300)
    shape = np.sin(np.pi * x)
    y = np.exp(-0.25 * np.pi**2 * t) * shape + 0.01 * rng.standard_normal(300)
    fit = classical.identify(sciml.load("heat").replace(alpha=1.0), {"x": x, "t": t, "u": y}, ["alpha"])
    alpha = fit.parameters["alpha"]
    slope = -(np.pi**2) * t * np.exp(-alpha.value * np.pi**2 * t) * shape
    assert fit.success, fit.message
    gradient = slope @ (np.exp(-alpha.value * np.pi**2 * t) * shape - y)
    assert abs(gradient) < 1e-2 * fit.noise["u"] * np.linalg.norm(slope)  # a hundredth of the standard error away
    assert alpha.standard_error == pytest.approx(fit.noise["u"] / np.linalg.norm(slope), rel=5e-3)
    assert alpha.contains(0.25)


# -- what slopes say --------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), scale=st.floats(-6, 6))
def test_information_of_independent_slopes_is_the_inverse_of_their_normal_matrix(seed, count, scale):
    slopes = np.random.default_rng(seed).standard_normal((20, count)) * 10.0 ** np.linspace(0, scale, count)
    found = information(slopes, np.full(count, 1e-9), np.ones(count))
    spread = 1 / np.linalg.norm(slopes, axis=0)
    expected = np.linalg.inv(slopes.T @ slopes) / np.outer(spread, spread)
    assert found.covariance / np.outer(spread, spread) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert not found.unseen.any()
    assert found.leverage.sum() == pytest.approx(count)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100), error=st.floats(1e-10, 1e-4))
def test_information_sees_through_the_errors_of_dependent_slopes(seed, factor, error):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, 30))
    dependent = factor * one + 0.5 * error * factor * np.linalg.norm(one) * rng.standard_normal(30) / math.sqrt(30)
    found = information(np.stack([one, dependent, other], axis=1), np.full(3, error), np.ones(3))
    assert found.unseen.tolist() == [True, True, False]
    assert found.rank == 2
    alone = information(np.stack([one, other], axis=1), np.full(2, error), np.ones(2))
    assert found.covariance[2, 2] == pytest.approx(alone.covariance[1, 1], rel=1e-2)
