r"""Steady incompressible flow in a box by the stream function: no pressure in training, no divergence in the result.

With :math:`u = \psi_y, v = -\psi_x` the flow is incompressible for every network. The momentum equations
:math:`R_1 + p_x = 0, R_2 + p_y = 0` lose the pressure in :math:`\partial_y R_1 - \partial_x R_2 = 0`, the equation of
the vorticity. Velocities on the four sides give psi and its normal derivative there, which
:math:`\psi = g + s\,d\,N` meets exactly.

Where the tangential velocity of a side jumps by U in a corner (a sliding lid beside a wall) psi behaves there like the
Stokes flow of G. I. Taylor (Deposition of a viscous fluid on a plane surface, 1962), homogeneous of degree one in the
distance r: with X along the lid, Y across, theta = atan2(Y, X)

.. math:: S = \frac{X\theta - \frac\pi2 Y(\frac\pi2 - \theta)}{\pi^2/4 - 1}, \qquad
    S = 0,\ S_Y = -1 \text{ on } Y = 0, \qquad S = S_X = 0 \text{ on } X = 0 .

g holds these functions and a boolean sum of Hermite interpolants for the rest of the data; d vanishes twofold on the
sides, but only like r^2 in such corners, where inertia adds r^2 f(theta) to psi; and the network sees the angle. The
residual, singular like 1/r^2 there, is weighted by the 3/2-th power of the product of the distances from the sides:
a weaker norm, as the error of the velocity needs. For the cavity at Re 100 the error after 13 s is 300 times larger
without the distances in the weight, 20 times without r^-2 in d, twice without the angle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from sympy.integrals.manualintegrate import manualintegrate

from sciml.incompressible import PlaneFlow, constant_slope, recognised_flow
from sciml.notation import Partial
from sciml.pinn.ansatz import Ansatz, Source, sample, size_of, values_at
from sciml.pinn.sides import Datum, interpolant
from sciml.problem import Problem

__all__ = ["PSI", "Stream", "singular_parts", "stream_function"]

PSI = "stream function"
_PI = sympy.pi


@dataclass(frozen=True)
class Stream:
    """How a flow is represented.

    Attributes
    ----------
    ansatz : velocities by the stream function.
    pressure : p = g + N alone, whose residuals are the weighted gradient of p.
    forces : R1 and R2 with the same weights.
    level : place and value of the pressure where it is given.
    """

    ansatz: Ansatz
    pressure: Ansatz
    forces: tuple[sympy.Expr, sympy.Expr]
    level: tuple[tuple[float, float], float] | None


@dataclass(frozen=True)
class Singular:
    """A part of psi that is singular in a corner.

    On both sides that meet there it vanishes with its normal derivative, except that on the side of axis `lid` the
    derivative by that axis is `slope`. `pressure` is that of the Stokes flow; `strong` says that the velocity jumps.
    """

    ends: tuple[int, int]
    lid: int
    slope: sympy.Expr
    psi: sympy.Expr
    pressure: sympy.Expr
    strong: bool


def stream_function(problem: Problem) -> Stream | None:
    """Build the ansatz for a steady incompressible Newtonian flow with velocities on all sides.

    Returns
    -------
    The ansatz, or None where the problem is something else, where velocities are not given as formulas on all sides, or
    where they do not fit together.
    """
    if problem.time is not None or problem.functions or problem.periodic:
        return None
    flow = recognised_flow(problem)
    data = None if flow is None or flow.sides is None else _side_data(problem, flow)
    viscosity = None if flow is None else _viscosity(problem, flow)
    if flow is None or data is None or viscosity is None:
        return None
    singular = [part for i in (0, 1) for j in (0, 1) for part in singular_parts(problem, flow, (i, j), viscosity)]
    left = [_remaining(problem, datum, singular) for datum in data]
    g: Any = sympy.Integer(0)
    for coordinate in problem.coordinates:
        g += interpolant(problem, coordinate, [datum for datum in left if datum.coordinate == coordinate], g)
    if not _met(problem, g, left):
        return None
    g += sum((part.psi for part in singular), sympy.Integer(0))
    strong, corners = (dict.fromkeys(p.ends for p in singular if p.strong or not only) for only in (True, False))
    box, names = problem.domain, problem.coordinates
    squares = [sum(s**2 for s in _local(problem, ends)) / sum(length**2 for length in box.lengths) for ends in strong]
    near: Any = math.prod(squares, start=sympy.Integer(1))
    walls: Any = math.prod(4 * _xi(problem, axis) * (1 - _xi(problem, axis)) for axis in (0, 1))
    d = walls**2 / near
    d = d / sympy.Float(float(np.max(values_at(problem, [d], sample(problem))[0])), 17)
    x, y = (problem.vocabulary.symbol(name) for name in names)
    curl = sympy.diff(flow.momentum[0], y) - sympy.diff(flow.momentum[1], x)
    angles = [
        2 * _local(problem, ends)[0] / sympy.sqrt(sum(s**2 for s in _local(problem, ends))) - 1 for ends in strong
    ]
    u, v = flow.velocity
    ansatz = Ansatz(
        problem,
        {PSI: g},
        {PSI: d},
        {PSI: size_of(problem, g)},
        tuple((2 * _xi(problem, axis) - 1,) for axis in (0, 1)),
        problem.conditions,
        (),
        tuple(angles),
        sources={u: Source(PSI, (0, 1)), v: Source(PSI, (1, 0), -1)},
        equations={"vorticity": sympy.Abs(walls) ** sympy.Rational(3, 2) * curl},
        corners=tuple((box.interval(names[0])[i], box.interval(names[1])[j]) for i, j in corners),
    )
    # The gradient of the pressure is of size 1/r^2 in such corners: it is fitted with a weight that vanishes there.
    gradient = [problem.vocabulary.expression(Partial(flow.pressure, orders)) for orders in ((1, 0), (0, 1))]
    pressure = replace(
        ansatz,
        g={flow.pressure: sum((part.pressure for part in singular), sympy.Integer(0))},
        d={flow.pressure: sympy.Integer(1)},
        scale={flow.pressure: 1.0},
        hard=tuple(c for c in problem.conditions if len(c.place) == 2),
        sources={flow.pressure: Source(flow.pressure, (0, 0))},
        equations={name: near * slope for name, slope in zip(names, gradient, strict=True)},
    )
    return Stream(ansatz, pressure, (near * flow.momentum[0], near * flow.momentum[1]), flow.level)


def _xi(problem: Problem, axis: int) -> Any:
    """A coordinate scaled to [0, 1]."""
    name = problem.coordinates[axis]
    low, high = (sympy.nsimplify(bound) for bound in problem.domain.interval(name))
    return (problem.vocabulary.symbol(name) - low) / (high - low)


def _local(problem: Problem, ends: tuple[int, int]) -> tuple[Any, Any]:
    """The distances from a corner along the two coordinates."""
    result = []
    for name, end in zip(problem.coordinates, ends, strict=True):
        symbol, place = problem.vocabulary.symbol(name), sympy.nsimplify(problem.domain.interval(name)[end])
        result.append(symbol - place if end == 0 else place - symbol)
    return result[0], result[1]


def _viscosity(problem: Problem, flow: PlaneFlow) -> float | None:
    """The constant nu if the derivatives of second order in the momentum equations are -nu times a Laplacian."""
    vocabulary = problem.vocabulary
    found = []
    for unknown, residual in zip(flow.velocity, flow.momentum, strict=True):
        partials = [p for p in vocabulary.partials(residual) if sum(p.orders) > 1]
        if {(p.unknown, p.orders) for p in partials} != {(unknown, (2, 0)), (unknown, (0, 2))}:
            return None
        slopes = [constant_slope(residual, vocabulary.expression(p)) for p in partials]
        found += [-float(slope) for slope in slopes if slope is not None]
    same = len(found) == 4 and max(found) - min(found) <= 1e-12 * abs(found[0]) and found[0] > 0
    return found[0] if same else None


def _side_data(problem: Problem, flow: PlaneFlow) -> list[Datum] | None:
    """Values and normal derivatives of psi on the sides; psi is the integral of the normal velocity, 0 in a corner."""
    assert flow.sides is not None
    (u, v), names, box = flow.velocity, problem.coordinates, problem.domain
    x, y = (problem.vocabulary.symbol(name) for name in names)
    bounds = [[sympy.nsimplify(bound) for bound in box.interval(name)] for name in names]

    def integral(rate: sympy.Expr, symbol: sympy.Symbol, start: Any) -> Any:
        found: Any = manualintegrate(rate, symbol)
        return found - found.subs(symbol, start)

    along = {}
    for axis, name, symbol, sign in ((0, u, y, 1), (1, v, x, -1)):
        for end in (0, 1):
            along[axis, end] = integral(sign * flow.sides[axis, end, name], symbol, bounds[1 - axis][0])
    if any(formula.has(sympy.Integral) for formula in along.values()):
        return None
    along[0, 1] += along[1, 0].subs(x, bounds[0][1])
    along[1, 1] += along[0, 0].subs(y, bounds[1][1])
    gap = along[0, 1].subs(y, bounds[1][1]) - along[1, 1].subs(x, bounds[0][1])
    if not abs(float(gap)) <= 1e-9 * (
        1 + max(abs(float(f.subs({x: bounds[0][1], y: bounds[1][1]}))) for f in along.values())
    ):
        return None  # more fluid is let in than let out
    data = []
    for axis, name, sign in ((0, v, -1), (1, u, 1)):
        for end in (0, 1):
            condition = problem.conditions[0]
            data.append(Datum(condition, PSI, names[axis], end, 0, along[axis, end]))
            data.append(Datum(condition, PSI, names[axis], end, 1, sign * flow.sides[axis, end, name]))
    return data


def singular_parts(problem: Problem, flow: PlaneFlow, ends: tuple[int, int], viscosity: float) -> list[Singular]:
    """The singular parts in a corner: for a jump of either tangential velocity, and one of the mixed derivative."""
    assert flow.sides is not None
    (u, v), (i, j) = flow.velocity, ends
    x, y = (problem.vocabulary.symbol(name) for name in problem.coordinates)
    place = {
        x: sympy.nsimplify(problem.domain.interval(str(x))[i]),
        y: sympy.nsimplify(problem.domain.interval(str(y))[j]),
    }
    sides = {(axis, name): flow.sides[axis, (i, j)[axis], name] for axis in (0, 1) for name in (u, v)}
    values = {key: float(value.subs(list(place.items()))) for key, value in sides.items()}
    size = max(1e-300, *(abs(value) for value in values.values()))
    local = _local(problem, ends)
    signs = [1 if end == 0 else -1 for end in ends]
    turn = signs[0] * signs[1] * sympy.Float(viscosity, 17)
    result = []
    for lid, jump in ((1, values[1, u] - values[0, u]), (0, values[1, v] - values[0, v])):
        if abs(jump) > 1e-9 * size:
            along, across = local[1 - lid], local[lid]
            factor = -signs[lid] * _number(jump) / (_PI**2 / 4 - 1)
            angle = sympy.atan2(across, along)
            psi = factor * (along * angle - _PI / 2 * across * (_PI / 2 - angle))
            # The harmonic conjugate of the Laplacian, turned where the two coordinates change places.
            conjugate = factor * (2 * along + _PI * across) / (along**2 + across**2)
            pressure = (turn if lid == 1 else -turn) * conjugate
            result.append(Singular(ends, lid, _number(jump), psi, pressure, True))
    jump = float((sympy.diff(sides[1, u], x) + sympy.diff(sides[0, v], y)).subs(list(place.items())))
    if abs(jump) > 1e-9 * size / min(problem.domain.lengths):
        (along, across), factor = local, signs[0] * signs[1] * _number(jump)
        square = along**2 + across**2
        psi = factor * (sympy.atan2(across, along) * square / 2 - _PI / 4 * across**2 + along * across / 2)
        slope = _number(jump) * (x - place[x])
        result.append(Singular(ends, 1, slope, psi, turn * factor * sympy.log(square), False))
    return result


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, 17)


def _remaining(problem: Problem, datum: Datum, singular: Sequence[Singular]) -> Datum:
    """What the singular parts leave of a datum; on their own sides they are known without a limit."""
    axis, end = problem.coordinates.index(datum.coordinate), datum.end
    symbol = problem.vocabulary.symbol(datum.coordinate)
    bound = sympy.nsimplify(problem.domain.interval(datum.coordinate)[end])
    value: Any = datum.value
    for part in singular:
        if part.ends[axis] != end:
            value -= sympy.diff(part.psi, symbol, datum.order).subs(symbol, bound)
        elif part.lid == axis and datum.order == 1:
            value -= part.slope
    return replace(datum, value=value)


def _met(problem: Problem, g: sympy.Expr, data: Sequence[Datum]) -> bool:
    """Whether g meets the data at random points of the sides."""
    for datum in data:
        points = sample(problem)
        points[:, problem.domain.index(datum.coordinate)] = problem.domain.interval(datum.coordinate)[datum.end]
        derivative = sympy.diff(g, problem.vocabulary.symbol(datum.coordinate), datum.order)
        have, want = values_at(problem, [derivative, datum.value], points)
        if not np.max(np.abs(have - want)) <= 1e-10 * (1 + np.max(np.abs(want))):
            return False
    return True
