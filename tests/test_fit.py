"""Claims about fits: functions with honest bands, tables that say what is known, files that keep everything."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sciml
from sciml import Fit, Problem, Solution, Status, load_fit
from sciml.errors import ArgumentError, FileFormatError, ProblemWarning
from sciml.fit import FunctionEstimate
from sciml.fit_plotting import plot
from sciml.fit_storage import FILE
from sciml.fit_table import digits_for, open_direction_text
from sciml.inference import Estimate, open_directions
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


# -- functions -----------------------------------------------------------------------------------------------------


def test_a_function_is_its_scaled_network_at_arguments_that_broadcast():
    k, x = function(), np.linspace(-1, 2, 7)
    with torch.no_grad():
        expected = 0.7 + 1.3 * k.network(torch.tensor(x)[:, None])[:, 0].numpy()
    np.testing.assert_array_equal(k(x), expected)
    assert k(0.5).shape == ()
    two = function(inputs=2)
    assert two(x[:, None], x[None, :3]).shape == (7, 3)
    assert two(x[2], x[1]) == pytest.approx(float(two(x[:, None], x[None, :3])[2, 1]), rel=1e-15)


def test_the_standard_error_of_a_linear_function_is_the_textbooks():
    network = MLP(1, 1, depth=0, seed=0)
    covariance = np.array([[0.04, 0.006], [0.006, 0.01]])
    line = FunctionEstimate("k", ("x",), (-1.0,), (1.0,), network, 1.0, 2.0, covariance, 2.0)
    x = np.linspace(-1, 1, 9)
    expected = 2 * np.sqrt(0.04 * x**2 + 2 * 0.006 * x + 0.01)
    np.testing.assert_allclose(line.standard_error(x), expected, rtol=1e-13)
    low, high = line.band(x)
    np.testing.assert_allclose(high - low, 4 * expected, rtol=1e-12)
    np.testing.assert_allclose((high + low) / 2, line(x), rtol=1e-12)


@pytest.mark.parametrize("trained", ["all", "last"])
@pytest.mark.parametrize("inputs", [1, 2])
def test_the_standard_error_is_the_spread_over_random_parameters(trained: str, inputs: int):
    k = function(inputs=inputs, trained=trained)
    assert k.covariance is not None
    k = dataclasses.replace(k, covariance=k.covariance * 1e-6)  # small: the function is linear in its parameters then
    points = [np.array([-0.8, 0.3, 1.9])] * inputs
    theta = torch.cat([p.detach().reshape(-1) for p in k.network.parameters() if p.requires_grad])
    draws = np.random.default_rng(0).multivariate_normal(theta.numpy(), k.covariance, 20_000)
    values = []
    for draw in draws[:4000]:
        k.network.load_flat(torch.tensor(draw))
        values.append(k(*points))
    k.network.load_flat(theta)
    # The relative standard error of a standard deviation from n draws is 1/sqrt(2 n) = 1.1 %; four of these.
    np.testing.assert_allclose(k.standard_error(*points), np.std(values, axis=0), rtol=0.045)


def test_a_band_over_many_points_does_not_depend_on_how_they_are_split():
    k, x = function(), np.linspace(-1, 2, 20_001)
    every = k.standard_error(x)
    np.testing.assert_allclose(every[::4000], k.standard_error(x[::4000]), rtol=1e-12)


def test_a_function_without_covariance_has_no_standard_error():
    k = function(covariance=False)
    assert np.isnan(k.standard_error(np.zeros(3))).all()
    assert np.isnan(k.band(0.0)).all()
    assert np.isfinite(k(0.0))


def test_samples_cover_where_the_data_reach():
    found = function().sample()
    assert {name: len(column) for name, column in found.items()} == dict.fromkeys(
        ("x", "value", "standard_error", "lower", "upper"), 101
    )
    assert found["x"][[0, -1]].tolist() == [-1, 2]
    assert np.all(found["lower"] < found["value"])
    assert len(function(inputs=2).sample()["u"]) == 441
    assert len(function(inputs=2).sample([3, 4])["u"]) == 12


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ((), r"k is a function of \(x, u\), 0 came"),
        ((1.0,), r"k is a function of \(x, u\), 1 came"),
        (("a", 1.0), "the argument 'x' of k must be real numbers"),
        ((1.0, math.nan), "the argument 'u' of k must be finite"),
        ((np.zeros(3), np.zeros(2)), r"must broadcast, but their shapes are x \[3\], u \[2\]"),
    ],
)
def test_wrong_arguments_of_a_function_are_named(arguments: tuple[Any, ...], pattern: str):
    with pytest.raises(ArgumentError, match=pattern):
        function(inputs=2)(*arguments)


# -- words and numbers ---------------------------------------------------------------------------------------------


def test_a_value_is_shown_to_the_second_digit_of_its_error():
    for value, error, shown in (
        (0.00318309886, 2.2e-6, "0.0031831"),
        (1.0000421, 1.3e-4, "1.00004"),
        (-123.456, 12.0, "-123"),
        (0.5, 30.0, "0.5"),
        (math.pi, 0.0, "3.14159"),
        (math.pi, INF, "3.14159"),
        (math.pi, 1e-40, "3.14159265358979"),
    ):
        assert f"{value:.{digits_for(value, error)}g}" == shown


def test_the_table_has_everything_that_was_found_and_what_to_beware_of():
    text = fit().table()
    assert text.isascii()
    lines = text.splitlines()
    assert lines[0].split() == ["name", "value", "standard", "error", "95", "%", "interval"]
    assert lines[2].split() == ["a", "0.3", "0.012", "[0.275,", "0.325]"]
    assert lines[3].split() == ["b", "-0.002", "unknown", "[-inf,", "0]"]
    assert lines[6].startswith("k(x) ")
    assert lines[6].endswith("x in [-1, 2]")
    assert lines[7:] == [
        "noise: u 0.01 (standard deviation estimated; additive)",
        "correlated: a and b -0.950",
        "warning: the data do not determine b",
    ]
    assert "of the logarithm, given; multiplicative" in fit(noise_model="multiplicative", noise_given=True).table()


def test_a_fit_without_unknown_numbers_or_functions_has_a_table_too():
    assert "name " not in fit(parameters={}, undetermined=()).table()
    assert "function" not in fit(functions={}).table()
    assert fit(parameters={}, functions={}, noise={}, undetermined=()).table() == ""


def test_the_representations_say_what_came_of_it():
    shown = repr(fit())
    assert shown.startswith("Fit of rod to 30 numbers\n  name ")
    assert shown.endswith("by hand; converged after 1.25 s: The estimated error meets the tolerance.")
    html = fit()._repr_html_()
    assert "<td" in html
    assert "warning: the data do not determine b" in html
    assert fit().problem._repr_latex_() in html
    two = fit(observations=fit().observations * 2)
    assert "60 numbers of 2 experiments" in repr(two)


DIRECTIONS = {
    "one": ({"a": 1.0}, {"a": 5.0}, "the data do not determine a"),
    "a sum": ({"a": 0.707, "b": -0.707}, {"a": 2.0, "b": 2.0}, "the data determine a + b, not a and b separately"),
    "a difference": ({"a": 0.447, "b": 0.894}, {"a": 2.0, "b": 1.0}, "a - b"),
    "a product": ({"a": 0.707, "b": -0.707}, {"a": 2.0, "b": 5.0}, "a*b"),
    "a quotient": ({"a": 0.707, "b": 0.707}, {"a": 2.0, "b": 5.0}, "a/b"),
    "a quotient of opposite signs": ({"a": 0.707, "b": 0.707}, {"a": -2.0, "b": -5.0}, "a/b"),
    "a product of opposite signs": ({"a": 0.707, "b": 0.707}, {"a": -2.0, "b": 5.0}, "a*b"),
    "with a zero": ({"a": 0.707, "b": -0.707}, {"a": 0.0, "b": 4.0}, "a + 0.25*b"),
    "weights": ({"a": 0.8, "b": 0.6}, {"a": 1.0, "b": 1.0}, "a - 1.33*b"),
    "three": ({"a": 0.8, "b": -0.1, "c": 0.6}, {}, "a, b and c separately: they fit as well after changing a by +80 %"),
}


@pytest.mark.parametrize("case", DIRECTIONS)
def test_directions_that_are_left_open_are_said_in_words(case: str):
    direction, values, expected = DIRECTIONS[case]
    assert expected in open_direction_text(direction, values)


numbers = st.floats(0.1, 10) | st.floats(-10, -0.1)


@given(a=numbers, b=numbers, kind=st.sampled_from(["sum", "product", "quotient"]))
def test_what_the_words_call_determined_is_constant_along_the_open_direction(a: float, b: float, kind: str):
    slopes = np.array({"sum": (1.0, 1.0), "product": (b, a), "quotient": (1 / b, -a / b**2)}[kind])
    along = np.array([slopes[1], -slopes[0]])
    # Only that combination was measured: the covariance is wide open along the direction in which it does not change.
    covariance = 1e4 * np.outer(along, along) / (along @ along) + 1e-8 * np.eye(2)
    (direction,) = open_directions(["a", "b"], [a, b], covariance)
    if len(direction) == 1:
        return
    text = open_direction_text(direction, {"a": a, "b": b})
    formula = text.removeprefix("the data determine ").removesuffix(", not a and b separately")
    steps = np.array([direction["a"] * abs(a), direction["b"] * abs(b)])
    if formula in ("a*b", "a/b"):
        gradient = np.array([b, a] if formula == "a*b" else [1 / b, -a / b**2])
    else:
        _, sign, rest = formula.split()
        weight = 1.0 if rest == "b" else float(rest.removesuffix("*b"))
        gradient = np.array([1.0, weight if sign == "+" else -weight])
    # The words round: weights within 5 % count as equal.
    assert abs(gradient @ steps) <= 0.06 * np.linalg.norm(gradient) * np.linalg.norm(steps)


def test_the_json_is_strict_and_complete():
    found = json.loads(json.dumps(fit().to_dict(), allow_nan=False))
    assert found["parameters"]["a"] == {
        "value": 0.3,
        "standard_error": 0.0123456,
        "interval": [0.2754321, 0.3245679],
    }
    assert found["parameters"]["b"] == {"value": -2e-3, "standard_error": None, "interval": [None, 0.0]}
    assert [len(found["functions"]["k"][name]) for name in ("x", "value", "lower", "upper")] == [101] * 4
    assert found["functions"]["k"]["arguments"] == ["x"]
    assert found["noise"] == {"u": 0.01}
    assert found["undetermined"] == [{"b": 1.0}]
    assert found["correlation"] == [[1.0, -0.95], [-0.95, 1.0]]
    assert found["data"] == [{"source": "data", "points": 30, "u": 30}]
    assert (found["success"], found["status"], found["seconds"], found["seed"]) == (True, "converged", 1.25, 7)
    assert found["message"] == Status.CONVERGED.advice


def test_a_fit_keeps_a_message_and_refuses_a_status_that_is_none():
    assert fit(message="Done.").message == "Done."
    assert not fit(status=Status.BUDGET).success
    assert fit(status=Status.BUDGET).message == Status.BUDGET.advice
    with pytest.raises(ArgumentError, match=r"status must be a sciml\.solution\.Status, not 'good'"):
        fit(status="good")


# -- figures -------------------------------------------------------------------------------------------------------


def oscillator() -> Problem:
    return Problem(["x' = a*y", "y' = -x + b"], [], {"t": (0, 4)}, {"a": 0.3, "b": -2e-3}, name="oscillator")


def box() -> Problem:
    return Problem("u_t = a*laplacian(u) + b", [], {"x": (0, 1), "y": (0, 1), "t": (0, 1)}, {"a": 0.3, "b": -2e-3})


def titles(figure: Any) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize("make", [oscillator, rod, box])
def test_data_stand_on_the_state_coloured_by_their_residuals(make: Any, tmp_path: Path):
    made = fit(make())
    path = tmp_path / "figure.png"
    figure = made.plot(path)
    assert path.stat().st_size > 10_000
    names = list(made.problem.unknowns)
    assert len(titles(figure)) == len(names) + 3
    one = made.observations[0]
    for axes, name in zip((axes for axes in figure.axes if axes.get_title()), names, strict=False):
        dots = np.asarray(axes.collections[-1].get_offsets())
        known = {
            "oscillator": lambda name=name: np.column_stack([one.points[:, 0], one.values[name]]),
            "rod": lambda: one.points[:, ::-1],
        }.get(
            made.problem.name,
            lambda name=name: np.column_stack([one.values[name], made.solution.evaluate([name], one.points)[0]]),
        )
        np.testing.assert_allclose(dots, known())
        np.testing.assert_allclose(axes.collections[-1].get_array(), made.residuals[0][name])


def test_the_figure_shows_intervals_bands_and_the_unit_gaussian():
    figure = plot(fit())
    residuals, numbers_, k = (
        next(axes for axes in figure.axes if axes.get_title() == title)
        for title in ("residuals", "unknown numbers", "$k(x)$")
    )
    assert [text.get_text() for text in residuals.get_legend().get_texts()] == ["$u$", "unit Gaussian"]
    assert residuals.lines[0].get_ydata().max() == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-3)
    assert [label.get_text() for label in numbers_.get_yticklabels()] == ["$a$ = 0.3", "$b$ = -0.002"]
    assert [text.get_text() for text in numbers_.texts] == ["not determined"]
    band = k.collections[0].get_paths()[0].vertices
    low, high = fit().functions["k"].band(np.linspace(-1, 2, 501))
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((low.min(), high.max()))


def test_figures_of_partial_fits_are_drawn_too():
    few = fit()
    assert titles(plot(dataclasses.replace(few, solutions=(), residuals=()))) == [
        "$u$: data on the state", "unknown numbers", "$k(x)$",
    ]  # fmt: skip
    assert titles(plot(dataclasses.replace(few, observations=(), residuals=(), parameters={}, functions={}))) == []
    two = dataclasses.replace(
        few,
        functions={"f": function(inputs=2), "g": function(inputs=3), "k": function(covariance=False)},
        observations=(*few.observations, dataclasses.replace(few.observations[0], source="a_b$.csv")),
        solutions=few.solutions * 2,
        residuals=tuple(few.residuals) * 2,
    )
    assert titles(plot(two))[1] == r"$u$: a_b\$.csv"
    assert len(titles(plot(two))) == 7


def test_a_derivative_that_was_measured_is_drawn_as_one():
    made = fit()
    one = dataclasses.replace(made.observations[0], values={"u_xx": made.observations[0].values["u"]})
    figure = plot(dataclasses.replace(made, observations=(one,), residuals=()))
    assert titles(figure)[0] == "$u_{xx}$: data on the state"


def test_a_figure_needs_a_format_and_a_place(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"path must end in a format such as \.png"):
        fit().plot(tmp_path / "figure.doc")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match="cannot be written"):
        fit().plot(tmp_path / "file" / "figure.png")


# -- files ---------------------------------------------------------------------------------------------------------

X = np.linspace(-1, 2, 57)


def identical(one: Fit, other: Fit) -> None:
    """Everything that a fit says is the same, bit for bit."""
    assert one.parameters == other.parameters
    assert list(one.parameters) == list(other.parameters)
    assert list(one.functions) == list(other.functions)
    for name, k in one.functions.items():
        again = other.functions[name]
        assert (k.arguments, k.lower, k.upper, k.offset, k.factor, k.quantile) == (
            again.arguments, again.lower, again.upper, again.offset, again.factor, again.quantile,
        )  # fmt: skip
        x = [X] * len(k.arguments)
        np.testing.assert_array_equal(k(*x), again(*x))
        np.testing.assert_array_equal(k.standard_error(*x), again.standard_error(*x))
        np.testing.assert_array_equal(k.network.flat_parameters(), again.network.flat_parameters())
    assert len(one.solutions) == len(other.solutions)
    for u, v in zip(one.solutions, other.solutions, strict=True):
        points = np.random.default_rng(0).uniform(
            u.problem.domain.lower, u.problem.domain.upper, (99, len(u.problem.coordinates))
        )
        np.testing.assert_array_equal(u.evaluate(u.problem.unknowns, points), v.evaluate(u.problem.unknowns, points))
        assert (u.method, u.status, u.message) == (v.method, v.status, v.message)
        np.testing.assert_array_equal(u.history["loss"], v.history["loss"])
    for a, b in zip(one.observations, other.observations, strict=True):
        assert a.source == b.source
        np.testing.assert_array_equal(a.points, b.points)
        assert list(a.values) == list(b.values)
        np.testing.assert_array_equal(list(a.values.values()), list(b.values.values()))
    for a, b in zip(one.residuals, other.residuals, strict=True):
        assert list(a) == list(b)
        np.testing.assert_array_equal(list(a.values()), list(b.values()))
    for name in ("noise", "noise_given", "noise_model", "freedom", "method", "status", "message", "wall_time"):
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(one.correlation, other.correlation)
    np.testing.assert_array_equal(one.covariance, other.covariance)
    assert list(one.undetermined) == list(other.undetermined)
    assert list(one.history) == list(other.history)
    for name, series in one.history.items():
        np.testing.assert_array_equal(series, other.history[name])
    assert list(one.state) == list(other.state)
    for name, array in one.state.items():
        assert array.dtype == other.state[name].dtype
        assert array.shape == other.state[name].shape
        np.testing.assert_array_equal(array, other.state[name])
    assert one.problem.to_dict() == other.problem.to_dict()


def test_a_fit_that_is_loaded_is_the_same_bit_for_bit(tmp_path: Path):
    made = fit(functions={"k": function(trained="last"), "f": function(inputs=2, covariance=False)})
    path = made.save(tmp_path / "new" / "rod")
    assert path == tmp_path / "new" / "rod.safetensors"
    again = load_fit(path)
    identical(made, again)
    assert again.details == {"seed": 7, "iterations": 3}
    assert again.solution.problem is again.problem
    trained = [name for name, p in again.functions["k"].network.named_parameters() if p.requires_grad]
    assert trained == ["layers.1.weight", "layers.1.bias"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rod.safetensors"]
    assert again.table() == made.table()
    identical(again, load_fit(again.save(tmp_path / "copy")))


def test_a_directory_gets_a_fit_of_the_usual_name(tmp_path: Path):
    assert fit().save(tmp_path).name == "fit.safetensors"
    assert sciml.load_fit(tmp_path).success


def test_experiments_of_their_own_problems_come_back_with_them(tmp_path: Path):
    problems = [rod(), rod().replace(domain={"x": (-1, 2), "t": (0, 3)})]
    solutions = [state(problem, seed) for seed, problem in enumerate(problems)]
    pairs = [measured(problem, solution) for problem, solution in zip(problems, solutions, strict=True)]
    made = fit(
        solutions=tuple(solutions),
        observations=tuple(one for one, _ in pairs),
        residuals=tuple(residuals for _, residuals in pairs),
    )
    path = made.save(tmp_path)
    identical(made, load_fit(path))
    assert load_fit(path).solutions[1].problem.domain.upper == (2.0, 3.0)
    given_ = load_fit(path, [rod(a=5.0), problems[1]])
    identical(made, given_)
    with pytest.raises(FileFormatError, match="holds 2 experiments, but 1 problems were given"):
        load_fit(path, problems[:1])


def test_a_fit_of_nothing_but_numbers_is_kept(tmp_path: Path):
    made = Fit(rod(), parameters={}, solutions=())
    identical(made, load_fit(made.save(tmp_path)))
    identical(made, load_fit(tmp_path, rod()))


def test_networks_in_single_precision_stay_in_it(tmp_path: Path):
    k = function()
    k.network.float()
    again = load_fit(fit(functions={"k": k}).save(tmp_path)).functions["k"]
    assert next(again.network.parameters()).dtype == torch.float32
    np.testing.assert_array_equal(again(X), k(X))


def test_a_fit_is_the_same_in_a_new_process(tmp_path: Path):
    made = fit()
    path = made.save(tmp_path)
    script = (
        "import sys, numpy as np, sciml\n"
        f"fit = sciml.load_fit({str(path)!r})\n"
        "x = np.linspace(-1, 2, 57)\n"
        f"np.savez({str(tmp_path / 'there.npz')!r}, k=fit.functions['k'](x), band=fit.functions['k'].band(x),\n"
        "  u=fit.solution(x, 0.5), p=[[e.value, e.standard_error, *e.interval] for e in fit.parameters.values()],\n"
        "  **{'state ' + name: a for name, a in fit.state.items()})\n"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    there = np.load(tmp_path / "there.npz")
    np.testing.assert_array_equal(there["k"], made.functions["k"](X))
    np.testing.assert_array_equal(there["band"], made.functions["k"].band(X))
    np.testing.assert_array_equal(there["u"], made.solution(X, 0.5))
    mine = [[e.value, e.standard_error, *e.interval] for e in made.parameters.values()]
    np.testing.assert_array_equal(there["p"], mine)
    for name, array in made.state.items():
        np.testing.assert_array_equal(there[f"state {name}"], array)


def test_an_exact_solution_in_python_is_no_loss_to_a_fit(tmp_path: Path):
    problem = sciml.load("burgers").replace(conditions=[], nu=0.004)
    made = fit(problem, parameters={"nu": Estimate(0.004, 1e-5, (0.0039, 0.0041))}, functions={}, undetermined=())
    again = load_fit(made.save(tmp_path))
    assert not again.problem.has_exact
    assert load_fit(tmp_path, sciml.load("burgers").replace(conditions=[])).problem.has_exact
    kept = fit(sciml.load("burgers", nu=0.004), parameters={}, functions={}, undetermined=())
    assert load_fit(kept.save(tmp_path / "kept")).problem.has_exact


def test_functions_of_python_in_the_equations_are_missed_with_a_warning_or_given(tmp_path: Path):
    problem = Problem(
        "u_t = a*u_xx + f(x) + b", [], {"x": (0, 1), "t": (0, 1)}, {"a": 0.3, "b": 1.0}, functions={"f(x)": torch.exp}
    )
    made = fit(problem)
    path = made.save(tmp_path)
    with pytest.warns(ProblemWarning, match=r"functions\['f'\].*load_fit\(path, problem\)"):
        assert load_fit(path).problem.unknown_functions == {"f": ("x",)}
    again = load_fit(path, problem.replace(a=77.0))
    assert again.problem.functions == {"f": torch.exp}
    assert again.problem.parameters["a"] == 0.3
    with pytest.raises(FileFormatError, match="the fit of another problem than the one given"):
        load_fit(path, rod())


def test_every_cut_and_many_damaged_bytes_of_a_fit_are_noticed(tmp_path: Path):
    path = fit().save(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(0, 24, 3), *rng.integers(24, len(content), 60).tolist(), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        path.write_bytes(bytes(damaged))
        with pytest.raises(FileFormatError):
            load_fit(path)
    for length in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            load_fit(path)


def test_fits_and_solutions_are_not_taken_for_each_other(tmp_path: Path):
    made = fit()
    one, other = made.save(tmp_path / "fit"), made.solution.save(tmp_path / "solution")
    with pytest.raises(FileFormatError, match=r"not a saved fit; give a file written by Fit\.save"):
        load_fit(other)
    with pytest.raises(FileFormatError, match=r"not a saved solution; give a file written by Solution\.save"):
        sciml.load_solution(one)
    with pytest.raises(FileFormatError, match=r"there is no fit file .*did you mean 'fit\.safetensors'"):
        load_fit(tmp_path / "fits.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "splendid"},
        {"parameters": ["a"]},
        {"functions": [{"name": "k"}]},
        {"solutions": [{}]},
        {"state": ["more"]},
        {"problem": {"equations": ["__import__('os')"], "domain": {"x": [0, 1]}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_fit_with_a_right_checksum_but_wrong_contents_is_refused(change: dict[str, Any], tmp_path: Path):
    path = fit().save(tmp_path)
    document, arrays = FILE.read(path)
    FILE.write(path, {**document, **change}, arrays)
    with pytest.raises(FileFormatError, match=r"(?s)is a fit file, but its contents do not fit .* identify once more"):
        load_fit(path)


def test_what_cannot_be_saved_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match="the fit cannot be written"):
        fit().save(tmp_path / "file" / "fit")
    k = dataclasses.replace(function(), network=torch.nn.Sequential(torch.nn.Linear(1, 1, dtype=torch.float64)))
    with pytest.raises(
        ArgumentError, match="the function k: only an MLP or a sum of them can be saved, not Sequential"
    ):
        fit(functions={"k": k}).save(tmp_path)
    assert list(tmp_path.glob("*.safetensors")) == []
