"""From a least-squares fit to statements about its unknowns: standard errors, intervals, directions left open.

The unknown numbers p of an identification are found through unconstrained ones z, p = map(z): an unbounded number is
scaled, one with a bound on one side is an exponential, one between two bounds a logistic. Intervals are taken in z,
where the problem is closer to linear, and mapped, so that they stay within the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import stats

from sciml.errors import ArgumentError

__all__ = ["LEVEL", "Estimate", "Range", "estimates", "open_directions", "range_of"]

LEVEL = 0.95
# A direction whose standard error is larger than this, relative to the values, is not determined by the data.
OPEN = 1.0
# Beyond this an exponential is as good as at its end.
FARTHEST = 300.0


@final
@dataclass(frozen=True)
class Range:
    """How an unknown number p depends on an unconstrained one z.

    Attributes
    ----------
    lower, upper : bounds of p, infinite where there is none.
    center, scale : of p where there is no bound, p = center + scale z; with one bound p = lower + scale e^z (or
        upper - scale e^z); with two p = lower + (upper - lower) / (1 + e^-z).
    """

    lower: float = -math.inf
    upper: float = math.inf
    center: float = 0.0
    scale: float = 1.0

    @property
    def sides(self) -> tuple[bool, bool]:
        """Whether there is a lower and an upper bound."""
        return math.isfinite(self.lower), math.isfinite(self.upper)

    def value(self, z: float) -> float:
        """Return p."""
        z = max(-FARTHEST, min(FARTHEST, z)) if any(self.sides) else z
        if self.sides == (True, True):
            return self.lower + (self.upper - self.lower) / (1 + math.exp(-z))
        if self.sides == (True, False):
            return self.lower + self.scale * math.exp(z)
        if self.sides == (False, True):
            return self.upper - self.scale * math.exp(z)
        return self.center + self.scale * z

    def slope(self, z: float) -> float:
        """Return dp/dz."""
        if self.sides == (True, True):
            z = max(-FARTHEST, min(FARTHEST, z))
            rise = 1 / (1 + math.exp(-z))
            return (self.upper - self.lower) * rise * (1 - rise)
        if self.sides == (True, False):
            return self.value(z) - self.lower
        if self.sides == (False, True):
            return self.value(z) - self.upper
        return self.scale

    def inverse(self, p: float) -> float:
        """Return z; values at or beyond a bound are taken a little inside."""
        if self.sides == (True, True):
            part = (p - self.lower) / (self.upper - self.lower)
            part = min(max(part, 1e-6), 1 - 1e-6)
            return math.log(part / (1 - part))
        if self.sides == (True, False):
            return math.log(max(p - self.lower, 1e-6 * self.scale) / self.scale)
        if self.sides == (False, True):
            return math.log(max(self.upper - p, 1e-6 * self.scale) / self.scale)
        return (p - self.center) / self.scale


def range_of(name: str, start: float, bounds: tuple[float | None, float | None] | None = None) -> Range:
    """Return the range of an unknown number.

    Parameters
    ----------
    name : for messages.
    start : its first value, which also gives the scale (1 where it is zero).
    bounds : (lower, upper), None for a side without a bound; None for none at all.

    Raises
    ------
    ArgumentError : bounds that are not two numbers in order, or a start outside of them.
    """
    scale = abs(start) or 1.0
    if bounds is None:
        return Range(center=start, scale=scale)
    try:
        lower, upper = (side if side is None else float(side) for side in bounds)
    except (TypeError, ValueError):
        raise ArgumentError(f"bounds of {name!r} must be a pair (lower, upper), got {bounds!r}") from None
    low = -math.inf if lower is None else lower
    high = math.inf if upper is None else upper
    if math.isnan(low) or math.isnan(high) or not low < high:
        raise ArgumentError(f"bounds of {name!r} must be a pair (lower, upper) with lower < upper, got {bounds!r}")
    if not low <= start <= high:
        raise ArgumentError(
            f"the start of {name!r} is {start:g}, outside its bounds [{low:g}, {high:g}]; "
            f"problem.replace({name}=...) sets it"
        )
    distance = min(abs(start - side) for side in (low, high) if math.isfinite(side)) if low > -high else 0.0
    return Range(low, high, start, distance or scale)


@final
@dataclass(frozen=True)
class Estimate:
    """An identified number.

    Attributes
    ----------
    value : of maximal likelihood.
    standard_error : from the Gauss-Newton Hessian with the noise found; infinite where the data say nothing.
    interval : confidence interval of level 0.95, within the bounds.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]

    def __float__(self) -> float:
        return self.value

    def contains(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.interval[0] <= value <= self.interval[1]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.6g} +- {self.standard_error:.2g} [{low:.6g}, {high:.6g}]"


def estimates(
    ranges: Mapping[str, Range], z: Sequence[float], covariance: np.ndarray, freedom: float
) -> dict[str, Estimate]:
    """Return the estimates of unknown numbers.

    Parameters
    ----------
    ranges : by name, in the order of z.
    z : unconstrained values [P].
    covariance : of z, [P, P].
    freedom : observations less what was determined; Student's t with so many degrees makes the intervals.
    """
    quantile = float(stats.t.ppf(0.5 + LEVEL / 2, max(freedom, 1.0)))
    found: dict[str, Estimate] = {}
    for k, (name, own) in enumerate(ranges.items()):
        spread = math.sqrt(max(float(covariance[k, k]), 0.0))
        value = own.value(float(z[k]))
        if not math.isfinite(spread):
            found[name] = Estimate(value, math.inf, (own.lower, own.upper))
            continue
        ends = sorted((own.value(float(z[k]) - quantile * spread), own.value(float(z[k]) + quantile * spread)))
        found[name] = Estimate(value, abs(own.slope(float(z[k]))) * spread, (ends[0], ends[1]))
    return found


def open_directions(names: Sequence[str], values: Sequence[float], covariance: np.ndarray) -> list[dict[str, float]]:
    """Return combinations of unknown numbers that the data do not determine, each as its parts by name.

    The covariance [P, P] is that of the numbers themselves; it is looked at relative to their values.
    """
    size = np.array([abs(value) if value else 1.0 for value in values])
    relative = covariance / np.outer(size, size)
    if not np.isfinite(relative).all():
        return [{name: 1.0} for k, name in enumerate(names) if not math.isfinite(relative[k, k])]
    spreads, directions = np.linalg.eigh((relative + relative.T) / 2)
    found = []
    for spread, direction in zip(spreads, directions.T, strict=True):
        if spread > OPEN**2:
            part = direction * np.sign(direction[np.argmax(abs(direction))])
            found.append({n: round(float(w), 3) for n, w in zip(names, part, strict=True) if abs(w) > 0.05})
    return found
