"""Many calls at once: every outcome comes once, and what fails loses nothing but itself."""

from __future__ import annotations

import os
import signal
import threading

import joblib
import numpy as np
import pytest
import torch

from sciml import Problem, pinn
from sciml.errors import ArgumentError
from sciml.sweep import sweep


def square(x: float) -> float:
    return x * x


def fragile(x: int) -> int:
    if x == 3:
        raise ValueError("three is refused")
    return x


def mortal(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def decay(rate: float, seed: int) -> float:
    problem = Problem("x' = -k*x", ["x(0) = 1"], {"t": (0, 1)}, {"k": rate})
    solution = pinn.solve(problem, seed=seed, iterations=3)
    return float(solution(np.array([1.0]))[0])


@pytest.mark.parametrize("jobs", [None, 1, 2])
def test_every_call_has_one_outcome_with_its_settings(jobs: int | None) -> None:
    found = sorted(sweep(square, [{"x": float(k)} for k in range(7)], jobs=jobs), key=lambda outcome: outcome.index)
    assert [outcome.settings["x"] for outcome in found] == [float(k) for k in range(7)]
    assert [outcome.value for outcome in found] == [float(k * k) for k in range(7)]
    assert all(outcome.success and outcome.seconds >= 0 for outcome in found)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_call_that_raises_loses_only_itself(jobs: int) -> None:
    found = {outcome.settings["x"]: outcome for outcome in sweep(fragile, [{"x": k} for k in range(6)], jobs=jobs)}
    assert found[3].error == "ValueError: three is refused"
    assert not found[3].success
    assert found[3].value is None
    assert {x: outcome.value for x, outcome in found.items() if outcome.success} == {x: x for x in (0, 1, 2, 4, 5)}


@pytest.mark.filterwarnings("ignore:A worker stopped:UserWarning")
def test_a_killed_worker_loses_only_its_call() -> None:
    found = {outcome.settings["x"]: outcome for outcome in sweep(mortal, [{"x": k} for k in range(8)], jobs=2)}
    assert found[3].error.startswith("the worker was killed")
    assert np.isnan(found[3].seconds)
    assert {x: outcome.value for x, outcome in found.items() if outcome.success} == {x: x for x in range(8) if x != 3}


def test_the_backend_is_the_callers() -> None:
    names: list[str] = []

    def here(x: int) -> int:
        names.append(threading.current_thread().name)
        return x

    with joblib.parallel_config("threading", n_jobs=2):
        found = list(sweep(here, [{"x": k} for k in range(4)]))
    assert len(found) == len(names) == 4
    assert all(outcome.success for outcome in found)
    assert threading.main_thread().name not in names


def test_solutions_in_workers_are_those_of_this_process() -> None:
    settings = [{"rate": rate, "seed": seed} for rate in (0.5, 1.5) for seed in (0, 1)]
    found = {outcome.index: outcome.value for outcome in sweep(decay, settings, jobs=2)}
    assert [found[k] for k in range(4)] == pytest.approx([decay(**given) for given in settings], rel=1e-12)


def test_threads_are_those_asked_for_and_given_back() -> None:
    before = torch.get_num_threads()
    (outcome,) = sweep(torch.get_num_threads, [{}], threads=before + 1)
    assert outcome.value == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"jobs": 0}, "jobs"),
        ({"jobs": 1.5}, "jobs"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"settings": [3]}, "settings"),
        ({"settings": [{"x": 1}, {2: 1}]}, "number 1"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(arguments: dict, word: str) -> None:
    with pytest.raises(ArgumentError, match=word):
        sweep(square, **{"settings": [{"x": 1.0}], **arguments})


def test_a_function_that_cannot_travel_is_refused() -> None:
    lock = threading.Lock()
    with pytest.raises(ArgumentError, match="function"):
        list(sweep(lambda x: (lock, x), [{"x": 1}, {"x": 2}], jobs=2))


def test_no_settings_are_no_outcomes() -> None:
    assert list(sweep(square, [], jobs=2)) == []
