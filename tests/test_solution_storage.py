"""The files of solutions: everything comes back bit for bit, damage and strangers are refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import sciml
from formulas import HEAT, Formula, heat
from sciml import Problem, Solution, Status, storage
from sciml.containers import digest
from sciml.errors import ArgumentError, FileFormatError, ProblemWarning
from sciml.solution import Evaluator


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "EVALUATORS", {**storage.EVALUATORS, "formula": (Formula.__module__, "Formula")})


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
