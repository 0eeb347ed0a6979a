"""Truncated Taylor expansions pushed through an MLP, and the reverse pass that gives their parameter Jacobian."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.errors import ArgumentError
from sciml.network.activations import Sine
from sciml.network.mlp import MLP, Layer
from sciml.network.multiindex import Index, IndexSet, checked, index_set
from sciml.network.series import adjoint_product, compose, differentiated, powers, product
from sciml.network.tape import Tape

__all__ = ["InputJet", "MLPTape", "expand", "lift", "selected"]


@final
@dataclass(frozen=True)
class InputJet:
    """What the first trained layer of an MLP receives, expanded about each point: computed once per set of points.

    Attributes
    ----------
    indices : the derivatives that were asked for.
    tables : the index set of their closure.
    coefficients : Taylor coefficients [C, N, features].
    """

    indices: tuple[Index, ...]
    tables: IndexSet
    coefficients: Tensor

    def __len__(self) -> int:
        return self.coefficients.shape[1]

    def __getitem__(self, rows: slice | Tensor) -> InputJet:
        """Return the jet of some of the points."""
        return InputJet(self.indices, self.tables, self.coefficients[:, rows])


def lift(mlp: MLP, x: Tensor, indices: Sequence[Index]) -> InputJet:
    """Return the expansion of the MLP's first-layer input about each point.

    Parameters
    ----------
    x
        Points [N, inputs]; or the derivatives [C, N, inputs] of the network's inputs as functions of coordinates, in
        the order of `closure(indices)`.
    indices
        The derivatives wanted of the output, multi-indices in the coordinates.
    """
    indices = checked(indices)
    tables = index_set(indices)
    layer = mlp.input_layer
    if x.ndim not in (2, 3) or x.shape[-1] != mlp.inputs or (x.ndim == 3 and len(x) != len(tables)):
        raise ArgumentError(
            f"x: shape {tuple(x.shape)}; accepted are points [N, {mlp.inputs}] or, for these indices, derivatives "
            f"of the inputs [{len(tables)}, N, {mlp.inputs}]"
        )
    if x.ndim == 2:
        if tables.dimension != mlp.inputs:
            raise ArgumentError(f"indices: {indices}; accepted are {mlp.inputs} orders each, one per coordinate")
        y = torch.zeros((len(tables), len(x), layer.features), dtype=x.dtype, device=x.device)
        y[0] = x if layer.identity else torch.addmm(layer.phase, x, layer.matrix.T)
        for position, alpha in enumerate(tables.indices):
            if sum(alpha) == 1:
                y[position] = layer.matrix[:, alpha.index(1)]
    else:
        y = x / tables.factorials(x)
        if not layer.identity:
            y = y @ layer.matrix.T
            y[0] += layer.phase
    if layer.waves:
        z = y[..., : layer.waves]
        wave = compose(Sine().taylor(z[0], tables.order), powers(z, tables), tables)
        y = torch.cat((wave, y[..., layer.waves :]), -1)
    return InputJet(indices, tables, y)


@final
@dataclass(frozen=True)
class _Trace:
    """What the reverse pass needs of one layer."""

    layer: Layer
    previous: Tensor  # input of the layer [C, N, in]
    z: Tensor  # its affine map [C, N, out]
    powers: list[Tensor]  # of the activation's argument s (z - c)
    coefficients: list[Tensor]  # of f there, to order K + 1


def expand(mlp: MLP, source: InputJet, keep: bool) -> tuple[Tensor, list[_Trace]]:
    """Return the Taylor coefficients [C, N, outputs] of the output, and with `keep` what the reverse pass needs."""
    tables, a = source.tables, source.coefficients
    traces = []
    for layer in mlp.layers:
        assert isinstance(layer, Layer)
        z = a @ layer.weight.T
        z[0] += layer.bias
        if layer.function is None:
            traces.append(_Trace(layer, a, z, [], []))
            a = z
            continue
        y = z
        if layer.steepness is not None or layer.shift is not None:
            y = z.clone()
            if layer.shift is not None:
                y[0] -= layer.shift
            if layer.steepness is not None:
                y *= layer.steepness
        h = powers(y, tables)
        coefficients = layer.function.taylor(y[0], tables.order + keep)
        if keep:
            traces.append(_Trace(layer, a, z, h, coefficients))
        a = compose(coefficients, h, tables)
    return a, traces


def selected(a: Tensor, source: InputJet) -> Tensor:
    """Return derivatives in the order asked for from Taylor coefficients over the closed set."""
    if source.indices == source.tables.indices:
        return a if source.tables.order <= 1 else a * source.tables.factorials(a)
    return a[source.tables.positions(source.indices)] * source.tables.factorials(a, source.indices)


@final
class MLPTape(Tape):
    """The tape of a Taylor expansion through an MLP.

    With a = f(y), da = f'(y) dy as a truncated product, so the adjoint of y is sum_{alpha >= beta} f'(y)[alpha - beta]
    adjoint(a)[alpha]. The Jacobian of layer l at point n is sum_alpha adjoint(z)[alpha, n, i] a_prev[alpha, n, j].
    """

    def __init__(self, source: InputJet, traces: list[_Trace]) -> None:
        self._source = source
        self._traces = traces
        self._slopes: list[Tensor | None] = [None] * len(traces)
        self.count = sum(p.numel() for trace in traces for p in trace.layer.parameters() if p.requires_grad)

    def _start(self, cotangent: Tensor) -> Tensor:
        source, tables = self._source, self._source.tables
        expected = (len(source.indices), len(source), self._traces[-1].z.shape[2])
        if tuple(cotangent.shape) != expected:
            raise ArgumentError(
                f"cotangent: shape {tuple(cotangent.shape)}, accepted is {expected} or a batch of these"
            )
        if source.indices == tables.indices:
            return cotangent * tables.factorials(cotangent)
        adjoint = torch.zeros((len(tables), *expected[1:]), dtype=cotangent.dtype, device=cotangent.device)
        where = torch.tensor(tables.positions(source.indices), device=cotangent.device)
        return adjoint.index_add_(0, where, cotangent * tables.factorials(cotangent, source.indices))

    def _reverse(self, cotangent: Tensor) -> Iterator[tuple[_Trace, Tensor, Tensor]]:
        """Yield (trace, adjoint of z, adjoint of s (z - c)), from the last layer to the first."""
        tables = self._source.tables
        adjoint = self._start(cotangent)
        for number in reversed(range(len(self._traces))):
            trace = self._traces[number]
            inner = adjoint
            if trace.layer.function is not None:
                inner = adjoint_product(self._slope_of(number), adjoint, tables)
            steepness = trace.layer.steepness
            adjoint = inner if steepness is None else inner * steepness
            yield trace, adjoint, inner
            if number:
                adjoint = adjoint @ trace.layer.weight

    def _slope_of(self, number: int) -> Tensor:
        """Return the series f'(y) of a layer [C, N, units], computed once."""
        slope, trace = self._slopes[number], self._traces[number]
        if slope is None:
            slope = compose(differentiated(trace.coefficients), trace.powers, self._source.tables)
            self._slopes[number] = slope
        return slope

    @torch.no_grad()
    def jacobian(self, cotangent: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the per-point Jacobian; see `Tape.jacobian`."""
        shape = (*cotangent.shape[:-3], len(self._source), self.count)
        if out is None:
            out = torch.empty(shape, dtype=cotangent.dtype, device=cotangent.device)
        elif tuple(out.shape) != shape:
            raise ArgumentError(f"out: shape {tuple(out.shape)}, accepted is {shape}")
        if cotangent.ndim == 4:
            for single, rows in zip(cotangent, out, strict=True):
                self.jacobian(single, rows)
            return out
        end = self.count

        def columns(parameter: Tensor | None) -> Tensor | None:
            """Return the columns of the parameter that precedes the last one given, or None if it is not trained."""
            nonlocal end
            if parameter is None or not parameter.requires_grad:
                return None
            start, end = end - parameter.numel(), end - parameter.numel()
            return out[:, start : start + parameter.numel()]

        for trace, adjoint, inner in self._reverse(cotangent):
            layer = trace.layer
            if (block := columns(layer.shift)) is not None:
                _share(-adjoint[0], block)
            if (block := columns(layer.steepness)) is not None:
                _share(self._slope(trace, inner).sum(0), block)
            if (block := columns(layer.bias)) is not None:
                block.copy_(adjoint[0])
            if (block := columns(layer.weight)) is not None:
                _outer(adjoint, trace.previous, block.unflatten(1, layer.weight.shape))
        return out

    @staticmethod
    def _slope(trace: _Trace, inner: Tensor) -> Tensor:
        """Return the parts [C, N, units] of d/ds of s (z - c), weighted by the adjoint of that argument."""
        slope = trace.z * inner
        if trace.layer.shift is not None:
            slope[0] -= trace.layer.shift * inner[0]
        return slope

    @torch.no_grad()
    def gradient(self, cotangent: Tensor) -> Tensor:
        """Return the Jacobian summed over the points; see `Tape.gradient`."""
        if cotangent.ndim == 4:
            return torch.stack([self.gradient(single) for single in cotangent])
        parts: list[Tensor] = []
        for trace, adjoint, inner in self._reverse(cotangent):
            layer = trace.layer
            own: list[Tensor] = []
            if layer.weight.requires_grad:
                own.append((adjoint.flatten(0, 1).T @ trace.previous.flatten(0, 1)).reshape(-1))
            if layer.bias.requires_grad:
                own.append(adjoint[0].sum(0))
            if layer.steepness is not None and layer.steepness.requires_grad:
                total = self._slope(trace, inner).sum((0, 1))
                own.append(total if len(layer.steepness) == len(total) else total.sum(0, keepdim=True))
            if layer.shift is not None and layer.shift.requires_grad:
                total = -adjoint[0].sum(0)
                own.append(total if len(layer.shift) == len(total) else total.sum(0, keepdim=True))
            parts = own + parts
        return torch.cat(parts)

    @torch.no_grad()
    def tangent(self, direction: Tensor) -> Tensor:
        """Return the derivative along a direction of the parameters; see `Tape.tangent`."""
        trained = [p for trace in self._traces for p in trace.layer.parameters() if p.requires_grad]
        parts = iter(direction.split([p.numel() for p in trained]))

        def part(parameter: Tensor | None) -> Tensor | None:
            """Return the direction's share of a parameter, asked for in their order; None if it is not trained."""
            return None if parameter is None or not parameter.requires_grad else next(parts).view_as(parameter)

        moved: Tensor | None = None
        for number, trace in enumerate(self._traces):
            layer, z = trace.layer, trace.z
            change = torch.zeros_like(z) if moved is None else moved @ layer.weight.T
            if (turn := part(layer.weight)) is not None:
                change += trace.previous @ turn.T
            if (turn := part(layer.bias)) is not None:
                change[0] += turn
            steeper, shifted = part(layer.steepness), part(layer.shift)
            if shifted is not None:
                change[0] -= shifted
            if layer.steepness is not None:
                change *= layer.steepness
            if steeper is not None:
                change += steeper * z
                if layer.shift is not None:
                    change[0] -= steeper * layer.shift
            moved = change if layer.function is None else product(self._slope_of(number), change, self._source.tables)
        assert moved is not None
        return selected(moved, self._source)

    @property
    def memory(self) -> int:
        """Bytes that the record holds."""
        kept = [t for trace in self._traces for t in (trace.previous, trace.z, *trace.powers, *trace.coefficients)]
        return sum(t.nbytes for t in (*kept, *(slope for slope in self._slopes if slope is not None)))


def _outer(adjoint: Tensor, previous: Tensor, out: Tensor) -> None:
    """Write sum_c adjoint[c, n, i] previous[c, n, j] into out[n, i, j]."""
    (count, _, units), features = adjoint.shape, previous.shape[2]
    if count == 1:
        torch.mul(adjoint[0][:, :, None], previous[0][:, None, :], out=out)
    elif count * units * features >= 400 or min(units, features) > 8:
        out.copy_(torch.bmm(adjoint.permute(1, 2, 0), previous.permute(1, 0, 2)))
    elif units <= features:  # torch multiplies batches of tiny matrices by scalar loops; these are vectorised
        for i in range(units):
            out[:, i] = (adjoint[:, :, i : i + 1] * previous).sum(0)
    else:
        for j in range(features):
            out[:, :, j] = (adjoint * previous[:, :, j : j + 1]).sum(0)


def _share(per_unit: Tensor, out: Tensor) -> None:
    out.copy_(per_unit if out.shape[1] == per_unit.shape[1] else per_unit.sum(1, keepdim=True))
