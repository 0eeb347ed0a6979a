"""The multilayer perceptron: any depth and width, with Taylor expansions of its output and their parameter Jacobian."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import torch
from torch import Tensor, nn

from sciml.errors import ArgumentError
from sciml.network.activations import Activation, activation
from sciml.network.embeddings import Embedding, embedding_from_dict
from sciml.network.parameters import flat_parameters, load_flat

if TYPE_CHECKING:
    from sciml.network.multiindex import Index
    from sciml.network.tape import Tape
    from sciml.network.taylor import InputJet

__all__ = ["MLP", "InputLayer", "Layer"]

Sharing = Literal["layer", "unit"] | None


@final
class InputLayer(nn.Module):
    """The fixed first map of a network: sin(k.x + phase) for its waves, then the coordinates scaled to [-1, 1].

    Attributes
    ----------
    matrix, phase : buffers [features, inputs] and [features] of the affine map.
    waves : the first `waves` features pass through a sine, the others are the affine map itself.
    identity : True if the layer does nothing.
    """

    matrix: Tensor
    phase: Tensor

    def __init__(self, matrix: Tensor, phase: Tensor, waves: int) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("phase", phase)
        self.waves = waves
        eye = torch.eye(*matrix.shape, dtype=matrix.dtype)
        self.identity = waves == 0 and torch.equal(matrix, eye) and not bool(phase.any())

    @property
    def features(self) -> int:
        """Number of features that the first trained layer receives."""
        return self.matrix.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [..., features] of points [..., inputs]."""
        if self.identity:
            return x
        y = x @ self.matrix.T + self.phase
        return torch.cat((torch.sin(y[..., : self.waves]), y[..., self.waves :]), -1) if self.waves else y


@final
class Layer(nn.Module):
    """a = f(s (z - c)), z = W a_previous + b, with optional trainable steepness s and shift c; no f in the last layer.

    The shift of a unit's own argument is redundant with its bias; shared by the layer it moves all units together.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, function: Activation | None, steep: Sharing, shift: Sharing
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.function = function
        for name, sharing, value in (("steepness", steep, 1.0), ("shift", shift, 0.0)):
            size = {None: 0, "layer": 1, "unit": len(bias)}[sharing]
            parameter = nn.Parameter(torch.full((size,), value, dtype=weight.dtype)) if size else None
            self.register_parameter(name, parameter)

    steepness: nn.Parameter | None
    shift: nn.Parameter | None

    def argument(self, z: Tensor) -> Tensor:
        """Return s (z - c) for values [..., units]."""
        if self.shift is not None:
            z = z - self.shift
        return z if self.steepness is None else z * self.steepness

    def forward(self, a: Tensor) -> Tensor:
        """Return the layer's output [..., units] for values [..., features]."""
        z = nn.functional.linear(a, self.weight, self.bias)
        return z if self.function is None else self.function(self.argument(z))


@final
class MLP(nn.Module):
    r"""Multilayer perceptron a_l = f(W_l a_{l-1} + b_l), with a linear last layer.

    Weights are Glorot-uniform, +-sqrt(6 / (fan_in + fan_out)); biases are zero except, with `centred`, in the first
    layer: b_i = -sum_j W_ij c_ij with c_i the features at a point uniform in the input box, so that every unit's
    transition passes through the box.

    Parameters
    ----------
    inputs, outputs
        Numbers of coordinates and of values, at least 1.
    width, depth
        Units per hidden layer (>= 1) and number of hidden layers (>= 0; 0 is a linear model of the features).
    activation
        "sigmoid", "relu", "softplus", "tanh", "sin", or an `Activation`; or a sequence with one for each hidden layer.
    widths
        Units of each hidden layer; replaces width and depth.
    embedding
        `Periodic`, `Cosine`, `Fourier`, or None.
    lower, upper
        The input box, one finite number per coordinate, lower < upper; it is scaled to [-1, 1]. None means that inputs
        are in [-1, 1] already.
    steepness, shift
        Trainable s and c in f(s (z - c)): None (absent), "layer" (one per hidden layer), "unit" (one per unit); they
        start at 1 and 0.
    centred
        Whether first-layer transitions are spread over the input box, as above.
    seed, generator
        Seed of the initial parameters, or a CPU `torch.Generator` to draw them from.
    dtype, device
        Floating type (also as text, "float64") and device. Initial values do not depend on the device.

    Raises
    ------
    ArgumentError
        If an argument is not as described.

    References
    ----------
    Glorot, Bengio, AISTATS 2010 (PMLR 9:249-256). Trainable steepness: Jagtap, Kawaguchi, Karniadakis,
    doi:10.1016/j.jcp.2019.109136.

    Examples
    --------
    >>> net = MLP(2, 1, width=12, depth=5, lower=(-1, 0), upper=(1, 1), seed=0)
    >>> net(torch.zeros(7, 2, dtype=torch.float64)).shape
    torch.Size([7, 1])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 20,
        depth: int = 3,
        activation: str | Activation | Sequence[str | Activation] = "tanh",
        *,
        widths: Sequence[int] | None = None,
        embedding: Embedding | None = None,
        lower: Sequence[float] | None = None,
        upper: Sequence[float] | None = None,
        steepness: Sharing = None,
        shift: Sharing = None,
        centred: bool = True,
        seed: int = 0,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | str = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        inputs, outputs = _count("inputs", inputs, 1), _count("outputs", outputs, 1)
        if widths is None:
            widths = [_count("width", width, 1)] * _count("depth", depth, 0)
        units = [_count("widths", w, 1) for w in widths]
        functions = _functions(activation, len(units))
        for name, sharing in (("steepness", steepness), ("shift", shift)):
            if sharing not in (None, "layer", "unit"):
                raise ArgumentError(f"{name}: {sharing!r} is not accepted; accepted are None, 'layer', 'unit'")
        if embedding is not None and not isinstance(embedding, Embedding):
            raise ArgumentError(
                f"embedding: {embedding!r} is not accepted; accepted are Periodic, Cosine, Fourier, None"
            )
        low, high = _box(inputs, lower, upper)
        dtype = floating(dtype)
        if generator is None:
            generator = torch.Generator().manual_seed(_count("seed", seed, 0))
        self.inputs, self.outputs = inputs, outputs
        self._description = {
            "inputs": inputs, "outputs": outputs, "activation": _named(activation), "widths": units,
            "embedding": None if embedding is None else embedding.to_dict(),
            "lower": low.tolist(), "upper": high.tolist(), "steepness": steepness, "shift": shift,
        }  # fmt: skip
        self.input_layer = _input_layer(inputs, embedding, low, high, generator)
        sizes = [self.input_layer.features, *units, outputs]
        layers = []
        for number, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            last = number == len(sizes) - 2
            bound = math.sqrt(6 / (fan_in + fan_out))
            weight = bound * (2 * torch.rand(fan_out, fan_in, generator=generator, dtype=torch.float64) - 1)
            bias = torch.zeros(fan_out, dtype=torch.float64)
            if number == 0 and centred and not last:
                points = low + (high - low) * torch.rand(fan_out, inputs, generator=generator, dtype=torch.float64)
                bias = -(weight * self.input_layer(points)).sum(1)
            layers.append(
                Layer(
                    weight, bias, None if last else functions[number], *((None, None) if last else (steepness, shift))
                )
            )
        self.layers = nn.ModuleList(layers)
        self.to(dtype=dtype, device=device)

    def forward(self, x: Tensor) -> Tensor:
        """Return the values [..., outputs] at points [..., inputs]."""
        a = self.input_layer(x)
        for layer in self.layers:
            a = layer(a)
        return a

    def record(self, x: Tensor | InputJet, indices: Sequence[Index] | None = None) -> tuple[Tensor, Tape]:
        """Return derivatives of the output and their tape; see `sciml.network.record`."""
        from sciml.network.jets import record

        return record(self, x, indices)

    def lift(self, x: Tensor, indices: Sequence[Index]) -> InputJet:
        """Return the part of a jet that does not depend on the parameters; see `sciml.network.lift`."""
        from sciml.network.taylor import lift

        return lift(self, x, indices)

    @property
    def parameter_count(self) -> int:
        """Number P of trainable parameters (those that require gradients)."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def flat_parameters(self) -> Tensor:
        """Return a copy of the trainable parameters [P], in the order of `parameters()`."""
        return flat_parameters(self)

    def load_flat(self, theta: Tensor) -> None:
        """Set the trainable parameters from a vector [P] in the order of `flat_parameters`."""
        load_flat(self, theta)

    def description(self) -> dict[str, Any]:
        """Return a JSON-able description of the architecture; with `state_dict()` it restores the network."""
        return dict(self._description, dtype=str(self.layers[0].weight.dtype).removeprefix("torch."))

    @classmethod
    def from_description(cls, description: Mapping[str, Any], device: torch.device | str = "cpu") -> MLP:
        """Return a network of this architecture with arbitrary parameters, for `load_state_dict`."""
        rest = dict(description)
        if rest.get("embedding") is not None:
            rest["embedding"] = embedding_from_dict(rest["embedding"])
        return cls(rest.pop("inputs"), rest.pop("outputs"), device=device, **rest)


_activation = activation  # the constructor's argument has the function's name


def _functions(given: str | Activation | Sequence[str | Activation], layers: int) -> list[Activation]:
    """The activation of each hidden layer."""
    if isinstance(given, (str, Activation)) or not isinstance(given, Sequence):
        return [_activation(given)] * layers
    if len(given) != layers:
        raise ArgumentError(f"activation: {len(given)} for {layers} hidden layers; accepted are one or one for each")
    return [_activation(one) for one in given]


def _named(given: str | Activation | Sequence[str | Activation]) -> str | list[str]:
    if isinstance(given, (str, Activation)):
        return _activation(given).name
    return [_activation(one).name for one in given]


def _count(name: str, value: Any, least: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = least - 1
    if count < least or isinstance(value, bool):
        raise ArgumentError(f"{name}: {value!r} is not accepted; accepted are integers of at least {least}")
    return count


def floating(dtype: torch.dtype | str) -> torch.dtype:
    """Return a real floating torch type from itself or its name ("float64", "float32").

    Raises
    ------
    ArgumentError
        If it is not one.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ArgumentError(f"dtype: {dtype!r} is not accepted; accepted are 'float64', 'float32' or a torch.dtype")
    return found


def _box(inputs: int, lower: Sequence[float] | None, upper: Sequence[float] | None) -> tuple[Tensor, Tensor]:
    if (lower is None) != (upper is None):
        raise ArgumentError("lower, upper: both are needed, or neither")
    if lower is None or upper is None:
        return -torch.ones(inputs, dtype=torch.float64), torch.ones(inputs, dtype=torch.float64)
    low, high = (torch.as_tensor(side, dtype=torch.float64, device="cpu").reshape(-1) for side in (lower, upper))
    if len(low) != inputs or len(high) != inputs:
        raise ArgumentError(f"lower, upper: {len(low)} and {len(high)} numbers, accepted are {inputs} each")
    if not (torch.isfinite(low).all() and torch.isfinite(high).all() and (low < high).all()):
        raise ArgumentError(f"lower, upper: {low.tolist()}, {high.tolist()}; accepted are finite lower < upper")
    return low, high


def _input_layer(
    inputs: int, embedding: Embedding | None, low: Tensor, high: Tensor, generator: torch.Generator
) -> InputLayer:
    scale, shift = 2 / (high - low), -(low + high) / (high - low)
    if embedding is None:
        return InputLayer(torch.diag(scale), shift, 0)
    vectors, phases = embedding.waves(inputs, low, high, generator)
    kept = embedding.kept(inputs)
    matrix = torch.cat((vectors, torch.diag(scale)[kept]))
    return InputLayer(matrix, torch.cat((phases, shift[kept])), len(vectors))
