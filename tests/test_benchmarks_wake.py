"""The cylinder's solver against exact functions and identities; its record; figures of a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import root_scalar
from scipy.special import j0, j1, y0, y1

from benchmarks.cylinder import RADIUS, CylinderFlow, Resolution, chebyshev, interpolation
from benchmarks.wake import Sample, momentum_residual, record, sample, shedding, shedding_period, wake_problem
from sciml.testing import check_problem

SMALL = Resolution(64, 12, 0.01)


def still(radial: int = 48, step: float = 0.05, viscosity: float = 0.1) -> CylinderFlow:
    """An annulus of fluid at rest far away, of one viscosity everywhere."""
    resolution = Resolution(radial, 6, step)
    return CylinderFlow(resolution, viscosity, radius=3.0, sponge=2.0, strongest=0.0, half=1.2, stream=0.0)


@pytest.fixture(scope="module")
def shed() -> CylinderFlow:
    """A flow that is not symmetric, some time after its start."""
    flow = CylinderFlow(Resolution(80, 24, 0.01))
    flow.disturb(1.0, 1.0, 0.6, 0.5)
    flow.advance(150)
    return flow


def test_the_derivative_and_the_interpolant_of_a_polynomial_are_exact():
    s, derivative = chebyshev(12)
    assert s[0] == -1
    assert s[-1] == 1
    places = np.array([-1.0, -0.3, s[4], 0.77, 1.0])
    for power in range(1, 12):
        assert derivative @ s**power == pytest.approx(power * s ** (power - 1), abs=1e-11)
        assert interpolation(s, places) @ s**power == pytest.approx(places**power, abs=1e-13)


def test_values_at_angles_and_coefficients_are_one_another():
    flow = CylinderFlow(SMALL)
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=flow.omega.shape) + 1j * rng.normal(size=flow.omega.shape)
    coefficients[0] = coefficients[0].real
    theta = 2 * np.pi * np.arange(flow.angles) / flow.angles
    direct = (coefficients[:, :, None] * np.exp(1j * flow.m[:, None, None] * theta)).real.sum(0).T
    assert flow.physical(coefficients) == pytest.approx(direct, abs=1e-12)
    assert flow.spectral(direct) == pytest.approx(coefficients, abs=1e-13)


def test_without_vorticity_the_flow_is_the_potential_flow():
    flow = CylinderFlow(SMALL)
    x, y = np.array([0.6, -1.0, 2.5, 0.1]), np.array([0.3, 1.2, -4.0, -0.9])
    z = x + 1j * y
    speed = 1 - RADIUS**2 / z**2
    u, v = flow.velocity_at(x, y)
    assert u == pytest.approx(speed.real, abs=1e-8)
    assert v == pytest.approx(-speed.imag, abs=1e-8)


@pytest.mark.parametrize("mode", [0, 1, 4])
def test_the_stream_function_solves_its_poisson_equation(mode: int):
    flow = still()
    r = flow.r
    # Psi and its slope vanish at the wall, psi at the outer circle.
    psi = (r - RADIUS) ** 2 * (3 - r)
    slope = 2 * (r - RADIUS) * (3 - r) - (r - RADIUS) ** 2
    second = 2 * (3 - r) - 4 * (r - RADIUS)
    omega = np.zeros_like(flow.omega)
    omega[mode] = -(second + slope / r - mode**2 * psi / r**2) * (1 if mode == 0 else 1 - 2j)
    found = flow.stream_function(omega)
    assert found[mode] == pytest.approx(psi * (1 if mode == 0 else 1 - 2j), abs=1e-11)
    assert np.delete(found, mode, 0) == pytest.approx(0, abs=1e-14)


def test_round_vorticity_decays_as_bessel_functions_with_order_three_in_time():
    def shape(k: float, r: np.ndarray) -> np.ndarray:
        return j0(k * r) * y1(k * RADIUS) - y0(k * r) * j1(k * RADIUS)

    k = float(root_scalar(lambda k: float(shape(k, np.array(3.0))), bracket=(0.4, 1.2)).root)
    errors = []
    for step in (0.2, 0.1):
        flow = still(step=step, viscosity=0.5)

        def exact(t: float, flow: CylinderFlow = flow) -> np.ndarray:
            omega = np.zeros_like(flow.omega)
            omega[0] = shape(k, flow.r) * np.exp(-0.5 * k**2 * t)
            return omega

        flow.restart(exact(0.0), 0.0, [exact(-step), exact(-2 * step)])
        flow.advance(round(2 / step))
        errors.append(abs(flow.omega - exact(2.0)).max())
    assert errors[0] < 1e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.15)


def test_a_symmetric_flow_has_no_lift():
    flow = CylinderFlow(SMALL)
    flow.advance(50)
    drag, lift = flow.forces()
    assert abs(lift) < 1e-12
    assert drag > 1


def test_the_fluid_sticks_to_the_wall(shed: CylinderFlow):
    theta = np.linspace(0, 6, 20)
    u, v = shed.velocity_at(RADIUS * np.cos(theta), RADIUS * np.sin(theta))
    assert u == pytest.approx(0, abs=1e-11)
    assert v == pytest.approx(0, abs=1e-11)


def test_drag_and_lift_are_those_of_pressure_and_friction_on_the_wall(shed: CylinderFlow):
    theta = 2 * np.pi * np.arange(shed.angles) / shed.angles
    p, omega = shed.physical(shed.pressure())[:, 0], shed.physical(shed.omega)[:, 0]
    friction = shed.viscosity * omega
    length = 2 * np.pi * RADIUS
    drag = 2 * length * np.mean(-p * np.cos(theta) - friction * np.sin(theta))
    lift = 2 * length * np.mean(-p * np.sin(theta) + friction * np.cos(theta))
    # The pressure comes from a Poisson equation in the whole annulus, the forces from the wall alone.
    assert shed.forces() == pytest.approx((drag, lift), abs=2e-3)
    assert abs(lift) > 0.01


def test_another_resolution_holds_the_same_flow(shed: CylinderFlow):
    finer = shed.refined(Resolution(96, 30, 0.005))
    x, y = np.array([0.8, 1.5, 3.0]), np.array([0.3, -0.5, 1.0])
    assert np.stack(finer.velocity_at(x, y)) == pytest.approx(np.stack(shed.velocity_at(x, y)), abs=1e-5)
    assert finer.forces() == pytest.approx(shed.forces(), abs=1e-3)


def test_a_record_satisfies_the_momentum_equations_and_is_used_again(tmp_path: Path):
    path = tmp_path / "wake.npz"
    axes = {"x": np.linspace(0.8, 2.0, 25), "y": np.linspace(-0.6, 0.6, 25)}
    stages = ((Resolution(80, 24, 0.01), 1.0), (Resolution(112, 54, 0.005), 1.3))
    made = record(path, stages, 1.0, **axes, quiet=True)
    assert made["u"].shape == made["p"].shape == (25, 25, 11)
    assert momentum_residual(made) < 1e-3
    assert momentum_residual({**made, "p": 0 * made["p"]}) > 0.1
    stamp = path.stat().st_mtime_ns
    again = record(path, stages, 1.0, **axes, quiet=True)
    assert path.stat().st_mtime_ns == stamp
    assert all(np.array_equal(again[name], made[name]) for name in made)


def test_the_residual_of_a_drifting_taylor_green_vortex_is_rounding():
    nu, c = 0.01, 0.8
    axis, t = np.linspace(0, 2, 41), np.linspace(0, 1, 21)
    x, y, time = np.meshgrid(axis, axis, t, indexing="ij")
    x = x - c * time
    decay = np.exp(-2 * nu * time)
    u, v = c + np.cos(x) * np.sin(y) * decay, -np.sin(x) * np.cos(y) * decay
    p = -(np.cos(2 * x) + np.cos(2 * y)) / 4 * decay**2
    data = {"x": axis, "y": axis, "t": t, "u": u, "v": v, "p": p, "viscosity": np.array(nu)}
    assert momentum_residual(data) < 1e-9
    assert momentum_residual({**data, "viscosity": np.array(1.01 * nu)}) > 1e-4


def test_frequency_and_drag_of_sines_are_exact():
    t = np.linspace(0, 20, 401)
    lift, drag = 0.3 * np.sin(2 * np.pi * 0.17 * t - 1), 1.3 + 0.1 * np.cos(4 * np.pi * 0.17 * t)
    strouhal, mean = shedding(t, lift, drag)
    assert strouhal == pytest.approx(0.17, rel=1e-4)
    assert mean == pytest.approx(1.3, abs=1e-6)
    with pytest.raises(ValueError, match="times in 3; two are needed"):
        shedding(t[:61], lift[:61], drag[:61])


BOX = {"x": np.linspace(1, 8, 15), "y": np.linspace(-2, 2, 9), "t": np.linspace(0, 20, 21)}


@pytest.mark.parametrize("unknowns", ["stream", "velocity"])
def test_the_equations_hold_for_a_drifting_taylor_green_vortex(unknowns: str):
    velocities = {
        "u": "0.8 + cos(x - 0.8*t)*sin(y)*exp(-0.02*t)",
        "v": "-sin(x - 0.8*t)*cos(y)*exp(-0.02*t)",
    }
    stream = {"psi": "0.8*y - cos(x - 0.8*t)*cos(y)*exp(-0.02*t)"}
    pressure = {"p": "-(cos(2*x - 1.6*t) + cos(2*y))/4*exp(-0.04*t)"}
    exact = (stream if unknowns == "stream" else velocities) | pressure
    problem = wake_problem(BOX, unknowns, start=(1.0, 0.01)).replace(exact=exact)
    check_problem(problem)


def test_a_period_is_declared_and_nothing_else():
    assert not wake_problem(BOX).conditions
    problem = wake_problem(BOX, period=6.0)
    assert problem.domain.interval("t") == (0, 6)
    assert sorted(problem.periodic) == ["t"]


def test_the_period_of_a_travelling_wave_is_found_in_scattered_velocities():
    rng = np.random.default_rng(1)
    x, y, t = rng.uniform([1, -2, 0], [8, 2, 20], (2000, 3)).T
    phase = 1.2 * x - 2 * np.pi / 5.9 * t
    velocities = Sample(x, y, t, 1 - 0.3 * y * np.sin(phase) * np.exp(-(y**2)), np.cos(phase) / (1 + y**2))
    assert shedding_period(velocities) == pytest.approx(5.9, rel=1e-3)


def test_noise_is_relative_to_each_velocity():
    rng = np.random.default_rng(2)
    shape = tuple(len(BOX[name]) for name in "xyt")
    data = {**BOX, "u": 1 + 0.1 * rng.normal(size=shape), "v": 3 * rng.normal(size=shape)}
    clean, noisy = (sample(data, 2000, noise, 5) for noise in (0.0, 0.01))
    assert np.array_equal(clean.x, noisy.x)
    assert np.std(noisy.u - clean.u) == pytest.approx(0.001, rel=0.1)
    assert np.std(noisy.v - clean.v) == pytest.approx(0.03, rel=0.1)
    places = tuple(abs(BOX[n][:, None] - getattr(clean, n)).argmin(0) for n in "xyt")
    assert np.array_equal(data["u"][places], clean.u)
    columns = clean.columns("stream")
    assert np.array_equal(columns["psi_x"], -clean.v)
    assert np.array_equal(columns["psi_y"], clean.u)
