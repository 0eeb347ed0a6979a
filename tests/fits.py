"""A fit of a heated rod with everything in it, made by hand: what the tests of fits start from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sciml import Fit, Problem, Solution, Status
from sciml.fit import FunctionEstimate
from sciml.inference import Estimate
from sciml.network import MLP
from sciml.observations import Observations, observations_of
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.evaluator import NetworkEvaluator
from sciml.pinn.piece import Piece

INF = math.inf


def function(*, inputs: int = 1, covariance: bool = True, trained: str = "all", **changes: Any) -> FunctionEstimate:
    names = ("x", "u", "t")[:inputs]
    network = MLP(inputs, 1, 6, 1, "sin", lower=[-1] * inputs, upper=[2] * inputs, seed=3)
    if trained == "last":
        network.requires_grad_(False)
        network.layers[-1].requires_grad_(True)
    count = sum(p.numel() for p in network.parameters() if p.requires_grad)
    root = np.random.default_rng(1).normal(size=(count, count)) / 30
    return FunctionEstimate(
        **{
            "name": "k",
            "arguments": names,
            "lower": (-1.0,) * inputs,
            "upper": (2.0,) * inputs,
            "network": network,
            "offset": 0.7,
            "factor": 1.3,
            "covariance": root @ root.T if covariance else None,
            "quantile": 2.1,
            **changes,
        }
    )


def state(problem: Problem, seed: int = 0) -> Solution:
    network = MLP(
        len(problem.coordinates), len(problem.unknowns), 5, 1, lower=problem.domain.lower, upper=problem.domain.upper,
        seed=seed,
    )  # fmt: skip
    evaluator = NetworkEvaluator([Piece(build_ansatz(problem), network)], {})
    return Solution(problem, evaluator, method="network 5x1", status=Status.CONVERGED, history={"loss": [1.0, 0.1]})


def rod(**values: float) -> Problem:
    return Problem(
        "u_t = d(k(x)*u_x, x) + a*u + b",
        [],
        {"x": (-1, 2), "t": (0, 1)},
        {"a": 0.3, "b": -2e-3, **values},
        functions=["k(x)"],
        name="rod",
    )


def measured(problem: Problem, solution: Solution, count: int = 30, seed: int = 0) -> tuple[Observations, Any]:
    rng = np.random.default_rng(seed)
    box = problem.domain
    points = rng.uniform(box.lower, box.upper, (count, len(box.coordinates)))
    rows = solution.evaluate(problem.unknowns, points)
    noise = 0.01 * rng.standard_normal(rows.shape)
    values = {name: row + part for name, row, part in zip(problem.unknowns, rows, noise, strict=True)}
    data = dict(zip(problem.coordinates, points.T, strict=True)) | values
    (one,) = observations_of(data, problem)
    return one, {name: -part / 0.01 for name, part in zip(problem.unknowns, noise, strict=True)}


def fit(problem: Problem | None = None, **changes: Any) -> Fit:
    problem = rod() if problem is None else problem
    solution = state(problem)
    one, residuals = measured(problem, solution)
    return Fit(
        problem,
        **{
            "parameters": {
                "a": Estimate(0.3, 0.0123456, (0.2754321, 0.3245679)),
                "b": Estimate(-2e-3, INF, (-INF, 0.0)),
            },
            "functions": {"k": function(trained="last")},
            "solutions": (solution,),
            "observations": (one,),
            "residuals": (residuals,),
            "noise": dict.fromkeys(problem.unknowns, 0.01),
            "correlation": np.array([[1.0, -0.95], [-0.95, 1.0]]),
            "covariance": np.array([[1e-4, np.inf], [np.inf, 1 / 3]]),
            "freedom": 27.5,
            "undetermined": [{"b": 1.0}],
            "method": "by hand",
            "wall_time": 1.25,
            "history": {"iteration": [0.0, 1.0], "a": np.array([0.1, 0.3])},
            "details": {"seed": 7, "iterations": 3, "network": object()},
            "state": {"theta": np.random.default_rng(2).normal(size=11), "steps": np.array([3]), "wave": np.array(2j)},
            **changes,
        },
    )
