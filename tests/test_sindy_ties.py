"""Near ties between laws: which is the answer, which are named beside it, and that no such law is trusted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from benchmarks.discovery import CELLS, LORENZ, noisy, record_of
from benchmarks.normal_forms import HOPF, normal_record
from sciml import sindy
from sciml.sindy.evaluation import polynomial_of
from sciml.sindy.selection import Factor


def _right(found, truth) -> bool:
    return all(set(found[name]) == set(truth[name]) for name in truth)


def _factor(seed: int, rows: int = 40, count: int = 9) -> tuple[np.ndarray, np.ndarray, Factor]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, count)) * 10.0 ** rng.uniform(-3, 3, count)
    target = matrix[:, :4] @ (1 / np.linalg.norm(matrix[:, :4], axis=0)) + 0.1 * rng.normal(size=rows)
    return matrix, target, Factor.of(matrix, target)


@pytest.mark.parametrize("support", [[], [2], [1, 5, 7]])
def test_two_columns_at_once_leave_what_least_squares_leaves(support: list[int]) -> None:
    matrix, target, factor = _factor(len(support))
    rss, both = factor.pairs(np.array(support, dtype=int), factor.columns.T @ factor.columns)
    assert rss == pytest.approx(factor.solve(np.array(support, dtype=int))[1], rel=1e-10)
    assert np.allclose(both, both.T, rtol=1e-12)
    for a, b in itertools.combinations(range(matrix.shape[1]), 2):
        if a in support or b in support:
            assert both[a, b] == np.inf
            continue
        columns = matrix[:, [*support, a, b]]
        columns = columns / np.linalg.norm(columns, axis=0)
        rest = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
        assert both[a, b] == pytest.approx(float(rest @ rest), rel=1e-8)
    assert np.isinf(np.diag(both)).all()


def test_a_pair_of_dependent_columns_is_none() -> None:
    matrix, target, _ = _factor(0)
    matrix[:, 8] = -3 * matrix[:, 7] + 2 * matrix[:, 0]
    factor = Factor.of(matrix, target)
    _, both = factor.pairs(np.array([0]), factor.columns.T @ factor.columns)
    assert both[7, 8] == np.inf
    assert np.isfinite(both[7, 6])


def test_of_two_equal_laws_the_one_with_fewer_terms_is_the_answer_and_it_is_not_trusted() -> None:
    # In this draw y**2 in the second equation lowers the criterion by 0.4.
    times, samples = normal_record(HOPF, 16, 0.002, 7)
    law = sindy.discover(times, samples, names=("x", "y"), degree=5)
    assert _right(law.coefficients, HOPF)
    longer = law.alternatives[0]
    assert set(longer.coefficients["y"]) == set(HOPF["y"]) | {"y**2"}
    assert longer.weight > law.diagnostics["weight"]
    assert not law.trusted
    assert "nearly as likely" in law.diagnostics["reason"]


def test_a_wrong_law_that_ties_with_the_right_one_is_not_trusted() -> None:
    # y*z for y in the second equation, by 0.3 in the criterion: it has more than half of the weight.
    cell = next(c for c in CELLS if c.name == "Lorenz 5 %, 2 s")
    times, samples = record_of(cell, 8)
    law = sindy.discover(times, samples, names=("x", "y", "z"), degree=5)
    right = [law.coefficients, *(other.coefficients for other in law.alternatives)]
    place = [_right(found, LORENZ) for found in right].index(True)
    assert place < 2
    assert not law.trusted
    assert "nearly as likely" in law.diagnostics["reason"]


def test_alternatives_are_different_laws_and_one_may_have_two_terms_for_one_of_the_winner_s() -> None:
    # An isothermal reactor: 0.74 - x is nearly a multiple of x**2 z**2 along this record, shorter by a term.
    truth = {
        "x": {"x*y**2": -1.0, "x": -1.0, "z": 0.29786, "1": 0.74465},
        "y": {"x*y**2": 1 / 0.013, "x": 1 / 0.013, "y": -1 / 0.013},
        "z": {"y": 1.0, "z": -1.0},
    }
    right = polynomial_of(truth, ("x", "y", "z"))
    assert right is not None
    times = 0.0073028 * np.arange(1000)
    initial = [0.51415056, 0.99842882, 1.00617771]
    states = solve_ivp(lambda _, s: right(s), (0, times[-1]), initial, "DOP853", times, rtol=1e-10, atol=1e-12).y.T
    law = sindy.discover(times, noisy(states, 0.05, 30), names=("x", "y", "z"), degree=4)
    supports = [
        tuple(frozenset(found[name]) for name in truth)
        for found in [law.coefficients, *(other.coefficients for other in law.alternatives)]
    ]
    assert len(set(supports)) == len(supports)
    assert tuple(frozenset(terms) for terms in truth.values()) in supports
