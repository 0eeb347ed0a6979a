"""Evolution equations: accuracy at and between the steps, problems as a user types them, clear refusals."""

import numpy as np
import pytest
import sympy
import torch

import sciml
from sciml import Problem, classical
from sciml.errors import ArgumentError, ProblemError
from sciml.notation import Partial, to_numpy
from sciml.solution import Status

UNIT = {"x": (0, 1), "t": (0, 1)}


def random_points(problem, count=2000, seed=0):
    rng = np.random.default_rng(seed)
    return np.array(problem.domain.lower) + rng.random((count, problem.domain.dimension)) * problem.domain.lengths


def check_accuracy(solution, bound=1e-8):
    """The error is small, also between the steps, and no larger than announced; the estimate is the coarser's error."""
    error, coarse = solution.error(), solution.details["coarser"].error()
    assert solution.success, solution.message
    assert error <= bound
    assert solution.error(points=random_points(solution.problem)) <= 2 * bound
    assert error <= 2 * solution.estimate + 1e-12
    assert solution.estimate <= 10 * coarse + 1e-12
    assert coarse <= 10 * solution.estimate + 1e-12


@pytest.mark.parametrize(
    "name",
    ["heat", "advection", "wave", "klein_gordon", "reaction_diffusion", "burgers", "heat_2d", "burgers_2d"],
)
def test_the_error_is_what_the_estimate_says(name):
    solution = classical.solve(sciml.load(name))
    check_accuracy(solution)
    assert solution.wall_time < 60


@pytest.mark.parametrize(("name", "rtol"), [("allen_cahn", 1e-6), ("kdv", 1e-4), ("kuramoto_sivashinsky", 1e-4)])
def test_two_resolutions_agree(name, rtol):
    solution = classical.solve(sciml.load(name), rtol=rtol)
    assert solution.success
    points = random_points(solution.problem, 500)
    assert solution.error(solution.details["coarser"], points) <= 2 * rtol


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rtol"),
    [("burgers", 1e-8), ("kdv", 1e-8), ("kuramoto_sivashinsky", 1e-8), ("allen_cahn", 1e-6), ("schroedinger", 1e-6)],
)
def test_references_are_reached_within_a_minute(name, rtol):
    solution = classical.solve(sciml.load(name), rtol=rtol)
    assert solution.success
    assert solution.wall_time < 60
    points = random_points(solution.problem)
    assert solution.error(solution.details["coarser"], points) <= 2 * rtol


@pytest.mark.slow
def test_two_methods_agree_on_burgers_equation():
    problem = sciml.load("burgers")
    fourier = classical.solve(problem, rtol=1e-9, method="fourier")
    assert fourier.success
    assert "Fourier" in fourier.method
    check_accuracy(fourier, 1e-9)
    collocation = classical.solve(problem, rtol=1e-9, method="collocation")
    assert fourier.error(collocation, random_points(problem)) < 1e-9


TYPED = {
    "a wave with initial velocity": Problem(
        "u_tt = u_xx",
        ["u(x, 0) = 0", "u_t(x, 0) = pi*sin(pi*x)", "u(boundary) = 0"],
        UNIT,
        exact="sin(pi*x)*sin(pi*t)",
    ),
    "a wave that runs": Problem(
        "u_tt = u_xx",
        ["u(x, 0) = sin(2*pi*x)", "u_t(x, 0) + u_x(x, 0) = 0", "u(0, t) = u(1, t)"],
        UNIT,
        exact="sin(2*pi*(x - t))",
    ),
    "a wave driven at its ends": Problem(
        "u_tt = u_xx",
        ["u(x, 0) = sin(x)", "u_t(x, 0) = -cos(x)", "u(0, t) = -sin(t)", "u(1, t) = sin(1 - t)"],
        UNIT,
        exact="sin(x - t)",
    ),
    "a supported beam": Problem(
        "u_tt + u_xxxx = 0",
        ["u(x, 0) = sin(pi*x)", "u_t(x, 0) = 0", "u(boundary) = 0", "u_xx(boundary) = 0"],
        UNIT,
        exact="sin(pi*x)*cos(pi**2*t)",
    ),
    "a clamped beam": Problem(
        "u_tt + u_xxxx = (24 - x**2*(1 - x)**2)*cos(t)",
        ["u(x, 0) = x**2*(1 - x)**2", "u_t(x, 0) = 0", "u(boundary) = 0", "u_x(boundary) = 0"],
        UNIT,
        exact="x**2*(1 - x)**2*cos(t)",
    ),
    "a cantilever": Problem(
        "u_tt + u_xxxx = (24 - x**4 + 4*x**3 - 6*x**2)*cos(t)",
        [
            "u(x, 0) = x**4 - 4*x**3 + 6*x**2", "u_t(x, 0) = 0",
            "u(0, t) = 0", "u_x(0, t) = 0", "u_xx(1, t) = 0", "u_xxx(1, t) = 0",
        ],
        UNIT,
        exact="(x**4 - 4*x**3 + 6*x**2)*cos(t)",
    ),
    "advection and diffusion with Robin sides": Problem(
        "u_t + 2*u_x = 0.1*u_xx + exp(-t)*(-0.9*cos(x) - 2*sin(x))",
        ["u(x, 0) = cos(x)", "u_x(0, t) + u(0, t) = exp(-t)", "u_x(1, t) + 3*u(1, t) = exp(-t)*(3*cos(1) - sin(1))"],
        UNIT,
        exact="exp(-t)*cos(x)",
    ),
    "a variable conductivity": Problem(
        "u_t = d((1 + x**2)*u_x, x) - exp(-t)*(sin(x) + 2*x*cos(x) - (1 + x**2)*sin(x))",
        ["u(x, 0) = sin(x)", "u(0, t) = 0", "u(1, t) = exp(-t)*sin(1)"],
        UNIT,
        exact="exp(-t)*sin(x)",
    ),
    "advection with inflow at one end": Problem(
        "u_t + u_x = 0",
        ["u(x, 0) = sin(2*pi*x)", "u(0, t) = -sin(2*pi*t)"],
        {"x": (0, 1), "t": (0, 2)},
        exact="sin(2*pi*(x - t))",
    ),
    "acoustics, the velocity zero at both ends": Problem(
        ["p_t = -v_x", "v_t = -p_x"],
        ["p(x, 0) = cos(pi*x)", "v(x, 0) = 0", "v(boundary) = 0"],
        UNIT,
        exact={"p": "cos(pi*x)*cos(pi*t)", "v": "sin(pi*x)*sin(pi*t)"},
    ),
    "acoustics with conditions at different ends": Problem(
        ["p_t = -v_x", "v_t = -p_x"],
        ["p(x, 0) = cos(x)", "v(x, 0) = cos(x)", "p(0, t) = cos(t)", "v(1, t) = cos(1 - t)"],
        UNIT,
        exact={"p": "cos(x - t)", "v": "cos(x - t)"},
    ),
    "heat with a Neumann and a Dirichlet side": Problem(
        "u_t = u_xx/4",
        ["u(x, 0) = sin(pi*x/2)", "u(0, t) = 0", "u_x(1, t) = 0"],
        UNIT,
        exact="exp(-pi**2*t/16)*sin(pi*x/2)",
    ),
    "a soliton on an interval": Problem(
        "u_t + 6*u*u_x + u_xxx = 0",
        [
            "u(x, 0) = 2/cosh(x)**2", "u(-6, t) = 2/cosh(-6 - 4*t)**2", "u(6, t) = 2/cosh(6 - 4*t)**2",
            "u_x(6, t) = -4*sinh(6 - 4*t)/cosh(6 - 4*t)**3",
        ],
        {"x": (-6, 6), "t": (0, 0.5)},
        exact="2/cosh(x - 4*t)**2",
    ),
    "time as the first coordinate": Problem(
        "u_t = u_xx",
        ["u(0, x) = 1 + sin(x)", "u(t, 0) = 1", "u(t, 1) = 1 + exp(-t)*sin(1)"],
        {"t": (0, 1), "x": (0, 1)},
        exact="1 + exp(-t)*sin(x)",
    ),
    "time by another name": Problem(
        "u_s = u_xx + u_x*u - exp(-2*s)*sin(x)*cos(x)",
        ["u(x, 0) = sin(x)", "u(0, s) = 0", "u(1, s) = exp(-s)*sin(1)"],
        {"x": (0, 1), "s": (0, 1)},
        time="s",
        exact="exp(-s)*sin(x)",
    ),
    "heat in a square with mixed sides": Problem(
        "u_t = 0.1*laplacian(u)",
        [
            "u(x, y, 0) = x**2 - y**2 + sin(x)*exp(y)", "u(0, y, t) = -y**2", "u_x(1, y, t) = 2 + cos(1)*exp(y)",
            "u(x, 0, t) = x**2 + sin(x)", "u_y(x, 1, t) = -2 + sin(x)*exp(1)",
        ],
        {"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        exact="x**2 - y**2 + sin(x)*exp(y)",
    ),
    "a membrane": Problem(
        "u_tt = laplacian(u)",
        ["u(x, y, 0) = sin(pi*x)*sin(2*pi*y)", "u_t(x, y, 0) = 0", "u(boundary) = 0"],
        {"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        exact="sin(pi*x)*sin(2*pi*y)*cos(sqrt(5)*pi*t)",
    ),
    "a nonlinear membrane driven at its sides": Problem(
        "u_tt = laplacian(u) - u**3 + (sin(x)*cos(y)*cos(sqrt(2)*t))**3",
        ["u(x, y, 0) = sin(x)*cos(y)", "u_t(x, y, 0) = 0", "u(boundary) = sin(x)*cos(y)*cos(sqrt(2)*t)"],
        {"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        exact="sin(x)*cos(y)*cos(sqrt(2)*t)",
    ),
    "a channel, periodic along": Problem(
        "u_t + u_x = 0.1*laplacian(u) + u**2 - exp(-0.4*t)*cos(x - t)**2*cos(y)**2",
        ["u(x, y, 0) = cos(x)*cos(y)", "u(0, y, t) = u(2*pi, y, t)", "u_y(x, 0, t) = 0",
         "u(x, 1, t) = exp(-0.2*t)*cos(x - t)*cos(1)"],
        {"x": (0, "2*pi"), "y": (0, 1), "t": (0, 0.5)},
        exact="exp(-0.2*t)*cos(x - t)*cos(y)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_typed_problems_are_solved(name):
    check_accuracy(classical.solve(TYPED[name]))


def test_a_layer_is_found_and_followed():
    # A front between constant states of one sign: no reflection continues it, and one polynomial would need thousands.
    front = "(1 - tanh((x - t/2)/(4*nu))/1)/2"
    problem = Problem(
        "u_t + u*u_x = nu*u_xx",
        [f"u(x, 0) = {front}".replace("- t/2", ""), "u(-1, t) = 1", "u(1, t) = 0"],
        {"x": (-1, 1), "t": (0, 0.5)},
        {"nu": 0.004},
        exact=front,
    )
    solution = classical.solve(problem, rtol=1e-7)
    check_accuracy(solution, 1e-7)
    assert solution.evaluator.meshes[0].elements > 8


def test_values_that_jump_at_a_corner_are_still_followed():
    problem = Problem(
        "u_t = u_xx",
        ["u(x, 0) = 0", "u(0, t) = 1", "u(1, t) = 0"],
        {"x": (0, 1), "t": (0, 0.2)},
        incompatible="accept",
    )
    solution = classical.solve(problem, rtol=1e-6)
    x, k = np.linspace(0, 1, 101), np.pi * np.arange(1, 300)[:, None]
    for t in (0.001, 0.01, 0.2):
        series = 1 - x - 2 * np.sum(np.sin(k * x) / k * np.exp(-(k**2) * t), axis=0)
        assert np.max(np.abs(solution(x, t) - series)) < 1e-6


def test_known_functions_and_sampled_data_may_force():
    problem = Problem(
        "u_t = u_xx + q(x)",
        ["u(x, 0) = 0", "u(boundary) = 0"],
        {"x": (0, 1), "t": (0, 3)},
        functions={"q(x)": torch.exp},
    )
    solution = classical.solve(problem)
    x = np.linspace(0, 1, 21)
    assert solution.success
    assert np.max(np.abs(solution(x, 3.0) - (1 + (np.e - 1) * x - np.exp(x)))) < 1e-9


def test_a_blow_up_ends_with_a_finite_state():
    problem = Problem("u_t = u_xx + 5*u**2", ["u(x, 0) = 5*sin(pi*x)", "u(boundary) = 0"], {"x": (0, 1), "t": (0, 1)})
    solution = classical.solve(problem, rtol=1e-6)
    assert solution.status is Status.DIVERGED
    assert "t = 0.0586" in solution.message
    assert np.all(np.isfinite(solution(np.linspace(0, 1, 20)[:, None], np.linspace(0, 1, 20))))


@pytest.mark.parametrize("budget", [0.2, 1.5])
def test_a_budget_ends_the_work_with_what_there_is(budget):
    solution = classical.solve(sciml.load("kdv"), budget=budget)
    assert solution.status is Status.BUDGET
    assert solution.wall_time < budget + 2
    assert np.all(np.isfinite(solution(np.linspace(-1, 1, 20)[:, None], np.linspace(0, 1, 20))))


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("a wave that runs", 1e-9),
        ("a cantilever", 1e-7),
        ("time as the first coordinate", 1e-7),
        ("a membrane", 1e-9),
        ("acoustics with conditions at different ends", 1e-7),
        ("advection and diffusion with Robin sides", 1e-7),
    ],
)
def test_derivatives_are_those_of_the_exact_solution(name, bound):
    problem = TYPED[name]
    solution = classical.solve(problem, rtol=1e-9)
    points, words = random_points(problem, 200), problem.vocabulary
    for unknown in problem.unknowns:
        for orders in np.ndindex(*(3,) * problem.domain.dimension):
            if sum(orders) <= 2:
                counts = [(words.symbol(c), k) for c, k in zip(problem.coordinates, orders, strict=True) if k]
                exact = sympy.diff(problem.exact[unknown], *counts) if counts else problem.exact[unknown]
                expected = to_numpy([exact], [words.symbol(c) for c in problem.coordinates])(*points.T)[0]
                found = solution.evaluate([Partial(unknown, orders)], points)[0]
                assert np.max(np.abs(found - expected)) <= bound * (1 + np.max(np.abs(expected))), orders


def test_the_equation_holds_between_the_steps():
    solution = classical.solve(sciml.load("kdv"), rtol=1e-5)
    points = random_points(solution.problem, 300)
    u, u_t, u_x, u_xxx = solution.evaluate(["u", "u_t", "u_x", "u_xxx"], points)
    assert np.max(np.abs(u_t + u * u_x + 0.022**2 * u_xxx)) < 1e-3 * np.max(np.abs(u_t))


def test_periodic_coordinates_wrap():
    solution = classical.solve(sciml.load("advection"))
    x = np.array([0.3, 1.7, 5.0])
    assert solution(x + 2 * np.pi, 0.4) == pytest.approx(solution(x, 0.4), abs=1e-12)
    assert solution(x - 4 * np.pi, 0.4) == pytest.approx(solution(x, 0.4), abs=1e-12)


def test_grids_and_scattered_points_give_the_same_values():
    for name in ("kdv", "burgers_2d"):
        solution = classical.solve(sciml.load(name), rtol=1e-3)
        axes = [
            np.linspace(a, b, 7)
            for a, b in zip(*(solution.problem.domain.lower, solution.problem.domain.upper), strict=True)
        ]
        points = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
        grid = solution.evaluate(solution.problem.unknowns, points)
        single = np.concatenate([solution.evaluate(solution.problem.unknowns, p[None]) for p in points], axis=1)
        assert np.max(np.abs(grid - single)) < 1e-12


@pytest.mark.parametrize("name", ["a wave that runs", "a cantilever", "a nonlinear membrane driven at its sides"])
def test_a_saved_solution_gives_the_same_bits(tmp_path, name):
    solution = classical.solve(TYPED[name], rtol=1e-4)
    points = random_points(TYPED[name], 100)
    loaded = sciml.load_solution(solution.save(tmp_path / "solution"))
    for partials in (["u"], ["u_t", "u_xx"]):
        assert np.array_equal(loaded.evaluate(partials, points), solution.evaluate(partials, points))


@pytest.mark.parametrize(
    ("equations", "conditions", "message"),
    [
        ("u_t - u_xxt + u*u_x = 0", ["u(x, 0) = sin(pi*x)", "u(boundary) = 0"], "mixes the highest derivative in t"),
        ("u_t**2 = u_xx", ["u(x, 0) = sin(pi*x)", "u(boundary) = 0"], "not linear in the highest derivatives"),
        ("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0", "u_x(1, t) = -u(1, t)**4"], "not linear with constant"),
        ("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0", "u_t(1, t) = -u_x(1, t)"], "along the side or in time"),
        ("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0", "u_x(1, t) = t*u(1, t)"], "not linear with constant"),
        ("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0"], "misses 1 condition"),
        ("u_t = u_xx", ["u(x, 0) = 0", "u(0, t) = 0", "u(0, t) = 0"], "do not determine u at the boundary"),
        ("u_t = u_xx", ["u(x, 1) = 0", "u(boundary) = 0"], "stands at a later time"),
        ("u_tt = u_xx", ["u(x, 0) = 0", "u(x, 1) = 0", "u(boundary) = 0"], "stands at a later time"),
        (
            ["u_t = u_xx + v", "v_xx = u"],
            ["u(x, 0) = 0", "u(boundary) = 0", "v(boundary) = 0"],
            "no equation contains a derivative of v in t",
        ),
        (
            ["u_t = u_xx", "v_t = v_xx"],
            ["u(x, 0) = 0", "v(x, 0) = 0", "u(0, t) = u(1, t)", "v(boundary) = 0"],
            "all unknowns periodic in x",
        ),
        (
            ["u_t = v_x", "v_t = u_x"],
            ["u(x, 0) = 0", "v(x, 0) = 0", "u(0, t) + v(0, t) = 0", "u(1, t) = 0"],
            "joins several unknowns",
        ),
    ],
)
def test_what_cannot_be_treated_is_refused_with_the_reason(equations, conditions, message):
    with pytest.raises(ProblemError, match=message):
        classical.solve(Problem(equations, conditions, UNIT, incompatible="accept"))


def test_a_method_that_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="'auto', 'fourier', 'collocation'"):
        classical.solve(sciml.load("heat"), method="explicit")
    with pytest.raises(ProblemError, match="no such continuation in x"):
        classical.solve(sciml.load("klein_gordon"), method="fourier")


def test_boundary_conditions_hold_exactly_at_all_times():
    problem = TYPED["heat in a square with mixed sides"]
    solution = classical.solve(problem, rtol=1e-6)
    rng = np.random.default_rng(0)
    y, t = rng.random(50), rng.random(50)
    assert np.max(np.abs(solution(0.0, y, t) + y**2)) < 1e-9
    assert np.max(np.abs(solution("u_x", 1.0, y, t) - 2 - np.cos(1) * np.exp(y))) < 1e-7
