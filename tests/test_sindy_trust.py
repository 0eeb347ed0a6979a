"""When a law is trusted: what it leaves must be independent noise, and its own solution must stay with the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.io import loadmat

from sciml import sindy
from sciml.sindy.evaluation import stiff_rest
from sciml.sindy.reproduction import correlations, reach

WAKE = Path(__file__).parents[2] / "shared" / "data" / "cylinder_wake_pod.mat"
WHOLE = [slice(0, 4000)]


def _lorenz(count: int) -> tuple[np.ndarray, np.ndarray]:
    def slope(_: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    t = 0.01 * np.arange(count)
    return t, solve_ivp(slope, (0, t[-1]), [-8.0, 7.0, 27.0], "DOP853", t, rtol=1e-11, atol=1e-12).y.T


def _coloured(shape: tuple[int, ...], memory: float) -> np.ndarray:
    noise = np.random.default_rng(3).normal(size=shape)
    for k in range(1, len(noise)):
        noise[k] = memory * noise[k - 1] + np.sqrt(1 - memory**2) * noise[k]
    return noise


def test_products_of_neighbours_are_standard_normal_for_independent_residuals() -> None:
    found = correlations(np.random.default_rng(0).normal(size=(1000, 500)), [slice(0, 1000)])
    assert found.shape == (2, 500)
    assert abs(found.mean()) < 0.1
    assert found.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("lag", [1, 2])
def test_products_of_neighbours_show_memory_in_any_unit(lag: int) -> None:
    white = np.random.default_rng(1).normal(size=(4000, 1))
    residuals = 1e-6 * (white + np.roll(white, lag, axis=0))
    found = correlations(residuals, WHOLE)[:, 0]
    # Half of the variance is shared.
    assert found[lag - 1] == pytest.approx(0.5 * np.sqrt(4000), rel=0.1)
    assert abs(found[2 - lag]) < 4


def test_products_never_join_two_records_and_pass_over_what_is_missing() -> None:
    residuals = np.array([[1.0], [np.nan], [1.0], [-1.0], [1.0]])
    parts = [slice(0, 3), slice(3, 5)]
    found = correlations(residuals, parts)
    assert found[0, 0] == pytest.approx(-1.0)
    assert found[1, 0] == pytest.approx(1.0)
    assert (correlations(np.zeros((5, 1)), parts) == 0).all()


def test_reach_is_the_solution_s_distance_over_the_data_s() -> None:
    t = np.linspace(0, 10, 101)
    states = np.stack([np.cos(t), np.sin(t)], 1)
    assert reach(lambda _, s: [-s[1], s[0]], states, t) == pytest.approx(1, abs=0.01)
    # From (1, 0) to (-1, 0), seen from the middle (0.4, 0) of data of half the width 0.6.
    smaller = 0.6 * states + np.array([0.4, 0.0])
    assert reach(lambda _, s: [-2 * s[1], s[0] / 2], smaller, t) == pytest.approx(1.4 / 0.6, abs=0.1)
    assert reach(lambda _, s: [s[0], s[1]], states, t) == np.inf
    assert reach(lambda _, s: [s[0] ** 3 + 1, s[1]], states, t) == np.inf
    # The root has no value from a half on.
    assert reach(lambda time, _: [np.sqrt(0.5 - time), 0.0], states, t) == np.inf


def test_a_law_under_coloured_noise_is_not_trusted_and_under_white_noise_it_is() -> None:
    t, x = _lorenz(500)
    size = 0.02 * np.sqrt(np.mean(x**2, axis=0))
    white = sindy.discover(t, x + size * _coloured(x.shape, 0.0), degree=2)
    assert white.trusted
    assert max(white.diagnostics["coherence"].values()) < 5
    coloured = sindy.discover(t, x + size * _coloured(x.shape, 0.8), degree=2)
    assert not coloured.trusted
    assert max(coloured.diagnostics["coherence"].values()) > 5 or coloured.diagnostics["misfit"] > 1e-3


@pytest.mark.slow
@pytest.mark.skipif(not WAKE.exists(), reason="the cylinder's wake (cylinder_wake_pod.mat) is not there")
@pytest.mark.parametrize(("stride", "degree"), [(25, 2), (25, 3)])
def test_no_law_of_the_wake_s_modes_is_trusted_that_leaves_the_data(stride: int, degree: int) -> None:
    # Three modes of a flow obey no law of their own exactly; a cubic one once passed with coherent residuals.
    table = loadmat(WAKE)
    x = np.column_stack([table["alpha"][::stride, :2], table["alphaS"][::stride, 0]])
    t = 0.02 * stride * np.arange(len(x))
    law = sindy.discover(t, x, degree=degree)
    assert not law.trusted
    assert law.diagnostics["reason"]


def test_the_implicit_method_ends_before_a_pole_and_where_there_are_no_rates() -> None:
    times = np.array([0.05, 0.5, 1.0])
    assert len(stiff_rest(lambda _, s: np.full(2, np.nan), (0.0, 1.0), np.ones(2), times, 1e-8, 1e-8)) == 0
    # y' = 10 y^2 has its pole at 0.1.
    pole = stiff_rest(lambda _, s: 10 * s**2, (0.0, 1.0), np.ones(2), times, 1e-8, 1e-8)
    assert pole == pytest.approx(np.full((1, 2), 2.0), rel=1e-5)
    decay = stiff_rest(lambda _, s: -20 * s, (0.0, 1.0), np.ones(2), times, 1e-8, 1e-10)
    assert decay == pytest.approx(np.exp(-20 * times)[:, None] * np.ones(2), abs=1e-6)


def _around(reference: float) -> sindy.Discovery:
    t = np.linspace(0, 20, 400)
    x = np.stack([np.cos(t), -np.sin(t)], axis=1) + 0.007 * np.random.default_rng(0).normal(size=(400, 2))
    return sindy.discover(t, x + reference, degree=2)


@pytest.mark.parametrize("reference", [30.0, 300.0])
def test_unknowns_some_way_from_zero_are_found_with_their_constants(reference: float) -> None:
    law = _around(reference)
    assert law.trusted
    assert [set(law.coefficients[name]) for name in "xy"] == [{"1", "y"}, {"1", "x"}]
    assert law.coefficients["y"]["1"] == pytest.approx(reference, rel=0.01)


@pytest.mark.parametrize("reference", [1e4, -1e6])
def test_unknowns_far_from_zero_are_not_trusted_and_a_value_nearby_is_asked_for(reference: float) -> None:
    law = _around(reference)
    assert not law.trusted
    assert "measure them from a value nearby" in law.message
