"""The examples of DeepXDE and neurodiffeq with the settings of their documentation, watched while they train.

DeepXDE (L. Lu et al. 2021, doi:10.1137/19M1274067), https://deepxde.readthedocs.io, demos pinn_forward/allen.cahn,
pinn_inverse/lorenz.inverse, pinn_inverse/diffusion.1d.inverse; neurodiffeq (F. Chen et al. 2020,
doi:10.21105/joss.01931), the system of its first page. What differs: the observations of the Lorenz system are made
here, L-BFGS is looked at every 100 iterations, and errors are looked at a few times a second.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.peers import Trace

__all__ = ["EXAMPLES", "missing"]

INTERVAL = 0.2
INSTALL = "is not installed: pip install 'sciml[bench]'"
SILENT = {"display_every": 10_000_000, "verbose": 0}
Data = Mapping[str, np.ndarray]
Example = Callable[[np.ndarray, Data, Callable[[], "Trace"], int, float, float], dict[str, Any]]


def missing(program: str) -> str | None:
    """Return what is to be said where a program is not installed."""
    return None if importlib.util.find_spec(program) is not None else f"{program} {INSTALL}"


def _deepxde(seed: int) -> Any:
    os.environ["DDE_BACKEND"] = "pytorch"
    # Imported by name: the package is an extra, and has no types.
    dde: Any = importlib.import_module("deepxde")
    lbfgs: Any = importlib.import_module("deepxde.optimizers.config").LBFGS_options
    dde.config.set_default_float("float32")
    dde.config.set_random_seed(seed)
    for option in ("fun_per_step", "iter_per_step"):
        lbfgs[option] //= 10
    return dde


def _watching(dde: Any, model: Any, trace: Trace, state: Callable[[], Any], budget: float) -> Any:
    class Look(dde.callbacks.Callback):
        """Looks at the error a few times a second, and ends the training when the time is up."""

        latest = 0.0

        def on_epoch_end(self) -> None:
            seconds = time.perf_counter() - trace.start
            if seconds - self.latest >= INTERVAL:
                self.latest = seconds
                trace.look(state())
            if seconds > budget:
                model.stop_training = True

    return Look()


def _finished(trace: Trace, state: Any, method: str, budget: float) -> dict[str, Any]:
    seconds = time.perf_counter() - trace.start
    return {
        "error": trace.look(state),
        "seconds": round(seconds, 3),
        "status": "budget" if seconds > budget else "finished",
        "method": method,
        "trace": trace,
    }


def _on(_: Any, on: Any) -> Any:
    return on


def _constant(value: float) -> Callable[[Any], float]:
    return lambda _: value


def _version(program: str) -> str:
    return f"{program} {importlib.metadata.version(program)}"


def _values(network: Any, points: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return network(torch.as_tensor(points.astype(np.float32))).double().numpy()


def _numbers(variables: Sequence[Any]) -> list[float]:
    return [float(variable.detach()) for variable in variables]


def allen_cahn(
    points: np.ndarray, data: Data, start: Callable[[], Trace], seed: int, share: float, budget: float
) -> dict[str, Any]:
    """u_t = u_xx/1000 + 5 (u - u^3), conditions exact; 40,000 iterations of Adam, then L-BFGS to its end."""
    dde = _deepxde(seed)
    import torch

    trace = start()

    def residual(x: Any, u: Any) -> Any:
        return dde.grad.jacobian(u, x, i=0, j=1) - 0.001 * dde.grad.hessian(u, x, i=0, j=0) - 5 * (u - u**3)

    def exact(x: Any, u: Any) -> Any:
        place, t = x[:, 0:1], x[:, 1:2]
        return place**2 * torch.cos(torch.pi * place) + t * (1 - place**2) * u

    box = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
    sampled = dde.data.TimePDE(box, residual, [], num_domain=8000, num_boundary=400, num_initial=800)
    network = dde.nn.FNN([2] + [20] * 3 + [1], "tanh", "Glorot normal")
    network.apply_output_transform(exact)
    model = dde.Model(sampled, network)
    look = _watching(dde, model, trace, lambda: _values(network, points), budget)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=round(40_000 * share), callbacks=[look], **SILENT)
    if time.perf_counter() - trace.start <= budget and share == 1:
        model.compile("L-BFGS", verbose=0)
        model.train(callbacks=[look], **SILENT)
    method = f"{_version('deepxde')}, 20x3 tanh, Adam then L-BFGS"
    return _finished(trace, _values(network, points), method, budget)


def lorenz(
    points: np.ndarray, data: Data, start: Callable[[], Trace], seed: int, share: float, budget: float
) -> dict[str, Any]:
    """Three numbers of the Lorenz system, all 1 at first; 60,000 iterations of Adam."""
    dde = _deepxde(seed)
    trace = start()
    numbers = [dde.Variable(1.0) for _ in range(3)]

    def residual(t: Any, state: Any) -> list[Any]:
        x, y, z = (state[:, k : k + 1] for k in range(3))
        x_t, y_t, z_t = (dde.grad.jacobian(state, t, i=k) for k in range(3))
        sigma, rho, beta = numbers
        return [x_t - sigma * (y - x), y_t - x * (rho - z) + y, z_t - x * y + beta * z]

    line = dde.geometry.TimeDomain(0, 3)
    times = data["t"][:, None]
    conditions = [dde.icbc.IC(line, _constant(value), _on, component=k) for k, value in enumerate((-8, 7, 27))]
    conditions += [dde.icbc.PointSetBC(times, data[name][:, None], component=k) for k, name in enumerate("xyz")]
    sampled = dde.data.PDE(line, residual, conditions, num_domain=400, num_boundary=2, anchors=times)
    network = dde.nn.FNN([1] + [40] * 3 + [3], "tanh", "Glorot uniform")
    return _identified(dde, sampled, network, numbers, trace, round(60_000 * share), budget, "40x3 tanh, Adam")


def diffusion(
    points: np.ndarray, data: Data, start: Callable[[], Trace], seed: int, share: float, budget: float
) -> dict[str, Any]:
    """The diffusivity of a forced diffusion, 2 at first, from ten places at t = 1; 50,000 iterations of Adam."""
    dde = _deepxde(seed)
    import torch

    trace = start()
    number = dde.Variable(2.0)

    def residual(x: Any, u: Any) -> Any:
        sine = torch.sin(torch.pi * x[:, 0:1])
        forcing = torch.exp(-x[:, 1:]) * (sine - torch.pi**2 * sine)
        return dde.grad.jacobian(u, x, i=0, j=1) - number * dde.grad.hessian(u, x, i=0, j=0) + forcing

    def solution(x: np.ndarray) -> np.ndarray:
        return np.sin(np.pi * x[:, 0:1]) * np.exp(-x[:, 1:])

    box = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
    places = np.column_stack([data["x"], data["t"]])
    conditions = [
        dde.icbc.DirichletBC(box, solution, _on),
        dde.icbc.IC(box, solution, _on),
        dde.icbc.PointSetBC(places, data["u"][:, None], component=0),
    ]
    sampled = dde.data.TimePDE(
        box, residual, conditions, num_domain=40, num_boundary=20, num_initial=10, anchors=places
    )
    network = dde.nn.FNN([2] + [32] * 3 + [1], "tanh", "Glorot uniform")
    return _identified(dde, sampled, network, [number], trace, round(50_000 * share), budget, "32x3 tanh, Adam")


def _identified(
    dde: Any, sampled: Any, network: Any, numbers: list[Any], trace: Trace, iterations: int, budget: float, about: str
) -> dict[str, Any]:
    """Train network and numbers together by Adam."""
    model = dde.Model(sampled, network)
    look = _watching(dde, model, trace, lambda: _numbers(numbers), budget)
    model.compile("adam", lr=1e-3, external_trainable_variables=numbers, verbose=0)
    model.train(iterations=iterations, callbacks=[look], **SILENT)
    return _finished(trace, _numbers(numbers), f"{_version('deepxde')}, {about}", budget)


def lotka_volterra(
    points: np.ndarray, data: Data, start: Callable[[], Trace], seed: int, share: float, budget: float
) -> dict[str, Any]:
    """Predators and prey over twelve units of time by neurodiffeq: two networks, 3,000 epochs of Adam."""
    import torch

    networks: Any = importlib.import_module("neurodiffeq.networks")
    conditions: Any = importlib.import_module("neurodiffeq.conditions")
    solvers: Any = importlib.import_module("neurodiffeq.solvers")
    diff: Any = importlib.import_module("neurodiffeq").diff
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the library draws from NumPy's global generator
    trace = start()

    def residuals(u: Any, v: Any, t: Any) -> list[Any]:
        return [diff(u, t) - (u - u * v), diff(v, t) - (u * v - v)]

    starts = [conditions.IVP(t_0=0.0, u_0=1.5), conditions.IVP(t_0=0.0, u_0=1.0)]
    nets = [networks.FCNN(actv=networks.SinActv) for _ in range(2)]
    solver = solvers.Solver1D(residuals, starts, t_min=0.1, t_max=12.0, nets=nets)
    latest = 0.0

    def state() -> np.ndarray:
        made = solver.get_solution(copy=False, best=True)
        return np.column_stack(made(points[:, 0], to_numpy=True))

    def look(solver: Any) -> None:
        nonlocal latest
        seconds = time.perf_counter() - trace.start
        if seconds - latest >= INTERVAL:
            latest = seconds
            trace.look(state())
        if seconds > budget:
            solver._stop_training = True

    solver.fit(max_epochs=round(3000 * share), callbacks=[look], tqdm_file=None)
    return _finished(trace, state(), f"{_version('neurodiffeq')}, 32x2 sin twice, Adam", budget)


EXAMPLES: Mapping[str, Example] = {
    "allen_cahn": allen_cahn,
    "lorenz inverse": lorenz,
    "diffusion inverse": diffusion,
    "lotka_volterra": lotka_volterra,
}
