"""What to say of a name that the grammar does not know."""

from __future__ import annotations

from sciml.errors import closest
from sciml.notation.functions import CONSTANTS, FUNCTIONS, SYNONYMS
from sciml.notation.vocabulary import BOUNDARY, Vocabulary

__all__ = ["unknown_function", "unknown_name"]

_OPERATORS = ("where", "piecewise", "d", "laplacian")


def unknown_name(name: str, vocabulary: Vocabulary) -> str:
    """Explain a name that stands by itself and means nothing."""
    if name in ("i", "I", "j", "J"):
        return f"{name!r} is not declared, and there is no imaginary unit: real and imaginary part are two unknowns"
    if name.lower() in ("nan", "inf", "infinity", "oo"):
        return f"{name!r} is not a number"
    if name in FUNCTIONS or name in SYNONYMS or name in _OPERATORS:
        return f"the function {name!r} needs its arguments in brackets"
    if name == BOUNDARY.name:
        return "'boundary' stands only as the place of a condition: u(boundary) = 0"
    stem, _, axes = name.partition("_")
    if stem in vocabulary.unknowns and axes:
        return f"{name!r}: {axes!r} does not consist of the coordinates {', '.join(vocabulary.coordinates)}"
    if stem in vocabulary.parameters and axes:
        return f"{name!r}: {stem!r} is a parameter, it has no derivatives"
    return f"unknown name {name!r}{closest(name, (*vocabulary.names, *FUNCTIONS, *CONSTANTS))}"


def unknown_function(name: str, vocabulary: Vocabulary) -> str:
    """Explain a name that stands before brackets and is no function."""
    for kind, names in (
        ("parameter", vocabulary.parameters),
        ("coordinate", vocabulary.coordinates),
        ("constant", CONSTANTS),
    ):
        if name in names:
            return f"missing operator: {name!r} is a {kind}, not a function"
    known = (*vocabulary.functions, *vocabulary.unknowns, *FUNCTIONS, *_OPERATORS)
    return f"unknown function {name!r}{closest(name, known)}"
