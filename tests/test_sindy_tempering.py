"""Data that show no noise and are inexact all the same: a loose integrator's, and functions that were not offered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml import sindy

Slope = Callable[[float, np.ndarray], list[float]]

LAWS: dict[str, tuple[Slope, list[float], float, list[set[str]], dict]] = {
    "Lotka-Volterra": (
        lambda _, s: [s[0] - 0.5 * s[0] * s[1], -0.75 * s[1] + 0.25 * s[0] * s[1]],
        [2, 1],
        20,
        [{"x", "x*y"}, {"y", "x*y"}],
        {"degree": 3},
    ),
    "an epidemic": (
        lambda _, s: [-2 * s[0] * s[1], 2 * s[0] * s[1] - 0.5 * s[1]],
        [0.99, 0.01],
        20,
        [{"x*y"}, {"y", "x*y"}],
        {"degree": 3},
    ),
    "a pendulum": (
        lambda _, s: [s[1], -np.sin(s[0]) - 0.1 * s[1]],
        [2, 0],
        20,
        [{"y"}, {"y", "sin(x)"}],
        {},
    ),
    "Lorenz": (
        lambda _, s: [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]],
        [-8, 7, 27],
        8,
        [{"x", "y"}, {"x", "y", "x*z"}, {"z", "x*y"}],
        {"degree": 3},
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_loose_integrator_s_data_give_the_terms_that_matter_and_no_trust(name: str) -> None:
    slope, first, end, terms, asked = LAWS[name]
    t = np.linspace(0, end, 400 if end == 20 else 800)
    x = solve_ivp(slope, (0, end), first, t_eval=t, rtol=1e-3).y.T
    law = sindy.discover(t, x, **asked)
    assert [set(law.coefficients[unknown]) for unknown in law.names] == terms
    assert not law.trusted
    assert law.diagnostics["assumption"] == "inexact data"
    assert "rtol" in law.message


def test_exact_data_of_the_same_law_are_trusted_and_an_integrator_s_last_digits_are_no_term() -> None:
    slope, first, end, terms, asked = LAWS["Lotka-Volterra"]
    t = np.linspace(0, end, 400)
    law = sindy.discover(t, solve_ivp(slope, (0, end), first, t_eval=t, rtol=1e-9).y.T, **asked)
    assert law.trusted
    assert [set(law.coefficients[unknown]) for unknown in law.names] == terms
    assert law.diagnostics["assumption"] == "independent noise"


def test_a_law_that_is_only_near_to_data_without_noise_is_not_trusted() -> None:
    """A tank empties with sqrt(x); over a decade, logarithms follow it to 3e-4, where noise could not be told."""
    t = np.linspace(0, 4, 200)
    x = (np.sqrt(40) - 0.4 * t)[:, None] ** 2
    offered = sindy.PolynomialLibrary(3) + sindy.LogarithmicLibrary()
    law = sindy.discover(t, x, library=offered)
    assert not law.trusted
    assert "show no noise" in law.message
    assert np.max(np.abs(law.predict(x)[:, 0] + 0.8 * np.sqrt(x[:, 0]))) < 0.05


def test_a_tank_that_empties_is_found_with_its_root() -> None:
    t = np.linspace(0, 4, 200)
    x = (np.sqrt(40) - 0.4 * t)[:, None] ** 2
    law = sindy.discover(t, x)
    assert law.trusted
    assert set(law.coefficients["x"]) == {"sqrt(x)"}
    assert law.coefficients["x"]["sqrt(x)"] == pytest.approx(-0.8, abs=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize(
    ("term", "force"), [("y*abs(y)", lambda v: v * abs(v)), ("sign(y)", lambda v: np.tanh(1e3 * v))]
)
def test_drag_and_friction_are_found_without_being_offered(
    term: str, force: Callable[[float], float], noise: float
) -> None:
    t = np.linspace(0, 10, 400)
    slope = lambda _, s: [s[1], -4 * s[0] - 0.3 * force(s[1])]  # noqa: E731
    x = solve_ivp(slope, (0, 10), [3, 0], "LSODA", t_eval=t, rtol=1e-10, atol=1e-12).y.T
    law = sindy.discover(t, x + noise * x.std(axis=0) * np.random.default_rng(0).normal(size=x.shape))
    assert set(law.coefficients["x"]) == {"y"}
    assert set(law.coefficients["y"]) == {"x", term}
    assert law.coefficients["y"][term] == pytest.approx(-0.3, rel=0.02)
    assert law.trusted
