"""Incompressible flow in a declared problem: recognised from its equations, solved through a stream function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.formulas import Formula
from sciml.classical.spaces import ElementSpace, Mesh
from sciml.errors import ProblemError
from sciml.notation import to_numpy

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Corner", "Flow", "SideValues", "boundary_coefficients", "pressures", "recognise"]

Array = NDArray[Any]


@dataclass(frozen=True)
class SideValues:
    """Velocity on one side, x = const (axis 0) or y = const (axis 1), as functions of the other coordinate."""

    axis: int
    u: Callable[[Array], Array]
    v: Callable[[Array], Array]

    @property
    def normal(self) -> Callable[[Array], Array]:
        """The derivative along the side of the stream function: u on x = const, -v on y = const."""
        return self.u if self.axis == 0 else lambda s: -self.v(s)

    @property
    def tangential(self) -> Callable[[Array], Array]:
        """The derivative of the stream function across the side: -v on x = const, u on y = const."""
        return (lambda s: -self.v(s)) if self.axis == 0 else self.u


@dataclass(frozen=True)
class Corner:
    """A corner and by how much the velocities of its two sides differ there."""

    place: tuple[float, float]
    ends: tuple[int, int]
    jump: float


@dataclass(frozen=True)
class Flow:
    """A steady incompressible flow.

    Attributes
    ----------
    velocity : names of the components along the two coordinates.
    pressure : name of the pressure.
    momentum : momentum equations without pressure, scaled so that the pressure gradient has factor one.
    sides : velocities on the sides, `sides[axis][end]`; None where they are not given on all of them.
    level : place and value of the pressure where it is given at a point, else None.
    """

    problem: Problem
    velocity: tuple[str, str]
    pressure: str
    momentum: tuple[Formula, Formula]
    sides: tuple[tuple[SideValues, SideValues], tuple[SideValues, SideValues]] | None
    level: tuple[tuple[float, float], float] | None

    @property
    def enclosed(self) -> bool:
        """Whether the velocity is given on the whole boundary."""
        return self.sides is not None

    @cached_property
    def flux(self) -> Array:
        """Increase of the stream function along each side, [axis, end].

        Raises
        ------
        ProblemError : more fluid is let in than let out.
        """
        assert self.sides is not None
        box = self.problem.domain
        flux, size = np.zeros((2, 2)), 0.0
        for axis in (0, 1):
            along = 1 - axis
            points, weights = Mesh(np.linspace(box.lower[along], box.upper[along], 65), 16).gauss(16)
            for end in (0, 1):
                normal = self.sides[axis][end].normal(points)
                flux[axis, end] = weights @ normal
                size += float(weights @ np.abs(normal))
        balance = flux[0, 0] + flux[1, 1] - flux[1, 0] - flux[0, 1]
        if abs(balance) > 1e-7 * size:
            raise ProblemError(
                f"the velocities on the sides are out of balance by {abs(balance):.3g}: an incompressible flow lets in "
                "as much as it lets out"
            )
        return flux

    @property
    def corners(self) -> list[Corner]:
        """The four corners with the jumps of the velocity."""
        assert self.sides is not None
        box = self.problem.domain
        ends = [(box.lower[a], box.upper[a]) for a in (0, 1)]
        result = []
        for i in (0, 1):
            for j in (0, 1):
                x, y = np.array([ends[0][i]]), np.array([ends[1][j]])
                one, two = self.sides[0][i], self.sides[1][j]
                jump = max(abs(float((one.u(y) - two.u(x))[0])), abs(float((one.v(y) - two.v(x))[0])))
                scale = max(float(np.abs(f(z)).max()) for f, z in ((one.u, y), (one.v, y), (two.u, x), (two.v, x)))
                result.append(
                    Corner((ends[0][i], ends[1][j]), (i, j), jump if jump > 1e-9 * max(scale, 1e-300) else 0.0)
                )
        return result


def recognise(problem: Problem) -> Flow | None:
    """Find velocity, pressure and momentum equations in a problem.

    The problem must have two coordinates and three unknowns; one equation must be c (u_x + v_y) = 0, and the pressure
    must stand only in the other two, as constant factors times p_x in one and p_y in the other.

    Returns
    -------
    Flow, or None where the problem is something else.
    """
    if len(problem.coordinates) != 2 or len(problem.unknowns) != 3 or len(problem.residuals) != 3:
        return None
    vocabulary = problem.vocabulary
    residuals = [sympy.expand(residual.xreplace(dict(problem.constants))) for residual in problem.residuals]
    for constraint in range(3):
        velocity = _divergence(residuals[constraint], problem)
        if velocity is None:
            continue
        (pressure,) = set(problem.unknowns) - set(velocity)
        found: list[Formula | None] = [None, None]
        for residual in (residuals[i] for i in range(3) if i != constraint):
            gradient = [p for p in vocabulary.partials(residual) if p.unknown == pressure]
            if len(gradient) != 1 or sum(gradient[0].orders) != 1:
                return None
            leaf = vocabulary.expression(gradient[0])
            slope = _constant_slope(residual, leaf, problem)
            if slope is None:
                return None
            rest = sympy.expand((residual - slope * leaf) / slope)
            found[gradient[0].orders.index(1)] = Formula(rest, problem)
        if found[0] is None or found[1] is None:
            return None
        sides, level = _conditions(problem, velocity, pressure)
        return Flow(problem, velocity, pressure, (found[0], found[1]), sides, level)
    return None


def pressures(problem: Problem) -> tuple[str, ...]:
    """Unknowns that act as a pressure: they occur by their gradient alone, beside a constraint on a divergence.

    Other unknowns (a temperature) and three coordinates are allowed. Such an unknown has no conditions of its own but
    a level at a point.
    """
    partials = [problem.vocabulary.partials(residual) for residual in problem.residuals]
    dimension = len(problem.coordinates)
    gradient = {tuple(int(a == b) for a in range(dimension)) for b in range(dimension)}
    constrained = [
        {p.unknown for p in found}
        for found in partials
        if {p.orders for p in found} == gradient and len({p.unknown for p in found}) == len(found) == dimension
    ]
    return tuple(
        unknown
        for unknown in problem.unknowns
        if dimension > 1
        and any(unknown not in velocity for velocity in constrained)
        and all(p.orders in gradient for found in partials for p in found if p.unknown == unknown)
    )


def _divergence(residual: sympy.Expr, problem: Problem) -> tuple[str, str] | None:
    """The names (u, v) if a residual is a constant times u_x + v_y."""
    partials = problem.vocabulary.partials(residual)
    if sorted(p.orders for p in partials) != [(0, 1), (1, 0)] or partials[0].unknown == partials[1].unknown:
        return None
    by_order = {p.orders: p for p in partials}
    one, two = by_order[1, 0], by_order[0, 1]
    leaves = [problem.vocabulary.expression(p) for p in (one, two)]
    slopes = [_constant_slope(residual, leaf, problem) for leaf in leaves]
    if slopes[0] is None or slopes[1] is None or abs(float(slopes[0] - slopes[1])) > 1e-12 * abs(float(slopes[0])):
        return None
    rest = sympy.expand(residual - slopes[0] * leaves[0] - slopes[1] * leaves[1])
    return (one.unknown, two.unknown) if abs(complex(rest.evalf()) if rest.is_number else 1.0) < 1e-12 else None


def _constant_slope(residual: sympy.Expr, leaf: sympy.Expr, problem: Problem) -> sympy.Expr | None:
    symbol = sympy.Dummy("leaf", real=True)
    slope = sympy.diff(residual.xreplace({leaf: symbol}), symbol)
    return slope if slope.is_number and not slope.is_zero else None


def _conditions(problem: Problem, velocity: tuple[str, str], pressure: str) -> tuple[Any, Any]:
    """Velocities on all sides and the pressure at a point, or None where conditions are of another kind."""
    found: dict[tuple[int, int, str], Callable[[Array], Array]] = {}
    level = None
    box = problem.domain
    for condition in problem.conditions:
        solved = condition.solved(problem.vocabulary)
        if solved is None or any(solved[0].orders):
            return None, None
        unknown, value = solved[0].unknown, solved[1]
        if unknown == pressure:
            if len(condition.place) != 2 or level is not None:
                return None, None
            place = tuple(float(condition.place[name]) for name in problem.coordinates)
            compiled = _function(problem, value)
            level = (place, float(compiled(*(np.array([c]) for c in place))[0]))
            continue
        if len(condition.place) != 1:
            return None, None
        ((name, at),) = condition.place.items()
        axis = problem.coordinates.index(name)
        ends = (box.lower[axis], box.upper[axis])
        if at not in ends or (axis, ends.index(at), unknown) in found:
            return None, None
        found[axis, ends.index(at), unknown] = _along(_function(problem, value), axis, float(at))
    keys = [(axis, end, name) for axis in (0, 1) for end in (0, 1) for name in velocity]
    if set(found) != set(keys):
        return None, level
    sides = tuple(
        tuple(SideValues(axis, found[axis, end, velocity[0]], found[axis, end, velocity[1]]) for end in (0, 1))
        for axis in (0, 1)
    )
    return sides, level


def _function(problem: Problem, expression: sympy.Expr) -> Callable[..., Array]:
    arguments = [problem.vocabulary.symbol(name) for name in problem.coordinates]
    compiled = to_numpy([expression.xreplace(dict(problem.constants))], arguments, dict(problem.functions))
    return lambda *points: compiled(*points)[0]


def _along(function: Callable[..., Array], axis: int, at: float) -> Callable[[Array], Array]:
    if axis == 0:
        return lambda s: function(np.full_like(s, at), s)
    return lambda s: function(s, np.full_like(s, at))


def boundary_coefficients(spaces: Sequence[ElementSpace], flow: Flow) -> Array:
    """Coefficients that carry the boundary values, the others zero.

    Along each side the stream function is the integral of the normal velocity. In a corner each component of the
    velocity takes the value of the side to which it is normal, so that no fluid leaks through a corner; the tangential
    velocity of a side whose value differs there changes within the element in the corner.
    """
    sides, corners = flow.sides, flow.corners
    assert sides is not None
    result = np.zeros([space.size for space in spaces])
    index = [[(0, 1), (space.size - 3, space.size - 2)] for space in spaces]
    rules = [space.mesh.gauss(space.mesh.count + 4) for space in spaces]
    flux = flow.flux
    # psi(0, 0) = 0; along x = lower to (0, 1), along y = lower to (1, 0), then on to (1, 1).
    values = np.array([[0.0, flux[0][0]], [flux[1][0], flux[1][0] + flux[0][1]]])
    for axis in (0, 1):
        for end in (0, 1):
            along = 1 - axis
            ends = values[end] if axis == 0 else values[:, end]
            fixed = {index[along][0][0]: ends[0], index[along][1][0]: ends[1]}
            trace = _fit(spaces[along], rules[along], sides[axis][end].normal(rules[along][0]), 1, fixed)
            np.moveaxis(result, axis, 0)[index[axis][end][0]] = trace
    scale = [[space.scales[0], space.scales[-1]] for space in spaces]

    def tangential(axis: int, end: int, fixed: dict[int, float]) -> Array:
        along = 1 - axis
        target = scale[axis][end] * sides[axis][end].tangential(rules[along][0])
        jumps = [corner.ends[along] for corner in corners if corner.jump > 0 and corner.ends[axis] == end]
        return _fit(spaces[along], rules[along], target, 0, fixed, jumps)

    held: dict[tuple[int, int], dict[int, float]] = {}
    for axis in (0, 1):
        for end in (0, 1):
            row = np.moveaxis(result, axis, 0)[index[axis][end][1]]
            held[axis, end] = {index[1 - axis][other][0]: float(row[index[1 - axis][other][0]]) for other in (0, 1)}
    first = {key: tangential(*key, held[key]) for key in held}
    # The mixed derivative in a corner comes from the side whose tangential velocity has no jump there.
    mixed = {}
    for corner in corners:
        i, j = corner.ends
        jumps = []
        for axis, end, other in ((0, i, j), (1, j, i)):
            place = spaces[1 - axis].mesh.breakpoints[[0, -1][other]]
            wanted = scale[axis][end] * sides[axis][end].tangential(np.array([place]))[0]
            jumps.append(abs(wanted - held[axis, end][index[1 - axis][other][0]]) / scale[axis][end])
        axis, end, other = (0, i, j) if jumps[0] <= jumps[1] else (1, j, i)
        mixed[i, j] = float(first[axis, end][index[1 - axis][other][1]])
    for axis, end in held:
        extra = {index[1 - axis][other][1]: mixed[(end, other) if axis == 0 else (other, end)] for other in (0, 1)}
        np.moveaxis(result, axis, 0)[index[axis][end][1]] = tangential(axis, end, held[axis, end] | extra)
    return result


def _fit(
    space: ElementSpace,
    rule: tuple[Array, Array],
    target: Array,
    order: int,
    fixed: dict[int, float],
    jumps: Sequence[int] = (),
) -> Array:
    """Least-squares fit of a derivative, some coefficients fixed; it may fail in the elements at ends in `jumps`."""
    points, weights = rule[0], rule[1].reshape(space.mesh.elements, -1).copy()
    for end in jumps:
        weights[-end] *= 1e-12
    weights = weights.ravel()
    matrix = space.matrix(points, order).toarray()
    result = np.zeros(space.size)
    result[list(fixed)] = list(fixed.values())
    free = np.setdiff1d(np.arange(space.size), list(fixed))
    root = np.sqrt(weights)
    result[free] = np.linalg.lstsq(root[:, None] * matrix[:, free], root * (target - matrix @ result), rcond=1e-15)[0]
    return result
