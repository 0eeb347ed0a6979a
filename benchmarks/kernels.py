"""Time of the kernels (jets, Jacobians, Gram matrices, a Levenberg-Marquardt step) against what cannot be avoided.

    python -m benchmarks.kernels [--points N] [--repeat R] [--no-compile] [--json FILE]

For each case "bare" is the time of the matrix products and activation evaluations alone that the algorithm needs, on
tensors of the same shapes, with outputs allocated beforehand; the counts are printed. All candidates run in turn, many
rounds, on one thread: a time is the shortest of all rounds, a ratio the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sciml
from benchmarks.autodiff import (
    compiled,
    looped_autograd,
    mapped_forward,
    nested_autograd,
    nested_forward,
    sample_gradients,
)
from benchmarks.jet_cases import Bare, Case, cases, part
from benchmarks.timing import Task, matrix_rate, ratio, rounds, shortest
from sciml.network import MLP, Tape, jet, record
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.training import LevenbergMarquardt
from sciml.training.linearization import accumulate, keep_heap

BARE = {"jet": "bare jet", "record and Jacobian": "bare Jacobian", "Gram matrix": "bare Gram matrix"}
SAMPLE = 128  # points at which slow ways to a Jacobian are timed; their time is proportional to the points


def deviation(found: Tensor, exact: Tensor) -> float:
    """Return the largest difference relative to the largest value."""
    return float((found - exact).abs().max() / exact.abs().max())


def measure(case: Case, repeat: int, compile_too: bool) -> dict[str, Any]:
    """Time all kernels of one case; seconds, counts and deviations by name."""
    network, source, points = case.network, case.source, len(case.source)
    with torch.no_grad():
        value = jet(network, source)
    cotangent = torch.rand_like(value)
    count = network.parameter_count
    out = value.new_empty(count, points).T
    matrix, vector, whole = value.new_zeros(count, count), value.new_zeros(count), value.new_empty(count, count)
    residual = value.new_ones(points)

    def recorded() -> Tape:
        return record(network, source)[1]

    bare = Bare(case)
    tasks: dict[str, Task] = {
        "jet": lambda: jet(network, source),
        "bare jet": bare.jet,
        "record and Jacobian": lambda: recorded().jacobian(cotangent, out),
        "bare Jacobian": bare.jacobian,
        "Gram matrix": lambda: accumulate(matrix, vector, out, residual, 1.0),
        "bare Gram matrix": lambda: torch.mm(out.T, out, out=whole),
    }
    with torch.no_grad():
        times = rounds(tasks, repeat)
    seconds = {name: min(taken) for name, taken in times.items()}
    few, fewer = part(case, SAMPLE), part(case, SAMPLE // 16)
    others: dict[str, Task] = {
        "nested autograd": lambda: nested_autograd(case),
        "torch.func jvp of jvp": lambda: nested_forward(case),
        "torch.func vmap jacfwd": lambda: mapped_forward(case),
        "torch.func vmap grad": lambda: sample_gradients(few, cotangent[:, :SAMPLE]),
        "autograd per point": lambda: looped_autograd(fewer, cotangent[:, : SAMPLE // 16]),
    }
    deviations = {
        "nested autograd": deviation(nested_autograd(case).detach(), value),
        "torch.func jvp of jvp": deviation(nested_forward(case).detach(), value),
        "torch.func vmap jacfwd": deviation(mapped_forward(case).detach(), value),
        "torch.func vmap grad": deviation(sample_gradients(few, cotangent[:, :SAMPLE]), out[:SAMPLE]),
        "autograd per point": deviation(looped_autograd(fewer, cotangent[:, : SAMPLE // 16]), out[: SAMPLE // 16]),
    }
    seconds |= shortest(others, max(2, repeat // 10))
    seconds["torch.func vmap grad"] *= points / SAMPLE
    seconds["autograd per point"] *= points / (SAMPLE // 16)
    result: dict[str, Any] = {
        "case": case.name,
        "points": points,
        "coefficients": len(source.tables),
        "parameters": count,
        "counts": {
            "jet": bare.jet_counts,
            "record and Jacobian": bare.jacobian_counts,
            "Gram matrix": (1, 2 * points * count**2, 0),
        },
        "ratios": {name: ratio(times, name, base) for name, base in BARE.items()},
        "seconds": seconds,
        "deviations": deviations,
    }
    if compile_too:
        task, start, reason = compiled(case)
        result["compile"] = {"start": start, "reason": reason}
        if task is not None:
            seconds |= {"torch.compile": shortest({"torch.compile": task}, repeat)["torch.compile"]}
            deviations["torch.compile"] = deviation(task(), value)
    return result


def burgers_step(points: int, repeat: int) -> dict[str, float]:
    """Return seconds of the parts of a Levenberg-Marquardt step on Burgers' equation, 12x5 tanh."""
    problem = sciml.load("burgers")
    ansatz = build_ansatz(problem)
    network = MLP(len(ansatz.inputs), 1, 12, 5)
    generator = torch.Generator().manual_seed(0)
    sampler = Sampler(problem.domain, generator, torch.float64, torch.device("cpu"))
    objective = ForwardObjective(ansatz, network, sampler)
    objective.draw(points)
    optimizer = LevenbergMarquardt()
    for _ in range(3):
        optimizer.step(objective)
    model = objective.linearize()
    kept, vector = model.kept, torch.zeros_like(model.vector)
    matrix = torch.zeros_like(model.matrix)
    assert kept is not None

    def jacobians() -> None:
        for chunk in objective.chunks():
            objective.jacobian(chunk, {name: kept[name][rows] for name, rows in chunk.items()})

    def gram() -> None:
        for chunk in objective.chunks():
            for name, rows in chunk.items():
                accumulate(matrix, vector, kept[name][rows], model.residuals[name][rows], model.factors[name])

    def step() -> None:
        optimizer.points_changed()
        optimizer.step(objective)

    def solve() -> None:
        damped = model.matrix.clone()
        damped.diagonal().add_(1.0)
        factor = torch.linalg.cholesky_ex(damped)[0]
        for _ in range(2):
            torch.cholesky_solve(model.vector[:, None], factor)

    tasks: dict[str, Task] = {
        "whole step": step,
        "Jacobian": jacobians,
        "Gram matrix": gram,
        "residuals, twice": lambda: (objective.evaluate(), objective.evaluate()),
        "Cholesky factor and solutions": solve,
        "products with J": lambda: model.transposed(model.product(model.vector)),
        "new points (not in the step)": lambda: objective.resample(count=points),
    }
    return shortest(tasks, repeat)


def show(result: dict[str, Any]) -> None:
    """Print one case."""
    seconds = result["seconds"]
    print(
        f"\n{result['case']}: {result['points']} points, {result['coefficients']} Taylor coefficients, "
        f"{result['parameters']} parameters"
    )
    print(f"  {'kernel':24}{'ms':>9}{'bare ms':>9}{'ratio':>7}   {'products':>8}{'MFLOP':>9}{'activations':>13}")
    for name, base in BARE.items():
        products, operations, activations = result["counts"][name]
        print(
            f"  {name:24}{1e3 * seconds[name]:9.2f}{1e3 * seconds[base]:9.2f}{result['ratios'][name]:7.2f}"
            f"   {products:8d}{operations / 1e6:9.1f}{activations:13d}"
        )
    print(f"  {'another way':24}{'ms':>9}{'times ours':>21}{'deviation':>16}")
    for name, off in result["deviations"].items():
        ours = "record and Jacobian" if name in ("torch.func vmap grad", "autograd per point") else "jet"
        what = "Jacobian" if ours != "jet" else "jet"
        row = f"  {name:24}{1e3 * seconds[name]:9.2f}{seconds[name] / seconds[ours]:12.2f} ({what:>8}){off:14.0e}"
        print(row)
    if reason := result.get("compile", {}).get("reason"):
        print(f"  torch.compile: not measured, {reason}")
    elif "compile" in result:
        start, gain = result["compile"]["start"], seconds["jet"] - seconds["torch.compile"]
        repaid = f"repaid after {start / gain:.0f} jets" if gain > 0 else "never repaid"
        print(f"  torch.compile takes {start:.1f} s to start: {repaid}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--points", type=int, default=2048, help="of a chunk")
    parser.add_argument("--repeat", type=int, default=40, help="rounds, of which the shortest time counts")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes a minute")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_heap()
    rate = matrix_rate()
    print(f"torch {torch.__version__}, one thread: {rate / 1e9:.0f} GFLOP/s in a float64 product of 512 x 512")
    results = []
    for case in cases(options.points):
        results.append(measure(case, options.repeat, not options.no_compile))
        show(results[-1])
    parts = burgers_step(4000, max(3, options.repeat // 8))
    print("\nLevenberg-Marquardt step, Burgers' equation, 12x5 tanh, 4000 points")
    for name, took in parts.items():
        print(f"  {name:32}{1e3 * took:9.2f} ms{100 * took / parts['whole step']:7.0f} %")
    if options.json is not None:
        options.json.write_text(json.dumps({"rate": rate, "cases": results, "step": parts}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
