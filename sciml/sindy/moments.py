r"""Least squares for many problems at once, from Gram matrices.

A problem is one equation of one bootstrap at one threshold. With the features :math:`\Theta` [N, p], the targets
:math:`\dot X` [N, m] and the weights :math:`w_b` [N] of bootstrap b, all that least squares needs is

.. math:: G_b = \Theta^T \mathrm{diag}(w_b)\, \Theta, \qquad R_b = \Theta^T \mathrm{diag}(w_b)\, \dot X .

The products of any two features, and of features and targets, are formed once; then all :math:`G_b, R_b` are one matrix
multiplication. A solution gathers the columns of every problem's support and factorises batches of problems by
Jacobi-scaled Cholesky.

Everything is float64: in float32 the Gram matrices of fifth-degree monomials select other terms. `products`,
`columns_of`, `solve_active` and `substituted` have shapes that follow from those of their arguments and run on any
device, `meta` included. `pairs_of` and with it `moments` look at which products agree, `least_squares` looks at each
problem's size and at the success of its factorisation: these need values.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

__all__ = [
    "Moments",
    "columns_of",
    "least_squares",
    "moments",
    "pairs_of",
    "problems_at_once",
    "products",
    "solve_active",
    "substituted",
]

# Numbers in one batch: half a gigabyte; of Gram matrices that are factored on a CPU, what fits into its cache.
BATCH, CACHED = 1 << 26, 1 << 18
# Two products are the same column if they differ by rounding only.
EQUAL = 1e-13
PROBES = 6
# Smallest squared pivot of a scaled Gram matrix whose normal equations lose at most four digits.
WELL = 1e-4
# Below this one step of refinement may not be enough.
DIFFICULT, STEPS = 1e-9, 4


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """The Gram matrices of weighted least-squares problems that share features and targets.

    Attributes
    ----------
    features : [N, p]; targets : [N, m]; weights : [B, N], the counts of the bootstraps.
    gram : [B, U], the distinct entries of the Gram matrices; cross : [B, m, p].
    table : int64 [p, p], where in `gram` the entry (i, j) is.
    """

    features: Tensor
    targets: Tensor
    weights: Tensor
    gram: Tensor
    cross: Tensor
    table: Tensor


def products(features: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the products of pairs of columns, [N, number of pairs]."""
    return features.index_select(1, first) * features.index_select(1, second)


def pairs_of(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return which products of two features are distinct: their first and second factors, and the table [p, p].

    Products of monomials are monomials: a fifth-degree library of three states has 1,596 pairs but 286 products. Two
    products are one if their projections :math:`\sum_k r_k \theta_{ki} \theta_{kj}` on random directions r agree to
    rounding. For products that differ by a share d of their length, `PROBES` directions all do so by accident with a
    probability of about (EQUAL / d)^PROBES.
    """
    samples, terms = features.shape
    generator = torch.Generator(device=features.device).manual_seed(0)
    probes = torch.randn(PROBES, samples, generator=generator, device=features.device, dtype=features.dtype)
    squares = features * features
    length = (squares.T @ squares).sqrt()
    marks = torch.stack([(features * probe[:, None]).T @ features for probe in probes])
    first, second = torch.triu_indices(terms, terms, device=features.device)
    length, marks = length[first, second], marks[:, first, second]
    order = torch.argsort(marks[0])
    ordered, tolerance = marks[0, order], EQUAL * length[order]
    begins = torch.ones_like(order, dtype=torch.bool)
    begins[1:] = ~(ordered[1:] - ordered[:-1] <= tolerance[1:])
    leader = torch.empty_like(order)
    leader[order] = order[begins][begins.cumsum(0) - 1]
    same = (abs(marks - marks[:, leader]) <= EQUAL * length).all(0)
    leader = torch.where(same, leader, torch.arange(len(leader), device=leader.device))
    kept, place = torch.unique(leader, return_inverse=True)
    table = torch.empty((terms, terms), dtype=torch.int64, device=features.device)
    table[first, second] = place
    table[second, first] = place
    return first[kept], second[kept], table


def moments(features: Tensor, targets: Tensor, weights: Tensor) -> Moments:
    """Return the Gram matrices of all bootstraps, in one multiplication for each block of rows.

    Parameters
    ----------
    features : float64 [N, p]; targets : float64 [N, m]; weights : float64 [B, N], not negative.
    """
    (samples, terms), equations = features.shape, targets.shape[1]
    first, second, table = pairs_of(features)
    rows = max(1, BATCH // (len(first) + equations * terms))
    together = weights.new_zeros(len(weights), len(first) + equations * terms)
    for begin in range(0, samples, rows):
        block = features[begin : begin + rows]
        mixed = targets[begin : begin + rows, :, None] * block[:, None]
        columns = torch.cat([products(block, first, second), mixed.flatten(1)], dim=1)
        together.addmm_(weights[:, begin : begin + rows], columns)
    gram, cross = together[:, : len(first)], together[:, len(first) :]
    return Moments(features, targets, weights, gram.contiguous(), cross.reshape(-1, equations, terms), table)


def columns_of(active: Tensor, width: int) -> Tensor:
    """Return the indices of the active columns in ascending order, int64 [Q, width]; p fills the rest.

    Parameters
    ----------
    active : bool [Q, p], at most `width` true in each row.
    """
    problems, terms = active.shape
    place = torch.where(active, active.cumsum(1) - 1, width)
    numbers = torch.arange(terms, device=active.device).expand(problems, terms)
    found = torch.full((problems, width + 1), terms, dtype=torch.int64, device=active.device)
    return found.scatter(1, place, numbers)[:, :width]


def solve_active(
    gram: Tensor, table: Tensor, cross: Tensor, member: Tensor, columns: Tensor, ridge: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Solve :math:`(G_{SS} + \mathrm{diag}(\rho_S))\, c_S = R_S` for each problem, with its own columns S.

    Parameters
    ----------
    gram : [B, U] and table : int64 [p, p], as in `Moments`; member : int64 [Q], the Gram matrix of each problem.
    cross : [Q, k, p], k right sides of each problem.
    columns : int64 [Q, width] from `columns_of`, or [1, width] where they are the same for all.
    ridge : [B, p], what is added to the diagonals.

    Returns
    -------
    coefficients : [Q, k, p], zero outside S.
    factor : [Q, width, width], of the matrices scaled to a unit diagonal; scale : [Q, width].
    failed : bool [Q], the matrix is not positive definite to rounding, and the coefficients mean nothing.
    """
    width, terms = columns.shape[1], cross.shape[2]
    present = columns < terms
    inside = columns.clamp(max=terms - 1)
    # Equal columns for all problems come as one row.
    places = table[inside[:, :, None], inside[:, None, :]].flatten(1).expand(len(member), -1)
    square = gram.index_select(0, member).gather(1, places).unflatten(1, (width, width))
    diagonal = square.diagonal(dim1=1, dim2=2) + ridge[member[:, None], inside]
    empty = (present & (diagonal <= 0)).any(1)
    scale = torch.where(present & (diagonal > 0), diagonal, 1.0).rsqrt() * present
    square.mul_(scale[:, :, None]).mul_(scale[:, None, :])
    # With the ridge the scaled diagonal is one; columns that fill up are columns of the identity.
    square.diagonal(dim1=1, dim2=2).fill_(1.0)
    factor, info = torch.linalg.cholesky_ex(square)
    return substituted(factor, scale, cross, columns), factor, scale, (info > 0) | empty


def substituted(factor: Tensor, scale: Tensor, cross: Tensor, columns: Tensor) -> Tensor:
    """Solve with the factors of the scaled matrices; right sides [Q, k, p] -> [Q, k, p], zero outside the columns."""
    problems, count, terms = cross.shape
    extended = torch.cat([cross, cross.new_zeros(problems, count, 1)], dim=2)
    at = columns[:, None].expand(problems, count, -1)
    right = extended.gather(2, at) * scale[:, None]
    solved = torch.cholesky_solve(right.mT, factor).mT * scale[:, None]
    return torch.zeros_like(extended).scatter(2, at, solved)[:, :, :terms]


def problems_at_once(device: torch.device, width: int) -> int:
    """Return how many matrices of this width are gathered and factored together."""
    return max(1, (CACHED if device.type == "cpu" else BATCH) // max(width, 1) ** 2)


def least_squares(
    system: Moments, member: Tensor, equation: Tensor, support: Tensor, ridge: Tensor | None = None
) -> Tensor:
    r"""Return the least-squares coefficients of each problem on its support, [Q, p].

    The normal equations lose twice the digits that the columns' condition takes. Without a ridge, problems where that
    is more than four get steps of refinement with residuals from the data themselves,
    :math:`c \mathrel{+}= G_{SS}^{-1} \Theta_S^T W (\dot x - \Theta c)` (corrected semi-normal equations, Björck 1987,
    doi:10.1016/0024-3795(87)90101-7). Where a matrix is singular to rounding, the minimum-norm solution of the
    weighted rows is taken.

    Parameters
    ----------
    member, equation : int64 [Q]; support : bool [Q, p]; ridge : [B, p], none if absent.
    """
    counts = support.sum(1)
    coefficients = torch.zeros(support.shape, dtype=system.gram.dtype, device=support.device)
    # Problems of similar size are solved together: a batch is as wide as its widest.
    order = torch.argsort(counts)
    order = order[counts[order] > 0]
    sizes = counts[order].tolist()
    start = 0
    while start < len(sizes):
        width = min(sizes[-1], max(sizes[start] + 2, math.ceil(1.2 * sizes[start])))
        stop = min(bisect_right(sizes, width), start + problems_at_once(support.device, width))
        batch = order[start:stop]
        coefficients[batch] = _batch(system, member[batch], equation[batch], support[batch], ridge)
        start = stop
    return coefficients


def _batch(system: Moments, member: Tensor, equation: Tensor, support: Tensor, ridge: Tensor | None) -> Tensor:
    columns = columns_of(support, int(support.sum(1).max()))
    added = torch.zeros_like(system.cross[:, 0]) if ridge is None else ridge
    cross = system.cross[member, equation][:, None]
    found, factor, scale, failed = solve_active(system.gram, system.table, cross, member, columns, added)
    coefficients = found[:, 0]
    pivots = factor.diagonal(dim1=1, dim2=2).amin(1) ** 2
    if ridge is None:
        left = torch.nonzero(~failed & (pivots < WELL)).flatten()
        before = torch.full_like(pivots, torch.inf)
        for _ in range(STEPS):
            for part in left.split(max(1, BATCH // len(system.features))):
                slope = _slope(system, member[part], equation[part], coefficients[part])
                change = substituted(factor[part], scale[part], slope[:, None], columns[part])[:, 0]
                coefficients[part] += change
                size = (change * system.gram[member[part]][:, system.table.diagonal()].sqrt()).abs().amax(1)
                # Refinement that gains less than a digit a step means a matrix that is singular to rounding.
                failed[part] = ~(size <= 0.1 * before[part])
                before[part] = size
            left = left[~failed[left] & (pivots[left] < DIFFICULT)]
    for problem in torch.nonzero(failed).flatten().tolist():
        chosen = torch.nonzero(support[problem]).flatten()
        coefficients[problem] = 0.0
        coefficients[problem, chosen] = _minimum_norm(
            system, int(member[problem]), int(equation[problem]), chosen, added
        )
    return coefficients


def _slope(system: Moments, member: Tensor, equation: Tensor, coefficients: Tensor) -> Tensor:
    misfit = system.targets.T[equation] - coefficients @ system.features.T
    return (misfit * system.weights[member]) @ system.features


def _minimum_norm(system: Moments, member: int, equation: int, chosen: Tensor, ridge: Tensor) -> Tensor:
    root = system.weights[member].sqrt()
    rows = torch.cat([root[:, None] * system.features[:, chosen], torch.diag(ridge[member, chosen].sqrt())])
    right = torch.cat([root * system.targets[:, equation], rows.new_zeros(len(chosen))])
    return torch.linalg.pinv(rows) @ right
