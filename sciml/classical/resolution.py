"""The choice of meshes: a global polynomial while its degree pays, graded elements where the solution is not smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.classical.fields import Meshes
from sciml.classical.spaces import Mesh, PeriodicMesh

__all__ = ["Limits", "Resolution", "split"]

Array = NDArray[Any]

# Points per element and coordinate at most, and operations for the elimination inside elements at most.
HIGHEST = 18
ELIMINATION = 2e10


@dataclass(frozen=True)
class Limits:
    """Sizes that a computation in one, two or three coordinates can afford.

    Attributes
    ----------
    first : Gauss points of the first, global mesh in each coordinate.
    growth : factor between the degrees of successive global meshes.
    dense : coefficients of a dense system at most.
    count : Gauss points of an element when elements begin.
    sparse : coefficients of a sparse system at most; 0 where elements are not used.
    """

    first: int
    growth: float
    dense: int
    count: int
    sparse: int

    @classmethod
    def of(cls, dimension: int, unknowns: int) -> Limits:
        """Limits for a number of coordinates and unknowns."""
        if dimension == 1:
            return cls(12, 1.5, 700, 12, 20_000 * unknowns)
        if dimension == 2:
            return cls(10, 1.35, 2_600, 10, 60_000)
        return cls(7, 1.25, 6_500, 4, 0)


@dataclass
class Resolution:
    """Proposes the next meshes from what the last solution could not resolve.

    Parameters
    ----------
    lower, upper : the box.
    periodic : for each coordinate whether it is treated with trigonometric polynomials.
    orders : highest order of derivative in each coordinate.
    limits : affordable sizes.
    rtol : relative accuracy that is wanted.
    unknowns : number of unknowns.
    singular : for each coordinate whether the solution is known to be singular at its two ends: elements, graded
        towards these ends, are used from the beginning.
    breaks : for each coordinate the places inside where the equations are known not to be smooth.
    """

    lower: Sequence[float]
    upper: Sequence[float]
    periodic: Sequence[bool]
    orders: Sequence[int]
    limits: Limits
    rtol: float
    unknowns: int = 1
    singular: Sequence[tuple[bool, bool]] = ()
    breaks: Sequence[Sequence[float]] = ()
    _record: list[tuple[int, float]] = field(default_factory=list)
    _confirming: bool = False

    def first(self) -> Meshes:
        """Meshes to begin with."""
        if any(any(ends) for ends in self.singular):
            count = max(self.limits.count, max(self.orders) + 2)
            return [
                Mesh(_graded(a, b, ends), count)
                for a, b, ends in zip(self.lower, self.upper, self.singular, strict=True)
            ]
        first = self._global([max(self.limits.first, 2 * k + 2) for k in self.orders])
        if any(self.breaks):
            # Elements end where the solution is not smooth, and it is smooth inside them.
            return [
                mesh if isinstance(mesh, PeriodicMesh) else Mesh([a, *sorted(inside), b], mesh.count)
                for mesh, a, b, inside in zip(first, self.lower, self.upper, self.breaks, strict=True)
            ]
        return first

    def next(self, meshes: Meshes, tails: Sequence[Array] | None, estimate: float | None) -> Meshes | None:
        """Return finer meshes, or None where nothing finer is affordable.

        Parameters
        ----------
        meshes : the last ones.
        tails : for each coordinate and element the relative size of the highest functions; None without a solution.
        estimate : relative difference of the last two solutions.
        """
        if any(mesh.elements > 1 for mesh in meshes):
            return self._refined(meshes, tails, estimate is not None and estimate > self.rtol)
        resolved = [tails is not None and tails[axis].max() <= 0.05 * self.rtol for axis in range(len(meshes))]
        if all(resolved) and self._confirming:
            resolved = [False] * len(meshes)  # a small step did not confirm the last result
        self._confirming = all(resolved)
        counts = [
            mesh.count + 2 if done else math.ceil(self.limits.growth * mesh.count) + 1
            for mesh, done in zip(meshes, resolved, strict=True)
        ]
        if estimate is not None:
            self._record.append((max(mesh.count for mesh in meshes), estimate))
        finer = self._global(counts)
        if self.size(finer) <= self.limits.dense and not self._hopeless():
            return finer
        if self.limits.sparse == 0 or all(self.periodic):
            return None
        return self._elements(meshes)

    def _hopeless(self) -> bool:
        """Whether the convergence seen so far says that no affordable degree is enough."""
        if len(self._record) < 3 or (len(self.lower) == 1 and self._record[-1][0] < 100):
            return False
        (n0, e0), (n1, e1) = self._record[-2:]
        rate = math.log(max(e0, 1e-300) / max(e1, 1e-300)) / max(n1 - n0, 1)
        needed = n1 + math.log(max(e1 / self.rtol, 1.0)) / rate if rate > 0 else math.inf
        return needed > 1.5 * self.limits.dense ** (1 / len(self.lower))

    def _global(self, counts: Sequence[int]) -> Meshes:
        # An odd number of equispaced points has as many sines as cosines.
        return [
            PeriodicMesh(a, b, n | 1) if periodic else Mesh([a, b], n)
            for a, b, n, periodic in zip(self.lower, self.upper, counts, self.periodic, strict=True)
        ]

    def _elements(self, meshes: Meshes) -> Meshes:
        count = max(self.limits.count, max(self.orders) + 2)
        return [
            mesh
            if isinstance(mesh, PeriodicMesh)
            else Mesh(np.linspace(mesh.breakpoints[0], mesh.breakpoints[-1], 9 if len(meshes) == 1 else 5), count)
            for mesh in meshes
        ]

    def _refined(self, meshes: Meshes, tails: Sequence[Array] | None, unresolved: bool) -> Meshes | None:
        """Split the elements that are not resolved and add points to all."""
        worst = 0.0 if tails is None else max(float(tail.max()) for tail in tails)
        finer: list[Mesh | PeriodicMesh] = []
        for axis, mesh in enumerate(meshes):
            if isinstance(mesh, PeriodicMesh):
                resolved = tails is not None and tails[axis].max() <= 0.03 * self.rtol
                finer.append(PeriodicMesh(*mesh.ends, (mesh.count + (2 if resolved else mesh.count // 3)) | 1))
                continue
            limit = 0.1 * self.rtol / math.sqrt(mesh.elements)
            if unresolved:
                limit = min(limit, 0.4 * worst)  # something is rough, whatever the highest functions say
            # Only the worst elements: an unresolved layer makes the solution rough everywhere.
            flagged = (
                np.ones(mesh.elements, bool)
                if tails is None
                else tails[axis] > np.maximum(limit, 0.4 * tails[axis].max())
            )
            if flagged.mean() > 0.6 and mesh.count < HIGHEST:
                # Rough everywhere alike: a wave rather than a layer, for which a higher degree is cheaper.
                finer.append(Mesh(mesh.breakpoints, math.ceil(1.3 * mesh.count)))
                continue
            step = 0 if mesh.count >= HIGHEST else 2 if len(meshes) == 1 else 1
            finer.append(Mesh(split(mesh.breakpoints, flagged), mesh.count + step))
        local = math.prod(mesh.elements * mesh.count**3 for mesh in finer) * self.unknowns**3
        return finer if self.size(finer) <= self.limits.sparse and local <= ELIMINATION else None

    def size(self, meshes: Meshes) -> int:
        """Number of coefficients, to within the lower orders of some unknowns."""
        return self.unknowns * math.prod(mesh.size + k for mesh, k in zip(meshes, self.orders, strict=True))


def _graded(a: float, b: float, ends: tuple[bool, bool], layers: int = 2) -> Array:
    """Five elements, those at the ends in question divided towards them."""
    breakpoints = np.linspace(a, b, 6)
    for _ in range(layers):
        flagged = np.zeros(breakpoints.size - 1, bool)
        flagged[0], flagged[-1] = ends
        breakpoints = split(breakpoints, flagged)
    return breakpoints


def split(breakpoints: Array, flagged: NDArray[np.bool_], ratio: float = 0.2) -> Array:
    """Split the flagged elements: those at the ends of the interval close to it, the others in two."""
    new = []
    for e in np.flatnonzero(flagged):
        a, b = breakpoints[e], breakpoints[e + 1]
        first, last = e == 0, e == flagged.size - 1
        share = ratio if first and not last else 1 - ratio if last and not first else 0.5
        new.append(a + share * (b - a))
    return np.sort(np.concatenate([breakpoints, new]))
