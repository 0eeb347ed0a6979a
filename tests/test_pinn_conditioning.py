"""What training cannot see by its residual: conditions that leave the solution open, and errors that grow."""

from __future__ import annotations

import math

import pytest
import torch

import sciml
from sciml import Problem, pinn
from sciml.network import MLP
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.conditioning import ROUNDING, second_look
from sciml.pinn.piece import Piece
from sciml.pinn.random_features import random_network
from sciml.solution import Status

LINE, SQUARE = {"x": (0, 1)}, {"x": (0, 1), "y": (0, 1)}


def look_at(problem: Problem):
    ansatz = build_ansatz(problem)
    return second_look(Piece(ansatz, random_network(ansatz, 20, 2.0, torch.Generator().manual_seed(0))))


@pytest.mark.parametrize(
    ("equation", "conditions", "domain"),
    [
        ("u_xx = -pi**2*u", ["u(0) = 0", "u(1) = 0"], LINE),
        ("u_xx = -400*pi**2*u", ["u(0) = 0", "u(1) = 0"], LINE),
        ("u_xx = cos(pi*x)", ["u_x(0) = 0", "u_x(1) = 0"], LINE),
        ("u_xx = cos(2*pi*x)", ["u(0) = u(1)"], LINE),
        ("u_xx = 0", ["u_x(0) + u(0) = 0", "u(1) = 0"], LINE),
        ("u_xxxx = pi**4*u", ["u(0) = 0", "u_xx(0) = 0", "u(1) = 0", "u_xx(1) = 0"], LINE),
        ("laplacian(u) = -2*pi**2*u", ["u(boundary) = 0"], SQUARE),
        ("laplacian(u) = cos(pi*x)", ["u_x(0, y) = 0", "u_x(1, y) = 0", "u_y(x, 0) = 0", "u_y(x, 1) = 0"], SQUARE),
    ],
)
def test_a_function_that_the_conditions_leave_free_is_found(equation, conditions, domain):
    look = look_at(Problem(equation, conditions, domain))
    assert look is not None
    assert look.singular


@pytest.mark.parametrize(
    ("equation", "conditions", "domain"),
    [
        ("u_xx = -1.0001*pi**2*u", ["u(0) = 0", "u(1) = 0"], LINE),
        ("u_xx = u + cos(pi*x)", ["u_x(0) = 0", "u_x(1) = 0"], LINE),
        ("u_xx = u + cos(2*pi*x)", ["u(0) = u(1)"], LINE),
        ("u_xxxx = 24", ["u(0) = 0", "u_x(0) = 0", "u(1) = 0", "u_x(1) = 0"], LINE),
        ("1e-4*u_xx + u_x = 1", ["u(0) = 0", "u(1) = 0"], LINE),
        ("laplacian(u) = -2.0001*pi**2*u", ["u(boundary) = 0"], SQUARE),
    ],
)
def test_a_problem_near_one_without_a_single_solution_has_one(equation, conditions, domain):
    look = look_at(Problem(equation, conditions, domain))
    assert look is not None
    assert not look.singular


@pytest.mark.parametrize(("value", "source"), [(0, "0"), (1, "0"), (0, "cos(x)")])
def test_at_an_eigenvalue_a_network_is_no_success(value, source):
    """Infinitely many solutions, or none: the residual of the first vanishes for u = 0."""
    problem = Problem(f"u_xx = -u + {source}", ["u(0) = 0", f"u(pi) = {value}"], {"x": (0, "pi")})
    solution = pinn.solve(problem)
    assert not solution.success
    assert solution.status is Status.ILL_POSED
    assert "do not determine" in solution.message
    assert solution.estimate is None


def test_conditions_in_the_loss_determine_the_solution_too():
    solution = pinn.solve(sciml.load("poisson"), exact_conditions=False, budget=60)
    assert solution.success
    assert solution.estimate is not None
    assert solution.error() < 3 * solution.estimate


def test_the_error_that_a_residual_makes_includes_modes_that_grow():
    """Of y'' = 100 y the solution exp(-10 t) with what rounding excites of exp(10 t)."""
    problem = Problem("y'' = 100*y", ["y(0) = 1", "y'(0) = -10"], {"t": (0, 1.5)}, exact="exp(-10*t)")
    solution = pinn.solve(problem, tol=1e-8, budget=60)
    assert solution.estimate is not None
    assert solution.error() < 3 * solution.estimate


def test_waves_that_grow_are_part_of_the_estimate():
    problem = Problem(
        "u_t = -0.1*u_xx",
        ["u(x, 0) = sin(3*pi*x)", "u(0, t) = 0", "u(1, t) = 0"],
        {"x": (0, 1), "t": (0, 1)},
        exact="exp(0.9*pi**2*t)*sin(3*pi*x)",
    )
    solution = pinn.solve(problem)
    assert solution.estimate is not None
    assert solution.error() < 3 * solution.estimate


def test_what_rounding_alone_makes_is_the_least_error():
    """y(0) known to rounding is y(T) known to exp(10 T) times that."""
    times = 3.0
    problem = Problem("y' = 10*(y - cos(t)) - sin(t)", ["y(0) = 1"], {"t": (0, times)}, exact="cos(t)")
    solution = pinn.solve(problem)
    assert not solution.success
    assert "rounding" in solution.message
    assert solution.estimate is not None
    assert ROUNDING * math.exp(10 * times) / 100 < solution.estimate < ROUNDING * math.exp(10 * times) * 100


def test_the_look_at_a_well_posed_problem_agrees_with_its_error():
    problem = Problem("u_xx = -pi**2*sin(pi*x)", ["u(0) = 0", "u(1) = 0"], LINE, exact="sin(pi*x)")
    ansatz = build_ansatz(problem)
    network = MLP(1, 1, 10, 2, lower=[-1.0], upper=[1.0], generator=torch.Generator().manual_seed(0))
    piece = Piece(ansatz, network)
    look = second_look(piece)
    points = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    values = piece.trace([problem.vocabulary.parse_partial("u")], points)[0]
    exact = torch.sin(math.pi * points[:, 0])
    assert look is not None
    error = float((values - exact).norm())
    assert look.error * float(values.norm()) == pytest.approx(error, rel=1e-2)
    assert look.floor < 1e-12
