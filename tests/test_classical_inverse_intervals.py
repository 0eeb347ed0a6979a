"""Claims about standard errors and intervals of identified numbers: closed forms, published and measured data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

import sciml
from decay_problem import decay
from sciml import Problem, classical

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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
