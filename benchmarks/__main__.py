"""All benchmarks: list them, run them, sum them up.

    python -m benchmarks [--only NAME ...] [--full] [--fresh] [--device cuda] [--list] [--summary]

Small by default, under ten minutes on two idle cores; `--full` runs what the README's tables are made of, which takes
hours. Every benchmark has a process of its own. One JSON line a run is appended to runs/benchmarks/runs.jsonl, with
versions, machine, load and seed; the whole output lies in runs/benchmarks/output. What was done is not run again, so an
interrupted command resumes. `--device cuda` runs the benchmarks that have networks to put on a GPU, and leaves out the
others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.items import COMMAND, HERE, ITEMS, item_named
from benchmarks.runner import LOG, Runner, summary

__all__ = ["main", "unlisted"]

# Started by other commands, or by those who want to look at a computed flow.
PARTS = {"__main__", "items", "measurement", "reaction_diffusion"}


def unlisted() -> list[str]:
    """Return the commands of this folder that no item runs."""
    known = PARTS | {item.module for item in ITEMS}
    return [path.stem for path in sorted(HERE.glob("*.py")) if path.stem not in known and COMMAND in path.read_text()]


def listing() -> str:
    """Return the table of benchmarks."""
    width = max(len(item.name) for item in ITEMS)
    rows = [f"{'':{width}}  {'small':>8} {'--full':>8}"]
    for item in ITEMS:
        small = "-" if item.quick is None else f"{60 * item.minutes[0]:.0f} s"
        full = "-" if item.full is None else f"{item.minutes[1]:.0f} min"
        missing = "" if item.exists else " (not there)"
        rows.append(f"{item.name:{width}}  {small:>8} {full:>8}  {item.shows}{missing}")
    others = unlisted()
    if others:
        rows.append("by themselves only: " + ", ".join(f"python -m benchmarks.{name}" for name in others))
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="benchmarks by name")
    parser.add_argument("--full", action="store_true", help="what the README's tables are made of: hours")
    parser.add_argument("--fresh", action="store_true", help="run again what was done")
    parser.add_argument("--device", help="of the networks, as cuda; only the benchmarks that have some then run")
    parser.add_argument("--list", action="store_true", help="run nothing, say what there is")
    parser.add_argument("--summary", action="store_true", help="run nothing, sum up what was done")
    parser.add_argument("--out", type=Path, default=LOG, help=f"the file of runs ({LOG})")
    given = parser.parse_args(argv)
    names = {item.name for item in ITEMS}
    for name in given.only or ():
        if name not in names:
            parser.error(f"there is no benchmark {name!r}; known: {', '.join(sorted(names))}")
    if given.list:
        print(listing())
        return 0
    items = [item_named(name) for name in given.only] if given.only else ITEMS
    if given.device is not None:
        items = [item for item in items if item.devices]
        if not items:
            parser.error(f"--device: none of {', '.join(given.only)} has networks to put on {given.device}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    runner = Runner(
        given.out,
        full=given.full,
        fresh=given.fresh,
        about=about,
        device=given.device,
        say=lambda text: print(text, flush=True),
    )
    if given.summary:
        results = [record for item in items if (record := runner.known(item)) is not None]
        print(summary(results) if results else f"nothing is done yet in {given.out}")
        return 0
    try:
        results = runner.run(items)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    print("\n" + summary(results))
    return 0 if all(record["state"] in ("done", "left out") for record in results) else 1


def about() -> dict:
    """Return the machine, its matrix rate and the versions."""
    from benchmarks.measurement import machine, matrix_rate

    return {**machine(), "rate": round(matrix_rate(), 1), "threads": os.environ.get("OMP_NUM_THREADS")}


if __name__ == "__main__":
    sys.exit(main())
