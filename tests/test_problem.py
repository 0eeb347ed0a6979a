"""Declarations: what a Problem derives from its text, what it refuses, how it changes and how it is written."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sympy
import torch

import sciml
from sciml import Problem
from sciml.errors import ArgumentError, NotationError, ProblemError, ProblemWarning, UnknownProblemError
from sciml.notation import Partial

LINE = {"x": (0, 1), "t": (0, 1)}


def heat(**changes: object) -> Problem:
    fields = {
        "equations": "u_t = k*u_xx",
        "conditions": ["u(x, 0) = sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"],
        "domain": LINE,
        "parameters": {"k": 0.1},
        "exact": "exp(-k*pi**2*t)*sin(pi*x)",
    }
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_problem_reads_coordinates_unknowns_time_and_orders_off_its_text():
    problem = heat()
    assert (problem.coordinates, problem.space, problem.time) == (("x", "t"), ("x",), "t")
    assert problem.unknowns == ("u",)
    assert (problem.order("u", "x"), problem.order("u", "t")) == (2, 1)
    assert [c.kind for c in problem.conditions] == ["initial", "boundary", "boundary"]
    assert dict(problem.conditions[2].place) == {"x": 1.0}


def test_a_condition_is_solved_for_its_partial():
    vocabulary = heat().vocabulary
    partial, g = heat(conditions=["2*u_t(x, 0) = 6*x", "u(0, t) = 0", "u(1, t) = 0"]).conditions[0].solved(vocabulary)
    assert partial == Partial("u", (0, 1))
    assert g == 3 * vocabulary.symbol("x")
    robin = heat(conditions=["u_x(0, t) + 2*u(0, t) = 0"]).conditions[0]
    assert robin.solved(vocabulary) is None


def test_boundary_means_every_side_of_space_and_leaves_time_alone():
    problem = Problem(
        "u_t = laplacian(u)", ["u(x, y, 0) = 0", "u(boundary) = 0"], {"x": (0, 1), "y": (0, 2), "t": (0, 1)}
    )
    sides = [dict(c.place) for c in problem.conditions if c.kind == "boundary"]
    assert sides == [{"x": 0.0}, {"x": 1.0}, {"y": 0.0}, {"y": 2.0}]


def test_bounds_and_places_may_be_formulas_in_parameters():
    problem = Problem("u_t = u_x", ["u(x, 0) = 0", "u(2*pi*L, t) = 0"], {"x": (0, "2*pi*L"), "t": (0, 1)}, {"L": 1.5})
    assert problem.domain.upper[0] == pytest.approx(3 * math.pi, rel=1e-15)
    assert problem.conditions[1].place["x"] == problem.domain.upper[0]
    assert problem.replace(L=2).domain.upper[0] == pytest.approx(4 * math.pi, rel=1e-15)


def test_periodicity_is_recognised_for_all_unknowns_or_not_at_all():
    waves = ["u_t = v_x", "v_t = u_x"]
    both = ["u(0, t) = u(1, t)", "v(0, t) = v(1, t)"]
    assert Problem(waves, both, LINE).periodic == {"x"}
    assert Problem(waves, both[:1], LINE).periodic == frozenset()


def test_replace_keeps_the_exact_solution_up_to_date():
    points = np.array([[0.5, 1.0]])
    for k in (0.1, 0.7):
        value = heat().replace(k=k).evaluate_exact(points)["u"]
        assert value.item() == pytest.approx(math.exp(-k * math.pi**2), rel=1e-14)


def test_exact_may_be_a_callable_with_the_parameters_it_names_as_keywords():
    problem = heat(exact=lambda x, t, *, k: torch.exp(-k * math.pi**2 * t) * torch.sin(math.pi * x))
    assert problem.replace(k=0.3).evaluate_exact([[0.5, 0.0]])["u"].item() == pytest.approx(1.0)
    several = Problem(
        ["x' = y", "y' = -x"], ["x(0) = 0", "y(0) = 1"], {"t": (0, 1)}, exact=lambda t: (t.sin(), t.cos())
    )
    values = several.evaluate_exact([[0.0]])
    assert [values["x"].item(), values["y"].item()] == [0.0, 1.0]


def test_sympy_expressions_are_accepted_wherever_text_is():
    x, t, k = sympy.symbols("x t k")
    u = sympy.Function("u")(x, t)
    problem = Problem(
        sympy.Eq(u.diff(t), k * u.diff(x, 2)),
        heat().conditions and [c.name for c in heat().conditions],
        LINE,
        {"k": 0.1},
    )
    assert problem.residuals == heat().residuals


def test_a_problem_is_frozen():
    problem = heat()
    with pytest.raises(AttributeError, match="replace"):
        problem.domain = None  # type: ignore[misc, assignment]
    with pytest.raises(TypeError):
        problem.parameters["k"] = 1.0  # type: ignore[index]


def test_the_declaration_survives_json_and_pickle():
    problem = heat()
    again = Problem.from_dict(json.loads(json.dumps(problem.to_dict())))
    assert (again.equations, again.residuals, again.domain, dict(again.parameters)) == (
        problem.equations, problem.residuals, problem.domain, dict(problem.parameters),
    )  # fmt: skip
    assert [c.name for c in again.conditions] == [c.name for c in problem.conditions]
    assert again.exact == problem.exact
    assert pickle.loads(pickle.dumps(problem)).residuals == problem.residuals


def test_conditions_that_disagree_at_a_corner_warn_unless_accepted():
    conditions = ["u(x, 0) = 1", "u(0, t) = 0", "u(1, t) = 1"]
    with pytest.warns(ProblemWarning, match="disagree by 1"):
        heat(conditions=conditions)
    heat(conditions=conditions, incompatible="accept")
    with pytest.warns(ProblemWarning, match="disagree"):
        heat(conditions=["u(x, 0) = x", "u(0, t) = u(1, t)"])


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (["u(0, t) = 0", "u(1, t) = 0"], "misses 1 condition.* in t"),
        (["u(x, 0) = 0", "u(0, t) = 0"], r"misses 1 condition.* in x.*u\(1, t\)"),
        (["u(x, 0) = 0"], "misses 2 condition.* in x.*periodic"),
        (["u(x, 0) = 0", "u(0, t) = 0", "u(1, t) = 0", "u_x(1, t) = 0"], "1 condition.* too many in x"),
        ([], "misses 2"),
    ],
)
def test_a_forward_problem_needs_as_many_conditions_as_its_orders(conditions, words):
    with pytest.raises(ProblemError, match=words):
        heat(conditions=conditions).check_forward()


def test_well_posed_problems_pass_the_forward_check():
    heat().check_forward()
    heat(conditions=["u(x, 0) = sin(2*pi*x)", "u(0, t) = u(1, t)", "u_x(0, t) = u_x(1, t)"]).check_forward()
    for name in sciml.names():
        sciml.load(name).check_forward()


def test_a_value_at_a_point_may_fix_the_level_that_derivatives_leave_open():
    sides = ["u_x(0, y) = 0", "u_x(1, y) = 0", "u_y(x, 0) = 0", "u_y(x, 1) = 0"]
    square = {"x": (0, 1), "y": (0, 1)}
    Problem("laplacian(u) = cos(pi*x)", [*sides, "u(0, 0) = 1"], square).check_forward()
    Problem("laplacian(u) = cos(pi*x)", sides, square).check_forward()
    with pytest.raises(ProblemError, match="too many"):
        Problem("x' = -x", ["x(0) = 1", "x(0.5) = 1"], {"t": (0, 1)}).check_forward()


def test_a_coefficient_that_jumps_is_not_differentiated():
    for text in ("d(where(x < 0.5, 1, 2)*u_x, x) = 0", "d(where(x**2 < 0.5, 1, 2)*u_x, x) = 0"):
        with pytest.raises(NotationError, match="do not join"):
            Problem(text, ["u(0) = 0", "u(1) = 1"], {"x": (0, 1)})
    Problem("d(where(x < 0.5, 1, 2*x)*u_x, x) = 0", ["u(0) = 0", "u(1) = 1"], {"x": (0, 1)})


def test_latex_and_repr_show_the_equation():
    assert r"u_t = k\,u_{xx}" in heat()._repr_latex_()
    assert r"\sin" in heat()._repr_latex_()
    assert "u_t = k*u_xx" in repr(heat())


def test_problems_are_found_by_name_and_by_path(tmp_path):
    assert len(sciml.names()) >= 22
    assert sciml.load("burgers", nu=0.02).parameters["nu"] == 0.02
    file = tmp_path / "my.py"
    lines = [
        '"""Mine."""',
        "from sciml import Problem",
        "def problem(a=2.0):",
        "    return Problem(\"y' = -a*y\", 'y(0) = 1', {'t': (0, 1)}, {'a': a})",
    ]
    file.write_text("\n".join(lines))
    mine = sciml.load(str(file), a=3)
    assert (mine.name, mine.description, mine.parameters["a"]) == ("my", "Mine.", 3.0)
    assert "sciml_problem_my" not in sys.modules
    with pytest.raises(UnknownProblemError, match="did you mean 'burgers'"):
        sciml.load("burger")
    with pytest.raises(ArgumentError, match="nu"):
        sciml.load("burgers", mu=0.02)


def test_importing_the_package_is_cheap():
    script = (
        "import sys, sciml; sciml.load('heat'); "
        "heavy = {'torch', 'scipy', 'pysindy', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_known_functions_without_a_formula_enter_as_callables():
    problem = Problem("u_x = f(x)", "u(0) = 0", {"x": (0, 1)}, functions={"f(x)": torch.exp})
    assert problem.functions["f"] is torch.exp
    problem.check_forward()
    with pytest.raises(ProblemError, match="not known"):
        Problem("u_x = f(x)", "u(0) = 0", {"x": (0, 1)}, functions=["f(x)"]).check_forward()


WRONG: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"equations": []}, ArgumentError, "equations"),
    ({"equations": 3}, ArgumentError, "equations"),
    ({"equations": [3]}, ArgumentError, "equations"),
    ({"equations": "u_t = kk*u_xx"}, NotationError, "did you mean 'k'"),
    ({"equations": "u_t = k*u_yy"}, NotationError, "u_yy"),
    ({"equations": "u_t = "}, NotationError, ""),
    ({"equations": "u_t == k*u_xx"}, NotationError, "="),
    ({"equations": "u_t = k u_xx"}, NotationError, "operator"),
    ({"equations": "k = 0.1", "unknowns": ["u"]}, ProblemError, "no equation"),
    ({"equations": ["u_t = k*u_xx", "k = 1"]}, ProblemError, "no unknown"),
    ({"unknowns": ["u", "w"], "exact": None}, ProblemError, "w stands in no equation"),
    ({"unknowns": []}, ArgumentError, "unknowns"),
    ({"unknowns": ["2u"]}, ArgumentError, "2u"),
    ({"unknowns": ["x"]}, ProblemError, "x is declared twice"),
    ({"parameters": {"x": 1.0, "k": 1}}, ProblemError, "x is declared twice"),
    ({"parameters": {"k": "abc"}}, ArgumentError, "parameter k"),
    ({"parameters": {"k": float("nan")}}, ArgumentError, "finite"),
    ({"parameters": {"k": float("inf")}}, ArgumentError, "finite"),
    ({"parameters": {"k": [1, 2]}}, ArgumentError, "parameter k"),
    ({"parameters": {"k": None}}, ArgumentError, "parameter k"),
    ({"parameters": {"k": True}}, ArgumentError, "parameter k"),
    ({"parameters": {"k": 1j}}, ArgumentError, "parameter k"),
    ({"parameters": {"k": "1/0"}}, ArgumentError, "parameter k"),
    ({"parameters": [("k", 1)]}, ArgumentError, "parameters"),
    ({"parameters": {3: 1}}, ArgumentError, "3"),
    ({"parameters": {"a b": 1}}, ArgumentError, "a b"),
    ({"parameters": None}, NotationError, "k"),
    ({"domain": None}, ArgumentError, "domain"),
    ({"domain": {}}, ArgumentError, "domain"),
    ({"domain": {"x": 1, "t": (0, 1)}}, ArgumentError, "domain"),
    ({"domain": {"x": (0, 1, 2), "t": (0, 1)}}, ArgumentError, "pair"),
    ({"domain": {"x": "01", "t": (0, 1)}}, ArgumentError, "pair"),
    ({"domain": {"x": (1, 0), "t": (0, 1)}}, ProblemError, "below"),
    ({"domain": {"x": (0, 0), "t": (0, 1)}}, ProblemError, "below"),
    ({"domain": {"x": (0, float("inf")), "t": (0, 1)}}, ArgumentError, "finite"),
    ({"domain": {"x": (0, "q"), "t": (0, 1)}}, ArgumentError, "q"),
    ({"domain": {1: (0, 1)}}, ArgumentError, "1"),
    ({"conditions": ["u(x, 2) = 0"]}, ProblemError, "outside"),
    ({"conditions": ["u(-0.5, t) = 0"]}, ProblemError, "outside"),
    ({"conditions": ["u(x, t) = 0"]}, NotationError, "fixes no coordinate"),
    ({"conditions": ["u(0) = 0"]}, NotationError, ""),
    ({"conditions": ["u(t, 0) = 0"]}, NotationError, ""),
    ({"conditions": ["w(x, 0) = 0"], "exact": None}, ProblemError, "w stands in no equation"),
    ({"conditions": ["u(x, 0)"], "incompatible": "maybe"}, ArgumentError, "incompatible"),
    ({"conditions": ["u(0, t) = 2*u(1, t)"]}, ProblemError, "periodic"),
    ({"conditions": ["u(0, t) = u(0.5, t)"]}, ProblemError, "periodic"),
    ({"conditions": ["u(x, 0) = u(1, t)"]}, ProblemError, "places"),
    ({"conditions": ["u(boundary) = u(0, t)"]}, ProblemError, "boundary"),
    ({"conditions": ["x = 0"]}, NotationError, ""),
    ({"conditions": 5}, ArgumentError, "conditions"),
    ({"conditions": [None]}, ArgumentError, "conditions"),
    ({"exact": "sin(q)"}, NotationError, "q"),
    ({"exact": {"w": "0"}}, ArgumentError, "keys"),
    ({"exact": {"u": None}}, ArgumentError, "exact"),
    ({"functions": {"f": torch.exp}}, ArgumentError, "signature"),
    ({"functions": {"f()": torch.exp}}, ArgumentError, "arguments"),
    ({"functions": {"f(x)": 3}}, ArgumentError, "callable"),
    ({"functions": {"k(x)": torch.exp}}, ProblemError, "declared twice"),
    ({"functions": {"f(q)": torch.exp}}, (ArgumentError, ProblemError, NotationError), "q"),
    ({"name": 3}, ArgumentError, "name"),
    ({"source": None}, ArgumentError, "source"),
    ({"reference": 2.0}, ArgumentError, "reference"),
    ({"reference": "x"}, ArgumentError, "reference"),
    ({"incompatible": None}, ArgumentError, "incompatible"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "words"), WRONG, ids=[str(k) for k in range(len(WRONG))])
def test_a_wrong_declaration_is_refused_with_the_argument_and_what_came(changes, error, words):
    with pytest.raises(error) as caught:
        heat(**changes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: heat().replace(q=1), ArgumentError, "no parameter or field 'q'"),
        (lambda: heat().replace(k="x"), ArgumentError, "parameter k"),
        (lambda: heat().replace(conditons=[]), ArgumentError, "did you mean 'conditions'"),
        (lambda: heat(exact=None).evaluate_exact([[0.0, 0.0]]), ProblemError, "no exact"),
        (lambda: heat(exact=lambda x, t: (x, t)).evaluate_exact([[0.0, 0.0]]), ProblemError, "2 fields"),
        (lambda: heat().domain.index("y"), ProblemError, "no coordinate 'y'"),
        (lambda: heat().order("u", "z"), ProblemError, "no coordinate 'z'"),
        (lambda: sciml.load(3), ArgumentError, "name"),  # type: ignore[arg-type]
        (lambda: sciml.load("no/such/file.py"), UnknownProblemError, "no problem file"),
        (lambda: sciml.load(""), UnknownProblemError, "--list"),
        (lambda: sciml.load("heat", nu="x"), ArgumentError, "nu"),
    ],
)  # fmt: skip
def test_a_wrong_call_on_a_problem_is_answered(act, error, words):
    with pytest.raises(error) as caught:
        act()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (", "cannot be run"),
        ("1/0", "cannot be run: ZeroDivisionError"),
        ("a = 3", "must define a function problem"),
        ("def problem():\n    return 3", "must return a sciml.Problem"),
        ("def problem():\n    return [][0]", "failed with IndexError"),
    ],
)
def test_a_broken_problem_file_is_named(tmp_path, text, words):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ProblemError, match=r"broken\.py") as caught:
        sciml.load(file)
    assert words in str(caught.value)
