r"""Waves that a dispersive equation makes of an initial kink, as factors of what the network has to find.

Where an initial value has a jump of its slope under periodic continuation and the equations are
:math:`u_t = A\,\partial_x^m u + \dots` with waves (:math:`(ik)^m A` has imaginary eigenvalues), nothing rounds the
kink: its Fourier coefficients :math:`J/((ik)^2 L)` travel on, :math:`W(x,t) = \sum_k \hat K_k e^{ikx + (ik)^m A t}`,
and fill the box with oscillations that no smooth network follows. The lower terms of the equations bend the waves
slowly: for short waves (geometric optics, an expansion in 1/k: G. B. Whitham, Linear and Nonlinear Waves, 1974,
doi:10.1002/9781118032954)

.. math:: u = v(x,t) + M_0(x,t) W + M_1(x,t) \partial_x^{-1} W + M_2(x,t) \partial_x^{-2} W + \dots

with v and the matrices M_p as smooth as the solution without its kink. They are what a correction
(`sciml.pinn.polish`) finds by least squares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import sympy
import torch
from torch import Tensor

from sciml.notation import Partial
from sciml.pinn.layers import slope_in
from sciml.problem import Problem

__all__ = ["TERMS", "Waves", "kink_waves"]

# Wave numbers of the sum; what is left out of a kink of slope falls like their number to the power -3/2.
MODES = 256
# Repeated integrals of the waves that the expansion takes.
TERMS = 3
# Jumps of these derivatives of the initial value are part of the waves.
JUMPS = (1, 2, 3)
NONE = 1e-9


@final
@dataclass(frozen=True, eq=False)
class Waves:
    """The carriers, real functions of coordinate and time: the integrals of order 0, 1, 2 of W, each unknown in turn.

    Those of one order are scaled together, to a mean square of 1 over the box and the unknowns.

    Attributes
    ----------
    axis, time_axis : which columns of the points are the periodic coordinate and time.
    start : where both begin.
    numbers, frequencies : k and omega of the terms, [K].
    amplitudes : complex [TERMS, unknowns, K], of the terms Re(z exp(i(k(x - a) + omega(t - t0)))).
    """

    axis: int
    time_axis: int
    start: tuple[float, float]
    numbers: np.ndarray
    frequencies: np.ndarray
    amplitudes: np.ndarray

    @property
    def count(self) -> int:
        """Number of carriers."""
        return self.amplitudes.shape[0] * self.amplitudes.shape[1]

    def __call__(self, orders: Sequence[tuple[int, ...]], points: Tensor) -> Tensor:
        """Return derivatives of the carriers, [len(orders), count, N], at points [N, 2]."""
        k, omega = (torch.as_tensor(rate).to(points) for rate in (self.numbers, self.frequencies))
        x, t = points[:, self.axis] - self.start[0], points[:, self.time_axis] - self.start[1]
        phase = torch.outer(k, x) + torch.outer(omega, t)
        cosine, sine = torch.cos(phase), torch.sin(phase)
        rows = []
        for order in orders:
            rates = (1j * self.numbers) ** order[self.axis] * (1j * self.frequencies) ** order[self.time_axis]
            amplitudes = (self.amplitudes * rates).reshape(self.count, -1)
            real, imaginary = (torch.as_tensor(part).to(points) for part in (amplitudes.real, amplitudes.imag))
            rows.append(real @ cosine - imaginary @ sine)
        return torch.stack(rows)


def kink_waves(problem: Problem, initial: Mapping[str, sympy.Expr]) -> Waves | None:
    """Return the waves of the kinks that the initial values have under periodic continuation, or None.

    None too where they jump themselves, where the equations are not of first order in time with constant coefficients
    of the highest derivatives, or where those damp.

    Parameters
    ----------
    problem : with one coordinate besides time, which is periodic.
    initial : the initial value of each unknown, parameters put in.
    """
    if problem.time is None or len(problem.space) != 1 or set(problem.periodic) != set(problem.space):
        return None
    (coordinate,) = problem.space
    if set(initial) != set(problem.unknowns):
        return None
    jumps = _jumps(problem, coordinate, initial)
    matrix, order = _principal(problem, coordinate)
    if jumps is None or matrix is None:
        return None
    values, vectors = np.linalg.eig(matrix)
    imaginary = 1j**order * values
    size = float(np.abs(values).max())
    if not size > 0 or np.abs(imaginary.real).max() > NONE * size or np.linalg.cond(vectors) > 1 / NONE:
        return None
    a, b = problem.domain.interval(coordinate)
    length = b - a
    k = 2 * math.pi / length * np.arange(1, MODES + 1)
    # c_k = sum_j J_j/((i k)^(j + 1) L) of the derivatives' jumps J_j; twice the real part of the positive half.
    kink = sum(2 * np.outer(jump, 1 / ((1j * k) ** (j + 1) * length)) for j, jump in jumps.items())
    branches = vectors[:, :, None] * (np.linalg.inv(vectors) @ kink)[None]  # [unknown, branch, mode]
    frequencies = (imaginary.imag[:, None] * k**order).reshape(-1)
    numbers = np.tile(k, len(values))
    terms = np.stack([branches.reshape(len(values), -1) / (1j * numbers) ** p for p in range(TERMS)])
    rms = np.sqrt(np.square(np.abs(terms)).sum((1, 2), keepdims=True) / (2 * len(values)))
    names = problem.coordinates
    axis, time_axis = names.index(coordinate), names.index(problem.time)
    start = a, problem.domain.interval(problem.time)[0]
    return Waves(axis, time_axis, start, numbers, frequencies, terms / rms)


def _jumps(problem: Problem, coordinate: str, initial: Mapping[str, sympy.Expr]) -> dict[int, np.ndarray] | None:
    """Jumps [unknowns] of the derivatives that have any, at the joint; None where there is no kink, or a jump."""
    x = problem.vocabulary.symbol(coordinate)
    ends = [sympy.nsimplify(end) for end in problem.domain.interval(coordinate)]
    found: dict[int, np.ndarray] = {}
    for order in (0, *JUMPS):
        jumps = []
        for unknown in problem.unknowns:
            derivative: Any = sympy.diff(initial[unknown], x, order)
            lower, upper = (derivative.subs(x, end) for end in ends)
            if not (lower.is_number and upper.is_number):
                return None
            gap, size = float(lower - upper), abs(float(lower))
            jumps.append(gap if abs(gap) > NONE * (1 + size) else 0.0)
        if any(jumps):
            found[order] = np.array(jumps)
    return found if found and 0 not in found and 1 in found else None


def _principal(problem: Problem, coordinate: str) -> tuple[np.ndarray | None, int]:
    """The constant matrix A and the order m of u_t = A d^m u / dx^m + (lower orders), if the equations are that."""
    time, names, unknowns = problem.time, problem.coordinates, problem.unknowns
    order = max(problem.order(u, coordinate) for u in unknowns)
    assert time is not None
    if order < 2 or len(problem.residuals) != len(unknowns) or any(problem.order(u, time) != 1 for u in unknowns):
        return None, order
    matrices = []
    for name, count in ((time, 1), (coordinate, order)):
        orders = tuple(count * int(c == name) for c in names)
        slopes = [[slope_in(problem, r, Partial(u, orders)) for u in unknowns] for r in problem.residuals]
        if not all(slope.is_number for row in slopes for slope in row):
            return None, order
        matrices.append(np.array([[float(slope) for slope in row] for row in slopes]))
    first, highest = matrices
    if not abs(np.linalg.det(first)) > 0:
        return None, order
    return -np.linalg.solve(first, highest), order
