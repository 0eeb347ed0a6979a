r"""Whether a problem makes a large error of a small residual, or of rounding: a second look, at its linearisation.

An error e of a state u with the residual r solves the equation linearised about u, :math:`L e = -r`, with vanishing
data. Here e is sought as :math:`s\,d\,N` with the factors of the exact conditions and N in tensor products of
polynomials (harmonics where the problem is periodic), at Gauss points, in an orthonormal basis of L2. The singular
values :math:`\sigma_i` of L are then those of the differential operator on smooth functions, never smaller than its
own: a small one is no artefact of the discretisation. They give what training cannot see by its residual,

- whether some e that is not zero has a residual of nothing: then the conditions do not determine the solution;
- the error that the residual makes, :math:`(\sum_i (u_i\cdot r)^2/\sigma_i^2)^{1/2}`, modes that grow included;
- what rounding makes, :math:`\epsilon/\sigma_\mathrm{min}` relative to the terms of the equations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import sympy
import torch
from numpy.polynomial import legendre
from torch import Tensor

from sciml.pinn.ansatz import Ansatz
from sciml.pinn.piece import Piece
from sciml.pinn.progress import values_of
from sciml.pinn.residual import Field, ResidualGroup, residual_group
from sciml.problem import Problem
from sciml.status import Status

__all__ = ["Judge", "Look", "second_look"]

# Functions of a coordinate, by the number of coordinates, and Gauss points for each of them.
FUNCTIONS = {1: 60, 2: 14, 3: 6}
POINTS = 1.7
# More columns than this would cost as much as training does; and where the problem magnifies errors by so much, which
# finer functions do more than others.
MOST_COLUMNS, FINEST_COLUMNS = 480, 600
MAGNIFYING = 1e3
# Part of its terms that the image of a function is, below which it is nothing; or of the largest image, since
# rounding hides what is smaller.
VANISHING, HIDDEN = 1e-9, 1e-14
FLAT = 1e-9
# States whose estimated error is this many times what rounding makes are as good as they can be.
NEAR = 10.0
ROUNDING = 2.0**-52
UNDETERMINED = (
    "The conditions do not determine the solution: a function that is not zero solves the linearised equation with "
    "zero data, so that there are infinitely many solutions or none; change a condition or a parameter."
)


@final
@dataclass(frozen=True)
class Look:
    """What the linearised equation says of a state.

    Attributes
    ----------
    error : relative L2 norm of the smooth part of the error that the residual makes.
    floor : the same for a residual of rounding errors; no state can be known better.
    singular : whether the equations and conditions leave a function free.
    """

    error: float
    floor: float
    singular: bool


@final
@dataclass
class Judge:
    """Estimated errors of states of one problem, each no smaller than a second look at the state says.

    Parameters
    ----------
    problem, tol : what is solved, and the relative L2 error that will do.

    Attributes
    ----------
    look : the latest; None where there was none, or there can be none.
    latest : the estimated error with it.
    """

    problem: Problem
    tol: float
    look: Look | None = None
    latest: float = math.inf

    def estimate(self, estimate: float, piece: Piece) -> float:
        """Return the estimated relative error of a state, at least what a look at it says."""
        self.look = second_look(piece)
        self.latest = estimate if self.look is None else max(estimate, self.look.error, self.look.floor)
        return self.latest

    def ask(self, piece: Piece) -> None:
        """Look whether the conditions determine the solution at all; of a poor state no more can be said."""
        look = second_look(piece)
        if look is not None and look.singular:
            self.look = look

    @property
    def undetermined(self) -> bool:
        """Whether the conditions leave the solution open. Initial values never do: they only let errors grow."""
        return self.look is not None and self.look.singular and not self._initial

    @property
    def hopeless(self) -> bool:
        """Whether no state can be found that meets the tolerance."""
        return self.undetermined or self._limited

    @property
    def verdict(self) -> tuple[Status, str] | None:
        """Status and message where no state meets the tolerance, else None."""
        if self.undetermined:
            return Status.ILL_POSED, UNDETERMINED
        if self.look is None or not self._limited:
            return None
        return Status.INACCURATE, (
            f"The problem magnifies errors so much that rounding alone makes one of about {self.look.floor:.1e}, more "
            f"than tol = {self.tol:.1e}: change the conditions or shorten the interval, more accuracy is not to be had."
        )

    @property
    def _limited(self) -> bool:
        """Whether rounding keeps a state from the tolerance that is near that limit already: others may be better."""
        look = self.look
        return look is not None and look.floor > self.tol and self.latest <= NEAR * look.floor

    @property
    def _initial(self) -> bool:
        problem = self.problem
        if problem.time is not None:
            return True
        places = {tuple(condition.place.items()) for condition in problem.conditions}
        return problem.domain.dimension == 1 and len(places) == 1


def second_look(piece: Piece) -> Look | None:
    """Look at a state of the whole problem; None where its ansatz is none of coordinates alone, or not float64."""
    ansatz, like = piece.ansatz, next(piece.network.parameters())
    problem = ansatz.problem
    special = ansatz.sources or ansatz.corners or ansatz.waves is not None or ansatz.trace is not None
    if special or problem.domain.dimension > max(FUNCTIONS) or like.dtype != torch.float64:
        return None
    if any(condition.kind == "periodic" for condition in ansatz.soft):
        return None
    dimension, outputs = problem.domain.dimension, len(problem.unknowns)
    count = min(FUNCTIONS[dimension], int((MOST_COLUMNS / outputs) ** (1 / dimension)))
    look = _look(piece, count)
    if look is None or look.singular or look.floor < MAGNIFYING * ROUNDING:
        return look
    finer = min(2 * count, int((FINEST_COLUMNS / outputs) ** (1 / dimension)))
    return look if finer <= count else _look(piece, finer)


def _look(piece: Piece, count: int) -> Look | None:
    """Look with so many functions of each coordinate."""
    ansatz, problem = piece.ansatz, piece.ansatz.problem
    groups = [({}, residual_group(ansatz, list(ansatz.residuals.values())))]
    groups += [(dict(c.place), residual_group(ansatz, [problem.substituted(c.expression)])) for c in ansatz.soft]
    values, state = _values(piece, count)
    size = float(state.norm()) or 1.0
    # Conditions of zero have no size of their own.
    images = [_image(piece, group, place, count, size if place else 0.0) for place, group in groups]
    matrix, residual = torch.cat([i.matrix for i in images]), torch.cat([i.residual for i in images])
    terms = torch.cat([i.terms for i in images])
    length = values.norm(dim=0)
    if not bool(torch.isfinite(matrix).all() and torch.isfinite(residual).all() and (length > 0).all()):
        return None
    # In coordinates in which the norm of the coefficients is that of e.
    triangle = torch.linalg.qr(values / length, mode="r")[1]
    operator = torch.linalg.solve_triangular(triangle, matrix / length, upper=True, left=False)
    if not bool(torch.isfinite(operator).all()):
        return None
    try:
        left, sigma, right = torch.linalg.svd(operator, full_matrices=False)
    except RuntimeError:  # of LAPACK: it did not converge
        return None
    free = torch.linalg.solve_triangular(triangle, right[-1][:, None], upper=True)[:, 0] / length
    largest = torch.cat([i.largest(free) for i in images])
    vanishes = float((matrix @ free).norm()) <= VANISHING * float(largest.norm())
    hidden = float(sigma[-1]) <= HIDDEN * float(sigma[0])
    sigma = sigma.clamp_min(ROUNDING * float(sigma[0]))
    return Look(
        float(((left.T @ residual) / sigma).norm()) / size,
        ROUNDING * float(terms.norm() / sigma[-1]) / size,
        vanishes or hidden,
    )


@final
@dataclass(frozen=True)
class _Image:
    """Residuals of a group at its points, weighted so that sums of squares are means, and the images of functions.

    Attributes
    ----------
    residual, terms : of the state, [M * N]; the sum of the sizes of its terms.
    cotangent, functions : of the residuals by the network's jet, [M, C, N, O]; the jets of the functions, [C, N, P].
    """

    residual: Tensor
    terms: Tensor
    cotangent: Tensor
    functions: Tensor

    @property
    def matrix(self) -> Tensor:
        """The image of each function, [M * N, O * P]."""
        made = torch.einsum("mcno,cnp->mnop", self.cotangent, self.functions)
        return made.reshape(len(self.residual), -1)

    def largest(self, coefficients: Tensor) -> Tensor:
        """Sums of the sizes of the terms of the image of one function, [M * N]."""
        outputs = self.cotangent.shape[3]
        jet = torch.einsum("cnp,op->cno", self.functions, coefficients.reshape(outputs, -1))
        return torch.einsum("mcno,cno->mn", self.cotangent.abs(), jet.abs()).reshape(-1)


def _image(piece: Piece, group: ResidualGroup, place: Mapping[str, float], count: int, least: float) -> _Image:
    points, weights, functions = _tensor(piece, group.field.indices, place, count)
    block = group.block(points)
    with torch.no_grad():
        jet = group.field.network_jet(piece.network, block)
        residual, cotangent = group.linearised(block, jet)
        terms = group.term_sizes(block, jet)
    # Every equation counts by the size of its terms, in whatever units.
    scale = (terms.square() @ weights).sqrt().clamp_min(least)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    factor = weights.sqrt() / scale[:, None]
    return _Image(
        (residual * factor).reshape(-1),
        (terms * factor).reshape(-1),
        cotangent * factor[:, None, :, None],
        functions,
    )


def _values(piece: Piece, count: int) -> tuple[Tensor, Tensor]:
    """Return the values of e of every function, [A * N, O * P], and those of the state, [A * N]."""
    field = Field(piece.ansatz, values_of(piece.ansatz))
    points, weights, functions = _tensor(piece, field.indices, {}, count)
    block, root = field.block(points), weights.sqrt()
    made = points.new_zeros((len(field.partials), len(points), len(field.partials), functions.shape[2]))
    for a, output in enumerate(field.outputs):
        made[a, :, output] = (root * block.factors[a, 0])[:, None] * functions[0]
    with torch.no_grad():
        state = field.values(block, field.network_jet(piece.network, block)) * root
    return made.reshape(state.numel(), -1), state.reshape(-1)


def _tensor(
    piece: Piece, indices: Sequence[tuple[int, ...]], place: Mapping[str, float], count: int
) -> tuple[Tensor, ...]:
    """Return Gauss points [N, d] of the box or one of its sides, weights [N] of mean one, functions [C, N, P]."""
    ansatz, device = piece.ansatz, next(piece.network.parameters()).device
    box, axes = ansatz.problem.domain, []
    for k, name in enumerate(box.coordinates):
        if name in place:
            nodes, weights = np.array([place[name]]), np.ones(1)
        else:
            nodes, weights = legendre.leggauss(round(POINTS * count))
            nodes, weights = box.lower[k] + (nodes + 1) / 2 * box.lengths[k], weights / 2
        order = max(index[k] for index in indices)
        axes.append((nodes, weights, _functions(ansatz, k, nodes, order, count)))
    points = np.stack([a.ravel() for a in np.meshgrid(*(axis[0] for axis in axes), indexing="ij")], 1)
    weights = math.prod(np.meshgrid(*(axis[1] for axis in axes), indexing="ij"), start=np.ones(1)).ravel()
    functions = []
    for index in indices:
        product = np.ones((1, 1))
        for (_, _, table), order in zip(axes, index, strict=True):
            product = np.kron(product, table[order])
        functions.append(product)
    return tuple(torch.as_tensor(array, device=device) for array in (points, weights, np.stack(functions)))


def _functions(ansatz: Ansatz, axis: int, nodes: np.ndarray, order: int, count: int) -> np.ndarray:
    """Derivatives up to an order of the functions of one coordinate, [order + 1, nodes, count].

    Polynomials, whose slope vanishes where that of N must, or harmonics.
    """
    problem = ansatz.problem
    name = problem.coordinates[axis]
    lower, upper = problem.domain.interval(name)
    if name in problem.periodic:
        rates = 2 * np.pi / (upper - lower) * ((np.arange(count) + 1) // 2)
        phases = np.where(np.arange(count) % 2 == 1, -np.pi / 2, 0.0)  # a sine is a cosine a quarter later
        angle = np.multiply.outer(nodes - lower, rates) + phases
        return np.stack([rates**k * np.cos(angle + k * np.pi / 2) for k in range(order + 1)])
    series = np.eye(count)
    slope = sympy.diff(ansatz.features[axis][0], problem.vocabulary.symbol(name))
    flat = [abs(float(slope.subs(problem.vocabulary.symbol(name), end))) < FLAT for end in (lower, upper)]
    if any(flat):
        # A constant, and integrals of what is zero at the flat ends.
        factor = legendre.legfromroots([end for end, zero in zip((-1.0, 1.0), flat, strict=True) if zero])
        made = [legendre.legint(legendre.legmul(factor, row)) for row in series[: count - 1]]
        series = np.zeros((count + 2, count))
        series[0, 0] = 1.0
        for k, row in enumerate(made, 1):
            series[: len(row), k] = row
    place, stretch = 2 * (nodes - lower) / (upper - lower) - 1, 2 / (upper - lower)
    return np.stack([legendre.legval(place, legendre.legder(series, k)).T * stretch**k for k in range(order + 1)])
