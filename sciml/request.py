"""The problem that a command line asks for: a bundled name, a file, or equations and conditions typed as text."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.command import Arguments, Option, choice
from sciml.errors import ArgumentError, NotationError, ProblemWarning, UnknownProblemError, closest

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["PROBLEM_OPTIONS", "TRUTH", "directory_name", "is_condition", "requested_problem"]

_BOUNDS = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*([^:=]+):([^:=]+)")
_VALUE = re.compile(r"\s*([A-Za-z]\w*)\s*=([^=]+)")
_NAME = re.compile(r"[A-Za-z_]\w*(?:[-.]\w+)*")
_APPLIED = re.compile(r"([A-Za-z]\w*)('*)\s*\(")
# Words of a constant: `--set k=2*pi` goes on with values, `--set k=2 u_t=k*u_xx` ends at the equation.
_CONSTANT_WORDS = {"pi", "e", "E", "sqrt", "exp", "log", "sin", "cos", "tan"}
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def _interval(text: str) -> tuple[str, tuple[str, str]]:
    match = _BOUNDS.fullmatch(text)
    if match is None:
        raise ArgumentError(f"an interval is written as x=0:1, not {text!r}")
    name, low, high = match.groups()
    return name, (low.strip(), high.strip())


def _value(text: str) -> tuple[str, str]:
    match = _VALUE.fullmatch(text)
    if match is None:
        raise ArgumentError(f"a parameter is written as nu=0.02, not {text!r}")
    return match.group(1), match.group(2).strip()


def _is_value(text: str) -> bool:
    match = _VALUE.fullmatch(text)
    return match is not None and set(re.findall(r"[A-Za-z_]\w*", _NUMBER.sub("0", match.group(2)))) <= _CONSTANT_WORDS


def _names(text: str) -> list[str]:
    names = [name for name in re.split(r"[\s,]+", text.strip()) if name]
    for name in names:
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise ArgumentError(f"unknowns are names such as u,v, not {text!r}")
    if not names:
        raise ArgumentError("at least one name is needed, for example u")
    return names


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]\w*", text):
        raise ArgumentError(f"the time coordinate is a name such as t, not {text!r}")
    return text


PROBLEM_OPTIONS = (
    Option("domain", "intervals of the coordinates, in the order of arguments; bounds may be formulas",
           "x=0:1 t=0:pi", _interval, lambda token: _BOUNDS.fullmatch(token) is not None),
    Option("set", "values of parameters", "nu=0.02", _value, _is_value),
    Option("unknowns", "names of the unknowns, where the equations do not show them", "u,v", _names),
    Option("time", "name of the time coordinate (t)", "NAME", _name),
    Option("incompatible", "accept conditions that disagree at a corner without a warning (warn)", "accept",
           choice("what to do with such conditions", ("warn", "accept"))),
)  # fmt: skip

TRUTH = Option("truth", "true values of unknown numbers, to compare with", "nu=0.02", _value, _is_value)


def requested_problem(
    arguments: Arguments,
    command: str = "solve",
    *,
    functions: Sequence[str] = (),
    starts: Mapping[str, str] | None = None,
) -> Problem:
    """Build the problem that the positional texts and the options of `PROBLEM_OPTIONS` ask for.

    Parameters
    ----------
    arguments : the command line.
    command : for messages.
    functions : signatures of functions that are to be identified, "k(x)". In a bundled problem they take the place of a
        parameter of the same name.
    starts : values of parameters of typed equations that `--set` does not give.

    Raises
    ------
    ArgumentError, NotationError, ProblemError, UnknownProblemError
        the command line does not describe a problem.
    """
    texts = [text for text in arguments.positional if text.strip()]
    if not texts:
        raise ArgumentError(
            f"give a problem (a name, a file or equations): python -m sciml.{command} burgers; --list shows the names"
        )
    domain = _unique(arguments.get("domain", []), "--domain", "interval")
    values = _unique(arguments.get("set", []), "--set", "value")
    if not _is_equation(texts[0]):
        if len(texts) > 1:
            raise ArgumentError(
                f"{texts[0]!r} is a name; one problem at a time, without further arguments (got {texts[1]!r})"
            )
        for option in ("unknowns", "time"):
            if arguments.get(option) is not None:
                raise ArgumentError(f"--{option} goes with equations; {texts[0]} has its own")
        return _with_functions(_loaded(texts[0], domain, values, arguments.get("incompatible")), functions)
    for text in texts:
        if not _is_equation(text):
            raise ArgumentError(f"{text!r} is neither an equation nor a condition")
    return _typed(texts, domain, {**(starts or {}), **values}, arguments, functions)


def directory_name(problem: Problem) -> str:
    """Return the name of the problem's directory of results: its own, or one made from the equations."""
    if problem.name:
        return problem.name
    declared = problem.to_dict()
    content = repr([declared[key] for key in ("equations", "conditions", "domain", "parameters")])
    readable = re.sub(r"[^A-Za-z0-9]+", "_", declared["equations"][0]).strip("_")[:40].rstrip("_")
    return f"{readable}_{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _is_equation(text: str) -> bool:
    """Whether a positional text is mathematics and not the name of a problem or of a file."""
    if text.endswith(".py") or _NAME.fullmatch(text.strip()):
        return False
    return bool(re.search(r"[=()'*+^]", text)) or not (os.sep in text or text.startswith("."))


def _loaded(
    name: str, domain: Mapping[str, Any], values: Mapping[str, str], incompatible: str | None = None
) -> Problem:
    from sciml.registry import load, names, saved

    if text := saved(name):
        raise UnknownProblemError(text)
    if not name.endswith(".py") and Path(name).is_file():
        raise UnknownProblemError(f"a problem file ends in .py, {name!r} does not")
    if Path(name).is_dir() and name not in names():
        raise UnknownProblemError(f"{name!r} is a directory; give a problem's name or a file that ends in .py")
    with warnings.catch_warnings():
        if incompatible == "accept":
            warnings.simplefilter("ignore", ProblemWarning)
        problem = load(name, **{key: _number(key, text) for key, text in values.items()})
    if incompatible is not None and incompatible != problem.incompatible:
        problem = problem.replace(incompatible=incompatible)
    if not domain:
        return problem
    unknown = [key for key in domain if key not in problem.coordinates]
    if unknown:
        raise ArgumentError(
            f"--domain: {problem.name} has the coordinates {', '.join(problem.coordinates)}, not {unknown[0]!r}"
            f"{closest(unknown[0], problem.coordinates)}"
        )
    return problem.replace(domain={key: domain.get(key, problem.domain.interval(key)) for key in problem.coordinates})


def _with_functions(problem: Problem, functions: Sequence[str]) -> Problem:
    """Return a problem with further unknown functions; what was known for numbers in their place is not kept."""
    if not functions:
        return problem
    names = [signature.partition("(")[0].strip() for signature in functions]
    parameters = {name: value for name, value in problem.parameters.items() if name not in names}
    known = [f"{name}({', '.join(arguments)})" for name, arguments in problem.unknown_functions.items()]
    declared: dict[str, Any] = dict.fromkeys([*functions, *(k for k in known if k.partition("(")[0] not in names)])
    declared |= {
        f"{name}({', '.join(problem.vocabulary.functions[name])})": function
        for name, function in problem.functions.items()
        if name not in names
    }
    return problem.replace(functions=declared, parameters=parameters, exact=None)


def _typed(
    texts: Sequence[str],
    domain: Mapping[str, tuple[str, str]],
    values: Mapping[str, str],
    arguments: Arguments,
    functions: Sequence[str] = (),
) -> Problem:
    from sciml.problem import Problem

    if not domain:
        raise ArgumentError("equations need the intervals of their coordinates, for example --domain x=0:1 t=0:1")
    coordinates = tuple(domain)
    names = {signature.partition("(")[0].strip() for signature in functions}
    unknowns = (*(arguments.get("unknowns") or ()), *(_differentiated(texts, coordinates) - names))
    conditions = [text for text in texts if is_condition(text, coordinates, unknowns)]
    equations = [text for text in texts if text not in conditions]
    if not equations:
        raise ArgumentError(f"there are only conditions and no equation, such as 'u_t = u_xx' (got {texts[0]!r})")
    time = arguments.get("time")
    if time is not None and time not in coordinates:
        raise ArgumentError(
            f"--time: {time!r} is not in the domain ({', '.join(coordinates)}){closest(time, coordinates)}"
        )
    shared = [key for key in values if key in domain]
    if shared:
        raise ArgumentError(f"--set: {shared[0]!r} is a coordinate; its interval goes to --domain")
    return Problem(
        equations,
        conditions,
        dict(domain),
        {key: _number(key, text) for key, text in values.items()},
        unknowns=arguments.get("unknowns"),
        functions=list(functions) or None,
        time=time or "t",
        incompatible=arguments.get("incompatible", "warn"),
    )


def is_condition(text: str, coordinates: Sequence[str], unknowns: Sequence[str] = ()) -> bool:
    """Whether a text places an unknown, as `u_t(x, 0) = 0`, `u(boundary) = 0` and `x'(0) = 1` do.

    Parameters
    ----------
    text : as typed.
    coordinates : names in the order of arguments; `u(x, t)` with exactly these is the field and no place.
    unknowns : names that can be placed; any name that is no function of the notation if empty.
    """
    from sciml.notation.functions import FUNCTIONS, SYNONYMS

    for match in _APPLIED.finditer(text):
        name, primes = match.groups()
        arguments = [part.strip() for part in _inside_parentheses(text, match.end())]
        known = name in FUNCTIONS or name in SYNONYMS or name in ("laplacian", "d")
        if (known and not primes) or arguments == list(coordinates):
            continue
        if unknowns and _stem(name, coordinates) not in unknowns and name not in unknowns:
            continue
        # A place is a coordinate or a constant: in sine(2*t), a misspelt function, the coordinate is inside a formula.
        words = [set(re.findall(r"[A-Za-z_]\w*", part)) for part in arguments]
        if all(
            part in coordinates or not found & set(coordinates) for part, found in zip(arguments, words, strict=True)
        ):
            return True
    return False


def _differentiated(texts: Sequence[str], coordinates: Sequence[str]) -> set[str]:
    """Return the names that are differentiated somewhere: `u` in `u_xt`, `x` in `x'`, `u` in `laplacian(u)`."""
    found: set[str] = set()
    for text in texts:
        found |= set(re.findall(r"([A-Za-z]\w*)'", text))
        found |= set(re.findall(r"\b(?:laplacian|d)\(\s*([A-Za-z]\w*)\s*[,)]", text))
        found |= {_stem(word, coordinates) for word in re.findall(r"[A-Za-z]\w*", text)} - {""}
    return found


def _stem(name: str, coordinates: Sequence[str]) -> str:
    """Return `u` for `u_xxt`, and an empty text for what is no derivative."""
    stem, _, orders = name.rpartition("_")
    names = "|".join(sorted(map(re.escape, coordinates), key=len, reverse=True))
    return stem if stem and re.fullmatch(f"(?:{names})+", orders) else ""


def _inside_parentheses(text: str, start: int) -> list[str]:
    """Return the arguments from `start`, after an opening parenthesis, to the one that closes it."""
    depth, parts, current = 1, [], ""
    for character in text[start:]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            break
        if character == "," and depth == 1:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _unique(pairs: Sequence[tuple[str, Any]], option: str, what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ArgumentError(f"{option}: {name!r} has two {what}s, {found[name]!r} and {value!r}")
        found[name] = value
    return found


def _number(name: str, text: str) -> int | float:
    """Return the number of a constant formula; integers stay integers, as a problem may count with them."""
    if re.fullmatch(r"[+-]?\d{1,15}", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        pass
    from sciml.notation import Vocabulary, parse_expression

    try:
        value = parse_expression(text, Vocabulary((), ()))
    except NotationError as error:
        raise ArgumentError(
            f"--set: {name} must be a real number, not {text!r}: {str(error).splitlines()[0]}"
        ) from None
    if not (value.is_number and value.is_real and value.is_finite):
        raise ArgumentError(f"--set: {name} must be a real number, not {text!r}")
    return float(value)
