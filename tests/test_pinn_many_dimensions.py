from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml import pinn
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.pinn.random_features import random_network
from sciml.problem import Problem


def coordinates(dimension):
    return [f"x{k}" for k in range(1, dimension + 1)]


def additive(dimension):
    """The setting of the field: a sum of functions of one variable."""
    exact = " + ".join(f"cos(pi*{x})" for x in coordinates(dimension))
    box = dict.fromkeys(coordinates(dimension), (0, 1))
    return Problem(f"-laplacian(u) = pi**2*({exact})", f"u(boundary) = {exact}", box, exact=exact)


def coupled(dimension):
    """A solution that is no sum of functions of few variables: exp(mean) sin(x1 + x2), in all coordinates."""
    mean = f"({' + '.join(coordinates(dimension))})/{dimension}"
    exact = f"exp({mean})*sin(x1 + x2)"
    forcing = f"(2 - 1/{dimension})*{exact} - 4/{dimension}*exp({mean})*cos(x1 + x2)"
    box = dict.fromkeys(coordinates(dimension), (0, 1))
    return Problem(f"-laplacian(u) = {forcing}", f"u(boundary) = {exact}", box, exact=exact)


def walled(dimension):
    """A product of sines, which vanishes on the sides."""
    exact = "*".join(f"sin(pi*{x})" for x in coordinates(dimension))
    box = dict.fromkeys(coordinates(dimension), (0, 1))
    return Problem(f"-laplacian(u) = {dimension}*pi**2*{exact}", "u(boundary) = 0", box, exact=exact)


@pytest.mark.parametrize(("dimension", "wanted"), [(5, 1e-9), (10, 1e-3)])
def test_a_sum_of_functions_of_one_variable_is_solved_by_least_squares(dimension, wanted):
    solution = pinn.solve(additive(dimension), tol=wanted, budget=60)
    assert solution.success
    assert solution.details["optimizer"] == "least-squares"
    assert solution.error() < wanted


def test_a_function_of_all_variables_is_solved_by_training():
    problem = coupled(10)
    solution = pinn.solve(problem, network="10x2 sin", iterations=40, budget=None)
    assert solution.error() < 1e-3


def test_sides_that_vanish_are_exact_in_any_dimension():
    problem = walled(6)
    ansatz = build_ansatz(problem)
    assert len(ansatz.hard) == 12
    solution = pinn.solve(problem, network="4x1", iterations=2, budget=None)
    points = np.random.default_rng(0).random((60, 6))
    points[np.arange(60), np.arange(60) % 6] = np.arange(60) // 6 % 2
    assert np.abs(solution.evaluate(["u"], points)).max() < 1e-14


def test_in_many_dimensions_all_sides_together_have_as_many_points_as_the_box():
    problem = additive(5)
    ansatz = build_ansatz(problem)
    assert len(ansatz.soft) == 10
    generator = torch.Generator().manual_seed(0)
    sampler = Sampler(problem.domain, generator, torch.float64, torch.device("cpu"))
    objective = ForwardObjective(ansatz, random_network(ansatz, 20, 1.0, generator), sampler)
    objective.draw(300)
    sizes = objective.sizes()
    assert len(sizes) == 2
    assert set(sizes.values()) == {300}


def test_half_of_the_features_of_many_variables_see_one_or_two_of_them():
    ansatz = build_ansatz(additive(8))
    network = random_network(ansatz, 400, 2.0, torch.Generator().manual_seed(0))
    seen = (next(network.parameters()) != 0).sum(1)
    assert int((seen <= 2).sum()) == 200
    assert int(seen.min()) == 1
    assert int(seen.max()) == 8
