"""Many independent calls at once: problems, seeds, settings, on the workers of joblib.

    from sciml.sweep import sweep

    def run(nu, seed):
        solution = pinn.solve(sciml.load("burgers", nu=nu), seed=seed)
        return solution.estimate, solution.wall_time

    for outcome in sweep(run, [{"nu": nu, "seed": k} for nu in (0.01, 0.02) for k in range(5)], jobs=4):
        print(outcome.settings, outcome.value if outcome.success else outcome.error)

The workers are joblib's processes, or those of the backend that the caller has chosen, as by
`joblib.parallel_config("dask")`, or `ray.util.joblib.register_ray()` and `joblib.parallel_config("ray")`. A call that
raises, or whose worker of joblib's own is killed, loses nothing but itself.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast, final

import joblib

from sciml.errors import ArgumentError

__all__ = ["Outcome", "sweep"]

Settings = Mapping[str, Any]


@final
@dataclass(frozen=True)
class Outcome:
    """What became of one call.

    Attributes
    ----------
    index : the number of its settings, from 0.
    settings : the keyword arguments.
    value : what the function returned; None if it did not.
    error : why there is no value, as `"ValueError: ..."`; empty if there is one.
    seconds : wall time of the call; NaN if its worker was killed.
    """

    index: int
    settings: Settings
    value: Any
    error: str
    seconds: float

    @property
    def success(self) -> bool:
        """Whether the function returned."""
        return not self.error


def sweep(
    function: Callable[..., Any], settings: Iterable[Settings], *, jobs: int | None = None, threads: int = 1
) -> Iterator[Outcome]:
    """Call the function with each of the settings and yield the outcomes as they come, in no order.

    Parameters
    ----------
    function : called with keyword arguments; it and what it returns travel between processes by cloudpickle and pickle:
        return numbers, arrays or a file's name.
    settings : the keyword arguments of each call.
    jobs : workers; None for what `joblib.parallel_config` says (one if it says nothing), negative as in joblib: -1 for
        one on each core. One worker of joblib's own is the calling process: nothing protects that from being killed.
    threads : of torch and BLAS in each call. Small networks gain nothing from a second one, and calls beside each
        other with one thread each are quicker than one after another with many.

    Raises
    ------
    ArgumentError : jobs or threads are no numbers of workers, settings are not mappings, or the function cannot be
        sent to a worker.

    Notes
    -----
    A killed worker (out of memory, an interrupt from outside) breaks joblib's pool, and with it every call that was
    under way. These are called again one by one, so that the one which does it is known: it is reported, and the
    others go on together. Calls should therefore be repeatable. An interruption of the caller ends the sweep.

    Another backend looks after its workers itself. Dask tries the call of a killed worker three times more, and joblib
    (1.6) then waits for ever for a call that Dask has given up.
    """
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs == 0):
        raise ArgumentError(f"jobs: expected a number of workers, negative to count from the cores', got {jobs!r}")
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ArgumentError(f"threads: expected a positive integer, got {threads!r}")
    calls = list(settings)
    for k, given in enumerate(calls):
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise ArgumentError(f"settings: expected mappings of keyword arguments, got {given!r} as number {k}")
    return _outcomes(function, calls, jobs, threads)


def _outcomes(function: Callable[..., Any], calls: Sequence[Settings], jobs: int | None, threads: int):
    waiting = dict(enumerate(calls))
    suspects: list[int] = []
    while waiting:
        # One suspect at a time: where the pool breaks again, it is known by whom.
        together = suspects[:1] or list(waiting)
        begun: list[int] = []
        try:
            for outcome in _pooled(function, {k: waiting[k] for k in together}, jobs, threads, begun):
                del waiting[outcome.index]
                yield outcome
        except pickle.PicklingError as error:
            raise ArgumentError(f"function: cannot be sent to a worker ({error})") from error
        except Exception as error:
            # What the function raises stays in its outcome: this is the pool itself.
            if suspects:
                index, said = suspects[0], f"the worker was killed ({type(error).__name__})"
                yield Outcome(index, waiting.pop(index), None, said, float("nan"))
            else:
                suspects = begun
        suspects = [k for k in suspects if k in waiting]


def _pooled(
    function: Callable[..., Any], calls: Mapping[int, Settings], jobs: int | None, threads: int, begun: list[int]
) -> Iterator[Outcome]:
    """Call in one pool; `begun` receives the numbers of the calls as they are handed to the workers."""

    def handed() -> Iterator[Any]:
        for index, settings in calls.items():
            begun.append(index)
            yield joblib.delayed(_called)(function, index, settings, threads)

    # No call may be handed out before a worker is free for it, else it would be suspected without reason.
    one_by_one: dict[str, Any] = {"batch_size": 1, "pre_dispatch": "n_jobs"}
    pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", max_nbytes=None, **one_by_one)
    yield from cast(Iterator[Outcome], pool(handed()))


def _called(function: Callable[..., Any], index: int, settings: Settings, threads: int) -> Outcome:
    start = time.perf_counter()
    value, error = None, ""
    with _limited(threads):
        try:
            value = function(**settings)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
    return Outcome(index, settings, value, error, time.perf_counter() - start)


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
