r"""An initial state that is known by samples: a smoothing spline with as much smoothing as the samples ask for.

Of all functions, the spline of odd degree 2r - 1 with its knots at the samples minimises

.. math:: \sum_i w_i (s(x_i) - y_i)^2 + \lambda \int (s^{(r)})^2 dx,

and lambda is chosen by generalised cross-validation (P. Craven and G. Wahba, doi:10.1007/BF01404567): samples without
noise are interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from scipy.interpolate import BSpline, make_interp_spline
from torch import Tensor

from sciml.notation import Partial

__all__ = ["SampledState", "Spline", "fitted_spline"]

# Samples that a periodic record is continued by at each end; what a spline does at its ends is forgotten after some.
OVERLAP = 40
# Weight of values that are known exactly.
EXACT = 1e3
SMOOTHINGS = 60


@final
class Spline:
    """A spline on an interval, or one period of it.

    Attributes
    ----------
    knots, coefficients, degree : of the B-splines.
    period : (start, length), or None.
    """

    def __init__(
        self, knots: np.ndarray, coefficients: np.ndarray, degree: int, period: tuple[float, float] | None
    ) -> None:
        self.knots = knots
        self.coefficients = coefficients
        self.degree = degree
        self.period = period
        self._spline = BSpline(knots, coefficients, degree)

    def __call__(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        """Return a derivative at x [N]; beyond its ends the spline is continued by its last polynomials."""
        if self.period is not None:
            start, length = self.period
            x = start + np.mod(x - start, length)
        if order > self.degree:
            return np.zeros_like(x)
        return self._spline(x, nu=order)


def fitted_spline(
    x: np.ndarray,
    y: np.ndarray,
    order: int,
    exact: Sequence[tuple[float, float]] = (),
    period: tuple[float, float] | None = None,
) -> Spline:
    """Fit a spline that has `order` continuous derivatives and some more.

    Parameters
    ----------
    x, y : samples [N], in any order; several at one place are averaged.
    order : of the derivatives that are wanted.
    exact : (x, y) that are known exactly.
    period : (start, length) if the function is periodic.
    """
    places = np.concatenate([x, [a for a, _ in exact]])
    values = np.concatenate([y, [b for _, b in exact]])
    weights = np.concatenate([np.ones(len(x)), np.full(len(exact), EXACT)])
    if period is not None:
        start, length = period
        places = start + np.mod(places - start, length)
    places, first = np.unique(places, return_inverse=True)
    total = np.bincount(first, weights)
    values = np.bincount(first, weights * values) / total
    weights = np.minimum(total, EXACT)
    if period is not None:
        index = np.arange(-min(OVERLAP, len(places)), len(places) + min(OVERLAP, len(places)))
        turn, index = np.divmod(index, len(places))
        places, values, weights = places[index] + turn * period[1], values[index], weights[index]
    degree = order + 5 - order % 2
    degree = min(degree, len(places) - 1 - len(places) % 2)
    plain = make_interp_spline(places, values, k=degree)
    knots = plain.t
    design = BSpline.design_matrix(places, knots, degree).toarray()
    fitted = _smoothed(design, _roughness(knots, degree), values, np.sqrt(weights))
    coefficients = plain.c if fitted is None else np.linalg.solve(design, fitted)
    return Spline(knots, coefficients, degree, period)


def _roughness(knots: np.ndarray, degree: int) -> np.ndarray:
    """The matrix of the integrals of products of the r-th derivatives of the B-splines, by Gauss's rule."""
    r = (degree + 1) // 2
    spans = np.unique(knots)
    nodes, weights = np.polynomial.legendre.leggauss(r)
    half, middle = np.diff(spans) / 2, (spans[1:] + spans[:-1]) / 2
    points = (middle[:, None] + half[:, None] * nodes).ravel()
    count = len(knots) - degree - 1
    table = BSpline(knots, np.eye(count), degree)(points, nu=r)
    return table.T @ (table * (half[:, None] * weights).ravel()[:, None])


def _smoothed(design: np.ndarray, roughness: np.ndarray, values: np.ndarray, root: np.ndarray) -> np.ndarray | None:
    """The smoothed values at the samples, or None where smoothing does not help."""
    inverse = np.linalg.inv(design) / root
    form = inverse.T @ roughness @ inverse
    sizes, vectors = np.linalg.eigh((form + form.T) / 2)
    sizes = np.maximum(sizes, 0.0)
    parts = vectors.T @ (root * values)
    positive = sizes[sizes > 1e-14 * sizes[-1]]
    best: tuple[float, float] | None = None
    for smoothing in np.geomspace(1e-3 / sizes[-1], 1e2 / positive[0], SMOOTHINGS):
        lost = smoothing * sizes / (1 + smoothing * sizes)
        score = float(np.sum((lost * parts) ** 2) / np.sum(lost) ** 2)
        if best is None or score < best[0]:
            best = score, float(smoothing)
    assert best is not None
    if best[1] <= 2e-3 / sizes[-1]:
        return None
    return vectors @ (parts / (1 + best[1] * sizes)) / root


@final
class SampledState:
    """The initial values of the unknowns, as the trace that an ansatz continues.

    Parameters
    ----------
    splines : by unknown.
    axis : the column of space.
    """

    def __init__(self, splines: Mapping[str, Spline], axis: int) -> None:
        self.splines = dict(splines)
        self._axis = axis

    def __call__(self, partials: Sequence[Partial], points: Tensor) -> Tensor:
        """Return derivatives in space [A, N] at points [N, 2]."""
        x, where = np.unique(points[:, self._axis].numpy(), return_inverse=True)
        rows = [self.splines[p.unknown](x, p.orders[self._axis])[where] for p in partials]
        return torch.from_numpy(np.stack(rows)) if rows else points.new_empty((0, len(points)))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and a JSON-able rest."""
        arrays: dict[str, np.ndarray] = {}
        for name, spline in self.splines.items():
            arrays |= {f"{name}.knots": spline.knots, f"{name}.coefficients": spline.coefficients}
        degrees = {name: spline.degree for name, spline in self.splines.items()}
        periods = {name: None if s.period is None else list(s.period) for name, s in self.splines.items()}
        return arrays, {"degrees": degrees, "periods": periods, "axis": self._axis}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> SampledState:
        """Build it from `state` again."""
        splines = {}
        for name, degree in rest["degrees"].items():
            period = rest["periods"][name]
            own = np.array(arrays[f"{name}.knots"]), np.array(arrays[f"{name}.coefficients"])
            splines[name] = Spline(*own, int(degree), None if period is None else (period[0], period[1]))
        return cls(splines, int(rest["axis"]))
