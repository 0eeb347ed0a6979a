"""Residuals of a problem's equations and conditions on a given field: at points, or averaged against smooth bumps.

A field is a function of partials and points, whoever computed it: an exact solution, a solver, a
perturbation of either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import sympy

from sciml.notation import Partial, to_numpy, to_text

if TYPE_CHECKING:
    import torch

    from sciml.problem import Problem

__all__ = ["Bumps", "Claim", "Field", "Measure", "Points", "claims_of", "exact_field", "perturbed_field", "remembered"]

# Derivatives [len(partials), N] at points [N, d].
Field = Callable[[Sequence[Partial], np.ndarray], np.ndarray]


class Claim(NamedTuple):
    """Residuals that vanish at a place, or are equal there and at a partner place; everywhere if the place is empty."""

    kind: str
    name: str
    expressions: tuple[sympy.Expr, ...]
    place: Mapping[str, float]
    partner: Mapping[str, float] | None


def claims_of(problem: Problem) -> list[Claim]:
    """Return what a problem claims of its solution: its equations everywhere, its conditions at their places."""
    vocabulary = problem.vocabulary
    claims = [
        Claim("equation", to_text(equation, vocabulary), (residual,), {}, None)
        for equation, residual in zip(problem.equations, problem.residuals, strict=True)
    ]
    for condition in problem.conditions:
        expressions = (condition.expression,)
        partial = vocabulary.partial_of(condition.expression)
        if condition.kind == "periodic" and partial is not None and not any(partial.orders):
            # Periodicity of u includes that of its derivatives below the order of the equation.
            (coordinate,) = condition.place
            i, order = problem.domain.index(coordinate), problem.order(partial.unknown, coordinate)
            zeros = partial.orders
            orders = [(*zeros[:i], k, *zeros[i + 1 :]) for k in range(max(order, 1))]
            expressions = tuple(vocabulary.expression(Partial(partial.unknown, o)) for o in orders)
        claims.append(Claim("condition", condition.name, expressions, condition.place, condition.partner))
    return claims


class Measure(ABC):
    """A way to reduce terms to numbers: values at points, or averages against bumps."""

    def __init__(self, problem: Problem, seed: int, count: int) -> None:
        self.problem, self.seed, self.count = problem, seed, count
        self.vocabulary = problem.vocabulary
        self.leaves = [self.vocabulary.symbol(c) for c in problem.coordinates]

    @abstractmethod
    def reduce(self, terms: Sequence[sympy.Expr], place: Mapping[str, float], field: Field) -> np.ndarray:
        """Return the numbers [len(terms), M] of terms at a place."""

    @final
    def residual(self, claim: Claim, field: Field) -> np.ndarray:
        """Return the residuals [len(claim.expressions), M] of a claim, relative to the largest of their terms.

        The size of the terms of a condition is looked up inside the domain too: at its place they may all vanish.
        """
        relative = []
        for expression in claim.expressions:
            terms = sympy.Add.make_args(sympy.expand_mul(self.problem.substituted(expression)))
            at = self.reduce(terms, claim.place, field)
            sizes = [np.max(abs(at))]
            if claim.partner is not None:
                at = at - self.reduce(terms, claim.partner, field)
            if claim.place:
                sizes.append(np.max(abs(self.reduce(terms, {}, field))))
            relative.append(at.sum(axis=0) / (max(sizes) or 1.0))
        return np.stack(relative)

    @final
    def error(self, claim: Claim, field: Field) -> float:
        """Return the largest relative residual."""
        return float(np.max(abs(self.residual(claim, field))))

    @final
    def values(self, terms: Sequence[sympy.Expr], points: np.ndarray, field: Field) -> np.ndarray:
        """Values [len(terms), N] of terms at points."""
        if not terms:
            return np.empty((0, len(points)))
        partials = self.vocabulary.partials(*terms)
        arguments = [*self.leaves, *(self.vocabulary.expression(p) for p in partials)]
        columns = [*points.T, *(field(partials, points) if partials else ())]
        return np.stack(_compiled(self.problem, terms, arguments)(*columns))


@final
class Points(Measure):
    """Values at random points of the open domain or of a place."""

    def reduce(self, terms: Sequence[sympy.Expr], place: Mapping[str, float], field: Field) -> np.ndarray:
        """Return the values [len(terms), count] at the points."""
        box = self.problem.domain
        points = np.random.default_rng(self.seed).random((self.count, box.dimension))
        points = np.array(box.lower) + np.clip(points, 1e-12, None) * np.array(box.lengths)
        for name, value in place.items():
            points[:, box.index(name)] = value
        return self.values(terms, points, field)


@final
class Bumps(Measure):
    """Averages against bumps on random boxes, by Gauss-Legendre rules.

    The boxes are between half of `width` and `width` of the domain wide; `refinement` scales the number of nodes.
    """

    def __init__(self, problem: Problem, seed: int, count: int, width: float, refinement: float = 1.0) -> None:
        super().__init__(problem, seed, count)
        self.width = width
        sizes = {1: 40, 2: 20, 3: 12}
        self.nodes, self.weights = np.polynomial.legendre.leggauss(
            int(refinement * sizes.get(problem.domain.dimension, 6))
        )
        order = max(max(p.orders) for p in self.vocabulary.partials(*problem.residuals))
        bump = np.polynomial.Polynomial([1, 0, -1]) ** (order + 3)
        # Derivatives of the bump, times weights, such that the rule with order 0 is an average.
        table = np.stack([self.weights * (bump.deriv(k) if k else bump)(self.nodes) for k in range(order + 1)])
        self.rules = table / table[0].sum()

    def reduce(self, terms: Sequence[sympy.Expr], place: Mapping[str, float], field: Field) -> np.ndarray:
        """Return the averages [len(terms), count] over the boxes; coordinates that the place fixes stay fixed."""
        box = self.problem.domain
        free = [i for i, name in enumerate(box.coordinates) if name not in place]
        rng = np.random.default_rng(self.seed)
        lengths = np.array(box.lengths)
        half = lengths * rng.uniform(self.width / 4, self.width / 2, (self.count, box.dimension))
        centre = np.array(box.lower) + half + (lengths - 2 * half) * rng.random((self.count, box.dimension))
        grid = np.meshgrid(*[self.nodes] * len(free), indexing="ij") if free else []
        points = np.repeat(centre[:, None, :], self.nodes.size ** len(free), axis=1)
        for i, offsets in zip(free, grid, strict=True):
            points[:, :, i] += half[:, i, None] * offsets.ravel()
        for name, value in place.items():
            points[:, :, box.index(name)] = value
        flat = points.reshape(-1, box.dimension)

        moved: list[tuple[int, ...]] = []  # orders of the derivative that the bump takes over from each term
        plain: list[sympy.Expr] = []
        for term in terms:
            factor, rest = term.as_coeff_Mul()
            partial = self.vocabulary.partial_of(rest)
            movable = partial is not None and not any(k for i, k in enumerate(partial.orders) if i not in free)
            orders = partial.orders if partial is not None and movable else (0,) * box.dimension
            moved.append(orders)
            bare = Partial(partial.unknown, (0,) * box.dimension) if partial is not None and movable else None
            plain.append(factor * self.vocabulary.expression(bare) if bare is not None else term)
        values = self.values(plain, flat, field).reshape(len(terms), self.count, -1)
        averages = np.empty((len(terms), self.count))
        for row, value, orders in zip(averages, values, moved, strict=True):
            rule = np.ones(1)
            for i in free:
                rule = np.multiply.outer(rule, self.rules[orders[i]]).ravel()
            row[:] = (value @ rule) * np.prod((-1 / half) ** np.array(orders), axis=1)
        return averages


def _compiled(problem: Problem, terms: Sequence[sympy.Expr], arguments: Sequence[sympy.Expr]) -> Callable[..., Any]:
    """Compile with NumPy, or with torch where the problem has functions: these are callables of tensors."""
    if not problem.functions:
        return to_numpy(terms, arguments)
    import torch

    from sciml.notation import to_torch

    compiled = to_torch(terms, arguments, dict(problem.functions))
    return lambda *columns: [v.detach().numpy() for v in compiled(*(torch.as_tensor(c) for c in columns))]


def remembered(field: Field) -> Field:
    """Keep what a field gave: claims share points, and a fine solution is slow to evaluate."""
    known: dict[bytes, dict[Partial, np.ndarray]] = {}

    def look_up(partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        rows = known.setdefault(points.tobytes(), {})
        missing = [partial for partial in partials if partial not in rows]
        if missing:
            rows.update(zip(missing, field(missing, points), strict=True))
        return np.stack([rows[partial] for partial in partials])

    return look_up


def exact_field(problem: Problem) -> Field:
    """Derivatives of the exact solution by repeated reverse differentiation, u_xx from u_x from u."""

    def field(partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        import torch

        leaves = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        zeros = (0,) * problem.domain.dimension
        known = {Partial(name, zeros): value for name, value in problem.evaluate_exact(leaves).items()}

        def derivative(partial: Partial) -> torch.Tensor:
            if partial not in known:
                i = max(i for i, order in enumerate(partial.orders) if order)
                orders = tuple(order - (j == i) for j, order in enumerate(partial.orders))
                lower = derivative(Partial(partial.unknown, orders))
                if not lower.requires_grad:  # a constant
                    return torch.zeros_like(lower)
                (gradient,) = torch.autograd.grad(lower.sum(), leaves, create_graph=True, materialize_grads=True)
                known[partial] = gradient[:, i]
            return known[partial]

        return np.stack([derivative(partial).detach().numpy() for partial in partials])

    return field


def perturbed_field(problem: Problem, field: Field, size: float, seed: int) -> Field:
    """Add to each unknown a plane wave of less than one period across the domain, so that no condition is spared."""
    box, rng = problem.domain, np.random.default_rng(seed)
    zeros = (0,) * box.dimension
    lower, lengths = np.array(box.lower), np.array(box.lengths)
    sample = lower + lengths * rng.random((200, box.dimension))
    values = field([Partial(name, zeros) for name in problem.unknowns], sample)
    waves = {
        name: (
            size * (np.max(abs(value)) or 1.0),
            rng.uniform(3.0, 5.0, box.dimension) / lengths,
            rng.uniform(0.4, 1.2),
        )
        for name, value in zip(problem.unknowns, values, strict=True)
    }

    def perturbed(partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        result = np.array(field(partials, points))
        for row, partial in zip(result, partials, strict=True):
            amplitude, numbers, phase = waves[partial.unknown]
            angle = (points - lower) @ numbers + phase + sum(partial.orders) * np.pi / 2
            row += amplitude * np.prod(numbers ** np.array(partial.orders)) * np.cos(angle)
        return result

    return perturbed
