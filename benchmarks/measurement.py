"""One measurement of the accuracy table, in a process of its own: a network, a reference, a classical solver, others.

`python -m benchmarks.measurement JOB` is what `benchmarks.accuracy` runs; it prints one JSON object.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from benchmarks.rows import problem_of, row_named
from sciml import Problem, Solution
from sciml.errors import ProblemError, ScimlError, SolveError
from sciml.grids import axes_of, tensor_points, values_of

__all__ = [
    "KINDS",
    "THRESHOLDS",
    "Reference",
    "Watch",
    "key",
    "machine",
    "matrix_rate",
    "points_of",
    "reference_path",
]

Record = dict[str, Any]
# Errors whose time is kept; a row's own requirements come on top.
THRESHOLDS = tuple(10.0**-k for k in range(1, 13))
LADDER = tuple(10.0**-k for k in range(1, 14))
# No comparison of float64 results says anything below.
ROUNDING = 1e-13
# Classical runs shorter than this are repeated and the faster one counts: the first pays for imports and caches.
SHORT = 0.3
LINE_POINTS, SOBOL_EXPONENT = 2001, 12


def key(error: float) -> str:
    """Return an error as the key of a JSON object."""
    return f"{error:.0e}"


def points_of(problem: Problem) -> np.ndarray:
    """Return the fixed points [N, d] at which errors are measured: equispaced on a line, else 4096 of Sobol."""
    box = problem.domain
    if box.dimension == 1:
        return tensor_points(axes_of(box, LINE_POINTS))
    from scipy.stats import qmc

    unit = qmc.Sobol(box.dimension, scramble=True, rng=0).random_base2(SOBOL_EXPONENT)
    return np.array(box.lower) + unit * (np.array(box.upper) - np.array(box.lower))


def reference_path(folder: Path, name: str) -> Path:
    """Return the file of a row's reference values."""
    return folder / (name.replace(", ", "_").replace(" ", "_") + ".npz")


@final
@dataclass(frozen=True)
class Reference:
    """Values [N, U] of the unknowns that are judged, at points [N, d], and how accurate they are."""

    points: np.ndarray
    values: np.ndarray
    columns: np.ndarray
    accuracy: float
    seconds: float | None
    method: str

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read what `_reference` wrote."""
        with np.load(path) as file:
            seconds = float(file["seconds"])
            return cls(
                file["points"],
                file["values"],
                file["columns"],
                float(file["accuracy"]),
                None if math.isnan(seconds) else seconds,
                str(file["method"]),
            )

    def error(self, values: np.ndarray) -> float:
        """Return the relative L2 error of values [N, all unknowns]; infinite where some are missing."""
        mine = values[:, self.columns]
        if not np.isfinite(mine).all():
            return math.inf
        size = float(np.linalg.norm(self.values)) or math.sqrt(self.values.size)
        return max(float(np.linalg.norm(mine - self.values)) / size, self.accuracy)


@final
@dataclass
class Watch:
    """The true error over time: when each threshold was first met, and each new least error."""

    reference: Reference
    thresholds: Sequence[float]
    start: float = field(default_factory=time.perf_counter)
    seconds_to: dict[str, float] = field(default_factory=dict[str, float])
    trace: list[tuple[float, float, float | None]] = field(default_factory=list[tuple[float, float, float | None]])
    best: float = math.inf

    def look(self, values: np.ndarray, estimate: float | None, seconds: float | None = None) -> float:
        """Note the error of values [N, unknowns] that were there after `seconds`, now if absent."""
        seconds = time.perf_counter() - self.start if seconds is None else seconds
        error = self.reference.error(values)
        if error < self.best:
            self.best = error
            self.trace.append((round(seconds, 3), error, estimate))
            for threshold in self.thresholds:
                if error <= threshold:
                    self.seconds_to.setdefault(key(threshold), round(seconds, 3))
        return error

    def to_record(self) -> Record:
        """Return times, trace and least error for a JSON object."""
        best = self.best if math.isfinite(self.best) else None
        return {
            "seconds_to": self.seconds_to,
            "best": best,
            "best_seconds": self.trace[-1][0] if self.trace else None,
            "trace": self.trace,
            "reference_accuracy": self.reference.accuracy,
        }


# -- the machine -------------------------------------------------------------------------------------------------------


def matrix_rate(size: int = 768, seconds: float = 0.3) -> float:
    """Return the float64 matrix rate of one core in GFLOP/s: the fastest product in a fraction of a second."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a = torch.ones(size, size, dtype=torch.float64)
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - start)
    torch.set_num_threads(threads)
    return 2 * size**3 / best / 1e9


def machine() -> Record:
    """Return what the numbers depend on: processor, cores, memory, versions; no names of hosts or users."""
    import scipy
    import torch

    import sciml

    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "system": platform.system(),
        "versions": {
            "sciml": sciml.__version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


# -- what is measured --------------------------------------------------------------------------------------------------


def _problem(name: str) -> Problem:
    problem = problem_of(row_named(name))
    if problem is None:
        raise ProblemError(f"there is no problem file for {name} yet")
    return problem


def _reference(job: Mapping[str, Any]) -> Record:
    """Write the reference values of a row."""
    from sciml.comparison import reference

    problem = _problem(job["name"])
    against = reference(problem, budget=job.get("budget"))
    points = points_of(problem)
    made = against.solution
    values = values_of(problem if made is None else made, problem, against.unknowns, points)
    path = Path(job["reference"])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        points=points,
        values=values.T,
        columns=np.array([problem.unknowns.index(name) for name in against.unknowns]),
        accuracy=against.accuracy,
        seconds=math.nan if made is None else made.wall_time,
        method=against.text,
    )
    return {"accuracy": against.accuracy, "method": against.text}


def _network(job: Mapping[str, Any]) -> Record:
    """Solve a row by a network, watching its true error."""
    from sciml import pinn

    row = row_named(job["name"])
    problem = _problem(row.name)
    reference = Reference.read(Path(job["reference"]))
    thresholds = sorted({*THRESHOLDS, *(need.error for need in row.required)}, reverse=True)
    prepared = time.time() - job["launched"]
    watch = Watch(reference, thresholds)

    def report(state: Mapping[str, Any]) -> None:
        watch.look(state["values"](reference.points), state["estimate"])

    try:
        solution = pinn.solve(
            problem,
            tol=job["tol"],
            budget=job["budget"],
            seed=job["seed"],
            optimizer=row.optimizer,
            device=job.get("device", "cpu"),
            progress=report,
        )
    except SolveError as error:
        return {"failure": str(error), **watch.to_record()}
    wall = time.perf_counter() - watch.start
    final = watch.look(_values(solution, reference.points), solution.estimate, wall)
    return {
        "seconds": round(wall, 3),
        "prepared": round(prepared, 3),
        "error": final if math.isfinite(final) else None,
        "estimate": solution.estimate,
        "status": solution.status.value,
        "method": solution.method,
        "parameters": solution.details.get("parameter_count"),
        "points": solution.details.get("points"),
        "windows": solution.details.get("windows"),
        **watch.to_record(),
    }


def _values(solution: Solution, points: np.ndarray) -> np.ndarray:
    return solution.evaluate(solution.problem.unknowns, points).T


def _classical(job: Mapping[str, Any]) -> Record:
    """Run the classical solver at falling tolerances until it is as accurate as the network was."""
    from sciml import classical

    problem, reference = _problem(job["name"]), Reference.read(Path(job["reference"]))
    target, end = max(job["target"], ROUNDING), time.perf_counter() + job["budget"]
    steps: list[Record] = []
    reason = "the tolerances ended"
    if reference.seconds is not None:
        steps.append({"rtol": None, "seconds": reference.seconds, "error": reference.accuracy, "method": "reference"})

    def run(rtol: float) -> tuple[float, Solution]:
        start = time.perf_counter()
        solution = classical.solve(problem, rtol=rtol, budget=max(end - start, 1.0))
        return time.perf_counter() - start, solution

    for rtol in LADDER:
        if time.perf_counter() >= end:
            reason = f"no more accurate within {job['budget']:.0f} s"
            break
        try:
            seconds, solution = run(rtol)
            if seconds < SHORT:
                seconds = min(seconds, run(rtol)[0])
        except (ProblemError, SolveError) as error:
            reason = str(error)
            break
        error = reference.error(_values(solution, reference.points))
        steps.append({"rtol": rtol, "seconds": round(seconds, 4), "error": error, "method": solution.method})
        if error <= target:
            reason = "as accurate"
            break
    return {"target": target, "steps": steps, "reason": reason}


def _deepxde(job: Mapping[str, Any]) -> Record:
    from benchmarks.deepxde_burgers import train

    reference = Reference.read(Path(job["reference"]))
    return train(reference.points, lambda: Watch(reference, THRESHOLDS), job["precision"], job["seed"], job["budget"])


def _outside(job: Mapping[str, Any]) -> Record:
    from benchmarks.outside import measured

    return measured(job)


def _peer(job: Mapping[str, Any]) -> Record:
    from benchmarks.peers import measured

    return measured(job)


KINDS: dict[str, Callable[[Mapping[str, Any]], Record]] = {
    "reference": _reference,
    "network": _network,
    "classical": _classical,
    "deepxde": _deepxde,
    "outside": _outside,
    "peer": _peer,
}


def main(argv: Sequence[str]) -> int:
    """Do the job that the argument describes, and print its record."""
    job = json.loads(argv[0])
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(job["threads"])
    load = os.getloadavg()[0]
    with threadpool_limits(job["threads"], user_api="blas"):
        try:
            result = KINDS[job["kind"]](job)
        except ScimlError as error:
            result = {"failure": str(error)}
    # The rate is measured afterwards: the solver is to start cold.
    about = {"machine": machine(), "rate": round(matrix_rate(), 1), "load": round(load, 2)}
    print(json.dumps({**job, **about, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
