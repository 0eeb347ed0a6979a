"""Quadrature over sampling intervals, the linearised defects and their covariance, smoothing, and selection."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml.sindy import PolynomialLibrary
from sciml.sindy.defects import Covariance, Defects, interval_weights
from sciml.sindy.selection import Factor, likelihood, search
from sciml.sindy.smoothing import differences, smooth


@given(st.integers(2, 40), st.integers(0, 10_000), st.floats(0.0, 0.99))
def test_quadrature_is_exact_for_polynomials_at_any_spacing(count: int, seed: int, uneven: float) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(1 - uneven * rng.random(count))
    start, weights = interval_weights(times)
    used = (weights != 0).sum(axis=1).min()
    nodes = times[start[:, None] + np.arange(weights.shape[1])]
    for degree in range(min(used, 6)):
        exact = (times[1:] ** (degree + 1) - times[:-1] ** (degree + 1)) / (degree + 1)
        assert np.allclose(np.sum(weights * nodes**degree, axis=1), exact, rtol=1e-9)


def test_quadrature_is_of_seventh_order_inside_a_record() -> None:
    errors = []
    for count in (41, 81):
        times = np.linspace(0, 4, count)
        start, weights = interval_weights(times)
        found = np.sum(weights * np.cos(times[start[:, None] + np.arange(6)]), axis=1)
        errors.append(np.abs(found - np.diff(np.sin(times)))[5:-5].max())
    assert np.log2(errors[0] / errors[1]) > 6.8


def test_nearly_coinciding_times_do_not_amplify_noise() -> None:
    times = np.sort(np.append(np.arange(20.0), 7.0 + 1e-9))
    _, weights = interval_weights(times)
    assert np.abs(weights).sum(axis=1).max() < 2.5


def _operator(bounds: list[int], discrete: bool = False) -> Defects:
    rng = np.random.default_rng(3)
    times = np.concatenate([np.cumsum(0.7 + 0.6 * rng.random(b - a)) for a, b in itertools.pairwise(bounds)])
    return Defects(times, np.array(bounds), discrete)


@pytest.mark.parametrize("bounds", [[0, 12], [0, 3, 9, 30], [0, 2, 4, 6]])
@pytest.mark.parametrize("discrete", [False, True])
def test_the_banded_covariance_is_the_product_of_dense_matrices(bounds: list[int], discrete: bool) -> None:
    rng = np.random.default_rng(0)
    defects, d = _operator(bounds, discrete), 2
    jacobian = defects.jacobian(rng.normal(size=(defects.nodes, d, d)))
    variances = rng.uniform(0.5, 2.0, (defects.nodes, d))
    unit = np.eye(defects.nodes * d).reshape(-1, defects.nodes, d)
    dense = np.stack([defects.apply(jacobian, column).ravel() for column in unit], axis=1)
    extra = rng.uniform(0.1, 0.2, (defects.count, d))
    expected = dense @ np.diag(variances.ravel()) @ dense.T + np.diag(extra.ravel())
    covariance = Covariance(defects.gram(jacobian, variances), extra)
    w = rng.normal(size=defects.count * d)
    assert np.allclose(covariance.solve(w), np.linalg.solve(expected, w))
    assert np.isclose(covariance.logdet, np.linalg.slogdet(expected)[1])
    white = covariance.whiten(w[:, None])[:, 0]
    assert np.isclose(white @ white, w @ np.linalg.solve(expected, w))
    assert np.allclose(defects.transpose(jacobian, w.reshape(-1, d)).ravel(), dense.T @ w)


def test_the_jacobian_is_the_derivative_of_the_defects() -> None:
    rng = np.random.default_rng(1)
    defects = _operator([0, 15, 24])
    basis = PolynomialLibrary(3).bind(("x", "y"))
    x, xi = rng.normal(size=(24, 2)), rng.normal(size=(10, 2))

    def residual(states: np.ndarray) -> np.ndarray:
        return defects.differences(states) - defects.integrals(basis.values(states) @ xi)

    jacobian = defects.jacobian(basis.slopes(x, basis.values(x), xi))
    v, h = rng.normal(size=(24, 2)), 1e-6
    central = (residual(x + h * v) - residual(x - h * v)) / (2 * h)
    assert np.allclose(defects.apply(jacobian, v), central, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.4])
def test_the_smoother_finds_the_noise_by_itself(noise: float) -> None:
    times = np.arange(1000.0)
    bounds = np.array([0, 400, 1000])
    curve = np.sin(times / 25)
    samples = curve + noise * np.random.default_rng(0).normal(size=1000)
    used = np.random.default_rng(1).random(1000) > 0.2
    found = smooth(np.where(used, samples, np.nan), used, *differences(times, bounds), 2)
    assert found.noise == pytest.approx(noise, rel=0.1)
    assert np.sqrt(np.mean((found.values - curve) ** 2)) < 0.5 * noise


@given(st.integers(0, 1000))
def test_moves_have_the_residuals_of_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(30, 7)), rng.normal(size=30)
    factor = Factor.of(matrix, target)
    support = np.array([1, 4, 5])

    def rss(columns: list[int]) -> float:
        fitted = np.linalg.lstsq(matrix[:, columns], target, rcond=None)[0]
        return float(np.sum((target - matrix[:, columns] @ fitted) ** 2))

    now, added, removed, swapped = factor.moves(support)
    assert now == pytest.approx(rss([1, 4, 5]))
    assert added[0] == pytest.approx(rss([1, 4, 5, 0]))
    assert removed[1] == pytest.approx(rss([1, 5]))
    assert swapped[2, 6] == pytest.approx(rss([1, 4, 6]))
    assert np.isinf(added[support]).all()
    assert factor.solve(support)[1] == pytest.approx(now)


def test_the_search_ends_where_no_single_move_helps() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(80, 9))
    target = matrix[:, [2, 6]] @ np.array([3.0, -2.0]) + rng.normal(size=80)
    penalty = np.full(9, np.log(80) + 2.0)
    factor = Factor.of(matrix, target)
    for start in ([], [0, 1, 3], list(range(9))):
        found = search(factor, penalty, np.array(start, dtype=int), np.ones(9, dtype=bool))
        assert found.tolist() == [2, 6]
    allowed = np.ones(9, dtype=bool)
    allowed[2] = False
    assert 2 not in search(factor, penalty, np.array([], dtype=int), allowed)


def test_the_likelihood_is_continuous_and_grows_like_a_logarithm() -> None:
    assert likelihood(99.999999, 100) == pytest.approx(float(likelihood(100.000001, 100)), abs=1e-5)
    assert likelihood(200.0, 100) == pytest.approx(100 + 100 * np.log(2))
