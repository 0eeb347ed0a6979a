"""The same kernels and trainings on a processor and on a GPU, in float64 and float32: times, ratios, deviations.

    python -m benchmarks.devices [--device cuda] [--points N ...] [--repeat R] [--no-training] [--json FILE]

GPU times are those of CUDA events; a kernel without a branch on its own numbers is captured in a CUDA graph as well,
which saves the starts of its many small parts. Processor times are those of all of torch's threads, which are printed.
A deviation is that from the processor's result in the same precision, relative to its largest value; of float32 on the
processor that from float64. All candidates run in turn; a time is the shortest of all rounds. Where there is no GPU,
the processor's two precisions are compared, and that is said.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sciml
from benchmarks.device_kernels import KERNELS, Kernel, Place, Task
from benchmarks.measurement import machine, points_of, values_of
from sciml import pinn

__all__ = ["captured", "compare", "deviation", "main", "seconds_of", "training"]

Record = dict[str, Any]
PRECISIONS = {"float64": torch.float64, "float32": torch.float32}
CPU = torch.device("cpu")
# Before a capture the libraries have to take their work space.
WARM = 3


def seconds_of(task: Task, device: torch.device, repeat: int) -> float:
    """Return the shortest time in seconds of so many calls: by events on a GPU, by the clock elsewhere."""
    taken = []
    for _ in range(WARM):
        task()
    for _ in range(repeat):
        if device.type == "cuda":
            start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            task()
            stop.record()
            torch.cuda.synchronize(device)
            taken.append(start.elapsed_time(stop) / 1e3)
        else:
            began = time.perf_counter()
            task()
            taken.append(time.perf_counter() - began)
    return min(taken)


def captured(task: Task, device: torch.device) -> Task:
    """Return a call that replays the task from a CUDA graph; its results are in the same tensors each time."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM):
            task()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = task()

    def replay() -> Mapping[str, Tensor]:
        graph.replay()
        return results

    return replay


def deviation(found: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> float:
    """Return the largest difference of any result, relative to the largest value of that result."""
    parts = []
    for name, value in exact.items():
        other = found[name].to(value.device, torch.float64)
        value = value.double()
        parts.append(float((other - value).abs().max() / value.abs().max()))
    return max(parts)


def compare(kernel: Kernel, points: int, device: torch.device, repeat: int) -> list[Record]:
    """Return a record for each precision: seconds on both devices, and how far apart the results are."""
    found = []
    exact = kernel.make(Place(points, CPU))()
    for name, dtype in PRECISIONS.items():
        if kernel.double and dtype is not torch.float64:
            continue
        task = kernel.make(Place(points, CPU, dtype))
        value = task()
        record: Record = {
            "kernel": kernel.name,
            "points": points,
            "precision": name,
            "cpu": seconds_of(task, CPU, repeat),
        }
        record["rounding"] = deviation(value, exact)
        if device.type == "cuda":
            task = kernel.make(Place(points, device, dtype))
            record |= {"gpu": seconds_of(task, device, repeat), "deviation": deviation(task(), value)}
            if kernel.graph:
                record |= _graphed(task, device, repeat, value)
        found.append(record)
    return found


def _graphed(task: Task, device: torch.device, repeat: int, value: Mapping[str, Tensor]) -> Record:
    try:
        replay = captured(task, device)
    except RuntimeError as error:
        torch.cuda.synchronize(device)
        return {"no graph": str(error).splitlines()[0]}
    return {"graph": seconds_of(replay, device, repeat), "graph deviation": deviation(replay(), value)}


def training(device: torch.device, precision: str, iterations: int) -> Record:
    """Return seconds and error of so many steps on Burgers' equation, without corrections by least squares."""
    problem = sciml.load("burgers")
    start = time.perf_counter()
    solution = pinn.solve(
        problem,
        device=str(device),
        dtype=precision,
        optimizer="levenberg-marquardt",
        iterations=iterations,
        budget=None,
        tol=1e-12,
    )
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    points = points_of(problem)
    exact = values_of(problem, problem, problem.unknowns, points)
    found = np.asarray(solution(*points.T)).reshape(exact.shape)
    error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    return {"device": device.type, "precision": precision, "iterations": iterations, "seconds": seconds, "error": error}


def _line(record: Record) -> str:
    shown = f"| {record['kernel']} | {record['points']:,} | {record['precision']} | {1e3 * record['cpu']:.3f} |"
    if "gpu" not in record:
        return f"{shown} - | - | - | {record['rounding']:.0e} |"
    best = min(record["gpu"], record.get("graph", float("inf")))
    graph = f"{1e3 * record['graph']:.3f}" if "graph" in record else "-"
    apart = max(record["deviation"], record.get("graph deviation", 0.0))
    return f"{shown} {1e3 * record['gpu']:.3f} | {graph} | {record['cpu'] / best:.1f} | {apart:.0e} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.devices", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), help="cuda asks for a GPU (one, if there is one)")
    parser.add_argument("--points", type=int, nargs="+", default=[2048, 16384, 131072], help="of every kernel")
    parser.add_argument("--repeat", type=int, default=10, help="rounds, of which the shortest time counts (10)")
    parser.add_argument("--iterations", type=int, default=60, help="steps of the training (60)")
    parser.add_argument("--no-training", action="store_true", help="kernels only")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    options = parser.parse_args(argv)
    if min(options.points) < 1 or options.repeat < 1 or options.iterations < 1:
        parser.error("--points, --repeat and --iterations must be positive")
    there = torch.cuda.is_available()
    if options.device == "cuda" and not there:
        print(
            "devices: no GPU here that torch can use; without --device cuda the processor is measured", file=sys.stderr
        )
        return 1
    device = torch.device("cuda") if there and options.device != "cpu" else CPU
    about = machine() | {"threads": torch.get_num_threads()}
    about["gpu"] = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    print(
        f"{about['processor']}, {about['threads']} thread(s); GPU: {about['gpu'] or 'none, its columns are missing'}\n"
    )
    print("| kernel | points | precision | CPU, ms | GPU, ms | graph, ms | CPU / GPU | deviation |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    records: list[Record] = []
    for points in options.points:
        for kernel in KERNELS:
            found = compare(kernel, points, device, options.repeat)
            records += found
            print("\n".join(map(_line, found)), flush=True)
    trainings: list[Record] = []
    if not options.no_training:
        print(f"\nBurgers, {options.iterations} steps of Levenberg-Marquardt: seconds and error")
        for place in dict.fromkeys((CPU, device)):
            for precision in PRECISIONS:
                trainings.append(training(place, precision, options.iterations))
                last = trainings[-1]
                print(f"  {last['device']:5}{precision:9}{last['seconds']:8.1f} s  {last['error']:.1e}", flush=True)
    if options.json is not None:
        options.json.write_text(
            json.dumps({"about": about, "kernels": records, "trainings": trainings}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
