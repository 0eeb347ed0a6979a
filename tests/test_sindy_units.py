"""A law is the same in all units: of the time, and of each unknown for itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from benchmarks.discovery import lorenz, noisy
from sciml import sindy
from sciml.sindy.competition import system_of
from sciml.sindy.libraries import ExponentialLibrary, PolynomialLibrary, TrigonometricLibrary
from sciml.sindy.reproduction import reach
from sciml.sindy.request import request_of
from sciml.sindy.samples import prepare
from sciml.sindy.screening import told_apart

FACTORS = [
    (1e-6, (1e6, 1e6, 1e6)),
    (1e6, (1e-6, 1e-6, 1e-6)),
    (1.0, (1e6, 1.0, 1e-6)),
    (3.7e3, (0.2, 1e-6, 11.0)),
]


def _value(term: str, units: dict[str, float]) -> float:
    """Return what one unit of a monomial is."""
    result = 1.0
    for factor in [] if term == "1" else term.replace("**", "^").split("*"):
        name, _, power = factor.partition("^")
        result *= units[name] ** int(power or 1)
    return result


def _assert_same(law: sindy.Discovery, other: sindy.Discovery, time: float, factors: tuple[float, ...]) -> None:
    units = dict(zip(law.names, factors, strict=True))
    for name, terms in law.coefficients.items():
        assert set(other.coefficients[name]) == set(terms)
        for term, value in terms.items():
            factor = units[name] / time / _value(term, units)
            assert other.coefficients[name][term] == pytest.approx(value * factor, rel=1e-8)
            assert other.standard_errors[name][term] == pytest.approx(
                law.standard_errors[name][term] * factor, rel=1e-6
            )
    assert other.trusted == law.trusted
    assert other.diagnostics["weight"] == pytest.approx(law.diagnostics["weight"], rel=1e-4)
    assert other.diagnostics["farthest"] == pytest.approx(law.diagnostics["farthest"], rel=1e-4)


@pytest.fixture(scope="module")
def chaos() -> tuple[np.ndarray, np.ndarray, sindy.Discovery]:
    t = 0.01 * np.arange(500)
    x = noisy(lorenz(t), 0.01, 0)
    law = sindy.discover(t, x, names="x,y,z", degree=2)
    assert law.trusted
    return t, x, law


@pytest.mark.parametrize(("time", "factors"), FACTORS)
def test_the_law_its_errors_and_its_trust_are_the_same_in_other_units(chaos, time, factors) -> None:
    t, x, law = chaos
    other = sindy.discover(t * time, x * np.array(factors), names="x,y,z", degree=2)
    _assert_same(law, other, time, factors)


@pytest.mark.slow
@pytest.mark.parametrize(("time", "factors"), [(1e-6, (1e6, 1e6)), (1.0, (1e6, 1e-6)), (1e6, (1e-6, 1e-6))])
def test_functions_that_nobody_asked_for_win_in_no_unit(time, factors) -> None:
    # In units of 1e-6 a law with 4e27 sin(x) was the answer to van der Pol's oscillator.
    def slope(_: float, s: np.ndarray) -> list[float]:
        return [s[1], 1.5 * (1 - s[0] ** 2) * s[1] - s[0]]

    t = np.linspace(0, 30, 500)
    x = noisy(solve_ivp(slope, (0, 30), [1.0, 0.5], "DOP853", t, rtol=1e-10, atol=1e-12).y.T, 0.01, 0)
    law = sindy.discover(t, x, names="x,y")
    assert law.trusted
    _assert_same(law, sindy.discover(t * time, x * np.array(factors), names="x,y"), time, factors)


def test_how_far_a_solution_goes_is_the_same_in_other_units() -> None:
    t = np.linspace(0, 10, 101)
    states = np.stack([2 + np.cos(t), np.sin(t)], 1)
    far = reach(lambda _, s: [-s[1] / 1.5, 1.5 * (s[0] - 2)], states, t)
    assert far == pytest.approx(1.5, abs=0.1)
    factors = np.array([1e6, 1e-6])

    def slope(_: float, s: np.ndarray) -> np.ndarray:
        own = s / factors
        return np.array([-own[1] / 1.5, 1.5 * (own[0] - 2)]) * factors / 1e-6

    assert reach(slope, states * factors, t * 1e-6) == pytest.approx(far, rel=1e-9)


@pytest.mark.parametrize(("unit", "kept"), [(1e-6, False), (1.0, True), (1e4, False)])
def test_a_sine_is_offered_where_the_states_tell_it_from_a_cubic_and_resolve_it(unit: float, kept: bool) -> None:
    t = np.linspace(0, 20, 400)
    x = unit * np.stack([np.cos(t), np.sin(t)], 1)
    request = request_of(t, x, "x,y", None, None, None, None, None, None, False, None, 0)
    samples = prepare(request)
    system = told_apart(system_of(request, samples, PolynomialLibrary(3) + TrigonometricLibrary()), samples.smooth)
    functions = np.array([term.exponents is None for term in system.basis.terms])
    assert system.allowed[~functions].all()
    assert system.allowed[functions].all() == kept
    assert system.allowed[functions].any() == kept


def test_a_library_with_a_term_without_a_value_is_not_offered() -> None:
    t = np.linspace(0, 20, 400)
    request = request_of(t, 1e4 * np.cos(t), "x", None, None, None, None, None, None, False, None, 0)
    samples = prepare(request)
    system = told_apart(system_of(request, samples, PolynomialLibrary(3) + ExponentialLibrary()), samples.smooth)
    functions = np.array([term.exponents is None for term in system.basis.terms])
    assert not system.allowed[functions].any()
    assert system.allowed[~functions].all()
