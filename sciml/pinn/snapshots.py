"""What is known of the unknowns at one time: samples at places, from the forms that users have them in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from sciml.errors import ArgumentError, closest
from sciml.grids import real_array, values_of
from sciml.observations import Observations
from sciml.pinn.ansatz import values_at
from sciml.pinn.sampled import SampledState, fitted_spline
from sciml.problem import Problem

__all__ = ["Snapshot", "initial_of", "noise_level", "sampled_state", "snapshot_of", "snapshots_in", "snapshots_of"]

FEWEST = 8
# Places at which a function, a solution, or a formula that no network meets exactly, is sampled.
SAMPLES = 401


@final
@dataclass(frozen=True, eq=False)
class Snapshot:
    """Values at one time.

    Attributes
    ----------
    time : of the snapshot.
    x : places [N].
    values : by unknown, [N].
    """

    time: float
    x: np.ndarray
    values: Mapping[str, np.ndarray]


def snapshot_of(data: Any, problem: Problem, time: float, what: str, *, complete: bool) -> Snapshot:
    """Return a snapshot from what a user gives.

    Parameters
    ----------
    data : a pair (x, u) with x [N] and u [N], or [N, unknowns], or a mapping of unknowns to arrays; or a mapping such
        as {"x": x, "u": u}.
    problem : whose names and box are meant.
    time : of the snapshot.
    what : for messages, "initial" or "snapshots[0.1]".
    complete : whether every unknown is needed.

    Raises
    ------
    ArgumentError : names, shapes or numbers that do not fit, with what to change.
    """
    (space,) = problem.space
    names = problem.unknowns
    example = f"({space}, {names[0]}) or {{{space!r}: ..., {names[0]!r}: ...}}"
    if isinstance(data, Mapping):
        columns = {str(name): value for name, value in data.items()}
        if space not in columns:
            raise ArgumentError(
                f"{what} must have the places {space!r}{closest(space, columns)}; accepted is {example}"
            )
        x, given = columns.pop(space), columns
    elif isinstance(data, (tuple, list)) and len(data) == 2:
        x, given = data
    else:
        raise ArgumentError(f"{what} must be {example}, got {type(data).__name__}")
    places = real_array(x, f"{what}: {space}").astype(np.float64)
    if places.ndim != 1 or len(places) < FEWEST:
        raise ArgumentError(
            f"{what}: {space} must be an array [N] of at least {FEWEST} places, got shape {list(places.shape)}"
        )
    if not isinstance(given, Mapping):
        table = real_array(given, f"{what}: {names[0]}").astype(np.float64)
        table = table[:, None] if table.ndim == 1 else table
        if table.shape != (len(places), len(names)):
            raise ArgumentError(
                f"{what}: the values must have the shape [{len(places)}, {len(names)}], one column for each of "
                f"{', '.join(names)}, got {list(table.shape)}"
            )
        given = dict(zip(names, table.T, strict=True))
    values: dict[str, np.ndarray] = {}
    for name, column in given.items():
        if name not in names:
            raise ArgumentError(
                f"{what}: {name!r} is no unknown; accepted: {', '.join(names)}{closest(str(name), names)}"
            )
        values[name] = real_array(column, f"{what}: {name}").astype(np.float64)
        if values[name].shape != places.shape:
            raise ArgumentError(
                f"{what}: {name} has the shape {list(values[name].shape)}, but {space} has {list(places.shape)}"
            )
    missing = [name for name in names if name not in values]
    if not values or (complete and missing):
        raise ArgumentError(f"{what} has no values of {', '.join(missing)}; accepted is {example}")
    low, high = problem.domain.interval(space)
    if space in problem.periodic:
        places = np.where((places < low) | (places > high), low + np.mod(places - low, high - low), places)
    rounding = 1e-12 * max(abs(low), abs(high), high - low)
    outside = (places < low - rounding) | (places > high + rounding)
    if outside.any():
        raise ArgumentError(
            f"{what}: {space} = {places[outside.argmax()]:.9g} is outside the domain [{low:.9g}, {high:.9g}]"
        )
    return Snapshot(time, np.clip(places, low, high), values)


def snapshots_of(data: Any, problem: Problem) -> tuple[Snapshot, Snapshot]:
    """Return two snapshots, in the order of their times, from a mapping of times to what `snapshot_of` accepts."""
    if not isinstance(data, Mapping) or len(data) != 2:
        got = f"{len(data)} times" if isinstance(data, Mapping) else type(data).__name__
        raise ArgumentError(f"snapshots must be a mapping of two times, {{t0: (x, u), t1: (x, u)}}, got {got}")
    times = {time_of(key, "snapshots"): value for key, value in data.items()}
    if len(times) != 2:
        raise ArgumentError("snapshots: the two times are equal; they must differ")
    first, second = (snapshot_of(times[t], problem, t, f"snapshots[{t:g}]", complete=False) for t in sorted(times))
    return first, second


def snapshots_in(
    observations: Sequence[Observations], problem: Problem, times: Sequence[float] | None = None
) -> dict[float, dict[str, np.ndarray]]:
    """Return what was measured at two times, as `snapshots_of` accepts it.

    Parameters
    ----------
    observations : of one experiment.
    problem : with the names of space and time.
    times : which of the data's; they need not be given where there are two.

    Raises
    ------
    ArgumentError : several experiments, other numbers of times, derivatives, or unknowns at different places.
    """
    if problem.time is None or len(problem.space) != 1:
        raise ArgumentError("two snapshots are of a problem with a time and one space coordinate")
    if len(observations) != 1:
        raise ArgumentError(f"a step joins two snapshots of one experiment, got {len(observations)} experiments")
    (data,) = observations
    for name in data.values:
        if name not in problem.unknowns:
            raise ArgumentError(f"{data.source}: a snapshot is of {', '.join(problem.unknowns)}, not of {name}")
    where = data.points[:, problem.domain.index(problem.time)]
    known = np.unique(where)
    if times is None:
        if len(known) != 2:
            raise ArgumentError(
                f"{data.source} has {len(known)} times; say which two of them a step joins (--times 0.1,0.9)"
            )
        times = [float(time) for time in known]
    if len(times) != 2:
        raise ArgumentError(f"a step joins two times, got {len(times)}")
    found: dict[float, dict[str, np.ndarray]] = {}
    for time in times:
        nearest = float(known[np.argmin(abs(known - time))])
        if abs(nearest - time) > 1e-9 * max(abs(time), float(np.ptp(known))):
            raise ArgumentError(
                f"{data.source} has nothing at {problem.time} = {time:.9g}; the nearest is {nearest:.9g}"
            )
        rows = where == nearest
        columns = {name: column[rows] for name, column in data.values.items() if np.isfinite(column[rows]).any()}
        if not all(np.isfinite(column).all() for column in columns.values()):
            raise ArgumentError(
                f"{data.source}: at {problem.time} = {nearest:.9g} some unknowns are missing at some places; a "
                "snapshot has each of its unknowns at all of its places"
            )
        found[nearest] = {problem.space[0]: data.points[rows, problem.domain.index(problem.space[0])], **columns}
    return found


def time_of(value: Any, what: str) -> float:
    """Return a finite time."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ArgumentError(f"{what}: a time must be a finite number, got {value!r}")
    return number


def noise_level(x: np.ndarray, values: np.ndarray) -> float:
    """Return the standard deviation of the noise, by how far samples [N] are from the line through their neighbours.

    The median is not led by the few places where a clean function bends sharply (T. Gasser, L. Sroka, C.
    Jennen-Steinmetz, doi:10.1093/biomet/73.3.625).
    """
    order = np.argsort(x, kind="stable")
    x, values = x[order], values[order]
    gap = x[2:] - x[:-2]
    inner = gap > 0
    left = np.divide(x[2:] - x[1:-1], gap, out=np.full_like(gap, 0.5), where=inner)
    difference = left * values[:-2] + (1 - left) * values[2:] - values[1:-1]
    return float(np.median(abs(difference) / np.sqrt(1 + left**2 + (1 - left) ** 2)) / 0.6745)


def initial_of(initial: Any, problem: Problem, start: float) -> Snapshot:
    """Return the initial state as a snapshot of all unknowns.

    Parameters
    ----------
    initial : what `snapshot_of` accepts; a Solution, which is evaluated at `start`; or a function of x (arrays) with an
        array for one unknown, and a tuple or a mapping for several.
    """
    (space,) = problem.space
    if isinstance(initial, (Mapping, tuple, list)):
        return snapshot_of(initial, problem, start, "initial", complete=True)
    low, high = problem.domain.interval(space)
    x = np.linspace(low, high, SAMPLES)
    if hasattr(initial, "evaluator"):
        points = np.empty((SAMPLES, 2))
        points[:, problem.domain.index(space)] = x
        points[:, 1 - problem.domain.index(space)] = start
        found = values_of(initial, problem, problem.unknowns, points)
        return Snapshot(start, x, dict(zip(problem.unknowns, found, strict=True)))
    if not isinstance(initial, Callable):
        raise ArgumentError(
            f"initial must be ({space}, {problem.unknowns[0]}) with arrays, a Solution or a function of {space}, "
            f"got {type(initial).__name__}"
        )
    values = initial(x)
    if isinstance(values, tuple):
        values = np.stack([np.asarray(value, dtype=np.float64) for value in values], 1)
    pair = {space: x, **values} if isinstance(values, Mapping) else (x, values)
    return snapshot_of(pair, problem, start, "initial", complete=True)


def declared_initial(problem: Problem) -> Snapshot:
    """Return samples of the initial conditions u = g(x), for those that no ansatz meets exactly.

    Raises
    ------
    ArgumentError : an unknown without such a condition.
    """
    assert problem.time is not None
    (space,) = problem.space
    start = problem.domain.interval(problem.time)[0]
    x = np.linspace(*problem.domain.interval(space), SAMPLES)
    points = np.empty((SAMPLES, 2))
    points[:, problem.domain.index(space)] = x
    points[:, problem.domain.index(problem.time)] = start
    values: dict[str, np.ndarray] = {}
    for condition in problem.conditions:
        solved = condition.solved(problem.vocabulary) if condition.kind == "initial" else None
        if solved is not None and not any(solved[0].orders):
            found = values_at(problem, [problem.substituted(solved[1])], points)[0]
            values[solved[0].unknown] = np.broadcast_to(np.asarray(found, dtype=np.float64), x.shape)
    missing = [name for name in problem.unknowns if name not in values]
    if missing:
        raise ArgumentError(
            f"initial: the problem declares no initial state of {', '.join(missing)} at {problem.time} = {start:g}; "
            f"give initial=({space}, {missing[0]})"
        )
    return Snapshot(start, x, values)


def sampled_state(problem: Problem, snapshot: Snapshot, order: int) -> SampledState:
    """Return splines through a snapshot that keep what the sides prescribe at its time.

    Parameters
    ----------
    problem : with conditions at the sides.
    order : of the derivatives in space that are wanted.
    """
    assert problem.time is not None
    (space,) = problem.space
    axis = problem.domain.index(space)
    low, high = problem.domain.interval(space)
    splines = {}
    for name, values in snapshot.values.items():
        exact = []
        for condition in problem.conditions:
            solved = condition.solved(problem.vocabulary)
            if solved is None or solved[0].unknown != name or any(solved[0].orders) or space not in condition.place:
                continue
            point = np.empty((1, 2))
            point[0, axis], point[0, 1 - axis] = condition.place[space], snapshot.time
            (found,) = values_at(problem, [problem.substituted(solved[1])], point)
            exact.append((condition.place[space], float(np.asarray(found).reshape(-1)[0])))
        period = (low, high - low) if space in problem.periodic else None
        splines[name] = fitted_spline(snapshot.x, values, order, exact, period)
    return SampledState(splines, axis)
