"""A discovered law in other forms: text, functions of arrays, SymPy, torch, pysindy, a problem to solve."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from sciml.errors import ArgumentError
from sciml.notation import Vocabulary, parse_expression, to_latex, to_numpy
from sciml.sindy.evaluation import Polynomial, polynomial_of

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.sindy.discovery import Discovery

__all__ = [
    "compiled",
    "document",
    "equation_text",
    "latex",
    "left_side",
    "polynomial",
    "problem_of",
    "pysindy_model",
    "rates",
    "sympy_equations",
    "torch_module",
]

DIGITS = 6


def equation_text(left: str, terms: Mapping[str, float], digits: int = DIGITS) -> str:
    """Write `left = sum of coefficient*term`; coefficients with that many significant digits.

    >>> equation_text("x'", {"x": -10.0, "1": 2.5})
    "x' = 2.5 - 10*x"
    """
    text = ""
    for term, value in terms.items():
        sign = ("-" if value < 0 else "") if not text else (" - " if value < 0 else " + ")
        number = f"{abs(value):.{digits}g}"
        if term == "1":
            body = number
        else:
            factor = f"({term})" if _is_sum(term) else term
            body = factor if number == "1" else f"{number}*{factor}"
        text += sign + body
    return f"{left} = {text or '0'}"


def _is_sum(term: str) -> bool:
    """Whether a term has a plus or minus outside brackets (not at its start, where a minus binds like a factor)."""
    depth = 0
    for position, character in enumerate(term):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and position and character in "+-" and term[position - 1] not in "eE*":
            return True
    return term.startswith("-")


def left_side(name: str, kind: str, coordinates: Sequence[str] = ("t",)) -> str:
    """Return the left side of an unknown's equation: x', x_next, u_t."""
    if kind == "map":
        return f"{name}_next"
    return f"{name}'" if len(coordinates) == 1 else f"{name}_{coordinates[-1]}"


def _vocabulary(law: Discovery, *, symbols: bool) -> Vocabulary:
    """Return the names: the unknowns as plain symbols, for arrays, or as functions of time."""
    if symbols:
        return Vocabulary(("t",), (), (*law.names, *law.control))
    time = law.coordinates[-1]
    return Vocabulary(law.coordinates, law.names, law.control, time=time)


def right_sides(law: Discovery, words: Vocabulary) -> list[sympy.Expr]:
    """Return the right-hand sides with unrounded coefficients."""
    sides = []
    for name in law.names:
        terms = [
            sympy.Float(value, 17) * parse_expression(term, words) for term, value in law.coefficients[name].items()
        ]
        sides.append(sympy.Add(*terms))
    return sides


def compiled(law: Discovery) -> Callable[..., list[np.ndarray]]:
    """Return the right-hand sides as a function of one array for each unknown and control input."""
    cached = law.__dict__.get("_compiled")
    if cached is None:
        if law.kind == "field":
            raise ArgumentError("the law of a field is no function of states; solve law.problem(...) instead")
        words = _vocabulary(law, symbols=True)
        symbols = [words.symbol(name) for name in (*law.names, *law.control)]
        cached = to_numpy(right_sides(law, words), symbols)
        object.__setattr__(law, "_compiled", cached)
    return cached


def polynomial(law: Discovery) -> Polynomial | None:
    """Return the right-hand sides for one state at a time, if they are polynomials: ten times as fast as arrays."""
    if "_polynomial" not in law.__dict__:
        found = None if law.kind == "field" else polynomial_of(law.coefficients, law.names, law.control)
        object.__setattr__(law, "_polynomial", found)
    return law.__dict__["_polynomial"]


def rates(law: Discovery, x: Any, control: Any = None) -> np.ndarray:
    """Return the right-hand sides at states [N, d] or [d]."""
    states = np.asarray(x, dtype=np.float64)
    d = len(law.names)
    if states.ndim not in (1, 2) or states.shape[-1] != d:
        raise ArgumentError(f"x must have the shape [N, {d}] or [{d}], not {list(states.shape)}")
    columns = list(states.T) if states.ndim == 2 else list(states)
    if states.size == d and not law.control:
        single = polynomial(law)
        if single is not None:
            return np.array(single(states.ravel().tolist())).reshape(states.shape)
    if law.control:
        if control is None:
            raise ArgumentError(
                f"the law has control inputs ({', '.join(law.control)}): give control=[N, {len(law.control)}]"
            )
        inputs = np.asarray(control, dtype=np.float64)
        inputs = inputs[..., None] if inputs.ndim == states.ndim - 1 else inputs
        if inputs.shape != (*states.shape[:-1], len(law.control)):
            raise ArgumentError(
                f"control must have the shape {[*states.shape[:-1], len(law.control)]}, not {list(inputs.shape)}"
            )
        columns += list(inputs.T) if states.ndim == 2 else list(inputs)
    return np.stack(compiled(law)(*columns), axis=-1)


def sympy_equations(law: Discovery) -> list[sympy.Eq]:
    """Return the equations; of a map the left sides are the symbols x_next."""
    if law.kind == "map":
        words = _vocabulary(law, symbols=True)
        lefts = [sympy.Symbol(left_side(name, "map"), real=True) for name in law.names]
    else:
        words = _vocabulary(law, symbols=False)
        lefts = [words.unknown(name).diff(words.symbol(law.coordinates[-1])) for name in law.names]
    sides = right_sides(law, words)
    return [sympy.Eq(a, b, evaluate=False) for a, b in zip(lefts, sides, strict=True)]  # pyright: ignore


def latex(law: Discovery) -> str:
    """Return the equations, with rounded coefficients, as an array of display mathematics."""
    rows = []
    words = _vocabulary(law, symbols=law.kind == "map")
    for name in law.names:
        left = rf"{name}_{{\mathrm{{next}}}}"
        if law.kind != "map":
            left = to_latex(words.unknown(name).diff(words.symbol(law.coordinates[-1])), words)
        right = ""
        for term, value in law.coefficients[name].items():
            sign = ("-" if value < 0 else "") if not right else (" - " if value < 0 else " + ")
            body = "" if term == "1" else r"\," + to_latex(parse_expression(term, words), words)
            right += sign + _number(abs(value)) + body
        rows.append(rf"{left} &= {right or '0'}")
    return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"


def _number(value: float, digits: int = 4) -> str:
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"{mantissa}\cdot 10^{{{int(exponent)}}}"
    return text


def problem_of(
    law: Discovery,
    t: tuple[float, float],
    initial: Any,
    domain: Mapping[str, tuple[float, float]] | None,
    conditions: Sequence[str],
    name: str,
) -> Problem:
    """Return the law as a problem."""
    from sciml.problem import Problem

    if law.kind == "map":
        raise ArgumentError("a discrete map is no differential equation; use law.simulate(initial, steps)")
    if law.control:
        raise ArgumentError(
            f"the law has control inputs ({', '.join(law.control)}); use law.simulate(initial, t, control=...)"
        )
    time = law.coordinates[-1]
    given = list(conditions)
    box: dict[str, tuple[float, float]] = {}
    if law.kind == "field":
        grids = dict(zip(law.coordinates, law.times, strict=False))
        for axis in law.coordinates[:-1]:
            if domain is not None and axis in domain:
                box[axis] = domain[axis]
            elif axis in grids:
                grid = np.asarray(grids[axis], dtype=np.float64)
                box[axis] = (float(grid[0]), float(grid[-1] + (grid[1] - grid[0])))
            else:
                raise ArgumentError(f"domain must give the bounds of {axis}, such as domain={{'{axis}': (0, 1)}}")
        formulas = [initial] if isinstance(initial, str) else initial
        if formulas is not None:
            if isinstance(formulas, Mapping):
                formulas = [formulas[n] for n in law.names]
            given = [f"{_placed(n, law, str(t[0]))} = {f}" for n, f in zip(law.names, formulas, strict=True)] + given
        if not conditions:
            for axis in law.coordinates[:-1]:
                lower, upper = box[axis]
                given += [f"{_at(n, law, axis, lower)} = {_at(n, law, axis, upper)}" for n in law.names]
    else:
        if initial is None:
            if not law.states:
                raise ArgumentError(f"initial must be given: a value for each of {', '.join(law.names)}")
            initial = np.asarray(law.states[0])[0]
        if isinstance(initial, Mapping):
            initial = [initial[n] for n in law.names]
        values = np.asarray(initial, dtype=np.float64).ravel()
        if len(values) != len(law.names) or not np.isfinite(values).all():
            raise ArgumentError(
                f"initial must be {len(law.names)} finite numbers, one for each of {', '.join(law.names)}"
            )
        given = [f"{n}({float(t[0])!r}) = {float(v)!r}" for n, v in zip(law.names, values, strict=True)] + given
    box[time] = (float(t[0]), float(t[1]))
    return Problem(sympy_equations(law), given, box, unknowns=law.names, time=time, name=name)


def _placed(name: str, law: Discovery, start: str) -> str:
    return f"{name}({', '.join([*law.coordinates[:-1], start])})"


def _at(name: str, law: Discovery, axis: str, value: float) -> str:
    places = [repr(float(value)) if c == axis else c for c in law.coordinates]
    return f"{name}({', '.join(places)})"


def torch_module(law: Discovery) -> Any:
    """Return the law as a torch module with its coefficients as parameters."""
    from sciml.sindy.modules import LawModule

    if law.kind == "field":
        raise ArgumentError("the law of a field is no function of states; solve law.problem(...) instead")
    return LawModule(law.names, law.control, law.coefficients)


def pysindy_model(law: Discovery) -> Any:
    """Return a fitted pysindy model of the same right-hand sides."""
    from sciml.sindy.pysindy_models import pysindy_model

    if law.kind == "field":
        raise ArgumentError("pysindy has no model of a field that could be evaluated; use law.to_sympy()")
    return pysindy_model(law)


def document(law: Discovery) -> dict[str, Any]:
    """Return what the law says as JSON has it."""
    from sciml.storage import plain

    return {
        "equations": list(law.equations),
        "coefficients": plain(law.coefficients),
        "standard_errors": plain(law.standard_errors),
        "intervals": plain(law.intervals),
        "inclusion": plain(law.inclusion),
        "noise": plain(law.noise),
        "alternatives": [
            {"equations": list(a.equations), "weight": a.weight, "coefficients": plain(a.coefficients)}
            for a in law.alternatives
        ],
        "trusted": law.trusted,
        "reason": str(law.diagnostics.get("reason", "")),
        "diagnostics": plain(law.diagnostics),
        "method": law.method,
        "seed": law.seed,
        "seconds": law.wall_time,
    }


@functools.cache
def quantile(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t with that many degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom)) if math.isfinite(freedom) else 1.959963984540054
