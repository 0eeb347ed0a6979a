"""Which name in the data stands for which coordinate, unknown or derivative of a problem."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sciml.errors import ArgumentError, NotationError, ProblemWarning, closest

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["assigned", "entries", "free_name", "is_word", "listed", "refuse_words"]


def assigned(
    available: Sequence[str],
    problem: Problem,
    columns: Mapping[str, str] | None,
    source: str,
    *,
    archive: bool = False,
) -> dict[str, str]:
    """Return which name of the data stands for each coordinate, unknown or derivative that they have.

    Parameters
    ----------
    available : names in the data.
    problem : whose names are meant.
    columns : names of the data by name of the problem, where they differ.
    source : for messages.
    archive : whether names without a meaning are to be expected.

    Raises
    ------
    ArgumentError : a coordinate is missing, nothing is measured, a name is not known or stands for two things.
    """
    given = _renamed(available, problem, columns, source)
    found = dict(given)
    used = set(given.values())
    for name in available:
        if name in used:
            continue
        meaning = _meaning(name, problem)
        if meaning is None or meaning in given:
            continue
        if meaning in found:
            raise ArgumentError(f"{source} has two columns for {meaning}: {found[meaning]!r} and {name!r}")
        found[meaning] = name
    left = [name for name in available if name not in found.values()]
    there = f"there are {listed(available)}" if available else "there are no names at all"
    for name in problem.coordinates:
        if name not in found:
            raise ArgumentError(f"{source} has no coordinate {name!r}; {there}; {_say_which(name, left)}")
    order = [name for name in problem.unknowns if name in found]
    order += sorted(name for name in found if name not in order and name not in problem.coordinates)
    if not order:
        raise ArgumentError(
            f"{source} has no measurements of {listed(problem.unknowns)} or their derivatives; {there}; "
            f"{_say_which(problem.unknowns[0], left)}"
        )
    if left and columns is None and not archive:
        warnings.warn(
            f"{source}: {listed(left)} not used, since the problem has no such names "
            f"({', '.join((*problem.coordinates, *problem.unknowns))}); columns= says what they are",
            ProblemWarning,
            stacklevel=4,
        )
    return {name: found[name] for name in (*problem.coordinates, *order)}


def _renamed(
    available: Sequence[str], problem: Problem, columns: Mapping[str, str] | None, source: str
) -> dict[str, str]:
    """Return the entries of `columns` under the problem's spelling, checked."""
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise ArgumentError(f"columns must be a mapping such as {{'u': 'usol'}}, got {columns!r}")
    found: dict[str, str] = {}
    for key, name in columns.items():
        meaning = _meaning(key, problem) if isinstance(key, str) else None
        if meaning is None:
            known = (*problem.coordinates, *problem.unknowns)
            swapped = isinstance(name, str) and _meaning(name, problem) is not None and key in available
            hint = f"; did you mean {{{name!r}: {key!r}}}?" if swapped else closest(str(key), known)
            raise ArgumentError(
                f"columns: {key!r} is neither a coordinate nor an unknown of the problem ({', '.join(known)}) "
                f"nor a derivative of one{hint}"
            )
        if name not in available:
            raise ArgumentError(
                f"columns: {source} has no {name!r} for {key}; there are {listed(available)}"
                f"{closest(str(name), available)}"
            )
        if name in found.values():
            other = next(k for k, v in found.items() if v == name)
            raise ArgumentError(f"columns: {name!r} cannot be both {other} and {meaning}")
        if meaning in found:
            raise ArgumentError(f"columns: {meaning} is given twice, as {found[meaning]!r} and {name!r}")
        found[meaning] = name
    return found


def _meaning(name: str, problem: Problem) -> str | None:
    """Return a coordinate, unknown or derivative in the problem's spelling, or None for any other name."""
    if name in problem.coordinates or name in problem.unknowns:
        return name
    if name in problem.parameters:
        return None
    try:
        return problem.vocabulary.partial_text(problem.vocabulary.parse_partial(name))
    except NotationError:
        return None


def _say_which(name: str, left: Sequence[str]) -> str:
    """Return the advice to rename, with the most likely name among those that are left."""
    guesses = [other for other in left if other.lower() == name.lower()]
    guesses += [other for other in left if other.lower().startswith(name.lower())]
    guess = repr(guesses[0]) if guesses else repr(left[0]) if len(left) == 1 else "..."
    shown = "..." if guess == "..." else guess[1:-1]
    return f"say which it is with columns={{{name!r}: {guess}}} (--columns {name}={shown})"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return names for a message, not more than a reader takes in."""
    shown = ", ".join(map(repr, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def entries(text: str) -> list[str]:
    """Split a list of terms or names at the commas outside brackets.

    >>> entries("1, x, d(u**2, x, 2)")
    ['1', 'x', 'd(u**2, x, 2)']

    Raises
    ------
    ArgumentError
        an entry is empty.
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    parts = [part.strip() for part in parts]
    if not all(parts):
        raise ArgumentError(f"a list is written as x,y without empty entries, not {text!r}")
    return parts


def is_word(name: str) -> bool:
    """Return whether a name means a function or the number pi in the notation.

    Libraries apply the functions to unknowns. The number e is not meant: E and e are names of unknowns in many fields,
    and nothing is ever written with it but exp.

    >>> is_word("sin"), is_word("pi"), is_word("E"), is_word("x")
    (True, True, False, False)
    """
    from sciml.notation.functions import FUNCTIONS, SYNONYMS

    return name in FUNCTIONS or name in SYNONYMS or name == "pi"


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name near to one that has a meaning: max_ for max.

    >>> free_name("max", ["x"]), free_name("max", ["max_"])
    ('max_', 'max_1')
    """
    used = set(taken)
    return f"{name}_" if f"{name}_" not in used else next(n for k in range(1, 999) if (n := f"{name}_{k}") not in used)


def refuse_words(names: Sequence[str], what: str) -> None:
    """Refuse names of unknowns that mean a function or a number in the notation.

    Raises
    ------
    ArgumentError
        with a name that is free.
    """
    name = next((name for name in names if is_word(name)), None)
    if name is not None:
        kind = "a number" if name == "pi" else "a function"
        raise ArgumentError(f"{what}: {name!r} is {kind} of the notation; write {free_name(name, names)!r}, say")
