r"""A step's state in a space of functions of x that is chosen, solved in, and chosen again.

In a fixed space, u(x, t) = g + d sum_kj C[k, j] p_k(t) phi_j(x), the stage equations are solved for C (and the unknown
numbers) by Newton's method. A solution of hundreds of stages has rank ten or twenty in x. So the space is built up in
rounds: its dominant directions are kept, and sines of the trained layer's units and of the solution's own leading
functions of x are added, for the products in the equation are smooth functions of these. Each round is a least-squares
problem of a few thousand unknowns.

Newton's steps are accepted by the natural criterion that the next, simplified correction is smaller, not that the
residual is: on unstable solutions a step in the right direction enlarges it (P. Deuflhard, Newton Methods for Nonlinear
Problems, section 4.3.2, doi:10.1007/978-3-642-23899-4).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.pinn.cascade import Cascade, extended
from sciml.pinn.stage_normal import NormalEquations, pulled_back
from sciml.pinn.stage_rows import Rows, Slopes
from sciml.pinn.step import Step

__all__ = ["Newton", "Residual", "Subspace", "spread"]

# Places among which those of the equations are chosen, and in which functions are orthonormal.
CANDIDATES = 2001
CHUNK = 256
# Directions smaller than this part of the residual are dropped; functions nearer than this to others are not taken.
CUT = 1e-2
DEPENDENT = 1e-8
# Leading functions of the solution whose sines are added.
LEADING = 8
RIDGE = 1e-13
STEPS = 8
# Where data are fitted, steps of Newton, of which so many in a row may gain nothing on the former, and then of
# Levenberg and Marquardt: the ridge's factors, and the gain that is too little.
FITTING_STEPS = 14
WATCHED = 2
EASED, RAISED = 30.0, 100.0
MOST_RIDGE = 1e2
SLOW = 0.03
LEAST_DAMPING = 1e-3
# A correction is small if it is so against the residual that cannot be removed, or against the state.
SETTLED = 0.1
AT_REST = 1e-12


@final
@dataclass(frozen=True)
class Newton:
    """The end of Newton's method in one space.

    Attributes
    ----------
    converged : whether a full step was taken last.
    loss : sum of the rows' squares.
    matrix : J'J, [P, P], of coefficients and numbers at the last but one iterate.
    change : norm of the last step.
    """

    converged: bool
    loss: float
    matrix: Tensor
    change: float


@final
@dataclass(frozen=True)
class Residual:
    """The residual of the stage equations at the candidates.

    Attributes
    ----------
    local : root mean square over the stages at each of them.
    size : root mean square over all.
    late : the part of its square in Legendre coefficients that the state has no modes for.
    """

    local: Tensor
    size: float
    late: float


def spread(step: Step, generator: torch.Generator) -> Tensor:
    """Return candidate places, one at random in each of as many intervals, and the two ends."""
    inner = torch.arange(CANDIDATES - 2) + torch.rand(CANDIDATES - 2, generator=generator, dtype=torch.float64)
    part = torch.cat((inner.new_zeros(1), inner / (CANDIDATES - 2), inner.new_ones(1)))
    return step.low + (step.high - step.low) * part


@final
class Subspace:
    """The state in its present space.

    Attributes
    ----------
    basis : [units, m], the functions phi as combinations of units.
    coefficients : C, [K, m].
    count : modes of time of each field.
    """

    def __init__(
        self, step: Step, cascade: Cascade, basis: Tensor, coefficients: Tensor, count: int, candidates: Tensor
    ) -> None:
        self.step = step
        self.cascade = cascade
        self.basis = basis
        self.coefficients = coefficients
        self.count = count
        self.candidates = candidates

    @property
    def size(self) -> int:
        """The number m of functions of x."""
        return self.basis.shape[1]

    def functions(self, x: Tensor, order: int) -> Tensor:
        """Return the functions' derivatives up to `order`, [order + 1, N, m]."""
        return self.cascade.units(x, order) @ self.basis

    # -- the space ---------------------------------------------------------------------------------------------------

    def widened(self, sines: int, residual: float | None, generator: torch.Generator) -> Subspace:
        """Return the same state in a space of its leading functions and of random sines, orthonormal.

        Parameters
        ----------
        sines : how many are added.
        residual : directions that are small against it are dropped; None keeps all.
        """
        units = self.cascade.units(self.candidates, 0)[0]
        root = math.sqrt(len(units))
        triangle = torch.linalg.qr(units @ self.basis / root).R
        left, sizes, right = torch.linalg.svd(self.coefficients @ triangle.T, full_matrices=False)
        basis = self.basis @ torch.linalg.solve_triangular(triangle, right.T, upper=True)
        leading = min(LEADING, len(sizes))
        weight, bias = self._sines(sines, units, basis[:, :leading], sizes[:leading], generator)
        if residual is None:
            kept, coefficients = self.basis, self.coefficients
        else:
            number = max(int((sizes > CUT * residual).sum()), 1)
            kept, coefficients = basis[:, :number], left[:, :number] * sizes[:number]
        units = extended(units[None], weight, bias)[0]
        old = kept.shape[1]
        basis = torch.block_diag(kept, torch.eye(sines, dtype=kept.dtype))
        norms = (units @ basis).norm(dim=0).clamp_min(1e-300)
        diagonal = torch.linalg.qr(units @ (basis / norms)).R.diagonal().abs()
        chosen = diagonal > DEPENDENT
        chosen[:old] = True
        basis = (basis / norms)[:, chosen]
        triangle = torch.linalg.qr(units @ basis / root).R
        basis = torch.linalg.solve_triangular(triangle, basis, upper=True, left=False)
        coefficients = coefficients * norms[:old]
        padded = coefficients.new_zeros((len(coefficients), basis.shape[1]))
        padded[:, :old] = coefficients
        cascade = self.cascade.with_layer(weight, bias)
        return Subspace(self.step, cascade, basis, padded @ triangle.T, self.count, self.candidates)

    def _sines(
        self, count: int, units: Tensor, leading: Tensor, sizes: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw sines of the units that are not sines and of the solution's leading functions, by their spread."""
        base = self.cascade.base
        deviation = units[:, :base].std(0)
        varying = deviation > 1e-6 * deviation.max()
        by_units = torch.where(varying, 1 / deviation.clamp_min(1e-300), torch.zeros_like(deviation))
        by_units = by_units * math.sqrt(2 / max(int(varying.sum()), 1))
        own = (units @ leading).std(0)
        by_leading = torch.where(own > 0, sizes / sizes.max().clamp_min(1e-300) / own.clamp_min(1e-300), own)
        weight = units.new_zeros((count, units.shape[1]))
        weight[:, :base] = _uniform(generator, count, base) * by_units
        weight += (_uniform(generator, count, leading.shape[1]) * by_leading) @ leading.T
        centre = units[torch.randint(len(units), (count,), generator=generator)]
        return weight, -(weight * centre).sum(1)

    def with_modes(self, count: int) -> Subspace:
        """Return the same state with more modes of time."""
        fields = len(self.step.ansatz.fields)
        old = self.coefficients.unflatten(0, (fields, self.count))
        new = old.new_zeros((fields, count, old.shape[2]))
        new[:, : min(count, self.count)] = old[:, :count]
        return Subspace(self.step, self.cascade, self.basis, new.flatten(0, 1), count, self.candidates)

    def mode_sizes(self) -> Tensor:
        """Return the size of each mode of time, [count], relative to the state."""
        fields = len(self.step.ansatz.fields)
        return self.coefficients.unflatten(0, (fields, self.count)).square().sum((0, 2)).sqrt()

    # -- the equations -----------------------------------------------------------------------------------------------

    def residual(self, stages: int | None = None) -> Residual:
        """Return how far the stage equations are from being met; with fewer stages than q if that is as good."""
        modes = self.step.modes(self.count, stages or min(self.step.stages, 3 * self.count))
        places, coefficients = [], []
        for x in self.candidates.split(CHUNK):
            rows = self.step.equations(modes, x, torch.ones_like(x))
            values = rows.values(self.functions(x, rows.order), self.coefficients, self.step.quantities).square()
            places.append(values.sum(1))
            coefficients.append(values.unflatten(1, (-1, modes.limit + 1)).sum((0, 1))[: modes.limit])
        squares = torch.cat(places)
        spectrum = torch.stack(coefficients).sum(0)
        late = float(spectrum[self.count :].sum() / spectrum.sum().clamp_min(1e-300))
        return Residual(squares.sqrt(), float(squares.mean().sqrt()), late)

    def places(self, residual: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return places, half of them led by the residual at the candidates, and the weights that make them a mean."""
        number = len(self.candidates)
        total = residual.sum()
        density = torch.full_like(residual, 0.5 / number)
        density += 0.5 * residual / total if bool(total > 0) and bool(torch.isfinite(total)) else 0.5 / number
        part = (torch.arange(count, dtype=residual.dtype) + 0.5) / count
        chosen = torch.searchsorted(density.cumsum(0) / density.sum(), part).clamp(max=number - 1).unique()
        weights = 1 / density[chosen]
        return self.candidates[chosen], weights / weights.sum()

    def solve(self, x: Tensor, weights: Tensor, data_weight: float, over: Callable[[], bool]) -> Newton:
        """Solve the equations at places x, with conditions and snapshots, for coefficients and unknown numbers.

        Equations alone are solved by damped Newton steps. Where data are fitted, these may enlarge the loss, and are
        forgotten if they lead to nothing less (R. M. Chamberlain et al., the watchdog technique,
        doi:10.1007/BFb0120945): steps that must lessen it creep along the curved valley of a steep front whose place
        and width depend on the numbers. If the full steps did not come to rest, steps of Levenberg and Marquardt go on
        from the best of them: what neither data nor equations determine, such as what enters at a side without a
        condition, may be led far away by full steps.

        Parameters
        ----------
        x, weights : places [N] of the equations and what their squares count.
        data_weight : what the data's mean square counts.
        over : whether the time is; no other step is begun then.
        """
        modes = self.step.modes(self.count)
        rows: list[Rows] = [self.step.equations(modes, x, weights), *self.step.others(modes, data_weight)]
        functions = [self.functions(one.x, one.order) for one in rows]
        full, rest = self._full_steps(rows, functions, over)
        if rest or not self.step.measured:
            return full
        matrix, loss, change, converged, ridge = full.matrix, full.loss, full.change, full.converged, RIDGE
        for number in range(FITTING_STEPS):
            if number and over():
                break
            system, _ = self._linearized(rows, functions)
            matrix, vector = system.result()
            former = system.loss
            taken = self._descent(rows, functions, matrix, vector, former, ridge)
            if taken is None:
                break
            ridge, loss, change = taken
            converged = True
            if former - loss <= SLOW * former:
                break
        return Newton(converged, loss, matrix, change)

    def _linearized(self, rows: list[Rows], functions: list[Tensor]) -> tuple[NormalEquations, list[Slopes]]:
        """The normal equations at the present state, and the rows' slopes."""
        quantities = self.step.quantities
        system = NormalEquations(self.coefficients, len(quantities.z))
        linear = [one.slopes(phi, self.coefficients, quantities) for one, phi in zip(rows, functions, strict=True)]
        for slopes, phi in zip(linear, functions, strict=True):
            system.add(slopes, phi)
        return system, linear

    def _full_steps(self, rows: list[Rows], functions: list[Tensor], over: Callable[[], bool]) -> tuple[Newton, bool]:
        """Take Newton steps by the natural criterion, and tell whether they came to rest.

        Where data are fitted, the state with the least loss that was met is taken.
        """
        fitted, quantities = bool(self.step.measured), self.step.quantities
        damping, loss, change, converged = 1.0, math.inf, math.inf, False
        matrix = self.coefficients.new_zeros((0, 0))
        best, least, idle = (self.coefficients, quantities.z.clone()), math.inf, 0
        rest, lessened = False, False
        for number in range(STEPS):
            if number and over():
                break
            system, linear = self._linearized(rows, functions)
            loss = system.loss
            least = min(least, loss)
            matrix, vector = system.result()
            factor = _factor(matrix)
            if factor is None or not math.isfinite(loss):
                break
            step = -torch.cholesky_solve(vector[:, None], factor)[:, 0]
            change = float(step.norm())
            damping = min(1.0, 4 * damping)
            taken = self._step(rows, functions, linear, factor, step, loss, damping)
            if taken is None:
                break
            former, (damping, loss, left) = loss, taken
            converged = damping == 1.0
            rest = converged and left <= max(SETTLED * math.sqrt(loss), AT_REST * float(self.coefficients.norm()))
            if fitted:
                rest = rest and abs(loss - least) <= SLOW * least
                idle = 0 if loss < (1 - SLOW) * former else idle + 1
                if loss < least:
                    best, least, lessened = (self.coefficients, quantities.z.clone()), loss, True
            if rest or idle >= WATCHED:
                break
        if fitted:
            self.coefficients = best[0]
            quantities.load(best[1])
            return Newton(lessened, least, matrix, change), rest
        return Newton(converged, loss, matrix, change), rest

    def _descent(
        self, rows: list[Rows], functions: list[Tensor], matrix: Tensor, vector: Tensor, loss: float, ridge: float
    ) -> tuple[float, float, float] | None:
        """Take a Levenberg-Marquardt step that lessens the loss.

        Returns the next ridge, the loss there and the size of the step; None if there is none.
        """
        quantities = self.step.quantities
        coefficients, z = self.coefficients, quantities.z.clone()
        count = coefficients.numel()
        while math.isfinite(loss) and ridge <= MOST_RIDGE:
            damped = matrix.clone()
            damped.diagonal()[:count].add_(ridge)
            factor, info = torch.linalg.cholesky_ex(damped)
            if int(info) == 0:
                step = -torch.cholesky_solve(vector[:, None], factor)[:, 0]
                self.coefficients = coefficients + step[:count].view_as(coefficients)
                quantities.load(z + step[count:])
                after = sum(
                    float(one.values(phi, self.coefficients, quantities).square().sum())
                    for one, phi in zip(rows, functions, strict=True)
                )
                if after < loss:
                    return max(ridge / EASED, RIDGE), after, float(step.norm())
            ridge *= RAISED
        self.coefficients = coefficients
        quantities.load(z)
        return None

    def _step(
        self,
        rows: list[Rows],
        functions: list[Tensor],
        linear: list[Slopes],
        factor: Tensor,
        step: Tensor,
        loss: float,
        damping: float,
    ) -> tuple[float, float, float] | None:
        """Take the longest step that the criterion accepts, or that lessens the loss.

        Returns its damping, the loss there and the size of the next, simplified correction; None if there is none.
        """
        quantities = self.step.quantities
        coefficients, z = self.coefficients, quantities.z.clone()
        count, size = coefficients.numel(), float(step.norm())
        while damping >= LEAST_DAMPING:
            self.coefficients = coefficients + damping * step[:count].view_as(coefficients)
            quantities.load(z + damping * step[count:])
            values = [one.values(phi, self.coefficients, quantities) for one, phi in zip(rows, functions, strict=True)]
            after = sum(float(v.square().sum()) for v in values)
            if math.isfinite(after):
                parts = [pulled_back(s, v, phi) for s, v, phi in zip(linear, values, functions, strict=True)]
                next_size = float(torch.cholesky_solve(torch.stack(parts).sum(0)[:, None], factor).norm())
                if next_size <= (1 - damping / 4) * size or after < loss:
                    return damping, after, next_size
            damping /= 2
        self.coefficients = coefficients
        quantities.load(z)
        return None


def _factor(matrix: Tensor) -> Tensor | None:
    """The Cholesky factor of a matrix with a ridge that is raised until there is one."""
    ridge = RIDGE
    for _ in range(12):
        damped = matrix.clone()
        damped.diagonal().add_(ridge)
        factor, info = torch.linalg.cholesky_ex(damped)
        if int(info) == 0 and bool(torch.isfinite(factor.diagonal()).all()):
            return factor
        ridge *= 10
    return None


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1
