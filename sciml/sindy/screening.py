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

__all__ = ["screened", "smooth_problem"]

# So many columns need no screening; else so many are kept in each equation, those of low degree in any case.
MOST_COLUMNS, KEPT, ALWAYS = 700, 60, 2


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
