"""Backward elimination over all terms: what it finds, that it is least squares, and what it does to a discovery."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.sindy.selection import Factor, eliminations, likelihood, search


def _rss(matrix: np.ndarray, target: np.ndarray, support: np.ndarray) -> float:
    own = matrix[:, support]
    if not own.size:
        return float(target @ target)
    norms = np.linalg.norm(own, axis=0)
    rest = target - own / norms @ np.linalg.lstsq(own / norms, target, rcond=None)[0]
    return float(rest @ rest)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_every_step_takes_the_column_away_without_which_least_squares_is_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(30, 8)) * 10.0 ** rng.uniform(-4, 4, 8)
    target = matrix @ (rng.normal(size=8) / np.linalg.norm(matrix, axis=0)) + rng.normal(size=30)
    penalty = rng.uniform(0, 5, 8)
    allowed = np.ones(8, dtype=bool)
    allowed[3] = False
    factor = Factor.of(matrix, target)
    found = eliminations(factor, penalty, allowed)
    left = np.flatnonzero(allowed)
    assert [len(support) for _, support in found] == [7, 6, 5, 4, 3, 2, 1, 0]
    for score, support in found:
        assert (support == left).all()
        assert score == pytest.approx(float(likelihood(_rss(matrix, target, left), 30)) + penalty[left].sum(), rel=1e-8)
        if len(left):
            shorter = [np.delete(left, k) for k in range(len(left))]
            left = min(shorter, key=lambda own: float(likelihood(_rss(matrix, target, own), 30)) + penalty[own].sum())


def test_terms_that_only_together_stand_for_something_survive_where_steps_forward_take_others() -> None:
    # The target is the small difference of two nearly equal columns: alone, each is nearly orthogonal to it, and five
    # decoys follow it better.
    rng = np.random.default_rng(0)
    common, target = rng.normal(size=(2, 400))
    target -= common * (common @ target) / (common @ common)
    columns = [common + 0.02 * target, common - 0.02 * target]
    columns += [target + 1.0 * rng.normal(size=400) for _ in range(5)]
    factor = Factor.of(np.column_stack(columns), 30 * target + 0.01 * rng.normal(size=400))
    penalty, every = np.full(7, 8.0), np.ones(7, dtype=bool)
    forward = search(factor, penalty, np.zeros(0, dtype=int), every)
    _, best = min(eliminations(factor, penalty, every), key=lambda rung: rung[0])
    assert best.tolist() == [0, 1]
    assert len(forward) > 2


def test_dependent_columns_are_taken_away_first() -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(50, 6))
    matrix[:, 5] = matrix[:, 4] - 2 * matrix[:, 2]
    target = matrix[:, :2] @ [1.0, -3.0] + 0.01 * rng.normal(size=50)
    found = eliminations(Factor.of(matrix, target), np.full(6, 5.0), np.ones(6, dtype=bool))
    assert np.isfinite([score for score, _ in found]).all()
    assert min(found, key=lambda rung: rung[0])[1].tolist() == [0, 1]


def test_no_columns_leave_the_target() -> None:
    factor = Factor.of(np.ones((5, 1)), np.arange(5.0))
    ((score, support),) = eliminations(factor, np.ones(1), np.zeros(1, dtype=bool))
    assert not len(support)
    assert score == pytest.approx(float(likelihood(30.0, 5)))


def test_a_column_of_zeros_is_in_no_support() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(20, 4))
    matrix[:, 1] = 0
    found = eliminations(Factor.of(matrix, rng.normal(size=20)), np.ones(4), np.ones(4, dtype=bool))
    assert next(support.tolist() for _, support in found) == [0, 2, 3]
    assert all(1 not in support for _, support in found)
