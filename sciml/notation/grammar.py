"""From text to SymPy: a walk over Python's syntax tree that knows a fixed list of nodes. Nothing is ever evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, final

import sympy
from sympy.core.function import AppliedUndef

from sciml.errors import NotationError, closest
from sciml.notation import arithmetic
from sciml.notation.arithmetic import Part
from sciml.notation.functions import CONSTANTS, FUNCTIONS, SYNONYMS
from sciml.notation.hints import unknown_function, unknown_name
from sciml.notation.tokens import Side, Token, read
from sciml.notation.vocabulary import BOUNDARY, At, Vocabulary

__all__ = ["parse_condition", "parse_equation", "parse_expression"]

_MOST_ORDERS = 10
_CHOICES = ("where", "piecewise", "Piecewise")
_RELATIONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def parse_expression(text: str, vocabulary: Vocabulary) -> sympy.Expr:
    """Read a formula.

    Parameters
    ----------
    text : str
        In the notation; unknowns and declared functions are written bare or applied to exactly their arguments.
    vocabulary : Vocabulary

    Returns
    -------
    sympy.Expr
        Integers and their quotients are exact, decimals are 53-bit floats, all symbols are real.

    Raises
    ------
    NotationError
        With the position of the offending character.

    Examples
    --------
    >>> parse_expression("u_x^2 + 1/3", Vocabulary(("x", "t"), ("u",)))
    Derivative(u(x, t), x)**2 + 1/3
    """
    sides = read(text)
    if len(sides) > 1:
        raise NotationError("a formula is expected here, not an equation", text, text.index("="))
    return _Reader(text, vocabulary, sides[0], condition=False).whole()


def parse_equation(text: str, vocabulary: Vocabulary) -> sympy.Eq:
    """Read an equation `left = right`; an expression alone means that it is zero.

    The sides of the `sympy.Eq` are as they were written; parameters and errors are those of `parse_expression`.

    Examples
    --------
    >>> parse_equation("u_t = d(u**2, x)", Vocabulary(("x", "t"), ("u",)))
    Eq(Derivative(u(x, t), t), 2*u(x, t)*Derivative(u(x, t), x))
    """
    return _equation(text, vocabulary, condition=False)


def parse_condition(text: str, vocabulary: Vocabulary) -> sympy.Eq:
    """Read a condition: an equation between unknowns or derivatives at a place, and formulas.

    Every unknown stands in an `At` node; parameters and errors are those of `parse_expression`.

    Examples
    --------
    >>> parse_condition("u_t(x, 0) = sin(pi*x)", Vocabulary(("x", "t"), ("u",)))
    Eq(At(Derivative(u(x, t), t), (x, 0)), sin(pi*x))
    """
    equation = _equation(text, vocabulary, condition=True)
    if not equation.has(At):
        example = f"{vocabulary.unknowns[0] if vocabulary.unknowns else 'u'}({_example_place(vocabulary)})"
        raise NotationError(f"a condition is about an unknown at a place, such as {example}", text, 0)
    return equation


def _equation(text: str, vocabulary: Vocabulary, condition: bool) -> sympy.Eq:
    sides = [_Reader(text, vocabulary, side, condition).whole() for side in read(text)]
    right = sides[1] if len(sides) > 1 else sympy.S.Zero
    return sympy.Eq(sides[0], right, evaluate=False)  # pyright: ignore[reportReturnType]


def _example_place(vocabulary: Vocabulary) -> str:
    return ", ".join([*vocabulary.coordinates[:-1], "0"])


@final
class _Reader:
    """Walks over one side; every method returns what a node stands for or raises with the node's position."""

    def __init__(self, text: str, vocabulary: Vocabulary, side: Side, condition: bool) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.side = side
        self.condition = condition

    def whole(self) -> sympy.Expr:
        part = self.visit(self.side.tree)
        self.form(self.side.tree, arithmetic.check, part.expression)
        return part.expression

    # errors and their places

    def token(self, node: ast.expr) -> Token:
        return self.side.tokens[node.col_offset]

    def error(self, message: str, node: ast.expr) -> NotationError:
        return NotationError(message, self.text, self.token(node).position)

    def form(self, node: ast.expr, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that forms something; give its errors, and SymPy's, the position of the node."""
        try:
            return function(*arguments)
        except NotationError as error:
            if error.position is not None:
                raise
            raise NotationError(str(error), self.text, self.token(node).position) from error
        except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError, RecursionError) as error:
            raise NotationError("this cannot be formed", self.text, self.token(node).position) from error

    # nodes

    def visit(self, node: ast.expr) -> Part:
        """Return an expression, never a condition."""
        part = self.any(node)
        if not isinstance(part.expression, sympy.Expr):
            raise self.error("a comparison is not a number; write where(condition, a, b)", node)
        return part

    def truth(self, node: ast.expr) -> Part:
        """Return a condition, never an expression."""
        if isinstance(node, ast.Constant) and self.token(node).kind == "name":
            truth = self.token(node).text == "True"
            return Part(sympy.true if truth else sympy.false, truth)
        part = self.any(node)
        if isinstance(part.expression, sympy.Expr):
            raise self.error("a condition is a comparison such as x < 0", node)
        return part

    def any(self, node: ast.expr) -> Part:
        if isinstance(node, ast.Constant):
            token = self.token(node)
            if token.kind != "number":
                raise self.error(f"{token.text} stands only in the conditions of where(condition, a, b)", node)
            return self.form(node, arithmetic.number, token.text)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self.form(node, arithmetic.combine, sympy.Not, [self.truth(node.operand)])
        if isinstance(node, ast.BoolOp):
            operation = sympy.And if isinstance(node.op, ast.And) else sympy.Or
            return self.form(node, arithmetic.combine, operation, [self.truth(value) for value in node.values])
        if isinstance(node, ast.Compare):
            operands = [self.visit(operand) for operand in (node.left, *node.comparators)]
            return self.form(node, arithmetic.compare, operands, [_RELATIONS[type(op)] for op in node.ops])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base = self.visit(node.left)
            return self.form(node.right, arithmetic.raise_to, base, self.visit(node.right))
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
            return self.chain(node, (ast.Mult, ast.Div), arithmetic.multiply)
        if isinstance(node, (ast.UnaryOp, ast.BinOp)):
            return self.chain(node, (ast.Add, ast.Sub), arithmetic.add)
        raise self.error("this is not part of the notation", node)

    def chain(self, node: ast.expr, operations: tuple[type, type], form: Callable[..., Part]) -> Part:
        """Form a whole sum or product at once. Not recursive: a chain may be as long as the text."""
        items: list[tuple[Part, int]] = []
        stack = [(node, 1)]
        while stack:
            item, sign = stack.pop()
            if isinstance(item, ast.BinOp) and isinstance(item.op, operations):
                inverse = isinstance(item.op, operations[1])
                stack.extend([(item.right, -sign if inverse else sign), (item.left, sign)])
            elif isinstance(item, ast.UnaryOp) and isinstance(item.op, (ast.UAdd, ast.USub)):
                negative = isinstance(item.op, ast.USub)
                if operations[0] is ast.Add:
                    stack.append((item.operand, -sign if negative else sign))
                else:
                    stack.append((item.operand, sign))
                    if negative:
                        items.append((Part(sympy.S.NegativeOne, -1.0), 1))
            else:
                items.append((self.visit(item), sign))
        return self.form(node, form, items)

    # names

    def name(self, node: ast.Name) -> Part:
        token = self.token(node)
        words = self.vocabulary
        if token.primes or token.text in words.unknowns or token.text in words.functions:
            return self.bare(node, self.field(token, node))
        if token.text in words.coordinates or token.text in words.parameters:
            return Part(words.symbol(token.text))
        field = self.field(token, node)
        if field is not None:
            return self.bare(node, field)
        if token.text in CONSTANTS:
            constant = CONSTANTS[token.text]
            return Part(constant, float(constant))
        raise self.error(unknown_name(token.text, words), node)

    def field(self, token: Token, node: ast.expr) -> sympy.Expr | None:
        """Return the unknown, declared function or derivative that a name stands for, or None."""
        words, name = self.vocabulary, token.text
        if token.primes:
            if name not in words.unknowns and name not in words.functions:
                raise self.error(
                    f"{name!r} is no unknown: only unknowns have derivatives{closest(name, words.unknowns)}", node
                )
            axes = words.functions.get(name, words.coordinates)
            if len(axes) != 1:
                example = f"{name}_{axes[0]}"
                raise self.error(f"a prime needs one coordinate, here are {', '.join(axes)}: write {example}", node)
            return words.derivative(name, {axes[0]: token.primes})
        if name in words.unknowns:
            return words.unknown(name)
        if name in words.functions:
            return words.function(name)
        if name in words.names:
            return None
        reading = self.form(node, words.split, name)
        if reading is not None and sum(reading[1].values()) > _MOST_ORDERS:
            raise self.error(f"derivatives are read up to order {_MOST_ORDERS}", node)
        return None if reading is None else self.form(node, words.derivative, *reading)

    def bare(self, node: ast.Name, field: Any) -> Part:
        """Return a field that is not applied to anything, unless it would have no place in a condition."""
        if self.condition and self.vocabulary.partials(field):
            shown = node.id + "'" * self.token(node).primes
            example = f"{shown}({_example_place(self.vocabulary)})"
            raise self.error(f"{shown} has no place; in a condition write {example} or so", node)
        return Part(field)

    # applications

    def call(self, node: ast.Call) -> Part:
        words = self.vocabulary
        if not isinstance(node.func, ast.Name):
            return self.placed(node, self.operator(node.func, field=True).expression)
        token = self.token(node.func)
        name = SYNONYMS.get(token.text, token.text)
        if token.text in words.functions and not token.primes:
            return self.declared(node, token.text)
        if name == "d" and token.text not in words.functions and not token.primes:
            return self.operator(node)
        if token.text not in words.parameters and token.text not in words.coordinates:
            field = self.field(token, node.func)
            if field is not None:
                return self.placed(node, field)
            if name == "laplacian":
                return self.operator(node)
            if name in _CHOICES:
                return self.choice(node)
            if name in FUNCTIONS:
                arguments = [self.visit(argument) for argument in node.args]
                return self.form(node, arithmetic.apply, name, FUNCTIONS[name], arguments)
        raise self.error(unknown_function(token.text, words), node)

    def declared(self, node: ast.Call, name: str) -> Part:
        """Return a declared function: of exactly its arguments, or in a condition of values."""
        words = self.vocabulary
        axes, bare = words.functions[name], words.function(name)
        shown = f"{name}({', '.join(axes)})"
        if len(node.args) != len(axes):
            raise self.error(f"{name!r} is declared with {len(axes)} argument(s), {shown}, not {len(node.args)}", node)
        arguments = [self.visit(argument) for argument in node.args]
        formed = bare.func(*(part.expression for part in arguments))
        if formed != bare and not self.condition:
            raise self.error(
                f"{name!r} is declared as {shown} and stands with just these arguments in an equation", node
            )
        return Part(formed)

    def placed(self, node: ast.Call, field: sympy.Expr) -> Part:
        """Return an unknown or derivative that is applied to arguments."""
        words = self.vocabulary
        partial = words.partial_of(field)
        if partial is None:
            raise self.error("missing operator, or a place for something that is no derivative of an unknown", node)
        name, axes = words.partial_text(partial), words.coordinates
        shown = f"{name}({', '.join(axes)})"
        if len(node.args) == 1 and isinstance(node.args[0], ast.Name) and node.args[0].id == BOUNDARY.name:
            if not self.condition:
                raise self.error(f"{name}(boundary) belongs to a condition", node)
            if not words.space:
                raise self.error("there is no space coordinate, so there is no boundary", node.args[0])
            return Part(At(field, BOUNDARY))
        if len(node.args) != len(axes):
            raise self.error(
                f"{name} has {len(axes)} arguments in the order of the domain, {shown}, not {len(node.args)}", node
            )
        place = tuple(self.argument(argument, axis, shown) for argument, axis in zip(node.args, axes, strict=True))
        fixed = any(argument != words.symbol(axis) for argument, axis in zip(place, axes, strict=True))
        if not self.condition:
            if fixed:
                raise self.error(
                    f"a value at a place belongs to a condition; in an equation write {name} or {shown}", node
                )
            return Part(field)
        if not fixed:
            raise self.error(f"{shown} fixes no coordinate; a condition holds at a place", node)
        return Part(At(field, place))

    def argument(self, node: ast.expr, axis: str, shown: str) -> sympy.Expr:
        """Return one argument of a place: its own coordinate, or a constant."""
        words = self.vocabulary
        value = self.visit(node).expression
        if value == words.symbol(axis):
            return value
        others = sorted(str(symbol) for symbol in value.free_symbols if str(symbol) in words.coordinates)
        if str(value) in words.coordinates:
            raise self.error(f"the coordinate {value} in the place of {axis}; the order of the domain is {shown}", node)
        if others or value.atoms(AppliedUndef):
            raise self.error(
                f"the place of {axis} is {axis} itself or a constant; the order of the domain is {shown}", node
            )
        return value

    def operator(self, node: ast.expr, field: bool = False) -> Part:
        """Return laplacian(expr) or d(expr, x, 2, t); `field`: it stands before a place, d(u, x)(0, t)."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            raise self.error("this is not part of the notation", node)
        inner = _Reader(self.text, self.vocabulary, self.side, condition=self.condition and not field)
        part = inner.visit(node.args[0])
        if part.expression.has(At):
            raise self.error(
                "a value at a place is not differentiated: place the derivative instead, u_x(0, t)", node.args[0]
            )
        if self.token(node.func).text == "laplacian":
            if len(node.args) > 1:
                raise self.error("laplacian takes one argument; for single coordinates write d(expr, x, 2)", node)
            if not self.vocabulary.space:
                raise self.error("there is no space coordinate, so there is no laplacian", node)
            axes = [self.vocabulary.symbol(axis) for axis in self.vocabulary.space]
            terms = [(self.form(node, arithmetic.derive, part, [axis, axis]), 1) for axis in axes]
            return self.form(node, arithmetic.add, terms)
        return self.form(node, arithmetic.derive, part, self.variables(node))

    def variables(self, node: ast.Call) -> list[sympy.Expr]:
        """Return the variables of d(expr, x, 2, t), each as often as it is meant."""
        words = self.vocabulary
        found: list[sympy.Expr] = []
        if len(node.args) < 2:
            raise self.error(
                "d takes an expression and the coordinates to differentiate by: d(u, x), d(u, x, 2, t)", node
            )
        counted = True
        for argument in node.args[1:]:
            token = self.token(argument)
            if (
                isinstance(argument, ast.Name)
                and not token.primes
                and token.text in (*words.coordinates, *words.unknowns)
            ):
                unknown = token.text in words.unknowns
                found.append(words.unknown(token.text) if unknown else words.symbol(token.text))
                counted = False
            elif isinstance(argument, ast.Constant) and token.text.isdigit() and not counted:
                count = int(token.text)
                if not 1 <= count <= _MOST_ORDERS:
                    raise self.error(f"derivatives are read up to order {_MOST_ORDERS}", argument)
                found.extend([found[-1]] * (count - 1))
                counted = True
            else:
                raise self.error(f"d differentiates by the coordinates {', '.join(words.coordinates)}", argument)
        if len(found) > _MOST_ORDERS:
            raise self.error(f"derivatives are read up to order {_MOST_ORDERS}", node)
        return found

    def choice(self, node: ast.Call) -> Part:
        """Return where(condition, a, ..., b), or SymPy's Piecewise((a, condition), ..., (b, True))."""
        if all(isinstance(argument, ast.Tuple) for argument in node.args):
            pairs = [argument.elts for argument in node.args if isinstance(argument, ast.Tuple)]
            if any(len(pair) != 2 for pair in pairs):
                raise self.error("piecewise takes pairs (value, condition)", node)
        else:
            arguments: Sequence[ast.expr] = node.args
            if len(arguments) < 2:
                raise self.error("where takes a condition and two values: where(x < 0, a, b)", node)
            pairs = [(value, condition) for condition, value in zip(arguments[::2], arguments[1::2], strict=False)]
        pieces = [(self.visit(value), self.truth(condition)) for value, condition in pairs]
        if len(node.args) % 2 and not isinstance(node.args[-1], ast.Tuple):
            pieces.append((self.visit(node.args[-1]), Part(sympy.true, True)))
        return self.form(node, arithmetic.choose, pieces)
