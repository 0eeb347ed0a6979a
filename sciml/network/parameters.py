"""The trainable parameters of a module as one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.errors import ArgumentError

__all__ = ["flat_parameters", "load_flat"]


def flat_parameters(module: nn.Module) -> Tensor:
    """Return a copy of all trainable parameters [P], in the order of `module.parameters()`."""
    parts = [parameter.detach().reshape(-1) for parameter in module.parameters() if parameter.requires_grad]
    if not parts:
        raise ArgumentError("module: it has no trainable parameters")
    return torch.cat(parts)


def load_flat(module: nn.Module, theta: Tensor) -> None:
    """Set all trainable parameters from a vector [P] in the order of `flat_parameters`."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    sizes = [parameter.numel() for parameter in parameters]
    if theta.shape != (sum(sizes),):
        raise ArgumentError(f"theta: shape {tuple(theta.shape)}, accepted is ({sum(sizes)},)")
    with torch.no_grad():
        for parameter, part in zip(parameters, theta.split(sizes), strict=True):
            parameter.copy_(part.view_as(parameter))
