r"""The terms of a partial differential equation that a weak form can hold: derivatives of monomials, D^a (u^p v^q).

Every term can be integrated by parts without a rest. Products that are no such derivative alone (u*u_xx without u_x**2)
are not in the library; what they would explain shows as a misfit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np

__all__ = ["FieldLibrary", "FieldTerm"]


@final
@dataclass(frozen=True)
class FieldTerm:
    """The derivative `derivatives` (one order per space coordinate) of the monomial with `powers` (one per field)."""

    powers: tuple[int, ...]
    derivatives: tuple[int, ...]

    @property
    def degree(self) -> int:
        """Degree of the monomial."""
        return sum(self.powers)

    @property
    def order(self) -> int:
        """Order of the derivative."""
        return sum(self.derivatives)

    @property
    def complexity(self) -> int:
        """Degree plus order; a constant counts as a linear term."""
        return max(1, self.degree + self.order)

    def text(self, fields: Sequence[str], space: Sequence[str]) -> tuple[str, float]:
        """Return the text in the notation and the factor by which the derivative is a multiple of it.

        D_x u**2 is 2 times "u*u_x"; higher derivatives of products stay as they are, "d(u**2, x, 2)".
        """
        axes = "".join(name * k for name, k in zip(space, self.derivatives, strict=True))
        factors = [f"{name}**{p}" if p > 1 else name for name, p in zip(fields, self.powers, strict=True) if p]
        monomial = "*".join(factors) or "1"
        if not self.order:
            return monomial, 1.0
        if self.degree == 1:
            return f"{monomial}_{axes}", 1.0
        if self.order == 1 and len(factors) == 1:
            name = fields[next(k for k, p in enumerate(self.powers) if p)]
            lower = name if self.degree == 2 else f"{name}**{self.degree - 1}"
            return f"{lower}*{name}_{axes}", float(self.degree)
        by = ", ".join(name if k == 1 else f"{name}, {k}" for name, k in zip(space, self.derivatives, strict=True) if k)
        return f"d({monomial}, {by})", 1.0


@final
@dataclass(frozen=True)
class FieldLibrary:
    """Terms, with the description length of each.

    Attributes
    ----------
    terms : the terms, each once.
    """

    terms: tuple[FieldTerm, ...]

    @classmethod
    def polynomial(cls, fields: int, space: int, degree: int, order: int) -> FieldLibrary:
        """Return all derivatives up to `order` of all monomials up to `degree`, and the constant."""
        monomials = [p for p in product(range(degree + 1), repeat=fields) if 0 < sum(p) <= degree]
        derivatives = [a for a in product(range(order + 1), repeat=space) if sum(a) <= order]
        monomials.sort(key=lambda p: (sum(p), tuple(-k for k in p)))
        derivatives.sort(key=lambda a: (sum(a), tuple(-k for k in a)))
        constant = FieldTerm((0,) * fields, (0,) * space)
        return cls((constant, *(FieldTerm(p, a) for p in monomials for a in derivatives)))

    @property
    def monomials(self) -> tuple[tuple[int, ...], ...]:
        """The different monomials, in the order of their first term."""
        return tuple(dict.fromkeys(term.powers for term in self.terms))

    def penalties(self, points: int) -> np.ndarray:
        """Return log(points) + 2 log N_q + 2 q log 2 for each term, N_q terms having its complexity q."""
        q = np.array([term.complexity for term in self.terms])
        count = np.bincount(q)[q]
        return np.log(points) + 2.0 * np.log(count) + 2.0 * q * np.log(2.0)
