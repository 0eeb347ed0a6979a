r"""LaTeX in the style of a field equation: u_t + u\,u_x = \nu\,u_{xx}."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, final

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.sorting import default_sort_key

from sciml.notation.functions import TEXT_NAMES
from sciml.notation.printing import ATOM, POWER, PRODUCT, Printer
from sciml.notation.vocabulary import At, Vocabulary

__all__ = ["name_to_latex", "to_latex"]

_GREEK = re.compile(
    "alpha|beta|gamma|delta|(?:var)?epsilon|zeta|eta|(?:var)?theta|iota|kappa|mu|nu|xi|pi|(?:var)?rho|sigma|tau|upsilon"
    "|(?:var)?phi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega|ell|hbar"
)
_SPELLED: Mapping[str, str] = MappingProxyType({"lam": r"\lambda", "lambda": r"\lambda", "eps": r"\varepsilon"})
_FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {name: "\\" + name for name in ("sin", "cos", "tan", "sec", "csc", "cot", "sinh", "cosh", "tanh", "coth", "log")}
    | {"asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "min": r"\min", "max": r"\max"}
    | {"heaviside": r"\operatorname{H}"}
)
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "<=": r"\leq",
        ">=": r"\geq",
        "==": "=",
        "!=": r"\neq",
        "and": r" \text{ and } ",
        "or": r" \text{ or } ",
        "not": r"\text{not } ",
    }
)


def to_latex(expression: sympy.Basic, vocabulary: Vocabulary) -> str:
    r"""Write an expression, equation or condition as LaTeX.

    Parameters
    ----------
    expression : sympy.Expr or sympy.Eq
    vocabulary : Vocabulary

    Returns
    -------
    str
        Without dollar signs. Unknowns without arguments, derivatives as subscripts or, with one coordinate, as primes;
        values at a place as u(x, 0).

    Raises
    ------
    NotationError
        Something in the expression has no notation.

    Examples
    --------
    >>> from sciml.notation import parse_equation
    >>> words = Vocabulary(("x", "t"), ("u",), ("nu",))
    >>> print(to_latex(parse_equation("u_t + u*u_x = nu*u_xx", words), words))
    u_t + u\,u_x = \nu\,u_{xx}
    """
    return _LatexPrinter(vocabulary).whole(expression)


def name_to_latex(name: str, *subscripts: str) -> str:
    r"""Write a name: nu as \nu, x1 as x_1, Re as \mathrm{Re}, with further subscripts."""
    head, *tails = name.rstrip("_").split("_")
    match = re.fullmatch(r"([A-Za-z]+)([0-9]*)", head)
    stem, digits = match.groups() if match else (head, "")
    if stem in _SPELLED:
        base = _SPELLED[stem]
    elif _GREEK.fullmatch(stem):
        base = "\\" + stem
    else:
        base = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    lower = [digits] if digits else []
    lower += [tail if tail.isdigit() else name_to_latex(tail) for tail in tails if tail]
    lower += [subscript for subscript in subscripts if subscript]
    below = ",".join(lower)
    return base + (f"_{below}" if len(below) == 1 else f"_{{{below}}}" if below else "")


@final
class _LatexPrinter(Printer):
    def brackets(self, text: str) -> str:
        tall = any(word in text for word in (r"\frac", r"\sqrt", r"\begin", r"\left"))
        return rf"\left({text}\right)" if tall else f"({text})"

    def word(self, word: str) -> str:
        return _WORDS.get(word, word)

    def symbol(self, node: sympy.Symbol) -> str:
        return name_to_latex(node.name)

    def constant(self, node: sympy.Expr) -> str:
        return r"\pi" if node == sympy.pi else "e"

    def decimal(self, value: float) -> tuple[str, int]:
        mantissa, _, exponent = repr(value).partition("e")
        if not exponent:
            return mantissa.removesuffix(".0"), ATOM
        power = f"10^{{{int(exponent)}}}"
        return (power, POWER) if float(mantissa) == 1 else (rf"{mantissa} \cdot {power}", PRODUCT)

    def joined(self, factors: Sequence[str]) -> str:
        text = factors[0]
        for factor in factors[1:]:
            text += (r" \cdot " if factor[0].isdigit() else r"\,") + factor
        return text

    def fraction(self, above: Sequence[Any], below: Sequence[Any], numerator: int, denominator: int) -> str:
        over = list(above)
        single = len(over) + (numerator != 1) <= 1 and (below or denominator != 1)
        texts = [self.factor(base, exponent, 0 if single else PRODUCT) for base, exponent in over]
        under = [
            self.factor(base, exponent, PRODUCT if len(below) + (denominator != 1) > 1 else 0)
            for base, exponent in below
        ]
        if numerator != 1 or not texts:
            texts.insert(0, str(numerator))
        if denominator != 1:
            under.insert(0, str(denominator))
        return rf"\frac{{{self.joined(texts)}}}{{{self.joined(under)}}}" if under else self.joined(texts)

    def power(self, base: Any, exponent: Any) -> tuple[str, int]:
        if exponent == 1:
            return self.write(base)
        if exponent == sympy.S.Half:
            return rf"\sqrt{{{self.write(base)[0]}}}", ATOM
        above = self.write(exponent)[0]
        if type(base) in TEXT_NAMES and _FUNCTIONS.get(TEXT_NAMES[type(base)], "") and bool(exponent.is_Integer):
            name, arguments = self.called(base)
            return f"{name}^{{{above}}}{arguments}", POWER
        text = self.inside(base, ATOM)
        return f"{self.brackets(text) if '^' in text and text[-1] != ')' else text}^{{{above}}}", POWER

    def field(self, node: Any) -> str:
        words = self.words
        partial = words.partial_of(node)
        if partial is not None:
            order = sum(partial.orders)
            if len(words.coordinates) == 1 and order:
                name = name_to_latex(partial.unknown)
                return name + ("'" * order if order <= 3 else f"^{{({order})}}")
            counts = zip(words.coordinates, partial.orders, strict=True)
            return name_to_latex(partial.unknown, self.axes([axis for axis, count in counts for _ in range(count)]))
        applied = node.expr if isinstance(node, sympy.Derivative) else node
        variables = node.variables if isinstance(node, sympy.Derivative) else ()
        names = [str(getattr(variable, "func", variable) if variable.args else variable) for variable in variables]
        if not isinstance(applied, AppliedUndef):
            return str(sympy.latex(node))
        arguments = ", ".join(self.write(argument)[0] for argument in applied.args)
        return name_to_latex(str(applied.func), self.axes(names)) + self.brackets(arguments)

    def axes(self, names: Sequence[str]) -> str:
        written = [name_to_latex(name) for name in names]
        return ("" if all(len(name) == 1 for name in written) else " ").join(written)

    def place(self, node: At) -> str:
        field = self.field(node.expression)
        if isinstance(node.place, sympy.Symbol):
            return rf"{field}|_{{\partial\Omega}}"
        return field + self.brackets(", ".join(self.write(item)[0] for item in node.place))

    def called(self, node: Any) -> tuple[str, str]:
        """Return the name of a function, and its arguments in brackets."""
        name = TEXT_NAMES[type(node)]
        arguments = node.args
        if isinstance(node, sympy.Heaviside) and arguments[1] == sympy.S.Half:
            arguments = arguments[:1]
        if isinstance(node, (sympy.Min, sympy.Max)):
            arguments = sorted(arguments, key=default_sort_key)
        written = ", ".join(self.write(argument)[0] for argument in arguments)
        return _FUNCTIONS.get(name, rf"\operatorname{{{name}}}"), self.brackets(written)

    def function(self, node: Any) -> tuple[str, int]:
        if isinstance(node, sympy.exp):
            return f"e^{{{self.write(node.args[0])[0]}}}", POWER
        if TEXT_NAMES[type(node)] == "abs":
            return rf"\left|{self.write(node.args[0])[0]}\right|", ATOM
        return "".join(self.called(node)), ATOM

    def choice(self, pieces: Sequence[tuple[Any, Any]]) -> str:
        rows: list[str] = []
        for value, condition in pieces:
            when = r"\text{otherwise}" if condition == sympy.true else rf"\text{{for }} {self.write(condition)[0]}"
            rows.append(f"{self.write(value)[0]} & {when}")
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"
