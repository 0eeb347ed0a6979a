"""The ansatz of one step, from a problem on the step's interval of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sciml.domain import Box
from sciml.errors import ProblemError
from sciml.pinn.ansatz import Ansatz, Trace, build_ansatz, continued
from sciml.problem import Problem

__all__ = ["on_interval", "step_ansatz", "without_initial"]


def without_initial(problem: Problem) -> list[str]:
    """Return the texts of the conditions at the sides."""
    initial = {c.name for c in problem.conditions if c.kind == "initial"}
    return [text for text in problem.to_dict()["conditions"] if text.strip() not in initial]


def on_interval(problem: Problem, start: float, stop: float, *, initial: bool) -> Problem:
    """Return the problem on an interval of time, with or without its initial conditions."""
    box = problem.domain
    assert problem.time is not None
    axis = box.index(problem.time)
    lower, upper = list(box.lower), list(box.upper)
    lower[axis], upper[axis] = start, stop
    domain = Box(box.coordinates, tuple(lower), tuple(upper))
    if initial:
        return problem.replace(domain=domain)
    return problem.replace(domain=domain, conditions=without_initial(problem))


def step_ansatz(
    problem: Problem,
    trace: Trace | None,
    softened: Sequence[str] = (),
    scales: Mapping[str, float] | None = None,
) -> Ansatz:
    """Return the ansatz of a step.

    Parameters
    ----------
    problem : on the interval of time of the step. Its initial conditions are met; where there are none the initial
        state is that of `trace`, and free where there is none either.
    trace : the initial state, by samples.
    softened : names of conditions that are left to the loss.
    scales : of the unknowns, those of the ansatz if absent.

    Raises
    ------
    ProblemError : initial conditions that the ansatz cannot meet.
    """
    if trace is not None:
        assert problem.time is not None
        start, stop = problem.domain.interval(problem.time)
        place = ", ".join(repr(start) if c == problem.time else c for c in problem.coordinates)
        zero = [f"{name}({place}) = 0" for name in problem.unknowns]
        whole = problem.replace(conditions=[*problem.to_dict()["conditions"], *zero], incompatible="accept")
        ansatz = continued(build_ansatz(whole, softened=softened), start, stop, trace)
        if ansatz is None:
            raise ProblemError("conditions at inner times cannot be kept in one step; leave them out")
        ansatz = replace(ansatz, problem=ansatz.problem, soft=tuple(c for c in ansatz.soft if c.kind != "initial"))
    else:
        ansatz = build_ansatz(problem, softened=softened)
    return ansatz if scales is None else replace(ansatz, scale=dict(scales))
