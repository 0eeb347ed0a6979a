"""Two ready objectives: regression of data by a module, and a user's own residuals of a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacfwd

from sciml.errors import ArgumentError, closest
from sciml.network.general import prepare_forward_mode
from sciml.network.jets import record
from sciml.network.mlp import MLP
from sciml.network.parameters import flat_parameters, load_flat
from sciml.network.taylor import InputJet, lift
from sciml.training.differential import Part, TapeDifferential
from sciml.training.objective import Objective, Rows, sum_tensors

__all__ = ["FitObjective", "ModuleObjective"]


def _weights(weights: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    for name, weight in (weights or {}).items():
        if name not in names:
            raise ArgumentError(f"weights: no term {name!r}{closest(name, names)}; accepted: {', '.join(names)}")
        if not (isinstance(weight, int | float) and 0 <= weight < float("inf")):
            raise ArgumentError(f"weights: {name!r} has {weight!r}; accepted are finite numbers >= 0")
    return {name: float(weight) for name, weight in (weights or {}).items()}


@final
class FitObjective(Objective):
    """Least-squares regression: residuals module(x) - y, one named term per output.

    Parameters
    ----------
    module
        An `MLP`, or any module from [N, inputs] to [N, outputs] that treats each row by itself.
    x, y
        Points [N, inputs] and values [N, outputs], or [N] for one output; arrays or tensors, cast to the module's type.
    names
        Names of the terms, one per output; the default is "fit", or "fit 1", "fit 2", ... for several.
    weights
        Weights of the terms, by name.

    Raises
    ------
    ArgumentError
        If shapes do not belong together or numbers are not finite.
    """

    def __init__(
        self,
        module: nn.Module,
        x: Any,
        y: Any,
        *,
        names: Sequence[str] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        like = flat_parameters(module)
        self._module = module
        self._x = torch.as_tensor(x).to(like)
        self._y = torch.as_tensor(y).to(like)
        if self._y.ndim == 1:
            self._y = self._y[:, None]
        if self._x.ndim != 2 or self._y.ndim != 2 or len(self._x) != len(self._y) or not len(self._x):
            shapes = f"{tuple(self._x.shape)} and {tuple(self._y.shape)}"
            raise ArgumentError(f"x, y: shapes {shapes}; accepted are [N, inputs] and [N, outputs] or [N], N >= 1")
        if not (torch.isfinite(self._x).all() and torch.isfinite(self._y).all()):
            raise ArgumentError("x, y: every number must be finite")
        outputs = self._y.shape[1]
        with torch.no_grad():
            found = tuple(module(self._x[:1]).shape)
        if found != (1, outputs):
            raise ArgumentError(f"y: {outputs} values per point, but the module returns {found[-1]}")
        self._indices = [(0,) * self._x.shape[1]]
        self._lifted: Tensor | InputJet = lift(module, self._x, self._indices) if isinstance(module, MLP) else self._x
        self._names = tuple(names or (["fit"] if outputs == 1 else [f"fit {k + 1}" for k in range(outputs)]))
        if len(set(self._names)) != outputs:
            raise ArgumentError(f"names: {self._names}; accepted are {outputs} different names, one per output")
        self._weights = _weights(weights, self._names)

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term."""
        return self._weights

    def parameters(self) -> Tensor:
        """Return the module's trainable parameters [P]."""
        return flat_parameters(self._module)

    def load(self, theta: Tensor) -> None:
        """Set the module's trainable parameters."""
        load_flat(self._module, theta)

    def sizes(self) -> Mapping[str, int]:
        """Return the number of points for each output."""
        return dict.fromkeys(self._names, len(self._x))

    def groups(self) -> Sequence[Sequence[str]]:
        """Return one group: all outputs share the points."""
        return [self._names]

    def _chosen(self, rows: Rows | None) -> tuple[slice | Tensor, dict[str, int]]:
        """Return the rows, which all outputs share, and the number of each output that takes part."""
        chosen = slice(None) if rows is None else next(iter(rows.values()))
        return chosen, {name: k for k, name in enumerate(self._names) if rows is None or name in rows}

    @torch.no_grad()
    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return module(x) - y by output."""
        chosen, outputs = self._chosen(rows)
        difference = self._module(self._x[chosen]) - self._y[chosen]
        return {name: difference[:, k] for name, k in outputs.items()}

    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return residuals and their Jacobian by output."""
        chosen, outputs = self._chosen(rows)
        value, tape = record(self._module, self._lifted[chosen], self._indices)
        jacobians = {}
        for name, k in outputs.items():
            cotangent = torch.zeros_like(value)
            cotangent[..., k] = 1
            jacobians[name] = tape.jacobian(cotangent, None if out is None else out[name])
        difference = value[0] - self._y[chosen]
        return {name: difference[:, k] for name, k in outputs.items()}, jacobians

    def weighted_gradient(
        self, factors: Mapping[str, float], rows: Rows | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return residuals and sum_k factors[k] J_k' r_k by one reverse pass."""
        chosen, outputs = self._chosen(rows)
        value, tape = record(self._module, self._lifted[chosen], self._indices)
        difference = value[0] - self._y[chosen]
        cotangent = torch.zeros_like(value)
        for name, k in outputs.items():
            cotangent[0, :, k] = factors[name] * difference[:, k]
        return {name: difference[:, k] for name, k in outputs.items()}, tape.gradient(cotangent)

    def differential(self, rows: Rows | None = None) -> TapeDifferential:
        """Return residuals and products with their Jacobian by the tape."""
        chosen, outputs = self._chosen(rows)
        value, tape = record(self._module, self._lifted[chosen], self._indices)
        difference = value[0] - self._y[chosen]
        cotangent = value.new_zeros((len(outputs), *value.shape))
        for row, k in enumerate(outputs.values()):
            cotangent[row, ..., k] = 1
        residuals = {name: difference[:, k] for name, k in outputs.items()}
        return TapeDifferential(residuals, [Part(tuple(outputs), tape, cotangent)])


class _Residuals(nn.Module):
    """A user's residual function as a module, so that `functional_call` can substitute the parameters."""

    def __init__(self, module: nn.Module, function: Callable[[Any], Mapping[str, Tensor]]) -> None:
        super().__init__()
        self.module = module
        self.function = function

    def forward(self) -> dict[str, Tensor]:
        """Return the named residual vectors."""
        residuals = self.function(self.module)
        if not isinstance(residuals, Mapping) or not residuals:
            raise ArgumentError("residuals: the function must return a non-empty mapping of names to tensors")
        for name, r in residuals.items():
            if not isinstance(r, Tensor) or not r.is_floating_point():
                raise ArgumentError(f"residuals: {name!r} is {type(r).__name__}, accepted are floating tensors")
        return {name: r.reshape(-1) for name, r in residuals.items()}


@final
class ModuleObjective(Objective):
    """A user's own named residuals of a module.

    Parameters
    ----------
    module
        The module whose trainable parameters are sought.
    residuals
        Function of the module that returns named residuals (tensors, flattened to vectors), differentiable in the
        parameters; each call must return the same names and lengths.
    weights
        Weights of the terms, by name.
    mode
        How Jacobians are formed: "forward" (P directional derivatives at once, `torch.func.jacfwd`), "reverse" (one
        vector-Jacobian product per residual, at once), or "auto" (the one with fewer). "reverse" also serves functions
        that call `torch.autograd.grad` themselves.

    Examples
    --------
    >>> line = torch.nn.Linear(1, 1, dtype=torch.float64)
    >>> x = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    >>> objective = ModuleObjective(line, lambda m: {"data": m(x) - 2 * x, "prior": 0.1 * m.weight})
    >>> sorted(objective.sizes().items())
    [('data', 5), ('prior', 1)]
    """

    def __init__(
        self,
        module: nn.Module,
        residuals: Callable[[Any], Mapping[str, Tensor]],
        *,
        weights: Mapping[str, float] | None = None,
        mode: Literal["auto", "forward", "reverse"] = "auto",
    ) -> None:
        if mode not in ("auto", "forward", "reverse"):
            raise ArgumentError(f"mode: {mode!r} is not accepted; accepted are 'auto', 'forward', 'reverse'")
        self._module = module
        self._call = _Residuals(module, residuals)
        self._sizes = {name: len(r) for name, r in self._call().items()}
        self._mode = mode
        self._weights = _weights(weights, tuple(self._sizes))

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term."""
        return self._weights

    def parameters(self) -> Tensor:
        """Return the module's trainable parameters [P]."""
        return flat_parameters(self._module)

    def load(self, theta: Tensor) -> None:
        """Set the module's trainable parameters."""
        load_flat(self._module, theta)

    def sizes(self) -> Mapping[str, int]:
        """Return the lengths of the residual vectors."""
        return self._sizes

    def chunk_size(self) -> int:
        """Return the largest length: the function evaluates all rows in any case."""
        return max(1, *self._sizes.values())

    def groups(self) -> Sequence[Sequence[str]]:
        """Return the terms of equal length together, so that one call serves them."""
        by_length: dict[int, list[str]] = {}
        for name, n in self._sizes.items():
            by_length.setdefault(n, []).append(name)
        return list(by_length.values())

    def _chosen(self, residuals: Mapping[str, Tensor], rows: Rows | None) -> dict[str, Tensor]:
        if {name: len(r) for name, r in residuals.items()} != self._sizes:
            raise ArgumentError("residuals: the function changed its names or lengths between calls")
        if rows is None:
            return dict(residuals)
        return {name: residuals[name][chosen] for name, chosen in rows.items()}

    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return the named residual vectors."""
        # Gradients stay on: the function may differentiate the module itself.
        return {name: r.detach() for name, r in self._chosen(self._call(), rows).items()}

    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return residuals and their Jacobian by term; `out` is not used."""
        parameters = {name: p for name, p in self._call.named_parameters() if p.requires_grad}
        count = sum(p.numel() for p in parameters.values())
        residuals = self._chosen(self._call(), rows)
        lengths = [len(r) for r in residuals.values()]
        if self._mode == "forward" or (self._mode == "auto" and count < sum(lengths)):
            prepare_forward_mode()
            primal = {name: p.detach() for name, p in parameters.items()}
            parts = jacfwd(lambda values: self._chosen(functional_call(self._call, values, ()), rows))(primal)
            jacobians = {
                name: torch.cat([block[key].reshape(n, -1) for key in primal], 1)
                for (name, block), n in zip(parts.items(), lengths, strict=True)
            }
        else:
            stacked = torch.cat(list(residuals.values()))
            eye = torch.eye(len(stacked), dtype=stacked.dtype, device=stacked.device)
            leaves = list(parameters.values())
            blocks = torch.autograd.grad(stacked, leaves, eye, is_grads_batched=True, allow_unused=True)
            columns = [
                stacked.new_zeros(len(stacked), p.numel()) if block is None else block.reshape(len(stacked), -1)
                for p, block in zip(leaves, blocks, strict=True)
            ]
            whole = torch.cat(columns, 1)
            jacobians = dict(zip(residuals, whole.split(lengths), strict=True))
        return {name: r.detach() for name, r in residuals.items()}, {name: j.detach() for name, j in jacobians.items()}

    def weighted_gradient(
        self, factors: Mapping[str, float], rows: Rows | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return residuals and sum_k factors[k] J_k' r_k by one reverse pass."""
        residuals = self._chosen(self._call(), rows)
        parameters = [p for p in self._module.parameters() if p.requires_grad]
        loss = sum_tensors([0.5 * factors[name] * r.square().sum() for name, r in residuals.items()])
        parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        gradient = torch.cat([part.reshape(-1) for part in parts])
        return {name: r.detach() for name, r in residuals.items()}, gradient
