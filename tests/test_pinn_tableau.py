"""Claims about Gauss-Legendre tableaux: known ones, order conditions, symmetries, accuracy for hundreds of stages."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ArgumentError
from sciml.pinn.tableau import MOST_STAGES, gauss_legendre, legendre

ANY = st.integers(1, 60)
MANY = (1, 2, 3, 10, 100, 250, 500)


def test_two_stages_are_those_of_hammer_and_hollingsworth():
    root = 3**0.5 / 6
    tableau = gauss_legendre(2)
    np.testing.assert_allclose(tableau.nodes, [0.5 - root, 0.5 + root], atol=1e-16)
    np.testing.assert_allclose(tableau.weights, [0.5, 0.5], atol=2e-16)
    np.testing.assert_allclose(tableau.matrix, [[0.25, 0.25 - root], [0.25 + root, 0.25]], atol=2e-16)


def test_three_stages_are_those_of_kuntzmann_and_butcher():
    r = 15**0.5
    a = [
        [5 / 36, 2 / 9 - r / 15, 5 / 36 - r / 30],
        [5 / 36 + r / 24, 2 / 9, 5 / 36 - r / 24],
        [5 / 36 + r / 30, 2 / 9 + r / 15, 5 / 36],
    ]
    tableau = gauss_legendre(3)
    np.testing.assert_allclose(tableau.matrix, a, atol=3e-16)
    np.testing.assert_allclose(tableau.weights, [5 / 18, 4 / 9, 5 / 18], atol=3e-16)


@pytest.mark.parametrize("q", MANY)
def test_stages_integrate_polynomials_exactly_from_zero(q):
    """C(q): sum_j a_ij c_j^(k-1) = c_i^k / k for k <= q."""
    tableau = gauss_legendre(q)
    a, c = tableau.matrix, tableau.nodes
    for k in range(1, q + 1):
        np.testing.assert_allclose(a @ c ** (k - 1), c**k / k, atol=1e-13)


@pytest.mark.parametrize("q", MANY)
def test_weights_are_exact_to_degree_two_q_minus_one(q):
    """B(2q): sum_i b_i c_i^(k-1) = 1/k for k <= 2q, the order conditions of quadrature."""
    tableau = gauss_legendre(q)
    for k in range(1, 2 * q + 1):
        assert abs(tableau.weights @ tableau.nodes ** (k - 1) - 1 / k) <= 1e-13


@pytest.mark.parametrize("q", MANY)
def test_the_transposed_conditions_hold(q):
    """D(q): sum_i b_i c_i^(k-1) a_ij = b_j (1 - c_j^k) / k for k <= q; with B and C it gives order 2q."""
    tableau = gauss_legendre(q)
    a, b, c = tableau.matrix, tableau.weights, tableau.nodes
    for k in range(1, q + 1):
        np.testing.assert_allclose((b * c ** (k - 1)) @ a, b * (1 - c**k) / k, atol=1e-13)


@pytest.mark.parametrize("q", MANY)
def test_row_sums_are_the_nodes(q):
    tableau = gauss_legendre(q)
    np.testing.assert_allclose(tableau.matrix.sum(axis=1), tableau.nodes, atol=1e-13)


@pytest.mark.parametrize("q", MANY)
def test_the_method_is_symplectic_to_relative_rounding(q):
    """b_i a_ij + b_j a_ji = b_i b_j, relative to the right-hand side, whose smallest entries are 1e-11 for q = 500."""
    tableau = gauss_legendre(q)
    a, b = tableau.matrix, tableau.weights
    both = b[:, None] * a
    np.testing.assert_allclose((both + both.T) / np.outer(b, b), 1, atol=1e-13)


@settings(deadline=None, max_examples=25)
@given(q=ANY)
def test_the_method_is_symmetric_in_time(q):
    tableau = gauss_legendre(q)
    a, b, c = tableau.matrix, tableau.weights, tableau.nodes
    np.testing.assert_allclose(c + c[::-1], 1, atol=1e-15)
    np.testing.assert_allclose(b, b[::-1], rtol=1e-12)
    np.testing.assert_allclose(a + a[::-1, ::-1], np.tile(b, (q, 1)), atol=1e-14)


@pytest.mark.parametrize("q", MANY)
def test_the_modes_are_orthonormal_under_the_weights(q):
    tableau = gauss_legendre(q)
    np.testing.assert_allclose(tableau.transform @ tableau.modes, np.eye(q), atol=1e-13)


@settings(deadline=None, max_examples=25)
@given(q=ANY, z=st.floats(-30, 0))
def test_the_stability_function_is_the_diagonal_pade_approximant(q, z):
    """R(z) = det(I - zA + z 1 b') / det(I - zA) has modulus at most 1 and approximates exp(z) to order 2q."""
    tableau = gauss_legendre(q)
    ones = np.ones(q)
    stages = np.linalg.solve(np.eye(q) - z * tableau.matrix, ones)
    value = 1 + z * tableau.weights @ stages
    assert abs(value) <= 1 + 1e-12
    assert value == pytest.approx(_pade(q, z), abs=1e-12)


def _pade(q: int, z: float) -> float:
    """N(z) / N(-z), N(z) = sum_k (q! (2q-k)!) / ((2q)! k! (q-k)!) z^k, in exact arithmetic."""
    x = Fraction(z)
    up, down, coefficient = Fraction(0), Fraction(0), Fraction(1)
    for k in range(q + 1):
        up += coefficient * x**k
        down += coefficient * (-x) ** k
        coefficient = coefficient * (q - k) / ((2 * q - k) * (k + 1)) if k < q else coefficient
    return float(up / down)


def test_a_hundred_stages_agree_with_forty_digits():
    """Nodes by Newton's method, weights and matrix from their definitions, in 40 digits."""
    q = 100
    tableau = gauss_legendre(q)
    with mpmath.workdps(40):
        for i in (0, 1, 37, 99):
            z = mpmath.mpf(2 * tableau.nodes[i] - 1)
            for _ in range(3):
                p, below = mpmath.legendre(q, z), mpmath.legendre(q - 1, z)
                slope = q * (z * p - below) / (z * z - 1)
                z -= p / slope
            weight = 1 / ((1 - z * z) * slope**2)
            assert abs(tableau.nodes[i] - float((1 + z) / 2)) < 2e-16
            assert abs(tableau.weights[i] / float(weight) - 1) < 1e-12
            # a_ij = b_j sum_k p_k(c_j) int_0^c_i p_k; (2k+1) int_{-1}^z P_k = P_{k+1} - P_{k-1}.
            y = mpmath.mpf(2 * tableau.nodes[3] - 1)
            total = (1 + z) / 2
            for k in range(1, q):
                rise = mpmath.legendre(k + 1, z) - mpmath.legendre(k - 1, z)
                total += mpmath.legendre(k, y) * rise / 2
            assert abs(tableau.matrix[i, 3] - tableau.weights[3] * float(total)) < 1e-15


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 40), s=st.floats(0, 1), derivative=st.integers(0, 3))
def test_legendre_derivatives_are_those_of_the_polynomials(count, s, derivative):
    found = legendre(count, [s], derivative)[0]
    for k in (0, count // 2, count - 1):
        series = np.polynomial.Legendre.basis(k, domain=[0, 1])
        exact = series.deriv(derivative)(s) if derivative else series(s)
        assert found[k] == pytest.approx((2 * k + 1) ** 0.5 * exact, rel=1e-9, abs=1e-9 * (k + 1) ** (2 * derivative))


@pytest.mark.parametrize("stages", [0, -1, 501, 2.0, True, None, "100"])
def test_other_numbers_of_stages_are_refused_by_name(stages):
    with pytest.raises(ArgumentError, match=f"stages must be a whole number from 1 to {MOST_STAGES}"):
        gauss_legendre(stages)


def test_a_tableau_cannot_be_changed():
    tableau = gauss_legendre(4)
    with pytest.raises(ValueError, match="read-only"):
        tableau.weights[0] = 0
    assert repr(tableau) == "Tableau of Gauss-Legendre, 4 stages, order 8"
