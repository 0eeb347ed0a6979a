"""How the training of an identification proceeds until its corrections; the choices were measured in benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from sciml.pinn.plan import Plan, plan_for
from sciml.problem import Problem

__all__ = ["Course", "identification_plan"]

# From so many coordinates on a state takes a longer course.
LONG = 3


@final
@dataclass(frozen=True)
class Course:
    """A schedule of training and corrections.

    Attributes
    ----------
    following, tightness, misfit : first the networks follow the data for at most so many steps, or until the misfit is
        this part of the data's spread, with so large a relative residual of the equations tolerated; the equations'
        terms then have their sizes.
    tightening, strictest : where the loss stagnates the tolerated residual is reduced by this factor, to no less.
    data : of more data a random part trains; corrections take all.
    redrawn : whether that part is another one each time the points are.
    ready : mean square of the equations' relative residuals below which a correction is tried.
    first : steps before that.
    share : part of the budget after which it is tried in any case.
    points : of the equations in a correction, for each coefficient.
    columns, most_columns : coefficients of a correction; they are doubled where there is time, to at most so many.
    rounds, settling : of a correction (`sciml.pinn.inverse_polish`).
    few : rounds of a correction with fewer coefficients than the most.
    agreed : two corrections agree where they differ by this part of the standard errors.
    growing : whether the difference of two corrections counts as an error of the state, and with it of the unknowns.
    stretched : whether the first layer is fitted to how fast the data vary (`sciml.pinn.variation`).
    """

    following: int = 15
    tightness: float = 10.0
    misfit: float = 0.0
    tightening: float = 0.5
    strictest: float = 1e-4
    data: int = 4000
    redrawn: bool = False
    ready: float = 3e-3
    first: int = 45
    share: float = 1.0
    points: int = 8
    columns: int = 480
    most_columns: int = 480
    rounds: int = 8
    few: int = 8
    settling: float = 0.03
    agreed: float = 0.1
    growing: bool = False
    stretched: bool = False


def identification_plan(problem: Problem, network: str | None) -> tuple[Plan, Course]:
    """Return the network of a state and its course.

    In the plane a state is followed by corrections of a few hundred coefficients almost from the start. In more
    coordinates these cannot make up for hidden layers that are not there yet: their solutions ignore the equations or
    the data, and unknowns are off by more than their standard errors. There, data alone come first, since a network
    that obeys the equations of wrong unknowns is a long way from the data; thinned data, redrawn, are as good as all.
    """
    plan = plan_for(problem, network)
    if problem.domain.dimension < LONG:
        return plan, Course(columns=2 * plan.columns, most_columns=2 * plan.columns)
    if network is None:
        plan = replace(plan, width=20, depth=4, activation="sin")
    # A network composes the harmonics of a periodic coordinate sooner than it follows the data through many inputs.
    plan = replace(plan, harmonics=1, levels=(1.0, 1.0, 1.5, 2.0), periods=(5, 5, 5, 5))
    return plan, Course(
        following=60, tightness=1e4, misfit=0.02, tightening=0.3, strictest=0.1, data=2000, redrawn=True, ready=5e-6,
        share=0.5, points=6, columns=400, most_columns=1600, rounds=3, few=2, settling=0.3, agreed=0.3, growing=True,
        stretched=True,
    )  # fmt: skip
