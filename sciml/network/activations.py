"""Activation functions, each with its Taylor coefficients to any order, and their steepened and shifted forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from sciml.errors import ArgumentError, closest
from sciml.network.series import scaled_product

__all__ = ["Activation", "ReLU", "Sigmoid", "Sine", "Softplus", "Tanh", "activation", "activation_names"]


class Activation(ABC):
    """A function f of one real variable, applied elementwise, with its Taylor coefficients."""

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z)."""

    @abstractmethod
    def taylor(self, z: Tensor, order: int) -> list[Tensor]:
        """Return f^(k)(z) / k! for k = 0, ..., order, each of the shape of z."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@final
class Sigmoid(Activation):
    """Logistic function f(z) = 1 / (1 + exp(-z))."""

    name = "sigmoid"

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        return torch.sigmoid(z)

    def taylor(self, z: Tensor, order: int) -> list[Tensor]:
        """Return f^(k)(z) / k! for k = 0, ..., order."""
        # s' = s (1 - s), coefficient by coefficient; the first step without the cancellation of s - s^2.
        s = [torch.sigmoid(z)]
        if order >= 1:
            s.append(s[0] * (1 - s[0]))
        for k in range(1, order):
            s.append(s[k] * (1.0 / (k + 1)) + _convolution(s, k, -1.0 / (k + 1)))
        return s


@final
class Tanh(Activation):
    """Hyperbolic tangent."""

    name = "tanh"

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        # On CPUs the vectorised sigmoid is several times faster than tanh; the identity is exact to rounding.
        if z.device.type != "cpu":
            return torch.tanh(z)
        s = -2 * z
        s = torch.sigmoid(s) if torch.is_grad_enabled() else s.sigmoid_()
        return torch.rsub(s, 1, alpha=2)  # 1 - 2 s in one pass

    def taylor(self, z: Tensor, order: int) -> list[Tensor]:
        """Return f^(k)(z) / k! for k = 0, ..., order."""
        # t' = 1 - t^2, coefficient by coefficient.
        t = [self(z)]
        if order >= 1:
            t.append(torch.addcmul(z.new_ones(()), t[0], t[0], value=-1))
        for k in range(1, order):
            t.append(_convolution(t, k, -1.0 / (k + 1)))
        return t


def _convolution(series: list[Tensor], k: int, scale: float) -> Tensor:
    """Return `scale` times the k-th coefficient of the square of a series, k >= 1."""
    total = scaled_product(series[0], series[k], 2 * scale)
    for i in range(1, (k + 1) // 2):
        total = torch.addcmul(total, series[i], series[k - i], value=2 * scale)
    if k % 2 == 0:
        total = torch.addcmul(total, series[k // 2], series[k // 2], value=scale)
    return total


@final
class Sine(Activation):
    """f(z) = sin z."""

    name = "sin"

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        return torch.sin(z)

    def taylor(self, z: Tensor, order: int) -> list[Tensor]:
        """Return f^(k)(z) / k! for k = 0, ..., order."""
        result = [torch.sin(z)]
        if order >= 1:
            result.append(torch.cos(z))
        for k in range(2, order + 1):
            result.append(result[k - 2] * (-1.0 / (k * (k - 1))))
        return result


@final
class Softplus(Activation):
    """f(z) = log(1 + exp z), a smooth ReLU; its derivative is the sigmoid."""

    name = "softplus"

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        # torch.nn.functional.softplus switches to z above a threshold of 20, which costs 2e-9 there.
        return torch.logaddexp(z, torch.zeros_like(z))

    def taylor(self, z: Tensor, order: int) -> list[Tensor]:
        """Return f^(k)(z) / k! for k = 0, ..., order."""
        derivative = Sigmoid().taylor(z, order - 1) if order >= 1 else []
        return [self(z), *(coefficient / (k + 1) for k, coefficient in enumerate(derivative))]


@final
class ReLU(Activation):
    """f(z) = max(z, 0), with derivative 0 at the kink as in torch; its second derivative is zero almost everywhere."""

    name = "relu"

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z)."""
        return torch.relu(z)

    def taylor(self, z: Tensor, order: int) -> list[Tensor]:
        """Return f^(k)(z) / k! for k = 0, ..., order."""
        zero = torch.zeros_like(z)
        return [torch.relu(z), (z > 0).to(z.dtype), *([zero] * (order - 1))][: order + 1]


_TABLE: dict[str, type[Activation]] = {kind.name: kind for kind in (Sigmoid, ReLU, Softplus, Tanh, Sine)}


def activation_names() -> tuple[str, ...]:
    """Return the accepted names of activations."""
    return tuple(_TABLE)


def activation(name: str | Activation) -> Activation:
    """Return the activation of this name (an `Activation` passes through).

    Raises
    ------
    ArgumentError
        If the name is unknown; the text lists the accepted ones.
    """
    if isinstance(name, Activation):
        return name
    if not isinstance(name, str) or name not in _TABLE:
        hint = closest(name, _TABLE) if isinstance(name, str) else ""
        raise ArgumentError(
            f"activation: {name!r} is not known{hint}; accepted are {', '.join(_TABLE)} or an Activation object"
        )
    return _TABLE[name]()
