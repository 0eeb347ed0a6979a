"""Shooting: a law's coefficients and first states for which its own solution is nearest to the data.

The law is taken to be exact and all that is left to be an error of observation, the output error of system
identification (Ljung 1999; for the choice of terms Piroddi and Spinelli 2003, doi:10.1080/00207170310001635419):

    min sum_k sum_i ((y_i(t_k) - x_i(t_k; Xi, x_0)) / s_i)^2,     x' = f(x; Xi),  x(t_0) = x_0.

The solution over a long record is a rough function of the coefficients, that over a short one is not. So the data are
predicted piece by piece from the smoothed states at their beginnings, and the pieces become longer each time, up to the
whole record, whose first states are then free. A law that is unstable where the data are not predicts long pieces
badly, though it may fit every sampling interval.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from sciml.sindy.refinement import System

__all__ = ["Shot", "jacobian", "pieces_of", "predict", "shoot", "simulate", "variation"]

# Steps of the fourth-order method per interval between nodes; a state that is this far off, in units of the states'
# sizes, has left for good.
STEPS, LOST = 2, 1e3
# How much longer pieces become each time, and the part of the variation that their solutions may leave unexplained.
LONGER, UNEXPLAINED = 1.4, 0.5
MOST_ROUNDS, TRIES = 25, 8
SLIGHT = 1e-7
# Relative decrease of the sum of squares at which a stage, and the last one, ends.
ROUGHLY, EXACTLY = 1e-2, 1e-6


@final
@dataclass(frozen=True, eq=False)
class Shot:
    """Solutions that were fitted to the pieces of a record.

    Attributes
    ----------
    coefficients : [p, d]; support : flat indices into them (term * d + equation)
    pieces : int [S, 2], nodes of each piece, from and up to
    first : first states [S, d]
    x : the solutions [N, d]
    noise : root mean square of what they leave of the samples [d]
    unexplained : the same squared, as part of each unknown's variation [d].
    """

    coefficients: np.ndarray
    support: np.ndarray
    pieces: np.ndarray
    first: np.ndarray
    x: np.ndarray
    noise: np.ndarray
    unexplained: np.ndarray


def pieces_of(bounds: np.ndarray, length: int) -> np.ndarray:
    """Return pieces [S, 2] of about a length that cover the records between bounds."""
    found = []
    for a, b in itertools.pairwise(bounds.tolist()):
        edges = np.linspace(a, b, max((b - a) // length, 1) + 1).astype(int)
        found += list(itertools.pairwise(edges.tolist()))
    return np.array(found)


def simulate(
    system: System, times: np.ndarray, pieces: np.ndarray, coefficients: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """Return solutions [m, N, d] of m laws [m, p, d] over all pieces, from first states [m, S, d]."""
    m, count, d = first.shape
    begin, lengths = pieces[:, 0], pieces[:, 1] - pieces[:, 0]
    out = np.zeros((m, len(times), d))

    def slope(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(m * count, d)
        f = np.matmul(system.basis.values(flat).reshape(m, count, -1), coefficients)
        if system.known is not None and system.fixed is not None:
            f = f + (system.known.values(flat) @ system.fixed).reshape(f.shape)
        return f

    x = first
    with np.errstate(all="ignore"):
        for k in range(int(lengths.max())):
            own = np.flatnonzero(k < lengths)
            out[:, begin[own] + k] = x[:, own]
            here = np.minimum(begin + k, len(times) - 2)
            h = ((times[here + 1] - times[here]) / STEPS)[:, None]
            if k + 1 == lengths.max():
                break
            for _ in range(STEPS):
                k1 = slope(x)
                k2 = slope(x + h / 2 * k1)
                k3 = slope(x + h / 2 * k2)
                x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + h * k3))
                x = np.clip(np.nan_to_num(x, nan=LOST, posinf=LOST, neginf=-LOST), -LOST, LOST)
    return out


def jacobian(system: System, times: np.ndarray, shot: Shot, support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the solutions [N, d] and their derivatives by coefficients on a support, then by first states [N, d, q].

    By differences: all neighbours are solved in one batch, all pieces' first states at once.
    """
    d, s = system.shape[1], len(support)
    size = np.maximum(np.abs(shot.coefficients.ravel()[support]), 1e-3 * np.max(np.abs(shot.coefficients)) + 1e-9)
    coefficients = np.repeat(shot.coefficients[None], s + d + 1, axis=0)
    first = np.repeat(shot.first[None], s + d + 1, axis=0)
    for j, k in enumerate(support):
        coefficients[j + 1, k // d, k % d] += SLIGHT * size[j]
    for i in range(d):
        first[s + i + 1, :, i] += SLIGHT
    solved = simulate(system, times, shot.pieces, coefficients, first)
    slopes = np.zeros((*solved[0].shape, s + len(shot.pieces) * d))
    slopes[:, :, :s] = np.moveaxis((solved[1 : s + 1] - solved[0]) / (SLIGHT * size[:, None, None]), 0, 2)
    for k, (a, b) in enumerate(shot.pieces.tolist()):
        own = (solved[s + 1 :, a:b] - solved[0, a:b]) / SLIGHT
        slopes[a:b, :, s + k * d : s + (k + 1) * d] = np.moveaxis(own, 0, 2)
    return solved[0], slopes


def variation(system: System) -> np.ndarray:
    """Return the standard deviations [d] of the samples."""
    values = np.where(system.spread == 1, system.y, np.nan)
    return np.maximum(np.nanstd(values, axis=0), 1e-9)


def predict(
    system: System,
    times: np.ndarray,
    coefficients: np.ndarray,
    support: np.ndarray,
    x: np.ndarray,
    pieces: np.ndarray,
    spread: np.ndarray,
) -> Shot:
    """Fit the solutions from the beginnings of pieces, which stay where the states x [N, d] are there."""
    nothing = np.zeros(system.shape[1])
    shot = Shot(coefficients, support, pieces, x[pieces[:, 0]], x, nothing, nothing)
    return _descend(system, times, shot, spread, ROUGHLY, free=False)


def shoot(
    system: System, times: np.ndarray, coefficients: np.ndarray, support: np.ndarray, x: np.ndarray, length: int
) -> Shot | None:
    """Fit the law's own solutions over whole records to the data.

    Parameters
    ----------
    system : the data and the terms
    times : of the nodes [N]
    coefficients, support : where to start [p, d], and the terms that there are
    x : states [N, d] for the first ones of the pieces
    length : of the pieces at first, in nodes; each time they become longer by two fifths.

    Returns
    -------
    Shot, or None where no solution comes near the data.
    """
    bounds = system.defects.bounds
    spread = variation(system)
    longest = int(np.diff(bounds).max())
    while True:
        length = longest if length > 0.7 * longest else length
        shot = predict(system, times, coefficients, support, x, pieces_of(bounds, length), spread)
        if not np.all(shot.unexplained < UNEXPLAINED):
            return None
        coefficients = shot.coefficients
        if length == longest:
            break
        length = int(np.ceil(LONGER * length))
    # The unknowns are weighted by what the solution leaves of them, as is most likely.
    for _ in range(2):
        shot = _descend(system, times, shot, shot.noise, EXACTLY)
    return shot if np.all(shot.unexplained < UNEXPLAINED) else None


def _descend(
    system: System, times: np.ndarray, shot: Shot, spread: np.ndarray, enough: float, free: bool = True
) -> Shot:
    """Return the shot after Levenberg and Marquardt's method; the first states move only if they are free."""
    used, y, d, support = system.spread == 1, system.y, system.shape[1], shot.support
    damping = 1e-4
    for _ in range(MOST_ROUNDS):
        x, slopes = jacobian(system, times, shot, support)
        shot = replace(shot, x=x)
        residual = np.where(used, (y - x) / spread, 0.0).ravel()
        square = float(residual @ residual)
        matrix = np.where(used[:, :, None], slopes / spread[:, None], 0.0).reshape(len(residual), -1)
        if not free:
            matrix = matrix[:, : len(support)]
        if not np.isfinite(matrix).all():
            break
        norms = np.linalg.norm(matrix, axis=0)
        norms = np.where(norms > 0, norms, 1.0)
        u, s, vt = np.linalg.svd(matrix / norms, full_matrices=False)
        projected = u.T @ residual
        # Several dampings are tried in one batch.
        trials = damping * 10.0 ** np.arange(-2, TRIES - 2)
        coefficients = np.repeat(shot.coefficients[None], TRIES, axis=0)
        first = np.repeat(shot.first[None], TRIES, axis=0)
        for j, trial in enumerate(trials):
            step = (vt.T @ (s / (s**2 + trial) * projected)) / norms
            coefficients[j].ravel()[support] += step[: len(support)]
            if free:
                first[j] += step[len(support) :].reshape(-1, d)
        solved = simulate(system, times, shot.pieces, coefficients, first)
        squares = np.sum(np.where(used, (y - solved) / spread, 0.0) ** 2, axis=(1, 2))
        j = int(np.argmin(squares))
        if not squares[j] < square:
            break
        shot = replace(shot, coefficients=coefficients[j], first=first[j], x=solved[j])
        damping = float(np.clip(trials[j], 1e-10, 1e6))
        if square - squares[j] < enough * square:
            break
    square = np.sum(np.where(used, y - shot.x, 0.0) ** 2, axis=0) / np.maximum(used.sum(axis=0), 1)
    noise = np.maximum(np.sqrt(square), system.floor)
    return replace(shot, noise=noise, unexplained=square / variation(system) ** 2)
