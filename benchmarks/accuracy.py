"""The accuracy table: how fast networks reach which error, how honest their estimates are, what classical solvers take.

    python -m benchmarks.accuracy [--only NAME ...] [--quick] [--fresh]
    python -m benchmarks.accuracy --table

Every run has a process of its own and appends one JSON line to runs/benchmarks/accuracy.jsonl; what is there already is
not run again, so an interrupted command resumes. The tables are made from that file alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from benchmarks.deepxde_burgers import INSTALL, installed
from benchmarks.lines import append_line, read_lines
from benchmarks.measurement import Record, reference_path
from benchmarks.rows import ROWS, Row, problem_of
from benchmarks.tables import latest, tables
from sciml import Problem

__all__ = ["Bench", "digest_of", "main"]

ROOT = Path(__file__).resolve().parent.parent
OUT = Path("runs") / "benchmarks" / "accuracy.jsonl"
# Runs of a fifth of the time must not stand in the table of the full ones.
QUICK_OUT = OUT.with_name("accuracy-quick.jsonl")
QUICK_SCALE = 0.2
REFERENCE_BUDGET = 300.0
CLASSICAL_BUDGET = 60.0
DEEPXDE_BUDGET = 900.0
# What makes two records measurements of the same thing.
IDENTITY = ("kind", "name", "seed", "tol", "budget", "threads", "precision", "digest", "share", "steps_at_most")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@final
@dataclass
class Bench:
    """The file of measurements, and what is run into it."""

    path: Path
    threads: int
    device: str = "cpu"

    def records(self) -> list[Record]:
        """Return all measurements."""
        return read_lines(self.path)

    def reference(self, row: Row, digest: str) -> Path | None:
        """Return the file of the row's reference values, made if it is not there; None if there is no reference."""
        path = reference_path(self.path.resolve().parent / "references", f"{row.name} {digest}")
        if not path.exists():
            made = self._run({"kind": "reference", "name": row.name, "reference": str(path)}, REFERENCE_BUDGET)
            if made.get("failure"):
                return None
        return path

    def measure(self, job: Mapping[str, Any]) -> Record:
        """Run a job unless its measurement is there already; a failed one is run again."""
        job = {**job, "threads": self.threads, "device": self.device}
        identity = [job.get(name) for name in IDENTITY]
        for record in self.records():
            if [record.get(name) for name in IDENTITY] == identity and not record.get("failure"):
                return record
        record = self._run(job, job["budget"])
        self.keep(record)
        print(_line(record), flush=True)
        return record

    def keep(self, record: Record) -> None:
        """Append a measurement."""
        append_line(self.path, record)

    def _run(self, job: Mapping[str, Any], budget: float) -> Record:
        job = {**job, "budget": budget, "threads": self.threads, "device": self.device, "launched": time.time()}
        command = [sys.executable, "-m", "benchmarks.measurement", json.dumps(job)]
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(self.threads))}
        try:
            # Budgets are checked between steps, and imports, comparison and a last step come on top.
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=3 * budget + 300, env=environment, cwd=ROOT
            )
        except subprocess.TimeoutExpired:
            return {**job, "failure": f"killed after {3 * budget + 300:.0f} s"}
        lines = done.stdout.strip().splitlines()
        try:
            return json.loads(lines[-1])
        except (IndexError, json.JSONDecodeError):
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return {**job, "failure": last[0]}


def digest_of(problem: Problem) -> str:
    """Return what tells a problem from another of the same name."""
    return hashlib.sha1(json.dumps(problem.to_dict(), default=str, sort_keys=True).encode()).hexdigest()[:8]


def measure_row(bench: Bench, row: Row, seeds: Sequence[int], scale: float, classical: bool) -> None:
    """Measure the network for each seed, and the classical solver to the least error that the network reached."""
    problem = problem_of(row)
    if problem is None:
        print(f"{row.name:24} no problem file of this name yet", flush=True)
        return
    digest = digest_of(problem)
    reference = bench.reference(row, digest)
    if reference is None:
        print(f"{row.name:24} no reference", flush=True)
        return
    job = {"name": row.name, "digest": digest, "reference": str(reference), "dimension": problem.domain.dimension}
    network = {"kind": "network", **job, "tol": row.tol, "budget": scale * row.budget}
    best = [bench.measure({**network, "seed": seed}).get("best") for seed in seeds]
    reached = [error for error in best if error is not None]
    if classical and reached:
        known = latest(bench.records(), "classical").get((row.name, 0), {})
        # A finer target is a new measurement: the ladder ends when it is met.
        fine = known.get("digest") == digest and known.get("target", 1.0) <= min(reached)
        target = known["target"] if fine else min(reached)
        bench.measure(
            {"kind": "classical", **job, "seed": 0, "target": target, "budget": CLASSICAL_BUDGET, "tol": target}
        )


def measure_deepxde(bench: Bench, scale: float) -> None:
    """Measure DeepXDE's own example in its default precision and in ours."""
    row = next(row for row in ROWS if row.name == "burgers")
    problem = problem_of(row)
    assert problem is not None
    digest = digest_of(problem)
    reference = bench.reference(row, digest)
    for precision in ("float32", "float64"):
        name = f"burgers, DeepXDE's example, {precision}"
        job = {"kind": "deepxde", "name": name, "seed": 0, "precision": precision, "reference": str(reference)}
        bench.measure({**job, "budget": scale * DEEPXDE_BUDGET})


def _line(record: Record) -> str:
    """One measurement for the terminal."""
    head = f"{record['name']:24} {record['kind']:10}"
    if record.get("failure"):
        return f"{head} {record['failure']}"
    if record["kind"] in ("classical", "outside"):
        steps = [step for step in record["steps"] if "seconds" in step]
        last = f"{steps[-1]['error']:.1e} in {steps[-1]['seconds']:.2f} s" if steps else "no result"
        return f"{head} {last} ({record['reason']})"
    numbers = [f"{name} {record[name]:.1e}" for name in ("best", "error", "estimate") if record.get(name) is not None]
    return f"{head} seed {record['seed']}  {record['seconds']:6.1f} s  {'  '.join(numbers)}  {record['status']}"


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows by name, or the group: first, further, typed")
    parser.add_argument("--seeds", type=int, help="seeds of every row (five for the first rows, else one)")
    parser.add_argument("--budget-scale", type=float, default=1.0, help="factor on every budget of a network")
    parser.add_argument("--quick", action="store_true", help="a few cheap rows, one seed, a fifth of the time")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="threads of every run (2)")
    parser.add_argument(
        "--device", default="cpu", help="of the networks: cpu, cuda; another has a file of its own (cpu)"
    )
    parser.add_argument("--no-deepxde", action="store_true", help="leave out DeepXDE's example")
    parser.add_argument("--no-classical", action="store_true", help="leave out the classical solver")
    parser.add_argument("--fresh", action="store_true", help="forget former measurements")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the tables")
    parser.add_argument("--runs", action="store_true", help="a table of every single run, too")
    parser.add_argument("--out", type=Path, help=f"the file of measurements ({OUT}; --quick: {QUICK_OUT.name})")
    options = parser.parse_args(argv)
    options.out = options.out or (QUICK_OUT if options.quick else OUT)
    if options.device != "cpu" and options.out in (OUT, QUICK_OUT):
        options.out = options.out.with_stem(f"{options.out.stem}-{options.device.replace(':', '-')}")
    if options.threads < 1 or (options.seeds is not None and options.seeds < 1) or not options.budget_scale > 0:
        parser.error("--threads, --seeds and --budget-scale must be positive")
    known = {row.name for row in ROWS} | {row.group for row in ROWS} | {"deepxde"}
    for name in options.only or ():
        if name not in known:
            parser.error(f"there is no row {name!r}; known: {', '.join(sorted(known))}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _options(argv)
    bench = Bench(options.out, options.threads, options.device)
    if options.table:
        print(tables(bench.records(), options.runs))
        return 0
    bench.path.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        bench.path.unlink(missing_ok=True)
    scale = options.budget_scale * (QUICK_SCALE if options.quick else 1.0)
    only = options.only
    rows = [row for row in ROWS if (row.name in only or row.group in only if only else row.quick or not options.quick)]
    try:
        for row in rows:
            seeds = range(options.seeds or (1 if options.quick else row.seeds))
            measure_row(bench, row, seeds, scale, not options.no_classical)
        if not options.no_deepxde and ("deepxde" in only if only else not options.quick):
            if installed():
                measure_deepxde(bench, scale)
            else:
                print(f"{'DeepXDE':24} {INSTALL}", flush=True)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    print()
    print(tables(bench.records(), options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
