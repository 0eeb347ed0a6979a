"""Libraries as users give them: ours, texts in the notation, or an object of pysindy."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.data_names import entries
from sciml.errors import ArgumentError, NotationError
from sciml.notation import Vocabulary, parse_expression, to_numpy
from sciml.sindy.libraries import FormulaLibrary, Library, PolynomialLibrary, exponent_table, monomial_text

__all__ = ["library_of"]

_SPACE = re.compile(r"(?<=[\w)])\s+(?=[\w(])")


def library_of(given: Any, variables: Sequence[str]) -> Library:
    """Return a library.

    Parameters
    ----------
    given : a `Library`, an integer (a degree), texts in the notation or one text with commas between them, or a pysindy
        library
    variables : names of the unknowns and control inputs.

    Raises
    ------
    ArgumentError
        something else, or a pysindy library whose terms have no formula.
    """
    if isinstance(given, Library):
        return _checked(given, variables)
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        return PolynomialLibrary(int(given))
    if isinstance(given, str):
        return library_of(_split(given), variables)
    if hasattr(given, "get_feature_names") and hasattr(given, "fit"):
        return _from_pysindy(given, variables)
    if isinstance(given, Sequence) and given and all(isinstance(text, str) for text in given):
        return _checked(_from_texts(given, variables), variables)
    raise ArgumentError(
        "library must be a sindy library, a degree, texts such as ['x', 'x*y', 'sin(x)'], or a pysindy library, "
        f"got {type(given).__name__}"
    )


def _split(text: str) -> list[str]:
    try:
        return entries(text)
    except ArgumentError as error:
        raise ArgumentError(f"library: {error}") from None


def _checked(library: Library, variables: Sequence[str]) -> Library:
    words = Vocabulary(("t",), (), tuple(variables))
    for term in library.terms(variables):
        try:
            parse_expression(term.text, words)
        except NotationError as error:
            raise ArgumentError(f"library: {error}") from None
    return library


def _from_texts(texts: Sequence[str], variables: Sequence[str]) -> Library:
    return FormulaLibrary(tuple(texts))


def _from_pysindy(given: Any, variables: Sequence[str]) -> Library:
    """Read the terms of a pysindy library from their names, and check them against its own values."""
    names = tuple(variables)
    points = np.random.default_rng(0).uniform(0.3, 1.7, (12, len(names)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not cloned: some of pysindy's libraries do not keep the names of their arguments.
            fitted = copy.deepcopy(given)
            fitted = fitted.fit(points)
            values = np.asarray(fitted.transform(points))
            labels = [str(label) for label in fitted.get_feature_names(list(names))]
    except Exception as error:
        raise ArgumentError(f"library: this pysindy library cannot be evaluated ({error})") from None
    words = Vocabulary(("t",), (), names)
    symbols = [words.symbol(name) for name in names]
    table = {monomial_text(row, names): monomial_text(row, names) for row in exponent_table(len(names), 1).tolist()}
    texts = []
    for k, label in enumerate(labels):
        text = _SPACE.sub("*", label.strip()).replace("^", "**")
        text = table.get(text, text)
        try:
            own = to_numpy([parse_expression(text, words)], symbols)(*points.T)[0]
        except NotationError:
            own = np.full(len(points), np.nan)
        if not np.allclose(own, values[:, k], rtol=1e-9, atol=1e-12):
            raise ArgumentError(
                f"library: the name {label!r} of a pysindy term is no formula of its values; "
                "give the terms as texts in the notation"
            )
        texts.append(text)
    exponents = {
        monomial_text(row, names): tuple(row) for row in exponent_table(len(names), 8 if len(names) < 4 else 4).tolist()
    }
    if set(texts) <= set(exponents):
        highest = max(sum(exponents[text]) for text in texts)
        full = PolynomialLibrary(highest, constant="1" in texts)
        if {term.text for term in full.terms(names)} == set(texts):
            return full
    return FormulaLibrary(tuple(texts))
