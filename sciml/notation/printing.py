"""From SymPy to text that parses back to the same object, and the walk that text and LaTeX share.

Terms come in the order in which one writes an equation (time derivatives, space derivatives by order, the unknowns, the
rest), factors likewise (numbers, parameters, coordinates, functions, unknowns, derivatives).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.core.sorting import default_sort_key

from sciml.errors import NotationError
from sciml.notation.functions import TEXT_NAMES
from sciml.notation.vocabulary import At, Vocabulary

__all__ = ["ATOM", "POWER", "PRODUCT", "SUM", "Printer", "to_text"]

# How tightly a text binds; what binds less than its surroundings is put into brackets.
OR, AND, NOT, RELATION, SUM, PRODUCT, POWER, ATOM = range(8)
_RELATIONS: dict[type, str] = {
    sympy.StrictLessThan: "<",
    sympy.LessThan: "<=",
    sympy.StrictGreaterThan: ">",
    sympy.GreaterThan: ">=",
    sympy.Equality: "==",
    sympy.Unequality: "!=",
}


def to_text(expression: sympy.Basic, vocabulary: Vocabulary) -> str:
    """Write an expression, equation or condition in the notation.

    Parameters
    ----------
    expression : sympy.Expr or sympy.Eq
        Built by the grammar or by SymPy's automatic evaluation from the vocabulary's symbols.
    vocabulary : Vocabulary

    Returns
    -------
    str
        Text that parses to the identical object. Floats are written with the fewest digits that give them back.

    Raises
    ------
    NotationError
        Something in the expression has no notation, or its name is declared as something else.

    Examples
    --------
    >>> from sciml.notation import parse_equation
    >>> words = Vocabulary(("x", "t"), ("u",), ("nu",))
    >>> to_text(parse_equation("u*u_x + u_t = u_xx*nu", words), words)
    'u_t + u*u_x = nu*u_xx'
    """
    return _TextPrinter(vocabulary).whole(expression)


class Printer(ABC):
    """The walk over an expression; each method returns a text and how tightly it binds."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.words = vocabulary

    def whole(self, node: Any) -> str:
        """Write an expression or an equation."""
        if isinstance(node, sympy.Eq):
            return f"{self.inside(node.lhs, SUM)} = {self.inside(node.rhs, SUM)}"
        return self.write(node)[0]

    def inside(self, node: Any, level: int) -> str:
        """Write an operand, in brackets if it binds less tightly than `level`."""
        text, binds = self.write(node)
        return text if binds >= level else self.brackets(text)

    def write(self, node: Any) -> tuple[str, int]:
        """Write any node."""
        if isinstance(node, (sympy.Number, sympy.Mul)):
            negative, text, binds = self.signed(node)
            return ("-" + text, SUM) if negative else (text, binds)
        if isinstance(node, sympy.Add):
            return self.sum(node), SUM
        if isinstance(node, sympy.Pow):
            if _is_reciprocal(node):
                return self.fraction([], [(node.base, -node.exp)], 1, 1), PRODUCT
            return self.power(node.base, node.exp)
        if isinstance(node, sympy.Symbol):
            return self.symbol(node), ATOM
        if isinstance(node, At):
            return self.place(node), ATOM
        if isinstance(node, (AppliedUndef, sympy.Derivative)):
            return self.field(node), ATOM
        if node in (sympy.pi, sympy.E):
            return self.constant(node), ATOM
        if isinstance(node, sympy.Piecewise):
            return self.choice([(pair[0], pair[1]) for pair in node.args]), ATOM  # pyright: ignore
        if type(node) in TEXT_NAMES:
            return self.function(node)
        return self.condition(node)

    def condition(self, node: Any) -> tuple[str, int]:
        """Write a comparison or a combination of comparisons."""
        if isinstance(node, Relational) and type(node) in _RELATIONS:
            sides = [self.inside(side, SUM) for side in node.args]
            return f"{sides[0]} {self.word(_RELATIONS[type(node)])} {sides[1]}", RELATION
        for kind, word, level in ((sympy.And, "and", AND), (sympy.Or, "or", OR)):
            if isinstance(node, kind):
                return self.word(word).join(self.inside(part, level + 1) for part in node.args), level
        if isinstance(node, sympy.Not):
            return self.word("not") + self.inside(node.args[0], RELATION), NOT
        if node in (sympy.true, sympy.false):
            return str(node), ATOM
        raise NotationError(f"{type(node).__name__} is not part of the notation: {str(node)[:80]}")

    def sum(self, node: sympy.Add) -> str:
        """Write the terms, each with its sign."""
        text = ""
        for term in self.ordered_terms(node):
            negative, written, binds = self.signed(term)
            written = written if binds >= PRODUCT else self.brackets(written)
            sign = ("-" if negative else "") if not text else (" - " if negative else " + ")
            text += sign + written
        return text

    def signed(self, node: Any) -> tuple[bool, str, int]:
        """Return whether a term is negative, and its text without the sign."""
        if isinstance(node, sympy.Float):
            return bool(node < 0), *self.decimal(abs(float(node)))
        if isinstance(node, sympy.Rational):
            text = self.fraction([], [], abs(int(node.p)), int(node.q))
            return bool(node < 0), text, ATOM if node.q == 1 else PRODUCT
        if not isinstance(node, sympy.Mul):
            return False, *self.write(node)
        negative, numerator, denominator = False, 1, 1
        above: list[tuple[Any, Any]] = []
        below: list[tuple[Any, Any]] = []
        for factor in sorted(node.args, key=self.factor_key):
            if isinstance(factor, sympy.Number) and factor.is_negative:
                negative, factor = not negative, -factor
            if isinstance(factor, sympy.Rational):
                numerator, denominator = numerator * int(factor.p), denominator * int(factor.q)
            elif _is_reciprocal(factor):
                base, exponent = factor.args
                below.append((base, -exponent))  # pyright: ignore[reportOperatorIssue]
            else:
                above.append((factor, sympy.S.One))
        return negative, self.fraction(above, below, numerator, denominator), PRODUCT

    def factor(self, base: Any, exponent: Any, level: int) -> str:
        """Write a factor to a power, in brackets if it binds less tightly than `level`."""
        text, binds = self.write(base) if exponent == 1 else self.power(base, exponent)
        return text if binds >= level else self.brackets(text)

    def ordered_terms(self, node: sympy.Add) -> list[Any]:
        """Return the terms in the order of writing."""
        position = {term: index for index, term in enumerate(node.as_ordered_terms())}
        keys = {term: (*self.term_key(term), position.get(term, 0)) for term in node.args}
        ordered = sorted(node.args, key=keys.__getitem__)
        positive = [term for term in ordered if not term.as_coeff_Mul()[0].is_negative]
        if positive and keys[ordered[0]][0] > 1:  # 1 - u**2; but -u_xx + u, with derivatives first
            ordered.sort(key=lambda term: term is not positive[0])
        return ordered

    def term_key(self, term: sympy.Basic) -> tuple[int, int]:
        """Order of terms: time derivatives, space derivatives by order, unknowns, the rest."""
        partials = self.words.partials(term)
        if not partials:
            return (3, 0)
        time = self.words.time
        if time in self.words.coordinates:
            order = max(partial.orders[self.words.coordinates.index(str(time))] for partial in partials)
            if order:
                return (0, -order)
        order = max(sum(partial.orders) for partial in partials)
        return (1, order) if order else (2, 0)

    def factor_key(self, factor: sympy.Basic) -> tuple[int, Any]:
        """Order of factors: numbers, parameters, coordinates, functions, unknowns, derivatives."""
        base = factor.args[0] if isinstance(factor, sympy.Pow) else factor
        partials = self.words.partials(factor)
        if partials:
            composite = not isinstance(base, At) and self.words.partial_of(base) is None
            rank = (6 if any(any(partial.orders) for partial in partials) else 4) + composite
        elif isinstance(factor, sympy.Expr) and factor.is_number:
            rank = 0
        else:
            rank = 3 if not isinstance(base, sympy.Symbol) else 2 if base.name in self.words.coordinates else 1
        return rank, default_sort_key(factor)

    @abstractmethod
    def brackets(self, text: str) -> str:
        """Put a text into brackets."""

    @abstractmethod
    def word(self, word: str) -> str:
        """Write a comparison sign or and, or, not."""

    @abstractmethod
    def symbol(self, node: sympy.Symbol) -> str:
        """Write a coordinate or parameter."""

    @abstractmethod
    def constant(self, node: sympy.Expr) -> str:
        """Write pi or e."""

    @abstractmethod
    def decimal(self, value: float) -> tuple[str, int]:
        """Write a positive float."""

    @abstractmethod
    def fraction(self, above: Sequence[Any], below: Sequence[Any], numerator: int, denominator: int) -> str:
        """Write a product of (base, exponent) and a number over another."""

    @abstractmethod
    def power(self, base: Any, exponent: Any) -> tuple[str, int]:
        """Write a power whose exponent is no negative number."""

    @abstractmethod
    def field(self, node: Any) -> str:
        """Write an unknown, a declared function or a derivative."""

    @abstractmethod
    def place(self, node: At) -> str:
        """Write a value at a place."""

    @abstractmethod
    def function(self, node: Any) -> tuple[str, int]:
        """Write a function of the table."""

    @abstractmethod
    def choice(self, pieces: Sequence[tuple[Any, Any]]) -> str:
        """Write a piecewise expression from (value, condition)."""


def _is_reciprocal(node: Any) -> bool:
    return isinstance(node, sympy.Pow) and isinstance(node.exp, sympy.Rational) and bool(node.exp < 0)


@final
class _TextPrinter(Printer):
    def brackets(self, text: str) -> str:
        return f"({text})"

    def word(self, word: str) -> str:
        return {"and": " and ", "or": " or ", "not": "not "}.get(word, word)

    def symbol(self, node: sympy.Symbol) -> str:
        if node.name not in self.words.coordinates and node.name not in self.words.parameters:
            raise NotationError(f"{node.name!r} is neither a coordinate nor a parameter here")
        return node.name

    def constant(self, node: sympy.Expr) -> str:
        names = ("pi",) if node == sympy.pi else ("e", "E")
        free = [name for name in names if name not in self.words.names]
        return free[0] if free else "acos(-1)" if node == sympy.pi else "exp(1)"

    def decimal(self, value: float) -> tuple[str, int]:
        return repr(value), ATOM

    def fraction(self, above: Sequence[Any], below: Sequence[Any], numerator: int, denominator: int) -> str:
        over = [self.factor(base, exponent, PRODUCT + 1) for base, exponent in above]
        under = [self.factor(base, exponent, PRODUCT + 1) for base, exponent in below]
        if numerator != 1 or not over:
            over.insert(0, str(numerator))
        if denominator != 1:
            under.insert(0, str(denominator))
        if not under:
            return "*".join(over)
        return "*".join(over) + "/" + (under[0] if len(under) == 1 else f"({'*'.join(under)})")

    def power(self, base: Any, exponent: Any) -> tuple[str, int]:
        if exponent == 1:
            return self.write(base)
        if exponent == sympy.S.Half and "sqrt" not in self.words.names:
            return f"sqrt({self.write(base)[0]})", ATOM
        return f"{self.inside(base, ATOM)}**{self.inside(exponent, ATOM)}", POWER

    def field(self, node: Any) -> str:
        words = self.words
        partial = words.partial_of(node)
        if partial is not None:
            return words.partial_text(partial)
        applied = node.expr if isinstance(node, sympy.Derivative) else node
        name = str(applied.func)
        if not isinstance(applied, AppliedUndef) or name not in words.functions:
            raise NotationError(f"{str(node)[:80]} has no notation: no unknown or function of that name")
        if node is applied:
            return f"{name}({', '.join(self.write(argument)[0] for argument in node.args)})"
        counts = {str(getattr(v, "func", v) if v.args else v): int(n) for v, n in node.variable_count}  # pyright: ignore
        if applied != words.function(name) or not set(counts) <= set(words.functions[name]):
            raise NotationError(f"{str(node)[:80]} has no notation")
        return words.derivative_text(name, {axis: counts[axis] for axis in words.functions[name] if axis in counts})

    def place(self, node: At) -> str:
        place = node.place
        arguments = place.name if isinstance(place, sympy.Symbol) else ", ".join(self.write(item)[0] for item in place)
        return f"{self.field(node.expression)}({arguments})"

    def function(self, node: Any) -> tuple[str, int]:
        name = TEXT_NAMES[type(node)]
        if name in self.words.names:
            raise NotationError(f"the function {name!r} cannot be written, since that name is declared")
        arguments = node.args
        if isinstance(node, sympy.Heaviside) and arguments[1] == sympy.S.Half:
            arguments = arguments[:1]
        if isinstance(node, (sympy.Min, sympy.Max)):
            arguments = sorted(arguments, key=default_sort_key)
        return f"{name}({', '.join(self.write(argument)[0] for argument in arguments)})", ATOM

    def choice(self, pieces: Sequence[tuple[Any, Any]]) -> str:
        parts: list[str] = []
        for value, condition in pieces:
            if condition != sympy.true:
                parts.append(self.write(condition)[0])
            parts.append(self.write(value)[0])
        return f"{'where' if len(parts) == 3 else 'piecewise'}({', '.join(parts)})"
