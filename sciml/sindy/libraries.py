"""Libraries: the terms that a right-hand side may be made of, and their values and slopes along a trajectory.

A `Library` is a declaration ("polynomials up to degree 5"). Bound to the names and scales of variables it becomes a
`Basis` of p terms, which is evaluated in scaled variables z = x / scale: monomials then stay of order one whatever the
units are, and a coefficient of the law is recovered by a known factor.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from sciml.errors import ArgumentError
from sciml.sindy.bases import Basis, FormulaBasis, PolynomialBasis, Term

__all__ = [
    "ExponentialLibrary",
    "FormulaLibrary",
    "Library",
    "LogarithmicLibrary",
    "MagnitudeLibrary",
    "PolynomialLibrary",
    "RationalLibrary",
    "RootLibrary",
    "TrigonometricLibrary",
    "exponent_table",
    "monomial_text",
]


def exponent_table(count: int, degree: int) -> np.ndarray:
    """Return the exponents [p, count] of all monomials in `count` variables up to a total degree.

    By degree, within a degree in the order 1, x, y, x**2, x*y, y**2; p = (count + degree)! / (count! degree!).
    """
    rows = []
    for total in range(degree + 1):
        for chosen in itertools.combinations_with_replacement(range(count), total):
            rows.append([chosen.count(k) for k in range(count)])
    return np.array(rows, dtype=np.int64).reshape(-1, count)


def monomial_text(exponents: Sequence[int], names: Sequence[str]) -> str:
    """Write a monomial in the notation: `x**2*y`, and `1` for the constant."""
    factors = [n if e == 1 else f"{n}**{e}" for n, e in zip(names, exponents, strict=True) if e]
    return "*".join(factors) or "1"


class Library(ABC):
    """A declaration of terms. `a + b` is the union of two libraries."""

    @abstractmethod
    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return the terms in variables of these names (unknowns, then control inputs), without repetitions."""

    def bind(self, names: Sequence[str], scales: Sequence[float] | np.ndarray | None = None) -> Basis:
        """Return the basis in variables of these names, evaluated in x / scales (physical units if absent)."""
        names = tuple(names)
        terms = self.terms(names)
        if not terms:
            raise ArgumentError("library must have at least one term")
        scales = np.ones(len(names)) if scales is None else np.asarray(scales, dtype=np.float64)
        if all(term.exponents is not None for term in terms):
            return PolynomialBasis(terms, names, scales)
        return FormulaBasis(terms, names, scales)

    def __add__(self, other: Library) -> Library:
        return Union((self, other))


@final
@dataclass(frozen=True)
class Union(Library):
    """All terms of several libraries; a term that two of them share stands once."""

    parts: tuple[Library, ...]

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return the terms of the parts in order."""
        found: dict[str, Term] = {}
        for part in self.parts:
            for term in part.terms(names):
                found.setdefault(term.text, term)
        return tuple(found.values())


@final
@dataclass(frozen=True)
class PolynomialLibrary(Library):
    """All monomials up to a total degree.

    Parameters
    ----------
    degree : int, 0 to 20
    constant : bool
        whether the constant 1 is among them.

    Examples
    --------
    >>> [term.text for term in PolynomialLibrary(2).terms(["x", "y"])]
    ['1', 'x', 'y', 'x**2', 'x*y', 'y**2']
    """

    degree: int = 3
    constant: bool = True

    def __post_init__(self) -> None:
        if (
            isinstance(self.degree, bool)
            or not isinstance(self.degree, (int, np.integer))
            or not 0 <= self.degree <= 20
        ):
            raise ArgumentError(f"degree must be an integer from 0 to 20, got {self.degree!r}")

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return the monomials by degree."""
        table = exponent_table(len(names), int(self.degree))
        result = []
        for row in table.tolist():
            degree = sum(row)
            if degree == 0 and not self.constant:
                continue
            # The constant counts as a term of degree one: it is not simpler than x.
            family = math.comb(len(names) + max(degree, 1) - 1, max(degree, 1)) + (1 if degree <= 1 else 0)
            result.append(Term(monomial_text(row, names), max(degree, 1), family, tuple(row)))
        return tuple(result)


def _functions(texts: Sequence[str], degree: int) -> tuple[Term, ...]:
    return tuple(Term(text, degree, len(texts)) for text in texts)


@final
@dataclass(frozen=True)
class TrigonometricLibrary(Library):
    """Sines and cosines sin(k x), cos(k x) of every variable, k in `frequencies` (per unit of the variable).

    With `pairs`, also of the differences of two variables, and the products of sines and cosines of two.
    """

    frequencies: tuple[float, ...] = (1.0,)
    pairs: bool = False

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return sin(k*x) and cos(k*x) by frequency and variable."""
        texts = [
            f"{function}({_multiple(k, name)})"
            for k in self.frequencies
            for name in names
            for function in ("sin", "cos")
        ]
        both: list[str] = []
        for a, b in itertools.combinations(names, 2) if self.pairs else ():
            both += [f"sin({a} - {b})", f"cos({a} - {b})"]
            both += [f"{f}({a})*{g}({b})" for f in ("sin", "cos") for g in ("sin", "cos")]
        return _functions(texts, 2) + _functions(both, 3)


@final
@dataclass(frozen=True)
class ExponentialLibrary(Library):
    """Exponentials exp(k x) of every variable, k in `rates` (per unit of the variable)."""

    rates: tuple[float, ...] = (1.0, -1.0)

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return exp(k*x) by rate and variable."""
        return _functions([f"exp({_multiple(k, name)})" for k in self.rates for name in names], 2)


@final
@dataclass(frozen=True)
class LogarithmicLibrary(Library):
    """Logarithms log(x) and x log(x) of every variable, as in Gompertz' law of growth; for positive states only."""

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return log(x) and x*log(x) by variable."""
        return _functions([f"{factor}log({name})" for name in names for factor in ("", f"{name}*")], 2)


@final
@dataclass(frozen=True)
class RootLibrary(Library):
    """Square roots sqrt(x) and x sqrt(x) of every variable, as in the emptying of a tank; for positive states only."""

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return sqrt(x) and x*sqrt(x) by variable."""
        return _functions([f"{factor}sqrt({name})" for name in names for factor in ("", f"{name}*")], 2)


@final
@dataclass(frozen=True)
class MagnitudeLibrary(Library):
    """sign(x), |x| and x |x| of the variables, of all if none are named: dry friction, rectifiers, quadratic drag."""

    variables: tuple[str, ...] = ()

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return sign(x), abs(x) and x*abs(x) by variable."""
        own = [x for x in names if not self.variables or x in self.variables]
        return _functions([text for x in own for text in (f"sign({x})", f"abs({x})", f"{x}*abs({x})")], 2)


@final
@dataclass(frozen=True)
class RationalLibrary(Library):
    """Saturating terms 1/(1 + x**k), x**j/(1 + x**k) with 1 <= j <= k, of every variable, k in `powers`."""

    powers: tuple[int, ...] = (1, 2)

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return the fractions by power and variable."""
        texts = []
        for k in self.powers:
            for name in names:
                below = f"(1 + {name if k == 1 else f'{name}**{k}'})"
                texts += [f"{above}/{below}" for above in ["1", name, *(f"{name}**{j}" for j in range(2, k + 1))]]
        return _functions(texts, 2)


@final
@dataclass(frozen=True)
class FormulaLibrary(Library):
    """Terms that the user writes in the notation: `FormulaLibrary(("x*sin(y)", "exp(-x**2)"))`.

    Parameters
    ----------
    formulas : texts in the names of the unknowns and control inputs
    degree : int
        how complex a term counts: as much as a monomial of this degree.
    """

    formulas: tuple[str, ...]
    degree: int = 2

    def __post_init__(self) -> None:
        formulas = (self.formulas,) if isinstance(self.formulas, str) else tuple(self.formulas)
        for text in formulas:
            if not isinstance(text, str):
                raise ArgumentError(f"formulas must be texts such as 'x*sin(y)', got {text!r}")
        object.__setattr__(self, "formulas", tuple(dict.fromkeys(formulas)))

    def terms(self, names: Sequence[str]) -> tuple[Term, ...]:
        """Return the formulas as they were written."""
        return _functions(self.formulas, self.degree)


def _multiple(factor: float, name: str) -> str:
    if factor == 1:
        return name
    return f"-{name}" if factor == -1 else f"{factor:g}*{name}"
