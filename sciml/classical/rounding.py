r"""The error that rounding alone makes of a solution of y' = f(t, y), by the equation linearised along it.

Two tolerances of an integrator agree by chance where their errors have not excited a mode that grows, as exp(10 t) does
beside the solution exp(-10 t) of y'' = 100 y. Rounding excites it sooner or later. With independent relative errors
:math:`\epsilon` of the initial state and of each step, the covariance P of the error follows

.. math:: P_{k+1} = \Phi_k P_k \Phi_k^T + \epsilon^2 \mathrm{diag}(y_k^2),

with :math:`\Phi_k` the propagator of e' = J(t, y) e over a step, by its Pade approximant of order 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.classical.trajectory import PiecewisePolynomial

__all__ = ["rounding_error"]

Array = NDArray[Any]

ROUNDING = 2.0**-52
TIMES = 240
# More components than this are those of a discretised field.
MOST = 40


def rounding_error(
    trajectory: PiecewisePolynomial, jacobians: Callable[[Array, Array], Array], judged: Sequence[int]
) -> float:
    """Return the relative L2 error that rounding makes; 0 where it cannot be told.

    Parameters
    ----------
    trajectory : with n values.
    jacobians : of the right-hand side at times [T] and states [T, n], as [T, n, n].
    judged : the components that enter the norm.
    """
    if trajectory.size > MOST:
        return 0.0
    # As many times where the integrator went slowly as evenly spread.
    breaks = trajectory.breaks
    slow = np.interp(np.linspace(0, len(breaks) - 1, TIMES // 2), np.arange(len(breaks)), breaks)
    times = np.union1d(slow, np.linspace(trajectory.start, trajectory.end, TIMES // 2))
    lengths = np.diff(times)
    middle = (times[:-1] + times[1:]) / 2
    states = trajectory.values(times)
    with np.errstate(all="ignore"):
        step = lengths[:, None, None] * jacobians(middle, trajectory.values(middle))
        if not np.all(np.isfinite(step)):
            return 0.0
        even, odd = np.eye(trajectory.size) + step @ step / 12, step / 2
        propagators = np.linalg.solve(even - odd, even + odd)
        noise = (ROUNDING * states) ** 2
        covariance, spread = np.diag(noise[0]), [noise[0]]
        for propagator, source in zip(propagators, noise[1:], strict=True):
            covariance = propagator @ covariance @ propagator.T
            covariance[np.diag_indices_from(covariance)] += source
            spread.append(np.diagonal(covariance).copy())
        weights = np.concatenate([lengths, [0.0]]) + np.concatenate([[0.0], lengths])
        index = list(judged)
        error = weights @ np.array(spread)[:, index].sum(axis=1)
        size = weights @ np.sum(states[:, index] ** 2, axis=1)
        result = float(np.sqrt(error / size)) if size > 0 else 0.0
    return result if np.isfinite(result) else 0.0
