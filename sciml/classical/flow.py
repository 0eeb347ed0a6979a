"""Incompressible flow in a declared problem: recognised from its equations, solved through a stream function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from numpy.typing import NDArray

from sciml.classical.spaces import ElementSpace, Mesh
from sciml.errors import ProblemError
from sciml.formulas import Formula
from sciml.incompressible import recognised_flow
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
    """Find velocity, pressure and momentum equations in a problem; None where it is something else.

    See `sciml.incompressible.recognised_flow` for what is recognised.
    """
    found = recognised_flow(problem)
    if found is None:
        return None
    sides = None
    if found.sides is not None:
        given = {key: _along(problem, value, key[0]) for key, value in found.sides.items()}
        u, v = found.velocity
        sides = tuple(
            tuple(SideValues(axis, given[axis, end, u], given[axis, end, v]) for end in (0, 1)) for axis in (0, 1)
        )
    one, two = (Formula(expression, problem) for expression in found.momentum)
    return Flow(problem, found.velocity, found.pressure, (one, two), sides, found.level)  # type: ignore[arg-type]


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


def _along(problem: Problem, expression: sympy.Expr, axis: int) -> Callable[[Array], Array]:
    """Compile a formula on a side of an axis as a function of the other coordinate."""
    argument = problem.vocabulary.symbol(problem.coordinates[1 - axis])
    compiled = to_numpy([expression], [argument], dict(problem.functions))
    return lambda s: compiled(s)[0]


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
