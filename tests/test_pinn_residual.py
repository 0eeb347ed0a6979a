"""Residuals and their Jacobian: against reverse-mode differentiation, for MLPs and for any module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sciml
from sciml import Problem
from sciml.network import MLP
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler, adapted
from sciml.pinn.objective import ForwardObjective

STRIP = {"x": (-1, 1), "t": (0, 1)}
SOFT = Problem(
    ["u_t + u*v_x = u_xx", "v_t = v_xxx + sin(x)*u**2"],
    [
        "u(x, 0) = exp(x)",
        "u_x(-1, t) + 2*u(-1, t)**2 = t",
        "u(1, t) = exp(1)",
        "v(x, 0) = x",
        "v(-1, t) = v(1, t)",
    ],
    STRIP,
    incompatible="accept",
)


def objective_of(problem: Problem, network=None, seed: int = 0, **options) -> ForwardObjective:
    ansatz = build_ansatz(problem, **options)
    inputs = len(ansatz.inputs)
    generator = torch.Generator().manual_seed(seed)
    network = network or MLP(
        inputs, len(problem.unknowns), 7, 3, lower=[-1.0] * inputs, upper=[1.0] * inputs, generator=generator
    )
    objective = ForwardObjective(
        ansatz, network, Sampler(problem.domain, generator, torch.float64, torch.device("cpu"))
    )
    objective.draw(40)
    return objective


@pytest.mark.parametrize(
    "name", ["burgers", "kdv", "kuramoto_sivashinsky", "schroedinger", "poisson_boltzmann", "lorenz"]
)
def test_the_jacobian_agrees_with_functional_reverse_mode(name):
    check_jacobian(objective_of(sciml.load(name)))


def test_the_jacobian_of_soft_and_periodic_conditions_agrees_too():
    objective = objective_of(SOFT)
    assert len(objective.sizes()) >= 5
    check_jacobian(objective)


@pytest.mark.parametrize("problem", [SOFT, "burgers", "poisson_boltzmann"])
def test_products_by_tapes_are_those_with_the_jacobian(problem):
    objective = objective_of(sciml.load(problem) if isinstance(problem, str) else problem)
    residuals, jacobians = objective.jacobian()
    differential = objective.differential()
    direction = torch.randn(len(objective.parameters()), generator=torch.Generator().manual_seed(0)).double()
    pushed = differential.push(direction)
    assert set(pushed) == set(residuals) == set(differential.residuals)
    for name, jacobian in jacobians.items():
        assert torch.allclose(differential.residuals[name], residuals[name], rtol=1e-13)
        assert torch.allclose(pushed[name], jacobian @ direction, rtol=1e-10, atol=1e-11)
    expected = sum(jacobians[name].T @ residuals[name] for name in residuals)
    assert torch.allclose(differential.pull(residuals), expected, rtol=1e-10, atol=1e-11)


def check_jacobian(objective: ForwardObjective) -> None:
    network = objective.network
    names = [name for name, _ in network.named_parameters()]
    shapes = [p.shape for _, p in network.named_parameters()]

    class Swapped(nn.Module):
        """The same network as a function of its flat parameters, differentiated by torch itself."""

        def __init__(self, theta):
            super().__init__()
            parts = theta.split([s.numel() for s in shapes])
            self.values = {n: part.view(s) for n, part, s in zip(names, parts, shapes, strict=True)}

        def forward(self, x):
            return torch.func.functional_call(network, self.values, (x,))

    def residuals(theta):
        module = Swapped(theta)
        result = []
        for place in objective._places:
            terms = []
            for block in place.blocks:
                jet = place.group.field.network_jet(module, block)
                terms.append(place.group.values(block, jet))
            total = terms[0] if len(terms) == 1 else terms[0] - terms[1]
            result.append((total / place.scales[:, None]).reshape(-1))
        return torch.cat(result)

    theta = objective.parameters()
    expected = torch.func.jacrev(residuals)(theta)
    values, jacobians = objective.jacobian()
    have = torch.cat([jacobians[name] for name in objective.sizes()])
    size = expected.abs().amax()
    assert torch.cat([values[name] for name in objective.sizes()]).sub(residuals(theta)).abs().max() < 1e-11
    assert (have - expected).abs().max() < 1e-10 * size
    factors = dict.fromkeys(objective.sizes(), 1.0)
    gradient = objective.weighted_gradient(factors)[1]
    assert torch.allclose(gradient, expected.T @ residuals(theta), rtol=1e-9, atol=1e-9 * float(size))


def test_any_module_gives_the_residuals_that_an_equal_mlp_gives():
    problem = sciml.load("burgers")
    first = objective_of(problem)

    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    second = objective_of(problem, Wrapped(first.network))
    first = objective_of(problem, first.network)  # the same points
    for name, value in first.residuals().items():
        assert torch.allclose(value, second.residuals()[name], rtol=1e-11, atol=1e-12)
    left, right = first.jacobian()[1], second.jacobian()[1]
    for name in left:
        assert (left[name] - right[name]).abs().max() < 1e-10 * left[name].abs().max()


def test_the_exact_solution_has_no_residual():
    # N = 0 leaves u = g, which here is the exact solution.
    problem = Problem("u_t = x*u_x - u + x", ["u(x, 0) = x", "u(-1, t) = -1 - t", "u(1, t) = 1 + t"], STRIP)
    problem = problem.replace(equations="u_t = x*u_x - u + x", exact="x*(1 + t)")
    objective = objective_of(problem)
    objective.load(torch.zeros_like(objective.parameters()))
    assert max(float(r.abs().max()) for r in objective.residuals().values()) < 1e-13


def test_points_lie_in_the_box_and_follow_the_residual():
    problem = sciml.load("burgers")
    sampler = Sampler(problem.domain, torch.Generator().manual_seed(0), torch.float64, torch.device("cpu"))
    points = sampler.interior(500)
    moved = sampler.jittered(points)
    for sample in (points, moved):
        assert problem.domain.contains(sample.numpy(), slack=0).all()
    chosen = adapted(points, (points[:, 0].abs() < 0.1).double(), 40, sampler.generator)
    assert (chosen[:, 0].abs() < 0.1).all()
    assert len(torch.unique(chosen, dim=0)) == 40


def test_equal_seeds_draw_equal_points_and_different_seeds_do_not():
    problem = sciml.load("burgers")
    draws = []
    for seed in (0, 0, 1):
        objective = objective_of(problem, seed=seed)
        objective.resample(count=64)
        draws.append(torch.stack(objective._places[0].blocks[0].columns))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("name", "exact"), [("burgers", True), ("burgers", False), ("kdv", True), ("lid_driven_cavity", True)]
)
def test_residuals_jacobians_and_gram_matrices_run_on_the_meta_device(name, exact):
    """No kernel needs a number, so that none can assume where numbers lie."""
    problem, device = sciml.load(name), torch.device("meta")
    ansatz = build_ansatz(problem, exact=exact)
    network = MLP(len(ansatz.inputs), len(problem.unknowns), 7, 2, device=device)
    sampler = Sampler(problem.domain, torch.Generator().manual_seed(0), torch.float64, device)
    objective = ForwardObjective(ansatz, network, sampler)
    parameters, sizes = network.parameter_count, objective.sizes()
    factors = dict.fromkeys(sizes, 1.0)
    kept = {term: torch.empty(parameters, size, dtype=torch.float64, device=device).T for term, size in sizes.items()}
    residuals, matrix, vector = objective.gram(factors, kept)
    assert {term: tuple(r.shape) for term, r in residuals.items()} == {term: (size,) for term, size in sizes.items()}
    assert (matrix.shape, vector.shape) == ((parameters, parameters), (parameters,))
    products = objective.differential()
    pushed = products.push(vector)
    found = [*objective.residuals().values(), matrix, vector, *pushed.values(), products.pull(pushed)]
    found.append(objective.weighted_gradient(factors)[1])
    assert {tensor.device.type for tensor in found} == {"meta"}
    assert {tensor.dtype for tensor in found} == {torch.float64}
