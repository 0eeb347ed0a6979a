from __future__ import annotations

import numpy as np
import pytest

import sciml
from sciml.classical.flow import recognise
from sciml.classical.spaces import Mesh
from sciml.classical.stationary import solve_stationary
from sciml.classical.streamfunction import StreamFunction
from sciml.errors import ProblemError
from sciml.problem import Problem
from sciml.solution import load_solution

EQUATIONS = [
    "u*u_x + v*u_y = -p_x + laplacian(u)/Re",
    "u*v_x + v*v_y = -p_y + laplacian(v)/Re",
    "u_x + v_y = 0",
]
RATE = "(Re/2 - sqrt(Re**2/4 + 4*pi**2))"
KOVASZNAY = {
    "u": f"1 - exp({RATE}*x)*cos(2*pi*y)",
    "v": f"{RATE}/(2*pi)*exp({RATE}*x)*sin(2*pi*y)",
    "p": f"(1 - exp(2*{RATE}*x))/2 + 3",
}
BOX = {"x": (-0.5, 1), "y": (-0.5, 1.5)}


def kovasznay(conditions):
    return Problem(EQUATIONS, conditions, BOX, {"Re": 40.0}, exact=KOVASZNAY)


def velocities(*places):
    return [f"{name}({place}) = {KOVASZNAY[name]}" for place in places for name in ("u", "v")]


def check(problem):
    solution = solve_stationary(problem)
    assert solution.success, solution.message
    errors = solution.errors()
    assert max(errors.values()) < 1e-9, errors
    assert solution.error() <= 2 * solution.estimate + 1e-12
    assert solution.details["coarser"].error() == pytest.approx(solution.estimate, rel=0.9)
    return solution


def test_kovasznay_flow_with_given_velocities_uses_a_stream_function():
    solution = check(kovasznay([*velocities("boundary"), "p(0, 0) = 3"]))
    assert "stream function" in solution.method
    x, y = np.random.default_rng(0).uniform(-0.5, 1, (2, 40))
    divergence = solution("u_x", x, y) + solution("v_y", x, y)
    assert np.abs(divergence).max() < 1e-12 * np.abs(solution("u_x", x, y)).max()
    momentum = x * 0
    fields = {name: solution(name, x, y) for name in ("u", "v", "u_x", "u_y", "p_x", "u_xx", "u_yy")}
    momentum = (
        fields["u"] * fields["u_x"]
        + fields["v"] * fields["u_y"]
        + fields["p_x"]
        - (fields["u_xx"] + fields["u_yy"]) / 40
    )
    assert np.abs(momentum).max() < 1e-7


def test_kovasznay_flow_with_an_outlet_is_collocated():
    outlet = f"u_x(1, y) - Re*p(1, y) = -{RATE}*exp({RATE})*cos(2*pi*y) - Re*((1 - exp(2*{RATE}))/2 + 3)"
    others = [*velocities("x, -0.5", "x, 1.5", "-0.5, y"), f"v(1, y) = {KOVASZNAY['v']}"]
    solution = check(kovasznay([*others, outlet]))
    assert "collocation" in solution.method


def test_periodic_flow_is_collocated():
    periodic = [f"{name}(x, -0.5) = {name}(x, 1.5)" for name in "uvp"]
    check(kovasznay([*velocities("-0.5, y", "1, y"), *periodic, "p(0, 0) = 3"]))


def test_a_flow_is_recognised_whatever_its_letters_and_signs():
    problem = Problem(
        [
            "0 = 2*(b_s + a_r)",
            "a*b_r + b*b_s - nu*laplacian(b) = -3*q_s + 1",
            "3*q_r + a*a_r + b*a_s = nu*laplacian(a)",
        ],
        ["a(boundary) = 0", "b(boundary) = 0"],
        {"r": (0, 1), "s": (0, 2)},
        {"nu": 0.1},
        unknowns=["q", "a", "b"],
    )
    flow = recognise(problem)
    assert flow is not None
    assert flow.velocity == ("a", "b")
    assert flow.pressure == "q"
    assert flow.enclosed
    # The body force is a gradient: the fluid rests and the pressure balances it.
    solution = solve_stationary(problem)
    assert np.abs(solution(0.3, np.linspace(0, 2, 5))["a"]).max() < 1e-12
    np.testing.assert_allclose(solution("q_s", 0.3, np.linspace(0, 2, 5)), 1 / 3, rtol=1e-9)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("u_x + v_y = 0", "u_x + v_y = x"),
        ("u_x + v_y = 0", "u_x + 2*v_y = 0"),
        ("-p_x", "-p_x*u"),
        ("-p_x", "-p_x + p"),
        ("-p_y", "-p_x"),
    ],
)
def test_other_systems_are_not_taken_for_a_flow(old, new):
    equations = [equation.replace(old, new) for equation in EQUATIONS]
    assert recognise(Problem(equations, ["u(boundary) = 0"], BOX, {"Re": 1.0}, unknowns=["u", "v", "p"])) is None


def test_more_inflow_than_outflow_is_refused():
    conditions = ["u(-0.5, y) = 1", "u(1, y) = 2", "u(x, -0.5) = 0", "u(x, 1.5) = 0", "v(boundary) = 0"]
    problem = Problem(EQUATIONS, conditions, BOX, {"Re": 1.0}, unknowns=["u", "v", "p"], incompatible="accept")
    with pytest.raises(ProblemError, match="out of balance by 2"):
        solve_stationary(problem)


@pytest.mark.parametrize("elements", [1, 2])
def test_the_jacobian_is_the_derivative_of_the_residual(elements):
    flow = recognise(sciml.load("lid_driven_cavity"))
    assert flow is not None
    system = StreamFunction(flow, [Mesh(np.linspace(0, 1, elements + 1), 5)] * 2)
    vector, direction = np.random.default_rng(0).standard_normal((2, system.size))
    for relaxation in (0.0, 2.0):
        relaxed = system.relaxed(relaxation)
        # Quadratic in the velocities: a central difference is exact.
        difference = (relaxed.residual(vector + direction) - relaxed.residual(vector - direction)) / 2
        product = relaxed.jacobian(vector) @ direction
        np.testing.assert_allclose(product, difference, atol=1e-11 * np.abs(difference).max())


def test_the_cavity_agrees_with_the_literature(tmp_path):
    solution = solve_stationary(sciml.load("lid_driven_cavity"), rtol=1e-3)
    assert solution.success
    assert solution.estimate < 1e-3
    assert solution.details["compared"] == ["u", "v"]
    s = np.linspace(0, 1, 2001)
    u, v = solution("u", 0.5, s), solution("v", s, 0.5)
    # Botella and Peyret 1998, doi:10.1016/S0045-7930(98)00002-4, table 6 (their lid moves the other way).
    assert u.min() == pytest.approx(-0.2140424, abs=2e-5)
    assert s[u.argmin()] == pytest.approx(0.4581, abs=1e-3)
    assert v.max() == pytest.approx(0.1795728, abs=2e-5)
    assert v.min() == pytest.approx(-0.2538030, abs=2e-5)
    # Ghia, Ghia, Shin 1982, doi:10.1016/0021-9991(82)90058-4, table 1 (three digits).
    assert solution("u", 0.5, 0.4531) == pytest.approx(-0.21090, abs=4e-3)
    assert solution("p", 0.0, 0.0) == pytest.approx(0, abs=1e-12)
    assert np.abs(solution("u", s, 0.0)).max() < 1e-12
    assert np.abs(solution("u", s[20:-20], 1.0) - 1).max() < 1e-9
    # In its corners the lid's velocity gives way to that of the walls.
    assert solution("u", 0.0, 1.0) == pytest.approx(0, abs=1e-12)
    again = load_solution(solution.save(tmp_path / "cavity.safetensors"))
    np.testing.assert_array_equal(again("v", s, 0.3), solution("v", s, 0.3))


@pytest.mark.slow
def test_the_cavity_is_solved_to_the_promised_accuracy_up_to_high_reynolds_numbers():
    fine = solve_stationary(sciml.load("lid_driven_cavity"), rtol=1e-4)
    finest = solve_stationary(sciml.load("lid_driven_cavity"), rtol=1e-5)
    assert fine.success
    assert finest.success
    assert fine.error(finest, unknowns=["u", "v"]) < fine.estimate
    fast = solve_stationary(sciml.load("lid_driven_cavity", Re=1000.0), rtol=1e-4)
    s = np.linspace(0, 1, 4001)
    u, v = fast("u", 0.5, s), fast("v", s, 0.5)
    # Botella and Peyret 1998, table 2.
    assert u.min() == pytest.approx(-0.3885698, abs=1e-5)
    assert v.min() == pytest.approx(-0.5270771, abs=1e-5)
    assert v.max() == pytest.approx(0.3769447, abs=1e-5)


def convection(rayleigh, *level):
    return Problem(
        [
            "u*u_x + v*u_y = -p_x + Pr*laplacian(u)",
            "u*v_x + v*v_y = -p_y + Pr*laplacian(v) + Ra*Pr*T",
            "u_x + v_y = 0",
            "u*T_x + v*T_y = laplacian(T)",
        ],
        ["u(boundary) = 0", "v(boundary) = 0", "T(0, y) = 1", "T(1, y) = 0", "T_y(x, 0) = 0", "T_y(x, 1) = 0", *level],
        {"x": (0, 1), "y": (0, 1)},
        {"Ra": rayleigh, "Pr": 0.71},
        unknowns=["u", "v", "p", "T"],
    )


def test_a_flow_with_a_temperature_is_collocated():
    solution = solve_stationary(convection(1e3, "p(0, 0) = 0"), rtol=1e-4)
    assert solution.success
    y, weights = np.polynomial.legendre.leggauss(40)
    # De Vahl Davis 1983, doi:10.1002/fld.1650030305: Nusselt number 1.118, largest velocities 3.649 and 3.697.
    assert -weights @ solution("T_x", 0.0, (y + 1) / 2) / 2 == pytest.approx(1.1178, abs=1e-4)
    s = np.linspace(0, 1, 1001)
    assert solution("u", 0.5, s).max() == pytest.approx(3.649, abs=1e-3)
    assert solution("v", s, 0.5).max() == pytest.approx(3.697, abs=1e-3)


def test_a_pressure_without_a_level_is_noticed():
    with pytest.raises(ProblemError, match=r"determines p only up to a constant.*p\(0, 0\) = 0"):
        solve_stationary(convection(1e3))
