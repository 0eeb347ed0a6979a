from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import sciml
from sciml.classical.collocation import Collocation
from sciml.classical.fields import StationaryEvaluator
from sciml.classical.newton import newton
from sciml.classical.spaces import Mesh
from sciml.classical.stationary import solve_stationary
from sciml.classical.terms import Declaration, breaks
from sciml.errors import ArgumentError, ProblemError
from sciml.notation import Partial
from sciml.problem import Problem
from sciml.solution import Status, load_solution

SQUARE = {"x": (0, 1), "y": (0, 1)}
LINE = {"x": (0, 1)}
NEUMANN = ["u_x(0, y) = 0", "u_x(1, y) = 0", "u_y(x, 0) = 0", "u_y(x, 1) = 0"]

SMOOTH = {
    "Dirichlet, variable coefficients": Problem(
        "d((1 + x*y)*u_x, x) + d((2 + sin(y))*u_y, y) - u"
        " = exp(x)*(cos(y)*(y + 1 + x*y - 2 - sin(y) - 1) - cos(y)*sin(y))",
        ["u(boundary) = exp(x)*cos(y)"],
        SQUARE,
        exact="exp(x)*cos(y)",
    ),
    "mixed Dirichlet and Neumann sides": Problem(
        "-laplacian(u) = 5*pi**2/4*sin(pi*x/2)*cos(pi*y)",
        ["u(0, y) = 0", "u_x(1, y) = 0", "u_y(x, 0) = 0", "u_y(x, 1) = 0"],
        SQUARE,
        exact="sin(pi*x/2)*cos(pi*y)",
    ),
    "Neumann sides first, values on the others": Problem(
        "-laplacian(u) = 0",
        ["u_x(0, y) = exp(0)*sin(y)", "u_x(1, y) = exp(1)*sin(y)", "u(x, 0) = 0", "u(x, 1) = exp(x)*sin(1)"],
        SQUARE,
        exact="exp(x)*sin(y)",
    ),
    "Robin sides": Problem(
        "laplacian(u) - u = 0",
        [
            "u_x(0, y) - 2*u(0, y) = -2*cosh(y)",
            "u_x(1, y) + u(1, y) = cosh(y)",
            "u_y(x, 0) = 0",
            "u(x, 1) + x*u_y(x, 1) = cosh(1) + x*sinh(1)",
        ],
        SQUARE,
        exact="cosh(y)",
    ),
    "periodic in one coordinate": Problem(
        "laplacian(u) - u = -(5*pi**2 + 1)*sin(2*pi*x)*cos(pi*y)",
        ["u(0, y) = u(1, y)", "u_y(x, 0) = 0", "u_y(x, 1) = 0"],
        SQUARE,
        exact="sin(2*pi*x)*cos(pi*y)",
    ),
    "periodic in both, nonlinear": Problem(
        "laplacian(u) - u - u**3 = -(8*pi**2 + 1)*sin(2*pi*x)*cos(2*pi*y) - (sin(2*pi*x)*cos(2*pi*y))**3",
        ["u(0, y) = u(1, y)", "u(x, 0) = u(x, 1)"],
        SQUARE,
        exact="sin(2*pi*x)*cos(2*pi*y)",
    ),
    "pure Neumann with a point": Problem(
        "laplacian(u) = -5*pi**2*cos(pi*x)*cos(2*pi*y)",
        [*NEUMANN, "u(0, 0) = 1"],
        SQUARE,
        exact="cos(pi*x)*cos(2*pi*y)",
    ),
    "clamped plate": Problem(
        "u_xxxx + 2*u_xxyy + u_yyyy = 64*pi**4*cos(2*pi*x)*cos(2*pi*y) - 16*pi**4*(cos(2*pi*x) + cos(2*pi*y))",
        ["u(boundary) = 0", *NEUMANN],
        SQUARE,
        exact="(1 - cos(2*pi*x))*(1 - cos(2*pi*y))",
    ),
    "supported plate": Problem(
        "laplacian(laplacian(u)) = 4*pi**4*sin(pi*x)*sin(pi*y)",
        ["u(boundary) = 0", *(c.replace("u_x", "u_xx").replace("u_y", "u_yy") for c in NEUMANN)],
        SQUARE,
        exact="sin(pi*x)*sin(pi*y)",
    ),
    "system with mixed orders": Problem(
        [
            "laplacian(u) + v_x = -2*pi**2*sin(pi*x)*sin(pi*y) + pi*cos(pi*x)*y",
            "v_x + v_y - u*v = pi*cos(pi*x)*y + sin(pi*x) - sin(pi*x)**2*sin(pi*y)*y",
        ],
        ["u(boundary) = 0", "v(0, y) = 0", "v(x, 0) = 0"],
        SQUARE,
        exact={"u": "sin(pi*x)*sin(pi*y)", "v": "sin(pi*x)*y"},
    ),
    "three coordinates": Problem(
        "laplacian(u) - u = 0",
        ["u(boundary) = sin(x)*exp(y + z)"],
        {"x": (0, 1), "y": (0, 1), "z": (0, 0.5)},
        exact="sin(x)*exp(y + z)",
    ),
    "nonlinear Dirichlet value": Problem(
        "u_xx = 3*u**2/2", ["u(0) = 4", "u(1) = 1"], LINE, exact="4/(1 + x)**2"
    ),
    "nonlinear condition": Problem(
        "u_xx = u", ["u_x(0) = u(0)**2", "u(1) = e"], LINE, exact="exp(x)"
    ),
    "two coupled ordinary equations": Problem(
        ["u_xx = v", "v_xx = u"], ["u(0) = 0", "u(1) = sin(1)", "v(0) = 0", "v(1) = -sin(1)"], LINE,
        exact={"u": "sin(x)", "v": "-sin(x)"},
    ),
    "value inside the interval": Problem(
        "u_xx = -u", ["u(0) = 0", "u(0.5) = sin(0.5)"], LINE, exact="sin(x)"
    ),
    "beam": Problem(
        "u_xxxx = 24", ["u(0) = 0", "u_x(0) = 0", "u(1) = 0", "u_x(1) = 0"], LINE, exact="x**2*(1 - x)**2"
    ),
    "boundary layer": Problem(
        "eps*u_xx + u_x = -1", ["u(0) = 0", "u(1) = 0"], LINE, {"eps": 1e-3}, exact="1 - exp(-x/eps) - x"
    ),
}  # fmt: skip


def check(problem, rtol=1e-8):
    solution = solve_stationary(problem, rtol=rtol)
    assert solution.success, solution.message
    assert solution.estimate is not None
    assert solution.estimate <= rtol
    error, coarser = solution.error(), solution.details["coarser"].error()
    assert error <= rtol
    assert error <= 2 * solution.estimate + 1e-12
    assert solution.estimate <= 10 * coarser + 1e-13
    assert coarser <= 10 * solution.estimate + 1e-13
    return solution


@pytest.mark.parametrize("name", ["poisson", "helmholtz", "poisson_boltzmann"])
def test_bundled_problems_keep_the_promised_accuracy_and_estimate(name):
    check(sciml.load(name))


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-10])
def test_the_estimate_is_that_of_the_coarser_result_at_every_tolerance(rtol):
    check(sciml.load("helmholtz"), rtol)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_problems(name):
    check(SMOOTH[name])


def test_derivatives_and_scattered_points_are_spectrally_accurate():
    solution = solve_stationary(sciml.load("poisson"), rtol=1e-10)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (2, 50))
    pi = np.pi
    np.testing.assert_allclose(solution(x, y), np.sin(pi * x) * np.sin(pi * y), atol=1e-12)
    np.testing.assert_allclose(solution("u_xy", x, y), pi**2 * np.cos(pi * x) * np.cos(pi * y), atol=1e-9)
    np.testing.assert_allclose(solution("u_yyy", x, y), -(pi**3) * np.sin(pi * x) * np.cos(pi * y), atol=1e-8)
    assert np.abs(solution(np.array([-1.0, 1.0]), 0.3)).max() < 1e-14


def test_a_state_and_a_file_give_the_same_values_again(tmp_path):
    problem = SMOOTH["periodic in one coordinate"]
    solution = solve_stationary(problem)
    points = np.random.default_rng(0).uniform(0, 1, (40, 2))
    partials = [Partial("u", (0, 0)), Partial("u", (2, 1))]
    expected = solution.evaluate(partials, points)
    arrays, rest = solution.evaluator.state()
    again = StationaryEvaluator.restore(arrays, rest, problem)
    np.testing.assert_array_equal(again.evaluate(partials, points), expected)
    loaded = load_solution(solution.save(tmp_path / "solution.safetensors"))
    np.testing.assert_array_equal(loaded.evaluate(partials, points), expected)
    with pytest.raises((KeyError, ValueError)):
        StationaryEvaluator.restore({**arrays, "coefficients u": arrays["coefficients u"][1:]}, rest, problem)


def test_the_error_of_collocation_falls_geometrically():
    declaration = Declaration(sciml.load("poisson"))
    x = np.linspace(-1, 1, 31)
    exact = np.multiply.outer(np.sin(np.pi * x), np.sin(np.pi * x))
    errors = []
    for count in (8, 12, 16):
        system = Collocation(declaration, [Mesh([-1.0, 1.0], count)] * 2)
        root = newton(system, np.zeros(system.size))
        errors.append(np.abs(system.fields(root.vector).on_grid("u", (0, 0), [x, x]) - exact).max())
    assert errors[1] < 1e-3 * errors[0]
    assert errors[2] < 1e-3 * errors[1]


def test_elements_converge_with_the_order_of_their_degree():
    problem = Problem("u_xx - u = x", ["u(0) = 0", "u(1) = 0"], LINE)
    declaration = Declaration(problem)
    x = np.linspace(0, 1, 201)
    exact = np.sinh(x) / np.sinh(1) - x
    errors = []
    for elements in (2, 4, 8):
        system = Collocation(declaration, [Mesh(np.linspace(0, 1, elements + 1), 3)])
        root = newton(system, np.zeros(system.size))
        errors.append(np.abs(system.fields(root.vector).on_grid("u", (0,), [x]) - exact).max())
    # Degree 4 with two conditions of smoothness: order 5.
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(5, abs=0.4)


@pytest.mark.parametrize("elements", [1, 2])
def test_the_jacobian_is_the_derivative_of_the_residual(elements):
    problem = Problem(
        ["u_xx + u*v_y + sin(u) = x*y", "v_xx + v_yy*(1 + u**2) + abs(v)*u_x = 0"],
        ["u(0, y) = u(1, y)", "u(x, 0)*u_y(x, 0) = 1", "v(boundary) = x*y", "u(0.2, 0.3) = 1"],
        SQUARE,
    )
    system = Collocation(Declaration(problem), [Mesh(np.linspace(0, 1, elements + 1), 5)] * 2)
    rng = np.random.default_rng(3)
    vector, direction = rng.standard_normal((2, system.size))
    for relaxation in (0.0, 3.0):
        relaxed = system.relaxed(relaxation)
        step = 1e-6
        difference = (relaxed.residual(vector + step * direction) - relaxed.residual(vector - step * direction)) / 2e-6
        product = relaxed.jacobian(vector) @ direction
        assert np.abs(product - difference).max() < 1e-7 * np.abs(difference).max()


def test_interior_layers_are_found_by_continuation():
    shock = Problem("eps*u_xx = u*(u_x + 1)", ["u(0) = 1", "u(1) = -1"], LINE, {"eps": 0.005})
    solution = solve_stationary(shock)
    assert solution.success
    # Outer solutions 1 - x and -x meet in a shock at 1/2; the problem is odd about it.
    assert solution(0.5) == pytest.approx(0, abs=1e-8)
    assert solution(0.25) == pytest.approx(0.75, abs=1e-8)
    assert solution("u_x", x=0.5) < -5


def test_thin_layers_are_resolved_by_elements():
    thin = SMOOTH["boundary layer"].replace(eps=1e-5)
    solution = solve_stationary(thin)
    assert solution.success
    assert solution.error() < 1e-12
    assert solution("u_x", x=0.0) == pytest.approx(1e5 - 1, rel=1e-8)


def test_corner_singularities_of_the_right_hand_side():
    solution = solve_stationary(Problem("-laplacian(u) = 1", ["u(boundary) = 0"], SQUARE), rtol=1e-7)
    k = np.arange(1, 60, 2)
    centre = 1 / 8 - 4 / np.pi**3 * np.sum(np.sin(k * np.pi / 2) / (k**3 * np.cosh(k * np.pi / 2)))
    assert solution.success
    assert solution(0.5, 0.5) == pytest.approx(centre, rel=1e-7)


def test_values_that_jump_in_corners():
    heated = Problem(
        "laplacian(u) = 0",
        ["u(0, y) = 0", "u(1, y) = 0", "u(x, 0) = 0", "u(x, 1) = 1"],
        SQUARE,
        incompatible="accept",
    )
    solution = solve_stationary(heated, rtol=1e-4)
    assert solution.success
    # Four turned copies add up to one.
    assert solution(0.5, 0.5) == pytest.approx(0.25, abs=1e-6)
    k = np.arange(1, 80, 2)
    series = np.sum(4 / (k * np.pi) * np.sin(k * np.pi * 0.3) * np.sinh(k * np.pi * 0.7) / np.sinh(k * np.pi))
    assert solution(0.3, 0.7) == pytest.approx(series, abs=1e-5)


def test_elements_end_where_the_formulas_are_not_smooth():
    kink = Problem("u_xx = 12*abs(x - a)*(x - a)", ["u(0) = -a**4", "u(1) = (1 - a)**4"], LINE, {"a": 0.3},
                   exact="(x - a)**3*abs(x - a)")  # fmt: skip
    assert breaks(kink) == [[pytest.approx(0.3)]]
    solution = check(kink)
    assert solution.details["levels"][-1]["elements"] == [2]
    assert solution.error() < 1e-13
    jump = Problem("laplacian(u) = 2*where(y < 1/2, 1, -1)", ["u(0, y) = u(1, y)", "u(x, 0) = 0", "u(x, 1) = 1/2"],
                   SQUARE, exact="where(y < 1/2, y**2, 2*y - y**2 - 1/2)")  # fmt: skip
    assert check(jump).error() < 1e-13


def test_what_is_missing_is_said():
    with pytest.raises(ProblemError, match=r"only up to a constant.*u\(0, 0\) = 0"):
        solve_stationary(Problem("laplacian(u) = cos(pi*x)", NEUMANN, SQUARE))
    with pytest.raises(ProblemError, match="only up to a constant"):
        solve_stationary(Problem("laplacian(u) = sin(2*pi*x)", ["u(0, y) = u(1, y)", "u(x, 0) = u(x, 1)"], SQUARE))
    with pytest.raises(ProblemError, match="resonance"):
        solve_stationary(Problem("laplacian(u) + 2*pi**2*u = 1", ["u(boundary) = 0"], SQUARE))
    with pytest.raises(ProblemError, match=r"misses 1 condition\(s\) in x"):
        solve_stationary(Problem("u_xx = 1", ["u(0) = 0"], LINE))
    with pytest.raises(ProblemError, match="only up to a constant"):
        solve_stationary(Problem("u_xx = u_x**2 + 1", ["u_x(0) = 0", "u_x(1) = 1"], LINE))


def test_contradictions_are_noticed():
    # The flux through the sides does not balance the source.
    solution = solve_stationary(Problem("laplacian(u) = 1", [*NEUMANN, "u(0, 0) = 1"], SQUARE))
    assert not solution.success
    assert "contradict" in solution.message


def test_a_problem_without_solution_ends_without_success_and_finite():
    # Bratu's problem has no solution above 3.5138.
    bratu = Problem("u_xx + c*exp(u) = 0", ["u(0) = 0", "u(1) = 0"], LINE, {"c": 3.5})
    assert solve_stationary(bratu).success
    beyond = solve_stationary(bratu.replace(c=4.0))
    assert not beyond.success
    assert beyond.status is Status.STAGNATED
    assert np.all(np.isfinite(beyond(np.linspace(0, 1, 11))))


def test_a_budget_ends_with_the_best_state():
    problem = Problem("-laplacian(u) = 1", ["u(boundary) = 0"], SQUARE)
    solution = solve_stationary(problem, rtol=1e-12, budget=0.3)
    assert solution.status is Status.BUDGET
    assert solution.wall_time < 3
    assert solution(0.5, 0.5) == pytest.approx(0.0736713, rel=1e-3)
    nothing = solve_stationary(problem, budget=1e-9)
    assert nothing.status is Status.BUDGET
    assert nothing(0.5, 0.5) == 0


def test_progress_and_history_tell_the_same():
    seen = []
    solution = solve_stationary(sciml.load("poisson_boltzmann"), progress=seen.append)
    assert [row["iteration"] for row in seen] == list(solution.history["iteration"])
    assert [row["loss"] for row in seen] == list(solution.history["loss"])
    assert {"iteration", "seconds", "loss", "terms", "estimate", "stage"} <= set(seen[-1])
    assert seen[-1]["estimate"] is not None or len(solution.details["levels"]) == 2
    assert "loss: equation" in solution.history
    assert "loss: u(boundary) = 0 [x = 0]" in solution.history
    assert solution.history["loss"][-1] < 1e-18
    assert solution.details["resolution"].keys() == {"x", "y"}


@pytest.mark.parametrize("arguments", [{"rtol": 0.0}, {"rtol": 2.0}, {"budget": -1.0}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ArgumentError):
        solve_stationary(sciml.load("poisson"), **arguments)


def test_four_coordinates_are_refused():
    box = dict.fromkeys("wxyz", (0, 1))
    with pytest.raises(ProblemError, match="one to three coordinates"):
        solve_stationary(Problem("laplacian(u) = 1", ["u(boundary) = 0"], box))
