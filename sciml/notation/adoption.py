"""SymPy expressions of others, rebuilt with the declared names; and unknowns, found before any are declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.functions.elementary import complexes

from sciml.errors import NotationError, closest
from sciml.notation import arithmetic
from sciml.notation.functions import CONSTANTS, FUNCTIONS, SYNONYMS, TEXT_NAMES, differentiate
from sciml.notation.tokens import Token, tokenize
from sciml.notation.vocabulary import BOUNDARY, At, Vocabulary, splits

__all__ = ["adopt", "infer_unknowns"]

_KEPT = (sympy.Add, sympy.Mul, sympy.Pow, sympy.And, sympy.Or, sympy.Not, sympy.Tuple)
_MOST_NODES = 50_000
_OWN = frozenset({"d", "laplacian", "where", "piecewise", "Piecewise", "True", "False", BOUNDARY.name})


def adopt(expression: Any, vocabulary: Vocabulary) -> sympy.Expr:
    """Rebuild a SymPy expression or equation with the symbols and functions of a vocabulary.

    Parameters
    ----------
    expression : sympy.Expr, sympy.Eq or number
        Its symbols and functions may lack assumptions. An unknown is a symbol `u`, or a function of all coordinates in
        the order of the domain; of other arguments, u(x, 0), or substituted, `u(x, t).diff(t).subs(t, 0)`, it becomes
        a value at a place. Derivatives are expanded, floats rounded to 53 bits.
    vocabulary : Vocabulary

    Returns
    -------
    sympy.Expr or sympy.Eq
        As the grammar would have built it; an equation is not evaluated.

    Raises
    ------
    NotationError
        A name is not declared, or something is not real, not finite or not part of the notation.
    """
    given = _sympified(expression)
    for count, _ in enumerate(sympy.preorder_traversal(given)):
        if count > _MOST_NODES:
            raise NotationError("the expression is too large")
    try:
        if isinstance(given, sympy.Eq):
            sides = [_adopt(side, vocabulary) for side in given.args]
            result: Any = sympy.Eq(sides[0], sides[1], evaluate=False)
        else:
            result = _adopt(given, vocabulary)
        arithmetic.check(result)
    except NotationError:
        raise
    except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError, RecursionError) as error:
        raise NotationError(f"this cannot be formed: {str(given)[:80]}") from error
    if not isinstance(result, (sympy.Expr, sympy.Eq)):
        raise NotationError(f"an equation or expression is needed, not {type(given).__name__}")
    return result  # pyright: ignore[reportReturnType]


def _sympified(expression: Any) -> Any:
    try:
        return sympy.sympify(expression, strict=True)
    except sympy.SympifyError as error:
        kind = type(expression).__name__
        raise NotationError(f"a SymPy expression, an equation or a number is needed, not {kind}") from error


def _adopt(node: Any, words: Vocabulary) -> Any:
    if isinstance(node, sympy.Symbol):
        return _symbol(node.name, words)
    if isinstance(node, sympy.Float):
        return sympy.Float(float(node))
    if isinstance(node, sympy.Rational) or node in (sympy.pi, sympy.E, sympy.true, sympy.false):
        return node
    if isinstance(node, At):
        return _placed(_adopt(node.expression, words), node.place, words)
    if isinstance(node, AppliedUndef):
        return _applied(node, words)
    if isinstance(node, sympy.Subs):
        return _substituted(node, words)
    if isinstance(node, sympy.Derivative):
        inner = _adopt(node.expr, words)
        if inner.has(At):
            raise NotationError(f"a value at a place is not differentiated: {node}")
        return differentiate(inner, *(_adopt(variable, words) for variable in node.variables))
    if isinstance(node, Relational) and not isinstance(node, sympy.Eq):
        return node.func(*(_adopt(side, words) for side in node.args), evaluate=False)
    if isinstance(node, sympy.Eq):
        return sympy.Eq(_adopt(node.lhs, words), _adopt(node.rhs, words), evaluate=False)
    if isinstance(node, sympy.Piecewise):
        pieces = [(_adopt(value, words), _adopt(condition, words)) for value, condition in node.args]  # pyright: ignore
        if any(condition.has(sympy.Piecewise) for _, condition in pieces):
            raise NotationError("a choice within the condition of another is not accepted")
        return sympy.Piecewise(*pieces, evaluate=False)
    if isinstance(node, _KEPT) or type(node) in TEXT_NAMES:
        return node.func(*(_adopt(argument, words) for argument in node.args))
    if isinstance(node, (sympy.re, sympy.conjugate)):
        return _adopt(node.args[0], words)
    if node is sympy.I or isinstance(node, (sympy.im, complexes.arg)):
        raise NotationError("complex numbers are not accepted: real and imaginary part are two unknowns")
    if node in (sympy.zoo, sympy.nan, sympy.oo, sympy.S.NegativeInfinity):
        raise NotationError("an expression is not finite")
    raise NotationError(f"{type(node).__name__} is not part of the notation: {str(node)[:80]}")


def _symbol(name: str, words: Vocabulary) -> sympy.Expr:
    if name in words.coordinates or name in words.parameters:
        return words.symbol(name)
    if name in words.unknowns:
        return words.unknown(name)
    if name in words.functions:
        return words.function(name)
    reading = words.split(name)
    if reading is not None:
        return words.derivative(*reading)
    raise NotationError(f"unknown name {name!r}{closest(name, words.names)}")


def _applied(node: Any, words: Vocabulary) -> Any:
    name = str(node.func)
    if name in words.unknowns:
        return _placed(words.unknown(name), node.args, words)
    if name in words.functions:
        bare = words.function(name)
        if len(node.args) != len(words.functions[name]):
            raise NotationError(f"{node}: {name!r} takes {len(words.functions[name])} arguments")
        return bare.func(*(_adopt(argument, words) for argument in node.args))
    raise NotationError(f"unknown function {name!r}{closest(name, (*words.unknowns, *words.functions))}")


def _placed(field: sympy.Expr, place: Any, words: Vocabulary) -> sympy.Expr:
    """Return a field that is applied to arguments: itself, or its value at a place."""
    if place == BOUNDARY or (len(place) == 1 and str(place[0]) == BOUNDARY.name):
        return At(field, BOUNDARY)
    axes = words.coordinates
    shown = f"the order of the domain is ({', '.join(axes)})"
    if len(place) != len(axes):
        raise NotationError(f"{field.func} with {len(place)} arguments; {shown}")
    arguments = [_adopt(argument, words) for argument in place]
    for argument, axis in zip(arguments, axes, strict=True):
        if argument != words.symbol(axis) and (
            argument.atoms(AppliedUndef) or {str(symbol) for symbol in argument.free_symbols} & set(axes)
        ):
            raise NotationError(f"{argument} in the place of {axis}; {shown}, a place is a constant")
    if arguments == [words.symbol(axis) for axis in axes]:
        return field
    return At(field, arguments)


def _substituted(node: sympy.Subs, words: Vocabulary) -> sympy.Expr:
    """Return u.diff(t).subs(t, 0), which SymPy leaves as a Subs node, as a value at a place."""
    inner = _adopt(node.expr, words)
    values = {str(variable): value for variable, value in zip(node.args[1].args, node.args[2].args, strict=True)}
    if words.partial_of(inner) is None or not set(values) <= set(words.coordinates):
        raise NotationError(f"only derivatives of unknowns are placed by substitution: {node}")
    return _placed(inner, [values.get(axis, words.symbol(axis)) for axis in words.coordinates], words)


def infer_unknowns(
    equations: Iterable[Any],
    conditions: Iterable[Any],
    coordinates: Sequence[str],
    parameters: Iterable[str] = (),
    functions: Iterable[str] = (),
) -> tuple[str, ...]:
    """Find the unknowns: what is differentiated (u_t, x', in laplacian or d) or applied in a condition.

    Parameters
    ----------
    equations, conditions : iterable of str or SymPy expressions
    coordinates, parameters, functions : names that are declared, and so are no unknowns.

    Returns
    -------
    tuple of str
        In the order of appearance.

    Raises
    ------
    NotationError
        A text contains a character that is not part of the notation.

    Examples
    --------
    >>> infer_unknowns(["u_t = nu*u_xx", "v_t = u*v"], ["w(x, 0) = 0"], ["x", "t"], ["nu"])
    ('u', 'v', 'w')
    """
    known = {*coordinates, *parameters, *functions}
    found: dict[str, None] = {}
    for source, applied in (*((e, False) for e in equations), *((c, True) for c in conditions)):
        names = _in_text(source, coordinates, known, applied) if isinstance(source, str) else _in_sympy(source)
        found.update((name, None) for name in names if name not in known)
    return tuple(found)


def _in_text(text: str, coordinates: Sequence[str], known: set[str], applied: bool) -> list[str]:
    tokens = [*tokenize(text), Token("end", "", len(text))]
    found: list[str] = []
    depth = 0
    opened: list[int] = []  # depths of the operators d and laplacian whose first argument is being read
    for index, (token, after) in enumerate(pairwise(tokens)):
        if token.kind == "(":
            depth += 1
            if index and tokens[index - 1].text in ("d", "laplacian"):
                opened.append(depth)
        elif token.kind in (")", ",") and opened and opened[-1] == depth:
            opened.pop()
        if token.kind == ")":
            depth -= 1
        if token.kind != "name" or token.text in known:
            continue
        stem = _stem(token.text, coordinates)
        own = token.text in _OWN or token.text in FUNCTIONS or token.text in SYNONYMS or token.text in CONSTANTS
        if token.primes:
            found.append(token.text)
        elif stem:
            found.append(stem)
        elif (opened or (applied and after.kind == "(")) and not own:
            found.append(token.text)
    return found


def _stem(name: str, coordinates: Sequence[str]) -> str:
    """Return "u" for "u_xxt", or an empty text."""
    cuts = [cut for cut, char in enumerate(name) if char == "_" and splits(name[cut + 1 :], coordinates)]
    return name[: max(cuts)] if cuts else ""


def _in_sympy(expression: Any) -> list[str]:
    """Return the applied functions of a SymPy expression, and the stems of what it differentiates."""
    given = _sympified(expression)
    return [str(node.func) for node in sympy.preorder_traversal(given) if isinstance(node, AppliedUndef)]
