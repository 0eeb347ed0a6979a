"""The last step of an identification: least squares on trained layers for state and unknowns together, and what follows
from it for the noise and the uncertainty of what was found.

The hidden layers of each state network are kept and a wide layer of random sines is put on top of them
(`sciml.pinn.polish`); its coefficients and the unknown quantities then minimise

    sum (state - data)^2 / sigma^2 + N mean(residual^2) / epsilon^2 + prior

by Gauss-Newton. The problem is nearly linear, so its normal matrix gives the covariance. sigma follows from the data's
misfit with the degrees of freedom that are left; epsilon is the residual that the state cannot avoid, so that the
equations are as strict as the network can follow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.network import MLP, Sum
from sciml.pinn.inverse_objective import InverseObjective
from sciml.pinn.piece import Piece
from sciml.pinn.polish import wide_layer
from sciml.pinn.quantities import Quantities, UnknownFunction
from sciml.training import Evaluation

__all__ = ["Identified", "identified"]

ROUNDS = 8
# Rows of the equations a column.
POINTS = 8
MOST_POINTS = 24
FRESH = 2048
# Relative residual of the equations that counts like the noise, relative to the noise.
LOOSEST, STRICTEST, STEP = 3.0, 1e-4, 3.0
# The logarithm of the noise may rise by this when the equations become stricter.
RISE = 0.02
LEAST = 1e-12
FIXED_POINT = 4
RIDGE = 1e-12
# Quantities that move less than this part of their standard error, or of themselves, have settled.
SETTLED = 0.03


@final
@dataclass(frozen=True)
class Identified:
    """A state with its quantities and their covariance.

    Attributes
    ----------
    objective : with the networks, the quantities, the noise and the tightness found.
    theta : the quantities [Q].
    covariance : of the quantities, [Q, Q].
    freedom : data less what was determined by them.
    evaluation : losses, of the equations on fresh points.
    equations : mean square of the equations' relative residuals on fresh points.
    settled : whether Gauss-Newton came to rest.
    columns, rows : of the last least-squares problem.
    seconds : what it took.
    """

    objective: InverseObjective
    theta: Tensor
    covariance: Tensor
    freedom: float
    evaluation: Evaluation
    equations: float
    settled: bool
    columns: int
    rows: int
    seconds: float


def identified(
    objective: InverseObjective, columns: int, noise: Mapping[str, float] | None, generator: torch.Generator
) -> Identified | None:
    """Return the state corrected with `columns` coefficients for each network, or None if that fails.

    Parameters
    ----------
    objective : with trained MLPs, which are copied.
    noise : standard deviations where they are known.
    """
    start = time.perf_counter()
    experiments = []
    for experiment in objective.experiments:
        trained = deepcopy(experiment.network)
        assert isinstance(trained, MLP)
        trained.requires_grad_(False)
        piece = Piece(experiment.ansatz, trained)
        wide = wide_layer(piece, max(columns // trained.outputs, 1), generator)
        experiments.append(experiment.with_network(Sum([trained, wide])))
    quantities = _copied(objective.quantities)
    sizes = _sizes(objective)
    target = InverseObjective(experiments, quantities, dict(sizes), 1.0, objective.multiplicative)
    count = len(target.parameters())
    rows = POINTS * count // len(experiments)
    settled, covariance, freedom, strictness = False, None, float(target.data), LOOSEST
    for number in range(ROUNDS):
        target.draw(rows)
        target.resample(count=rows)
        theta = target.parameters()
        target.sigma, target.tightness = dict(sizes), 1.0
        system = _System.of(target)
        if system is None:
            return None
        choice = _choose(system, theta, sizes, noise, strictness if number else None)
        found, covariance = choice.theta, choice.covariance
        target.load(found)
        target.sigma, target.tightness, freedom = choice.sigma, choice.tightness, choice.freedom
        strictness = choice.strictness
        evaluation = target.evaluation(target.fresh(count=FRESH))
        if not evaluation.finite:
            return None
        fresh, inside = target.equation_loss(evaluation.terms), target.equation_loss(target.evaluate().terms)
        if fresh > 4 * inside and rows < MOST_POINTS * count // len(experiments):
            rows *= 2
            continue
        moved = (found - theta)[-quantities.count :]
        spread = covariance.diagonal().clamp_min(0).sqrt()
        size = found[-quantities.count :].abs()
        settled = number > 0 and bool((moved.abs() <= SETTLED * spread + 1e-9 * size).all())
        if settled:
            break
    evaluation = target.evaluation(target.fresh(count=FRESH))
    assert covariance is not None
    return Identified(
        target,
        quantities.parameters(),
        covariance,
        freedom,
        evaluation,
        target.equation_loss(evaluation.terms),
        settled,
        count,
        rows,
        time.perf_counter() - start,
    )


@final
@dataclass(frozen=True)
class _Choice:
    """The minimum for one strictness."""

    theta: Tensor
    covariance: Tensor
    sigma: dict[str, float]
    tightness: float
    freedom: float
    strictness: float


@final
@dataclass(frozen=True)
class _System:
    """The linearised problem: data rows by observed name, rows of everything else compressed to a triangle.

    All for sigma = 1 unit of the data's size and a tightness of 1, J theta - r on the right.
    """

    data: dict[str, tuple[Tensor, Tensor]]
    triangle: Tensor
    right: Tensor
    priors: Tensor
    prior_right: Tensor
    quantities: int

    @classmethod
    def of(cls, objective: InverseObjective) -> _System | None:
        """Linearise."""
        theta = objective.parameters()
        keys = {name: key for e in objective.experiments for m in e.measured for name, key in zip(m.names, m.keys)}
        data: dict[str, list[tuple[Tensor, Tensor]]] = {}
        matrices, vectors, priors, prior_right = [], [], [], []
        sizes = objective.sizes()
        for chunk in objective.chunks():
            residuals, jacobians = objective.jacobian(chunk)
            for name, residual in residuals.items():
                matrix = jacobians[name]
                right = matrix @ theta - residual
                if name in keys:
                    data.setdefault(keys[name], []).append((matrix, right))
                elif name.startswith("prior of "):
                    priors.append(matrix)
                    prior_right.append(right)
                else:
                    factor = math.sqrt(objective.data * objective.weight(name) / sizes[name])
                    matrices.append(matrix * factor)
                    vectors.append(right * factor)
        matrix, vector = torch.cat(matrices), torch.cat(vectors)
        if not bool(torch.isfinite(matrix).all() and torch.isfinite(vector).all()):
            return None
        triangle, right = _compressed(matrix, vector)
        none = matrix.new_zeros((0, matrix.shape[1]))
        return cls(
            {key: (torch.cat([m for m, _ in parts]), torch.cat([r for _, r in parts])) for key, parts in data.items()},
            triangle,
            right,
            torch.cat([none, *priors]),
            torch.cat([none[:, 0], *prior_right]),
            objective.quantities.count,
        )

    def solve(self, sigma: Mapping[str, float], tightness: float) -> tuple[Tensor, Tensor, float, dict[str, float]]:
        """Return the minimum, the covariance of the quantities, the data's effective number, misfits by name."""
        rows = [matrix / sigma[key] for key, (matrix, _) in self.data.items()]
        right = [r / sigma[key] for key, (_, r) in self.data.items()]
        stacked = torch.cat([*rows, self.triangle / tightness, self.priors])
        vector = torch.cat([*right, self.right / tightness, self.prior_right])
        size = stacked.norm(dim=0).clamp_min(torch.finfo(stacked.dtype).tiny)
        triangle, rotated = _compressed(stacked / size, vector, RIDGE)
        found = torch.linalg.solve_triangular(triangle, rotated[:, None], upper=True)[:, 0] / size
        eye = torch.eye(self.quantities, dtype=stacked.dtype, device=stacked.device)
        corner = torch.linalg.solve_triangular(triangle[-self.quantities :, -self.quantities :], eye, upper=True)
        last = size[-self.quantities :]
        covariance = corner @ corner.T / last[:, None] / last
        leverage = torch.linalg.solve_triangular(triangle.T, (torch.cat(rows) / size).T, upper=False)
        misfits = {key: float((m @ found - r).square().mean().sqrt()) for key, (m, r) in self.data.items()}
        return found, covariance, float(leverage.square().sum()), misfits

    @property
    def count(self) -> int:
        """Number of data."""
        return sum(len(r) for _, r in self.data.values())


def _choose(
    system: _System, theta: Tensor, sizes: Mapping[str, float], noise: Mapping[str, float] | None, first: float | None
) -> _Choice:
    """Return the minimum for the strictest equations that the data bear.

    The strictness is the tightness relative to sigma. While the equations hold for the true state the variance of the
    noise, with the degrees of freedom taken into account, does not depend on it; where the network cannot follow them
    it grows.
    """
    best: _Choice | None = None
    least = math.inf
    known = None if noise is None else {key: noise[key] / sizes[key] for key in noise}
    sigma = known or {key: max(float((m @ theta - r).square().mean().sqrt()), LEAST) for key, (m, r) in system.data.items()}
    strictness = LOOSEST if first is None else min(LOOSEST, first * STEP**2)
    while strictness >= STRICTEST:
        for _ in range(1 if known else FIXED_POINT):
            tightness = strictness * min(sigma.values())
            found, covariance, used, misfits = system.solve(sigma, tightness)
            freedom = max(system.count - used, 1.0)
            if known is None:
                now = {key: max(v * math.sqrt(system.count / freedom), LEAST) for key, v in misfits.items()}
                close = all(abs(now[key] - sigma[key]) <= 0.02 * sigma[key] for key in now)
                sigma = now
                if close:
                    break
        misfit = sum(
            len(system.data[key][1]) * math.log(max(v * math.sqrt(system.count / freedom), LEAST)) for key, v in misfits.items()
        ) / system.count
        if best is not None and misfit > least + RISE:
            break
        least = min(least, misfit)
        units = {key: value * sizes[key] for key, value in sigma.items()}
        best = _Choice(found, covariance, units, tightness, freedom, strictness)
        strictness /= STEP
    assert best is not None
    return best


def _compressed(matrix: Tensor, vector: Tensor, ridge: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return R [P, P] and Q'b [P] of the QR decomposition of a matrix [N, P] with a ridge below it."""
    count = matrix.shape[1]
    eye = torch.eye(count, dtype=matrix.dtype, device=matrix.device) * ridge
    factors, tau = torch.geqrf(torch.cat((matrix, eye)))
    rotated = torch.ormqr(factors, tau, torch.cat((vector, vector.new_zeros(count)))[:, None], transpose=True)
    return factors[:count].triu(), rotated[:count, 0]


def _copied(quantities: Quantities) -> Quantities:
    functions = {
        name: UnknownFunction(f.name, f.arguments, deepcopy(f.network), f.offset, f.factor)
        for name, f in quantities.functions.items()
    }
    return Quantities(quantities.ranges, quantities.z, functions)


def _sizes(objective: InverseObjective) -> dict[str, float]:
    """The largest size of what was measured, by observed name."""
    found: dict[str, float] = {}
    for experiment in objective.experiments:
        for measured in experiment.measured:
            for key, row in zip(measured.keys, measured.values, strict=True):
                size = 1.0 if objective.multiplicative else float(row.abs().max())
                found[key] = max(found.get(key, 0.0), size or 1.0)
    return found
