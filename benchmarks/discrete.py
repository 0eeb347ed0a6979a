"""One Runge-Kutta step of hundreds of stages by a network: errors of the state, and unknown numbers from two snapshots.

    python -m benchmarks.discrete [--only NAME ...] [--draws N] [--budget S] [--threads N] [--fresh] [--table]

The problems are those of section 4 of M. Raissi et al. (doi:10.1016/j.jcp.2018.10.045). Forward, a step of 0.8 starts
from scattered values at t = 0.1, and its end is compared with the exact solution of Burgers' equation and with the
classical solver's of the Allen-Cahn equation. Inverse, the two snapshots are read from `../shared/data`; the numbers
start at 0 and three times the truth (Burgers), at half and twice the truth (Korteweg-de Vries) and, in the row "far",
at 0 and three times the truth. A seed is that of places, noise and network. Every run appends one JSON line to
runs/benchmarks/discrete.jsonl; what is there is not run again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

import sciml
from benchmarks.lines import append_line, read_lines
from sciml import Problem, classical, pinn

__all__ = ["ROWS", "Row", "main"]

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
OUT = Path("runs") / "benchmarks" / "discrete.jsonl"
START, STOP = 0.1, 0.9
SEEDS = 3
BUDGET = 300.0

State = Callable[[np.ndarray, float], np.ndarray]


@final
@dataclass(frozen=True)
class Row:
    """One line: what a seed runs, and what M. Raissi et al. report of it.

    Attributes
    ----------
    name : of the row.
    run : from a seed and seconds to errors by name, in per cent, and what else is known.
    published : their errors, in per cent.
    """

    name: str
    run: Callable[[int, float], dict[str, Any]]
    published: str


def allen_cahn() -> tuple[Problem, State, np.ndarray]:
    """Return the bundled problem, its classical solution at a time, and the places of the reference's grid."""
    problem = sciml.load("allen_cahn")
    reference = classical.solve(problem, rtol=1e-8)
    return (
        problem,
        lambda x, t: np.asarray(reference(x, np.full_like(x, t))),
        np.linspace(-1, 1, 512, endpoint=False),
    )


def burgers() -> tuple[Problem, State, np.ndarray]:
    """Return the bundled problem, its exact solution at a time, and the places of the paper's file."""
    problem = sciml.load("burgers")
    return (
        problem,
        lambda x, t: problem.evaluate_exact(np.stack([x, np.full_like(x, t)], 1))["u"].numpy(),
        np.linspace(-1, 1, 256),
    )


def forward(
    make: Callable[[], tuple[Problem, State, np.ndarray]], points: int, stages: int, tol: float
) -> Callable[[int, float], dict[str, Any]]:
    """Return a run of one step from scattered values."""

    def run(seed: int, budget: float) -> dict[str, Any]:
        problem, exact, grid = make()
        rng = np.random.default_rng(seed)
        x = np.sort(rng.choice(grid, points, replace=False))
        data = x, exact(x, START)
        before = time.perf_counter(), time.process_time()
        u = pinn.solve_step(
            problem, start=START, stop=STOP, initial=data, stages=stages, tol=tol, budget=budget, seed=seed
        )
        seconds, work = time.perf_counter() - before[0], time.process_time() - before[1]
        fine = np.linspace(-1, 1, 1001)
        errors: dict[str, float] = {}
        for what, times in (("end", [STOP]), ("all times", list(np.linspace(START, STOP, 17)))):
            truth = np.concatenate([exact(fine, t) for t in times])
            found = np.concatenate([np.asarray(u(fine, np.full_like(fine, t))) for t in times])
            errors[what] = 100 * float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
        estimate = None if u.estimate is None else 100 * u.estimate
        return _record(errors, seconds, work, u) | {"estimate": estimate}

    return run


BURGERS = "u_t + lambda1*u*u_x = nu*u_xx", [], {"lambda1": 1.0, "nu": 0.01 / np.pi}
KDV = "u_t + lambda1*u*u_x + lambda2*u_xxx = 0", ["u(-1, t) = u(1, t)"], {"lambda1": 1.0, "lambda2": 0.0025}


def inverse(
    equation: tuple[str, list[str], dict[str, float]],
    file: tuple[str, str, str, str],
    times: tuple[float, float],
    start: tuple[float, float],
    stages: int,
    noise: float,
) -> Callable[[int, float], dict[str, Any]]:
    """Return an identification from snapshots of 199 and 201 places."""

    def run(seed: int, budget: float) -> dict[str, Any]:
        from scipy.io import loadmat

        found = loadmat(DATA / file[0])
        x, t, u = (np.asarray(found[key]) for key in file[1:])
        x, t, u = x.ravel(), t.ravel(), np.real(u)
        text, sides, truth = equation
        rng = np.random.default_rng(seed)
        snapshots: dict[float, Any] = {}
        for moment, count in zip(times, (199, 201), strict=True):
            column = int(np.argmin(abs(t - moment)))
            chosen = np.sort(rng.choice(len(x), count, replace=False))
            values = u[chosen, column] + noise * u.std() * rng.standard_normal(count)
            snapshots[float(t[column])] = x[chosen], values
        problem = Problem(text, sides, {"x": (-1, 1), "t": (0, 1)}, dict(zip(truth, start, strict=True)))
        before = time.perf_counter(), time.process_time()
        fit = pinn.identify_step(problem, snapshots, list(truth), stages=stages, budget=budget, seed=seed)
        seconds, work = time.perf_counter() - before[0], time.process_time() - before[1]
        own = fit.parameters
        errors = {name: 100 * abs(own[name].value / value - 1) for name, value in truth.items()}
        more = {
            "covered": {name: own[name].contains(value) for name, value in truth.items()},
            "standard errors": {name: 100 * own[name].standard_error / value for name, value in truth.items()},
            "noise": dict(fit.noise),
            "starts": fit.details["starts"],
        }
        return _record(errors, seconds, work, fit) | more

    return run


def _record(errors: Mapping[str, float], seconds: float, work: float, answer: Any) -> dict[str, Any]:
    about = {key: answer.details[key] for key in ("iterations", "rounds", "modes", "functions", "equation residual")}
    return {
        "errors": dict(errors),
        "seconds": round(seconds, 2),
        "process seconds": round(work, 2),
        "status": answer.status.value,
        **about,
    }


BURGERS_FILE = "raissi_burgers.mat", "x", "t", "usol"
KDV_FILE = "raissi_kdv.mat", "x", "tt", "uu"

ROWS: tuple[Row, ...] = (
    Row("Allen-Cahn, q = 100", forward(allen_cahn, 200, 100, 1e-5), "0.7"),
    Row("Burgers, q = 500", forward(burgers, 250, 500, 1e-6), "0.08"),
    Row(
        "Burgers, two snapshots, clean",
        inverse(BURGERS, BURGERS_FILE, (0.1, 0.9), (0.0, 0.01), 500, 0.0),
        "0.05, 0.31",
    ),
    Row(
        "Burgers, two snapshots, 1 % noise",
        inverse(BURGERS, BURGERS_FILE, (0.1, 0.9), (0.0, 0.01), 500, 0.01),
        "",
    ),
    Row("KdV, two snapshots, clean", inverse(KDV, KDV_FILE, (0.2, 0.8), (0.5, 0.005), 50, 0.0), "0.05, 0.008"),
    Row("KdV, two snapshots, 1 % noise", inverse(KDV, KDV_FILE, (0.2, 0.8), (0.5, 0.005), 50, 0.01), ""),
    Row("KdV, two snapshots, clean, far", inverse(KDV, KDV_FILE, (0.2, 0.8), (0.0, 0.0075), 50, 0.0), ""),
)


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "| problem | error of | %, median (worst) | in 95 % intervals | published, % | process s, median | runs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in ROWS:
        own = [r for r in records if r["name"] == row.name]
        if not own:
            continue
        work = f"{statistics.median(r['process seconds'] for r in own):.0f}"
        for name in own[0]["errors"]:
            errors = [r["errors"][name] for r in own]
            shown = f"{statistics.median(errors):.1e} ({max(errors):.1e})"
            covered = f"{sum(r['covered'][name] for r in own)} of {len(own)}" if "covered" in own[0] else ""
            lines.append(f"| {row.name} | {name} | {shown} | {covered} | {row.published} | {work} | {len(own)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.discrete", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows by name or by its beginning")
    parser.add_argument("--draws", type=int, default=SEEDS, help=f"seeds of every row ({SEEDS})")
    parser.add_argument("--budget", type=float, default=BUDGET, help=f"seconds of each run ({BUDGET:g})")
    parser.add_argument("--threads", type=int, default=2, help="threads (2)")
    parser.add_argument("--fresh", action="store_true", help="forget former measurements of these rows")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the file of measurements ({OUT})")
    options = parser.parse_args(argv)
    for name in options.only or ():
        if not any(row.name.startswith(name) for row in ROWS):
            parser.error(f"there is no row {name!r}; known: {', '.join(row.name for row in ROWS)}")
    rows = [row for row in ROWS if options.only is None or any(row.name.startswith(name) for name in options.only)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not options.table:
        import torch

        torch.set_num_threads(options.threads)
        there = {(r["name"], r["seed"]) for r in read_lines(options.out)} if not options.fresh else set()
        for row in rows:
            if "snapshots" in row.name and not DATA.exists():
                print(f"{row.name:36} left out: there is no {DATA}", flush=True)
                continue
            for seed in range(options.draws):
                if (row.name, seed) in there:
                    continue
                record = {**row.run(seed, options.budget), "name": row.name, "seed": seed}
                append_line(options.out, record)
                shown = "  ".join(f"{n} {value:.1e} %" for n, value in record["errors"].items())
                print(f"{row.name:36} seed {seed}  {record['seconds']:6.1f} s  {record['status']}  {shown}", flush=True)
    latest = {(r["name"], r["seed"]): r for r in read_lines(options.out)}
    print()
    print(table(list(latest.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
