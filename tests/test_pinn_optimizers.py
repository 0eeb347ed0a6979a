"""Every optimizer can be named in `pinn.solve`; windows give each its own pace and batch."""

from __future__ import annotations

import pytest

import sciml
from sciml import pinn
from sciml.training import SelfScaledBroyden, Spring, optimizer_names


@pytest.mark.parametrize("name", optimizer_names())
def test_every_optimizer_lowers_the_residual_of_a_problem(name):
    steps = 12 if name in ("levenberg-marquardt", "gauss-newton-cg") else 150
    solution = pinn.solve(sciml.load("heat"), optimizer=name, network="8x2", tol=1e-8, iterations=steps, budget=None)
    assert solution.details["optimizer"] == name
    assert solution.details["iterations"] <= steps
    losses = solution.history["loss"]
    assert all(loss < float("inf") for loss in losses)
    first_order = name in ("gradient-descent", "momentum", "adam", "rmsprop")
    assert min(losses) < (0.99 if first_order else 0.05) * losses[0]


def test_the_curvature_of_a_window_is_kept_when_its_points_are_drawn_anew():
    seen = []
    inner = SelfScaledBroyden.points_changed

    def changed(self):
        inner(self)
        seen.append("inverse" in self.state()[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SelfScaledBroyden, "points_changed", changed)
        pinn.solve(sciml.load("heat"), optimizer="ssbroyden", network="8x2", tol=1e-15, iterations=200, budget=None)
    assert seen[0] is False
    assert len(seen) >= 3
    assert all(seen[1:])


def test_a_rule_for_batches_gets_about_the_rows_it_asks_for():
    counts = []
    step = Spring.step

    def counted(self, objective, rows=None):
        assert rows is not None
        counts.append(max(len(r) for r in rows.values()))
        return step(self, objective, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spring, "step", counted)
        pinn.solve(sciml.load("heat"), optimizer=Spring(batch=50), network="8x2", tol=1e-9, iterations=60, budget=None)
    assert max(counts) == 50
    assert len(counts) == 60
