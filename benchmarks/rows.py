"""The rows of the accuracy table: problem, time allowed, error aimed at, and what is required of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import sciml
from benchmarks.typed import TYPED
from sciml import Problem

__all__ = ["RATE", "ROWS", "Requirement", "Row", "problem_of", "row_named"]

# The required seconds are for a core with this float64 matrix rate, in GFLOP/s.
RATE = 16.0
FIVE = 5


@final
@dataclass(frozen=True)
class Requirement:
    """An error that the median over the seeds must reach in so many seconds, and every seed in three times as many."""

    error: float
    seconds: float


@final
@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name : of the line; `problem` is the registry's name if it differs.
    budget : seconds for the network.
    aim : the smallest error of interest; the network is asked for a third of it.
    required : what the median over the seeds must reach.
    parameters : handed to the problem.
    optimizer : of `pinn.solve`.
    seeds : how many, from 0 on.
    group : "first", "further" or "typed": which table the line stands in.
    quick : whether `--quick` runs it.
    """

    name: str
    budget: float
    aim: float
    required: tuple[Requirement, ...] = ()
    problem: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict[str, float])
    optimizer: str = "auto"
    seeds: int = 1
    group: str = "further"
    quick: bool = False

    @property
    def source(self) -> str:
        """The problem's name in the registry or among the typed ones."""
        return self.problem or self.name

    @property
    def tol(self) -> float:
        """What the network is asked for: the estimate need not be sharp."""
        return self.aim / 3


def _needs(*pairs: tuple[float, float]) -> tuple[Requirement, ...]:
    return tuple(Requirement(error, seconds) for error, seconds in pairs)


def _smooth(name: str) -> Row:
    return Row(name, 30, 1e-7, _needs((1e-6, 30)), seeds=FIVE, group="first", quick=name == "heat")


def _asked(name: str, budget: float, *pairs: tuple[float, float]) -> list[Row]:
    """A line for each error that is required: in time windows an answer for the whole interval comes at the end."""
    return [
        Row(f"{name}, tol {error:.0e}", budget, 3 * error, _needs((error, seconds)), name, seeds=FIVE, group="first")
        for error, seconds in pairs
    ]


def _ordinary(name: str, **parameters: float) -> Row:
    return Row(name, 20, 1e-7, _needs((1e-6, 20)), parameters=parameters, quick=name == "pendulum")


ROWS: tuple[Row, ...] = (
    *_asked("burgers", 60, (1e-3, 6), (1e-4, 12), (1e-5, 35)),
    Row("burgers", 120, 1e-7, seeds=FIVE, group="first"),
    Row("poisson", 30, 1e-9, _needs((1e-9, 3)), seeds=FIVE, group="first", quick=True),
    Row("helmholtz", 30, 1e-9, _needs((1e-9, 3)), seeds=FIVE, group="first", quick=True),
    Row(
        "poisson, trained", 60, 1e-7, _needs((1e-6, 12)), "poisson",
        optimizer="levenberg-marquardt", seeds=FIVE, group="first",
    ),
    Row(
        "helmholtz, trained", 60, 1e-7, _needs((1e-6, 40)), "helmholtz",
        optimizer="levenberg-marquardt", seeds=FIVE, group="first",
    ),
    *(
        _smooth(name)
        for name in ("heat", "wave", "advection", "klein_gordon", "reaction_diffusion", "poisson_boltzmann")
    ),
    *_asked("allen_cahn", 60, (1e-4, 15), (1e-5, 40)),
    Row("allen_cahn", 60, 1e-6, group="first"),
    *_asked("kdv", 75, (1e-4, 75)),
    Row("kdv", 150, 3e-6, group="first"),
    Row("schroedinger", 60, 1e-4, _needs((1e-3, 15), (3e-4, 60))),
    Row("kuramoto_sivashinsky", 300, 3e-6, _needs((1e-3, 300))),
    Row("heat_2d", 60, 1e-6, _needs((1e-4, 60))),
    Row("burgers_2d", 60, 1e-6, _needs((1e-4, 60))),
    Row("poisson_5d", 120, 1e-6, _needs((1e-5, 120))),
    Row("poisson_10d", 120, 1e-4, _needs((1e-3, 120))),
    Row("lid_driven_cavity", 300, 1e-3, _needs((1e-2, 300))),
    _ordinary("pendulum"),
    _ordinary("van_der_pol"),
    _ordinary("lotka_volterra"),
    # Chaotic: the network is judged on one Lyapunov time.
    _ordinary("lorenz", T=1.1),
    *(Row(name, 30, 1e-6, _needs((1e-5, 30)), group="typed") for name in TYPED),
)  # fmt: skip


def row_named(name: str) -> Row:
    """Return the row of that name; KeyError if there is none."""
    return {row.name: row for row in ROWS}[name]


def problem_of(row: Row) -> Problem | None:
    """Return the row's problem, or None where this version of the package has no file for it."""
    if row.source in TYPED:
        return TYPED[row.source]()
    if row.source in sciml.names():
        return sciml.load(row.source, **row.parameters)
    return _poisson(int(row.source[8:-1])) if row.source in ("poisson_5d", "poisson_10d") else None


def _poisson(dimension: int) -> Problem:
    names = [f"x{k}" for k in range(1, dimension + 1)]
    exact = " + ".join(f"cos(pi*{x})" for x in names)
    return Problem(
        f"-laplacian(u) = pi**2*({exact})",
        f"u(boundary) = {exact}",
        dict.fromkeys(names, (0, 1)),
        exact=exact,
        name=f"poisson_{dimension}d",
    )
