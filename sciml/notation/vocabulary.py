"""The names of a problem and what they stand for in SymPy: coordinates, unknowns, parameters, functions, derivatives.

All symbols and functions are real. An unknown is applied to all coordinates in the order of the domain; a derivative is
SymPy's canonical `Derivative`, so `expression.diff(...)` meets the same objects as the grammar.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, final

import sympy
from sympy.core.function import AppliedUndef

from sciml.errors import NotationError, closest

__all__ = ["BOUNDARY", "At", "Partial", "Vocabulary"]

BOUNDARY = sympy.Symbol("boundary")
"""The place of a condition that holds on the whole boundary of the space coordinates."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_RESERVED = frozenset({"boundary", "laplacian", "where", "piecewise"})
_LONGEST_NAME = 100


class Partial(NamedTuple):
    """A partial derivative of an unknown: u_xxt is `Partial("u", (2, 1))` for the coordinates (x, t).

    Attributes
    ----------
    unknown : name of the unknown.
    orders : order in each coordinate, in the order of the domain; all zero for the unknown itself.
    """

    unknown: str
    orders: tuple[int, ...]


@final
class At(sympy.Expr):
    """An unknown or one of its derivatives at a place: the inert node of conditions, such as u_x(1, t).

    Parameters
    ----------
    expression : sympy.Expr
        The unknown or derivative as a field, u(x, t) or Derivative(u(x, t), x).
    place : sequence of sympy.Expr, or sympy.Symbol
        One argument per coordinate in the order of the domain: the coordinate itself where it is free, else a
        constant formula; or `BOUNDARY`.
    """

    is_commutative = True  # pyright: ignore[reportAssignmentType]
    is_real = True  # pyright: ignore[reportAssignmentType]
    is_number = False  # pyright: ignore[reportAssignmentType]
    _diff_wrt = True  # pyright: ignore[reportAssignmentType]  # so that conditions can be differentiated by u(1, t)

    def __new__(cls, expression: sympy.Expr, place: Any) -> At:  # noqa: D102
        if isinstance(place, (tuple, list, sympy.Tuple)):
            place = sympy.Tuple(*(sympy.sympify(item, strict=True) for item in place))
        elif not isinstance(place, sympy.Symbol):
            raise NotationError(f"a place is a sequence of coordinates and constants or BOUNDARY, not {place!r}")
        return super().__new__(cls, expression, place)  # pyright: ignore[reportReturnType]

    @property
    def expression(self) -> sympy.Expr:
        """The unknown or derivative as a field."""
        return self.args[0]  # pyright: ignore[reportReturnType]

    @property
    def place(self) -> tuple[sympy.Expr, ...] | sympy.Symbol:
        """The arguments in the order of the domain, or `BOUNDARY`."""
        place = self.args[1]
        return tuple(place.args) if isinstance(place, sympy.Tuple) else place  # pyright: ignore

    @property
    def free_symbols(self) -> set[sympy.Basic]:
        """The symbols of the place: the coordinates of the field itself are bound."""
        return self.args[1].free_symbols - {BOUNDARY}  # pyright: ignore[reportReturnType]

    def _eval_derivative(self, symbol: sympy.Basic) -> sympy.Expr:
        if symbol in self.free_symbols:
            raise NotationError(f"a value at a place is not differentiated by {symbol}: place the derivative instead")
        return sympy.S.Zero

    def _sympystr(self, printer: Any) -> str:
        return f"At({printer.doprint(self.args[0])}, {printer.doprint(self.args[1])})"


@dataclass(frozen=True)
class Vocabulary:
    """The declared names of a problem.

    Parameters
    ----------
    coordinates : sequence of str
        Independent variables in the order of the domain.
    unknowns : sequence of str
        Names of the sought fields; each depends on all coordinates.
    parameters : sequence of str
        Names of constants.
    functions : mapping of str to sequence of str
        Further functions, known or to be identified, with their arguments: all coordinates, or all unknowns.
        `{"k": ("x",), "f": ("u",)}`.
    time : str or None
        The coordinate that `laplacian` and `boundary` do not touch; ignored if it is not among the coordinates.

    Raises
    ------
    NotationError
        A name is not an ASCII identifier, is reserved, is declared twice, or reads as a derivative of another one.

    Examples
    --------
    >>> words = Vocabulary(("x", "t"), ("u",), ("nu",))
    >>> words.parse_partial("u_xxt")
    Partial(unknown='u', orders=(2, 1))
    >>> words.expression(Partial("u", (1, 0)))
    Derivative(u(x, t), x)
    """

    coordinates: tuple[str, ...]
    unknowns: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    time: str | None = "t"

    def __post_init__(self) -> None:
        for kind in ("coordinates", "unknowns", "parameters"):
            names = getattr(self, kind)
            if isinstance(names, str):
                raise NotationError(f"{kind} must be a sequence of names, not the text {names!r}")
            object.__setattr__(self, kind, tuple(names))
        functions = {
            name: (given,) if isinstance(given, str) else tuple(given) for name, given in self.functions.items()
        }
        object.__setattr__(self, "functions", MappingProxyType(functions))
        self._check_names()
        for name, arguments in functions.items():
            self._check_arguments(name, arguments)
        # Parameters and functions win over a derivative of the same spelling; for fields that would be a trap.
        for name in (*self.coordinates, *self.unknowns):
            readings = self._readings(name)
            if readings:
                raise NotationError(
                    f"the name {name!r} also reads as a derivative of {readings[0][0]!r}; choose another"
                )

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        kinds = {"coordinate": self.coordinates, "unknown": self.unknowns, "parameter": self.parameters}
        for kind, names in {**kinds, "function": tuple(self.functions)}.items():
            for name in names:
                if not isinstance(name, str) or not _NAME.match(name) or len(name) > _LONGEST_NAME:
                    rule = "a letter, then letters, digits and underscores (ASCII)"
                    raise NotationError(f"the {kind} {str(name)[:40]!r} is not a name: {rule}")
                if keyword.iskeyword(name):
                    shorter = "'lam' or 'lambda_'" if name == "lambda" else repr(name + "_")
                    raise NotationError(f"the {kind} {name!r} is a word of Python; write {shorter}")
                if name in _RESERVED or (name == "d" and kind in ("unknown", "function")):
                    raise NotationError(f"the {kind} {name!r} has a meaning in the notation; choose another name")
                if name in seen:
                    also = "twice" if seen[name] == kind else f"as {seen[name]} and as {kind}"
                    raise NotationError(f"the name {name!r} is declared {also}")
                seen[name] = kind

    def _check_arguments(self, name: str, arguments: tuple[str, ...]) -> None:
        if not arguments:
            raise NotationError(f"the function {name!r} needs at least one argument; a constant is a parameter")
        known = (*self.coordinates, *self.unknowns)
        for argument in arguments:
            if argument not in known:
                raise NotationError(
                    f"the argument {argument!r} of the function {name!r} is neither a coordinate nor an unknown"
                    f"{closest(str(argument), known)}"
                )
        if len(set(arguments)) < len(arguments):
            raise NotationError(f"the function {name!r} has an argument twice: {', '.join(arguments)}")

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.coordinates, self.unknowns, self.parameters, dict(self.functions), self.time)
        return type(self), arguments

    @property
    def space(self) -> tuple[str, ...]:
        """The coordinates without time."""
        return tuple(name for name in self.coordinates if name != self.time)

    @property
    def names(self) -> tuple[str, ...]:
        """All declared names."""
        return (*self.coordinates, *self.unknowns, *self.parameters, *self.functions)

    def symbol(self, name: str) -> sympy.Symbol:
        """Return the real symbol of a coordinate or parameter."""
        if name not in self.coordinates and name not in self.parameters:
            known = (*self.coordinates, *self.parameters)
            raise NotationError(f"{name!r} is neither a coordinate nor a parameter{closest(name, known)}")
        return sympy.Symbol(name, real=True)

    def unknown(self, name: str) -> sympy.Expr:
        """Return an unknown, applied to all coordinates in the order of the domain."""
        if name not in self.unknowns:
            raise NotationError(f"{name!r} is not an unknown{closest(name, self.unknowns)}")
        return sympy.Function(name, real=True)(*(sympy.Symbol(axis, real=True) for axis in self.coordinates))

    def function(self, name: str) -> sympy.Expr:
        """Return a declared function, applied to its arguments."""
        if name not in self.functions:
            raise NotationError(f"{name!r} is not a declared function{closest(name, self.functions)}")
        return sympy.Function(name, real=True)(*(self._argument(argument) for argument in self.functions[name]))

    def _argument(self, name: str) -> sympy.Expr:
        return self.unknown(name) if name in self.unknowns else sympy.Symbol(name, real=True)

    def expression(self, partial: Partial) -> sympy.Expr:
        """Return the unknown, or SymPy's canonical derivative of it."""
        expression = self.unknown(partial.unknown)
        if len(partial.orders) != len(self.coordinates) or any(order < 0 for order in partial.orders):
            raise NotationError(f"{partial} does not have one order >= 0 for each of {', '.join(self.coordinates)}")
        counts = [(self.symbol(axis), n) for axis, n in zip(self.coordinates, partial.orders, strict=True) if n]
        return expression.diff(*counts) if counts else expression

    def derivative(self, stem: str, counts: Mapping[str, int]) -> sympy.Expr:
        """Return the derivative of an unknown or declared function by its arguments, `{"x": 2, "t": 1}`."""
        expression = self.unknown(stem) if stem in self.unknowns else self.function(stem)
        return expression.diff(*((self._argument(axis), count) for axis, count in counts.items()))

    def partial_of(self, expression: Any) -> Partial | None:
        """Return which partial derivative an unknown or `Derivative` is, or None if it is neither."""
        base, counts = expression, {}
        if isinstance(expression, sympy.Derivative):
            base = expression.expr
            counts = {str(variable): int(count) for variable, count in expression.variable_count}  # pyright: ignore
        if not isinstance(base, AppliedUndef):
            return None
        name = str(base.func)
        if name not in self.unknowns or base != self.unknown(name) or not set(counts) <= set(self.coordinates):
            return None
        return Partial(name, tuple(counts.get(axis, 0) for axis in self.coordinates))

    def partials(self, *expressions: sympy.Basic) -> tuple[Partial, ...]:
        """Return all partial derivatives that occur: unknowns in their order, then by order, without duplicates."""
        found: set[Partial] = set()
        stack: list[Any] = list(expressions)
        while stack:
            node = stack.pop()
            partial = self.partial_of(node)
            if partial is not None:
                found.add(partial)
            elif isinstance(node, At):
                stack.append(node.expression)
            else:
                stack.extend(node.args)
        return tuple(sorted(found, key=self.sort_key))

    def sort_key(self, partial: Partial) -> tuple[Any, ...]:
        """Order of partials: by unknown, total order, then the earlier coordinates first."""
        return (self.unknowns.index(partial.unknown), sum(partial.orders), tuple(-order for order in partial.orders))

    def partial_text(self, partial: Partial) -> str:
        """Return the text of a partial: "u_xxt", "x''" with one coordinate, "d(u, x)" where the name is taken."""
        name, orders = partial
        if not any(orders):
            return name
        if len(self.coordinates) == 1:
            return name + "'" * orders[0]
        counts = {axis: order for axis, order in zip(self.coordinates, orders, strict=True) if order}
        return self.derivative_text(name, counts)

    def derivative_text(self, stem: str, counts: Mapping[str, int]) -> str:
        """Return "k_x" for the derivative of an unknown or declared function, or "d(k, x)" where the name is taken."""
        text = stem + "_" + "".join(axis * count for axis, count in counts.items())
        if text not in self.names and len(self._readings(text)) == 1:
            return text
        return f"d({stem}, {', '.join(axis for axis, count in counts.items() for _ in range(count))})"

    def parse_partial(self, text: str) -> Partial:
        """Return the partial that "u", "u_xxt", "x''" or "d(u, x, 2)" stands for.

        Raises
        ------
        NotationError
            The text is no partial derivative of an unknown, or has several readings.
        """
        from sciml.notation.grammar import parse_expression  # the grammar stands on this module

        partial = self.partial_of(parse_expression(text, self))
        if partial is None:
            known = [self.partial_text(Partial(name, (0,) * len(self.coordinates))) for name in self.unknowns]
            raise NotationError(f"not an unknown or derivative of one{closest(text, known)}", text, 0)
        return partial

    def split(self, name: str) -> tuple[str, dict[str, int]] | None:
        """Read a name as a derivative: "u_xxt" gives ("u", {"x": 2, "t": 1}); None if it is none.

        Raises
        ------
        NotationError
            There are several readings.
        """
        readings = self._readings(name)
        if len(readings) > 1:
            shown = " or ".join(
                f"d({stem}, {', '.join(axis for axis, n in counts.items() for _ in range(n))})"
                for stem, counts in readings[:3]
            )
            raise NotationError(f"{name!r} has several readings; write {shown}")
        return readings[0] if readings else None

    def _readings(self, name: str) -> list[tuple[str, dict[str, int]]]:
        found: list[tuple[str, dict[str, int]]] = []
        if len(name) > _LONGEST_NAME:
            return found
        for stem in (*self.unknowns, *self.functions):
            if name.startswith(stem + "_") and name != stem:
                axes = self.functions.get(stem, self.coordinates)
                found.extend((stem, counts) for counts in splits(name[len(stem) + 1 :], axes))
        return found


def splits(text: str, axes: Sequence[str]) -> list[dict[str, int]]:
    """All ways to read a text as a product of axis names, as orders by axis in the order of the axes."""
    # ways[i]: the distinct orders with which the first i characters can be read (dynamic programming, no backtracking).
    ways: list[set[tuple[int, ...]]] = [{(0,) * len(axes)}, *(set() for _ in text)]
    for start in range(len(text)):
        for k, axis in enumerate(axes):
            if ways[start] and text.startswith(axis, start):
                ways[start + len(axis)] |= {(*way[:k], way[k] + 1, *way[k + 1 :]) for way in ways[start]}
    complete = sorted(ways[len(text)]) if text else []
    return [{axis: count for axis, count in zip(axes, way, strict=True) if count} for way in complete]
