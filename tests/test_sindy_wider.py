"""A law is asked whether a term that was not offered would explain the data better."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml import sindy

SAMPLES = 400


def _softening(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A damped oscillation whose spring is a little harder at large x; without x**3 noise explains the rest."""
    t = np.linspace(0, 20, SAMPLES)
    slope = lambda _, s: (s[1], -s[0] - 0.05 * s[1] - 0.022 * s[0] ** 3)  # noqa: E731
    x = solve_ivp(slope, (0, 20), (1.5, 0), t_eval=t, rtol=1e-9, atol=1e-9).y.T
    return t, x + 0.05 * np.random.default_rng(seed).normal(size=x.shape)


@pytest.mark.parametrize(
    "offered",
    [{"degree": 1}, {"degree": 2}, {"library": ["x", "y"]}, {"library": {"x": ["y"], "y": ["x", "y", "y**2"]}}],
)
def test_a_library_without_a_true_term_is_not_trusted_and_the_term_is_named(offered: dict) -> None:
    law = sindy.discover(*_softening(5), **offered)
    assert not law.trusted
    found = law.diagnostics["outside"]
    assert (found["term"], found["unknown"]) == ("x**3", "y")
    assert found["ahead"] > 0
    assert "x**3 in the equation of y" in law.message
    with_it = sindy.discover(*_softening(5), degree=3)
    assert with_it.trusted
    assert set(with_it.coefficients["y"]) == {"x", "y", "x**3"}


def test_the_right_law_is_asked_and_stays_trusted() -> None:
    law = sindy.discover(*_softening(5), library=["x", "y", "x**3"])
    assert law.trusted
    assert law.diagnostics["outside"]["ahead"] < 0
    assert law.diagnostics["outside"]["term"] not in {"x", "y", "x**3"}


@pytest.mark.parametrize(
    "said",
    [
        {"degree": 3, "forbidden": {"y": ["x**3"], "x": []}},
        {"degree": 1, "known": "y' = -1.0075*x - 0.0505*y - 0.023*x**3"},
    ],
)
def test_what_the_user_knows_is_not_asked_again(said: dict) -> None:
    found = sindy.discover(*_softening(5), **said).diagnostics["outside"]
    assert found is None or (found["term"], found["unknown"]) != ("x**3", "y")


def test_data_without_noise_and_few_data_are_not_asked() -> None:
    t = np.linspace(0, 10, 300)
    x = np.stack([np.cos(2 * t), -np.sin(2 * t)], axis=1)
    law = sindy.discover(t, x, degree=1)
    assert law.trusted
    assert law.diagnostics["outside"] is None
