r"""Work-precision: error against wall time of networks, classical solvers, outside libraries and DeepXDE, by problem.

    python -m benchmarks.precision [--from FILE ...] [--only NAME ...] [--figure FILE]

Measures nothing: it reads the records of `benchmarks.accuracy` (runs/benchmarks/accuracy.jsonl) and of
`benchmarks.outside`, and draws one panel a problem. A curve is the least time in which an error was reached,

.. math:: t(e) = \min \{ t : error(t) \le e \},

of the network the median over its seeds, each with the tolerance that was quickest there; of the other solvers over
their ladders. Of the same run the last record counts. py-pde's compilation, seconds for
each new grid, is not counted. The table has the ratio of the network's t(e) to a competitor's.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, final

from benchmarks.lines import read_lines
from benchmarks.rows import ROWS, row_named

__all__ = ["Curve", "Panel", "main", "panels", "ratio", "ratios", "read"]

Record = Mapping[str, Any]
FOLDER = Path("runs") / "benchmarks"
SOURCES = tuple(FOLDER / f"{name}.jsonl" for name in ("accuracy", "outside"))
QUICK_SOURCES = tuple(FOLDER / f"{name}-quick.jsonl" for name in ("accuracy", "outside"))
DECADES = tuple(10.0**-k for k in (2, 3, 4, 5, 6, 8, 10))
# A clock says little below; no error in float64 says anything below the second.
SHORTEST, ROUNDING = 1e-3, 1e-16
OURS = ("network", "network, trained")
# Colour, line and marker by method in the order of the legend; colours of M. Okabe and K. Ito for the colour-blind.
STYLES: Mapping[str, tuple[str, Any, str]] = {
    "network": ("#0072B2", "-", ""),
    "network, trained": ("#56B4E9", "-", ""),
    "classical.solve": ("#D55E00", "-", "o"),
    "scikit-fem": ("#009E73", "--", "s"),
    "py-pde, compiled": ("#009E73", ":", "^"),
    "DeepXDE, float32": ("#000000", "--", ""),
    "DeepXDE, float64": ("#000000", ":", ""),
}


@final
@dataclass(frozen=True)
class Curve:
    """The running best of a method: (seconds, error), seconds rising, errors falling; and of each of its runs."""

    method: str
    points: tuple[tuple[float, float], ...]
    runs: tuple[tuple[tuple[float, float], ...], ...] = ()

    def seconds(self, error: float) -> float:
        """Return when the error was reached, infinite if never."""
        return _seconds(self.points, error)


@final
@dataclass(frozen=True)
class Panel:
    """All curves of a problem."""

    problem: str
    curves: tuple[Curve, ...]

    def curve(self, method: str) -> Curve | None:
        """Return the curve of a method, None if there is none."""
        return next((curve for curve in self.curves if curve.method == method), None)


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the records of the files that are there."""
    return [record for path in paths for record in read_lines(path)]


def panels(records: Iterable[Record]) -> list[Panel]:
    """Return a panel for each problem of which a network has been measured, in the order of the table's rows."""
    last = {(r["kind"], r["name"], r.get("seed", 0)): r for r in records if "kind" in r}
    runs: dict[str, dict[str, dict[int, list[tuple[float, float]]]]] = {}
    for (_, _, seed), record in last.items():
        named = _named(record)
        points = _points(record)
        if named is not None and points:
            problem, method = named
            runs.setdefault(problem, {}).setdefault(method, {}).setdefault(seed, []).extend(points)
    order = list(dict.fromkeys(row.source for row in ROWS))
    found: list[Panel] = []
    for problem in sorted(runs, key=lambda name: order.index(name) if name in order else len(order)):
        methods = runs[problem]
        if any(method in methods for method in OURS):
            found.append(Panel(problem, tuple(_curve(m, methods[m]) for m in STYLES if m in methods)))
    return found


def _named(record: Record) -> tuple[str, str] | None:
    """The problem and the method of a record."""
    kind, name = record["kind"], str(record["name"])
    if kind == "deepxde":
        return "burgers", f"DeepXDE, {record.get('precision', 'float32')}"
    if kind == "outside":
        library = name.rsplit(", ", 1)[-1]
        return record["row"], next((method for method in STYLES if method.startswith(library)), library)
    if kind not in ("network", "classical"):
        return None
    try:
        row = row_named(name)
    except KeyError:  # a row of a former version
        return None
    trained = row.optimizer != "auto"
    return row.source, "classical.solve" if kind == "classical" else OURS[trained]


def _points(record: Record) -> list[tuple[float, float]]:
    """Seconds and errors, whichever way they are kept."""
    if "trace" in record:
        pairs = [(step[0], step[1]) for step in record["trace"]]
    else:
        # A reference at the finest resolution is no step of the ladder.
        steps = [step for step in record.get("steps", ()) if "seconds" in step and step.get("method") != "reference"]
        pairs = [(step["seconds"], step["error"]) for step in steps]
    return [(max(float(s), SHORTEST), max(float(e), ROUNDING)) for s, e in pairs if s is not None and math.isfinite(e)]


def _front(points: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Those points that no other beats in both time and error."""
    kept: list[tuple[float, float]] = []
    for seconds, error in sorted(points):
        if not kept or error < kept[-1][1]:
            kept.append((seconds, error))
    return tuple(kept)


def _seconds(front: Sequence[tuple[float, float]], error: float) -> float:
    return next((seconds for seconds, least in front if least <= error), math.inf)


def _curve(method: str, seeds: Mapping[int, list[tuple[float, float]]]) -> Curve:
    """The median over the seeds of the time to each error."""
    fronts = [_front(points) for points in seeds.values()]
    errors = sorted({error for front in fronts for _, error in front}, reverse=True)
    middle = [(median(_seconds(front, error) for front in fronts), error) for error in errors]
    return Curve(method, _front(point for point in middle if math.isfinite(point[0])), tuple(fronts))


# -- ratios ------------------------------------------------------------------------------------------------------------


def ratio(panel: Panel, competitor: str, error: float) -> float | str | None:
    """Return how many times as long as the competitor the quickest network takes to an error.

    "network" or "competitor" if only that one reaches it, None if neither does.
    """
    theirs = panel.curve(competitor)
    ours = min((curve.seconds(error) for curve in panel.curves if curve.method in OURS), default=math.inf)
    other = theirs.seconds(error) if theirs is not None else math.inf
    if math.isfinite(ours) and math.isfinite(other):
        return ours / other
    return "network" if math.isfinite(ours) else "competitor" if math.isfinite(other) else None


def ratios(found: Sequence[Panel]) -> str:
    """Return the table of ratios, a line for each problem and competitor."""
    heads = [f"{error:.0e}".replace("e-0", "e-") for error in DECADES]
    lines = [_line(["problem", "against", *heads, "least error of both", "there"]), _line(["---"] * (len(heads) + 4))]
    for panel in found:
        for curve in panel.curves:
            if curve.method in OURS:
                continue
            ours = min(point[1] for other in panel.curves if other.method in OURS for point in other.points)
            common = max(ours, curve.points[-1][1])
            cells = [_cell(ratio(panel, curve.method, error)) for error in (*DECADES, common)]
            lines.append(_line([panel.problem, curve.method, *cells[:-1], f"{common:.1e}", cells[-1]]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return "network only" if value == "network" else "other only"
    return f"{float(f'{value:.2g}'):g}"


def circumstances(records: Sequence[Record]) -> str:
    """Return where and how busy the machine was, in a line."""
    about = [r for r in records if {"load", "threads", "machine"} <= set(r)]
    if not about:
        return "The records do not say where they were measured."
    loads = [float(r["load"]) for r in about]
    threads = "/".join(sorted({str(r["threads"]) for r in about}))
    machine = about[-1]["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores; {threads} thread(s); "
        f"load average when a run began {min(loads):.1f} to {max(loads):.1f}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.precision", description=(__doc__ or "").split("\n")[0].strip()
    )
    files = ", ".join(str(path) for path in SOURCES)
    parser.add_argument("--from", dest="sources", nargs="+", type=Path, metavar="FILE", help=f"records ({files})")
    parser.add_argument("--quick", action="store_true", help="the records of the small runs")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="problems (those with a competitor, typed ones not)")
    parser.add_argument("--figure", type=Path, metavar="FILE", help=f"where to draw ({FOLDER / 'precision.png'})")
    given = parser.parse_args(argv)
    sources = given.sources or (QUICK_SOURCES if given.quick else SOURCES)
    figure = given.figure or FOLDER / ("precision-quick.png" if given.quick else "precision.png")
    for path in given.sources or ():
        if not path.exists():
            parser.error(f"there is no file {path}")
    records = read(sources)
    found = panels(records)
    known = [panel.problem for panel in found]
    for name in given.only or ():
        if name not in known:
            parser.error(f"nothing is measured of {name!r}; known: {', '.join(known) or 'nothing'}")
    typed = {row.source for row in ROWS if row.group == "typed"}
    if given.only:
        found = [panel for panel in found if panel.problem in given.only]
    else:
        found = [p for p in found if p.problem not in typed and any(c.method not in OURS for c in p.curves)]
    if not found:
        print(f"no network and competitor in {', '.join(map(str, sources))}: run benchmarks.accuracy first")
        return 1
    from benchmarks.precision_figure import draw

    note = circumstances(records)
    print("Seconds of the network over seconds of the other at equal error; below 1 the network is faster.\n")
    print(ratios(found))
    print(f"\n{note}.\nwritten to {draw(found, figure, note)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
