"""What the commands say and write about a result: words for the terminal, one JSON object, a directory of files."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from sciml.errors import ArgumentError, ScimlError
from sciml.storage import plain, write_csv
from sciml.typography import pretty, short

if TYPE_CHECKING:
    from sciml.comparison import Comparison, Reference
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = [
    "Results",
    "describe_problem",
    "failure",
    "json_text",
    "results_directory",
    "title",
    "versions",
    "write_json",
]


@final
@dataclass(frozen=True)
class Results:
    """A solution with everything that was measured about it.

    Attributes
    ----------
    problem, method ("pinn" or "classical"), solution, seed
    against : the Reference, or None; `note` then says why.
    error : relative L2 error against it, or None.
    comparison : with the classical solver, or None.
    """

    problem: Problem
    method: str
    solution: Solution
    seed: int
    against: Reference | None = None
    error: float | None = None
    note: str = ""
    comparison: Comparison | None = None

    def error_line(self) -> str:
        """Return the sentence about the error."""
        estimate = self.solution.estimate
        estimated = "no estimate" if estimate is None else f"estimate {short(estimate)}"
        if self.error is None or self.against is None:
            return f"relative L2 error not known ({estimated}): {self.note}"
        return f"relative L2 error {self.against.shown(self.error, 2)} against {self.against.text} ({estimated})"

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        details, against = self.solution.details, self.against
        at_limit = None if against is None or self.error is None else self.error <= against.accuracy
        return {
            "problem": title(self.problem),
            "equations": self.problem.to_dict()["equations"],
            "method": self.method,
            "solver": self.solution.method,
            "success": self.solution.success,
            "status": self.solution.status.value,
            "message": self.solution.message,
            "error": self.error,
            "error_at_limit": at_limit,
            "reference": None if against is None else against.kind,
            "reference_accuracy": None if against is None else against.accuracy,
            "estimate": self.solution.estimate,
            "seconds": self.solution.wall_time,
            "iterations": details.get("iterations"),
            "parameters": details.get("parameter_count", details.get("unknown_count")),
            "values": dict(self.problem.parameters),
            "seed": self.seed,
            "versions": versions(),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "note": self.note or None,
        }

    def write_solution(self, directory: Path) -> list[str]:
        """Write solution and history; return the names of the files, or why one is missing."""
        try:
            written = [self.solution.save(directory / "solution.safetensors").name]
        except ScimlError as error:
            written = [f"no solution file ({error})"]
        if self.solution.history:
            written.append(write_csv(self.solution.history, directory / "history.csv").name)
        return written

    def write_report(self, directory: Path, command: Sequence[str], options: Mapping[str, Any]) -> list[str]:
        """Write figure and configuration; return the names of the files, or why one is missing."""
        from sciml.plotting import plot, write_figure

        written: list[str] = []
        try:
            figure = plot(self.solution, reference=self.against)
            written += [write_figure(figure, directory / f"figure.{suffix}").name for suffix in ("png", "pdf")]
        except ScimlError as error:
            written.append(f"no figure ({error})")
        config = {
            "command": list(command),
            "options": {name: value for name, value in options.items() if name != "json"},
            "problem": self.problem.to_dict(),
            "result": self.to_dict(),
            "platform": platform.platform(),
        }
        return [*written, write_json(config, directory / "config.json").name]


def failure(problem: Problem, method: str, seed: int, message: str) -> dict[str, Any]:
    """Return what `--json` prints where there is no solution at all."""
    missing = (
        "solver",
        "error",
        "error_at_limit",
        "reference",
        "reference_accuracy",
        "estimate",
        "seconds",
        "iterations",
        "parameters",
        "comparison",
    )
    return {
        "problem": title(problem),
        "equations": problem.to_dict()["equations"],
        "method": method,
        "success": False,
        "status": "failed",
        "message": message,
        "values": dict(problem.parameters),
        "seed": seed,
        "versions": versions(),
        "note": None,
        **dict.fromkeys(missing),
    }


def title(problem: Problem) -> str:
    """Return the name of a problem, or its equations where it has none."""
    return problem.name or ", ".join(problem.to_dict()["equations"])


def json_text(value: Any, indent: int | None = None) -> str:
    """Return strict JSON; numbers that are not finite become null."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def write_json(value: Any, path: Path) -> Path:
    """Write strict JSON for people and programs."""
    path.write_text(json_text(value, indent=2) + "\n", encoding="utf-8")
    return path


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in ("sciml", "torch", "numpy", "scipy", "sympy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            from sciml import __version__

            found[name] = __version__ if name == "sciml" else "not installed"
    return found


@contextmanager
def results_directory(path: str | Path, holds: Sequence[str] = ("config.json",)) -> Iterator[Path]:
    """Make the directory of results before hours of work could be lost for want of it; none is left behind empty.

    Where it holds files of an earlier run with these names, a line on stderr says that they are written over.
    """
    directory = Path(path)
    if any((directory / name).is_file() for name in holds):
        print(f"note: {path} holds an earlier run, whose files are written over; --out DIR keeps them", file=sys.stderr)
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArgumentError(f"--out: nothing can be written to {str(path)!r}: {error.strerror or error}") from None
    try:
        yield directory
    finally:
        with suppress(OSError):  # not empty, as it should be
            for folder in made:
                folder.rmdir()


def describe_problem(problem: Problem) -> str:
    """Return the problem for the terminal: name, equations, conditions, domain, parameters."""
    declared = problem.to_dict()
    encoding = sys.stdout.encoding or "ascii"
    lines = [f"{problem.name}: {problem.description}"] if problem.name else []
    lines += [f"    {pretty(text, encoding)}" for text in declared["equations"]]
    conditions = "; ".join(pretty(text, encoding) for text in declared["conditions"])
    lines += [f"    {conditions}"] if conditions else []
    values = [f"{pretty(name, encoding)} = {value:.6g}" for name, value in problem.parameters.items()]
    lines.append(f"    {'; '.join([str(problem.domain), *values])}")
    return "\n".join(lines)
