"""Selection of terms: which columns of a least-squares problem are worth their description.

The problem is given by its triangular factor, so that every candidate move costs a few products with a small matrix.
The criterion of a support S with residual sum of squares RSS(S) is

    L(RSS) + sum of the penalties of its terms,    L = RSS below n, n log(RSS / n) + n above,

the likelihood of n whitened residuals, which grows only like a logarithm where the model or the noise level is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

__all__ = ["Factor", "eliminations", "likelihood", "path", "search"]

MOST_MOVES = 60
# Pairs of columns: which square of the part of a column of norm one outside others differences can still tell from
# rounding, and of the sine between two such parts.
SHORTEST, NARROWEST = 1e-10, 1e-4
# What every column has to itself beside its norm of one, so that dependent ones can be told apart.
RIDGE = 1e-7


def likelihood(rss: np.ndarray | float, n: float) -> np.ndarray:
    """Return L(RSS)."""
    rss = np.maximum(rss, 1e-300)
    return np.where(rss < n, rss, n * np.log(np.maximum(rss, n) / n) + n)


@final
@dataclass(frozen=True, eq=False)
class Factor:
    """A least-squares problem after QR.

    Attributes
    ----------
    columns : [q, P], R or any matrix with the same Gram matrix, columns of norm one.
    target : [q], the right-hand side in the same coordinates.
    rest : the part of its square that no column reaches.
    norms : [P], what the columns were divided by.
    n : number of equations.
    """

    columns: np.ndarray
    target: np.ndarray
    rest: float
    norms: np.ndarray
    n: int

    @classmethod
    def of(cls, matrix: np.ndarray, target: np.ndarray, n: int | None = None) -> Factor:
        """Factor a matrix [rows, P] and its right-hand side [rows]; they amount to n equations, all if absent."""
        rows, count = int(matrix.shape[0]), int(matrix.shape[1])
        n = rows if n is None else n
        if rows <= count + 1:
            triangle, right, rest = matrix, target, 0.0
        else:
            triangle = np.asarray(np.linalg.qr(np.column_stack([matrix, target]), mode="r"))
            triangle, right, rest = (
                triangle[:count, :count],
                triangle[:count, count],
                float(triangle[count, count] ** 2),
            )
        norms = np.linalg.norm(triangle, axis=0)
        norms = np.where(norms > 0, norms, 1.0)
        return cls(triangle / norms, right, rest, norms, n)

    def solve(self, support: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the coefficients on a support (indices) and the residual sum of squares."""
        if not len(support):
            return np.zeros(0), self.rest + float(self.target @ self.target)
        q, r = np.linalg.qr(self.columns[:, support])
        projected = q.T @ self.target
        residual = self.target - q @ projected
        return _back(r, projected) / self.norms[support], self.rest + float(residual @ residual)

    def moves(self, support: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Return RSS of a support, and after every single move.

        Returns
        -------
        rss : of the support
        added : [P], with one more column (infinite for those in the support and for dependent ones)
        removed : [s], without one of its columns
        swapped : [s, P], with a column in the place of one of its own
        """
        size, count = len(support), self.columns.shape[1]
        blocked = np.zeros(count, dtype=bool)
        blocked[support] = True
        if size:
            q, r = np.linalg.qr(self.columns[:, support])
            shadow = q.T @ self.columns
            residual = self.target - q @ (q.T @ self.target)
            left = self.columns - q @ shadow
            # Row k of R^-T: the direction that only column k of the support has, as coefficients of q.
            own = np.linalg.pinv(r) if np.min(np.abs(np.diag(r))) < 1e-12 else np.linalg.inv(r)
            # A column of zeros has no direction of its own, and nothing is lost without it.
            own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), np.finfo(np.float64).tiny)
            parts = own @ shadow
            along = own @ (q.T @ self.target)
        else:
            residual, left = self.target, self.columns
            parts, along = np.zeros((0, count)), np.zeros(0)
        rss = self.rest + float(residual @ residual)
        slope, length = left.T @ residual, np.einsum("ij,ij->j", left, left)
        with np.errstate(divide="ignore", invalid="ignore"):
            added = np.where(blocked | (length < 1e-12), np.inf, rss - slope**2 / length)
            removed = rss + along**2
            height = length + parts**2
            swapped = removed[:, None] - (slope + along[:, None] * parts) ** 2 / height
        swapped[:, blocked] = np.inf
        swapped[height < 1e-12] = np.inf
        return rss, np.maximum(added, self.rest), removed, np.maximum(swapped, self.rest)

    def pairs(self, support: np.ndarray, gram: np.ndarray) -> tuple[float, np.ndarray]:
        """Return RSS of a support, and [P, P] after two more columns at once (infinite where they are none).

        `gram` is columns' columns. Where its differences are rounding, a pair is left out.
        """
        q = np.linalg.qr(self.columns[:, support])[0] if len(support) else self.columns[:, :0]
        shadow, projected = q.T @ self.columns, q.T @ self.target
        residual = self.target - q @ projected
        rss = self.rest + float(residual @ residual)
        slope = self.columns.T @ residual
        cross = gram - shadow.T @ shadow
        length = np.diag(cross).copy()
        usable = length > SHORTEST
        usable[support] = False
        one = np.where(usable, slope / np.sqrt(np.where(usable, length, 1.0)), 0.0)
        scale = np.where(usable, 1 / np.sqrt(np.where(usable, length, 1.0)), 0.0)
        cosine = cross * scale[:, None] * scale
        sine = 1 - cosine**2
        squares = one**2
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = (squares[:, None] + squares - 2 * cosine * np.outer(one, one)) / sine
        gain[(sine < NARROWEST) | ~usable[:, None] | ~usable] = -np.inf
        return rss, np.maximum(rss - gain, self.rest)


def _back(r: np.ndarray, right: np.ndarray) -> np.ndarray:
    from scipy.linalg import solve_triangular

    diagonal = np.abs(np.diag(r))
    if diagonal.min() < 1e-13 * diagonal.max():
        return np.linalg.lstsq(r, right, rcond=1e-13)[0]
    return solve_triangular(r, right, check_finite=False)


def search(factor: Factor, penalty: np.ndarray, support: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return a support from which no single addition, removal or swap lowers the criterion.

    Parameters
    ----------
    factor : the problem, with P columns
    penalty : [P], of the terms
    support : indices where the search starts
    allowed : bool [P], which columns may enter.
    """
    support = np.asarray(support, dtype=int)
    barred = np.where(allowed, 0.0, np.inf)
    for _ in range(MOST_MOVES):
        rss, added, removed, swapped = factor.moves(support)
        own = penalty[support]
        now = float(likelihood(rss, factor.n))
        grown = likelihood(added, factor.n) + penalty + barred - now
        choices = [(float(grown.min(initial=np.inf)), "add")]
        if len(support):
            shrunk = likelihood(removed, factor.n) - own - now
            changed = likelihood(swapped, factor.n) - own[:, None] + penalty + barred - now
            choices += [(float(shrunk.min()), "remove"), (float(changed.min()), "swap")]
        gain, move = min(choices)
        if not gain < -1e-9:
            break
        if move == "add":
            support = np.append(support, int(np.argmin(grown)))
        elif move == "remove":
            support = np.delete(support, int(np.argmin(shrunk)))
        else:
            out, new = np.unravel_index(int(np.argmin(changed)), changed.shape)
            support = np.append(np.delete(support, out), int(new))
    return np.sort(support)


def path(factor: Factor, penalty: np.ndarray, allowed: np.ndarray, most: int = 12) -> list[np.ndarray]:
    """Return a good support of each size from zero on: forward steps, each followed by swaps."""
    support = np.zeros(0, dtype=int)
    found = [support]
    barred = np.where(allowed, 0.0, np.inf)
    for _ in range(min(most, int(allowed.sum()), factor.n - 2)):
        _, added, _, _ = factor.moves(support)
        added = added + barred
        if not np.isfinite(added.min()):
            break
        support = np.append(support, int(np.argmin(added)))
        for _ in range(10):
            rss, _, _, swapped = factor.moves(support)
            swapped = swapped + barred
            out, new = np.unravel_index(int(np.argmin(swapped)), swapped.shape)
            if not swapped[out, new] < rss * (1 - 1e-9):
                break
            support = np.append(np.delete(support, out), int(new))
        found.append(np.sort(support))
    return found


def eliminations(factor: Factor, penalty: np.ndarray, allowed: np.ndarray) -> list[tuple[float, np.ndarray]]:
    r"""Return the supports of backward elimination with their criteria, from all allowed columns down to none.

    One column at a time is taken away, the one without which the criterion is least. Terms that only together stand for
    something are all there at the beginning, where steps forward and exchanges would have to find each by itself. With
    the rows d_k of the pseudo-inverse (the direction that only column k has) and the coefficients b_k = d_k t, taking k
    away adds

    .. math:: b_k^2 / |d_k|^2

    to RSS, and the rows of the others lose their part along d_k, so that the whole path takes P^3 operations.

    Parameters
    ----------
    factor : the problem, with P columns
    penalty : [P], of the terms
    allowed : bool [P], the columns at the beginning, of which those that are zero are left out.
    """
    place = np.flatnonzero(allowed & factor.columns.any(axis=0))
    columns = factor.columns[:, place]
    q, r = np.linalg.qr(np.vstack([columns, RIDGE * np.eye(len(place))]))
    target = q[: len(columns)].T @ factor.target
    rows = np.linalg.inv(r) if len(place) else np.zeros((0, 0))
    values = rows @ target
    rss = factor.rest + max(float(factor.target @ factor.target - target @ target), 0.0)
    own, alive = penalty[place], np.ones(len(place), dtype=bool)
    found: list[tuple[float, np.ndarray]] = []
    for _ in range(len(place)):
        found.append((float(likelihood(rss, factor.n) + own[alive].sum()), place[alive]))
        squares = np.where(alive, np.einsum("ij,ij->i", rows, rows), 1.0)
        after = rss + values**2 / squares
        k = int(np.argmin(np.where(alive, likelihood(after, factor.n) - own, np.inf)))
        rss, alive[k] = float(after[k]), False
        direction, along = rows[k] / np.sqrt(squares[k]), values[k] / np.sqrt(squares[k])
        parts = rows @ direction
        rows -= np.outer(parts, direction)
        values -= parts * along
    return [*found, (float(likelihood(rss, factor.n)), place[:0])]
