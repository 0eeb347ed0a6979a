"""Whether a law reproduces its record: the scatter that it leaves, and where its own solution goes.

A law that is only near the truth can fit every sampling interval to within some noise. What it leaves is then no noise:
neighbouring samples are off to the same side. And its own solution, from the first state over the time of the record,
need not stay where the data are; that of a right law does, chaotic or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import DOP853

__all__ = ["FAR", "correlations", "reach"]

# A solution that is this many times as far from the middle of the data as the data are has left them.
FAR = 3.0
# What an explicit method may take; a solution that needs more is not judged.
MOST_STEPS = 20_000
TOLERANCE = 1e-6


def correlations(residuals: np.ndarray, parts: list[slice]) -> np.ndarray:
    r"""Return how far neighbouring residuals are from independent, in standard deviations, [2, d].

    .. math:: s_l = \frac{\sum_k e_k e_{k + l}}{\sigma^2 \sqrt{n_l}}, \qquad l = 1, 2,

    which is standard normal for independent residuals of variance sigma^2 (Box and Pierce 1970,
    doi:10.1080/01621459.1970.10481180).

    Parameters
    ----------
    residuals : samples less states [N, d], NaN where there is no sample
    parts : of the records
    """
    found = np.zeros((2, residuals.shape[1]))
    square = np.nanmean(residuals**2, axis=0)
    for lag in (1, 2):
        pairs = np.concatenate([residuals[part][lag:] * residuals[part][:-lag] for part in parts])
        count = np.isfinite(pairs).sum(axis=0)
        found[lag - 1] = np.nansum(pairs, axis=0) / np.maximum(square * np.sqrt(np.maximum(count, 1)), 1e-300)
    return found


def reach(slope: Callable[[float, Any], Any], states: np.ndarray, times: np.ndarray) -> float | None:
    """Return how far the solution from the first state goes from the middle of the data, relative to the data.

    Parameters
    ----------
    slope : y' = slope(t, y)
    states : of the data [N, d]
    times : [N]

    Returns
    -------
    The largest distance at the steps of the method, over the unknowns, in units of the data's own largest one; infinite
    as soon as it exceeds `FAR` and where there is no solution; None where it takes too many steps.
    """
    middle = (states.max(axis=0) + states.min(axis=0)) / 2
    size = np.maximum(np.ptp(states, axis=0) / 2, 1e-9 * np.max(np.abs(states), axis=0, initial=1e-300))
    begin, span = float(times[0]), float(times[-1] - times[0])
    farthest = 1.0

    def scaled(s: float, u: Any) -> Any:
        # In the record's own units, so that the method's first step is the same in all of the user's.
        return np.asarray(slope(begin + s * span, middle + size * u)) * (span / size)

    with np.errstate(all="ignore"):
        try:
            solver: Any = DOP853(scaled, 0.0, (states[0] - middle) / size, 1.0, rtol=TOLERANCE, atol=TOLERANCE)
            for _ in range(MOST_STEPS):
                if solver.status != "running":
                    break
                solver.step()
                away = float(np.max(np.abs(solver.y)))
                if solver.status == "failed" or not away <= FAR:
                    return np.inf
                farthest = max(farthest, away)
        except (ValueError, ZeroDivisionError, OverflowError):
            # The law has no value at a state of its own solution.
            return np.inf
    return farthest if solver.status == "finished" else None
