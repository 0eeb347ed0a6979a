r"""The network of a step: every stage is a combination of the same functions of x, its units.

The units are a constant, the inputs (features of x and, where it is given by samples, the initial state), the last
hidden layer of a trained perceptron, and layers of sines sin(w . h + b) of all units before them, h, whose weights stay
as they were drawn: a network that grows as in cascade-correlation (S. E. Fahlman and C. Lebiere, NIPS 1989). What a
stage is of them is linear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import sympy
import torch
from torch import Tensor

from sciml.network import MLP, Tape, jet, record
from sciml.network.mlp import Layer
from sciml.notation import Partial, to_torch
from sciml.pinn.ansatz import Ansatz

__all__ = ["Cascade", "Inputs", "body_network"]


@final
class Inputs:
    """What the network sees of x: the ansatz's features, then the initial states that are given by samples, scaled.

    Parameters
    ----------
    ansatz : of the step.
    space : the name of x.
    sampled : whether the initial state, the ansatz's trace, is an input.
    scaling : (middle, half of the range) of each initial state; measured on the domain if absent.
    """

    def __init__(
        self, ansatz: Ansatz, space: str, sampled: bool, scaling: Sequence[tuple[float, float]] | None = None
    ) -> None:
        problem = ansatz.problem
        axis = problem.domain.index(space)
        self._features = ansatz.features[axis]
        self._symbol = problem.vocabulary.symbol(space)
        self._compiled: dict[int, Any] = {}
        self._trace = ansatz.trace if sampled else None
        self._axis = axis
        self._unknowns = problem.unknowns if self._trace is not None else ()
        self.scaling = [] if scaling is None else [(float(a), float(b)) for a, b in scaling]
        if scaling is None and self._trace is not None:
            low, high = problem.domain.interval(space)
            values = self._initial(torch.linspace(low, high, 1001, dtype=torch.float64), 0)
            ends = values.min(1).values, values.max(1).values
            self.scaling = [
                (float(a + b) / 2, float(b - a) / 2 or 1.0) for a, b in zip(*(e.tolist() for e in ends), strict=True)
            ]

    @property
    def sees_initial(self) -> bool:
        """Whether the initial state is among the inputs."""
        return bool(self._unknowns)

    @property
    def count(self) -> int:
        """How many inputs there are."""
        return len(self._features) + len(self._unknowns)

    def __call__(self, x: Tensor, order: int) -> Tensor:
        """Return derivatives up to `order` of the inputs at x [N], [order + 1, N, F]."""
        columns = x.new_empty((order + 1, len(x), self.count))
        for k in range(order + 1):
            columns[k, :, : len(self._features)] = torch.stack(self._formulas(k)(x), 1)
            if self._unknowns:
                middle, half = x.new_tensor(self.scaling).T
                values = self._initial(x, k).T
                columns[k, :, len(self._features) :] = (values - middle if k == 0 else values) / half
        return columns

    def _formulas(self, order: int) -> Any:
        if order not in self._compiled:
            formulas = [sympy.diff(feature, self._symbol, order) for feature in self._features]
            self._compiled[order] = to_torch(formulas, [self._symbol])
        return self._compiled[order]

    def _initial(self, x: Tensor, order: int) -> Tensor:
        assert self._trace is not None
        orders = tuple(order if i == self._axis else 0 for i in range(2))
        points = x.new_zeros((len(x), 2))
        points[:, self._axis] = x
        return self._trace([Partial(name, orders) for name in self._unknowns], points)


def body_network(inputs: int, widths: Sequence[int], generator: torch.Generator) -> MLP:
    """Return a perceptron whose outputs are the units of its last hidden layer."""
    body = MLP(
        inputs,
        widths[-1],
        widths=widths,
        lower=[-1.0] * inputs,
        upper=[1.0] * inputs,
        generator=generator,
    )
    last = body.layers[-1]
    assert isinstance(last, Layer)
    with torch.no_grad():
        last.weight.copy_(torch.eye(widths[-1], dtype=last.weight.dtype))
        last.bias.zero_()
    last.requires_grad_(False)
    return body


@final
class Cascade:
    """The units.

    Attributes
    ----------
    inputs, body : as above.
    layers : weights [M, units before] and biases [M] of the sines.
    """

    def __init__(self, inputs: Inputs, body: MLP, layers: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        self.inputs = inputs
        self.body = body
        self.layers = list(layers)

    @property
    def base(self) -> int:
        """The number of units that are not sines."""
        return 1 + self.inputs.count + self.body.outputs

    @property
    def count(self) -> int:
        """The number of units."""
        return self.base + sum(len(bias) for _, bias in self.layers)

    @property
    def trained(self) -> slice:
        """The places of the units of the perceptron."""
        return slice(1 + self.inputs.count, self.base)

    def with_layer(self, weight: Tensor, bias: Tensor) -> Cascade:
        """Return the cascade with one more layer of sines."""
        return Cascade(self.inputs, self.body, [*self.layers, (weight, bias)])

    def units(self, x: Tensor, order: int) -> Tensor:
        """Return derivatives up to `order` of the units at x [N], [order + 1, N, units]."""
        inputs = self.inputs(x, order)
        with torch.no_grad():
            hidden = jet(self.body, inputs, _indices(order))
        units = self._base(inputs, hidden)
        for layer in self.layers:
            units = extended(units, *layer)
        return units

    def record(self, x: Tensor, order: int) -> tuple[Tensor, Tape]:
        """Return derivatives of the units that are not sines, [order + 1, N, base], and the tape of the trained."""
        inputs = self.inputs(x, order)
        hidden, tape = record(self.body, inputs, _indices(order))
        return self._base(inputs, hidden), tape

    @staticmethod
    def _base(inputs: Tensor, hidden: Tensor) -> Tensor:
        one = torch.zeros_like(inputs[:, :, :1])
        one[0] = 1
        return torch.cat((one, inputs, hidden), 2)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and a JSON-able rest, for `restored`."""
        arrays = {f"body.{name}": value.detach().numpy() for name, value in self.body.state_dict().items()}
        for number, (weight, bias) in enumerate(self.layers):
            arrays |= {f"sines.{number}.weight": weight.numpy(), f"sines.{number}.bias": bias.numpy()}
        return arrays, {
            "body": self.body.description(),
            "layers": len(self.layers),
            "scaling": [list(pair) for pair in self.inputs.scaling],
        }

    @classmethod
    def restored(cls, inputs: Inputs, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> Cascade:
        """Build the cascade from `state` again."""
        body = MLP.from_description(rest["body"])
        start = "body."
        values = {k[len(start) :]: torch.as_tensor(np.array(v)) for k, v in arrays.items() if k.startswith(start)}
        body.load_state_dict(values)
        names = [f"sines.{number}." for number in range(rest["layers"])]
        layers = [tuple(torch.as_tensor(np.array(arrays[n + kind])) for kind in ("weight", "bias")) for n in names]
        return cls(inputs, body, [(weight, bias) for weight, bias in layers])


def extended(units: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Append sin(w . h + b) to jets of units h, [A, N, units]."""
    argument = units @ weight.T
    argument[0] += bias
    return torch.cat((units, sines(argument)), 2)


def sines(argument: Tensor) -> Tensor:
    """Return derivatives of sin z from those of z, [A, N, M]: s' = c z', c' = -s z' in Taylor coefficients."""
    count = len(argument)
    z = [argument[k] / math.factorial(k) for k in range(count)]
    s, c = [torch.sin(z[0])], [torch.cos(z[0])]
    for k in range(1, count):
        terms = [(j * z[j], k - j) for j in range(1, k + 1)]
        s.append(torch.stack([slope * c[m] for slope, m in terms]).sum(0) / k)
        c.append(-torch.stack([slope * s[m] for slope, m in terms]).sum(0) / k)
    return torch.stack([math.factorial(k) * s[k] for k in range(count)])


def _indices(order: int) -> list[tuple[int]]:
    return [(k,) for k in range(order + 1)]
