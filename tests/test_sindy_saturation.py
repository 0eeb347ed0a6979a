"""Saturating terms with inner constants, found without a setting, and not where a polynomial is the law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit
from scipy.special import lambertw

from sciml import sindy
from sciml.discovery_report import describe_law
from sciml.sindy.libraries import PolynomialLibrary
from sciml.sindy.saturation import Saturation, library_with


def _predators(count: int = 300, last: float = 45.0, capacity: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    def slope(_: float, s: np.ndarray) -> list[float]:
        eaten = 1.5 * s[0] * s[1] / (1 + s[0])
        return [s[0] * (1 - s[0] / capacity) - eaten, 0.6 * eaten - 0.4 * s[1]]

    t = np.linspace(0, last, count)
    return t, solve_ivp(slope, (0, last), [1.5, 1.0], "DOP853", t, rtol=1e-10, atol=1e-12).y.T


def _noisy(x: np.ndarray, level: float) -> np.ndarray:
    return x + level * np.sqrt(np.mean(x**2, axis=0)) * np.random.default_rng(0).normal(size=x.shape)


def test_the_terms_of_a_saturation_in_the_notation() -> None:
    assert Saturation("x", 1, 0.5).texts(("x", "y")) == ("x/(0.5 + x)", "x*y/(0.5 + x)")
    assert Saturation("y", 2, 1e6).texts(("x", "y")) == ("y**2/(1000000 + y**2)", "y**2*x/(1000000 + y**2)")
    library = library_with([Saturation("x", 1, 2.0), Saturation("x", 2, 3.0)], ("x",))
    assert [term.text for term in library.terms(("x",))] == [
        *(term.text for term in PolynomialLibrary(2).terms(("x",))),
        "x/(2 + x)",
        "x**2/(3 + x**2)",
    ]


def test_a_predator_s_half_saturation_is_found_under_noise() -> None:
    t, x = _predators()
    law = sindy.discover(t, _noisy(x, 0.01), names="x,y")
    fraction = next(term for term in law.coefficients["y"] if "/" in term)
    half = float(fraction.split("(")[1].split("+")[0])
    assert fraction == f"x*y/({half:.12g} + x)"
    assert half == pytest.approx(1, rel=0.05)
    assert set(law.coefficients["x"]) == {"x", "x**2", fraction}
    assert set(law.coefficients["y"]) == {"y", fraction}
    assert law.coefficients["x"][fraction] == pytest.approx(-1.5, rel=0.03)
    assert law.trusted
    # What was found is a function like any other.
    assert law.predict(np.array([1.0, 1.0])) == pytest.approx([0.0, 0.05], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [2.5, 4.0])
def test_clean_data_give_the_half_saturation_to_eight_digits(capacity: float) -> None:
    # At 2.5 the orbit falls into a fixed point, and twelve monomials explain the record: they were trusted.
    law = sindy.discover(*_predators(400, 60.0, capacity), names="x,y")
    fraction = next(term for term in law.coefficients["y"] if "/" in term)
    assert float(fraction.split("(")[1].split("+")[0]) == pytest.approx(1, rel=1e-8)
    assert set(law.coefficients["x"]) == {"x", "x**2", fraction}
    assert set(law.coefficients["y"]) == {"y", fraction}
    assert law.trusted


def test_a_law_with_cubes_stays_a_polynomial() -> None:
    def slope(_: float, s: np.ndarray) -> list[float]:
        return [s[1], 1.5 * (1 - s[0] ** 2) * s[1] - s[0]]

    t = np.linspace(0, 25, 400)
    x = solve_ivp(slope, (0, 25), [1.0, 0.5], "DOP853", t, rtol=1e-10, atol=1e-12).y.T
    law = sindy.discover(t, _noisy(x, 0.02), names="x,y")
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"x": {"y"}, "y": {"x", "y", "x**2*y"}}
    assert law.trusted


def test_errors_count_that_the_inner_constant_is_not_known() -> None:
    # Michaelis and Menten's law has a solution in closed form, so least squares for rate, half-saturation and start is
    # the same problem: as strict as a law that holds exactly.
    t = np.linspace(0, 5, 200)

    def solution(t: np.ndarray, rate: float, half: float, start: float) -> np.ndarray:
        return half * np.real(lambertw(start / half * np.exp((start - rate * t) / half)))

    x = solution(t, 2.0, 0.5, 3.0)
    y = x + 0.02 * np.random.default_rng(1).normal(size=x.shape)
    law = sindy.discover(t, y[:, None], names="x")
    ((term, rate),) = law.coefficients["x"].items()
    numbers, covariance = curve_fit(solution, t, y, p0=[2.0, 0.5, 3.0])
    errors = np.sqrt(np.diag(covariance))
    assert -rate == pytest.approx(numbers[0], abs=0.2 * errors[0])
    assert law.standard_errors["x"][term] == pytest.approx(errors[0], rel=0.15)
    ((below, relative),) = law.diagnostics["inner_constants"].items()
    assert term == f"x/({below})"
    assert float(below.split(" + ")[0]) == pytest.approx(numbers[1], abs=0.2 * errors[1])
    assert relative * numbers[1] == pytest.approx(errors[1], rel=0.15)
    assert f"estimated with them: {below.split(' + ')[0]}" in describe_law(law)
