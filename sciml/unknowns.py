"""What an identification is asked for, checked before anything is computed: unknowns, noise and data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from sciml.domain import Box
from sciml.errors import ArgumentError, NotationError, closest
from sciml.inference import Range, range_of
from sciml.notation import At, Vocabulary, parse_expression

if TYPE_CHECKING:
    from sciml.observations import Observations
    from sciml.problem import Problem

__all__ = ["NOISE_MODELS", "Unknowns", "check_data", "moving_names", "noise_of", "unknowns_of"]

NOISE_MODELS = ("additive", "multiplicative")


@final
@dataclass(frozen=True)
class Unknowns:
    """What is to be found.

    Attributes
    ----------
    ranges : of the unknown numbers, by name, in the order in which they were asked for.
    functions : names of the unknown functions.
    """

    ranges: Mapping[str, Range]
    functions: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The numbers, then the functions."""
        return (*self.ranges, *self.functions)


def unknowns_of(
    problem: Problem | Sequence[Problem],
    unknown: str | Sequence[str],
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
) -> Unknowns:
    """Check what is to be found in a problem.

    Parameters
    ----------
    problem : one problem, or one of each experiment. A number that stands in several of them is shared; one that
        stands in one only belongs to that experiment.
    unknown : names of parameters (their declared values are the first guess) and of functions declared as unknown.
    bounds : by name of a parameter (lower, upper), None for a side without a bound.

    Returns
    -------
    Unknowns

    Raises
    ------
    ArgumentError : a name that is no parameter or unknown function, one that appears nowhere, a name twice, an unknown
        function that is not asked for, bounds of something else or not in order, first guesses that differ.
    """
    problems = list(problem) if isinstance(problem, Sequence) else [problem]
    names = _names(unknown)
    parameters = _merged([p.parameters for p in problems])
    functions = _merged([p.unknown_functions for p in problems])
    used = set().union(*(_appearing(p) for p in problems))
    known = (*parameters, *functions)
    for name in names:
        if name not in known:
            raise ArgumentError(_stranger(name, problems, known))
        if name not in used:
            kind = "parameter" if name in parameters else "function"
            raise ArgumentError(
                f"the {kind} {name!r} of unknown appears neither in the equations nor in the conditions or the domain, "
                "so no data can determine it; leave it out or correct the equations"
            )
    for name in functions:
        if name in used and name not in names:
            raise ArgumentError(
                f"the function {name}({', '.join(functions[name])}) is not known and not asked for; "
                f"add {name!r} to unknown or declare it with a formula"
            )
    numbers = [name for name in names if name in parameters]
    sides = _bounds(bounds, numbers, functions)
    ranges = {name: range_of(name, _start(name, problems), sides.get(name)) for name in numbers}
    return Unknowns(ranges, tuple(name for name in names if name in functions))


def noise_of(noise: Any, names: Iterable[str]) -> dict[str, float] | None:
    """Return the standard deviation of the noise by observed name, or None where it is to be estimated.

    Parameters
    ----------
    noise : one number for all, a mapping with one for each observed name, or None. In the unit of the data; of their
        logarithm where the noise is multiplicative (0.01 for one percent).
    names : what is observed.

    Raises
    ------
    ArgumentError : noise that is not positive and finite, or not given for exactly the observed names.
    """
    names = tuple(names)
    if noise is None:
        return None
    if isinstance(noise, Mapping):
        for name in noise:
            if name not in names:
                raise ArgumentError(
                    f"noise is given for {name!r}, which is not observed; observed: {', '.join(names)}"
                    f"{closest(str(name), names)}"
                )
        missing = [name for name in names if name not in noise]
        if missing:
            raise ArgumentError(
                f"noise misses {', '.join(map(repr, missing))}; give it for every observed name, or one number for all"
            )
        return {name: _positive(f"noise[{name!r}]", noise[name]) for name in names}
    return dict.fromkeys(names, _positive("noise", noise))


def check_data(
    unknowns: Unknowns,
    observations: Sequence[Observations],
    *,
    noise: Mapping[str, float] | None = None,
    noise_model: str = "additive",
) -> None:
    """Ask whether there are enough data, and whether they fit the model of the noise.

    Parameters
    ----------
    unknowns : what is to be found.
    observations : of all experiments.
    noise : what `noise_of` returned.
    noise_model : "additive" or "multiplicative".

    Raises
    ------
    ArgumentError : fewer data than unknown numbers and functions, no datum left from which to estimate the noise, an
        unknown model of the noise, values that are not positive where it is multiplicative.
    """
    if noise_model not in NOISE_MODELS:
        accepted = " or ".join(map(repr, NOISE_MODELS))
        raise ArgumentError(
            f"noise_model must be {accepted}, got {noise_model!r}{closest(str(noise_model), NOISE_MODELS)}"
        )
    count, wanted = sum(one.count for one in observations), len(unknowns.names)
    if count < wanted:
        raise ArgumentError(
            f"{wanted} unknowns ({', '.join(unknowns.names)}) cannot be found from {count} number(s); "
            "give at least as many data, or ask for fewer"
        )
    if noise is None and count == wanted:
        raise ArgumentError(
            f"{count} number(s) for {wanted} unknowns leave nothing to estimate the noise from; give noise= or more"
        )
    if noise_model == "multiplicative":
        for one in observations:
            for name, values in one.values.items():
                if np.any(values <= 0):
                    row = int(np.argmax(values <= 0))
                    raise ArgumentError(
                        f"multiplicative noise needs positive data, but {name} of {one.source} is {values[row]:g} in "
                        f"row {row}; use noise_model='additive' or leave such rows out"
                    )


def _names(unknown: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names asked for, each once."""
    if isinstance(unknown, str):
        unknown = [part.strip() for part in unknown.split(",")]
    if isinstance(unknown, Mapping) or not isinstance(unknown, Iterable):
        raise ArgumentError(f"unknown must be a sequence of names such as ['nu'], got {unknown!r}")
    names = tuple(unknown)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ArgumentError(f"unknown must name at least one parameter or function, such as ['nu'], got {names!r}")
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"unknown names {name!r} twice")
    return names


def _merged(declared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all entries of several mappings, the earlier ones first."""
    return {name: value for one in reversed(declared) for name, value in one.items()}


def _start(name: str, problems: Sequence[Problem]) -> float:
    """Return the first guess of a number, which all experiments must share."""
    starts = {p.parameters[name] for p in problems if name in p.parameters}
    if len(starts) > 1:
        shown = ", ".join(f"{value:g}" for value in sorted(starts))
        raise ArgumentError(
            f"the unknown {name!r} is shared by the experiments but starts at {shown}; give it one value, or a name of "
            "its own in each problem where it differs between them"
        )
    return starts.pop()


def _bounds(bounds: Any, numbers: Sequence[str], functions: Iterable[str]) -> Mapping[str, Any]:
    """Return the bounds, all of unknown numbers."""
    if bounds is None:
        return {}
    if not isinstance(bounds, Mapping):
        raise ArgumentError(f"bounds must be a mapping such as {{'nu': (0, None)}}, got {bounds!r}")
    for name in bounds:
        if name in functions:
            raise ArgumentError(f"bounds are for numbers, but {name!r} is a function")
        if name not in numbers:
            raise ArgumentError(
                f"bounds are given for {name!r}, which is not unknown; unknown numbers: {', '.join(numbers) or 'none'}"
                f"{closest(str(name), numbers)}"
            )
    return bounds


def _stranger(name: str, problems: Sequence[Problem], known: Sequence[str]) -> str:
    """Say why a name cannot be asked for."""
    first = problems[0]
    if any(name in p.unknowns for p in problems):
        return f"{name!r} of unknown is what the equations are for and is always found; name parameters or functions"
    if any(name in p.coordinates for p in problems):
        return f"{name!r} of unknown is a coordinate; name parameters or functions"
    if any(name in p.functions for p in problems):
        return f"the function {name!r} of unknown is known; declare it without a callable to identify it"
    there = (
        f"known: {', '.join(known)}" if known else "the problem declares none; say parameters={...} with first guesses"
    )
    return (
        f"{name!r} of unknown is neither a parameter nor an unknown function of the problem {first.name}".rstrip()
        + f"; {there}{closest(name, known)}"
    )


def moving_names(problem: Problem) -> set[str]:
    """Return the parameters that move a side of the domain or the place of a condition."""
    equalities = problem._equalities  # type: ignore[attr-defined]
    nodes = {node for equality in equalities for node in equality.atoms(At)}
    return _in_domain(problem) | {str(symbol) for node in nodes for symbol in node.free_symbols}


def _appearing(problem: Problem) -> set[str]:
    """Return the names of parameters and functions that stand in the equations, the conditions or the domain."""
    expressions: list[sympy.Basic] = [*problem.residuals, *(c.expression for c in problem.conditions)]
    names = {str(symbol) for e in expressions for symbol in e.free_symbols}
    names |= {str(node.func) for e in expressions for node in e.atoms(AppliedUndef)}
    return names | moving_names(problem)


def _in_domain(problem: Problem) -> set[str]:
    """Return the parameters in the formulas of the domain's sides."""
    domain = problem._declared["domain"]  # type: ignore[attr-defined]
    if isinstance(domain, Box) or not isinstance(domain, Mapping):
        return set()
    vocabulary, found = Vocabulary((), (), tuple(problem.parameters)), set()
    for pair in domain.values():
        for side in pair:
            try:
                formula = parse_expression(side, vocabulary) if isinstance(side, str) else side
            except NotationError:
                continue
            if isinstance(formula, sympy.Basic):
                found |= {str(symbol) for symbol in formula.free_symbols}
    return found


def _positive(what: str, value: Any) -> float:
    """Return a standard deviation as a float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not (math.isfinite(number) and number > 0):
        raise ArgumentError(f"{what} must be a positive standard deviation, got {value!r}")
    return number
