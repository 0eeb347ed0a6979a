"""Claims about identification by least squares around the classical solvers: places, answers, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import sciml
from decay_problem import decay
from sciml import Problem, classical
from sciml.classical.clock import Clock
from sciml.classical.variational import VariationalSystem
from sciml.errors import ArgumentError, ProblemError, SolveError
from sciml.status import Status

# -- where unknown numbers may stand, what may be observed ------------------------------------------------------------


def test_a_value_on_a_side_and_a_side_itself_are_found():
    rng = np.random.default_rng(8)
    x, t = rng.uniform(0, 1, 100), rng.uniform(0, 1, 100)
    problem = Problem(
        "u_t = k*u_xx",
        ["u(x, 0) = c*sin(pi*x/L)", "u(0, t) = 0", "u(L, t) = 0"],
        {"x": (0, "L"), "t": (0, 1)},
        {"k": 0.2, "L": 1.5, "c": 1.0},
    )
    data = {"x": x, "t": t, "u": 2 * np.exp(-0.1 * (np.pi / 1.2) ** 2 * t) * np.sin(np.pi * x / 1.2)}
    fit = classical.identify(problem, data, ["k", "L", "c"])
    assert [e.value for e in fit.parameters.values()] == pytest.approx([0.1, 1.2, 2.0], rel=1e-6)
    assert fit.problem.domain.interval("x")[1] == fit.parameters["L"].value


def test_boundary_values_and_coefficients_of_a_stationary_problem_are_found():
    problem = Problem("u'' = -q*u", ["u(0) = a", "u(1) = 0"], {"x": (0, 1)}, {"q": 1.0, "a": 1.0}, time=None)
    x, w = np.linspace(0, 1, 30), math.sqrt(3)
    fit = classical.identify(problem, {"x": x, "u": 2 * np.sin(w * (1 - x)) / math.sin(w)}, ["q", "a"])
    assert [e.value for e in fit.parameters.values()] == pytest.approx([3.0, 2.0], rel=1e-6)


def test_the_time_of_a_condition_is_found_by_differences():
    problem = Problem("y' = 1 - y", "y(s) = 0", {"t": ("s", 5)}, {"s": 0.2})
    t = np.linspace(1, 5, 20)
    fit = classical.identify(problem, {"t": t, "y": 1 - np.exp(-(t - 0.7))}, ["s"])
    assert fit.parameters["s"].value == pytest.approx(0.7, rel=1e-6)


def test_derivatives_may_be_observed():
    t = np.linspace(0, 2, 15)
    fit = classical.identify(decay(), {"t": t, "y'": -2 * 0.9 * np.exp(-0.9 * t)}, ["k", "a"])
    assert [e.value for e in fit.parameters.values()] == pytest.approx([0.9, 2.0], rel=1e-6)


def test_values_stay_within_bounds_even_where_the_data_ask_for_more():
    t = np.linspace(0, 2, 15)
    fit = classical.identify(decay(), {"t": t, "y": np.exp(-1.3 * t)}, ["k"], bounds={"k": (0, 1)})
    k = fit.parameters["k"]
    assert 0 <= k.interval[0] <= k.value <= k.interval[1] <= 1
    assert k.value > 0.99


# -- the answer -------------------------------------------------------------------------------------------------------


def test_the_state_and_the_residuals_are_those_of_the_identified_numbers():
    rng = np.random.default_rng(9)
    t = np.linspace(0, 2, 15)
    y = np.exp(-0.8 * t) + 0.02 * rng.standard_normal(t.size)
    seen = []
    fit = classical.identify(decay(), {"t": t, "y": y}, ["k"], progress=seen.append)
    k = fit.parameters["k"].value
    assert fit.problem.parameters == {"k": k, "a": 1.0}
    assert fit.solution(t) == pytest.approx(np.exp(-k * t), abs=1e-8)
    assert fit.residuals[0]["y"] == pytest.approx((np.exp(-k * t) - y) / fit.noise["y"], abs=1e-5)
    assert fit.status is Status.CONVERGED
    assert "standard errors" in fit.message
    assert fit.history["parameter: k"][-1] == k
    assert len({len(series) for series in fit.history.values()}) == 1
    assert set(seen[-1]) >= {"iteration", "seconds", "loss", "terms", "stage", "parameters"}
    assert fit.details["solves"] >= fit.details["iterations"] == len(fit.history["loss"])


def test_clean_data_give_ten_digits():
    t = np.linspace(0, 2, 21)
    fit = classical.identify(decay(), {"t": t, "y": 3 * np.exp(-1.3 * t)}, ["k", "a"])
    assert fit.parameters["k"].value == pytest.approx(1.3, rel=1e-10)
    assert fit.parameters["k"].standard_error < 1e-7


def test_a_product_that_alone_matters_is_named_and_spoils_no_other_number():
    rng = np.random.default_rng(10)
    t = np.linspace(0, 2, 30)
    y = 2 * np.exp(-0.6 * t) + 0.01 * rng.standard_normal(t.size)
    problem = Problem("y' = -k*q*y", "y(0) = a", {"t": (0, 2)}, {"k": 1.0, "q": 1.0, "a": 1.0})
    fit = classical.identify(problem, {"t": t, "y": y}, ["k", "q", "a"])
    single = classical.identify(decay(), {"t": t, "y": y}, ["k", "a"])
    (direction,) = fit.undetermined
    assert set(direction) == {"k", "q"}
    assert direction["k"] == pytest.approx(-direction["q"])
    assert fit.parameters["k"].interval == (-math.inf, math.inf)
    assert fit.parameters["q"].standard_error == math.inf
    assert fit.parameters["k"].value * fit.parameters["q"].value == pytest.approx(
        single.parameters["k"].value, rel=1e-3
    )
    assert fit.parameters["a"].standard_error == pytest.approx(single.parameters["a"].standard_error, rel=1e-2)
    assert "do not determine" in fit.message
    assert single.undetermined == []


def test_a_number_without_influence_on_the_data_is_named():
    problem = Problem(["x' = -k*x", "y' = c*x"], ["x(0) = 1", "y(0) = 0"], {"t": (0, 1)}, {"k": 1.0, "c": 1.0})
    t = np.linspace(0, 1, 12)
    fit = classical.identify(problem, {"t": t, "x": np.exp(-0.7 * t)}, ["k", "c"], bounds={"c": (0, 5)})
    assert fit.undetermined == [{"c": 1.0}]
    assert fit.parameters["c"].interval == (0, 5)
    assert fit.parameters["k"].value == pytest.approx(0.7, rel=1e-6)


def test_a_number_that_is_zero_within_a_small_error_is_determined():
    t = np.linspace(0, 2, 30)
    y = 2 + 0.01 * np.random.default_rng(12).standard_normal(t.size)
    fit = classical.identify(decay(), {"t": t, "y": y}, ["k", "a"])
    assert fit.parameters["k"].contains(0.0)
    assert abs(fit.parameters["k"].value) < 0.01
    assert fit.undetermined == []


def test_residuals_beyond_the_noise_that_was_given_are_reported():
    t = np.linspace(0, 2, 20)
    fit = classical.identify(decay(), {"t": t, "y": 1 + np.sin(5 * t)}, ["k", "a"], noise=0.01)
    assert "times the noise that was given" in fit.message


def test_a_fit_that_explains_nothing_says_so():
    t = np.linspace(0, 2, 40)
    fit = classical.identify(decay(), {"t": t, "y": 1 + np.sin(20 * t)}, ["k", "a"])
    assert "explains next to nothing of y" in fit.message


# -- what can go wrong ------------------------------------------------------------------------------------------------


def test_trials_without_a_solution_are_shortened_steps_not_crashes(monkeypatch):
    problem = Problem("y' = k*y^2", "y(0) = 1", {"t": (0, 1)}, {"k": 0.1})
    integrate, ends = VariationalSystem.integrate, []

    def watched(self, values, *rest):
        found = integrate(self, values, *rest)
        ends.append((values["k"], found is not None))
        return found

    monkeypatch.setattr(VariationalSystem, "integrate", watched)
    t = np.linspace(0.6, 1, 11)
    fit = classical.identify(problem, {"t": t, "y": 1 / (1 - 0.95 * t)}, ["k"])
    assert any(k > 1 and not found for k, found in ends)  # from 1 on the solution blows up
    assert fit.parameters["k"].value == pytest.approx(0.95, rel=1e-7)


def test_a_start_from_which_the_solution_blows_up_is_followed_from_its_beginning():
    problem = Problem("y' = k*y^2", "y(0) = 1", {"t": (0, 1)}, {"k": 3.0})
    t = np.linspace(0, 1, 21)
    fit = classical.identify(problem, {"t": t, "y": 1 / (1 - 0.5 * t)}, ["k"])
    assert fit.parameters["k"].value == pytest.approx(0.5, rel=1e-7)


def test_a_start_without_any_solution_is_refused_with_the_way_out():
    problem = Problem("y' = k*y^2", "y(0) = 1", {"t": (0, 1)}, {"k": 30.0})
    t = np.linspace(0, 1, 11)
    with pytest.raises(SolveError, match=r"no usable solution at the start, k = 30: .*problem\.replace\(\.\.\.\)"):
        classical.identify(problem, {"t": t, "y": 1 / (1 - 0.5 * t)}, ["k"])


def test_missing_conditions_are_refused_and_the_network_recommended():
    with pytest.raises(ProblemError, match=r"misses 1 condition\(s\) in t.*pinn\.identify needs no conditions"):
        classical.identify(decay(conditions=[]), {"t": [0.0, 1.0], "y": [1.0, 0.5]}, ["k"])


def test_unknown_functions_are_refused_and_a_form_recommended():
    problem = Problem("d(k(x)*u_x, x) = 1", ["u(0) = 0", "u(1) = 0"], {"x": (0, 1)}, functions=["k(x)"], time=None)
    with pytest.raises(ProblemError, match=r"not the functions k: give them a form .*k0 \+ k1\*x"):
        classical.identify(problem, {"x": [0.2, 0.4, 0.6], "u": [0.1, 0.1, 0.1]}, ["k"])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"unknown": ["kk"]}, "neither a parameter"),
        ({"noise": 0}, "noise must be a positive standard deviation"),
        ({"noise_model": "gaussian"}, "noise_model must be"),
        ({"bounds": {"a": (0, 1)}}, "bounds are given for 'a'"),
        ({"rtol": 2}, "rtol must be"),
        ({"budget": -1}, "budget must be"),
        ({"data": {"t": [0.0], "y": [1.0]}}, "leave nothing to estimate the noise from"),
        ({"data": {"t": [0.0, 9.0], "y": [1.0, 1.0]}}, "outside the domain"),
        ({"data": {"t": [0.0, 1.0], "y": [1.0, -1.0]}, "noise_model": "multiplicative"}, "needs positive data"),
    ],
)
def test_wrong_inputs_are_refused_with_the_reason(changes, text):
    arguments = {"data": {"t": [0.0, 1.0, 2.0], "y": [1.0, 0.6, 0.3]}, "unknown": ["k"], **changes}
    with pytest.raises(ArgumentError, match=text):
        classical.identify(decay(), arguments.pop("data"), arguments.pop("unknown"), **arguments)


def test_the_budget_ends_the_search_with_the_best_state(monkeypatch):
    class SoonOver(Clock):
        """Asked for the third time, its budget has ended."""

        asked = 0

        @property
        def expired(self) -> bool:
            self.asked += 1
            return self.asked > 2

    monkeypatch.setattr("sciml.classical.inverse.Clock", SoonOver)
    rng = np.random.default_rng(11)
    x, t = rng.uniform(0, 1, 50), rng.uniform(0, 1, 50)
    data = {"x": x, "t": t, "u": np.exp(-0.05 * np.pi**2 * t) * np.sin(np.pi * x)}
    fit = classical.identify(sciml.load("heat").replace(alpha=2.0), data, ["alpha"])
    assert fit.status is Status.BUDGET
    assert "budget" in fit.message
    alpha = fit.parameters["alpha"]
    assert alpha.value == fit.history["parameter: alpha"][-1] == fit.solution.problem.parameters["alpha"]
    assert abs(alpha.value - 0.05) > 1e-2
    assert fit.noise["u"] == pytest.approx(np.sqrt(np.sum((fit.solution(x, t) - data["u"]) ** 2) / 49), rel=1e-4)
    assert alpha.standard_error > 1e-3
    assert fit.history["loss"][-1] < fit.history["loss"][0]


def test_a_budget_too_short_for_one_step_is_an_error_that_says_so():
    x = np.linspace(-1, 1, 10)
    with pytest.raises(SolveError, match="the time budget ended before the first step"):
        classical.identify(sciml.load("burgers"), {"x": x, "t": 0.5 + 0 * x, "u": -x}, ["nu"], budget=1e-6)
