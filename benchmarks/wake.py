r"""The wake of a circular cylinder at Re 100: computed here, then its equations identified from scattered velocities.

    python -m benchmarks.wake [--noise 0.01] [--budget SECONDS] [--seed N] [--points 5000] [--unknowns velocity] ...

The flow (`benchmarks.cylinder`) sheds vortices from a coarse start, is refined twice, and is recorded over more than
three periods in runs/benchmarks/wake.npz, which a second command uses again. The record is judged by its Strouhal
number and mean drag and by the residual of the momentum equations from differences of the written numbers alone.
Half a time unit after a change of the last stage's resolution velocities differ by at most 3e-5 (130 modes), 1.5e-6
(half the step) and 6e-6 (220 and 250 radial points).

From `points` places and times, at random among those of the record, with velocities but no pressure (as in M. Raissi,
P. Perdikaris, G. E. Karniadakis, doi:10.1016/j.jcp.2018.10.045, section 4.1.1) follow lambda1 and lambda2 in

.. math:: u_t + \lambda_1 (u u_x + v u_y) = -p_x + \lambda_2 \nabla^2 u, \qquad
    v_t + \lambda_1 (u v_x + v v_y) = -p_y + \lambda_2 \nabla^2 v, \qquad u_x + v_y = 0

(1 and 0.01 are right), and the pressure up to a function of time, which no equation contains. Nothing else is known,
or, with `--periodic`, that the flow has a period, whose length is read off the same velocities. The unknowns of the
problem are a stream function, u = psi_y and v = -psi_x, and the pressure, or, for comparison, velocities and pressure.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from benchmarks.cylinder import CylinderFlow, Resolution
from benchmarks.lines import append_line
from sciml import Problem, Solution

__all__ = [
    "RECORD",
    "Sample",
    "main",
    "momentum_residual",
    "pressure_error",
    "record",
    "sample",
    "shedding",
    "shedding_period",
    "wake_problem",
]

Real = NDArray[np.float64]

RECORD = Path("runs") / "benchmarks" / "wake.npz"
VISCOSITY = 0.01
# Stages of the flow: resolution and the time until which it is used.
STAGES = (
    (Resolution(96, 32, 0.01), 80.0),
    (Resolution(160, 72, 0.005), 98.0),
    (Resolution(200, 110, 0.005), 104.0),
)
DURATION, INTERVAL, FORCES = 20.0, 0.1, 0.05
# Relative errors that are required of l1 and l2: clean and with 1 % noise.
REQUIRED, NOISY = {"l1": 1e-3, "l2": 1e-2}, {"l1": 2e-3, "l2": 2e-2}
BUDGET, NETWORK = 600.0, "20x4 sin"
X, Y = np.linspace(1, 8, 71), np.linspace(-2, 2, 41)


def record(
    path: Path = RECORD,
    stages: Sequence[tuple[Resolution, float]] = STAGES,
    duration: float = DURATION,
    x: Real = X,
    y: Real = Y,
    quiet: bool = False,
) -> dict[str, Any]:
    """Return the wake at x, y and times 0 to `duration`, from the file or computed and written there.

    "u", "v", "p" have the shape [x, y, t]; "drag" and "lift" [times of forces] are coefficients, "forces_t" their
    times; "seconds" is what the computation took.
    """
    if path.exists():
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    begun = time.perf_counter()
    flow = CylinderFlow(stages[0][0], VISCOSITY)
    flow.disturb(2.0, 1.0, 0.6, 0.5)
    for number, (resolution, until) in enumerate(stages):
        if number:
            flow = flow.refined(resolution)
        flow.advance(round((until - flow.time) / resolution.step))
        if not quiet:
            print(f"t = {flow.time:5.1f}  {resolution}  {time.perf_counter() - begun:.0f} s", flush=True)
    step = flow.resolution.step
    points = [axis.ravel() for axis in np.meshgrid(x, y, indexing="ij")]
    fields, forces = [], []
    count, every, often = round(duration / step), round(INTERVAL / step), round(FORCES / step)
    for number in range(count + 1):
        if number:
            flow.advance()
        if number % often == 0:
            forces.append((number * step, *flow.forces()))
        if number % every == 0:
            fields.append([*flow.velocity_at(*points), *flow.sampled([flow.pressure()], *points)])
            if not quiet and len(fields) % 50 == 1:
                print(f"t = {flow.time:5.1f}  {len(fields)} snapshots  {time.perf_counter() - begun:.0f} s", flush=True)
    u, v, p = (np.stack([one[k] for one in fields], -1).reshape(len(x), len(y), -1) for k in range(3))
    forces_t, drag, lift = np.array(forces).T
    found = {
        "x": x, "y": y, "t": INTERVAL * np.arange(len(fields)), "u": u, "v": v, "p": p,
        "viscosity": np.array(VISCOSITY),
        "forces_t": forces_t, "drag": drag, "lift": lift, "seconds": np.array(time.perf_counter() - begun),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **found)
    partial.replace(path)
    return found


def shedding(t: Real, lift: Real, drag: Real) -> tuple[float, float]:
    """Return the Strouhal number and the mean drag over whole periods, by the upward zeros of the lift."""
    spline = CubicSpline(t, lift - lift.mean())
    zeros = spline.roots(extrapolate=False)
    upward = zeros[spline(zeros, 1) > 0]
    if len(upward) < 2:
        raise ValueError(f"the lift passes its mean upwards {len(upward)} times in {t[-1] - t[0]:g}; two are needed")
    first, last = upward[0], upward[-1]
    return float((len(upward) - 1) / (last - first)), float(
        CubicSpline(t, drag).integrate(first, last) / (last - first)
    )


# Central differences of order 8.
FIRST = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
SECOND = np.array([-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560])


def momentum_residual(data: dict[str, Any]) -> float:
    """Return the RMS of the residual of both momentum equations in units of that of the acceleration (u_t, v_t).

    By central differences of order 8 of the record, without its four outermost points.
    """
    steps = [float(data[axis][1] - data[axis][0]) for axis in "xyt"]
    inner = (slice(4, -4),) * 3

    def difference(values: Real, axis: int, stencil: Real, order: int) -> Real:
        count = values.shape[axis]
        parts = [np.take(values, range(k, count - 8 + k), axis) * c for k, c in enumerate(stencil)]
        cut = tuple(slice(None) if k == axis else slice(4, -4) for k in range(3))
        return np.sum(parts, 0)[cut] / steps[axis] ** order

    u, v, p = data["u"], data["v"], data["p"]
    total, size = 0.0, 0.0
    for axis, w in enumerate((u, v)):
        rate = difference(w, 2, FIRST, 1)
        carried = u[inner] * difference(w, 0, FIRST, 1) + v[inner] * difference(w, 1, FIRST, 1)
        spread = difference(w, 0, SECOND, 2) + difference(w, 1, SECOND, 2)
        residual = rate + carried + difference(p, axis, FIRST, 1) - float(data["viscosity"]) * spread
        total, size = total + float(np.mean(residual**2)), size + float(np.mean(rate**2))
    return (total / size) ** 0.5


@final
@dataclass(frozen=True)
class Sample:
    """Velocities u and v [N] with noise at x, y, t [N]."""

    x: Real
    y: Real
    t: Real
    u: Real
    v: Real

    def columns(self, unknowns: str) -> dict[str, Real]:
        """Return the columns by the names of a problem with these unknowns."""
        places = {"x": self.x, "y": self.y, "t": self.t}
        return places | ({"psi_y": self.u, "psi_x": -self.v} if unknowns == "stream" else {"u": self.u, "v": self.v})


def sample(data: dict[str, Any], points: int, noise: float, seed: int) -> Sample:
    """Return velocities at random places and times of a record; noise relative to each one's standard deviation."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(data["u"].size, points, replace=False)
    i, j, k = np.unravel_index(chosen, data["u"].shape)
    u, v = (data[n][i, j, k] + noise * data[n].std() * rng.standard_normal(points) for n in ("u", "v"))
    return Sample(data["x"][i], data["y"][j], data["t"][k], u, v)


def shedding_period(velocities: Sample, guess: float = 6.0) -> float:
    """Return the period of scattered velocities: that of three harmonics whose amplitudes are polynomials of x and y.

    Parameters
    ----------
    guess : of the period, right within a few per cent.
    """
    places = [2 * (z - z.min()) / np.ptp(z) - 1 for z in (velocities.x, velocities.y)]
    along, across = (np.polynomial.chebyshev.chebvander(z, degree) for z, degree in zip(places, (15, 9), strict=True))
    shapes = np.stack([along[:, i] * across[:, j] for i in range(16) for j in range(10) if i / 16 + j / 10 < 1], 1)

    def misfit(period: float) -> float:
        angle = 2 * np.pi / period * velocities.t
        waves = [f(k * angle)[:, None] for k in (1, 2, 3) for f in (np.cos, np.sin)]
        matrix = np.concatenate([shapes, *(shapes * wave for wave in waves)], 1)
        basis = np.linalg.qr(matrix)[0]
        return float(((target - basis @ (basis.T @ target)) ** 2).sum())

    target = np.stack([velocities.u, velocities.v], 1)
    target /= target.std(0)
    found: Any = minimize_scalar(misfit, bounds=(0.96 * guess, 1.04 * guess), method="bounded", options={"xatol": 1e-5})
    return float(found.x)


def wake_problem(
    data: dict[str, Any],
    unknowns: str = "stream",
    period: float | None = None,
    start: tuple[float, float] = (0.5, 0.03),
) -> Problem:
    """Return the equations in the record's box, with starting values of l1 and l2.

    There is no condition, or that of a period; times are then wrapped into the first one.
    """
    equations = {
        "stream": [
            "psi_yt + l1*(psi_y*psi_xy - psi_x*psi_yy) = -p_x + l2*(psi_xxy + psi_yyy)",
            "-psi_xt + l1*(psi_x*psi_xy - psi_y*psi_xx) = -p_y - l2*(psi_xxx + psi_xyy)",
        ],
        "velocity": [
            "u_t + l1*(u*u_x + v*u_y) = -p_x + l2*(u_xx + u_yy)",
            "v_t + l1*(u*v_x + v*v_y) = -p_y + l2*(v_xx + v_yy)",
            "u_x + v_y = 0",
        ],
    }[unknowns]
    box = {name: (float(data[name][0]), float(data[name][-1])) for name in "xyt"}
    conditions: list[str] = []
    if period is not None:
        box["t"] = (box["t"][0], box["t"][0] + period)
        names = ("psi", "p") if unknowns == "stream" else ("u", "v", "p")
        first, last = box["t"]
        conditions = [f"{name}(x, y, {first!r}) = {name}(x, y, {last!r})" for name in names]
    return Problem(equations, conditions, box, dict(zip(("l1", "l2"), start, strict=True)))


def pressure_error(data: dict[str, Any], state: Solution) -> float:
    """Return the relative L2 error of the pressure, both without their means over the places at each time."""
    x, y, t = data["x"][::2], data["y"][::2], data["t"][::10]
    found = state("p", x[:, None, None], y[:, None], t)
    right = data["p"][::2, ::2, ::10]
    found, right = (p - p.mean((0, 1)) for p in (found, right))
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from sciml import pinn

    parser = argparse.ArgumentParser(prog="python -m benchmarks.wake", description=str(__doc__).splitlines()[0])
    parser.add_argument("--noise", type=float, default=0.0, help="of each velocity's standard deviation")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for the identification")
    parser.add_argument("--seed", type=int, default=0, help="of the places, the noise and the network")
    parser.add_argument("--points", type=int, default=5000, help="places and times with velocities")
    parser.add_argument("--unknowns", choices=("stream", "velocity"), default="stream", help="of the problem")
    parser.add_argument("--periodic", action="store_true", help="declare the period that the velocities have")
    parser.add_argument("--network", default=NETWORK, help="of the state, WIDTHxDEPTH and activation")
    parser.add_argument("--record-only", action="store_true", help="compute and judge the flow, identify nothing")
    parser.add_argument("--verbose", action="store_true", help="print the progress of the identification")
    parser.add_argument("--json", type=Path, default=Path("runs") / "wake.jsonl", help="a line is appended to it")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = record()
    strouhal, drag = shedding(data["forces_t"], data["lift"], data["drag"])
    print(f"Strouhal number    {strouhal:.4f}    (0.160 to 0.170)")
    print(f"mean drag          {drag:.3f}     (1.25 to 1.45)")
    print(f"momentum residual  {momentum_residual(data):.1e}   of the acceleration, by differences of the record")
    print(f"computed in        {float(data['seconds']):.0f} s")
    if given.record_only:
        return 0
    velocities = sample(data, given.points, given.noise, given.seed)
    period = shedding_period(velocities) if given.periodic else None
    if period is not None:
        print(f"period             {period:.4f}    of the velocities; that of the lift is {1 / strouhal:.4f}")
    begun = time.process_time()
    fit = pinn.identify(
        wake_problem(data, given.unknowns, period), velocities.columns(given.unknowns), ["l1", "l2"],
        budget=given.budget, seed=given.seed, network=given.network, progress=_progress if given.verbose else None,
    )  # fmt: skip
    processor = time.process_time() - begun
    right = {"l1": 1.0, "l2": float(data["viscosity"])}
    bars = REQUIRED if given.noise == 0 else NOISY
    result: dict[str, Any] = {
        "strouhal": strouhal, "drag": drag, "noise": given.noise, "seed": given.seed, "points": given.points,
        "unknowns": given.unknowns, "period": period,
        "network": str(fit.details["network"]), "status": fit.status.value,
        "seconds": fit.wall_time, "processor": processor,
        "pressure": pressure_error(data, fit.solutions[0]), "noise_found": dict(fit.noise),
        "load": os.getloadavg()[0],
    }  # fmt: skip
    print(f"\n{given.points} velocities, noise {given.noise:.1%}, seed {given.seed}, {fit.method}")
    print(f"{'':10}{'value':>10}{'error':>10}  {'95 % interval':24}{'required':>9}")
    for name, value in right.items():
        found = fit.parameters[name]
        error = abs(found.value / value - 1)
        low, high = found.interval
        result[name] = {"value": found.value, "error": error, "interval": [low, high]}
        print(f"{name:10}{found.value:10.6f}{error:10.3%}  {f'{low:.6f} to {high:.6f}':24}{bars[name]:9.1%}")
    print(f"{'pressure':20}{result['pressure']:10.3%}")
    print(f"{fit.wall_time:.0f} s ({processor:.0f} s of the processor), {fit.status.value}: {fit.message}")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    append_line(given.json, result)
    return 0


def _progress(state: Mapping[str, Any]) -> None:
    numbers = "  ".join(f"{name} {value:.6f}" for name, value in state["parameters"].items())
    print(
        f"{state['iteration']:5.0f}{state['seconds']:8.1f} s  {state['stage']:10} {state['loss']:.2e}  {numbers}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
