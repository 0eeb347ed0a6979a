r"""Errors in variables with the covariance between modes: the judge among the models that a faster search proposes.

With C the covariance of the stacked residual r, the coefficients minimise :math:`r^T C^{-1} r`; columns are freed of
the errors that the whole residual reveals, :math:`A_j - \mathrm{Cov}(e_j, r)\, C^{-1} r`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import numpy as np
from scipy import linalg

from sciml.sindy.field_covariance import ModeCovariance
from sciml.sindy.field_selection import DROWNED, Candidate, Factor, excess

__all__ = ["JointSelection"]

STEPS = 6
# The part of the charge for the noise of products that the judge makes. Products of noise are not independent of the
# noise, as the whole charge has it: with it laws won because they are less noisy, with none because they are noisier.
CHARGED = 0.5


@final
class JointSelection:
    """The equation of one field under the joint covariance of its modes.

    Parameters
    ----------
    covariance : between the modes of the weak system.
    penalties : of the terms [J].
    allowed : terms that may enter [J].
    fixed : known coefficients [J], of terms that may not enter.
    """

    def __init__(
        self, covariance: ModeCovariance, penalties: np.ndarray, allowed: np.ndarray, fixed: np.ndarray | None = None
    ) -> None:
        self.fixed = np.zeros(len(penalties)) if fixed is None else fixed
        self.covariance, self.system = covariance, covariance.system
        self.penalties, self.allowed = penalties, allowed
        self.n = 2 * len(covariance.real) - int(covariance.real.sum())

    def _whitener(self, w: np.ndarray, linear: bool = False) -> np.ndarray:
        return np.linalg.cholesky(self.covariance.matrix(w, linear))

    def _whitened(self, w: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the corrected columns, the residual, both whitened, and the whitener."""
        L = self._whitener(w)
        r = self.covariance.stack(self.system.b - self.system.A @ w)
        z = linalg.solve_triangular(L, r, lower=True, check_finite=False)
        back = linalg.solve_triangular(L, z, lower=True, trans=1, check_finite=False)
        columns = self.covariance.stack(self.system.A[:, chosen] - self.covariance.revealed(w, back, chosen))
        return linalg.solve_triangular(L, columns, lower=True, check_finite=False), z, L

    def factor(self, w: np.ndarray) -> Factor:
        """Return the linearised problem about w, with all columns."""
        X, z, _ = self._whitened(w, np.arange(len(w)))
        return Factor(np.concatenate([X, (z + X @ (w - self.fixed))[:, None]], axis=1), self.penalties, self.allowed)

    def solve(self, support: Iterable[int], w: np.ndarray) -> Candidate:
        """Return the coefficients of a support by Gauss-Newton from w, and the criterion there."""
        chosen = np.array(sorted(support), dtype=int)
        full = self.fixed.copy()
        full[chosen] = w[chosen]
        merit = np.inf
        best: tuple[float, np.ndarray, np.ndarray, np.ndarray] | None = None
        for _ in range(STEPS):
            X, z, L = self._whitened(full, chosen)
            merit = float(z @ z)
            if best is not None and merit > best[0] * (1.0 + 1e-9):
                # Too long a step: half of it is enough, as steps shrink fast.
                full = 0.5 * (full + best[1])
                if np.sum((best[2] @ (full - best[1])[chosen]) ** 2) < 1e-3:
                    break
                continue
            best = (merit, full.copy(), X, L)
            if not len(chosen):
                break
            scale = np.maximum(np.linalg.norm(X, axis=0), 1e-300)
            step = np.linalg.lstsq(X / scale, z, rcond=None)[0] / scale
            if np.sum((X @ step) ** 2) < 1e-2:
                break
            full = full.copy()
            full[chosen] += step
        assert best is not None
        merit, full, X, L = best
        linear = np.diag(self._whitener(full, linear=True))
        volume = 2.0 * float(np.log(np.diag(L) / linear).sum())
        value = excess(merit, self.n) + CHARGED * volume + float(self.penalties[chosen].sum())
        still = self.covariance.stack(self.system.b - self.system.A @ self.fixed)
        drowned = float(np.sum(linalg.solve_triangular(L, still, lower=True, check_finite=False) ** 2))
        if len(chosen) and drowned < DROWNED * self.n:
            value = np.inf
        scale = np.linalg.norm(X, axis=0)
        scale[scale == 0.0] = 1.0
        covariance = np.linalg.pinv((X / scale).T @ (X / scale)) / np.outer(scale, scale)
        return Candidate(tuple(chosen.tolist()), full, merit / self.n, value, covariance, volume, CHARGED)
