"""Residuals of equations and conditions at points, and their Jacobian with respect to the network's parameters.

Everything that does not depend on the network is computed once per point set: the jets of the network's inputs, g, and
the Leibniz factors of d. What is left per evaluation is one jet through the network, one compiled residual R and its
symbolic derivatives dR/d(partial). With u_a = g_a + sum_c D[a, c] N_c (a a derivative of u, c one of N) the chain rule
gives the cotangent dR/dN_c = sum_a dR/du_a D[a, c], from which the network's tape makes one Jacobian row per point.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import sympy
import torch
from torch import Tensor, nn

from sciml.network import MLP, Sum, Tape, closure, jet, record
from sciml.notation import Partial, to_torch
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.waves import TERMS as WAVE_TERMS

__all__ = ["Block", "Field", "ResidualGroup", "linear", "residual_group"]


@final
@dataclass(frozen=True)
class Block:
    """What does not depend on the network, at N points.

    Attributes
    ----------
    columns : the coordinates, a tensor [N] each.
    inputs : jets of the network's inputs, [C, N, F] derivatives over the closed index set.
    g : [A, N], the part of each partial that the ansatz fixes.
    factors : [A, C, N] Leibniz factors, partial_a = g_a + sum_c factors[a, c] * N_c of the partial's unknown.
    carried : [A, W, C, N], the same for the multipliers of each of W waves, if the ansatz carries any.
    """

    columns: tuple[Tensor, ...]
    inputs: Tensor
    g: Tensor
    factors: Tensor
    carried: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of points."""
        return self.inputs.shape[1]

    def part(self, rows: slice | Tensor) -> Block:
        """Some of the points."""
        columns = tuple(column[rows] for column in self.columns)
        carried = None if self.carried is None else self.carried[..., rows]
        return Block(columns, self.inputs[:, rows], self.g[:, rows], self.factors[:, :, rows], carried)


@final
class Composed(nn.Module):
    """A module of features as a module of coordinates, for networks that are not an MLP."""

    def __init__(self, network: nn.Module, features: Callable[..., list[Tensor]]) -> None:
        super().__init__()
        self.network = network
        self._features = features

    def forward(self, points: Tensor) -> Tensor:
        """Map points [..., d] to outputs [..., O]."""
        return self.network(torch.stack(self._features(*points.unbind(-1)), -1))


@final
class _Derivatives:
    """Symbolic derivatives, each taken once and from the one of the next lower order.

    SymPy factors what it differentiates several times in one call, which takes far longer than differentiating.
    """

    def __init__(self, symbols: Sequence[sympy.Symbol]) -> None:
        self._symbols = symbols
        self._known: dict[tuple[sympy.Expr, tuple[int, ...]], sympy.Expr] = {}

    def __call__(self, expression: sympy.Expr, orders: tuple[int, ...]) -> sympy.Expr:
        """Return the derivative of these orders in the symbols."""
        axis = max((i for i, order in enumerate(orders) if order), default=None)
        if axis is None:
            return expression
        key = expression, orders
        if key not in self._known:
            lower = tuple(order - (i == axis) for i, order in enumerate(orders))
            self._known[key] = sympy.diff(self(expression, lower), self._symbols[axis])
        return self._known[key]


@final
class Field:
    """Partials of the unknowns as functions of a network's output jet, for one ansatz.

    Parameters
    ----------
    ansatz : the exact conditions.
    partials : the derivatives of unknowns that are wanted.
    """

    def __init__(self, ansatz: Ansatz, partials: Sequence[Partial]) -> None:
        problem = ansatz.problem
        self.partials = tuple(partials)
        sources = [ansatz.source(p) for p in self.partials]
        self.indices = closure([s.orders for s in sources] or [(0,) * problem.domain.dimension])
        self.outputs = [ansatz.fields.index(s.field) for s in sources]
        symbols = [problem.vocabulary.symbol(c) for c in problem.coordinates]
        functions = dict(problem.functions)

        derivative = _Derivatives(symbols)
        self._inputs = to_torch([derivative(f, alpha) for alpha in self.indices for f in ansatz.inputs], symbols)
        self._features = to_torch(list(ansatz.inputs), symbols)
        self._width = len(ansatz.inputs)
        g = [s.factor * derivative(ansatz.g[s.field], s.orders) for s in sources]
        self._g = to_torch(g, symbols, functions)
        self._handed = None if ansatz.trace is None else _Handover(ansatz, self.partials)
        self._waves = ansatz.waves if ansatz.carrying else None
        self._outputs_of_fields = len(ansatz.fields)
        self._carriers: list[tuple[int, int, float, tuple[int, ...]]] = []
        places, expressions = [], []
        for a, (field, total, sign) in enumerate(sources):
            for c, beta in enumerate(self.indices):
                if all(b <= order for b, order in zip(beta, total, strict=True)):
                    rest = tuple(order - b for b, order in zip(beta, total, strict=True))
                    choose = math.prod(math.comb(order, b) for b, order in zip(beta, total, strict=True))
                    if self._waves is not None:
                        self._carriers.append((a, c, sign * choose * ansatz.scale[field], rest))
                    factor = sign * choose * ansatz.scale[field] * derivative(ansatz.d[field], rest)
                    if factor != 0:
                        places.append((a, c))
                        expressions.append(factor)
        self._places = places
        self._factors = to_torch(expressions, symbols)

    def block(self, points: Tensor) -> Block:
        """Precompute at points [N, d]."""
        columns = tuple(points[:, i].contiguous() for i in range(points.shape[1]))
        inputs = torch.stack(self._inputs(*columns)).reshape(len(self.indices), self._width, -1)
        g = torch.stack(self._g(*columns))
        factors = points.new_zeros((len(self.partials), len(self.indices), len(points)))
        if self._handed is not None:
            g += self._handed(points)
        for (a, c), value in zip(self._places, self._factors(*columns), strict=True):
            factors[a, c] = value
        # In memory a feature lies together, as the network takes it.
        carried = self._carried(points)
        return Block(columns, inputs.transpose(0, 1).contiguous().permute(1, 2, 0), g, factors, carried)

    def _carried(self, points: Tensor) -> Tensor | None:
        """Leibniz factors [A, W, C, N] of the multipliers of the waves."""
        if self._waves is None:
            return None
        orders = sorted({rest for *_, rest in self._carriers})
        jets = dict(zip(orders, self._waves(orders, points), strict=True))
        shape = len(self.partials), self._waves.count, len(self.indices), len(points)
        result = points.new_zeros(shape)
        for a, c, factor, rest in self._carriers:
            result[a, :, c] = factor * jets[rest]
        return result

    def _multipliers(self, output: int) -> list[slice]:
        """The outputs of the network that multiply the waves in a field, for each order of the expansion."""
        fields, count = self._outputs_of_fields, 0 if self._waves is None else self._waves.count
        group = count // WAVE_TERMS
        starts = [fields + order * fields * group + output * group for order in range(WAVE_TERMS if count else 0)]
        return [slice(start, start + group) for start in starts]

    def network_jet(self, network: nn.Module, block: Block) -> Tensor:
        """Return the network's output jet [C, N, O] at the points of a block, differentiable in its parameters."""
        if isinstance(network, (MLP, Sum)):
            return jet(network, block.inputs, self.indices)
        return jet(Composed(network, self._features), torch.stack(block.columns, 1), self.indices)

    def record(self, network: nn.Module, block: Block) -> tuple[Tensor, Tape]:
        """Return the output jet without graph, and the tape that makes Jacobians of it."""
        if isinstance(network, (MLP, Sum)):
            return record(network, block.inputs, self.indices)
        return record(Composed(network, self._features), torch.stack(block.columns, 1), self.indices)

    def values(self, block: Block, outputs: Tensor) -> Tensor:
        """Return the partials [A, N] from the network's output jet [C, N, O] (derivatives)."""
        partials = list(block.g)
        for a, c in self._places:  # few of the factors are not zero
            partials[a] = torch.addcmul(partials[a], block.factors[a, c], outputs[c, :, self.outputs[a]])
        if block.carried is not None:
            for a, output in enumerate(self.outputs):
                multipliers = torch.cat([outputs[:, :, slot] for slot in self._multipliers(output)], 2)
                partials[a] = partials[a] + torch.einsum("wcn,cnw->n", block.carried[a], multipliers)
        return torch.stack(partials)

    def cotangent(self, block: Block, slopes: Tensor, width: int) -> Tensor:
        """Return dR/d(jet), [M, C, N, O], from dR/d(partial), slopes [M, A, N]."""
        result = slopes.new_zeros((slopes.shape[0], len(self.indices), block.size, width))
        for a, output in enumerate(self.outputs):
            result[..., output].addcmul_(slopes[:, a, None, :], block.factors[a])
            if block.carried is not None:
                slots = self._multipliers(output)
                for slot, carried in zip(slots, block.carried[a].chunk(len(slots)), strict=True):
                    result[..., slot].addcmul_(slopes[:, a, None, :, None], carried.permute(1, 2, 0))
        return result


@final
class _Handover:
    """The part of the partials that the former time window fixes: sum_k (t - T)**k/k! d^k trace/dt^k at (x, T)."""

    def __init__(self, ansatz: Ansatz, partials: Sequence[Partial]) -> None:
        problem = ansatz.problem
        assert ansatz.trace is not None
        assert problem.time is not None
        self._trace = ansatz.trace
        self._axis = problem.domain.index(problem.time)
        self._start = problem.domain.interval(problem.time)[0]
        self._count = len(partials)
        given = [c.solved(problem.vocabulary) for c in ansatz.hard if c.kind == "initial"]
        known = [partial for solved in given if solved is not None for partial in (solved[0],)]
        self._wanted: list[Partial] = []
        self._terms: list[tuple[int, int, int]] = []
        for a, partial in enumerate(partials):
            low = partial.orders[self._axis]
            for k in sorted(p.orders[self._axis] for p in known if p.unknown == partial.unknown):
                if k >= low:
                    orders = tuple(k if i == self._axis else order for i, order in enumerate(partial.orders))
                    self._terms.append((a, k - low, len(self._wanted)))
                    self._wanted.append(Partial(partial.unknown, orders))

    def __call__(self, points: Tensor) -> Tensor:
        """Return [A, N] at points [N, d]."""
        place = points.clone()
        place[:, self._axis] = self._start
        elapsed = points[:, self._axis] - self._start
        result = points.new_zeros((self._count, len(points)))
        if not self._wanted:
            return result
        # Without space coordinates every point has the same trace.
        values = self._trace(self._wanted, place if points.shape[1] > 1 else place[:1])
        for a, power, row in self._terms:
            result[a] += values[row] * elapsed**power / math.factorial(power)
        return result


@final
class ResidualGroup:
    """Several residual expressions at the same points, with one jet for all of them.

    Parameters
    ----------
    ansatz : the exact conditions.
    expressions : residuals in u(x, t), its derivatives and the coordinates; parameters are numbers already.

    Attributes
    ----------
    linear : whether every residual is affine in the unknowns and their derivatives.
    """

    def __init__(self, ansatz: Ansatz, expressions: Sequence[sympy.Expr]) -> None:
        problem = ansatz.problem
        vocabulary = problem.vocabulary
        self.count = len(expressions)
        self.field = Field(ansatz, vocabulary.partials(*expressions))
        leaves = [vocabulary.expression(p) for p in self.field.partials]
        stand_ins = [sympy.Dummy(f"p{k}", real=True) for k in range(len(leaves))]
        table = dict(zip(leaves, stand_ins, strict=True))
        flat = [expression.xreplace(table) for expression in expressions]
        pairs = list(itertools.product(range(self.count), range(len(leaves))))
        slopes = [sympy.diff(flat[m], stand_ins[a]) for m, a in pairs]
        self._places = [pair for pair, slope in zip(pairs, slopes, strict=True) if slope != 0]
        self.linear = not any(slope.has(*stand_ins) for slope in slopes if stand_ins)
        arguments = [vocabulary.symbol(c) for c in problem.coordinates] + stand_ins
        functions = dict(problem.functions)
        self._residual = to_torch(flat, arguments, functions)
        self._slopes = to_torch([slope for slope in slopes if slope != 0], arguments, functions)

    def block(self, points: Tensor) -> Block:
        """Precompute at points [N, d]."""
        return self.field.block(points)

    def values(self, block: Block, outputs: Tensor) -> Tensor:
        """Residuals [M, N] from the network's output jet."""
        partials = self.field.values(block, outputs)
        return torch.stack(self._residual(*block.columns, *partials))

    def term_sizes(self, block: Block, outputs: Tensor) -> Tensor:
        """Return |R - sum_a dR/dp_a p_a| + sum_a |dR/dp_a p_a|, [M, N]: how large the terms are that should cancel."""
        partials = self.field.values(block, outputs)
        rest = torch.stack(self._residual(*block.columns, *partials))
        size = torch.zeros_like(rest)
        for (m, a), slope in zip(self._places, self._slopes(*block.columns, *partials), strict=True):
            rest[m] = rest[m] - slope * partials[a]
            size[m] = size[m] + (slope * partials[a]).abs()
        return size + rest.abs()

    def linearised(self, block: Block, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals [M, N] and their cotangent [M, C, N, O] with respect to the output jet."""
        partials = self.field.values(block, outputs)
        values = torch.stack(self._residual(*block.columns, *partials))
        slopes = values.new_zeros((self.count, len(self.field.partials), block.size))
        for (m, a), slope in zip(self._places, self._slopes(*block.columns, *partials), strict=True):
            slopes[m, a] = slope
        return values, self.field.cotangent(block, slopes, outputs.shape[2])


def residual_group(ansatz: Ansatz, expressions: Sequence[sympy.Expr]) -> ResidualGroup:
    """Return the group of these residuals, compiled at the first call for an ansatz."""
    key = tuple(expressions)
    if key not in ansatz.compiled:
        ansatz.compiled[key] = ResidualGroup(ansatz, key)
    return ansatz.compiled[key]


def linear(ansatz: Ansatz) -> bool:
    """Whether the equations and the soft conditions are affine in the unknowns."""
    problem = ansatz.problem
    groups = [list(ansatz.residuals.values()), *([problem.substituted(c.expression)] for c in ansatz.soft)]
    return all(residual_group(ansatz, group).linear for group in groups)
