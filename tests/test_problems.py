"""The bundled problems: what they declare, their exact solutions and references, and the check that judges them."""

from __future__ import annotations

import doctest
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.io
import torch
from scipy.integrate import solve_ivp
from scipy.special import ellipj

import sciml
import sciml.testing
from sciml import Problem
from sciml.errors import ArgumentError, ProblemError, UnknownProblemError
from sciml.registry import describe
from sciml.residuals import Bumps, claims_of, exact_field, perturbed_field
from sciml.testing import check_problem

EXACT = [
    "advection",
    "burgers",
    "burgers_2d",
    "heat",
    "heat_2d",
    "helmholtz",
    "klein_gordon",
    "logistic",
    "pendulum",
    "poisson",
    "poisson_boltzmann",
    "reaction_diffusion",
    "wave",
]
ORDINARY = ["lorenz", "lotka_volterra", "roessler", "van_der_pol"]
FIELDS = ["allen_cahn", "kdv", "kuramoto_sivashinsky", "lid_driven_cavity", "schroedinger"]
# Parameters on which a manufactured solution does not depend, since its forcing follows them.
INDEPENDENT = {("helmholtz", "k"), ("klein_gordon", "gamma")}
# Values that keep the problem meaningful where 1.3 times the default would not.
OTHER: Mapping[str, Mapping[str, float]] = {"helmholtz": {"a1": 2, "a2": 3, "k": 1.7}}


def others(problem: Problem) -> dict[str, float]:
    """Return another value for each parameter."""
    return {name: 1.3 * value for name, value in problem.parameters.items()} | dict(OTHER.get(problem.name, {}))


# -- declarations -----------------------------------------------------------------------------------------------------


def test_all_problems_of_the_list_are_bundled() -> None:
    assert list(sciml.names()) == sorted([*EXACT, *ORDINARY, *FIELDS])
    assert [name for name in sciml.names() if sciml.load(name).has_exact] == EXACT


@pytest.mark.parametrize("name", sciml.names())
def test_a_problem_describes_itself_and_its_source(name: str) -> None:
    problem = sciml.load(name)
    assert problem.name == name
    assert problem.description
    assert describe(name).endswith(".")
    assert "doi:10." in problem.source
    assert name in repr(problem)
    assert all(condition.name in repr(problem) for condition in problem.conditions)
    declared = {condition.name.split(" [")[0] for condition in problem.conditions}
    assert problem._repr_latex_().count(r"\\") == len(problem.equations) + len(declared) - 1


@pytest.mark.parametrize("name", sciml.names())
def test_a_problem_is_well_posed_for_a_forward_solver(name: str) -> None:
    sciml.load(name).check_forward()


@pytest.mark.parametrize("name", sciml.names())
def test_replacing_a_parameter_changes_it_alone(name: str) -> None:
    problem = sciml.load(name)
    before = dict(problem.parameters)
    for parameter, value in others(problem).items():
        assert dict(problem.replace(**{parameter: value}).parameters) == {**before, parameter: value}
        assert dict(sciml.load(name, **{parameter: value}).parameters) == {**before, parameter: value}
    assert dict(problem.parameters) == before


@pytest.mark.parametrize("name", sciml.names())
def test_a_problem_survives_the_way_through_json(name: str) -> None:
    problem = sciml.load(name)
    data = json.loads(json.dumps(problem.to_dict()))
    again = Problem.from_dict(data)
    assert again.equations == problem.equations
    assert again.domain == problem.domain
    assert again.parameters == problem.parameters
    assert [(c.expression, dict(c.place)) for c in again.conditions] == [
        (c.expression, dict(c.place)) for c in problem.conditions
    ]
    assert again.has_exact == (problem.has_exact and not data["callables"])


@pytest.mark.parametrize("name", ["lorenz", "roessler", "van_der_pol"])
def test_the_time_interval_of_the_oscillators_is_a_parameter(name: str) -> None:
    assert sciml.load(name, T=1.1).domain.interval("t") == (0, 1.1)


def test_an_unknown_parameter_or_problem_names_the_closest() -> None:
    with pytest.raises(ArgumentError, match="rho"):
        sciml.load("lorenz", rhoo=1)
    with pytest.raises(UnknownProblemError, match="burgers"):
        check_problem("burger")


# -- exact solutions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
def test_exact_solutions_satisfy_equations_and_conditions(name: str) -> None:
    report = check_problem(name)
    kinds = [check.kind for check in report.checks]
    assert kinds.count("condition") == len(sciml.load(name).conditions)
    assert kinds.count("equation") == len(sciml.load(name).equations)


@pytest.mark.parametrize("name", [name for name in EXACT if sciml.load(name).parameters])
def test_exact_solutions_follow_the_parameters(name: str) -> None:
    problem = sciml.load(name)
    assert check_problem(problem.replace(**others(problem)), points=200, seed=1).success


@pytest.mark.parametrize("name", EXACT)
def test_a_perturbed_exact_solution_is_noticed(name: str) -> None:
    problem = sciml.load(name)

    def wrong(*columns: torch.Tensor) -> dict[str, torch.Tensor]:
        return {u: 1.001 * value for u, value in problem.evaluate_exact(torch.stack(columns, dim=-1)).items()}

    with pytest.raises(AssertionError, match="violated"):
        check_problem(problem.replace(exact=wrong), points=50)


@pytest.mark.parametrize("name", [name for name in EXACT if sciml.load(name).parameters])
def test_a_perturbed_coefficient_is_noticed(name: str) -> None:
    problem = sciml.load(name)
    for parameter, value in ((p, v) for p, v in problem.parameters.items() if (name, p) not in INDEPENDENT):

        def right(*columns: torch.Tensor) -> dict[str, torch.Tensor]:
            return problem.evaluate_exact(torch.stack(columns, dim=-1))

        wrong = problem.replace(exact=right, incompatible="accept", **{parameter: 1.001 * value})
        with pytest.raises(AssertionError, match="violated"):
            check_problem(wrong, points=50)


@pytest.mark.parametrize("nu", [1e-3, 0.01 / math.pi, 0.1, 1.0])
def test_cole_hopf_agrees_with_adaptive_quadrature_in_multiple_precision(nu: float) -> None:
    def precise(x: float, t: float) -> Any:
        scale = mpmath.sqrt(4 * mpmath.mpf(nu) * t)

        def exponent(z: Any) -> Any:
            return -mpmath.cos(mpmath.pi * (x - scale * z)) / (2 * mpmath.pi * nu) - z * z

        ends = [mpmath.mpf(i) / 2 for i in range(-50, 51)]
        top = max(exponent(z) for z in ends)  # mpmath's tolerance is absolute

        def mean(function: Any) -> Any:
            return mpmath.quad(lambda z: mpmath.exp(exponent(z) - top) * function(mpmath.pi * (x - scale * z)), ends)

        return -mean(mpmath.sin) / mean(lambda y: 1)

    points = np.array([[0.01, 0.5], [0.001, 1.0], [0.99, 0.3], [0.4, 1e-6]])
    values = sciml.load("burgers", nu=nu).evaluate_exact(points)["u"]
    with mpmath.workdps(20):
        expected = [float(precise(*point)) for point in points]
    assert values.numpy() == pytest.approx(expected, abs=2e-14)


def test_cole_hopf_starts_at_the_initial_value_and_is_odd() -> None:
    problem, x = sciml.load("burgers"), np.linspace(-1, 1, 101)
    start = problem.evaluate_exact(np.stack([x, 0 * x], axis=1))["u"].numpy()
    later = problem.evaluate_exact(np.stack([x, 0 * x + 0.8], axis=1))["u"].numpy()
    assert start == pytest.approx(-np.sin(np.pi * x), abs=1e-15)
    assert later == pytest.approx(-later[::-1], abs=1e-14)


def test_cole_hopf_agrees_with_the_published_file() -> None:
    path = Path(__file__).parents[2] / "shared" / "data" / "raissi_burgers.mat"
    if not path.exists():
        pytest.skip("raissi_burgers.mat (maziarraissi/PINNs) is not on this machine")
    data = scipy.io.loadmat(path)
    x, t = np.meshgrid(data["x"].ravel(), data["t"].ravel(), indexing="ij")
    values = sciml.load("burgers").evaluate_exact(np.stack([x.ravel(), t.ravel()], axis=1))["u"].numpy()
    difference = values - data["usol"].ravel()
    assert np.linalg.norm(difference) < 4e-12 * np.linalg.norm(values)


@pytest.mark.parametrize("theta0", [1e-3, -1.0, math.pi / 2, 3.0])
def test_pendulum_agrees_with_scipy(theta0: float) -> None:
    t = np.linspace(0, 10, 101)
    values = sciml.load("pendulum", theta0=theta0).evaluate_exact(t[:, None])["theta"].numpy()
    _, cn, dn, _ = ellipj(t, math.sin(theta0 / 2) ** 2)
    assert values == pytest.approx(2 * np.arcsin(math.sin(theta0 / 2) * cn / dn), abs=2e-14)
    swing = solve_ivp(lambda _, y: [y[1], -math.sin(y[0])], (0, 10), [theta0, 0], "DOP853", t, rtol=1e-12, atol=1e-14)
    assert values == pytest.approx(swing.y[0], abs=1e-11 / (math.pi - abs(theta0)))


# -- the check itself -------------------------------------------------------------------------------------------------


def test_a_check_that_cannot_fail_is_called_blind() -> None:
    with pytest.raises(AssertionError, match="blind"):
        check_problem("heat", tol=1.0, points=20)
    assert check_problem("heat", tol=1.0, points=20, perturbation=None).success


def test_a_wrong_condition_is_named_alone() -> None:
    problem = sciml.load("heat")
    conditions = [condition.name for condition in problem.conditions]
    wrong = problem.replace(conditions=["u(x, 0) = 1.0001*sin(pi*x)", *conditions[1:]])
    with pytest.raises(AssertionError) as failure:
        check_problem(wrong, points=20)
    lines = str(failure.value).splitlines()
    assert [line for line in lines if "violated" in line] == [line for line in lines if "1.0001" in line]


def test_nan_is_a_violation() -> None:
    problem = Problem("y' = 1", "y(0) = 0", {"t": (0, 1)}, exact="t + sqrt(t - 2)")
    with pytest.raises(AssertionError, match="violated"):
        check_problem(problem)


def test_jumps_of_a_derivative_violate_periodicity() -> None:
    kink = Problem("u_xx = 2", ["u(-1) = u(1)", "u(0) = 0"], {"x": (-1, 1)}, exact="x**2")
    with pytest.raises(AssertionError, match=r"violated .* u\(-1\) = u\(1\)"):
        check_problem(kink)


def test_known_functions_and_varying_coefficients_are_checked() -> None:
    problem = Problem(
        "d(k(x)*u_x, x) = 6*exp(x) + 6*x*exp(x)",
        ["u(0) = 0", "u_x(0) = 0"],
        {"x": (0, 1)},
        functions={"k(x)": torch.exp},
        exact="3*x**2",
    )
    assert check_problem(problem).success
    with pytest.raises(AssertionError, match="violated"):
        check_problem(problem.replace(functions={"k(x)": lambda x: torch.exp(1.001 * x)}))


def test_a_problem_file_of_ones_own_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "decay.py"
    path.write_text(
        "from sciml import Problem\n\n\n"
        "def problem(k=2.0):\n"
        "    return Problem(\"y' = -k*y\", 'y(0) = 1', {'t': (0, 1)}, {'k': k}, exact='exp(-k*t)')\n"
    )
    assert check_problem(path).problem == "decay"
    path.write_text(path.read_text().replace("exp(-k*t)", "exp(-k*t) + 1e-9*t"))
    with pytest.raises(AssertionError, match=r"violated .* equation"):
        check_problem(path)


@pytest.mark.parametrize("value", ["0", "1"])
def test_constant_solutions_are_checked(value: str) -> None:
    assert check_problem(Problem("u_t = u_xx", [f"u(x, 0) = {value}"], {"x": (0, 1), "t": (0, 1)}, exact=value)).success


def test_a_problem_with_unknown_functions_has_nothing_to_check() -> None:
    with pytest.raises(ProblemError, match="k"):
        check_problem(Problem("d(k(x)*u_x, x) = 1", ["u(0) = 0"], {"x": (0, 1)}, functions=["k(x)"]))


@pytest.mark.parametrize("wrong", [{"points": 0}, {"points": 1.5}, {"perturbation": -1.0}])
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        check_problem("heat", **wrong)


@pytest.mark.parametrize("name", ["burgers", "klein_gordon", "heat_2d", "pendulum"])
def test_bumps_see_exact_solutions_vanish_and_perturbed_ones_not(name: str) -> None:
    problem = sciml.load(name, **({"nu": 0.1} if name == "burgers" else {}))
    measure, field = Bumps(problem, 0, 16, 0.25), exact_field(problem)
    perturbed = perturbed_field(problem, field, 1e-3, 0)
    for claim in claims_of(problem):
        assert measure.error(claim, field) < 1e-9
        assert measure.error(claim, perturbed) > 1e-5


def test_derivatives_of_the_perturbation_are_right() -> None:
    problem = sciml.load("heat_2d")
    wave = perturbed_field(problem, lambda partials, points: np.zeros((len(partials), len(points))), 1.0, seed=3)
    points, step = np.random.default_rng(1).random((5, 3)), np.array([0.0, 0.0, 1e-5])
    slope, mixed = ([problem.vocabulary.parse_partial(name)] for name in ("u_x", "u_xt"))
    difference = (wave(slope, points + step) - wave(slope, points - step)) / 2e-5
    assert wave(mixed, points) == pytest.approx(difference, rel=1e-7)


def test_the_example_in_the_documentation_runs() -> None:
    assert doctest.testmod(sciml.testing).failed == 0


# -- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDINARY)
def test_references_of_ordinary_equations_satisfy_them(name: str) -> None:
    assert check_problem(name, points=400).success


@pytest.mark.parametrize("name", FIELDS)
def test_references_of_fields_satisfy_their_equations(name: str) -> None:
    # Loose, to be quick; yet below the perturbation of 1e-3 that must be noticed.
    assert check_problem(name, points=400, rtol=1e-4 if name == "lid_driven_cavity" else 1e-5).success


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_references_of_fields_satisfy_their_equations_at_their_own_accuracy(name: str) -> None:
    assert check_problem(name).success


def test_prey_and_predators_stay_on_their_orbit() -> None:
    from sciml import classical

    problem = sciml.load("lotka_volterra")
    state = classical.solve(problem)(np.linspace(0, 10, 201))
    a, b, c, d = (problem.parameters[name] for name in "abcd")
    x, y = state["x"], state["y"]
    invariant = d * x - c * np.log(x) + b * y - a * np.log(y)
    assert invariant == pytest.approx(invariant[0], abs=1e-6)
