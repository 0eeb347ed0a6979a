"""What the grammar accepts, and which SymPy objects it makes of it."""

import doctest
import importlib
import pickle
import subprocess
import sys
from typing import Any

import pytest
import sympy
from sympy import Abs, Derivative, E, Eq, Float, Function, Integer, Max, Min, Piecewise, Rational, Symbol, pi, sqrt

from sciml.errors import NotationError
from sciml.notation import (
    BOUNDARY,
    At,
    Partial,
    Vocabulary,
    adopt,
    differentiate,
    infer_unknowns,
    parse_condition,
    parse_equation,
    parse_expression,
)

FIELD = Vocabulary(("x", "t"), ("u", "v"), ("nu", "h", "d"), {"k": ("x",), "f": ("u",), "g": ("x", "u")})
x, t, nu, h, d = (Symbol(name, real=True) for name in ("x", "t", "nu", "h", "d"))
u, v = (Function(name, real=True)(x, t) for name in "uv")
k = Function("k", real=True)(x)
f = Function("f", real=True)(u)

ACCEPTED: list[tuple[str, Any]] = [
    ("7", Integer(7)),
    ("007", Integer(7)),
    ("1/3", Rational(1, 3)),
    ("-2/6", Rational(-1, 3)),
    ("0.1", Float(0.1)),
    (".5", Float(0.5)),
    ("5.", Float(5.0)),
    ("1e-3", Float(1e-3)),
    ("2.5E+2", Float(250.0)),
    ("0.30000000000000004", Float(0.1 + 0.2)),
    ("pi", pi),
    ("e", E),
    ("E", E),
    ("-x", -x),
    ("+x", x),
    ("--x", x),
    ("x - -t", x + t),
    ("x^2", x**2),
    ("x**2", x**2),
    ("-x^2", -(x**2)),
    ("x^-2", x**-2),
    ("2^3^2", Integer(512)),
    ("x^(1/2)", sqrt(x)),
    ("2*x/3", 2 * x / 3),
    ("x/t/nu", x / (t * nu)),
    ("x/(t*nu)", x / (t * nu)),
    ("2*(x + t)", 2 * x + 2 * t),
    ("2*(x + t)*nu", sympy.Mul(2, nu, x + t)),
    ("  x\t+\nt ", x + t),
    ("u", u),
    ("u(x, t)", u),
    ("u_x(x, t)", u.diff(x)),
    ("u_x", u.diff(x)),
    ("u_xxt", u.diff((x, 2), t)),
    ("u_txx", u.diff((x, 2), t)),
    ("d(u, x)", u.diff(x)),
    ("d(u, x, 2)", u.diff(x, 2)),
    ("d(u, x, t)", u.diff(x, t)),
    ("d(u, x, 2, t, 1)", u.diff((x, 2), t)),
    ("d(u_x*u, t)", u.diff(x, t) * u + u.diff(x) * u.diff(t)),
    ("d(d(u, x), x)", u.diff(x, 2)),
    ("d(x**3, x, 2)", 6 * x),
    ("d*x", d * x),
    ("laplacian(u)", u.diff(x, 2)),
    ("laplacian(u**2)", 2 * u * u.diff(x, 2) + 2 * u.diff(x) ** 2),
    ("k", k),
    ("k(x)", k),
    ("k_xx", k.diff(x, 2)),
    ("k'", k.diff(x)),
    ("f", f),
    ("f(u)", f),
    ("f_u", Derivative(f, u)),
    ("d(f, u)", Derivative(f, u)),
    ("d(f(u), x)", Derivative(f, u) * u.diff(x)),
    ("sin(pi*x)", sympy.sin(pi * x)),
    ("sin(pi)", Integer(0)),
    ("ln(x)", sympy.log(x)),
    ("log10(x)", sympy.log(x) / sympy.log(10)),
    ("log2(8)", sympy.log(8) / sympy.log(2)),
    ("exp(1)", E),
    ("e^x", sympy.exp(x)),
    ("sqrt(x)^3", x ** Rational(3, 2)),
    ("cbrt(-8)", Integer(-2)),
    ("cbrt(u)", sympy.sign(u) * Abs(u) ** Rational(1, 3)),
    ("abs(u_x)", Abs(u.diff(x))),
    ("sign(u)", sympy.sign(u)),
    ("min(u, 0, x)", Min(u, 0, x)),
    ("max(u, v)", Max(u, v)),
    ("arctan2(x, t)", sympy.atan2(x, t)),
    ("heaviside(x)", sympy.Heaviside(x)),
    ("heaviside(x, 1)", sympy.Heaviside(x, 1)),
    ("erf(x) + erfc(x)", sympy.erf(x) + sympy.erfc(x)),
    ("sech(x)*csch(x)*coth(x)", sympy.sech(x) * sympy.csch(x) * sympy.coth(x)),
    ("sec(x) + csc(x) + cot(x) + tan(x)", sympy.sec(x) + sympy.csc(x) + sympy.cot(x) + sympy.tan(x)),
    ("asinh(x) + acosh(x) + atanh(x)", sympy.asinh(x) + sympy.acosh(x) + sympy.atanh(x)),
    ("sigmoid(x)", (1 + sympy.tanh(x / 2)) / 2),
    ("where(x < 0, u, 2)", Piecewise((u, x < 0), (2, True))),
    ("piecewise(x < 0, 1, x < 1, 2, 3)", Piecewise((1, x < 0), (2, x < 1), (3, True))),
    ("Piecewise((1, x < 0), (2, True))", Piecewise((1, x < 0), (2, True))),
    ("where(0 < x <= 1, 1, 0)", Piecewise((1, sympy.And(sympy.Lt(0, x), x <= 1)), (0, True), evaluate=False)),
    ("where(x < 0 or not t >= 1, 1, 0)", Piecewise((1, sympy.Or(x < 0, t < 1)), (0, True))),
    ("where(x == 0, 1, sin(x)/x)", Piecewise((1, Eq(x, 0)), (sympy.sin(x) / x, True))),
    ("where(2 > 1, x, t)", x),
    ("where(1 > 2, x, t)", t),
]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED, ids=[text for text, _ in ACCEPTED])
def test_text_becomes_this_expression(text: str, expected: Any) -> None:
    assert parse_expression(text, FIELD) == expected


def test_all_symbols_and_functions_are_real() -> None:
    expression = parse_expression("x*nu + u + k", FIELD)
    assert all(symbol.is_real for symbol in expression.free_symbols)
    assert parse_expression("sqrt(u**2)", FIELD) == Abs(u)


def test_an_equation_keeps_its_sides_and_a_lone_expression_is_zero() -> None:
    equation = parse_equation("u_t + u*u_x = nu*u_xx", FIELD)
    assert equation.lhs == u.diff(t) + u * u.diff(x)
    assert equation.rhs == nu * u.diff(x, 2)
    assert parse_equation("u_t - u_xx", FIELD) == Eq(u.diff(t) - u.diff(x, 2), 0, evaluate=False)
    assert parse_equation("u = u", FIELD).args == (u, u)


def test_the_product_rule_holds_for_declared_functions() -> None:
    assert parse_expression("d(k*u_x, x)", FIELD) == parse_expression("k*u_xx + k_x*u_x", FIELD)
    assert parse_expression("d(f*u, x)", FIELD) == parse_expression("f_u*u_x*u + f*u_x", FIELD)


def test_the_laplacian_is_the_sum_over_space_and_leaves_time_alone() -> None:
    words = Vocabulary(("x", "y", "tau"), ("u",), time="tau")
    assert parse_expression("laplacian(u)", words) == parse_expression("u_xx + u_yy", words)
    biharmonic = parse_expression("u_xxxx + 2*u_xxyy + u_yyyy", words)
    assert parse_expression("laplacian(laplacian(u))", words) == biharmonic


def test_derivatives_by_named_coordinates_with_digits() -> None:
    words = Vocabulary(("x1", "x2"), ("u",), time=None)
    assert words.parse_partial("u_x1x1x2") == Partial("u", (2, 1))
    assert words.partial_text(Partial("u", (2, 1))) == "u_x1x1x2"
    assert parse_expression("laplacian(u)", words) == parse_expression("u_x1x1 + u_x2x2", words)


def test_primes_differentiate_by_the_only_coordinate() -> None:
    words = Vocabulary(("t",), ("x", "y"), ("a",))
    assert parse_equation("x'' = -a*x' + y", words) == parse_equation("x_tt = -a*x_t + y", words)
    assert words.partial_text(Partial("x", (3,))) == "x'''"


CONDITIONS: list[tuple[str, Any, Any]] = [
    ("u(x, 0) = -sin(pi*x)", At(u, (x, 0)), -sympy.sin(pi * x)),
    ("u_t(x, 0) = 0", At(u.diff(t), (x, 0)), 0),
    ("u_x(1, t) + h*u(1, t) = 0", At(u.diff(x), (1, t)) + h * At(u, (1, t)), 0),
    ("u(-1, t) = u(1, t)", At(u, (-1, t)), At(u, (1, t))),
    ("u(boundary) = 0", At(u, BOUNDARY), 0),
    ("u_x(boundary)", At(u.diff(x), BOUNDARY), 0),
    ("u(pi*nu/2, t) = sin(t)", At(u, (pi * nu / 2, t)), sympy.sin(t)),
    ("u(0.5, 1/3) = 1", At(u, (0.5, Rational(1, 3))), 1),
    ("d(u, x)(0, t) = k(x)", At(u.diff(x), (0, t)), k),
    ("u_x(0, t) = f(u(0, t))", At(u.diff(x), (0, t)), f.func(At(u, (0, t)))),
    ("k(0)*u_x(0, t) = 1", k.func(0) * At(u.diff(x), (0, t)), 1),
]


@pytest.mark.parametrize(("text", "left", "right"), CONDITIONS, ids=[text for text, *_ in CONDITIONS])
def test_a_condition_places_its_unknowns(text: str, left: Any, right: Any) -> None:
    assert parse_condition(text, FIELD) == Eq(left, right, evaluate=False)


def test_a_condition_of_a_trajectory() -> None:
    words = Vocabulary(("t",), ("x",))
    condition = parse_condition("x'(0) = 1", words)
    field = words.unknown("x")
    assert condition == Eq(At(field.diff(Symbol("t", real=True)), (0,)), 1, evaluate=False)
    assert condition.lhs.place == (0,)
    assert condition.lhs.expression == field.diff(Symbol("t", real=True))


def test_a_value_at_a_place_is_inert_and_can_be_differentiated_by() -> None:
    at = At(u, (x, 0))
    assert at.is_real
    assert at.free_symbols == {x}
    assert at.xreplace({nu: Float(2)}) == at
    assert (3 * at**2 + nu).diff(at) == 6 * at
    assert At(u, (nu, t)).xreplace({nu: Integer(2)}) == At(u, (2, t))
    with pytest.raises(NotationError, match="not differentiated"):
        at.diff(x)


@pytest.mark.parametrize(
    "name", ["beta", "gamma", "zeta", "S", "N", "E", "Q", "I", "e", "pi", "i", "exp", "d", "Re", "O"]
)
def test_a_declared_name_wins_over_functions_and_constants(name: str) -> None:
    words = Vocabulary(("t",), ("y",), (name,))
    assert parse_equation(f"y' = {name}*y", words).rhs == Symbol(name, real=True) * words.unknown("y")


@pytest.mark.parametrize("name", ["S", "I", "E", "N", "Q", "theta", "O"])
def test_letters_that_sympy_uses_can_be_unknowns(name: str) -> None:
    words = Vocabulary(("t",), (name,))
    assert parse_equation(f"{name}' = -{name}", words).rhs == -words.unknown(name)


def test_a_declared_name_wins_over_a_derivative() -> None:
    words = Vocabulary(("x",), ("u",), ("u_x", "k_x"))
    assert parse_expression("u_x", words) == Symbol("u_x", real=True)
    assert words.partial_text(Partial("u", (1,))) == "u'"
    plane = Vocabulary(("x", "y"), ("u",), ("u_x",))
    assert plane.partial_text(Partial("u", (1, 0))) == "d(u, x)"
    assert plane.parse_partial("d(u, x)") == Partial("u", (1, 0))


def test_a_name_that_splits_in_two_ways_is_refused_with_both() -> None:
    words = Vocabulary(("x", "xx"), ("u",), time=None)
    assert words.parse_partial("u_x") == Partial("u", (1, 0))
    with pytest.raises(NotationError, match=r"several readings.*d\(u, xx\).*d\(u, x, x\)"):
        words.parse_partial("u_xx")
    assert words.partial_text(Partial("u", (0, 1))) == "d(u, xx)"
    assert words.parse_partial("d(u, xx)") == Partial("u", (0, 1))


VOCABULARIES: list[tuple[dict[str, Any], str]] = [
    ({"coordinates": "xt", "unknowns": ("u",)}, "sequence of names"),
    ({"coordinates": ("x", "x"), "unknowns": ("u",)}, "declared twice"),
    ({"coordinates": ("x",), "unknowns": ("x",)}, "as coordinate and as unknown"),
    ({"coordinates": ("x",), "unknowns": ("u",), "parameters": ("lambda",)}, "'lam' or 'lambda_'"),
    ({"coordinates": ("x",), "unknowns": ("u",), "parameters": ("class",)}, "'class_'"),
    ({"coordinates": ("x",), "unknowns": ("u",), "parameters": ("2k",)}, "not a name"),
    ({"coordinates": ("x",), "unknowns": ("u",), "parameters": ("_k",)}, "not a name"),
    ({"coordinates": ("x",), "unknowns": ("u",), "parameters": ("\u03bd",)}, "ASCII"),
    ({"coordinates": ("x",), "unknowns": ("u",), "parameters": (3,)}, "not a name"),
    ({"coordinates": ("x",), "unknowns": ("boundary",)}, "has a meaning"),
    ({"coordinates": ("x",), "unknowns": ("d",)}, "has a meaning"),
    ({"coordinates": ("x",), "unknowns": ("u", "u_x")}, "also reads as a derivative of 'u'"),
    ({"coordinates": ("x", "u_xx"), "unknowns": ("u",)}, "also reads as a derivative"),
    ({"coordinates": ("x",), "unknowns": ("u",), "functions": {"k": ()}}, "at least one argument"),
    ({"coordinates": ("x",), "unknowns": ("u",), "functions": {"k": ("y",)}}, "neither a coordinate nor an unknown"),
    ({"coordinates": ("x",), "unknowns": ("u",), "functions": {"k": ("x", "x")}}, "argument twice"),
]


@pytest.mark.parametrize(("declared", "message"), VOCABULARIES, ids=[message for _, message in VOCABULARIES])
def test_a_vocabulary_refuses_what_would_be_ambiguous(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(NotationError, match=message):
        Vocabulary(**declared)


def test_partials_are_those_that_occur_sorted_without_duplicates() -> None:
    residual = parse_expression("u_t + v*u_x - nu*u_xx + f(u)*u_x + k_x*abs(v_xt)", FIELD)
    names = [FIELD.partial_text(partial) for partial in FIELD.partials(residual)]
    assert names == ["u", "u_x", "u_t", "u_xx", "v", "v_xt"]
    assert FIELD.partials(parse_condition("u_x(1, t) = u(-1, t)", FIELD)) == (
        Partial("u", (0, 0)),
        Partial("u", (1, 0)),
    )
    assert FIELD.partial_of(x) is None
    assert FIELD.partial_of(f) is None
    assert all(FIELD.partial_of(FIELD.expression(p)) == p for p in FIELD.partials(residual))


def test_the_vocabulary_helps_with_unknown_names() -> None:
    with pytest.raises(NotationError, match="did you mean 'nu'"):
        FIELD.symbol("nuu")
    with pytest.raises(NotationError, match="not an unknown"):
        FIELD.unknown("w")
    with pytest.raises(NotationError, match="one order"):
        FIELD.expression(Partial("u", (1,)))
    with pytest.raises(NotationError, match="not an unknown or derivative"):
        FIELD.parse_partial("x")


def test_a_vocabulary_can_be_pickled_and_compared() -> None:
    again = pickle.loads(pickle.dumps(FIELD))
    assert again == FIELD
    assert hash(again) == hash(FIELD)
    at = At(u.diff(x), (1, t))
    assert pickle.loads(pickle.dumps(at)) == at


def test_derivatives_are_those_that_sympy_meets() -> None:
    residual = parse_expression("u_t + u*u_x - nu*u_xxt", FIELD)
    assert residual.diff(FIELD.expression(Partial("u", (2, 1)))) == -nu
    assert residual.diff(u) == u.diff(x)


def test_differentiation_keeps_absolute_values_real() -> None:
    slope = u.diff(x)
    assert differentiate(Abs(slope), x) == sympy.sign(slope) * u.diff(x, 2)
    assert differentiate(Abs(slope) * slope, slope) == Abs(slope) + sympy.sign(slope) * slope
    assert (
        parse_expression("d(abs(u_x)*u_x, x)", FIELD)
        == parse_expression("(sign(u_x)*u_x + abs(u_x))*u_xx", FIELD).expand()
    )
    with pytest.raises(NotationError, match="depend on each other"):
        differentiate(FIELD.function("g"), x)


INFERRED: list[tuple[list[Any], list[Any], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = [
    (["u_t + u*u_x = nu*u_xx"], ["u(x, 0) = sin(pi*x)"], ("x", "t"), ("nu",), ("u",)),
    (["x' = a*x - b*x*y", "y' = -c*y + d*x*y"], [], ("t",), ("a", "b", "c", "d"), ("x", "y")),
    (["laplacian(u) + sinh(u) = 0"], [], ("x", "y"), (), ("u",)),
    (["-d(k*u_x, x) = q"], [], ("x",), ("q", "k"), ("u",)),
    (["d(flux*u, x) = 1"], [], ("x",), (), ("flux", "u")),
    (["p + u_x = 0"], ["p(0) = 1", "w_x(boundary) = 0"], ("x",), (), ("u", "p", "w")),
    (["u_x1x1 + q_x2 = 0"], [], ("x1", "x2"), (), ("u", "q")),
    (["u_t = k_x*u"], [], ("x", "t"), ("k_x",), ("u",)),
    (["u_t = exp(-t)*max(u, 0)"], ["u(0) = sqrt(2)"], ("t",), (), ("u",)),
    ([Eq(Function("w")(x, t).diff(t), 1)], [Eq(Function("z")(x, 0), 0)], ("x", "t"), (), ("w", "z")),
]


@pytest.mark.parametrize(("equations", "conditions", "coordinates", "parameters", "expected"), INFERRED)
def test_unknowns_are_what_is_differentiated_or_placed(
    equations: list[Any], conditions: list[Any], coordinates: Any, parameters: Any, expected: Any
) -> None:
    assert infer_unknowns(equations, conditions, coordinates, parameters, ()) == expected


def test_unknowns_are_not_inferred_from_other_things() -> None:
    with pytest.raises(NotationError, match="not NoneType"):
        infer_unknowns([None], [], ("x",))
    with pytest.raises(NotationError, match="names begin with a letter"):
        infer_unknowns(["__import__('os')"], [], ("x",))


@pytest.mark.parametrize("module", ["vocabulary", "grammar", "adoption", "printing", "latex", "compilation"])
def test_the_examples_of_the_documentation_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"sciml.notation.{module}"))
    assert results.attempted > 0
    assert results.failed == 0


def test_sympy_without_assumptions_is_adopted() -> None:
    X, T, N = sympy.symbols("x t nu")
    U = Function("u")
    burgers = Eq(U(X, T).diff(T) + U(X, T) * U(X, T).diff(X), N * U(X, T).diff(X, 2))
    assert adopt(burgers, FIELD) == parse_equation("u_t + u*u_x = nu*u_xx", FIELD)
    assert adopt(Eq(U(X, 0), sympy.sin(X)), FIELD) == parse_condition("u(x, 0) = sin(x)", FIELD)
    assert adopt(Eq(U(X, T).diff(T).subs(T, 0), 0), FIELD) == parse_condition("u_t(x, 0) = 0", FIELD)
    assert adopt(Eq(U(Symbol("boundary")), 0), FIELD) == parse_condition("u(boundary) = 0", FIELD)
    assert adopt(Symbol("u_x") * Symbol("k"), FIELD) == parse_expression("u_x*k", FIELD)
    assert adopt(Derivative(X * U(X, T), X), FIELD) == parse_expression("u + x*u_x", FIELD)
    assert adopt(Function("f")(U(X, T)), FIELD) == f
    assert adopt(Piecewise((X, X < 0), (T, True)), FIELD) == parse_expression("where(x < 0, x, t)", FIELD)
    assert adopt(Float("0.1", 40), FIELD) == Float(0.1)
    assert adopt(3, FIELD) == 3


FOREIGN: list[tuple[Any, str]] = [
    (Symbol("q"), "unknown name 'q'"),
    (Function("w")(Symbol("x")), "unknown function 'w'"),
    (sympy.Integral(Symbol("x"), Symbol("x")), "Integral is not part"),
    (sympy.I * Symbol("x"), "complex numbers"),
    (sympy.oo, "not finite"),
    (sympy.zoo * Symbol("x"), "not finite"),
    (sympy.gamma(Symbol("x")), "gamma is not part"),
    (sympy.asin(2) * Symbol("x"), "not a real number"),
    (Symbol("x") ** 10**6, "too large"),
    (Function("u")(Symbol("t"), Symbol("x")), "order of the domain"),
    (Function("u")(Symbol("x")), "order of the domain"),
    (sympy.Matrix([1]), "Matrix"),
    ("u_x", "not str"),
    (None, "not NoneType"),
    (Symbol("x") < 1, "equation or expression"),
]


@pytest.mark.parametrize(("given", "message"), FOREIGN, ids=[message for _, message in FOREIGN])
def test_foreign_sympy_is_refused(given: Any, message: str) -> None:
    with pytest.raises(NotationError, match=message):
        adopt(given, FIELD)


def test_reading_and_printing_do_not_import_torch_or_scipy() -> None:
    code = """
import sys
from sciml.notation import *
words = Vocabulary(("x", "t"), ("u",))
to_latex(parse_equation("u_t = u_xx", words), words)
to_numpy([words.symbol("x")], [words.symbol("x")])([1.0])
assert "torch" not in sys.modules and "scipy" not in sys.modules, "imported"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
