"""Two processes with half the points each train as one process with all of them.

Run as a script this file is one of the processes: `test_training_parallel.py RANK SIZE STORE OUT`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributed as dist

import sciml
from sciml.errors import ArgumentError, SolveError
from sciml.network import MLP
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.training import (
    BFGS,
    LBFGS,
    FitObjective,
    GaussNewtonCG,
    LevenbergMarquardt,
    Objective,
    Optimizer,
    ParallelObjective,
    SelfScaledBroyden,
    Share,
    Spring,
    Trainer,
    processes,
)
from sciml.training.differential import gauss_newton_model

SIZE = 2
ITERATES = 10
OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "levenberg-marquardt": LevenbergMarquardt,
    "levenberg-marquardt, J not kept": lambda: LevenbergMarquardt(keep=0),
    # Few products: conjugate gradients amplify rounding by losing orthogonality, in one process as in two.
    "gauss-newton-cg": lambda: GaussNewtonCG(damping=30.0, rows=0, products=4),
    "bfgs": BFGS,
    "ssbroyden": SelfScaledBroyden,
    "lbfgs": LBFGS,
}


def residuals() -> ForwardObjective:
    """Burgers' equation with its conditions in the loss: terms of different lengths, an odd number of points."""
    problem = sciml.load("burgers")
    ansatz = build_ansatz(problem, exact=False)
    network = MLP(len(ansatz.inputs), 1, 7, 2, seed=0)
    generator = torch.Generator().manual_seed(0)
    objective = ForwardObjective(
        ansatz, network, Sampler(problem.domain, generator, torch.float64, torch.device("cpu"))
    )
    objective.draw(301)
    return objective


def regression(x: Tensor, seed: int = 0) -> FitObjective:
    return FitObjective(MLP(1, 1, 6, 2, seed=seed), x[:, None], torch.sin(3 * x))


def model_numbers(objective: Objective) -> dict[str, Tensor]:
    """What a step is made of."""
    dense, products = objective.linearize(), gauss_newton_model(objective)
    unkept = objective.linearize(keep=0)
    direction = torch.linspace(-1, 1, len(dense.vector), dtype=torch.float64)
    evaluation, gradient = objective.gradient()
    losses = [dense.evaluation.loss, evaluation.loss, objective.evaluate().loss, products.evaluation.loss]
    return {
        "matrix": dense.matrix,
        "vector": dense.vector,
        "gradient": gradient,
        "losses": torch.tensor([*losses, *evaluation.terms.values()], dtype=torch.float64),
        "J'J d, kept": dense.transposed(dense.product(direction)),
        "J'J d, not kept": unkept.transposed(unkept.product(direction)),
        "J'J d, tapes": products.curvature(direction),
        "J'J d, tapes, in two": products.transposed(products.product(direction)),
        "vector, tapes": products.vector,
        "counts": torch.tensor(list(objective.counts().values()), dtype=torch.float64),
    }


def iterates(objective: Objective, optimizer: Optimizer) -> Tensor:
    """The first parameters [10, P] of a training."""
    trainer = Trainer(objective, optimizer, iterations=ITERATES)
    states = []
    while trainer.status is None:
        trainer.step()
        states.append(objective.parameters())
    return torch.stack(states)


def all_numbers(make: Callable[[], Objective]) -> dict[str, Tensor]:
    """Everything that one process and two must agree on; `make` gives the objective at its start."""
    result = model_numbers(make())
    for name, optimizer in OPTIMIZERS.items():
        result[f"iterates, {name}"] = iterates(make(), optimizer())
    return result


def refusal(call: Callable[[], object], kind: type[Exception]) -> bool:
    try:
        call()
    except kind:
        return True
    return False


def work(rank: int, size: int) -> dict[str, Tensor]:
    """What each of the processes does: all of them the same calls."""
    result = all_numbers(lambda: ParallelObjective(Share(residuals(), rank, size)))
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)
    mine = x[rank::size]
    # The initial parameters are the first process's, whatever the others began with.
    objective = ParallelObjective(regression(mine, seed=rank))
    result["initial"] = objective.parameters()
    result["mean"] = torch.tensor(objective.evaluate().loss)
    # Rules in the space of the rows see the rows of all processes.
    for name, optimizer in {"spring": Spring(), "gauss-newton-cg": GaussNewtonCG()}.items():
        Trainer(objective, optimizer, iterations=5).run()
        result[f"trained by {name}"] = objective.parameters()
    # The first process's clock and stop rule decide; the others would go on for ever.
    impatient = rank == 0
    trainer = Trainer(objective, "lbfgs", budget=0.3 if impatient else 1e6, patience=None)
    trainer.run()
    trainer = Trainer(objective, "adam", iterations=1000, stop=lambda entry: impatient and entry["iteration"] >= 3)
    trainer.run()
    result["stopped"] = torch.tensor(trainer.iteration)
    # New points are drawn by a generator of each process's own.
    drawing = ParallelObjective(Drawing(regression(mine)))
    Trainer(drawing, "bfgs", iterations=6, resample=2).run()
    result["drawing"] = drawing.parameters()
    result["own drawn"] = drawing.state()["drawn"]
    # A process that goes its own way is noticed by all.
    if rank == 1:
        objective.load(objective.parameters() + 1e-14)
    result["parted"] = torch.tensor(refusal(objective.gradient, SolveError))
    result["unequal"] = torch.tensor(
        refusal(lambda: ParallelObjective(FitObjective(MLP(1, 1, 6 + rank, 2), mine[:, None], mine)), ArgumentError)
    )
    return result


class Drawing(Objective):
    """A regression at points that are drawn anew."""

    def __init__(self, fit: FitObjective) -> None:
        self.fit = fit
        self.drawn = torch.zeros(7, dtype=torch.float64)

    def parameters(self):
        return self.fit.parameters()

    def load(self, theta):
        self.fit.load(theta)

    def sizes(self):
        return self.fit.sizes()

    def residuals(self, rows=None):
        return self.fit.residuals(rows)

    def jacobian(self, rows=None, out=None):
        return self.fit.jacobian(rows, out)

    def resample(self, generator):
        self.drawn = torch.rand(7, generator=generator, dtype=torch.float64)
        self.fit._x[:7, 0] = self.drawn
        self.fit._y[:7, 0] = torch.sin(3 * self.drawn)

    def state(self):
        return {"drawn": self.drawn}


def main(rank: int, size: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    try:
        result = work(rank, size)
    finally:
        dist.destroy_process_group()
    np.savez(out, **{name: value.numpy() for name, value in result.items()})


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """The results of two processes that trained together."""
    if not (dist.is_available() and dist.is_gloo_available()):
        pytest.skip("this build of torch has no torch.distributed with gloo")
    folder = tmp_path_factory.mktemp("together")
    root = str(Path(__file__).resolve().parent.parent)
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    commands = [
        [sys.executable, __file__, str(rank), str(SIZE), str(folder / "store"), str(folder / f"{rank}.npz")]
        for rank in range(SIZE)
    ]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    try:
        for process in started:
            printed, _ = process.communicate(timeout=240)
            assert process.returncode == 0, printed
    finally:
        for process in started:
            process.kill()
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(SIZE)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    return all_numbers(residuals)


def test_two_processes_have_the_same_normal_equations_and_gradient_as_one(together, alone):
    for name in model_numbers(residuals()):
        expected = alone[name].numpy()
        assert abs(together[0][name] - expected).max() <= 1e-10 * abs(expected).max(), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_processes_take_the_first_ten_steps_of_one(together, alone, name):
    expected = alone[f"iterates, {name}"].numpy()
    found = together[0][f"iterates, {name}"]
    assert found.shape == expected.shape == (ITERATES, expected.shape[1])
    assert len(np.unique(expected, axis=0)) > 3, "the training moves"
    assert abs(found - expected).max() <= 1e-10


def test_all_processes_hold_the_same_bits(together):
    for name, value in together[0].items():
        if not name.startswith("own"):
            assert np.array_equal(value, together[1][name]), name


def test_the_loss_is_the_mean_over_all_rows_and_the_start_that_of_the_first_process(together):
    whole = regression(torch.linspace(-1, 1, 41, dtype=torch.float64))
    assert np.array_equal(together[1]["initial"], whole.parameters().numpy())
    assert together[1]["mean"] == pytest.approx(whole.evaluate().loss, rel=1e-13)


def test_the_first_process_decides_when_to_stop(together):
    # Adam's fourth update knows the loss of the state after the third.
    assert [int(result["stopped"]) for result in together] == [4, 4]


def test_new_points_differ_between_processes_and_the_parameters_do_not(together):
    assert not np.intersect1d(together[0]["own drawn"], together[1]["own drawn"]).size
    assert np.array_equal(together[0]["drawing"], together[1]["drawing"])


def test_a_process_with_other_parameters_or_another_network_is_noticed_in_all(together):
    for result in together:
        assert result["parted"]
        assert result["unequal"]


def test_one_process_alone_needs_no_group():
    plain, wrapped = residuals(), ParallelObjective(residuals())
    assert wrapped.processes == 1
    assert torch.equal(wrapped.linearize().matrix, plain.linearize().matrix)
    assert torch.equal(iterates(wrapped, LevenbergMarquardt()), iterates(plain, LevenbergMarquardt()))


@pytest.mark.parametrize("count", [1, 2, 3, 400])
def test_shares_make_up_the_whole(count):
    whole = residuals()
    shares = [Share(whole, k, count) for k in range(count)]
    for name, size in whole.sizes().items():
        assert sum(share.sizes()[name] for share in shares) == size
    together = [share.collected() for share in shares]
    for name, r in whole.residuals().items():
        joined = torch.cat([part[name] for part in together if name in part])
        assert torch.allclose(joined, r, rtol=1e-12, atol=1e-14)


def test_a_share_gives_the_rows_that_are_asked_for():
    whole = residuals()
    share = Share(whole, 1, 2)
    name = next(iter(whole.sizes()))
    start = whole.sizes()[name] // 2
    part = whole.residuals({name: slice(start + 2, start + 9, 3)})[name]
    assert torch.equal(share.residuals({name: slice(2, 9, 3)})[name], part)
    assert torch.equal(share.residuals({name: torch.tensor([2, 5, 8])})[name], part)
    with pytest.raises(ArgumentError, match="0 <= index < count"):
        Share(whole, 2, 2)


def test_what_is_no_objective_or_not_joined_is_refused(monkeypatch):
    with pytest.raises(ArgumentError, match="str is not accepted"):
        ParallelObjective("burgers")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match="ParallelObjective is not accepted"):
        ParallelObjective(ParallelObjective(residuals()))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ArgumentError, match="have not joined"):
        ParallelObjective(residuals())


def test_without_torchrun_there_is_one_process(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with processes() as here:
        assert (here.rank, here.size, here.first) == (0, 1, True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
