import math
import time

import pytest
import torch

from sciml.errors import ArgumentError, FileFormatError
from sciml.network import MLP
from sciml.training import (
    Adam,
    FitObjective,
    GradientDescent,
    LevenbergMarquardt,
    ModuleObjective,
    Momentum,
    Objective,
    Trainer,
    TrainingStatus,
    optimizer_names,
)


def regression(seed=0, n=40, outputs=1):
    x = torch.linspace(-1, 1, n, dtype=torch.float64)[:, None]
    y = torch.cat([torch.sin((3 + k) * x) for k in range(outputs)], 1)
    return FitObjective(MLP(1, outputs, 6, 2, seed=seed), x, y)


class Scalar(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor([value], dtype=torch.float64))


def scalar(start, residual):
    return ModuleObjective(Scalar(start), lambda m: {"r": residual(m.value)})


class Drawn(Objective):
    """Fit of a straight line to noisy samples at points that are drawn anew."""

    def __init__(self):
        self.theta = torch.zeros(2, dtype=torch.float64)
        self.drawn = 0
        self.resample(torch.Generator().manual_seed(0))

    def resample(self, generator):
        self.drawn += 1
        self.x = torch.rand(20, generator=generator, dtype=torch.float64)
        self.y = 1 + 2 * self.x + 0.1 * torch.randn(20, generator=generator, dtype=torch.float64)

    def fresh(self, generator):
        other = Drawn()
        other.theta = self.theta
        other.resample(generator)
        return other.residuals()

    def parameters(self):
        return self.theta.clone()

    def load(self, theta):
        self.theta = theta.clone()

    def sizes(self):
        return {"line": 20}

    def residuals(self, rows=None):
        return self.jacobian(rows)[0]

    def jacobian(self, rows=None, out=None):
        chosen = slice(None) if rows is None else rows["line"]
        columns = torch.stack((torch.ones_like(self.x), self.x), 1)[chosen]
        return {"line": columns @ self.theta - self.y[chosen]}, {"line": columns}

    def state(self):
        return {"x": self.x, "y": self.y}

    def restore(self, state):
        self.x, self.y = state["x"], state["y"]


@pytest.mark.parametrize("optimizer", optimizer_names())
def test_training_stops_at_the_tolerance_with_a_state_that_meets_it(optimizer):
    objective = regression()
    tol = 0.5 * objective.evaluate().loss
    result = Trainer(objective, optimizer, tol=tol, iterations=5000).run()
    assert result.success
    assert result.status is TrainingStatus.CONVERGED
    assert objective.evaluate().loss <= tol
    assert math.isclose(objective.evaluate().loss, result.best_loss, rel_tol=1e-12)
    assert result.history["loss"][-1] == result.best_loss


@pytest.mark.parametrize("optimizer", optimizer_names())
def test_training_stops_at_the_iteration_count_with_one_entry_per_state(optimizer):
    objective = regression()
    result = Trainer(objective, optimizer, iterations=7).run()
    assert result.status is TrainingStatus.ITERATIONS
    assert not result.success
    assert "more iterations" in result.message
    assert result.iterations == 7
    assert result.history["iteration"] == list(range(8))
    assert {len(series) for series in result.history.values()} == {8}
    assert set(result.history) == {"iteration", "seconds", "loss", "loss: fit"}
    assert result.history["seconds"] == sorted(result.history["seconds"])
    assert result.best_loss == min(result.history["loss"])


def test_training_stops_within_the_budget():
    class Slow(Drawn):
        def jacobian(self, rows=None, out=None):
            time.sleep(0.005)
            return super().jacobian(rows, out)

    began = time.perf_counter()
    objective = Slow()
    start = objective.evaluate().loss
    result = Trainer(objective, GradientDescent(1e-3), budget=0.2).run()
    assert result.status is TrainingStatus.BUDGET
    assert result.wall_time <= time.perf_counter() - began < 1.0
    assert 1 <= result.iterations < 60
    assert result.best_loss < start


@pytest.mark.parametrize("optimizer", optimizer_names(stochastic=False))
def test_training_stops_as_stagnated_at_a_minimum_that_misses_the_tolerance(optimizer):
    objective = scalar(2.0, lambda v: torch.stack((v[0] - 1, v[0] + 1)))
    result = Trainer(objective, optimizer, tol=1e-3, iterations=2000).run()
    assert result.status is TrainingStatus.STAGNATED
    assert math.isclose(result.best_loss, 1.0, rel_tol=1e-12)
    assert abs(float(objective.parameters())) < 1e-6


def test_patience_ends_a_training_without_improvement():
    objective = scalar(2.0, lambda v: v)
    result = Trainer(objective, GradientDescent(1e-9), iterations=10_000, patience=25).run()
    assert result.status is TrainingStatus.STAGNATED
    assert "25 entries" in result.message
    assert result.iterations < 40


def test_a_stop_rule_ends_the_training():
    objective = regression()
    result = Trainer(objective, iterations=200, stop=lambda entry: entry["terms"]["fit"] < 1e-2).run()
    assert result.success
    assert result.history["loss: fit"][-1] < 1e-2 <= result.history["loss: fit"][-2]


@pytest.mark.parametrize("optimizer", [GradientDescent(1.5), Momentum(2.0), Adam(lambda update: 10.0**update)])
def test_a_diverging_training_ends_with_the_best_finite_state(optimizer):
    objective = scalar(1.0, lambda v: torch.cat((v**3 - 8, 3 * v)))
    start = objective.evaluate().loss
    result = Trainer(objective, optimizer, iterations=10_000, patience=None).run()
    assert result.status is TrainingStatus.DIVERGED
    assert "learning rate" in result.message
    assert result.best_loss <= start
    assert math.isclose(objective.evaluate().loss, result.best_loss)
    assert all(math.isfinite(loss) for loss in result.history["loss"])


@pytest.mark.parametrize("optimizer", optimizer_names())
def test_a_residual_without_value_at_the_start_is_diverged_not_an_exception(optimizer):
    objective = scalar(-1.0, torch.log)
    result = Trainer(objective, optimizer, tol=1e-9, iterations=5).run()
    assert result.status is TrainingStatus.DIVERGED
    assert "initial" in result.message
    assert float(objective.parameters()) == -1.0
    assert len(result.history) == 0


@pytest.mark.parametrize("optimizer", optimizer_names(stochastic=False))
def test_a_residual_without_value_beyond_a_wall_is_walked_around(optimizer):
    """sqrt(v) - 0.1 from v = 4: the full first step leads to v < 0, where there is no residual."""
    objective = scalar(4.0, lambda v: torch.sqrt(v) - 0.1)
    result = Trainer(objective, optimizer, tol=1e-16, iterations=200).run()
    assert result.success
    assert math.isclose(float(objective.parameters()), 0.01, rel_tol=1e-5)


def test_the_best_state_is_kept_when_the_loss_rises_again():
    rates = [0.1] * 10 + [0.9] * 10  # beyond 0.25 the quadratic 4 v^2 diverges
    objective = scalar(1.0, lambda v: 2 * v)
    result = Trainer(objective, GradientDescent(lambda update: rates[update]), iterations=20).run()
    losses = result.history["loss"]
    assert losses[-1] > 1e3 * min(losses)
    assert result.best_iteration == 10 == losses.index(min(losses))
    assert math.isclose(float(objective.parameters()), (1 - 0.8) ** 10, rel_tol=1e-12)


def test_progress_sees_every_entry():
    seen = []
    result = Trainer(regression(), iterations=5).run(seen.append)
    assert [entry["iteration"] for entry in seen] == result.history["iteration"]
    assert [entry["loss"] for entry in seen] == result.history["loss"]
    assert set(seen[0]) >= {"iteration", "seconds", "loss", "terms"}
    assert set(seen[0]["terms"]) == {"fit"}


@pytest.mark.parametrize(
    ("batch", "replacement"), [(10, False), (10, True), (1, False), (1, True), ({"fit 1": 5}, False)]
)
def test_batches_lower_the_full_loss(batch, replacement):
    objective = regression(outputs=2)
    start = objective.evaluate().loss
    trainer = Trainer(objective, Adam(5e-3), iterations=400, batch=batch, replacement=replacement, seed=1)
    result = trainer.run()
    assert result.best_loss < 0.5 * start
    assert math.isclose(result.best_loss, objective.evaluate().loss, rel_tol=1e-12)
    assert result.history["iteration"][0] == 0
    assert result.history["iteration"][1] == trainer.sampler.epoch
    assert result.history["iteration"][-1] == 400


def test_equal_seeds_give_equal_trainings():
    runs = []
    for seed in (0, 0, 1):
        objective = regression()
        Trainer(objective, Adam(1e-2), iterations=30, batch=8, seed=seed).run()
        runs.append(objective.parameters())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("schedule", [3, lambda iteration: iteration in (3, 6, 9)])
def test_points_are_drawn_anew_on_schedule(schedule):
    objective = Drawn()
    result = Trainer(objective, LevenbergMarquardt(), iterations=10, resample=schedule).run()
    assert objective.drawn == 1 + 3
    assert math.isclose(result.best_loss, objective.evaluate().loss, rel_tol=1e-12)


def test_the_best_loss_belongs_to_the_present_points():
    objective = Drawn()
    trainer = Trainer(objective, LevenbergMarquardt(1e-8), iterations=100)
    for _ in range(4):
        trainer.step()
    first = trainer.best_loss
    objective.y = objective.y + 5
    trainer.points_changed()
    assert trainer.best_loss > 10 * first
    assert math.isclose(trainer.best_loss, objective.evaluate().loss, rel_tol=1e-12)
    for _ in range(4):
        trainer.step()
    result = trainer.finish()
    columns = torch.stack((torch.ones_like(objective.x), objective.x), 1)
    exact = torch.linalg.lstsq(columns, objective.y[:, None]).solution[:, 0]
    assert torch.allclose(objective.parameters(), exact, rtol=1e-6)
    assert math.isclose(result.best_loss, objective.evaluate().loss, rel_tol=1e-12)


def test_the_fresh_loss_leaves_the_points_alone():
    objective = Drawn()
    trainer = Trainer(objective, iterations=20)
    trainer.run()
    x = objective.x.clone()
    fresh = [trainer.fresh_loss() for _ in range(2)]
    assert torch.equal(objective.x, x)
    assert fresh[0] != fresh[1]
    assert all(0.003 < loss < 0.05 for loss in fresh)  # the noise has variance 0.01


def test_a_driven_trainer_is_the_same_as_a_run():
    first, second = regression(), regression()
    result = Trainer(first, iterations=12).run()
    trainer = Trainer(second, iterations=12)
    while trainer.status is None:
        trainer.step()
    assert trainer.step() is None
    assert trainer.finish().best_loss == result.best_loss
    assert torch.equal(first.parameters(), second.parameters())


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(name, {}) for name in optimizer_names()]
    + [(name, {"batch": 7}) for name in optimizer_names(stochastic=True)]
    + [(name, {"batch": 3, "replacement": True}) for name in optimizer_names(stochastic=True)],
)
def test_a_resumed_training_is_bit_identical(optimizer, options, tmp_path):
    path = tmp_path / "state.safetensors"
    whole = regression()
    expected = Trainer(whole, optimizer, iterations=23, **options).run()
    part = regression()
    trainer = Trainer(part, optimizer, iterations=23, **options)
    for _ in range(11):
        trainer.step()
    trainer.save(path)
    again = regression(seed=5)
    resumed = Trainer(again, optimizer, iterations=23, **options)
    resumed.load(path)
    assert resumed.iteration == 11
    result = resumed.run()
    assert torch.equal(again.parameters(), whole.parameters())
    assert result.best_loss == expected.best_loss
    for key in ("iteration", "loss", "loss: fit"):
        assert result.history[key] == expected.history[key]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_resumed_training_draws_the_same_new_points(tmp_path):
    runs = []
    for resume in (False, True):
        objective = Drawn()
        trainer = Trainer(objective, Adam(0.1), iterations=20, resample=4, seed=3)
        for _ in range(10):
            trainer.step()
        if resume:
            trainer.save(tmp_path / "state")
            objective = Drawn()
            trainer = Trainer(objective, Adam(0.1), iterations=20, resample=4, seed=99)
            trainer.load(tmp_path / "state")
        trainer.run()
        runs.append(objective)
    assert torch.equal(runs[0].x, runs[1].x)
    assert torch.equal(runs[0].theta, runs[1].theta)


def test_a_finished_training_goes_on_after_loading(tmp_path):
    objective = regression()
    first = Trainer(objective, Adam(1e-2), iterations=10)
    first.run()
    first.save(tmp_path / "state")
    longer = Trainer(regression(), Adam(1e-2), iterations=20)
    longer.load(tmp_path / "state")
    assert longer.status is None
    assert longer.run().iterations == 20
    assert longer.seconds > first.history["seconds"][-1]


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    trainer = Trainer(regression(), Adam(), iterations=3)
    trainer.step()
    trainer.save(tmp_path / "good")
    with pytest.raises(FileFormatError, match="missing"):
        trainer.load(tmp_path / "missing")
    (tmp_path / "text").write_text("not a checkpoint")
    with pytest.raises(FileFormatError, match="text"):
        trainer.load(tmp_path / "text")
    data = (tmp_path / "good").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match="cut"):
        trainer.load(tmp_path / "cut")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(FileFormatError, match="not a training checkpoint"):
        trainer.load(tmp_path / "foreign")
    with pytest.raises(FileFormatError, match=r"'adam'; this trainer has .*'momentum'"):
        Trainer(regression(), "momentum", iterations=3).load(tmp_path / "good")
    with pytest.raises(FileFormatError, match="parameters"):
        Trainer(regression(outputs=2), "adam", iterations=3).load(tmp_path / "good")
    with pytest.raises(FileFormatError, match="batches"):
        Trainer(regression(), "adam", iterations=3, batch=2).load(tmp_path / "good")


def test_float32_trains_too():
    x = torch.linspace(-1, 1, 40)[:, None]
    objective = FitObjective(MLP(1, 1, 8, 2, dtype="float32"), x, torch.sin(3 * x))
    result = Trainer(objective, tol=1e-6, iterations=200).run()
    assert result.success
    assert objective.parameters().dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, r"^tol, iterations, budget: at least one"),
        ({"tol": -1.0}, r"^tol: -1.0 .*>= 0"),
        ({"tol": math.nan}, r"^tol: nan"),
        ({"iterations": 0}, r"^iterations: 0 .*>= 1"),
        ({"iterations": 2.5}, r"^iterations: 2.5 .*integers"),
        ({"iterations": True}, r"^iterations: True"),
        ({"budget": 0}, r"^budget: 0 .*> 0"),
        ({"budget": "10 s"}, r"^budget: '10 s'"),
        ({"iterations": 3, "patience": 0}, r"^patience: 0"),
        ({"iterations": 3, "resample": 0}, r"^resample: 0"),
        ({"iterations": 3, "evaluate_every": -2}, r"^evaluate_every: -2"),
        ({"iterations": 3, "batch": 4}, r"^batch: levenberg-marquardt uses all rows; .*adam, .*momentum"),
        ({"iterations": 3, "optimizer": "adam", "batch": 0}, r"^batch: 0 .*at least 1"),
        ({"iterations": 3, "optimizer": "adam", "batch": {"fitt": 2}}, r"^batch: no term 'fitt'.*'fit'"),
        ({"iterations": 3, "optimizer": "Adam"}, r"^optimizer: 'Adam' is not known; did you mean 'adam'"),
        ({"iterations": 3, "objective": "fit"}, r"^objective: str is not accepted"),
        ({"iterations": 3, "seed": -1}, r"^seed: -1"),
        ({"iterations": 3, "generator": 7}, r"^generator: 7"),
        ({"iterations": 3, "stop": 1e-3}, r"^stop: 0.001"),
    ],
)
def test_wrong_arguments_are_named(options, text):
    arguments = {"objective": regression(), **options}
    with pytest.raises(ArgumentError, match=text):
        Trainer(**arguments)
