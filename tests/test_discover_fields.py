"""What the discovery of a field's equation refuses or renames before it begins."""

from __future__ import annotations

import json

import numpy as np
import pytest

from discovery_samples import wave, write_csv
from sciml import sindy
from sciml.discover import main as discover
from sciml.errors import ArgumentError
from sciml.gridded import grid_of
from sciml.sindy.discovery import Discovery

pytestmark = pytest.mark.usefixtures("own_directory")


def test_a_coordinate_called_xx_is_renamed_so_that_the_order_of_derivatives_can_be_read(
    capsys: pytest.CaptureFixture[str],
):
    x, t, u = wave(64, 96)
    np.savez("wave.npz", xx=x, tt=t, u=u + 0.05 * np.random.default_rng(0).normal(size=u.shape))
    discover(["wave.npz", "--degree", "1", "--order", "2", "--json"])
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert set(found["coefficients"]["u"]) == {"u_x"}
    assert "coordinates: x for 'xx', t for 'tt'" in found["assumed"]
    assert "assumed: coordinates: x for 'xx', t for 'tt'" in output.err


@pytest.mark.parametrize("coordinates", [{"xx": 0, "t": 1}, {"x": 0, "tt": 1}, {"ss": 0, "tau": 1}])
def test_from_python_a_coordinate_of_one_letter_several_times_is_refused_with_a_cure(coordinates: dict[str, int]):
    *grids, u = wave()
    name = next(name for name in coordinates if len(set(name)) == 1 and len(name) > 1)
    with pytest.raises(ArgumentError, match=rf"{name!r} is several times one letter.*order 2; call it {name[0]!r}"):
        sindy.discover_field({name: grids[k] for name, k in coordinates.items()}, {"u": u})


def test_the_law_of_a_field_says_that_it_is_solved_as_a_problem():
    law = Discovery(("u",), ("u_t = -2*u_x",), {"u": {"u_x": -2.0}}, kind="field", coordinates=("x", "t"))
    u = np.ones((32, 48))
    for call in (
        lambda: law.predict(u),
        lambda: law.predict([u]),
        lambda: law.simulate(u[:, 0], [0, 1]),
        lambda: law.score(u),
        law.to_torch,
    ):
        with pytest.raises(ArgumentError, match=r"no function of states; solve law\.problem\(\.\.\.\) instead"):
            call()


def test_coordinates_keep_the_names_that_the_user_gave_or_that_others_have():
    x, t, u = wave()
    np.savez("wave.npz", xx=x, tt=t, u=u)
    asked = grid_of("wave.npz", coordinates=["s=xx", "tau=tt"])
    assert asked is not None
    assert list(asked.coordinates) == ["s", "tau"]
    same = grid_of("wave.npz", coordinates=["xx", "tt"])
    assert same is not None
    assert list(same.coordinates) == ["x", "t"]
    taken = grid_of("wave.npz", columns={"x": "u"})
    assert taken is not None
    assert list(taken.coordinates) == ["xx", "t"]
    rows = np.stack([*(a.ravel() for a in np.meshgrid(x, t, indexing="ij")), u.ravel()], 1)
    write_csv("long.csv", "xx,tt,u", rows)
    table = grid_of("long.csv", coordinates=["xx", "tt"])
    assert table is not None
    assert list(table.coordinates) == ["x", "t"]
    assert list(table.fields) == ["u"]
