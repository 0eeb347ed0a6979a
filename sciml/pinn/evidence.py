"""How much data and equations count: the linearised problem of an identification, and two variances from it.

Data rows H theta = y + sigma e and equations E theta = f + epsilon e' (their rows compressed to a triangle). Both
variances are those of the residuals with the degrees of freedom that are left (restricted maximum likelihood; H. D.
Patterson, R. Thompson, doi:10.1093/biomet/58.3.545): the data determine tr (H A^-1 H') / sigma^2 numbers with A the
normal matrix, the equations the others.

What a network cannot follow is no noise: neighbouring points share it, and it does not average out. With rho the least
residual, the state nearest to the truth costs N (rho / epsilon)^2, and by the inequality of Cauchy and Schwarz this is
the most by which a quantity may be off, in squared standard errors. Spread over the u numbers that the data determine
it is

    bias = N (rho / epsilon)^2 / u

of each variance. Much looser equations, whose bias is negligible, give another bound: the distance of their quantities
and what is uncertain in it (the idea of J. A. Hausman's test, doi:10.2307/1913827). Looser equations are less biased,
and have larger standard errors, little where noise hides what the equations forbid, in proportion where data are exact.
The tightness therefore minimises variance times 1 + bias, a bound of the mean square error, which is also what is
reported as the squared standard error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.pinn.inverse_objective import InverseObjective

__all__ = ["Choice", "LinearSystem", "Solved", "best_choice"]

RIDGE = 1e-12
LEAST = 1e-12
# Equations need not be stricter than this, relative to the noise.
STRICTEST = 1e-4
# Looser equations are tried in steps of this factor, until the bias is at most this part of the variance.
LOOSER, MOST_LEVELS, NO_BIAS = 3.0, 7, 0.1
PASSES = 8
CLOSE = 0.1


@final
@dataclass(frozen=True)
class Choice:
    """The minimum for the likeliest noise and tightness.

    Attributes
    ----------
    theta, covariance : all parameters [P], and the covariance of the quantities.
    bias : by how much of each variance the mean square error may be larger.
    sigma : noise by observed name, in its own unit.
    tightness : relative residual of the equations that counts like one standard deviation of all data.
    freedom : data less what was determined.
    """

    theta: Tensor
    covariance: Tensor
    bias: float
    sigma: dict[str, float]
    tightness: float
    freedom: float


@final
@dataclass(frozen=True)
class Solved:
    """A minimum.

    Attributes
    ----------
    theta, covariance : all parameters [P], and the covariance of the quantities [Q, Q].
    root : upper triangle R [Q, Q], covariance = (R'R)^-1.
    used : how many numbers the data determine.
    misfits : by observed name.
    """

    theta: Tensor
    covariance: Tensor
    root: Tensor
    used: float
    misfits: dict[str, float]

    @property
    def spread(self) -> float:
        """Logarithm of the covariance's determinant."""
        return -2 * float(self.root.diagonal().abs().log().sum())

    def distance(self, other: Solved) -> float:
        """Return the squared distance of another minimum's quantities, and by how much their covariance is larger.

        Both in units of this covariance C: d' C^-1 d + tr C^-1 C' - Q.
        """
        shift = (self.theta - other.theta)[-len(self.root) :]
        larger = float(((self.root @ other.covariance) * self.root).sum()) - len(self.root)
        return float((self.root @ shift).square().sum()) + max(larger, 0.0)


@final
@dataclass(frozen=True)
class Rows:
    """Rows J x - y of a least-squares problem, compressed: |J x - y|^2 = |R x - b|^2 + rest."""

    triangle: Tensor
    right: Tensor
    rest: float
    count: int

    @classmethod
    def of(cls, matrix: Tensor, vector: Tensor) -> Rows:
        """Compress a matrix [N, P] and a vector [N]."""
        if len(matrix) <= matrix.shape[1]:
            return cls(matrix, vector, 0.0, len(vector))
        triangle, right = _compressed(matrix, vector)
        return cls(triangle, right, max(float(vector.square().sum() - right.square().sum()), 0.0), len(vector))

    def squares(self, x: Tensor) -> float:
        """Return |J x - y|^2."""
        return float((self.triangle @ x - self.right).square().sum()) + self.rest

    def mean(self, x: Tensor) -> float:
        """Return the root mean square of J x - y."""
        return math.sqrt(self.squares(x) / self.count)


@final
@dataclass(frozen=True)
class LinearSystem:
    """The linearised problem: data by observed name, equations, priors.

    All for sigma = 1 unit of the data's size and a tightness of 1, J theta - r on the right.
    """

    data: dict[str, Rows]
    equations: Rows
    priors: Tensor
    prior_right: Tensor
    quantities: int
    terms: int

    @classmethod
    def of(cls, objective: InverseObjective) -> LinearSystem | None:
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
        none = matrix.new_zeros((0, matrix.shape[1]))
        return cls(
            {key: Rows.of(torch.cat([m for m, _ in own]), torch.cat([r for _, r in own])) for key, own in data.items()},
            Rows.of(matrix, vector),
            torch.cat([none, *priors]),
            torch.cat([none[:, 0], *prior_right]),
            objective.quantities.count,
            len({name for e in objective.experiments for place in e.places for name in place.names}),
        )

    def solve(self, sigma: Mapping[str, float], tightness: float) -> Solved:
        """Return the minimum for these standard deviations."""
        rows = torch.cat([own.triangle / sigma[key] for key, own in self.data.items()])
        right = torch.cat([own.right / sigma[key] for key, own in self.data.items()])
        size = torch.cat([rows, self.equations.triangle]).norm(dim=0)
        size = torch.where(size > 0, size, torch.ones_like(size))
        rows = rows / size
        before, still = _compressed(
            torch.cat([self.equations.triangle / tightness, self.priors]) / size,
            torch.cat([self.equations.right / tightness, self.prior_right]),
            RIDGE / tightness,
        )
        after, rotated = _compressed(torch.cat([rows, before]), torch.cat([right, still]))
        found = torch.linalg.solve_triangular(after, rotated[:, None], upper=True)[:, 0]
        eye = torch.eye(self.quantities, dtype=size.dtype, device=size.device)
        root = after[-self.quantities :, -self.quantities :]
        corner = torch.linalg.solve_triangular(root, eye, upper=True)
        last = size[-self.quantities :]
        used = float(torch.linalg.solve_triangular(after.T, rows.T, upper=False).square().sum())
        found = found / size
        covariance = corner @ corner.T / last[:, None] / last
        return Solved(found, covariance, root * last, used, {key: own.mean(found) for key, own in self.data.items()})

    def residual(self, theta: Tensor) -> float:
        """Return the root mean square of the equations' relative residuals."""
        return math.sqrt(self.equations.squares(theta) / (self.count * self.terms))

    def determined(self, solved: Solved) -> float:
        """Return how many of the quantities are not left to their priors."""
        rows = self.priors[:, -self.quantities :]
        return self.quantities - float(((rows @ solved.covariance) * rows).sum())

    @property
    def count(self) -> int:
        """Number of data."""
        return sum(own.count for own in self.data.values())


def best_choice(
    system: LinearSystem, theta: Tensor, sizes: Mapping[str, float], noise: Mapping[str, float] | None
) -> Choice:
    """Return the minimum for the likeliest noise and tightness.

    Parameters
    ----------
    system : in units of `sizes`.
    theta : present parameters, whose misfit is the first guess.
    sizes : of the data, by observed name.
    noise : standard deviations where they are known.
    """
    if noise is not None:
        sigma = {key: noise[key] / sizes[key] for key in noise}
    else:
        sigma = {key: max(own.mean(theta), LEAST) for key, own in system.data.items()}
    tightness = max(system.residual(theta), LEAST)
    for _ in range(PASSES):
        solved = system.solve(sigma, tightness)
        freedom = max(system.count - solved.used, 1.0)
        former = {**sigma, "": tightness}
        if noise is None:
            free = math.sqrt(system.count / freedom)
            sigma = {key: max(value * free, LEAST) for key, value in solved.misfits.items()}
        left = max(1 - (len(theta) - solved.used) / system.equations.count, 0.1)
        tightness = max(system.residual(solved.theta) / math.sqrt(left), STRICTEST * min(sigma.values()), LEAST)
        now = {**sigma, "": tightness}
        if all(abs(now[key] - former[key]) <= CLOSE * former[key] for key in now):
            break
    solved, tightness, bias = _loosened(system, sigma, tightness)
    units = {key: value * sizes[key] for key, value in sigma.items()}
    return Choice(solved.theta, solved.covariance, bias, units, tightness, freedom)


def _loosened(system: LinearSystem, sigma: Mapping[str, float], tightness: float) -> tuple[Solved, float, float]:
    """Return the minimum of least mean square error, its tightness and the bias as a part of the variances.

    Parameters
    ----------
    tightness : the strictest that is tried.
    """
    solved = system.solve(sigma, tightness)
    residual = system.residual(solved.theta)
    determined = max(system.determined(solved), 1.0)
    levels: list[tuple[Solved, float, float]] = []
    while True:
        bias = system.count * (residual / tightness) ** 2 / max(solved.used, 1.0)
        levels.append((solved, tightness, bias))
        if bias <= NO_BIAS or len(levels) == MOST_LEVELS:
            break
        tightness *= LOOSER
        solved = system.solve(sigma, tightness)
    biases = [min(bias, own.distance(solved) / determined) for own, _, bias in levels[:-1]] + [levels[-1][2]]
    # Mean logarithm of the variances that the data determine; the others are their priors'.
    bounds = [own.spread / determined + math.log1p(bias) for (own, *_), bias in zip(levels, biases, strict=True)]
    chosen = bounds.index(min(bounds))
    return levels[chosen][0], levels[chosen][1], biases[chosen]


def _compressed(matrix: Tensor, vector: Tensor, ridge: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return R [P, P] and Q'b [P] of the QR decomposition of a matrix [N, P] with a ridge below it."""
    count = matrix.shape[1]
    if ridge or len(matrix) < count:
        eye = torch.eye(count, dtype=matrix.dtype, device=matrix.device) * ridge
        matrix, vector = torch.cat((matrix, eye)), torch.cat((vector, vector.new_zeros(count)))
    factors, tau = torch.geqrf(matrix)
    rotated = torch.ormqr(factors, tau, vector[:, None], transpose=True)
    return factors[:count].triu(), rotated[:count, 0]
