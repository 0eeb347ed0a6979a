"""The command `discover`: what it reads and assumes, prints, writes and returns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from discovery_samples import DATA, oscillator, wave, write_csv
from sciml import sindy
from sciml.discover import main as discover
from sciml.sindy.discovery import Discovery, load_discovery

pytestmark = pytest.mark.usefixtures("own_directory")

KEYS = {"equations", "coefficients", "standard_errors", "inclusion", "noise", "alternatives", "trusted", "seconds"}


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


def test_noise_and_forbidden_terms_reach_the_engine(capsys: pytest.CaptureFixture[str]):
    t, x = oscillator()
    write_csv("vdp.csv", "t,x,y", t, x)
    options = ["--degree", "3", "--forbidden", "x**2*y,1", "--forbidden", "y: x", "--noise", "x=0.02,y=0.01", "--json"]
    discover(["vdp.csv", *options])
    found = json.loads(capsys.readouterr().out)
    law = sindy.discover(
        t, x, degree=3, forbidden={"x": ["x**2*y", "1"], "y": ["x**2*y", "1", "x"]}, noise={"x": 0.02, "y": 0.01}
    )
    assert found["equations"] == list(law.equations)
    assert not {"x**2*y", "1", "x"} & (set(found["coefficients"]["y"]) | set(found["inclusion"]["y"]))
    assert "x" in found["inclusion"]["x"]
    discover(["vdp.csv", "--degree", "3", "--noise", "0.01", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["coefficients"]["y"]) == {"x", "y", "x**2*y"}
    assert discover(["vdp.csv", "--forbidden", "z: x"]) == 2
    assert "--forbidden: 'z' is no unknown; there are 'x', 'y'" in capsys.readouterr().err
    assert discover(["vdp.csv", "--noise", "x=0.1,y=0.1,z=0.1"]) == 2
    assert "noise: 'z' is no unknown" in capsys.readouterr().err


def test_forbidden_terms_reach_the_search_for_the_equation_of_a_field(capsys: pytest.CaptureFixture[str]):
    x, t, u = wave(64, 96)
    np.savez("wave.npz", x=x, t=t, u=u + 0.05 * np.random.default_rng(0).normal(size=u.shape))
    discover(["wave.npz", "--degree", "1", "--order", "2", "--forbidden", "u: u_x", "--json"])
    assert "u_x" not in json.loads(capsys.readouterr().out)["coefficients"]["u"]


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
    for suffix in (".csv", ".tsv", ".txt", ".dat", ".npz", ".npy", ".mat"):
        assert suffix in done.stdout
    assert "found but not to be trusted" in done.stdout
    for module in ("torch", "numpy", "sympy"):
        assert f" {module}\n" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give a file of measurements"),
        (["a.csv", "b.csv"], "one file at a time"),
        (["missing.csv"], "there is no file"),
        (["a.json"], "save the columns as CSV, or read it with json.load"),
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
        (["nowhere.csv", "--degree", "99"], "--degree: the degree must be at most 20, not 99"),
        (["nowhere.npz", "--order", "9"], "--order: the order must be at most 8, not 9"),
        (["nowhere.csv", "--method", "STLSQ", "--noise", "0.1"], "--noise needs the method evidence, not STLSQ"),
        (["nowhere.csv", "--noise", "-1"], "the noise must be a number above 0"),
        (["nowhere.csv", "--noise", "x=0.1,y"], "noise is written as 0.1 or as x=0.1,y=0.2"),
        (["nowhere.csv", "--forbidden", "x,,y"], "without empty entries"),
        (["table.csv", "--field", "--noise", "0.1"], "--noise has no meaning for fields"),
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

    monkeypatch.setattr(sindy, "discover_field", fake)
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
