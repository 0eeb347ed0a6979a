"""Claims about what an identification may be asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciml import Problem
from sciml.errors import ArgumentError
from sciml.inference import Range
from sciml.observations import Observations
from sciml.unknowns import Unknowns, check_data, moving_names, noise_of, unknowns_of


def decay(**changes) -> Problem:
    return Problem("y' = -k*y", "y(0) = y0", {"t": (0, "T")}, {"k": 0.5, "y0": 2.0, "T": 3.0, "unused": 1.0}).replace(
        **changes
    )


def rod() -> Problem:
    return Problem(
        "d(k(x)*u_x, x) + f(u) + q = 0",
        ["u(0) = a", "u(L) = 0"],
        {"x": (0, "L")},
        {"q": 1.0, "a": 1.0, "L": 2.0},
        functions=["k(x)", "f(u)", "spare(x)"],
    )


def observed(count: int = 10, **values) -> Observations:
    points = np.linspace(0, 1, count)[:, None]
    return Observations(points, {k: np.asarray(v, dtype=float) for k, v in values.items()} or {"y": np.ones(count)})


def test_numbers_in_equations_conditions_and_domain_are_found_in_the_order_asked_for():
    unknowns = unknowns_of(decay(), ["T", "y0", "k"])
    assert list(unknowns.ranges) == ["T", "y0", "k"]
    assert unknowns.functions == ()
    assert unknowns.ranges["y0"] == Range(center=2.0, scale=2.0)


def test_a_number_that_only_gives_a_place_is_found():
    problem = Problem("u'' = 1", ["u(0) = 0", "u(c) = 0"], {"x": (0, 2)}, {"c": 1.5}, time=None)
    assert list(unknowns_of(problem, "c").ranges) == ["c"]


def test_numbers_that_move_sides_or_places_are_told_from_those_in_formulas():
    problem = Problem("u'' = q", ["u(0) = a", "u(c) = b"], {"x": (0, "L")}, dict.fromkeys("qabcL", 1.0), time=None)
    assert moving_names(problem) == {"c", "L"}


def test_names_may_be_one_text_separated_by_commas():
    assert list(unknowns_of(decay(), "k, y0").ranges) == ["k", "y0"]


def test_numbers_and_functions_are_told_apart():
    unknowns = unknowns_of(rod(), ["k", "q", "f"])
    assert list(unknowns.ranges) == ["q"]
    assert unknowns.functions == ("k", "f")
    assert unknowns.names == ("q", "k", "f")


def test_bounds_become_ranges_whose_values_stay_inside():
    unknowns = unknowns_of(decay(), ["k", "y0"], {"k": (0, None)})
    assert unknowns.ranges["k"].sides == (True, False)
    assert unknowns.ranges["k"].value(-50.0) > 0
    assert unknowns.ranges["y0"].sides == (False, False)


def test_experiments_share_numbers_and_may_have_their_own():
    one = Problem("y' = -k*y", "y(0) = a", {"t": (0, 1)}, {"k": 1.0, "a": 1.0})
    two = Problem("y' = -k*y", "y(0) = b", {"t": (0, 1)}, {"k": 1.0, "b": 3.0})
    unknowns = unknowns_of([one, two], ["k", "a", "b"])
    assert [own.center for own in unknowns.ranges.values()] == [1.0, 1.0, 3.0]


def test_experiments_that_start_a_shared_number_differently_are_refused():
    with pytest.raises(ArgumentError, match=r"'k' is shared by the experiments but starts at 0\.5, 2"):
        unknowns_of([decay(), decay(k=2.0)], ["k"])


@pytest.mark.parametrize(
    ("unknown", "bounds", "text"),
    [
        (
            ["kk"],
            None,
            r"'kk' of unknown is neither a parameter nor an unknown function.*known: k, y0.*did you mean 'k'",
        ),
        (["unused"], None, r"the parameter 'unused' of unknown appears neither in the equations nor"),
        (["y"], None, r"'y' of unknown is what the equations are for"),
        (["t"], None, r"'t' of unknown is a coordinate"),
        (["k", "k"], None, r"unknown names 'k' twice"),
        ([], None, r"unknown must name at least one"),
        ([1], None, r"unknown must name at least one"),
        ({"k": 1}, None, r"unknown must be a sequence of names"),
        (3, None, r"unknown must be a sequence of names"),
        (["k"], {"y0": (0, 1)}, r"bounds are given for 'y0', which is not unknown; unknown numbers: k"),
        (["k"], {"k": (1, 0)}, r"lower < upper"),
        (["k"], {"k": 3}, r"bounds of 'k' must be a pair"),
        (["k"], {"k": (1, 2)}, r"the start of 'k' is 0\.5, outside its bounds \[1, 2\]"),
        (["k"], [(0, 1)], r"bounds must be a mapping"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_the_reason(unknown, bounds, text):
    with pytest.raises(ArgumentError, match=text):
        unknowns_of(decay(), unknown, bounds)


def test_no_parameters_at_all_says_how_to_declare_them():
    with pytest.raises(ArgumentError, match=r"declares none; say parameters="):
        unknowns_of(Problem("y' = -y", "y(0) = 1", {"t": (0, 1)}), ["k"])


def test_an_unknown_function_that_is_not_asked_for_is_refused():
    with pytest.raises(ArgumentError, match=r"the function f\(u\) is not known and not asked for; add 'f'"):
        unknowns_of(rod(), ["k"])


def test_a_declared_function_that_appears_nowhere_is_refused():
    with pytest.raises(ArgumentError, match=r"the function 'spare' of unknown appears neither"):
        unknowns_of(rod(), ["k", "f", "spare"])


def test_bounds_of_a_function_are_refused():
    with pytest.raises(ArgumentError, match=r"bounds are for numbers, but 'k' is a function"):
        unknowns_of(rod(), ["k", "f"], {"k": (0, 1)})


def test_a_known_function_is_not_unknown():
    problem = Problem("y' = -k*y + f(t)", "y(0) = 1", {"t": (0, 1)}, {"k": 1.0}, functions={"f(t)": lambda t: t})
    with pytest.raises(ArgumentError, match=r"the function 'f' of unknown is known"):
        unknowns_of(problem, ["f"])


def test_noise_is_one_number_for_all_or_one_for_each():
    assert noise_of(None, ["u", "v"]) is None
    assert noise_of(0.1, ["u", "v"]) == {"u": 0.1, "v": 0.1}
    assert noise_of({"v": 0.2, "u": np.float32(0.5)}, ["u", "v"]) == {"u": 0.5, "v": 0.2}


@pytest.mark.parametrize("noise", [0, -1.0, math.nan, math.inf, "1 %", True, [0.1], {"u": 0.0, "v": 1.0}])
def test_noise_that_is_no_positive_number_is_refused(noise):
    with pytest.raises(ArgumentError, match=r"noise.* must be a positive standard deviation"):
        noise_of(noise, ["u", "v"])


def test_noise_must_be_given_for_exactly_what_is_observed():
    with pytest.raises(ArgumentError, match=r"noise misses 'v'"):
        noise_of({"u": 0.1}, ["u", "v"])
    with pytest.raises(ArgumentError, match=r"noise is given for 'w', which is not observed; observed: u, v"):
        noise_of({"u": 0.1, "v": 0.1, "w": 0.1}, ["u", "v"])


def test_more_unknowns_than_data_are_refused():
    unknowns = Unknowns({"k": Range(), "y0": Range()})
    with pytest.raises(ArgumentError, match=r"2 unknowns \(k, y0\) cannot be found from 1 number"):
        check_data(unknowns, [observed(1)])
    with pytest.raises(ArgumentError, match=r"leave nothing to estimate the noise from; give noise="):
        check_data(unknowns, [observed(2)])
    check_data(unknowns, [observed(2)], noise={"y": 0.1})
    check_data(unknowns, [observed(2), observed(1)])


def test_numbers_that_were_not_measured_do_not_count():
    values = np.full(10, np.nan)
    values[:2] = 1.0
    with pytest.raises(ArgumentError, match="leave nothing"):
        check_data(Unknowns({"k": Range(), "y0": Range()}), [observed(10, y=values)])


def test_multiplicative_noise_needs_positive_data():
    values = np.array([1.0, np.nan, 0.0, 2.0])
    check_data(Unknowns({"k": Range()}), [observed(4, y=values)])
    with pytest.raises(ArgumentError, match=r"y of data is 0 in row 2; use noise_model='additive'"):
        check_data(Unknowns({"k": Range()}), [observed(4, y=values)], noise_model="multiplicative")


def test_an_unknown_model_of_the_noise_is_refused():
    with pytest.raises(ArgumentError, match=r"noise_model must be 'additive' or 'multiplicative', got 'multiplicativ'"):
        check_data(Unknowns({"k": Range()}), [observed()], noise_model="multiplicativ")
