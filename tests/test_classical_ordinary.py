"""Ordinary equations: accuracy at and between the steps, stiffness, honest estimates, clear refusals."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import sciml
from sciml import Problem, classical
from sciml.classical.clock import Clock
from sciml.classical.explicit import TooManyStepsError, integrate_explicit
from sciml.classical.radau import DenseLinearisation, integrate_radau, radau_fixed
from sciml.classical.trajectory import PiecewisePolynomial
from sciml.errors import ArgumentError, ProblemError
from sciml.solution import Status


def check_accuracy(solution, bound=1e-8):
    """The error is small and no larger than announced; the estimate is the error of the coarser result."""
    error, coarse = solution.error(), solution.details["coarser"].error()
    assert solution.success
    assert error <= bound
    assert error <= 2 * solution.estimate + 1e-12
    assert solution.estimate <= 10 * coarse + 1e-12
    assert coarse <= 10 * solution.estimate + 1e-12


@pytest.mark.parametrize("name", ["logistic", "pendulum"])
@pytest.mark.parametrize("method", ["explicit", "implicit"])
def test_the_error_is_what_the_estimate_says(name, method):
    solution = classical.solve(sciml.load(name), method=method)
    check_accuracy(solution)
    times = np.random.default_rng(0).random((500, 1)) * 10
    exact = next(iter(solution.problem.evaluate_exact(times).values())).numpy()
    assert np.max(np.abs(solution(times[:, 0]) - exact)) < 2e-8


def test_derivatives_satisfy_the_equation_between_the_steps():
    theta = classical.solve(sciml.load("pendulum"), rtol=1e-9)
    t = np.random.default_rng(1).random(300) * 10
    assert np.max(np.abs(theta("theta''", t) + np.sin(theta(t)))) < 1e-7
    step = 1e-4
    inner = t[(t > step) & (t < 10 - step)]
    difference = (theta(inner + step) - theta(inner - step)) / (2 * step)
    assert np.max(np.abs(theta("theta'", inner) - difference)) < 1e-7


def test_two_coupled_equations_of_second_order_from_strings():
    problem = Problem(
        ["x'' = -2*x + y", "y'' = x - 2*y"],
        ["x(0) = 1", "x'(0) = 0", "y(0) = 0", "y'(0) = 0"],
        {"t": (0, 10)},
        exact={"x": "(cos(t) + cos(sqrt(3)*t))/2", "y": "(cos(t) - cos(sqrt(3)*t))/2"},
    )
    check_accuracy(classical.solve(problem))


def test_very_stiff_relaxation_oscillation_agrees_with_scipy():
    problem = sciml.load("van_der_pol", mu=1000).replace(domain={"t": (0, 2000)})
    solution = classical.solve(problem, rtol=1e-8)
    assert solution.success
    assert "Radau" in solution.method
    assert solution.wall_time < 20

    def rate(_, y):
        return [y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]]

    times = np.array([500.0, 806.0, 1500.0, 2000.0])
    reference = solve_ivp(rate, (0, 2000), [2, 0], "LSODA", times, rtol=1e-10, atol=1e-12).y[0]
    assert np.max(np.abs(solution(times) - reference)) < 1e-5


def test_stiff_chemistry_keeps_its_mass():
    problem = Problem(
        ["x' = -0.04*x + 1e4*y*z", "y' = 0.04*x - 1e4*y*z - 3e7*y**2", "z' = 3e7*y**2"],
        ["x(0) = 1", "y(0) = 0", "z(0) = 0"],
        {"t": (0, 1000)},
    )
    solution = classical.solve(problem, rtol=1e-7, method="implicit")
    values = solution(np.geomspace(1e-4, 1000, 200))
    assert solution.success
    assert np.max(np.abs(values["x"] + values["y"] + values["z"] - 1)) < 1e-7
    assert values["y"].max() < 4e-5


def test_the_invariant_of_predator_and_prey_stays():
    solution = classical.solve(sciml.load("lotka_volterra"))
    a, b, c, d = (solution.parameters[name] for name in "abcd")
    values = solution(np.linspace(0, 10, 400))
    x, y = values["x"], values["y"]
    invariant = d * x - c * np.log(x) + b * y - a * np.log(y)
    assert np.ptp(invariant) < 1e-7


def test_an_equation_linear_in_its_highest_derivative_is_solved_for_it():
    problem = Problem(
        "(1 + y**2)*y'' + y*y' = -(1 + sin(t)**2)*sin(t) + sin(t)*cos(t)",
        ["y(0) = 0", "y'(0) + 3*y(0) = 1"],
        {"t": (0, 5)},
        exact="sin(t)",
    )
    check_accuracy(classical.solve(problem))


def test_values_at_the_upper_end_are_integrated_backwards():
    problem = Problem("y' = -y", "y(2) = 1", {"t": (0, 2)}, exact="exp(2 - t)")
    check_accuracy(classical.solve(problem))
    check_accuracy(classical.solve(problem, method="implicit"))


def test_a_coordinate_need_not_be_time():
    check_accuracy(classical.solve(Problem("y'' = -y", ["y(0) = 0", "y'(0) = 1"], {"x": (0, 6)}, exact="sin(x)")))


def test_terms_may_be_known_functions_without_a_formula():
    problem = Problem(
        "y' = 1e6*f(y)",
        "y(0) = 1",
        {"t": (0, 2)},
        functions={"f(y)": lambda y: 0.5 - torch.tanh(y)},
    )
    solution = classical.solve(problem)
    assert solution.success
    assert "Radau" in solution.method
    assert solution(1.0) == pytest.approx(np.arctanh(0.5), rel=1e-9)


def test_chaos_is_admitted():
    problem = sciml.load("lorenz").replace(domain={"t": (0, 45)})
    solution = classical.solve(problem, rtol=1e-6)
    assert not solution.success
    assert solution.status is Status.INACCURATE
    assert solution.estimate > 0.1
    until = float(solution.message.rsplit("t = ", 1)[1].rstrip("."))
    assert 15 < until < 40
    # Up to there another method agrees.
    other = classical.solve(problem.replace(domain={"t": (0, 10)}), rtol=1e-8, method="implicit")
    times = np.linspace(0, 10, 200)
    assert np.max(np.abs(solution(times)["x"] - other(times)["x"])) < 1e-5


def test_blow_up_ends_with_a_finite_state_and_its_place():
    solution = classical.solve(Problem("y' = y**2", "y(0) = 1", {"t": (0, 2)}))
    assert solution.status is Status.DIVERGED
    assert not solution.success
    assert "t = 1" in solution.message
    assert np.all(np.isfinite(solution(np.linspace(0, 2, 50))))
    assert solution(0.5) == pytest.approx(2, rel=1e-6)


def test_a_budget_ends_the_work_with_what_there_is():
    solution = classical.solve(sciml.load("lorenz").replace(domain={"t": (0, 1000)}), budget=0.3)
    assert solution.status is Status.BUDGET
    assert solution.wall_time < 3
    assert np.all(np.isfinite(solution(np.linspace(0, 1000, 50))["z"]))


def test_progress_reports_each_resolution():
    seen = []
    solution = classical.solve(sciml.load("logistic"), progress=seen.append)
    assert len(seen) == len(solution.history["iteration"]) == solution.details["iterations"]
    assert seen[0]["estimate"] is None
    assert seen[-1]["estimate"] == solution.estimate <= 1e-8


@pytest.mark.parametrize("method", ["explicit", "implicit"])
def test_a_saved_solution_gives_the_same_bits(tmp_path, method):
    solution = classical.solve(sciml.load("pendulum"), method=method)
    times = np.linspace(0, 10, 101)
    loaded = sciml.load_solution(solution.save(tmp_path / "pendulum"))
    for name in ("theta", "theta'", "theta''"):
        assert np.array_equal(loaded(name, times), solution(name, times))


def test_an_algebraic_equation_is_refused():
    problem = Problem(["x' = y", "x + y = 1"], ["x(0) = 1"], {"t": (0, 1)}, unknowns=("x", "y"))
    with pytest.raises(ProblemError, match=r"no equation contains a derivative of y in t"):
        classical.solve(problem)


def test_an_equation_nonlinear_in_the_highest_derivative_is_refused():
    with pytest.raises(ProblemError, match="not linear in the highest derivatives"):
        classical.solve(Problem("y'**2 = y", "y(0) = 1", {"t": (0, 1)}))


def test_equations_that_do_not_determine_the_derivatives_are_refused():
    problem = Problem(["x' + y' = x", "x' + y' = y"], ["x(0) = 1", "y(0) = 1"], {"t": (0, 1)})
    with pytest.raises(ProblemError, match="not independent"):
        classical.solve(problem)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["y(0) = 1", "y(0) = 2"], "give no value of y'|not be solved"),
        (["y(0) = 1", "y''(0) = 2"], "the equation itself determines"),
        (["y(0) = 1", "y'(0)**2 = 2"], "not linear in the initial values"),
        (["y(0) = 1"], "misses 1 condition"),
    ],
)
def test_initial_conditions_that_do_not_fit_are_refused(conditions, message):
    with pytest.raises(ProblemError, match=message):
        classical.solve(Problem("y'' = -y", conditions, {"t": (0, 1)}, incompatible="accept"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"rtol": 0},
        {"rtol": "1e-8"},
        {"rtol": True},
        {"budget": -1},
        {"budget": 0},
        {"method": "fourier"},
        {"method": 1},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ArgumentError):
        classical.solve(sciml.load("logistic"), **arguments)


@pytest.mark.parametrize("stages", [2, 3, 4])
def test_radau_converges_with_order_twice_the_stages_minus_one(stages):
    def rates(times, states):
        return -(states**2) * np.cos(times)[:, None]

    def linearise(t, y):
        return DenseLinearisation(np.array([[-2 * y[0] * np.cos(t)]]))

    steps = np.array([10, 14, 20, 28])
    errors = [
        abs(radau_fixed(rates, linearise, (0.0, 3.0), np.array([1.0]), n, stages)[0] - 1 / (1 + np.sin(3)))
        for n in steps
    ]
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(2 * stages - 1, abs=0.5)


def test_radau_is_as_accurate_inside_its_steps_as_at_their_ends():
    matrix = np.array([[0.0, 1.0], [-1.0, 0.0]])
    found = integrate_radau(
        lambda _, states: states @ matrix.T,
        lambda *_: DenseLinearisation(matrix),
        (0.0, 20.0),
        np.array([1.0, 0.0]),
        1e-11,
        Clock(),
    )
    assert isinstance(found, PiecewisePolynomial)
    assert len(found.nodal) < 150
    times = np.linspace(0, 20, 1001)
    assert np.max(np.abs(found.values(times)[:, 0] - np.cos(times))) < 1e-9
    assert np.max(np.abs(found.values(times, 1)[:, 0] + np.sin(times))) < 1e-7


def test_radau_forgets_a_fast_transient():
    found = integrate_radau(
        lambda times, states: -1e6 * (states - np.cos(times)[:, None]),
        lambda *_: DenseLinearisation(np.array([[-1e6]])),
        (0.0, 2.0),
        np.array([0.0]),
        1e-10,
        Clock(),
    )
    assert found is not None
    assert found.values(np.array([1.5]))[0, 0] == pytest.approx(np.cos(1.5), abs=2e-6)


def test_merged_steps_stay_within_their_tolerance():
    options = {"groups": np.array([0, 1]), "clock": Clock(), "floor": 1e-3}

    def rate(_, y):
        return np.array([y[1], -y[0]])

    merged = integrate_explicit(rate, (0.0, 40.0), np.array([1.0, 0.0]), 1e-11, **options)
    assert merged is not None
    times = np.linspace(0, 40, 2001)
    assert np.max(np.abs(merged.values(times)[:, 0] - np.cos(times))) < 1e-8
    single = solve_ivp(rate, (0, 40), [1, 0], "DOP853", rtol=1e-11, atol=1e-14).t.size - 1
    assert len(merged.nodal) < single / 3
    with pytest.raises(TooManyStepsError):
        integrate_explicit(rate, (0.0, 40.0), np.array([1.0, 0.0]), 1e-11, steps=5, **options)
