"""Other ways to the same derivatives and Jacobians: autograd, torch.func, torch.compile."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from benchmarks.jet_cases import Case
from benchmarks.timing import Task
from sciml.network import GeneralTape, Index, InputJet, closure
from sciml.network.general import jet_general
from sciml.network.taylor import expand, selected


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
