"""What a compiled program does on torch tensors, by SymPy class: any device and dtype, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import sympy
import torch
from sympy.functions.elementary import complexes
from torch import Tensor

from sciml.errors import ArgumentError

__all__ = ["Call", "finish", "gate", "operations", "prepare"]


def _sec(x: Tensor) -> Tensor:
    return 1.0 / torch.cos(x)


def _csc(x: Tensor) -> Tensor:
    return 1.0 / torch.sin(x)


def _cot(x: Tensor) -> Tensor:
    return torch.cos(x) / torch.sin(x)


def _bounded(x: Tensor) -> Tensor:
    # Beyond this cosh**2 overflows, and the gradient of 1/cosh would be 0 * inf = nan instead of 0.
    limit = 350.0 if x.dtype == torch.float64 else 42.0
    return torch.clamp(x, -limit, limit) if x.is_floating_point() else x


def _sech(x: Tensor) -> Tensor:
    return 1.0 / torch.cosh(_bounded(x))


def _csch(x: Tensor) -> Tensor:
    return 1.0 / torch.sinh(_bounded(x))


def _coth(x: Tensor) -> Tensor:
    return 1.0 / torch.tanh(x)


def _pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(a, Tensor):
        a = b.new_full((), a)
    return a, b if isinstance(b, Tensor) else a.new_full((), b)


def _maximum(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    return torch.maximum(a, b)


def _minimum(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    return torch.minimum(a, b)


def _atan2(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    return torch.atan2(a, b)


def _heaviside(x: Tensor, middle: Any) -> Tensor:
    step = 0.5 * (torch.sign(x) + 1.0)
    return step if isinstance(middle, float) and middle == 0.5 else torch.where(x == 0, middle, step)


def _where(reference: Tensor, condition: Tensor, chosen: Any, otherwise: Any) -> Tensor:
    # torch.where of two numbers would have torch's default dtype
    chosen = chosen if isinstance(chosen, Tensor) else reference.new_full((), chosen)
    return torch.where(condition, chosen, otherwise)


def gate(condition: Tensor, leaf: Tensor) -> Tensor:
    """Hide a leaf from a branch where the branch is not taken, so that no gradient comes from there (0 * inf = nan)."""
    return torch.where(condition, leaf, 1.0)


def operations() -> Mapping[Any, Callable[..., Any]]:
    """Return the operations by SymPy class, and by name where SymPy has none."""
    return {
        sympy.sin: torch.sin,
        sympy.cos: torch.cos,
        sympy.tan: torch.tan,
        sympy.sec: _sec,
        sympy.csc: _csc,
        sympy.cot: _cot,
        sympy.asin: torch.asin,
        sympy.acos: torch.acos,
        sympy.atan: torch.atan,
        sympy.atan2: _atan2,
        sympy.sinh: torch.sinh,
        sympy.cosh: torch.cosh,
        sympy.tanh: torch.tanh,
        sympy.sech: _sech,
        sympy.csch: _csch,
        sympy.coth: _coth,
        sympy.asinh: torch.asinh,
        sympy.acosh: torch.acosh,
        sympy.atanh: torch.atanh,
        sympy.exp: torch.exp,
        sympy.log: torch.log,
        complexes.Abs: torch.abs,
        sympy.sign: torch.sign,
        sympy.Min: _minimum,
        sympy.Max: _maximum,
        sympy.Heaviside: _heaviside,
        sympy.erf: torch.erf,
        sympy.erfc: torch.erfc,
        sympy.And: torch.logical_and,
        sympy.Or: torch.logical_or,
        sympy.Not: torch.logical_not,
        "sqrt": torch.sqrt,
        "where": _where,
    }


def prepare(values: Sequence[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Return the inputs as floating tensors of one device, and their common shape."""
    reference = next((v for v in values if isinstance(v, Tensor) and (v.is_floating_point() or v.is_complex())), None)
    if reference is None:
        device = next((v.device for v in values if isinstance(v, Tensor)), None)
        reference = torch.empty(0, dtype=torch.float64, device=device)
    tensors = []
    for position, value in enumerate(values):
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
            try:
                value = torch.as_tensor(value, dtype=reference.dtype, device=reference.device)
            except (TypeError, ValueError, RuntimeError) as error:
                kind = type(value).__name__
                raise ArgumentError(f"input {position + 1} must be a tensor or a number, not {kind}") from error
        tensors.append(value)
    shapes = {tensor.shape for tensor in tensors}
    if len(shapes) == 1:
        return tensors, tuple(shapes.pop())
    try:
        return tensors, tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError as error:
        raise ArgumentError(f"the inputs do not broadcast: shapes {[tuple(t.shape) for t in tensors]}") from error


def finish(value: Any, shape: tuple[int, ...], inputs: Sequence[Any]) -> Tensor:
    """Return a result as a tensor of the common shape."""
    if isinstance(value, Tensor):
        return value if value.shape == shape else value.expand(shape)
    return inputs[0].new_full(shape, value) if inputs else torch.full(shape, value, dtype=torch.float64)


@final
class Call:
    """A declared function of tensors, or its partial derivative by automatic differentiation.

    Parameters
    ----------
    name : str
        For messages.
    function : callable
        Works point by point: tensors of one shape in, a tensor of that shape (or a number) out.
    variables : sequence of int
        The arguments by which to differentiate, one entry for each differentiation.
    """

    def __init__(self, name: str, function: Callable[..., Any], variables: Sequence[int] = ()) -> None:
        self.name = name
        self.function = function
        self.variables = tuple(variables)

    def __call__(self, *values: Any) -> Tensor:
        """Evaluate on tensors and numbers of one broadcast shape."""
        reference = next((value for value in values if isinstance(value, Tensor)), None)
        if reference is None:
            reference = torch.zeros((), dtype=torch.float64)
        tensors = [value if isinstance(value, Tensor) else reference.new_full((), value) for value in values]
        return self._derivative(self.variables)(*torch.broadcast_tensors(*tensors))

    def _derivative(self, variables: tuple[int, ...]) -> Callable[..., Tensor]:
        if not variables:
            return self._value
        inner, last = self._derivative(variables[:-1]), variables[-1]

        def outer(*values: Tensor) -> Tensor:
            # vjp instead of autograd.grad: it nests, works under torch.func, and autograd sees through it
            def of_one(value: Tensor) -> Tensor:
                return inner(*values[:last], value, *values[last + 1 :])

            pulled = torch.func.vjp(of_one, values[last])
            return pulled[1](torch.ones_like(pulled[0]))[0]

        return outer

    def _value(self, *values: Tensor) -> Tensor:
        result = self.function(*values)
        if isinstance(result, (int, float)):
            return torch.full_like(values[0], result)
        if not isinstance(result, Tensor) or result.shape != values[0].shape:
            came = f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise ArgumentError(
                f"function {self.name!r} must return a tensor of shape {tuple(values[0].shape)}, not {came}"
            )
        return result
