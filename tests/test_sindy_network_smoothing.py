"""A network as a smoother: near the truth, derivatives that are its own, gaps, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import smoothing
from sciml.errors import ArgumentError
from sciml.sindy.network_smoothing import smooth_by_network

T = np.sort(np.random.default_rng(5).uniform(0, 4, 150))


def wave(t):
    return np.stack([3 + np.sin(2 * t), 100 * np.cos(2 * t)], 1)


@pytest.fixture(scope="module")
def curve():
    noise = np.random.default_rng(0).normal(size=(150, 2)) * [0.03, 3.0]
    return smooth_by_network(T, wave(T) + noise)


def test_noise_is_averaged_and_its_size_is_told(curve):
    error = np.sqrt(np.mean((curve(T) - wave(T)) ** 2, axis=0))
    assert (error < [0.015, 1.5]).all()
    assert curve.noise == pytest.approx([0.03, 3.0], rel=0.5)


def test_derivatives_are_those_of_the_curve(curve):
    t, h = np.linspace(0.2, 3.8, 30), 1e-5
    for order in (1, 2):
        slope = (curve(t + h, order - 1) - curve(t - h, order - 1)) / (2 * h)
        np.testing.assert_allclose(curve(t, order), slope, rtol=1e-5, atol=1e-5 * np.abs(slope).max())


def test_rows_with_missing_values_are_left_out_and_the_order_of_samples_does_not_matter_to_what_is_fitted():
    states = wave(T)
    states[10:20, 0] = np.nan
    found = smooth_by_network(T[::-1], states[::-1], iterations=60)
    assert np.abs(found(T) - wave(T)).max() < 0.02 * 100


def test_equal_seeds_give_equal_curves():
    first, second = (smooth_by_network(T, wave(T), iterations=20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first(T), second(T))


@pytest.mark.parametrize(
    ("times", "states", "said"),
    [
        (T[:5], wave(T), "expected"),
        (T, wave(T)[:, 0], "expected"),
        (T[:12], wave(T[:12]), "at least 20"),
        (T, np.full((150, 2), np.nan), "at least 20"),
    ],
)
def test_wrong_records_are_refused(times, states, said):
    with pytest.raises(ArgumentError, match=said):
        smooth_by_network(times, states)


def test_wrong_times_and_orders_are_refused(curve):
    with pytest.raises(ArgumentError, match="times"):
        curve([[0.0, 1.0]])
    with pytest.raises(ArgumentError, match="order"):
        curve([0.0, 1.0], -1)


@pytest.mark.parametrize("name", smoothing.SMOOTHERS)
@pytest.mark.parametrize("kind", ["even", "scattered"])
def test_every_smoother_of_the_benchmark_beats_the_samples(name, kind):
    times, samples = smoothing.record(kind, 0.05, 0)
    exact = smoothing.lorenz(times)
    curve = smoothing.SMOOTHERS[name](times[:200], samples[:200])
    assert smoothing.relative(curve(times[:200], 0), exact[:200]) < 0.6 * smoothing.relative(samples[:200], exact[:200])
    assert smoothing.relative(curve(times[:200], 1), smoothing.slopes(exact[:200])) < 0.35


def test_the_slopes_of_the_benchmark_are_lorenz_equations():
    t = np.linspace(0, 1, 2001)
    states = smoothing.lorenz(t)
    found = np.gradient(states, t, axis=0, edge_order=2)
    assert smoothing.relative(found, smoothing.slopes(states)) < 1e-3
