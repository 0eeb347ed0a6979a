"""Normalising what a user declares: numbers, intervals, texts and functions, each refused with the argument's name."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import sympy

from sciml.domain import Box
from sciml.errors import ArgumentError, NotationError, ProblemError
from sciml.notation import At, Vocabulary, adopt, infer_unknowns, parse_equation, parse_expression

Text = str | sympy.Basic
Exact = str | sympy.Basic | Callable[..., Any] | Mapping[str, Any]
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_SIGNATURE = re.compile(r"\s*([A-Za-z]\w*)\s*\(([^()]*)\)\s*\Z")


def number(what: str, value: Any, values: Mapping[str, float]) -> float:
    """Convert a number or a constant formula (in the parameters `values`) to a finite float.

    Raises
    ------
    ArgumentError : naming `what`, for anything else.
    """
    if isinstance(value, str):
        vocabulary = Vocabulary((), (), tuple(values))
        try:
            value = parse_expression(value, vocabulary)
        except NotationError as error:
            raise ArgumentError(f"{what}: {error}") from None
    if isinstance(value, sympy.Basic):
        names = {symbol: str(symbol) for symbol in value.free_symbols}
        constants = {symbol: values[name] for symbol, name in names.items() if name in values}
        result = sympy.N(value.xreplace({s: sympy.Float(v, 17) for s, v in constants.items()}), 17)
        if not (result.is_number and result.is_real):
            raise ArgumentError(f"{what} must be a real number, got {value}")
        value = float(result)
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ArgumentError(f"{what} must be a real number or a constant formula, got {value!r}")
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{what} must be a real number or a constant formula, got {value!r}") from None
    if not math.isfinite(result):
        raise ArgumentError(f"{what} must be finite, got {result}")
    return result


def parameter_values(parameters: Mapping[str, Any] | None) -> dict[str, float]:
    """Check names and values of parameters; later ones may be formulas in earlier ones."""
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise ArgumentError(f"parameters must be a mapping of names to numbers, got {type(parameters).__name__}")
    values: dict[str, float] = {}
    for name, value in parameters.items():
        check_name("parameters", name)
        values[name] = number(f"parameter {name}", value, values)
    return values


def check_name(what: str, name: Any) -> None:
    """Refuse what cannot be a name in the notation."""
    if not isinstance(name, str) or not _IDENTIFIER.match(name):
        raise ArgumentError(f"{what}: {name!r} is no name; a letter, then letters, digits and underscores")


def box_of(domain: Mapping[str, Any] | Box | None, values: Mapping[str, float]) -> Box:
    """Build the box from a mapping of names to (lower, upper)."""
    if isinstance(domain, Box):
        return domain
    if not isinstance(domain, Mapping) or not domain:
        raise ArgumentError(f"domain must be a mapping such as {{'x': (0, 1), 't': (0, 1)}}, got {domain!r}")
    lower, upper = [], []
    for name, pair in domain.items():
        check_name("domain", name)
        if isinstance(pair, (str, bytes)) or not isinstance(pair, Iterable) or len(ends := list(pair)) != 2:
            raise ArgumentError(f"domain[{name!r}] must be a pair (lower, upper), got {pair!r}")
        lower.append(number(f"domain[{name!r}] lower bound", ends[0], values))
        upper.append(number(f"domain[{name!r}] upper bound", ends[1], values))
    return Box(tuple(domain), tuple(lower), tuple(upper))


def texts_of(what: str, given: Text | Sequence[Text]) -> list[Text]:
    """Make a list of texts or SymPy objects."""
    items = [given] if isinstance(given, (str, sympy.Basic)) else given
    if not isinstance(items, Iterable) or isinstance(items, Mapping):
        raise ArgumentError(f"{what} must be text or a sequence of texts, got {type(given).__name__}")
    items = list(items)
    for item in items:
        if not isinstance(item, (str, sympy.Basic)):
            raise ArgumentError(f"{what} must hold text or SymPy equations, got {item!r}")
    return items


def functions_of(
    functions: Mapping[str, Callable[..., Any] | None] | Sequence[str] | None,
) -> tuple[dict[str, Callable[..., Any]], dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Split declared functions into known ones (name -> callable), unknown ones, and all signatures."""
    if functions is None:
        return {}, {}, {}
    if isinstance(functions, str):
        functions = [functions]
    if not isinstance(functions, Mapping):
        functions = dict.fromkeys(functions)
    known: dict[str, Callable[..., Any]] = {}
    unknown: dict[str, tuple[str, ...]] = {}
    signatures: dict[str, tuple[str, ...]] = {}
    for text, value in functions.items():
        match = _SIGNATURE.match(text) if isinstance(text, str) else None
        if match is None:
            raise ArgumentError(f"functions: write the signature with its arguments, such as 'k(x)', got {text!r}")
        name, arguments = match[1], tuple(a.strip() for a in match[2].split(",") if a.strip())
        if not arguments:
            raise ArgumentError(f"functions: {text!r} has no arguments; a constant is a parameter")
        for argument in arguments:
            check_name("functions", argument)
        signatures[name] = arguments
        if value is None:
            unknown[name] = arguments
        elif callable(value):
            known[name] = value
        else:
            raise ArgumentError(f"functions[{text!r}] must be a callable of tensors or None, got {value!r}")
    return known, unknown, signatures


def unknown_names(
    unknowns: str | Sequence[str] | None,
    equations: list[Text],
    conditions: list[Text],
    coordinates: tuple[str, ...],
    values: Mapping[str, float],
    signatures: Mapping[str, tuple[str, ...]],
) -> tuple[str, ...]:
    """The unknowns' names, declared or inferred, free of collisions with other names."""
    if unknowns is None:
        names = infer_unknowns(equations, conditions, coordinates, tuple(values), signatures)
        if not names:
            raise ProblemError(
                "no unknown found: nothing is differentiated or applied in a condition; say unknowns=['u']"
            )
    else:
        if isinstance(unknowns, str):
            unknowns = [name.strip() for name in unknowns.split(",")]
        names = tuple(unknowns)
        if not names:
            raise ArgumentError("unknowns must not be empty")
        for name in names:
            check_name("unknowns", name)
    roles = [("coordinate", coordinates), ("unknown", names), ("parameter", values), ("function", signatures)]
    seen: dict[str, str] = {}
    for role, members in roles:
        for name in members:
            if name in seen:
                raise ProblemError(f"{name} is declared twice: as {seen[name]} and as {role}")
            seen[name] = role
    return names


def equation_of(text: Text, vocabulary: Vocabulary) -> sympy.Eq:
    """Parse or adopt one equation; a bare expression means that it vanishes."""
    if isinstance(text, str):
        return parse_equation(text, vocabulary)
    adopted = adopt(text, vocabulary)
    if adopted.has(At):
        raise ProblemError(f"the equation {adopted} holds at a place; that is a condition")
    if isinstance(adopted, sympy.Eq):
        return adopted
    return cast(sympy.Eq, sympy.Eq(adopted, sympy.Integer(0), evaluate=False))


def exact_of(
    exact: Exact | None, vocabulary: Vocabulary
) -> Callable[..., Any] | dict[str, sympy.Expr | Callable[..., Any]] | None:
    """Normalise an exact solution: None, a callable for all unknowns, or a mapping from every unknown."""
    if exact is None:
        return None
    if callable(exact) and not isinstance(exact, sympy.Basic):
        return exact
    unknowns = vocabulary.unknowns
    if not isinstance(exact, Mapping):
        if len(unknowns) != 1:
            raise ArgumentError(f"exact must be a mapping from {', '.join(unknowns)} to formulas or callables")
        exact = {unknowns[0]: exact}
    if set(exact) != set(unknowns):
        raise ArgumentError(f"exact must have the keys {', '.join(unknowns)}, got {', '.join(map(str, exact))}")
    result: dict[str, sympy.Expr | Callable[..., Any]] = {}
    coordinates = set(vocabulary.coordinates)
    functions = {name: args for name, args in vocabulary.functions.items() if set(args) <= coordinates}
    bare = Vocabulary(vocabulary.coordinates, (), vocabulary.parameters, functions, vocabulary.time)
    for unknown in unknowns:
        formula = exact[unknown]
        if isinstance(formula, (int, float)):
            formula = sympy.sympify(formula)
        if isinstance(formula, str):
            result[unknown] = parse_expression(formula, bare)
        elif isinstance(formula, sympy.Basic):
            result[unknown] = adopt(formula, bare)
        elif callable(formula):
            result[unknown] = formula
        else:
            raise ArgumentError(f"exact[{unknown!r}] must be a formula or a callable, got {formula!r}")
    return result


def accepted_keywords(function: Callable[..., Any], parameters: Mapping[str, float]) -> dict[str, float]:
    """Those parameters that a callable names as keywords (all of them if it takes **kwargs)."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {}
    kinds = signature.parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in kinds):
        return dict(parameters)
    named = {
        p.name for p in kinds if p.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    }
    return {name: value for name, value in parameters.items() if name in named}
