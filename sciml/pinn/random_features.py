r"""Networks whose hidden layer stays as it was drawn: the rest is least squares, repeated for nonlinear equations.

With fixed features :math:`\varphi_j(\xi) = \sin(w_j\cdot(\xi - c_j))`, w uniform in (-R, R)^d and c uniform in the box,
the network :math:`N = \sum_j a_j\varphi_j + a_0` is linear in its coefficients. For an equation that is linear in the
unknowns one least-squares problem over the collocation points gives them (an extreme learning machine: S. Dong and
Z. Li, doi:10.1016/j.cma.2021.114129); a nonlinear one takes Gauss-Newton steps. The scale R is chosen by the residual
on fresh points, and the number of features is doubled until the change of the solution says that it is accurate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.network import MLP
from sciml.network.mlp import Layer
from sciml.pinn.ansatz import MANY, Ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.conditioning import Judge
from sciml.pinn.objective import ForwardObjective
from sciml.pinn.piece import Piece
from sciml.pinn.progress import Limits, Recorder, extrapolated, monitor_points, values_of
from sciml.pinn.residual import linear
from sciml.training import Evaluation

__all__ = ["Attempt", "RandomFeatures", "least_squares", "random_network"]

SCALES = (2.0, 4.0, 8.0, 16.0, 32.0)
# On a line a few hundred features resolve much thinner layers.
SCALES_LINE = (*SCALES, 64.0, 128.0, 256.0, 512.0)
# In many dimensions, where a feature sees few coordinates or many, and what does not converge is left to training soon:
# a loss that more than this part of is left after doubling the features.
SCALES_MANY = (1.0, 2.0, 4.0)
SLOW = 0.1
FIRST_COUNT = 150
# The first loss by which scales can be told apart, and the factor by which doubling the features should reduce it.
CLEAR, FAST = 1e-3, 1e-2
# Columns beyond this cost more than training a network does.
MOST_COLUMNS = 2400
# Rows of this size below the matrix keep the triangular factor regular where features are dependent to rounding.
RIDGE = 1e-13
POINTS_PER_FEATURE = 3
NEWTON_STEPS = 12
# A nonlinear equation whose first attempt leaves more than this is left to training.
NEARLY = 1e-3
LEAST_LOSS = 1e-30
# An estimated error that makes one doubt whether a linear equation has a solution, or has only one.
POOR = 0.01
ROUNDING = 1e-15


@final
@dataclass(frozen=True)
class Attempt:
    """A least-squares solution: its network, the loss on fresh points, and how it was obtained."""

    piece: Piece
    evaluation: Evaluation
    count: int
    scale: float
    points: int


@final
class RandomFeatures:
    """Least-squares solutions with more and more features.

    Parameters
    ----------
    ansatz : the exact conditions.
    generator : of features and points.
    dtype, device : of the tensors.
    judge : of estimated errors.
    """

    def __init__(
        self,
        ansatz: Ansatz,
        generator: torch.Generator,
        dtype: torch.dtype,
        device: torch.device,
        recorder: Recorder,
        limits: Limits,
        judge: Judge,
    ) -> None:
        self.ansatz = ansatz
        self.generator = generator
        self.dtype, self.device = dtype, device
        self.recorder = recorder
        self.limits = limits
        self.judge = judge
        self.steps = 0
        self.linear = linear(ansatz)
        self._many = ansatz.problem.domain.dimension >= MANY
        self.estimate: float | None = None
        self.best: Attempt | None = None

    def run(self) -> bool:
        """Double the number of features until the estimate meets the tolerance; False if it does not, or never can.

        The error is estimated from two successive numbers of features, as from two states of a training. A nonlinear
        equation that the first attempt does not nearly solve is given up at once.
        """
        points = monitor_points(self.ansatz, self.dtype, self.device)
        wanted = values_of(self.ansatz)
        values: Tensor | None = None
        ratio = 0.0
        for attempt in self._attempts(self._out_of_time):
            loss = attempt.evaluation.loss
            if not attempt.evaluation.finite or (not self.linear and loss > NEARLY):
                break
            now = attempt.piece.trace(wanted, points)
            if values is not None and self.best is not None:
                ratio = max(loss, LEAST_LOSS) / max(self.best.evaluation.loss, LEAST_LOSS)
                # At rounding two results no longer differ by their residuals: rho = 1/2 leaves their difference.
                self.estimate = extrapolated(values, now, min(ratio, 0.25)) + ROUNDING
                if self.estimate <= self.limits.tol:
                    self.estimate = self.judge.estimate(self.estimate, attempt.piece)
                elif self.linear and self.estimate > POOR:
                    self.judge.ask(attempt.piece)
            if self.best is None or loss < self.best.evaluation.loss:
                self.best = attempt
            values = now
            stage = f"{attempt.count} random features"
            self.recorder.note(self.steps, attempt.evaluation, self.estimate, stage, [attempt.piece])
            if self.judge.hopeless:
                break
            if self.estimate is not None and self.estimate <= self.limits.tol:
                return True
            if self._many and ratio > SLOW:
                break
        return False

    def _out_of_time(self) -> bool:
        budget = self.limits.budget
        return budget is not None and self.limits.seconds() > (0.5 if self.linear else 0.2) * budget

    def _attempts(self, out_of_time: Callable[[], bool]) -> Iterator[Attempt]:
        """Yield attempts of growing size, each the best over the scales that were tried."""
        outputs = len(self.ansatz.fields)
        line = self.ansatz.problem.domain.dimension == 1
        count, scales = FIRST_COUNT, SCALES_MANY if self._many else SCALES_LINE if line else SCALES
        former = math.inf
        while count * outputs <= MOST_COLUMNS and not out_of_time():
            tried = []
            for scale in scales:
                if tried and out_of_time():
                    break
                tried.append(self._solve(count, scale))
            best = min(tried, key=lambda attempt: attempt.evaluation.loss if attempt.evaluation.finite else math.inf)
            yield best
            # More features carry higher frequencies: the best scale stays or grows. Where few of them leave too much to
            # choose by, all are tried again; where doubling them gains little, those around.
            loss = best.evaluation.loss
            if not self._many and (loss < CLEAR or count >= 4 * FIRST_COUNT):
                grown = (best.scale, 2 * best.scale) if count < 4 * FIRST_COUNT else (best.scale,)
                scales = grown if loss < FAST * former else _around(best.scale)
            elif self._many and count >= 4 * FIRST_COUNT:
                scales = (best.scale,)
            former = loss
            count *= 2

    def _solve(self, count: int, scale: float) -> Attempt:
        network = random_network(self.ansatz, count, scale, self.generator).to(dtype=self.dtype, device=self.device)
        sampler = Sampler(self.ansatz.problem.domain, self.generator, self.dtype, self.device)
        objective = ForwardObjective(self.ansatz, network, sampler)
        objective.draw(POINTS_PER_FEATURE * count)
        before, steps = math.inf, 0
        for _ in range(1 if self.linear else NEWTON_STEPS):
            theta = objective.parameters()
            matrix, vector = stacked(objective)
            if not bool(torch.isfinite(matrix).all() and torch.isfinite(vector).all()):
                break
            norm = float(vector.norm())
            if norm > 0.5 * before:
                break  # the former step was the last that paid
            before = norm
            # Solved for the coefficients themselves: the ridge then bounds them, not only the last correction.
            objective.load(-least_squares(matrix, vector - matrix @ theta))
            steps += 1
        self.steps += steps
        evaluation = objective.evaluation(objective.fresh(count=max(1024, count)))
        return Attempt(Piece(self.ansatz, network), evaluation, count, scale, objective.size)


def _around(scale: float) -> tuple[float, ...]:
    return (scale, scale / 2, 2 * scale)


def random_network(ansatz: Ansatz, count: int, scale: float, generator: torch.Generator) -> MLP:
    """Return a network with a hidden layer of `count` random features of scale R, and zero coefficients, in float64."""
    inputs, outputs = len(ansatz.inputs), len(ansatz.fields)
    network = MLP(inputs, outputs, count, 1, "sin", lower=[-1.0] * inputs, upper=[1.0] * inputs, dtype=torch.float64)
    draw = lambda *shape: 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1  # noqa: E731
    hidden, last = network.layers
    assert isinstance(hidden, Layer)
    assert isinstance(last, Layer)
    weight, centre = scale * draw(count, inputs) * _relative(ansatz), draw(count, inputs)
    if ansatz.problem.domain.dimension >= MANY:
        weight = weight * _sparse(count, inputs, generator)
    with torch.no_grad():
        hidden.weight.copy_(weight)
        hidden.bias.copy_(-(weight * centre).sum(1))
        last.weight.zero_()
        last.bias.zero_()
    hidden.weight.requires_grad_(False)
    hidden.bias.requires_grad_(False)
    return network


def _sparse(count: int, inputs: int, generator: torch.Generator) -> Tensor:
    """Draw which inputs each feature sees, [count, inputs]: one half one or two of them, the other half more.

    In many dimensions functions are often sums of such of few variables, which features of all variables approximate
    slowly (A. Hashemi et al., Generalization bounds for sparse random feature expansions,
    doi:10.1016/j.acha.2022.08.003). The fourth root of their number keeps the frequencies comparable.
    """
    few = torch.randint(1, min(2, inputs) + 1, (count - count // 2,), generator=generator)
    more = torch.randint(min(3, inputs), inputs + 1, (count // 2,), generator=generator)
    number = torch.cat((few, more))[:, None]
    rank = torch.rand(count, inputs, generator=generator, dtype=torch.float64).argsort(1).argsort(1)
    return (rank < number) / number.to(torch.float64) ** 0.25


def _relative(ansatz: Ansatz) -> Tensor:
    """Scales of the inputs relative to R: the harmonics of a periodic coordinate already oscillate."""
    problem = ansatz.problem
    names = [c for c, group in zip(problem.coordinates, ansatz.features, strict=True) for _ in group]
    scales = [0.25 if c in problem.periodic else 1.0 for c in names] + [1.0 for _ in ansatz.layers]
    return torch.tensor(scales, dtype=torch.float64)


def stacked(objective: ForwardObjective) -> tuple[Tensor, Tensor]:
    """Return the weighted Jacobian [rows, P] and residuals [rows] of all terms."""
    matrices, vectors = [], []
    sizes = objective.sizes()
    for chunk in objective.chunks():
        residuals, jacobians = objective.jacobian(chunk)
        for name, residual in residuals.items():
            factor = math.sqrt(objective.weight(name) / sizes[name])
            matrices.append(jacobians[name] * factor)
            vectors.append(residual * factor)
    return torch.cat(matrices), torch.cat(vectors)


def least_squares(matrix: Tensor, vector: Tensor, ridge: float = RIDGE) -> Tensor:
    """Return argmin |A x - b|^2 by Householder QR of the column-scaled matrix with a tiny ridge below it."""
    columns = matrix.shape[1]
    size = matrix.norm(dim=0).clamp_min(torch.finfo(matrix.dtype).tiny)
    ridge = ridge if matrix.dtype == torch.float64 else max(ridge, 1e-6)
    eye = torch.eye(columns, dtype=matrix.dtype, device=matrix.device) * ridge
    factors, tau = torch.geqrf(torch.cat((matrix / size, eye)))
    # Q is applied, not formed: half of the work.
    right = torch.ormqr(factors, tau, torch.cat((vector, vector.new_zeros(columns)))[:, None], transpose=True)
    return torch.linalg.solve_triangular(factors[:columns].triu(), right[:columns], upper=True)[:, 0] / size
