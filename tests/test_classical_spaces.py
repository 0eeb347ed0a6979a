from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import Legendre, Polynomial

from sciml.classical.fields import Fields
from sciml.classical.resolution import split
from sciml.classical.spaces import ElementSpace, FourierSpace, Mesh, PeriodicMesh, legendre_table

BREAKPOINTS = {"one element": [0.0, 2.0], "graded": [0.0, 0.05, 0.5, 2.0]}


@pytest.mark.parametrize("breakpoints", BREAKPOINTS.values(), ids=BREAKPOINTS)
@pytest.mark.parametrize("order", range(5))
def test_a_space_contains_its_polynomials_with_all_derivatives(breakpoints, order):
    space = ElementSpace(Mesh(breakpoints, 6), order)
    polynomial = Polynomial([1.0, -2.0, 0.5, 3.0, -1.0])
    x = Mesh(breakpoints, 12).points
    data = [polynomial.deriv(k)(x) if k else polynomial(x) for k in range(order + 1)]
    # Derivatives scaled by powers of the smallest elements' size: so does their rounding error grow.
    rows = np.vstack([space.matrix(x, k).toarray() / 100**k for k in range(order + 1)])
    right = np.concatenate([values / 100**k for k, values in enumerate(data)])
    coefficients = np.linalg.lstsq(rows, right, rcond=None)[0]
    for k, expected in enumerate(data):
        assert np.abs(space.matrix(x, k) @ coefficients - expected).max() < 1e-11 * 100**k


def test_values_at_the_nodes_determine_a_function():
    for breakpoints in BREAKPOINTS.values():
        for order in range(5):
            space = ElementSpace(Mesh(breakpoints, 6), order)
            coefficients = space.fit @ np.exp(space.nodes)
            np.testing.assert_allclose(space.matrix(space.nodes) @ coefficients, np.exp(space.nodes), rtol=1e-9)


@pytest.mark.parametrize("order", range(1, 5))
def test_functions_have_as_many_continuous_derivatives_as_promised(order):
    mesh = Mesh(BREAKPOINTS["graded"], 7)
    space = ElementSpace(mesh, order)
    coefficients = np.random.default_rng(order).standard_normal(space.size)
    at = mesh.breakpoints[1:-1]
    for k in range(order + 1):
        left, right = (space.matrix(point, k) @ coefficients for point in (np.nextafter(at, 0), at))
        jump, scale = np.abs(left - right).max(), np.abs(right).max()
        assert (jump < 1e-8 * scale) == (k < order)


@pytest.mark.parametrize("order", range(5))
def test_a_space_has_room_for_its_conditions(order):
    mesh = Mesh(BREAKPOINTS["graded"], 6)
    space = ElementSpace(mesh, order)
    assert space.size == mesh.points.size + order
    assert space.nodes.size == space.size
    assert np.all(np.diff(space.nodes) > 0)
    assert mesh.weights.sum() == pytest.approx(2)


def test_the_integrated_basis_keeps_differential_operators_well_conditioned():
    mesh = Mesh([-1.0, 1.0], 200)
    space = ElementSpace(mesh, 4)
    ends = np.array([-1.0, 1.0])
    rows = [space.matrix(mesh.points, 4), space.matrix(ends), space.matrix(ends, 1)]
    matrix = np.vstack([row.toarray() for row in rows])
    matrix /= np.linalg.norm(matrix, axis=0)
    # A differentiation matrix of this order and size has a condition number near 200**8 = 3e18.
    assert np.linalg.cond(matrix) < 1e4


@pytest.mark.parametrize("r", [0, 1, 2, 3])
def test_legendre_integrals_and_derivatives(r):
    t = np.linspace(-1, 1, 21)
    for n in (r, r + 3):
        series = Legendre.basis(n)
        np.testing.assert_allclose(legendre_table(t, n, 1, r)[:, 0], series.deriv(r)(t) if r else series(t), atol=1e-12)
        # Integrals from -1 vanish at both ends for degrees of at least r.
        integral = series.integ(r, lbnd=-1)(t) if r else series(t)
        np.testing.assert_allclose(legendre_table(t, n, 1, -r)[:, 0], integral, atol=1e-13)


def test_a_fourier_space_differentiates_its_functions():
    space = FourierSpace(PeriodicMesh(0.0, 2.0, 9), 2)
    coefficients = space.fit @ np.sin(3 * np.pi * space.nodes)
    x = np.linspace(0, 2, 33)
    np.testing.assert_allclose(
        space.matrix(x, 3) @ coefficients, -((3 * np.pi) ** 3) * np.cos(3 * np.pi * x), atol=1e-9
    )


def test_fields_agree_on_grids_and_at_scattered_points():
    spaces = (ElementSpace(Mesh([0.0, 0.3, 1.0], 5), 2), ElementSpace(Mesh([0.0, 1.0], 6), 1))
    coefficients = np.random.default_rng(0).standard_normal((spaces[0].size, spaces[1].size))
    fields = Fields({"u": spaces}, {"u": coefficients})
    x, y = np.random.default_rng(1).uniform(0, 1, (2, 50))
    grid = fields.on_grid("u", (1, 1), [x, y])
    np.testing.assert_allclose(fields.at("u", (1, 1), np.stack([x, y], axis=1)), np.diag(grid), rtol=1e-9)
    both = np.stack([part.ravel() for part in np.meshgrid(x, y, indexing="ij")], axis=1)
    np.testing.assert_allclose(fields.at("u", (1, 1), both), grid.ravel(), rtol=1e-9)


def test_flagged_elements_are_split_towards_the_ends():
    breakpoints = np.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(split(breakpoints, np.array([True, True, True])), [0, 0.2, 1, 1.5, 2, 2.8, 3])
    np.testing.assert_allclose(split(breakpoints, np.array([False, True, False])), [0, 1, 1.5, 2, 3])


@pytest.mark.parametrize("arguments", [([0.0], 3), ([1.0, 0.0], 3), ([0.0, 1.0], 0)])
def test_a_mesh_without_elements_or_points_is_refused(arguments):
    with pytest.raises(ValueError, match="mesh"):
        Mesh(*arguments)


def test_an_element_must_have_points_for_its_conditions():
    with pytest.raises(ValueError, match="at least 4 points"):
        ElementSpace(Mesh([0.0, 1.0], 3), 4)
