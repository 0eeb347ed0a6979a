"""Where residuals are asked for: low-discrepancy points in the box and on its sides, and points led by the residual."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sciml.domain import Box

__all__ = ["Sampler", "adapted"]


class Sampler:
    """Scrambled Sobol points (I. M. Sobol', doi:10.1016/0041-5553(67)90144-9; A. B. Owen, doi:10.1006/jcom.1998.0487).

    Every call gives new points; the sequence of calls is determined by the generator's state.

    Parameters
    ----------
    box : the domain.
    generator : source of the scrambling seeds and of all other random numbers.
    dtype, device : of the points.
    """

    def __init__(self, box: Box, generator: torch.Generator, dtype: torch.dtype, device: torch.device) -> None:
        self.generator = generator
        self.lower = torch.tensor(box.lower, dtype=dtype, device=device)
        self.lengths = torch.tensor(box.lengths, dtype=dtype, device=device)
        self._box = box

    def interior(self, count: int) -> Tensor:
        """Return `count` points of the box, [count, d]."""
        return self.lower + self.lengths * self._unit(count, self._box.dimension)

    def place(self, place: Mapping[str, float], count: int) -> Tensor:
        """Return points where the coordinates in `place` are fixed; a single one where all are."""
        fixed = {self._box.index(name): value for name, value in place.items()}
        free = [i for i in range(self._box.dimension) if i not in fixed]
        points = self.lower.repeat(count if free else 1, 1)
        for i, value in fixed.items():
            points[:, i] = value
        if free:
            points[:, free] += self.lengths[free] * self._unit(count, len(free))
        return points

    def _unit(self, count: int, dimension: int) -> Tensor:
        seed = int(torch.randint(2**31 - 1, (1,), generator=self.generator))
        engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed)
        return engine.draw(count, dtype=torch.float64).to(self.lower)

    def uniform(self, *shape: int) -> Tensor:
        """Return independent uniform numbers in [0, 1)."""
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64).to(self.lower)

    def jittered(self, points: Tensor) -> Tensor:
        """Move points by normal steps of 0.03 of the box times 10**-U(0, 1.5), reflected at the sides."""
        count, dimension = points.shape
        step = torch.randn(count, dimension, generator=self.generator, dtype=torch.float64).to(self.lower)
        step *= 0.03 * 10 ** (-1.5 * self.uniform(count, 1))
        unit = (points - self.lower) / self.lengths + step
        unit = unit.abs()
        return self.lower + self.lengths * (1 - (1 - unit).abs()).clamp(0, 1)


def adapted(candidates: Tensor, size: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` different candidates [K, d] with probability proportional to `size` [K] (their |residual|).

    Where the residual vanishes (or is not finite) everywhere the draw is uniform. This is population-based residual
    adaptive sampling: C. Wu et al., doi:10.1016/j.cma.2022.115671.
    """
    weights = size.detach().to("cpu", torch.float64)
    weights = torch.where(torch.isfinite(weights), weights, torch.zeros_like(weights))
    weights = weights + 1e-12 * weights.mean() + 1e-300
    chosen = torch.multinomial(weights, min(count, len(weights)), replacement=False, generator=generator)
    return candidates[chosen.to(candidates.device)]
