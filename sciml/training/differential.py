"""Products with the Jacobian of an objective that never form it: the Gauss-Newton model for large problems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from torch import Tensor

from sciml.network.tape import Tape

if TYPE_CHECKING:
    from sciml.training.objective import Evaluation, Objective, Rows

__all__ = ["DenseDifferential", "Differential", "GaussNewtonModel", "Part", "TapeDifferential", "gauss_newton_model"]


class Differential(ABC):
    """r_k at some rows and its derivative J_k with respect to the parameters, known by products with vectors."""

    @property
    @abstractmethod
    def residuals(self) -> dict[str, Tensor]:
        """r_k by name, each [rows of k]."""

    @abstractmethod
    def push(self, direction: Tensor) -> dict[str, Tensor]:
        """Return J_k d by name, for d of shape [P]."""

    @abstractmethod
    def pull(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return sum_k J_k' v_k, [P]; every term is named."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes that are held."""


@final
class DenseDifferential(Differential):
    """The products with Jacobians that are there, J_k [rows of k, P] by name."""

    def __init__(self, residuals: Mapping[str, Tensor], jacobians: Mapping[str, Tensor]) -> None:
        self._residuals = dict(residuals)
        self._jacobians = dict(jacobians)

    @property
    def residuals(self) -> dict[str, Tensor]:
        """r_k by name."""
        return self._residuals

    def push(self, direction: Tensor) -> dict[str, Tensor]:
        """Return J_k d by name."""
        return {name: jacobian @ direction for name, jacobian in self._jacobians.items()}

    def pull(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return sum_k J_k' v_k."""
        first, *others = (jacobian.T @ vectors[name] for name, jacobian in self._jacobians.items())
        return sum(others, start=first)

    @property
    def memory(self) -> int:
        """Bytes that are held."""
        return sum(jacobian.nbytes for jacobian in self._jacobians.values())


class Part(NamedTuple):
    """Terms that are functions of one recorded jet: their names, its tape, d r / d jet [terms, K, N, O], and a sign."""

    names: Sequence[str]
    tape: Tape
    cotangent: Tensor
    sign: float = 1.0


@final
class TapeDifferential(Differential):
    """The products by tapes: a tangent pass and a reverse pass through the network, work and memory per point O(P).

    Parameters
    ----------
    residuals : r_k by name.
    parts : what they are made of; a term that occurs in several is the sum.
    """

    def __init__(self, residuals: Mapping[str, Tensor], parts: Sequence[Part]) -> None:
        self._residuals = dict(residuals)
        self._parts = tuple(parts)

    @property
    def residuals(self) -> dict[str, Tensor]:
        """r_k by name."""
        return self._residuals

    def push(self, direction: Tensor) -> dict[str, Tensor]:
        """Return J_k d by name."""
        result: dict[str, Tensor] = {}
        for names, tape, cotangent, sign in self._parts:
            rows = sign * torch.einsum("mkno,kno->mn", cotangent, tape.tangent(direction))
            for name, row in zip(names, rows, strict=True):
                result[name] = result[name] + row if name in result else row
        return result

    def pull(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return sum_k J_k' v_k."""
        pulled = [
            tape.gradient(torch.einsum("mn,mkno->kno", sign * torch.stack([vectors[n] for n in names]), cotangent))
            for names, tape, cotangent, sign in self._parts
        ]
        return sum(pulled[1:], start=pulled[0])

    @property
    def memory(self) -> int:
        """Bytes that are held."""
        return sum(part.tape.memory + part.cotangent.nbytes for part in self._parts)


@final
@dataclass(frozen=True)
class GaussNewtonModel:
    """loss(theta + d) ~ loss + 2 g'd + d'A d with A = sum_k f_k J_k'J_k known by its products.

    Attributes
    ----------
    objective : whose model it is; a product loads `theta` into it.
    theta, residuals, evaluation : the parameters [P], r_k and the loss there.
    vector : g = sum_k f_k J_k'r_k, half the gradient, with factors f_k = weight_k / N_k.
    kept : what was recorded of each chunk of rows, or None where it is recorded anew for each product.
    """

    objective: Objective
    theta: Tensor
    residuals: dict[str, Tensor]
    evaluation: Evaluation
    vector: Tensor
    factors: Mapping[str, float]
    kept: Sequence[tuple[Rows, Differential | None]]

    def product(self, direction: Tensor) -> dict[str, Tensor]:
        """Return J_k d by term."""
        parts: dict[str, list[Tensor]] = {name: [] for name in self.residuals}
        for _, part in self._chunks():
            for name, moved in part.push(direction).items():
                parts[name].append(moved)
        return {name: torch.cat(pieces) for name, pieces in parts.items()}

    def transposed(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return sum_k f_k J_k' v_k."""
        total = torch.zeros_like(self.vector)
        for rows, part in self._chunks():
            total += part.pull({name: self.factors[name] * vectors[name][chosen] for name, chosen in rows.items()})
        return self.objective.summed(total)

    def curvature(self, direction: Tensor) -> Tensor:
        """Return A d, [P]."""
        total = torch.zeros_like(self.vector)
        for _, part in self._chunks():
            total += part.pull({name: self.factors[name] * moved for name, moved in part.push(direction).items()})
        return self.objective.summed(total)

    def _chunks(self) -> Iterator[tuple[Rows, Differential]]:
        self.objective.load(self.theta)  # what was recorded refers to the network's weights
        for rows, kept in self.kept:
            yield rows, self.objective.differential(rows) if kept is None else kept


def gauss_newton_model(objective: Objective, keep: int = 1 << 30) -> GaussNewtonModel:
    """Return the model at the objective's present parameters.

    Parameters
    ----------
    objective
        A least-squares objective.
    keep
        Bytes up to which records are kept for the products; the rows beyond are recorded anew each time.
    """
    theta, sizes = objective.parameters(), objective.sizes()
    factors = {name: objective.weight(name) / max(1, n) for name, n in objective.counts().items()}
    vector, held = torch.zeros_like(theta), 0
    kept: list[tuple[Rows, Differential | None]] = []
    parts: dict[str, list[Tensor]] = {name: [] for name in sizes}
    for rows in objective.chunks():
        part = objective.differential(rows)
        for name, r in part.residuals.items():
            parts[name].append(r)
        vector += part.pull({name: factors[name] * r for name, r in part.residuals.items()})
        held += part.memory
        kept.append((rows, part if held <= keep else None))
    residuals = {name: torch.cat(pieces) for name, pieces in parts.items() if pieces}
    evaluation, vector = objective.evaluation(residuals), objective.summed(vector)
    return GaussNewtonModel(objective, theta, residuals, evaluation, vector, factors, kept)
