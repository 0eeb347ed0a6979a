"""The package's tensor kernels with their inputs, on any device: what is timed, compared, and run without numbers.

Inputs are drawn by a processor's generator in float64 and then moved, so they are the same on every device. A kernel
writes where it is told or returns new tensors; what it gives is returned by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

import sciml
from sciml.network import MLP, Tape, jet, lift, record
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.sindy.moments import columns_of, products, solve_active
from sciml.training.linearization import accumulate

__all__ = ["KERNELS", "Kernel", "Place", "Task"]

Task = Callable[[], Mapping[str, Tensor]]
# The derivatives of Burgers' equation, and the network that solves it.
INDICES = ((0, 0), (1, 0), (0, 1), (2, 0))
WIDTH, DEPTH = 12, 5
# Columns of a least-squares correction; terms of a fifth-degree library of three states; bootstraps.
COLUMNS, TERMS, MEMBERS, ACTIVE = 480, 56, 200, 12


@final
@dataclass(frozen=True)
class Place:
    """Where and in which precision a kernel works, on how many points."""

    points: int
    device: torch.device
    dtype: torch.dtype = torch.float64

    def drawn(self, *shape: int, seed: int = 0) -> Tensor:
        """Return standard normal numbers, the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(self.device, self.dtype)


@final
@dataclass(frozen=True)
class Kernel:
    """One kernel.

    Attributes
    ----------
    name : what is printed.
    make : prepares the inputs and returns the call that is timed.
    graph : whether it is tried in a CUDA graph: cuSOLVER's QR takes work space as it goes.
    double : whether it is meant for float64 alone.
    """

    name: str
    make: Callable[[Place], Task]
    graph: bool = True
    double: bool = False


def _network(place: Place) -> tuple[MLP, Tensor]:
    return _mlp(2, place), torch.tanh(place.drawn(place.points, 2))


def _mlp(inputs: int, place: Place) -> MLP:
    generator = torch.Generator().manual_seed(0)
    return MLP(inputs, 1, WIDTH, DEPTH, generator=generator, dtype=place.dtype).to(place.device)


def _jets(place: Place) -> Task:
    network, x = _network(place)
    source = lift(network, x, INDICES)

    @torch.no_grad()
    def run() -> Mapping[str, Tensor]:
        return {"jet": jet(network, source)}

    return run


def _pulled(what: Callable[[Tape, Tensor], Tensor]) -> Callable[[Place], Task]:
    """Return what is pulled back to the parameters, the jet's record before it included."""

    def make(place: Place) -> Task:
        network, x = _network(place)
        source = lift(network, x, INDICES)
        cotangent = place.drawn(len(INDICES), place.points, 1, seed=2)

        @torch.no_grad()
        def run() -> Mapping[str, Tensor]:
            return {"pulled": what(record(network, source)[1], cotangent)}

        return run

    return make


def _gram(place: Place) -> Task:
    count = _network(place)[0].parameter_count
    jacobian, residual = place.drawn(count, place.points).T, place.drawn(place.points, seed=3)

    def run() -> Mapping[str, Tensor]:
        matrix, vector = jacobian.new_zeros(count, count), jacobian.new_zeros(count)
        accumulate(matrix, vector, jacobian, residual, 1.0)
        return {"matrix": matrix, "vector": vector}

    return run


def _step(place: Place) -> Task:
    """Return (J'J/n + I)^-1 J'r/n by Cholesky, what a step of Levenberg-Marquardt solves for."""
    count = _network(place)[0].parameter_count
    jacobian, residual = place.drawn(count, place.points).T, place.drawn(place.points, seed=3)
    matrix, vector = jacobian.T @ jacobian / place.points, jacobian.T @ residual / place.points

    def run() -> Mapping[str, Tensor]:
        damped = matrix.clone()
        damped.diagonal().add_(1.0)
        factor = torch.linalg.cholesky_ex(damped)[0]
        return {"step": torch.cholesky_solve(vector[:, None], factor)[:, 0]}

    return run


def _equations(place: Place) -> Task:
    """Return residuals, J'J and J'r of Burgers' equation with its exact conditions: a training step's bulk."""
    problem = sciml.load("burgers")
    ansatz = build_ansatz(problem)
    network = _mlp(len(ansatz.inputs), place)
    sampler = Sampler(problem.domain, torch.Generator().manual_seed(0), place.dtype, place.device)
    objective = ForwardObjective(ansatz, network, sampler)
    if place.device.type != "meta":
        objective.draw(place.points)
    sizes, parameters = objective.sizes(), network.parameter_count
    kept = {
        name: torch.empty(parameters, size, dtype=place.dtype, device=place.device).T for name, size in sizes.items()
    }
    factors = dict.fromkeys(sizes, 1.0)

    def run() -> Mapping[str, Tensor]:
        residuals, matrix, vector = objective.gram(factors, kept)
        return {**residuals, "matrix": matrix, "vector": vector}

    return run


def _correction(place: Place) -> Task:
    """Return the coefficients of a wide layer by QR, as a least-squares correction of a trained network does."""
    features = torch.sin(place.drawn(place.points, 2) @ place.drawn(2, COLUMNS, seed=4) + place.drawn(COLUMNS, seed=5))
    right = place.drawn(place.points, 1, seed=6)
    ridge = 1e-3 * torch.eye(COLUMNS, dtype=place.dtype, device=place.device)
    rows, target = torch.cat([features, ridge]), torch.cat([right, right.new_zeros(COLUMNS, 1)])

    def run() -> Mapping[str, Tensor]:
        q, r = torch.linalg.qr(rows)
        return {"fitted": features @ torch.linalg.solve_triangular(r, q.T @ target, upper=True)}

    return run


def _bootstraps(place: Place) -> Task:
    """Return the Gram matrices of all bootstraps of a library."""
    features = place.drawn(place.points, TERMS)
    first, second = torch.triu_indices(TERMS, TERMS, device=place.device)
    weights = place.drawn(MEMBERS, place.points, seed=7).abs()

    def run() -> Mapping[str, Tensor]:
        return {"gram": weights @ products(features, first, second)}

    return run


def _supports(place: Place) -> Task:
    """Solve the normal equations of every bootstrap on a support of its own."""
    features, right = place.drawn(4 * TERMS, TERMS), place.drawn(MEMBERS, 1, TERMS, seed=8)
    first, second = torch.triu_indices(TERMS, TERMS, device=place.device)
    weights = place.drawn(MEMBERS, 4 * TERMS, seed=7).abs()
    gram = weights @ products(features, first, second)
    table = torch.empty(TERMS, TERMS, dtype=torch.int64, device=place.device)
    table[first, second] = table[second, first] = torch.arange(len(first), device=place.device)
    members = torch.arange(MEMBERS, device=place.device)
    order = place.drawn(MEMBERS, TERMS, seed=9).argsort(1)
    active = torch.zeros(MEMBERS, TERMS, dtype=torch.bool, device=place.device).scatter(1, order[:, :ACTIVE], True)
    ridge = torch.full((MEMBERS, TERMS), 0.05, dtype=place.dtype, device=place.device)

    def run() -> Mapping[str, Tensor]:
        return {"coefficients": solve_active(gram, table, right, members, columns_of(active, ACTIVE), ridge)[0]}

    return run


KERNELS: tuple[Kernel, ...] = (
    Kernel("jets", _jets),
    Kernel("record and Jacobian", _pulled(lambda tape, cotangent: tape.jacobian(cotangent))),
    Kernel("record and gradient", _pulled(lambda tape, cotangent: tape.gradient(cotangent))),
    Kernel("Gram matrix", _gram),
    Kernel("Cholesky step", _step),
    Kernel("Burgers: residuals, J'J, J'r", _equations),
    Kernel("correction by QR", _correction, graph=False),
    Kernel("bootstraps: Gram matrices", _bootstraps, double=True),
    Kernel("bootstraps: supports", _supports, double=True),
)
