"""How often 95 % intervals of an identification contain the truth: many draws of points and noise of one problem.

    python -m benchmarks.coverage --problem burgers|heat|conductivity|lotka_volterra [--draws N] [--first N]
        [--jobs N] [--fresh] [--table] [--out FILE]

Draw k takes points, noise and the first network from seed k; every run is a cold start. The settings are cheap: 45
steps of training, then one correction by least squares (`lotka_volterra`: until the numbers come to rest). An end by
steps instead of seconds makes runs repeatable on a busy machine. No conditions are given.

- burgers: 500 scattered values of the shared field with 2 % noise.
- heat: u_t = k u_xx, 200 values with 1 % noise.
- conductivity: u_t = (k(x) u_x)_x, 200 values with 1 % noise; k is compared at 201 places.
- lotka_volterra: 21 years of two species with log-normal noise of 0.2.

Every run appends one JSON line to runs/benchmarks/coverage.jsonl; what is there is not run again. Seconds are those of
the process, not of the clock. With `--jobs` draws run beside each other, one thread each; one that fails or is killed
loses only itself, and the next command draws it again.
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

from benchmarks.identification import Case, burgers, heat_function, heat_number, predators, record_of
from benchmarks.lines import append_line, read_lines
from sciml.sweep import sweep

__all__ = ["STUDIES", "Study", "main", "summary"]

OUT = Path("runs") / "benchmarks" / "coverage.jsonl"
DRAWS = 100
POINTS, NOISE = 500, 0.02
STEPS = 45


@final
@dataclass(frozen=True)
class Study:
    """One problem whose intervals are counted.

    Attributes
    ----------
    make : the case of a seed.
    settings : keywords of `pinn.identify`.
    """

    make: Callable[[int], Case]
    settings: Mapping[str, Any]


STUDIES: Mapping[str, Study] = {
    "burgers": Study(burgers(NOISE, points=POINTS), {"iterations": STEPS, "budget": None}),
    "heat": Study(heat_number(False), {"iterations": STEPS, "budget": None}),
    "conductivity": Study(heat_function(False), {"iterations": STEPS, "budget": None}),
    "lotka_volterra": Study(predators, {"budget": None}),
}


def run(problem: str, seed: int) -> dict[str, Any]:
    """Identify once and return the record."""
    from sciml import pinn
    from sciml.misfit import misfits

    study = STUDIES[problem]
    case = study.make(seed)
    start = time.process_time()
    fit = pinn.identify(case.problem, case.data, case.unknown, seed=seed, **{**case.keywords, **study.settings})
    seconds = round(time.process_time() - start, 2)
    nothing, alike = misfits(fit.observations, fit.residuals, fit.noise, fit.noise_model)
    # The equations are the right ones, so that whatever speaks against them is a false alarm.
    return {
        "problem": problem,
        "seed": seed,
        "seconds": seconds,
        "false alarms": len(nothing) + len(alike),
        **record_of(fit, case),
    }


def summary(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a table in Markdown: what is covered, errors, and their mean square in standard errors."""
    lines = ["| problem | unknown | covered | error, median (worst), % | mean square of error / standard error | "
             "seconds, median | false alarms | draws |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for problem in STUDIES:
        own = [r for r in records if r["problem"] == problem]
        if not own:
            continue
        seconds = f"{statistics.median(r['seconds'] for r in own):.1f}"
        asked = [r["false alarms"] for r in own if "false alarms" in r]
        alarms = f"{sum(n > 0 for n in asked)} of {len(asked)}" if asked else "-"
        for name in own[0]["parameters"]:
            about = [r["parameters"][name] for r in own]
            covered = f"{sum(a['covered'] for a in about) / len(about):.1%}"
            scores = [a["score"] ** 2 for a in about]
            errors = [100 * a["error"] for a in about]
            shown = f"{statistics.median(errors):.2g} ({max(errors):.2g})"
            score = f"{statistics.mean(scores):.2f}"
            lines.append(f"| {problem} | {name} | {covered} | {shown} | {score} | {seconds} | {alarms} | {len(own)} |")
        if "function error" in own[0]:
            errors = [100 * r["function error"] for r in own]
            covered = f"{statistics.mean(r['function covered'] for r in own):.1%} of places"
            shown = f"{statistics.median(errors):.2g} ({max(errors):.2g})"
            score = f"{statistics.mean(r['function score'] for r in own):.2f}"
            lines.append(
                f"| {problem} | function | {covered} | {shown} | {score} | {seconds} | {alarms} | {len(own)} |"
            )
    return "\n".join(lines)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the latest record of each problem and seed."""
    return list({(record["problem"], record["seed"]): record for record in read_lines(path)}.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--problem", choices=list(STUDIES), help="what is identified (all)")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"how many ({DRAWS})")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=1, help="draws at a time, -1 for one on each core (1)")
    parser.add_argument("--fresh", action="store_true", help="measure again what has been measured")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the file of measurements ({OUT})")
    options = parser.parse_args(argv)
    if options.draws < 1 or options.first < 0:
        parser.error(f"--draws must be at least 1 and --first at least 0, got {options.draws} and {options.first}")
    if options.jobs == 0:
        parser.error("--jobs must be a number of draws, or negative to count from the cores'")
    failed = 0
    if not options.table:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        there = set() if options.fresh else {(r["problem"], r["seed"]) for r in read(options.out)}
        problems = [options.problem] if options.problem else list(STUDIES)
        seeds = range(options.first, options.first + options.draws)
        left = [{"problem": p, "seed": k} for p in problems for k in seeds if (p, k) not in there]
        # Problems of this size gain nothing from a second thread.
        for outcome in sweep(run, left, jobs=options.jobs, threads=1):
            head = f"{outcome.settings['problem']:16} seed {outcome.settings['seed']:3}"
            if not outcome.success:
                failed += 1
                print(f"{head}  {outcome.error}", flush=True)
                continue
            append_line(options.out, outcome.value)
            print(f"{head}  {outcome.value['seconds']:6.1f} s  {_line(outcome.value)}", flush=True)
        print()
    seeds = range(options.first, options.first + options.draws)
    print(summary([r for r in read(options.out) if r["seed"] in seeds]))
    return 1 if failed else 0


def _line(record: Mapping[str, Any]) -> str:
    parts = [f"{n} {a['error']:.1e}{'' if a['covered'] else ' missed'}" for n, a in record["parameters"].items()]
    if "function error" in record:
        parts.append(f"function {record['function error']:.1e}, {record['function covered']:.0%} covered")
    return "  ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
