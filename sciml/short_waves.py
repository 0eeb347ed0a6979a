r"""Whether an evolution equation lets short waves grow without bound, as a heat equation backward in time does.

About the initial values, with the coefficients frozen at a place, waves :math:`e^{ik\cdot x + \lambda t}` solve the
linearised equations for some :math:`\lambda(k)`. Where the largest real part of it grows with k without bound, no
solution depends continuously on its data (J. Hadamard, Princeton University Bulletin 13, 1902): data of any accuracy
hold short waves of their rounding errors, and no solver can tell which of them belong to the solution.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, final

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.errors import ScimlError
from sciml.formulas import Formula
from sciml.notation import Partial, to_numpy

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["short_waves"]

Array = NDArray[Any]

# Wave numbers: so many waves in the shortest side, and each so many times the one before.
WAVES, RATIO = 64.0, 4.0
# From one to the next growth must be so many times as fast: more than its square root says.
FASTER = 1.9
# The least part of the largest rate, below which a real part is a rounding error, and the least growth in all.
ROUNDED, LEAST = 1e-6, 50.0
PLACES = 5


def short_waves(problem: Problem) -> str:
    """Return a sentence if short waves grow without bound, an empty text if not or if nothing can be said.

    Parameters
    ----------
    problem : with a time and space coordinates; of any other nothing is said, nor where an equation has no time
        derivative or mixes the highest one with others.
    """
    if problem.time is None or not problem.space:
        return ""
    lengths = {c: b - a for c in problem.coordinates for a, b in [problem.domain.interval(c)]}
    first = 2 * np.pi * WAVES / min(lengths[c] for c in problem.space)
    numbers = [first, RATIO * first, RATIO**2 * first]
    try:
        with np.errstate(all="ignore"):
            symbol = _Symbol(problem)
            found = [symbol.growth(number) for number in numbers]
    except (ScimlError, ArithmeticError, RuntimeError, TypeError, ValueError, np.linalg.LinAlgError):
        return ""
    (slow, _), (middle, _), (fast, largest) = found
    grows = slow > 0 and middle > FASTER * slow and fast > FASTER * middle
    if not grows or fast <= ROUNDED * largest or fast * lengths[problem.time] <= LEAST:
        return ""
    return (
        f"The problem is ill-posed: the shorter a wave the faster it grows, without bound (with the wave number "
        f"{numbers[0]:.3g} like exp({slow:.2g}*{problem.time}), with {numbers[1]:.3g} like "
        f"exp({middle:.2g}*{problem.time})), so that the smallest errors of the data change the solution beyond all "
        "bounds. Check the signs in the equations, or the direction of time."
    )


@final
class _Symbol:
    """The linearised equations as matrices over wave numbers: sum_j C_j(k) d^j w/dt^j = 0 at some places."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        assert problem.time is not None
        self.axis = problem.domain.index(problem.time)
        self.orders = {u: problem.order(u, problem.time) for u in problem.unknowns}
        if not all(self.orders.values()):
            raise ValueError("an unknown without time derivative")
        start = problem.domain.interval(problem.time)[0]
        part = (np.arange(PLACES) + 0.5) / PLACES
        # Different multiples, lest the places lie on a line of symmetry.
        columns = [
            a + (b - a) * ((k + 1) * part * 1.37 % 1.0)
            for k, (a, b) in enumerate(map(problem.domain.interval, problem.coordinates))
        ]
        columns[self.axis] = np.full(PLACES, start)
        self.terms: list[tuple[int, Partial, Array]] = []
        initial = _initial(problem)
        for row, residual in enumerate(problem.residuals):
            formula = Formula(residual, problem)
            fields = [self._value(partial, initial, columns) for partial in formula.partials]
            slopes = formula.slopes(columns, fields)
            for partial, slope in zip(formula.partials, slopes, strict=True):
                self.terms.append((row, partial, np.nan_to_num(np.broadcast_to(slope, PLACES), posinf=0, neginf=0)))

    def _value(self, partial: Partial, initial: dict[tuple[str, int], sympy.Expr], columns: list[Array]) -> Array:
        """Values of a derivative of the initial values at the places; zero where they are not known."""
        formula = initial.get((partial.unknown, partial.orders[self.axis]))
        if formula is None:
            return np.zeros(PLACES)
        symbols = [self.problem.vocabulary.symbol(c) for c in self.problem.coordinates]
        counts = [(s, n) for i, (s, n) in enumerate(zip(symbols, partial.orders, strict=True)) if n and i != self.axis]
        made = to_numpy([sympy.diff(formula, *counts) if counts else formula], symbols, dict(self.problem.functions))
        return np.nan_to_num(np.broadcast_to(made(*columns)[0], PLACES), posinf=0, neginf=0)

    def growth(self, number: float) -> tuple[float, float]:
        """Return the largest real part and the largest size of all rates of waves of one wave number."""
        count = len(self.problem.space)
        directions = [np.array(d) for d in itertools.product((0.0, 1.0), repeat=count) if any(d)]
        rates = [np.linalg.eigvals(self._rates(number * d / np.linalg.norm(d))) for d in directions]
        return float(np.max(np.real(rates))), float(np.max(np.abs(rates)))

    def _rates(self, wave: Array) -> Array:
        """The matrices [PLACES, n, n] of the waves' first-order system."""
        unknowns = list(self.orders)
        components = [(u, j) for u in unknowns for j in range(self.orders[u])]
        top = np.zeros((PLACES, len(unknowns), len(unknowns)), dtype=complex)
        rest = np.zeros((PLACES, len(unknowns), len(components)), dtype=complex)
        for row, partial, slope in self.terms:
            space = [order for i, order in enumerate(partial.orders) if i != self.axis]
            value = slope * np.prod((1j * wave) ** space)
            order = partial.orders[self.axis]
            if order == self.orders[partial.unknown]:
                if any(space):
                    raise ValueError("a mixed highest derivative")
                top[:, row, unknowns.index(partial.unknown)] += value
            else:
                rest[:, row, components.index((partial.unknown, order))] += value
        solved = -np.linalg.solve(top, rest)
        result = np.zeros((PLACES, len(components), len(components)), dtype=complex)
        for k, (unknown, order) in enumerate(components):
            if order + 1 < self.orders[unknown]:
                result[:, k, k + 1] = 1.0
            else:
                result[:, k] = solved[:, unknowns.index(unknown)]
        return result


def _initial(problem: Problem) -> dict[tuple[str, int], sympy.Expr]:
    """The formulas of initial values and of initial time derivatives, by unknown and order."""
    found: dict[tuple[str, int], sympy.Expr] = {}
    assert problem.time is not None
    axis = problem.domain.index(problem.time)
    for condition in problem.conditions:
        solved = condition.solved(problem.vocabulary) if condition.kind == "initial" else None
        if solved is not None and sum(solved[0].orders) == solved[0].orders[axis]:
            found[solved[0].unknown, solved[0].orders[axis]] = problem.substituted(solved[1])
    return found
