"""DeepXDE's own Burgers example, watched on the points on which our network is watched.

Network, points, optimizers and iterations are those of its documentation (L. Lu et al. 2021, doi:10.1137/19M1274067;
https://deepxde.readthedocs.io/en/latest/demos/pinn_forward/burgers.html), with two changes: the box ends at t = 1 as
ours does, not at 0.99, and L-BFGS is looked at every 100 iterations. Its default precision is float32.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.measurement import Watch

__all__ = ["INSTALL", "installed", "train"]

INSTALL = "not installed: pip install 'sciml[bench]'"
INTERVAL = 0.2
ADAM_ITERATIONS = 15_000


def installed() -> bool:
    """Whether DeepXDE is there."""
    return importlib.util.find_spec("deepxde") is not None


def train(
    points: np.ndarray, make_watch: Callable[[], Watch], precision: str, seed: int, budget: float
) -> dict[str, Any]:
    """Train the example and return a record.

    Parameters
    ----------
    points : array [N, 2] of x, t at which the error is measured.
    make_watch : starts the clock.
    precision : "float32" or "float64".
    seed : of weights and points.
    budget : seconds after which training is stopped.
    """
    if not installed():
        return {"failure": INSTALL}
    os.environ["DDE_BACKEND"] = "pytorch"
    import torch

    # Imported by name: the package is an extra, and has no types.
    dde: Any = importlib.import_module("deepxde")
    lbfgs: Any = importlib.import_module("deepxde.optimizers.config").LBFGS_options
    dde.config.set_default_float(precision)
    dde.config.set_random_seed(seed)
    for option in ("fun_per_step", "iter_per_step"):
        lbfgs[option] //= 10
    place = points.astype(precision)
    watch = make_watch()

    def residual(x: Any, u: Any) -> Any:
        u_x = dde.grad.jacobian(u, x, i=0, j=0)
        u_t = dde.grad.jacobian(u, x, i=0, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t + u * u_x - 0.01 / np.pi * u_xx

    def on_it(_: Any, on: Any) -> Any:
        return on

    def sine(x: Any) -> Any:
        return -np.sin(np.pi * x[:, 0:1])

    def zero(_: Any) -> int:
        return 0

    box = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
    sides = dde.icbc.DirichletBC(box, zero, on_it)
    start = dde.icbc.IC(box, sine, on_it)
    data = dde.data.TimePDE(box, residual, [sides, start], num_domain=2540, num_boundary=80, num_initial=160)
    network = dde.nn.FNN([2] + [20] * 3 + [1], "tanh", "Glorot normal")
    model = dde.Model(data, network)

    class Look(dde.callbacks.Callback):
        """Looks at the error a few times a second, and ends the training when the time is up."""

        latest = 0.0

        def on_epoch_end(self) -> None:
            seconds = time.perf_counter() - watch.start
            if seconds - self.latest >= INTERVAL:
                self.latest = seconds
                watch.look(values(), None, seconds)
            if seconds > budget:
                model.stop_training = True

    def values() -> np.ndarray:
        with torch.no_grad():
            return network(torch.as_tensor(place)).double().numpy()

    look = Look()
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=ADAM_ITERATIONS, display_every=10_000_000, callbacks=[look], verbose=0)
    adam = time.perf_counter() - watch.start
    if adam <= budget:
        model.compile("L-BFGS", verbose=0)
        model.train(display_every=10_000_000, callbacks=[look], verbose=0)
    seconds = time.perf_counter() - watch.start
    error = watch.look(values(), None, seconds)
    return {
        "seconds": round(seconds, 3),
        "adam_seconds": round(adam, 3),
        "error": error,
        "estimate": None,
        "status": "budget" if seconds > budget else "finished",
        "method": f"DeepXDE {importlib.metadata.version('deepxde')}, 20x3 tanh, Adam then L-BFGS, {precision}",
        "parameters": sum(p.numel() for p in network.parameters()),
        "points": 2540 + 80 + 160,
        "windows": 1,
        **watch.to_record(),
    }
