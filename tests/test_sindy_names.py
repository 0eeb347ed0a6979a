"""The names of unknowns in a discovery: which are refused, and where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from discovery_samples import oscillator, wave
from sciml import sindy
from sciml.errors import ArgumentError
from sciml.sindy.estimator import SINDy
from sciml.tabular import records_of


def circle() -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 10, 200)
    return t, np.stack([np.cos(t), -np.sin(t)], axis=1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["sin", "y"], "names: 'sin' is a function of the notation; write 'sin_', say"),
        (["max", "max_"], "'max' is a function of the notation; write 'max_1', say"),
        ("x,pi", "'pi' is a number of the notation; write 'pi_', say"),
        (["ln", "y"], "'ln' is a function of the notation"),
    ],
)
def test_names_of_functions_are_refused_at_once_with_a_free_name(names: list[str] | str, message: str):
    t, x = circle()
    with pytest.raises(ArgumentError, match=message):
        sindy.discover(t, x, names=names)
    with pytest.raises(ArgumentError, match=message):
        SINDy(names=names).fit(x, t=t)
    with pytest.raises(ArgumentError, match=message):
        SINDy(names=names).fit(x, x[:, ::-1])
    with pytest.raises(ArgumentError, match="control_names: 'exp' is a function"):
        sindy.discover(t, x, control=t, control_names="exp")
    space, moments, u = wave()
    with pytest.raises(ArgumentError, match="names of coordinates and fields: 'abs' is a function"):
        sindy.discover_field({"x": space, "t": moments}, {"abs": u})


def test_the_name_that_the_refusal_proposes_is_accepted():
    t, x = circle()
    law = sindy.discover(t, x, names=["sin_", "pi_"], degree=1)
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"sin_": {"pi_"}, "pi_": {"sin_"}}


def test_the_exposed_of_an_epidemic_may_be_called_E():
    t, x = circle()
    law = sindy.discover(t, x, names=["E", "I"], library=sindy.PolynomialLibrary(1) + sindy.ExponentialLibrary())
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"E": {"I"}, "I": {"E"}}


def test_a_file_with_columns_called_like_functions_is_read_under_free_names(own_directory: object):
    t, x = oscillator()
    rows = "\n".join(f"{time},{a},{b}" for time, (a, b) in zip(t, x, strict=True))
    Path("extremes.csv").write_text(f"t,min,max (K)\n{rows}\n")
    found = records_of("extremes.csv")
    assert found.names == ("min_", "max_")
    assert "names: min_ for 'min', max_ for 'max (K)'" in found.assumptions
