"""Bases: a library's terms in given variables, with fast values and slopes.

Both kinds evaluate in scaled variables z = x / scale. `values` gives Theta [N, p]; `slopes` gives, for coefficients
Xi [p, d], the derivatives of every right-hand side f_i = Theta Xi_i by every variable, [N, d, v].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import sympy

from sciml.errors import ArgumentError
from sciml.notation import Vocabulary, parse_expression, to_numpy

__all__ = ["Basis", "FormulaBasis", "PolynomialBasis", "Term"]


@final
@dataclass(frozen=True)
class Term:
    """One term of a library.

    Attributes
    ----------
    text : in the notation.
    degree : how complex it is: the degree of a monomial, at least one.
    family : how many terms of this degree the library has.
    exponents : of a monomial in the variables, or None.
    """

    text: str
    degree: int
    family: int
    exponents: tuple[int, ...] | None = None


class Basis(ABC):
    """A library's terms in given variables.

    Attributes
    ----------
    terms : the terms, p of them.
    names : of the variables, v of them: unknowns, then control inputs.
    scales : float64 array [v], units of the scaled variables.
    factors : float64 array [p]; a term in physical units is `factors` times its scaled value.
    """

    terms: tuple[Term, ...]
    names: tuple[str, ...]
    scales: np.ndarray
    factors: np.ndarray

    @property
    def texts(self) -> tuple[str, ...]:
        """The terms as text."""
        return tuple(term.text for term in self.terms)

    @property
    def degrees(self) -> np.ndarray:
        """How complex each term is, [p]."""
        return np.array([term.degree for term in self.terms])

    @property
    def families(self) -> np.ndarray:
        """How many terms of the degree of each term there are, [p]."""
        return np.array([term.family for term in self.terms])

    @abstractmethod
    def values(self, z: np.ndarray) -> np.ndarray:
        """Return the terms Theta [N, p] at scaled variables z [N, v]."""

    @abstractmethod
    def slopes(self, z: np.ndarray, theta: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Return d(Theta Xi_i)/dz_l [N, d, v] for coefficients Xi [p, d]; `theta` are the values at z."""


@final
class PolynomialBasis(Basis):
    """Monomials: every column is an earlier one times a variable, every slope a combination of the columns."""

    def __init__(self, terms: Sequence[Term], names: Sequence[str], scales: np.ndarray) -> None:
        self.terms, self.names, self.scales = tuple(terms), tuple(names), scales
        own = [term.exponents for term in self.terms]
        if any(row is None for row in own):
            raise ArgumentError("a polynomial basis needs the exponents of all its terms")
        rows = {row: k for k, row in enumerate(own) if row is not None}
        # Slopes and products may need monomials that are no terms themselves: they are computed, not offered.
        pending = list(rows)
        while pending:
            row = pending.pop()
            for variable, exponent in enumerate(row):
                if exponent:
                    lower = (*row[:variable], exponent - 1, *row[variable + 1 :])
                    if lower not in rows:
                        rows[lower] = len(rows)
                        pending.append(lower)
        self.exponents = np.array(list(rows), dtype=np.int64).reshape(len(rows), len(self.names))
        self.count = len(own)
        self.factors = np.prod(scales ** self.exponents[: self.count], axis=1)
        self._order: list[tuple[int, int, int]] = []
        for row in sorted(rows, key=sum):
            variable = next((k for k in reversed(range(len(row))) if row[k]), None)
            if variable is not None:
                lower = (*row[:variable], row[variable] - 1, *row[variable + 1 :])
                self._order.append((rows[row], rows[lower], variable))
        self._derivatives = []
        for variable in range(len(self.names)):
            sources = [rows[row] for row in rows if row[variable] and rows[row] < self.count]
            targets = [
                rows[(*row[:variable], row[variable] - 1, *row[variable + 1 :])]
                for row in rows
                if row[variable] and rows[row] < self.count
            ]
            weights = self.exponents[sources, variable].astype(np.float64)[:, None]
            self._derivatives.append((np.array(sources, int), np.array(targets, int), weights))

    def _all(self, z: np.ndarray) -> np.ndarray:
        columns = np.ones((len(self.exponents), len(z)))
        inputs = np.ascontiguousarray(z.T)
        for target, source, variable in self._order:
            np.multiply(columns[source], inputs[variable], out=columns[target])
        return columns.T

    def values(self, z: np.ndarray) -> np.ndarray:
        """Return the monomials [N, p]."""
        return self._all(z)[:, : self.count]

    def slopes(self, z: np.ndarray, theta: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Return the slopes [N, d, v] by one product per variable with the monomials that are needed."""
        full = self._all(z) if len(self.exponents) > self.count else theta
        result = np.empty((len(z), coefficients.shape[1], len(self.names)))
        for variable, (sources, targets, weights) in enumerate(self._derivatives):
            moved = np.zeros((len(self.exponents), coefficients.shape[1]))
            moved[targets] = weights * coefficients[sources]
            used = np.flatnonzero(moved.any(axis=1))
            result[:, :, variable] = full[:, used] @ moved[used]
        return result


@final
class FormulaBasis(Basis):
    """Terms of any form, through the notation: values and slopes are compiled from the formulas."""

    def __init__(self, terms: Sequence[Term], names: Sequence[str], scales: np.ndarray) -> None:
        self.terms, self.names, self.scales = tuple(terms), tuple(names), scales
        self.factors = np.ones(len(self.terms))
        words = Vocabulary(("t",), (), self.names)
        symbols = [words.symbol(name) for name in self.names]
        expressions = [parse_expression(term.text, words) for term in self.terms]
        self._values = to_numpy(expressions, symbols)
        slopes = [[sympy.diff(e, s) for s in symbols] for e in expressions]
        self._where = [(j, v) for j, row in enumerate(slopes) for v, slope in enumerate(row) if slope != 0]
        self._slopes = to_numpy([slopes[j][v] for j, v in self._where], symbols) if self._where else None

    def values(self, z: np.ndarray) -> np.ndarray:
        """Return the terms [N, p]; not finite where a formula has no value."""
        return np.stack(self._values(*(z * self.scales).T), axis=1)

    def slopes(self, z: np.ndarray, theta: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Return the slopes [N, d, v]."""
        result = np.zeros((len(z), coefficients.shape[1], len(self.names)))
        if self._slopes is not None:
            active = np.asarray(coefficients.any(axis=1))
            for (j, v), slope in zip(self._where, self._slopes(*(z * self.scales).T), strict=True):
                if active[j]:
                    result[:, :, v] += self.scales[v] * slope[:, None] * coefficients[j]
        return result
