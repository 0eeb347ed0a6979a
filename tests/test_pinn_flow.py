from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch

import sciml
from sciml import classical, pinn
from sciml.incompressible import recognised_flow
from sciml.pinn.residual import ResidualGroup
from sciml.pinn.streamfunction import PSI, singular_parts, stream_function
from sciml.problem import Problem
from sciml.solution import load_solution

MOMENTUM = ["u*u_x + v*u_y = -p_x + laplacian(u)/Re", "u*v_x + v*v_y = -p_y + laplacian(v)/Re"]
EQUATIONS = [*MOMENTUM, "u_x + v_y = 0"]
RATE = "(Re/2 - sqrt(Re**2/4 + 4*pi**2))"
KOVASZNAY = {
    "u": f"1 - exp({RATE}*x)*cos(2*pi*y)",
    "v": f"{RATE}/(2*pi)*exp({RATE}*x)*sin(2*pi*y)",
    "p": f"(1 - exp(2*{RATE}*x))/2 + 3",
}
WALLS = ["u(x, 0) = 0", "u(0, y) = 0", "u(1, y) = 0", "v(boundary) = 0", "p(0, 0) = 0"]
SQUARE = {"x": (0, 1), "y": (0, 1)}


def kovasznay(**changes):
    """Kovasznay's flow behind a grid (doi:10.1017/S0305004100023999) on part of its plane."""
    sides = [f"{name}(boundary) = {KOVASZNAY[name]}" for name in "uv"]
    level = f"p(0, 0) = {KOVASZNAY['p'].replace('x', '0').replace('e0p', 'exp')}"
    box = {"x": (-0.5, 0.5), "y": (-0.25, 0.5)}
    return Problem(EQUATIONS, [*sides, level], box, {"Re": 40.0}, exact=KOVASZNAY, **changes)


def side_points(count=40):
    s = np.linspace(0, 1, count + 2)[1:-1]
    return {
        "lid": np.stack([s, np.ones_like(s)], 1),
        "walls": np.concatenate([np.stack(pair, 1) for pair in ((s, 0 * s), (0 * s, s), (1 + 0 * s, s))]),
    }


@pytest.fixture(scope="module")
def cavity():
    return pinn.solve(sciml.load("lid_driven_cavity"), iterations=40, budget=None, network="14x2")


def test_velocities_of_the_cavity_are_divergence_free_and_stick_to_the_walls_after_any_training(cavity):
    points = np.random.default_rng(0).uniform(0.05, 0.95, (200, 2))
    u_x, v_y = cavity.evaluate(["u_x", "v_y"], points)
    assert np.abs(u_x + v_y).max() < 1e-12 * np.abs(u_x).max()
    sides = side_points()
    assert np.abs(cavity.evaluate(["u", "v"], sides["walls"])).max() < 1e-13
    u, v = cavity.evaluate(["u", "v"], sides["lid"])
    assert np.abs(u - 1).max() < 1e-12
    assert np.abs(v).max() < 1e-12


def test_the_cavity_is_solved_in_a_few_steps_and_its_pressure_has_the_given_level(cavity):
    reference = classical.solve(sciml.load("lid_driven_cavity"), rtol=1e-3)
    assert cavity.error(reference, unknowns=["u", "v"]) < 5e-3
    assert abs(cavity("p", 0.0, 0.0)) < 1e-12
    inside = np.random.default_rng(1).uniform(0.1, 0.9, (500, 2))
    assert cavity.errors(reference, points=inside)["p"] < 0.05


def test_values_in_singular_corners_are_those_of_the_side_to_which_a_velocity_is_normal(cavity):
    corners = np.array([[0.0, 1.0], [1.0, 1.0]])
    assert np.abs(cavity.evaluate(["u", "v"], corners)).max() < 1e-12
    assert np.isfinite(cavity.evaluate(["u", "v", "p", "u_x", "p_x"], corners)).all()


def test_a_flow_is_saved_and_loaded_to_the_last_bit(cavity, tmp_path):
    again = load_solution(cavity.save(tmp_path / "flow"))
    points = np.random.default_rng(2).random((50, 2))
    names = ["u", "v", "p", "u_xy", "p_x"]
    assert np.array_equal(cavity.evaluate(names, points), again.evaluate(names, points))


def test_a_flow_through_the_sides_is_solved_with_its_pressure():
    problem = kovasznay()
    solution = pinn.solve(problem, iterations=40, budget=None, network="12x2")
    errors = solution.errors()
    assert errors["u"] < 1e-4
    assert errors["v"] < 1e-3
    assert errors["p"] < 1e-3


@pytest.mark.parametrize(
    "lid",
    [["u(x, 1) = 1"], ["u(x, 1) = 4*x*(1 - x)"], ["u(x, 1) = x"]],
    ids=["jumps", "kinks", "a jump and a kink"],
)
def test_data_that_disagree_in_corners_are_met_exactly_on_the_sides(lid):
    problem = Problem(EQUATIONS, [*lid, *WALLS], SQUARE, {"Re": 10.0}, incompatible="accept")
    stream = stream_function(problem)
    assert stream is not None
    x, y = (problem.vocabulary.symbol(c) for c in problem.coordinates)
    rate = problem.conditions[0].solved(problem.vocabulary)
    assert rate is not None
    g = stream.ansatz.g[PSI]
    compiled = sympy.lambdify((x, y), [sympy.diff(g, y), -sympy.diff(g, x), rate[1] + 0 * x], "numpy")
    sides = side_points()
    assert np.abs(np.stack(np.broadcast_arrays(*compiled(*sides["walls"].T)[:2]))).max() < 1e-12
    u, v, wanted = compiled(*sides["lid"].T)
    assert np.abs(u - wanted).max() < 1e-12
    assert np.abs(v).max() < 1e-12


def test_singular_parts_are_stokes_flows():
    equations = ["0 = -p_x + 0.3*laplacian(u)", "0 = -p_y + 0.3*laplacian(v)", "u_x + v_y = 0"]
    lids = ["u(x, 0) = 0", "u(x, 1) = 1 + x", "u(0, y) = 0", "u(1, y) = 0", "v(0, y) = 2", "v(1, y) = y"]
    conditions = [*lids, "v(x, 0) = 0", "v(x, 1) = 0", "p(0, 0) = 0"]
    stream = stream_function(Problem(equations, conditions, SQUARE, incompatible="accept"))
    assert stream is not None
    problem = stream.ansatz.problem
    flow = recognised_flow(problem)
    assert flow is not None
    x, y = (problem.vocabulary.symbol(c) for c in problem.coordinates)
    count = 0
    for ends in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for part in singular_parts(problem, flow, ends, 0.3):
            u, v = sympy.diff(part.psi, y), -sympy.diff(part.psi, x)
            forces = [
                sympy.diff(part.pressure, s) - 0.3 * (sympy.diff(w, x, 2) + sympy.diff(w, y, 2))
                for s, w in ((x, u), (y, v))
            ]
            assert np.abs(sympy.lambdify((x, y), forces, "numpy")(0.3, 0.45)).max() < 1e-10
            count += 1
    assert count >= 6


def test_the_network_of_a_flow_gives_derivatives_of_velocities_by_jets_of_the_stream_function():
    stream = stream_function(sciml.load("lid_driven_cavity"))
    assert stream is not None
    group = ResidualGroup(stream.ansatz, list(stream.ansatz.residuals.values()))
    assert group.field.outputs == [0] * len(group.field.partials)
    assert max(sum(orders) for orders in group.field.indices) == 4
    block = group.block(torch.tensor([[0.3, 0.6], [0.9, 0.95]], dtype=torch.float64))
    assert torch.isfinite(block.g).all()
    assert torch.isfinite(block.factors).all()


@pytest.mark.parametrize(
    "conditions",
    [
        ["u(x, 1) = 1", *WALLS[:3], "v(x, 0) = 0", "v(x, 1) = 0", "v(0, y) = 0", "v_x(1, y) = 0", "p(0, 0) = 0"],
        ["u(x, 1) = 1", "u(x, 0) = 0", "u(0, y) = 1", "u(1, y) = 0", "v(boundary) = 0", "p(0, 0) = 0"],
    ],
    ids=["an outlet", "more let in than let out"],
)
def test_other_flows_keep_their_unknowns(conditions):
    assert stream_function(Problem(EQUATIONS, conditions, SQUARE, {"Re": 10.0}, incompatible="accept")) is None


@pytest.mark.slow
@pytest.mark.parametrize(("reynolds", "wanted"), [(100.0, 2e-4), (1000.0, 5e-3)])
def test_the_cavity_is_solved_to_high_accuracy(reynolds, wanted):
    problem = sciml.load("lid_driven_cavity", Re=reynolds)
    solution = pinn.solve(problem, tol=1e-5, budget=None, iterations=250)
    assert solution.error(classical.solve(problem, rtol=1e-4), unknowns=["u", "v"]) < wanted
