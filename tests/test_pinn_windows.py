"""Windows: what is handed over, restricted, corrected and carried on is what it should be; estimates are honest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor, nn

import sciml
from sciml import Problem, classical, pinn
from sciml.network import MLP
from sciml.notation import Partial
from sciml.pinn.ansatz import Trace, build_ansatz, continued
from sciml.pinn.growth import comparable, grown_errors
from sciml.pinn.handover import Handover
from sciml.pinn.march import March
from sciml.pinn.piece import Piece, evaluate
from sciml.pinn.plan import plan_for
from sciml.pinn.polish import Polished, can_be_polished, carried, polished
from sciml.pinn.progress import Limits, monitor_points, values_of
from sciml.pinn.restriction import restricted
from sciml.pinn.window import Window
from sciml.training import TrainingStatus, make_optimizer


def window(problem: Problem, part: Sequence[float] = (0, 1), trace: Trace | None = None, seed: int = 0) -> Window:
    """Return a part of the problem's time with the network that `solve` would give it."""
    assert problem.time is not None
    start, stop = problem.domain.interval(problem.time)
    plan = plan_for(problem)
    whole = build_ansatz(problem, harmonics=plan.harmonics)
    lower, upper = (start + (stop - start) * at for at in part)
    ansatz = continued(whole, lower, upper, trace)
    assert ansatz is not None
    network = MLP(len(ansatz.inputs), len(ansatz.fields), plan.width, plan.depth, plan.activation, seed=seed)
    optimizer = make_optimizer("levenberg-marquardt")
    return Window(ansatz, network, plan, optimizer, torch.Generator().manual_seed(seed))


def train(one: Window, steps: int) -> None:
    one.train(lambda _: False, None, steps)


def points_of(piece: Piece, count: int = 300, at_end: bool = False) -> Tensor:
    box = piece.ansatz.problem.domain
    unit = torch.rand(count, box.dimension, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = torch.tensor(box.lower) + unit * torch.tensor(box.lengths)
    if at_end:
        axis = box.index(str(piece.ansatz.problem.time))
        points[:, axis] = box.upper[axis]
    return points.to(torch.float64)


def space_partials(problem: Problem, orders: int) -> list[Partial]:
    return [
        Partial(u, tuple(k * int(c == problem.space[0]) for c in problem.coordinates))
        for u in problem.unknowns
        for k in range(orders + 1)
    ]


def gaps(have: Tensor, want: Tensor) -> Tensor:
    """Largest difference of each partial relative to its largest value."""
    assert have.shape == want.shape
    return (have - want).abs().amax(1) / want.abs().amax(1)


SHORTER = {
    "early logistic": sciml.load("logistic").windowed(0, 2.5),
    "orbit": sciml.load("lotka_volterra").windowed(0, 3),
    "burgers": sciml.load("burgers", nu=0.1),
}


def load(name: str) -> Problem:
    return SHORTER[name] if name in SHORTER else sciml.load(name)


def exact(problem: Problem, points: Tensor) -> np.ndarray:
    if not problem.has_exact:
        return classical.solve(problem, rtol=1e-12).evaluate(problem.unknowns, points.numpy())
    return np.stack([value.numpy() for value in problem.evaluate_exact(points).values()])


def relative_error(pieces: Sequence[Piece], problem: Problem, points: Tensor) -> float:
    truth = exact(problem, points)
    now = evaluate(pieces, values_of(pieces[0].ansatz), points).numpy()
    return float(np.linalg.norm(now - truth) / np.linalg.norm(truth))


# -- what is handed over -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "orders"),
    [("burgers", 2), ("heat", 4), ("wave", 2), ("kdv", 4), ("allen_cahn", 2), ("kuramoto_sivashinsky", 4)],
)
def test_interpolated_partials_are_those_of_the_network(name, orders):
    problem = sciml.load(name)
    piece = window(problem, (0, 0.3), seed=orders).piece
    partials, points = space_partials(problem, orders), points_of(piece, at_end=True)
    if name == "wave":
        partials = [*partials, Partial("u", (0, 1)), Partial("u", (2, 1))]
    assert float(gaps(Handover(piece)(partials, points), piece.trace(partials, points)).max()) < 1e-10


def test_fronts_are_resolved_and_what_is_not_resolved_is_asked_of_the_network():
    problem = sciml.load("burgers")
    piece = window(problem, (0, 0.3)).piece
    partials, points = space_partials(problem, 2), points_of(piece, at_end=True)
    for steep in (100.0, 1e7):
        with torch.no_grad():
            piece.network.layers[0].weight.mul_(steep)  # type: ignore[operator, union-attr, index]
        assert float(gaps(Handover(piece)(partials, points), piece.trace(partials, points)).max()) < 1e-10


def test_one_function_of_time_is_one_number():
    piece = window(sciml.load("lorenz"), (0, 0.1)).piece
    partials, points = values_of(piece.ansatz), points_of(piece, 7, at_end=True)
    have = Handover(piece)(partials, points)
    assert torch.allclose(have, piece.trace(partials, points), rtol=1e-14, atol=0)
    assert bool((have == have[:, :1]).all())


def test_in_two_space_coordinates_the_network_itself_is_asked():
    piece = window(sciml.load("heat_2d"), (0, 0.5)).piece
    partials = [Partial("u", (0, 0, 0)), Partial("u", (2, 0, 0)), Partial("u", (1, 1, 0))]
    points = points_of(piece, 50, at_end=True)
    assert torch.equal(Handover(piece)(partials, points), piece.trace(partials, points))


@pytest.mark.parametrize("name", ["burgers", "lorenz", "heat_2d"])
def test_a_changed_network_and_a_replaced_piece_are_noticed(name):
    first, other = (window(sciml.load(name), (0, 0.1), seed=seed).piece for seed in (0, 1))
    partials, points = values_of(first.ansatz), points_of(first, 40, at_end=True)
    handover = Handover(first)
    before, stamp = handover(partials, points), handover.refresh()
    assert torch.equal(handover(partials, points), before)
    assert handover.refresh() == stamp
    with torch.no_grad():
        next(first.network.parameters()).mul_(1.5)
    assert torch.allclose(handover(partials, points), first.trace(partials, points), rtol=1e-11, atol=1e-12)
    assert not torch.allclose(handover(partials, points), before, rtol=1e-6, atol=1e-6)
    handover.piece = other
    assert torch.allclose(handover(partials, points), other.trace(partials, points), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["burgers", "wave", "kdv", "lotka_volterra", "heat_2d"])
def test_a_chain_of_three_is_continuous_and_notices_a_change_of_its_first_window(name):
    problem, pieces = sciml.load(name), list[Piece]()
    for k in range(3):
        trace = Handover(pieces[-1]) if pieces else None
        pieces.append(window(problem, (k / 10, (k + 1) / 10), trace, seed=k).piece)
    wanted, points = values_of(pieces[0].ansatz), points_of(pieces[1], 60, at_end=True)
    before = pieces[1].trace(wanted, points)
    assert float(gaps(pieces[2].trace(wanted, points), before).max()) < 1e-10
    last = points_of(pieces[2], 60, at_end=True)
    old = pieces[2].trace(wanted, last)
    with torch.no_grad():
        next(pieces[0].network.parameters()).mul_(1.5)
    assert float(gaps(pieces[2].trace(wanted, points), pieces[1].trace(wanted, points)).max()) < 1e-10
    assert float(gaps(pieces[1].trace(wanted, points), before).max()) > 1e-6
    assert float(gaps(pieces[2].trace(wanted, last), old).max()) > 1e-6


# -- restriction ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["burgers", "kdv", "lorenz", "wave", "klein_gordon", "pendulum", "heat_2d"])
def test_a_restricted_network_is_the_same_function_in_its_window(name):
    problem = sciml.load(name)
    long = window(problem).piece
    for ratio in (0.5, 0.3):
        short = window(problem, (0, ratio)).piece
        short.network = restricted(long.network, long.ansatz, ratio)
        points, wanted = points_of(short), values_of(short.ansatz)
        assert float(gaps(short.trace(wanted, points), long.trace(wanted, points)).max()) < 1e-12


def test_modules_that_cannot_be_restricted_are_returned_as_they_are():
    ansatz = window(sciml.load("heat")).piece.ansatz
    module = nn.Linear(2, 1).double()
    assert restricted(module, ansatz, 0.5) is module
    orders = Problem(["u'' = v", "v' = -u"], ["u(0) = 1", "u'(0) = 0", "v(0) = 0"], {"t": (0, 1)}, unknowns=["u", "v"])
    piece = window(orders).piece
    assert restricted(piece.network, piece.ansatz, 0.5) is piece.network


# -- corrections ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "steps", "seed"),
    [("heat", 12, 1), ("early logistic", 15, 0), ("early logistic", 15, 1), ("klein_gordon", 12, 0)],
)
def test_a_correction_of_a_smooth_solution_gains_digits_and_keeps_the_conditions(name, steps, seed):
    problem = load(name)
    one = window(problem, seed=seed)
    train(one, steps)
    before = deepcopy(one.piece.network.state_dict())
    columns = plan_for(problem).columns
    first = polished(one.piece, one.objective, columns, torch.Generator().manual_seed(3))
    assert (first.helps, first.pays) == (True, True)
    assert 1e3 * first.loss < first.before
    points = points_of(first.piece)
    assert 100 * relative_error([first.piece], problem, points) < relative_error([one.piece], problem, points)
    assert abs(first.columns - columns) <= 2
    # The trained network is left alone.
    assert all(torch.equal(value, before[name]) for name, value in one.piece.network.state_dict().items())
    wanted = values_of(first.piece.ansatz)
    # Whatever the network gives, every condition holds.
    box = problem.domain
    for axis, end in itertools.product(range(box.dimension), (0, 1)):
        if box.coordinates[axis] != problem.time or end == 0:
            side = points.clone()
            side[:, axis] = (box.lower, box.upper)[end][axis]
            gap = first.piece.trace(wanted, side) - torch.from_numpy(exact(problem, side))
            assert float(gap.abs().max()) < 1e-12


def test_equal_seeds_give_equal_corrections():
    states = []
    for seed in (3, 3, 4):
        one = window(load("early logistic"))
        train(one, 8)
        attempt = polished(one.piece, one.objective, 30, torch.Generator().manual_seed(seed))
        states.append(torch.cat([p.detach().reshape(-1) for p in attempt.piece.network.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_a_correction_that_does_not_help_says_nothing_of_the_error():
    one = window(sciml.load("logistic"))
    train(one, 6)
    attempt = polished(one.piece, one.objective, 30, torch.Generator().manual_seed(0))
    assert (attempt.helps, attempt.pays) == (False, False)
    assert attempt.loss <= attempt.before
    assert not comparable([attempt], [False])


def test_only_networks_in_double_precision_with_hidden_layers_are_corrected():
    assert can_be_polished(MLP(2, 1))
    assert not can_be_polished(MLP(2, 1, depth=0))
    assert not can_be_polished(MLP(2, 1, dtype="float32"))
    assert not can_be_polished(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double())


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("rate", [3, -3])
def test_an_error_grows_and_decays_as_the_equation_says(rate, count):
    problem = Problem("y' = a*y", "y(0) = 1", {"t": (0, 1)}, {"a": rate})
    start, generator = 1e-3, torch.Generator().manual_seed(0)

    def error(partials: Sequence[Partial], points: Tensor) -> Tensor:
        return torch.stack([points.new_full((len(points),), 0.0 if any(p.orders) else start) for p in partials])

    former: Handover | None = None
    trace: Trace = error
    errors = list[Piece]()
    for k in range(count):
        one = window(problem, (k / count, (k + 1) / count), former, seed=k)
        ansatz = replace(one.piece.ansatz, g={"y": sympy.Integer(0)}, trace=trace)
        errors.append(Piece(ansatz, carried(one.piece, one, trace, 60, generator)))
        former, trace = Handover(one.piece), Handover(errors[-1])
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    have = evaluate(errors, [Partial("y", (0,))], t[:, None])[0]
    assert bool(((have / (start * torch.exp(rate * t)) - 1).abs() < 0.1).all())


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(("name", "count", "steps"), [("logistic", 3, 15), ("orbit", 5, 15), ("burgers", 2, 20)])
def test_the_estimate_of_a_chain_is_about_its_error(name, count, steps, corrected):
    problem = load(name)
    plan, generator = plan_for(problem), torch.Generator().manual_seed(0)
    windows, attempts, pieces = list[Window](), list[Polished](), list[Piece]()
    for k in range(count):
        one = window(problem, (k / count, (k + 1) / count), Handover(pieces[-1]) if pieces else None)
        if windows:
            one.piece.network.load_state_dict(windows[-1].piece.network.state_dict())
        train(one, steps)
        # Few columns leave an error that is not rounding.
        attempts.append(polished(one.piece, one.objective, 120 if name == "burgers" else 20, generator))
        windows.append(one)
        pieces.append(attempts[-1].piece if corrected and attempts[-1].helps else one.piece)
    used = [corrected and attempt.helps for attempt in attempts]
    errors = grown_errors(windows, attempts, used, plan.columns, generator)
    points = monitor_points(build_ansatz(problem), torch.float64, torch.device("cpu"))
    wanted = values_of(windows[0].piece.ansatz)
    estimate = float(evaluate(errors, wanted, points).norm() / evaluate(pieces, wanted, points).norm())
    error = relative_error(pieces, problem, points)
    assert comparable(attempts, used)
    assert error / 10 < estimate < 10 * error


@pytest.mark.parametrize(("estimate", "kept"), [(0.5, 1), (1e-6, 2)])
def test_windows_that_end_worse_than_the_whole_interval_was_are_dropped(monkeypatch, estimate, kept):
    trained = March._alone

    def alone(march, window, splittable):
        trained(march, window, splittable)
        march.chain.estimate = 1e-3

    def chain(march, lower, upper, network):
        for start, end in itertools.pairwise((lower, 0.5 * (lower + upper), upper)):
            handover = Handover(march.chain.pieces[-1]) if march.chain.windows else None
            made = continued(march.ansatz, start, end, handover)
            assert made is not None
            march.chain.open(march._window(made, network), handover)
        march.chain.estimate = estimate
        return TrainingStatus.BUDGET

    monkeypatch.setattr(March, "_alone", alone)
    monkeypatch.setattr(March, "_chain", chain)
    monkeypatch.setattr(Limits, "spent", lambda limits, steps: None)
    solution = pinn.solve(sciml.load("van_der_pol"), tol=1e-9, iterations=5)
    assert solution.details["windows"] == kept
    assert solution.estimate == min(estimate, 1e-3)
