"""One training in one process and spread over several: seconds of the same steps on the same points.

    python -m benchmarks.scale_distributed [--processes 2] [--problem NAME] [--points N] [--iterations K] [--rounds R]
    torchrun --standalone --nproc-per-node 2 -m benchmarks.scale_distributed

The second line is what the first one runs; with several machines, torchrun's own options do the rest. In each round the
same Levenberg-Marquardt training is done by all processes of one thread each, by one of them with one thread, and by
one with as many threads as there are processes; the others wait meanwhile. Every process holds its share of the points
(`sciml.training.ParallelObjective`), so the iterates are those of one process but for rounding. Set-up is not in the
seconds. A ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import sciml
from benchmarks.lines import append_line
from benchmarks.measurement import machine, matrix_rate, points_of
from sciml.grids import values_of
from sciml.network import MLP
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.pinn.piece import Piece
from sciml.pinn.plan import plan_for
from sciml.pinn.progress import values_of as partials_of
from sciml.training import Objective, ParallelObjective, Processes, Share, Trainer, processes

__all__ = ["main", "measured"]

Record = dict[str, Any]
SEED = 0


def forward(name: str, points: int, device: torch.device) -> tuple[ForwardObjective, Piece]:
    """Return the objective of a bundled problem at so many points, alike in every process, and its solution's trace."""
    problem = sciml.load(name)
    ansatz, plan = build_ansatz(problem), plan_for(problem, None)
    inputs = len(ansatz.inputs)
    generator = torch.Generator().manual_seed(SEED)
    network = MLP(
        inputs,
        len(ansatz.fields),
        plan.width,
        plan.depth,
        plan.activation,
        lower=[-1.0] * inputs,
        upper=[1.0] * inputs,
        generator=generator,
        dtype=torch.float64,
        device=device,
    )
    objective = ForwardObjective(ansatz, network, Sampler(problem.domain, generator, torch.float64, device))
    objective.draw(points)
    return objective, Piece(ansatz, network)


def error_of(piece: Piece) -> float | None:
    """Return the relative L2 error against the problem's exact solution, if it has one."""
    problem = piece.ansatz.problem
    if problem.exact is None:
        return None
    points = points_of(problem)
    exact = values_of(problem, problem, problem.unknowns, points)
    like = next(piece.network.parameters())
    found = piece.trace(partials_of(piece.ansatz), torch.as_tensor(points).to(like)).cpu().numpy()
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def trained(objective: Objective, iterations: int, threads: int) -> float:
    """Train with so many threads; returns the seconds."""
    torch.set_num_threads(threads)
    with threadpool_limits(threads, user_api="blas"):
        start = time.perf_counter()
        Trainer(objective, "levenberg-marquardt", iterations=iterations, patience=None).run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    torch.set_num_threads(1)
    return seconds


def barrier(here: Processes) -> None:
    """Wait for all processes."""
    if here.size > 1:
        torch.distributed.barrier()


def measured(name: str, points: int, iterations: int, rounds: int, here: Processes) -> Record:
    """Train in all processes, in one, and in one with as many threads, in turn; the record is that of the first."""
    objective, piece = forward(name, points, here.device)
    start = objective.parameters()
    seconds: dict[str, list[float]] = {"together": [], "alone": [], "threads": []}
    result: Record = {}
    spread = ParallelObjective(Share(objective, here.rank, here.size))
    trained(spread, 2, 1)  # the first steps pay for memory and connections
    for _ in range(rounds):
        objective.load(start)
        barrier(here)
        seconds["together"].append(trained(spread, iterations, 1))
        result["error together"], ended = error_of(piece), objective.parameters()
        for case, threads in (("alone", 1), ("threads", here.size)):
            barrier(here)
            if here.first:
                objective.load(start)
                seconds[case].append(trained(objective, iterations, threads))
                result[f"error {case}"] = error_of(piece)
                if case == "alone":
                    result["difference of the parameters"] = float((ended - objective.parameters()).abs().max())
        barrier(here)
    if not here.first:
        return result
    for case, taken in seconds.items():
        result[f"seconds {case}"] = taken
    ratios = {
        case: statistics.median(a / b for a, b in zip(seconds["alone"], seconds[case], strict=True))
        for case in ("together", "threads")
    }
    return {
        "problem": name,
        "points": points,
        "rows": sum(objective.sizes().values()),
        "parameters": len(start),
        "iterations": iterations,
        "processes": here.size,
        "device": str(here.device),
        "seed": SEED,
        **result,
        "ratio of processes": ratios["together"],
        "ratio of threads": ratios["threads"],
    }


def show(record: Record) -> None:
    """Print a record."""
    size = record["processes"]
    print(
        f"{record['problem']}: {record['points']} points ({record['rows']} rows), {record['parameters']} parameters, "
        f"{record['iterations']} steps of Levenberg-Marquardt, {record['device']}, load {record['load']}"
    )
    labels = {
        "alone": "one process, one thread",
        "together": f"{size} processes, one thread each",
        "threads": f"one process, {size} threads",
    }
    ratios = {"alone": 1.0, "together": record["ratio of processes"], "threads": record["ratio of threads"]}
    print(f"{'':34}{'seconds':>9}{'faster':>8}{'error':>10}")
    for case, label in labels.items():
        error = record[f"error {case}"]
        text = "-" if error is None else f"{error:.2e}"
        print(f"{label:34}{statistics.median(record[f'seconds {case}']):9.2f}{ratios[case]:8.2f}{text:>10}")
    print(f"largest difference of a parameter: {record['difference of the parameters']:.1e}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: start the processes, or be one of them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale_distributed", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--processes", type=int, default=2, help="processes to start, where torchrun has started none")
    parser.add_argument("--problem", default="heat_2d", choices=sciml.names(), metavar="NAME", help="(heat_2d)")
    parser.add_argument("--points", type=int, default=50_000, help="interior points in all (50000)")
    parser.add_argument("--iterations", type=int, default=25, help="steps of Levenberg-Marquardt (25)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts (3)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="gloo, or nccl with a GPU each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the record to this file of JSON lines")
    given = parser.parse_args(argv)
    for name in ("processes", "points", "iterations", "rounds"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} must be positive")
    if "WORLD_SIZE" not in os.environ:
        arguments = list(sys.argv[1:] if argv is None else argv)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command += [str(given.processes), "-m", "benchmarks.scale_distributed", *arguments]
        return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    with processes(given.device) as here:
        record = measured(given.problem, given.points, given.iterations, given.rounds, here)
    if here.first:
        record |= {"load": round(load, 2), "rate": round(matrix_rate(), 1), "machine": machine()}
        show(record)
        if given.json is not None:
            given.json.parent.mkdir(parents=True, exist_ok=True)
            append_line(given.json, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
