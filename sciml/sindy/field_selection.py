r"""Choosing the terms of one equation: moves on a triangular factor, errors in variables, the criterion.

For a support the coefficients minimise :math:`\sum_m 2 |r_m|^2 / S_m(w)` with r = b - A w, whose Gauss-Newton step is
least squares on columns freed of the errors that the residual reveals, :math:`A_j - r (V \tilde w)_j / S`. Supports
change by adding, removing and swapping terms where that pays more than the description length of a term.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from scipy import linalg

from sciml.sindy.field_system import WeakSystem

__all__ = ["DROWNED", "Candidate", "Factor", "Selection", "excess"]

STEPS = 25
# Steps end where the next one would change the residual by this much of a standard deviation, squared.
CONVERGED = 1e-4
# Mean square of the time derivative over a law's own noise below which the law says nothing of it. Right laws have
# 0.4 and more (Kuramoto-Sivashinsky with 200 % noise), relations without the time derivative 1e-9 and less.
DROWNED = 0.01
# A column of unit length of which others leave less than this, squared, is made up of them.
NOTHING = 1e-12


def excess(rss: float, n: int) -> float:
    """Return n log(RSS/n) + n above n (the scale is then unknown), RSS below."""
    return n * np.log(rss / n) + n if rss > n else rss


@final
@dataclass(frozen=True)
class Candidate:
    """A support with its coefficients at convergence.

    Attributes
    ----------
    support : columns, sorted.
    w : coefficients of all columns [J], zero outside.
    misfit : RSS / n, one where noise explains the residual.
    criterion : twice the negative logarithm of likelihood times prior.
    covariance : sandwich, of the coefficients in the support.
    volume : a charge for the noise that products of noise add to the residual's, twice the logarithm of what it does
        to its likelihood if that noise were independent of the rest.
    charged : the part of it that the criterion has.
    """

    support: tuple[int, ...]
    w: np.ndarray
    misfit: float
    criterion: float
    covariance: np.ndarray
    volume: float = 0.0
    charged: float = 1.0

    @property
    def plain(self) -> float:
        """The criterion without the charge: what is left unexplained, and the description lengths."""
        return self.criterion - self.charged * self.volume

    @property
    def full(self) -> float:
        """The criterion with the whole charge."""
        return self.criterion + (1.0 - self.charged) * self.volume


@final
class Factor:
    """Least squares on any subset of columns, from one triangular factor of them.

    Parameters
    ----------
    X : real [n, J + 1]; the last column is explained by the others.
    penalties : [J].
    allowed : [J] columns that may enter.
    fixed : [J] columns that stay.
    """

    def __init__(self, X: np.ndarray, penalties: np.ndarray, allowed: np.ndarray) -> None:
        self.n = len(X)
        scale = np.linalg.norm(X, axis=0)
        self.scale = np.where(scale > 0.0, scale, 1.0)
        factor = np.asarray(linalg.qr(X / self.scale, mode="r", overwrite_a=True, check_finite=False)[0])[: X.shape[1]]
        self.R, self.y = factor[:, :-1], factor[:, -1] * self.scale[-1]
        self.penalties, self.allowed = penalties, allowed & (scale[:-1] > 0.0)
        self._known: dict[tuple[int, ...], tuple[float, np.ndarray, np.ndarray]] = {}

    def _usable(self, allowed: np.ndarray | None) -> np.ndarray:
        return self.allowed if allowed is None else self.allowed & allowed

    def value(self, rss: float, support: Iterable[int]) -> float:
        """Return the criterion of a support with residual sum of squares `rss`."""
        return excess(max(rss, 1e-300), self.n) + float(self.penalties[list(support)].sum())

    def _residual(self, support: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return all columns and the target without their parts in the support."""
        if not support:
            return self.R, self.y
        q = np.linalg.qr(self.R[:, support])[0]
        return self.R - q @ (q.T @ self.R), self.y - q @ (q.T @ self.y)

    def additions(self, support: list[int], allowed: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the RSS of the support, and with each further column added (infinite where it may not be)."""
        key = tuple(sorted(support))
        if key not in self._known:
            # Paths through different parts of a library come by the same supports again and again.
            columns, rest = self._residual(support)
            norms = np.einsum("ij,ij->j", columns, columns)
            self._known[key] = float(rest @ rest), norms, (rest @ columns) ** 2 / np.maximum(norms, NOTHING)
        rss, norms, gains = self._known[key]
        usable = allowed & (norms > NOTHING)
        usable[support] = False
        return rss, np.where(usable, np.maximum(rss - gains, 0.0), np.inf)

    def moves(self, support: list[int], allowed: np.ndarray) -> list[tuple[float, tuple[int, ...]]]:
        """Return the criterion and support of every addition, removal and exchange of one term, best first."""
        found: list[tuple[float, tuple[int, ...]]] = []
        for rss, values, base in self._steps(support, allowed):
            if base is not support:
                found.append((self.value(rss, base), tuple(sorted(base))))
            for j in np.flatnonzero(np.isfinite(values)).tolist():
                found.append((float(values[j]), tuple(sorted([*base, j]))))
        return sorted(found)

    def _steps(self, support: list[int], allowed: np.ndarray) -> Iterator[tuple[float, np.ndarray, list[int]]]:
        """Yield, for the support and it without each of its terms, the RSS and the criterion with each other column."""
        for base in (support, *([k for k in support if k != gone] for gone in support)):
            rss, with_one = self.additions(base, allowed)
            if base is not support:
                with_one[support] = np.inf
            least = np.maximum(with_one, 1e-300)
            values = np.where(least > self.n, self.n * np.log(least / self.n) + self.n, least)
            yield rss, values + self.penalties + self.penalties[base].sum(), base

    def nearest(self, support: Iterable[int], gone: int, among: np.ndarray) -> tuple[float, int]:
        """Return the column most like one of a support, apart from the rest of it, and the cosine's square before."""
        columns, _ = self._residual([j for j in support if j != gone])
        norms = np.einsum("ij,ij->j", columns, columns)
        usable = self.allowed & among & (norms > NOTHING)
        usable[list(support)] = False
        squares = np.where(usable, (columns[:, gone] @ columns) ** 2 / np.maximum(norms, NOTHING), 0.0)
        best = int(np.argmax(squares))
        return float(squares[best] / max(norms[gone], NOTHING)), best

    def exchanges(self, support: list[int], allowed: np.ndarray) -> list[tuple[float, tuple[int, ...]]]:
        """Return the criterion and support after the exchange of every pair of terms for the best other one, two."""
        found: list[tuple[float, tuple[int, ...]]] = []
        for k, first in enumerate(support):
            for second in support[k + 1 :]:
                base = [j for j in support if j not in (first, second)]
                others = allowed.copy()
                others[[first, second]] = False
                for _ in range(2):
                    values = self.additions(base, others)[1]
                    best = int(np.argmin(values))
                    if not np.isfinite(values[best]):
                        break
                    base = sorted([*base, best])
                    found.append((self.value(float(values[best]), base), tuple(base)))
        return sorted(found)

    def descend(self, support: Iterable[int], allowed: np.ndarray | None = None) -> tuple[int, ...]:
        """Return the support from which no single move improves the criterion."""
        allowed = self._usable(allowed)
        current = sorted(support)
        best = self.value(self.rss(current), current)
        for _ in range(60):
            moves = []
            for rss, values, base in self._steps(current, allowed):
                k = int(np.argmin(values))
                moves.append((float(values[k]), [*base, k]))
                if base is not current:
                    moves.append((self.value(rss, base), base))
            value, support = min(moves)
            if value >= best - 1e-9:
                break
            best, current = value, sorted(support)
        return tuple(current)

    def path(self, most: int, allowed: np.ndarray | None = None) -> list[tuple[int, ...]]:
        """Return good supports of 1, 2, ..., `most` terms: forward steps, each followed by exchanges."""
        allowed = self._usable(allowed)
        current: list[int] = []
        found = []
        for size in range(1, most + 1):
            _, with_one = self.additions(current, allowed)
            if not np.isfinite(with_one).any():
                break
            current = sorted([*current, int(np.argmin(with_one))])
            for _ in range(2 * size):
                rss = self.rss(current)
                trials = []
                for gone in current:
                    base = [k for k in current if k != gone]
                    values = self.additions(base, allowed)[1]
                    trials.append((float(values.min()), sorted([*base, int(np.argmin(values))])))
                best = min(trials)
                if best[0] >= rss * (1.0 - 1e-9):
                    break
                current = best[1]
            found.append(tuple(current))
        return found

    def eliminate(self, least: int, most: int, allowed: np.ndarray | None = None) -> list[tuple[int, ...]]:
        """Return supports of `most` to `least` terms, by removing the least important term from all, one at a time.

        Terms that are worth something only together survive this, where adding one at a time does not find them.
        """
        allowed = self._usable(allowed)
        current = np.flatnonzero(allowed)
        # Columns that others make up for are the first to go.
        pivoted: Any = linalg.qr(self.R[:, current], mode="economic", pivoting=True)
        _, triangle, order = pivoted
        current = current[order[: int(np.sum(np.abs(np.diag(triangle)) > 1e-7))]]
        found = []
        while len(current) > least:
            q, triangle = np.linalg.qr(self.R[:, current])
            inverse = linalg.solve_triangular(triangle, np.eye(len(current)))
            w = inverse @ (q.T @ self.y)
            loss = w**2 / np.einsum("ij,ij->i", inverse, inverse)
            current = np.delete(current, int(np.argmin(loss)))
            if len(current) <= most:
                found.append(tuple(sorted(current.tolist())))
        return found

    def solve(self, support: Iterable[int]) -> np.ndarray:
        """Return the coefficients [J] of least squares on a support."""
        w = np.zeros(self.R.shape[1])
        chosen = list(support)
        if chosen:
            w[chosen] = np.linalg.lstsq(self.R[:, chosen], self.y, rcond=None)[0] / self.scale[chosen]
        return w

    def rss(self, support: Iterable[int]) -> float:
        """Return the residual sum of squares of least squares on a support."""
        rest = self._residual(list(support))[1]
        return float(rest @ rest)


@final
class Selection:
    """Errors in variables for the equation of one field.

    Parameters
    ----------
    system : its weak form.
    penalties : of the terms [J].
    allowed : terms that may enter [J].
    fixed : known coefficients [J], of terms that may not enter.
    """

    def __init__(
        self, system: WeakSystem, penalties: np.ndarray, allowed: np.ndarray, fixed: np.ndarray | None = None
    ) -> None:
        self.system, self.penalties, self.allowed = system, penalties, allowed
        self.fixed = np.zeros(len(penalties)) if fixed is None else fixed
        # The mode without any wave is real: one equation of twice the weight instead of two.
        self.real: np.ndarray = np.asarray(~system.modes.index.any(axis=1))
        self.n = 2 * len(self.real) - int(self.real.sum())
        self.weight = np.where(self.real, 1.0, 2.0)

    def _stack(self, columns: np.ndarray) -> np.ndarray:
        """Return real and imaginary parts as rows."""
        return np.concatenate([np.real(columns), np.imag(columns)[~self.real]])

    def factor(self, w: np.ndarray) -> Factor:
        """Return the linearised problem about w, with all columns."""
        system = self.system
        S = system.residual_spectrum(w)
        r = system.b - system.A @ w
        columns = system.A - (r / S)[:, None] * system.error_covariance(w) if w.any() else system.A
        root = np.sqrt(self.weight / S)
        X = np.concatenate([columns, (r + columns @ (w - self.fixed))[:, None]], axis=1) * root[:, None]
        return Factor(self._stack(X), self.penalties, self.allowed)

    def _merit(self, w: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        S = np.maximum(self.system.residual_spectrum(w), 1e-300)
        used = np.flatnonzero(w)
        r = self.system.b - self.system.A[:, used] @ w[used]
        # Coefficients on the way to nowhere may overflow; such steps are not taken.
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(self.weight * np.abs(r) ** 2 / S)), S, r

    def solve(self, support: Iterable[int], w: np.ndarray | None = None, steps: int = STEPS) -> Candidate:
        """Return the coefficients of a support by Gauss-Newton with step halving, and the criterion there."""
        system = self.system
        chosen = np.array(sorted(support), dtype=int)
        full = self.fixed.copy()
        if w is not None:
            full[chosen] = w[chosen]
        merit, S, r = self._merit(full)
        X = np.zeros((self.n, 0))
        for _ in range(steps if len(chosen) else 0):
            columns = system.A[:, chosen]
            if full.any():
                columns = columns - (r / S)[:, None] * system.error_covariance(full, chosen)
            root = np.sqrt(self.weight / S)
            X = self._stack(columns * root[:, None])
            scale = np.linalg.norm(X, axis=0)
            scale[scale == 0.0] = 1.0
            step = np.linalg.lstsq(X / scale, self._stack(r * root), rcond=None)[0] / scale
            length = float(np.sum((X @ step) ** 2))
            found = None
            for _ in range(8):
                trial = full.copy()
                trial[chosen] += step
                new = self._merit(trial)
                # From zero the first step changes S by orders of magnitude, so it is not judged.
                if np.isfinite(new[0]) and (not full.any() or new[0] <= merit * (1.0 + 1e-12)):
                    found = new
                    break
                step = step / 2.0
            if found is None:
                break
            full, (merit, S, r) = trial, found
            if length < CONVERGED:
                break
        linear = system.residual_spectrum(full, linear=True)
        volume = float(np.sum(self.weight * np.log(S / linear)))
        still = system.b - system.A @ self.fixed
        value = excess(merit, self.n) + volume + float(self.penalties[chosen].sum())
        if len(chosen) and np.sum(self.weight * np.abs(still) ** 2 / S) < DROWNED * self.n:
            # Coefficients so large that the time derivative drowns in their noise: a relation without it.
            value = np.inf
        covariance = np.zeros((len(chosen), len(chosen)))
        if len(chosen):
            scale = np.linalg.norm(X, axis=0)
            scale[scale == 0.0] = 1.0
            scores = X / scale * self._stack(r * np.sqrt(self.weight / S))[:, None]
            bread = np.linalg.pinv((X / scale).T @ (X / scale))
            # A column of next to nothing has an error beyond all numbers.
            with np.errstate(over="ignore", invalid="ignore"):
                covariance = bread @ (scores.T @ scores) @ bread / scale[:, None] / scale
        return Candidate(tuple(chosen.tolist()), full, merit / self.n, value, covariance, volume)
