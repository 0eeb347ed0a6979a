"""The table of discoveries: how often the right law is found, how sure it was, how long it took, and pysindy beside it.

    python -m benchmarks.discovery [--draws 20] [--first 0] [--only lorenz messy hopf mhd dysts five misfit]
        [--quick] [--fresh]
    python -m benchmarks.discovery --table

Every draw appends one JSON line to runs/benchmarks/discovery.jsonl; what is there already is not run again, so an
interrupted command resumes. Draws 0-49 (seeds) and the first half of the systems of dysts by name were used while
developing; draws from 50 on and the second half were not, and the table says which they are.

The chaotic systems are read from dysts: `pip install --no-deps dysts`. Its own requirements (gluonts, and with it
pandas below 3) contradict constraints.txt and are not needed here.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks import chaotic
from benchmarks.lines import append_line, read_lines
from benchmarks.measurement import machine
from benchmarks.normal_forms import HOPF, MHD, normal_record
from sciml import sindy

__all__ = ["CELLS", "Cell", "main"]

OUT = Path("runs") / "benchmarks" / "discovery.jsonl"
DEVELOPMENT = 50
LORENZ = {"x": {"x": -10.0, "y": 10.0}, "y": {"x": 28.0, "y": -1.0, "x*z": -1.0}, "z": {"z": -8 / 3, "x*y": 1.0}}
# Groups that take the systems of dysts, and how many trajectories "five" makes of a longer one.
CHAOTIC, PIECES = ("dysts", "five", "misfit"), 5
Law = Mapping[str, Mapping[str, float]]
NORMAL_FORMS: Mapping[str, Law] = {"hopf": HOPF, "mhd": MHD}


@final
@dataclass(frozen=True)
class Cell:
    """A line of the table: data of one kind, of which there are draws.

    Attributes
    ----------
    name : of the line
    group : "lorenz", "messy", "hopf", "mhd", "dysts", "five" (trajectories) or "misfit" (the library lacks the highest
        terms)
    noise : standard deviation relative to each state's root mean square; seconds : length of the record
    required : the rate of exact supports; of raised flags in the group "misfit"
    mess : what else happens to the record.
    """

    name: str
    group: str
    noise: float
    seconds: float
    required: float
    mess: str = ""
    quick: bool = False


CELLS: tuple[Cell, ...] = (
    Cell("Lorenz 1 %, 2 s", "lorenz", 0.01, 2, 0.98, quick=True),
    Cell("Lorenz 2.5 %, 3 s", "lorenz", 0.025, 3, 0.98),
    Cell("Lorenz 5 %, 2 s", "lorenz", 0.05, 2, 0.85),
    Cell("Lorenz 5 %, 5 s", "lorenz", 0.05, 5, 0.94),
    Cell("Lorenz 5 %, 10 s", "lorenz", 0.05, 10, 0.96),
    Cell("Lorenz 10 %, 2 s", "lorenz", 0.1, 2, 0.60),
    Cell("Lorenz 10 %, 5 s", "lorenz", 0.1, 5, 0.90),
    Cell("Lorenz 10 %, 10 s", "lorenz", 0.1, 10, 0.94, quick=True),
    Cell("Lorenz 20 %, 10 s", "lorenz", 0.2, 10, 0.85),
    Cell("Lorenz 30 %, 10 s", "lorenz", 0.3, 10, 0.60),
    Cell("Lorenz 2.5 %, 10 s, 5 % garbage", "messy", 0.025, 10, 0.95, "garbage 0.05", quick=True),
    Cell("Lorenz 2.5 %, 10 s, 20 % garbage", "messy", 0.025, 10, 0.90, "garbage 0.20"),
    Cell("Lorenz 2.5 %, 10 s, 20 % missing", "messy", 0.025, 10, 0.95, "missing 0.20"),
    Cell("Lorenz 2.5 %, 10 s, irregular times", "messy", 0.025, 10, 0.95, "irregular"),
    Cell("Hopf normal form 0.2 %, T = 16", "hopf", 0.002, 16, 1.00),
    Cell("Magnetohydrodynamics 6-D 0.2 %, T = 2.4", "mhd", 0.002, 2.4, 0.96),
    Cell("dysts, clean", "dysts", 0.0, 0, 0.95),
    Cell("dysts, 1 %", "dysts", 0.01, 0, 0.97),
    Cell("dysts, 5 %", "dysts", 0.05, 0, 0.93),
    Cell("dysts, 10 %", "dysts", 0.1, 0, 0.85),
    Cell("dysts, 1 %, 5 x 1,000 samples", "five", 0.01, 0, 0.97),
    Cell("dysts, 1 %, a degree too low: flagged", "misfit", 0.01, 0, 0.95),
)


def lorenz(times: np.ndarray) -> np.ndarray:
    """Return states [N, 3] of Lorenz' system from (-8, 7, 27) on."""

    def slope(t: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    grid = np.unique(np.append(0.0, times))
    states = solve_ivp(slope, (0, grid[-1]), (-8, 7, 27), "DOP853", grid, rtol=1e-11, atol=1e-12).y.T
    return states[np.searchsorted(grid, times)]


def noisy(states: np.ndarray, level: float, draw: int) -> np.ndarray:
    """Return states with Gaussian noise relative to their root mean squares."""
    size = np.sqrt(np.mean(states**2, axis=0))
    return states + level * size * np.random.default_rng(draw).normal(size=states.shape)


def record_of(cell: Cell, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times and samples of a draw of a Lorenz cell."""
    rng = np.random.default_rng(100_000 + draw)
    times = np.arange(0, cell.seconds - 1e-9, 0.01)
    if cell.mess == "irregular":
        times = np.sort(rng.uniform(0, cell.seconds, len(times)))
    clean = lorenz(times)
    samples = noisy(clean, cell.noise, draw)
    kind, _, part = cell.mess.partition(" ")
    if kind == "missing":
        samples[rng.random(samples.shape) < float(part)] = np.nan
    if kind == "garbage":
        margin = 0.2 * np.ptp(clean, axis=0)
        wild = rng.uniform(clean.min(axis=0) - margin, clean.max(axis=0) + margin, samples.shape)
        samples = np.where(rng.random(samples.shape) < float(part), wild, samples)
    return times, samples


def judge(law: sindy.Discovery, truth: Law) -> dict[str, Any]:
    """Compare a discovery with the truth."""

    def right(found: Law) -> bool:
        return all(set(found[name]) == set(truth[name]) for name in truth)

    exact = right(law.coefficients)
    ranks = [k + 1 for k, other in enumerate(law.alternatives) if right(other.coefficients)]
    result = {
        "exact": exact,
        "rank": 0 if exact else (ranks[0] if ranks else None),
        "trusted": law.trusted,
        "misfit": bool(law.diagnostics["misfit"] > 1.001e-3),
        "seconds": law.wall_time,
        "weight": law.diagnostics.get("weight"),
    }
    if exact:
        pairs = [(name, term, value) for name, terms in truth.items() for term, value in terms.items()]
        off = np.array([law.coefficients[name][term] - value for name, term, value in pairs])
        result["error"] = float(np.linalg.norm(off) / np.linalg.norm([value for _, _, value in pairs]))
        inside = [law.intervals[name][term][0] <= value <= law.intervals[name][term][1] for name, term, value in pairs]
        result["covered"], result["coefficients"] = int(sum(inside)), len(inside)
    return result


def beside(times: np.ndarray, samples: np.ndarray, names: tuple[str, ...], truth: Law, degree: int) -> dict[str, Any]:
    """Run pysindy with its defaults, and bagged with a threshold of 0.2 and an inclusion of 0.6."""
    import pysindy

    if not np.isfinite(samples).all():
        return {}
    result: dict[str, Any] = {}
    for label in ("defaults", "bagging"):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library = pysindy.PolynomialLibrary(degree=degree)
            if label == "defaults":
                model = pysindy.SINDy(feature_library=library)
                model.fit(samples, t=times, feature_names=list(names))
                table = model.coefficients()
            else:
                # The generator of its bootstraps is the global one.
                np.random.seed(0)  # noqa: NPY002
                ensemble = pysindy.EnsembleOptimizer(pysindy.STLSQ(threshold=0.2), bagging=True, n_models=50)
                smoothed = pysindy.SmoothedFiniteDifference()
                model = pysindy.SINDy(optimizer=ensemble, feature_library=library, differentiation_method=smoothed)
                model.fit(samples, t=times, feature_names=list(names))
                table = np.mean(np.array(ensemble.coef_list) != 0, axis=0) >= 0.6
        from sciml.sindy.adoption import library_of

        texts = [term.text for term in library_of(pysindy.PolynomialLibrary(degree=degree), names).terms(names)]
        labels = [text.replace(" ", "*").replace("^", "**") for text in library.get_feature_names(list(names))]
        order = {text: k for k, text in enumerate(labels)}
        exact = all(
            {text for text in texts if table[i][order[text]]} == set(truth[name]) for i, name in enumerate(names)
        )
        result[label] = {"exact": bool(exact), "seconds": time.perf_counter() - start}
    return result


def jobs(cells: list[Cell], draws: range) -> Iterator[tuple[Cell, int, str]]:
    """Yield every draw of every cell with the name of its system."""
    for cell in cells:
        if cell.group in CHAOTIC:
            for k, system in enumerate(chaotic.systems()):
                yield cell, k, system.name
        else:
            for draw in draws:
                yield cell, draw, cell.group if cell.group in NORMAL_FORMS else "Lorenz"


def run(cell: Cell, draw: int, system: str, compare: bool) -> dict[str, Any]:
    """Run one draw."""
    truth: Law = LORENZ
    names: tuple[str, ...] = ("x", "y", "z")
    degree, held_out = 5, draw >= DEVELOPMENT
    if cell.group in CHAOTIC:
        known = chaotic.systems()
        own = next(each for each in known if each.name == system)
        truth, names, degree = own.law, own.names, own.degree - 1 if cell.group == "misfit" else 4
        held_out = draw >= len(known) // 2
        times, clean = own.trajectory(chaotic.POINTS * (PIECES if cell.group == "five" else 1))
        if len(clean) < len(times):
            return {"failure": "the reference could not be integrated"}
        samples = noisy(clean, cell.noise, draw)
    elif cell.group in NORMAL_FORMS:
        truth = NORMAL_FORMS[cell.group]
        names = tuple(truth)
        times, samples = normal_record(truth, cell.seconds, cell.noise, draw)
    else:
        times, samples = record_of(cell, draw)
    pieces = (np.split(times, PIECES), np.split(samples, PIECES)) if cell.group == "five" else (times, samples)
    law = sindy.discover(*pieces, names=names, degree=degree)
    found = judge(law, truth) | {"held_out": held_out}
    if cell.group == "misfit":
        return {"misfit": found["misfit"], "trusted": law.trusted, "seconds": law.wall_time, "held_out": held_out}
    if compare and cell.group != "five":
        found["pysindy"] = beside(times, samples, names, truth, degree)
    return found


def table(records: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    head = (
        "| data | draws | exact | first two | required | error | 95 % covers | trusted, wrong | misfit | s (median) |"
    )
    lines = [head + " pysindy defaults, bagging |", "|" + " --- |" * 11]
    for cell in CELLS:
        for fresh in (False, True):
            own = [r for r in records if r["cell"] == cell.name and r.get("held_out") == fresh and "exact" in r]
            flags = [r for r in records if r["cell"] == cell.name and r.get("held_out") == fresh and "exact" not in r]
            flags = [r for r in flags if "misfit" in r]
            if flags:
                rate, kind = sum(r["misfit"] for r in flags) / len(flags), "never used" if fresh else "development"
                seconds = float(np.median([r["seconds"] for r in flags]))
                lines.append(
                    f"| {cell.name} ({kind}) | {len(flags)} | - | - | {cell.required:.2f} | - | - "
                    f"| {sum(r['trusted'] for r in flags) / len(flags):.2f}, - | {rate:.2f} | {seconds:.2f} | - |"
                )
            if not own:
                continue
            n = len(own)
            exact = [r for r in own if r["exact"]]
            two = sum(r["rank"] in (0, 1) for r in own) / n
            covered = sum(r["covered"] for r in exact) / max(sum(r["coefficients"] for r in exact), 1)
            error = float(np.median([r["error"] for r in exact])) if exact else float("nan")
            others = []
            for label in ("defaults", "bagging"):
                tried = [r["pysindy"][label]["exact"] for r in own if r.get("pysindy", {}).get(label)]
                others.append(f"{np.mean(tried):.2f}" if tried else "-")
            wrong = sum(r["trusted"] and not r["exact"] for r in own)
            seconds = float(np.median([r["seconds"] for r in own]))
            kind = "never used" if fresh else "development"
            lines.append(
                f"| {cell.name} ({kind}) | {n} | {len(exact) / n:.2f} | {two:.2f} | {cell.required:.2f} | {error:.1e} "
                f"| {covered:.3f} | {sum(r['trusted'] for r in own) / n:.2f}, {wrong / n:.2f} "
                f"| {sum(r['misfit'] for r in own) / n:.2f} | {seconds:.2f} | {', '.join(others)} |"
            )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20, help="draws of each cell but those of dysts")
    parser.add_argument("--first", type=int, default=0, help="the first draw; 50 and up were never used")
    parser.add_argument(
        "--only", nargs="*", default=[], help="groups (lorenz, messy, hopf, mhd, dysts, five, misfit) or parts of names"
    )
    parser.add_argument("--quick", action="store_true", help="three cells, five draws")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    parser.add_argument("--alone", action="store_true", help="without pysindy")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(argv)
    if given.fresh and given.out.exists():
        given.out.unlink()
    records = read_lines(given.out)
    if given.table:
        print(table(records))
        return 0
    cells = [c for c in CELLS if not given.only or c.group in given.only or any(part in c.name for part in given.only)]
    if given.quick:
        cells = [c for c in cells if c.quick]
    if any(c.group in CHAOTIC for c in cells) and not chaotic.available():
        print(f"the systems of dysts are left out: {chaotic.INSTALL}")
        cells = [c for c in cells if c.group not in CHAOTIC]
    draws = range(given.first, given.first + (min(given.draws, 5) if given.quick else given.draws))
    done = {(r["cell"], r["draw"], r["system"]) for r in records}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    about = machine()
    for cell, draw, system in jobs(cells, draws):
        if (cell.name, draw, system) in done:
            continue
        measured = {"cell": cell.name, "draw": draw, "system": system, **run(cell, draw, system, not given.alone)}
        records.append(measured)
        append_line(given.out, {**measured, "machine": about})
        says = "right" if measured.get("exact") else measured.get("failure", "wrong")
        if cell.group == "misfit":
            says = "flagged" if measured.get("misfit") else measured.get("failure", "not flagged")
        print(f"{cell.name:36} {draw:3} {system:20} {says:6} {measured.get('seconds', 0):6.2f} s", flush=True)
    print(table(records))
    return 0


if __name__ == "__main__":
    sys.exit(main())
