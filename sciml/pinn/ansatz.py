"""Exact conditions: from the declared conditions to `u = g + s*d*N(features)` that satisfies them for every network N.

In one coordinate, scaled to xi in [0, 1], the conditions on an unknown at the two ends prescribe derivatives of certain
orders. Orders 0, ..., k-1 are met by a factor d with a k-fold zero. An order 1 alone (Neumann), and the pair 0, 2 (a
simply supported end), need N' = 0 at that end: there the network sees the coordinate only through features with zero
slope, xi**2 and xi**3, through which every smooth function with zero slope is a smooth function. d is the polynomial of
lowest degree with the remaining zeros. g interpolates the data, coordinate by coordinate (a boolean sum of Hermite
interpolants: W. J. Gordon and C. A. Hall, doi:10.1007/BF01436298). A periodic coordinate is seen through its harmonics.
Robin, point and other conditions, those on only some of the unknowns, and data that disagree at a corner are left to
the loss; they are the ansatz's `soft` conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import sympy
from torch import Tensor

from sciml.notation import Partial, to_numpy, to_text
from sciml.pinn.layers import kink_layer
from sciml.pinn.sides import Datum, datum_of, exact_number, interpolant, scaled, vanishing_factor
from sciml.pinn.waves import Waves, kink_waves
from sciml.problem import Condition, Problem

__all__ = [
    "MANY",
    "Ansatz",
    "Source",
    "Trace",
    "build_ansatz",
    "continued",
    "sample",
    "values_at",
]

# Values [A, N] of partials at points [N, d]: what a former time window hands over to the next.
Trace = Callable[[Sequence[Partial], Tensor], Tensor]

# From this dimension on a box has too many sides for some things.
MANY = 4

# A jump of this part of the values is none.
TORN = 1e-8


class Source(NamedTuple):
    """An unknown as `factor` times the derivative of these orders of a field, which is what the network gives."""

    field: str
    orders: tuple[int, ...]
    factor: float = 1


@dataclass(frozen=True)
class Ansatz:
    """The parts of `u = g + scale*d*N(features)`.

    Attributes
    ----------
    problem : the problem whose conditions are met.
    g, d : formulas in the coordinates for each field; parameters are numbers already. The fields are the unknowns
        themselves unless `sources` says otherwise.
    scale : a positive number for each field, the size of g where g does not vanish.
    features : for each coordinate, in order, the formulas through which the network sees it, of size about 1.
    trace : in a later time window that starts at T, the former window's solution; then
        `u = g + sum_k (t - T)**k/k! * d^k trace/dt^k(x, T) + scale*d*N`, where g has vanishing initial values.
    layers : further features, of layers that data with a kink make (`sciml.pinn.layers`).
    hard, soft : the conditions that every network meets, and those that the loss must ask for.
    sources : for unknowns that are derivatives of other fields (velocities, of a stream function) what they are. If
        there are any, unknowns without a source are not represented.
    equations : the residuals that the loss asks for, by name, where they are not those of the problem.
    corners : places where the formulas are singular; values there are those beside.
    waves : those of a kink in the initial values that the equations disperse (`sciml.pinn.waves`); only with
        `carrying` they are a part of u, `scale * sum_w waves_w * N_w` with further outputs N_w of the network.
    compiled : what was compiled from the formulas, kept for the next that needs it.
    """

    problem: Problem
    g: Mapping[str, sympy.Expr]
    d: Mapping[str, sympy.Expr]
    scale: Mapping[str, float]
    features: tuple[tuple[sympy.Expr, ...], ...]
    hard: tuple[Condition, ...]
    soft: tuple[Condition, ...]
    layers: tuple[sympy.Expr, ...] = ()
    harmonics: int = 1
    trace: Trace | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    equations: Mapping[str, sympy.Expr] | None = None
    corners: tuple[tuple[float, ...], ...] = ()
    waves: Waves | None = field(default=None, compare=False)
    carrying: bool = False
    compiled: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """What the network gives, in the order of its outputs."""
        return tuple(dict.fromkeys(s.field for s in self.sources.values())) or self.problem.unknowns

    @property
    def outputs(self) -> int:
        """How many values the network gives."""
        waves = 0 if self.waves is None or not self.carrying else self.waves.count
        return len(self.fields) * (1 + waves)

    @cached_property
    def with_waves(self) -> Ansatz:
        """The ansatz that carries its waves, if there are any; else itself."""
        return self if self.waves is None else replace(self, carrying=True)

    @property
    def represented(self) -> tuple[str, ...]:
        """The unknowns that the network determines."""
        return tuple(u for u in self.problem.unknowns if u in self.sources or not self.sources)

    @cached_property
    def residuals(self) -> Mapping[str, sympy.Expr]:
        """The residuals that the loss asks for, by name; parameters are numbers."""
        if self.equations is not None:
            return self.equations
        problem = self.problem
        names = [to_text(equation, problem.vocabulary) for equation in problem.equations]
        return dict(zip(names, [problem.substituted(r) for r in problem.residuals], strict=True))

    def source(self, partial: Partial) -> Source:
        """The derivative of a field that a partial of an unknown is."""
        if not self.sources:
            return Source(partial.unknown, partial.orders)
        name, orders, factor = self.sources[partial.unknown]
        return Source(name, tuple(a + b for a, b in zip(orders, partial.orders, strict=True)), factor)

    @cached_property
    def inputs(self) -> tuple[sympy.Expr, ...]:
        """All features in a row: the inputs of the network."""
        return tuple(feature for group in self.features for feature in group) + self.layers

    def describe(self) -> str:
        """Return one line on what is exact and what is not, for messages."""
        text = f"{len(self.hard)} condition(s) exact"
        text += f", {len(self.soft)} in the loss" if self.soft else ""
        return text + (", waves of a kink" if self.waves is not None else "")


def build_ansatz(
    problem: Problem,
    *,
    harmonics: int = 1,
    exact: bool = True,
    softened: Sequence[str] = (),
    levels: Mapping[str, Sequence[float]] | None = None,
) -> Ansatz:
    """Build the ansatz of a problem.

    Parameters
    ----------
    harmonics : how many harmonics of each periodic coordinate the network sees, 1 or more.
    exact : False leaves every condition but periodicity to the loss.
    softened : names of conditions that are left to the loss in any case.
    levels : mean and size of unknowns, known from measurements: `g` and `scale` where no condition fixes `g`.

    Returns
    -------
    An ansatz whose hard conditions hold at random points to 1e-12 of the data's size.
    """
    soft = {c.name for c in problem.conditions if c.kind != "periodic" and not exact} | _torn(problem) | set(softened)
    for _ in range(len(problem.conditions) + 1):
        ansatz = _attempt(problem, harmonics, soft)
        wrong = _violated(ansatz)
        if not wrong:
            break
        soft |= {condition.name for condition in wrong}
    waves = _waves(ansatz)
    if waves is not None:
        # They pass through all unknowns, and are not zero where some begin at zero.
        ansatz = _attempt(problem, harmonics, soft | {c.name for c in problem.conditions if c.kind == "initial"})
    for unknown, (mean, size) in (levels or {}).items():
        ansatz = replace(ansatz, scale={**ansatz.scale, unknown: float(size)})
        if ansatz.g[unknown] == 0 and ansatz.d[unknown] == 1:
            ansatz = replace(ansatz, g={**ansatz.g, unknown: sympy.Float(mean, 17)})
    return replace(ansatz, waves=waves)


def continued(ansatz: Ansatz, lower: float, upper: float, trace: Trace | None) -> Ansatz | None:
    """Restrict an ansatz to the time window [lower, upper], continuing a former window.

    Parameters
    ----------
    ansatz : that of the whole problem.
    trace : solution of the former window, or None in the first one.

    Returns
    -------
    The window's ansatz, or None where windows are not possible: no time, an initial condition that is not exact, or a
    condition that couples times.
    """
    problem, time = ansatz.problem, ansatz.problem.time
    timed = [c for c in problem.conditions if time in c.place]
    if time is None or any(c.kind != "initial" or c in ansatz.soft for c in timed):
        return None
    softened = {c.name for c in ansatz.soft}
    made = _attempt(problem, ansatz.harmonics, softened, (lower, upper), trace)
    return replace(made, scale=ansatz.scale, layers=ansatz.layers)


def _attempt(
    problem: Problem,
    harmonics: int,
    softened: set[str],
    window: tuple[float, float] | None = None,
    trace: Trace | None = None,
) -> Ansatz:
    if window is not None:
        problem = problem.windowed(*window)
    periodic = problem.periodic
    data = [datum for c in problem.conditions if c.name not in softened if (datum := datum_of(c, problem)) is not None]
    if trace is not None:
        zero = sympy.Integer(0)
        data = [replace(datum, value=zero) if datum.coordinate == problem.time else datum for datum in data]
    data = [datum for datum in data if datum.coordinate not in periodic]
    if len(problem.space) >= MANY:
        # The interpolants of d coordinates have 3^d terms: in many dimensions only data that vanish are exact.
        data = [datum for datum in data if datum.coordinate == problem.time or datum.value == 0]
    flat = {(c, end): _flat_end(data, problem.unknowns, c, end) for c in problem.coordinates for end in (0, 1)}
    data = [datum for datum in data if _attainable(datum, data, flat)]

    g: dict[str, sympy.Expr] = {}
    d: dict[str, sympy.Expr] = {}
    scale: dict[str, float] = {}
    layers: tuple[sympy.Expr, ...] = ()
    # Time last: where data disagree at a corner the initial values, which reach every later time, keep their right.
    ordered = [*problem.space, *([problem.time] if problem.time else [])]
    for unknown in problem.unknowns:
        own = [datum for datum in data if datum.unknown == unknown]
        total: sympy.Expr = sympy.Integer(0)
        factor: sympy.Expr = sympy.Integer(1)
        for coordinate in ordered:
            ends = [datum for datum in own if datum.coordinate == coordinate]
            if ends:
                total += interpolant(problem, coordinate, ends, total)
                factor *= vanishing_factor(problem, coordinate, ends)
        for datum in own:
            if datum.coordinate == problem.time and datum.order == 0 and trace is None:
                for coordinate in sorted(periodic):
                    layer = kink_layer(problem, unknown, coordinate, datum.value)
                    if layer is not None:
                        total += layer[0]
                        layers += (layer[1],)
        g[unknown], d[unknown] = total, factor
        scale[unknown] = size_of(problem, total)
    features = tuple(
        _features(problem, c, harmonics, c in periodic, flat[c, 0], flat[c, 1]) for c in problem.coordinates
    )
    met = {datum.condition.name for datum in data}
    hard = tuple(c for c in problem.conditions if c.name in met or _periodic_in(c, periodic))
    soft = tuple(c for c in problem.conditions if c not in hard)
    return Ansatz(problem, g, d, scale, features, hard, soft, layers, harmonics, trace)


def _torn(problem: Problem) -> set[str]:
    """Names of initial conditions whose periodic continuation jumps, in itself or in a derivative that matters.

    Kept exactly, the jump would stay for all times between two points of the box, where no residual is asked for.
    """
    names: set[str] = set()
    for condition in problem.conditions:
        datum = datum_of(condition, problem)
        if datum is None or datum.coordinate != problem.time:
            continue
        for coordinate in problem.periodic:
            if datum.order == 0 and kink_layer(problem, datum.unknown, coordinate, datum.value) is not None:
                continue
            symbol = problem.vocabulary.symbol(coordinate)
            lower, upper = (exact_number(end) for end in problem.domain.interval(coordinate))
            for order in range(problem.order(datum.unknown, coordinate)):
                derivative = sympy.diff(datum.value, symbol, order)
                jump = derivative.subs(symbol, lower) - derivative.subs(symbol, upper)
                values = values_at(problem, [jump, derivative], sample(problem))
                if np.max(np.abs(values[0])) > TORN * np.max(np.abs(values[1])):
                    names.add(condition.name)
    return names


def _waves(ansatz: Ansatz) -> Waves | None:
    """The waves of initial values that are asked for in the loss, since their periodic continuation is not smooth."""
    problem = ansatz.problem
    data = [datum for c in problem.conditions if (datum := datum_of(c, problem)) is not None]
    initial = {datum.unknown: datum.value for datum in data if datum.coordinate == problem.time and datum.order == 0}
    torn = any(datum.condition in ansatz.soft for datum in data if datum.coordinate == problem.time)
    return kink_waves(problem, initial) if torn else None


def _periodic_in(condition: Condition, periodic: frozenset[str]) -> bool:
    return condition.kind == "periodic" and next(iter(condition.place)) in periodic


def _orders(data: Sequence[Datum], unknown: str, coordinate: str, end: int) -> frozenset[int]:
    return frozenset(t.order for t in data if (t.unknown, t.coordinate, t.end) == (unknown, coordinate, end))


def _flat_end(data: Sequence[Datum], unknowns: tuple[str, ...], coordinate: str, end: int) -> bool:
    """Whether the network is to have zero slope at this end: only if that suits every unknown."""
    return all(_orders(data, unknown, coordinate, end) in ({1}, {0, 2}) for unknown in unknowns)


def _attainable(datum: Datum, data: Sequence[Datum], flat: Mapping[tuple[str, int], bool]) -> bool:
    if flat[datum.coordinate, datum.end]:
        return True
    orders = _orders(data, datum.unknown, datum.coordinate, datum.end)
    return set(range(datum.order + 1)) <= orders


def _features(
    problem: Problem, coordinate: str, harmonics: int, periodic: bool, flat0: bool, flat1: bool
) -> tuple[sympy.Expr, ...]:
    xi = scaled(problem, coordinate)
    if periodic:
        angles = [2 * sympy.pi * k * xi for k in range(1, harmonics + 1)]
        return tuple(f(angle) for angle in angles for f in (sympy.cos, sympy.sin))
    if flat0 and flat1:
        return 2 * (3 * xi**2 - 2 * xi**3) - 1, 32 * xi**2 * (1 - xi) ** 2 - 1
    if flat0 or flat1:
        eta = xi if flat0 else 1 - xi
        return 2 * eta**2 - 1, 2 * eta**3 - 1
    return (2 * xi - 1,)


def sample(problem: Problem, count: int = 200) -> np.ndarray:
    """Return random points [count, d] of the box, the same in every call."""
    box = problem.domain
    return np.asarray(box.lower) + np.random.default_rng(0).random((count, box.dimension)) * np.asarray(box.lengths)


def values_at(problem: Problem, expressions: Sequence[sympy.Expr], points: np.ndarray) -> list[Any]:
    """Return the values [N] of formulas in the coordinates at points [N, d]."""
    leaves = [problem.vocabulary.symbol(c) for c in problem.coordinates]
    with np.errstate(all="ignore"):
        return to_numpy(list(expressions), leaves, dict(problem.functions))(*points.T)


def size_of(problem: Problem, g: sympy.Expr) -> float:
    size = float(np.sqrt(np.mean(values_at(problem, [g], sample(problem))[0] ** 2)))
    return size if np.isfinite(size) and size > 0 else 1.0


def _violated(ansatz: Ansatz) -> list[Condition]:
    """Those hard conditions that g itself does not meet at random points, as when data disagree at a corner."""
    problem, wrong = ansatz.problem, []
    for condition in ansatz.hard:
        if condition.kind == "periodic":
            continue
        datum = datum_of(condition, problem)
        assert datum is not None
        points = sample(problem)
        index = problem.domain.index(datum.coordinate)
        points[:, index] = problem.domain.interval(datum.coordinate)[datum.end]
        derivative = sympy.diff(ansatz.g[datum.unknown], problem.vocabulary.symbol(datum.coordinate), datum.order)
        have, want = values_at(problem, [derivative, datum.value], points)
        gap = np.max(np.abs(have - want))
        if not gap <= 1e-12 * (1 + np.max(np.abs(want)) + ansatz.scale[datum.unknown]) * 10**datum.order:
            wrong.append(condition)
    return wrong
