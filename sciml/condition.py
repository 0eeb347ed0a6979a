"""Conditions: equations that hold at a place of the domain (initial, boundary, periodic, at a point)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

import sympy

from sciml.domain import Box
from sciml.errors import ProblemError
from sciml.notation import At, Partial, Vocabulary, to_text

__all__ = ["Condition", "build_conditions", "difference"]

Kind = Literal["initial", "boundary", "periodic", "point"]


@dataclass(frozen=True)
class Condition:
    """One equation at one place, `expression = 0` where the coordinates in `place` have the values given there.

    Attributes
    ----------
    name : the text as it was typed; also the name of this term of a loss. `u(boundary) = 0` becomes one condition a
        side, named `u(boundary) = 0 [x = -1]`.
    expression : left minus right as a field in u(x, t), its derivatives, the coordinates and the parameters. For a
        periodic condition the quantity that is equal at both places.
    place : the fixed coordinates, for example {"t": 0.0}.
    partner : for periodic conditions the place at the other end, else None.
    kind : "initial" (fixes time alone, at its lower bound), "boundary" (fixes one coordinate), "periodic", or
        "point" (fixes several coordinates, or one inside the domain).
    """

    name: str
    expression: sympy.Expr
    place: Mapping[str, float]
    partner: Mapping[str, float] | None
    kind: Kind

    def solved(self, vocabulary: Vocabulary) -> tuple[Partial, sympy.Expr] | None:
        """Write the condition as `partial = g` with g free of unknowns.

        Returns (partial, g), or None where the condition is no such assignment: several partials (Robin), a partial
        inside a nonlinear function, a coefficient that varies, a periodic condition.
        """
        if self.kind == "periodic":
            return None
        partials = vocabulary.partials(self.expression)
        if len(partials) != 1:
            return None
        leaf = sympy.Dummy("leaf", real=True)
        rest = self.expression.xreplace({vocabulary.expression(partials[0]): leaf})
        slope = sympy.diff(rest, leaf)
        if slope.has(leaf) or any(slope.has(vocabulary.symbol(name)) for name in vocabulary.coordinates):
            return None
        constant: Any = rest.subs(leaf, 0)
        value: Any = sympy.expand_mul(-constant / slope)
        return partials[0], value

    def __str__(self) -> str:
        return self.name


def difference(equation: sympy.Eq) -> sympy.Expr:
    """Left minus right."""
    left, right = cast(tuple[Any, Any], equation.args)
    return left - right


def build_conditions(
    equation: sympy.Eq, name: str, vocabulary: Vocabulary, box: Box, constants: Mapping[Any, Any], time: str | None
) -> list[Condition]:
    """Turn a parsed condition (an equation with `At` nodes) into conditions, one a side for `boundary`.

    Raises
    ------
    ProblemError : a place outside the domain, no fixed coordinate, or several places that are not the two ends of one
        coordinate.
    """
    expression = difference(equation)
    nodes = sorted(expression.atoms(At), key=str)
    places = [_fixed(node, name, vocabulary, box, constants) for node in nodes]
    if any(place is None for place in places):
        if not all(place is None for place in places):
            raise ProblemError(f"condition {name!r}: 'boundary' and another place cannot stand in one equation")
        field: Any = expression.xreplace({node: node.expression for node in nodes})
        return [
            Condition(f"{name} [{c} = {value:.6g}]", field, _frozen({c: value}), None, "boundary")
            for c in vocabulary.coordinates
            if c != time
            for value in box.interval(c)
        ]
    distinct = [dict(items) for items in dict.fromkeys(tuple(place.items()) for place in places if place is not None)]
    if len(distinct) == 1:
        place = distinct[0]
        field: Any = expression.xreplace({node: node.expression for node in nodes})
        return [Condition(name, field, _frozen(place), None, _kind(place, box, time))]
    return [_periodic(expression, nodes, distinct, name, box)]


def _fixed(
    node: At, name: str, vocabulary: Vocabulary, box: Box, constants: Mapping[Any, Any]
) -> dict[str, float] | None:
    """The coordinates that an `At` node fixes, with their values; None for `boundary`."""
    if isinstance(node.place, sympy.Symbol):
        if all(c == vocabulary.time for c in vocabulary.coordinates):
            raise ProblemError(
                f"condition {name!r}: 'boundary' needs a space coordinate; fix {vocabulary.time} instead"
            )
        return None
    fixed: dict[str, float] = {}
    for coordinate, argument in zip(vocabulary.coordinates, node.place, strict=True):
        if argument == vocabulary.symbol(coordinate):
            continue
        number = sympy.N(argument.xreplace(dict(constants)), 17)
        if not (number.is_number and number.is_real):
            raise ProblemError(
                f"condition {name!r}: the place {coordinate} = {to_text(argument, vocabulary)} is not a number"
            )
        value = box.snap(coordinate, float(number))
        a, b = box.interval(coordinate)
        if not a <= value <= b:
            raise ProblemError(
                f"condition {name!r}: the place {coordinate} = {value:.6g} lies outside the domain, [{a:.6g}, {b:.6g}]"
            )
        fixed[coordinate] = value
    if not fixed:
        raise ProblemError(f"condition {name!r} fixes no coordinate; write a place such as u(x, 0)")
    return fixed


def _kind(place: Mapping[str, float], box: Box, time: str | None) -> Kind:
    if len(place) > 1:
        return "point"
    ((coordinate, value),) = place.items()
    a, b = box.interval(coordinate)
    if coordinate == time:
        return "initial" if value == a else "boundary" if value == b else "point"
    return "boundary" if value in (a, b) else "point"


def _periodic(
    expression: sympy.Expr, nodes: list[Any], places: list[dict[str, float]], name: str, box: Box
) -> Condition:
    """A condition at two places: accepted where it says that one quantity is equal at both ends of a coordinate."""
    first, second = places[0], places[1]
    (coordinate,) = first.keys() if len(first) == 1 else (None,)
    if (
        len(places) != 2
        or len(nodes) != 2
        or coordinate is None
        or first.keys() != second.keys()
        or {first[coordinate], second[coordinate]} != set(box.interval(coordinate))
        or nodes[0].expression != nodes[1].expression
        or (
            sympy.expand(expression - (nodes[0] - nodes[1])) != 0
            and sympy.expand(expression + (nodes[0] - nodes[1])) != 0
        )
    ):
        raise ProblemError(
            f"condition {name!r} has several places; only periodicity between the two ends of a coordinate does, "
            "for example u(-1, t) = u(1, t)"
        )
    low, high = sorted((first, second), key=lambda place: place[coordinate])
    return Condition(name, nodes[0].expression, _frozen(low), _frozen(high), "periodic")


def _frozen(place: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(place))
