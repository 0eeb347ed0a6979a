"""Saturating terms with inner constants: x y / (b + x), where b is estimated with everything else.

A library is linear in its coefficients, and b is none: without it such a law is taken for a polynomial of a high
degree, which fits the record and is wrong. At the states of a law that fits, the best b is found by a search in one
dimension, and then states and b in turn (separable least squares, Golub and Pereyra 1973, doi:10.1137/0710036).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
from scipy.linalg import LinAlgError
from scipy.optimize import minimize_scalar

from sciml.sindy.defects import Covariance
from sciml.sindy.libraries import FormulaLibrary, Library, PolynomialLibrary
from sciml.sindy.pooling import Pool, coefficients_of
from sciml.sindy.refinement import FIRST_ERROR, HOLDS, Estimate, System, increments, linearise, spread_out
from sciml.sindy.selection import Factor, eliminations, likelihood, search

if TYPE_CHECKING:
    from sciml.sindy.request import Request
    from sciml.sindy.samples import Samples

__all__ = ["Saturation", "saturated", "sharpened", "value"]

# Powers of the saturating variable (Michaelis and Menten; Hill), and where its half-saturation is sought, relative to
# its size.
POWERS, LEAST_HALF, MOST_HALF, HALVES = (1, 2), 0.03, 30.0, 13
# Polynomials beside them.
DEGREE = 2
# The best kinds on the grid that are refined; how much further behind one may be and still compete; kinds at once.
REFINED, NEAR, MOST_KINDS = 3, 14.0, 3
# States and inner constants are estimated in turn, so often at most.
TURNS = 4
# Decimals beyond the standard error.
SPARE = 2


@final
@dataclass(frozen=True)
class Saturation:
    """Terms x**k w / (b + x**k) of one variable: w is 1 or another unknown.

    Attributes
    ----------
    variable : x; power : k
    half : b, in the variable's unit to this power.
    """

    variable: str
    power: int
    half: float

    @property
    def below(self) -> str:
        """The denominator: b + x**k."""
        return f"{self.half:.12g} + {self._top}"

    @property
    def _top(self) -> str:
        return self.variable if self.power == 1 else f"{self.variable}**{self.power}"

    def texts(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the terms in the notation."""
        return tuple(
            f"{self._top}{other}/({self.below})"
            for other in ("", *(f"*{name}" for name in names if name != self.variable))
        )


def library_with(kinds: Sequence[Saturation], names: Sequence[str]) -> Library:
    """Return polynomials with the terms of some saturations."""
    library: Library = PolynomialLibrary(DEGREE)
    for kind in kinds:
        library = library + FormulaLibrary(kind.texts(names))
    return library


@final
class Profile:
    """The linearised problem at an estimate, for any library in the place of its own."""

    def __init__(
        self, system: System, estimate: Estimate, names: Sequence[str], build: Callable[[Library], System]
    ) -> None:
        lin = linearise(system, estimate.x, estimate.coefficients, estimate.noise)
        size = increments(system.defects, estimate.x)
        self.cov = Covariance(lin.band, (estimate.error * size) ** 2 + lin.doubt)
        self.right = self.cov.whiten(lin.target.ravel())
        self.z = np.concatenate([estimate.x, system.inputs], axis=1)
        self.system, self.names, self.build = system, names, build
        own = system.penalty.ravel()[estimate.support].sum()
        self.value = float(likelihood(estimate.rss, system.effective)) + float(own)

    def problem(self, kinds: Sequence[Saturation]) -> tuple[Factor, np.ndarray, np.ndarray]:
        """Return the whitened problem with some saturations, the penalties and the flat indices of its columns."""
        other = self.build(library_with(kinds, self.names))
        d = other.shape[1]
        offered = np.flatnonzero(other.allowed.ravel())
        features = self.system.defects.integrals(other.basis.values(self.z))
        matrix = self.cov.whiten(spread_out(features, offered // d, offered % d, d))
        return Factor.of(matrix, self.right, self.system.effective), other.penalty.ravel()[offered], offered

    def best(self, kinds: Sequence[Saturation]) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the least criterion relative to the estimate's, the support (flat) and its coefficients."""
        factor, penalty, offered = self.problem(kinds)
        every = np.ones(len(offered), dtype=bool)
        begin = min(eliminations(factor, penalty, every), key=lambda rung: rung[0])[1]
        found = search(factor, penalty, begin, every)
        values, rss = factor.solve(found)
        return float(likelihood(rss, factor.n) + penalty[found].sum()) - self.value, offered[found], values

    def rss(self, kinds: Sequence[Saturation], support: np.ndarray) -> float:
        """Return RSS on a support."""
        factor, _, offered = self.problem(kinds)
        return factor.solve(np.searchsorted(offered, support))[1]


def saturated(
    request: Request,
    samples: Samples,
    pool: Pool,
    build: Callable[[Library], System],
    report: Callable[[str], None],
) -> tuple[Pool, Library] | None:
    """Return the pool of the best law with saturations and its library; None where none is in sight.

    Parameters
    ----------
    pool : of the best law so far; its states are where the inner constants are sought, unless it has some
    build : makes the system for a library
    """
    names = request.trajectories.names
    try:
        if pool.inner:
            # The same law on other states.
            kinds, support = pool.inner, pool.ranked[0].estimate.support
            values = coefficients_of(build(library_with(kinds, names)), samples.smooth, support).ravel()[support]
            begin = Estimate(samples.smooth, pool.ranked[0].estimate.coefficients, support, FIRST_ERROR, samples.noise)
        else:
            begin = pool.ranked[0].estimate
            profile = Profile(pool.system, begin, names, build)
            kinds = _sought(profile, samples, names)
            if not kinds:
                return None
            _, support, values = profile.best(kinds)
        for turn in range(TURNS):
            library = library_with(kinds, names)
            new = Pool(build(library), samples.smooth, samples.noise, report)
            new.inner = kinds
            coefficients = np.zeros(new.system.shape)
            coefficients.ravel()[support] = values
            error = max(begin.error, HOLDS)
            new.settle(replace(begin, coefficients=coefficients, support=support, error=error, visited=()))
            if not new.ranked:
                return None
            begin = new.ranked[0].estimate
            kinds = _refined(Profile(new.system, begin, names, build), kinds, support)
            if kinds == new.inner or turn == TURNS - 1:
                new.compare()
                changed = new.ranked[0].estimate
                if turn == TURNS - 1 or changed.support.tolist() == support.tolist():
                    break
                begin, support = changed, changed.support
            values = begin.coefficients.ravel()[support]
    except (LinAlgError, ValueError):
        return None
    report("with saturations " + ", ".join(f"{kind.half:.6g} of {kind.variable}" for kind in new.inner))
    new.insist()
    return new, library


def value(pool: Pool) -> float:
    """Return the criterion of a pool's best law with the description length of its inner constants.

    Each is a number that was estimated, and its kind is one of so many.
    """
    d = pool.system.shape[1]
    used = {pool.system.basis.texts[k // d] for k in pool.ranked[0].key}
    names = pool.system.basis.names[: pool.system.y.shape[1]]
    count = sum(not used.isdisjoint(kind.texts(names)) for kind in pool.inner)
    return pool.ranked[0].criterion + count * _cost(pool.system)


def _cost(system: System) -> float:
    return float(np.log(system.effective) + 2 * np.log(system.y.shape[1] * len(POWERS)))


def sharpened(request: Request, pool: Pool, build: Callable[[Library], System]) -> tuple[Pool, Library]:
    """Return a pool at its own least noise with the inner constants estimated once more, and its library.

    Data without noise determine them further than the first fits, whose noise has a floor, do.
    """
    names = request.trajectories.names
    for _ in range(TURNS):
        winner = pool.ranked[0].estimate
        try:
            kinds = _refined(Profile(pool.system, winner, names, build), pool.inner, winner.support)
        except (LinAlgError, ValueError):
            break
        if kinds == pool.inner:
            break
        library = library_with(kinds, names)
        new = Pool(replace(build(library), floor=pool.system.floor), pool.x, pool.noise, pool.report)
        new.inner, new.elsewhere = kinds, pool.elsewhere
        for model in pool.ranked[:3]:
            new.settle(replace(model.estimate, visited=()), most=45, least_error=pool.system.floor)
        if not new.ranked or not new.ranked[0].criterion < pool.ranked[0].criterion:
            break
        pool = new
    return pool, library_with(pool.inner, names)


def _sought(profile: Profile, samples: Samples, names: Sequence[str]) -> tuple[Saturation, ...]:
    """Return the saturations that lower the criterion at the states of the estimate, and those nearly as good."""
    chosen: tuple[Saturation, ...] = ()
    lowest = 0.0
    while len(chosen) < MOST_KINDS:
        grid: list[tuple[float, Saturation]] = []
        for i, power in itertools.product(range(len(names)), POWERS):
            if any((k.variable, k.power) == (names[i], power) for k in chosen):
                continue
            own = []
            for relative in np.geomspace(LEAST_HALF, MOST_HALF, HALVES):
                if power == 1 and samples.smooth[:, i].min() < -0.5 * relative:
                    continue
                kind = Saturation(names[i], power, float((relative * samples.scales[i]) ** power))
                own.append((profile.best((*chosen, kind))[0], kind))
            grid += [min(own, key=lambda pair: pair[0])] if own else []
        grid = sorted(grid, key=lambda pair: pair[0])[:REFINED]
        fine = sorted((_tuned(profile, chosen, kind) for _, kind in grid), key=lambda pair: pair[0])
        if not fine or fine[0][0] + _cost(profile.system) > lowest:
            return chosen
        best = fine[0][0]
        near = [kind for score, kind in fine if score < best + NEAR]
        chosen, lowest = (*chosen, *near)[:MOST_KINDS], profile.best((*chosen, *near)[:MOST_KINDS])[0]
    return chosen


def _tuned(profile: Profile, others: tuple[Saturation, ...], kind: Saturation) -> tuple[float, Saturation]:
    """Return the criterion with the best half-saturation near a kind's own, and the kind with it."""
    step = np.log(MOST_HALF / LEAST_HALF) / (HALVES - 1) * kind.power

    def score(shift: float) -> float:
        return profile.best((*others, replace(kind, half=kind.half * float(np.exp(shift)))))[0]

    found = minimize_scalar(score, bounds=(-step, step), method="bounded", options={"xatol": 1e-4, "maxiter": 30})
    return float(found.fun), replace(kind, half=kind.half * float(np.exp(found.x)))


def _refined(profile: Profile, kinds: tuple[Saturation, ...], support: np.ndarray) -> tuple[Saturation, ...]:
    """Return the saturations with the half-saturations that are best on a support, one after the other.

    Each is rounded to what its standard error leaves of it, and stays where it is within a twentieth of that.
    """
    result = list(kinds)
    for k, kind in enumerate(kinds):
        others = [other.texts(profile.names) for other in kinds[:k]]
        first = len(profile.build(PolynomialLibrary(DEGREE)).basis.texts) + sum(map(len, others))
        d = profile.system.y.shape[1]
        own = range(first, first + len(kind.texts(profile.names)))
        if not any(int(s) // d in own for s in support):
            continue

        def rss(shift: float, k: int = k, kind: Saturation = kind) -> float:
            return profile.rss(
                [*result[:k], replace(kind, half=kind.half * float(np.exp(shift))), *result[k + 1 :]], support
            )

        # A parabola through three points, twice: RSS is smooth in the logarithm.
        middle, width = 0.0, 1e-2
        error = np.inf
        for _ in range(3):
            low, here, high = rss(middle - width), rss(middle), rss(middle + width)
            bend = (low - 2 * here + high) / width**2
            if not bend > 0:
                break
            error = np.sqrt(2 / bend)
            middle += float(np.clip((low - high) / (2 * width * bend), -0.3, 0.3))
            width = float(np.clip(error, 1e-5, 1e-2))
        if not np.isfinite(error):
            continue
        digits = int(np.clip(np.ceil(-np.log10(error)) + SPARE, 3, 12))
        half = kind.half if abs(middle) < 0.05 * error else kind.half * float(np.exp(middle))
        result[k] = replace(kind, half=float(f"{half:.{digits}g}"))
    return tuple(result)
