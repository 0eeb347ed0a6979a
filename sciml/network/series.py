"""Truncated multivariate Taylor series: powers, composition with a function, and the adjoint of a product.

A series is a tensor [C, N, W] of Taylor coefficients (derivative / alpha!) over an `IndexSet`, for N points and W
features. The routines are plain torch: differentiable, on any device, in any floating dtype.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciml.network.multiindex import IndexSet

__all__ = ["adjoint_product", "compose", "differentiated", "powers", "product"]


def powers(z: Tensor, tables: IndexSet) -> list[Tensor]:
    """Return h^1, ..., h^K of h = z - z_0, each only at its positions `tables.starts[k]` and after.

    Parameters
    ----------
    z : series [C, N, W].
    tables : the index set of the series, of order K.
    """
    if tables.order == 0:
        return []
    h = z[1:]
    result = [h]
    for k, terms in enumerate(tables.powers, start=2):
        start, previous = tables.starts[k], tables.starts[k - 1]
        power = z.new_empty((len(tables) - start, *z.shape[1:]))
        for target, left, right, factor, first in terms:
            if first:
                _product(h[left - 1], result[-1][right - previous], power[target - start])
                if factor != 1.0:
                    power[target - start] *= factor
            else:
                power[target - start].addcmul_(h[left - 1], result[-1][right - previous], value=factor)
        result.append(power)
    return result


def compose(coefficients: Sequence[Tensor], h: Sequence[Tensor], tables: IndexSet) -> Tensor:
    """Return f(z) = sum_k f_k h^k, with f_k = f^(k)(z_0) / k! of shape [N, W] and h from `powers`.

    This is Faa di Bruno's formula in power-series form; only `coefficients[: K + 1]` are read.
    """
    if tables.order == 0:
        return coefficients[0][None]
    result = h[0].new_empty((len(tables), *coefficients[0].shape))
    result[0] = coefficients[0]
    _product(coefficients[1], h[0], result[1:])
    for k in range(2, tables.order + 1):
        result[tables.starts[k] :].addcmul_(coefficients[k], h[k - 1])
    return result


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    if torch.is_grad_enabled():  # writing into `out` directly has no derivative
        out.copy_(a * b)
    else:
        torch.mul(a, b, out=out)


def differentiated(coefficients: Sequence[Tensor]) -> list[Tensor]:
    """Return the Taylor coefficients of f' from those of f: f'_k = (k + 1) f_{k+1}."""
    return [coefficients[1], *((k + 1) * coefficients[k + 1] for k in range(1, len(coefficients) - 1))]


def product(a: Tensor, b: Tensor, tables: IndexSet) -> Tensor:
    """Return the truncated product, result[alpha] = sum_{beta <= alpha} a[alpha - beta] b[beta].

    Parameters
    ----------
    a, b : series [C, N, W].
    """
    result = a[0] * b
    for alpha, beta, difference in tables.shifts:
        result[alpha].addcmul_(a[difference], b[beta])
    return result


def adjoint_product(factor: Tensor, adjoint: Tensor, tables: IndexSet) -> Tensor:
    """Return the adjoint of the truncated product dz -> factor * dz.

    result[beta] = sum_{alpha >= beta} factor[alpha - beta] adjoint[alpha].

    Parameters
    ----------
    factor, adjoint : series [C, N, W].
    """
    result = factor[0] * adjoint
    for alpha, beta, difference in tables.shifts:
        result[beta].addcmul_(factor[difference], adjoint[alpha])
    return result
