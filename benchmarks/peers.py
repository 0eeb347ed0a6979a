"""Other programs' own examples, as their documentation gives them, timed to error with ours beside them.

    python -m benchmarks.peers [--only CASE ...] [--quick] [--fresh]
    python -m benchmarks.peers --table

DeepXDE: Allen-Cahn (forward), the Lorenz system and a diffusion equation (inverse); neurodiffeq: Lotka-Volterra.
DeepXDE's Burgers stands in `benchmarks.accuracy`. Layers, points, optimizers and iterations are theirs
(`benchmarks.peer_examples`), in their default precision; every run has a process of its own, imports are not counted.
Errors are relative L2 errors at fixed points against `classical.solve`, and of inverse problems the largest relative
error of an unknown number, all programs starting from the same numbers and data; ours have their defaults. One JSON
line a run in runs/benchmarks/peers.jsonl; what is there is not run again. `--quick` cuts the iterations of two cases to
a fiftieth: a check that all runs, no fair figure of the others.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from benchmarks.accuracy import Bench
from benchmarks.measurement import Record, points_of
from sciml import Problem
from sciml.errors import ScimlError

__all__ = ["CASES", "PROGRAMS", "Case", "Trace", "main", "measured", "table"]

OUT = Path("runs") / "benchmarks" / "peers.jsonl"
# Cut trainings must not stand among the documented ones.
QUICK_OUT = OUT.with_name("peers-quick.jsonl")
QUICK = ("diffusion inverse", "lotka_volterra")
QUICK_SHARE = 0.02
PROGRAMS = ("peer", "pinn", "classical")
# Seconds allowed to theirs and to ours.
PEER_BUDGET, OUR_BUDGET, QUICK_BUDGET = 3600.0, 60.0, 5.0
LADDER = tuple(10.0**-k for k in range(2, 10))
FINE = 1e-11
LORENZ_TIMES, DIFFUSION_PLACES = 25, 10


@final
@dataclass(frozen=True)
class Case:
    """An example: what is solved, and by whose program.

    Attributes
    ----------
    peer : the other program.
    problem : with the starting values of what is unknown.
    truth : the unknown numbers; empty where the problem is solved forward.
    """

    peer: str
    problem: Problem
    truth: Mapping[str, float] = field(default_factory=dict[str, float])


def _allen_cahn() -> Problem:
    return Problem(
        "u_t = 0.001*u_xx + 5*(u - u**3)",
        ["u(x, 0) = x**2*cos(pi*x)", "u(-1, t) = -1", "u(1, t) = -1"],
        {"x": (-1, 1), "t": (0, 1)},
        incompatible="accept",
        name="allen_cahn",
    )


def _lorenz(sigma: float = 1.0, rho: float = 1.0, beta: float = 1.0) -> Problem:
    return Problem(
        ["x' = sigma*(y - x)", "y' = x*(rho - z) - y", "z' = x*y - beta*z"],
        ["x(0) = -8", "y(0) = 7", "z(0) = 27"],
        {"t": (0, 3)},
        {"sigma": sigma, "rho": rho, "beta": beta},
        name="lorenz",
    )


def _diffusion(C: float = 2.0) -> Problem:
    return Problem(
        "u_t = C*u_xx - exp(-t)*(sin(pi*x) - pi**2*sin(pi*x))",
        ["u(x, 0) = sin(pi*x)", "u(-1, t) = 0", "u(1, t) = 0"],
        {"x": (-1, 1), "t": (0, 1)},
        {"C": C},
        name="diffusion",
    )


def _lotka_volterra() -> Problem:
    return Problem(["u' = u - u*v", "v' = u*v - v"], ["u(0) = 1.5", "v(0) = 1"], {"t": (0, 12)}, name="lotka_volterra")


CASES: Mapping[str, Case] = {
    "allen_cahn": Case("deepxde", _allen_cahn()),
    "lorenz inverse": Case("deepxde", _lorenz(), {"sigma": 10.0, "rho": 15.0, "beta": 8 / 3}),
    "diffusion inverse": Case("deepxde", _diffusion(), {"C": 1.0}),
    "lotka_volterra": Case("neurodiffeq", _lotka_volterra()),
}


def data_of(name: str) -> dict[str, np.ndarray]:
    """Return the clean observations of an inverse case: 25 equispaced times, or 10 places at t = 1."""
    if name == "lorenz inverse":
        from sciml import classical

        t = np.linspace(0, 3, LORENZ_TIMES)
        made = classical.solve(_lorenz(**CASES[name].truth), rtol=FINE).evaluate(["x", "y", "z"], t[:, None])
        return {"t": t, **dict(zip("xyz", made, strict=True))}
    x = np.linspace(-1, 1, DIFFUSION_PLACES)
    return {"x": x, "t": np.ones_like(x), "u": np.sin(np.pi * x) * np.exp(-1.0)}


@final
@dataclass
class Trace:
    """The error over time, each new least error with its seconds."""

    measure: Callable[[Any], float]
    start: float = field(default_factory=time.perf_counter)
    points: list[tuple[float, float, None]] = field(default_factory=list[tuple[float, float, None]])

    def look(self, state: Any) -> float:
        """Note the error of a state, values [N, unknowns] or numbers, that is there now."""
        seconds = time.perf_counter() - self.start
        error = self.measure(state)
        if math.isfinite(error) and (not self.points or error < self.points[-1][1]):
            self.points.append((round(seconds, 3), error, None))
        return error


def _measure(name: str) -> tuple[np.ndarray, Callable[[Any], float]]:
    """The points of a case, and what returns the error of a state."""
    case = CASES[name]
    points = points_of(case.problem)
    if case.truth:
        truth = np.array(list(case.truth.values()))
        return points, lambda numbers: float(np.max(np.abs(np.asarray(numbers, float) - truth) / np.abs(truth)))
    from sciml import classical

    values = classical.solve(case.problem, rtol=FINE).evaluate(case.problem.unknowns, points).T
    return points, lambda state: float(np.linalg.norm(state - values) / np.linalg.norm(values))


def measured(job: Mapping[str, Any]) -> Record:
    """Run a program on a case and return its record."""
    from benchmarks import peer_examples

    case, budget = CASES[job["case"]], float(job["budget"])
    points, measure = _measure(job["case"])
    data = data_of(job["case"]) if case.truth else {}
    if job["program"] == "peer":
        missing = peer_examples.missing(case.peer)
        if missing:
            return {"failure": missing}
        example = peer_examples.EXAMPLES[job["case"]]
        about = example(points, data, lambda: Trace(measure), job["seed"], job["share"], budget)
    elif job["program"] == "pinn":
        about = _network(case, points, data, Trace(measure), job["seed"], budget)
    else:
        about = _classical(case, points, data, measure, budget)
    trace: Trace = about.pop("trace")
    best = trace.points[-1] if trace.points else (None, None)
    return {**about, "trace": trace.points, "best": best[1], "best_seconds": best[0]}


def _network(
    case: Case, points: np.ndarray, data: Mapping[str, np.ndarray], trace: Trace, seed: int, budget: float
) -> Record:
    from sciml import pinn

    names = list(case.truth)

    def report(state: Mapping[str, Any]) -> None:
        if not names:
            trace.look(state["values"](points))
        elif state.get("parameters"):
            trace.look([state["parameters"][name] for name in names])

    if names:
        fit = pinn.identify(case.problem, dict(data), names, seed=seed, budget=budget, progress=report)
        found, method, status = [fit.parameters[n].value for n in names], "pinn.identify", fit.status.value
    else:
        solution = pinn.solve(case.problem, seed=seed, budget=budget, progress=report)
        found = solution.evaluate(case.problem.unknowns, points).T
        method, status = solution.method, solution.status.value
    return {"error": trace.look(found), "seconds": _since(trace), "method": method, "status": status, "trace": trace}


def _classical(
    case: Case, points: np.ndarray, data: Mapping[str, np.ndarray], measure: Callable[[Any], float], budget: float
) -> Record:
    from sciml import classical

    names = list(case.truth)
    if names:
        trace = Trace(measure)
        fit = classical.identify(case.problem, dict(data), names, budget=budget)
        error = trace.look([fit.parameters[n].value for n in names])
        return {"error": error, "seconds": _since(trace), "method": "classical.identify", "status": fit.status.value,
                "trace": trace}  # fmt: skip
    # Each tolerance is a solution of its own: the times are not those of one run.
    steps, method = Trace(measure), ""
    for rtol in LADDER:
        trace = Trace(measure)
        try:
            solution = classical.solve(case.problem, rtol=rtol, budget=budget)
        except ScimlError:
            break
        seconds, method = _since(trace), solution.method
        steps.points.append((seconds, measure(solution.evaluate(case.problem.unknowns, points).T), None))
    least = min(steps.points, key=lambda step: step[1])
    steps.points = [*(step for step in steps.points if step is not least), least]
    return {"error": least[1], "seconds": least[0], "method": method, "status": "a ladder", "trace": steps}


def _since(trace: Trace) -> float:
    return round(time.perf_counter() - trace.start, 3)


# -- table -------------------------------------------------------------------------------------------------------------


def reached(record: Mapping[str, Any], error: float) -> float:
    """Return the least seconds after which a record had an error, infinite if never."""
    return min((step[0] for step in record.get("trace", ()) if step[1] <= error), default=math.inf)


def at(record: Mapping[str, Any], seconds: float) -> float:
    """Return the least error that a record had after so many seconds, infinite if there was none yet."""
    return min((step[1] for step in record.get("trace", ()) if step[0] <= seconds), default=math.inf)


def table(records: Sequence[Record]) -> str:
    """Return a Markdown table: theirs, then ours at their final error and at their finishing time."""
    last = {(r["case"], r["program"]): r for r in records if r["kind"] == "peer"}
    if not last:
        return "Nothing has been measured yet."
    lines = [
        "| example | program | error | s | of its iterations | their error after | that is | error at their time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in CASES:
        peer = last.get((name, "peer"), {})
        for program in PROGRAMS:
            record = last.get((name, program))
            if record is None:
                continue
            if record.get("failure"):
                lines.append(f"| {name} | {program} | {record['failure']} | - | - | - | - | - |")
                continue
            share = f"{record['share']:.0%}" if program == "peer" else "-"
            ours = f"{program}.{'identify' if CASES[name].truth else 'solve'}"
            head = [name, record["method"] if program == "peer" else ours, f"{record['error']:.1e}"]
            beside = ["-", "-", "-"] if program == "peer" or "error" not in peer else _beside(record, peer)
            lines.append("| " + " | ".join([*head, f"{record['seconds']:.3g}", share, *beside]) + " |")
    loads = [record["load"] for record in last.values() if "load" in record]
    if loads:
        lines += ["", f"Load average when a run began {min(loads):.1f} to {max(loads):.1f}."]
    return "\n".join(lines)


def _beside(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    when, error = reached(ours, theirs["error"]), at(ours, theirs["seconds"])
    sooner = theirs["seconds"] / max(when, 1e-3)
    pace = f"{_two(sooner)} times sooner" if sooner >= 1 else f"{_two(1 / sooner)} times later" if sooner else "never"
    return [f"{when:.2g} s" if math.isfinite(when) else "-", pace, f"{error:.1e}" if math.isfinite(error) else "-"]


def _two(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n")[0].strip()
    )
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=tuple(CASES), help=", ".join(CASES))
    parser.add_argument("--quick", action="store_true", help="two cases, a fiftieth of their iterations")
    parser.add_argument("--seed", type=int, default=0, help="of all programs (0)")
    parser.add_argument("--threads", type=int, default=1, help="of every run (1)")
    parser.add_argument("--fresh", action="store_true", help="forget former runs")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table")
    parser.add_argument("--out", type=Path, help=f"the file of runs ({OUT}; --quick: {QUICK_OUT.name})")
    given = parser.parse_args(argv)
    if given.threads < 1 or given.seed < 0:
        parser.error("--threads must be positive, --seed not negative")
    bench = Bench(given.out or (QUICK_OUT if given.quick else OUT), given.threads)
    if not given.table:
        bench.path.parent.mkdir(parents=True, exist_ok=True)
        if given.fresh:
            bench.path.unlink(missing_ok=True)
        share = QUICK_SHARE if given.quick else 1.0
        ours = QUICK_BUDGET if given.quick else OUR_BUDGET
        try:
            for name in given.only or (QUICK if given.quick else CASES):
                for program in PROGRAMS:
                    job = {"kind": "peer", "name": f"{name}, {program}", "case": name, "program": program}
                    budget = PEER_BUDGET if program == "peer" else ours
                    bench.measure({**job, "seed": given.seed, "share": share, "budget": budget})
        except KeyboardInterrupt:
            print("interrupted; the same command resumes", file=sys.stderr)
            return 130
        print()
    print(table(bench.records()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
