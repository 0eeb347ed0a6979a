"""`pinn.solve`: a forward problem by a network, from the declaration to a Solution."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from sciml.errors import ArgumentError, SolveError
from sciml.network import MLP
from sciml.pinn.ansatz import Ansatz, build_ansatz
from sciml.pinn.evaluator import NetworkEvaluator
from sciml.pinn.march import Limits, March
from sciml.pinn.plan import Plan, plan_for
from sciml.problem import Problem
from sciml.solution import Solution
from sciml.training import Optimizer, make_optimizer

__all__ = ["solve"]

Progress = Callable[[Mapping[str, Any]], None]


def solve(
    problem: Problem,
    *,
    tol: float = 1e-4,
    budget: float | None = 30.0,
    iterations: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float64",
    optimizer: str | Optimizer = "auto",
    network: str | nn.Module | None = None,
    exact_conditions: bool = True,
    progress: Progress | None = None,
) -> Solution:
    r"""Solve a problem with a network.

    The unknowns are `u = g + s*d*N(features)` with g and d from the conditions (`sciml.pinn.ansatz`); the network N
    minimises :math:`\sum_k w_k\,\mathrm{mean}(r_k^2)` over the equations' residuals at points of the box and those of
    the conditions that the ansatz cannot meet. The number of points grows in levels and half of them follow the
    residual (`sciml.pinn.collocation`).

    The error is estimated by the relative L2 distance to the latest state of the same training whose residual, on fresh
    points, was at least three times larger: an estimate of that state's error, which the present one should undercut.
    Training stops when the estimate meets `tol` at two checks in a row.

    Parameters
    ----------
    problem : a well-posed forward problem.
    tol : relative L2 error to stop at, by the estimate; > 0.
    budget : seconds of wall time, or None for no limit.
    iterations : the largest number of optimizer steps, or None for no limit.
    seed : of weights and points; a non-negative integer. Equal seeds give equal results on one machine, unless the
        budget ends the run.
    device, dtype : of all tensors; "float64" (default) or "float32", in which the error stalls near 1e-4.
    optimizer : "auto" (Levenberg-Marquardt), a name (see `sciml.training`), or an `Optimizer`.
    network : "12x5" (width x hidden layers), a `torch.nn.Module` from the features [N, F] of `build_ansatz` to outputs
        [N, unknowns], or None for a choice by the problem.
    exact_conditions : False puts all conditions but periodicity into the loss.
    progress : called a few times a second at most with a mapping "iteration", "seconds", "loss", "terms", "estimate",
        "stage".

    Returns
    -------
    Solution : success if the estimate meets the tolerance; otherwise the best state with a status that says why not.
        `history` holds losses on fresh points.

    Raises
    ------
    ProblemError : the problem is not a forward problem (conditions or equations missing).
    ArgumentError : a keyword has a wrong value.
    SolveError : no finite state exists at all (the equation is not finite on the initial network).

    References
    ----------
    M. Raissi, P. Perdikaris, G. E. Karniadakis, doi:10.1016/j.jcp.2018.10.045.

    Examples
    --------
    >>> import sciml
    >>> from sciml import pinn
    >>> y = pinn.solve(sciml.load("logistic"), tol=1e-5)
    >>> y.success, bool(y.error() < 1e-4)
    (True, True)
    """
    start = time.perf_counter()
    _check(problem, tol, budget, iterations, seed)
    problem.check_forward()
    dtype = _dtype(dtype)
    device = _device(device)
    options = {"harmonics": 1, "exact": bool(exact_conditions)}
    if not (network is None or isinstance(network, (str, nn.Module))):
        raise ArgumentError(f"network must be 'WIDTHxDEPTH', a torch.nn.Module or None, got {network!r}")
    plan = plan_for(problem, network)
    options["harmonics"] = plan.harmonics
    ansatz = build_ansatz(problem, **options)
    generator = torch.Generator().manual_seed(seed)
    net = _network(network, plan, ansatz, generator, dtype, device)
    rule = _optimizer(optimizer)
    march = March(ansatz, net, plan, rule, generator, Limits(tol, budget, iterations, start), progress)
    status, message = march.run()
    if not march.history:
        raise SolveError(
            "the residual is not a finite number at the initial network; look for a division by zero, a logarithm or a "
            "root of something negative in the equations"
        )
    details = {
        "iterations": march.steps,
        "parameter_count": sum(p.numel() for w in march.windows for p in w.piece.network.parameters()),
        "points": max(window.objective.size for window in march.windows),
        "windows": len(march.windows),
        "seed": seed,
        "device": str(device),
        "dtype": str(dtype).removeprefix("torch."),
        "optimizer": march.windows[0].optimizer.name,
        "network": plan.text if network is None or isinstance(network, str) else type(net).__name__,
        "conditions": ansatz.describe(),
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    return Solution(
        problem,
        NetworkEvaluator([window.piece for window in march.windows], options),
        method=_method(details),
        status=status,
        message=message,
        wall_time=time.perf_counter() - start,
        estimate=march.estimate,
        history=march.history,
        details=details,
    )


def _check(problem: Any, tol: Any, budget: Any, iterations: Any, seed: Any) -> None:
    if not isinstance(problem, Problem):
        raise ArgumentError(f"problem must be a sciml.Problem (sciml.load gives one by name), got {problem!r}")
    for name, value in (("tol", tol), ("budget", budget)):
        if value is None and name == "budget":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ArgumentError(f"{name} must be a positive number, got {value!r}")
    if iterations is not None and (isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1):
        raise ArgumentError(f"iterations must be a positive integer or None, got {iterations!r}")
    if budget is None and iterations is None and tol < 1e-12:
        raise ArgumentError("tol below 1e-12 is never met; give a budget or iterations as well")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ArgumentError(f"seed must be a non-negative integer, got {seed!r}")


def _method(details: Mapping[str, Any]) -> str:
    windows = f", {details['windows']} time windows" if details["windows"] > 1 else ""
    return f"network {details['network']}{windows}, {details['optimizer']}, {details['conditions']}"


def _optimizer(optimizer: str | Optimizer) -> Callable[[], Optimizer]:
    """Return what makes an optimizer for each window; an instance is copied, so that windows share no state."""
    first = make_optimizer("levenberg-marquardt" if optimizer == "auto" else optimizer)
    return lambda: deepcopy(first)


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    table = {
        "float64": torch.float64,
        "float32": torch.float32,
        torch.float64: torch.float64,
        torch.float32: torch.float32,
    }
    try:
        return table[dtype]
    except (KeyError, TypeError):
        raise ArgumentError(f"dtype must be 'float64' or 'float32', got {dtype!r}") from None


def _device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).add_(1)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise ArgumentError(f"device {device!r} cannot be used here: {reason}") from None
    if found.type == "meta":
        raise ArgumentError("device 'meta' holds no numbers; use 'cpu' or 'cuda'")
    return found


def _network(
    network: str | nn.Module | None,
    plan: Plan,
    ansatz: Ansatz,
    generator: torch.Generator,
    dtype: torch.dtype,
    device: torch.device,
) -> nn.Module:
    inputs, outputs = len(ansatz.inputs), len(ansatz.problem.unknowns)
    if not isinstance(network, nn.Module):
        return MLP(
            inputs,
            outputs,
            plan.width,
            plan.depth,
            plan.activation,
            lower=[-1.0] * inputs,
            upper=[1.0] * inputs,
            generator=generator,
            dtype=dtype,
            device=device,
        )
    network = network.to(dtype=dtype, device=device)
    try:
        with torch.no_grad():
            shape = tuple(network(torch.zeros(3, inputs, dtype=dtype, device=device)).shape)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ArgumentError(f"network does not accept features of shape [N, {inputs}]: {reason}") from None
    if shape != (3, outputs):
        raise ArgumentError(f"network must map [3, {inputs}] to [3, {outputs}], got {list(shape)}")
    if not any(p.requires_grad for p in network.parameters()):
        raise ArgumentError("network has no trainable parameters")
    return network
