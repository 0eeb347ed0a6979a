"""Noise and tightness of linear problems with known answers: u' + u = q s(x), u = tanh 4x as a polynomial."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import legendre

from sciml.pinn.evidence import LinearSystem, Rows, best_choice

DATA, POINTS = 60, 240
DRAWS = 60


def linear_system(degree, noise, seed, priors=0):
    """The equation is s = u' + u for q = 1; `priors` columns more belong to quantities that nothing depends on."""
    rng = np.random.default_rng(seed)
    x, p = rng.uniform(-1, 1, DATA), np.linspace(-1, 1, POINTS)
    state, there = legendre.legvander(x, degree), legendre.legvander(p, degree)
    slopes = np.stack([legendre.legval(p, legendre.legder(row)) for row in np.eye(degree + 1)], 1)
    source = 4 / np.cosh(4 * p) ** 2 + np.tanh(4 * p)
    equations = np.hstack([slopes + there, np.zeros((POINTS, priors)), -source[:, None]]) * math.sqrt(DATA / POINTS)
    rows = np.hstack([state, np.zeros((DATA, priors + 1))])
    values = np.tanh(4 * x) + noise * rng.standard_normal(DATA)
    prior = np.zeros((priors, degree + 2 + priors))
    prior[:, degree + 1 : degree + 1 + priors] = np.eye(priors)
    tensor = torch.as_tensor
    return LinearSystem(
        {"u": Rows.of(tensor(rows), tensor(values))}, Rows.of(tensor(equations), torch.zeros(POINTS).double()),
        tensor(prior), torch.zeros(priors).double(), 1 + priors, 1,
    )  # fmt: skip


def choice_of(system, noise=None):
    start = torch.ones(system.equations.triangle.shape[1], dtype=torch.float64)
    return best_choice(system, start, {"u": 1.0}, noise)


def score(choice):
    return (float(choice.theta[-1]) - 1) / math.sqrt((1 + choice.bias) * float(choice.covariance[-1, -1]))


def test_compressed_rows_have_the_same_sum_of_squares():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    vector, x = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (30, 4))
    rows = Rows.of(matrix, vector)
    assert rows.triangle.shape == (4, 4)
    assert rows.squares(x) == pytest.approx(float((matrix @ x - vector).square().sum()))
    assert rows.mean(x) == pytest.approx(float((matrix @ x - vector).square().mean().sqrt()))


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_the_noise_is_found_without_bias(noise):
    found = [choice_of(linear_system(21, noise, seed)).sigma["u"] for seed in range(20)]
    # A standard deviation of 60 values is known to 9 %, the mean of 20 to 2 %.
    assert np.mean(found) == pytest.approx(noise, rel=0.06)


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.05])
def test_intervals_of_two_standard_errors_contain_the_number(noise):
    scores = np.array([score(choice_of(linear_system(21, noise, seed))) for seed in range(DRAWS)])
    assert (abs(scores) < 2).sum() >= 0.9 * DRAWS


def test_the_equations_are_looser_where_noise_hides_what_they_forbid():
    exact, noisy = (choice_of(linear_system(15, noise, 0)) for noise in (0.0, 0.05))
    assert noisy.tightness > 2 * exact.tightness
    assert noisy.bias < exact.bias


def test_what_polynomials_cannot_follow_counts_as_a_possible_bias():
    coarse, fine = (choice_of(linear_system(degree, 0.01, 0)) for degree in (9, 21))
    assert coarse.bias > 1
    assert fine.bias < 0.5
    assert abs(score(coarse)) < 2


def test_quantities_that_nothing_depends_on_keep_their_priors():
    system = linear_system(21, 0.01, 0, priors=3)
    solved = system.solve({"u": 0.01}, 0.01)
    assert torch.allclose(solved.covariance[:3, :3], torch.eye(3, dtype=torch.float64))
    assert system.determined(solved) == pytest.approx(1.0)
    alone = linear_system(21, 0.01, 0).solve({"u": 0.01}, 0.01)
    assert float(solved.theta[-1]) == pytest.approx(float(alone.theta[-1]), rel=1e-9)


def test_a_given_noise_is_kept():
    assert choice_of(linear_system(21, 0.01, 0), {"u": 0.03}).sigma == {"u": 0.03}
