"""Standard errors where a law has inner constants: coefficients and constants are uncertain together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.sindy.defects import Covariance
from sciml.sindy.libraries import FormulaLibrary
from sciml.sindy.refinement import increments, linearise, spread_out

if TYPE_CHECKING:
    from sciml.sindy.pooling import Pool
    from sciml.sindy.saturation import Saturation

__all__ = ["joint_covariance"]

# Step of the central difference in the logarithm of an inner constant.
STEP = 1e-4


def joint_covariance(pool: Pool, names: Sequence[str]) -> tuple[np.ndarray, dict[str, float]]:
    r"""Return the covariance of the winner's coefficients, and the relative standard errors of its inner constants.

    The constants b of terms such as x / (b + x) are further columns of the linearised problem,

    .. math:: B\, \partial_{\log b} \Theta(x; b)\, \Xi,

    beside those of the support; the coefficients' block of the inverse of the whole Gram matrix counts that b is not
    known. Keys of the second part are texts such as "0.5052 + x". Pools without inner constants have what they had.
    """
    system, winner = pool.system, pool.ranked[0].estimate
    d = len(names)
    texts = [system.basis.texts[k // d] for k in winner.support]
    used = [kind for kind in pool.inner if not set(kind.texts(names)).isdisjoint(texts)]
    if not used:
        return winner.covariance, {}
    lin = linearise(system, winner.x, winner.coefficients, winner.noise)
    cov = Covariance(lin.band, (winner.error * increments(system.defects, winner.x)) ** 2 + lin.doubt)
    z = np.concatenate([winner.x, system.inputs], axis=1)
    columns = [spread_out(lin.features, winner.support // d, winner.support % d, d)]
    for kind in used:
        own = [system.basis.texts.index(text) for text in kind.texts(names)]
        slope = (_terms(kind, 1 + STEP, pool, names, z) - _terms(kind, 1 - STEP, pool, names, z)) / (2 * STEP)
        columns.append(system.defects.integrals(slope @ winner.coefficients[own]).reshape(-1, 1))
    whitened = cov.whiten(np.column_stack(columns))
    scale = np.linalg.norm(whitened, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    inverse = np.linalg.pinv((whitened / scale).T @ (whitened / scale), rcond=1e-14, hermitian=True)
    inverse = inverse / scale[:, None] / scale
    count = len(winner.support)
    errors = np.sqrt(np.maximum(np.diag(inverse)[count:], 0.0))
    return inverse[:count, :count], {kind.below: float(error) for kind, error in zip(used, errors, strict=True)}


def _terms(kind: Saturation, factor: float, pool: Pool, names: Sequence[str], z: np.ndarray) -> np.ndarray:
    """Return the terms of a saturation whose inner constant is multiplied by a factor, [N, terms]."""
    basis = pool.system.basis
    texts = replace(kind, half=kind.half * factor).texts(names)
    return FormulaLibrary(texts).bind(basis.names, basis.scales).values(z)
