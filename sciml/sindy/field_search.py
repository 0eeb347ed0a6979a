"""The search for the terms of one equation of a field: starts, descent with errors in variables, verification, gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from sciml.sindy.field_features import Features
from sciml.sindy.field_library import FieldLibrary
from sciml.sindy.field_selection import Candidate, Factor, Selection
from sciml.sindy.field_spectrum import Modes
from sciml.sindy.field_system import WeakSystem

__all__ = ["Search", "misfit_limit", "search"]

# Starts come from all modes and from those that stand further out of the noise.
CUTS = (1.0, 4.0, 16.0, 64.0)
FEWEST_MODES = 20
LONGEST_PATH = 7
DESCENTS = 4
ROUNDS = 12
VERIFIED = 6


@final
@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    best : the winner.
    pool : all converged candidates by support, best first.
    selection : the problem that they solve.
    """

    best: Candidate
    pool: tuple[Candidate, ...]
    selection: Selection

    @property
    def fits(self) -> bool:
        """Whether noise explains the winner's residual."""
        return self.best.misfit < misfit_limit(self.selection.n)


def misfit_limit(n: int) -> float:
    """Return the largest RSS/n of n numbers that noise explains."""
    return 1.15 + 3.0 * float(np.sqrt(2.0 / n))


def search(
    features: Features,
    modes: Modes,
    library: FieldLibrary,
    field: int,
    penalties: np.ndarray,
    allowed: np.ndarray,
) -> Search:
    """Return the best equation for the time derivative of a field, and what else was seen.

    Parameters
    ----------
    features, modes : transforms at the modes.
    library, penalties, allowed : terms, their description lengths, and which may enter.
    field : whose time derivative is explained.
    """
    selection = Selection(WeakSystem(features, modes, library, field), penalties, allowed)
    pool: dict[tuple[int, ...], Candidate] = {}

    def solved(support: tuple[int, ...], w: np.ndarray | None = None) -> Candidate:
        if support not in pool:
            pool[support] = selection.solve(support, w)
        return pool[support]

    for part in _parts(modes):
        one = selection if part.all() else Selection(selection.system.subset(part), penalties, allowed)
        factor = one.factor(np.zeros(len(penalties)))
        for mask in _masks(library, allowed):
            for support in _starts(factor, mask):
                solved(support, factor.solve(support))
    solved(())
    for start in sorted(pool.values(), key=lambda c: c.criterion)[:DESCENTS]:
        _descend(selection, start, solved)
    for _ in range(3):
        best = min(pool.values(), key=lambda c: c.criterion)
        for _, support in selection.factor(best.w).moves(list(best.support), allowed)[:VERIFIED]:
            solved(support, best.w)
        if min(pool.values(), key=lambda c: c.criterion) is best:
            break
        _descend(selection, min(pool.values(), key=lambda c: c.criterion), solved)
    ranked = tuple(sorted(pool.values(), key=lambda c: c.criterion))
    return Search(ranked[0], ranked, selection)


def _descend(selection: Selection, start: Candidate, solved: Callable[..., Candidate]) -> None:
    """Alternate the choice of terms and the solution for them until the choice repeats."""
    seen = {start.support}
    current = start
    for _ in range(ROUNDS):
        support = selection.factor(current.w).descend(current.support)
        current = solved(support, current.w)
        if support in seen:
            return
        seen.add(support)


def _parts(modes: Modes) -> Iterator[np.ndarray]:
    """Yield all modes, and those above several higher cuts."""
    least = modes.ratio.min()
    last = -1
    for cut in CUTS:
        part = modes.ratio >= cut * least
        if part.sum() >= FEWEST_MODES and part.sum() != last:
            last = part.sum()
            yield part


def _masks(library: FieldLibrary, allowed: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the terms of the whole library, and of sub-libraries of low degree, order and complexity."""
    degree = np.array([term.degree for term in library.terms])
    order = np.array([term.order for term in library.terms])
    q = np.array([term.complexity for term in library.terms])
    seen: set[bytes] = set()
    for mask in (degree >= 0, degree <= 3, degree <= 2, q <= 5, q <= 4, q <= 3, (degree <= 3) & (order <= 2)):
        mask = mask & allowed
        if mask.any() and mask.tobytes() not in seen:
            seen.add(mask.tobytes())
            yield mask


def _starts(factor: Factor, mask: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Yield the best supports of few terms, and those to which they grow or shrink."""
    path = factor.path(LONGEST_PATH, mask)
    yield from path
    if path:
        yield factor.descend(path[-1], mask)
