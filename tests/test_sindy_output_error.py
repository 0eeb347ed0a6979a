"""The second assumption: where no law explains the data, one whose own solution follows them, and it is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.io import loadmat

from sciml import sindy
from sciml.sindy.competition import system_of
from sciml.sindy.output_error import thinned
from sciml.sindy.refinement import System
from sciml.sindy.request import request_of
from sciml.sindy.samples import Samples, prepare
from sciml.sindy.shooting import Shot, jacobian, pieces_of, shoot

WAKE = Path(__file__).parents[2] / "shared" / "data" / "cylinder_wake_pod.mat"


def _problem(t: np.ndarray, x: np.ndarray, degree: int) -> tuple[System, Samples]:
    request = request_of(t, x, None, None, degree, None, None, None, None, False, None, 0)
    samples = prepare(request)
    return system_of(request, samples, request.libraries[0]), samples


def test_pieces_cover_every_record_and_join_none() -> None:
    pieces = pieces_of(np.array([0, 50, 81]), 12)
    assert [a for a, _ in pieces[1:]] == [b for _, b in pieces[:-1]]
    assert pieces[0, 0] == 0
    assert pieces[-1, 1] == 81
    assert 50 in pieces[:, 0]


def test_derivatives_of_solutions_are_those_of_the_exponential() -> None:
    t = np.linspace(0, 2, 101)
    system, samples = _problem(t, np.exp(-t)[:, None], 1)
    term = system.basis.texts.index("x")
    coefficients = np.zeros((2, 1))
    coefficients[term] = -samples.step
    first = samples.z[:1]
    nothing = np.zeros(1)
    shot = Shot(coefficients, np.array([term]), np.array([[0, 101]]), first, samples.z, nothing, nothing)
    x, slopes = jacobian(system, samples.clock, shot, shot.support)
    decay = np.exp(-t) * first[0, 0]
    assert x[:, 0] == pytest.approx(decay, rel=1e-9)
    assert slopes[:, 0, 0] == pytest.approx(samples.clock * decay, rel=1e-5, abs=1e-6)
    assert slopes[:, 0, 1] == pytest.approx(np.exp(-t), rel=1e-5)


def test_shooting_finds_the_coefficients_of_a_cycle_from_a_bad_start() -> None:
    t = 0.1 * np.arange(300)
    x = solve_ivp(
        lambda _, s: [s[1], (1 - s[0] ** 2) * s[1] - s[0]], (0, t[-1]), [0.5, 0.0], "DOP853", t, rtol=1e-10
    ).y.T
    system, samples = _problem(t, x, 3)
    terms = [("y", 0, 1.0), ("x", 1, -1.0), ("y", 1, 1.0), ("x**2*y", 1, -1.0)]
    support = np.sort([2 * system.basis.texts.index(text) + i for text, i, _ in terms])
    units = samples.scales[:2] / samples.step / system.basis.factors[:, None]
    truth = np.zeros(system.shape)
    for text, i, value in terms:
        truth[system.basis.texts.index(text), i] = value
    wrong = 0.9 * truth / units
    shot = shoot(system, samples.clock, wrong, support, samples.smooth, 12)
    assert shot is not None
    assert shot.coefficients * units == pytest.approx(truth, abs=1e-3)
    assert (shot.unexplained < 1e-6).all()


def test_states_are_thinned_in_time_and_their_times_keep_their_unit() -> None:
    t = 0.001 * np.arange(5000)
    _, samples = _problem(t, np.stack([np.sin(t), np.cos(t)], 1), 1)
    few = thinned(samples)
    assert 50 <= len(few.clock) < 1000
    assert few.clock == pytest.approx(samples.clock[np.searchsorted(samples.clock, few.clock)])
    assert few.step == samples.step
    assert thinned(replace(few)).clock == pytest.approx(few.clock)


def test_a_law_that_explains_its_data_rests_on_independent_noise() -> None:
    t = 0.05 * np.arange(200)
    x = np.stack([np.cos(t), -np.sin(t)], 1) + 0.01 * np.random.default_rng(0).normal(size=(200, 2))
    law = sindy.discover(t, x, degree=2)
    assert law.trusted
    assert law.diagnostics["assumption"] == "independent noise"


@pytest.mark.slow
@pytest.mark.skipif(not WAKE.exists(), reason="the cylinder's wake (cylinder_wake_pod.mat) is not there")
def test_the_wake_s_modes_obey_the_mean_field_model_nearly_and_stay_on_its_cycle() -> None:
    table = loadmat(WAKE)
    x = np.column_stack([table["alpha"][:5000:25, :2], table["alphaS"][:5000:25, 0]])
    t = 0.5 * np.arange(len(x))
    plane = ["x", "y", "x*z", "y*z"]
    law = sindy.discover(t, x, library={"x": plane, "y": plane, "z": ["1", "z", "x**2", "y**2"]})
    # The third equation relaxes to a paraboloid, as in Noack et al. (2003).
    assert set(law.coefficients["z"]) == {"1", "z", "x**2", "y**2"}
    assert law.coefficients["z"]["z"] < 0
    assert law.coefficients["z"]["x**2"] == pytest.approx(law.coefficients["z"]["y**2"], rel=0.2)
    assert law.diagnostics["assumption"] == "errors of observation"
    assert not law.trusted
    assert max(law.diagnostics["unexplained"].values()) < 0.05
    later = solve_ivp(lambda _, s: law.predict(s), (0, 300), law.states[0][0], "LSODA", rtol=1e-8, atol=1e-8)
    assert later.success
    radius = np.hypot(*later.y[:2])[later.t > 200]
    own = np.hypot(*x[-40:, :2].T)
    assert radius.min() > 0.9 * own.min()
    assert radius.max() < 1.1 * own.max()
