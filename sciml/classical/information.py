"""What slopes of measured values say about unknown numbers, and in which directions they say nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Information", "information"]

Array = NDArray[Any]

PART = 1e-2  # of a direction that is lost; what is smaller comes from errors of the slopes
LOST = 30.0  # relative standard error of a lost direction: beyond the values, while its own errors stay below them


@final
@dataclass(frozen=True)
class Information:
    """What weighted slopes say about the unknown numbers.

    Attributes
    ----------
    covariance : of z for residuals of unit variance, [P, P]; along directions that the slopes do not see thirty times
        the values themselves.
    unseen : which of z have no finite variance, [P].
    tangent : orthonormal directions of the values along which z can move them, [M, rank].
    """

    covariance: Array
    unseen: Array
    tangent: Array

    @property
    def rank(self) -> int:
        """How many directions of z are seen."""
        return self.tangent.shape[1]

    @property
    def leverage(self) -> Array:
        """How much of each datum its own fit explains, [M]; they add up to the rank."""
        return np.sum(self.tangent**2, axis=1)


def information(slopes: Array, errors: Array, sizes: Array) -> Information:
    """Return what weighted slopes say about z.

    Parameters
    ----------
    slopes : divided by the noise, [M, P].
    errors : up to which each column is known, relative to it, [P].
    sizes : changes of z that are as large as the values that they stand for, [P].
    """
    norms = np.linalg.norm(slopes, axis=0)
    seen = (norms > 0) & (errors < 1 / 3)
    covariance = np.diag(np.where(seen, 0.0, (LOST * sizes) ** 2))
    unseen = ~seen
    if not seen.any():
        return Information(covariance, unseen, np.zeros((len(slopes), 0)))
    # Columns of length one: correlation alone decides which directions are lost, not the unit of a parameter.
    left, singular, right = np.linalg.svd(slopes[:, seen] / norms[seen], full_matrices=False)
    lost = singular <= max(float(np.max(errors[seen])) * math.sqrt(len(singular)), 1e-12) * singular[0]
    right[lost] = np.where(abs(right[lost]) > PART, right[lost], 0.0)
    unseen[seen] = (right[lost] != 0).any(axis=0)
    vectors = right / norms[seen]
    spreads = 1 / np.maximum(singular, 1e-300)
    spreads[lost] = LOST / np.max(abs(vectors[lost]) / sizes[seen], axis=1, initial=1e-300)
    covariance[np.ix_(seen, seen)] = (vectors.T * spreads**2) @ vectors
    return Information(covariance, unseen, left[:, ~lost])
