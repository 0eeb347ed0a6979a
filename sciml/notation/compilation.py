"""From SymPy to functions of NumPy arrays or torch tensors: a walk over the tree into a flat list of operations.

Nothing is generated as text or executed as code. Equal subexpressions are computed once.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from sciml.errors import ArgumentError
from sciml.notation.functions import without_complex_parts
from sciml.notation.vocabulary import At

__all__ = ["Compiled", "to_numpy", "to_torch"]

_RELATIONS: dict[type, Callable[[Any, Any], Any]] = {
    sympy.StrictLessThan: operator.lt,
    sympy.LessThan: operator.le,
    sympy.StrictGreaterThan: operator.gt,
    sympy.GreaterThan: operator.ge,
    sympy.Equality: operator.eq,
    sympy.Unequality: operator.ne,
}
_TAME = (sympy.Add, sympy.Mul, sympy.sin, sympy.cos, sympy.tanh, sympy.atan, sympy.erf)
_LARGEST_PRODUCT = 64  # x**n is multiplied out up to this n


@final
class Compiled:
    """A compiled list of expressions: call it with one array per argument, get one array per expression.

    Made by `to_numpy` and `to_torch`; can be pickled if the declared functions in it can.
    """

    def __init__(
        self, names: list[str], constants: list[Any], steps: list[Any], results: list[int], tools: Any
    ) -> None:
        self._names = names
        self._constants = constants
        self._steps = steps  # (operation, picker of its operands, whether there are several)
        self._results = results
        self._prepare, self._finish, self._context = tools

    def __call__(self, *values: Any) -> list[Any]:
        """Evaluate.

        Parameters
        ----------
        *values : array or number
            One per argument, mutually broadcastable.

        Returns
        -------
        list of array
            Each of the common shape of the inputs, constants too.
        """
        if len(values) != len(self._names):
            raise ArgumentError(f"{len(self._names)} inputs are needed ({', '.join(self._names)}), {len(values)} came")
        inputs, shape = self._prepare(values)
        registers = [*inputs, *self._constants]
        append = registers.append
        with self._context():
            for operation, pick, several in self._steps:
                append(operation(*pick(registers)) if several else operation(pick(registers)))
            return [self._finish(registers[index], shape, inputs) for index in self._results]


def to_numpy(
    expressions: Sequence[sympy.Basic],
    arguments: Sequence[sympy.Basic],
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Compiled:
    """Compile expressions to a function of NumPy arrays.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
    arguments : sequence of sympy.Expr
        The leaves that get values: symbols, unknowns u(x, t), derivatives, values at a place.
    functions : mapping of str to callable, optional
        Declared functions by name; they work on torch tensors, point by point, and are differentiated automatically.

    Returns
    -------
    Compiled
        One array per argument in, a list with one array per expression out, of the common shape of the inputs.
        Points outside the domain of a function give nan or inf, without warnings.

    Raises
    ------
    ArgumentError
        A leaf has no argument, or something in an expression has no numerical meaning.

    Examples
    --------
    >>> x = sympy.Symbol("x", real=True)
    >>> to_numpy([x**2, sympy.sin(x)], [x])([0.0, 2.0])[0].tolist()
    [0.0, 4.0]
    """
    import numpy as np

    from sciml.notation import numpy_operations as backend

    compiler = _Compiler(arguments, functions or {}, backend.operations(), torch_call=backend.call, gate=None)
    quiet = functools.partial(np.errstate, all="ignore")
    return compiler.compile(expressions, (backend.prepare, backend.finish, quiet))


def to_torch(
    expressions: Sequence[sympy.Basic],
    arguments: Sequence[sympy.Basic],
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Compiled:
    """Compile expressions to a function of torch tensors.

    The function makes no assumption on device or dtype (numbers among the inputs follow the tensors; float64 if there
    are none), works under autograd and the transforms of `torch.func`, and its gradients are finite wherever the taken
    branch of a piecewise expression has one.

    Parameters, returns and errors are those of `to_numpy`, with tensors for arrays.
    """
    from contextlib import nullcontext

    from sciml.notation import torch_operations as backend

    compiler = _Compiler(arguments, functions or {}, backend.operations(), torch_call=None, gate=backend.gate)
    return compiler.compile(expressions, (backend.prepare, backend.finish, nullcontext))


class _Register(int):
    """The number of a register, as opposed to a constant."""


@final
class _Compiler:
    def __init__(
        self,
        arguments: Sequence[sympy.Basic],
        functions: Mapping[str, Callable[..., Any]],
        operations: Mapping[Any, Callable[..., Any]],
        torch_call: Callable[..., Any] | None,
        gate: Callable[..., Any] | None,
    ) -> None:
        self.leaves = {argument: _Register(k) for k, argument in enumerate(arguments)}
        self.names = [_leaf_name(argument) for argument in arguments]
        self.functions = functions
        self.operations = operations
        self.torch_call = torch_call
        self.gate = gate
        self.steps: list[tuple[Any, tuple[Any, ...]]] = []
        self.numbered: dict[Any, _Register] = {}
        self.memo: dict[Any, Any] = {}

    def compile(self, expressions: Sequence[sympy.Basic], tools: Any) -> Compiled:
        values = [
            self.walk(without_complex_parts(sympy.sympify(expression, strict=True)), None) for expression in expressions
        ]
        # Registers: inputs, then constants, then one for each step; constants are known only now.
        operands = [*(operand for _, step in self.steps for operand in step), *values]
        constants: dict[Any, int] = {}
        for operand in operands:
            if not isinstance(operand, _Register):
                constants.setdefault((type(operand), repr(operand)), len(constants))
        inputs = len(self.names)

        def place(operand: Any) -> int:
            if isinstance(operand, _Register):
                return int(operand) + (len(constants) if operand >= inputs else 0)
            return inputs + constants[type(operand), repr(operand)]

        steps = [(op, operator.itemgetter(*map(place, step)), len(step) > 1) for op, step in self.steps]
        numbers = [kind(float(text) if kind is float else text == "True") for kind, text in constants]
        return Compiled(self.names, numbers, steps, [place(value) for value in values], tools)

    def emit(self, operation: Any, *operands: Any) -> _Register:
        key = (operation, *((type(operand), operand) for operand in operands))
        if key not in self.numbered:
            self.steps.append((operation, operands))
            self.numbered[key] = _Register(len(self.names) + len(self.steps) - 1)
        return self.numbered[key]

    def fold(self, operation: Any, operands: list[Any]) -> Any:
        return functools.reduce(lambda a, b: self.emit(operation, a, b), operands)

    def walk(self, node: Any, gate: Any) -> Any:
        """Return the register or the constant of an expression; `gate` is the condition of the branch it stands in."""
        key = (node, gate)
        if key not in self.memo:
            self.memo[key] = self.visit(node, gate)
        return self.memo[key]

    def visit(self, node: Any, gate: Any) -> Any:
        if node in self.leaves:
            leaf = self.leaves[node]
            return leaf if gate is None or self.gate is None else self.emit(self.gate, gate, leaf)
        if node in (sympy.true, sympy.false):
            return bool(node)
        if isinstance(node, sympy.Expr) and node.is_number:
            return _number(node)
        if isinstance(node, sympy.Add):
            return self.sum(node, gate)
        if isinstance(node, sympy.Mul):
            return self.product(node, gate)
        if isinstance(node, sympy.Pow):
            return self.power(node.base, node.exp, gate)
        if isinstance(node, sympy.Piecewise):
            return self.piecewise(node, gate)
        if isinstance(node, sympy.DiracDelta):
            return 0.0  # the derivative of a step, almost everywhere
        if isinstance(node, sympy.Derivative) and node.expr == node.variables[0] and len(node.variables) == 1:
            return 1.0  # SymPy leaves d|u|/du as sign(u)*Derivative(u, u)
        if isinstance(node, (AppliedUndef, sympy.Derivative)):
            return self.declared(node, gate)
        if isinstance(node, Relational) and type(node) in _RELATIONS:
            left, right = (self.walk(side, gate) for side in node.args)
            relation = _RELATIONS[type(node)]
            fixed = not isinstance(left, _Register) and not isinstance(right, _Register)
            return relation(left, right) if fixed else self.emit(relation, left, right)
        if isinstance(node, (sympy.Max, sympy.Min, sympy.And, sympy.Or)):
            return self.fold(self.operations[node.func], [self.walk(a, gate) for a in sympy.ordered(node.args)])
        if node.func in self.operations:
            return self.emit(self.operations[node.func], *(self.walk(argument, gate) for argument in node.args))
        if isinstance(node, (sympy.Symbol, At)):
            raise self.missing(node)
        raise ArgumentError(f"{type(node).__name__} has no numerical meaning here: {str(node)[:80]}")

    def sum(self, node: sympy.Add, gate: Any) -> Any:
        total: Any = None
        for term in sorted(node.args, key=_has_negative_coefficient):
            negative = total is not None and _has_negative_coefficient(term)
            value = self.walk(-term if negative else term, gate)
            if total is None:
                total = value
            else:
                total = self.emit(operator.sub if negative else operator.add, total, value)
        return total

    def product(self, node: sympy.Mul, gate: Any) -> Any:
        numbers = [factor for factor in node.args if factor.is_number]
        if numbers:
            # The rest is walked by itself, so that 2*u*u_x and 3*u*u_x share u*u_x.
            coefficient = _number(sympy.Mul(*numbers))
            factors = [factor for factor in node.args if not factor.is_number]
            rest: Any = factors[0] if len(factors) == 1 else sympy.Mul(*factors, evaluate=False)
            if isinstance(rest, sympy.Pow) and _is_negative_power(rest):
                return self.emit(operator.truediv, coefficient, self.power(rest.base, -rest.exp, gate))
            value = self.walk(rest, gate)
            return (
                self.emit(operator.neg, value) if coefficient == -1.0 else self.emit(operator.mul, value, coefficient)
            )
        above: list[Any] = []
        below: list[Any] = []
        for factor in node.args:
            if _is_negative_power(factor):
                base, exponent = factor.as_base_exp()
                below.append(self.power(base, -exponent, gate))
            else:
                above.append(self.walk(factor, gate))
        value = self.fold(operator.mul, above) if above else 1.0
        return self.emit(operator.truediv, value, self.fold(operator.mul, below)) if below else value

    def power(self, base: sympy.Expr, exponent: sympy.Expr, gate: Any) -> Any:
        value = self.walk(base, gate)
        if isinstance(exponent, sympy.Float) and float(exponent).is_integer():
            exponent = sympy.Integer(int(exponent))
        if isinstance(exponent, sympy.Rational) and exponent.q in (1, 2) and abs(exponent.p) <= 2 * _LARGEST_PRODUCT:
            whole, half = divmod(abs(exponent.p), exponent.q)
            result = self.whole_power(value, whole) if whole else None
            if half:
                root = self.emit(self.operations["sqrt"], value)
                result = root if result is None else self.emit(operator.mul, result, root)
            return result if exponent.p > 0 else self.emit(operator.truediv, 1.0, result)
        return self.emit(operator.pow, value, self.walk(exponent, gate))

    def whole_power(self, value: Any, n: int) -> Any:
        if n == 1:
            return value
        half = self.whole_power(value, n // 2)
        square = self.emit(operator.mul, half, half)
        return self.emit(operator.mul, square, value) if n % 2 else square

    def piecewise(self, node: sympy.Piecewise, gate: Any) -> Any:
        """Nested choices; in torch each branch sees its leaves through a gate, lest its gradient be nan elsewhere."""
        open_gate = gate
        branches: list[tuple[Any, Any]] = []
        otherwise: Any = math.nan
        for expression, condition in node.args:  # pyright: ignore[reportGeneralTypeIssues]
            taken = self.walk(condition, gate)
            if taken is False:
                continue
            inside = open_gate
            if taken is not True and self.gate and not self.is_tame(expression):
                inside = taken if open_gate is None else self.both(open_gate, taken)
            value = self.walk(expression, inside)
            if taken is True:
                otherwise = value
                break
            branches.append((taken, value))
            if self.gate:
                rest = self.emit(self.operations[sympy.Not], taken)
                open_gate = rest if open_gate is None else self.both(open_gate, rest)
        for taken, value in reversed(branches):
            otherwise = self.emit(self.operations["where"], _Register(0), taken, value, otherwise)
        return otherwise

    def is_tame(self, node: sympy.Basic) -> bool:
        """Whether a branch is finite with its derivatives everywhere, so that it needs no gate."""
        if node in self.leaves or isinstance(node, sympy.Number):
            return True
        power = isinstance(node, sympy.Pow) and bool(node.exp.is_Integer) and bool(node.exp.is_positive)
        return (power or isinstance(node, _TAME)) and all(map(self.is_tame, node.args))

    def both(self, first: Any, second: Any) -> Any:
        return self.emit(self.operations[sympy.And], first, second)

    def declared(self, node: Any, gate: Any) -> Any:
        applied = node.expr if isinstance(node, sympy.Derivative) else node
        name = str(applied.func) if isinstance(applied, AppliedUndef) else ""
        variables = node.variables if isinstance(node, sympy.Derivative) else ()
        if name not in self.functions or any(variable not in applied.args for variable in variables):
            raise self.missing(node)
        from sciml.notation.torch_operations import Call

        operation: Any = Call(name, self.functions[name], [applied.args.index(variable) for variable in variables])
        if self.torch_call is not None:
            operation = functools.partial(self.torch_call, operation)
        return self.emit(operation, *(self.walk(argument, gate) for argument in applied.args))

    def missing(self, node: Any) -> ArgumentError:
        return ArgumentError(f"no value for {_leaf_name(node)}: the arguments are {', '.join(self.names) or 'none'}")


def _has_negative_coefficient(term: sympy.Basic) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative) if isinstance(term, sympy.Expr) else False


def _is_negative_power(factor: sympy.Basic) -> bool:
    return isinstance(factor, sympy.Pow) and factor.exp.is_Rational is True and factor.exp.is_negative is True


def _number(node: sympy.Expr) -> float:
    """The value of a constant, correctly rounded."""
    if isinstance(node, sympy.DiracDelta):
        return 0.0
    try:
        return float(node) if isinstance(node, sympy.Number) else float(node.evalf(20))
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{str(node)[:80]} is not a real number") from error


def _leaf_name(node: Any) -> str:
    """A short name of a leaf for messages."""
    if isinstance(node, sympy.Derivative) and isinstance(node.expr, AppliedUndef):
        axes = "".join(
            str(getattr(variable, "func", variable) if variable.args else variable) for variable in node.variables
        )
        return f"{node.expr.func}_{axes}"
    if isinstance(node, At):
        place = node.place
        field = node.expression.func if isinstance(node.expression, AppliedUndef) else _leaf_name(node.expression)
        return f"{field}({', '.join(map(str, place)) if isinstance(place, tuple) else place})"
    return str(node)
