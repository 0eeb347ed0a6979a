"""Runs the benchmarks one after another, each in a process of its own, keeps what they said, and goes on after a stop.

Every run appends one JSON line to the file of runs and leaves its output beside it. A run that was done is not run
again; one that failed, was killed or took too long is, and loses nothing but itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from benchmarks.items import OUT, Item
from benchmarks.lines import append_line, read_lines

__all__ = ["LOG", "Runner", "summary"]

Record = dict[str, Any]
LOG = OUT / "runs.jsonl"
ROOT = Path(__file__).resolve().parent.parent
# An item may take this many times as long as it is said to, and a while on top for a slow machine.
PATIENCE, LEAST = 6.0, 600.0
LAST_LINES, MOST_LINES = 12, 40


@final
@dataclass
class Runner:
    """What runs items into a file.

    Attributes
    ----------
    path : the file of runs, JSON lines.
    full : whether to run the full commands.
    fresh : whether to forget what was done.
    about : returns what the numbers depend on: processor, versions.
    device : what commands that know `--device` are given; None for their own choice.
    command : what starts a module; the module's name and its arguments follow.
    """

    path: Path = LOG
    full: bool = False
    fresh: bool = False
    about: Callable[[], Record] = dict
    device: str | None = None
    command: Sequence[str] = (sys.executable, "-u", "-m")
    say: Callable[[str], None] = print
    _about: Record | None = field(default=None, init=False)

    @property
    def mode(self) -> str:
        """Which of an item's commands is run."""
        return "full" if self.full else "quick"

    def records(self) -> list[Record]:
        """Return all runs."""
        return read_lines(self.path)

    def known(self, item: Item) -> Record | None:
        """Return the latest run of the same command, if it was done."""
        arguments = list(item.arguments(self.full, self.device) or ())
        for record in reversed(self.records()):
            if (record["name"], record["mode"], record["arguments"]) == (item.name, self.mode, arguments):
                return record if record["state"] == "done" else None
        return None

    def run(self, items: Sequence[Item]) -> list[Record]:
        """Run what is not done and return a record of each item; an interruption ends the present one and is raised."""
        results: list[Record] = []
        for k, item in enumerate(items, 1):
            head = f"[{k}/{len(items)}] {item.name}"
            arguments = item.arguments(self.full, self.device)
            if not item.exists or arguments is None:
                reason = f"there is no benchmarks/{item.module}.py" if not item.exists else f"no {self.mode} run"
                results.append({"name": item.name, "mode": self.mode, "state": "left out", "reason": reason})
                self.say(f"{head}: left out, {reason}")
                continue
            known = None if self.fresh else self.known(item)
            if known is not None:
                results.append(known)
                self.say(f"{head}: done before in {known['seconds']:.0f} s (--fresh runs it again)")
                continue
            minutes = item.minutes[self.full]
            self.say(f"{head}: python -m benchmarks.{item.module} {' '.join(map(_quoted, arguments))}")
            self.say(f"{'':{len(head)}}  about {60 * minutes:.0f} s")
            record = self._run(item, arguments, max(LEAST, 60 * PATIENCE * minutes))
            results.append(record)
            append_line(self.path, record)
            self.say(f"{'':{len(head)}}  {record['state']} in {record['seconds']:.0f} s{_why(record)}")
        return results

    def _run(self, item: Item, arguments: Sequence[str], limit: float) -> Record:
        if self._about is None:
            self._about = self.about()
        folder = self.path.resolve().parent / "output"
        folder.mkdir(parents=True, exist_ok=True)
        output, figures = folder / f"{item.name}-{self.mode}.txt", folder / f"{item.name}-{self.mode}.json"
        given = [*arguments]
        if item.writes:
            figures.unlink(missing_ok=True)
            given += ["--json", str(figures)]
        if item.resumes and self.fresh:
            given.append("--fresh")
        record: Record = {
            "name": item.name,
            "mode": self.mode,
            "module": item.module,
            "arguments": list(arguments),
            "seed": item.seed,
            "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "load": round(os.getloadavg()[0], 2),
            "machine": self._about,
        }
        start = time.perf_counter()
        with output.open("w") as file:
            process = subprocess.Popen(
                [*self.command, f"benchmarks.{item.module}", *given],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                # A command's own processes end with it, also when this one is interrupted.
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        text = output.read_text(errors="replace")
        state = "done" if code == 0 else "too long" if code is None else "killed" if code < 0 else "failed"
        record |= {"state": state, "exit": code, "seconds": round(time.perf_counter() - start, 2)}
        record["lines"] = _shown(text, item.shown if state == "done" else ())
        if figures.exists() and state == "done":
            record["figures"] = _figures(figures)
        return record


def summary(results: Sequence[Record]) -> str:
    """Return all results as text: what each benchmark printed that matters, then a line for each."""
    parts: list[str] = []
    for record in results:
        if lines := record.get("lines"):
            parts.append("\n".join([f"== {record['name']} ({record['state']})", *lines, ""]))
    width = max((len(record["name"]) for record in results), default=0)
    rows = []
    for record in results:
        seconds = f"{record['seconds']:7.0f} s" if "seconds" in record else f"{'':9}"
        rows.append(f"{record['name']:{width}}  {record['state']:9}{seconds}{_why(record)}")
    total = sum(record.get("seconds", 0.0) for record in results)
    count = sum(record["state"] == "done" for record in results)
    versions = next((r["machine"].get("versions", {}) for r in results if r.get("machine")), {})
    about = ", ".join(f"{name} {version}" for name, version in versions.items())
    rows.append(f"{count} of {len(results)} done, {total:.0f} s in all{'; ' + about if about else ''}")
    return "\n".join([*parts, *rows])


def _why(record: Record) -> str:
    if record["state"] == "left out":
        return f"  {record['reason']}"
    if record["state"] in ("failed", "killed"):
        last = (record.get("lines") or [""])[-1]
        return f"  exit code {record['exit']}: {last[:100]}"
    return ""


def _shown(text: str, patterns: Sequence[str]) -> list[str]:
    """Return the lines that match a pattern, or the last ones where there is none."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if patterns:
        lines = [line for line in lines if any(re.search(pattern, line) for pattern in patterns)]
        return lines[-MOST_LINES:]
    return lines[-LAST_LINES:]


def _figures(path: Path) -> Any:
    """Return what a command wrote: one JSON value, or the last of JSON lines."""
    text = path.read_text().strip()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return json.loads(text.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return None


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument
