"""Jets of an arbitrary module by nested `torch.func`: slower than the Taylor route of an MLP, with the same numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vjp, vmap

from sciml.errors import ArgumentError
from sciml.network.multiindex import Index, checked
from sciml.network.tape import Tape

__all__ = ["GeneralTape", "jet_general", "prepare_forward_mode", "record_general"]


@cache
def prepare_forward_mode() -> None:
    """Let torch load what its forward mode needs; it warns there about its own use of `torch.jit.script`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _derivatives(function: Callable[[Tensor], Tensor], x: Tensor, indices: Sequence[Index]) -> Tensor:
    """Return derivatives [len(indices), N, O] of a function that maps rows of x to rows, by nested forward mode."""
    prepare_forward_mode()
    if len(indices[0]) != x.shape[1]:
        raise ArgumentError(f"indices: {tuple(indices)}; accepted are {x.shape[1]} orders each, one per coordinate")
    found: dict[Index, Tensor] = {}
    for alpha in sorted(indices, key=sum, reverse=True):
        if alpha not in found:
            found.update(_below(function, x, alpha))
    return torch.stack([found[alpha] for alpha in indices])


def _below(function: Callable[[Tensor], Tensor], x: Tensor, alpha: Index) -> dict[Index, Tensor]:
    """Return all derivatives up to alpha: forward mode gives values and slopes of what is known so far together."""

    def values(points: Tensor) -> dict[Index, Tensor]:
        return {(0,) * len(alpha): function(points)}

    known: Callable[[Tensor], dict[Index, Tensor]] = values

    for place, order in enumerate(alpha):
        direction = torch.zeros_like(x)
        direction[:, place] = 1
        for _ in range(order):
            known = _with_slopes(known, place, direction)
    return known(x)


def _with_slopes(
    known: Callable[[Tensor], dict[Index, Tensor]], place: int, direction: Tensor
) -> Callable[[Tensor], dict[Index, Tensor]]:
    def extended(points: Tensor) -> dict[Index, Tensor]:
        values, slopes = cast(tuple[dict, dict], jvp(known, (points,), (direction,)))
        raised = {(*a[:place], a[place] + 1, *a[place + 1 :]): slope for a, slope in slopes.items()}
        return raised | values

    return extended


def _split(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return trainable parameters, and everything else that the module holds."""
    trained = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    return trained, fixed | dict(module.named_buffers())


def jet_general(module: nn.Module, x: Tensor, indices: Sequence[Index]) -> Tensor:
    """Return derivatives [len(indices), N, outputs] of a module that acts on each row of x by itself."""
    return _derivatives(module, x, checked(indices))


def record_general(module: nn.Module, x: Tensor, indices: Sequence[Index]) -> tuple[Tensor, Tape]:
    """Return derivatives and their tape for a module that acts on each row of x by itself."""
    indices = checked(indices)
    with torch.no_grad():
        out = _derivatives(module, x, indices)
    return out, GeneralTape(module, x, indices)


@final
class GeneralTape(Tape):
    """The tape of any module: per-point Jacobians by `vmap` of `grad` over the points.

    The module's current parameters are read when a derivative is asked for, so they must be those of the recording.
    """

    def __init__(self, module: nn.Module, x: Tensor, indices: Sequence[Index]) -> None:
        self._module, self._x, self._indices = module, x, checked(indices)
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

    def tangent(self, direction: Tensor) -> Tensor:
        """Return the derivative along a direction of the parameters; see `Tape.tangent`."""
        prepare_forward_mode()
        parts = direction.split([p.numel() for p in self._parameters.values()])
        moved = {name: part.view_as(p) for (name, p), part in zip(self._parameters.items(), parts, strict=True)}
        return jvp(lambda parameters: self._out(parameters, self._x), (self._parameters,), (moved,))[1].detach()

    @property
    def memory(self) -> int:
        """Bytes that the record holds: nothing but the points is kept."""
        return self._x.nbytes
