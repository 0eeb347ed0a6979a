"""What speaks against a fit: residuals as large as the data's variation, or residuals that are no independent noise.

A fit whose equations are wrong for its data still has a minimum, a noise level (what is left over) and intervals about
the wrong numbers. The residuals tell: they leave nothing explained, or neighbours among them are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial import KDTree

from sciml.observations import Observations

__all__ = ["dependence", "explains_nothing", "misfits"]

# Residuals that vary by this part of what the data do explain next to nothing.
NOTHING = 0.9
# Neighbours' residuals so many standard errors from uncorrelated are no noise.
ALIKE = 5.0
# Where less than this part of the data's variation is left, that may be an error of the state, and harms nobody.
SMALL = 0.02


def misfits(
    observations: Sequence[Observations],
    residuals: Sequence[Mapping[str, np.ndarray]],
    noise: Mapping[str, float],
    noise_model: str,
) -> tuple[list[str], list[str]]:
    """Return two lists of sentences: of names that the fit does not explain, and of names whose residuals are alike.

    Parameters
    ----------
    observations : the data of each experiment.
    residuals : (state - data) / noise, or of their logarithms, by experiment and name; NaN where there are none.
    noise : standard deviation by name.
    noise_model : "additive" or "multiplicative".
    """
    nothing: list[str] = []
    alike: list[str] = []
    for name, sigma in noise.items():
        data, left, score, weight = [], [], 0.0, 0
        for own, parts in zip(observations, residuals, strict=True):
            if name not in parts:
                continue
            seen = np.isfinite(parts[name]) & np.isfinite(own.values[name])
            values = own.values[name][seen]
            data.append(np.log(np.abs(values)) if noise_model == "multiplicative" else values)
            left.append(parts[name][seen] * sigma)
            correlation = dependence(own.points[seen], parts[name][seen])
            score, weight = score + correlation * int(seen.sum()), weight + int(seen.sum())
        if not weight:
            continue
        every, rest = np.concatenate(data), np.concatenate(left)
        if explains_nothing(rest, every):
            nothing.append(
                f"The fit explains next to nothing of {name}: the equations are wrong for these data, or the minimum "
                "is not the right one (try other starts by problem.replace, or --set)."
            )
            continue
        sigmas = score / math.sqrt(weight)
        if sigmas > ALIKE and np.std(rest) > SMALL * np.std(every):
            alike.append(
                f"The residuals of {name} are no independent noise: neighbours are alike (correlation "
                f"{score / weight:.2f}, {sigmas:.0f} standard errors from none). The equations may lack something, and "
                "the intervals do not count that."
            )
    return nothing, alike


def explains_nothing(residual: np.ndarray, data: np.ndarray) -> bool:
    """Return whether residuals vary nearly as much as the data; they cannot where there is no variation."""
    return len(data) > 1 and bool(np.std(residual) > NOTHING * np.std(data) > 0)


def dependence(points: np.ndarray, residual: np.ndarray) -> float:
    r"""Return the correlation of residuals with those of the nearest neighbours, about 0 +- 1/sqrt(n) for noise.

    .. math:: r = \sum_i e_i e_{n(i)} / \sum_i e_i^2

    with distances in units of the extent of the points [N, d] in each coordinate.
    """
    if len(residual) < 3:
        return 0.0
    extent = np.ptp(points, axis=0)
    places = points / np.where(extent > 0, extent, 1.0)
    near = np.asarray(KDTree(places).query(places, 2)[1])
    other = np.where(near[:, 0] == np.arange(len(points)), near[:, 1], near[:, 0])
    total = float(residual @ residual)
    return float(residual @ residual[other]) / total if total > 0 else 0.0
