"""Multi-indices of derivatives, their downward closure, and the product tables of truncated power series over it."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sciml.errors import ArgumentError

__all__ = ["Index", "IndexSet", "checked", "closure", "index_set"]

Index = tuple[int, ...]


def closure(indices: Iterable[Index]) -> tuple[Index, ...]:
    """Return the smallest downward-closed set that contains `indices`, sorted by total order, first coordinate first.

    A set of multi-indices is downward closed if it contains with every `alpha` all `beta <= alpha` (componentwise);
    these are the derivatives that a truncated Taylor expansion carries along to reach `alpha`.

    Parameters
    ----------
    indices
        Orders of derivation, one non-negative integer per coordinate: `(2, 1)` is u_xxt in coordinates (x, t).

    Raises
    ------
    ArgumentError
        If there is no index, or the lengths differ, or an order is not a non-negative integer.

    Examples
    --------
    >>> closure([(2, 0), (0, 1)])
    ((0, 0), (1, 0), (0, 1), (2, 0))
    """
    members = {beta for alpha in checked(indices) for beta in itertools.product(*(range(order + 1) for order in alpha))}
    return tuple(sorted(members, key=_graded))


def _graded(index: Index) -> tuple[int, tuple[int, ...]]:
    return sum(index), tuple(-order for order in index)


def checked(indices: Iterable[Any]) -> tuple[Index, ...]:
    """Return multi-indices as tuples, or raise ArgumentError if they are not tuples of integers >= 0 of one length."""
    try:
        result = tuple(tuple(operator.index(order) for order in alpha) for alpha in indices)
    except TypeError:
        raise ArgumentError(
            f"indices: {indices!r} is not a sequence of multi-indices; accepted are tuples of integers >= 0, "
            "one order per coordinate, such as [(2, 0), (0, 1)]"
        ) from None
    if not result:
        raise ArgumentError("indices: at least one multi-index is needed, such as [(0, 0)] for the value itself")
    if len({len(alpha) for alpha in result}) > 1 or not result[0]:
        raise ArgumentError(f"indices: every multi-index needs one order per coordinate, got {result}")
    if any(order < 0 for alpha in result for order in alpha):
        raise ArgumentError(f"indices: orders of derivation are at least 0, got {result}")
    return result


@dataclass(frozen=True)
class IndexSet:
    """A downward-closed set of multi-indices with everything that truncated series over it need.

    With h the part of a series without its constant, h^k has coefficients at |alpha| >= k only; because the set is
    sorted by total order these are the positions from `starts[k]` on.

    Attributes
    ----------
    indices : the closed set, sorted by total order; `indices[0]` is the zero index.
    order : the largest total order K.
    starts : for k = 0, ..., K the first position with total order >= k.
    powers : for k = 2, ..., K (at `powers[k - 2]`) the terms `(target, left, right, factor, first)` of
        h^k[target] += factor * h[left] * h^(k-1)[right]; `first` marks the first term of a target.
    shifts : pairs `(alpha, beta, alpha - beta)` of positions with beta <= alpha, beta != alpha.
    """

    indices: tuple[Index, ...]
    order: int
    starts: tuple[int, ...]
    powers: tuple[tuple[tuple[int, int, int, float, bool], ...], ...]
    shifts: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.indices[0])

    def positions(self, indices: Iterable[Index]) -> list[int]:
        """Positions of some members, in their order."""
        place = {alpha: position for position, alpha in enumerate(self.indices)}
        wanted = checked(indices)
        missing = [alpha for alpha in wanted if alpha not in place]
        if missing:
            raise ArgumentError(f"indices: {missing} are not in the closed set {self.indices}")
        return [place[alpha] for alpha in wanted]

    def factorials(self, like: Tensor, indices: Iterable[Index] | None = None) -> Tensor:
        """Return alpha! per index, shape [C, 1]: derivative = alpha! * Taylor coefficient."""
        members = self.indices if indices is None else indices
        values = [float(math.prod(math.factorial(order) for order in alpha)) for alpha in members]
        return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def index_set(indices: Iterable[Index]) -> IndexSet:
    """Return the `IndexSet` of the closure of `indices`."""
    return _index_set(closure(indices))


@lru_cache(maxsize=256)
def _index_set(members: tuple[Index, ...]) -> IndexSet:
    # The tables depend on the set alone; the cache only saves their construction.
    place = {alpha: position for position, alpha in enumerate(members)}
    totals = [sum(alpha) for alpha in members]
    order = totals[-1]
    starts = tuple(next(p for p, total in enumerate(totals) if total >= k) for k in range(order + 1))
    shifts = []
    for alpha in members:
        for beta in itertools.product(*(range(top + 1) for top in alpha)):
            if beta != alpha:
                difference = tuple(a - b for a, b in zip(alpha, beta, strict=True))
                shifts.append((place[alpha], place[beta], place[difference]))
    powers = []
    for k in range(2, order + 1):
        terms: dict[int, list[tuple[int, int, float]]] = {target: [] for target in range(starts[k], len(members))}
        for target, left, right in shifts:
            if target in terms and totals[left] >= 1 and totals[right] >= k - 1 and (k > 2 or left <= right):
                # For k = 2 both factors are h, so unordered pairs with a factor 2 are half the work.
                terms[target].append((left, right, 2.0 if k == 2 and left != right else 1.0))
        powers.append(
            tuple(
                (target, left, right, factor, first == 0)
                for target, products in terms.items()
                for first, (left, right, factor) in enumerate(products)
            )
        )
    return IndexSet(members, order, starts, tuple(powers), tuple(shifts))
