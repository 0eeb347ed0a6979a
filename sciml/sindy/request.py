"""What a user asks of a discovery, checked: trajectories, libraries on offer, known and forbidden terms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import sympy

from sciml.data_names import entries
from sciml.errors import ArgumentError, NotationError, closest
from sciml.notation import Vocabulary, parse_expression, to_text
from sciml.sindy.adoption import library_of
from sciml.sindy.bases import Basis
from sciml.sindy.libraries import (
    ExponentialLibrary,
    FormulaLibrary,
    Library,
    LogarithmicLibrary,
    MagnitudeLibrary,
    PolynomialLibrary,
    RationalLibrary,
    RootLibrary,
    TrigonometricLibrary,
)
from sciml.sindy.refinement import NOISE_FLOOR
from sciml.sindy.trajectories import Trajectories, refuse_many, refuse_sizes, trajectories_of

if TYPE_CHECKING:
    from sciml.sindy.samples import Samples

__all__ = ["Known", "Request", "request_of"]

MOST_COLUMNS = 340
HIGHEST = 5
# The polynomials beside sines, fractions and exponentials.
RICH_DEGREE = 3
# A state changes its sign where so large a part of the samples is so far, in units of the largest, on either side.
SIDE, LEAST_SIDE = 0.1, 0.05
_LEFT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*('|_next)\s*\Z")
_OPEN = re.compile(r"\+?\s*\.\.\.\s*\Z")


@final
@dataclass(frozen=True)
class Known:
    """A known part of an equation.

    Attributes
    ----------
    text : of the right-hand side
    terms : its coefficients by term text
    open : whether further terms are sought.
    """

    text: str
    terms: Mapping[str, float]
    open: bool


@final
@dataclass(frozen=True, eq=False)
class Request:
    """A checked request.

    Attributes
    ----------
    trajectories : the data
    libraries : on offer, small ones first
    own : by unknown, the texts of the terms that its equation may have, where the user said so
    known : by unknown
    forbidden : by unknown, texts of terms
    discrete : whether the law is a map
    noise : [d] in the user's units, or None
    seed : noted in the answer
    rivals : whether all libraries are compared; else the later ones only where the earlier do not explain the data.
    """

    trajectories: Trajectories
    libraries: tuple[Library, ...]
    own: Mapping[str, frozenset[str]]
    known: Mapping[str, Known]
    forbidden: Mapping[str, frozenset[str]]
    discrete: bool
    noise: np.ndarray | None
    seed: int
    rivals: bool

    @property
    def floor(self) -> float:
        """The least noise relative to a state's size."""
        return NOISE_FLOOR if self.noise is None else 1e-9

    def allowed(self, basis: Basis) -> np.ndarray:
        """Return which terms may stand in which equation, bool [p, d]."""
        names = self.trajectories.names
        result = np.ones((len(basis.terms), len(names)), dtype=bool)
        for i, name in enumerate(names):
            own = self.own.get(name)
            shut = name in self.known and not self.known[name].open
            taken = self.known[name].terms if name in self.known else {}
            for j, text in enumerate(basis.texts):
                if (
                    shut
                    or text in self.forbidden.get(name, ())
                    or text in taken
                    or (own is not None and text not in own)
                ):
                    result[j, i] = False
        return result

    def known_basis(self, samples: Samples) -> tuple[Basis | None, np.ndarray | None]:
        """Return the basis of the known right-hand sides and their coefficients [k, d] in scaled units."""
        if not self.known:
            return None, None
        record = self.trajectories
        texts = tuple(dict.fromkeys(part.text for part in self.known.values()))
        basis = FormulaLibrary(texts).bind((*record.names, *record.control_names), samples.scales)
        fixed = np.zeros((len(texts), len(record.names)))
        for name, part in self.known.items():
            i = record.names.index(name)
            fixed[texts.index(part.text), i] = samples.step / samples.scales[i]
        return basis, fixed


def request_of(
    t: Any,
    x: Any,
    names: Any,
    library: Any,
    degree: Any,
    control: Any,
    control_names: Any,
    known: Any,
    forbidden: Any,
    discrete: bool,
    noise: Any,
    seed: int,
    many: bool = False,
) -> Request:
    """Check everything that a user said; `many` unknowns are accepted for methods that are fast."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ArgumentError(f"seed must be an integer, got {seed!r}")
    record = trajectories_of(t, x, names, control, control_names, discrete)
    if not many:
        refuse_many(len(record.names))
    variables = (*record.names, *record.control_names)
    libraries, own = _libraries(library, degree, record)
    refuse_sizes(record, max(HIGHEST, *(term.degree for each in libraries for term in each.terms(variables))))
    return Request(
        trajectories=record,
        libraries=libraries,
        own=own,
        known=_known(known, record, discrete),
        forbidden=_forbidden(forbidden, record, variables, libraries),
        discrete=bool(discrete),
        noise=_noise(noise, record.names),
        seed=int(seed),
        rivals=library is not None,
    )


def _libraries(
    library: Any, degree: Any, record: Trajectories
) -> tuple[tuple[Library, ...], dict[str, frozenset[str]]]:
    variables = (*record.names, *record.control_names)
    if library is not None and degree is not None:
        raise ArgumentError("give library= or degree=, not both; PolynomialLibrary(degree) can be added to others")
    if degree is not None:
        return (PolynomialLibrary(degree),), {}
    if library is None:
        return _ladder(record), {}
    if isinstance(library, Mapping):
        unknown = [name for name in library if name not in record.names]
        if unknown:
            raise ArgumentError(f"library: {unknown[0]!r} is no unknown{closest(str(unknown[0]), record.names)}")
        missing = [name for name in record.names if name not in library]
        if missing:
            raise ArgumentError(f"library must name every unknown; missing: {', '.join(missing)}")
        parts = {name: library_of(each, variables) for name, each in library.items()}
        own = {name: frozenset(term.text for term in part.terms(variables)) for name, part in parts.items()}
        union = None
        for part in parts.values():
            union = part if union is None else union + part
        assert union is not None
        return (union,), own
    if isinstance(library, (list, tuple)) and library and all(isinstance(each, Library) for each in library):
        return tuple(library_of(each, variables) for each in library), {}
    return (library_of(library, variables),), {}


def _ladder(record: Trajectories) -> tuple[Library, ...]:
    """Return the polynomials of the highest degree that the data allow, and richer libraries behind them."""
    d = len(record.names)
    variables = (*record.names, *record.control_names)
    rows = (len(record.times) - len(record.bounds) + 1) * d

    def fits(library: Library) -> bool:
        return len(library.terms(variables)) * d <= min(MOST_COLUMNS, rows / 2)

    degree = max((q for q in range(1, HIGHEST + 1) if fits(PolynomialLibrary(q))), default=1)
    small = PolynomialLibrary(min(degree, RICH_DEGREE))
    others = [TrigonometricLibrary((1.0, 2.0), pairs=d <= 3), RationalLibrary(), ExponentialLibrary()]
    if np.nanmin(record.values) > 0 and not record.control_names:
        others += [LogarithmicLibrary(), RootLibrary()]
    both = tuple(name for name, x in zip(record.names, record.values.T, strict=True) if _changes_sign(x))
    if both:
        others.append(MagnitudeLibrary(both))
    rich = [small + other for other in others]
    return (PolynomialLibrary(degree), *(library for library in rich if fits(library)))


def _changes_sign(x: np.ndarray) -> bool:
    """Whether samples are on both sides of zero, and not by their noise alone: else x*abs(x) passes for x**2."""
    x = x[np.isfinite(x)]
    size = np.abs(x).max(initial=0.0)
    return bool(min(np.mean(x > SIDE * size), np.mean(x < -SIDE * size)) > LEAST_SIDE)


def _known(known: Any, record: Trajectories, discrete: bool) -> dict[str, Known]:
    if known is None:
        return {}
    texts = [known] if isinstance(known, str) else list(known)
    words = Vocabulary(("t",), (), (*record.names, *record.control_names))
    result: dict[str, Known] = {}
    for text in texts:
        left, equals, right = text.partition("=") if isinstance(text, str) else ("", "", "")
        match = _LEFT.match(left)
        example = f"{record.names[-1]}{'_next' if discrete else chr(39)} = ..."
        if not equals or match is None or match[1] not in record.names or (match[2] == "_next") != bool(discrete):
            raise ArgumentError(
                f"known must be equations such as {example!r}, one for each unknown at most, got {text!r}"
            )
        if match[1] in result:
            raise ArgumentError(f"known has two equations for {match[1]}")
        ending = _OPEN.search(right)
        body = right[: ending.start()].strip() if ending else right.strip()
        if not body:
            raise ArgumentError(f"known has nothing on the right-hand side: {text!r}")
        expression = sympy.expand(parse_expression(body, words))
        terms: dict[str, float] = {}
        for part in sympy.Add.make_args(expression):
            factor, rest = part.as_coeff_Mul()
            terms[to_text(rest, words)] = terms.get(to_text(rest, words), 0.0) + float(factor)
        result[match[1]] = Known(body, terms, ending is not None)
    return result


def _forbidden(
    forbidden: Any, record: Trajectories, variables: Sequence[str], libraries: tuple[Library, ...]
) -> dict[str, frozenset[str]]:
    if forbidden is None:
        return {}
    if not isinstance(forbidden, Mapping):
        forbidden = dict.fromkeys(record.names, forbidden)
    words = Vocabulary(("t",), (), tuple(variables))
    offered = {term.text: term.text for library in libraries for term in library.terms(variables)}
    by_value = {parse_expression(text, words): text for text in offered}
    result: dict[str, frozenset[str]] = {}
    for name, texts in forbidden.items():
        if name not in record.names:
            raise ArgumentError(f"forbidden: {name!r} is no unknown{closest(str(name), record.names)}")
        found = set()
        for text in entries(texts) if isinstance(texts, str) else texts:
            try:
                term = by_value.get(parse_expression(text, words))
            except NotationError as error:
                raise ArgumentError(f"forbidden: {error}") from None
            if term is None:
                raise ArgumentError(f"forbidden: the library has no term {text!r}{closest(text, offered)}")
            found.add(term)
        result[name] = frozenset(found)
    return result


def _noise(noise: Any, names: tuple[str, ...]) -> np.ndarray | None:
    if noise is None:
        return None
    if isinstance(noise, Mapping):
        other = next((name for name in noise if name not in names), None)
        if other is not None:
            raise ArgumentError(f"noise: {other!r} is no unknown{closest(str(other), names)}")
        missing = [name for name in names if name not in noise]
        if missing:
            raise ArgumentError(f"noise must have a number for every unknown; missing: {', '.join(missing)}")
        noise = [noise[name] for name in names]
    try:
        values = np.broadcast_to(np.asarray(noise, dtype=np.float64), (len(names),)).copy()
    except (TypeError, ValueError):
        raise ArgumentError(f"noise must be a number, or one for each of {', '.join(names)}, got {noise!r}") from None
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ArgumentError(f"noise must be positive, got {noise!r}")
    return values
