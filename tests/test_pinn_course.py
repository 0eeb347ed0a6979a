"""The course of an identification: how fast data vary, networks that follow them first, corrections that grow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sciml import Problem
from sciml.network import MLP
from sciml.network.mlp import Layer
from sciml.observations import Observations
from sciml.pinn.course import identification_plan
from sciml.pinn.inverse_search import Search
from sciml.pinn.inverse_setup import prepared
from sciml.pinn.plan import plan_for
from sciml.pinn.progress import Limits
from sciml.pinn.variation import LARGEST, SUITED, stretched, wavenumbers
from sciml.status import Status
from sciml.unknowns import unknowns_of


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def box_points(count, dimension, seed=0):
    return 2 * torch.rand(count, dimension, generator=generator(seed), dtype=torch.float64) - 1


@pytest.mark.parametrize("wave", [(5.0, 1.0), (2.0, 8.0), (3.0, 3.0, 9.0)])
def test_a_wave_has_its_own_wavenumbers(wave):
    points = box_points(1500, len(wave))
    k = torch.tensor(wave, dtype=torch.float64)
    values = torch.sin(points @ k + 0.3)
    # Its slope's mean square over its variance is not quite k^2 in a box that is no whole number of waves.
    mean = (k**2) * torch.cos(points @ k + 0.3).square().mean() / values.var()
    assert wavenumbers(points, values[None], generator()).tolist() == pytest.approx(mean.sqrt().tolist(), rel=0.03)


def test_wavenumbers_do_not_depend_on_the_unit_and_origin_of_the_values_and_survive_noise():
    points = box_points(1500, 2)
    values = torch.sin(6 * points[:, 0]) * torch.cos(points[:, 1])
    clean = wavenumbers(points, values[None], generator())
    assert wavenumbers(points, 1e5 + 1e3 * values[None], generator()).tolist() == pytest.approx(clean.tolist(), 1e-4)
    noisy = values + 0.1 * values.std() * torch.randn(1500, generator=generator(1), dtype=torch.float64)
    assert wavenumbers(points, noisy[None], generator()).tolist() == pytest.approx(clean.tolist(), rel=0.15)


def test_of_several_values_each_input_has_the_largest_wavenumber():
    points = box_points(1500, 2)
    both = torch.stack((torch.sin(6 * points[:, 0]), torch.sin(4 * points[:, 1])))
    found = wavenumbers(points, both, generator()).tolist()
    assert found[0] > 5
    assert found[1] > 3.2


def test_noise_has_no_wavenumbers():
    noise = torch.randn(1, 1200, generator=generator(1), dtype=torch.float64)
    assert wavenumbers(box_points(1200, 3), noise, generator()).tolist() == [0, 0, 0]


def test_the_first_layer_is_stretched_along_inputs_that_vary_fast_and_its_transitions_stay_inside():
    network = MLP(4, 2, 30, 2, "sin", generator=generator())
    first, second = list(network.layers)[:2]
    assert isinstance(first, Layer)
    assert isinstance(second, Layer)
    before, later = first.weight.detach().clone(), second.weight.detach().clone()
    stretched(network, torch.tensor([0.0, SUITED / 2, 3 * SUITED, 100 * SUITED]), generator(3))
    factors = torch.tensor([1, 1, 3, LARGEST], dtype=torch.float64)
    assert torch.equal(first.weight, before * factors)
    assert torch.equal(second.weight, later)
    # Where a unit's argument vanishes there is a point of the box.
    assert (first.bias.abs() <= first.weight.abs().sum(1)).all()
    assert first.bias.std() > 0.1


HEAT = "u_t = k*(u_xx + u_yy)"
PLATE = {"x": (0, math.pi), "y": (0, math.pi), "t": (0, 1)}


def plate(k=0.5):
    return Problem(HEAT, [], PLATE, {"k": k})


def plate_data(count=600, noise=0.0, k=0.8):
    rng = np.random.default_rng(1)
    points = rng.uniform([0, 0, 0], [math.pi, math.pi, 1], (count, 3))
    x, y, t = points.T
    u = np.exp(-2 * k * t) * np.sin(x) * np.sin(y) + 0.5 * np.exp(-5 * k * t) * np.sin(2 * x) * np.cos(y)
    return {"x": x, "y": y, "t": t, "u": u + noise * u.std() * rng.standard_normal(count)}


def search_of(count=600, noise=0.0, steps=200, **course):
    data, problem = plate_data(count, noise), plate()
    own = Observations(np.stack([data[c] for c in "xyt"], 1), {"u": data["u"]})
    unknowns = unknowns_of([problem], ["k"], None)
    setup = prepared(
        [problem], [own], unknowns, False, generator(), torch.float64, torch.device("cpu"), "8x2 sin"
    )  # fmt: skip
    setup = replace(setup, course=replace(setup.course, **course))
    return Search(setup, None, Limits(1e-4, None, steps, 0.0), None)


def test_the_number_of_coordinates_decides_on_the_course():
    plane = Problem("u_t = k*u_xx", [], {"x": (0, 1), "t": (0, 1)}, {"k": 0.5})
    short_plan, short = identification_plan(plane, None)
    long_plan, long = identification_plan(plate(), None)
    assert short_plan == plan_for(plane)
    assert not short.redrawn
    assert not short.stretched
    assert short.columns == short.most_columns
    assert long.redrawn
    assert long.stretched
    assert long.most_columns > long.columns
    assert (long_plan.width, long_plan.depth, long_plan.activation) == (20, 4, "sin")
    assert identification_plan(plate(), "7x2 tanh")[0].text == "7x2 tanh"


def test_at_first_the_network_follows_the_data_and_leaves_the_unknowns():
    search = search_of()
    objective = search.objective
    size, before = search.setup.sizes["u"], objective.quantities.parameters()
    started = objective.misfits()["u"]
    search._follow()
    assert torch.equal(objective.quantities.parameters(), before)
    assert objective.misfits()["u"] <= 2 * search.setup.course.misfit * size < 0.2 * started
    assert search.steps <= search.setup.course.following
    assert objective.tightness == 1


def test_training_takes_another_part_of_the_data_each_time():
    search = search_of(count=2600)
    objective, most = search.objective, search.setup.course.data
    (whole,) = search.setup.experiments
    first = objective.experiments[0].measured[0].values
    objective.thin(search.setup.experiments, most, search.setup.generator)
    second = objective.experiments[0].measured[0].values
    assert first.shape == second.shape == (1, most)
    assert not torch.equal(first, second)
    assert torch.isin(second, whole.measured[0].values).all()
    objective.draw(20)
    objective.scale()
    assert objective.sizes()["data u"] == most
    assert objective.check() < 1e-6


def test_corrections_grow_to_the_most_columns_and_their_differences_widen_the_intervals():
    search = search_of(noise=0.01, steps=30, columns=60, most_columns=240, agreed=1e-9)
    plain = []
    widened = search._widened

    def seen(former, found):
        plain.append((former, found))
        return widened(former, found)

    search._widened = seen
    search.run()
    assert search.status is Status.ITERATIONS
    assert search.best is not None
    assert [found.columns for _, found in plain] == [122, 242]  # a constant and the unknown besides
    former, found = plain[-1]
    moved = float(found.theta[0] - former.theta[0])
    assert float(search.best.covariance[0, 0]) == pytest.approx(float(found.covariance[0, 0]) + (2 * moved) ** 2)
    own = search.setup.unknowns.ranges["k"]
    error = own.value(float(search.best.theta[0])) - 0.8
    assert abs(error) < 3 * own.scale * float(search.best.covariance[0, 0]) ** 0.5
    assert abs(error) < 0.02


def test_corrections_that_agree_end_the_search():
    search = search_of(noise=0.01, steps=30, columns=60, most_columns=240, agreed=1e9)
    search.run()
    assert search.status is Status.CONVERGED
    assert search.best is not None
    assert search.best.columns == 122
