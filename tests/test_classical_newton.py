from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import sparse

from sciml.classical.newton import Factors, SingularSystemError, System, follow, newton


class Scalar(System):
    """f(c) = 0 for one number; relaxed adds a multiple of c - 1, whose root is known."""

    linear = False
    size = 1

    def __init__(self, function, slope, shift=0.0):
        self.function, self.slope, self.shift = function, slope, shift

    def residual(self, vector):
        return self.function(vector) + self.shift * (vector - 1)

    def jacobian(self, vector):
        return (self.slope(vector) + self.shift).reshape(1, 1)

    def norm(self, vector):
        return float(np.abs(vector[0]))

    def relaxed(self, relaxation):
        return Scalar(self.function, self.slope, relaxation)

    def resolves(self, vector):
        return True


ARCTAN = Scalar(np.arctan, lambda c: 1 / (1 + c**2))


def test_damping_reaches_the_root_from_where_full_steps_diverge():
    root = newton(ARCTAN, np.array([50.0]))
    assert root.converged
    assert abs(root.vector[0]) < 1e-8


def test_a_root_is_accurate_to_rounding():
    root = newton(Scalar(lambda c: c**2 - 2, lambda c: 2 * c), np.array([1.0]))
    assert root.converged
    assert root.vector[0] == pytest.approx(np.sqrt(2), rel=1e-15)


def test_without_a_root_the_vector_stays_finite():
    root = newton(Scalar(np.exp, np.exp), np.array([1.0]))
    assert not root.converged
    assert np.isfinite(root.vector[0])


def test_a_start_outside_the_domain_of_the_equations_is_no_root():
    with np.errstate(invalid="ignore"):
        root = newton(Scalar(lambda c: np.sqrt(c) - 1, lambda c: 0.5 / np.sqrt(c)), np.array([-1.0]))
    assert not root.converged
    assert root.iterations == 0


def test_a_passed_deadline_ends_at_once():
    root = newton(ARCTAN, np.array([2.0]), deadline=time.perf_counter() - 1)
    assert not root.converged
    assert root.vector[0] == 2.0


def test_continuation_passes_where_newton_does_not():
    # Steep and then flat: from the far side full or damped steps run away from the root.
    hard = Scalar(lambda c: np.tanh(20 * c) + 0.5, lambda c: 20 / np.cosh(20 * c) ** 2 + 1e-300)
    with np.errstate(over="ignore"):
        root, relaxation = follow(hard, np.array([1.0]))
    assert root.converged
    assert relaxation == 0
    assert root.vector[0] == pytest.approx(-np.arctanh(0.5) / 20, rel=1e-10)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csc_array])
@pytest.mark.parametrize("extra", [0, 2, 30])
def test_consistent_rows_too_many_change_nothing(convert, extra):
    rng = np.random.default_rng(extra)
    square = rng.standard_normal((60, 60)) * 10.0 ** rng.integers(-6, 6, (60, 1))
    matrix = np.vstack([square, rng.standard_normal((extra, 60)) @ (square / np.abs(square).max(1, keepdims=True))])
    solution = rng.standard_normal(60)
    factors = Factors(convert(matrix))
    np.testing.assert_allclose(factors.solve(matrix @ solution), solution, rtol=1e-8)
    assert factors.rcond > 1e-8


def test_many_rows_too_many_are_solved_in_least_squares():
    rng = np.random.default_rng(0)
    matrix, right = rng.uniform(0.5, 1, (90, 60)), rng.standard_normal(90)
    matrix /= np.abs(matrix).max(axis=1, keepdims=True)
    expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
    for convert in (np.asarray, sparse.csc_array):
        np.testing.assert_allclose(Factors(convert(matrix)).solve(right), expected, rtol=1e-8)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csc_array])
@pytest.mark.parametrize("exact", [True, False])
def test_a_null_vector_is_found(convert, exact):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((40, 40))
    if exact:
        matrix[:, 7] = 0.0
        null = np.eye(40)[7]
    else:
        null = np.ones(40)
        matrix -= np.outer(matrix @ null, null) / 40
    factors = Factors(convert(matrix))
    assert factors.rcond < 1e-12
    found = factors.null()
    np.testing.assert_allclose(found / found[7], null, atol=1e-8)


def test_too_few_rows_are_singular():
    with pytest.raises(SingularSystemError):
        Factors(np.ones((2, 3)))
