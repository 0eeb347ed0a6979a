"""Derivatives of a network's output in its coordinates (jets), and their Jacobian in the network's parameters.

For an `MLP` a truncated Taylor expansion is pushed through the layers once (`sciml.network.taylor`); any other module
goes through nested `torch.func` (`sciml.network.general`). Both give the same numbers and the same tape.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.errors import ArgumentError
from sciml.network.general import jet_general, record_general
from sciml.network.mlp import MLP
from sciml.network.multiindex import Index
from sciml.network.sums import Sum, SumTape
from sciml.network.tape import Tape
from sciml.network.taylor import InputJet, MLPTape, expand, lift, selected

__all__ = ["jet", "record"]


def record(module: nn.Module, x: Tensor | InputJet, indices: Sequence[Index] | None = None) -> tuple[Tensor, Tape]:
    """Evaluate derivatives of a network's output and keep what their parameter Jacobian needs.

    Parameters
    ----------
    module
        An `MLP`, a `Sum` of them, or any module that maps points [N, inputs] to [N, outputs] row by row.
    x
        Points [N, inputs]. For an MLP or a `Sum` also the derivatives [C, N, inputs] of its inputs as functions of
        coordinates (in the order of `closure(indices)`); for an MLP also an `InputJet` from `lift`: the fast way for
        points that are reused.
    indices
        The derivatives wanted, multi-indices in the coordinates; not needed for an `InputJet`.

    Returns
    -------
    out, tape
        Derivatives [len(indices), N, outputs] in the order of `indices`, without gradient graph; and the tape, valid
        until the parameters change.
    """
    if isinstance(module, Sum) and not isinstance(x, InputJet):
        outs, tapes, counts, slots = [], [], [], []
        for part, offset in zip(module, module.offsets, strict=True):
            count = sum(p.numel() for p in part.parameters() if p.requires_grad)
            if count:
                out, tape = record(part, x, indices)
                tapes.append(tape)
                counts.append(count)
                slots.append(slice(offset, offset + part.outputs))
            else:
                with torch.no_grad():
                    out = jet(part, x, indices)
            outs.append(out)
        return module.add(outs), SumTape(tapes, counts, slots, module.outputs)
    if not isinstance(module, MLP):
        return record_general(module, _points(x), _given(indices))
    with torch.no_grad():
        source = x if isinstance(x, InputJet) else lift(module, x, _given(indices))
        a, traces = expand(module, source, True)
        return selected(a, source), MLPTape(source, traces)


def jet(module: nn.Module, x: Tensor | InputJet, indices: Sequence[Index] | None = None) -> Tensor:
    """Return derivatives [len(indices), N, outputs] of a network's output, differentiable in its parameters.

    The arguments are those of `record`; wrap the call in `torch.no_grad()` where no gradient is needed.

    Examples
    --------
    >>> net = MLP(2, 1, width=8, depth=2)
    >>> x = torch.rand(5, 2, dtype=torch.float64)
    >>> jet(net, x, [(0, 0), (2, 1)]).shape             # u and u_xxt
    torch.Size([2, 5, 1])
    """
    if isinstance(module, Sum) and not isinstance(x, InputJet):
        return module.add([jet(part, x, indices) for part in module])
    if not isinstance(module, MLP):
        return jet_general(module, _points(x), _given(indices))
    source = x if isinstance(x, InputJet) else lift(module, x, _given(indices))
    return selected(expand(module, source, False)[0], source)


def _given(indices: Sequence[Index] | None) -> Sequence[Index]:
    if indices is None:
        raise ArgumentError("indices: needed unless x is an InputJet")
    return indices


def _points(x: Tensor | InputJet) -> Tensor:
    if isinstance(x, InputJet) or x.ndim != 2:
        raise ArgumentError("x: only points [N, inputs] are accepted for a module that is not an MLP")
    return x
