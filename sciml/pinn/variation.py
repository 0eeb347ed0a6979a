r"""How fast measured values vary along each input of a network, and a first layer to match.

A sum of random sines is fitted to some of the values by least squares; that frequency is taken which predicts the
others best. The fit's root mean square slope along an input, over its standard deviation, is a wavenumber, k for a wave
sin(k x). Sines whose frequencies are distributed along the inputs as these wavenumbers then fit better, and the
wavenumbers are taken once more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.network import MLP
from sciml.network.mlp import Layer

__all__ = ["stretched", "wavenumbers"]

SINES = 800
FREQUENCIES = (0.5, 1.0, 2.0, 4.0, 8.0)
MOST_VALUES = 4000
PASSES = 3
RIDGE = 1e-6
# Glorot weights of a first layer suit values of this wavenumber: the layers above multiply it.
SUITED = 2.2
LARGEST = 8.0


def wavenumbers(inputs: Tensor, values: Tensor, generator: torch.Generator) -> Tensor:
    """Return the wavenumbers [F] of values [A, N] at inputs [N, F] of size about 1; the largest of all values.

    Values that no such sum predicts, as where they are noise, have wavenumbers 0: nothing is known of them.
    """
    count, width = inputs.shape
    chosen = torch.randperm(count, generator=generator)[:MOST_VALUES].to(inputs.device)
    places, targets = inputs[chosen], values[:, chosen].T
    targets = targets - targets.mean(0)
    targets = targets / targets.std(0).clamp_min(torch.finfo(targets.dtype).tiny)
    fitted = 2 * len(places) // 3
    shape = torch.ones(width).to(inputs)
    found = torch.zeros(width).to(inputs)
    for _ in range(PASSES):
        least = 1.0
        for frequency in FREQUENCIES:
            weight = torch.randn(SINES, width, generator=generator, dtype=torch.float64).to(inputs) * frequency * shape
            phase = 2 * torch.pi * torch.rand(SINES, generator=generator, dtype=torch.float64).to(inputs)
            angle = places @ weight.T + phase
            matrix = torch.sin(angle[:fitted])
            gram = matrix.T @ matrix
            gram.diagonal().add_(RIDGE * fitted)
            coefficients = torch.linalg.solve(gram, matrix.T @ targets[:fitted])
            missed = (torch.sin(angle[fitted:]) @ coefficients - targets[fitted:]).square().mean(0).max()
            if float(missed) < least:
                least = float(missed)
                slopes = torch.einsum("nj,ja,jf->naf", torch.cos(angle), coefficients, weight)
                found = slopes.square().mean(0).sqrt().amax(0)
        if least == 1.0:
            break
        shape = found / found.mean()
    return found


def stretched(network: MLP, wanted: Tensor, generator: torch.Generator) -> None:
    """Multiply the first layer's weights, as they were drawn, so that its units suit these wavenumbers [F].

    None becomes smaller, or more than eight times as large. Transitions stay spread over the inputs' box.
    """
    first = network.layers[0]
    assert isinstance(first, Layer)
    weight = first.weight
    assert isinstance(weight, nn.Parameter)
    factors = (wanted / SUITED).clamp(1.0, LARGEST).to(weight)
    centres = 2 * torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight) - 1
    with torch.no_grad():
        weight.mul_(factors)
        first.bias.copy_(-(weight * centres).sum(1))
