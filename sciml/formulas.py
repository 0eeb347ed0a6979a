"""Expressions of a problem compiled together with their derivatives by the unknowns' derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.notation import Partial, to_numpy

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Formula"]

Array = NDArray[Any]


class Formula:
    """A residual as a function of the coordinates and of the derivatives that occur in it, with its linearisation.

    Parameters
    ----------
    expression : in the unknowns, their derivatives, the coordinates and the parameters of the problem.
    problem : whose vocabulary, parameters and known functions are meant.

    Attributes
    ----------
    partials : the derivatives that occur.
    linear : whether the expression is linear in them.
    """

    def __init__(self, expression: sympy.Expr, problem: Problem) -> None:
        vocabulary = problem.vocabulary
        expression = problem.substituted(expression)
        self.partials: tuple[Partial, ...] = vocabulary.partials(expression)
        leaves = [sympy.Dummy(f"u{i}", real=True) for i in range(len(self.partials))]
        # One leaf for each derivative makes the linearisation plain calculus.
        plain: Any = expression.xreplace(
            {vocabulary.expression(p): leaf for p, leaf in zip(self.partials, leaves, strict=True)}
        )
        slopes = [sympy.diff(plain, leaf) for leaf in leaves]
        self.linear = not any(slope.has(*leaves) for slope in slopes if leaves)
        # A known function without a formula has no symbolic derivative by its argument.
        self._numeric = [slope.has(sympy.Derivative, sympy.Subs) for slope in slopes]
        arguments = [*(vocabulary.symbol(name) for name in problem.coordinates), *leaves]
        functions = dict(problem.functions)
        self._value = _compile([plain], arguments, functions)
        self._slopes = _compile(
            [sympy.Integer(0) if numeric else slope for slope, numeric in zip(slopes, self._numeric, strict=True)],
            arguments,
            functions,
        )

    def value(self, points: Sequence[Array], fields: Sequence[Array]) -> Array:
        """Values at points (one array per coordinate) for given derivatives (one array per partial)."""
        with np.errstate(all="ignore"):
            return self._value(*points, *fields)[0]

    def slopes(self, points: Sequence[Array], fields: Sequence[Array]) -> list[Array]:
        """Derivatives of the value by each of the partials."""
        with np.errstate(all="ignore"):
            result = list(self._slopes(*points, *fields)) if self.partials else []
            for i, numeric in enumerate(self._numeric):
                if numeric:
                    step = np.cbrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(fields[i]))
                    above = [f + step if j == i else f for j, f in enumerate(fields)]
                    below = [f - step if j == i else f for j, f in enumerate(fields)]
                    result[i] = (self.value(points, above) - self.value(points, below)) / (2 * step)
        return result


def _compile(
    expressions: Sequence[sympy.Expr], arguments: Sequence[sympy.Expr], functions: Mapping[str, Callable[..., Any]]
) -> Callable[..., list[Array]]:
    return to_numpy(expressions, arguments, functions) if expressions else lambda *_: []
