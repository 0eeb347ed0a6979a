"""Identification by networks: the derivatives of its objective, exact recoveries, honest intervals, resumption."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml import Problem, pinn
from sciml.errors import ArgumentError
from sciml.observations import Observations
from sciml.pinn.inverse_objective import InverseObjective
from sciml.pinn.inverse_setup import prepared
from sciml.unknowns import unknowns_of

ROUNDING = 1e-6


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def objective_of(problems, observations, unknown, bounds=None, multiplicative=False):
    unknowns = unknowns_of(problems, unknown, bounds)
    setup = prepared(
        problems, observations, unknowns, multiplicative, torch.Generator().manual_seed(3), torch.float64,
        torch.device("cpu"), "5x2",
    )  # fmt: skip
    objective = InverseObjective(
        setup.experiments, setup.quantities, dict.fromkeys(setup.sizes, 0.3), 0.7, multiplicative
    )
    objective.draw(20)
    objective.scale()
    for f in setup.quantities.functions.values():
        for p in f.trained:
            p.data.normal_(generator=torch.Generator().manual_seed(5))
    return objective


def scattered(box, count=15, seed=0, positive=False):
    rng = np.random.default_rng(seed)
    points = rng.uniform(box.lower, box.upper, (count, box.dimension))
    values = rng.uniform(0.5, 1.5, count) if positive else rng.normal(size=count)
    return points, values


def field_problem(equation, unknown, conditions=(), **declared):
    return Problem(equation, list(conditions), {"x": (-1, 1), "t": (0, 1)}, **declared), unknown


CASES = {
    "two numbers": field_problem("u_t + a*u*u_x = nu*u_xx", ["a", "nu"], parameters={"a": 1.5, "nu": 0.1}),
    "a function of a coordinate": field_problem("u_t = d(k(x)*u_x, x)", ["k"], functions=["k(x)"]),
    "a function of two coordinates": field_problem("u_t = k*u_xx + k_t", ["k"], functions=["k(x, t)"]),
    "a function of the unknown": field_problem("u_t = u_xx + f(u)", ["f"], functions=["f(u)"]),
    "its derivative along x": field_problem("u_t = d(f(u)*u_x, x)", ["f"], functions=["f(u)"]),
    "a number and a function": field_problem(
        "u_t = nu*u_xx + f(u)*u_x", ["nu", "f"], parameters={"nu": 0.3}, functions=["f(u)"]
    ),
    "a number in a condition": field_problem(
        "u_t = nu*u_xx", ["b", "nu"], ["u(-1, t) = b*t", "u(1, t) = 0"], parameters={"nu": 0.3, "b": 2.0}
    ),
    "exact conditions": field_problem(
        "u_t = nu*u_xx", ["nu"], ["u(x, 0) = sin(pi*x)", "u(-1, t) = 0", "u(1, t) = 0"], parameters={"nu": 0.3}
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("multiplicative", [False, True])
def test_the_jacobian_is_the_derivative_of_the_residuals(case, multiplicative):
    problem, unknown = CASES[case]
    points, values = scattered(problem.domain, positive=multiplicative)
    data = Observations(points, {"u": values})
    assert objective_of([problem], [data], unknown, None, multiplicative).check() < ROUNDING


@pytest.mark.parametrize("bounds", [None, {"nu": (0, None)}, {"nu": (None, 2)}, {"nu": (0, 1)}])
def test_the_jacobian_knows_the_bounds(bounds):
    problem, unknown = CASES["two numbers"]
    points, values = scattered(problem.domain)
    assert objective_of([problem], [Observations(points, {"u": values})], unknown, bounds).check() < ROUNDING


def test_the_jacobian_of_several_experiments_and_observed_derivatives():
    problem, unknown = CASES["two numbers"]
    points, values = scattered(problem.domain)
    some = np.where(np.arange(15) % 3 == 0, np.nan, values)
    data = [Observations(points, {"u": values}), Observations(points, {"u": some, "u_x": values})]
    objective = objective_of([problem, problem], data, unknown)
    assert objective.sizes()["[2] data u"] == 10
    assert objective.check() < ROUNDING


def test_the_data_part_of_the_loss_is_chi_squared_per_datum():
    problem, unknown = CASES["two numbers"]
    points, values = scattered(problem.domain)
    objective = objective_of([problem], [Observations(points, {"u": values})], unknown)
    terms = objective.evaluate().terms
    misfit = objective.misfits()["u"]
    assert terms["data u"] * objective.weight("data u") == pytest.approx((misfit / 0.3) ** 2)


def decay(start=0.5):
    return Problem("y' = -k*y", [], {"t": (0, 2)}, {"k": start})


def decay_data(noise=0.0, seed=0, count=21, rate=1.3):
    t = np.linspace(0, 2, count)
    return {"t": t, "y": 3 * np.exp(-rate * t) + noise * np.random.default_rng(seed).standard_normal(count)}


def test_exact_data_give_the_rate_to_six_digits():
    fit = pinn.identify(decay(), decay_data(), ["k"])
    assert fit.success
    assert fit.parameters["k"].value == pytest.approx(1.3, rel=1e-6)
    assert fit.solution(1.0) == pytest.approx(3 * np.exp(-1.3), rel=1e-6)


def test_noisy_data_give_the_estimate_and_the_error_of_nonlinear_regression():
    data = decay_data(0.05, seed=4)
    fit = pinn.identify(decay(), data, ["k"])
    t, y = data["t"], data["y"]
    from scipy.optimize import curve_fit

    best, covariance = curve_fit(lambda t, a, k: a * np.exp(-k * t), t, y, p0=[3, 1])
    own = fit.parameters["k"]
    assert own.value == pytest.approx(best[1], rel=2e-4)
    assert own.standard_error == pytest.approx(covariance[1, 1] ** 0.5, rel=0.02)
    assert fit.freedom == pytest.approx(19, abs=0.1)
    low, high = own.interval
    assert own.value - low == pytest.approx(2.093 * own.standard_error, rel=1e-3)  # Student's t with 19 degrees
    assert high > own.value


def test_a_given_noise_scales_the_standard_error():
    data = decay_data(0.05, seed=4)
    errors = [pinn.identify(decay(), data, ["k"], noise=s).parameters["k"].standard_error for s in (0.05, 0.1)]
    assert errors[1] == pytest.approx(2 * errors[0], rel=0.02)


def test_multiplicative_noise_is_regression_of_the_logarithm():
    t = np.linspace(0, 2, 21)
    y = 3 * np.exp(-1.3 * t + 0.1 * np.random.default_rng(2).standard_normal(21))
    fit = pinn.identify(decay(), {"t": t, "y": y}, ["k"], noise_model="multiplicative")
    slope, intercept = np.polyfit(t, np.log(y), 1)
    rest = np.log(y) - slope * t - intercept
    sigma = (rest @ rest / 19) ** 0.5
    assert fit.parameters["k"].value == pytest.approx(-slope, rel=1e-3)
    assert fit.noise["y"] == pytest.approx(sigma, rel=0.01)
    assert fit.parameters["k"].standard_error == pytest.approx(sigma / (21 * t.var()) ** 0.5, rel=0.02)


def test_a_number_in_the_initial_condition_is_found():
    problem = Problem("y' = -k*y", ["y(0) = a"], {"t": (0, 2)}, {"k": 0.5, "a": 1.0})
    fit = pinn.identify(problem, decay_data(), ["k", "a"])
    assert fit.parameters["a"].value == pytest.approx(3.0, rel=1e-5)
    assert fit.parameters["k"].value == pytest.approx(1.3, rel=1e-5)


def test_two_experiments_share_the_rate():
    t = np.linspace(0, 2, 11)
    data = [{"t": t, "y": a * np.exp(-1.3 * t)} for a in (3.0, -0.4)]
    fit = pinn.identify(decay(), data, ["k"])
    assert fit.parameters["k"].value == pytest.approx(1.3, rel=1e-5)
    assert fit.solutions[1](0.0) == pytest.approx(-0.4, rel=1e-4)


def test_a_product_of_two_numbers_is_named_as_undetermined():
    problem = Problem("y' = -k*m*y", [], {"t": (0, 2)}, {"k": 0.5, "m": 2.0})
    fit = pinn.identify(problem, decay_data(0.01), ["k", "m"], budget=10)
    assert len(fit.undetermined) == 1
    assert set(fit.undetermined[0]) == {"k", "m"}
    assert fit.parameters["k"].value * fit.parameters["m"].value == pytest.approx(1.3, rel=0.01)


def test_a_function_of_the_state_is_found():
    problem = Problem("y' = f(y)", [], {"t": (0, 6)}, functions=["f(y)"])
    t = np.linspace(0, 6, 61)
    y = 1 / (1 + 9 * np.exp(-t))
    fit = pinn.identify(problem, {"t": t, "y": y}, ["f"])
    states = np.linspace(0.1, 0.99, 50)
    assert np.abs(fit.functions["f"](states) - states * (1 - states)).max() < 2e-3


def test_equal_seeds_give_equal_fits_and_a_fit_resumes():
    fits = [pinn.identify(decay(), decay_data(0.02), ["k"], seed=3, iterations=80, budget=None) for _ in range(2)]
    assert fits[0].parameters["k"] == fits[1].parameters["k"]
    again = pinn.identify(decay(), decay_data(0.02), ["k"], start=fits[0])
    assert again.parameters["k"].value == pytest.approx(fits[0].parameters["k"].value, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"unknown": ["q"]}, "q"),
        ({"unknown": []}, "at least one"),
        ({"tol": -1}, "tol"),
        ({"budget": 0}, "budget"),
        ({"network": 3}, "network"),
        ({"noise": -1}, "noise"),
        ({"noise_model": "poisson"}, "noise_model"),
        ({"bounds": {"k": (2, 1)}}, "bounds"),
        ({"dtype": "int"}, "dtype"),
    ],
)
def test_wrong_arguments_are_named(arguments, text):
    with pytest.raises(ArgumentError, match=text):
        pinn.identify(decay(), decay_data(), **{"unknown": ["k"], **arguments})


def test_problems_and_data_sets_must_pair_up():
    with pytest.raises(ArgumentError, match="one for each problem"):
        pinn.identify([decay(), decay()], decay_data(), ["k"])
