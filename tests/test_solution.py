"""Solutions: evaluation, errors, tables and what they say about themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sciml
from formulas import HEAT, Formula, circle, heat, periodic, value
from sciml import Problem, Solution, Status, grids, solution
from sciml.errors import ArgumentError, NotationError

# -- calling -------------------------------------------------------------------------------------------------------


def test_coordinates_are_given_by_position_or_name_and_broadcast():
    u = heat()
    x, t = np.linspace(0, 1, 5)[:, None], np.linspace(0, 1, 3)
    assert u(x, t).shape == (5, 3)
    np.testing.assert_allclose(u(x, t), value(x, t), rtol=1e-14)
    np.testing.assert_array_equal(u(t=t, x=x), u(x, t))
    np.testing.assert_array_equal(u(x, t=t), u(x, t))


def test_numbers_give_a_float_and_lists_tensors_and_integers_are_accepted():
    u = heat()
    assert isinstance(u(0.5, 0.0), float)
    assert u(0.5, 0) == pytest.approx(1.0)
    assert u([0.5, 1], 0).shape == (2,)
    assert u(torch.tensor([0.25, 0.5], dtype=torch.float64, requires_grad=True), 0.5).shape == (2,)
    assert u(np.empty((0, 3)), 0.5).shape == (0, 3)


def test_derivatives_are_asked_for_in_the_notation():
    u, c = heat(), circle()
    x, t = np.linspace(0, 1, 7), 0.3
    np.testing.assert_allclose(u("u_xx", x, t), -(np.pi**2) * value(x, t), rtol=1e-12)
    np.testing.assert_allclose(u("u_t", x, t), -(np.pi**2) / 4 * value(x, t), rtol=1e-12)
    np.testing.assert_allclose(u("u", x, t), u(x, t))
    np.testing.assert_allclose(c("y'", [0.0, 1.0]), -np.cos([0.0, 1.0]))
    assert c("x''", t=0.0) == pytest.approx(-1.0)


def test_several_unknowns_come_as_a_mapping_by_name():
    values = circle()(np.array([0.0, 1.0]))
    assert list(values) == ["x", "y"]
    np.testing.assert_allclose(values["y"], -np.sin([0.0, 1.0]))
    assert isinstance(circle()(0.5)["x"], float)


WRONG_CALLS = {
    "too few": ((0.5,), {}, r"t missing: .*\(x, t\)"),
    "none": ((), {}, "x, t missing"),
    "too many": ((0.5, 0.1, 0.2), {}, "3 coordinates were given"),
    "unknown name": ((0.5,), {"tt": 0.1}, "'tt' is not a coordinate.*did you mean 't'"),
    "twice": ((0.5,), {"x": 0.1}, "'x' was given twice"),
    "shapes": ((np.zeros(3), np.zeros(4)), {}, r"x \(3,\), t \(4,\)"),
    "outside": ((1.5, 0.1), {}, r"x = 1.5 is outside the domain x in \[0, 1\]"),
    "before": ((0.5, -1e-3), {}, "t = -0.001 is outside"),
    "nan": ((np.nan, 0.1), {}, "'x' must be finite"),
    "complex": ((0.5j, 0.1), {}, "'x' must be real numbers"),
    "text": (("u", "0.5", 0.1), {}, "'x' must be real numbers"),
    "none given": ((None, 0.1), {}, "'x' must be real numbers, not NoneType"),
    "ragged": (([[1.0], [0.5, 0.2]], 0.1), {}, "'x' must be"),
}


@pytest.mark.parametrize("case", WRONG_CALLS, ids=str)
def test_a_wrong_call_is_answered_with_the_names_of_the_coordinates(case: str):
    arguments, named, message = WRONG_CALLS[case]
    with pytest.raises(ArgumentError, match=message):
        heat()(*arguments, **named)


@pytest.mark.parametrize("name", ["v", "u_y", "u_z", "", "x", "u x"])
def test_what_is_no_derivative_of_an_unknown_is_refused(name: str):
    with pytest.raises(NotationError):
        heat()(name, 0.5, 0.5)


def test_rounding_at_the_sides_is_forgiven_in_the_precision_of_the_input():
    u = heat()
    assert u(1 + 4e-16, 0.5) == u(1.0, 0.5)
    problem = u.problem.replace(domain={"x": (0, 1), "t": (0, 0.1)})
    shorter = Solution(problem, Formula({"u": HEAT}, problem), method="by hand", status=Status.CONVERGED)
    assert float(np.float32(0.1)) > 0.1
    assert shorter(0.5, np.float32(0.1)) == shorter(0.5, 0.1)
    with pytest.raises(ArgumentError, match="outside"):
        shorter(0.5, float(np.float32(0.1)))


def test_periodic_coordinates_wrap_and_others_do_not():
    u = periodic()
    x = np.array([-7.0, -0.5, 0.0, 2 * np.pi, 20.0])
    np.testing.assert_allclose(u(x, 0.5), np.sin(x - 0.5), atol=1e-14)
    with pytest.raises(ArgumentError, match=r"t = 1\.5"):
        u(0.5, 1.5)


def test_large_inputs_are_evaluated_in_chunks_without_a_seam():
    u = heat()
    x = np.linspace(0, 1, 2 * solution.CHUNK + 7)
    np.testing.assert_allclose(u(x, 0.25), value(x, 0.25), rtol=1e-13, atol=1e-15)
    assert u.evaluator.calls == [solution.CHUNK, solution.CHUNK, 7]  # type: ignore[attr-defined]


# -- errors --------------------------------------------------------------------------------------------------------


def test_the_error_is_the_relative_l2_distance_over_the_box():
    assert heat().error() < 1e-14
    assert heat(f"1.01*{HEAT}").error() == pytest.approx(0.01, rel=1e-10)
    assert heat(f"{HEAT} + 1").error(lambda x, t: 0 * x) == pytest.approx(heat(f"{HEAT} + 1").error(heat("0")))
    assert heat(f"1.01*{HEAT}").error(heat()) == pytest.approx(0.01)
    assert heat(f"1.01*{HEAT}").error(value) == pytest.approx(0.01)
    assert heat(f"2*{HEAT}").error(points=np.array([[0.5, 0.0], [0.25, 1.0]])) == pytest.approx(1.0)


def test_the_error_of_a_system_weighs_unknowns_by_their_size():
    off = circle(y="-1.1*sin(t)")
    t = np.linspace(0, 4, 2001)
    expected = np.sqrt(np.sum((0.1 * np.sin(t)) ** 2) / len(t))
    assert off.error() == pytest.approx(expected)
    assert off.errors() == pytest.approx({"x": 0.0, "y": 0.1})
    assert off.error(unknowns=["x"]) == pytest.approx(0.0)
    assert off.error(lambda t: (np.cos(t), -np.sin(t))) == pytest.approx(expected)
    assert off.error(lambda t: {"y": -np.sin(t), "x": np.cos(t)}) == pytest.approx(expected)


def test_solutions_with_another_order_of_coordinates_are_compared_by_name():
    problem = Problem("u_t = u_xx/4", [], {"t": (0, 1), "x": (0, 1)})
    turned = Solution(problem, Formula({"u": HEAT}, problem), method="by hand", status=Status.CONVERGED)
    assert heat(f"1.5*{HEAT}").error(turned) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (3.0, "not float"),
        ("exact", "not str"),
        (lambda x: x, r"must take \(x, t\)"),
        (lambda x, t: (x, t), "2 arrays, but the unknowns are u"),
        (lambda x, t: x[:3], r"of the shape \[40401\]"),
        (lambda x, t: 1j * x, "real numbers"),
        (lambda x, t: {"v": x}, "no values of the unknown 'u'"),
        (lambda x, t: np.where(x > 0.9, np.nan, x), r"not finite at \d+ of 40401 points"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(other: Any, message: str):
    with pytest.raises(ArgumentError, match=message):
        heat().error(other)


def test_without_an_exact_solution_the_error_needs_something_to_compare_with():
    problem = sciml.load("heat").replace(exact=None)
    u = Solution(problem, Formula({"u": HEAT}, problem), method="by hand", status=Status.CONVERGED)
    with pytest.raises(ArgumentError, match="no exact solution"):
        u.error()
    with pytest.raises(ArgumentError, match="'w' is not an unknown"):
        u.error(value, unknowns=["w"])
    with pytest.raises(ArgumentError, match="different coordinates"):
        u.error(circle())


@pytest.mark.parametrize(("dimension", "count"), [(1, 2001), (2, 201**2), (3, 51**3), (4, 2**16), (10, 2**16)])
def test_the_comparison_grid_fills_the_closed_box(dimension: int, count: int):
    box = sciml.Box(tuple(f"x{k}" for k in range(dimension)), (-1.0,) * dimension, (3.0,) * dimension)
    points = grids.comparison_points(box)
    assert points.shape == (count, dimension)
    assert points.min() == -1.0
    assert points.max() <= 3.0
    np.testing.assert_allclose(points.mean(axis=0), 1.0, atol=1e-3)


# -- what it says --------------------------------------------------------------------------------------------------


def test_every_status_has_advice_and_only_convergence_is_success():
    assert [status for status in Status if status.success] == [Status.CONVERGED]
    assert len({status.advice for status in Status}) == len(Status)
    assert heat(status=Status.BUDGET).message == Status.BUDGET.advice
    assert not heat(status=Status.BUDGET).success
    with pytest.raises(ArgumentError, match="Status"):
        heat(status="converged")


def test_a_history_has_series_of_equal_length_that_cannot_be_changed():
    u = heat(history={"loss": [1.0, 0.5], "iteration": [0, 1]})
    with pytest.raises(ValueError, match="read-only"):
        u.history["loss"][0] = 0.0  # type: ignore[index]
    with pytest.raises(ArgumentError, match="equal length"):
        heat(history={"loss": [1.0, 0.5], "iteration": [0]})
    with pytest.raises(AttributeError):
        u.method = "other"  # type: ignore[misc]


def test_it_shows_problem_method_status_and_estimate_in_terminal_and_notebook():
    u = heat(status=Status.BUDGET)
    for text in (repr(u), u._repr_html_()):
        for part in ("Solution of heat", "by hand", "budget", "1e-05", "1.25 s", "x in [0, 1]", "alpha = 0.25"):
            assert part in text
    assert "partial" in u._repr_latex_() or "u_{" in u._repr_latex_()
    assert "<script>" not in heat(method="<script>")._repr_html_()
    assert u.parameters == {"alpha": 0.25}


# -- tables --------------------------------------------------------------------------------------------------------


def test_a_table_has_columns_of_coordinates_and_unknowns_and_csv_restores_it(tmp_path: Path):
    u = heat()
    columns = u.to_table(path=tmp_path / "new" / "heat.csv")
    assert list(columns) == ["x", "t", "u"]
    assert {column.shape for column in columns.values()} == {(101 * 101,)}
    np.testing.assert_allclose(columns["u"], value(columns["x"], columns["t"]), rtol=1e-13, atol=1e-15)
    with (tmp_path / "new" / "heat.csv").open() as file:
        assert file.readline() == "x,t,u\n"
        np.testing.assert_array_equal(np.loadtxt(file, delimiter=",").T, list(columns.values()))
    assert u.to_table(np.array([[0.5, 0.0]]))["u"] == pytest.approx([1.0])
    assert len(circle().to_table()["y"]) == 1001


def test_an_xarray_data_set_has_the_coordinates_as_dimensions():
    data = heat().to_xarray(x=11)
    assert dict(data.sizes) == {"x": 11, "t": 101}
    assert float(data["u"].sel(x=0.5, t=0.0)) == pytest.approx(1.0)
    assert data.attrs["problem"] == "heat"
    for wrong in ({"y": 5}, {"x": 1}, {"x": 2.5}):
        with pytest.raises(ArgumentError):
            heat().to_xarray(**wrong)


def test_without_xarray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ArgumentError, match=r"pip install \"sciml\[xarray\]\""):
        heat().to_xarray()
