r"""A family of problems: one network over a range of viscosities against a classical solution for each of them.

    python -m benchmarks.families [--quick] [--budget SECONDS] [--coordinate nu|log] [--values K] [--json FILE]

Burgers' equation for all nu in [0.003, 0.1] is one problem with nu as a coordinate, u(x, t, nu), or with s = log(nu):

.. math:: u_t + u u_x = \nu u_{xx}, \quad u(x, 0, \nu) = -\sin(\pi x), \quad u(\pm1, t, \nu) = 0 .

The network solves it once. For each nu two others solve it at the least cost at which they are as accurate as the
network is there (errors are relative L2 errors at the same 4,096 points, against the formula of Cole and Hopf):
`classical.solve`, which finds its resolution and estimates its error, at the cheapest tolerance of a ladder; and a few
lines of NumPy for this one equation (`benchmarks.pseudospectral`), told the cheapest resolution of a ladder. With T the
training time, e the network's evaluation at these points, and c that of a solution and its evaluation there, n problems
cost T + n e or n c, so that the network pays off from

.. math:: n = T / (c - e)

problems on, and never where c <= e. All use one thread, at values of nu log-spaced over the range, ends included.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import sciml
from benchmarks import pseudospectral
from benchmarks.measurement import machine, matrix_rate, points_of
from sciml import Problem, Solution, classical, pinn
from sciml.errors import ScimlError
from sciml.grids import values_of

__all__ = ["Family", "break_even", "family", "main"]

Record = dict[str, Any]
LOWEST, HIGHEST = 0.003, 0.1
LADDER = tuple(10.0 ** (-k / 2) for k in range(2, 21))
SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
STEPS = (0.25, 0.5, 1.0)
# Classical runs are this short; the fastest of several counts, as the first pays for imports and caches.
RUNS = 3


def family(coordinate: str = "nu") -> Problem:
    """Return Burgers' equation over the range, with the viscosity or its logarithm as the last coordinate."""
    if coordinate == "nu":
        name, factor, interval = "nu", "nu", (LOWEST, HIGHEST)
    else:
        name, factor, interval = "s", "exp(s)", (math.log(LOWEST), math.log(HIGHEST))
    return Problem(
        f"u_t + u*u_x = {factor}*u_xx",
        [f"u(x, 0, {name}) = -sin(pi*x)", f"u(-1, t, {name}) = 0", f"u(1, t, {name}) = 0"],
        {"x": (-1, 1), "t": (0, 1), name: interval},
        unknowns=["u"],
        name="burgers_family",
    )


class Family:
    """The members at which both are judged: their problems, exact values at the same points, and the network's points.

    Parameters
    ----------
    count : members, log-spaced over the range.
    coordinate : of the network's problem, "nu" or "log".
    """

    def __init__(self, count: int, coordinate: str) -> None:
        ends = math.log(LOWEST), math.log(HIGHEST)
        self.viscosities = [float(nu) for nu in np.exp(np.linspace(*ends, count)).clip(LOWEST, HIGHEST)]
        self.problems = [sciml.load("burgers", nu=nu) for nu in self.viscosities]
        self.points = points_of(self.problems[0])
        self.exact = [values_of(p, p, p.unknowns, self.points)[0] for p in self.problems]
        lower, upper = family(coordinate).domain.interval(family(coordinate).coordinates[-1])
        last = [min(max(nu if coordinate == "nu" else math.log(nu), lower), upper) for nu in self.viscosities]
        self.inputs = [np.column_stack([self.points, np.full(len(self.points), value)]) for value in last]

    def error(self, member: int, values: np.ndarray) -> float:
        """Return the relative L2 error of a member's values [N]; infinite where some are missing."""
        if not np.isfinite(values).all():
            return math.inf
        exact = self.exact[member]
        return float(np.linalg.norm(values - exact) / np.linalg.norm(exact))


def break_even(training: float, evaluation: float, classical_seconds: float) -> float:
    """Return the number of problems from which on the network has cost less, T / (c - e); infinite where c <= e."""
    gain = classical_seconds - evaluation
    return training / gain if gain > 0 else math.inf


def trained(members: Family, coordinate: str, settings: Mapping[str, Any]) -> Record:
    """Train once with these keywords of `pinn.solve`.

    Returns seconds, errors and evaluation times by member, and the errors on the way.
    """
    trace: list[tuple[float, float, float]] = []

    def report(state: Mapping[str, Any]) -> None:
        errors = [members.error(k, state["values"](points)[:, 0]) for k, points in enumerate(members.inputs)]
        if all(map(math.isfinite, errors)):
            trace.append((round(state["seconds"], 2), statistics.median(errors), max(errors)))

    solution = pinn.solve(
        family(coordinate),
        optimizer="levenberg-marquardt",
        **settings,
        progress=report,
    )
    errors, seconds = [], []
    for k, points in enumerate(members.inputs):
        taken, values = evaluated(solution, points)
        errors.append(members.error(k, values))
        seconds.append(taken)
    return {
        "seconds": solution.wall_time,
        "errors": errors,
        "evaluation_seconds": seconds,
        "trace": trace,
        "estimate": solution.estimate,
        "status": solution.status.value,
        "method": solution.method,
    }


def evaluated(solution: Solution, points: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the shortest seconds of an evaluation of u at points, and the values [N]."""
    best, values = math.inf, np.empty(0)
    for _ in range(RUNS):
        start = time.perf_counter()
        values = solution.evaluate(["u"], points)[0]
        best = min(best, time.perf_counter() - start)
    return best, values


def resolved(members: Family, member: int, target: float) -> Record:
    """Return the cheapest solution of a member by `classical.solve` that is as accurate as the target."""
    problem = members.problems[member]
    cheapest: Record = {"seconds": math.inf, "error": None, "rtol": None, "method": "none was as accurate"}
    for rtol in LADDER:
        best, error, method = math.inf, math.inf, ""
        for _ in range(RUNS):
            start = time.perf_counter()
            try:
                solution = classical.solve(problem, rtol=rtol)
            except ScimlError as failure:
                method = str(failure)
                break
            values = solution.evaluate(["u"], members.points)[0]
            best = min(best, time.perf_counter() - start)
            error, method = members.error(member, values), solution.method
            if error > target:
                break
        if error <= target and best < cheapest["seconds"]:
            cheapest = {"seconds": best, "error": error, "rtol": rtol, "method": method}
        if error <= 0.01 * target:
            break  # lower tolerances only cost more
    return cheapest


def written(members: Family, member: int, target: float) -> Record:
    """Return the cheapest solution of a member by NumPy that is as accurate as the target, evaluation included."""
    nu = members.viscosities[member]
    cheapest: Record = {"seconds": math.inf, "error": None, "size": None, "steps": None}
    larger = 0
    for size in SIZES:
        for steps in (round(factor * size) for factor in STEPS):
            best, error = math.inf, math.inf
            for _ in range(RUNS):
                start = time.perf_counter()
                with np.errstate(over="ignore", invalid="ignore"):  # too long a step is unstable, and not accurate
                    values = pseudospectral.solve(nu, size, steps).evaluate(members.points)
                best = min(best, time.perf_counter() - start)
                error = members.error(member, values)
                if not error <= target:
                    break
            if error <= target and best < cheapest["seconds"]:
                cheapest = {"seconds": best, "error": error, "size": size, "steps": steps}
        larger += cheapest["error"] is not None
        if larger == 2:
            break  # larger ones only cost more
    return cheapest


def measured(values: int, coordinate: str, settings: Mapping[str, Any]) -> Record:
    """Train the network, solve each member classically to its error, and compare."""
    members = Family(values, coordinate)
    ours = trained(members, coordinate, settings)
    rows = []
    for k, nu in enumerate(members.viscosities):
        error, evaluation = ours["errors"][k], ours["evaluation_seconds"][k]
        theirs, numpy = resolved(members, k, error), written(members, k, error)
        rows.append(
            {
                "nu": nu,
                "error": error,
                "evaluation_seconds": evaluation,
                "classical_seconds": theirs["seconds"],
                "classical_error": theirs["error"],
                "rtol": theirs["rtol"],
                "classical_method": theirs["method"],
                "break_even": break_even(ours["seconds"], evaluation, theirs["seconds"]),
                **{f"numpy_{name}": value for name, value in numpy.items()},
                "numpy_break_even": break_even(ours["seconds"], evaluation, numpy["seconds"]),
            }
        )
    mean = {
        name: statistics.fmean(row[f"{name}_seconds"] for row in rows) for name in ("evaluation", "classical", "numpy")
    }
    return {
        "coordinate": coordinate,
        **settings,
        "training_seconds": ours["seconds"],
        "worst_error": max(ours["errors"]),
        "rows": rows,
        "break_even": break_even(ours["seconds"], mean["evaluation"], mean["classical"]),
        "numpy_break_even": break_even(ours["seconds"], mean["evaluation"], mean["numpy"]),
        **{name: ours[name] for name in ("trace", "estimate", "status", "method")},
    }


def show(found: Record) -> None:
    """Print the table."""
    print(f"{found['method']}: trained for {found['training_seconds']:.1f} s, {found['status']}")
    print(
        f"{'nu':>8}{'error':>10}{'evaluated':>12}{'classical':>12}{'its error':>11}{'pays off after':>19}"
        f"{'NumPy':>12}{'its error':>11}{'pays off after':>19}"
    )
    for row in found["rows"]:
        line = f"{row['nu']:8.4f}{row['error']:10.1e}{1e3 * row['evaluation_seconds']:9.1f} ms"
        for name, pays in (("classical", "break_even"), ("numpy", "numpy_break_even")):
            error = "-" if row[f"{name}_error"] is None else f"{row[f'{name}_error']:.1e}"
            line += f"{1e3 * row[f'{name}_seconds']:9.1f} ms{error:>11}{_count(row[pays]):>19}"
        print(line)
    print(
        f"over the range the network (worst error {found['worst_error']:.1e}) pays off after "
        f"{_count(found['break_even'])} by classical.solve; by NumPy: {_count(found['numpy_break_even'])}"
    )


def _count(number: float) -> str:
    return "never" if math.isinf(number) else f"{math.ceil(number):,} solutions"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.families", description=(__doc__ or "").split("\n")[0].strip()
    )
    parser.add_argument("--quick", action="store_true", help="three values of nu, 40 s of training")
    parser.add_argument("--budget", type=float, help="seconds of training (900; --quick: 40)")
    parser.add_argument("--tol", type=float, default=1e-4, help="estimated error at which training stops (1e-4)")
    parser.add_argument("--values", type=int, help="values of nu to judge at (7; --quick: 3)")
    parser.add_argument("--coordinate", choices=("nu", "log"), default="log", help="nu or its logarithm (log)")
    parser.add_argument("--network", help="WIDTHxDEPTH; else the choice is pinn's")
    parser.add_argument("--seed", type=int, default=0, help="of the network and its points (0)")
    parser.add_argument("--threads", type=int, default=1, help="of both (1)")
    parser.add_argument("--device", default="cpu", help="of the network: cpu, cuda (cpu)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(argv)
    budget = given.budget if given.budget is not None else 40.0 if given.quick else 900.0
    values = given.values if given.values is not None else 3 if given.quick else 7
    if not budget > 0 or not given.tol > 0 or values < 2 or given.threads < 1 or given.seed < 0:
        parser.error("--budget, --tol and --threads must be positive, --values at least 2, --seed not negative")
    names = ("tol", "network", "seed", "device")
    settings = {"budget": budget, **{name: getattr(given, name) for name in names}}
    load = os.getloadavg()[0]
    torch.set_num_threads(given.threads)
    with threadpool_limits(given.threads, user_api="blas"):
        found = measured(values, given.coordinate, settings)
    show(found)
    if given.json is not None:
        about = {"threads": given.threads, "load": round(load, 2), "rate": round(matrix_rate(), 1)}
        given.json.parent.mkdir(parents=True, exist_ok=True)
        # JSON has no infinity: "never" is null.
        text = json.dumps(_finite({**found, **about, "machine": machine()}), indent=1, allow_nan=False)
        given.json.write_text(text + "\n")
    return 0


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    sys.exit(main())
