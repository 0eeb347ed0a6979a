r"""A network as a smoother of scattered or gappy records: values and derivatives at any time from one fit.

The perceptron N(t) of one input is fitted to the samples by Levenberg-Marquardt; its jets are the derivatives. What
keeps it from following the noise is the number of steps: a tenth of the samples is held out, and training ends where
their misfit was least (Prechelt 1998, doi:10.1007/3-540-49430-8_3). How fast the first layer's waves are is chosen in
the same way.

It is not what `discover` uses: the Whittaker smoother with its penalty by likelihood is as good with 1 % of noise,
better with more and in gaps, and hundreds of times faster (`python -m benchmarks.smoothing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike

from sciml.errors import ArgumentError
from sciml.network import MLP, jet
from sciml.training import FitObjective, Trainer

__all__ = ["NetworkSmooth", "smooth_by_network"]

# Half the record is so many units of the first layer's argument long: slow, and faster by factors of three.
SPEEDS = (2.0, 6.0, 18.0, 54.0)
HELD_OUT = 10
PATIENCE = 25
FEWEST = 20


@final
@dataclass(frozen=True)
class NetworkSmooth:
    """A smoothed record.

    Attributes
    ----------
    network : of scaled time to scaled states.
    center, scale : of the states [d].
    noise : root mean square of the held-out samples' misfit, in the states' units [d]; an upper estimate of the noise.
    speed : of the first layer.
    """

    network: MLP
    center: np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    speed: float

    def __call__(self, times: ArrayLike, order: int = 0) -> np.ndarray:
        """Return the states [N, d] at times [N], or their derivatives of that order."""
        t = np.asarray(times, dtype=np.float64)
        if t.ndim != 1 or not np.isfinite(t).all():
            raise ArgumentError(f"times: expected finite numbers [N], got shape {t.shape}")
        if order < 0:
            raise ArgumentError(f"order: expected a derivative's order >= 0, got {order!r}")
        with torch.no_grad():
            found = jet(self.network, torch.from_numpy(t)[:, None], [(order,)])[0].numpy() * self.scale
        return found if order else found + self.center


def smooth_by_network(
    times: ArrayLike, states: ArrayLike, *, width: int = 16, depth: int = 2, iterations: int = 300, seed: int = 0
) -> NetworkSmooth:
    """Fit a network to samples of one trajectory.

    Parameters
    ----------
    times : [N], in any order.
    states : [N, d]; rows with NaN are left out.
    width, depth : of the network, sines.
    iterations : the largest number of steps for each speed of the first layer.
    seed : of weights and of the choice of held-out samples.

    Raises
    ------
    ArgumentError
        shapes that do not belong together, or fewer than 20 complete rows.

    Examples
    --------
    >>> t = np.linspace(0, 3, 100)
    >>> curve = smooth_by_network(t, np.stack([np.sin(t), np.cos(t)], 1))
    >>> bool(np.abs(curve(t, order=1)[:, 0] - np.cos(t)).max() < 0.02)
    True
    """
    t, x = np.asarray(times, dtype=np.float64), np.asarray(states, dtype=np.float64)
    if t.ndim != 1 or x.ndim != 2 or len(t) != len(x):
        raise ArgumentError(f"times, states: expected [N] and [N, d], got {t.shape} and {x.shape}")
    whole = np.isfinite(t) & np.isfinite(x).all(axis=1)
    if whole.sum() < FEWEST:
        raise ArgumentError(f"states: at least {FEWEST} complete rows are needed, got {int(whole.sum())}")
    t, x = t[whole], x[whole]
    center = x.mean(axis=0)
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    held = np.zeros(len(t), dtype=bool)
    held[np.random.default_rng(seed).permutation(len(t))[: max(2, len(t) // HELD_OUT)]] = True
    points, values = torch.from_numpy(t)[:, None], torch.from_numpy((x - center) / scale)
    apart = torch.from_numpy(held)
    best: tuple[float, MLP, np.ndarray, float] | None = None
    for speed in SPEEDS:
        middle, half = 0.5 * (t.min() + t.max()), max(0.5 * (t.max() - t.min()), 1e-300)
        network = MLP(
            1,
            x.shape[1],
            width,
            depth,
            "sin",
            lower=[middle - half / speed],
            upper=[middle + half / speed],
            generator=torch.Generator().manual_seed(seed),
        )
        watch = _Watch(network, points[apart], values[apart])
        objective = FitObjective(network, points[~apart], values[~apart])
        Trainer(objective, "levenberg-marquardt", iterations=iterations, stop=watch, seed=seed).run()
        if best is None or watch.least < best[0]:
            network.load_flat(watch.theta)
            best = watch.least, network, np.sqrt(watch.squares) * scale, speed
    assert best is not None
    return NetworkSmooth(best[1], center, scale, best[2], best[3])


@final
class _Watch:
    """Keeps the parameters with the least misfit of the held-out samples, and says when it has stopped falling."""

    def __init__(self, network: MLP, points: torch.Tensor, values: torch.Tensor) -> None:
        self._network, self._points, self._values = network, points, values
        self.theta = network.flat_parameters()
        self.least, self.squares, self._idle = np.inf, np.full(values.shape[1], np.inf), 0

    def __call__(self, progress: Mapping[str, Any]) -> bool:
        """Look at the present network; True where so many looks were no better."""
        with torch.no_grad():
            squares = ((self._network(self._points) - self._values) ** 2).mean(0).numpy()
        if squares.mean() < self.least:
            self.least, self.squares, self._idle = float(squares.mean()), squares, 0
            self.theta = self._network.flat_parameters()
        else:
            self._idle += 1
        return self._idle >= PATIENCE
