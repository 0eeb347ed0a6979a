"""Truncated multivariate Taylor series: powers, composition with a function, and the adjoint of a product.

A series is a tensor [W, C, N] of Taylor coefficients (derivative / alpha!) over an `IndexSet`, for W features at N
points. Points come last so that one matrix product maps all coefficients at all points, and so that every elementwise
operation runs along contiguous points whatever the width. The routines are plain torch, on any device, in any floating
dtype; all but the last two are differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciml.network.multiindex import IndexSet

__all__ = [
    "adjoint_product",
    "compose",
    "composed",
    "mapped",
    "powers",
    "product",
    "scaled_product",
]


def mapped(matrix: Tensor, a: Tensor) -> Tensor:
    """Return a linear map [V, W] of a series [W, C, N], [V, C, N]: one matrix product."""
    features, count, points = a.shape
    return torch.mm(matrix, a.reshape(features, count * points)).view(len(matrix), count, points)


def scaled_product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """Return scale a b in one pass over memory."""
    return a * b if scale == 1.0 else torch.addcmul(a.new_zeros(()), a, b, value=scale)


def powers(z: Tensor, tables: IndexSet) -> list[Sequence[Tensor]]:
    """Return h^1, ..., h^K of h = z - z_0: coefficients [W, N], only at positions `tables.starts[k]` and after.

    Parameters
    ----------
    z : series [W, C, N].
    tables : the index set of the series, of order K.
    """
    if tables.order == 0:
        return []
    h = z.unbind(1)[1:]
    result: list[Sequence[Tensor]] = [h]
    for k, terms in enumerate(tables.powers, start=2):
        start, before = tables.starts[k], tables.starts[k - 1]
        power: list[Tensor] = []
        for target, left, right, factor, first in terms:
            a, b = h[left - 1], result[-1][right - before]
            if first:
                power.append(scaled_product(a, b, factor))
            else:
                power[target - start].addcmul_(a, b, value=factor)
        result.append(power)
    return result


def compose(f: Sequence[Tensor], h: Sequence[Sequence[Tensor]], tables: IndexSet) -> Tensor:
    """Return f(z) = sum_k f_k h^k, with f_k = f^(k)(z_0) / k! of shape [W, N] and h from `powers`, as one tensor.

    This is Faa di Bruno's formula in power-series form; only `f[: K + 1]` are read.
    """
    if torch.is_grad_enabled():  # slices of one buffer may not be written to where a graph is recorded
        return torch.stack(composed(f, h, tables), 1)
    if tables.order == 0:
        return f[0][:, None]
    result = f[0].new_empty((f[0].shape[0], len(tables), f[0].shape[1]))
    parts = result.unbind(1)
    parts[0].copy_(f[0])
    composed(f, h, tables, parts)
    return result


def composed(
    f: Sequence[Tensor],
    h: Sequence[Sequence[Tensor]],
    tables: IndexSet,
    out: Sequence[Tensor] | None = None,
    derivative: bool = False,
) -> list[Tensor]:
    """Return the coefficients of `compose` as separate tensors [W, N]; all but the first may be written into `out`.

    With `derivative` they are those of f'(z) instead, whose f'_k = (k + 1) f_{k+1}.
    """
    f = f[derivative:]
    parts = [f[0]]
    if tables.order > 0:
        if derivative:
            zero = f[1].new_zeros(())
            parts += [torch.addcmul(zero, f[1], part, value=2) for part in h[0]]
        else:
            targets = [None] * len(h[0]) if out is None else out[1:]
            parts += [torch.mul(f[1], part, out=target) for part, target in zip(h[0], targets, strict=True)]
    for k in range(2, tables.order + 1):
        for position, part in enumerate(h[k - 1], start=tables.starts[k]):
            parts[position].addcmul_(f[k], part, value=k + 1 if derivative else 1)
    return parts


def product(a: Sequence[Tensor], b: Tensor, tables: IndexSet) -> Tensor:
    """Return the truncated product, result[alpha] = sum_{beta <= alpha} a[alpha - beta] b[beta].

    Parameters
    ----------
    a : coefficients [W, N] of a series, as from `composed`.
    b : series [W, C, N].
    """
    result = a[0][:, None] * b
    right, total = b.unbind(1), result.unbind(1)
    for alpha, beta, difference in tables.shifts:
        total[alpha].addcmul_(a[difference], right[beta])
    return result


def adjoint_product(factor: Sequence[Tensor], adjoint: Tensor, tables: IndexSet) -> Tensor:
    """Return the adjoint of the truncated product dz -> factor * dz.

    result[beta] = sum_{alpha >= beta} factor[alpha - beta] adjoint[alpha].

    Parameters
    ----------
    factor : coefficients [W, N] of a series, as from `composed`.
    adjoint : series [W, C, N].
    """
    result = factor[0][:, None] * adjoint
    right, total = adjoint.unbind(1), result.unbind(1)
    for alpha, beta, difference in tables.shifts:
        total[beta].addcmul_(factor[difference], right[alpha])
    return result
