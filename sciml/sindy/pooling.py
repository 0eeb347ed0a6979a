"""The comparison of models: fits from several starts, all supports that they passed, and the winner's neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
from scipy.linalg import LinAlgError

from sciml.sindy.defects import Covariance
from sciml.sindy.refinement import (
    FIRST_ERROR,
    HOLDS,
    LAST_ERROR,
    Estimate,
    System,
    criterion,
    increments,
    linearise,
    refine,
    spread_out,
)
from sciml.sindy.screening import smooth_problem
from sciml.sindy.selection import Factor, eliminations, likelihood, path, search

if TYPE_CHECKING:
    from sciml.sindy.saturation import Saturation

__all__ = ["TIE", "Model", "Pool", "neighbourhood", "starting_supports"]

# Squared lengths of the last step, in standard errors, for models in comparison and for the winner.
TIGHT, EXACT = 0.03, 1e-12
FINALISTS = 5
NEIGHBOURS = 8
ROUNDS = 8
# Pairs of the winner's terms that are left out at once.
MOST_PAIRS = 150
# So many pairs of columns are looked at for exchanges of two of the winner's terms.
MOST_EXCHANGES = 10_000_000
# The best supports of an elimination that are worth a search, and how many columns there may be.
RUNGS, MOST_ELIMINATED = 4, 400
# A fit that ends this much further behind than the linearised problem says has not found its states.
LOST = 20.0
# What must speak for a model error below SMALL_ERROR, in the criterion.
PROOF, SMALL_ERROR = 10.0, 0.031
# Criteria that differ by less than this are equal: the criterion stands for twice a logarithm of evidence only up to
# terms of order one (Schwarz 1978, doi:10.1214/aos/1176344136), and odds below 1.6 say nothing (Kass and Raftery 1995,
# doi:10.1080/01621459.1995.10476572). At 2 as many right laws would be shortened as wrong ones are mended.
TIE = 1.0
# A move that the linearised problem puts further behind than this is not worth a fit of its own.
HOPELESS = 14.0


@final
@dataclass(frozen=True, eq=False)
class Model:
    """A support with its fit and its criterion."""

    estimate: Estimate
    criterion: float

    @property
    def key(self) -> tuple[int, ...]:
        """The support as a tuple."""
        return tuple(int(k) for k in self.estimate.support)


def starting_supports(system: System, x: np.ndarray, groups: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Return supports from least squares on smoothed states, one for each group of terms (bool [p]).

    Equation by equation: the best model of each size up to twelve terms, of these the one that
    n log RSS + penalties prefers.
    """
    d = system.shape[1]
    matrix, rights, n = smooth_problem(system, x)
    found: dict[tuple[int, ...], None] = {}
    for group in groups:
        chosen: list[int] = []
        for i in range(d):
            norms = np.linalg.norm(matrix, axis=0)
            norms = np.where(norms > 0, norms, 1.0)
            factor = Factor(matrix / norms, rights[:, i], 0.0, norms, n)
            penalty, best = system.penalty[:, i], (np.inf, np.zeros(0, dtype=int))
            for support in path(factor, penalty, group & system.allowed[:, i]):
                score = n * np.log(max(factor.solve(support)[1], 1e-28 * n) / n) + penalty[support].sum()
                best = min(best, (float(score), support), key=lambda pair: pair[0])
            chosen += [int(k) * d + i for k in best[1]]
        found.setdefault(tuple(sorted(chosen)))
    return [np.array(key, dtype=int) for key in found]


def coefficients_of(system: System, x: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return coefficients [p, d] by plain least squares at states x."""
    p, d = system.shape
    z = np.concatenate([x, system.inputs], axis=1)
    features = system.defects.integrals(system.basis.values(z))
    targets = system.defects.differences(x)
    if system.known is not None and system.fixed is not None:
        targets = targets - system.defects.integrals(system.known.values(z) @ system.fixed)
    result = np.zeros((p, d))
    for i in range(d):
        terms = support[support % d == i] // d
        if len(terms):
            # Formulas are in the user's units: their columns may differ by any power of ten.
            norms = np.linalg.norm(features[:, terms], axis=0)
            norms = np.where(norms > 0, norms, 1.0)
            result[terms, i] = np.linalg.lstsq(features[:, terms] / norms, targets[:, i], rcond=None)[0] / norms
    return result


def neighbourhood(system: System, estimate: Estimate) -> tuple[Factor, np.ndarray, np.ndarray]:
    """Return the whitened problem of all terms at an estimate, their flat indices, and the support's place in them."""
    d = system.shape[1]
    lin = linearise(system, estimate.x, estimate.coefficients, estimate.noise)
    size = increments(system.defects, estimate.x)
    cov = Covariance(lin.band, (estimate.error * size) ** 2 + lin.doubt)
    offered = np.flatnonzero(system.allowed.ravel())
    matrix = cov.whiten(spread_out(lin.features, offered // d, offered % d, d))
    factor = Factor.of(matrix, cov.whiten(lin.target.ravel()), system.effective)
    return factor, offered, np.searchsorted(offered, estimate.support)


@final
class Pool:
    """Models of one system under comparison."""

    def __init__(self, system: System, x: np.ndarray, noise: np.ndarray, report: Callable[[str], None]) -> None:
        self.system, self.x, self.noise, self.report = system, x, noise, report
        self.models: dict[tuple[int, ...], Model | None] = {}
        self.passed: dict[tuple[int, ...], None] = {}
        self.retried: set[tuple[int, ...]] = set()
        self.preferred: tuple[int, ...] | None = None
        # The inner constants of the library's terms, where it was made with some.
        self.inner: tuple[Saturation, ...] = ()
        # By how much the best laws of other libraries were behind the winner, in the criterion.
        self.elsewhere: tuple[float, ...] = ()
        # Whether its models were not compared yet, as the states are too coarse for them.
        self.provisional = False

    @property
    def ranked(self) -> list[Model]:
        """The models that could be fitted: the preferred one, if any, then by their criteria, best first."""
        fitted = (m for m in self.models.values() if m is not None)
        return sorted(fitted, key=lambda m: (m.key != self.preferred, m.criterion))

    def explore(self, supports: Iterable[np.ndarray]) -> None:
        """Fit with selection from each of the supports."""
        rest = set(self.passed)
        for support in supports:
            begin = Estimate(self.x, coefficients_of(self.system, self.x, support), support, 0.3, self.noise)
            reached = set(rest)
            end = refine(self.system, begin, select=True, stop=lambda key, error: key in reached)  # noqa: B023
            if end is None:
                continue
            self.report(f"start of {len(support)} terms: {len(end.support)} terms, model error {end.error:.1e}")
            self.passed.update(dict.fromkeys(end.visited))
            if tuple(end.support) not in reached:
                self.settle(end)
            rest.add(tuple(int(k) for k in end.support))

    def settle(self, begin: Estimate, *, most: int = 25, least_error: float = LAST_ERROR) -> Model | None:
        """Fit a fixed support tightly and enter it into the pool."""
        key = tuple(int(k) for k in begin.support)
        if key in self.models:
            return self.models[key]
        end = refine(self.system, begin, select=False, tolerance=TIGHT, most=most, least_error=least_error)
        model = None
        if end is not None:
            value = criterion(self.system, end)
            model = Model(end, value) if np.isfinite(value) else None
        self.models[key] = model
        return model

    def compare(self) -> None:
        """Fit the best of the passed supports, then the winner's neighbours until none is better."""
        for round_ in range(ROUNDS):
            ranked = self.ranked
            if not ranked:
                return
            winner = ranked[0]
            try:
                factor, offered, place = neighbourhood(self.system, winner.estimate)
            except LinAlgError:
                return
            penalty = self.system.penalty.ravel()[offered]
            candidates = self._moves(factor, penalty, offered, place)
            if round_ == 0:
                candidates += self._others(factor, penalty, offered, winner)
            # One support is reached in several ways, with gaps that differ by rounding.
            gaps: dict[tuple[int, ...], float] = {}
            for gap, key in candidates:
                gaps[key] = min(gap, gaps.get(key, np.inf))
            fresh = sorted((g, k) for k, g in gaps.items() if k not in self.models or self._lost(k, g, winner))
            for gap, key in fresh[: NEIGHBOURS + (FINALISTS if round_ == 0 else 0)]:
                if gap > HOPELESS:
                    break
                self._try(winner, factor, offered, np.array(key, dtype=int), gap)
            if self.ranked[0].key == winner.key:
                return

    def insist(self) -> None:
        """Give a winner with a small model error the chance to hold: the error must be proven, not only likelier.

        Without it the noise has to explain the residuals, and must not become more than the samples show. If that
        costs less than `PROOF`, the law holds.
        """
        ranked = self.ranked
        if not ranked or not HOLDS * 1.001 < ranked[0].estimate.error < SMALL_ERROR:
            return
        winner = ranked[0]
        begin = replace(winner.estimate, error=HOLDS, visited=())
        end = refine(self.system, begin, select=False, tolerance=TIGHT, most=40, most_error=HOLDS)
        if end is None or bool(np.any(end.noise > self.system.most_noise)):
            return
        value = criterion(self.system, end)
        self.report(f"without a model error the criterion is {value:.1f}, with it {winner.criterion:.1f}")
        if value < winner.criterion + PROOF:
            self.models[winner.key] = Model(end, min(value, winner.criterion))

    def finish(self) -> None:
        """Fit the winner until nothing moves, so that the answer does not depend on the way to it.

        Where a part of the best law's terms has an equal criterion, it is the winner: what has no evidence is left out.
        """
        ranked = self.ranked
        if ranked:
            best = ranked[0]
            parts = [
                m
                for m in ranked
                if set(m.key) <= set(best.key)
                and m.criterion < best.criterion + TIE
                and m.estimate.error <= best.estimate.error * 1.001
            ]
            self.preferred = min(parts, key=lambda m: (len(m.key), m.criterion)).key
            winner = self.ranked[0]
            most_error = HOLDS if winner.estimate.error <= HOLDS * 1.001 else FIRST_ERROR
            end = refine(self.system, winner.estimate, select=False, tolerance=EXACT, most=20, most_error=most_error)
            if end is not None and end.converged:
                self.models[winner.key] = Model(end, winner.criterion)

    def _moves(
        self, factor: Factor, penalty: np.ndarray, offered: np.ndarray, place: np.ndarray
    ) -> list[tuple[float, tuple[int, ...]]]:
        """Return the best single moves with the gaps that the linearised problem gives them."""
        rss, added, removed, swapped = factor.moves(place)
        now, own = float(likelihood(rss, factor.n)), penalty[place]
        found: list[tuple[float, tuple[int, ...]]] = []
        grown = likelihood(added, factor.n) + penalty - now
        for j in np.argsort(grown)[:NEIGHBOURS]:
            found.append((float(grown[j]), _key(offered, np.append(place, j))))
        if len(place):
            shrunk = likelihood(removed, factor.n) - own - now
            for k in np.argsort(shrunk)[:NEIGHBOURS]:
                found.append((float(shrunk[k]), _key(offered, np.delete(place, k))))
            changed = likelihood(swapped, factor.n) - own[:, None] + penalty - now
            for flat in np.argsort(changed.ravel())[:NEIGHBOURS]:
                k, j = np.unravel_index(flat, changed.shape)
                found.append((float(changed[k, j]), _key(offered, np.append(np.delete(place, k), j))))
        value = now + float(own.sum())
        found += self._detours(factor, penalty, offered, place, value)
        found += self._exchanges(factor, penalty, offered, place, value)
        found += self._remnants(factor, penalty, offered, value)
        return [(gap, key) for gap, key in found if np.isfinite(gap)]

    def _detours(
        self, factor: Factor, penalty: np.ndarray, offered: np.ndarray, place: np.ndarray, value: float
    ) -> list[tuple[float, tuple[int, ...]]]:
        """Return the best supports without one or two of the winner's terms: several moves, the first ones uphill."""
        found: list[tuple[float, tuple[int, ...]]] = []
        every = list(range(len(place)))
        without = [[k] for k in every] + [[a, b] for a in every for b in every[:a]][:MOST_PAIRS]
        for gone in without:
            allowed = np.ones(len(offered), dtype=bool)
            allowed[place[gone]] = False
            other = search(factor, penalty, np.delete(place, gone), allowed)
            score = float(likelihood(factor.solve(other)[1], factor.n)) + float(penalty[other].sum())
            found.append((score - value, _key(offered, other)))
        return found

    def _remnants(
        self, factor: Factor, penalty: np.ndarray, offered: np.ndarray, value: float
    ) -> list[tuple[float, tuple[int, ...]]]:
        """Return what is left of all terms, and of those of low degrees, when the least important ones are taken away.

        The winner has no part in it, so that these supports may be far from its own.
        """
        found: list[tuple[float, tuple[int, ...]]] = []
        every = np.ones(len(offered), dtype=bool)
        degrees = self.system.basis.degrees[offered // self.system.shape[1]]
        for highest in range(min(2, degrees.max()), degrees.max() + 1):
            group = degrees <= highest
            if group.sum() > MOST_ELIMINATED:
                break
            rungs = sorted(eliminations(factor, penalty, group), key=lambda rung: rung[0])
            for _, rung in rungs[:RUNGS]:
                other = search(factor, penalty, rung, every)
                score = float(likelihood(factor.solve(other)[1], factor.n)) + float(penalty[other].sum())
                found.append((score - value, _key(offered, other)))
        return found

    def _exchanges(
        self, factor: Factor, penalty: np.ndarray, offered: np.ndarray, place: np.ndarray, value: float
    ) -> list[tuple[float, tuple[int, ...]]]:
        """Return the best supports with two other terms in the place of none, one or two of the winner's.

        Two terms that only together stand for one are found by no single move, and the law that has them is often the
        runner-up, or the truth.
        """
        found: list[tuple[float, tuple[int, ...]]] = []
        every = list(range(len(place)))
        gone = [[], *[[k] for k in every], *[[a, b] for a in every for b in every[:a]]]
        gram = factor.columns.T @ factor.columns
        upper = np.triu_indices(len(offered), 1)
        for without in gone[: max(1 + len(place), MOST_EXCHANGES // len(offered) ** 2)]:
            kept = np.delete(place, without)
            _, both = factor.pairs(kept, gram)
            score = (likelihood(both, factor.n) + penalty[:, None] + penalty)[upper] + penalty[kept].sum() - value
            for flat in np.argpartition(score, min(NEIGHBOURS, len(score) - 1))[:NEIGHBOURS]:
                if score[flat] < HOPELESS:
                    pair = [upper[0][flat], upper[1][flat]]
                    found.append((float(score[flat]), _key(offered, np.append(kept, pair))))
        return found

    def _others(
        self, factor: Factor, penalty: np.ndarray, offered: np.ndarray, winner: Model
    ) -> list[tuple[float, tuple[int, ...]]]:
        """Return the passed supports that are not fitted yet, with their gaps in the winner's linearised problem."""
        own = np.searchsorted(offered, winner.estimate.support)
        base = float(likelihood(factor.solve(own)[1], factor.n)) + penalty[own].sum()
        found = []
        for key in self.passed:
            if key not in self.models:
                place = np.searchsorted(offered, np.array(key, dtype=int))
                gap = float(likelihood(factor.solve(place)[1], factor.n)) + penalty[place].sum() - base
                found.append((float(gap), key))
        return sorted(found)[:FINALISTS]

    def _try(self, winner: Model, factor: Factor, offered: np.ndarray, support: np.ndarray, gap: float) -> None:
        p, d = self.system.shape
        coefficients = np.zeros((p, d))
        coefficients.ravel()[support] = factor.solve(np.searchsorted(offered, support))[0]
        error = min(max(winner.estimate.error, HOLDS), 0.1)
        begin = replace(winner.estimate, coefficients=coefficients, support=support, error=error, visited=())
        key = tuple(int(k) for k in support)
        model = self.settle(begin)
        if self._lost(key, gap, winner):
            # Its states can lie where no fit gets away from: once more from the smoothed ones.
            self.retried.add(key)
            del self.models[key]
            values = coefficients_of(self.system, self.x, support)
            again = self.settle(Estimate(self.x, values, support, FIRST_ERROR, self.noise))
            if again is None or (model is not None and model.criterion < again.criterion):
                self.models[key] = model

    def _lost(self, key: tuple[int, ...], gap: float, winner: Model) -> bool:
        """Whether a fit ended much further behind the winner than the gap that the linearised problem gives it.

        Of a winner that does not hold it is not asked: the linearised problem says little there, and second fits took
        a third of the time.
        """
        if key in self.retried or key not in self.models or winner.estimate.error > HOLDS * 1.001:
            return False
        model = self.models[key]
        return model is None or model.criterion > winner.criterion + gap + LOST


def _key(offered: np.ndarray, place: np.ndarray) -> tuple[int, ...]:
    return tuple(int(k) for k in np.sort(offered[place]))
