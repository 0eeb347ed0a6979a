"""Every bundled problem through `python -m sciml.solve NAME --json`, as a user runs it; prints the README's table.

    python -m benchmarks.problems [NAME ...] [--budget SECONDS] [--markdown]

One line a problem: the network's relative L2 error, its own estimate and seconds, the classical solver's seconds to the
same error, and the whole command's wall time. One JSON line a problem is appended to runs/problems.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import sciml
from benchmarks.lines import append_line

# lorenz is chaotic: the network is judged on one Lyapunov time.
SETTINGS: dict[str, list[str]] = {"lorenz": ["--set", "T=1.1"]}


def run(name: str, budget: float | None) -> dict:
    """Run the command on one problem; returns its JSON object with the wall time and exit code added."""
    command = [sys.executable, "-m", "sciml.solve", name, "--json", *SETTINGS.get(name, [])]
    if budget is not None:
        command += ["--budget", str(budget)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    wall = time.perf_counter() - start
    try:
        result = json.loads(done.stdout)
    except json.JSONDecodeError:
        result = {"problem": name, "message": done.stderr.strip() or done.stdout.strip()}
    return {**result, "exit": done.returncode, "wall": wall}


def number(value: float | None, digits: str = ".1e") -> str:
    """Format a number, or a dash."""
    return "-" if value is None else format(value, digits)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.problems", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="problems; all by default")
    parser.add_argument("--budget", type=float, help="seconds for the network")
    parser.add_argument("--markdown", action="store_true", help="print a table for the README")
    options = parser.parse_args(argv)
    names = options.names or list(sciml.names())
    out = Path("runs") / "problems.jsonl"
    out.parent.mkdir(exist_ok=True)
    columns = ["problem", "error", "estimate", "seconds", "status", "classical to the same error", "wall"]
    if options.markdown:
        print("| " + " | ".join(columns) + " |")
        print("| --- " * len(columns) + "|")
    else:
        print(f"{'problem':22}{'error':>9}{'estimate':>10}{'seconds':>9}  {'status':12}{'classical':>10}{'wall':>7}")
    solved = 0
    for name in names:
        result = run(name, options.budget)
        error = result.get("error")
        solved += error is not None and error <= 1e-2
        comparison = result.get("comparison") or {}
        cells = [
            name,
            number(error),
            number(result.get("estimate")),
            number(result.get("seconds"), ".1f"),
            str(result.get("status", result.get("message"))),
            number(comparison.get("classical_seconds"), ".2f"),
            number(result["wall"], ".0f"),
        ]
        if options.markdown:
            print("| " + " | ".join(cells) + " |", flush=True)
        else:
            row = f"{cells[0]:22}{cells[1]:>9}{cells[2]:>10}{cells[3]:>9}  {cells[4]:12}{cells[5]:>10}{cells[6]:>7}"
            print(row, flush=True)
        append_line(out, result)
    print(f"\n{solved} of {len(names)} with a relative L2 error of 1e-2 or less")
    return 0


if __name__ == "__main__":
    sys.exit(main())
