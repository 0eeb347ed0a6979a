"""What a compiled program does on NumPy arrays, by SymPy class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from sympy.functions.elementary import complexes

from sciml.errors import ArgumentError

__all__ = ["call", "finish", "operations", "prepare"]


def _sec(x: Any) -> Any:
    return 1.0 / np.cos(x)


def _csc(x: Any) -> Any:
    return 1.0 / np.sin(x)


def _cot(x: Any) -> Any:
    return np.cos(x) / np.sin(x)


def _sech(x: Any) -> Any:
    return 1.0 / np.cosh(x)


def _csch(x: Any) -> Any:
    return 1.0 / np.sinh(x)


def _coth(x: Any) -> Any:
    return 1.0 / np.tanh(x)


def _heaviside(x: Any, middle: Any) -> Any:
    return np.where(x == 0, middle, 0.5 * (np.sign(x) + 1.0))


def _erf(x: Any) -> Any:
    from scipy import special

    return special.erf(x)


def _erfc(x: Any) -> Any:
    from scipy import special

    return special.erfc(x)


def _where(reference: Any, condition: Any, chosen: Any, otherwise: Any) -> Any:
    return np.where(condition, chosen, otherwise)


def operations() -> Mapping[Any, Callable[..., Any]]:
    """Return the operations by SymPy class, and by name where SymPy has none."""
    return {
        sympy.sin: np.sin,
        sympy.cos: np.cos,
        sympy.tan: np.tan,
        sympy.sec: _sec,
        sympy.csc: _csc,
        sympy.cot: _cot,
        sympy.asin: np.arcsin,
        sympy.acos: np.arccos,
        sympy.atan: np.arctan,
        sympy.atan2: np.arctan2,
        sympy.sinh: np.sinh,
        sympy.cosh: np.cosh,
        sympy.tanh: np.tanh,
        sympy.sech: _sech,
        sympy.csch: _csch,
        sympy.coth: _coth,
        sympy.asinh: np.arcsinh,
        sympy.acosh: np.arccosh,
        sympy.atanh: np.arctanh,
        sympy.exp: np.exp,
        sympy.log: np.log,
        complexes.Abs: np.abs,
        sympy.sign: np.sign,
        sympy.Min: np.minimum,
        sympy.Max: np.maximum,
        sympy.Heaviside: _heaviside,
        sympy.erf: _erf,
        sympy.erfc: _erfc,
        sympy.And: np.logical_and,
        sympy.Or: np.logical_or,
        sympy.Not: np.logical_not,
        "sqrt": np.sqrt,
        "where": _where,
    }


def prepare(values: Sequence[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Return the inputs as floating arrays, and their common shape."""
    arrays = [np.asarray(value) for value in values]
    for position, array in enumerate(arrays):
        if array.dtype.kind in "iub":
            arrays[position] = array.astype(np.float64)
        elif array.dtype.kind not in "fc":
            raise ArgumentError(f"input {position + 1} must be numbers, not an array of {array.dtype}")
    try:
        return list(arrays), np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError as error:
        raise ArgumentError(f"the inputs do not broadcast: shapes {[array.shape for array in arrays]}") from error


def finish(value: Any, shape: tuple[int, ...], inputs: Sequence[Any]) -> Any:
    """Return a result as a fresh array of the common shape and the inputs' dtype."""
    dtype = np.result_type(*inputs) if inputs else np.dtype(np.float64)
    if np.shape(value) == shape and isinstance(value, np.ndarray) and value.dtype == dtype:
        return value.copy() if any(value is given for given in inputs) else value
    return np.array(np.broadcast_to(np.asarray(value, dtype=dtype), shape))


def call(operation: Callable[..., Any], *values: Any) -> Any:
    """Apply an operation on torch tensors to arrays."""
    import torch

    arrays = np.broadcast_arrays(*values)
    tensors = [torch.from_numpy(np.array(array, dtype=np.float64)) for array in arrays]
    return operation(*tensors).detach().numpy()
