"""Bursts, spikes and noise: what the smoother takes for garbage, and when a model error counts as proven."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml import sindy
from sciml.sindy.request import request_of
from sciml.sindy.samples import Samples, prepare
from sciml.sindy.smoothing import difference_noise

BOUNDS = np.array([0, 1000])


def _prepared(x: np.ndarray) -> Samples:
    return prepare(request_of(0.01, x, None, None, 1, None, None, None, None, False, None, 0))


def _bursts(seed: int = 0, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    k = np.arange(1000)[:, None]
    clean = sum(np.exp(-(((k - middle) / 3.0) ** 2)) for middle in range(60, 1000, 125))
    clean = clean / np.sqrt(np.mean(clean**2))
    return clean, clean + noise * np.random.default_rng(seed).normal(size=clean.shape)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.001, 0.05])
def test_high_differences_show_the_noise_under_a_curve_with_bursts(seed: int, noise: float) -> None:
    _, noisy = _bursts(seed, noise)
    used = np.ones(1000, dtype=bool)
    found = difference_noise(noisy[:, 0], used, np.arange(1000.0), BOUNDS)
    assert found == pytest.approx(noise, rel=0.2)
    assert difference_noise(3 * noisy[:, 0], used, 7 * np.arange(1000.0), BOUNDS) == pytest.approx(3 * found, rel=1e-12)


def test_differences_across_gaps_and_records_do_not_count() -> None:
    noisy = 0.1 * np.random.default_rng(0).normal(size=1000)
    used = np.ones(1000, dtype=bool)
    two = noisy + np.where(np.arange(1000) < 500, 0.0, 1e6)
    found = difference_noise(two, used, np.arange(1000.0), np.array([0, 500, 1000]))
    assert found == pytest.approx(0.1, rel=0.2)
    spoilt = noisy.copy()
    spoilt[::20], used[::20] = np.nan, False
    assert difference_noise(spoilt, used, np.arange(1000.0), BOUNDS) == pytest.approx(0.1, rel=0.2)


def test_few_or_uneven_times_have_no_differences() -> None:
    rng = np.random.default_rng(0)
    used = np.ones(1000, dtype=bool)
    assert math.isnan(difference_noise(rng.normal(size=1000), used, np.sort(rng.uniform(0, 1000, 1000)), BOUNDS))
    assert math.isnan(difference_noise(rng.normal(size=50), used[:50], np.arange(50.0), np.array([0, 50])))


@pytest.mark.parametrize("seed", range(3))
def test_bursts_are_no_garbage(seed: int) -> None:
    clean, noisy = _bursts(seed)
    samples = _prepared(noisy)
    assert samples.rejected.sum() <= 3
    error = samples.smooth * samples.scales - clean
    # Not smoothed at all, the error would be the noise.
    assert np.sqrt(np.mean(error**2)) < 0.0105
    assert samples.noise[0] == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("seed", range(3))
def test_independent_garbage_is_still_garbage(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sin(0.05 * np.arange(1000))[:, None] + 0.02 * rng.normal(size=(1000, 1))
    spoilt = rng.random((1000, 1)) < 0.15
    samples = _prepared(np.where(spoilt, rng.uniform(-2, 2, (1000, 1)), x))
    assert (samples.rejected & spoilt).sum() > 0.85 * spoilt.sum()
    assert (samples.rejected & ~spoilt).sum() <= 5


def _flares(count: int) -> tuple[np.ndarray, np.ndarray]:
    # Liu and Chen (2004): y and z rest near zero and flare up within two sampling intervals.
    def slope(_: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [0.4 * x + y * z, -x * z - 12 * y, -x * y - 5 * z]

    t = 0.08 * np.arange(count)
    x = solve_ivp(slope, (0, t[-1]), [-8.0, 2.0, 3.0], "DOP853", t, rtol=1e-10, atol=1e-12).y.T
    size = np.sqrt(np.mean(x**2, axis=0))
    return t, x + 0.01 * size * np.random.default_rng(0).normal(size=x.shape)


def _check_flares(law: sindy.Discovery) -> None:
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {
        "x": {"x", "y*z"},
        "y": {"y", "x*z"},
        "z": {"z", "x*y"},
    }
    assert law.trusted


def test_a_law_with_bursts_within_two_samples_is_found() -> None:
    t, x = _flares(300)
    # If spoilt samples were not asked whether they come independently, 43 would be rejected here.
    samples = _prepared(x)
    assert samples.rejected.sum() == 0
    assert samples.noise == pytest.approx(np.full(3, 0.01), rel=0.25)
    _check_flares(sindy.discover(t, x, degree=2))


@pytest.mark.slow
def test_a_law_with_many_bursts_is_found() -> None:
    # With 186 samples rejected there was no model at all.
    _check_flares(sindy.discover(*_flares(700), degree=2))


def test_a_small_model_error_must_be_proven() -> None:
    # With this draw a model error of 0.01 was likelier by a criterion of 1.6 than none.
    def slope(_: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    t = 0.01 * np.arange(500)
    x = solve_ivp(slope, (0, t[-1]), [-8.0, 7.0, 27.0], "DOP853", t, rtol=1e-11, atol=1e-12).y.T
    size = np.sqrt(np.mean(x**2, axis=0))
    law = sindy.discover(t, x + 0.1 * size * np.random.default_rng(4).normal(size=x.shape), degree=3)
    assert law.diagnostics["misfit"] <= 1.001e-3
    assert law.trusted
