"""The command `discover`: what it reads and assumes, prints, writes and returns; the figure of a discovery."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml import sindy
from sciml.discover import main as discover
from sciml.discovery_plotting import plot
from sciml.errors import ArgumentError, FileFormatError
from sciml.gridded import grid_of
from sciml.sindy.discovery import Alternative, Discovery, load_discovery
from sciml.tabular import records_of

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
KEYS = {"equations", "coefficients", "standard_errors", "inclusion", "noise", "alternatives", "trusted", "seconds"}


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def oscillator(noise: float = 0.01, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Van der Pol's oscillator x' = y, y' = (1 - x^2) y - x, 400 samples."""
    t = np.linspace(0, 20, 400)
    x = solve_ivp(
        lambda _, u: [u[1], (1 - u[0] ** 2) * u[1] - u[0]], (0, 20), [2, 0], t_eval=t, rtol=1e-9, atol=1e-9
    ).y.T
    return t, x + noise * np.random.default_rng(seed).normal(size=x.shape)


def write_csv(path: str, header: str, *columns: np.ndarray) -> None:
    np.savetxt(path, np.column_stack(columns), delimiter=",", header=header, comments="")


# -- the whole command ---------------------------------------------------------------------------------------------


def test_a_table_becomes_equations_files_and_one_json_object(capsys: pytest.CaptureFixture[str]):
    t, x = oscillator()
    write_csv("vdp.csv", "time (s),q,p", t, x)
    assert discover(["vdp.csv", "--degree", "3", "--json"]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert set(found) > KEYS
    assert found["trusted"] is True
    assert {name: set(terms) for name, terms in found["coefficients"].items()} == {
        "q": {"p"}, "p": {"q", "p", "q**2*p"},
    }  # fmt: skip
    for name, terms in found["coefficients"].items():
        for term, value in terms.items():
            true = {"p": 1.0, "q": -1.0, "q**2*p": -1.0}[term]
            assert abs(value - true) < 5 * found["standard_errors"][name][term] < 0.5
            assert found["inclusion"][name][term] > 0.5
    assert found["noise"]["q"] == pytest.approx(0.01, rel=0.2)
    assert found["assumed"][0] == "the time is the column 'time (s)'"
    law = load_discovery("runs/vdp/discovery.safetensors")
    assert list(law.equations) == found["equations"]
    assert {path.name for path in Path("runs/vdp").iterdir()} == {
        "config.json", "discovery.safetensors", "figure.pdf", "figure.png",
    }  # fmt: skip
    config = json.loads(Path("runs/vdp/config.json").read_text())
    assert config["result"]["equations"] == found["equations"]
    for text in ("assumed: the time is the column", "found in", "runner-up", "noise: q", "to be trusted", "written to"):
        assert text in output.err


def test_the_words_for_people_go_to_stdout(capsys: pytest.CaptureFixture[str]):
    t, x = oscillator()
    write_csv("vdp.csv", "t,x,y", t, x)
    assert discover(["vdp.csv", "--degree", "2", "--library", "x,y,x**2*y"]) == 2
    assert "--library or --degree" in capsys.readouterr().err
    assert discover(["vdp.csv", "--library", "x,y,x**2*y", "--out", "here"]) == 0
    output = capsys.readouterr().out
    assert "vdp.csv: 400 samples of x, y, t from 0 to 20" in output
    assert "x'" in output
    assert "1.00" in output
    assert Path("here/figure.png").is_file()


def test_a_law_that_is_not_to_be_trusted_is_said_and_returned(capsys: pytest.CaptureFixture[str]):
    t, x = oscillator(noise=0.0)
    write_csv("vdp.csv", "t,x,y", t, x)
    # No linear law makes a limit cycle.
    assert discover(["vdp.csv", "--degree", "1"]) == 1
    assert "NOT to be trusted" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["ensemble", "STLSQ"])
def test_other_methods_are_chosen_by_name(method: str, capsys: pytest.CaptureFixture[str]):
    t, x = oscillator()
    write_csv("vdp.csv", "t,x,y", t, x)
    assert discover(["vdp.csv", "--degree", "3", "--method", method, "--threshold", "0.2", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert method in found["method"]
    assert set(found["coefficients"]["y"]) == {"x", "y", "x**2*y"}
    assert "does not test" in found["message"]


def test_known_equations_inputs_and_maps_reach_the_engine(capsys: pytest.CaptureFixture[str]):
    t, x = oscillator()
    write_csv("vdp.csv", "t,x,y", t, x)
    discover(["vdp.csv", "--degree", "3", "--known", "x' = y", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["coefficients"]["x"] == {"y": 1.0}
    u = np.sin(2 * t)
    driven = solve_ivp(lambda s, v: [-v[0] + np.sin(2 * s)], (0, 20), [1.0], t_eval=t, rtol=1e-9, atol=1e-9).y[0]
    write_csv("driven.csv", "t,x,push", t, driven, u)
    discover(["driven.csv", "--control", "push", "--degree", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["coefficients"]["x"]) == {"x", "push"}
    values = [0.3]
    for _ in range(150):
        values.append(3.7 * values[-1] * (1 - values[-1]))
    write_csv("map.csv", "n", np.array(values))
    discover(["map.csv", "--discrete", "--degree", "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "map"
    assert found["coefficients"]["n"] == pytest.approx({"n": 3.7, "n**2": -3.7}, rel=1e-4)


def test_real_measurements_come_with_errors(capsys: pytest.CaptureFixture[str]):
    path = DATA / "hudson_bay_lynx_hare.dat"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    assert discover([str(path), "--names", "hare,lynx", "--degree", "2", "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["names"] == ["hare", "lynx"]
    assert {"hare*lynx"} <= set(found["coefficients"]["hare"]) & set(found["coefficients"]["lynx"])
    assert all(error > 0 for terms in found["standard_errors"].values() for error in terms.values())


def test_it_is_a_command_that_answers_at_once():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sciml.discover", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python -m sciml.discover FILE" in done.stdout
    assert "found but not to be trusted" in done.stdout
    for module in ("torch", "numpy", "sympy"):
        assert f" {module}\n" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give a file of measurements"),
        (["a.csv", "b.csv"], "one file at a time"),
        (["missing.csv"], "there is no file"),
        (["table.csv", "--names", "a,b"], "no column 'a'"),
        (["table.csv", "--names", "x,q"], "no column 'q'"),
        (["table.csv", "--names", "x,x"], "every name stands once"),
        (["table.csv", "--columns", "usol"], "a column is written as u=usol"),
        (["table.csv", "--columns", "u=usol"], "no column 'usol'"),
        (["table.csv", "--names", "x", "--columns", "u=x"], "--names or --columns"),
        (["table.csv", "--time", "tme"], "no column 'tme'; did you mean 'time'"),
        (["table.csv", "--group", "g"], "no column 'g'"),
        (["table.csv", "--degree", "two"], "--degree"),
        (["table.csv", "--method", "evidenc"], "did you mean 'evidence'"),
        (["table.csv", "--threshold", "0.1"], "--threshold has no meaning"),
        (["table.csv", "--field"], "holds no field"),
        (["table.csv", "--field", "--step", "0.1"], "--step has no meaning for fields"),
        (["table.csv", "--coordinates", "x,s"], "no array 's'"),
        (["table.csv", "--coordinates", "time"], "no grid"),
        (["table.csv", "--treshold", "1"], "did you mean --threshold"),
        (["broken.csv"], "line 3"),
        (["back.csv"], "goes back in"),
        (["words.csv"], "no columns of numbers"),
    ],
)
def test_wrong_usage_is_one_line_and_the_exit_code_two(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    rows = np.random.default_rng(0).normal(size=(30, 3))
    write_csv("table.csv", "time,x,y,z", np.repeat(np.arange(15.0), 2), rows)
    Path("broken.csv").write_text("t,x\n0,1\n1,oops\n" + "".join(f"{k},{k}\n" for k in range(2, 20)))
    write_csv("back.csv", "t,x", np.tile([1.0, 0.0], 10), np.arange(20.0))
    Path("words.csv").write_text("a,b\nred,green\nblue,white\n")
    assert discover(argv) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("sciml.discover: ")
    assert output.out == ""
    assert not Path("runs").exists()


# -- tables --------------------------------------------------------------------------------------------------------


def test_the_time_is_found_by_its_name_or_because_it_increases():
    t, x = oscillator()
    write_csv("named.csv", "x,y,Time [s]", x, t)
    named = records_of("named.csv")
    assert named.names == ("x", "y")
    np.testing.assert_array_equal(named.times[0], t)
    write_csv("first.csv", "clock,x,y", t, x)
    first = records_of("first.csv")
    assert "the first column, 'clock'" in first.assumptions[0]
    write_csv("none.csv", "x,y", x)
    none = records_of("none.csv")
    np.testing.assert_array_equal(none.times[0], np.arange(400))
    assert "one unit of time apart" in none.assumptions[0]
    np.testing.assert_allclose(records_of("none.csv", step=0.5).times[0], 0.5 * np.arange(400))
    np.testing.assert_array_equal(records_of("first.csv", time="clock", columns={"b": "y"}).states[0][:, 0], x[:, 1])


def test_names_choose_columns_or_rename_them_all():
    t, x = oscillator()
    write_csv("three.csv", "t,x,y,Hare pelts (1000)", t, x, x[:, 0] + 1)
    assert records_of("three.csv").names == ("x", "y", "Hare_pelts")
    assert records_of("three.csv", names=["y"]).names == ("y",)
    renamed = records_of("three.csv", names=["a", "b", "c"])
    np.testing.assert_array_equal(renamed.states[0][:, 0], x[:, 0])
    assert renamed.names == ("a", "b", "c")
    np.savetxt("bare.dat", np.column_stack([t, x]))
    assert records_of("bare.dat").names == ("x", "y")


def test_trajectories_begin_where_the_time_goes_back_or_a_label_changes():
    t, x = oscillator()
    write_csv("two.csv", "t,x,y", np.tile(t, 2), np.tile(x, (2, 1)))
    two = records_of("two.csv")
    assert [len(times) for times in two.times] == [400, 400]
    assert "the time goes back after row 400" in two.assumptions[-1]
    write_csv("labels.csv", "run,t,x,y", np.repeat([1.0, 2.0], 200), np.arange(400.0), x)
    labelled = records_of("labels.csv", group="run")
    assert [len(times) for times in labelled.times] == [200, 200]
    assert labelled.names == ("x", "y")


def test_remarks_are_left_out_and_missing_entries_stay_missing():
    rows = "".join(f"{k},{k**2 if k != 5 else ''},fine\n" for k in range(20))
    Path("remarks.csv").write_text("t,x,remark\n" + rows)
    found = records_of("remarks.csv")
    assert found.names == ("x",)
    assert np.isnan(found.states[0][5, 0])
    assert np.isfinite(np.delete(found.states[0], 5)).all()
    assert any("'remark' holds no numbers" in text for text in found.assumptions)


def test_archives_hold_vectors_and_matrices_of_samples():
    t, x = oscillator()
    np.savez("a.npz", t=t, states=x, mass=np.array(2.0), other=np.ones(3))
    found = records_of("a.npz")
    assert found.names == ("x", "y")
    np.testing.assert_array_equal(found.states[0], x)
    assert any("'other' of the shape [3] is left out" in text for text in found.assumptions)
    turned = records_of_turned(t, x)
    np.testing.assert_array_equal(turned.states[0], x)
    second = records_of("a.npz", columns={"v": "states:2"})
    np.testing.assert_array_equal(second.states[0][:, 0], x[:, 1])
    with pytest.raises(ArgumentError, match="no column 'states:3'"):
        records_of("a.npz", columns={"v": "states:3"})
    np.savez("b.npz", t=np.where(np.arange(400) == 2, np.nan, t), states=x)
    with pytest.raises(FileFormatError, match="the time is missing in row 3"):
        records_of("b.npz")


def records_of_turned(t: np.ndarray, x: np.ndarray):
    np.savez("turned.npz", t=t, states=x.T)
    return records_of("turned.npz")


# -- fields --------------------------------------------------------------------------------------------------------


def wave(space: int = 32, moments: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, t = np.linspace(0, 2 * np.pi, space, endpoint=False), np.linspace(0, 3, moments)
    return x, t, np.sin(x[:, None] - 2 * t) + 0.5 * np.cos(2 * x[:, None] - 4 * t)


def test_fields_are_arrays_as_long_as_their_coordinates():
    x, t, u = wave()
    np.savez("wave.npz", x=x, t=t, usol=u, extra=np.ones((3, 4)))
    found = grid_of("wave.npz")
    assert found is not None
    assert list(found.coordinates) == ["x", "t"]
    np.testing.assert_array_equal(found.fields["u"], u)
    assert any("u for 'usol'" in text for text in found.assumptions)
    renamed = grid_of("wave.npz", columns={"h": "usol"})
    assert renamed is not None
    assert list(renamed.fields) == ["h"]


def test_the_time_becomes_the_last_axis():
    x, t, u = wave()
    np.savez("turned.npz", xx=x, tt=t, u=u.T)
    found = grid_of("turned.npz")
    assert found is not None
    assert list(found.coordinates) == ["xx", "t"]
    np.testing.assert_array_equal(found.fields["u"], u)
    asked = grid_of("turned.npz", coordinates=["t=tt", "x=xx"])
    assert asked is not None
    assert list(asked.coordinates) == ["x", "t"]
    np.testing.assert_array_equal(asked.fields["u"], u)


def test_a_matrix_of_samples_is_no_field_and_a_table_can_be_one():
    t, x = oscillator()
    np.savez("samples.npz", t=t, states=x)
    assert grid_of("samples.npz") is None
    x, t, u = wave()
    order = np.random.default_rng(0).permutation(u.size)
    rows = np.stack([*(a.ravel() for a in np.meshgrid(x, t, indexing="ij")), u.ravel()], 1)[order]
    write_csv("long.csv", "x,t,u", rows)
    assert grid_of("long.csv") is None
    found = grid_of("long.csv", coordinates=["x", "t"])
    assert found is not None
    np.testing.assert_allclose(found.fields["u"], u)
    write_csv("gap.csv", "x,t,u", rows[1:])
    with pytest.raises(ArgumentError, match="the points are no grid"):
        grid_of("gap.csv", coordinates=["x", "t"])


@pytest.mark.parametrize(
    ("name", "shape", "complex_"),
    [("raissi_burgers", (256, 100), False), ("pdefind_kdv", (512, 201), False), ("esindy_ks", (256, 301), False),
     ("raissi_nls", (256, 201), True)],
)  # fmt: skip
def test_files_that_others_made_are_read(name: str, shape: tuple[int, int], complex_: bool):
    path = DATA / f"{name}.mat"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = grid_of(path)
    assert found is not None
    assert list(found.coordinates) == ["x", "t"]
    assert found.fields["u"].shape == shape
    assert np.iscomplexobj(found.fields["u"]) == complex_


def test_a_file_of_fields_goes_to_the_search_for_partial_differential_equations(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    x, t, u = wave()
    np.savez("wave.npz", x=x, t=t, usol=u)
    given = {}

    def fake(**arguments: object) -> Discovery:
        given.update(arguments)
        return Discovery(("u",), ("u_t = -2*u_x",), {"u": {"u_x": -2.0}}, kind="field", coordinates=("x", "t"),
                         times=(x, t), data=(u,), states=(u,))  # fmt: skip

    monkeypatch.setattr(sindy, "discover_field", fake, raising=False)
    assert discover(["wave.npz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equations"] == ["u_t = -2*u_x"]
    np.testing.assert_array_equal(given["fields"]["u"], u)
    assert list(given["coordinates"]) == ["x", "t"]
    assert Path("runs/wave/figure.png").is_file()


def test_the_equation_of_a_wave_is_found_from_an_archive(capsys: pytest.CaptureFixture[str]):
    x, t, u = wave(64, 96)
    np.savez("wave.npz", x=x, t=t, h=u + 0.05 * np.random.default_rng(0).normal(size=u.shape))
    discover(["wave.npz", "--columns", "u=h", "--degree", "1", "--order", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["coefficients"]["u"]) == {"u_x"}
    assert found["coefficients"]["u"]["u_x"] == pytest.approx(-2, abs=0.02)
    assert found["noise"]["u"] == pytest.approx(0.05, rel=0.1)


# -- the figure ----------------------------------------------------------------------------------------------------


def law(names: str = "xy", kind: str = "flow") -> Discovery:
    t = np.linspace(0, 5, 60)
    states = np.stack([np.cos(t + k) for k in range(len(names))], 1)
    terms = {name: {names[(k + 1) % len(names)]: 0.5, f"{name}**3": -0.5} for k, name in enumerate(names)}
    return Discovery(
        tuple(names), ("",) * len(names), terms,
        standard_errors={name: dict.fromkeys(own, 0.1) for name, own in terms.items()},
        intervals={n: {term: (value - 0.2, value + 0.2) for term, value in own.items()} for n, own in terms.items()},
        inclusion={name: dict.fromkeys(own, 0.4) for name, own in terms.items()},
        alternatives=(Alternative(("",) * len(names), 0.2, {name: {"1": 3.0} for name in names}),),
        states=(states,), times=(t,), data=(states + 0.01,), kind=kind,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(("names", "kind", "panels"), [("x", "flow", 2), ("xy", "flow", 4), ("xyz", "flow", 5),
                                                       ("abcd", "flow", 5), ("xy", "map", 4)])  # fmt: skip
def test_the_figure_has_a_panel_for_each_unknown_one_for_the_coefficients_and_a_portrait(
    names: str, kind: str, panels: int
):
    figure = plot(law(names, kind))
    assert len(figure.axes) == panels
    labels = [tick.get_text() for tick in figure.axes[-1].get_yticklabels()]
    # Two terms of each equation, and the constant that only the runner-up has.
    assert len(labels) == 3 * len(names)
    curves = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"data", "denoised", "law, solved"} <= set(curves)
    assert np.size(curves["data"].get_xdata()) == 60


def test_a_law_draws_itself_into_a_file_and_twice_the_same():
    for name in ("one.png", "two.png"):
        law().plot(name)
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    with pytest.raises(ArgumentError, match="path must end in a format"):
        law().plot("figure.jpgg")


def test_a_law_that_leaves_the_record_does_not_flatten_the_curves():
    wild = Discovery(
        ("x",), ("x' = x**2",), {"x": {"x**2": 1.0}}, times=(np.linspace(0, 2, 50),),
        states=(np.ones((50, 1)) + 0.1 * np.sin(np.arange(50))[:, None],), data=(np.full((50, 1), 1.0),),
    )  # fmt: skip
    low, high = plot(wild).axes[0].get_ylim()
    assert 0.5 < low < 0.95 < 1.05 < high < 1.5
