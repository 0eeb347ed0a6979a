"""Problems without time, by spectral methods and Newton's method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sciml.classical.adaptation import Adaptation, Journal
from sciml.classical.collocation import Collocation
from sciml.classical.fields import Meshes
from sciml.classical.flow import Flow, pressures, recognise
from sciml.classical.refinement import check_arguments
from sciml.classical.resolution import Limits, Resolution
from sciml.classical.streamfunction import StreamFunction
from sciml.classical.terms import Declaration, breaks
from sciml.errors import ProblemError

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = ["solve_stationary"]

Progress = Callable[[Mapping[str, Any]], None]


def solve_stationary(
    problem: Problem, *, rtol: float = 1e-8, budget: float | None = None, progress: Progress | None = None
) -> Solution:
    r"""Solve a stationary problem (or a two-point boundary-value problem) on a box.

    All unknowns are expanded in tensor products of smooth polynomials (trigonometric ones in periodic coordinates),
    the equations hold at Gauss points, the conditions at points of their sides [1]_, and Newton's method with the exact
    Jacobian and affine-invariant damping solves for the coefficients; where it fails, the nonlinear terms are switched
    on by continuation. The degree grows until two resolutions agree; where a solution is not smooth (layers, corners)
    the interval is divided into elements, graded towards them.

    Steady incompressible flow in two coordinates with velocities given on the sides is solved through a stream
    function, see `sciml.classical.incompressible`.

    Parameters
    ----------
    problem : Problem
        on a box of one, two or three coordinates, none of which is treated as time.
    rtol : float
        relative L2 difference of the two finest resolutions that is asked for, 0 < rtol < 1.
    budget : float, optional
        seconds after which the best state is returned.
    progress : callable, optional
        called after every Newton step with "iteration", "seconds", "loss", "terms", "estimate", "stage".

    Returns
    -------
    Solution
        of the finer resolution; `estimate` is the relative L2 difference to `details["coarser"]`.

    Raises
    ------
    ProblemError
        the problem does not determine its solution (pure Neumann conditions), or has too few conditions.
    ArgumentError
        rtol or budget out of range.
    SolveError
        no finite state was reached.

    References
    ----------
    .. [1] T. A. Driscoll, N. Hale, Rectangular spectral collocation, 2016, doi:10.1093/imanum/dru062

    Examples
    --------
    >>> from sciml import Problem
    >>> beam = Problem("u_xxxx = 24", ["u(0) = 0", "u_x(0) = 0", "u(1) = 0", "u_x(1) = 0"], {"x": (0, 1)})
    >>> round(float(solve_stationary(beam)(x=0.5)), 12)
    0.0625
    """
    check_arguments(rtol, budget)
    if not 1 <= len(problem.coordinates) <= 3:
        raise ProblemError(
            f"stationary problems are solved in one to three coordinates, not {len(problem.coordinates)}"
        )
    journal = Journal(budget, progress)
    flow = recognise(problem)
    if flow is not None and flow.enclosed:
        return _flow(flow, rtol, journal)
    # A pressure has no conditions of its own: it takes the space without any, which does not join elements.
    without = pressures(problem)
    declaration = Declaration(problem, without)
    orders = [max(k) for k in zip(*declaration.orders.values(), strict=True)]
    box, unknowns = problem.domain, len(problem.unknowns)
    limits = Limits.of(len(orders), unknowns)
    if without:
        limits = replace(limits, dense=6_500, sparse=0)
    places = breaks(problem) if limits.sparse else ()
    resolution = Resolution(box.lower, box.upper, declaration.periodic, orders, limits, rtol, unknowns, breaks=places)
    return Adaptation(
        problem,
        lambda meshes: Collocation(declaration, meshes),
        resolution,
        rtol,
        journal,
        method="spectral collocation",
    ).run()


def _flow(flow: Flow, rtol: float, journal: Journal) -> Solution:
    problem = flow.problem
    jumps = [corner for corner in flow.corners if corner.jump > 0]
    ends = [{corner.ends[axis] for corner in jumps} for axis in (0, 1)]
    singular = [(0 in found, 1 in found) for found in ends]
    limits = Limits(first=10, growth=1.35, dense=2_500, count=6, sparse=30_000)
    box = problem.domain
    resolution = Resolution(box.lower, box.upper, (False, False), (3, 3), limits, rtol, 1, singular)

    def make(meshes: Meshes) -> StreamFunction:
        return StreamFunction(flow, meshes)

    if not jumps:
        return Adaptation(problem, make, resolution, rtol, journal, method="stream function, spectral Galerkin").run()
    return Adaptation(
        problem,
        make,
        resolution,
        rtol,
        journal,
        method="stream function, spectral elements",
        compared=flow.velocity,
        remark=f"the velocity jumps in {len(jumps)} corner(s), where the pressure {flow.pressure} is singular",
    ).run()
