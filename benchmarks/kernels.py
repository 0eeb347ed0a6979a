"""Time of the kernels (jets, Jacobians, Gram matrices, a Levenberg-Marquardt step) against what cannot be avoided.

    python -m benchmarks.kernels [--points N] [--repeat R] [--no-compile] [--json FILE]

For each case "bare" is the time of the matrix products and activation evaluations alone that the algorithm needs, on
tensors of the same shapes, with outputs allocated beforehand; the counts are printed. All candidates run in turn, many
rounds, on one thread: a time is the shortest of all rounds, a ratio the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import jacfwd, vmap

import sciml
from sciml.network import MLP, GeneralTape, Index, InputJet, Tape, closure, jet, lift, record
from sciml.network.general import jet_general
from sciml.network.mlp import Layer
from sciml.network.taylor import expand, selected
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.training import LevenbergMarquardt
from sciml.training.linearization import accumulate, keep_heap

Task = Callable[[], Any]
BARE = {"jet": "bare jet", "record and Jacobian": "bare Jacobian", "Gram matrix": "bare Gram matrix"}
SAMPLE = 128  # points at which slow ways to a Jacobian are timed; their time is proportional to the points


@final
class Harmonics(nn.Module):
    """The seven inputs t, cos kx, sin kx (k = 1, 2, 3) of a problem that is periodic in x."""

    def forward(self, x: Tensor) -> Tensor:
        """Map points [N, 2] to inputs [N, 7]."""
        waves = [f(k * math.pi * x[:, 0]) for k in (1, 2, 3) for f in (torch.cos, torch.sin)]
        return torch.stack([x[:, 1], *waves], 1)


@final
@dataclass(frozen=True)
class Case:
    """A network with the derivatives of its output that an equation uses.

    Attributes
    ----------
    name : what is printed.
    network : the MLP.
    whole : the same function of the coordinates as a module, for the ways that know only modules.
    points : coordinates [N, d].
    indices : the derivatives.
    source : what the jets start from.
    """

    name: str
    network: MLP
    whole: nn.Module
    points: Tensor
    indices: tuple[Index, ...]
    source: InputJet


def cases(points: int) -> list[Case]:
    """Return the standard cases."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(points, 2, generator=generator, dtype=torch.float64) - 1
    burgers, laplace, kdv = MLP(2, 1, 12, 5), MLP(2, 1, 20, 2), MLP(7, 1, 12, 5, "sin")
    first = ((0, 0), (1, 0), (0, 1), (2, 0))
    second = ((0, 0), (2, 0), (0, 2))
    third = ((0, 0), (1, 0), (0, 1), (3, 0))
    inputs = jet_general(Harmonics(), x, closure(third))
    return [
        Case("12x5 tanh, u u_x u_t u_xx", burgers, burgers, x, first, lift(burgers, x, first)),
        Case("20x2 tanh, u u_xx u_yy", laplace, laplace, x, second, lift(laplace, x, second)),
        Case("12x5 sin, u u_x u_t u_xxx", kdv, nn.Sequential(Harmonics(), kdv), x, third, lift(kdv, inputs, third)),
    ]


def rounds(tasks: dict[str, Task], repeat: int) -> dict[str, list[float]]:
    """Return the seconds that each task took in each of `repeat` rounds through all of them."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeat):
        for name, task in tasks.items():
            task()  # the first call may find its data driven out of the cache by another task
            start = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - start)
    return times


def shortest(tasks: dict[str, Task], repeat: int) -> dict[str, float]:
    """Return the shortest time in seconds of each task, all run in turn `repeat` times."""
    return {name: min(times) for name, times in rounds(tasks, repeat).items()}


def ratio(times: dict[str, list[float]], name: str, base: str) -> float:
    """Return the median over the rounds of the ratio of two times: neighbours in time are disturbed alike."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


@final
class Bare:
    """The matrix products and activation evaluations of a jet and of its Jacobian, without anything between them."""

    def __init__(self, case: Case) -> None:
        count, points = len(case.source.tables), len(case.source)
        self.layers = [layer for layer in case.network.layers if isinstance(layer, Layer)]
        series = lambda width: torch.rand(width, count * points, dtype=torch.float64)  # noqa: E731
        batch = lambda *shape: torch.rand(points, *shape, dtype=torch.float64)  # noqa: E731
        sizes = [layer.weight.shape for layer in self.layers]
        self.inputs = [series(fan_in) for _, fan_in in sizes]
        self.outputs = [series(fan_out) for fan_out, _ in sizes]
        self.left = [batch(count, fan_out).mT for fan_out, _ in sizes]
        self.right = [batch(count, fan_in) for _, fan_in in sizes]
        self.blocks = [batch(*size) for size in sizes]
        self.points = points
        weights = sum(size.numel() for size in sizes)
        passed = weights - sizes[0].numel()
        self.units = sum(fan_out for fan_out, _ in sizes[:-1]) * points
        hidden = len(sizes) - 1
        self.jet_counts = (len(sizes), 2 * count * points * weights, self.units)
        forward = self.jet_counts[1]
        self.jacobian_counts = (2 * len(sizes) + hidden, 2 * forward + 2 * count * points * passed, self.units)

    def jet(self) -> None:
        """Map the series through every layer; evaluate the activation at the constant terms."""
        for layer, a, z in zip(self.layers, self.inputs, self.outputs, strict=True):
            torch.mm(layer.weight, a, out=z)
            if layer.function is not None:
                layer.function(z[:, : self.points])

    def jacobian(self) -> None:
        """Do the same, map adjoints back, and sum the products of adjoint and input over the series at every point."""
        self.jet()
        for number in reversed(range(len(self.layers))):
            torch.bmm(self.left[number], self.right[number], out=self.blocks[number])
            if number:
                torch.mm(self.layers[number].weight.T, self.outputs[number], out=self.inputs[number])


def nested_autograd(case: Case) -> Tensor:
    """Return the derivatives by reverse mode upon reverse mode, with the graph that training would need."""
    x = case.points.detach().clone().requires_grad_()
    known = {(0,) * x.shape[1]: case.whole(x)}
    slopes: dict[Index, Tensor] = {}
    for alpha in closure(case.indices)[1:]:
        axis = next(i for i, order in enumerate(alpha) if order)
        lower = (*alpha[:axis], alpha[axis] - 1, *alpha[axis + 1 :])
        if lower not in slopes:
            slopes[lower] = torch.autograd.grad(known[lower].sum(), x, create_graph=True)[0]
        known[alpha] = slopes[lower][:, axis : axis + 1]
    return torch.stack([known[alpha] for alpha in case.indices])


def nested_forward(case: Case) -> Tensor:
    """Return the derivatives by `torch.func.jvp` of `torch.func.jvp`."""
    return jet_general(case.whole, case.points, case.indices)


def mapped_forward(case: Case) -> Tensor:
    """Return the derivatives by `torch.func.vmap` of `torch.func.jacfwd` of `torch.func.jacfwd`."""
    function: Callable[[Tensor], Tensor] = lambda point: case.whole(point[None])[0]  # noqa: E731
    found: dict[Index, Tensor] = {}
    for order in range(max(map(sum, case.indices)) + 1):
        wanted = [alpha for alpha in case.indices if sum(alpha) == order]
        if wanted:
            tensor = vmap(function)(case.points)
            for alpha in wanted:
                axes = [axis for axis, times in enumerate(alpha) for _ in range(times)]
                found[alpha] = tensor[(slice(None), slice(None), *axes)]
        function = jacfwd(function)
    return torch.stack([found[alpha] for alpha in case.indices])


def part(case: Case, count: int) -> Case:
    """Return the case at its first points."""
    return Case(case.name, case.network, case.whole, case.points[:count], case.indices, case.source[:count])


def sample_gradients(case: Case, cotangent: Tensor) -> Tensor:
    """Return the Jacobian by `torch.func.vmap` of `torch.func.grad` of nested forward mode."""
    return GeneralTape(case.whole, case.points, case.indices).jacobian(cotangent)


def looped_autograd(case: Case, cotangent: Tensor) -> Tensor:
    """Return the Jacobian by one reverse pass through the nested reverse passes for every point."""
    parameters = list(case.network.parameters())
    rows = []
    scalars = (nested_autograd(case) * cotangent).sum((0, 2))
    for scalar in scalars:
        gradients = torch.autograd.grad(scalar, parameters, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([g.reshape(-1) for g in gradients if g is not None]))
    return torch.stack(rows)


def compiled(case: Case) -> tuple[Task | None, float, str]:
    """Return the jet by `torch.compile`, the seconds until its first result, and why there is none if there is none."""
    network = deepcopy(case.network).requires_grad_(False)

    def program(coefficients: Tensor) -> Tensor:
        return expand(network, InputJet(case.source.indices, case.source.tables, coefficients), False)[0]

    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compiler.reset()
            torch.compiler.config.force_disable_caches = True  # a start is timed as on a fresh machine
            # With gradients enabled the jet writes into no slices, which would cut the program into pieces.
            fast = torch.compile(program, fullgraph=True, dynamic=False)
            fast(case.source.coefficients)
    except Exception as error:  # whatever a missing or failing compiler raises, the rest is still measured
        return None, 0.0, f"{type(error).__name__}: {str(error).strip().splitlines()[0][:100]}"
    task = torch.enable_grad()(lambda: selected(fast(case.source.coefficients), case.source))
    return task, time.perf_counter() - start, ""


def deviation(found: Tensor, exact: Tensor) -> float:
    """Return the largest difference relative to the largest value."""
    return float((found - exact).abs().max() / exact.abs().max())


def measure(case: Case, repeat: int, compile_too: bool) -> dict[str, Any]:
    """Time all kernels of one case; seconds, counts and deviations by name."""
    network, source, points = case.network, case.source, len(case.source)
    with torch.no_grad():
        value = jet(network, source)
    cotangent = torch.rand_like(value)
    count = network.parameter_count
    out = value.new_empty(count, points).T
    matrix, vector, whole = value.new_zeros(count, count), value.new_zeros(count), value.new_empty(count, count)
    residual = value.new_ones(points)

    def recorded() -> Tape:
        return record(network, source)[1]

    bare = Bare(case)
    tasks: dict[str, Task] = {
        "jet": lambda: jet(network, source),
        "bare jet": bare.jet,
        "record and Jacobian": lambda: recorded().jacobian(cotangent, out),
        "bare Jacobian": bare.jacobian,
        "Gram matrix": lambda: accumulate(matrix, vector, out, residual, 1.0),
        "bare Gram matrix": lambda: torch.mm(out.T, out, out=whole),
    }
    with torch.no_grad():
        times = rounds(tasks, repeat)
    seconds = {name: min(taken) for name, taken in times.items()}
    few, fewer = part(case, SAMPLE), part(case, SAMPLE // 16)
    others: dict[str, Task] = {
        "nested autograd": lambda: nested_autograd(case),
        "torch.func jvp of jvp": lambda: nested_forward(case),
        "torch.func vmap jacfwd": lambda: mapped_forward(case),
        "torch.func vmap grad": lambda: sample_gradients(few, cotangent[:, :SAMPLE]),
        "autograd per point": lambda: looped_autograd(fewer, cotangent[:, : SAMPLE // 16]),
    }
    deviations = {
        "nested autograd": deviation(nested_autograd(case).detach(), value),
        "torch.func jvp of jvp": deviation(nested_forward(case).detach(), value),
        "torch.func vmap jacfwd": deviation(mapped_forward(case).detach(), value),
        "torch.func vmap grad": deviation(sample_gradients(few, cotangent[:, :SAMPLE]), out[:SAMPLE]),
        "autograd per point": deviation(looped_autograd(fewer, cotangent[:, : SAMPLE // 16]), out[: SAMPLE // 16]),
    }
    seconds |= shortest(others, max(2, repeat // 10))
    seconds["torch.func vmap grad"] *= points / SAMPLE
    seconds["autograd per point"] *= points / (SAMPLE // 16)
    result: dict[str, Any] = {
        "case": case.name,
        "points": points,
        "coefficients": len(source.tables),
        "parameters": count,
        "counts": {
            "jet": bare.jet_counts,
            "record and Jacobian": bare.jacobian_counts,
            "Gram matrix": (1, 2 * points * count**2, 0),
        },
        "ratios": {name: ratio(times, name, base) for name, base in BARE.items()},
        "seconds": seconds,
        "deviations": deviations,
    }
    if compile_too:
        task, start, reason = compiled(case)
        result["compile"] = {"start": start, "reason": reason}
        if task is not None:
            seconds |= {"torch.compile": shortest({"torch.compile": task}, repeat)["torch.compile"]}
            deviations["torch.compile"] = deviation(task(), value)
    return result


def matrix_rate(size: int = 512, repeat: int = 20) -> float:
    """Return floating operations per second of a float64 product of square matrices."""
    a = torch.rand(size, size, dtype=torch.float64)
    out = torch.empty_like(a)
    return 2 * size**3 / shortest({"product": lambda: torch.mm(a, a, out=out)}, repeat)["product"]


def burgers_step(points: int, repeat: int) -> dict[str, float]:
    """Return seconds of the parts of a Levenberg-Marquardt step on Burgers' equation, 12x5 tanh."""
    problem = sciml.load("burgers")
    ansatz = build_ansatz(problem)
    network = MLP(len(ansatz.inputs), 1, 12, 5)
    generator = torch.Generator().manual_seed(0)
    sampler = Sampler(problem.domain, generator, torch.float64, torch.device("cpu"))
    objective = ForwardObjective(ansatz, network, sampler)
    objective.draw(points)
    optimizer = LevenbergMarquardt()
    for _ in range(3):
        optimizer.step(objective)
    model = objective.linearize()
    kept, vector = model.kept, torch.zeros_like(model.vector)
    matrix = torch.zeros_like(model.matrix)
    assert kept is not None

    def jacobians() -> None:
        for chunk in objective.chunks():
            objective.jacobian(chunk, {name: kept[name][rows] for name, rows in chunk.items()})

    def gram() -> None:
        for chunk in objective.chunks():
            for name, rows in chunk.items():
                accumulate(matrix, vector, kept[name][rows], model.residuals[name][rows], model.factors[name])

    def step() -> None:
        optimizer.points_changed()
        optimizer.step(objective)

    def solve() -> None:
        damped = model.matrix.clone()
        damped.diagonal().add_(1.0)
        factor = torch.linalg.cholesky_ex(damped)[0]
        for _ in range(2):
            torch.cholesky_solve(model.vector[:, None], factor)

    tasks: dict[str, Task] = {
        "whole step": step,
        "Jacobian": jacobians,
        "Gram matrix": gram,
        "residuals, twice": lambda: (objective.evaluate(), objective.evaluate()),
        "Cholesky factor and solutions": solve,
        "products with J": lambda: model.transposed(model.product(model.vector)),
        "new points (not in the step)": lambda: objective.resample(count=points),
    }
    return shortest(tasks, repeat)


def show(result: dict[str, Any]) -> None:
    """Print one case."""
    seconds = result["seconds"]
    print(
        f"\n{result['case']}: {result['points']} points, {result['coefficients']} Taylor coefficients, "
        f"{result['parameters']} parameters"
    )
    print(f"  {'kernel':24}{'ms':>9}{'bare ms':>9}{'ratio':>7}   {'products':>8}{'MFLOP':>9}{'activations':>13}")
    for name, base in BARE.items():
        products, operations, activations = result["counts"][name]
        print(
            f"  {name:24}{1e3 * seconds[name]:9.2f}{1e3 * seconds[base]:9.2f}{result['ratios'][name]:7.2f}"
            f"   {products:8d}{operations / 1e6:9.1f}{activations:13d}"
        )
    print(f"  {'another way':24}{'ms':>9}{'times ours':>21}{'deviation':>16}")
    for name, off in result["deviations"].items():
        ours = "record and Jacobian" if name in ("torch.func vmap grad", "autograd per point") else "jet"
        what = "Jacobian" if ours != "jet" else "jet"
        row = f"  {name:24}{1e3 * seconds[name]:9.2f}{seconds[name] / seconds[ours]:12.2f} ({what:>8}){off:14.0e}"
        print(row)
    if reason := result.get("compile", {}).get("reason"):
        print(f"  torch.compile: not measured, {reason}")
    elif "compile" in result:
        start, gain = result["compile"]["start"], seconds["jet"] - seconds["torch.compile"]
        repaid = f"repaid after {start / gain:.0f} jets" if gain > 0 else "never repaid"
        print(f"  torch.compile takes {start:.1f} s to start: {repaid}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--points", type=int, default=2048, help="of a chunk")
    parser.add_argument("--repeat", type=int, default=40, help="rounds, of which the shortest time counts")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes a minute")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    keep_heap()
    rate = matrix_rate()
    print(f"torch {torch.__version__}, one thread: {rate / 1e9:.0f} GFLOP/s in a float64 product of 512 x 512")
    results = []
    for case in cases(options.points):
        results.append(measure(case, options.repeat, not options.no_compile))
        show(results[-1])
    parts = burgers_step(4000, max(3, options.repeat // 8))
    print("\nLevenberg-Marquardt step, Burgers' equation, 12x5 tanh, 4000 points")
    for name, took in parts.items():
        print(f"  {name:32}{1e3 * took:9.2f} ms{100 * took / parts['whole step']:7.0f} %")
    if options.json is not None:
        options.json.write_text(json.dumps({"rate": rate, "cases": results, "step": parts}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
