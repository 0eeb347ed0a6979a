"""Measurements of a problem's unknowns at points of its box, from whatever a user has them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

__all__ = ["Observations", "observations_of"]


@final
@dataclass(frozen=True, eq=False)
class Observations:
    """The measurements of one experiment.

    Attributes
    ----------
    points : float64 array [N, d], columns in the order of the domain.
    values : what was measured at them, by name of an unknown (or of a derivative, "u_x"), arrays [N]; NaN where that
        one was not measured. Every point has at least one number.
    source : where they came from, for messages ("data", "points.csv").
    """

    points: np.ndarray
    values: Mapping[str, np.ndarray]
    source: str = "data"

    @property
    def count(self) -> int:
        """How many numbers were measured."""
        return sum(int(np.isfinite(column).sum()) for column in self.values.values())


def observations_of(data: Any, problem: Any, columns: Mapping[str, str] | None = None) -> tuple[Observations, ...]:
    """Return the observations of each experiment."""
    raise NotImplementedError
