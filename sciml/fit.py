"""What an identification returns: a `Fit` with the unknown numbers and functions, how sure they are, and the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.errors import ArgumentError
from sciml.grids import real_array
from sciml.inference import Estimate
from sciml.status import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciml.network import MLP, Sum
    from sciml.observations import Observations
    from sciml.problem import Problem
    from sciml.solution import Solution

__all__ = ["Fit", "FunctionEstimate", "load_fit"]

# Points at which an unknown function is sampled: of one argument, and per argument of two or three.
SAMPLES = {1: 101, 2: 21, 3: 11}
# Points per Jacobian of a function's network: bounds the memory of a band on a large grid.
CHUNK = 8_192


@final
@dataclass(frozen=True, repr=False, eq=False)
class FunctionEstimate:
    """An identified function, callable like the function it is: `k(x)`.

    Attributes
    ----------
    name, arguments : as declared, "k" and ("x",).
    lower, upper : where the data reach, [A] each; beyond, the network extrapolates.
    network : an MLP from the arguments [N, A] to [N, 1].
    offset, factor : the function is offset + factor * network.
    covariance : of the network's trainable parameters, [P, P], or None.
    quantile : of Student's t for the band.
    """

    name: str
    arguments: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    network: MLP | Sum
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
        r"""Return the standard error of the values, NaN where there is no covariance.

        With the network's Jacobian g(x) in its trainable parameters and their covariance C it is

        .. math:: \mathrm{factor}\, \sqrt{g(x)^T C\, g(x)}.
        """
        points, shape = self._points(arguments)
        if self.covariance is None or not len(points):
            return np.full(shape, np.nan)[()]
        parts = [points[start : start + CHUNK] for start in range(0, len(points), CHUNK)]
        variance = np.concatenate([self._variance(part, self.covariance) for part in parts])
        return np.sqrt(np.maximum(variance, 0.0)).reshape(shape)[()]

    def band(self, *arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of pointwise 95 % confidence intervals."""
        middle, spread = self(*arguments), self.quantile * self.standard_error(*arguments)
        return middle - spread, middle + spread

    def sample(self, counts: Sequence[int] | int | None = None) -> dict[str, np.ndarray]:
        """Return columns [N] on an equispaced grid over where the data reach.

        Parameters
        ----------
        counts : points per argument; 101 of one argument, 21 of each of two, 11 of three if absent.

        Returns
        -------
        dict : the arguments by name, and "value", "standard_error", "lower", "upper".
        """
        number = SAMPLES.get(len(self.arguments), 3) if counts is None else counts
        numbers = [number] * len(self.arguments) if isinstance(number, int) else list(number)
        axes = [np.linspace(low, high, n) for low, high, n in zip(self.lower, self.upper, numbers, strict=True)]
        columns = [grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")]
        value, error = self(*columns), self.standard_error(*columns)
        spread = self.quantile * error
        return {
            **dict(zip(self.arguments, columns, strict=True)),
            "value": value,
            "standard_error": error,
            "lower": value - spread,
            "upper": value + spread,
        }

    def __repr__(self) -> str:
        ranges = zip(self.arguments, self.lower, self.upper, strict=True)
        where = ", ".join(f"{name} in [{low:.6g}, {high:.6g}]" for name, low, high in ranges)
        return f"{self.name}({', '.join(self.arguments)}) for {where}"

    def _variance(self, points: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        import torch

        from sciml.network import record

        like = next(self.network.parameters())
        out, tape = record(self.network, torch.as_tensor(points).to(like), [(0,) * len(self.arguments)])
        slopes = self.factor * tape.jacobian(torch.ones_like(out)).double().cpu().numpy()
        return np.sum((slopes @ covariance) * slopes, axis=1)

    def _points(self, arguments: Sequence[Any]) -> tuple[np.ndarray, tuple[int, ...]]:
        if len(arguments) != len(self.arguments):
            raise ArgumentError(f"{self.name} is a function of ({', '.join(self.arguments)}), {len(arguments)} came")
        columns = [
            real_array(a, f"the argument {name!r} of {self.name}")
            for name, a in zip(self.arguments, arguments, strict=True)
        ]
        try:
            columns = np.broadcast_arrays(*columns)
        except ValueError:
            shapes = ", ".join(f"{n} {list(np.shape(a))}" for n, a in zip(self.arguments, arguments, strict=True))
            raise ArgumentError(f"the arguments of {self.name} must broadcast, but their shapes are {shapes}") from None
        return np.stack([c.ravel().astype(np.float64) for c in columns], axis=1), columns[0].shape


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

    def __post_init__(self) -> None:
        if not isinstance(self.status, Status):
            raise ArgumentError(f"status must be a sciml.solution.Status, not {self.status!r}")
        object.__setattr__(self, "message", self.message or self.status.advice)

    @property
    def success(self) -> bool:
        """Whether the fit converged."""
        return self.status.success

    @property
    def solution(self) -> Solution:
        """The state in the first experiment."""
        return self.solutions[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each combination of unknown numbers that the data do not determine."""
        from sciml.fit_table import open_direction_text

        values = {name: estimate.value for name, estimate in self.parameters.items()}
        return tuple(open_direction_text(direction, values) for direction in self.undetermined)

    def table(self) -> str:
        """Return names, values, standard errors and 95 % intervals as a table of text, with noise and warnings."""
        from sciml.fit_table import table

        return table(self)

    def to_dict(self) -> dict[str, Any]:
        """Return what `python -m sciml.identify --json` prints: plain numbers, texts, lists and dictionaries."""
        from sciml.fit_table import to_dict

        return to_dict(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw data and state, residuals, intervals and functions; see `sciml.fit_plotting.plot`.

        Parameters
        ----------
        path : write the figure there; the suffix chooses the format (.png, .pdf, .svg).
        """
        from sciml.fit_plotting import plot

        return plot(self, path)

    def save(self, path: str | Path) -> Path:
        """Write the fit to one safetensors file and return its path; see `sciml.fit_storage.save`."""
        from sciml.fit_storage import save

        return save(self, path)

    def __repr__(self) -> str:
        from sciml.fit_table import summary

        return summary(self)

    def _repr_html_(self) -> str:
        from sciml.fit_table import html

        return html(self)

    def _repr_latex_(self) -> str:
        return self.problem._repr_latex_()


def load_fit(path: str | Path, problem: Problem | Sequence[Problem] | None = None) -> Fit:
    """Read a fit that `Fit.save` wrote: the same parameters, functions and states, bit for bit.

    Parameters
    ----------
    path : the file, or the directory that holds `fit.safetensors`.
    problem : the problem (or one for each experiment) to attach, with the identified values; needed only where its
        equations or conditions hold functions of Python, which a file cannot carry.

    Raises
    ------
    FileFormatError : the file is damaged, cut off, or no fit.
    """
    from sciml.fit_storage import load

    return load(path, problem)
