"""The evaluator of one step: the collocation polynomial in time, whose coefficients are a network of x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from sciml.notation import Partial
from sciml.pinn.ansatz import Ansatz
from sciml.pinn.cascade import Cascade, Inputs
from sciml.pinn.residual import Field
from sciml.pinn.sampled import SampledState
from sciml.pinn.stage_modes import StageModes
from sciml.pinn.step_ansatz import step_ansatz
from sciml.problem import Problem
from sciml.solution import Evaluator

if TYPE_CHECKING:
    from sciml.pinn.stage_subspace import Subspace

__all__ = ["StepEvaluator"]

CHUNK = 2048


@final
class StepEvaluator(Evaluator):
    """Values and derivatives of u = g + s d sum_k N_k(x) p_k(t).

    Parameters
    ----------
    ansatz : with the scales s.
    cascade : the units.
    coefficients : of the modes in the units, [fields * modes, units].
    stages : of the method.
    softened : conditions that the ansatz was told not to meet.
    """

    kind: ClassVar[str] = "step"

    def __init__(
        self, ansatz: Ansatz, cascade: Cascade, coefficients: Tensor, stages: int, softened: Sequence[str] = ()
    ) -> None:
        problem = ansatz.problem
        assert problem.time is not None
        self.ansatz = ansatz
        self.cascade = cascade
        self.coefficients = coefficients
        self.stages = stages
        self.softened = tuple(softened)
        self._time = problem.domain.index(problem.time)
        start, stop = problem.domain.interval(problem.time)
        count = len(coefficients) // len(ansatz.fields)
        self._modes = StageModes(count, max(stages, count), start, stop - start)
        self._known: dict[tuple[Partial, ...], Field] = {}

    @classmethod
    def of(cls, subspace: Subspace) -> StepEvaluator:
        """Return the evaluator of a state."""
        coefficients = subspace.coefficients @ subspace.basis.T
        step = subspace.step
        return cls(step.ansatz, subspace.cascade, coefficients, step.stages, step.softened)

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the partials [len(partials), N] at points [N, 2]."""
        key = tuple(partials)
        if key not in self._known:
            self._known[key] = Field(self.ansatz, key)
        field = self._known[key]
        place = torch.as_tensor(points, dtype=torch.float64)
        parts = [self._part(field, part) for part in place.split(CHUNK)]
        return (torch.cat(parts, 1) if parts else place.new_empty((len(key), 0))).numpy()

    def unknowns(self, points: Tensor) -> Tensor:
        """Return the unknowns [unknowns, N] at points [N, 2]."""
        partials = [Partial(name, (0, 0)) for name in self.ansatz.problem.unknowns]
        return torch.from_numpy(self.evaluate(partials, points.numpy()))

    def _part(self, field: Field, points: Tensor) -> Tensor:
        block = field.block(points)
        space = 1 - self._time
        order = max(index[space] for index in field.indices)
        # Grids have every place many times.
        x, where = points[:, space].unique(return_inverse=True)
        by_place = self.cascade.units(x, order) @ self.coefficients.T
        functions = by_place[:, where].unflatten(2, (len(self.ansatz.fields), -1))  # [A, N, O, n]
        modes = {b: self._modes.at(points[:, self._time], b) for b in {index[self._time] for index in field.indices}}
        jets = [
            torch.einsum("nok,nk->no", functions[index[space]], modes[index[self._time]]) for index in field.indices
        ]
        return field.values(block, torch.stack(jets))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and a JSON-able rest."""
        arrays, rest = self.cascade.state()
        arrays = {f"network.{name}": value for name, value in arrays.items()}
        arrays["coefficients"] = self.coefficients.numpy()
        trace = self.ansatz.trace
        sampled = None
        if isinstance(trace, SampledState):
            more, sampled = trace.state()
            arrays |= {f"initial.{name}": value for name, value in more.items()}
        return arrays, {
            "network": rest,
            "initial": sampled,
            "seen": self.cascade.inputs.sees_initial,
            "softened": list(self.softened),
            "scales": dict(self.ansatz.scale),
            "stages": self.stages,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> StepEvaluator:
        """Build the ansatz from the problem and the network from its arrays."""
        trace = None
        if rest["initial"] is not None:
            trace = SampledState.restored(_below("initial.", arrays), rest["initial"])
        ansatz = step_ansatz(problem, trace, rest["softened"], rest["scales"])
        (space,) = problem.space
        inputs = Inputs(ansatz, space, rest["seen"], rest["network"]["scaling"])
        cascade = Cascade.restored(inputs, _below("network.", arrays), rest["network"])
        return cls(
            ansatz, cascade, torch.as_tensor(np.array(arrays["coefficients"])), int(rest["stages"]), rest["softened"]
        )


def _below(start: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}
