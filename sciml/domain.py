"""The region on which a problem is posed: an axis-parallel box. Other shapes would be further classes like it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml.errors import ProblemError, closest

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Box"]


@dataclass(frozen=True)
class Box:
    """The product of closed intervals `lower[i] <= coordinates[i] <= upper[i]`.

    Parameters
    ----------
    coordinates : names of the coordinates; their order is the order of arguments everywhere (`u(x, t)`).
    lower, upper : finite bounds, `lower[i] < upper[i]`, in the problem's own units.

    Raises
    ------
    ProblemError : if a bound is not finite, or an interval is empty.
    """

    coordinates: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.coordinates:
            raise ProblemError("domain: at least one coordinate is needed, for example domain={'t': (0, 1)}")
        if len(set(self.coordinates)) != len(self.coordinates):
            raise ProblemError(f"domain: coordinate names must differ, got {', '.join(self.coordinates)}")
        if not len(self.coordinates) == len(self.lower) == len(self.upper):
            raise ProblemError("domain: every coordinate needs a lower and an upper bound")
        for name, a, b in zip(self.coordinates, self.lower, self.upper, strict=True):
            if not (math.isfinite(a) and math.isfinite(b)):
                raise ProblemError(f"domain: the bounds of {name} must be finite numbers, got ({a:g}, {b:g})")
            if not a < b:
                raise ProblemError(
                    f"domain: the lower bound of {name} must lie below the upper one, got ({a:g}, {b:g})"
                )

    @property
    def dimension(self) -> int:
        """Number of coordinates, time included."""
        return len(self.coordinates)

    @property
    def lengths(self) -> tuple[float, ...]:
        """The lengths of the intervals."""
        return tuple(b - a for a, b in zip(self.lower, self.upper, strict=True))

    def index(self, name: str) -> int:
        """Position of a coordinate; raises ProblemError for an unknown name."""
        try:
            return self.coordinates.index(name)
        except ValueError:
            known = ", ".join(self.coordinates)
            raise ProblemError(
                f"no coordinate {name!r} in the domain ({known}){closest(name, self.coordinates)}"
            ) from None

    def interval(self, name: str) -> tuple[float, float]:
        """The pair (lower, upper) of a coordinate."""
        i = self.index(name)
        return self.lower[i], self.upper[i]

    def snap(self, name: str, value: float) -> float:
        """Return the bound that `value` equals within rounding (1e-12 of the length), else `value` itself."""
        a, b = self.interval(name)
        slack = 1e-12 * max(b - a, abs(a), abs(b))
        return a if abs(value - a) <= slack else b if abs(value - b) <= slack else value

    def contains(self, points: Any, slack: float = 1e-9) -> np.ndarray:
        """Which rows of `points` (shape [N, dimension]) lie in the box, `slack` being relative to the lengths."""
        import numpy as np

        points = np.asarray(points, dtype=float)
        lower, upper = np.asarray(self.lower), np.asarray(self.upper)
        margin = slack * (upper - lower)
        return np.all((points >= lower - margin) & (points <= upper + margin), axis=-1)

    def __str__(self) -> str:
        sides = zip(self.coordinates, self.lower, self.upper, strict=True)
        return ", ".join(f"{name} in [{a:.6g}, {b:.6g}]" for name, a, b in sides)
