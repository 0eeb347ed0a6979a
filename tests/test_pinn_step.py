"""One implicit Runge-Kutta step by a network: exact solutions, unknown numbers from two snapshots, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml import Problem, load_solution, pinn
from sciml.errors import ArgumentError, ProblemError

DECAY = 0.1


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def heat(initial=True, k=DECAY):
    first = ["u(x, 0) = sin(pi*x)"] if initial else []
    return Problem(
        "u_t = k*u_xx", [*first, "u(0, t) = 0", "u(1, t) = 0"], {"x": (0, 1), "t": (0, 1)}, {"k": k},
    )  # fmt: skip


def exact(x, t):
    return np.exp(-DECAY * np.pi**2 * t) * np.sin(np.pi * x)


def test_one_step_of_twenty_stages_solves_the_heat_equation_at_every_time():
    u = pinn.solve_step(heat(), stages=20, tol=1e-6)
    x, t = np.meshgrid(np.linspace(0, 1, 31), np.linspace(0, 1, 11))
    assert np.abs(u(x, t) - exact(x, t)).max() < 1e-6


def test_a_step_starts_from_sampled_data():
    x = np.linspace(0, 1, 41)
    u = pinn.solve_step(heat(False), start=0.2, stop=0.7, initial=(x, exact(x, 0.2)), stages=10, tol=1e-5)
    assert np.abs(u(x, np.full_like(x, 0.7)) - exact(x, 0.7)).max() < 1e-4


def test_a_saved_step_gives_the_same_values(tmp_path):
    u = pinn.solve_step(heat(), stages=6, tol=1e-4)
    again = load_solution(u.save(tmp_path / "step.safetensors"))
    x = np.linspace(0, 1, 9)
    assert np.array_equal(u(x, x), again(x, x))


def test_two_snapshots_give_the_diffusivity():
    x, z = np.linspace(0, 1, 30), np.linspace(0.02, 0.98, 25)
    fit = pinn.identify_step(heat(False, 0.25), {0.0: (x, exact(x, 0.0)), 1.0: (z, exact(z, 1.0))}, "k", stages=20)
    assert fit.parameters["k"].value == pytest.approx(DECAY, rel=1e-4)


def test_equations_of_another_form_are_refused():
    wave = Problem("u_tt = u_xx", ["u(x, 0) = 0", "u_t(x, 0) = 0"], {"x": (0, 1), "t": (0, 1)})
    with pytest.raises(ProblemError):
        pinn.solve_step(wave)


@pytest.mark.parametrize("arguments", [{"stages": 0}, {"stages": 501}, {"start": -1.0}, {"stop": 2.0}, {"tol": 0}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        pinn.solve_step(heat(), **arguments)
