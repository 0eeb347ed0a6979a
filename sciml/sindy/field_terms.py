"""Reading terms of a field's equation: which derivatives of monomials an expression in the notation is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from sciml.errors import ArgumentError, NotationError
from sciml.notation import Vocabulary, parse_equation, parse_expression
from sciml.sindy.field_library import FieldTerm

__all__ = ["read_known", "read_terms"]


def read_terms(text: str | sympy.Expr, words: Vocabulary, argument: str) -> dict[FieldTerm, float]:
    """Return the derivatives of monomials that an expression is the sum of, with their coefficients.

    Raises
    ------
    ArgumentError
        it is no such sum: u*u_xx needs u_x**2 beside it to be half of the second derivative of u**2.
    """
    try:
        expression = sympy.expand(parse_expression(text, words)) if isinstance(text, str) else sympy.expand(text)
    except NotationError as error:
        raise ArgumentError(f"{argument}: {error}") from None
    groups: dict[FieldTerm, sympy.Expr] = {}
    for part in sympy.Add.make_args(expression):
        term = _kind(part, words)
        if term is None:
            raise ArgumentError(
                f"{argument}: {text} has a part that is no number times powers of {', '.join(words.unknowns)} and "
                f"their derivatives by {', '.join(words.space)}"
            )
        groups[term] = groups.get(term, sympy.S.Zero) + part
    found: dict[FieldTerm, float] = {}
    for term, parts in groups.items():
        whole = _expression(term, words)
        leading, factor = next(iter(whole.as_coefficients_dict().items()))
        ratio = parts.as_coefficients_dict()[leading] / factor
        if sympy.expand(parts - ratio * whole) != 0:
            raise ArgumentError(
                f"{argument}: {text} is no derivative of a product, so that a weak form cannot hold it; "
                f"accepted are terms such as u, u*u_x, u_xx, d(u**2, x, 2)"
            )
        if ratio != 0:
            found[term] = float(ratio)
    return found


def _kind(part: Any, words: Vocabulary) -> FieldTerm | None:
    """Return the monomial and the derivative to which a product belongs."""
    powers = dict.fromkeys(words.unknowns, 0)
    orders = dict.fromkeys(words.coordinates, 0)
    for factor in sympy.Mul.make_args(part):
        base, exponent = factor.as_base_exp()
        if factor.is_number:
            continue
        if not exponent.is_Integer or exponent < 1:
            return None
        inner = base.expr if isinstance(base, sympy.Derivative) else base
        if not isinstance(inner, AppliedUndef) or inner.func.__name__ not in powers:
            return None
        powers[inner.func.__name__] += int(exponent)
        if isinstance(base, sympy.Derivative):
            pairs: Any = base.variable_count
            for symbol, count in pairs:
                orders[str(symbol)] += int(count) * int(exponent)
    if orders[words.coordinates[-1]]:
        return None
    return FieldTerm(tuple(powers.values()), tuple(orders[name] for name in words.coordinates[:-1]))


def _expression(term: FieldTerm, words: Vocabulary) -> sympy.Expr:
    value: sympy.Expr = sympy.S.One
    for name, power in zip(words.unknowns, term.powers, strict=True):
        value = value * words.unknown(name) ** power
    for name, order in zip(words.coordinates[:-1], term.derivatives, strict=True):
        for _ in range(order):
            value = value.diff(words.symbol(name))
    return sympy.expand(value)


def read_known(known: str | Sequence[str] | None, words: Vocabulary) -> dict[str, tuple[dict[FieldTerm, float], bool]]:
    """Return, for each unknown with a known equation, its terms and whether more may be added ("+ ..." at the end)."""
    texts = [known] if isinstance(known, str) else list(known or ())
    found: dict[str, tuple[dict[FieldTerm, float], bool]] = {}
    time = words.coordinates[-1]
    for text in texts:
        body = text.strip()
        open_ = body.endswith("...")
        if open_:
            body = body[:-3].rstrip().rstrip("+").rstrip()
        try:
            equation = parse_equation(body, words)
        except NotationError as error:
            raise ArgumentError(f"known: {error}") from None
        left: Any = equation.lhs
        right: Any = equation.rhs
        name = next((n for n in words.unknowns if left == words.unknown(n).diff(words.symbol(time))), None)
        if name is None:
            raise ArgumentError(
                f"known must be equations for time derivatives, '{words.unknowns[0]}_{time} = ...', got {text!r}"
            )
        if name in found:
            raise ArgumentError(f"known has two equations for {name}")
        found[name] = (read_terms(right, words, "known"), open_)
    return found
