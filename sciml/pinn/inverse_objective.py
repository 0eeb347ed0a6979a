"""The least-squares objective of an identification: data, equations and conditions of one or several experiments.

loss = sum_k w_k mean(r_k^2). Data are divided by their standard deviation s and have weights N_k / N with N the number
of all data, so that their part is chi^2 / N; each equation is divided by the size of its terms and by `tightness`,
the relative residual that is tolerated. The prior of an unknown function has a row for each coefficient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from sciml.pinn.collocation import adapted
from sciml.pinn.experiment import Experiment, Measured, Place
from sciml.pinn.parametric import Linearised
from sciml.pinn.quantities import Quantities
from sciml.pinn.residual import Block
from sciml.training.objective import Objective, Rows

__all__ = ["InverseObjective"]

# A logarithm is continued by its tangent below this part of the datum.
LEAST = 0.1
CHUNK = 1024


@final
class InverseObjective(Objective):
    """The objective; its parameters are those of every experiment's network, then the quantities.

    Parameters
    ----------
    experiments : with data.
    quantities : what they share.
    sigma : standard deviation of the data by observed name.
    tightness : relative residual of the equations that counts like one standard deviation of all data.
    multiplicative : whether differences of logarithms count.
    prior : factor of the functions' prior, 1 where sigma is that of the noise.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        quantities: Quantities,
        sigma: Mapping[str, float],
        tightness: float,
        multiplicative: bool = False,
        prior: float = 1.0,
    ) -> None:
        self.experiments = list(experiments)
        self.quantities = quantities
        self.sigma = dict(sigma)
        self.tightness = tightness
        self.multiplicative = multiplicative
        self.prior = prior
        self.data = sum(m.values.numel() for e in experiments for m in e.measured)

    # -- points ------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of points of the equations in each experiment."""
        return self.experiments[0].places[0].blocks[0].size

    def draw(self, count: int) -> None:
        """Take `count` fresh points in the box of each experiment, and what its sides deserve."""
        for experiment in self.experiments:
            for place in experiment.places:
                place.blocks = experiment.fresh(place, count)

    def resample(self, generator: torch.Generator | None = None, count: int | None = None) -> None:
        """Take `count` points, half of them fresh and half where the residual is large (`ForwardObjective`)."""
        count = self.size if count is None else count
        for experiment in self.experiments:
            interior, *others = experiment.places
            sampler = experiment.sampler
            present = torch.stack(interior.blocks[0].columns, 1)
            candidates = torch.cat((sampler.interior(2 * count), sampler.jittered(present)))
            block = interior.group.block(candidates)
            parts = [
                self._residual(experiment, interior, (block.part(slice(k, k + CHUNK)),))
                for k in range(0, block.size, CHUNK)
            ]
            size = torch.cat(parts, 1).square().sum(0).sqrt()
            led = adapted(candidates, size, count // 2, sampler.generator)
            points = torch.cat((sampler.interior(count - count // 2), led))
            interior.blocks = (interior.group.block(points),)
            for place in others:
                place.blocks = experiment.fresh(place, count)

    def thin(self, whole: Sequence[Experiment], most: int, generator: torch.Generator) -> None:
        """Take another random part of the data of `whole`, at most so many of each kind."""
        for experiment, own in zip(self.experiments, whole, strict=True):
            experiment.measured = own.with_fewer(most, generator).measured

    def fresh(self, generator: torch.Generator | None = None, count: int | None = None) -> dict[str, Tensor]:
        """Return residuals with the equations at `count` fresh points, leaving the training points alone."""
        result: dict[str, Tensor] = {}
        for experiment in self.experiments:
            for place in experiment.places:
                blocks = experiment.fresh(place, self.size if count is None else count)
                result.update(zip(place.names, self._residual(experiment, place, blocks), strict=True))
            for measured in experiment.measured:
                result.update(zip(measured.names, self._misfit(experiment, measured, measured.block), strict=True))
        return {**result, **self._priors()}

    def scale(self) -> None:
        """Divide each residual by the present size of its terms."""
        for experiment in self.experiments:
            for place in experiment.places:
                with torch.no_grad():
                    jet = place.group.field.network_jet(experiment.network, place.blocks[0])
                    sizes = place.group.sizes(place.blocks[0], jet, self.quantities).square().mean(1).sqrt()
                good = torch.isfinite(sizes) & (sizes > 0)
                place.scales = torch.where(good, sizes, torch.ones_like(sizes))

    def equation_loss(self, terms: Mapping[str, float]) -> float:
        """Return the mean square of the scaled residuals of equations and conditions, from the terms of a loss."""
        names = [name for e in self.experiments for p in e.places for name in p.names]
        return sum(terms[name] for name in names) / len(names)

    def misfits(self) -> dict[str, float]:
        """Return the root mean square of (state - data) or of the logarithms' difference, by observed name."""
        squares: dict[str, tuple[float, int]] = {}
        for experiment in self.experiments:
            for measured in experiment.measured:
                rows = self._misfit(experiment, measured, measured.block)
                for key, row in zip(measured.keys, rows, strict=True):
                    total, count = squares.get(key, (0.0, 0))
                    value = float(row.square().sum()) * self.sigma[key] ** 2
                    squares[key] = (total + value, count + row.numel())
        return {key: (total / count) ** 0.5 for key, (total, count) in squares.items()}

    # -- the protocol of training ------------------------------------------------------------------------------------

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term."""
        found: dict[str, float] = {}
        for experiment in self.experiments:
            for place in experiment.places:
                found.update(dict.fromkeys(place.names, place.weight / self.tightness**2))
            for measured in experiment.measured:
                found.update(dict.fromkeys(measured.names, measured.values.shape[1] / self.data))
        for name, f in self.quantities.functions.items():
            found[f"prior of {name}"] = self.prior * len(f.weights) / self.data
        return found

    def parameters(self) -> Tensor:
        """Return a copy of all parameters, [P]."""
        parts = [p.detach().reshape(-1) for e in self.experiments for p in e.trained]
        return torch.cat([*parts, self.quantities.parameters()])

    def load(self, theta: Tensor) -> None:
        """Set them from [P]."""
        start = 0
        with torch.no_grad():
            for experiment in self.experiments:
                for p in experiment.trained:
                    p.copy_(theta[start : start + p.numel()].view_as(p))
                    start += p.numel()
        self.quantities.load(theta[start:])

    def sizes(self) -> Mapping[str, int]:
        """Return the number of rows of each term."""
        found: dict[str, int] = {}
        for experiment in self.experiments:
            for place in experiment.places:
                found.update(dict.fromkeys(place.names, place.blocks[0].size))
            for measured in experiment.measured:
                found.update(dict.fromkeys(measured.names, measured.values.shape[1]))
        for name, f in self.quantities.functions.items():
            found[f"prior of {name}"] = len(f.weights)
        return found

    def groups(self) -> Sequence[Sequence[str]]:
        """Return the names of terms that share their points."""
        found: list[list[str]] = []
        for experiment in self.experiments:
            found += [place.names for place in experiment.places]
            found += [measured.names for measured in experiment.measured]
        return [*found, *([f"prior of {name}"] for name in self.quantities.functions)]

    def chunk_size(self) -> int:
        """Return how many rows are treated at once."""
        return min(super().chunk_size(), CHUNK)

    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return the residuals by name."""
        result: dict[str, Tensor] = {}
        for experiment in self.experiments:
            for place in experiment.places:
                if rows is None or place.names[0] in rows:
                    blocks = _part(place.blocks, None if rows is None else rows[place.names[0]])
                    result.update(zip(place.names, self._residual(experiment, place, blocks), strict=True))
            for measured in experiment.measured:
                if rows is None or measured.names[0] in rows:
                    chosen = slice(None) if rows is None else rows[measured.names[0]]
                    values = self._misfit(experiment, measured, measured.block.part(chosen), chosen)
                    result.update(zip(measured.names, values, strict=True))
        priors = self._priors()
        return {**result, **{n: p[_rows(rows, n)] for n, p in priors.items() if rows is None or n in rows}}

    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return residuals [N] and their Jacobians [N, P] by name."""
        residuals: dict[str, Tensor] = {}
        jacobians: dict[str, Tensor] = {}
        total, start = len(self.parameters()), 0
        for experiment in self.experiments:
            own = slice(start, start + experiment.count)
            start += experiment.count
            for place in experiment.places:
                if rows is None or place.names[0] in rows:
                    blocks = _part(place.blocks, None if rows is None else rows[place.names[0]])
                    values, matrices = self._linearised(experiment, place, blocks, own, total)
                    residuals.update(zip(place.names, values, strict=True))
                    jacobians.update(zip(place.names, matrices, strict=True))
            for measured in experiment.measured:
                if rows is None or measured.names[0] in rows:
                    chosen = slice(None) if rows is None else rows[measured.names[0]]
                    values, matrices = self._measured(experiment, measured, chosen, own, total)
                    residuals.update(zip(measured.names, values, strict=True))
                    jacobians.update(zip(measured.names, matrices, strict=True))
        places = self.quantities.places()
        for name, values in self._priors().items():
            if rows is None or name in rows:
                matrix = values.new_zeros((total, len(values))).T
                first = total - self.quantities.count + places[name.removeprefix("prior of ")].start
                matrix[:, first : first + len(values)].fill_diagonal_(len(values) ** 0.5)
                chosen = _rows(rows, name)
                residuals[name], jacobians[name] = values[chosen], matrix[chosen]
        return residuals, jacobians

    def state(self) -> dict[str, Tensor]:
        """Return nothing: points are drawn anew."""
        return {}

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _priors(self) -> dict[str, Tensor]:
        return {f"prior of {name}": f.weights for name, f in self.quantities.functions.items()}

    def _residual(self, experiment: Experiment, place: Place, blocks: Sequence[Block]) -> Tensor:
        """Scaled residuals [M, N] without graph."""
        with torch.no_grad():
            parts = [
                place.group.values(b, place.group.field.network_jet(experiment.network, b), self.quantities)
                for b in blocks
            ]
        return (parts[0] if len(parts) == 1 else parts[0] - parts[1]) / place.scales[:, None]

    def _linearised(
        self, experiment: Experiment, place: Place, blocks: Sequence[Block], own: slice, total: int
    ) -> tuple[Tensor, list[Tensor]]:
        parts: list[tuple[Tensor, list[Tensor]]] = []
        for block in blocks:
            jet, tape = place.group.field.record(experiment.network, block)
            found = place.group.linearised(block, jet, self.quantities)
            matrices = []
            for m, scale in enumerate(place.scales):
                matrix = found.values.new_zeros((total, block.size)).T
                tape.jacobian(found.cotangent[m] / scale, matrix[:, own])
                self._quantity_columns(matrix, found, m, float(scale))
                matrices.append(matrix)
            parts.append((found.values / place.scales[:, None], matrices))
        if len(parts) == 1:
            return parts[0]
        (here, at_here), (there, at_there) = parts
        return here - there, [a - b for a, b in zip(at_here, at_there, strict=True)]

    def _quantity_columns(self, matrix: Tensor, found: Linearised, m: int, scale: float) -> None:
        first = matrix.shape[1] - self.quantities.count
        matrix[:, first : first + found.numbers.shape[2]] = found.numbers[m] / scale
        for name, place in self.quantities.places().items():
            if name in found.functions:
                tape, cotangent = found.functions[name]
                tape.jacobian(cotangent[m] / scale, matrix[:, first + place.start : first + place.stop])

    def misfit(self, experiment: Experiment, measured: Measured) -> Tensor:
        """Return (state - data) / sigma [A, N]."""
        return self._misfit(experiment, measured, measured.block)

    def _misfit(
        self, experiment: Experiment, measured: Measured, block: Block, chosen: slice | Tensor = slice(None)
    ) -> Tensor:
        with torch.no_grad():
            state = measured.field.values(block, measured.field.network_jet(experiment.network, block))
        return self._compared(state, measured.values[:, chosen], measured.keys)[0]

    def _compared(self, state: Tensor, values: Tensor, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return (state - data) / sigma [A, N], of the logarithms where noise is multiplicative, and its derivative."""
        sigma = state.new_tensor([self.sigma[key] for key in keys])[:, None]
        if not self.multiplicative:
            return (state - values) / sigma, (1 / sigma).expand_as(state)
        ratio = state / values
        inside = ratio > LEAST
        safe = torch.where(inside, ratio, torch.full_like(ratio, LEAST))
        misfit = safe.log() + (ratio - safe) / LEAST
        return misfit / sigma, 1 / (safe * values * sigma)

    def _measured(
        self, experiment: Experiment, measured: Measured, chosen: slice | Tensor, own: slice, total: int
    ) -> tuple[Tensor, list[Tensor]]:
        block = measured.block.part(chosen)
        jet, tape = measured.field.record(experiment.network, block)
        state = measured.field.values(block, jet)
        values, slopes = self._compared(state, measured.values[:, chosen], measured.keys)
        matrices = []
        for a in range(len(measured.keys)):
            only = torch.zeros_like(state)[None]
            only[0, a] = slopes[a]
            cotangent = measured.field.cotangent(block, only, jet.shape[2])[0]
            matrix = values.new_zeros((total, block.size)).T
            tape.jacobian(cotangent, matrix[:, own])
            matrices.append(matrix)
        return values, matrices


def _part(blocks: Sequence[Block], rows: slice | Tensor | None) -> tuple[Block, ...]:
    return tuple(blocks) if rows is None else tuple(block.part(rows) for block in blocks)


def _rows(rows: Rows | None, name: str) -> slice | Tensor:
    return slice(None) if rows is None else rows[name]
