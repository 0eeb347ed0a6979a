"""The protocol between what is minimised and what minimises it: named residual vectors and their Jacobians.

loss(theta) = sum_k weight_k mean(r_k(theta)^2), the sum over named terms k.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError, closest
from sciml.training.differential import DenseDifferential, Differential
from sciml.training.linearization import Linearization, accumulate, keep_heap

__all__ = ["Evaluation", "Objective", "Rows"]

Rows = Mapping[str, "slice | Tensor"]
"""Rows of some terms, by name; a term that is not named takes no part."""


@final
@dataclass(frozen=True)
class Evaluation:
    """A loss and its parts.

    Attributes
    ----------
    loss : sum_k weight_k mean(r_k^2).
    terms : mean(r_k^2) by name, without the weight.
    """

    loss: float
    terms: Mapping[str, float]

    @property
    def finite(self) -> bool:
        """Whether the loss is a finite number."""
        return math.isfinite(self.loss)


class Objective(ABC):
    """A nonlinear least-squares problem over a vector of parameters theta.

    A subclass holds the parameters and the points at which residuals are taken. It implements `parameters`, `load`,
    `sizes`, `residuals` and `jacobian`; it overrides `weighted_gradient` and `differential` where products are cheaper
    than J, `groups` where terms share points, and `resample`, `fresh`, `state`, `restore` where points can be drawn
    anew.
    """

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term; a term that is not named has weight 1."""
        return {}

    @abstractmethod
    def parameters(self) -> Tensor:
        """Return a copy of the parameters, [P]."""

    @abstractmethod
    def load(self, theta: Tensor) -> None:
        """Set the parameters from [P]."""

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Return the length N_k of each residual vector."""

    @abstractmethod
    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return r_k at some rows (None: all), each [rows of k], without gradient graph."""

    @abstractmethod
    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return r_k and J_k = d r_k / d theta, [rows of k, P], by name; J_k may be written into `out[k]`.

        In memory J_k best lies one parameter after another, as in what `linearize` gives and a `Tape` returns.
        """

    def weighted_gradient(
        self, factors: Mapping[str, float], rows: Rows | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return r_k, and sum_k factors[k] J_k' r_k of shape [P]."""
        residuals, jacobians = self.jacobian(rows)
        return residuals, sum_tensors([factors[name] * (jacobians[name].T @ r) for name, r in residuals.items()])

    def differential(self, rows: Rows | None = None) -> Differential:
        """Return r_k and products with J_k at the present parameters; valid until they change."""
        return DenseDifferential(*self.jacobian(rows))

    def groups(self) -> Sequence[Sequence[str]]:
        """Return the names of terms that share their points: they are always given the same rows."""
        return [(name,) for name in self.sizes()]

    def resample(self, generator: torch.Generator) -> None:
        """Draw new points; without effect where the points are given."""
        return

    def fresh(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return residuals at newly drawn points, leaving the training points alone (the training ones if given)."""
        return self.residuals()

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must keep besides the parameters, such as the current points."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what `state` returned."""
        return

    def chunk_size(self) -> int:
        """Return how many rows of a term are treated at once, which bounds memory (and keeps a CPU in its cache)."""
        theta = self.parameters()
        if theta.device.type == "cpu":
            return 2048
        return max(256, (1 << 28) // max(1, theta.numel() * theta.element_size()))

    # Where several processes hold rows of one objective, `ParallelObjective` puts these in place of a single process's.

    def counts(self, rows: Rows | None = None) -> dict[str, int]:
        """Return how many rows of each term are in use, N_k if all, those of all processes together."""
        sizes = self.sizes()
        if rows is None:
            return dict(sizes)
        unknown = [name for name in rows if name not in sizes]
        if unknown:
            raise ArgumentError(
                f"rows: no term {unknown[0]!r}{closest(unknown[0], sizes)}; accepted: {', '.join(sizes)}"
            )
        return {name: len(range(sizes[name])[r] if isinstance(r, slice) else r) for name, r in rows.items()}

    def summed(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        return tensor

    def gathered(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the rows [n_k, ...] of all processes by term, in the order of the processes."""
        return dict(parts)

    def decided(self, flag: bool) -> bool:
        """Return the first process's answer to a question that clocks or users may answer differently."""
        return flag

    # What follows is common to all objectives.

    def weight(self, name: str) -> float:
        """Return the weight of a term."""
        return float(self.weights.get(name, 1.0))

    def chunks(self, rows: Rows | None = None) -> Iterator[dict[str, slice | Tensor]]:
        """Yield parts of all rows (or of `rows`), no more than `chunk_size` of a group at a time."""
        size, sizes = self.chunk_size(), self.sizes()
        for names in self.groups():
            if rows is None:
                for start in range(0, sizes[names[0]], size):
                    yield dict.fromkeys(names, slice(start, min(start + size, sizes[names[0]])))
            elif present := [name for name in names if name in rows]:
                chosen = rows[present[0]]
                if isinstance(chosen, slice):
                    chosen = torch.arange(*chosen.indices(sizes[present[0]]))
                for part in chosen.split(size):
                    yield dict.fromkeys(present, part)

    def evaluation(self, residuals: Mapping[str, Tensor]) -> Evaluation:
        """Return the loss of residual vectors by name."""
        terms = {name: float(r.square().mean()) if r.numel() else 0.0 for name, r in residuals.items()}
        return Evaluation(sum(self.weight(name) * value for name, value in terms.items()), terms)

    def collected(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return r_k like `residuals`, evaluated in chunks."""
        parts: dict[str, list[Tensor]] = {name: [] for name in self.sizes() if rows is None or name in rows}
        for chunk in self.chunks(rows):
            for name, r in self.residuals(chunk).items():
                parts[name].append(r)
        return {name: torch.cat(pieces) for name, pieces in parts.items() if pieces}

    def evaluate(self, rows: Rows | None = None) -> Evaluation:
        """Return the loss at the current parameters, evaluated in chunks."""
        return self.evaluation(self.collected(rows))

    def gradient(self, rows: Rows | None = None) -> tuple[Evaluation, Tensor]:
        """Return the loss and its gradient [P], evaluated in chunks; means are over the rows in use."""
        keep_heap()
        factors = {name: 2 * self.weight(name) / max(1, n) for name, n in self.counts(rows).items()}
        parts: dict[str, list[Tensor]] = {name: [] for name in factors}
        total = torch.zeros_like(self.parameters())
        for chunk in self.chunks(rows):
            residuals, gradient = self.weighted_gradient(factors, chunk)
            total += gradient
            for name, r in residuals.items():
                parts[name].append(r)
        evaluation = self.evaluation({name: torch.cat(pieces) for name, pieces in parts.items() if pieces})
        return evaluation, self.summed(total)

    def linearize(self, keep: int = 1 << 30, recycled: Linearization | None = None) -> Linearization:
        """Return the Gauss-Newton model at the current parameters, built in chunks of rows.

        Parameters
        ----------
        keep
            Bytes up to which the Jacobians are kept for products; above it they are recomputed for each product.
        recycled
            A former model that is no longer needed; its memory is used again.
        """
        keep_heap()
        theta, sizes = self.parameters(), self.sizes()
        count = theta.numel()
        shapes = {name: (n, count) for name, n in sizes.items()}
        kept: dict[str, Tensor] | None = None
        if sum(sizes.values()) * count * theta.element_size() <= keep:
            old = recycled.kept if recycled is not None and recycled.kept is not None else {}
            kept = {
                name: old[name]
                if name in old and old[name].shape == shape and old[name].dtype == theta.dtype
                else theta.new_empty(shape[::-1]).T
                for name, shape in shapes.items()
            }
        factors = {name: self.weight(name) / max(1, n) for name, n in self.counts().items()}
        residuals, matrix, vector = self.gram(factors, kept)
        evaluation, matrix, vector = self.evaluation(residuals), self.summed(matrix), self.summed(vector)
        return Linearization(self, theta, residuals, evaluation, matrix, vector, factors, kept)

    def gram(
        self, factors: Mapping[str, float], kept: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return r_k by name, sum_k f_k J_k'J_k [P, P] and sum_k f_k J_k'r_k [P] of this process's rows.

        J_k is written into `kept[k]`.
        """
        theta = self.parameters()
        matrix, vector = theta.new_zeros(theta.numel(), theta.numel()), torch.zeros_like(theta)
        parts: dict[str, list[Tensor]] = {name: [] for name in factors}
        for chunk in self.chunks():
            out = None if kept is None else {name: kept[name][rows] for name, rows in chunk.items()}
            residuals, jacobians = self.jacobian(chunk, out)
            for name, r in residuals.items():
                parts[name].append(r)
                accumulate(matrix, vector, jacobians[name], r, factors[name])
                if out is not None and jacobians[name].data_ptr() != out[name].data_ptr():
                    out[name].copy_(jacobians[name])
        matrix = torch.tril(matrix)
        matrix = matrix + torch.tril(matrix, -1).T
        return {name: torch.cat(pieces) for name, pieces in parts.items() if pieces}, matrix, vector

    def normal_equations(self) -> tuple[Tensor, Tensor, float, dict[str, Tensor]]:
        """Return A = sum_k w_k/N_k J_k'J_k, g = sum_k w_k/N_k J_k'r_k, the loss, and the residuals.

        The gradient of the loss is 2 g.
        """
        model = self.linearize(keep=0)
        return model.matrix, model.vector, model.evaluation.loss, model.residuals

    def check(self, rows: int = 4) -> float:
        """Return the largest relative deviation of `jacobian` from central differences, on first rows of each term."""
        chunk = {name: slice(0, min(rows, n)) for name, n in self.sizes().items()}
        theta = self.parameters()
        _, jacobians = self.jacobian(chunk)
        worst = 0.0
        for name, jacobian in jacobians.items():
            columns = []
            for p in range(theta.numel()):
                step = torch.zeros_like(theta)
                step[p] = 1e-5 * max(1.0, abs(float(theta[p])))
                sides = []
                for sign in (1, -1):
                    self.load(theta + sign * step)
                    sides.append(self.residuals(chunk)[name])
                columns.append((sides[0] - sides[1]) / (2 * step[p]))
            numeric = torch.stack(columns, 1)
            worst = max(worst, float((numeric - jacobian).abs().max() / jacobian.abs().max().clamp_min(1e-300)))
        self.load(theta)
        return worst


def sum_tensors(tensors: Sequence[Any]) -> Tensor:
    """Return the sum of one or more tensors of one shape."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total
