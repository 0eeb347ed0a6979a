"""Embeddings: what a network sees instead of its bare coordinates, so that a property holds for every parameter.

An embedding lists waves sin(k.x + phase) and the coordinates that are passed on beside them; it is a declaration, and
the network builds its input layer from it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError, closest

__all__ = ["Cosine", "Embedding", "Fourier", "Periodic", "embedding_from_dict"]


class Embedding(ABC):
    """Declaration of the waves that a network receives and of the coordinates that it still sees."""

    kind: ClassVar[str]

    @abstractmethod
    def waves(self, inputs: int, lower: Tensor, upper: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return wave vectors [F, inputs] and phases [F] of features sin(k.x + phase), x in the user's units."""

    @abstractmethod
    def kept(self, inputs: int) -> list[int]:
        """Return the coordinates that are also passed on, scaled from [lower, upper] to [-1, 1]."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; `embedding_from_dict` is the inverse."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


def _coordinate(embedding: str, coordinate: int, inputs: int) -> int:
    if not 0 <= coordinate < inputs:
        raise ArgumentError(f"embedding: {embedding} names coordinate {coordinate}, accepted are 0 to {inputs - 1}")
    return coordinate


def _check(embedding: str, harmonics: Any, coordinates: Any) -> None:
    if isinstance(harmonics, bool) or not isinstance(harmonics, int) or harmonics < 1:
        raise ArgumentError(f"embedding: {embedding}: harmonics is {harmonics!r}, accepted are integers of at least 1")
    if not isinstance(coordinates, Mapping) or not coordinates:
        raise ArgumentError(
            f"embedding: {embedding}: a mapping with at least one coordinate is needed, got {coordinates!r}"
        )


@final
@dataclass(frozen=True)
class Periodic(Embedding):
    """Periodic coordinates enter as cos(2 pi m x / L) and sin(2 pi m x / L), m = 1, ..., harmonics.

    The network is then periodic in them, with all derivatives.

    Parameters
    ----------
    periods
        Period L > 0 per periodic coordinate (0-based): `{0: 2.0}`.
    harmonics
        Number of harmonics, at least 1.

    References
    ----------
    Dong, Ni, J. Comput. Phys. 435 (2021) 110242, doi:10.1016/j.jcp.2021.110242
    """

    periods: Mapping[int, float]
    harmonics: int = 1
    kind: ClassVar[str] = "periodic"

    def __post_init__(self) -> None:
        _check("Periodic", self.harmonics, self.periods)
        object.__setattr__(self, "periods", {int(key): float(value) for key, value in self.periods.items()})
        for coordinate, period in self.periods.items():
            if not (math.isfinite(period) and period > 0):
                raise ArgumentError(f"embedding: the period of coordinate {coordinate} is {period}, accepted are > 0")

    def waves(self, inputs: int, lower: Tensor, upper: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return two waves per periodic coordinate and harmonic."""
        vectors, phases = [], []
        for coordinate, period in self.periods.items():
            for harmonic in range(1, self.harmonics + 1):
                for phase in (math.pi / 2, 0.0):
                    vectors.append(torch.zeros(inputs, dtype=torch.float64))
                    vectors[-1][_coordinate("Periodic", coordinate, inputs)] = 2 * math.pi * harmonic / period
                    phases.append(phase)
        return torch.stack(vectors), torch.tensor(phases, dtype=torch.float64)

    def kept(self, inputs: int) -> list[int]:
        """Return the coordinates that are not periodic."""
        return [i for i in range(inputs) if i not in self.periods]


@final
@dataclass(frozen=True)
class Cosine(Embedding):
    """Coordinates enter as cos(m pi (x - a) / (b - a)), m = 1, ..., harmonics.

    The network is then even about x = a and about x = b: its derivative in the coordinate vanishes at both ends
    (homogeneous Neumann conditions), as do all odd ones. A solution that is even and periodic of period L is the case
    b - a = L/2 with a its plane of symmetry.

    Parameters
    ----------
    ends
        The two planes of symmetry (a, b), a < b, per coordinate (0-based): `{0: (0.0, 1.0)}`.
    harmonics
        Number of harmonics, at least 1.
    """

    ends: Mapping[int, Sequence[float]]
    harmonics: int = 1
    kind: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        _check("Cosine", self.harmonics, self.ends)
        object.__setattr__(self, "ends", {int(key): tuple(map(float, value)) for key, value in self.ends.items()})
        for coordinate, ends in self.ends.items():
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ArgumentError(f"embedding: the ends of coordinate {coordinate} are {ends}, accepted are a < b")

    def waves(self, inputs: int, lower: Tensor, upper: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return one wave per coordinate and harmonic."""
        vectors, phases = [], []
        for coordinate, (a, b) in self.ends.items():
            for harmonic in range(1, self.harmonics + 1):
                number = harmonic * math.pi / (b - a)
                vectors.append(torch.zeros(inputs, dtype=torch.float64))
                vectors[-1][_coordinate("Cosine", coordinate, inputs)] = number
                phases.append(math.pi / 2 - number * a)
        return torch.stack(vectors), torch.tensor(phases, dtype=torch.float64)

    def kept(self, inputs: int) -> list[int]:
        """Return the coordinates without a plane of symmetry."""
        return [i for i in range(inputs) if i not in self.ends]


@final
@dataclass(frozen=True)
class Fourier(Embedding):
    """Random Fourier features cos(k.s), sin(k.s) of the coordinates s scaled to [-1, 1], k normal of deviation `scale`.

    They let a narrow network see high frequencies at once. The wave vectors are drawn from the network's generator and
    stay fixed.

    Parameters
    ----------
    count
        Number of wave vectors, at least 1; each gives two features.
    scale
        Standard deviation of the components of k, in radians per half length of the box, > 0.
    keep
        Whether the scaled coordinates are passed on too.

    References
    ----------
    Tancik et al., NeurIPS 2020, doi:10.48550/arXiv.2006.10739
    """

    count: int
    scale: float = math.pi
    keep: bool = True
    kind: ClassVar[str] = "fourier"

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ArgumentError(f"embedding: Fourier: count is {self.count!r}, accepted are integers of at least 1")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ArgumentError(f"embedding: Fourier: scale is {self.scale!r}, accepted are finite numbers > 0")

    def waves(self, inputs: int, lower: Tensor, upper: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a cosine and a sine per wave vector."""
        vectors = self.scale * torch.randn(self.count, inputs, generator=generator, dtype=torch.float64)
        vectors = vectors * 2 / (upper - lower)
        phases = -vectors @ ((lower + upper) / 2)
        return torch.cat((vectors, vectors)), torch.cat((phases + math.pi / 2, phases))

    def kept(self, inputs: int) -> list[int]:
        """Return all coordinates, or none."""
        return list(range(inputs)) if self.keep else []


_KINDS: dict[str, type[Any]] = {kind.kind: kind for kind in (Periodic, Cosine, Fourier)}


def embedding_from_dict(description: Mapping[str, Any]) -> Embedding:
    """Return the embedding that `Embedding.to_dict` described (keys of mappings may have become text in JSON)."""
    rest = dict(description)
    kind = rest.pop("kind", None)
    if kind not in _KINDS:
        raise ArgumentError(
            f"embedding: {kind!r} is not known{closest(str(kind), _KINDS)}; accepted: {', '.join(_KINDS)}"
        )
    return _KINDS[kind](**rest)
