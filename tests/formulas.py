"""Solutions whose every value is known: an evaluator made of formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import sciml
from sciml import Problem, Solution, Status
from sciml.notation import Partial, parse_expression, to_numpy
from sciml.solution import Evaluator


class Formula(Evaluator):
    """Formulas and their derivatives: an evaluator whose every value is known."""

    kind = "formula"

    def __init__(self, formulas: Mapping[str, str], problem: Problem) -> None:
        self.formulas, self.problem = dict(formulas), problem
        self.calls: list[int] = []

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        words = self.problem.vocabulary
        axes = [words.symbol(name) for name in words.coordinates]
        self.calls.append(len(points))
        rows = []
        for partial in partials:
            formula = parse_expression(self.formulas[partial.unknown], words)
            for axis, order in zip(axes, partial.orders, strict=True):
                formula = formula.diff(axis, order) if order else formula
            rows.append(to_numpy([self.problem.substituted(formula)], axes)(*points.T)[0])
        return np.array(rows)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"scalar": np.array(1.5), "wave": np.array([1 + 2j, 3j])}, {"formulas": self.formulas}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> Formula:
        assert arrays["scalar"].shape == ()
        assert arrays["wave"].tolist() == [1 + 2j, 3j]
        return cls(rest["formulas"], problem)


HEAT = "exp(-pi**2*t/4)*sin(pi*x)"


def heat(formula: str = HEAT, **details: Any) -> Solution:
    problem = sciml.load("heat")
    given = {"method": "by hand", "status": Status.CONVERGED, "estimate": 1e-5, "wall_time": 1.25} | details
    return Solution(problem, Formula({"u": formula}, problem), **given)


def circle(**changes: Any) -> Solution:
    problem = Problem(
        ["x' = y", "y' = -x"], ["x(0) = 1", "y(0) = 0"], {"t": (0, 4)}, exact={"x": "cos(t)", "y": "-sin(t)"}
    )
    formulas = {"x": "cos(t)", "y": "-sin(t)"} | changes
    return Solution(problem, Formula(formulas, problem), method="by hand", status=Status.CONVERGED)


def periodic() -> Solution:
    problem = Problem(
        "u_t + u_x = 0",
        ["u(x, 0) = sin(x)", "u(0, t) = u(2*pi, t)"],
        {"x": (0, "2*pi"), "t": (0, 1)},
        exact="sin(x - t)",
    )
    return Solution(problem, Formula({"u": "sin(x - t)"}, problem), method="by hand", status=Status.CONVERGED)


def value(x: Any, t: Any) -> Any:
    return np.exp(-(np.pi**2) * np.asarray(t) / 4) * np.sin(np.pi * np.asarray(x))
