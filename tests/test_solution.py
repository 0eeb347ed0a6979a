"""Solutions: evaluation, errors, files, tables and what they say about themselves."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sciml
from sciml import Problem, Solution, Status, grids, solution, storage
from sciml.containers import digest
from sciml.errors import ArgumentError, FileFormatError, NotationError, ProblemWarning
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


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "EVALUATORS", {**storage.EVALUATORS, "formula": (__name__, "Formula")})


def value(x: Any, t: Any) -> Any:
    return np.exp(-(np.pi**2) * np.asarray(t) / 4) * np.sin(np.pi * np.asarray(x))


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


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("saves")
def test_a_saved_solution_comes_back_with_everything(tmp_path: Path):
    coarser = heat()
    u = heat(
        history={"iteration": [0, 10], "loss": [1.0, np.nan], "loss: u_t = alpha*u_xx": [0.5, 0.25]},
        details={"iterations": np.int64(10), "seed": 0, "rates": np.array([1.5, 2.5]), "coarser": coarser},
        status=Status.STAGNATED,
    )
    path = u.save(tmp_path / "deep" / "heat")
    assert path == tmp_path / "deep" / "heat.safetensors"
    again = sciml.load_solution(path)
    x = np.random.default_rng(0).random((2, 100))
    np.testing.assert_array_equal(u(*x), again(*x))
    assert (again.method, again.status, again.message) == (u.method, u.status, u.message)
    assert (again.estimate, again.wall_time) == (u.estimate, u.wall_time)
    assert again.details == {"iterations": 10, "seed": 0, "rates": [1.5, 2.5]}
    assert list(again.history) == list(u.history)
    for name, series in u.history.items():
        np.testing.assert_array_equal(series, again.history[name])
    assert again.problem.to_dict() == u.problem.to_dict()
    assert again.error() < 1e-14
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["heat.safetensors"]


@pytest.mark.usefixtures("saves")
def test_a_directory_gets_a_file_of_the_usual_name(tmp_path: Path):
    assert heat().save(tmp_path).name == "solution.safetensors"
    assert sciml.load_solution(tmp_path).success


@pytest.mark.usefixtures("saves")
def test_an_exact_solution_in_python_is_found_again_by_the_problems_name(tmp_path: Path):
    problem = sciml.load("burgers", nu=0.05)
    u = Solution(problem, Formula({"u": "-sin(pi*x)"}, problem), method="by hand", status=Status.CONVERGED)
    again = sciml.load_solution(u.save(tmp_path / "burgers"))
    assert again.problem.has_exact
    assert again.error() == u.error()


@pytest.mark.usefixtures("saves")
def test_functions_that_no_file_can_carry_are_missed_with_a_warning_or_given(tmp_path: Path):
    problem = sciml.load("heat").replace(exact=lambda x, t: torch.exp(-(torch.pi**2) * t / 4) * torch.sin(torch.pi * x))
    u = Solution(problem, Formula({"u": HEAT}, problem), method="by hand", status=Status.CONVERGED)
    path = u.save(tmp_path / "heat")
    with pytest.warns(ProblemWarning, match=r"exact.*load_solution\(path, problem\)"):
        again = sciml.load_solution(path)
    assert not again.problem.has_exact
    assert again(0.5, 0.5) == u(0.5, 0.5)
    assert sciml.load_solution(path, problem).error() < 1e-14
    with pytest.raises(FileFormatError, match="another problem"):
        sciml.load_solution(path, sciml.load("burgers"))


@pytest.mark.usefixtures("saves")
def test_every_damaged_byte_and_every_cut_is_noticed(tmp_path: Path):
    path = heat(history={"loss": [1.0, 0.5]}).save(tmp_path / "heat")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(24), *rng.integers(24, len(content), 150).tolist(), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        path.write_bytes(bytes(damaged))
        with pytest.raises(FileFormatError):
            sciml.load_solution(path)
    for length in [0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            sciml.load_solution(path)
    path.write_bytes(content)
    assert sciml.load_solution(path).success


def test_foreign_and_missing_files_are_refused_with_advice(tmp_path: Path):
    from safetensors.numpy import save_file

    (tmp_path / "notes.txt").write_text("no solution")
    (tmp_path / "state.pkl").write_bytes(pickle.dumps({"a": 1}))
    save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors")
    save_file({"a": np.zeros(3)}, tmp_path / "old.safetensors", {"format": "sciml.solution", "version": "99"})
    for name, message in {
        "notes.txt": "not a safetensors file",
        "state.pkl": "not a safetensors file",
        "weights": "written by Solution.save",
        "old": "version 99",
        "note.txt": "no solution file .*did you mean 'notes.txt'",
        "nowhere/at/all": "no solution file",
    }.items():
        with pytest.raises(FileFormatError, match=message):
            sciml.load_solution(tmp_path / name)


@pytest.mark.usefixtures("saves")
def test_a_file_with_a_right_checksum_but_wrong_contents_is_refused(tmp_path: Path):
    from safetensors.numpy import load_file, save_file

    path = heat().save(tmp_path / "heat")
    arrays = load_file(path)
    document, _ = storage.FILE.read(path)
    for change in (
        {"kind": "os"},
        {"status": "splendid"},
        {"problem": {"equations": ["__import__('os')"], "domain": {"x": [0, 1]}}},
        {"evaluator": {}},
        {"history": ["loss"]},
        {"problem": None},
    ):
        text = json.dumps({**document, **change})
        metadata = {
            "format": "sciml.solution",
            "version": "1",
            "solution": text,
            "sha256": digest(text, arrays),
        }
        save_file(arrays, path, metadata)
        with pytest.raises(FileFormatError, match="do not fit"):
            sciml.load_solution(path)


@pytest.mark.usefixtures("saves")
def test_what_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match="cannot be written"):
        heat().save(tmp_path / "file" / "heat")
    with pytest.raises(ArgumentError, match="cannot be written"):
        heat().to_table(path=tmp_path / "file" / "table.csv")


def test_every_evaluator_of_the_package_can_be_loaded_again():
    import importlib
    import pkgutil

    for room in ("pinn", "classical"):
        package = importlib.import_module(f"sciml.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"sciml.{room}."):
            importlib.import_module(module.name)
    ours = {c.kind: c for c in Evaluator.__subclasses__() if c.__module__.startswith("sciml.")}
    assert ours
    for kind, (module, name) in storage.EVALUATORS.items():
        assert ours.pop(kind) is getattr(importlib.import_module(module), name)
    assert not ours


def test_solvers_solutions_are_bit_identical_in_a_new_process(tmp_path: Path):
    from sciml import classical, pinn

    problem = sciml.load("logistic")
    t = np.linspace(0, 10, 501)
    solutions = {
        "classical": classical.solve(problem, rtol=1e-6),
        "pinn": pinn.solve(problem, budget=1.0, tol=1e-3),
        "stationary": classical.solve(Problem("u'' = -u", ["u(0) = 0", "u(2) = 1"], {"x": (0, 2)}), rtol=1e-6),
    }
    for name, u in solutions.items():
        u.save(tmp_path / name)
    script = (
        "import sys, numpy as np, sciml\n"
        "for name, end in (('classical', 10), ('pinn', 10), ('stationary', 2)):\n"
        "    u = sciml.load_solution(sys.argv[1] + '/' + name)\n"
        "    np.save(sys.argv[1] + '/' + name, u(np.linspace(0, end, 501)))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    for name, u in solutions.items():
        points = np.linspace(0, 2, 501) if name == "stationary" else t
        np.testing.assert_array_equal(u(points), np.load(tmp_path / f"{name}.npy"))


def test_a_solution_travels_between_processes():
    u = pickle.loads(pickle.dumps(heat(history={"loss": [1.0, 0.5]})))
    assert u(0.5, 0.5) == heat()(0.5, 0.5)


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
