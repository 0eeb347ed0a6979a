"""Nonlinear regression around a forward solver: weighted least squares, the noise, and what the data determine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from sciml.classical.clock import Clock
from sciml.classical.experiment import Experiment, TrialError
from sciml.classical.information import Information, information
from sciml.errors import SolveError
from sciml.inference import Range
from sciml.status import Status

__all__ = ["COARSEST", "Regression", "sizes_of"]

Array = NDArray[Any]

EVALUATIONS = 200  # at one tolerance
COARSEST = 1e-4  # tolerance of the forward solver at first
FACTOR = 1e-2  # from one tolerance to the next
SHIFT = 1e-2  # of the standard errors: errors of the solver that do not matter
CLOSE, FAR = 1e-4, 0.1  # offset from the minimum, in standard errors, at which a search ends: at best, at worst
ROUNDS = 20  # of estimating several noises
STEADY = 1e-3  # relative change of them at the end

Progress = Callable[[Mapping[str, Any]], None] | None


class _EndError(Exception):
    """Leaves SciPy's loop."""

    def __init__(self, status: Status, reason: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def sizes_of(experiments: Sequence[Experiment]) -> dict[str, float]:
    """Return the size of the data by name, one for logarithms: errors are relative to it."""
    names = np.concatenate([one.names for one in experiments])
    squares = np.concatenate([one.scale for one in experiments]) ** 2
    return {name: float(np.sqrt(np.mean(squares[names == name]))) for name in dict.fromkeys(names)}


@final
@dataclass(frozen=True)
class _Minimum:
    """Where the search stands: z [P], values [M], slopes [M, P] and their relative errors [P]."""

    z: Array
    values: Array
    slopes: Array
    errors: Array


@final
class Regression:
    r"""Minimise the sum of ((u(z) - y) / sigma)^2 over all data of all experiments.

    Gauss-Newton steps in a trust region (SciPy's `least_squares`) end where the step that is left is small against the
    standard errors [1]_; a step to where the forward problem has no solution is shortened. The forward solver starts
    with a loose tolerance, which is tightened until its errors shift nothing by more than a hundredth of a standard
    error, or to `rtol`. Several unknown noises weight each other: each is estimated with the degrees of freedom that
    its data keep, until they are steady (restricted maximum likelihood [2]_).

    Parameters
    ----------
    experiments : sequence of Experiment
    ranges : mapping
        the P unknown numbers by name.
    starts : sequence of arrays [P]
        first z; the best of them is taken.
    noise : mapping or None
        standard deviations by name of what was measured, or None to estimate them.
    rtol : float
        smallest tolerance of the forward solver.
    clock : Clock
        its budget ends the search.
    progress : callable, optional
        called after each step with a mapping.

    References
    ----------
    .. [1] D. M. Bates, D. G. Watts, Technometrics 23, 1981, doi:10.1080/00401706.1981.10486281.
    .. [2] H. D. Patterson, R. Thompson, Biometrika 58, 1971, doi:10.1093/biomet/58.3.545.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        ranges: Mapping[str, Range],
        starts: Sequence[Array],
        noise: Mapping[str, float] | None,
        *,
        rtol: float,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self.experiments, self.starts, self.noise = tuple(experiments), tuple(starts), noise
        self.start = self.starts[0]
        self.ranges, self.rtol, self.clock, self.progress = ranges, rtol, clock, progress
        self.names = np.concatenate([one.names for one in experiments])
        self.data = np.concatenate([one.data for one in experiments])
        self.scale = np.concatenate([one.scale for one in experiments])
        self.observed = tuple(dict.fromkeys(self.names))
        self.sizes = sizes_of(experiments)
        self.sigma = dict(self.sizes if noise is None else noise)
        self.tolerance = max(COARSEST, rtol)
        self.history: dict[str, list[float]] = {}
        self.status, self.reason, self.offset = Status.CONVERGED, "", math.inf
        self._best: _Minimum | None = None

    @property
    def z(self) -> Array:
        """The best unconstrained numbers so far, [P]."""
        return self.start if self._best is None else self._best.z

    def numbers(self, z: Array) -> dict[str, float]:
        """Return the unknown numbers."""
        return {name: own.value(float(z[k])) for k, (name, own) in enumerate(self.ranges.items())}

    def rates(self) -> Array:
        """Return the derivatives of the unknown numbers by z, [P]."""
        return np.array([own.slope(float(z)) for own, z in zip(self.ranges.values(), self.z, strict=True)])

    def extents(self) -> Array:
        """Return the sizes of the unknown numbers or of their first guesses, whichever is larger, [P]."""
        pairs = zip(self.ranges.values(), self.numbers(self.z).values(), strict=True)
        return np.array([max(abs(value), abs(own.center)) or 1.0 for own, value in pairs])

    def changes(self) -> Array:
        """Return changes of z that are as large as that, [P]."""
        return self.extents() / np.maximum(abs(self.rates()), 1e-300)

    @property
    def residual(self) -> Array:
        """Values less data at `z`, or their logarithms, [M]; NaN before the first step."""
        return np.full(len(self.data), np.nan) if self._best is None else self._best.values - self.data

    @property
    def solves(self) -> int:
        """How often a forward problem was solved."""
        return sum(one.solves for one in self.experiments)

    @property
    def iterations(self) -> int:
        """How many steps were accepted."""
        return len(self.history.get("loss", ()))

    def run(self) -> None:
        """Search at tighter and tighter tolerances of the forward solver.

        Raises
        ------
        SolveError : the forward problem has no usable solution at the start, or there was no time for one.
        """
        if len(self.starts) > 1:
            self.start = min(self.starts, key=_Search(self, self._weights()).loss)
        self._tighten()
        if self._best is None:
            raise SolveError("the time budget ended before the first step; allow more time")

    def _tighten(self) -> None:
        while self._fit():
            # An error of the solution of relative size tau moves the fit by at most tau |u / sigma| standard errors.
            enough = SHIFT / float(np.linalg.norm(self.scale * self._weights()))
            if self.tolerance <= max(self.rtol, enough):
                return
            # By small factors: slopes found at one tolerance serve at the next.
            following = max(self.tolerance * FACTOR, enough)
            self.tolerance = following if following > 2 * self.rtol else self.rtol

    def information(self) -> Information:
        """Return what the data say about z with the present noise."""
        if self._best is None:
            slopes, errors = np.zeros((len(self.data), len(self.start))), np.zeros(len(self.start))
        else:
            slopes, errors = self._best.slopes, self._best.errors
        return information(slopes * self._weights()[:, None], errors, self.changes())

    def shares(self) -> tuple[dict[str, Array], dict[str, float]]:
        """Return by name the covariance of z [P, P] that its noise causes, and the degrees of freedom that it keeps."""
        found = self.information()
        weighted = np.zeros((len(self.data), len(self.start)))
        if self._best is not None:
            weighted = self._best.slopes * self._weights()[:, None]
        parts, freedoms = {}, {}
        for name in self.observed:
            rows = self.names == name
            parts[name] = found.covariance @ (weighted[rows].T @ weighted[rows]) @ found.covariance
            freedoms[name] = float(np.sum(1 - found.leverage[rows]))
        return parts, freedoms

    def _fit(self) -> bool:
        """Search at one tolerance, with steady noises; whether to go on."""
        for _ in range(ROUNDS):
            going, before = self._minimise(), self.sigma
            if self.noise is None and self._best is not None:
                self.sigma = self._estimated(self._best)
            if not going:
                return False
            ratios = [self.sigma[name] / before[name] for name in self.observed]
            if len(ratios) == 1 or all(abs(math.log(ratio)) < STEADY for ratio in ratios):
                return True
        return True

    def _estimated(self, found: _Minimum) -> dict[str, float]:
        """Return the noises from the residuals; the errors of the solver are noise too."""
        squares = (found.values - self.data) ** 2
        freedoms = self.shares()[1]
        total = max(sum(freedoms.values()), 1.0)
        pooled = sum(float(np.sum(squares[self.names == n])) / self.sizes[n] ** 2 for n in self.observed) / total
        noises = {}
        for name, size in self.sizes.items():
            # A name whose data are all used up by the unknowns has the relative noise of the others.
            own = float(np.sum(squares[self.names == name]))
            variance = own / freedoms[name] if freedoms[name] > 0.5 else pooled * size**2
            noises[name] = max(math.sqrt(variance), self.tolerance * size)
        return noises

    def _minimise(self) -> bool:
        """Search at one tolerance with fixed noise; whether to go on."""
        weights = self._weights()
        self.status, self.reason = Status.CONVERGED, ""
        search = _Search(self, weights)
        try:
            found = least_squares(
                search.residual,
                self.z,
                search.jacobian,  # pyright: ignore[reportArgumentType]
                ftol=1e-15,
                xtol=1e-15,
                gtol=1e-15,
                max_nfev=EVALUATIONS,
            )
        except _EndError as end:
            self.status, self.reason = end.status, end.reason
            return end.status in (Status.CONVERGED, Status.STAGNATED)
        if found.status == 0:
            self.status = Status.ITERATIONS
        return found.status != 0

    def _weights(self) -> Array:
        return 1 / np.array([self.sigma[name] for name in self.names])

    def accept(self, found: _Minimum, offset: float) -> None:
        """Take a better place, append a row to the history and report it."""
        self._best, self.offset = found, offset
        # Relative to the data, so that rows can be compared when the noise is estimated anew.
        squares = (self.residual / self.scale) ** 2
        loss = float(np.mean(squares))
        terms = {name: float(np.mean(squares[self.names == name])) for name in self.observed}
        numbers = self.numbers(found.z)
        row = {"iteration": self.iterations + 1.0, "seconds": self.clock.seconds, "loss": loss}
        row |= {f"loss: {name}": value for name, value in terms.items()}
        row |= {f"parameter: {name}": value for name, value in numbers.items()}
        for name, value in {**row, "tolerance": self.tolerance}.items():
            self.history.setdefault(name, []).append(value)
        if self.progress is not None:
            report = {"iteration": self.iterations, "seconds": self.clock.seconds, "loss": loss, "terms": terms}
            stage = f"forward solver at {self.tolerance:.1e}"
            self.progress({**report, "estimate": None, "stage": stage, "parameters": numbers})


@final
class _Search:
    """The functions that SciPy calls at one tolerance, and when they have had enough."""

    def __init__(self, regression: Regression, weights: Array) -> None:
        self.regression, self.weights = regression, weights
        size = regression.tolerance * regression.scale * weights
        self.floor = float(np.mean(size**2))  # variance of errors of the solver
        self.shift = float(np.linalg.norm(size))
        self.place: Array | None = None  # accepted last, with its weighted slopes, and the standard deviation there
        self.slopes, self.spread, self.wanted = np.zeros((0, 0)), 1.0, FAR

    def residual(self, z: Array) -> Array:
        """Return the weighted residuals [M], infinite where the forward problem has no solution."""
        regression = self.regression
        if regression.clock.expired:
            raise _EndError(Status.BUDGET)
        if self.place is not None and self._length(self.slopes @ (z - self.place)) < 0.1 * self.wanted:
            # Steps were refused until they became too short to matter.
            if regression.offset <= 3 * FAR:
                raise _EndError(Status.CONVERGED)
            raise _EndError(Status.STAGNATED, "every step from here is worse, or leads to where there is no solution")
        try:
            return (self._values(z) - regression.data) * self.weights
        except TrialError as error:
            if regression.clock.expired:
                raise _EndError(Status.BUDGET) from None
            if self.place is None:
                raise self._failure(z, error) from None
            return np.full(len(regression.data), np.inf)

    def jacobian(self, z: Array) -> Array:
        """Return the weighted slopes [M, P] at a place that SciPy accepted."""
        regression = self.regression
        values = self._values(z)
        try:
            found = [one.slopes(z, regression.tolerance, regression.clock) for one in regression.experiments]
        except TrialError as error:
            if regression.clock.expired:
                raise _EndError(Status.BUDGET) from None
            raise _EndError(Status.STAGNATED, str(error)) from None
        slopes = np.concatenate([s for s, _ in found])
        if not np.all(np.isfinite(slopes)):
            raise _EndError(Status.STAGNATED, "the derivatives of the solution by the unknown numbers are not finite")
        sizes = np.linalg.norm(slopes / regression.scale[:, None], axis=0)
        errors = np.sqrt(sum(e**2 for _, e in found)) / np.maximum(sizes, 1e-300)
        misfit = (values - regression.data) * self.weights
        self.place, self.slopes = z.copy(), slopes * self.weights[:, None]
        self.spread = math.sqrt(float(np.sum(misfit**2)) / max(len(misfit) - len(z), 1) + self.floor)
        self.wanted = min(max(0.1 * self.shift / self.spread, CLOSE), FAR)
        offset = self._length(information(self.slopes, errors, regression.changes()).tangent.T @ misfit)
        regression.accept(_Minimum(z.copy(), values, slopes, errors), offset)
        if offset <= self.wanted:
            raise _EndError(Status.CONVERGED)
        return self.slopes

    def _length(self, shift: Array) -> float:
        """Return the length of a shift of the weighted values in standard errors of the fit."""
        return float(np.linalg.norm(shift)) / (math.sqrt(self.slopes.shape[1]) * self.spread)

    def _values(self, z: Array) -> Array:
        regression = self.regression
        return np.concatenate([one.values(z, regression.tolerance, regression.clock) for one in regression.experiments])

    def loss(self, z: Array) -> float:
        """Return the mean square of the weighted residuals, infinite where there is no solution."""
        try:
            return float(np.mean(((self._values(z) - self.regression.data) * self.weights) ** 2))
        except TrialError:
            return math.inf

    def _failure(self, z: Array, error: TrialError) -> Exception:
        """Return what to raise where there is no solution to begin with."""
        if self.regression.iterations:
            return _EndError(Status.STAGNATED, str(error))
        shown = ", ".join(f"{name} = {value:.6g}" for name, value in self.regression.numbers(z).items())
        return SolveError(
            f"the forward problem has no usable solution at the start, {shown}: {error}. "
            "problem.replace(...) sets another start"
        )
