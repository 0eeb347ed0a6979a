"""Markdown tables from the measurements of `benchmarks.accuracy`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.measurement import ROUNDING, key
from benchmarks.rows import RATE, ROWS, Row

__all__ = ["DECADES", "tables"]

Record = Mapping[str, Any]
DECADES = tuple(10.0**-k for k in range(2, 8))
# An estimate this many times too small or too large is flagged.
HONEST = 10.0
# Times closer than this factor are called equal: the clock of a shared machine is no better.
EQUAL = 1.3


def tables(records: Sequence[Record], runs: bool = False) -> str:
    """Return all tables; `runs` adds one line for each seed."""
    networks = latest(records, "network")
    measured = [row for row in ROWS if any(name == row.name for name, _ in networks)]
    parts = [_machine([*networks.values(), *latest(records, "deepxde").values()])]
    for title, wanted in (
        ("Bundled problems", [row for row in measured if row.group != "typed"]),
        ("Problems typed as text, with exact solutions", [row for row in measured if row.group == "typed"]),
    ):
        if wanted:
            parts += [f"## {title}", _main_table(wanted, records)]
    required = [row for row in measured if row.required]
    if required:
        parts += ["## Required", _required(required, networks, _rate(networks.values()))]
    parts += ["## Honesty of the estimate", _honesty(networks)]
    if runs:
        parts += ["## Every run", _every_run(networks)]
    return "\n\n".join(parts) + "\n"


def latest(records: Iterable[Record], kind: str) -> dict[tuple[str, int], Record]:
    """Return the last record of each name and seed, in the order of the names' first measurements."""
    return {(record["name"], record.get("seed", 0)): record for record in records if record["kind"] == kind}


def _markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _error(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.1e}"


def _seconds(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 20 else f"{value:.0f}"


def _factor(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{float(f'{value:.2g}'):.0f}"


def _times(records: Sequence[Record], error: float) -> list[float]:
    return [record.get("seconds_to", {}).get(key(error), math.inf) for record in records]


def _spread(values: Sequence[float]) -> str:
    """The median, with the worst of several behind it."""
    middle = _seconds(median(values))
    return middle if len(values) == 1 or middle == "-" else f"{middle} ({_seconds(max(values))})"


def _known(records: Sequence[Record], name: str) -> list[float]:
    return [float(record[name]) for record in records if record.get(name) is not None]


def _middle(records: Sequence[Record], name: str) -> float | None:
    values = _known(records, name)
    return median(values) if values else None


def _rate(records: Iterable[Record]) -> float:
    """The machine's matrix rate: the fastest measured, since another process only ever lowers it."""
    return max((record["rate"] for record in records if "rate" in record), default=math.nan)


# -- tables ------------------------------------------------------------------------------------------------------------


def _machine(records: Sequence[Record]) -> str:
    # A run that was killed could not say where it ran.
    records = [record for record in records if "machine" in record]
    if not records:
        return "# Accuracy of the networks\n\nNothing has been measured yet."
    about = [record["machine"] for record in records]
    rates, loads = [record["rate"] for record in records], [record["load"] for record in records]
    versions = about[-1]["versions"]
    names = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "numpy", "scipy") if versions[name])
    commits = ", ".join(dict.fromkeys(str(a["versions"]["commit"]) for a in about))
    memory = f", {about[-1]['memory_gib']} GiB" if about[-1]["memory_gib"] else ""
    before = _known(records, "prepared")
    prepared = f"; interpreter, imports and declaration took {min(before):.1f} to {max(before):.1f} s" if before else ""
    threads = "/".join(sorted({str(record["threads"]) for record in records}))
    return (
        "# Accuracy of the networks\n\n"
        "Printed by `python -m benchmarks.accuracy`. Errors are relative L2 errors on 4096 fixed points (2001 in one "
        "dimension), over all unknowns that are judged. Seconds are wall time of `pinn.solve` from a cold start in a "
        "process of its own, sampling and the watching of the error included, imports not; of several seeds the "
        "median, in brackets the worst.\n\n"
        f"Machine: {about[-1]['processor']}, {about[-1]['cores']} cores{memory}; {threads} thread(s); float64 matrix "
        f"rate {max(rates):.1f} GFLOP/s a core ({min(rates):.1f} at the busiest moment); load average when a run began "
        f"{min(loads):.1f} to {max(loads):.1f}; {names}; commit {commits}{prepared}."
    )


def _main_table(rows: Sequence[Row], records: Sequence[Record]) -> str:
    networks, classical = latest(records, "network"), latest(records, "classical")
    columns = [
        "problem", *(f"s to {key(e).replace('e-0', 'e-')}" for e in DECADES), "best error", "estimate",
        "error/estimate", "parameters", "points", "seeds", "status", "classical, s", "faster",
    ]  # fmt: skip
    lines: list[list[str]] = []
    for row in rows:
        mine = [record for (name, _), record in networks.items() if name == row.name]
        against = classical.get((row.name, 0))
        lines.append([*_cells(row.name, mine), *_verdict(mine, against)])
        if row.name == "burgers":
            # A network that is asked for less begins no windows: each error counts with the quickest tolerance.
            ours = [
                [r for (name, _), r in networks.items() if name == other.name] for other in rows if _alike(other, row)
            ]
            for (name, _), record in latest(records, "deepxde").items():
                lines.append([*_cells(name, [record]), "", _beside([own for own in ours if own], record)])
    return _markdown(columns, lines)


def _cells(name: str, records: Sequence[Record]) -> list[str]:
    failures = [record["failure"] for record in records if record.get("failure")]
    seeds = sorted(record["seed"] for record in records)
    statuses = [record.get("status", "failed") for record in records]
    return [
        name,
        *(_spread(_times(records, error)) for error in DECADES),
        _error(_middle(records, "best")),
        _error(_middle(records, "estimate")),
        _ratio_text(records),
        _whole(_middle(records, "parameters")),
        _whole(_middle(records, "points")),
        str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}",
        failures[0] if failures else max(dict.fromkeys(statuses), key=statuses.count),
    ]


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _ratios(records: Iterable[Record]) -> list[float]:
    return [r["error"] / r["estimate"] for r in records if r.get("error") and r.get("estimate")]


def _ratio_text(records: Sequence[Record]) -> str:
    """The true error over the estimate of the seed where it is farthest from one, and a flag."""
    ratios = _ratios(records)
    if not ratios:
        return "-"
    worst = max(ratios, key=lambda ratio: abs(math.log(ratio)))
    flag = " **estimate too small**" if worst > HONEST else " estimate too large" if worst < 1 / HONEST else ""
    return f"{_factor(worst) if worst >= 1 else f'{worst:.2g}'}{flag}"


def _verdict(records: Sequence[Record], classical: Record | None) -> tuple[str, str]:
    """The classical solver's seconds to the network's error, and who is how much faster, and why if the network is."""
    best, seconds = _middle(records, "best"), _middle(records, "best_seconds")
    if best is None or seconds is None:
        return "-", "no result of the network"
    if classical is None:
        return "-", "not measured"
    steps = classical.get("steps", [])
    floor = max(best, ROUNDING, *_known(records, "reference_accuracy"))
    enough = [step["seconds"] for step in steps if step["error"] <= floor]
    if not enough:
        reason = classical.get("failure") or classical["reason"]
        if not steps:
            return "-", f"network: the classical solver has no result ({reason})"
        least = min(steps, key=lambda step: step["error"])
        return "-", f"network: the classical solver ends at {_error(least['error'])} ({reason})"
    theirs = max(min(enough), 1e-3)
    if seconds > EQUAL * theirs:
        return _seconds(theirs), f"classical, {_factor(seconds / theirs)} times"
    if theirs > EQUAL * seconds:
        return _seconds(theirs), f"**network**, {_factor(theirs / seconds)} times: {_why(records[0])}"
    return _seconds(theirs), "equal"


def _alike(row: Row, other: Row) -> bool:
    return row.source == other.source and row.optimizer == other.optimizer


def _beside(ours: Sequence[Sequence[Record]], theirs: Record) -> str:
    """How much sooner or later our network has the least error of another program's, and what it has at that's end."""
    best, seconds, end = theirs.get("best"), theirs.get("best_seconds"), theirs.get("seconds")
    if best is None or seconds is None or end is None:
        return "no result"
    infinite = (math.inf,)

    def when(record: Record) -> float:
        return min([s for s, error, _ in record.get("trace", []) if error <= best] or infinite)

    def reached(record: Record) -> float:
        return min([error for s, error, _ in record.get("trace", []) if s <= end] or infinite)

    middle = min((median(map(when, own)) for own in ours), default=math.inf)
    least = min((median(map(reached, own)) for own in ours), default=math.inf)
    if not math.isfinite(middle):
        return f"ours does not reach {_error(best)}"
    factor = seconds / max(middle, 1e-3)
    pace = f"{_factor(factor)} times sooner" if factor >= 1 else f"{_factor(1 / factor)} times later"
    return f"our network has {_error(best)} after {_seconds(middle)} s, {pace}; {_error(least)} at its end"


def _why(record: Record) -> str:
    if record.get("dimension", 1) >= 4:
        return "a grid has n^d points, the network's points do not grow with d like that"
    if "least-squares" in record.get("method", ""):
        return "one least-squares problem for space and time together, no steps, no second resolution"
    return "the classical solver needs many steps or a fine grid here, see its method"


def _required(rows: Sequence[Row], networks: Mapping[tuple[str, int], Record], rate: float) -> str:
    columns = ["problem", "error", "required s", "median s", "worst s", f"median s at {RATE:g} GFLOP/s", "verdict"]
    lines: list[list[str]] = []
    for row in rows:
        mine = [record for (name, _), record in networks.items() if name == row.name]
        for need in row.required:
            values = _times(mine, need.error)
            middle, worst = median(values), max(values)
            lines.append(
                [
                    row.name,
                    key(need.error).replace("e-0", "e-"),
                    f"{need.seconds:g}",
                    _seconds(middle),
                    _seconds(worst),
                    _seconds(middle * rate / RATE),
                    _judgement(middle, worst, need.seconds, rate / RATE),
                ]
            )
    return _markdown(columns, lines)


def _judgement(middle: float, worst: float, allowed: float, pace: float) -> str:
    if middle > allowed:
        return "**missed**" if math.isfinite(middle) else "**missed, not reached**"
    if worst > 3 * allowed:
        return "**missed by the worst seed**"
    return "met" if max(middle, worst / 3) * pace <= allowed else f"met here, not on a core of {RATE:g} GFLOP/s"


def _honesty(networks: Mapping[tuple[str, int], Record]) -> str:
    small = [r for r in networks.values() if any(ratio > HONEST for ratio in _ratios([r]))]
    large = [r for r in networks.values() if any(ratio < 1 / HONEST for ratio in _ratios([r]))]
    count = len([r for r in networks.values() if _ratios([r])])

    def listed(records: Sequence[Record]) -> str:
        names = [
            f"{r['name']} seed {r['seed']} ({_error(r['error'])} against {_error(r['estimate'])})" for r in records
        ]
        return f": {'; '.join(names)}" if names else ""

    missing = [f"{r['name']} seed {r['seed']}" for r in networks.values() if r.get("estimate") is None]
    return (
        f"Of {count} runs with an estimate, {len(small)} had one more than {HONEST:g} times too small{listed(small)}."
        "\n\n"
        f"{len(large)} had one more than {HONEST:g} times too large{listed(large)}."
        + (f"\n\nNo estimate: {', '.join(missing)}." if missing else "")
    )


def _every_run(networks: Mapping[tuple[str, int], Record]) -> str:
    columns = [
        "problem", "seed", *(f"s to {key(e).replace('e-0', 'e-')}" for e in DECADES), "s", "best error", "error",
        "estimate", "status", "parameters", "points", "windows", "method",
    ]  # fmt: skip
    lines: list[list[str]] = []
    for (name, seed), record in networks.items():
        lines.append(
            [
                name,
                str(seed),
                *(_seconds(value) for error in DECADES for value in _times([record], error)),
                _seconds(record.get("seconds", math.inf)),
                *(_error(record.get(column)) for column in ("best", "error", "estimate")),
                str(record.get("status", record.get("failure"))),
                *(str(record.get(column, "-")) for column in ("parameters", "points", "windows", "method")),
            ]
        )
    return _markdown(columns, lines)
