"""Defects: what the law leaves unexplained between two neighbouring samples.

For every sampling interval, x(k+1) - x(k) - integral of f over it = 0. The integral is that of the polynomial which
interpolates f at six neighbouring samples (one-sided at the ends of a record), at any spacing of the times.
"""

from __future__ import annotations

import numpy as np

__all__ = ["WIDTH", "interval_weights"]

WIDTH = 6


def interval_weights(times: np.ndarray, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    r"""Return quadrature weights over the intervals of a grid.

    .. math:: \int_{t_k}^{t_{k+1}} f \approx \sum_a w_{ka} f(t_{s_k + a})

    Parameters
    ----------
    times : increasing, [N] with N >= 2
    width : int
        nodes of the interpolant; fewer where the record is shorter.

    Returns
    -------
    start : int array [N - 1], s_k
    weights : [N - 1, min(width, N)]
        exact for polynomials of a degree below the number of nodes.
    """
    count = len(times)
    width = min(width, count)
    start = np.clip(np.arange(count - 1) - (width // 2 - 1), 0, count - width)
    nodes = times[start[:, None] + np.arange(width)]
    # Each window is mapped to [-1, 1], where a Vandermonde matrix of six nodes is harmless.
    middle, half = (nodes[:, 0] + nodes[:, -1]) / 2, (nodes[:, -1] - nodes[:, 0]) / 2
    tau = (nodes - middle[:, None]) / half[:, None]
    lower, upper = (times[:-1] - middle) / half, (times[1:] - middle) / half
    powers = np.arange(width)
    vandermonde = tau[:, None, :] ** powers[None, :, None]
    moments = (upper[:, None] ** (powers + 1) - lower[:, None] ** (powers + 1)) / (powers + 1)
    return start, half[:, None] * np.linalg.solve(vandermonde, moments[..., None])[..., 0]
