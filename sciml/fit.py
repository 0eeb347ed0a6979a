"""What an identification returns: a `Fit` with the unknown numbers and functions, how sure they are, and the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.errors import ArgumentError
from sciml.inference import Estimate
from sciml.status import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciml.network import MLP
    from sciml.observations import Observations
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = ["Fit", "FunctionEstimate", "load_fit"]


@final
@dataclass(frozen=True, eq=False)
class FunctionEstimate:
    """An identified function, callable like the function it is: `k(x)`.

    Attributes
    ----------
    name, arguments : as declared, "k" and ("x",).
    lower, upper : where the data reach, [A] each; beyond, the network extrapolates.
    network : an MLP from the arguments [N, A] to [N, 1].
    offset, factor : the function is offset + factor * network.
    covariance : of the network's parameters, [P, P], or None.
    quantile : of Student's t for the band.
    """

    name: str
    arguments: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    network: MLP
    offset: float = 0.0
    factor: float = 1.0
    covariance: np.ndarray | None = None
    quantile: float = 1.96

    def __call__(self, *arguments: Any) -> np.ndarray:
        """Return the values at arrays (or numbers) that broadcast, one for each argument."""
        points, shape = self._points(arguments)
        import torch

        with torch.no_grad():
            like = next(self.network.parameters())
            values = self.network(torch.as_tensor(points).to(like))[:, 0]
        return (self.offset + self.factor * values.double().cpu().numpy()).reshape(shape)[()]

    def standard_error(self, *arguments: Any) -> np.ndarray:
        """Return the standard error of the values."""
        points, shape = self._points(arguments)
        if self.covariance is None:
            return np.full(shape, np.nan)
        from sciml.network import parameter_jacobian

        slopes = self.factor * parameter_jacobian(self.network, points)
        variance = np.einsum("np,pq,nq->n", slopes, self.covariance, slopes)
        return np.sqrt(np.maximum(variance, 0.0)).reshape(shape)[()]

    def band(self, *arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of pointwise 95 % confidence intervals."""
        middle, spread = self(*arguments), self.quantile * self.standard_error(*arguments)
        return middle - spread, middle + spread

    def _points(self, arguments: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
        if len(arguments) != len(self.arguments):
            raise ArgumentError(f"{self.name} is a function of ({', '.join(self.arguments)}), {len(arguments)} came")
        columns = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in arguments))
        return np.stack([c.ravel() for c in columns], axis=1), columns[0].shape


@final
@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """The answer of an identification.

    Attributes
    ----------
    problem : with the identified numbers as its parameters.
    parameters : the unknown numbers, by name.
    functions : the unknown functions, by name.
    solutions : the state in each experiment; `solution` is the first.
    observations : the data, one of each experiment.
    residuals : for each experiment and observed name, (state - data) / noise, NaN where nothing was measured.
    noise : standard deviation of the noise by observed name (of the logarithm where it is multiplicative).
    noise_given : whether the noise was given by the user.
    noise_model : "additive" or "multiplicative".
    correlation : of the unknown numbers [P, P], in the order of `parameters`.
    covariance : of the unknown numbers [P, P].
    freedom : degrees of freedom that are left.
    undetermined : combinations of unknown numbers that the data do not determine, by name; empty if all is well.
    method, status, message, wall_time, history, details : as of a Solution.
    state : arrays by name from which the solver can resume.
    """

    problem: Problem
    _: KW_ONLY
    parameters: Mapping[str, Estimate]
    functions: Mapping[str, FunctionEstimate] = field(default_factory=dict)
    solutions: tuple[Solution, ...] = ()
    observations: tuple[Observations, ...] = ()
    residuals: tuple[Mapping[str, np.ndarray], ...] = ()
    noise: Mapping[str, float] = field(default_factory=dict)
    noise_given: bool = False
    noise_model: str = "additive"
    correlation: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    freedom: float = 0.0
    undetermined: Sequence[Mapping[str, float]] = ()
    method: str = ""
    status: Status = Status.CONVERGED
    message: str = ""
    wall_time: float = 0.0
    history: Mapping[str, Sequence[float] | np.ndarray] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the fit converged."""
        return self.status.success

    @property
    def solution(self) -> Solution:
        """The state in the first experiment."""
        return self.solutions[0]

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw data, state, residuals and functions."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write the fit to one safetensors file and return its path."""
        raise NotImplementedError


def load_fit(path: str | Path, problem: Problem | None = None) -> Fit:
    """Read a fit that `Fit.save` wrote."""
    raise NotImplementedError
