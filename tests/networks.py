"""Networks of every kind, points, and how far two tensors are apart: what the tests of jets and tapes start from."""

import torch

from sciml.network import MLP, Cosine, Fourier, Periodic

BOX = {"lower": (-1.0, 0.0), "upper": (1.0, 2.0)}
NETWORKS = {
    "tanh": {},
    "sigmoid": {"activation": "sigmoid"},
    "softplus": {"activation": "softplus"},
    "sin": {"activation": "sin"},
    "relu": {"activation": "relu"},
    "steep": {"activation": "tanh", "steepness": "unit"},
    "shifted": {"activation": "sigmoid", "shift": "layer"},
    "steep and shifted": {"activation": "softplus", "steepness": "layer", "shift": "unit"},
    "periodic": {"embedding": Periodic({0: 2.0}, 2)},
    "cosine": {"embedding": Cosine({1: (0.0, 2.0)}, 2), "activation": "sin"},
    "fourier": {"embedding": Fourier(4, scale=2.0)},
    "one wide layer": {"widths": (9,)},
    "uneven": {"widths": (3, 11, 5)},
    "linear": {"depth": 0},
}


def network(name, outputs=2, **rest):
    net = MLP(2, outputs, **{"width": 6, "depth": 3, **BOX, **NETWORKS[name], **rest})
    generator = torch.Generator().manual_seed(1)
    theta = net.flat_parameters()
    noise = torch.randn(len(theta), generator=generator, dtype=torch.float64)
    net.load_flat(theta + (0.1 * noise).to(theta))
    return net


def points(n, d=2, seed=2):
    return 2 * torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def relative(a, b):
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-300))
