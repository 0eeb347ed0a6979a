"""Libraries of terms: what they hold, their values, and their slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml.errors import ArgumentError
from sciml.sindy import (
    ExponentialLibrary,
    FormulaLibrary,
    LogarithmicLibrary,
    PolynomialLibrary,
    RationalLibrary,
    TrigonometricLibrary,
)
from sciml.sindy.adoption import library_of
from sciml.sindy.libraries import exponent_table, monomial_text

LIBRARIES = [
    PolynomialLibrary(4),
    PolynomialLibrary(2, constant=False),
    TrigonometricLibrary((1.0, 2.5)),
    ExponentialLibrary(),
    RationalLibrary(),
    LogarithmicLibrary(),
    FormulaLibrary(("x*sin(y)", "exp(-x**2)", "1/(2 + z)")),
    PolynomialLibrary(2) + TrigonometricLibrary(),
]


@pytest.mark.parametrize(("count", "degree"), [(1, 5), (2, 3), (3, 5), (4, 4)])
def test_there_are_as_many_monomials_as_combinatorics_says(count: int, degree: int) -> None:
    table = exponent_table(count, degree)
    assert len(table) == math.comb(count + degree, degree)
    assert len({tuple(row) for row in table.tolist()}) == len(table)
    assert (np.diff(table.sum(axis=1)) >= 0).all()


def test_monomials_are_written_in_the_notation() -> None:
    assert monomial_text((2, 1, 0), ("x", "y", "z")) == "x**2*y"
    assert monomial_text((0, 0, 0), ("x", "y", "z")) == "1"


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: type(library).__name__)
def test_slopes_are_the_derivatives_of_the_values(library) -> None:
    rng = np.random.default_rng(0)
    scales = np.array([2.0, 0.5, 3.0])
    basis = library.bind(("x", "y", "z"), scales)
    z = rng.uniform(0.2, 1.0, (7, 3))
    xi = rng.normal(size=(len(basis.terms), 2))
    slopes = basis.slopes(z, basis.values(z), xi)
    assert slopes.shape == (7, 2, 3)
    h = 1e-5
    for v in range(3):
        step = h * np.eye(3)[v]
        central = (basis.values(z + step) @ xi - basis.values(z - step) @ xi) / (2 * h)
        assert np.allclose(slopes[:, :, v], central, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: type(library).__name__)
def test_a_scaled_basis_times_its_factors_has_the_values_in_physical_units(library) -> None:
    x = np.random.default_rng(1).uniform(0.2, 1.5, (9, 3))
    scales = np.array([1e3, 1e-2, 7.0])
    plain = library.bind(("x", "y", "z"))
    scaled = library.bind(("x", "y", "z"), scales)
    assert np.allclose(scaled.values(x / scales) * scaled.factors, plain.values(x), rtol=1e-12)


@given(st.integers(1, 3), st.integers(0, 4), st.booleans())
def test_polynomial_values_are_products_of_powers(count: int, degree: int, constant: bool) -> None:
    if degree == 0 and not constant:
        return
    names = ("x", "y", "z")[:count]
    basis = PolynomialLibrary(degree, constant=constant).bind(names)
    x = np.random.default_rng(degree).normal(size=(4, count))
    for term, column in zip(basis.terms, basis.values(x).T, strict=True):
        assert term.exponents is not None
        assert np.allclose(column, np.prod(x ** np.array(term.exponents), axis=1), rtol=1e-13)


def test_the_union_of_libraries_has_no_term_twice() -> None:
    texts = [term.text for term in (PolynomialLibrary(2) + PolynomialLibrary(3)).terms(("x", "y"))]
    assert len(texts) == len(set(texts)) == 10


def test_texts_a_degree_and_pysindy_objects_are_libraries() -> None:
    pysindy = pytest.importorskip("pysindy")
    assert library_of(3, ("x", "y")) == PolynomialLibrary(3)
    assert library_of(pysindy.PolynomialLibrary(degree=3), ("x", "y")) == PolynomialLibrary(3)
    adopted = library_of(pysindy.PolynomialLibrary(degree=1) + pysindy.FourierLibrary(), ("x", "y"))
    assert "sin(1*x)" in [term.text for term in adopted.terms(("x", "y"))]
    assert [term.text for term in library_of(["x", "x*y"], ("x", "y")).terms(("x", "y"))] == ["x", "x*y"]


def test_a_pysindy_term_whose_name_is_no_formula_of_it_is_refused() -> None:
    pysindy = pytest.importorskip("pysindy")
    lying = pysindy.CustomLibrary([lambda x: x**2], function_names=[lambda x: f"{x}"])
    with pytest.raises(ArgumentError, match="no formula of its values"):
        library_of(lying, ("x", "y"))


@pytest.mark.parametrize(
    ("given_library", "said"),
    [(["x", "w"], "w"), (["x +"], "library"), (object(), "object"), ([], "list"), ([1, 2], "list")],
)
def test_what_is_no_library_is_refused_by_name(given_library, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        library_of(given_library, ("x", "y"))


@pytest.mark.parametrize("degree", [-1, 21, 2.5, True, "two"])
def test_a_degree_must_be_a_small_integer(degree) -> None:
    with pytest.raises(ArgumentError, match="degree"):
        PolynomialLibrary(degree)
