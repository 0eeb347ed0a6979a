"""A network that was trained on a time window, restricted to the beginning of it."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from sciml.network import MLP
from sciml.network.mlp import Layer
from sciml.pinn.ansatz import Ansatz

__all__ = ["restricted"]


def restricted(network: nn.Module, ansatz: Ansatz, ratio: float) -> nn.Module:
    """Return the network of a window that begins where this one's does and is shorter by `ratio` in (0, 1).

    With u = g + tau^k N(..., 2 tau - 1), tau in [0, 1] the time in the window and k the number of initial conditions,
    the shorter window has tau = ratio*tau': the same function, if its first layer has the weights and biases of
    2 tau - 1 = ratio (2 tau' - 1) + (ratio - 1) and its last one ratio^k times those of the former. Networks other than
    an MLP, and unknowns with different numbers of initial conditions, are returned as they are.
    """
    problem = ansatz.problem
    position = 0
    for coordinate, group in zip(problem.coordinates, ansatz.features, strict=True):
        if coordinate == problem.time and len(group) > 1:
            return network  # the time is seen through other features
        if coordinate == problem.time:
            break
        position += len(group)
    given = dict.fromkeys(ansatz.fields, 0)
    for condition in ansatz.hard:
        solved = condition.solved(problem.vocabulary) if condition.kind == "initial" else None
        if solved is not None and solved[0].unknown in given:
            given[solved[0].unknown] += 1
    if not isinstance(network, MLP) or len(set(given.values())) != 1 or network.input_layer.waves:
        return network
    result = deepcopy(network)
    first, last = result.layers[0], result.layers[-1]
    assert isinstance(first, Layer)
    assert isinstance(last, Layer)
    with torch.no_grad():
        first.bias.add_((ratio - 1) * first.weight[:, position])
        first.weight[:, position] *= ratio
        factor = ratio ** next(iter(given.values()))
        last.weight.mul_(factor)
        last.bias.mul_(factor)
    return result
