"""Files of measurements to identify from, command lines about them, and a solver that answers with the start."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sciml
from sciml import Fit, Solution, Status, classical
from sciml.fit import FunctionEstimate
from sciml.inference import Estimate
from sciml.network import MLP

# Logistic growth from 0.1 with rate 1 and capacity 1, measured with an error of 0.01 (seed 0).
T = np.linspace(0, 10, 41)
Y = 1 / (1 + 9 * np.exp(-T)) + 0.01 * np.random.default_rng(0).standard_normal(41)
LOGISTIC = ("logistic", "--data", "points.csv", "--unknown", "r")
ROD = ("u_t = d(k(x)*u_x, x)", "--domain", "x=0:1", "t=0:1", "--functions", "k(x)", "--data", "rod.csv")


def write_files() -> None:
    """Write measurements and what only looks like some into the present directory."""
    rows = "\n".join(f"{t!r},{y!r}" for t, y in zip(T.tolist(), Y.tolist(), strict=True))
    Path("points.csv").write_text(f"t,y\n{rows}\n")
    Path("other.csv").write_text("time;size\n0,5;0,2\n2;0,4\n3;0,7\n")
    Path("rod.csv").write_text("x,t,u\n0.1,0.2,1\n0.5,0.5,2\n0.9,1,3\n0.2,0.3,1\n")
    Path("late.csv").write_text("t,y\n1,0.2\n12,1\n3,0.5\n")
    Path("word.csv").write_text("t,y\n1,0.2\n2,many\n")
    Path("one.csv").write_text("t,y\n1,0.2\n")
    Path("negative.csv").write_text("t,y\n1,0.2\n2,-0.1\n3,0.5\n")
    Path("notes.txt").write_text("in the way")


def fake(status: Status = Status.CONVERGED, **changes: Any) -> Callable[..., Fit]:
    """Return a solver that answers with the start and remembers what it was asked."""

    def run(problem: sciml.Problem, data: Any, unknown: Any, **options: Any) -> Fit:
        run.asked = {"problem": problem, "data": data, "unknown": unknown, **options}  # type: ignore[attr-defined]
        numbers = [name for name in unknown if name in problem.parameters]
        values = {name: problem.parameters[name] for name in numbers}
        network = MLP(1, 1, depth=0, seed=0)
        solutions = ()
        if problem.name == "logistic" and problem.conditions:
            u = classical.solve(problem, rtol=1e-6)
            solutions = (Solution(problem, u.evaluator, method="fake", status=status),) * len(data)
        if "progress" in options:
            options["progress"](
                {"iteration": 3, "seconds": 1.0, "loss": 0.5, "stage": "training", "parameters": values}
            )
        return Fit(
            problem,
            **{
                "parameters": {n: Estimate(v, 0.01 * abs(v), (0.98 * v, 1.02 * v)) for n, v in values.items()},
                "functions": {
                    name: FunctionEstimate(name, arguments, (0.0,), (1.0,), network, covariance=0.01 * np.eye(2))
                    for name, arguments in problem.unknown_functions.items()
                },
                "solutions": solutions,
                "observations": tuple(data),
                "noise": {"y": 0.01},
                "correlation": np.eye(len(values)),
                "method": "fake",
                "status": status,
                "wall_time": 0.5,
                "history": {"iteration": [1.0, 2.0], "loss": [1.0, math.inf]},
                "details": {"seed": options.get("seed")},
                **changes,
            },
        )

    return run
