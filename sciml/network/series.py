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

__all__ = ["adjoint_product", "compose", "mapped", "powers", "product", "scaled_product"]


def mapped(matrix: Tensor, a: Tensor) -> Tensor:
    """Return a linear map [V, W] of a series [W, C, N], [V, C, N]: one matrix product."""
    return (matrix @ a.flatten(1)).unflatten(1, a.shape[1:])


def scaled_product(a: Tensor, b: Tensor, scale: float, out: Tensor | None = None) -> Tensor:
    """Return scale a b in one pass over memory."""
    return torch.mul(a, b, out=out) if scale == 1.0 else torch.addcmul(a.new_zeros(()), a, b, value=scale, out=out)


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


def compose(f: Sequence[Tensor], h: Sequence[Sequence[Tensor]], tables: IndexSet, derivative: bool = False) -> Tensor:
    """Return f(z) = sum_k f_k h^k, with f_k = f^(k)(z_0) / k! of shape [W, N] and h from `powers`; or f'(z).

    This is Faa di Bruno's formula in power-series form; f' has the coefficients (k + 1) f_{k+1}. Only those to order K
    (K + 1 for f') are read.
    """
    f = f[derivative:]
    scales = [k + 1.0 if derivative else 1.0 for k in range(tables.order + 1)]
    if torch.is_grad_enabled():  # slices of one buffer may not be written to where a graph is recorded
        parts = [f[0], *(scaled_product(f[1], part, scales[1]) for part in (h[0] if h else ()))]
        for k in range(2, tables.order + 1):
            for target, part in enumerate(h[k - 1], start=tables.starts[k]):
                parts[target] = torch.addcmul(parts[target], f[k], part, value=scales[k])
        return torch.stack(parts, 1)
    if tables.order == 0:
        return f[0][:, None]
    result = f[0].new_empty((f[0].shape[0], len(tables), f[0].shape[1]))
    value, *rest = result.unbind(1)
    value.copy_(f[0])
    for target, part in zip(rest, h[0], strict=True):
        scaled_product(f[1], part, scales[1], target)
    for k in range(2, tables.order + 1):
        for target, part in enumerate(h[k - 1], start=tables.starts[k] - 1):
            rest[target].addcmul_(f[k], part, value=scales[k])
    return result


def product(a: Tensor, b: Tensor, tables: IndexSet) -> Tensor:
    """Return the truncated product, result[alpha] = sum_{beta <= alpha} a[alpha - beta] b[beta].

    Parameters
    ----------
    a, b : series [W, C, N].
    """
    result = a[:, :1] * b
    left, right, total = a.unbind(1), b.unbind(1), result.unbind(1)
    for alpha, beta, difference in tables.shifts:
        total[alpha].addcmul_(left[difference], right[beta])
    return result


def adjoint_product(factor: Tensor, adjoint: Tensor, tables: IndexSet) -> Tensor:
    """Return the adjoint of the truncated product dz -> factor * dz.

    result[beta] = sum_{alpha >= beta} factor[alpha - beta] adjoint[alpha].

    Parameters
    ----------
    factor, adjoint : series [W, C, N].
    """
    result = factor[:, :1] * adjoint
    left, right, total = factor.unbind(1), adjoint.unbind(1), result.unbind(1)
    for alpha, beta, difference in tables.shifts:
        total[beta].addcmul_(left[difference], right[alpha])
    return result
