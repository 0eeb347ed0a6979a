"""Residuals with unknown numbers and functions in them, and their derivatives by the state's jet and by the unknowns.

With leaves p_a (partials of the unknowns), numbers q and function values F = f^(alpha)(arguments) a residual is
R(x, p, q, F). Where an argument of f is an unknown u, dR/du has the part dR/dF f^(alpha + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast, final

import sympy
import torch
from torch import Tensor

from sciml.network import Index, Tape
from sciml.notation import Partial, to_torch
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.quantities import Leaf, Quantities, closed, leaves_of, raised
from sciml.pinn.residual import Block, Field

__all__ = ["Linearised", "ParametricGroup"]


class Linearised(NamedTuple):
    """Residuals of one block and their derivatives.

    Attributes
    ----------
    values : [M, N].
    cotangent : by the state network's jet, [M, C, N, O].
    numbers : by the unconstrained unknown numbers, [M, N, S].
    functions : for each unknown function its tape and the cotangent [M, C, N, 1].
    """

    values: Tensor
    cotangent: Tensor
    numbers: Tensor
    functions: dict[str, tuple[Tape, Tensor]]


@final
class ParametricGroup:
    """Several residual expressions at the same points.

    Parameters
    ----------
    ansatz : of the state.
    expressions : residuals in the unknowns, their derivatives, the coordinates, the unknown numbers and functions;
        all other parameters are numbers already.
    quantities : what is unknown.
    """

    def __init__(self, ansatz: Ansatz, expressions: Sequence[sympy.Expr], quantities: Quantities) -> None:
        problem = ansatz.problem
        words = problem.vocabulary
        self.count = len(expressions)
        names = list(quantities.functions)
        first = leaves_of(expressions, words, names)
        # A function of an unknown is differentiated once more than it occurs.
        wanted = set(first)
        for leaf in first:
            for axis, argument in enumerate(words.functions[leaf.function]):
                if argument in words.unknowns:
                    wanted.add(Leaf(leaf.function, raised(leaf.orders, axis)))
        self._indices: dict[str, list[Index]] = {
            n: closed(list(wanted), n) for n in names if any(leaf.function == n for leaf in wanted)
        }
        self._leaves = [Leaf(n, index) for n, indices in self._indices.items() for index in indices]
        extra = {u for leaf in wanted for u in words.functions[leaf.function] if u in words.unknowns}
        zero = (0,) * problem.domain.dimension
        partials = list(words.partials(*expressions))
        partials += [Partial(u, zero) for u in words.unknowns if u in extra and Partial(u, zero) not in partials]
        self.field = Field(ansatz, partials)
        self._coordinates = problem.coordinates
        self._arguments = {n: words.functions[n] for n in self._indices}
        self._rows = {p.unknown: a for a, p in enumerate(partials) if p.orders == zero}

        leaves = [words.expression(p) for p in partials]
        stand_ins = [sympy.Dummy(f"p{k}", real=True) for k in range(len(leaves))]
        marks = {leaf: sympy.Dummy(f"f{k}", real=True) for k, leaf in enumerate(self._leaves)}
        table = {node: marks[leaf] for leaf, node in first.items()}
        # Functions first: they have unknowns among their arguments.
        others = dict(zip(leaves, stand_ins, strict=True))
        flat = [cast(sympy.Expr, e.xreplace(table).xreplace(others)) for e in expressions]
        symbols = [words.symbol(name) for name in quantities.ranges]
        self._numbers = list(quantities.ranges)

        def slope(expression: sympy.Expr, k: int) -> sympy.Expr:
            total = sympy.diff(expression, stand_ins[k])
            partial = partials[k]
            if partial.orders == zero:
                for leaf in first:
                    for axis, argument in enumerate(words.functions[leaf.function]):
                        if argument == partial.unknown:
                            more = Leaf(leaf.function, raised(leaf.orders, axis))
                            total += sympy.diff(expression, marks[leaf]) * marks[more]
            return total

        arguments = [words.symbol(c) for c in problem.coordinates] + stand_ins + symbols + list(marks.values())
        functions = {n: f for n, f in problem.functions.items() if f is not None}
        self._residual = to_torch(flat, arguments, functions)
        self._by_partial = _Sparse([[slope(e, k) for k in range(len(leaves))] for e in flat], arguments, functions)
        self._by_number = _Sparse([[sympy.diff(e, s) for s in symbols] for e in flat], arguments, functions)
        self._by_leaf = _Sparse([[sympy.diff(e, m) for m in marks.values()] for e in flat], arguments, functions)

    def block(self, points: Tensor) -> Block:
        """Precompute at points [N, d]."""
        return self.field.block(points)

    def values(self, block: Block, outputs: Tensor, quantities: Quantities) -> Tensor:
        """Return residuals [M, N] for the state network's jet [C, N, O]."""
        partials = self.field.values(block, outputs)
        functions = [
            quantities.functions[name].values(self._points(name, block, partials), indices)
            for name, indices in self._indices.items()
        ]
        return torch.stack(self._residual(*self._inputs(block, partials, quantities, functions)))

    def sizes(self, block: Block, outputs: Tensor, quantities: Quantities) -> Tensor:
        """Return how large the terms are that should cancel, [M, N]: |R - sum_a dR/dp_a p_a| + sum_a |dR/dp_a p_a|."""
        partials = self.field.values(block, outputs)
        functions = [
            quantities.functions[name].values(self._points(name, block, partials), indices)
            for name, indices in self._indices.items()
        ]
        inputs = self._inputs(block, partials, quantities, functions)
        rest = torch.stack(self._residual(*inputs))
        size = torch.zeros_like(rest)
        for m, a, slope in self._by_partial(inputs):
            rest[m] = rest[m] - slope * partials[a]
            size[m] = size[m] + (slope * partials[a]).abs()
        return size + rest.abs()

    def linearised(self, block: Block, outputs: Tensor, quantities: Quantities) -> Linearised:
        """Return residuals and their derivatives."""
        partials = self.field.values(block, outputs)
        values: list[Tensor] = []
        tapes: dict[str, Tape] = {}
        for name, indices in self._indices.items():
            found, tapes[name] = quantities.functions[name].record(self._points(name, block, partials), indices)
            values.append(found)
        inputs = self._inputs(block, partials, quantities, values)
        residuals = torch.stack(self._residual(*inputs))
        slopes = residuals.new_zeros((self.count, len(self.field.partials), block.size))
        for m, a, slope in self._by_partial(inputs):
            slopes[m, a] = slope
        numbers = residuals.new_zeros((self.count, block.size, len(self._numbers)))
        scales = quantities.slopes
        for m, k, slope in self._by_number(inputs):
            numbers[m, :, k] = slope * scales[k]
        by_leaf = residuals.new_zeros((self.count, len(self._leaves), block.size))
        for m, k, slope in self._by_leaf(inputs):
            by_leaf[m, k] = slope
        functions: dict[str, tuple[Tape, Tensor]] = {}
        for name, indices in self._indices.items():
            rows = [k for k, leaf in enumerate(self._leaves) if leaf.function == name]
            own = quantities.functions[name].factor * by_leaf[:, rows][..., None]
            assert own.shape[1] == len(indices)
            functions[name] = (tapes[name], own)
        return Linearised(residuals, self.field.cotangent(block, slopes, outputs.shape[2]), numbers, functions)

    def _points(self, name: str, block: Block, partials: Tensor) -> Tensor:
        """The arguments [N, A] of a function."""
        columns = [
            partials[self._rows[a]] if a in self._rows else block.columns[self._coordinates.index(a)]
            for a in self._arguments[name]
        ]
        return torch.stack(columns, 1)

    def _inputs(
        self, block: Block, partials: Tensor, quantities: Quantities, functions: Sequence[Tensor]
    ) -> list[Tensor]:
        like = block.columns[0]
        numbers = [like.new_tensor(value) for value in quantities.numbers.values()]
        return [*block.columns, *partials, *numbers, *(row for values in functions for row in values)]


@final
class _Sparse:
    """A matrix of expressions of which few are not zero."""

    def __init__(self, rows: Sequence[Sequence[sympy.Expr]], arguments: Sequence[sympy.Basic], functions: dict) -> None:
        self._places = [(m, k) for m, row in enumerate(rows) for k, entry in enumerate(row) if entry != 0]
        self._compiled = to_torch([rows[m][k] for m, k in self._places], arguments, functions)

    def __call__(self, inputs: Sequence[Tensor]) -> list[tuple[int, int, Tensor]]:
        return [(m, k, value) for (m, k), value in zip(self._places, self._compiled(*inputs), strict=True)]
