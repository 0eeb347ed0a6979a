"""What grows how: seconds against points, parameters, dimensions, samples, bootstraps, equations; and the roofline.

    python -m benchmarks.scale [--quick] [--only NAME ...] [--repeat R] [--threads N] [--json FILE]

For every quantity the seconds (the shortest of the repetitions, all values in turn) and the exponent p of
seconds ~ n^p: fitted to all values by least squares on logarithms, with its standard error, and between the two
largest, where fixed costs matter least. The expected exponent stands beside it. A step of Levenberg-Marquardt is one
new model and one trial; "gradient" is what a quasi-Newton method evaluates.

The roofline has the measured rate of a float64 matrix product and the bandwidth of a triad a + s b -> c on arrays
beyond the cache. A kernel can do no more than min(rate, bandwidth * intensity), its intensity being operations over
the bytes that it must at least read and write.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.ensembles import data
from benchmarks.jet_cases import Bare, cases
from benchmarks.measurement import machine
from benchmarks.rows import problem_of, row_named
from benchmarks.timing import Task, matrix_rate, shortest
from sciml import Problem
from sciml.network import MLP, jet, record
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.sindy.ensembles import ensemble
from sciml.training import LevenbergMarquardt, Objective
from sciml.training.linearization import accumulate, keep_heap

__all__ = ["LAWS", "Law", "bandwidth", "exponent", "main", "roofline"]

Record = dict[str, Any]
MEMBERS, THRESHOLD = 400, 0.2


@final
@dataclass(frozen=True)
class Law:
    """One cost against one quantity.

    Attributes
    ----------
    name, quantity : what is timed, and against what.
    values : of the quantity; `quick` the smaller set.
    make : returns the value of the quantity (it may be a count that follows from the given one) and the task.
    expected : the exponent for large values, in words.
    """

    name: str
    quantity: str
    values: tuple[int, ...]
    quick: tuple[int, ...]
    make: Callable[[int], tuple[int, Task]]
    expected: str


def forward(problem: Problem, points: int, width: int, depth: int) -> ForwardObjective:
    """Return the objective of a problem for a network of width x depth at so many points."""
    ansatz = build_ansatz(problem)
    generator = torch.Generator().manual_seed(0)
    network = MLP(len(ansatz.inputs), len(ansatz.fields), width, depth, generator=generator)
    sampler = Sampler(problem.domain, generator, torch.float64, torch.device("cpu"))
    objective = ForwardObjective(ansatz, network, sampler)
    objective.draw(points)
    return objective


def _problem(name: str) -> Problem:
    problem = problem_of(row_named(name))
    assert problem is not None
    return problem


def _poisson(dimension: int) -> Problem:
    names = [f"x{k}" for k in range(1, dimension + 1)]
    exact = " + ".join(f"cos(pi*{x})" for x in names)
    # One condition: what is counted are the derivatives in the equation, not the sides of the box.
    return Problem(f"-laplacian(u) = pi**2*({exact})", "u(boundary) = 0", dict.fromkeys(names, (0, 1)))


def _step(objective: Objective) -> Task:
    optimizer, start = LevenbergMarquardt(), objective.parameters()

    def step() -> None:
        objective.load(start)
        optimizer.points_changed()
        optimizer.step(objective)

    return step


def _with_points(count: int, gradient: bool) -> tuple[int, Task]:
    objective = forward(_problem("burgers"), count, 12, 5)
    return count, objective.gradient if gradient else _step(objective)


def _with_width(width: int, gradient: bool) -> tuple[int, Task]:
    objective = forward(_problem("burgers"), 1000, width, 4)
    return len(objective.parameters()), objective.gradient if gradient else _step(objective)


def _with_dimension(dimension: int) -> tuple[int, Task]:
    return dimension, forward(_poisson(dimension), 1000, 16, 3).gradient


def _ensembles(samples: int, members: int, equations: int) -> Task:
    features, rates = data(3, 0.01)
    repeats = math.ceil(samples / len(features))
    features, rates = np.tile(features, (repeats, 1))[:samples], np.tile(rates, (repeats, 1))[:samples]
    rates = np.tile(rates, (1, math.ceil(equations / rates.shape[1])))[:, :equations]
    return lambda: ensemble(features, rates, members=members, threshold=THRESHOLD, seed=0)


LAWS: tuple[Law, ...] = (
    Law(
        "Levenberg-Marquardt step", "points", (1000, 2000, 4000, 8000, 16000, 32000), (500, 1000, 2000),
        lambda n: _with_points(n, False), "1",
    ),
    Law(
        "gradient", "points", (1000, 2000, 4000, 8000, 16000, 32000), (500, 1000, 2000),
        lambda n: _with_points(n, True), "1",
    ),
    Law(
        "Levenberg-Marquardt step", "parameters", (8, 12, 16, 24, 32), (8, 12, 16),
        lambda n: _with_width(n, False), "2, and 3 for the factor where P > N",
    ),
    Law(
        "gradient", "parameters", (8, 12, 16, 24, 32, 48), (8, 16, 24),
        lambda n: _with_width(n, True), "1/2 to 1: activations grow with the width, products with its square",
    ),
    Law("gradient of Poisson's equation", "dimensions", (2, 3, 4, 6, 8, 10), (2, 4, 8), _with_dimension, "1"),
    Law(
        "ensemble", "samples", (1000, 2000, 4000, 8000, 16000), (500, 1000, 2000),
        lambda n: (n, _ensembles(n, MEMBERS, 3)), "1",
    ),
    Law(
        "ensemble", "bootstraps", (250, 500, 1000, 2000, 4000), (100, 200, 400),
        lambda n: (n, _ensembles(1000, n, 3)), "1",
    ),
    Law(
        "ensemble", "equations", (3, 6, 12, 24), (3, 6, 12),
        lambda n: (n, _ensembles(1000, MEMBERS, n)), "below 1: the Gram matrices are shared",
    ),
)  # fmt: skip


def exponent(values: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the fitted exponent of seconds ~ n^p, its standard error, and that between the two largest values."""
    x, y = np.log(values), np.log(seconds)
    last = float((y[-1] - y[-2]) / (x[-1] - x[-2]))
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - slope * x - intercept
    degrees = len(x) - 2
    error = math.sqrt(float(rest @ rest) / degrees / float(((x - x.mean()) ** 2).sum())) if degrees > 0 else math.nan
    return float(slope), error, last


def measured(law: Law, quick: bool, repeat: int) -> Record:
    """Time a law at all its values."""
    made = [law.make(value) for value in (law.quick if quick else law.values)]
    values = [value for value, _ in made]
    times = shortest({str(k): task for k, (_, task) in enumerate(made)}, repeat)
    seconds = [times[str(k)] for k in range(len(made))]
    slope, error, last = exponent(values, seconds)
    return {
        "law": law.name,
        "quantity": law.quantity,
        "values": values,
        "seconds": seconds,
        "exponent": slope,
        "standard_error": None if math.isnan(error) else error,
        "last_exponent": last,
        "expected": law.expected,
    }


# -- the roofline ------------------------------------------------------------------------------------------------------


def bandwidth(size: int = 1 << 24, repeat: int = 5) -> float:
    """Return bytes per second of c = a + s b on float64 arrays of 128 MiB: two are read, one is written."""
    a, b = torch.ones(size, dtype=torch.float64), torch.ones(size, dtype=torch.float64)
    out = torch.empty_like(a)
    best = math.inf
    for _ in range(repeat + 1):
        start = time.perf_counter()
        torch.add(a, b, alpha=3.0, out=out)
        best = min(best, time.perf_counter() - start)
    return 24 * size / best


def _gram_operations(points: int, count: int) -> int:
    """Operations of `accumulate`, which leaves out blocks above the diagonal."""
    blocks = min(8, max(1, count // 96))
    edges = [count * block // blocks for block in range(blocks + 1)]
    return sum(2 * points * (stop - start) * stop for start, stop in itertools.pairwise(edges))


def roofline(points: int, repeat: int, rate: float, band: float) -> Iterator[Record]:
    """Yield what each kernel achieves of what the machine allows, for each case of `benchmarks.jet_cases`.

    The matrix rate is measured again among the kernels, and the larger counts: clocks and neighbours change.
    """
    square = torch.rand(512, 512, dtype=torch.float64)
    product = torch.empty_like(square)
    for case in cases(points):
        bare, count = Bare(case), case.network.parameter_count
        with torch.no_grad():
            value = jet(case.network, case.source)
        cotangent = torch.rand_like(value)
        out = value.new_empty(count, points).T
        matrix, vector = value.new_zeros(count, count), value.new_zeros(count)
        residual = value.new_ones(points)
        factor = torch.eye(count, dtype=torch.float64)
        source = case.source.coefficients.nbytes
        tasks: dict[str, tuple[Task, float, float]] = {
            "jet": (
                lambda case=case: jet(case.network, case.source),
                bare.jet_counts[1],
                source + value.nbytes + 8 * count,
            ),
            "record and Jacobian": (
                lambda case=case, cotangent=cotangent, out=out: record(case.network, case.source)[1].jacobian(
                    cotangent, out
                ),
                bare.jacobian_counts[1],
                source + value.nbytes + 8 * count + out.nbytes,
            ),
            "Gram matrix": (
                lambda matrix=matrix, vector=vector, out=out, residual=residual: accumulate(
                    matrix, vector, out, residual, 1.0
                ),
                _gram_operations(points, count),
                out.nbytes + 2 * matrix.nbytes,
            ),
            "Cholesky factor": (
                lambda factor=factor: torch.linalg.cholesky_ex(factor),
                count**3 / 3,
                2 * factor.nbytes,
            ),
        }
        timed: dict[str, Task] = {"product": lambda: torch.mm(square, square, out=product)}
        with torch.no_grad():
            seconds = shortest(timed | {name: task for name, (task, _, _) in tasks.items()}, repeat)
        rate = max(rate, 2 * len(square) ** 3 / seconds["product"])
        for name, (_, operations, moved) in tasks.items():
            bound = min(rate, band * operations / moved)
            yield {
                "case": case.name,
                "points": points,
                "parameters": count,
                "kernel": name,
                "operations": operations,
                "bytes": moved,
                "bound": bound,
                "achieved": operations / seconds[name],
                "fraction": operations / seconds[name] / bound,
            }


def show_law(found: Record) -> None:
    """Print one law."""
    error = found["standard_error"]
    deviation = "" if error is None else f" +- {error:.2f}"
    print(
        f"{found['law']} against {found['quantity']}: exponent {found['exponent']:.2f}{deviation}, "
        f"between the last two {found['last_exponent']:.2f}; expected {found['expected']}"
    )
    pairs = [f"{n}: {1e3 * s:.1f} ms" for n, s in zip(found["values"], found["seconds"], strict=True)]
    print("    " + "  ".join(pairs), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n")[0])
    quantities = list(dict.fromkeys(law.quantity for law in LAWS))
    parser.add_argument("--quick", action="store_true", help="three small values each")
    parser.add_argument("--only", nargs="+", choices=[*quantities, "roofline"], help="quantities, or roofline")
    parser.add_argument("--repeat", type=int, help="repetitions, of which the shortest counts (5; --quick: 2)")
    parser.add_argument("--threads", type=int, default=1, help="threads (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(argv)
    repeat = given.repeat if given.repeat is not None else 2 if given.quick else 5
    if repeat < 1 or given.threads < 1:
        parser.error("--repeat and --threads must be positive")
    load = os.getloadavg()[0]
    torch.set_num_threads(given.threads)
    keep_heap()
    laws, kernels = [], []
    with threadpool_limits(given.threads, user_api="blas"):
        for law in LAWS:
            if given.only is None or law.quantity in given.only:
                laws.append(measured(law, given.quick, repeat))
                show_law(laws[-1])
        rate, band = matrix_rate(), bandwidth()
        print(f"\n{given.threads} thread(s): {rate / 1e9:.1f} GFLOP/s (float64 product), {band / 1e9:.1f} GB/s (triad)")
        if given.only is None or "roofline" in given.only:
            print(f"{'':50}{'MFLOP':>9}{'FLOP/B':>8}{'bound':>8}{'achieved':>10}{'of bound':>9}  (GFLOP/s)")
            for found in roofline(2048, max(3, repeat), rate, band):
                kernels.append(found)
                print(
                    f"{found['case'] + ', ' + found['kernel']:50}{found['operations'] / 1e6:9.1f}"
                    f"{found['operations'] / found['bytes']:8.1f}{found['bound'] / 1e9:8.1f}"
                    f"{found['achieved'] / 1e9:10.1f}{100 * found['fraction']:7.0f} %",
                    flush=True,
                )
    if given.json is not None:
        about = {"threads": given.threads, "load": round(load, 2), "seed": 0, "machine": machine()}
        figures = {**about, "rate": rate, "bandwidth": band, "laws": laws, "kernels": kernels}
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
