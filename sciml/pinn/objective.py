"""The least-squares objective of a forward problem: equations in the box, soft conditions at their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import sympy
import torch
from torch import Tensor, nn

from sciml.notation import Partial
from sciml.pinn.ansatz import MANY, Ansatz
from sciml.pinn.collocation import Sampler, adapted
from sciml.pinn.residual import Block, ResidualGroup, residual_group
from sciml.problem import Condition
from sciml.training.differential import Part, TapeDifferential
from sciml.training.objective import Objective, Rows

__all__ = ["ForwardObjective"]


@final
@dataclass
class _Place:
    """A group of residuals, the places where it is asked for (two for periodicity), and the points there now.

    Of several `sides` each has its share of the points.
    """

    names: list[str]
    group: ResidualGroup
    places: tuple[dict[str, float], ...]
    scales: Tensor
    weight: float
    blocks: tuple[Block, ...] = ()
    sides: tuple[Mapping[str, float], ...] = ()


@final
class ForwardObjective(Objective):
    """Residuals of all equations at interior points and of the soft conditions at points of their places.

    Each residual is divided by the size of its terms for the initial network, so that a loss of 1 means "nothing is
    balanced" for every equation in whatever units; the loss is sum_k w_k mean(r_k**2) with w = 1 for equations.

    Parameters
    ----------
    ansatz : the exact conditions.
    network : module from features to one output per unknown.
    sampler : source of points.
    condition_weight : w of the soft conditions.
    """

    def __init__(self, ansatz: Ansatz, network: nn.Module, sampler: Sampler, condition_weight: float = 10.0) -> None:
        self.ansatz = ansatz
        self.network = network
        self.sampler = sampler
        self._trained = [p for p in network.parameters() if p.requires_grad]
        group = residual_group(ansatz, list(ansatz.residuals.values()))
        interior = _Place(list(ansatz.residuals), group, ({},), torch.ones(group.count), 1.0)
        shared = _shared(ansatz)
        alone = [c for c in ansatz.soft if not any(c in same for same in shared)]
        self._places = [interior, *(self._soft(condition, condition_weight) for condition in alone)]
        for same in shared:
            group = residual_group(ansatz, [ansatz.problem.substituted(same[0].expression)])
            weight, sides = condition_weight * len(same), tuple(c.place for c in same)
            self._places.append(_Place([same[0].name.split(" [")[0]], group, ({},), torch.ones(1), weight, (), sides))
        self.draw(512)
        for place in self._places:
            place.scales = self._sizes(place)

    def _soft(self, condition: Condition, weight: float) -> _Place:
        problem = self.ansatz.problem
        if condition.kind != "periodic" or condition.partner is None:
            group = residual_group(self.ansatz, [problem.substituted(condition.expression)])
            return _Place([condition.name], group, (dict(condition.place),), torch.ones(1), weight)
        # Periodicity of one unknown: its value and its derivatives below the order of the equation, at both ends.
        (coordinate,) = condition.place
        partial = problem.vocabulary.partial_of(condition.expression)
        index = problem.domain.index(coordinate)
        if partial is None:
            expressions, names = [condition.expression], [condition.name]
        else:
            orders = range(max(problem.order(partial.unknown, coordinate), 1)) if not any(partial.orders) else [0]
            shifted = [_raised(partial, index, order) for order in orders]
            expressions = [problem.vocabulary.expression(p) for p in shifted]
            names = [condition.name if p == partial else f"{condition.name} [order {k}]" for k, p in enumerate(shifted)]
        group = residual_group(self.ansatz, expressions)
        places = (dict(condition.place), dict(condition.partner))
        return _Place(names, group, places, torch.ones(group.count), weight)

    # -- points ---------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of interior points."""
        return self._places[0].blocks[0].size

    def take_scales(self, other: ForwardObjective) -> None:
        """Scale each residual as another objective of the same problem does, so that losses can be compared."""
        for place, same in zip(self._places, other._places, strict=True):
            place.scales = same.scales

    @property
    def largest_scale(self) -> float:
        """The largest size of an equation's terms."""
        return float(self._places[0].scales.max())

    def take_points(self, other: ForwardObjective) -> None:
        """Ask for the residuals at the points of another objective of the same problem."""
        for place, same in zip(self._places, other._places, strict=True):
            place.blocks = tuple(place.group.block(torch.stack(block.columns, 1)) for block in same.blocks)

    def draw(self, count: int) -> None:
        """Take `count` fresh low-discrepancy points in the box, and as many as a side deserves on each side."""
        for place in self._places:
            place.blocks = self._fresh_blocks(place, count)

    def fresh(self, generator: torch.Generator | None = None, count: int | None = None) -> dict[str, Tensor]:
        """Return scaled residuals by name at `count` fresh points, leaving the training points alone."""
        result: dict[str, Tensor] = {}
        for place in self._places:
            blocks = self._fresh_blocks(place, self.size if count is None else count)
            values = self._values(place, blocks) / place.scales[:, None]
            result.update(zip(place.names, values, strict=True))
        return result

    def _fresh_blocks(self, place: _Place, count: int) -> tuple[Block, ...]:
        dimension = self.ansatz.problem.domain.dimension
        if place.sides:
            share = max(1, count // len(place.sides))
            points = torch.cat([self.sampler.place(side, share) for side in place.sides])
            return (place.group.block(points),)
        free = dimension - len(place.places[0])
        number = count if free == dimension else max(16, round(2 * count ** (free / dimension)))
        points = self.sampler.place(place.places[0], number)
        blocks = [place.group.block(points)]
        for other in place.places[1:]:
            points = points.clone()
            for name, value in other.items():
                points[:, self.ansatz.problem.domain.index(name)] = value
            blocks.append(place.group.block(points))
        return tuple(blocks)

    def resample(self, generator: torch.Generator | None = None, count: int | None = None) -> None:
        """Take `count` points (default: as many as now), half of them fresh and half where the residual is large.

        The candidates for the second half are fresh points and the present ones moved a little, so that a layer that
        has been found is kept.
        """
        count = self.size if count is None else count
        interior = self._places[0]
        present = torch.stack(interior.blocks[0].columns, 1)
        fresh = count - count // 2
        candidates = torch.cat((self.sampler.interior(3 * count), self.sampler.jittered(present)))
        size = self._chunked(interior, interior.group.block(candidates)).square().sum(0).sqrt()
        led = adapted(candidates, size, count // 2, self.sampler.generator)
        points = torch.cat((self.sampler.interior(fresh), led))
        interior.blocks = (interior.group.block(points),)
        for place in self._places[1:]:
            place.blocks = self._fresh_blocks(place, count)

    # -- the protocol of training ---------------------------------------------------------------------------------

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term."""
        return {name: place.weight for place in self._places for name in place.names}

    def parameters(self) -> Tensor:
        """Return a copy of the network's parameters, [P]."""
        return torch.cat([p.detach().reshape(-1) for p in self._trained])

    def load(self, theta: Tensor) -> None:
        """Set the network's parameters from [P]."""
        with torch.no_grad():
            for p, part in zip(self._trained, theta.split([p.numel() for p in self._trained]), strict=True):
                p.copy_(part.view_as(p))

    def sizes(self) -> Mapping[str, int]:
        """Return the number of points of each term."""
        return {name: place.blocks[0].size for place in self._places for name in place.names}

    def groups(self) -> Sequence[Sequence[str]]:
        """Return the names of terms that share their points."""
        return [place.names for place in self._places]

    def chunk_size(self) -> int:
        """Return how many points are treated at once: on a CPU fewer for wide layers, whose series fill the cache."""
        size = super().chunk_size()
        if self._trained[0].device.type != "cpu":
            return size
        width = max(p.shape[0] for p in self.network.parameters() if p.ndim)
        return min(size, max(256, (1 << 15) // width))

    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return the scaled residuals by name."""
        result: dict[str, Tensor] = {}
        for place, blocks in self._parts(rows):
            values = self._values(place, blocks) / place.scales[:, None]
            result.update(zip(place.names, values, strict=True))
        return result

    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return scaled residuals [N] and their Jacobians [N, P] by name."""
        residuals: dict[str, Tensor] = {}
        jacobians: dict[str, Tensor] = {}
        for place, blocks in self._parts(rows):
            targets = [None if out is None or len(blocks) > 1 else out[name] for name in place.names]
            values, jacobian = self._linearised(place, blocks, targets)
            residuals.update(zip(place.names, values, strict=True))
            jacobians.update(zip(place.names, jacobian, strict=True))
        return residuals, jacobians

    def weighted_gradient(
        self, factors: Mapping[str, float], rows: Rows | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return residuals by name, and sum_k factors[k] J_k' r_k [P] by one reverse pass a place."""
        residuals: dict[str, Tensor] = {}
        total = torch.zeros_like(self.parameters())
        for place, blocks in self._parts(rows):
            values = self._values(place, blocks) / place.scales[:, None]
            factor = torch.tensor([factors[name] for name in place.names], dtype=values.dtype, device=values.device)
            weights = factor[:, None] * values / place.scales[:, None]
            for sign, block in zip((1.0, -1.0), blocks, strict=False):
                jet, tape = place.group.field.record(self.network, block)
                cotangent = place.group.linearised(block, jet)[1]
                total += sign * tape.gradient(torch.einsum("mn,mcno->cno", weights, cotangent))
            residuals.update(zip(place.names, values, strict=True))
        return residuals, total

    def differential(self, rows: Rows | None = None) -> TapeDifferential:
        """Return scaled residuals by name, and products with their Jacobians by the tapes of the network's jets."""
        residuals: dict[str, Tensor] = {}
        parts: list[Part] = []
        for place, blocks in self._parts(rows):
            values = []
            for sign, block in zip((1.0, -1.0), blocks, strict=False):
                jet, tape = place.group.field.record(self.network, block)
                value, cotangent = place.group.linearised(block, jet)
                values.append(sign * value / place.scales[:, None])
                parts.append(Part(place.names, tape, cotangent / place.scales[:, None, None, None], sign))
            residuals.update(zip(place.names, sum(values[1:], start=values[0]), strict=True))
        return TapeDifferential(residuals, parts)

    def _parts(self, rows: Rows | None) -> Iterator[tuple[_Place, tuple[Block, ...]]]:
        for place in self._places:
            if rows is None:
                yield place, place.blocks
            elif place.names[0] in rows:
                yield place, tuple(block.part(rows[place.names[0]]) for block in place.blocks)

    def _values(self, place: _Place, blocks: Sequence[Block]) -> Tensor:
        """Unscaled residuals [M, N] without graph."""
        with torch.no_grad():
            parts = [place.group.values(b, place.group.field.network_jet(self.network, b)) for b in blocks]
        return parts[0] if len(parts) == 1 else parts[0] - parts[1]

    def _linearised(
        self, place: _Place, blocks: Sequence[Block], targets: Sequence[Tensor | None]
    ) -> tuple[Tensor, list[Tensor]]:
        """Scaled residuals [M, N] and the Jacobian [N, P] of each, written into the targets that are there."""
        values, jacobians = [], []
        for block in blocks:
            jet, tape = place.group.field.record(self.network, block)
            value, cotangent = place.group.linearised(block, jet)
            values.append(value / place.scales[:, None])
            scaled = cotangent / place.scales[:, None, None, None]
            jacobians.append([tape.jacobian(c, target) for c, target in zip(scaled, targets, strict=True)])
        if len(blocks) == 1:
            return values[0], jacobians[0]
        return values[0] - values[1], [here - there for here, there in zip(*jacobians, strict=True)]

    def _chunked(self, place: _Place, block: Block) -> Tensor:
        """Scaled residuals at any number of points, in chunks that stay in the cache."""
        step = self.chunk_size()
        parts = [self._values(place, (block.part(slice(k, k + step)),)) for k in range(0, block.size, step)]
        return torch.cat(parts, 1) / place.scales[:, None]

    def _sizes(self, place: _Place) -> Tensor:
        """Root mean square over the points of the size of the terms."""
        block = place.blocks[0]
        with torch.no_grad():
            jet = place.group.field.network_jet(self.network, block)
            sizes = place.group.term_sizes(block, jet).square().mean(1).sqrt()
        return torch.where(torch.isfinite(sizes) & (sizes > 0), sizes, torch.ones_like(sizes))


def _shared(ansatz: Ansatz) -> list[list[Condition]]:
    """In many dimensions the conditions that say the same on several sides: one term for all of them.

    A box in d dimensions has 2d sides, and each of them would have nearly as many points as the box.
    """
    groups: dict[sympy.Expr, list[Condition]] = {}
    for condition in ansatz.soft if ansatz.problem.domain.dimension >= MANY else ():
        if condition.kind == "boundary":
            groups.setdefault(condition.expression, []).append(condition)
    return [same for same in groups.values() if len(same) > 1]


def _raised(partial: Partial, index: int, order: int) -> Partial:
    orders = tuple(k + order if i == index else k for i, k in enumerate(partial.orders))
    return Partial(partial.unknown, orders)
