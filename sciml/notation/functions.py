"""The functions and constants of the notation, and differentiation that keeps everything real.

One table serves the grammar (names, numbers of arguments), the printers (names) and, by SymPy class, the compilers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, final

import sympy
from sympy.functions.elementary import complexes

from sciml.errors import NotationError

__all__ = ["CONSTANTS", "FUNCTIONS", "SYNONYMS", "TEXT_NAMES", "Entry", "differentiate", "without_complex_parts"]


class Entry(NamedTuple):
    """A function of the notation.

    Attributes
    ----------
    build : makes the SymPy object.
    value : the same function of Python floats; raises where the function has no real value.
    least, most : the numbers of arguments that are accepted.
    cost : how much one level of nesting counts: SymPy's simplifications are exponential in the depth of some functions.
    """

    build: Callable[..., Any]
    value: Callable[..., float]
    least: int = 1
    most: int = 1
    cost: int = 1


def _cbrt(x: sympy.Expr) -> sympy.Expr:
    return sympy.sign(x) * complexes.Abs(x) ** sympy.Rational(1, 3)  # the real root, of negative numbers too


def _sigmoid(x: sympy.Expr) -> sympy.Expr:
    return (1 + sympy.tanh(x / 2)) / 2  # the same as 1/(1 + exp(-x)), but it cannot overflow


def _log_to_base(base: int) -> Callable[[sympy.Expr], sympy.Expr]:
    return lambda x: sympy.log(x) / sympy.log(base)


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0


def _heaviside(x: float, middle: float = 0.5) -> float:
    return middle if x == 0 else float(x > 0)


FUNCTIONS: Mapping[str, Entry] = MappingProxyType(
    {
        "sin": Entry(sympy.sin, math.sin),
        "cos": Entry(sympy.cos, math.cos),
        "tan": Entry(sympy.tan, math.tan),
        "sec": Entry(sympy.sec, lambda x: 1 / math.cos(x)),
        "csc": Entry(sympy.csc, lambda x: 1 / math.sin(x)),
        "cot": Entry(sympy.cot, lambda x: 1 / math.tan(x)),
        "asin": Entry(sympy.asin, math.asin),
        "acos": Entry(sympy.acos, math.acos),
        "atan": Entry(sympy.atan, math.atan),
        "atan2": Entry(sympy.atan2, math.atan2, 2, 2),
        "sinh": Entry(sympy.sinh, math.sinh, cost=3),
        "cosh": Entry(sympy.cosh, math.cosh, cost=3),
        "tanh": Entry(sympy.tanh, math.tanh, cost=3),
        "sech": Entry(sympy.sech, lambda x: 1 / math.cosh(x), cost=4),
        "csch": Entry(sympy.csch, lambda x: 1 / math.sinh(x), cost=4),
        "coth": Entry(sympy.coth, lambda x: 1 / math.tanh(x), cost=3),
        "asinh": Entry(sympy.asinh, math.asinh),
        "acosh": Entry(sympy.acosh, math.acosh),
        "atanh": Entry(sympy.atanh, math.atanh),
        "exp": Entry(sympy.exp, math.exp),
        "log": Entry(sympy.log, math.log),
        "log10": Entry(_log_to_base(10), math.log10),
        "log2": Entry(_log_to_base(2), math.log2),
        "sqrt": Entry(sympy.sqrt, math.sqrt),
        "cbrt": Entry(_cbrt, math.cbrt, cost=2),
        "abs": Entry(complexes.Abs, math.fabs),
        "sign": Entry(sympy.sign, _sign),
        "min": Entry(sympy.Min, min, 2, 8, cost=2),
        "max": Entry(sympy.Max, max, 2, 8, cost=2),
        "heaviside": Entry(sympy.Heaviside, _heaviside, 1, 2, cost=2),
        "erf": Entry(sympy.erf, math.erf),
        "erfc": Entry(sympy.erfc, math.erfc),
        "sigmoid": Entry(_sigmoid, lambda x: (1 + math.tanh(x / 2)) / 2, cost=3),
    }
)

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "ln": "log",
        "arcsin": "asin",
        "arccos": "acos",
        "arctan": "atan",
        "arctan2": "atan2",
        "arcsinh": "asinh",
        "arccosh": "acosh",
        "arctanh": "atanh",
        "Abs": "abs",
        "Min": "min",
        "Max": "max",
        "Heaviside": "heaviside",
    }
)

CONSTANTS: Mapping[str, sympy.Expr] = MappingProxyType({"pi": sympy.pi, "e": sympy.E, "E": sympy.E})

# Functions that are printed by their name; the others (sqrt, log10, ...) are made of these and powers.
TEXT_NAMES: Mapping[type, str] = MappingProxyType(
    {entry.build: name for name, entry in FUNCTIONS.items() if isinstance(entry.build, type)}
)


@final
class _Absolute(sympy.Function):
    """The absolute value of a real argument, while it is differentiated: SymPy takes u_x for complex."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return _Sign(self.args[0])  # pyright: ignore[reportReturnType]


@final
class _Sign(sympy.Function):
    """The sign of a real argument, while it is differentiated."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 2 * sympy.DiracDelta(self.args[0])


_REAL = {complexes.Abs: _Absolute, sympy.sign: _Sign}
_USUAL = {stand_in: usual for usual, stand_in in _REAL.items()}


def differentiate(expression: sympy.Expr, *variables: sympy.Expr) -> sympy.Expr:
    """Differentiate an expression of real quantities.

    SymPy's own `diff` does not know that a derivative u_x is real and gives abs(u_x) a derivative with real and
    imaginary parts; here d|a| = sign(a) da always.

    Parameters
    ----------
    expression : sympy.Expr
    variables : sympy.Expr
        Symbols, unknowns u(x, t), derivatives or values at a place; one differentiation each. Derivatives that occur
        in the expression are independent of the unknown when it is differentiated by the unknown (u_x by u is 0), but
        not when it is differentiated by a coordinate.

    Returns
    -------
    sympy.Expr
        Steps give `DiracDelta`, which has no value: the compilers take it for zero, the grammar refuses it.

    Raises
    ------
    NotationError
        The derivative cannot be written: a declared function of coordinates and unknowns together.
    """
    result = _exchange(expression, _REAL) if expression.has(complexes.Abs, sympy.sign) else expression
    for variable in variables:
        result = sympy.diff(result, variable)
        if result.has(sympy.Subs):
            raise NotationError("the derivative of a function whose arguments depend on each other cannot be written")
    return _exchange(result, _USUAL) if result.has(_Absolute, _Sign) else result


def _exchange(expression: sympy.Basic, classes: Mapping[type, type]) -> Any:
    """Rebuild an expression with some classes of functions exchanged."""
    if not expression.args or isinstance(expression, sympy.Derivative):
        return expression
    arguments = [_exchange(argument, classes) for argument in expression.args]
    build = classes.get(type(expression), expression.func)
    if build is expression.func and all(a is b for a, b in zip(arguments, expression.args, strict=True)):
        return expression
    return build(*arguments)


def without_complex_parts(expression: Any) -> Any:
    """Remove what SymPy's `diff` leaves because it takes u_x for complex: re(a) is a, im(a) is 0."""
    if not expression.has(sympy.re, sympy.im, sympy.conjugate):
        return expression
    parts = {
        node: node.args[0] if not isinstance(node, sympy.im) else sympy.S.Zero
        for node in expression.atoms(sympy.re, sympy.im, sympy.conjugate)
    }
    return without_complex_parts(expression.xreplace(parts)).doit()  # pyright: ignore
