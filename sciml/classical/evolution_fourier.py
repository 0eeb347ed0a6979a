"""Evolution equations on periodic boxes: Fourier modes in space, the linear part diagonal in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.fft
import sympy
from numpy.typing import NDArray

from sciml.classical.exponential import ETDRK4, Scheme
from sciml.classical.exponential_trajectory import ExponentialTrajectory
from sciml.classical.extension import Extension
from sciml.classical.first_order import FirstOrderForm
from sciml.classical.splitting import Splitting
from sciml.notation import Partial, to_numpy

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["FourierSystem", "SemilinearSplit", "split_linear"]

Array = NDArray[Any]

# Eigenvectors of the linear part of a mode worse than this lose digits; such modes are treated with the nonlinear part.
WORST_CONDITION = 1e6


@dataclass(frozen=True)
class SemilinearSplit:
    """Rates written as a linear part with constant coefficients plus a rest.

    Attributes
    ----------
    linear : (rate, component, space orders, coefficient).
    rests : what remains of each rate, 0 where nothing does.
    linear_order, rest_order : highest total orders of space derivatives in both.
    """

    linear: tuple[tuple[int, int, tuple[int, ...], float], ...]
    rests: tuple[sympy.Expr, ...]
    linear_order: int
    rest_order: int

    @property
    def exponential(self) -> bool:
        """Whether an exponential integrator pays: all that is stiff is in the linear part."""
        exact = all(rest == 0 for rest in self.rests)
        return exact or (self.linear_order >= 2 and (self.rest_order <= 1 or self.rest_order < self.linear_order))


def split_linear(problem: Problem, form: FirstOrderForm) -> SemilinearSplit:
    """Take the linear terms with constant coefficients out of the rates, also those of the linearisation at zero."""
    vocabulary = problem.vocabulary
    symbols = [vocabulary.symbol(c) for c in problem.coordinates]
    linear, rests, orders = [], [], []
    for i, rate in enumerate(form.rates):
        leaves = {p: sympy.Dummy(f"u{j}", real=True) for j, p in enumerate(vocabulary.partials(rate))}
        rest = rate.xreplace({vocabulary.expression(p): leaf for p, leaf in leaves.items()})
        for partial, leaf in leaves.items():
            slope = sympy.diff(rest, leaf)
            constant = not slope.has(*symbols, *leaves.values())
            value = sympy.N(slope if constant else slope.xreplace(dict.fromkeys(leaves.values(), sympy.Integer(0))), 17)
            if not (value.is_number and value.is_finite) or value == 0:
                continue
            component, space, _ = form.component_of(partial)
            linear.append((i, component, space, float(value)))
            # Where the leaf occurs nowhere else it goes entirely, without a remainder of rounding.
            rest = rest.xreplace({leaf: sympy.Integer(0)}) if constant else rest - value * leaf
        rests.append(rest.xreplace({leaf: vocabulary.expression(p) for p, leaf in leaves.items()}))
        orders += [sum(form.space_orders(p)) for p in vocabulary.partials(rests[-1])]
    highest = max((sum(space) for _, _, space, _ in linear), default=0)
    return SemilinearSplit(tuple(linear), tuple(rests), highest, max(orders, default=0))


class FourierSystem:
    """A semilinear system in Fourier space, diagonal up to the rest: w' = rates * w + N(t, w).

    Parameters
    ----------
    problem, form, split : the equations.
    extensions : one for each space coordinate.
    shape : number of points in one period of each, even.

    Attributes
    ----------
    rates : eigenvalues of the linear part, flat [components * modes].
    vectors : eigenvectors of the linear part of each mode, [*modes, components, components].
    """

    def __init__(
        self,
        problem: Problem,
        form: FirstOrderForm,
        split: SemilinearSplit,
        extensions: Sequence[Extension],
        shape: Sequence[int],
    ) -> None:
        self.form, self.split, self.extensions, self.shape = form, split, tuple(extensions), tuple(shape)
        count, dimension = len(form.components), len(shape)
        self.axes = tuple(range(1, dimension + 1))
        self.points = [e.a + e.period * np.arange(n) / n for e, n in zip(extensions, shape, strict=True)]
        self.wavenumbers = [
            2 * np.pi / e.period * (np.fft.rfftfreq(n, 1 / n) if axis == dimension - 1 else np.fft.fftfreq(n, 1 / n))
            for axis, (e, n) in enumerate(zip(extensions, shape, strict=True))
        ]
        self.modes = tuple(k.size for k in self.wavenumbers)
        # The highest mode of an even grid has no partner of the opposite sign: it is left out.
        self._kept = np.ones(self.modes)
        for axis, (k, n) in enumerate(zip(self.wavenumbers, shape, strict=True)):
            highest = np.abs(np.abs(k) * extensions[axis].period / (2 * np.pi) - n // 2) < 0.5
            self._kept[tuple(highest if a == axis else slice(None) for a in range(dimension))] = 0.0
        symbol = np.zeros((*self.modes, count, count), dtype=complex)
        for i, j, orders, value in split.linear:
            symbol[..., i, j] += value * self._factor(orders) * self._kept
        self._diagonalise(symbol)
        self._prepare_rest(problem)

    def _factor(self, orders: Sequence[int]) -> Array:
        """(i k)^orders for all modes."""
        result = np.ones(self.modes, dtype=complex)
        for axis, (k, order) in enumerate(zip(self.wavenumbers, orders, strict=True)):
            shape = [-1 if a == axis else 1 for a in range(len(self.modes))]
            result = result * ((1j * k) ** order).reshape(shape)
        return result

    def _diagonalise(self, symbol: Array) -> None:
        count = symbol.shape[-1]
        identity = np.broadcast_to(np.eye(count), symbol.shape)
        diagonal = np.einsum("...ii->...i", symbol)
        self._remainder: Array | None = None
        if not np.any(symbol - diagonal[..., None] * identity):
            values, self.vectors, self._inverse = diagonal, None, None
        else:
            values, vectors = np.linalg.eig(symbol)
            bad = ~(np.linalg.cond(vectors) < WORST_CONDITION)
            vectors[bad] = np.eye(count)
            if bad.any():
                mean = np.mean(diagonal, axis=-1)
                values[bad] = mean[bad][:, None]
                self._remainder = np.where(bad[..., None, None], symbol - mean[..., None, None] * identity, 0.0)
            self.vectors, self._inverse = vectors, np.linalg.inv(vectors)
        self.rates = np.ascontiguousarray(np.moveaxis(values, -1, 0)).ravel()

    def _prepare_rest(self, problem: Problem) -> None:
        self._rows = [i for i, rest in enumerate(self.split.rests) if rest != 0]
        rests = [self.split.rests[i] for i in self._rows]
        partials: tuple[Partial, ...] = problem.vocabulary.partials(*rests)
        places = [self.form.component_of(p)[:2] for p in partials]
        self._sources = [component for component, _ in places]
        self._factors = np.array([self._factor(orders) * self._kept for _, orders in places]).reshape(-1, *self.modes)
        leaves = [problem.vocabulary.expression(p) for p in partials]
        symbols = [problem.vocabulary.symbol(c) for c in problem.coordinates]
        self._rest = to_numpy(rests, [*symbols, *leaves], dict(problem.functions)) if rests else None
        self._grid = np.meshgrid(*self.points, indexing="ij", sparse=True)

    @property
    def exact(self) -> bool:
        """Whether there is no rest: the exponential of the linear part is the solution."""
        return self._rest is None and self._remainder is None

    @property
    def method(self) -> str:
        """Name of the method."""
        if self.exact:
            return "Fourier spectral, exact in time"
        return f"Fourier spectral, {'splitting of order 4' if self.dispersive else 'ETDRK4'}"

    @property
    def dispersive(self) -> bool:
        """Whether the linear part only turns phases and the rest acts at each point by itself."""
        size = float(np.max(np.abs(self.rates), initial=0.0))
        pointwise = self.split.rest_order == 0 and self._rest is not None and self._remainder is None
        return pointwise and bool(np.all(np.abs(np.real(self.rates)) <= 1e-10 * size))

    def scheme(self) -> Scheme:
        """Return the one-step method that suits the equation."""
        return Splitting(self.rates, self._react) if self.dispersive else ETDRK4(self.rates, self.nonlinear)

    def nonlinear(self, time: float, flat: Array) -> Array:
        """Return N(t, w), flat."""
        spectrum = self.to_spectrum(flat)
        result = np.zeros_like(spectrum)
        if self._rest is not None:
            fields = self._to_points(spectrum[self._sources] * self._factors)
            result[self._rows] = self._to_modes(self._evaluate_rest(time, fields))
        if self._remainder is not None:
            result += np.einsum("...ij,j...->i...", self._remainder, spectrum)
        return self.from_spectrum(result)

    def _react(self, time: float, duration: float, flat: Array) -> Array:
        """Integrate u' = rest at every point by one step of the classical Runge-Kutta method."""
        start = self._to_points(self.to_spectrum(flat))

        def rate(fields: Array) -> Array:
            result = np.zeros_like(fields)
            result[self._rows] = self._evaluate_rest(time, fields[self._sources])
            return result

        one = rate(start)
        two = rate(start + duration / 2 * one)
        three = rate(start + duration / 2 * two)
        four = rate(start + duration * three)
        return self.from_spectrum(self._to_modes(start + duration / 6 * (one + 2 * two + 2 * three + four)))

    def _evaluate_rest(self, time: float, fields: Array) -> Array:
        assert self._rest is not None
        coordinates = list(self._grid)
        coordinates.insert(self.form.time, np.array(time))
        return np.stack([np.broadcast_to(v, self.shape) for v in self._rest(*coordinates, *fields)])

    def _to_points(self, spectrum: Array) -> Array:
        return np.asarray(scipy.fft.irfftn(spectrum, s=self.shape, axes=self.axes, norm="forward"))

    def _to_modes(self, fields: Array) -> Array:
        return np.asarray(scipy.fft.rfftn(fields, axes=self.axes, norm="forward")) * self._kept

    def to_spectrum(self, flat: Array) -> Array:
        """Fourier coefficients of the components, [components, *modes], from the flat state."""
        w = flat.reshape(-1, *self.modes)
        return w if self.vectors is None else np.einsum("...ij,j...->i...", self.vectors, w)

    def from_spectrum(self, spectrum: Array) -> Array:
        """Return the flat state of Fourier coefficients."""
        w = spectrum if self._inverse is None else np.einsum("...ij,j...->i...", self._inverse, spectrum)
        return w.ravel()

    def initial(self, problem: Problem, formulas: Sequence[sympy.Expr]) -> Array:
        """Return the flat state of initial values, continued over the period."""
        symbols = [problem.vocabulary.symbol(c) for c in problem.space]
        values = []
        for component, formula in zip(self.form.components, formulas, strict=True):
            folded = [e.fold(x, component.unknown) for e, x in zip(self.extensions, self.points, strict=True)]
            grid = np.meshgrid(*(x for x, _ in folded), indexing="ij")
            value = to_numpy([formula], symbols, dict(problem.functions))(*grid)[0]
            for axis, (_, sign) in enumerate(folded):
                value = value * sign.reshape([-1 if a == axis else 1 for a in range(value.ndim)])
            values.append(value)
        return self.from_spectrum(self._to_modes(np.stack(values)))

    def trim(
        self, trajectory: ExponentialTrajectory, tolerance: float
    ) -> tuple[ExponentialTrajectory, list[Array], Array | None]:
        """Leave out the highest modes as long as their norm stays below `tolerance` relative to that of all.

        Returns the trajectory, the wave numbers along each coordinate and the eigenvectors of the modes that are left.
        """
        count = len(self.form.components)
        states = np.concatenate([trajectory.states, trajectory.values(np.array([trajectory.end]))])
        energy = np.max(np.abs(states) ** 2, axis=0).reshape(count, *self.modes).sum(axis=0)
        kept = []
        for axis, k in enumerate(self.wavenumbers):
            profile = energy.sum(axis=tuple(a for a in range(energy.ndim) if a != axis))
            order = np.argsort(np.abs(k), kind="stable")
            beyond = np.cumsum(profile[order][::-1])[::-1]
            needed = order[beyond > tolerance**2 * energy.sum()]
            highest = np.abs(k[needed]).max(initial=0.0)
            kept.append(np.nonzero(np.abs(k) <= highest)[0])
        chosen = np.arange(count * energy.size).reshape(count, *self.modes)[np.ix_(np.arange(count), *kept)].ravel()
        vectors = None if self.vectors is None else self.vectors[np.ix_(*kept)]
        return trajectory.restricted(chosen), [k[i] for k, i in zip(self.wavenumbers, kept, strict=True)], vectors

    def tail(self, flat: Array) -> float:
        """Estimate the relative norm of what lies beyond the highest modes, over the unknowns themselves.

        The norms beyond one third and two thirds of the wave numbers are continued as a geometric sequence.
        """
        mine = [i for i, c in enumerate(self.form.components) if not any(c.orders)]
        squares = np.abs(self.to_spectrum(flat)) ** 2
        energy = squares[mine].sum(axis=0)
        # An unknown that has not moved yet consists of rounding errors.
        total, worst = max(float(energy.sum()), 1e-16 * float(squares.sum())), 0.0
        for axis, k in enumerate(self.wavenumbers):
            fraction = np.abs(k) / np.abs(k).max()
            third, last = (float(np.compress(fraction > limit, energy, axis=axis).sum()) for limit in (1 / 3, 2 / 3))
            if third > 0:
                worst = max(worst, last * min(1.0, last / third))
        return float(np.sqrt(worst / total)) if total > 0 else 0.0
