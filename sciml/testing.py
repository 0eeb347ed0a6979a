"""`check_problem`: does a problem's solution satisfy its own equations and conditions? For bundled and user's problems.

An exact solution is put into equations and conditions at random points. Where there is none, the classical solver's
result is tested in the weak form, which needs no more smoothness than the solution has: averaged against smooth bumps,
with the derivatives of linear terms moved over to the bump. Either way the check must also notice a small perturbation
of the solution; a check that cannot fail says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from sciml.errors import ArgumentError, ProblemError
from sciml.residuals import Bumps, Field, Points, claims_of, exact_field, perturbed_field, remembered

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["Check", "CheckReport", "check_problem"]

# How far a reference may miss its equation, in units of what its two resolutions, its estimate and the quadrature say.
SAFETY = 10.0
# Widths of the bumps, as parts of the domain; the widest one whose integrals are resolved sees perturbations best.
RESOLVED = 1e-6
WIDTHS = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)


@final
@dataclass(frozen=True)
class Check:
    """One line of a report.

    Attributes
    ----------
    kind : "equation", "condition" or "solver".
    name : the equation or condition; the status of the solver.
    error : the residual, relative to the largest term (see `check_problem`).
    tolerance : what is allowed.
    perturbed : the same error after the perturbation, which must exceed the tolerance; None if nothing was perturbed.
    """

    kind: str
    name: str
    error: float
    tolerance: float
    perturbed: float | None

    @property
    def verdict(self) -> str:
        """Return "ok", "violated" or "blind" (the perturbation is not noticed)."""
        if not self.error <= self.tolerance:  # also for NaN
            return "violated"
        return "ok" if self.perturbed is None or self.perturbed > self.tolerance else "blind"


@final
@dataclass(frozen=True)
class CheckReport:
    """What `check_problem` found: the problem's name, what was checked, and the lines; print it for a table."""

    problem: str
    solution: str
    checks: tuple[Check, ...]

    @property
    def success(self) -> bool:
        """Whether every line is "ok"."""
        return all(check.verdict == "ok" for check in self.checks)

    def __str__(self) -> str:
        lines = [f"{self.problem}: {self.solution}", f"{'':10}{'error':>9} {'tolerance':>9} {'perturbed':>9}"]
        for c in self.checks:
            perturbed = "" if c.perturbed is None else f"{c.perturbed:9.1e}"
            lines.append(f"{c.verdict:10}{c.error:9.1e} {c.tolerance:9.1e} {perturbed:>9}  {c.kind} {c.name}")
        return "\n".join(lines)


def check_problem(
    problem: Problem | str | Path,
    *,
    points: int = 1000,
    tol: float = 1e-10,
    seed: int = 0,
    rtol: float | None = None,
    perturbation: float | None = 1e-3,
) -> CheckReport:
    r"""Check that a problem's exact solution, or else its classical one, satisfies its equations and conditions.

    **Exact solution.** Every residual :math:`\sum_k T_k` (terms after multiplying out) is evaluated in float64 at
    random points of the open domain, a condition at random points of its place, derivatives by automatic
    differentiation. The error is

    .. math:: \max_i |\sum_k T_k(p_i)| \,/\, \max_{k,i} |T_k(p_i)|,

    for a condition with the terms' size inside the domain counted too, so that `u(0, t) = 0` has a scale.

    **Reference.** Without an exact solution the problem is solved by `classical.solve`. Terms are averaged against
    bumps :math:`\varphi = \prod_j (1 - s_j^2)^p` on random small boxes, :math:`\int \varphi\, T_k / \int \varphi`,
    where the bump takes over the derivatives of a linear term with constant coefficient,
    :math:`\int \varphi\, \partial^\alpha u = (-1)^{|\alpha|} \int u\, \partial^\alpha \varphi`; the error is formed
    from averages as above from values. Allowed is ten times the sum of:
    the change of the averaged residual between the solver's two resolutions, its change between two quadratures, and
    the solver's own estimate.

    **Perturbation.** Each unknown is changed by a smooth wave of `perturbation` times its largest value; every equation
    and condition must then exceed its tolerance.

    Parameters
    ----------
    problem : Problem, or the name or path of one
    points : number of random points per equation and condition (a reference: a bump for each 60, at least 16).
    tol : tolerance for an exact solution; 1e-10 leaves room for the rounding of fourth derivatives.
    seed : of points, bumps and waves.
    rtol : accuracy asked of the classical solver; the problem's own `reference` by default.
    perturbation : relative size, or None to perturb nothing.

    Returns
    -------
    CheckReport

    Raises
    ------
    AssertionError : with the report as text, if something is violated or not noticed.
    ProblemError : a problem with unknown functions, or one that the classical solver cannot treat.

    Examples
    --------
    >>> from sciml import Problem
    >>> from sciml.testing import check_problem
    >>> decay = Problem("y' = -k*y", "y(0) = 1", {"t": (0, 1)}, {"k": 2.0}, exact="exp(-k*t)")
    >>> check_problem(decay).success
    True
    >>> check_problem(decay.replace(exact="exp(-2.01*t)"))  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    AssertionError: a problem: exact solution ...
    """
    from sciml.registry import load

    if isinstance(problem, (str, Path)):
        problem = load(problem)
    if not isinstance(points, int) or points < 1:
        raise ArgumentError(f"points must be a positive integer, got {points!r}")
    if perturbation is not None and not perturbation > 0:
        raise ArgumentError(f"perturbation must be positive or None, got {perturbation!r}")
    if problem.unknown_functions:
        names = ", ".join(problem.unknown_functions)
        raise ProblemError(f"a problem with unknown functions ({names}) has no solution to check; identify them first")
    if problem.has_exact:
        report = _check_exact(problem, points, tol, seed, perturbation)
    else:
        report = _check_reference(problem, points, seed, rtol, perturbation)
    if not report.success:
        raise AssertionError(str(report))
    return report


def _check_exact(problem: Problem, points: int, tol: float, seed: int, perturbation: float | None) -> CheckReport:
    claims, measure, field = claims_of(problem), Points(problem, seed, points), exact_field(problem)
    perturbed = None if perturbation is None else perturbed_field(problem, field, perturbation, seed)
    rows = []
    for claim in claims:
        after = None if perturbed is None else measure.error(claim, perturbed)
        rows.append(Check(claim.kind, claim.name, measure.error(claim, field), tol, after))
    return CheckReport(problem.name or "a problem", "exact solution", tuple(rows))


def _check_reference(
    problem: Problem, points: int, seed: int, rtol: float | None, perturbation: float | None
) -> CheckReport:
    from sciml import classical

    rtol = problem.reference if rtol is None else rtol
    solution = classical.solve(problem, rtol=rtol)
    estimate = np.inf if solution.estimate is None else solution.estimate
    rows = [Check("solver", solution.status.value, estimate, rtol, None)]
    fine = remembered(solution.evaluate)
    coarser = solution.details.get("coarser")
    coarse: Field = fine if coarser is None else remembered(coarser.evaluate)
    perturbed = None if perturbation is None else perturbed_field(problem, fine, perturbation, seed)
    bumps = max(16, points // 60)
    for claim in claims_of(problem):
        quadrature, measure, residual = np.inf, Bumps(problem, seed, bumps, WIDTHS[0]), np.empty(0)
        for width in WIDTHS:
            tried, rougher = Bumps(problem, seed, bumps, width), Bumps(problem, seed, bumps, width, refinement=0.7)
            values = tried.residual(claim, fine)
            change = np.max(abs(values - rougher.residual(claim, fine)))
            if change < quadrature:
                quadrature, measure, residual = change, tried, values
            if change <= max(estimate, RESOLVED):
                break
        resolution = np.max(abs(residual - measure.residual(claim, coarse)))
        allowed = SAFETY * float(resolution + quadrature + estimate)
        after = None if perturbed is None else measure.error(claim, perturbed)
        rows.append(Check(claim.kind, claim.name, float(np.max(abs(residual))), allowed, after))
    return CheckReport(problem.name or "a problem", f"reference by {solution.method}", tuple(rows))
