"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

__all__ = ["Trial", "strong_wolfe"]


@final
@dataclass(frozen=True)
class Trial:
    """A point of the search: step length, value, slope along the direction, and whatever the caller wants back."""

    step: float
    value: float
    slope: float
    payload: Any = None

    @property
    def finite(self) -> bool:
        """Whether value and slope are numbers."""
        return math.isfinite(self.value) and math.isfinite(self.slope)


def strong_wolfe(
    evaluate: Callable[[float], Trial],
    value: float,
    slope: float,
    step: float,
    *,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    evaluations: int = 25,
) -> Trial | None:
    """Return a step with f(a) <= f(0) + c1 a f'(0) and |f'(a)| <= c2 |f'(0)|.

    The interval is widened until it brackets such a step, then narrowed by safeguarded cubic interpolation. A point
    that is not finite counts as infinitely high.

    Parameters
    ----------
    evaluate
        Returns the trial of a step length.
    value, slope
        f(0) and f'(0) < 0.
    step
        First step length to try, > 0.
    decrease, curvature
        The constants 0 < c1 < c2 < 1.
    evaluations
        Largest number of trials.

    Returns
    -------
    trial
        If the trials are used up, the lowest one that satisfies the first condition, or None.

    References
    ----------
    Nocedal, Wright, Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6, doi:10.1007/978-0-387-40065-5
    """
    low, high = Trial(0.0, value, slope), None
    for _ in range(evaluations):
        trial = evaluate(step)
        if (
            not trial.finite
            or trial.value >= value + decrease * step * slope
            or (low.step > 0 and trial.value >= low.value)
        ):
            high = trial
        elif abs(trial.slope) <= -curvature * slope:
            return trial
        else:
            direction = 1.0 if high is None else high.step - low.step
            if trial.slope * direction >= 0:
                high = low
            elif high is None:
                # Still falling: go on, at most tenfold, to the minimum of the cubic through both ends (NaN: twofold).
                step = min(max(2 * trial.step, _cubic(low, trial)), 10 * trial.step)
            low = trial
        if high is not None:
            width = high.step - low.step
            if abs(width) <= 1e-14 * max(low.step, high.step):
                break
            step = _cubic(low, high) if high.finite else low.step + 0.1 * width
            # NaN fails the comparison too.
            nearest, farthest = sorted((low.step + 0.1 * width, low.step + 0.9 * width))
            if not nearest <= step <= farthest:
                step = low.step + 0.5 * width
    return low if low.step > 0 else None


def _cubic(a: Trial, b: Trial) -> float:
    """Return the minimum of the cubic that has the values and slopes of two trials (NaN if it has none)."""
    first = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    square = first * first - a.slope * b.slope
    if not square >= 0:
        return math.nan
    second = math.copysign(math.sqrt(square), b.step - a.step)
    bottom = b.slope - a.slope + 2 * second
    return b.step - (b.step - a.step) * (b.slope + second - first) / bottom if bottom else math.nan
