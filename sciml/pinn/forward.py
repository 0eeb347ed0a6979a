"""`pinn.solve`: a forward problem by a network, from the declaration to a Solution."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from sciml.errors import ArgumentError, SolveError
from sciml.network import MLP, Sum
from sciml.pinn.ansatz import Ansatz, build_ansatz
from sciml.pinn.conditioning import Judge
from sciml.pinn.flow import evaluator_of
from sciml.pinn.march import March
from sciml.pinn.plan import Plan, plan_for
from sciml.pinn.progress import Limits, Progress, Recorder
from sciml.pinn.random_features import RandomFeatures
from sciml.pinn.streamfunction import Stream, stream_function
from sciml.problem import Problem
from sciml.solution import Solution, Status
from sciml.threads import fitting_threads
from sciml.training import Optimizer, make_optimizer
from sciml.wellposedness import explained

__all__ = ["check_arguments", "device_of", "dtype_of", "solve"]

# The normal equations of Levenberg-Marquardt take too long for more: 12x5 (673) against 30x5 (3,841) in benchmarks.
MOST_PARAMETERS = 2000


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

    A steady incompressible flow with velocities on all sides is represented by its stream function
    (`sciml.pinn.streamfunction`); its pressure is fitted afterwards, and the estimate is that of the velocities.

    Training is followed by corrections: a wide layer of random sines on the trained hidden layers, whose coefficients
    are a least-squares problem (`sciml.pinn.polish`). Where they do not suffice in one go, the interval of time is cut
    into windows that hand over to each other (`sciml.pinn.march`).

    The error is estimated by the relative L2 distance of two states, one whose residual on fresh points is at least
    three times larger and the present one, which should undercut it: the trained and the corrected one, or two of the
    same training. In windows this estimate of each is carried on through the equation linearised about the solution
    (`sciml.pinn.growth`). Training stops when the estimate meets `tol`; in one window the linearised equation is then
    asked whether the residual, or rounding, makes a larger error, and whether the conditions determine the solution at
    all (`sciml.pinn.conditioning`).

    Parameters
    ----------
    problem : a well-posed forward problem.
    tol : relative L2 error to stop at, by the estimate; > 0.
    budget : seconds of wall time, or None for no limit.
    iterations : the largest number of optimizer steps, or None for no limit.
    seed : of weights and points; a non-negative integer. Equal seeds give equal results on one machine, unless the
        budget ends the run.
    device, dtype : of all tensors; "float64" (default) or "float32", in which the error stalls near 1e-4.
    optimizer : "auto" tries random features by least squares (`sciml.pinn.random_features`) and, where they do not meet
        the tolerance, trains by Levenberg-Marquardt, or by SPRING a network of more than 2,000 parameters;
        "least-squares" is the former alone; any other name (see
        `sciml.training`) or an `Optimizer` trains.
    network : "12x5" (width x hidden layers), a `torch.nn.Module` from the features [N, F] of `build_ansatz` to outputs
        [N, unknowns], or None for a choice by the problem.
    exact_conditions : False puts all conditions but periodicity into the loss.
    progress : called a few times a second at most with a mapping "iteration", "seconds", "loss", "terms", "estimate",
        "stage", "values". The last is a function of points [N, d] (NumPy, columns in the order of the domain) that
        returns the present state's unknowns [N, unknowns], for watching the true error fall; NaN at times that no
        window has come to yet. It holds until the call returns.

    It uses as many threads as torch does (`torch.set_num_threads`), one in one coordinate. Where other processes share
    the cores, one is often faster: `with sciml.threads.fitting_threads():` measures that for what runs inside, as the
    commands do, and leaves torch's number as it was.

    Returns
    -------
    Solution : success if the estimate meets the tolerance; otherwise the best state with a status that says why not:
        that the problem is ill-posed or its solution leaves the finite numbers, where that is so.
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
    check_arguments(problem, tol, budget, iterations, seed)
    problem.check_forward()
    dtype = dtype_of(dtype)
    device = device_of(device)
    if not (network is None or isinstance(network, (str, nn.Module))):
        raise ArgumentError(f"network must be 'WIDTHxDEPTH', a torch.nn.Module or None, got {network!r}")
    limits = Limits(tol, budget, iterations, start)
    recorder = Recorder(limits, progress)
    # Operations on a few hundred numbers are faster on one thread.
    with fitting_threads(small=True) if problem.domain.dimension == 1 else nullcontext():
        return explained(
            _solved(problem, limits, seed, device, dtype, optimizer, network, bool(exact_conditions), recorder)
        )


def _solved(
    problem: Problem,
    limits: Limits,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    optimizer: str | Optimizer,
    network: str | nn.Module | None,
    exact_conditions: bool,
    recorder: Recorder,
) -> Solution:
    """Solve as well as the limits allow."""
    options = {"harmonics": 1, "exact": exact_conditions}
    plan = plan_for(problem, network)
    options["harmonics"] = plan.harmonics
    # A network of the user's own gives the unknowns themselves.
    stream = stream_function(problem) if exact_conditions and not isinstance(network, nn.Module) else None
    ansatz = build_ansatz(problem, **options) if stream is None else stream.ansatz
    if ansatz.waves is not None:
        plan = plan_for(problem, network, waves=True)
    generator = torch.Generator().manual_seed(seed)
    about = {
        "seed": seed,
        "device": str(device),
        "dtype": str(dtype).removeprefix("torch."),
        "conditions": ansatz.describe(),
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    direct: Solution | None = None
    judge = Judge(problem, limits.tol)
    if optimizer == "least-squares" or (optimizer == "auto" and network is None and limits.iterations is None):
        features = RandomFeatures(ansatz, generator, dtype, device, recorder, limits, judge)
        met = features.run()
        direct = _direct(problem, features, met, options, about, stream)
        if optimizer == "least-squares" and direct is None:
            raise SolveError(
                "random features do not come near a solution of this equation; train a network, optimizer='auto'"
            )
        if direct is not None and (met or judge.hopeless or optimizer == "least-squares"):
            return direct
    net = _network(network, plan, ansatz, generator, dtype, device)
    march = March(ansatz, net, plan, _optimizer(optimizer, net), generator, recorder, limits, judge)
    status, message = march.run()
    if not recorder.history:
        raise SolveError(
            "the residual is not a finite number at the initial network; look for a division by zero, a logarithm or a "
            "root of something negative in the equations"
        )
    if direct is not None and direct.estimate is not None and not (march.chain.estimate or math.inf) < direct.estimate:
        return replace(direct, wall_time=limits.seconds())
    corrections = [correction.columns for correction in march.chain.corrections if correction is not None]
    details = {
        "iterations": march.steps,
        "correction": max(corrections, default=0),
        "parameter_count": sum(_count(piece.network) for piece in march.chain.pieces),
        "points": max(window.objective.size for window in march.chain.windows),
        "windows": len(march.chain.windows),
        "optimizer": march.chain.windows[0].optimizer.name,
        "network": plan.text if network is None or isinstance(network, str) else type(net).__name__,
        **about,
    }
    return Solution(
        problem,
        evaluator_of(march.chain.pieces, options, stream, generator),
        method=_method(details),
        status=status,
        message=message,
        wall_time=limits.seconds(),
        estimate=None if status is Status.ILL_POSED else march.chain.estimate,
        history=recorder.history,
        details=details,
    )


def _direct(
    problem: Problem,
    features: RandomFeatures,
    met: bool,
    options: Mapping[str, Any],
    about: Mapping[str, Any],
    stream: Stream | None,
) -> Solution | None:
    """Make a Solution of the best attempt by least squares, if there is one."""
    best = features.best
    if best is None:
        return None
    status, message = features.judge.verdict or (Status.CONVERGED if met else Status.INACCURATE, "")
    details = {
        "iterations": features.steps,
        "parameter_count": sum(p.numel() for p in best.piece.network.parameters() if p.requires_grad),
        "points": best.points,
        "windows": 1,
        "optimizer": "least-squares",
        "network": f"{best.count} random features of scale {best.scale:g}",
        **about,
    }
    return Solution(
        problem,
        evaluator_of([best.piece], options, stream, features.generator),
        method=_method(details),
        status=status,
        message=message,
        wall_time=features.limits.seconds(),
        estimate=None if status is Status.ILL_POSED else features.estimate,
        history=features.recorder.history,
        details=details,
    )


def _count(network: nn.Module) -> int:
    """Number of coefficients that were determined; hidden layers that a correction shares count once."""
    if not isinstance(network, Sum):
        return sum(p.numel() for p in network.parameters())
    first, *others = network
    return _count(first) + sum(p.numel() for part in others for p in part.parameters() if p.requires_grad)


def check_arguments(problem: Any, tol: Any, budget: Any, iterations: Any, seed: Any) -> None:
    """Refuse arguments of a wrong type or value, by name."""
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
    columns = details.get("correction", 0)
    corrected = f", corrected by {columns} sines" if columns else ""
    return f"network {details['network']}{windows}, {details['optimizer']}{corrected}, {details['conditions']}"


def _optimizer(optimizer: str | Optimizer, network: nn.Module) -> Callable[[], Optimizer]:
    """Return what makes an optimizer for each window; an instance is copied, so that windows share no state."""
    if optimizer == "auto":
        optimizer = "levenberg-marquardt" if _count(network) <= MOST_PARAMETERS else "spring"
    first = make_optimizer(optimizer)
    return lambda: deepcopy(first)


def dtype_of(dtype: str | torch.dtype) -> torch.dtype:
    """Return the precision that a user named."""
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


def device_of(device: str | torch.device) -> torch.device:
    """Return the device that a user named, which must be usable."""
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
    inputs, outputs = len(ansatz.inputs), len(ansatz.fields)
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
