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
from sciml.network.series import adjoint_product, compose, composed, mapped, powers, product
from sciml.network.tape import Tape

__all__ = ["InputJet", "MLPTape", "expand", "lift", "selected"]

CACHED = 1 << 22  # bytes of a partial sum that stay in the cache on a CPU


@final
@dataclass(frozen=True)
class InputJet:
    """What the first trained layer of an MLP receives, expanded about each point: computed once per set of points.

    Attributes
    ----------
    indices : the derivatives that were asked for.
    tables : the index set of their closure.
    coefficients : Taylor coefficients [features, C, N].
    """

    indices: tuple[Index, ...]
    tables: IndexSet
    coefficients: Tensor

    def __len__(self) -> int:
        return self.coefficients.shape[2]

    def __getitem__(self, rows: slice | Tensor) -> InputJet:
        """Return the jet of some of the points."""
        return InputJet(self.indices, self.tables, self.coefficients[:, :, rows])


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
        y = torch.zeros((layer.features, len(tables), len(x)), dtype=x.dtype, device=x.device)
        y[:, 0] = x.T if layer.identity else torch.addmm(layer.phase[:, None], layer.matrix, x.T)
        for position, alpha in enumerate(tables.indices):
            if sum(alpha) == 1:
                y[:, position] = layer.matrix[:, alpha.index(1), None]
    else:
        y = (x.permute(2, 0, 1) / tables.factorials(x)).contiguous()
        if not layer.identity:
            y = mapped(layer.matrix, y)
            y[:, 0].add_(layer.phase[:, None])
    if layer.waves:
        z = y[: layer.waves]
        wave = compose(Sine().taylor(z[:, 0], tables.order), powers(z, tables), tables)
        y = torch.cat((wave, y[layer.waves :]))
    return InputJet(indices, tables, y)


@final
@dataclass(frozen=True)
class _Trace:
    """What the reverse pass needs of one layer."""

    layer: Layer
    previous: Tensor  # input of the layer [in, C, N]
    z: Tensor  # its affine map [out, C, N]
    powers: list[Sequence[Tensor]]  # of the activation's argument s (z - c)
    coefficients: list[Tensor]  # of f there, to order K + 1


def expand(mlp: MLP, source: InputJet, keep: bool) -> tuple[Tensor, list[_Trace]]:
    """Return the Taylor coefficients [outputs, C, N] of the output, and with `keep` what the reverse pass needs."""
    tables, a = source.tables, source.coefficients
    traces = []
    trained = False
    for layer in mlp.layers:
        assert isinstance(layer, Layer)
        z = mapped(layer.weight, a)
        z[:, 0].add_(layer.bias[:, None])  # `z[:, 0] +=` would copy the slice onto itself as well
        if layer.function is None:
            traces.append(_Trace(layer, a, z, [], []))
            a = z
            continue
        y = z
        if layer.steepness is not None or layer.shift is not None:
            y = z.clone()
            if layer.shift is not None:
                y[:, 0].sub_(layer.shift[:, None])
            if layer.steepness is not None:
                y *= layer.steepness[:, None, None]
        h = powers(y, tables)
        # The slope of a layer takes part from the first trained one on.
        trained = trained or (keep and _trained(layer))
        coefficients = layer.function.taylor(y[:, 0], tables.order + trained)
        if keep:
            traces.append(_Trace(layer, a, z, h, coefficients))
        a = compose(coefficients, h, tables)
    return a, traces


def selected(a: Tensor, source: InputJet) -> Tensor:
    """Return derivatives [K, N, outputs] in the order asked for from Taylor coefficients over the closed set."""
    tables = source.tables
    if source.indices != tables.indices:
        a = a[:, tables.positions(source.indices)]
    if tables.order > 1:
        a = a * tables.factorials(a, source.indices)
    return a.permute(1, 2, 0)


@final
class MLPTape(Tape):
    """The tape of a Taylor expansion through an MLP.

    With a = f(y), da = f'(y) dy as a truncated product, so the adjoint of y is sum_{alpha >= beta} f'(y)[alpha - beta]
    adjoint(a)[alpha]. The Jacobian of layer l at point n is sum_alpha adjoint(z)[i, alpha, n] a_prev[j, alpha, n].
    """

    def __init__(self, source: InputJet, traces: list[_Trace]) -> None:
        self._source = source
        self._traces = traces
        self._slopes: list[list[Tensor] | None] = [None] * len(traces)
        self._first = next((k for k, trace in enumerate(traces) if _trained(trace.layer)), len(traces) - 1)
        self.count = sum(p.numel() for trace in traces for p in trace.layer.parameters() if p.requires_grad)

    def _start(self, cotangent: Tensor) -> Tensor:
        """Return the adjoint of the output's Taylor coefficients [O, C, N]."""
        source, tables = self._source, self._source.tables
        expected = (len(source.indices), len(source), self._traces[-1].z.shape[0])
        if tuple(cotangent.shape) != expected:
            raise ArgumentError(
                f"cotangent: shape {tuple(cotangent.shape)}, accepted is {expected} or a batch of these"
            )
        cotangent = cotangent.permute(2, 0, 1)
        scaled = (cotangent * tables.factorials(cotangent, source.indices)).contiguous()
        if source.indices == tables.indices:
            return scaled
        adjoint = scaled.new_zeros((expected[2], len(tables), expected[1]))
        where = torch.tensor(tables.positions(source.indices), device=cotangent.device)
        return adjoint.index_add_(1, where, scaled)

    def _reverse(self, cotangent: Tensor) -> Iterator[tuple[_Trace, Tensor, Tensor]]:
        """Yield (trace, adjoint of z, adjoint of s (z - c)), from the last layer to the first trained one."""
        tables = self._source.tables
        adjoint = self._start(cotangent)
        for number in reversed(range(self._first, len(self._traces))):
            trace = self._traces[number]
            inner = adjoint
            if trace.layer.function is not None:
                inner = adjoint_product(self._slope_of(number), adjoint, tables)
            steepness = trace.layer.steepness
            adjoint = inner if steepness is None else inner * steepness[:, None, None]
            yield trace, adjoint, inner
            if number > self._first:
                adjoint = mapped(trace.layer.weight.T, adjoint)

    def _slope_of(self, number: int) -> list[Tensor]:
        """Return the coefficients [units, N] of the series f'(y) of a layer, computed once."""
        slope, trace = self._slopes[number], self._traces[number]
        if slope is None:
            slope = composed(trace.coefficients, trace.powers, self._source.tables, derivative=True)
            self._slopes[number] = slope
        return slope

    @torch.no_grad()
    def jacobian(self, cotangent: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the per-point Jacobian, in memory one parameter after another (`out` of that kind is the fast one)."""
        shape = (*cotangent.shape[:-3], len(self._source), self.count)
        if out is None:
            out = cotangent.new_empty((*shape[:-2], shape[-1], shape[-2])).mT
        elif tuple(out.shape) != shape:
            raise ArgumentError(f"out: shape {tuple(out.shape)}, accepted is {shape}")
        if cotangent.ndim == 4:
            for single, rows in zip(cotangent, out, strict=True):
                self.jacobian(single, rows)
            return out
        if out.stride(0) != 1:
            return out.copy_(self.jacobian(cotangent))
        end = self.count

        def block(parameter: Tensor | None) -> Tensor | None:
            """Return the rows of out' of the parameter that precedes the last one given, or None if it is fixed."""
            nonlocal end
            if parameter is None or not parameter.requires_grad:
                return None
            start, end = end - parameter.numel(), end - parameter.numel()
            return out.T[start : start + parameter.numel()]

        for trace, adjoint, inner in self._reverse(cotangent):
            layer = trace.layer
            if (rows := block(layer.shift)) is not None:
                _share(-adjoint[:, 0], rows)
            if (rows := block(layer.steepness)) is not None:
                _share(self._slope(trace, inner).sum(1), rows)
            if (rows := block(layer.bias)) is not None:
                rows.copy_(adjoint[:, 0])
            if (rows := block(layer.weight)) is not None:
                _outer(adjoint, trace.previous, rows.unflatten(0, layer.weight.shape))
        return out

    @staticmethod
    def _slope(trace: _Trace, inner: Tensor) -> Tensor:
        """Return the parts [units, C, N] of d/ds of s (z - c), weighted by the adjoint of that argument."""
        slope = trace.z * inner
        if trace.layer.shift is not None:
            slope[:, 0].addcmul_(trace.layer.shift[:, None], inner[:, 0], value=-1)
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
                own.append((adjoint.flatten(1) @ trace.previous.flatten(1).T).reshape(-1))
            if layer.bias.requires_grad:
                own.append(adjoint[:, 0].sum(1))
            if layer.steepness is not None and layer.steepness.requires_grad:
                total = self._slope(trace, inner).sum((1, 2))
                own.append(total if len(layer.steepness) == len(total) else total.sum(0, keepdim=True))
            if layer.shift is not None and layer.shift.requires_grad:
                total = -adjoint[:, 0].sum(1)
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
        for number, trace in list(enumerate(self._traces))[self._first :]:
            layer, z = trace.layer, trace.z
            turn = part(layer.weight)
            change = torch.zeros_like(z) if turn is None else mapped(turn, trace.previous)
            if moved is not None:
                change += mapped(layer.weight, moved)
            if (turn := part(layer.bias)) is not None:
                change[:, 0].add_(turn[:, None])
            steeper, shifted = part(layer.steepness), part(layer.shift)
            if shifted is not None:
                change[:, 0].sub_(shifted[:, None])
            if layer.steepness is not None:
                change *= layer.steepness[:, None, None]
            if steeper is not None:
                change += steeper[:, None, None] * z
                if layer.shift is not None:
                    change[:, 0].sub_((steeper * layer.shift)[:, None])
            moved = change if layer.function is None else product(self._slope_of(number), change, self._source.tables)
        assert moved is not None
        return selected(moved, self._source)

    @property
    def memory(self) -> int:
        """Bytes that the record holds."""
        kept = [t for trace in self._traces for t in (trace.previous, trace.z, *trace.coefficients)]
        kept += [t for trace in self._traces for power in trace.powers[1:] for t in power]
        kept += [t for slope in self._slopes for t in (slope or [])[1:]]
        return sum(t.nbytes for t in kept)


def _trained(layer: Layer) -> bool:
    return any(parameter.requires_grad for parameter in layer.parameters())


def _outer(adjoint: Tensor, previous: Tensor, out: Tensor) -> None:
    """Write sum_c adjoint[i, c, n] previous[j, c, n] into out[i, j, n].

    Batches of tiny matrices are slow in every library; products along the points are vectorised. The partial sums of a
    few units i stay in the cache, so that `out` is written once.
    """
    units, count, points = adjoint.shape
    features = previous.shape[0]
    step = units
    if adjoint.device.type == "cpu":
        step = max(1, CACHED // max(1, features * points * adjoint.element_size()))
    a, b = adjoint[:, None].unbind(2), previous[None].unbind(2)
    for start in range(0, units, step):
        rows = slice(start, start + step)
        if count == 1:
            torch.mul(a[0][rows], b[0], out=out[rows])
            continue
        total = a[0][rows] * b[0]
        for c in range(1, count - 1):
            total.addcmul_(a[c][rows], b[c])
        torch.addcmul(total, a[count - 1][rows], b[count - 1], out=out[rows])


def _share(per_unit: Tensor, out: Tensor) -> None:
    out.copy_(per_unit if len(out) == len(per_unit) else per_unit.sum(0, keepdim=True))
