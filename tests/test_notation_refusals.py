"""Text that is not in the notation is refused quickly, with a message that points at the character."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from sciml.errors import NotationError
from sciml.notation import Vocabulary, parse_condition, parse_equation, parse_expression

FIELD = Vocabulary(("x", "t"), ("u", "v"), ("nu", "h"), {"k": ("x",), "f": ("u",), "g": ("x", "u")})
TRAJECTORY = Vocabulary(("t",), ("y",), ("a",))

HOSTILE: list[tuple[str, str, int]] = [
    ("__import__('os').system('ls')", "names begin with a letter", 0),
    ("x.__class__", "no attributes", 1),
    ("u.real + 1", "no attributes", 1),
    ("u[0]", "no subscripts", 1),
    ("[x]", "no subscripts", 0),
    ("{x}", "no braces", 0),
    ("'os'", "no text in quotes", 0),
    ('"os"', "no text in quotes", 0),
    ("x'os'", "a prime needs one coordinate|missing operator", 2),
    ("lambda x: x", "'lam' or 'lambda_'", 0),
    ("x + lambda", "'lam' or 'lambda_'", 4),
    ("x if x < 0 else t", "where", 2),
    ("import os", "word of Python", 0),
    ("class", "word of Python", 0),
    ("(y := x)", "':' is not part", 3),
    ("x; t", "one equation per text", 1),
    ("x # t", "comments", 2),
    ("x % 2", "no remainder", 2),
    ("x // 2", "no integer division", 2),
    ("x & t", "write 'and'", 2),
    ("|x|", "abs", 0),
    ("x!", "no factorial", 1),
    ("\\nu*x", "LaTeX", 0),
    ("x @ t", "not part of the notation", 2),
    ("x\0", "nul byte", 1),
    ("\u03bd*u_xx", "write 'nu'", 0),
    ("u\u2212x", "minus sign", 1),
    ("x\u00b2", r"\*\*2", 1),
    ("\uff58 + 1", "not part of the notation", 0),
    ("x\u200b + 1", "not part of the notation", 1),
    ("x\u00a0+ 1", "no-break space", 1),
    ("eval(x)", "unknown function 'eval'", 0),
    ("exec(x)", "did you mean 'exp'|unknown function", 0),
    ("sine(x)", "did you mean 'sin'", 0),
    ("x + sqr(t)", "did you mean 'sqrt'", 4),
    ("sin(x=1)", "no keyword arguments", 5),
    ("sin(*x)", "something is missing", 4),
    ("sin(**x)", "something is missing", 4),
    ("9**9**9", "exponent is too large", 3),
    ("9^9^9^9", "exponent is too large", 4),
    ("x**100000", "exponent is too large", 3),
    ("x**-100000", "exponent is too large", 3),
    ("x**1e9", "exponent is too large", 3),
    ("(1 + x)**10**6", "exponent is too large", 9),
    ("(x**1000)**1000", "exponent", 0),
    ("x**600*x**600", "exponent", 0),
    ("exp(100000*log(x))", "exponent", 0),
    ("exp(-10**9*log(3))", "out of range", 0),
    ("exp(exp(exp(100)))", "out of range", 4),
    ("1e400", "not finite|out of range", 0),
    ("1e-400", "too small", 0),
    ("1e200*x*1e200", "out of range", 0),
    ("x + " + "9" * 401, "at most 400", 4),
    ("x + " + "9" * 350, "out of range", 4),
    ("(1000001/1000000)**1000", "exact number is too long", 19),
    ("+".join(f"1/{n}" for n in range(10**40, 10**40 + 100)), "exact number is too long", 0),
    ("x" * 20_001, "at most 20000", 20_000),
    ("x" * 200, "a name of 200 characters", 0),
    ("(" * 9_000 + "x" + ")" * 9_000, "nested more than 64", 64),
    ("sin(" * 4_000 + "x", "nested more than 64", 64 * 4 + 3),
    ("sin(" * 40 + "x" + ")" * 40, "nested too deeply", 29 * 4),
    ("-" * 10_000 + "x", "signs in a row", 16),
    ("x" + "+x" * 9_000, "more than 1500 operators", 3_001),
    ("**".join(["x"] * 5_000), "more than 1500 operators", 4_501),
    ("max(u_x, " * 10 + "v" + ")" * 10, "nested too deeply", 36),
    ("max(" + ",".join(f"sin({n}*u_x)" for n in range(50)) + ")", "max takes 2 to 8", 0),
    ("d(" + "*".join(f"(x+{n})" for n in range(400)) + ", x)", "too large to be differentiated", 0),
]

MISTAKES: list[tuple[str, str, int]] = [
    ("", "the text is empty", -1),
    ("   ", "the text is empty", 0),
    ("2x", "missing operator between '2' and 'x'", 1),
    ("2 pi", "missing operator", 2),
    ("1e5x", "missing operator", 3),
    ("0x10", "missing operator", 1),
    ("1_000", "names begin with a letter", 1),
    ("1.2.3", "missing operator", 3),
    ("u u_x", "missing operator between 'u' and 'u_x'", 2),
    ("(x + 1)(x - 1)", "missing operator", 7),
    ("2(x + 1)", "missing operator", 1),
    ("nu(x + 1)", "'nu' is a parameter, not a function", 0),
    ("x(t + 1)", "'x' is a coordinate, not a function", 0),
    ("3 + pi(x)", "'pi' is a constant, not a function", 4),
    ("x +", "something is missing after", 2),
    ("x + * t", "something is missing", 4),
    ("* x", "something is missing before", 0),
    ("()", "something is missing", 1),
    ("sin()", "something is missing", 4),
    ("sin", "needs its arguments in brackets", 0),
    ("u*laplacian", "needs its arguments in brackets", 2),
    ("sin(x, t)", "sin takes 1 argument, not 2", 0),
    ("atan2(x)", "atan2 takes 2 arguments, not 1", 0),
    ("(x + 1", "never closed", 0),
    ("x + 1)", "closes nothing", 5),
    ("x, t", "outside of brackets", 1),
    ("(x, t)", "not part of the notation", 0),
    ("nuu*x", "did you mean 'nu'", 0),
    ("x + uu_x", "unknown name 'uu_x'", 4),
    ("u_z", "does not consist of the coordinates x, t", 0),
    ("u_xz + x", "does not consist of the coordinates", 0),
    ("nu_x", "'nu' is a parameter, it has no derivatives", 0),
    ("u_" + "x" * 20, "up to order 10", 0),
    ("d(u, x, 50)", "up to order 10", 8),
    ("d(u)", "d takes an expression and the coordinates", 0),
    ("d(u, nu)", "differentiates by the coordinates x, t", 5),
    ("laplacian(u, x)", "one argument", 0),
    ("u'", "a prime needs one coordinate.*u_x", 0),
    ("nu'", "no unknown", 0),
    ("u''''''''''''", "up to order 10", 0),
    ("i*u", "no imaginary unit.*two unknowns", 0),
    ("1 + nan", "'nan' is not a number", 4),
    ("inf", "'inf' is not a number", 0),
    ("True", "stands only in the conditions", 0),
    ("boundary", "stands only as the place", 0),
    ("1/0", "division by zero", 0),
    ("x/(t - t)", "division by zero", 0),
    ("0**-1", "division by zero", 3),
    ("log(0)", "no real value", 0),
    ("tan(pi/2)", "not finite", 0),
    ("sqrt(-1)", "no real value", 0),
    ("u + (-8)**(1/3)", "not a real number; cbrt", 11),
    ("(-2)**x", "not real", 6),
    ("asin(2)*u", "no real value", 0),
    ("sqrt(-x**2)", "not a real number", 0),
    ("x < 1", "a comparison is not a number", 0),
    ("u*(x < 1)", "a comparison is not a number", 3),
    ("x and t", "a condition is a comparison", 0),
    ("not x", "a condition is a comparison", 4),
    ("where(x, 1, 2)", "a condition is a comparison", 6),
    ("where(x < 1)", "where takes a condition and two values", 0),
    ("where(where(x < 1, 1, 2) < 1, 1, 2)", "a choice within the condition", 0),
    ("d(sign(u), x)", "no value at the step", 0),
    ("d(g, x)", "depend on each other", 0),
    ("u(x, 0)", "belongs to a condition", 0),
    ("u(boundary)", "belongs to a condition", 0),
    ("u(x)", "2 arguments in the order of the domain", 0),
    ("k(t)", "declared as k", 0),
    ("k(x, t)", "declared with 1 argument", 0),
    ("f(v)", "declared as f", 0),
]


def refused(parse: Callable[..., Any], text: str, words: Vocabulary) -> tuple[NotationError, float]:
    start = time.process_time()
    with pytest.raises(NotationError) as caught:
        parse(text, words)
    return caught.value, time.process_time() - start


@pytest.mark.parametrize(("text", "message", "position"), HOSTILE, ids=[text[:20] for text, *_ in HOSTILE])
def test_hostile_text_is_refused_at_its_character_and_quickly(text: str, message: str, position: int) -> None:
    error, seconds = refused(parse_expression, text, FIELD)
    assert re.search(message, str(error))
    assert (error.text, error.position) == (text, position)
    assert seconds < 0.5  # of this process; a few milliseconds mostly


@pytest.mark.parametrize(("text", "message", "position"), MISTAKES, ids=[text[:20] for text, *_ in MISTAKES])
def test_a_mistake_is_explained_at_its_character(text: str, message: str, position: int) -> None:
    error, seconds = refused(parse_expression, text, FIELD)
    assert re.search(message, str(error))
    assert (-1 if error.position is None else error.position) == position
    assert seconds < 0.5


EQUATIONS: list[tuple[str, str, int]] = [
    ("u_t == u_xx", "single '='", 4),
    ("u_t = u_xx = 0", "a second '='", 11),
    ("u_t =", "something is missing after", 4),
    ("= u_t", "something is missing before", 0),
    ("u_t = u_xx + w", "unknown name 'w'", 13),
    ("u_t = nu*u_xx)", "closes nothing", 13),
    ("u_t = u(0, t)", "belongs to a condition", 6),
    ("u_t = d(u_x, y)", "coordinates x, t", 13),
]


@pytest.mark.parametrize(("text", "message", "position"), EQUATIONS, ids=[text for text, *_ in EQUATIONS])
def test_an_equation_is_refused_where_it_goes_wrong(text: str, message: str, position: int) -> None:
    error, _ = refused(parse_equation, text, FIELD)
    assert re.search(message, str(error))
    assert error.position == position


CONDITIONS: list[tuple[str, str, int]] = [
    ("u(t, 0) = 0", r"the coordinate t in the place of x.*u\(x, t\)", 2),
    ("u(x, x) = 0", "the coordinate x in the place of t", 5),
    ("u(2*x, 0) = 0", "x itself or a constant", 2),
    ("u(u_x, 0) = 0", "has no place", 2),
    ("u(0) = 1", "2 arguments in the order of the domain", 0),
    ("u(x, t) = 0", "fixes no coordinate", 0),
    ("u = 0", "u has no place", 0),
    ("u(x, 0) = u_x", "u_x has no place", 10),
    ("u(x, 0) = v + 1", "v has no place", 10),
    ("u(x, 0) = f", "f has no place", 10),
    ("x = 0", "about an unknown at a place", 0),
    ("d(u(x, 0), x) = 0", "not differentiated", 2),
    ("w(x, 0) = 0", "unknown function 'w'", 0),
    ("u_y(x, 0) = 0", "does not consist|unknown function 'u_y'", 0),
    ("d(u**2, x)(0, t) = 0", "no derivative of an unknown", 0),
    ("u(x, 1/0) = 0", "division by zero", 5),
]


@pytest.mark.parametrize(("text", "message", "position"), CONDITIONS, ids=[text for text, *_ in CONDITIONS])
def test_a_condition_is_refused_where_it_goes_wrong(text: str, message: str, position: int) -> None:
    error, _ = refused(parse_condition, text, FIELD)
    assert re.search(message, str(error))
    assert error.position == position


def test_without_space_there_is_no_boundary_and_no_laplacian() -> None:
    assert refused(parse_condition, "y(boundary) = 0", TRAJECTORY)[0].position == 2
    assert "no laplacian" in str(refused(parse_equation, "y' = laplacian(y)", TRAJECTORY)[0])


def test_the_message_shows_the_character() -> None:
    error, _ = refused(parse_equation, "u_t + u*u_x = nu*u_xz", FIELD)
    first, text, pointer = str(error).splitlines()
    assert "coordinates" in first
    assert text.index("u_xz") == pointer.index("^")


def test_a_formula_is_not_an_equation() -> None:
    error, _ = refused(parse_expression, "u = 1", FIELD)
    assert error.position == 2
    assert "not an equation" in str(error)


@pytest.mark.parametrize("given", [None, 3, b"u_t", ["u_t"]])
def test_only_text_is_parsed(given: Any) -> None:
    error, _ = refused(parse_expression, given, FIELD)
    assert type(given).__name__ in str(error)
