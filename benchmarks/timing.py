"""Seconds of tasks that run in turn, ratios of neighbours in time, and the rate of a matrix product."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

Task = Callable[[], Any]


def rounds(tasks: dict[str, Task], repeat: int) -> dict[str, list[float]]:
    """Return the seconds that each task took in each of `repeat` rounds through all of them."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeat):
        for name, task in tasks.items():
            task()  # the first call may find its data driven out of the cache by another task
            start = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - start)
    return times


def shortest(tasks: dict[str, Task], repeat: int) -> dict[str, float]:
    """Return the shortest time in seconds of each task, all run in turn `repeat` times."""
    return {name: min(times) for name, times in rounds(tasks, repeat).items()}


def ratio(times: dict[str, list[float]], name: str, base: str) -> float:
    """Return the median over the rounds of the ratio of two times: neighbours in time are disturbed alike."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def matrix_rate(size: int = 512, repeat: int = 20) -> float:
    """Return floating operations per second of a float64 product of square matrices."""
    a = torch.rand(size, size, dtype=torch.float64)
    out = torch.empty_like(a)
    return 2 * size**3 / shortest({"product": lambda: torch.mm(a, a, out=out)}, repeat)["product"]
