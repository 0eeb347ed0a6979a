"""What a discovery returns: the equations with how sure they are, and everything that one does with equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from sciml.errors import ArgumentError
from sciml.sindy import exports
from sciml.sindy.simulation import Simulation, score_of, simulate
from sciml.status import Status

if TYPE_CHECKING:
    import sympy
    import torch
    from matplotlib.figure import Figure

    from sciml.problem import Problem

__all__ = ["Alternative", "Discovery", "load_discovery"]

Numbers = Mapping[str, Mapping[str, float]]


@final
@dataclass(frozen=True)
class Alternative:
    """Another model that the data allow.

    Attributes
    ----------
    equations : texts, one for each unknown.
    weight : of this model among all that were compared, between 0 and 1; the weights of all with the winner's sum to 1.
    coefficients : by unknown and term text.
    """

    equations: tuple[str, ...]
    weight: float
    coefficients: Numbers


@final
@dataclass(frozen=True, repr=False, eq=False)
class Discovery:
    """Equations that were found in data.

    Attributes
    ----------
    names : the unknowns.
    equations : texts in the package's notation, one for each unknown, coefficients rounded for reading.
    coefficients : {unknown: {term text: value}} of the terms in the equations, in the data's units, unrounded.
    standard_errors : by unknown and term, likewise.
    intervals : {unknown: {term text: (lower, upper)}}, 95 %.
    inclusion : {unknown: {term text: probability}}, for every term that some compared model has.
    alternatives : the runners-up, best first.
    noise : {unknown: standard deviation of the noise}, in the data's units.
    states : denoised data, one array [N, d] for each trajectory (fields: [len(x), len(t)] for each unknown).
    times : the sampling times, one array for each trajectory (fields: the coordinates' grids).
    diagnostics : "trusted" (bool), "reason" (text, empty if trusted), "misfit" (relative model error),
        "inner_constants" (relative standard error of b by denominator "b + x", which coefficients count, too),
        "outside" ("term", "unknown" and by how much the criterion is "ahead" with it, of the best term that was not
        offered, or None), "assumption" ("independent noise", "inexact data" or "errors of observation"), and more.
    method, wall_time (seconds), seed, history : as of a Solution.
    kind : "flow" (x' = f), "map" (next x = f) or "field" (u_t = f).
    coordinates : ("t",), or those of the field in the order of its arrays.
    control : names of the control inputs.
    data : what came in, as `states` is laid out.
    """

    names: tuple[str, ...]
    equations: tuple[str, ...]
    coefficients: Numbers
    _: KW_ONLY
    standard_errors: Numbers = field(default_factory=dict)
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    inclusion: Numbers = field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()
    noise: Mapping[str, float] = field(default_factory=dict)
    states: tuple[np.ndarray, ...] = ()
    times: tuple[np.ndarray, ...] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    method: str = ""
    wall_time: float = 0.0
    seed: int = 0
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    kind: Literal["flow", "map", "field"] = "flow"
    coordinates: tuple[str, ...] = ("t",)
    control: tuple[str, ...] = ()
    data: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        missing = [name for name in self.names if name not in self.coefficients]
        if missing:
            raise ArgumentError(f"coefficients must have a mapping for every unknown; missing: {', '.join(missing)}")

    # -- how it ended ----------------------------------------------------------------------------------------------

    @property
    def trusted(self) -> bool:
        """Whether the equations explain the data and the data determine the equations."""
        return bool(self.diagnostics.get("trusted", True))

    @property
    def success(self) -> bool:
        """The same as `trusted`."""
        return self.trusted

    @property
    def status(self) -> Status:
        """CONVERGED if trusted, else INACCURATE."""
        return Status.CONVERGED if self.trusted else Status.INACCURATE

    @property
    def message(self) -> str:
        """One sentence: why the law is not to be trusted, or that nothing speaks against it."""
        return str(self.diagnostics.get("reason") or "The equations explain the data to within the noise.")

    # -- as a function ---------------------------------------------------------------------------------------------

    def predict(self, x: Any, control: Any = None) -> Any:
        """Return the right-hand sides at given states (of a map, the next states).

        Parameters
        ----------
        x : array [N, d] or [d], or a list of them
        control : array [N, c], for a law with control inputs

        Returns
        -------
        ndarray of the shape of x, or a list of them; not finite where a term has no value.

        Raises
        ------
        ArgumentError
            wrong shapes, no control where the law needs it; a field's law.
        """
        self._refuse_field()
        if isinstance(x, (list, tuple)) and len(x) and np.ndim(x[0]) == 2:
            controls = [None] * len(x) if control is None else control
            return [self.predict(each, u) for each, u in zip(x, controls, strict=True)]
        return exports.rates(self, x, control)

    def simulate(
        self,
        initial: Any,
        t: Any,
        *,
        control: Callable[[float], Any] | np.ndarray | None = None,
        rtol: float = 1e-8,
        atol: float | None = None,
    ) -> Simulation:
        """Solve the law from given initial states.

        Parameters
        ----------
        initial : array [d], or [B, d] for B initial states at once
        t : array [T]
            times, increasing from the initial one; for a map an integer number of steps, or [T] of them.
        control : callable of time that returns [c], or array [T, c] at the times (linear in between)
        rtol, atol : tolerances of the integrator, per step; atol is by default 1e-3 rtol times the data's size.

        Returns
        -------
        Simulation
            states [T, d] or [B, T, d]: never fewer rows than asked for, NaN after a blow-up, and a status that says so.
        """
        self._refuse_field()
        return simulate(self, initial, t, control=control, rtol=rtol, atol=atol)

    def score(self, x: Any, t: Any = 1.0, *, control: Any = None) -> float:
        """Return the coefficient of determination R2 of the law's increments from sample to sample.

        Parameters
        ----------
        x : array [N, d], or a list of trajectories
        t : sampling times [N], a list of them, or the time step

        Raises
        ------
        ArgumentError
            wrong shapes; a field's law, which `problem` makes solvable.
        """
        self._refuse_field()
        return score_of(self, x, t, control)

    def _refuse_field(self) -> None:
        if self.kind == "field":
            raise ArgumentError("the law of a field is no function of states; solve law.problem(...) instead")

    # -- as something else -----------------------------------------------------------------------------------------

    def problem(
        self,
        t: tuple[float, float] = (0.0, 10.0),
        initial: Any = None,
        *,
        domain: Mapping[str, tuple[float, float]] | None = None,
        conditions: Sequence[str] = (),
        name: str = "discovered",
    ) -> Problem:
        """Return the law as a `sciml.Problem` that both solvers take.

        Parameters
        ----------
        t : (start, end)
        initial : array [d] at the start (the first denoised state if absent); for fields a formula for each unknown
        domain : for fields, the bounds of the space coordinates (those of the data if absent)
        conditions : further conditions in the notation, for fields the boundary conditions (periodic if absent)
        """
        return exports.problem_of(self, t, initial, domain, conditions, name)

    def to_sympy(self) -> list[sympy.Eq]:
        """Return the equations as SymPy has them, with unrounded coefficients."""
        return exports.sympy_equations(self)

    def to_torch(self) -> torch.nn.Module:
        """Return a module that maps states [..., d] (then control inputs) to rates; its coefficients can be trained."""
        return exports.torch_module(self)

    def to_pysindy(self) -> Any:
        """Return a fitted `pysindy.SINDy` with the same right-hand sides."""
        return exports.pysindy_model(self)

    def to_dict(self) -> dict[str, Any]:
        """Return equations, coefficients and how sure they are as JSON has them."""
        return exports.document(self)

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file (nothing in it is ever executed) and return its path."""
        from sciml.sindy.storage import save

        return save(self, path)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw data, denoised states, a simulation of the law, and the coefficients with their intervals."""
        from sciml.discovery_plotting import plot

        return plot(self, path)

    def _repr_latex_(self) -> str:
        return exports.latex(self)

    def __repr__(self) -> str:
        lines = list(self.equations)
        if not self.trusted:
            lines.append(f"(not to be trusted: {self.message})")
        return "\n".join(lines)


def load_discovery(path: str | Path) -> Discovery:
    """Read a discovery that `Discovery.save` wrote.

    Raises
    ------
    FileFormatError
        the file does not exist, is damaged or foreign.
    """
    from sciml.sindy.storage import load

    return load(path)
