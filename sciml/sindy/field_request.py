"""What is asked of the discovery of a field's equation: grids, arrays, library, what is known; checked and in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from sciml.data_dates import refuse_dates
from sciml.data_names import entries, refuse_words
from sciml.errors import ArgumentError, NotationError, closest
from sciml.notation import Vocabulary
from sciml.sindy.field_library import FieldLibrary, FieldTerm
from sciml.sindy.field_terms import read_known, read_terms

__all__ = ["FieldRequest", "field_request"]

FEWEST_POINTS = 16
MOST_TERMS = 220
MOST_DEGREE = 6
UNEVEN = 1e-3
# Sixth powers of sizes up to this, of fields and of steps, are still numbers.
LARGEST = 1e40


@final
@dataclass(frozen=True)
class FieldRequest:
    """A checked request.

    Attributes
    ----------
    words : the names; time is the last coordinate.
    grids : one array for each coordinate.
    steps : their spacings.
    values : the fields [F, ...], finite.
    library : all terms, and those that are known.
    allowed : [F, J], which may enter the equation of which field.
    fixed : [F, J] known coefficients, in the data's units.
    order : highest order of a derivative in space.
    seed : for what is random.
    """

    words: Vocabulary
    grids: tuple[np.ndarray, ...]
    steps: np.ndarray
    values: np.ndarray
    library: FieldLibrary
    allowed: np.ndarray
    fixed: np.ndarray
    order: int
    seed: int


def field_request(
    coordinates: Any,
    fields: Any,
    library: Any,
    degree: int | None,
    order: int | None,
    known: Any,
    forbidden: Any,
    seed: int,
) -> FieldRequest:
    """Check the arguments of `discover_field` and put them in order."""
    grids, steps = _grids(coordinates)
    names, values = _fields(fields, coordinates, grids)
    if "t" in coordinates:
        # Whoever calls a coordinate t means the time, wherever it stands.
        place = tuple(coordinates).index("t")
        coordinates = dict.fromkeys((*(other for other in coordinates if other != "t"), "t"))
        grids, steps = (
            (*grids[:place], *grids[place + 1 :], grids[place]),
            np.append(np.delete(steps, place), steps[place]),
        )
        values = np.moveaxis(values, 1 + place, -1)
    refuse_words((*coordinates, *names), "the names of coordinates and fields")
    try:
        words = Vocabulary(tuple(coordinates), names, time=tuple(coordinates)[-1])
    except NotationError as error:
        raise ArgumentError(f"the names of coordinates and fields: {error}") from None
    known_terms = read_known(known, words)
    offered, order = _library(library, degree, order, words, values.shape[1:])
    terms = tuple(dict.fromkeys([*offered, *(term for found, _ in known_terms.values() for term in found)]))
    place = {term: k for k, term in enumerate(terms)}
    allowed = np.zeros((len(names), len(terms)), dtype=bool)
    allowed[:, : len(offered)] = True
    fixed = np.zeros(allowed.shape)
    for f, name in enumerate(names):
        if name in known_terms:
            found, more = known_terms[name]
            allowed[f] &= more
            for term, value in found.items():
                fixed[f, place[term]] = value
                allowed[f, place[term]] = False
        for term in _forbidden(forbidden, name, words):
            if term in place:
                allowed[f, place[term]] = False
    order = max([order, *(term.order for term in terms)])
    if not isinstance(seed, (int, np.integer)):
        raise ArgumentError(f"seed must be a whole number, got {seed!r}")
    return FieldRequest(words, grids, steps, values, FieldLibrary(terms), allowed, fixed, order, int(seed))


def _grids(coordinates: Any) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    if not isinstance(coordinates, Mapping) or not 2 <= len(coordinates) <= 3:
        raise ArgumentError(
            "coordinates must be a mapping of one or two space coordinates and time, in the order of the arrays' axes, "
            f"such as {{'x': x, 't': t}}, got {type(coordinates).__name__}"
            + (f" of {len(coordinates)}" if isinstance(coordinates, Mapping) else "")
        )
    grids, steps = [], []
    for name, given in coordinates.items():
        if isinstance(name, str) and len(name) > 1 and name == name[0] * len(name):
            raise ArgumentError(
                f"the coordinate {name!r} is several times one letter, so that u_{name} would read as a derivative of "
                f"order {len(name)}; call it {name[0]!r}: {{{name[0]!r}: {name}, ...}}"
            )
        refuse_dates(given, str(name))
        try:
            grid = np.asarray(given, dtype=np.float64).squeeze()
        except (TypeError, ValueError):
            raise ArgumentError(f"the coordinate {name!r} must be an array of numbers") from None
        if grid.ndim != 1 or len(grid) < FEWEST_POINTS:
            raise ArgumentError(
                f"the coordinate {name!r} must be one-dimensional with at least {FEWEST_POINTS} points, "
                f"got the shape {np.shape(given)}"
            )
        differences = np.diff(grid)
        step = (grid[-1] - grid[0]) / (len(grid) - 1)
        if not np.isfinite(grid).all() or step <= 0 or np.abs(differences - step).max() > UNEVEN * step:
            raise ArgumentError(
                f"the coordinate {name!r} must be finite, increasing and evenly spaced (to {UNEVEN:g} of a step); "
                "interpolate other data to such a grid"
            )
        _refuse_size(f"the coordinate {name!r} has steps", step)
        grids.append(grid)
        steps.append(step)
    return tuple(grids), np.array(steps)


def _refuse_size(what: str, size: float) -> None:
    if size > 0 and not 1 / LARGEST <= size <= LARGEST:
        raise ArgumentError(
            f"{what} up to {size:.2g}; between {1 / LARGEST:.0e} and {LARGEST:.0e} are accepted: "
            "give them in another unit"
        )


def _fields(fields: Any, coordinates: Mapping[str, Any], grids: Sequence[np.ndarray]) -> tuple[tuple[str, ...], Any]:
    if not isinstance(fields, Mapping) or not fields:
        raise ArgumentError(f"fields must be a mapping such as {{'u': U}}, got {type(fields).__name__}")
    lengths = tuple(len(grid) for grid in grids)
    axes = ", ".join(coordinates)
    names: list[str] = []
    arrays: list[np.ndarray] = []
    for name, given in fields.items():
        array: Any = np.asarray(given)
        if array.dtype.kind not in "iufc":
            raise ArgumentError(f"the field {name!r} must be an array of numbers, got the type {array.dtype}")
        if array.shape != lengths:
            hint = ""
            if sorted(array.shape) == sorted(lengths):
                hint = "; its axes seem to be in another order: transpose it"
            raise ArgumentError(
                f"the field {name!r} must have one axis for each of the coordinates ({axes}), the shape {lengths}, "
                f"but it has the shape {array.shape}{hint}"
            )
        if not np.isfinite(array).all():
            raise ArgumentError(
                f"the field {name!r} has {int((~np.isfinite(array)).sum())} values that are not finite; fill them first"
            )
        _refuse_size(f"the field {name!r} has values", float(np.abs(array).max()))
        if array.dtype.kind == "c":
            parts = {f"{name}r": array.real, f"{name}i": array.imag}
            if not array.imag.any():
                parts = {str(name): array.real}
        else:
            parts = {str(name): array}
        for part, values in parts.items():
            names.append(part)
            arrays.append(values.astype(np.float64))
    return tuple(names), np.stack(arrays)


def _library(
    library: Any, degree: int | None, order: int | None, words: Vocabulary, shape: tuple[int, ...]
) -> tuple[tuple[FieldTerm, ...], int]:
    for name, value in (("degree", degree), ("order", order)):
        if value is not None and (not isinstance(value, (int, np.integer)) or not 1 <= value <= 8):
            raise ArgumentError(f"{name} must be a whole number from 1 to 8, got {value!r}")
    fields, space = len(words.unknowns), len(shape) - 1
    # Tapers must be wide enough for the derivatives that they carry.
    carried = max(1, min(shape[:-1]) // 4 - 2)
    if library is not None:
        if degree is not None or order is not None:
            raise ArgumentError("library and degree or order exclude each other")
        texts = entries(library) if isinstance(library, str) else list(library)
        terms = tuple(dict.fromkeys(term for text in texts for term in read_terms(text, words, "library")))
        if not terms:
            raise ArgumentError("library must have at least one term, such as ['u', 'u*u_x', 'u_xx']")
        return terms, max(term.order for term in terms)
    if order is None:
        order = min(6 if space == 1 else 4, carried)
    elif order > carried:
        raise ArgumentError(
            f"order must be at most {carried} on {min(shape[:-1])} points, got {order}; a finer grid carries more"
        )
    if degree is None:
        degree = MOST_DEGREE
        while degree > 2 and len(FieldLibrary.polynomial(fields, space, degree, order).terms) > MOST_TERMS:
            degree -= 1
    return FieldLibrary.polynomial(fields, space, int(degree), int(order)).terms, int(order)


def _forbidden(forbidden: Any, name: str, words: Vocabulary) -> set[FieldTerm]:
    if forbidden is None:
        return set()
    if isinstance(forbidden, Mapping):
        for key in forbidden:
            if key not in words.unknowns:
                raise ArgumentError(f"forbidden: {key!r} is no field{closest(str(key), words.unknowns)}")
        forbidden = forbidden.get(name, ())
    texts = entries(forbidden) if isinstance(forbidden, str) else list(forbidden)
    return {term for text in texts for term in read_terms(text, words, "forbidden")}
