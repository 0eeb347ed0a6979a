"""Parts of the solvers of evolution equations: orders of convergence, symmetries, linear algebra."""

import mpmath
import numpy as np
import pytest

import sciml
from sciml import Problem, classical
from sciml.classical.clock import Clock
from sciml.classical.evolution_collocation import CollocationSystem
from sciml.classical.evolution_fourier import FourierSystem, split_linear
from sciml.classical.exponential import ETDRK4, integrate_equal_steps, integrate_exponential
from sciml.classical.exponential_trajectory import phi_functions
from sciml.classical.extension import Extension, find_extension
from sciml.classical.first_order import first_order_form, initial_values
from sciml.classical.radau import DenseLinearisation, integrate_radau
from sciml.classical.separable import SeparableLinearisation
from sciml.classical.sides import sides_of
from sciml.classical.spaces import Mesh
from sciml.classical.splitting import Splitting

UNIT = {"x": (0, 1), "t": (0, 1)}
SQUARE = {"x": (0, 1), "y": (0, 1), "t": (0, 1)}


def fourier_system(problem, size):
    form = first_order_form(problem, problem.time)
    initial = initial_values(problem, form, problem.domain.interval(problem.time)[0])
    extensions = [find_extension(problem, form, initial, name) for name in problem.space]
    system = FourierSystem(problem, form, split_linear(problem, form), extensions, [size] * len(extensions))
    return system, system.initial(problem, initial)


def collocation_system(problem, size):
    form = first_order_form(problem, problem.time)
    meshes = [Mesh(problem.domain.interval(name), size) for name in problem.space]
    system = CollocationSystem(problem, form, sides_of(problem, form), meshes)
    return system, system.initial(initial_values(problem, form, problem.domain.interval(problem.time)[0]))


@pytest.mark.parametrize("z", [0.0, 1e-9, -0.3, 2.0, -3.7, -11.0, -40.0, -1e4, 0.2j, 5j, -10j, 300j, -4 + 4j])
def test_phi_functions_are_exact_to_rounding(z):
    found = phi_functions(np.array([z], dtype=complex), 9)[:, 0]
    with mpmath.workdps(60):
        for k, value in enumerate(found):
            if abs(z) < 1:
                exact = mpmath.nsum(lambda j, k=k: mpmath.mpc(z) ** j / mpmath.factorial(j + k), [0, mpmath.inf])
            else:
                head = mpmath.fsum(mpmath.mpc(z) ** j / mpmath.factorial(j) for j in range(k))
                exact = (mpmath.exp(mpmath.mpc(z)) - head) / mpmath.mpc(z) ** k
            assert abs(value - complex(exact)) * float(mpmath.factorial(k)) < 3e-15


def convergence(system, start, scheme, span, steps):
    reference = integrate_equal_steps(scheme, system.nonlinear, span, start, 4 * steps[-1])
    errors = [
        np.linalg.norm(integrate_equal_steps(scheme, system.nonlinear, span, start, n) - reference) for n in steps
    ]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize(("name", "end"), [("kdv", 0.2), ("kuramoto_sivashinsky", 0.1), ("allen_cahn", 0.5)])
def test_etdrk4_converges_with_order_four(name, end):
    problem = sciml.load(name)
    smooth = {"allen_cahn": ["u(x, 0) = cos(pi*x)/2", "u(-1, t) = u(1, t)"]}
    problem = problem.replace(conditions=smooth[name]) if name in smooth else problem
    system, start = fourier_system(problem, 64)
    steps = np.array([40, 57, 80, 113])
    order = convergence(system, start, ETDRK4(system.rates, system.nonlinear), (0.0, end), steps)
    assert order == pytest.approx(4, abs=0.3)


def test_the_splitting_converges_with_order_four_and_keeps_the_norm():
    problem = sciml.load("schroedinger").replace(
        conditions=[
            "u(x, 0) = 1 + cos(pi*x/5)/2",
            "v(x, 0) = sin(pi*x/5)/3",
            "u(-5, t) = u(5, t)",
            "v(-5, t) = v(5, t)",
        ]
    )
    system, start = fourier_system(problem, 32)
    scheme = system.scheme()
    assert isinstance(scheme, Splitting)
    order = convergence(system, start, scheme, (0.0, 1.0), np.array([20, 28, 40, 57]))
    assert order == pytest.approx(4, abs=0.4)

    def norm(state):
        spectrum = system.to_spectrum(state)
        return np.sum(np.abs(spectrum[:, 0]) ** 2) + 2 * np.sum(np.abs(spectrum[:, 1:]) ** 2)

    end = integrate_equal_steps(scheme, system.nonlinear, (0.0, 1.0), start, 200)
    assert norm(end) == pytest.approx(norm(start), rel=1e-9)


def test_fourier_and_polynomials_converge_faster_than_any_power():
    problem = Problem(
        "u_t + u*u_x = 0.1*u_xx", ["u(x, 0) = sin(pi*x)", "u(boundary) = 0"], {"x": (0, 1), "t": (0, 0.5)}
    )
    exact = classical.solve(problem, rtol=1e-11)
    x = np.linspace(0, 1, 50)
    fourier, polynomial = [], []
    for size in (8, 16, 32):
        system, start = fourier_system(problem, 2 * size)
        found = integrate_exponential(
            system.rates, system.nonlinear, system.scheme(), (0.0, 0.5), start, 1e-11, Clock()
        )
        modes = system.to_spectrum(found.values(np.array([0.5]))[0])[0]
        values = (modes[0] + 2 * modes[1:] @ np.exp(1j * np.outer(system.wavenumbers[0][1:], x))).real
        fourier.append(np.max(np.abs(values - exact(x, 0.5))))
        system, start = collocation_system(problem, size)
        found = integrate_radau(system.rates, system.jacobian, (0.0, 0.5), start, 1e-11, Clock(), groups=system.groups)
        assert found is not None
        coefficients = system.expand(np.array([0.5]), found.values(np.array([0.5])))[0]
        values = system.component_spaces()[0][0].matrix(x) @ coefficients
        polynomial.append(np.max(np.abs(values - exact(x, 0.5))))
    for errors in (fourier, polynomial):
        assert errors[1] < 0.05 * errors[0]
        assert errors[2] < 1e-3 * errors[1] or errors[2] < 1e-9


def test_stiff_forcing_is_exact_in_time_between_long_slabs():
    # w' = rate w + cos(t): oscillation and decay far faster than any step, and slow modes, in one trajectory.
    rates = np.array([1e5j, -1e6, -1.0, 0.0])

    def exact(t):
        r = rates[:, None]
        return (np.exp(r * t) * (1 + r / (1 + r**2)) + (np.sin(t) - r * np.cos(t)) / (1 + r**2)).T

    def nonlinear(t, y):
        return np.full(y.shape, np.cos(t), dtype=complex)

    found = integrate_exponential(
        rates, nonlinear, ETDRK4(rates, nonlinear), (0.0, 2.0), np.ones(4, complex), 1e-10, Clock()
    )
    times = np.random.default_rng(3).random(400) * 2
    assert len(found.states) < 40
    assert np.max(np.abs(found.values(times) - exact(times))) < 1e-8
    derivative = rates * exact(times) + np.cos(times)[:, None]
    assert np.max(np.abs(found.values(times, 1) - derivative) / (1 + np.abs(rates))) < 1e-8


def test_reflections_are_found_where_they_exist():
    def extension(equation, conditions, initial="sin(pi*x)"):
        problem = Problem(equation, [f"u(x, 0) = {initial}", *conditions], UNIT, incompatible="accept")
        form = first_order_form(problem, "t")
        return find_extension(problem, form, initial_values(problem, form, 0.0), "x")

    dirichlet, neumann = ["u(boundary) = 0"], ["u_x(boundary) = 0"]
    odd = extension("u_t + u*u_x = u_xx", dirichlet)
    assert odd is not None
    assert (odd.period, odd.signs["u"]) == (2.0, (-1, -1))
    even = extension("u_t = u_xx + u**2", neumann, "cos(pi*x)")
    assert even is not None
    assert even.signs["u"] == (1, 1)
    mixed = extension("u_t = u_xx", ["u(0, t) = 0", "u_x(1, t) = 0"])
    assert mixed is not None
    assert (mixed.period, mixed.signs["u"]) == (4.0, (-1, 1))
    assert extension("u_t = u_xx + u**2", dirichlet) is None  # the square of an odd function is even
    assert extension("u_t = u_xx + u_x", dirichlet) is None
    assert extension("u_t = u_xx + x", dirichlet) is None
    assert extension("u_t = u_xx", ["u(0, t) = 0", "u(1, t) = t"]) is None
    assert extension("u_t = u_xx", ["u(0, t) + u_x(0, t) = 0", "u(1, t) = 0"]) is None
    assert extension("u_t = -u_xxxx", [*dirichlet, *neumann]) is None  # clamped
    assert extension("u_t = u_xx + sin(2*pi*x)", dirichlet).signs["u"] == (-1, -1)
    wave = Problem("u_t + u*u_x = u_xx", ["u(x, 0) = -sin(pi*x)", "u(boundary) = 0"], {"x": (-1, 1), "t": (0, 1)})
    form = first_order_form(wave, "t")
    assert find_extension(wave, form, initial_values(wave, form, 0.0), "x").period == 2.0  # odd about its middle too


def test_folding_continues_a_function_by_its_parities():
    x = np.linspace(0, 4, 81)[:-1]
    point, sign = Extension(0.0, 1.0, 4.0, {"u": (-1, 1)}).fold(x, "u")
    assert np.all((point >= 0) & (point <= 1))
    assert sign * np.sin(np.pi * point / 2) == pytest.approx(np.sin(np.pi * x / 2), abs=1e-14)
    point, sign = Extension(0.0, 1.0, 2.0, {"u": (1, 1)}).fold(x, "u")
    assert sign * np.cos(np.pi * point) == pytest.approx(np.cos(np.pi * x), abs=1e-14)


def test_the_jacobian_is_the_derivative_of_the_rates():
    for equation, conditions, domain in (
        ("u_t = u_xx + u_x*u", ["u(x, 0) = sin(x)", "u_x(0, t) - u(0, t) = t", "u(1, t) = sin(1)"], UNIT),
        ("u_tt = laplacian(u) - u**3 + u_x*u_y", ["u(x, y, 0) = x*y", "u_t(x, y, 0) = 0", "u(boundary) = x*y"], SQUARE),
    ):
        problem = Problem(equation, conditions, domain, incompatible="accept")
        system, start = collocation_system(problem, 7)
        start = start + 0.1 * np.random.default_rng(0).standard_normal(start.size)
        matrix = system.jacobian(0.3, start).matrix
        for direction in np.eye(start.size)[:: max(start.size // 5, 1)]:
            step = 1e-6
            ahead, behind = system.rates(
                np.array([0.3, 0.3]), np.stack([start + step * direction, start - step * direction])
            )
            difference = (ahead - behind) / (2 * step)
            assert np.max(np.abs(matrix @ direction - difference)) < 1e-6 * np.max(np.abs(matrix))


def test_separable_systems_are_solved_like_dense_ones():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((5, 5)), rng.standard_normal((4, 4))
    dense = np.kron(first, np.eye(4)) + np.kron(np.eye(5), second)
    b = rng.standard_normal(20)
    for shift in (20.0, 3 + 4j):
        found = SeparableLinearisation([(first, second)]).solver(shift)(b)
        assert found == pytest.approx(DenseLinearisation(dense).solver(shift)(b), abs=1e-12)
