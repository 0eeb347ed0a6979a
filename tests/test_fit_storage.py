"""Claims about the files of fits: everything comes back bit for bit, damage and strangers are refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sciml
from fits import fit, function, measured, rod, state
from sciml import Fit, Problem, load_fit
from sciml.errors import ArgumentError, FileFormatError, ProblemWarning
from sciml.fit_storage import FILE
from sciml.inference import Estimate

X = np.linspace(-1, 2, 57)


def identical(one: Fit, other: Fit) -> None:
    """Everything that a fit says is the same, bit for bit."""
    assert one.parameters == other.parameters
    assert list(one.parameters) == list(other.parameters)
    assert list(one.functions) == list(other.functions)
    for name, k in one.functions.items():
        again = other.functions[name]
        assert (k.arguments, k.lower, k.upper, k.offset, k.factor, k.quantile) == (
            again.arguments, again.lower, again.upper, again.offset, again.factor, again.quantile,
        )  # fmt: skip
        x = [X] * len(k.arguments)
        np.testing.assert_array_equal(k(*x), again(*x))
        np.testing.assert_array_equal(k.standard_error(*x), again.standard_error(*x))
        np.testing.assert_array_equal(k.network.flat_parameters(), again.network.flat_parameters())
    assert len(one.solutions) == len(other.solutions)
    for u, v in zip(one.solutions, other.solutions, strict=True):
        points = np.random.default_rng(0).uniform(
            u.problem.domain.lower, u.problem.domain.upper, (99, len(u.problem.coordinates))
        )
        np.testing.assert_array_equal(u.evaluate(u.problem.unknowns, points), v.evaluate(u.problem.unknowns, points))
        assert (u.method, u.status, u.message) == (v.method, v.status, v.message)
        np.testing.assert_array_equal(u.history["loss"], v.history["loss"])
    for a, b in zip(one.observations, other.observations, strict=True):
        assert a.source == b.source
        np.testing.assert_array_equal(a.points, b.points)
        assert list(a.values) == list(b.values)
        np.testing.assert_array_equal(list(a.values.values()), list(b.values.values()))
    for a, b in zip(one.residuals, other.residuals, strict=True):
        assert list(a) == list(b)
        np.testing.assert_array_equal(list(a.values()), list(b.values()))
    for name in ("noise", "noise_given", "noise_model", "freedom", "method", "status", "message", "wall_time"):
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(one.correlation, other.correlation)
    np.testing.assert_array_equal(one.covariance, other.covariance)
    assert list(one.undetermined) == list(other.undetermined)
    assert list(one.history) == list(other.history)
    for name, series in one.history.items():
        np.testing.assert_array_equal(series, other.history[name])
    assert list(one.state) == list(other.state)
    for name, array in one.state.items():
        assert array.dtype == other.state[name].dtype
        assert array.shape == other.state[name].shape
        np.testing.assert_array_equal(array, other.state[name])
    assert one.problem.to_dict() == other.problem.to_dict()


def test_a_fit_that_is_loaded_is_the_same_bit_for_bit(tmp_path: Path):
    made = fit(functions={"k": function(trained="last"), "f": function(inputs=2, covariance=False)})
    path = made.save(tmp_path / "new" / "rod")
    assert path == tmp_path / "new" / "rod.safetensors"
    again = load_fit(path)
    identical(made, again)
    assert again.details == {"seed": 7, "iterations": 3}
    assert again.solution.problem is again.problem
    trained = [name for name, p in again.functions["k"].network.named_parameters() if p.requires_grad]
    assert trained == ["layers.1.weight", "layers.1.bias"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rod.safetensors"]
    assert again.table() == made.table()
    identical(again, load_fit(again.save(tmp_path / "copy")))


def test_a_directory_gets_a_fit_of_the_usual_name(tmp_path: Path):
    assert fit().save(tmp_path).name == "fit.safetensors"
    assert sciml.load_fit(tmp_path).success


def test_experiments_of_their_own_problems_come_back_with_them(tmp_path: Path):
    problems = [rod(), rod().replace(domain={"x": (-1, 2), "t": (0, 3)})]
    solutions = [state(problem, seed) for seed, problem in enumerate(problems)]
    pairs = [measured(problem, solution) for problem, solution in zip(problems, solutions, strict=True)]
    made = fit(
        solutions=tuple(solutions),
        observations=tuple(one for one, _ in pairs),
        residuals=tuple(residuals for _, residuals in pairs),
    )
    path = made.save(tmp_path)
    identical(made, load_fit(path))
    assert load_fit(path).solutions[1].problem.domain.upper == (2.0, 3.0)
    given_ = load_fit(path, [rod(a=5.0), problems[1]])
    identical(made, given_)
    with pytest.raises(FileFormatError, match="holds 2 experiments, but 1 problems were given"):
        load_fit(path, problems[:1])


def test_a_fit_of_nothing_but_numbers_is_kept(tmp_path: Path):
    made = Fit(rod(), parameters={}, solutions=())
    identical(made, load_fit(made.save(tmp_path)))
    identical(made, load_fit(tmp_path, rod()))


def test_networks_in_single_precision_stay_in_it(tmp_path: Path):
    k = function()
    k.network.float()
    again = load_fit(fit(functions={"k": k}).save(tmp_path)).functions["k"]
    assert next(again.network.parameters()).dtype == torch.float32
    np.testing.assert_array_equal(again(X), k(X))


def test_a_fit_is_the_same_in_a_new_process(tmp_path: Path):
    made = fit()
    path = made.save(tmp_path)
    script = (
        "import sys, numpy as np, sciml\n"
        f"fit = sciml.load_fit({str(path)!r})\n"
        "x = np.linspace(-1, 2, 57)\n"
        f"np.savez({str(tmp_path / 'there.npz')!r}, k=fit.functions['k'](x), band=fit.functions['k'].band(x),\n"
        "  u=fit.solution(x, 0.5), p=[[e.value, e.standard_error, *e.interval] for e in fit.parameters.values()],\n"
        "  **{'state ' + name: a for name, a in fit.state.items()})\n"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    there = np.load(tmp_path / "there.npz")
    np.testing.assert_array_equal(there["k"], made.functions["k"](X))
    np.testing.assert_array_equal(there["band"], made.functions["k"].band(X))
    np.testing.assert_array_equal(there["u"], made.solution(X, 0.5))
    mine = [[e.value, e.standard_error, *e.interval] for e in made.parameters.values()]
    np.testing.assert_array_equal(there["p"], mine)
    for name, array in made.state.items():
        np.testing.assert_array_equal(there[f"state {name}"], array)


def test_an_exact_solution_in_python_is_no_loss_to_a_fit(tmp_path: Path):
    problem = sciml.load("burgers").replace(conditions=[], nu=0.004)
    made = fit(problem, parameters={"nu": Estimate(0.004, 1e-5, (0.0039, 0.0041))}, functions={}, undetermined=())
    again = load_fit(made.save(tmp_path))
    assert not again.problem.has_exact
    assert load_fit(tmp_path, sciml.load("burgers").replace(conditions=[])).problem.has_exact
    kept = fit(sciml.load("burgers", nu=0.004), parameters={}, functions={}, undetermined=())
    assert load_fit(kept.save(tmp_path / "kept")).problem.has_exact


def test_functions_of_python_in_the_equations_are_missed_with_a_warning_or_given(tmp_path: Path):
    problem = Problem(
        "u_t = a*u_xx + f(x) + b", [], {"x": (0, 1), "t": (0, 1)}, {"a": 0.3, "b": 1.0}, functions={"f(x)": torch.exp}
    )
    made = fit(problem)
    path = made.save(tmp_path)
    with pytest.warns(ProblemWarning, match=r"functions\['f'\].*load_fit\(path, problem\)"):
        assert load_fit(path).problem.unknown_functions == {"f": ("x",)}
    again = load_fit(path, problem.replace(a=77.0))
    assert again.problem.functions == {"f": torch.exp}
    assert again.problem.parameters["a"] == 0.3
    with pytest.raises(FileFormatError, match="the fit of another problem than the one given"):
        load_fit(path, rod())


def test_every_cut_and_many_damaged_bytes_of_a_fit_are_noticed(tmp_path: Path):
    path = fit().save(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(0, 24, 3), *rng.integers(24, len(content), 60).tolist(), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        path.write_bytes(bytes(damaged))
        with pytest.raises(FileFormatError):
            load_fit(path)
    for length in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            load_fit(path)


def test_fits_and_solutions_are_not_taken_for_each_other(tmp_path: Path):
    made = fit()
    one, other = made.save(tmp_path / "fit"), made.solution.save(tmp_path / "solution")
    with pytest.raises(FileFormatError, match=r"not a saved fit; give a file written by Fit\.save"):
        load_fit(other)
    with pytest.raises(FileFormatError, match=r"not a saved solution; give a file written by Solution\.save"):
        sciml.load_solution(one)
    with pytest.raises(FileFormatError, match=r"there is no fit file .*did you mean 'fit\.safetensors'"):
        load_fit(tmp_path / "fits.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "splendid"},
        {"parameters": ["a"]},
        {"functions": [{"name": "k"}]},
        {"solutions": [{}]},
        {"state": ["more"]},
        {"problem": {"equations": ["__import__('os')"], "domain": {"x": [0, 1]}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_fit_with_a_right_checksum_but_wrong_contents_is_refused(change: dict[str, Any], tmp_path: Path):
    path = fit().save(tmp_path)
    document, arrays = FILE.read(path)
    FILE.write(path, {**document, **change}, arrays)
    with pytest.raises(FileFormatError, match=r"(?s)is a fit file, but its contents do not fit .* identify once more"):
        load_fit(path)


def test_what_cannot_be_saved_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match="the fit cannot be written"):
        fit().save(tmp_path / "file" / "fit")
    k = dataclasses.replace(function(), network=torch.nn.Sequential(torch.nn.Linear(1, 1, dtype=torch.float64)))
    with pytest.raises(
        ArgumentError, match="the function k: only an MLP or a sum of them can be saved, not Sequential"
    ):
        fit(functions={"k": k}).save(tmp_path)
    assert list(tmp_path.glob("*.safetensors")) == []
