"""How many threads a command should use: a parallel region waits for its slowest thread.

On a core that another process is using, such a region of some 100 microseconds takes milliseconds, and a training ten
times as long as on one thread. Libraries leave the number of threads to the caller; a command has to choose it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["fitting_threads"]

# Seconds of measurement: longer than the slices of time that an operating system gives to a process.
PROBE = 0.1


@contextmanager
def fitting_threads(small: bool = False) -> Iterator[int]:
    """Use one thread in torch and BLAS while the other cores are busy, else those torch chose; gives the number.

    Parameters
    ----------
    small : whether the work is too small for more than one thread, as of ordinary equations.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    try:
        if small or (before > 1 and _mean_time(torch, before) > 1.5 * _mean_time(torch, 1)):
            torch.set_num_threads(1)
        else:
            torch.set_num_threads(before)
        number = torch.get_num_threads()
        with threadpool_limits(number, user_api="blas"):
            yield number
    finally:
        torch.set_num_threads(before)


def _mean_time(torch: Any, threads: int) -> float:
    """Mean seconds of an elementwise operation of the size that trainings are made of."""
    torch.set_num_threads(threads)
    values = torch.linspace(-1, 1, 100_000, dtype=torch.float64)
    torch.sigmoid(values)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < PROBE:
        torch.sigmoid(values)
        count += 1
    return (time.perf_counter() - start) / count
