"""The command lines of identification: what they ask for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from identifications import LOGISTIC, ROD
from sciml.command import parse
from sciml.identification import requested_identification
from sciml.identify import OPTIONS

pytestmark = pytest.mark.usefixtures("identification_files")


def request(*argv: str) -> Any:
    return requested_identification(parse(argv, OPTIONS))


@pytest.mark.parametrize(
    "argv",
    [
        ["burgers", "--data", "b.csv", "--unknown", "nu"],
        ["--unknown=nu", "--data=b.csv", "burgers"],
        ["--data", "b.csv", "burgers", "--unknown", "nu"],
    ],
)
def test_options_may_stand_before_and_after_the_problem(argv: list[str]):
    Path("b.csv").write_text("x,t,u\n0,0.5,0\n0.5,0.5,-0.4\n")
    made = request(*argv)
    assert made.problem.name == "burgers"
    assert made.unknown == ("nu",)
    assert (made.noise, made.noise_model, made.bounds, made.seed) == (None, "additive", {}, 0)
    assert made.observations[0].count == 2


def test_lists_may_be_written_with_commas_blanks_or_again_and_again():
    for argv in (
        ["--unknown", "r,K", "--columns", "t=time,y=size", "--noise", "y=0.1"],
        ["--unknown", "r", "--unknown", "K", "--columns", "t=time", "y=size", "--noise", "0.1"],
        ["--unknown=r, K", "--columns=t=time", "--columns=y=size", "--noise=y=0.1"],
    ):
        made = request("logistic", "--data", "other.csv", *argv)
        assert made.unknown == ("r", "K")
        assert made.observations[0].points[:, 0].tolist() == [0.5, 2, 3]
        assert made.noise in ({"y": 0.1}, 0.1)


def test_several_files_are_several_experiments():
    for argv in (["--data", "points.csv", "one.csv"], ["--data", "points.csv", "--data", "one.csv"]):
        made = request("logistic", *argv, "--unknown", "r")
        assert [one.source for one in made.observations] == ["points.csv", "one.csv"]


def test_bounds_may_be_formulas_and_open_on_one_side():
    made = request(*LOGISTIC[:3], "--unknown", "r,K,y0", "--bounds", "r=0:2*pi", "K=0.5:", "y0=:inf")
    assert made.bounds == {"r": (0.0, 2 * math.pi), "K": (0.5, None), "y0": (None, None)}


def test_typed_equations_declare_what_is_unknown_and_start_within_the_bounds():
    text = ("y' = r*y*(1 - y/K) + c", "y(0) = a", "--domain", "t=0:10", "--data", "points.csv")
    made = request(*text, "--unknown", "r,K,c,a", "--set", "a=0.2", "--bounds", "r=0.04:25", "K=2:", "c=-3:-1")
    assert dict(made.problem.parameters) == {"r": 1.0, "K": 4.0, "c": -2.0, "a": 0.2}
    assert [c.kind for c in made.problem.conditions] == ["initial"]


def test_a_token_with_an_equals_sign_is_still_an_equation():
    Path("d.csv").write_text("x,t,v\n0.5,0.5,1\n0.7,0.5,1\n")
    made = request(
        "--columns", "u=v", "u_t=c*u_xx", "--noise", "0.1", "u(0,t)=0", "--data", "d.csv", "u(1,t)=0",
        "--unknown", "c", "--domain", "x=0:1", "t=0:1",
    )  # fmt: skip
    assert len(made.problem.equations) == 1
    assert len(made.problem.conditions) == 2
    assert made.observations[0].counts == {"u": 2}


def test_functions_of_typed_equations_are_unknown_without_being_named():
    for text in ("u_t = d(k(x)*u_x, x)", "u_t = k*u_xx + k_x*u_x"):
        made = request(text, *ROD[1:])
        assert made.unknown == ("k",)
        assert made.problem.unknowns == ("u",)
        assert made.problem.unknown_functions == {"k": ("x",)}
    both = request("u_t = k*u_xx + f(u) + q", *ROD[1:6], "f(u)", "--data", "rod.csv", "--unknown", "q")
    assert both.unknown == ("q", "k", "f")


def test_a_function_may_take_the_place_of_a_parameter_of_a_bundled_problem():
    Path("b.csv").write_text("x,t,u\n0,0.5,0\n0.5,0.5,-0.4\n")
    made = request("burgers", "--data", "b.csv", "--functions", "nu(x)")
    assert made.problem.unknown_functions == {"nu": ("x",)}
    assert dict(made.problem.parameters) == {}
    assert len(made.problem.conditions) == 3


def test_conditions_can_be_left_out():
    assert len(request(*LOGISTIC).problem.conditions) == 1
    made = request(*LOGISTIC, "--no-conditions")
    assert made.problem.conditions == ()
    assert made.problem.unknowns == ("y",)
