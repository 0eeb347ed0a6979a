"""The search for the terms of one equation of a field: starts, descent with errors in variables, verification, gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from sciml.sindy.field_covariance import ModeCovariance, Moments
from sciml.sindy.field_joint import JointSelection
from sciml.sindy.field_library import FieldLibrary
from sciml.sindy.field_selection import Candidate, Factor, Selection
from sciml.sindy.field_spectrum import Modes
from sciml.sindy.field_system import WeakSystem

__all__ = ["MOST_TERMS", "TIE", "Search", "misfit_limit", "search"]

# Starts come from all modes and from those that stand further out of the noise.
CUTS = (1.0, 4.0, 16.0, 64.0)
FEWEST_MODES = 20
LONGEST_PATH = 7
# Libraries of so many terms are also searched by taking terms away, down from so many.
MOST_ELIMINATED = 30
LONGEST_LADDER = 12
LADDER_STEPS = 8
DESCENTS = 4
ROUNDS = 12
VERIFIED = 6
# More terms than these in one equation are a fit, not a law.
MOST_TERMS = 12
# A rival this little behind speaks against the winner, also with the charge for the noise of products or without it.
TIE = 1.0

# For the joint covariance, more modes than these are thinned out, at random.
MOST_JOINT = 600
JOINT_ROUNDS = 4
# The mean square of all modes' residuals may be so many standard deviations above one. Modes are correlated, so that
# the right law's is up to 3 (reaction and diffusion, 30 % noise), mostly below 2; the wrong laws' there are 4 to 7.
DOUBTFUL = 4.0
# Where the misfit of the fast search is this many times what noise explains, a finer judgement changes nothing.
HOPELESS = 4.0
# Neighbours of the winner with a criterion this close are solved for, the second number for those with a term less;
# others count as the linear problem has them.
CLOSE, CLOSE_REMOVALS = 10.0, 100.0
# So many candidates of the fast search as close to its winner are judged with it.
MOST_CLOSE = 4
# The square of the cosine of two columns above which they are much alike.
ALIKE = 0.9


@final
@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    best : the winner.
    pool : solved candidates, best first.
    neighbours : criterion and support of all models that are one move away from the winner, of the linear problem.
    n : numbers that are explained.
    modes : how many modes were used.
    doubt : how far above one the mean square of all modes' residuals is, in standard deviations, where the choice was
        made with a part of them; else zero.
    selection : the problem with all modes taken as independent.
    alike : solved candidates with another linear term in the place of one of the winner's, whose column is much alike.
    """

    best: Candidate
    pool: tuple[Candidate, ...]
    neighbours: tuple[tuple[float, tuple[int, ...]], ...]
    n: int
    modes: int
    doubt: float
    selection: Selection
    alike: tuple[Candidate, ...] = ()

    def near(self, support: tuple[int, ...]) -> bool:
        """Whether a support is near the winner where modes are independent, and not just a clear winner and more."""
        if set(self.best.support) <= set(support) and not self.disputed:
            return False
        own, other = (self.selection.solve(s).criterion for s in (self.best.support, support))
        return other < own + CLOSE_REMOVALS

    @property
    def disputed(self) -> bool:
        """Whether a rival wins, or nearly, with the whole charge for the noise of products, or with none.

        The charge keeps models out that explain a residual by making it noisy, and where it alone decided the winner
        was wrong as often as right.
        """
        rivals = self.pool[1:]
        plain = min((candidate.plain for candidate in rivals), default=np.inf)
        full = min((candidate.full for candidate in rivals), default=np.inf)
        return plain < self.best.plain + TIE or full < self.best.full + TIE

    def length(self, support: tuple[int, ...]) -> float:
        """Return the description length of a support."""
        return float(self.selection.penalties[list(support)].sum())

    @property
    def fits(self) -> bool:
        """Whether noise explains the winner's residual."""
        return self.best.misfit < misfit_limit(self.n)

    @property
    def doubtful(self) -> bool:
        """Whether noise does not explain the winner's residual in all modes together."""
        return self.doubt > DOUBTFUL


def misfit_limit(n: int) -> float:
    """Return the largest RSS/n of n numbers that noise explains."""
    return 1.15 + 3.0 * float(np.sqrt(2.0 / n))


def search(
    system: WeakSystem,
    moments: Moments,
    penalties: np.ndarray,
    allowed: np.ndarray,
    fixed: np.ndarray,
    seed: int = 0,
    proposals: Iterable[tuple[int, ...]] = (),
) -> Search:
    """Return the best equation for the time derivative of a field, and what else was seen.

    Parameters
    ----------
    system : weak form of the equation.
    moments : covariances of the monomials on the grid.
    penalties, allowed : description lengths of the terms, and which may enter.
    fixed : known coefficients, zero where there is none.
    seed : for thinning out modes where there are very many.
    proposals : supports to look at besides those that the search comes to.
    """
    selection = Selection(system, penalties, allowed, fixed)
    proposals = tuple(proposals)
    found = _propose(selection, allowed, proposals)
    if found[0].misfit > HOPELESS * misfit_limit(selection.n) or _endless(found):
        return Search(found[0], tuple(found[:VERIFIED]), (), selection.n, len(system.modes.index), 0.0, selection)
    part = _thinned(system, MOST_JOINT, np.random.default_rng(seed))
    joint = JointSelection(ModeCovariance(part, moments), penalties, allowed, fixed)
    solved: dict[tuple[int, ...], Candidate] = {}
    rivals = [candidate.support for candidate in found[1:] if candidate.criterion < found[0].criterion + CLOSE]
    judged = {*proposals, *rivals[:MOST_CLOSE], *_shorter(found)}
    for candidate in found:
        if candidate.support in judged:
            solved[candidate.support] = joint.solve(candidate.support, candidate.w)
    starts = [next((candidate for candidate in found if candidate.support not in solved), found[0])]
    thinned = len(part.modes.index) < len(system.modes.index)
    if thinned and _doubt(found[0], selection.n) > DOUBTFUL:
        # Short laws that all modes together contradict can have the better criterion: the best of the others, too.
        starts += [candidate for candidate in found if _doubt(candidate, selection.n) <= DOUBTFUL][:1]
    for current in starts:
        for _ in range(JOINT_ROUNDS):
            if current.support in solved:
                break
            current = solved[current.support] = joint.solve(current.support, current.w)
            factor = joint.factor(current.w)
            support = factor.descend(current.support)
            if support not in solved:
                current = Candidate(support, factor.solve(support), np.inf, np.inf, np.zeros((0, 0)))
    for _ in range(JOINT_ROUNDS):
        best = min(solved.values(), key=lambda c: c.criterion)
        factor = joint.factor(best.w)
        base = factor.value(factor.rss(best.support), best.support)
        neighbours = tuple(
            (value - base + best.criterion, support) for value, support in factor.moves(list(best.support), allowed)
        )
        if len(best.support) > MOST_TERMS:
            # What is a fit stays one with a term more or less, and each costs as much as all that was before.
            break
        close = [s for value, s in neighbours[:VERIFIED] if value < best.criterion + CLOSE or len(solved) < 2]
        # A term with much noise covers its own absence in the linear problem, which keeps the noise.
        shorter = [
            s for value, s in neighbours if len(s) < len(best.support) and value < best.criterion + CLOSE_REMOVALS
        ]
        for support in dict.fromkeys([*close, *shorter[:VERIFIED]]):
            if support not in solved:
                solved[support] = joint.solve(support, factor.solve(support))
        if min(solved.values(), key=lambda c: c.criterion) is best:
            break
    pool = sorted(solved.values(), key=lambda c: c.criterion)
    # The joint covariance of few modes judges, but all modes, taken as independent, must agree with what it chose.
    doubts = {c.support: _doubt(selection.solve(c.support, c.w), selection.n) if thinned else 0.0 for c in pool}
    if doubts[pool[0].support] > DOUBTFUL:
        pool.sort(key=lambda c: doubts[c.support] > DOUBTFUL)
    if 2 * len(part.modes.index) <= len(system.modes.index):
        # They also determine the numbers.
        final = selection.solve(pool[0].support, pool[0].w)
        pool[0] = replace(pool[0], w=final.w, covariance=final.covariance)
    alike = tuple(_lookalikes(joint, factor, pool[0]))
    doubt = doubts[pool[0].support]
    return Search(pool[0], tuple(pool), neighbours, joint.n, len(part.modes.index), doubt, selection, alike)


def _endless(found: list[Candidate]) -> bool:
    """Whether the best has more terms than a law has, and none with fewer is near: a finer judge only takes longer."""
    return len(found[0].support) > MOST_TERMS and not any(len(s) <= MOST_TERMS for s in _shorter(found))


def _shorter(found: list[Candidate]) -> Iterator[tuple[int, ...]]:
    """Yield the best support of each number of terms below that of the first candidate, if it is not far behind."""
    best: dict[int, Candidate] = {}
    for candidate in found:
        best.setdefault(len(candidate.support), candidate)
    for size in range(len(found[0].support)):
        if size in best and best[size].criterion < found[0].criterion + CLOSE_REMOVALS:
            yield best[size].support


def _lookalikes(joint: JointSelection, factor: Factor, best: Candidate) -> Iterator[Candidate]:
    """Yield laws with another linear term in the place of one of the best whose column is much like it.

    In a single wave u_xx is a multiple of u. The linear problem has the noise of the best, in which terms with more
    noise look worse than they are, so that such laws are solved for.
    """
    linear = np.array([term.degree == 1 for term in joint.system.library.terms])
    for gone in best.support:
        if linear[gone]:
            cosine, other = factor.nearest(best.support, gone, linear & joint.allowed)
            if cosine > ALIKE:
                support = [*(j for j in best.support if j != gone), other]
                yield joint.solve(support, factor.solve(support))


def _doubt(candidate: Candidate, n: int) -> float:
    return (candidate.misfit - 1.0) / float(np.sqrt(2.0 / n))


def _thinned(system: WeakSystem, most: int, generator: np.random.Generator) -> WeakSystem:
    count = len(system.modes.index)
    if count <= most:
        return system
    return system.subset(np.sort(generator.choice(count, most, replace=False)))


def _propose(selection: Selection, allowed: np.ndarray, proposals: Iterable[tuple[int, ...]] = ()) -> list[Candidate]:
    """Return candidates of the search that treats modes as independent, best first."""
    library, modes, penalties = selection.system.library, selection.system.modes, selection.penalties
    pool: dict[tuple[int, ...], Candidate] = {}

    def solved(support: tuple[int, ...], w: np.ndarray | None = None) -> Candidate:
        if support not in pool:
            pool[support] = selection.solve(support, w)
        return pool[support]

    for part in _parts(modes):
        one = selection if part.all() else Selection(selection.system.subset(part), penalties, allowed, selection.fixed)
        factor = one.factor(selection.fixed)
        for mask in _masks(library, allowed):
            for support in _starts(factor, mask):
                solved(support, factor.solve(support))
    solved(())
    for support in proposals:
        solved(support)
    for start in sorted(pool.values(), key=lambda c: c.criterion)[:DESCENTS]:
        _descend(selection, start, solved)
    for mask in _masks(library, allowed):
        if mask.sum() <= MOST_ELIMINATED:
            _ladder(selection, mask, solved)
    best = min(pool.values(), key=lambda c: c.criterion)
    for _ in range(ROUNDS):
        factor = selection.factor(best.w)
        support = list(best.support)
        for _, other in factor.moves(support, allowed)[:VERIFIED] + factor.exchanges(support, allowed)[:VERIFIED]:
            solved(other, factor.solve(other))
        winner = min(pool.values(), key=lambda c: c.criterion)
        if winner is best:
            break
        _descend(selection, winner, solved)
        best = min(pool.values(), key=lambda c: c.criterion)
    return sorted(pool.values(), key=lambda c: c.criterion)


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


def _ladder(selection: Selection, mask: np.ndarray, solved: Callable[..., Candidate]) -> None:
    """Fit all terms of a small library with errors in variables, and take them away one at a time.

    Terms that nearly cancel each other (u and u**3 where the field saturates) stand out only after the errors of their
    difference are accounted for, which no step by single terms from a small support does.
    """
    factor = selection.factor(selection.fixed)
    every = max(factor.eliminate(0, int(mask.sum()), mask), key=len, default=())
    whole = selection.solve(every, factor.solve(every), steps=LADDER_STEPS)
    factor = selection.factor(whole.w)
    ladder = factor.eliminate(0, LONGEST_LADDER, mask)
    if ladder:
        values = [factor.value(factor.rss(support), support) for support in ladder]
        support = factor.descend(ladder[int(np.argmin(values))], mask)
        solved(support, factor.solve(support))


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
    # Semilinear equations: the derivatives are of the fields themselves.
    semilinear = (degree <= 1) | (order == 0)
    small = (degree <= 3) & (order <= 2)
    every = degree >= 0
    for mask in (every, degree <= 3, degree <= 2, q <= 5, q <= 4, q <= 3, small, semilinear, semilinear & small):
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
