"""The last step of an identification: least squares on trained layers for state, unknowns, noise and uncertainty.

The hidden layers of each state network are kept and a wide layer of random sines is put on top of them
(`sciml.pinn.polish`); its coefficients and the unknown quantities then minimise

    sum (state - data)^2 / sigma^2 + N mean(residual^2) / epsilon^2 + prior

by Gauss-Newton. The problem is nearly linear, so its normal matrix gives the covariance. sigma and epsilon, the noise
and the residual that the networks cannot avoid, maximise the evidence (D. J. C. MacKay, doi:10.1162/neco.1992.4.3.415)
of the linearised problem, in which the equations are a prior of the coefficients.
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
LOOSEST, STEP, POWERS = 10.0, 10**0.5, 10
LEAST_PART = 1e-3
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
    settled, covariance, freedom, strictness = False, None, float(target.data), None
    for number in range(ROUNDS):
        target.draw(rows)
        target.resample(count=rows)
        theta = target.parameters()
        target.sigma, target.tightness = dict(sizes), 1.0
        system = _System.of(target)
        if system is None:
            return None
        choice = _choose(system, theta, sizes, noise, strictness)
        covariance, freedom, strictness = choice.covariance, choice.freedom, choice.strictness
        target.sigma, target.tightness = choice.sigma, choice.tightness
        part = _descended(target, theta, choice.theta)
        evaluation = target.evaluation(target.fresh(count=FRESH))
        if not evaluation.finite or part == 0:
            break
        fresh, inside = target.equation_loss(evaluation.terms), target.equation_loss(target.evaluate().terms)
        if fresh > 4 * inside and rows < MOST_POINTS * count // len(experiments):
            rows *= 2
            continue
        moved = (choice.theta - theta)[-quantities.count :]
        spread = covariance.diagonal().clamp_min(0).sqrt()
        size = choice.theta[-quantities.count :].abs()
        settled = number > 0 and part == 1 and bool((moved.abs() <= SETTLED * spread + 1e-9 * size).all())
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
class _Solved:
    """A minimum.

    Attributes
    ----------
    theta, covariance : parameters, and the covariance of the quantities.
    used : how many numbers the data determine.
    misfits : root mean squares by observed name.
    rest : what equations and volumes add to minus twice the logarithm of the evidence.
    """

    theta: Tensor
    covariance: Tensor
    used: float
    misfits: dict[str, float]
    rest: float


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
        keys = {
            name: key
            for e in objective.experiments
            for m in e.measured
            for name, key in zip(m.names, m.keys, strict=True)
        }
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

    def solve(self, sigma: Mapping[str, float], tightness: float) -> _Solved:
        """Return the minimum for these standard deviations."""
        rows = [matrix / sigma[key] for key, (matrix, _) in self.data.items()]
        right = [r / sigma[key] for key, (_, r) in self.data.items()]
        count = self.triangle.shape[1]
        size = torch.cat([*rows, self.triangle]).norm(dim=0).clamp_min(torch.finfo(self.triangle.dtype).tiny)
        before, still = _compressed(
            torch.cat([self.triangle / tightness, self.priors]) / size,
            torch.cat([self.right / tightness, self.prior_right]),
            RIDGE,
        )
        after, rotated = _compressed(torch.cat([*(r / size for r in rows), before]), torch.cat([*right, still]))
        found = torch.linalg.solve_triangular(after, rotated[:, None], upper=True)[:, 0]
        eye = torch.eye(self.quantities, dtype=size.dtype, device=size.device)
        corner = torch.linalg.solve_triangular(after[-self.quantities :, -self.quantities :], eye, upper=True)
        last = size[-self.quantities :]
        leverage = torch.linalg.solve_triangular(after.T, (torch.cat(rows) / size).T, upper=False)
        squares = float((before @ found - still).square().sum())
        occam = 2 * float((after.diagonal().abs().log() - before.diagonal().abs().log()).sum())
        assert count == len(found)
        found = found / size
        misfits = {key: float((m @ found - r).square().mean().sqrt()) for key, (m, r) in self.data.items()}
        return _Solved(
            found, corner @ corner.T / last[:, None] / last, float(leverage.square().sum()), misfits, squares + occam
        )

    @property
    def count(self) -> int:
        """Number of data."""
        return sum(len(r) for _, r in self.data.values())


def _choose(
    system: _System, theta: Tensor, sizes: Mapping[str, float], noise: Mapping[str, float] | None, first: float | None
) -> _Choice:
    """Return the minimum for the noise and the strictness of the equations of largest evidence.

    The equations are a normal prior of the coefficients; integrating these out, minus twice the logarithm of the
    likelihood of the data is N log sigma^2 + chi^2 + (the equations' part) + log det A - log det A_prior.
    """
    known = None if noise is None else {key: noise[key] / sizes[key] for key in noise}
    start = {k: max(float((m @ theta - r).square().mean().sqrt()), LEAST) for k, (m, r) in system.data.items()}
    tried: dict[int, tuple[float, _Choice]] = {}

    def at(power: int) -> float:
        if power in tried:
            return tried[power][0]
        near = min(tried, key=lambda other: abs(other - power), default=None)
        sigma = {k: v / sizes[k] for k, v in tried[near][1].sigma.items()} if near is not None else start
        sigma = sigma if known is None else known
        strictness = LOOSEST * STEP**-power
        for _ in range(1 if known else FIXED_POINT):
            used_sigma, tightness = sigma, strictness * min(sigma.values())
            solved = system.solve(used_sigma, tightness)
            freedom = max(system.count - solved.used, 1.0)
            if known is not None:
                break
            free = math.sqrt(system.count / freedom)
            sigma = {key: max(v * free, LEAST) for key, v in solved.misfits.items()}
            if all(abs(sigma[key] - used_sigma[key]) <= 0.02 * sigma[key] for key in sigma):
                break
        evidence = solved.rest
        for key, (_, r) in system.data.items():
            ratio = solved.misfits[key] / used_sigma[key]
            evidence += len(r) * (2 * math.log(used_sigma[key]) + ratio**2)
        units = {key: value * sizes[key] for key, value in used_sigma.items()}
        choice = _Choice(solved.theta, solved.covariance, units, tightness, freedom, strictness)
        tried[power] = evidence, choice
        return evidence

    if first is None:
        power = min(range(0, POWERS + 1, 2), key=at)
    else:
        power = round(math.log(LOOSEST / first) / math.log(STEP))
    while True:
        around = [k for k in (power - 1, power, power + 1) if 0 <= k <= POWERS]
        better = min(around, key=at)
        if better == power:
            return tried[power][1]
        power = better


def _descended(objective: InverseObjective, theta: Tensor, found: Tensor) -> float:
    """Go from theta towards the minimum of the linearised problem as far as the loss falls; return the part gone."""
    objective.load(theta)
    before, part = objective.evaluate().loss, 1.0
    while part > LEAST_PART:
        objective.load(theta + part * (found - theta))
        loss = objective.evaluate().loss
        if loss <= before * (1 + 1e-9):
            return part
        part /= 2
    objective.load(theta)
    return 0.0


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
