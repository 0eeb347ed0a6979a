"""What identification reaches: errors of unknown numbers and functions, intervals, seconds; the classical twin beside.

    python -m benchmarks.identification [--only NAME ...] [--draws N] [--threads N] [--fresh] [--table]

Data are those of M. Raissi et al. (doi:10.1016/j.jcp.2018.10.045) and of the Hudson Bay Company, read from
`../shared/data`, or computed by the classical solvers. No row gives conditions unless its name says so; unknown numbers
start far from their values. Every run appends one JSON line to runs/benchmarks/identification.jsonl; what is there is
not run again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from benchmarks.lines import append_line, read_lines
from sciml import Problem, classical
from sciml.fit import Fit

__all__ = ["ROWS", "Case", "Row", "main"]

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
OUT = Path("runs") / "benchmarks" / "identification.jsonl"
BURGERS_POINTS, HEAT_POINTS = 2000, 200


@final
@dataclass(frozen=True)
class Case:
    """One identification: problem, data, unknowns, the truth, and keywords of `identify`."""

    problem: Problem
    data: Any
    unknown: tuple[str, ...]
    truth: Mapping[str, float] = field(default_factory=dict[str, float])
    function: Callable[[np.ndarray], np.ndarray] | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])
    published: Mapping[str, float] = field(default_factory=dict[str, float])


@final
@dataclass(frozen=True)
class Row:
    """One line: how a case is made from a seed (of noise, points and network), how many seeds, which budget."""

    name: str
    make: Callable[[int], Case]
    seeds: int = 1
    budget: float = 40.0
    method: str = "pinn"


def _field(name: str, keys: tuple[str, str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    found = loadmat(DATA / name)
    x, t, u = (np.asarray(found[key]) for key in keys)
    return x.ravel(), t.ravel(), np.real(u)


def burgers(noise: float, conditions: bool = False, points: int = BURGERS_POINTS) -> Callable[[int], Case]:
    """Return the case of Burgers' equation from scattered points of the shared field."""

    def make(seed: int) -> Case:
        x, t, u = _field("raissi_burgers.mat", ("x", "t", "usol"))
        rng = np.random.default_rng(seed)
        chosen = rng.choice(u.size, points, replace=False)
        rows, columns = np.unravel_index(chosen, u.shape)
        values = u.ravel()[chosen] + noise * u.std() * rng.standard_normal(points)
        known = ["u(x, 0) = -sin(pi*x)", "u(-1, t) = 0", "u(1, t) = 0"] if conditions else []
        # The last time of the file is 0.99.
        box = {"x": (-1, 1), "t": (0, float(t.max()))}
        problem = Problem("u_t + lambda1*u*u_x = nu*u_xx", known, box, {"lambda1": 0.5, "nu": 0.01})
        data = {"x": x[rows], "t": t[columns], "u": values}
        return Case(problem, data, ("lambda1", "nu"), {"lambda1": 1.0, "nu": 0.01 / np.pi})

    return make


def kdv(snapshots: bool) -> Callable[[int], Case]:
    """Return the case of the Korteweg-de Vries equation, from 2,000 scattered points or from t = 0.2 and 0.8 alone."""

    def make(seed: int) -> Case:
        x, t, u = _field("raissi_kdv.mat", ("x", "tt", "uu"))
        rng = np.random.default_rng(seed)
        if snapshots:
            when = [int(np.argmin(abs(t - time))) for time in (0.2, 0.8)]
            where = [np.sort(rng.choice(len(x), count, replace=False)) for count in (199, 201)]
            rows = np.concatenate(where)
            columns = np.concatenate([np.full(len(w), k) for w, k in zip(where, when, strict=True)])
            box = {"x": (-1, 1), "t": (float(t[when[0]]), float(t[when[1]]))}
        else:
            rows, columns = np.unravel_index(rng.choice(u.size, 2000, replace=False), u.shape)
            box = {"x": (-1, 1), "t": (0, 1)}
        problem = Problem(
            "u_t + lambda1*u*u_x + lambda2*u_xxx = 0",
            ["u(-1, t) = u(1, t)"],
            box,
            {"lambda1": 0.5, "lambda2": 0.005},
        )
        data = {"x": x[rows], "t": t[columns], "u": u[rows, columns]}
        return Case(problem, data, ("lambda1", "lambda2"), {"lambda1": 1.0, "lambda2": 0.0025})

    return make


def conductivity(x: np.ndarray) -> np.ndarray:
    """The heat conductivity that is looked for."""
    return 0.1 * (1 + 0.5 * np.sin(2 * np.pi * x))


# The initial value and two of its derivatives vanish at the ends: with a conductivity that is not constant others make
# a singularity in the corners, which no smooth network follows.
HEAT = ["u(x, 0) = sin(pi*x)**3 + 0.5*sin(2*pi*x)**3", "u(0, t) = 0", "u(1, t) = 0"]
HEAT_BOX = {"x": (0, 1), "t": (0, 1)}


def heat_function(conditions: bool) -> Callable[[int], Case]:
    """Return the case of an unknown conductivity k(x) from 200 temperatures with 1 % noise."""

    def make(seed: int) -> Case:
        truth = classical.solve(Problem("u_t = d(0.1*(1 + 0.5*sin(2*pi*x))*u_x, x)", HEAT, HEAT_BOX))
        rng = np.random.default_rng(seed)
        points = rng.uniform(size=(HEAT_POINTS, 2))
        u = np.asarray(truth(points[:, 0], points[:, 1]))
        u = u + 0.01 * u.std() * rng.standard_normal(HEAT_POINTS)
        problem = Problem("u_t = d(k(x)*u_x, x)", HEAT if conditions else [], HEAT_BOX, functions=["k(x)"])
        return Case(problem, {"x": points[:, 0], "t": points[:, 1], "u": u}, ("k",), function=conductivity)

    return make


def heat_number(conditions: bool) -> Callable[[int], Case]:
    """Return the case of one diffusivity from 200 temperatures with 1 % noise."""

    def make(seed: int) -> Case:
        rng = np.random.default_rng(seed)
        x, t = rng.uniform(size=HEAT_POINTS), rng.uniform(size=HEAT_POINTS)
        # sin^3 z = (3 sin z - sin 3z) / 4
        parts = {1: 0.75, 3: -0.25, 2: 0.375, 6: -0.125}
        u = np.asarray(sum(a * np.exp(-0.1 * (n * np.pi) ** 2 * t) * np.sin(n * np.pi * x) for n, a in parts.items()))
        u = u + 0.01 * u.std() * rng.standard_normal(HEAT_POINTS)
        problem = Problem("u_t = k*u_xx", HEAT if conditions else [], HEAT_BOX, {"k": 0.3})
        return Case(problem, {"x": x, "t": t, "u": u}, ("k",), {"k": 0.1})

    return make


PREY = ["u' = alpha*u - beta*u*v", "v' = -gamma*v + delta*u*v"]
RATES = ("alpha", "beta", "gamma", "delta")


def pelts(twin: bool) -> Callable[[int], Case]:
    """Return the case of the measured lynx and hare pelts; the classical solver needs names for the initial values."""

    def make(seed: int) -> Case:
        years, hare, lynx = np.transpose(np.loadtxt(DATA / "hudson_bay_lynx_hare.dat"))
        starts = {"alpha": 1.0, "beta": 0.05, "gamma": 1.0, "delta": 0.05}
        known, more = ([], {}) if not twin else (["u(0) = u0", "v(0) = v0"], {"u0": 30.0, "v0": 4.0})
        problem = Problem(PREY, known, {"t": (0, 20)}, {**starts, **more})
        data = {"t": years - years[0], "u": hare, "v": lynx}
        published = {"alpha": 0.55, "beta": 0.028, "gamma": 0.84, "delta": 0.026}
        keywords: dict[str, Any] = {"noise_model": "multiplicative"}
        if twin:
            keywords["bounds"] = dict.fromkeys((*starts, *more), (0, None))
        return Case(problem, data, (*RATES, *more), keywords=keywords, published=published)

    return make


def predators(seed: int) -> Case:
    """Return a simulated record like the pelts: 21 years, log-normal noise of 0.2."""
    truth = {"alpha": 0.55, "beta": 0.028, "gamma": 0.84, "delta": 0.026}
    whole = Problem(PREY, ["u(0) = 33", "v(0) = 6"], {"t": (0, 20)}, truth)
    solution = classical.solve(whole, rtol=1e-9)
    t = np.arange(21.0)
    rng = np.random.default_rng(seed)
    noisy = {name: values * np.exp(0.2 * rng.standard_normal(21)) for name, values in solution(t).items()}
    problem = Problem(PREY, [], {"t": (0, 20)}, {"alpha": 1.0, "beta": 0.05, "gamma": 1.0, "delta": 0.05})
    return Case(problem, {"t": t, **noisy}, RATES, truth, keywords={"noise_model": "multiplicative"})


ROWS: tuple[Row, ...] = (
    Row("Burgers, clean", burgers(0.0), 5),
    Row("Burgers, 1 % noise", burgers(0.01), 20),
    Row("Burgers, clean, conditions known, classical", burgers(0.0, True), 1, 120, "classical"),
    Row("Burgers, 1 % noise, conditions known, classical", burgers(0.01, True), 1, 120, "classical"),
    Row("KdV, 2,000 points", kdv(False), 1, 90),
    Row("KdV, two snapshots", kdv(True), 1, 90),
    Row("heat, k(x)", heat_function(False), 3),
    Row("heat, k(x), conditions known", heat_function(True), 3),
    Row("heat, k, conditions known, classical", heat_number(True), 1, 60, "classical"),
    Row("lynx and hare", pelts(False), 1, 20),
    Row("lynx and hare, classical", pelts(True), 1, 60, "classical"),
)


def run(row: Row, seed: int) -> dict[str, Any]:
    """Identify once and return the record."""
    case = row.make(seed)
    start = time.perf_counter()
    if row.method == "classical":
        fit = classical.identify(case.problem, case.data, case.unknown, budget=row.budget, **case.keywords)
    else:
        from sciml import pinn

        fit = pinn.identify(case.problem, case.data, case.unknown, budget=row.budget, seed=seed, **case.keywords)
    return {**record_of(fit, case), "name": row.name, "seed": seed, "seconds": round(time.perf_counter() - start, 2)}


def record_of(fit: Fit, case: Case) -> dict[str, Any]:
    """Return what is known of a fit and its truth, for a JSON object."""
    parameters: dict[str, Any] = {}
    for name, own in fit.parameters.items():
        low, high = own.interval
        about: dict[str, Any] = {"value": own.value, "standard_error": own.standard_error, "interval": [low, high]}
        if name in case.truth:
            truth = case.truth[name]
            about |= {"error": abs(own.value / truth - 1), "covered": low <= truth <= high}
            about["score"] = (own.value - truth) / own.standard_error
        if name in case.published:
            about["contains"] = low <= case.published[name] <= high
        parameters[name] = about
    record: dict[str, Any] = {"parameters": parameters, "noise": dict(fit.noise), "status": fit.status.value}
    if case.function is not None:
        (found,) = fit.functions.values()
        x = np.linspace(found.lower[0], found.upper[0], 201)
        truth = case.function(x)
        low, high = found.band(x)
        record["function error"] = float(np.linalg.norm(found(x) - truth) / np.linalg.norm(truth))
        record["function covered"] = float(((low <= truth) & (truth <= high)).mean())
        record["function score"] = float((((found(x) - truth) / found.standard_error(x)) ** 2).mean())
    return record


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the two tables as Markdown."""
    lines = ["| problem | unknown | error, median (worst), % | covered by 95 % intervals | seconds, median | runs |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for row in ROWS:
        own = [r for r in records if r["name"] == row.name]
        if not own:
            continue
        seconds = f"{statistics.median(r['seconds'] for r in own):.1f}"
        for name in own[0]["parameters"]:
            about = [r["parameters"][name] for r in own]
            errors = [100 * a["error"] for a in about if "error" in a]
            if errors:
                shown = f"{statistics.median(errors):.2g} ({max(errors):.2g})"
                covered = f"{sum(a['covered'] for a in about)} of {len(about)}"
            else:
                shown = f"{about[0]['value']:.4g} +- {about[0]['standard_error']:.2g}"
                covered = "contains the published value" if about[0].get("contains") else "-"
            lines.append(f"| {row.name} | {name} | {shown} | {covered} | {seconds} | {len(own)} |")
        errors = [100 * r["function error"] for r in own if "function error" in r]
        if errors:
            covered = statistics.mean(r["function covered"] for r in own)
            shown = f"{statistics.median(errors):.2g} ({max(errors):.2g})"
            lines.append(f"| {row.name} | k(x) | {shown} | {covered:.0%} of places | {seconds} | {len(own)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.identification", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows by name")
    parser.add_argument("--draws", type=int, help="seeds of every row, where it has more than one")
    parser.add_argument("--threads", type=int, default=2, help="threads (2)")
    parser.add_argument("--fresh", action="store_true", help="forget former measurements of these rows")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the file of measurements ({OUT})")
    options = parser.parse_args(argv)
    known = {row.name for row in ROWS}
    for name in options.only or ():
        if name not in known:
            parser.error(f"there is no row {name!r}; known: {', '.join(sorted(known))}")
    rows = [row for row in ROWS if row.name in (options.only or known)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not options.table:
        import torch

        torch.set_num_threads(options.threads)
        there = {(r["name"], r["seed"]) for r in read_lines(options.out)} if not options.fresh else set()
        for row in rows:
            for seed in range(min(row.seeds, options.draws or row.seeds)):
                if (row.name, seed) in there:
                    continue
                record = run(row, seed)
                append_line(options.out, record)
                numbers = {n: a.get("error", a["value"]) for n, a in record["parameters"].items()}
                shown = "  ".join(f"{n} {value:.2e}" for n, value in numbers.items())
                print(f"{row.name:44} seed {seed:3}  {record['seconds']:6.1f} s  {shown}", flush=True)
    latest = {(r["name"], r["seed"]): r for r in read_lines(options.out)}
    print()
    print(table(list(latest.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
