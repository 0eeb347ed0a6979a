"""Jets of an arbitrary module by nested `torch.func`: slower than the Taylor route of an MLP, with the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vjp, vmap

from sciml.errors import ArgumentError
from sciml.network.multiindex import Index, index_set
from sciml.network.tape import Tape

__all__ = ["GeneralTape", "jet_general", "record_general"]


def _derivatives(function: Callable[[Tensor], Tensor], x: Tensor, indices: Sequence[Index]) -> Tensor:
    """Return derivatives [len(indices), N, O] of a function that maps rows of x to rows, by nested forward mode."""
    index_set(indices)  # refuses what is not a set of multi-indices
    if len(indices[0]) != x.shape[1]:
        raise ArgumentError(f"indices: {tuple(indices)}; accepted are {x.shape[1]} orders each, one per coordinate")
    cache: dict[Index, Callable[[Tensor], Tensor]] = {}

    def derivative(alpha: Index) -> Callable[[Tensor], Tensor]:
        if not any(alpha):
            return function
        if alpha not in cache:
            place = max(i for i, order in enumerate(alpha) if order)
            inner = derivative((*alpha[:place], alpha[place] - 1, *alpha[place + 1 :]))
            direction = torch.zeros_like(x)
            direction[:, place] = 1
            cache[alpha] = lambda points: jvp(inner, (points,), (direction,))[1]
        return cache[alpha]

    return torch.stack([derivative(tuple(alpha))(x) for alpha in indices])


def _split(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return trainable parameters, and everything else that the module holds."""
    trained = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    return trained, fixed | dict(module.named_buffers())


def jet_general(module: nn.Module, x: Tensor, indices: Sequence[Index]) -> Tensor:
    """Return derivatives [len(indices), N, outputs] of a module that acts on each row of x by itself."""
    return _derivatives(module, x, indices)


def record_general(module: nn.Module, x: Tensor, indices: Sequence[Index]) -> tuple[Tensor, Tape]:
    """Return derivatives and their tape for a module that acts on each row of x by itself."""
    with torch.no_grad():
        out = _derivatives(module, x, indices)
    return out, GeneralTape(module, x, indices)


@final
class GeneralTape(Tape):
    """The tape of any module: per-point Jacobians by `vmap` of `grad` over the points.

    The module's current parameters are read when a derivative is asked for, so they must be those of the recording.
    """

    def __init__(self, module: nn.Module, x: Tensor, indices: Sequence[Index]) -> None:
        self._module, self._x, self._indices = module, x, tuple(tuple(alpha) for alpha in indices)
        self._parameters, self._fixed = _split(module)

    def _out(self, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        def function(points: Tensor) -> Any:
            return functional_call(self._module, {**parameters, **self._fixed}, (points,))

        return _derivatives(function, x, self._indices)

    def jacobian(self, cotangent: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the per-point Jacobian; see `Tape.jacobian`."""
        if cotangent.ndim == 4:
            parts = torch.stack([self.jacobian(single) for single in cotangent])
            return parts if out is None else out.copy_(parts)

        def scalar(parameters: dict[str, Tensor], point: Tensor, weights: Tensor) -> Tensor:
            return (self._out(parameters, point[None])[:, 0] * weights).sum()

        rows = vmap(grad(scalar), in_dims=(None, 0, 1))(self._parameters, self._x, cotangent)
        result = torch.cat([rows[name].flatten(1) for name in self._parameters], 1).detach()
        return result if out is None else out.copy_(result)

    def gradient(self, cotangent: Tensor) -> Tensor:
        """Return the Jacobian summed over the points; see `Tape.gradient`."""
        if cotangent.ndim == 4:
            return torch.stack([self.gradient(single) for single in cotangent])
        pullback = vjp(lambda parameters: self._out(parameters, self._x), self._parameters)[1]
        (parts,) = pullback(cotangent)
        return torch.cat([parts[name].reshape(-1) for name in self._parameters]).detach()
