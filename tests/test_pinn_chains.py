"""`pinn.solve` with trained networks, in windows too: estimates honest, files exact, runs repeatable, budgets kept."""

from __future__ import annotations

import numpy as np
import pytest

import sciml
from sciml import Problem, Status, pinn

CHEAP: dict[str, Problem] = {
    **{name: sciml.load(name) for name in ("logistic", "pendulum", "heat", "klein_gordon", "poisson")},
    "growth": Problem("y' = 2*y", "y(0) = 1", {"t": (0, 2)}, exact="exp(2*t)"),
    "decay": Problem("y' = -y**2", "y(0) = 4", {"t": (0, 5)}, exact="4/(1 + 4*t)"),
    "forced": Problem("x'' = -x + cos(3*t)", ["x(0) = 0", "x'(0) = 0"], {"t": (0, 6)}, exact="(cos(t) - cos(3*t))/8"),
}


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
@pytest.mark.parametrize("name", CHEAP)
def test_estimates_of_trained_networks_are_not_ten_times_too_small(name, tol):
    u = pinn.solve(CHEAP[name], tol=tol, budget=10, optimizer="levenberg-marquardt")
    assert u.estimate is not None
    assert u.error() <= 10 * u.estimate + 1e-14
    assert not u.success or u.error() <= 10 * tol


def test_a_chain_is_saved_and_loaded_bit_for_bit_and_equal_seeds_give_equal_chains(tmp_path):
    problem = sciml.load("lorenz", T=1.1)
    u, v = (pinn.solve(problem, tol=1e-3, iterations=300, budget=None, seed=2) for _ in range(2))
    assert u.details["windows"] > 1
    t = np.linspace(0, 1.1, 201)[:, None]
    texts = ["x", "y", "x'", "z''"]
    assert np.array_equal(u.evaluate(texts, t), v.evaluate(texts, t))
    assert u.estimate == v.estimate
    w = sciml.load_solution(u.save(tmp_path / "orbit.safetensors"))
    assert np.array_equal(u.evaluate(texts, t), w.evaluate(texts, t))


def test_the_budget_of_a_chain_is_kept():
    u = pinn.solve(sciml.load("lorenz", T=3.0), tol=1e-12, budget=1.5)
    assert u.status is Status.BUDGET
    assert u.wall_time <= 1.2 * 1.5 + 1.5
    assert np.isfinite(u("x", np.linspace(0, 3, 50))).all()
