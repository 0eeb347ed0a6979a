"""Solving a discovered law: many initial states at once, never fewer rows than asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.errors import ArgumentError
from sciml.sindy.evaluation import solve_one, stiff_rest
from sciml.sindy.exports import compiled, polynomial, rates
from sciml.status import Status

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery

__all__ = ["Simulation", "score_of", "simulate", "single_slope"]

# Steps of the explicit method before a stiff one takes over.
MOST_STEPS = 20_000
# Up to so many initial states are solved one after the other, which is faster and of higher order.
FEW = 16


@final
@dataclass(frozen=True, eq=False)
class Simulation:
    """States of a law over time; `np.asarray(simulation)` gives them, and it is indexed like them.

    Attributes
    ----------
    times : [T]
    states : [T, d] or [B, T, d]; NaN after a blow-up.
    statuses : one for each initial state: CONVERGED, or DIVERGED where the solution blew up.
    message : one sentence.
    """

    times: np.ndarray
    states: np.ndarray
    statuses: tuple[Status, ...]
    message: str

    @property
    def status(self) -> Status:
        """The worst of the statuses."""
        return next((status for status in self.statuses if not status.success), Status.CONVERGED)

    @property
    def success(self) -> bool:
        """Whether every solution reached the last time."""
        return self.status.success

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.states, dtype=dtype) if copy else np.asarray(self.states, dtype=dtype)

    def __len__(self) -> int:
        return len(self.states)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.states[index]


def simulate(
    law: Discovery,
    initial: Any,
    t: Any,
    *,
    control: Callable[[float], Any] | np.ndarray | None = None,
    rtol: float = 1e-8,
    atol: float | None = None,
) -> Simulation:
    """Solve the law; see `Discovery.simulate`."""
    start = np.asarray(initial, dtype=np.float64)
    d = len(law.names)
    if start.ndim not in (1, 2) or start.shape[-1] != d or not np.isfinite(start).all():
        raise ArgumentError(f"initial must be finite and have the shape [{d}] or [B, {d}], got {list(start.shape)}")
    times = _times(law, t)
    inputs = _inputs(law, control, times)
    rows = np.atleast_2d(start)
    if law.kind == "map":
        states = _iterate(law, rows, times, inputs)
    else:
        size = np.maximum(np.abs(rows).max(axis=0, initial=0.0), _size(law))
        absolute = np.full(d, atol) if atol is not None else 1e-3 * rtol * np.maximum(size, 1e-300)
        states = _integrate(law, rows, times, inputs, rtol, absolute)
    complete = np.asarray(np.isfinite(states).all(axis=(1, 2)))
    statuses = tuple(Status.CONVERGED if ok else Status.DIVERGED for ok in complete)
    message = "Every solution reached the last time."
    if not complete.all():
        row = int(np.argmin(complete))
        last = int(np.isfinite(states[row]).all(axis=1).sum())
        message = (
            f"{int((~complete).sum())} of {len(rows)} solutions stopped being finite, the first after "
            f"t = {times[max(last - 1, 0)]:.6g}; the rows after it are NaN."
        )
    return Simulation(times, states[0] if start.ndim == 1 else states, statuses, message)


def _times(law: Discovery, t: Any) -> np.ndarray:
    if law.kind == "map" and np.ndim(t) == 0:
        return np.arange(int(t), dtype=np.float64)
    times = np.asarray(t, dtype=np.float64)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ArgumentError("t must be a one-dimensional array of finite, increasing times")
    return times


def _size(law: Discovery) -> np.ndarray:
    if not law.states:
        return np.full(len(law.names), 1e-12)
    return np.sqrt(np.mean(np.concatenate([np.asarray(s) ** 2 for s in law.states]), axis=0))


def _inputs(law: Discovery, control: Any, times: np.ndarray) -> Callable[[float], np.ndarray] | None:
    if not law.control:
        return None
    if control is None:
        raise ArgumentError(f"the law has control inputs ({', '.join(law.control)}): give control=")
    count = len(law.control)
    if callable(control):
        return lambda time: np.asarray(control(time), dtype=np.float64).reshape(count)
    table = np.asarray(control, dtype=np.float64).reshape(len(times), -1)
    if table.shape[1] != count:
        raise ArgumentError(f"control must have the shape [{len(times)}, {count}], not {list(np.shape(control))}")
    return lambda time: np.array([np.interp(time, times, column) for column in table.T])


def _iterate(law: Discovery, rows: np.ndarray, times: np.ndarray, inputs: Any) -> np.ndarray:
    states = np.full((len(rows), len(times), len(law.names)), np.nan)
    states[:, 0] = rows
    with np.errstate(all="ignore"):
        for k in range(1, len(times)):
            u = None if inputs is None else np.repeat(inputs(times[k - 1])[None], len(rows), axis=0)
            states[:, k] = rates(law, states[:, k - 1], u)
            states[:, k][~np.isfinite(states[:, k]).all(axis=1)] = np.nan
    return states


# Dormand and Prince's pair of orders 5 and 4 (doi:10.1016/0771-050X(80)90013-3) with its interpolant of order 4.
_NODES = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1])
_STAGES = [
    np.array([1 / 5]),
    np.array([3 / 40, 9 / 40]),
    np.array([44 / 45, -56 / 15, 32 / 9]),
    np.array([19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729]),
    np.array([9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656]),
    np.array([35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]),
]
_ERROR = np.array([-71 / 57600, 0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40])
_DENSE = np.array(
    [
        [1, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432],
        [0, 0, 0, 0],
        [0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799],
        [0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072],
        [0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632],
        [0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844],
        [0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423],
    ]
)


def _integrate(
    law: Discovery, rows: np.ndarray, times: np.ndarray, inputs: Any, rtol: float, atol: np.ndarray
) -> np.ndarray:
    """Integrate all rows at once, each with its own step; what is stiff goes on by an implicit method."""
    if len(rows) <= FEW:
        single = _single(law, inputs)
        return np.stack([solve_one(single, row, times, rtol, atol) for row in rows])
    function = compiled(law)

    def slope(time: np.ndarray, y: np.ndarray) -> np.ndarray:
        columns = list(y.T)
        if inputs is not None:
            columns += list(np.array([inputs(moment) for moment in time]).T)
        return np.stack(function(*columns), axis=1)

    count, d = rows.shape
    states = np.full((count, len(times), d), np.nan)
    states[:, 0] = rows
    y, now = rows.copy(), np.full(count, times[0])
    filled = np.ones(count, dtype=int)
    span = times[-1] - times[0]
    with np.errstate(all="ignore"):
        first = slope(now, y)
        size = np.sqrt(np.mean((y / (atol + rtol * np.abs(y))) ** 2, axis=1))
        speed = np.sqrt(np.mean((first / (atol + rtol * np.abs(y))) ** 2, axis=1))
        step = np.minimum(np.where(speed > 0, 0.01 * size / np.where(speed > 0, speed, 1), span), span) + 1e-12 * span
        alive = (filled < len(times)) & np.isfinite(first).all(axis=1)
        for _ in range(MOST_STEPS):
            index = np.flatnonzero(alive)
            if not len(index):
                break
            h = np.minimum(step[index], times[-1] - now[index])[:, None]
            base, stages = y[index], [first[index]]
            for weights, node in zip(_STAGES[:-1], _NODES[1:], strict=False):
                moved = base + h * sum(w * k for w, k in zip(weights, stages, strict=True))
                stages.append(slope(now[index] + node * h[:, 0], moved))
            new = base + h * sum(w * k for w, k in zip(_STAGES[-1], stages, strict=True))
            stages.append(slope(now[index] + h[:, 0], new))
            k = np.stack(stages)
            error = h * np.tensordot(_ERROR, k, axes=1)
            scale = atol + rtol * np.maximum(np.abs(base), np.abs(new))
            norm = np.sqrt(np.mean((error / scale) ** 2, axis=1))
            good = norm <= 1
            factor = np.where(np.isfinite(norm), 0.9 * np.maximum(norm, 1e-10) ** -0.2, 0.1)
            step[index] = h[:, 0] * np.clip(factor, 0.1, np.where(good, 5.0, 1.0))
            ends = now[index] + h[:, 0]
            ends = np.where(ends >= times[-1] - 1e-14 * span, times[-1], ends)
            for place in np.flatnonzero(good):
                row = index[place]
                upto = int(np.searchsorted(times, ends[place], side="right"))
                if upto > filled[row]:
                    theta = (times[filled[row] : upto] - now[row]) / h[place, 0]
                    powers = theta[:, None] ** np.arange(1, 5)
                    states[row, filled[row] : upto] = base[place] + h[place, 0] * (powers @ (_DENSE.T @ k[:, place]))
                    filled[row] = upto
            accepted = index[good]
            y[accepted], now[accepted], first[accepted] = new[good], ends[good], k[-1][good]
            tiny = step[index] <= 1e-14 * np.maximum(np.abs(now[index]), span)
            alive[index[tiny]] = False
            alive[accepted] &= filled[accepted] < len(times)
    for row in np.flatnonzero(alive):
        _stiff(slope, states[row], times, int(filled[row]), now[row], y[row], rtol, atol)
    return states


def single_slope(law: Discovery, control: Any, times: np.ndarray) -> Callable[[float, np.ndarray], Any]:
    """Return slope(t, y) of a flow for one state [d]; control as for `simulate`."""
    return _single(law, _inputs(law, control, times))


def _single(law: Discovery, inputs: Any) -> Callable[[float, np.ndarray], Any]:
    """Return the right-hand side for one state."""
    quick = polynomial(law)
    if quick is None:
        function = compiled(law)
        if inputs is None:
            return lambda time, y: np.array(function(*y))
        return lambda time, y: np.array(function(*y, *inputs(time)))
    if inputs is None:
        return lambda time, y: quick(y.tolist())
    return lambda time, y: quick([*y.tolist(), *inputs(time).tolist()])


def _stiff(
    slope: Any, states: np.ndarray, times: np.ndarray, filled: int, now: float, y: np.ndarray, rtol: float, atol: Any
) -> None:
    rest = stiff_rest(lambda t, x: slope(np.array([t]), x[None])[0], (now, times[-1]), y, times[filled:], rtol, atol)
    states[filled : filled + len(rest)] = rest


def score_of(law: Discovery, x: Any, t: Any, control: Any) -> float:
    """Return the R2 of increments x(k+1) - x(k) against the law's integrals over the sampling intervals."""
    several = isinstance(x, (list, tuple)) and len(x) and np.ndim(x[0]) == 2
    records = list(x) if several else [x]
    clocks = list(t) if several and np.ndim(t) and np.ndim(t[0]) else [t] * len(records)
    controls = [control] * len(records) if control is None or not several else list(control)
    observed, expected = [], []
    for record, clock, inputs in zip(records, clocks, controls, strict=True):
        states = np.asarray(record, dtype=np.float64)
        rate = rates(law, states, inputs)
        if law.kind == "map":
            observed.append(states[1:])
            expected.append(rate[:-1])
            continue
        times = np.arange(len(states)) * float(clock) if np.ndim(clock) == 0 else np.asarray(clock, dtype=np.float64)
        from sciml.sindy.defects import interval_weights

        start, weights = interval_weights(times, 6)
        observed.append(np.diff(states, axis=0))
        expected.append(np.einsum("ka,kad->kd", weights, rate[start[:, None] + np.arange(weights.shape[1])]))
    y, f = np.concatenate(observed), np.concatenate(expected)
    spread = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    return float(np.mean(1 - np.sum((y - f) ** 2, axis=0) / np.where(spread > 0, spread, 1.0)))
