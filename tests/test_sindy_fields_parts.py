"""The parts of the weak form: windows, unbiased powers, covariances, terms and texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.notation import Vocabulary, parse_expression
from sciml.sindy.field_covariance import ModeCovariance, Moments
from sciml.sindy.field_features import hermite, transform
from sciml.sindy.field_library import FieldLibrary, FieldTerm
from sciml.sindy.field_selection import Factor, excess
from sciml.sindy.field_spectrum import denoised, noise_level, signal_modes
from sciml.sindy.field_system import WeakSystem
from sciml.sindy.field_terms import read_terms
from sciml.sindy.test_functions import leibniz, window

WORDS = Vocabulary(("x", "y", "t"), ("u", "v"))


@pytest.mark.parametrize("order", [1, 3, 6])
def test_a_window_and_its_derivatives_fit_together(order: int) -> None:
    n = 400
    w = window(n, order)
    assert w.shape == (order + 1, n)
    assert w[0].max() == 1.0
    for k in range(order):
        # Integrating a derivative gives the function before it back: the trapezium rule is exact to fourth order here.
        integral = np.cumsum(w[k + 1]) - 0.5 * w[k + 1]
        np.testing.assert_allclose(integral, w[k], atol=2e-2 * np.abs(w[k]).max())
        assert abs(w[k + 1].sum()) < 1e-6 * np.abs(w[k + 1]).sum()


def test_derivatives_move_onto_the_test_function_without_a_rest() -> None:
    n, kappa = 200, np.array([0.21])
    g = np.arange(n)
    w = window(n, 3)
    for k in range(4):
        moved = (leibniz(k, kappa) @ w[: k + 1] * np.exp(-1j * kappa * g))[0]
        rate = 0.13
        direct = np.sum(w[0] * np.exp(-1j * kappa * g) * (1j * rate) ** k * np.exp(1j * rate * g))
        by_parts = np.sum(moved * np.exp(1j * rate * g))
        assert by_parts == pytest.approx(direct, abs=1e-6 * np.abs(w[0]).sum() * 0.3**k)


@given(u=st.floats(-3, 3), sigma=st.floats(0.01, 2), degree=st.integers(2, 6))
def test_hermite_polynomials_are_unbiased_powers(u: float, sigma: float, degree: int) -> None:
    z, weights = np.polynomial.hermite_e.hermegauss(12)
    powers = hermite(u + sigma * z, degree, sigma)
    for p, values in enumerate(powers):
        mean = np.sum(weights * values) / np.sum(weights)
        assert mean == pytest.approx(u**p, abs=1e-8 * (1 + abs(u) + sigma) ** (2 * p))


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_the_noise_level_is_found_beside_a_signal(sigma: float) -> None:
    x, t = np.linspace(0, 10, 160), np.linspace(0, 5, 120)
    u = np.exp(np.sin(x)[:, None] + np.cos(x[:, None] - t))
    levels = [noise_level(u + sigma * np.random.default_rng(s).normal(size=u.shape)) for s in range(5)]
    assert np.mean(levels) == pytest.approx(sigma, rel=0.01)


def test_denoising_brings_the_field_nearer_on_any_grid() -> None:
    x, t = np.arange(120), np.arange(90)
    u = np.sin(0.1 * x)[:, None] * np.cos(0.15 * t)
    noisy = u + 0.5 * np.random.default_rng(0).normal(size=u.shape)
    clean = denoised(noisy, 0.5)
    assert np.sqrt(np.mean((clean - u) ** 2)) < 0.1
    coarse = denoised(noisy, 0.5, (40, 30))
    places = (np.arange(40) + 0.5) * 3 - 0.5, (np.arange(30) + 0.5) * 3 - 0.5
    exact = np.sin(0.1 * places[0])[:, None] * np.cos(0.15 * places[1])
    assert np.sqrt(np.mean((coarse - exact) ** 2)) < 0.1


def _system(noise: np.random.Generator | None, sigma: float = 0.3):
    x, t = np.linspace(0, 9, 96), np.linspace(0, 4, 64)
    u = 1.2 * np.sin(1.3 * x[:, None] - t) + np.cos(2.1 * x[:, None] + 0.7 * t)
    v = np.cos(1.7 * x[:, None] - 0.5 * t)
    clean = np.stack([u, v])
    levels = np.full(2, sigma)
    fields = clean if noise is None else clean + sigma * noise.normal(size=clean.shape)
    library = FieldLibrary.polynomial(2, 1, 3, 3)
    modes = signal_modes(clean, levels, 9.0, (3, 1))
    features = transform(fields, clean, levels, library.monomials, 3, modes)
    if noise is None:
        # Without noise nothing has to be corrected; the covariance is that of the noise to come.
        features = replace(features, values=transform(clean, clean, 0 * levels, library.monomials, 3, modes).values)
    return library, modes, WeakSystem(features, modes, library, 0), clean, levels


def test_the_errors_of_the_weak_form_have_the_covariance_that_is_claimed() -> None:
    library, modes, truth, clean, levels = _system(None)
    w = np.zeros(len(library.terms))
    for powers, derivative, value in (((1, 0), 2, 2.0), ((2, 0), 1, -0.7), ((1, 2), 0, 0.4), ((0, 1), 3, 1.5)):
        w[library.terms.index(FieldTerm(powers, (derivative,)))] = value
    exact = truth.b - truth.A @ w
    draws, generator = 300, np.random.default_rng(0)
    residuals = []
    columns = []
    for _ in range(draws):
        _, _, system, _, _ = _system(generator)
        residuals.append(system.b - system.A @ w - exact)
        columns.append(system.A - truth.A)
    r, e = np.array(residuals), np.array(columns)
    spectrum = truth.residual_spectrum(w)
    ratios = np.mean(np.abs(r) ** 2 / spectrum, axis=1)
    assert np.mean(ratios) == pytest.approx(1.0, abs=4 * np.std(ratios) / np.sqrt(draws))
    claimed = truth.error_covariance(w)
    measured = np.mean(e * np.conj(r)[:, :, None], axis=0)
    size = np.sqrt(np.mean(np.abs(e) ** 2, axis=0) * spectrum[:, None])
    used = size > 0
    assert np.sqrt(np.mean(np.abs(measured - claimed)[used] ** 2 / size[used] ** 2)) < 1.5 / np.sqrt(draws)
    joint = ModeCovariance(truth, Moments(clean, 1e-6 * levels, modes.index, (3, 1)))
    joint._moments._sigma = levels  # the clean field, with the noise of the data
    C = joint.matrix(w)
    count = len(modes.index)
    imaginary = np.zeros(count)
    imaginary[~joint.real] = np.diag(C)[count:]
    np.testing.assert_allclose(np.diag(C)[:count] + imaginary, spectrum, rtol=1e-9)
    z = np.linalg.solve(np.linalg.cholesky(C), np.array([joint.stack(k) for k in r]).T)
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.05)
    # Whitened residuals of different modes are uncorrelated.
    correlation = z @ z.T / draws
    off = correlation[~np.eye(len(C), dtype=bool)]
    assert np.sqrt(np.mean(off**2)) < 1.15 / np.sqrt(draws)


def test_what_neighbouring_modes_share_is_in_their_covariance() -> None:
    # A front in few modes: the derivatives of the window weigh as much as those of the waves. Smooth columns add up
    # what the modes share; with the window taken as slow their variances were 1.2 to 1.5.
    x, t = np.linspace(-1, 1, 128)[:, None], np.linspace(0, 1, 64)
    u = -np.tanh((x - 0.2 * t) / 0.1)[None]
    levels = 0.7 * np.sqrt(np.mean(u**2)) * np.ones(1)
    library = FieldLibrary.polynomial(1, 1, 2, 2)
    modes = signal_modes(u, levels, 9.0, (2, 1))
    w = np.zeros(len(library.terms))
    w[library.terms.index(FieldTerm((2,), (1,)))], w[library.terms.index(FieldTerm((1,), (2,)))] = -0.25, 0.2

    def system(fields: np.ndarray) -> WeakSystem:
        return WeakSystem(transform(fields, u, levels, library.monomials, 2, modes), modes, library, 0)

    truth, draws, generator = system(u), 300, np.random.default_rng(0)
    systems = (system(u + levels[0] * generator.normal(size=u.shape)) for _ in range(draws))
    residuals = np.array([s.b - s.A @ w for s in systems])
    moments = Moments(u, 1e-6 * levels, modes.index, (2, 1))
    moments._sigma = levels
    joint = ModeCovariance(truth, moments)
    whitener = np.linalg.cholesky(joint.matrix(w))
    z = np.linalg.solve(whitener, np.array([joint.stack(r) for r in residuals - residuals.mean(axis=0)]).T)
    columns = np.linalg.solve(whitener, np.array([joint.stack(column) for column in truth.A.T]).T)
    variances = np.mean((columns.T @ z / np.linalg.norm(columns, axis=0)[:, None]) ** 2, axis=1)
    assert np.abs(np.log(variances)).max() < 3 * np.sqrt(2 / draws)


def test_the_truth_leaves_no_residual_without_noise() -> None:
    x, t = np.linspace(0, 9, 96), np.linspace(0, 4, 64)
    k = np.array([0.9, 1.7, 2.4])[:, None, None]
    u = np.sum(np.exp(-0.2 * k**2 * t) * np.cos(k * x[:, None] - 0.5 * k * t), axis=0)[None]
    library = FieldLibrary.polynomial(1, 1, 2, 2)
    modes = signal_modes(u, np.array([1e-3]), 9.0, (2, 1))
    features = transform(u, u, np.array([1e-3]), library.monomials, 2, modes)
    system = WeakSystem(features, modes, library, 0)
    h, tau = x[1] - x[0], t[1] - t[0]
    w = np.zeros(len(library.terms))
    w[library.terms.index(FieldTerm((1,), (1,)))] = -0.5 * tau / h
    w[library.terms.index(FieldTerm((1,), (2,)))] = 0.2 * tau / h**2
    assert np.abs(system.b - system.A @ w).max() < 1e-4 * np.abs(system.b).max()


terms = st.builds(
    FieldTerm,
    st.tuples(st.integers(0, 3), st.integers(0, 2)).filter(lambda p: sum(p) > 0),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
)


@settings(max_examples=40, deadline=None)
@given(term=terms)
def test_the_text_of_a_term_is_that_term(term: FieldTerm) -> None:
    text, factor = term.text(("u", "v"), ("x", "y"))
    assert parse_expression(text, WORDS) != 0
    assert read_terms(text, WORDS, "library") == {term: pytest.approx(1.0 / factor)}


def test_a_library_has_every_term_once_and_dearer_ones_cost_more() -> None:
    library = FieldLibrary.polynomial(1, 1, 6, 6)
    assert len(library.terms) == len(set(library.terms)) == 43
    penalties = library.penalties(65536)
    low, high = library.terms.index(FieldTerm((1,), (2,))), library.terms.index(FieldTerm((2,), (6,)))
    assert penalties[low] < penalties[high]
    assert penalties.min() > np.log(65536)


def test_a_factor_answers_least_squares_on_every_support() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 7)) * np.logspace(-6, 6, 7)
    w = np.array([0, 3e6, 0, 0, 2.0, 0, 1e-6])
    y = X @ w + 1e-3 * generator.normal(size=60)
    factor = Factor(np.column_stack([X, y]), np.full(7, 5.0), np.ones(7, dtype=bool))
    for support in ((1,), (1, 4), (0, 1, 4, 6)):
        scaled = X[:, support] / factor.scale[list(support)]
        direct = y - scaled @ np.linalg.lstsq(scaled, y)[0]
        assert factor.rss(support) == pytest.approx(float(direct @ direct), rel=1e-6)
    assert factor.descend(()) == (1, 4, 6)
    assert (1, 4, 6) in factor.eliminate(1, 5)
    assert factor.solve((1, 4, 6))[[1, 4, 6]] == pytest.approx(w[[1, 4, 6]], rel=1e-2)


def test_what_a_factor_remembers_of_a_support_holds_for_every_part_of_the_library() -> None:
    X = np.random.default_rng(2).normal(size=(60, 9))
    used, every = Factor(X, np.ones(8), np.ones(8, dtype=bool)), np.ones(8, dtype=bool)
    for support in ([1, 4], [4, 1], []):
        for mask in (every, np.arange(8) % 2 == 0, np.arange(8) < 3, every):
            rss, with_one = Factor(X, np.ones(8), every).additions(support, mask)
            again, others = used.additions(support, mask)
            assert again == pytest.approx(rss, rel=1e-12)
            np.testing.assert_allclose(others, with_one, rtol=1e-12)
            assert set(np.flatnonzero(np.isfinite(others))) == set(np.flatnonzero(mask)) - set(support)


def test_the_column_nearest_to_a_term_is_told_apart_from_the_rest_of_the_law() -> None:
    generator = np.random.default_rng(3)
    X = generator.normal(size=(80, 7))
    # Column 5 is column 2 but for a multiple of column 0, which stays in the law.
    X[:, 5] = -3.0 * X[:, 2] + 2.0 * X[:, 0]
    factor = Factor(X, np.ones(6), np.ones(6, dtype=bool))
    cosine, column = factor.nearest([0, 2], 2, np.ones(6, dtype=bool))
    assert column == 5
    assert cosine == pytest.approx(1.0)
    cosine, column = factor.nearest([0, 2], 2, np.arange(6) != 5)
    assert column != 5
    assert cosine < 0.3


@given(n=st.integers(2, 1000), ratio=st.floats(1e-3, 1e3))
def test_the_excess_is_continuous_and_increasing(n: int, ratio: float) -> None:
    assert excess(ratio * n * 1.01, n) > excess(ratio * n, n)
    assert excess(n * (1 + 1e-9), n) == pytest.approx(excess(n * (1 - 1e-9), n), rel=1e-6)
