"""Screening: which terms of a large library are worth a place in the fits of all equations together.

The fits solve for all equations at once, at a cost of the square of all columns: six unknowns and a library of degree
five have 2,772. Equation by equation, least squares along smoothed states is cheap, and a term that is neither in a
good support of any size nor among the best additions to one is hardly ever in the law.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sciml.sindy.refinement import System
from sciml.sindy.selection import Factor, path

__all__ = ["screened", "smooth_problem", "told_apart"]

# So many columns need no screening; else so many are kept in each equation, those of low degree in any case.
MOST_COLUMNS, KEPT, ALWAYS = 700, 60, 2
# A function's part outside of the polynomials beside it, relative to its own size, below which it is one of them; and
# its root mean square change from one state to the next, relative to its variation, above which it is not resolved.
OUTSIDE, CHANGE = 1e-11, 1.0


def smooth_problem(system: System, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return least squares at states x after QR: columns [q, p], right-hand sides [q, d], and the number of rows."""
    p = system.shape[0]
    z = np.concatenate([x, system.inputs], axis=1)
    defects = system.defects
    features = defects.integrals(system.basis.values(z))
    targets = defects.differences(x)
    if system.known is not None and system.fixed is not None:
        targets = targets - defects.integrals(system.known.values(z) @ system.fixed)
    triangle = np.asarray(np.linalg.qr(np.column_stack([features, targets]), mode="r"))
    return triangle[:, :p], triangle[:, p:], len(features)


def screened(system: System, x: np.ndarray) -> System:
    """Return the system with fewer allowed terms where there are too many, judged at states x [N, d]."""
    if system.allowed.sum() <= MOST_COLUMNS:
        return system
    matrix, rights, n = smooth_problem(system, x)
    norms = np.linalg.norm(matrix, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    degrees = system.basis.degrees
    allowed = np.zeros_like(system.allowed)
    for i in range(system.shape[1]):
        own = system.allowed[:, i]
        factor = Factor(matrix / norms, rights[:, i], 0.0, norms, n)
        # The rank of a term is its best one over supports of all sizes; high degrees pay for their number.
        rank = np.full(len(own), np.inf)
        for support in path(factor, system.penalty[:, i], own):
            rss, added, _, _ = factor.moves(support)
            score = n * np.log(np.maximum(added, 1e-300) / max(rss, 1e-300)) + system.penalty[:, i]
            order = np.argsort(np.where(own, score, np.inf))
            rank[order] = np.minimum(rank[order], np.arange(len(order)))
            rank[support] = -1
        rank[degrees <= ALWAYS] = -1
        least = np.argsort(np.where(own, rank, np.inf), kind="stable")
        count = max(KEPT, int(np.sum(own & (rank < 0))))
        allowed[least[:count], i] = own[least[:count]]
    return replace(system, allowed=allowed)


def told_apart(system: System, x: np.ndarray) -> System:
    """Return the system without the functions that states x [N, d] do not tell from its polynomials, or not resolve.

    Sines, fractions and exponentials depend on the unit of the states: in a thousandth of it sin(x) is x, and in a
    thousand of them it oscillates between two samples, with slopes that no criterion is made for.
    """
    own = np.array([term.exponents is None for term in system.basis.terms])
    if not own.any():
        return system
    with np.errstate(all="ignore"):
        values = system.basis.values(np.concatenate([x, system.inputs], axis=1))
        sizes = np.sqrt(np.mean(values**2, axis=0))
    if not np.isfinite(sizes).all():
        # One term without a value spoils every law of the library.
        return replace(system, allowed=system.allowed & ~own[:, None])
    useful = sizes > 0
    values = values / np.where(useful, sizes, 1.0)
    q = np.linalg.qr(values[:, ~own & useful])[0]
    for j in np.flatnonzero(own & useful):
        column = values[:, j]
        rest = column - q @ (q.T @ column)
        moved = system.defects.differences(values[:, j : j + 1])
        spread = max(float(column.std()), 1e-300)
        far = float(np.sqrt(np.mean((rest - q @ (q.T @ rest)) ** 2)))
        useful[j] = far > OUTSIDE and float(np.sqrt(np.mean(moved**2))) < CHANGE * spread
    return replace(system, allowed=system.allowed & (useful | ~own)[:, None])
