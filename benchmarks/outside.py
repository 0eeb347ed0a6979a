"""Outside libraries as classical competitors: scikit-fem where a problem is stationary, py-pde where it evolves.

    python -m benchmarks.outside [--only NAME ...] [--quick] [--fresh]
    python -m benchmarks.outside --table

Each problem is solved on a ladder of resolutions, with errors at the points and against the reference values of
`benchmarks.accuracy`. A record is one JSON line in runs/benchmarks/outside.jsonl, and what is there is not measured
again. Both libraries are told their resolution and estimate no error, which `classical.solve` does: per second this
flatters them. They are extras: pip install 'sciml[bench]'.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import differences, elements
from benchmarks.accuracy import Bench, digest_of
from benchmarks.measurement import Record, Reference
from benchmarks.rows import problem_of, row_named

__all__ = ["LIBRARIES", "main", "measured", "table"]

INSTALL = "not installed: pip install 'sciml[bench]'"
OUT = Path("runs") / "benchmarks" / "outside.jsonl"
# A part of the ladder must not stand among the full ones.
QUICK_OUT = OUT.with_name("outside-quick.jsonl")
LIBRARIES = {
    **dict.fromkeys(elements.PROBLEMS, "scikit-fem"),
    **dict.fromkeys(differences.PROBLEMS, "py-pde"),
}
# A compilation takes seconds whatever the grid. The accuracy benchmark's small form has these two problems, too.
QUICK = {"poisson": 8, "helmholtz": 8}
# Runs shorter than this are repeated and the fastest counts: the first pays for imports and caches.
SHORT, REPEATS = 0.3, 3
BUDGET = 300.0
Step = tuple[str, Callable[[], tuple[float, float | None, Any]]]


def ladder(name: str, points: Any) -> Iterator[Step]:
    """Yield a label and what solves the problem there: seconds, seconds of compilation, values [N]."""
    if LIBRARIES[name] == "scikit-fem":
        for order, count in elements.LADDER:

            def stationary(order: int = order, count: int = count) -> tuple[float, None, Any]:
                seconds, values = elements.solve(name, order, count, points)
                for _ in range(REPEATS - 1 if seconds < SHORT else 0):
                    seconds = min(seconds, elements.solve(name, order, count, points)[0])
                return seconds, None, values

            yield f"order {order}, {count} x {count} elements", stationary
    else:
        for cells, tolerance in differences.LADDER:

            def evolving(cells: int = cells, tolerance: float = tolerance) -> tuple[float, float, Any]:
                run = differences.solve(name, cells, tolerance, points)
                return run.seconds, run.compilation, run.values

            yield f"{cells} cells, tolerance {tolerance:.0e}", evolving


def measured(job: Mapping[str, Any]) -> Record:
    """Run the ladder of a problem and return its record, steps as those of the classical solver."""
    library = elements if LIBRARIES[job["row"]] == "scikit-fem" else differences
    if not library.installed():
        return {"failure": INSTALL}
    reference, end = Reference.read(Path(job["reference"])), time.perf_counter() + job["budget"]
    steps: list[Record] = []
    reason = "the ladder ended"
    for label, run in list(ladder(job["row"], reference.points))[: job.get("steps_at_most")]:
        if time.perf_counter() >= end:
            reason = f"no further within {job['budget']:.0f} s"
            break
        try:
            seconds, compilation, values = run()
        except RuntimeError as error:  # too coarse a grid may be unstable, and says so
            steps.append({"label": label, "failure": str(error)})
            continue
        error = reference.error(values[:, None])
        if not math.isfinite(error):
            steps.append({"label": label, "failure": "values that are not finite"})
            continue
        step = {"label": label, "seconds": round(seconds, 5), "error": error}
        steps.append(step if compilation is None else {**step, "compilation": round(compilation, 2)})
    return {"library": library.version(), "steps": steps, "reason": reason}


def table(records: Sequence[Record]) -> str:
    """Return a Markdown table of all steps."""
    latest = {record["name"]: record for record in records if record["kind"] == "outside"}
    if not latest:
        return "Nothing has been measured yet."
    lines = ["| problem | library | resolution | error | s | compiled in, s |", "| --- | --- | --- | --- | --- | --- |"]
    for record in latest.values():
        for step in record.get("steps", ()):
            if "failure" in step:
                cells = [step["failure"], "-", "-"]
            else:
                compiled = f"{step['compilation']:.1f}" if "compilation" in step else "-"
                cells = [f"{step['error']:.1e}", f"{step['seconds']:.3g}", compiled]
            lines.append("| " + " | ".join([record["row"], record["library"], step["label"], *cells]) + " |")
        if record.get("failure"):
            lines.append(f"| {record['row']} | {LIBRARIES[record['row']]} | {record['failure']} | - | - | - |")
    loads = [record["load"] for record in latest.values() if "load" in record]
    if loads:
        lines += ["", f"Load average when a run began {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores."]
    return "\n".join(lines)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outside", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"problems: {', '.join(LIBRARIES)}")
    parser.add_argument("--quick", action="store_true", help="the coarse ends of three ladders")
    parser.add_argument("--threads", type=int, default=1, help="threads of every run (1)")
    parser.add_argument("--fresh", action="store_true", help="forget former measurements")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table")
    parser.add_argument("--out", type=Path, help=f"the file of measurements ({OUT}; --quick: {QUICK_OUT.name})")
    given = parser.parse_args(argv)
    given.out = given.out or (QUICK_OUT if given.quick else OUT)
    if given.threads < 1:
        parser.error("--threads must be positive")
    for name in given.only or ():
        if name not in LIBRARIES:
            parser.error(f"there is no problem {name!r}; known: {', '.join(LIBRARIES)}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    given = _options(argv)
    bench = Bench(given.out, given.threads)
    if given.table:
        print(table(bench.records()))
        return 0
    bench.path.parent.mkdir(parents=True, exist_ok=True)
    if given.fresh:
        bench.path.unlink(missing_ok=True)
    try:
        for name in given.only or (QUICK if given.quick else LIBRARIES):
            row = row_named(name)
            problem = problem_of(row)
            assert problem is not None
            digest = digest_of(problem)
            reference = bench.reference(row, digest)
            if reference is None:
                print(f"{name:24} no reference", flush=True)
                continue
            most = QUICK.get(name, 2) if given.quick else None
            job = {"kind": "outside", "name": f"{name}, {LIBRARIES[name]}", "row": name, "digest": digest, "seed": 0}
            bench.measure({**job, "reference": str(reference), "steps_at_most": most, "budget": BUDGET})
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    print()
    print(table(bench.records()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
