"""Claims about fits: functions with honest bands, tables and words that say what is known."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fits import INF, fit, function
from sciml import Status
from sciml.errors import ArgumentError
from sciml.fit import FunctionEstimate
from sciml.fit_table import digits_for, open_direction_text
from sciml.inference import open_directions
from sciml.network import MLP

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
