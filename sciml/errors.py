"""The small family of errors and warnings that the package raises, and the closest-name helper that their texts use.

Every error is a `ScimlError` and also the built-in class that a Python user would expect (`ValueError`, `LookupError`,
`RuntimeError`), so both habits of catching work. A text names the argument, what came and what is accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "ArgumentError",
    "FileFormatError",
    "NotationError",
    "ProblemError",
    "ProblemWarning",
    "ScimlError",
    "SolveError",
    "UnknownProblemError",
    "closest",
]


class ScimlError(Exception):
    """Base of every error that this package raises on purpose."""


class ArgumentError(ScimlError, ValueError):
    """An argument of a call has a wrong type, shape or value."""


class ProblemError(ScimlError, ValueError):
    """A declaration is not a well-formed problem, or a solver cannot treat it."""


class UnknownProblemError(ScimlError, LookupError):
    """No problem of this name or file exists."""


class FileFormatError(ScimlError, ValueError):
    """A file is not what it should be: a damaged or foreign solution, an unreadable table."""


class SolveError(ScimlError, RuntimeError):
    """A solver has no usable result; `solution` carries what there is, or None."""

    def __init__(self, message: str, solution: Any = None) -> None:
        super().__init__(message)
        self.solution = solution


class NotationError(ScimlError, ValueError):
    """Text is not in the notation.

    Attributes
    ----------
    text, position : the text and the 0-based offset of the offending character in it.
    """

    def __init__(self, message: str, text: str = "", position: int | None = None) -> None:
        self.text = text
        self.position = position
        if position is not None and text:
            start = max(0, position - 60)
            shown = text[start : start + 100].replace("\n", " ")
            message = f"{message}\n  {shown}\n  {' ' * (position - start)}^"
        super().__init__(message)


class ProblemWarning(UserWarning):
    """A declaration that can be solved but is probably not what was meant."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'burgers'?"` for the closest known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""
