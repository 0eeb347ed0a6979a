"""Problems without one solution that depends continuously on its data: every solver says so, and warns of nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sciml
from sciml import Problem, classical, pinn
from sciml.initial_values import blow_up, other_solution
from sciml.short_waves import short_waves
from sciml.solution import Status

BOX = {"x": (0, 1), "t": (0, 1)}
SINE = ["u(x, 0) = sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"]
PAIR = ["u(x, 0) = sin(2*pi*x)", "v(x, 0) = 0", "u(0, t) = u(1, t)", "v(0, t) = v(1, t)"]
BACKWARD = Problem("u_t = -0.1*u_xx", SINE, BOX)


@pytest.mark.parametrize(
    ("equations", "conditions"),
    [
        ("u_t = -0.1*u_xx", SINE),
        ("u_t = u_xx + u_xxxx", [*SINE, "u_xx(0, t) = 0", "u_xx(1, t) = 0"]),
        ("u_tt = -u_xx", [*SINE, "u_t(x, 0) = 0"]),
        (["u_t = v_x", "v_t = -u_x"], PAIR),
        ("u_t = u*u_xx", ["u(x, 0) = sin(pi*x) - 2", "u(0, t) = -2", "u(1, t) = -2"]),
    ],
)
def test_growth_of_short_waves_without_bound_is_seen(equations, conditions):
    assert "ill-posed" in short_waves(Problem(equations, conditions, BOX))


@pytest.mark.parametrize(
    ("equations", "conditions"),
    [
        ("u_t = 0.1*u_xx + 50*u", SINE),
        ("u_t = -u_xx - 1e-4*u_xxxx", [*SINE, "u_xx(0, t) = 0", "u_xx(1, t) = 0"]),
        ("u_tt = -u_xxxx", [*SINE, "u_t(x, 0) = 0", "u_xx(0, t) = 0", "u_xx(1, t) = 0"]),
        ("u_tt + u_t = u_xx + u", [*SINE, "u_t(x, 0) = 0"]),
        (["u_t = u_x + v_x", "v_t = v_x"], PAIR),
        ("u_t = u*u_xx", ["u(x, 0) = sin(pi*x) + 2", "u(0, t) = 2", "u(1, t) = 2"]),
    ],
)
def test_growth_that_is_bounded_over_all_waves_is_not_called_ill_posed(equations, conditions):
    assert short_waves(Problem(equations, conditions, BOX)) == ""


@pytest.mark.parametrize("name", sciml.names())
def test_no_bundled_problem_is_called_ill_posed(name):
    problem = sciml.load(name)
    assert short_waves(problem) == ""
    assert other_solution(problem) == ""


@pytest.mark.parametrize("solver", [classical, pinn])
def test_a_heat_equation_backward_in_time_is_ill_posed_without_a_warning(solver):
    """Warnings are errors in this suite."""
    solution = solver.solve(BACKWARD)
    assert solution.status is Status.ILL_POSED
    assert not solution.success
    assert np.all(np.isfinite(solution(np.linspace(0, 1, 11), 1.0)))


@pytest.mark.parametrize(
    ("equation", "conditions"),
    [
        ("x' = 2*sqrt(x)", ["x(0) = 0"]),
        ("x' = 3*x**(2/3)", ["x(0) = 0"]),
        ("x'' = sqrt(abs(x))", ["x(0) = 0", "x'(0) = 0"]),
    ],
)
def test_other_solutions_from_the_same_initial_state_are_found(equation, conditions):
    problem = Problem(equation, conditions, {"t": (0, 1)})
    assert "do not determine" in other_solution(problem)
    solution = classical.solve(problem)
    assert solution.status is Status.ILL_POSED
    assert "infinite" in solution.message


@pytest.mark.parametrize(
    ("equation", "conditions"),
    [
        ("x' = 1 + sqrt(x)", ["x(0) = 0"]),
        ("x' = -sqrt(x)", ["x(0) = 1"]),
        ("x'' = sqrt(abs(x))", ["x(0) = 0", "x'(0) = 1"]),
        ("x' = 1e6*x", ["x(0) = 0"]),
        ("x' = x*log(x**2 + 1e-300)", ["x(0) = 0"]),
    ],
)
def test_an_initial_state_that_one_solution_leaves_has_no_other(equation, conditions):
    assert other_solution(Problem(equation, conditions, {"t": (0, 1)})) == ""


def test_a_right_hand_side_without_a_formula_is_asked_for_its_slope_too():
    root = {"f(y)": lambda y: 2 * torch.sqrt(torch.abs(y))}
    steep = Problem("y' = f(y)", ["y(0) = 0"], {"t": (0, 1)}, functions=root)
    assert classical.solve(steep).status is Status.ILL_POSED
    smooth = Problem("y' = f(y)", ["y(0) = 0"], {"t": (0, 1)}, functions={"f(y)": lambda y: 10 * torch.sin(y)})
    assert classical.solve(smooth).success


def test_a_network_says_that_there_are_other_solutions():
    solution = pinn.solve(Problem("x' = 2*sqrt(x)", ["x(0) = 0"], {"t": (0, 1)}))
    assert solution.status is Status.ILL_POSED
    assert "do not determine" in solution.message


@pytest.mark.parametrize(
    ("equation", "condition", "end", "place"),
    [
        ("x' = x**2", "x(0) = 1", 2, "t = 1:"),
        ("x' = 1 + x**2", "x(0) = 0", 2, "t = 1.5708:"),
        ("x' = x**1.5", "x(0) = 4", 2, "t = 0.99"),
    ],
)
def test_the_place_of_a_blow_up_is_named(equation, condition, end, place):
    problem = Problem(equation, [condition], {"t": (0, end)})
    assert place in blow_up(problem)
    solution = classical.solve(problem)
    assert solution.status is Status.DIVERGED
    assert "leaves the finite numbers" in solution.message


def test_exponential_growth_is_no_blow_up():
    assert blow_up(Problem("x' = 50*x", ["x(0) = 1"], {"t": (0, 2)})) == ""


def test_a_network_says_that_a_solution_leaves_the_finite_numbers():
    solution = pinn.solve(Problem("x' = x**2", ["x(0) = 1"], {"t": (0, 2)}), budget=2)
    assert solution.status is Status.DIVERGED
    assert "near t = 1:" in solution.message
    assert "more time" not in solution.message


def test_a_field_that_leaves_the_finite_numbers_is_said_to():
    problem = Problem("u_t = u_xx + u**2", ["u(x, 0) = 30*sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"], BOX)
    solution = classical.solve(problem, rtol=1e-4)
    assert solution.status is Status.DIVERGED
    assert "leaves the finite numbers" in solution.message
