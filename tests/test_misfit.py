"""A fit of equations that are wrong for the data says so: nothing is explained, or what is left is no noise."""

from __future__ import annotations

import numpy as np
import pytest

from sciml import Problem, Status, classical, pinn
from sciml.misfit import dependence, explains_nothing

WAYS = pytest.mark.parametrize("way", ["pinn", "classical"])
T = np.linspace(0, 2, 60)


def identify(way, problem, data, unknown):
    return (
        pinn.identify(problem, data, unknown, iterations=300, budget=None, network="8x2")
        if way == "pinn"
        else classical.identify(problem, data, unknown)
    )


def decay(rate=0.5):
    return Problem("y' = -k*y", ["y(0) = 1"], {"t": (0, 2)}, {"k": rate})


@WAYS
def test_data_in_other_units_are_no_success(way):
    data = {"t": T, "y": 1000 * np.exp(-T) + np.random.default_rng(0).normal(size=60)}
    fit = identify(way, decay(), data, ["k"])
    assert fit.status is Status.INACCURATE
    assert "explains next to nothing of y" in fit.message


@WAYS
def test_a_term_that_is_missing_leaves_residuals_that_are_alike(way):
    data = {"t": T, "y": np.exp(-T) + 0.3 * np.sin(4 * T) + 0.01 * np.random.default_rng(0).normal(size=60)}
    fit = identify(way, decay(), data, ["k"])
    assert "residuals of y are no independent noise" in fit.message


@WAYS
@pytest.mark.parametrize("seed", range(3))
def test_the_right_equation_leaves_nothing_to_say(way, seed):
    data = {"t": T, "y": np.exp(-T) + 0.05 * np.random.default_rng(seed).normal(size=60)}
    fit = identify(way, decay(), data, ["k"])
    assert "residuals" not in fit.message
    assert "next to nothing" not in fit.message
    assert fit.parameters["k"].contains(1.0)


def test_independent_residuals_have_no_dependence_and_smooth_ones_have():
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(2000, 2)) * [1.0, 1e6]
    assert abs(dependence(points, rng.normal(size=2000))) < 4 / np.sqrt(2000)
    assert dependence(points, np.sin(6 * points[:, 0]) * np.cos(6e-6 * points[:, 1])) > 0.9
    assert dependence(points[:2], np.ones(2)) == 0.0
    assert dependence(points, np.zeros(2000)) == 0.0


def test_dependence_does_not_ask_for_the_units_of_residuals_or_points():
    rng = np.random.default_rng(1)
    points, residual = rng.normal(size=(300, 3)), rng.normal(size=300)
    first = dependence(points, residual)
    assert dependence(points * [1e-6, 1.0, 1e3] + 5, 1e4 * residual) == pytest.approx(first, rel=1e-9)


def test_constant_data_cannot_be_explained_less():
    assert not explains_nothing(np.ones(5), np.ones(5))
    assert not explains_nothing(np.array([1.0]), np.array([2.0]))
    assert explains_nothing(np.array([1.0, -1.0]), np.array([1.0, -1.0]))
