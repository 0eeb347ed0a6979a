"""Sums, products, powers and functions with bounds: what is not real or would make SymPy slow is refused first.

Beside each constant expression its value is carried as a float, so that 9**9**9 overflows here and is never multiplied
out by SymPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import sympy
from sympy.core.traversal import preorder_traversal

from sciml.errors import NotationError
from sciml.notation.functions import Entry, differentiate

__all__ = [
    "LARGEST_EXPONENT",
    "Part",
    "add",
    "apply",
    "check",
    "choose",
    "compare",
    "derive",
    "multiply",
    "number",
    "raise_to",
]

LARGEST_EXPONENT = 1_000
_SMALLEST, _LARGEST = 1e-300, 1e300
_MOST_BITS = 8_192  # of exact numbers
_DEEPEST = 10  # functions within functions, by their cost
_CHOICE_COST = 3
_MOST_NODES = 1_000  # of an expression that is to be differentiated
_OUTSIDE = (sympy.zoo, sympy.nan, sympy.oo, sympy.S.NegativeInfinity)
_RELATIONS: dict[str, tuple[Any, Callable[[float, float], bool]]] = {
    "<": (sympy.StrictLessThan, lambda a, b: a < b),
    "<=": (sympy.LessThan, lambda a, b: a <= b),
    ">": (sympy.StrictGreaterThan, lambda a, b: a > b),
    ">=": (sympy.GreaterThan, lambda a, b: a >= b),
    "==": (sympy.Equality, lambda a, b: a == b),
    "!=": (sympy.Unequality, lambda a, b: a != b),
}


class Part(NamedTuple):
    """A formed expression.

    Attributes
    ----------
    expression : SymPy expression or condition.
    value : its value, if it is a constant: a float, for conditions a bool.
    depth : the cost of the functions nested in it.
    """

    expression: Any
    value: float | None = None
    depth: int = 0


def number(text: str) -> Part:
    """Form a number: digits alone are exact, all others are the closest float."""
    if text.isdigit():
        exact = sympy.Integer(int(text))
        return _finished(exact, _bounded(lambda: float(text)))
    value = float(text)
    if value == 0.0 and any(digit in "123456789" for digit in text.lower().partition("e")[0]):
        raise NotationError("the number is too small")
    return _finished(sympy.Float(value), value)


def add(terms: Sequence[tuple[Part, int]]) -> Part:
    """Form a sum of terms with signs."""
    _check_bits(sum(_bits(part.expression)[1] for part, _ in terms))
    constants = [sign * part.value for part, sign in terms if part.value is not None]
    value = _bounded(lambda: math.fsum(constants))
    total = sympy.Add(*(part.expression if sign > 0 else -part.expression for part, sign in terms))
    return _finished(total, value if len(constants) == len(terms) else None, _deepest(part for part, _ in terms))


def multiply(factors: Sequence[tuple[Part, int]]) -> Part:
    """Form a product of factors to the powers 1 and -1; all at once, since SymPy distributes 2*(x + y)."""
    _check_bits(sum(sum(_bits(part.expression)) for part, _ in factors))
    value = 1.0
    for part, power in factors:
        if part.value is not None:
            if part.value == 0 and power < 0:
                raise NotationError("division by zero")
            value = _bounded(lambda a=value, b=part.value, n=power: a * b if n > 0 else a / b)
    product = sympy.Mul(*(_inverse(part.expression) if power < 0 else part.expression for part, power in factors))
    constant = all(part.value is not None for part, _ in factors)
    return _finished(product, value if constant else None, _deepest(part for part, _ in factors))


def _inverse(expression: Any) -> Any:
    inverse = sympy.Pow(expression, -1)
    if inverse in _OUTSIDE:
        raise NotationError("division by zero")
    return inverse


def raise_to(base: Part, exponent: Part) -> Part:
    """Form a power."""
    if exponent.value is not None and abs(exponent.value) > LARGEST_EXPONENT:
        raise NotationError(f"the exponent is too large; at most {LARGEST_EXPONENT} is read")
    whole = exponent.expression.is_Integer
    if exponent.expression.is_Rational:
        _check_bits(
            sum(_bits(base.expression)) * abs(int(exponent.expression.p)) + 64 * (_bits(exponent.expression)[1])
        )
    value = None
    if base.value is not None and exponent.value is not None:
        if base.value == 0 and exponent.value < 0:
            raise NotationError("division by zero")
        value = _bounded(lambda a=base.value, b=exponent.value: a**b)
    elif base.value is not None and base.value < 0:
        raise NotationError("a negative number to a power that is no integer is not real")
    depth = max(base.depth, exponent.depth) + (0 if whole else 1)
    return _finished(sympy.Pow(base.expression, exponent.expression), value, depth)


def apply(name: str, entry: Entry, arguments: Sequence[Part]) -> Part:
    """Form a function of the table."""
    if not entry.least <= len(arguments) <= entry.most:
        wanted = str(entry.least) if entry.least == entry.most else f"{entry.least} to {entry.most}"
        plural = "" if wanted == "1" else "s"
        raise NotationError(f"{name} takes {wanted} argument{plural}, not {len(arguments)}")
    values = [part.value for part in arguments if part.value is not None]
    value = None
    if len(values) == len(arguments):
        value = _bounded(lambda: entry.value(*values), name)
    if name == "exp" and values and abs(values[0]) > 690:
        raise NotationError("the number is out of range")
    depth = _deepest(arguments) + entry.cost
    if depth > _DEEPEST:
        raise NotationError("functions are nested too deeply")
    return _finished(real(entry.build(*(part.expression for part in arguments))), value, depth)


def compare(operands: Sequence[Part], relations: Sequence[str]) -> Part:
    """Form a chain of comparisons, 0 < x <= 1."""
    conditions: list[Part] = []
    for (left, right), symbol in zip(pairwise(operands), relations, strict=True):
        relation, decide = _RELATIONS[symbol]
        if left.value is not None and right.value is not None:
            truth = decide(left.value, right.value)
            conditions.append(Part(sympy.true if truth else sympy.false, truth))
        else:
            # Not evaluated: SymPy's canonical forms of inequalities are slow, and the reader's own form is better.
            formed = relation(left.expression, right.expression, evaluate=False)
            conditions.append(Part(formed, None, max(left.depth, right.depth)))
    return conditions[0] if len(conditions) == 1 else combine(sympy.And, conditions)


def combine(operation: Any, conditions: Sequence[Part]) -> Part:
    """Form `and`, `or` or `not` of conditions."""
    formed = operation(*(part.expression for part in conditions))
    truth = True if formed == sympy.true else False if formed == sympy.false else None
    return Part(formed, truth, _deepest(conditions))


def choose(pieces: Sequence[tuple[Part, Part]]) -> Part:
    """Form a piecewise expression from (value, condition); the first condition that holds counts."""
    kept: list[tuple[Part, Part]] = []
    for expression, condition in pieces:
        if condition.value is None or condition.value:
            kept.append((expression, condition))
        if condition.value:
            break
    if not kept:
        raise NotationError("no condition of this choice can hold")
    if kept[0][1].value:
        return kept[0][0]
    if any(b.expression.has(sympy.Piecewise) for _, b in kept):
        raise NotationError("a choice within the condition of another is not accepted; write its cases one by one")
    depth = max(max(a.depth, b.depth) for a, b in kept) + _CHOICE_COST
    if depth > _DEEPEST:
        raise NotationError("functions are nested too deeply")
    return Part(sympy.Piecewise(*((a.expression, b.expression) for a, b in kept), evaluate=False), None, depth)


def derive(part: Part, variables: Sequence[sympy.Expr]) -> Part:
    """Form a derivative, expanded."""
    expression = part.expression
    for variable in variables:
        if any(_jumps(choice, variable) for choice in expression.atoms(sympy.Piecewise)):
            raise NotationError("the derivative of a choice whose cases do not join has no value where they meet")
        for count, _ in enumerate(preorder_traversal(expression)):
            if count > _MOST_NODES:
                raise NotationError("the expression is too large to be differentiated")
        expression = differentiate(expression, variable)
    if expression.has(sympy.DiracDelta):
        raise NotationError("the derivative of a step has no value at the step")
    return _finished(expression, None, part.depth)


def real(expression: Any) -> Any:
    """Replace re(X) by X: SymPy does not know that a derivative is real, and writes abs(exp(u_x)) as exp(re(u_x))."""
    return expression.replace(sympy.re, lambda argument: argument) if expression.has(sympy.re) else expression


def _jumps(choice: sympy.Piecewise, variable: sympy.Expr) -> bool:
    """Whether neighbouring cases differ where the variable passes from one to the other.

    Known only for conditions that compare the variable with a number; any other condition is taken to jump.
    """
    cases: list[Any] = list(choice.args)
    for (left, condition), (right, _) in pairwise(cases):
        if not condition.has(variable):
            continue
        if not isinstance(condition, (sympy.Lt, sympy.Le, sympy.Gt, sympy.Ge)):
            return True
        sides = [condition.lhs, condition.rhs]
        if variable not in sides:
            return True
        sides.remove(variable)
        gap = sympy.simplify((left - right).xreplace({variable: sides[0]}))
        if not (gap.is_number and abs(float(gap)) < 1e-12):
            return True
    return False


def check(expression: sympy.Basic) -> None:
    """Refuse a whole expression that is not real and finite, or whose exponents have grown beyond the bound.

    Raises
    ------
    NotationError
        Without a position: it is the result that is at fault.
    """
    for node in preorder_traversal(expression):
        if node in _OUTSIDE:
            raise NotationError("this is not finite (division by zero?)")
        if node is sympy.I:
            raise NotationError("this is not a real number")
        if isinstance(node, sympy.Pow) and node.exp.is_Number and abs(node.exp) > LARGEST_EXPONENT:
            raise NotationError(f"the exponent {str(node.exp)[:20]} is too large; at most {LARGEST_EXPONENT} is read")
        if isinstance(node, sympy.Pow) and node.base.is_number and node.base.is_negative and not node.exp.is_integer:
            raise NotationError("a negative number to a power that is no integer is not real")
        if isinstance(node, (sympy.Pow, sympy.Function)) and node.is_number and node.is_extended_real is False:
            raise NotationError("this is not a real number")
        if isinstance(node, sympy.Number) and not node.is_zero and not _SMALLEST <= abs(_as_float(node)) <= _LARGEST:
            raise NotationError("a number is out of range")


def _finished(expression: Any, value: float | None = None, depth: int = 0) -> Part:
    if expression in _OUTSIDE:
        raise NotationError("this is not finite (division by zero?)")
    if value is not None and expression.has(sympy.I):
        raise NotationError("this is not a real number")
    if expression.is_Number:
        value = _as_float(expression)
        if value != 0 and not _SMALLEST <= abs(value) <= _LARGEST:
            raise NotationError("the number is out of range")
    elif value is None and expression.is_number:  # a derivative, or x - x + pi
        value = _bounded(lambda: float(expression.evalf(17)))
    return Part(expression, value, depth)


def _as_float(node: Any) -> float:
    try:
        return float(node)
    except OverflowError:
        return math.inf


def _bounded(evaluate: Callable[[], Any], name: str = "this") -> float:
    try:
        value = evaluate()
    except OverflowError as error:
        raise NotationError("the number is out of range") from error
    except ZeroDivisionError as error:
        raise NotationError("division by zero") from error
    except ValueError as error:
        raise NotationError(f"{name} has no real value here") from error
    if isinstance(value, complex):
        raise NotationError("this is not a real number; cbrt is the real cube root")
    if not abs(value) <= _LARGEST:
        raise NotationError("the number is out of range")
    return float(value)


def _bits(expression: Any) -> tuple[int, int]:
    """The lengths of an exact number's numerator and denominator, counted from 1."""
    if not expression.is_Rational:
        return 0, 0
    return abs(int(expression.p)).bit_length(), int(expression.q).bit_length() - 1


def _check_bits(bits: int) -> None:
    if bits > _MOST_BITS:
        raise NotationError("the exact number is too long")


def _deepest(parts: Any) -> int:
    return max((part.depth for part in parts), default=0)
