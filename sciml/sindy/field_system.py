r"""The weak linear system of one equation, mode by mode, with the covariance of its errors.

Each column is a fixed combination of the raw features, with factors that depend on the wave number of the mode; the
covariance of two columns follows from that of the features. The time derivative is the column b, so that for the right
coefficients w the residual b - A w consists of noise alone, of variance S(m).
"""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import final

import numpy as np

from sciml.sindy.field_features import Features
from sciml.sindy.field_library import FieldLibrary
from sciml.sindy.field_spectrum import Modes
from sciml.sindy.test_functions import leibniz

__all__ = ["WeakSystem"]


@final
class WeakSystem:
    """Columns A [M, J] and b [M] of one equation and their covariances.

    Parameters
    ----------
    features : of the modes.
    modes : the plane waves.
    library : the terms, in the order of the columns.
    field : which field's time derivative stands on the left.
    """

    def __init__(self, features: Features, modes: Modes, library: FieldLibrary, field: int) -> None:
        self.modes = modes
        self.library = library
        self.field = field
        frequencies = modes.frequencies
        self.omega = frequencies[:, -1]
        self.kappa, self.group = np.unique(frequencies[:, :-1], axis=0, return_inverse=True)
        self.group = self.group.reshape(-1)
        self._features = features
        self._columns: list[tuple[np.ndarray, np.ndarray]] = []
        for term in library.terms:
            lags = list(product(*(range(k + 1) for k in term.derivatives)))
            factors = np.ones((len(self.kappa), 1), dtype=complex)
            for axis, k in enumerate(term.derivatives):
                factors = (factors[:, :, None] * leibniz(k, self.kappa[:, axis])[:, None, :]).reshape(
                    len(self.kappa), -1
                )
            rows = np.array([features.place[term.powers, lag] for lag in lags])
            self._columns.append((rows, factors))
        count = len(library.terms[0].powers)
        unit = tuple(int(k == field) for k in range(count))
        still = (0,) * len(library.terms[0].derivatives)
        self._timed, self._plain = features.place[unit, None], features.place[unit, still]
        self._cache: dict[tuple[int, bool], np.ndarray] = {}

    def subset(self, keep: np.ndarray) -> WeakSystem:
        """Return the system of the modes at the places `keep`."""
        features = self._features
        part = Features(features.place, features.values[:, keep], features.covariance, features.linear)
        return WeakSystem(part, self.modes.subset(keep), self.library, self.field)

    @cached_property
    def A(self) -> np.ndarray:
        """The columns of all terms, complex [M, J]."""
        columns = np.empty((len(self.omega), len(self._columns)), dtype=complex)
        for j, (rows, factors) in enumerate(self._columns):
            columns[:, j] = np.einsum("ml,lm->m", factors[self.group], self._features.values[rows])
        return columns

    @cached_property
    def b(self) -> np.ndarray:
        """The time derivative, complex [M]."""
        values = self._features.values
        return 1j * self.omega * values[self._plain] - values[self._timed]

    def _spread(self, raw: np.ndarray) -> np.ndarray:
        """Return what columns make of raw covariances [P, K] at the K wave numbers, complex [K, J]."""
        result = np.empty((len(self.kappa), len(self._columns)), dtype=complex)
        for j, (rows, factors) in enumerate(self._columns):
            result[:, j] = np.einsum("kl,lk->k", factors, raw[rows])
        return result

    def column_covariance(self, j: int) -> np.ndarray:
        """Return the covariances of all columns with column j, complex [K, J] by wave number in space."""
        if (j, True) not in self._cache:
            rows, factors = self._columns[j]
            self._cache[j, True] = self._spread(self._features.covariance[:, rows] @ np.conj(factors.T))
        return self._cache[j, True]

    @cached_property
    def _left(self) -> tuple[np.ndarray, np.ndarray]:
        G = self._features.covariance
        ones = np.ones((1, len(self.kappa)))
        return self._spread(-G[:, [self._timed]] * ones), self._spread(G[:, [self._plain]] * ones)

    def error_covariance(self, w: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the covariances of the columns (those in `rows`, or all) with the residual, complex [M, J]."""
        rows = np.arange(len(self._columns)) if rows is None else rows
        still, moving = self._left
        base = still[:, rows].copy()
        for j in np.flatnonzero(w).tolist():
            base -= w[j] * self.column_covariance(j)[:, rows]
        return base[self.group] - 1j * self.omega[:, None] * moving[:, rows][self.group]

    def residual_spectrum(self, w: np.ndarray, linear: bool = False) -> np.ndarray:
        """Return the variance S(m) of the residual b - A w; `linear`: to first order in the noise."""
        active = np.flatnonzero(w)
        used = sorted({int(r) for j in active for r in self._columns[j][0]} | {self._plain, self._timed})
        where = {row: k for k, row in enumerate(used)}
        G = (self._features.linear if linear else self._features.covariance)[np.ix_(used, used)]
        combined = np.zeros((len(self.kappa), len(used)), dtype=complex)
        for j in active:
            rows, factors = self._columns[j]
            combined[:, [where[int(r)] for r in rows]] -= w[j] * factors
        combined[:, where[self._timed]] -= 1.0
        # S is quadratic in omega, which enters through the plain feature alone.
        plain = np.zeros(len(used))
        plain[where[self._plain]] = 1.0
        product_ = combined @ G
        constant = np.einsum("kp,kp->k", product_, np.conj(combined)).real
        mixed = 2.0 * (product_ @ plain).imag
        square = G[where[self._plain], where[self._plain]]
        return constant[self.group] + self.omega * mixed[self.group] + self.omega**2 * square
