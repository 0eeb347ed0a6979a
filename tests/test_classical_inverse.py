"""Claims about identification by least squares around the classical solvers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import curve_fit

import sciml
from sciml import Problem, classical
from sciml.classical.clock import Clock
from sciml.classical.information import information
from sciml.classical.variational import VariationalSystem
from sciml.errors import ArgumentError, ProblemError, SolveError
from sciml.notation import Partial
from sciml.status import Status

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def decay(**changes) -> Problem:
    return Problem("y' = -k*y", "y(0) = a", {"t": (0, 2)}, {"k": 0.5, "a": 1.0}).replace(**changes)


def straight() -> Problem:
    return Problem("y' = a + b*t", "y(0) = c", {"t": (0, 1)}, {"a": 1.0, "b": 1.0, "c": 1.0})


def least_squares_line(design: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, their standard errors and the noise, in closed form."""
    inverse = np.linalg.inv(design.T @ design)
    value = inverse @ design.T @ y
    noise = math.sqrt(np.sum((y - design @ value) ** 2) / (len(y) - design.shape[1]))
    return value, noise * np.sqrt(np.diagonal(inverse)), noise


# -- standard errors and intervals ------------------------------------------------------------------------------------


def test_a_linear_problem_gives_the_closed_form_of_linear_regression():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 15)
    y = 2 - t + 1.5 * t**2 + 0.1 * rng.standard_normal(t.size)
    fit = classical.identify(straight(), {"t": t, "y": y}, ["a", "b", "c"])
    value, error, noise = least_squares_line(np.stack([t, t**2 / 2, np.ones_like(t)], axis=1), y)
    quantile = stats.t.ppf(0.975, t.size - 3)
    assert fit.success, fit.message
    assert fit.freedom == t.size - 3
    assert fit.noise["y"] == pytest.approx(noise, rel=1e-6)
    for k, found in enumerate(fit.parameters.values()):
        assert abs(found.value - value[k]) < 1e-4 * error[k]
        assert found.standard_error == pytest.approx(error[k], rel=1e-6)
        assert found.interval == pytest.approx(
            (value[k] - quantile * error[k], value[k] + quantile * error[k]), rel=1e-4
        )


def test_intervals_of_95_percent_contain_the_truth_in_89_to_99_of_100_draws():
    rng = np.random.default_rng(1)
    t, true = np.linspace(0, 1, 8), {"a": -1.0, "b": 3.0, "c": 2.0}
    clean = true["c"] + true["a"] * t + true["b"] * t**2 / 2
    hits = dict.fromkeys(true, 0)
    for _ in range(100):
        y = clean + 0.1 * rng.standard_normal(t.size)
        fit = classical.identify(straight(), {"t": t, "y": y}, list(true), rtol=1e-4)
        for name, value in true.items():
            hits[name] += fit.parameters[name].contains(value)
    assert all(89 <= count <= 99 for count in hits.values()), hits


@pytest.mark.parametrize("given_noise", [None, 0.05])
def test_exponential_decay_gives_the_covariance_of_its_closed_form(given_noise):
    rng = np.random.default_rng(2)
    t = np.linspace(0, 2, 21)
    y = 3 * np.exp(-1.3 * t) + 0.05 * rng.standard_normal(t.size)
    fit = classical.identify(decay(), {"t": t, "y": y}, ["k", "a"], noise=given_noise)

    def model(t, k, a):
        return a * np.exp(-k * t)

    sigma = None if given_noise is None else np.full(t.size, given_noise)
    value, covariance = curve_fit(model, t, y, p0=(1.3, 3.0), sigma=sigma, absolute_sigma=given_noise is not None)
    error = np.sqrt(np.diagonal(covariance))
    quantile = stats.norm.ppf(0.975) if given_noise else stats.t.ppf(0.975, t.size - 2)
    for k, found in enumerate(fit.parameters.values()):
        assert abs(found.value - value[k]) < 1e-3 * error[k]
        assert found.standard_error == pytest.approx(error[k], rel=1e-3)
        assert found.interval[1] - found.interval[0] == pytest.approx(2 * quantile * error[k], rel=1e-3)
    assert fit.correlation[0, 1] == pytest.approx(covariance[0, 1] / error.prod(), abs=1e-3)
    assert fit.noise_given is (given_noise is not None)


def test_logistic_growth_with_its_start_unknown_gives_the_covariance_of_its_closed_form():
    rng = np.random.default_rng(3)
    t = np.linspace(0, 10, 30)

    def model(t, r, K, y0):
        return K / (1 + (K / y0 - 1) * np.exp(-r * t))

    y = model(t, 1.2, 2.0, 0.15) + 0.02 * rng.standard_normal(t.size)
    fit = classical.identify(sciml.load("logistic"), {"t": t, "y": y}, ["r", "K", "y0"])
    value, covariance = curve_fit(model, t, y, p0=(1.2, 2.0, 0.15))
    error = np.sqrt(np.diagonal(covariance))
    for k, found in enumerate(fit.parameters.values()):
        assert abs(found.value - value[k]) < 1e-2 * error[k]
        assert found.standard_error == pytest.approx(error[k], rel=2e-3)


def test_multiplicative_noise_is_regression_of_logarithms():
    rng = np.random.default_rng(4)
    t = np.linspace(0, 2, 12)
    y = 3 * np.exp(-1.3 * t + 0.1 * rng.standard_normal(t.size))
    fit = classical.identify(
        decay(), {"t": t, "y": y}, ["k", "a"], noise_model="multiplicative", bounds={"a": (0, None)}
    )
    (slope, level), error, noise = least_squares_line(np.stack([-t, np.ones_like(t)], axis=1), np.log(y))
    reach = stats.t.ppf(0.975, 10) * error[1]
    assert fit.parameters["k"].value == pytest.approx(slope, abs=1e-3 * error[0])
    assert fit.parameters["k"].standard_error == pytest.approx(error[0], rel=1e-3)
    # With one bound the interval is exact in the logarithm, not symmetric about the value.
    assert fit.parameters["a"].interval == pytest.approx((math.exp(level - reach), math.exp(level + reach)), rel=1e-3)
    assert fit.noise["y"] == pytest.approx(noise, rel=1e-4)
    assert fit.residuals[0]["y"] == pytest.approx((level - slope * t - np.log(y)) / noise, abs=1e-3)


def test_each_observed_name_has_its_own_noise_and_degrees_of_freedom():
    # x depends on a alone, y on b alone: two regressions in one, and the estimates must be those of each.
    rng = np.random.default_rng(5)
    problem = Problem(["x' = a", "y' = b"], ["x(0) = 0", "y(0) = 0"], {"t": (0, 1)}, {"a": 1.0, "b": 1.0})
    t = np.linspace(0.1, 1, 20)
    x = 2 * t + 0.3 * rng.standard_normal(t.size)
    y = np.where(np.arange(20) < 6, -t + 0.01 * rng.standard_normal(t.size), np.nan)
    fit = classical.identify(problem, {"t": t, "x": x, "y": y}, ["a", "b"])
    for name, values, seen in (("a", x, "x"), ("b", y, "y")):
        there = np.isfinite(values)
        value, error, noise = least_squares_line(t[there, None], values[there])
        reach = stats.t.ppf(0.975, there.sum() - 1) * error[0]
        assert fit.noise[seen] == pytest.approx(noise, rel=1e-4)
        assert fit.parameters[name].interval == pytest.approx((value[0] - reach, value[0] + reach), rel=1e-4)
    assert np.isnan(fit.residuals[0]["y"][6:]).all()
    assert np.isfinite(fit.residuals[0]["y"][:6]).all()


def test_experiments_share_some_numbers_and_have_others_of_their_own():
    rng = np.random.default_rng(6)
    t = np.linspace(0, 2, 10)
    problems = [Problem("y' = -k*y", f"y(0) = {name}", {"t": (0, 2)}, {"k": 0.5, name: 1.0}) for name in ("one", "two")]
    logs = [math.log(2) - 0.8 * t, math.log(5) - 0.8 * t]
    noisy = [row + 0.05 * rng.standard_normal(t.size) for row in logs]
    fit = classical.identify(
        problems,
        [{"t": t, "y": np.exp(row)} for row in noisy],
        ["k", "one", "two"],
        noise_model="multiplicative",
        bounds={"one": (0, None), "two": (0, None)},
    )
    design = np.zeros((20, 3))
    design[:, 0] = -np.concatenate([t, t])
    design[:10, 1] = design[10:, 2] = 1
    value, error, _ = least_squares_line(design, np.concatenate(noisy))
    assert fit.parameters["k"].value == pytest.approx(value[0], abs=1e-2 * error[0])
    assert fit.parameters["k"].standard_error == pytest.approx(error[0], rel=1e-3)
    assert fit.parameters["two"].value == pytest.approx(math.exp(value[2]), rel=1e-3)
    assert [one.problem.parameters["k"] for one in fit.solutions] == [fit.parameters["k"].value] * 2


def test_one_problem_serves_several_experiments():
    t = np.linspace(0, 2, 10)
    sets = [{"t": t, "y": np.exp(-0.7 * t)}, {"t": t[:4], "y": np.exp(-0.7 * t[:4])}]
    fit = classical.identify(decay(), sets, ["k"])
    assert fit.parameters["k"].value == pytest.approx(0.7, rel=1e-7)
    assert len(fit.solutions) == len(fit.residuals) == len(fit.observations) == 2


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


# -- measured and published data --------------------------------------------------------------------------------------


def lynx_and_hare() -> dict[str, np.ndarray]:
    path = DATA / "hudson_bay_lynx_hare.dat"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the repository")
    year, hare, lynx = np.loadtxt(path).T
    return {"t": year - 1900, "h": hare, "l": lynx}


def pelts(**changes) -> Problem:
    return Problem(
        ["h' = alpha*h - beta*h*l", "l' = -gamma*l + delta*h*l"],
        ["h(0) = h0", "l(0) = l0"],
        {"t": (0, 20)},
        {"alpha": 1.0, "beta": 0.1, "gamma": 1.0, "delta": 0.1, "h0": 10.0, "l0": 10.0},
    ).replace(**changes)


@pytest.mark.parametrize("start", [{}, dict.fromkeys(("alpha", "beta", "gamma", "delta", "h0", "l0"), 1.0)])
def test_lotka_volterra_on_measured_pelts_contains_the_published_values_from_poor_starts(start):
    data, names = lynx_and_hare(), ["alpha", "beta", "gamma", "delta", "h0", "l0"]
    fit = classical.identify(pelts(**start), data, names, noise_model="multiplicative")
    assert fit.success, fit.message
    for name, value in {"alpha": 0.55, "beta": 0.028, "gamma": 0.84, "delta": 0.026}.items():
        assert fit.parameters[name].contains(value), (name, fit.parameters[name])
        assert fit.parameters[name].standard_error < 0.2 * value
    assert all(0.2 < sigma < 0.3 for sigma in fit.noise.values())


def scattered_burgers(noise: float, seed: int) -> dict[str, np.ndarray]:
    path = DATA / "raissi_burgers.mat"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the repository")
    from scipy.io import loadmat

    file = loadmat(path)
    x, t, u = file["x"].ravel(), file["t"].ravel(), file["usol"]
    rng = np.random.default_rng(seed)
    i, j = np.unravel_index(rng.choice(u.size, 2000, replace=False), u.shape)
    return {"x": x[i], "t": t[j], "u": u[i, j] + noise * u.std() * rng.standard_normal(2000)}


@pytest.mark.slow
def test_viscosity_of_burgers_from_2000_clean_points_is_right_to_nine_digits():
    problem = sciml.load("burgers").replace(nu=math.exp(-6))
    fit = classical.identify(problem, scattered_burgers(0, 0), ["nu"])
    assert fit.success, fit.message
    assert fit.parameters["nu"].value == pytest.approx(0.01 / math.pi, rel=1e-9)


@pytest.mark.slow
def test_viscosity_of_burgers_from_2000_points_with_one_percent_of_noise_is_right_within_its_interval():
    problem = sciml.load("burgers").replace(nu=math.exp(-6))
    fit = classical.identify(problem, scattered_burgers(0.01, 0), ["nu"])
    nu = fit.parameters["nu"]
    assert fit.success, fit.message
    assert nu.contains(0.01 / math.pi)
    assert nu.standard_error == pytest.approx(0.004 * 0.01 / math.pi, rel=0.1)
