from __future__ import annotations

import itertools

import numpy as np
import pytest

from sciml.classical.bases import ChebyshevBasis, FourierBasis, resample_fourier


@pytest.mark.parametrize("gauss", [False, True])
@pytest.mark.parametrize("n", [5, 8, 33])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_chebyshev_derivatives_are_exact_on_polynomials(n, order, gauss):
    basis = ChebyshevBasis(n, -0.5, 2.0, gauss)
    polynomial = np.polynomial.Polynomial([1.0, -2.0, 0.5, 3.0, -1.0])
    expected = polynomial.deriv(order) if order else polynomial
    matrix = basis.derivative(order)
    scale = np.abs(matrix).sum(axis=1).max()
    assert np.abs(matrix @ polynomial(basis.points) - expected(basis.points)).max() < 1e-14 * scale * 50
    targets = np.linspace(-0.5, 2.0, 41)
    assert np.abs(basis.interpolation(targets, order) @ polynomial(basis.points) - expected(targets)).max() < (
        1e-14 * scale * 50
    )


def test_chebyshev_second_derivative_keeps_its_digits_at_high_resolution():
    basis = ChebyshevBasis(257)
    error = basis.derivative(2) @ np.exp(basis.points) - np.exp(basis.points)
    # n**4 eps = 1e-6 is the rounding of the values themselves at the ends; inside, far less is lost.
    assert np.abs(error).max() < 1e-6
    assert np.abs(error[64:-64]).max() < 1e-10


@pytest.mark.parametrize("gauss", [False, True])
def test_chebyshev_converges_geometrically_on_an_analytic_function(gauss):
    targets = np.linspace(-1, 1, 101)
    errors = []
    for n in (10, 20, 30):
        basis = ChebyshevBasis(n, gauss=gauss)
        interpolant = basis.interpolation(targets) @ (1 / (1 + 4 * basis.points**2))
        errors.append(np.abs(interpolant - 1 / (1 + 4 * targets**2)).max())
    rate = (1 + np.sqrt(5)) / 2  # the Bernstein ellipse through the poles at +-i/2
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(rate**10, rel=0.4)


@pytest.mark.parametrize("gauss", [False, True])
@pytest.mark.parametrize("n", [2, 3, 8, 9])
def test_chebyshev_weights_integrate_all_polynomials_of_the_space(n, gauss):
    basis = ChebyshevBasis(n, 1.0, 3.0, gauss)
    for degree in range(n):
        exact = (3.0 ** (degree + 1) - 1.0) / (degree + 1)
        assert basis.weights @ basis.points**degree == pytest.approx(exact, rel=1e-13)
    assert np.all(basis.weights > 0)


@pytest.mark.parametrize("gauss", [False, True])
def test_chebyshev_coefficients_are_the_expansion_and_invert(gauss):
    basis = ChebyshevBasis(9, 0.0, 4.0, gauss)
    series = np.polynomial.Chebyshev([1.0, 2.0, 0.0, -3.0, 0.5, 0.0, 0.0, 0.25, 1.5], domain=[0.0, 4.0])
    values = np.stack([series(basis.points), 2 * series(basis.points)], axis=1)
    coefficients = basis.coefficients(values)
    np.testing.assert_allclose(coefficients[:, 1], 2 * series.coef, atol=1e-14)
    np.testing.assert_allclose(basis.values(coefficients), values, atol=1e-14)


def test_lobatto_points_hold_the_ends_and_interpolation_there_is_the_identity():
    basis = ChebyshevBasis(17, 0.1, 0.7)
    assert basis.points[0] == 0.1
    assert basis.points[-1] == 0.7
    assert np.all(np.diff(basis.points) > 0)
    np.testing.assert_array_equal(basis.interpolation(basis.points), np.eye(17))


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_fourier_derivatives_are_exact_on_trigonometric_polynomials(n, order):
    basis = FourierBasis(n, -1.0, 2.0)
    k = 2 * np.pi / 3 * np.array([0.0, 1.0, 4.0, 7.0])
    amplitude = np.array([0.5, 1.0, -2.0, 0.3])

    def function(x, order):
        return (amplitude * k**order * np.cos(np.outer(x, k) + 0.3 + order * np.pi / 2)).sum(axis=1)

    scale = k.max() ** order
    values = function(basis.points, 0)
    np.testing.assert_allclose(basis.derivative(order) @ values, function(basis.points, order), atol=2e-13 * scale)
    np.testing.assert_allclose(basis.differentiate(values, order), function(basis.points, order), atol=2e-13 * scale)
    targets = np.linspace(-4.0, 6.0, 37)
    np.testing.assert_allclose(
        basis.interpolation(targets, order) @ values, function(targets, order), atol=2e-13 * scale
    )


def test_fourier_highest_even_mode_is_a_cosine():
    basis = FourierBasis(8, 0.0, 2 * np.pi)
    values = np.cos(4 * basis.points)
    targets = np.linspace(0, 2 * np.pi, 23)
    np.testing.assert_allclose(basis.interpolation(targets) @ values, np.cos(4 * targets), atol=1e-13)
    np.testing.assert_allclose(basis.interpolation(targets, 1) @ values, -4 * np.sin(4 * targets), atol=1e-12)
    np.testing.assert_allclose(basis.derivative(1) @ values, 0, atol=1e-13)
    np.testing.assert_allclose(basis.derivative(2) @ values, -16 * values, atol=1e-12)


@pytest.mark.parametrize("m", [7, 8])
@pytest.mark.parametrize("n", [12, 13, 20])
def test_zero_padding_is_the_trigonometric_interpolant(m, n):
    rng = np.random.default_rng(m + n)
    values = rng.standard_normal((3, m))
    coarse, fine = FourierBasis(m, 0.0, 1.0), FourierBasis(n, 0.0, 1.0)
    padded = resample_fourier(values, n, axis=1)
    np.testing.assert_allclose(padded, values @ coarse.interpolation(fine.points).T, atol=1e-13)
    np.testing.assert_allclose(resample_fourier(padded, m, axis=1), values, atol=1e-13)


@pytest.mark.parametrize("arguments", [(1, 0.0, 1.0), (4, 1.0, 1.0), (4, 0.0, np.inf), (0, 0.0, 1.0)])
def test_a_basis_without_an_interval_or_points_is_refused(arguments):
    with pytest.raises(ValueError, match="n"):
        ChebyshevBasis(*arguments)
