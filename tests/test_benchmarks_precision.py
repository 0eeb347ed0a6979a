"""Work-precision, outside libraries, peers: what is drawn and tabulated is what the records say."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml
from benchmarks import differences, elements, many_dimensions, outside, peer_examples, peers, precision
from benchmarks.measurement import points_of
from benchmarks.peers import CASES, Trace
from benchmarks.precision import Panel, panels, ratio, ratios, read
from sciml import classical
from sciml.grids import values_of
from sciml.testing import check_problem


def network(name: str, trace: list[tuple[float, float]], seed: int = 0, **more: Any) -> dict[str, Any]:
    return {"kind": "network", "name": name, "seed": seed, "trace": [[s, e, None] for s, e in trace], **more}


def classic(name: str, *steps: tuple[float, float]) -> dict[str, Any]:
    return {"kind": "classical", "name": name, "seed": 0, "steps": [{"seconds": s, "error": e} for s, e in steps]}


def only(records: list[dict[str, Any]]) -> Panel:
    [panel] = panels(records)
    return panel


# -- curves ------------------------------------------------------------------------------------------------------------


def test_a_curve_is_the_median_over_the_seeds_of_the_time_to_each_error():
    runs = [(1.0, 1e-2), (4.0, 1e-4)], [(2.0, 1e-2), (3.0, 1e-4)], [(9.0, 1e-2)]
    curve = only([network("heat", run, seed) for seed, run in enumerate(runs)]).curve("network")
    assert curve is not None
    assert curve.points == ((2.0, 1e-2), (4.0, 1e-4))
    assert curve.seconds(1e-2) == 2.0
    assert curve.seconds(2e-2) == 2.0
    assert curve.seconds(9e-3) == 4.0
    assert curve.seconds(1e-5) == math.inf
    # Where half of the seeds do not arrive there is no median.
    curve = only([network("heat", run, seed) for seed, run in enumerate(runs[1:])]).curve("network")
    assert curve is not None
    assert curve.points == ((5.5, 1e-2),)


def test_of_the_tolerances_of_a_seed_the_quickest_counts_and_of_the_same_run_the_last():
    records = [
        network("burgers, tol 1e-03", [(1.0, 1e-4)]),
        network("burgers, tol 1e-03", [(2.0, 1e-4)]),
        network("burgers, tol 1e-05", [(5.0, 1e-4), (6.0, 1e-6)]),
        network("burgers, tol 1e-04", [(4.0, 1e-4)], seed=1),
        network("burgers, tol 1e-05", [(8.0, 1e-6)], seed=1),
    ]
    curve = only(records).curve("network")
    assert curve is not None
    assert curve.points == ((3.0, 1e-4), (7.0, 1e-6))
    assert curve.runs == (((2.0, 1e-4), (6.0, 1e-6)), ((4.0, 1e-4), (8.0, 1e-6)))


def test_methods_are_told_apart_and_beaten_rungs_of_a_ladder_are_left_out():
    records = [
        network("poisson", [(0.5, 1e-9)]),
        network("poisson, trained", [(2.0, 1e-8)]),
        classic("poisson", (0.02, 1e-4), (0.03, 1e-3), (0.05, 1e-8), (0.0001, 1e-1)),
        {"kind": "outside", "name": "poisson, scikit-fem", "row": "poisson", "seed": 0,
         "steps": [{"label": "unstable", "failure": "no"}, {"label": "a", "seconds": 0.1, "error": 0.0}]},
        network("no such row", [(1.0, 1e-3)]),
        {"kind": "reference", "name": "poisson"},
    ]  # fmt: skip
    panel = only(records)
    assert [curve.method for curve in panel.curves] == ["network", "network, trained", "classical.solve", "scikit-fem"]
    # The clock says nothing below a millisecond, rounding nothing below 1e-16.
    assert panel.curves[2].points == ((1e-3, 1e-1), (0.02, 1e-4), (0.05, 1e-8))
    assert panel.curves[3].points == ((0.1, 1e-16),)


def test_deepxde_stands_in_the_panel_of_burgers_and_a_problem_without_a_network_has_none():
    records = [
        network("burgers", [(1.0, 1e-3)]),
        {"kind": "deepxde", "name": "x", "seed": 0, "precision": "float64", "trace": [[100.0, 1e-2, None]]},
        classic("heat", (0.1, 1e-9)),
    ]
    assert [curve.method for curve in only(records).curves] == ["network", "DeepXDE, float64"]


def test_the_reference_is_no_step_of_the_ladder():
    record = classic("lorenz", (0.05, 1e-4))
    record["steps"].insert(0, {"seconds": 0.01, "error": 1e-9, "method": "reference"})
    curve = only([network("lorenz", [(1.0, 1e-5)]), record]).curve("classical.solve")
    assert curve is not None
    assert curve.points == ((0.05, 1e-4),)


# -- ratios ------------------------------------------------------------------------------------------------------------


def test_ratios_are_seconds_of_the_quickest_network_over_seconds_of_the_other():
    panel = only(
        [
            network("poisson", [(0.5, 1e-4)]),
            network("poisson, trained", [(2.0, 1e-8)]),
            classic("poisson", (0.05, 1e-6), (1.0, 1e-10)),
        ]
    )
    assert ratio(panel, "classical.solve", 1e-3) == pytest.approx(10.0)
    assert ratio(panel, "classical.solve", 1e-8) == pytest.approx(2.0)
    assert ratio(panel, "classical.solve", 1e-9) == "competitor"
    assert ratio(panel, "py-pde, compiled", 1e-3) == "network"
    assert ratio(panel, "classical.solve", 1e-11) is None
    table = ratios([panel])
    assert "| poisson | classical.solve | 10 | 10 | 10 | 40 | 40 | 2 | other only | 1.0e-08 | 2 |" in table


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_figure_is_written_and_is_the_same_file_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = tmp_path / "a.jsonl"
    records = [
        network("heat", [(0.2, 1e-3), (0.4, 1e-9)], load=1.5, threads=1, machine={"processor": "one", "cores": 2}),
        network("heat", [(0.4, 1e-3), (0.6, 1e-9)], seed=1),
        classic("heat", (0.02, 1e-12)),
        network("bratu", [(0.3, 1e-3)]),
    ]
    source.write_text("\n".join(map(json.dumps, records)) + '\n{"kind": "netw')
    assert len(read([source, tmp_path / "none.jsonl"])) == 4
    files = [tmp_path / "one.png", tmp_path / "two.png"]
    for file in files:
        assert precision.main(["--from", str(source), "--figure", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "| heat | classical.solve | 15 | 15 |" in printed
    assert "one, 2 cores; 1 thread(s); load average when a run began 1.5 to 1.5" in printed
    assert "bratu" not in printed  # typed problems without a competitor only where they are asked for
    assert precision.main(["--from", str(source), "--only", "bratu", "--figure", str(files[0])]) == 0


def test_missing_files_unknown_problems_and_nothing_measured_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit):
        precision.main(["--from", str(tmp_path / "none.jsonl")])
    assert "there is no file" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert precision.main([]) == 1
    assert "run benchmarks.accuracy first" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        precision.main(["--only", "heat"])
    assert "nothing is measured of 'heat'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        outside.main(["--only", "heat"])
    assert "poisson_boltzmann" in capsys.readouterr().err


# -- outside libraries -------------------------------------------------------------------------------------------------


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(elements, "installed", lambda: False)
    assert "sciml[bench]" in outside.measured({"row": "poisson"})["failure"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    job = {"case": "diffusion inverse", "program": "peer", "seed": 0, "share": 1.0, "budget": 1.0}
    assert "deepxde is not installed" in peers.measured(job)["failure"]


@pytest.mark.skipif(not elements.installed(), reason="scikit-fem, an extra, is not installed")
@pytest.mark.parametrize("name", list(elements.PROBLEMS))
def test_finite_elements_of_order_p_converge_with_order_p_plus_one_to_the_bundled_solution(name: str):
    problem = sciml.load(name)
    points = points_of(problem)
    exact = values_of(problem, problem, problem.unknowns, points)[0]
    errors = [
        float(np.linalg.norm(elements.solve(name, 3, count, points)[1] - exact) / np.linalg.norm(exact))
        for count in (12, 24)
    ]
    assert errors[1] < 5e-4
    assert math.log2(errors[0] / errors[1]) > 3.8


def test_stored_cells_are_interpolated_with_the_walls_or_round_the_circle():
    t, cells = np.linspace(0, 1, 65), 128
    x = -1 + 2 * (np.arange(cells) + 0.5) / cells
    points = np.random.default_rng(0).uniform([-1, 0], [1, 1], (500, 2))
    # Next to a wall the spline ends.
    for name, k, tolerance in (("burgers", 1, 1e-6), ("allen_cahn", 2, 1e-9)):
        equation = differences.PROBLEMS[name]
        values = np.exp(-t)[:, None] * np.sin(k * np.pi * x)
        found = differences._interpolated(equation, x, t, values, points)
        assert np.abs(found - np.exp(-points[:, 1]) * np.sin(k * np.pi * points[:, 0])).max() < tolerance


@pytest.mark.slow
@pytest.mark.skipif(not differences.installed(), reason="py-pde, an extra, is not installed")
@pytest.mark.parametrize("name", list(differences.PROBLEMS))
def test_central_differences_approach_the_bundled_problem(name: str):
    problem = sciml.load(name)
    points = points_of(problem)
    exact = classical.solve(problem, rtol=1e-7).evaluate(problem.unknowns, points)[0]
    errors = []
    for cells in (256, 512):
        run = differences.solve(name, cells, 1e-6, points)
        errors.append(float(np.linalg.norm(run.values - exact) / np.linalg.norm(exact)))
    assert errors[1] < 2e-2
    assert errors[0] / errors[1] > 2.5


# -- many dimensions ---------------------------------------------------------------------------------------------------


def test_the_matrix_of_the_second_derivative_is_exact_for_polynomials():
    nodes, second = many_dimensions.chebyshev(8)
    assert (nodes[0], nodes[-1]) == (1, 0)
    for degree in range(2, 8):
        found = second @ nodes**degree
        assert found == pytest.approx(degree * (degree - 1) * nodes ** (degree - 2), abs=1e-10)


def test_values_on_a_tensor_grid_are_interpolated_exactly_where_they_are_polynomials():
    nodes = many_dimensions.chebyshev(6)[0][1:-1]
    x, y, z = np.meshgrid(nodes, nodes, nodes, indexing="ij")
    points = np.random.default_rng(0).random((20, 3))
    found = many_dimensions.interpolate(nodes, x**3 - y * z**2 + 1, points)
    assert found == pytest.approx(points[:, 0] ** 3 - points[:, 1] * points[:, 2] ** 2 + 1, abs=1e-12)


@pytest.mark.parametrize("name", many_dimensions.PROBLEMS)
def test_the_tensor_grid_converges_to_the_solution_of_the_declared_problem(name: str):
    points = np.random.default_rng(0).random((50, 5))
    true = many_dimensions.exact(name, points)
    errors = []
    for size in (5, 9):
        _, nodes, values = many_dimensions.tensor_solve(name, 5, size)
        found = many_dimensions.interpolate(nodes, values, points)
        errors.append(float(np.linalg.norm(found - true) / np.linalg.norm(true)))
    assert errors[1] < 1e-6
    assert errors[0] > 1e3 * errors[1]
    declared = many_dimensions.problem(name, 5)
    if declared.exact is None:
        u = "exp(-(" + " + ".join(f"(x{k} - 1/2)**2" for k in range(1, 6)) + "))"
        declared = declared.replace(exact=u)
    assert check_problem(declared, points=100).success
    assert values_of(declared, declared, ["u"], points)[0] == pytest.approx(true, rel=1e-12)


# -- peers -------------------------------------------------------------------------------------------------------------


def test_a_trace_keeps_each_new_least_error():
    trace = Trace(float)
    for error in (0.5, 0.7, math.inf, math.nan, 0.1):
        trace.look(error)
    assert [error for _, error, _ in trace.points] == [0.5, 0.1]
    record = {"trace": [(1.0, 0.5, None), (3.0, 0.1, None)]}
    assert peers.reached(record, 0.5) == 1.0
    assert peers.reached(record, 0.2) == 3.0
    assert peers.reached(record, 0.01) == math.inf
    assert peers.at(record, 2.9) == 0.5
    assert peers.at(record, 0.5) == math.inf


def test_the_data_of_inverse_cases_belong_to_the_true_numbers_and_the_start_is_the_examples():
    inverse = {name: case for name, case in CASES.items() if case.truth}
    assert len(inverse) == 2
    for name, case in inverse.items():
        _, measure = peers._measure(name)
        assert measure(list(case.truth.values())) == 0
        assert measure([value * 1.5 for value in case.truth.values()]) == pytest.approx(0.5)
        data = peers.data_of(name)
        true = case.problem.replace(parameters=dict(case.truth))
        solution = classical.solve(true, rtol=1e-8)
        place = np.column_stack([data[c] for c in true.coordinates])
        for unknown, values in zip(true.unknowns, solution.evaluate(true.unknowns, place), strict=True):
            assert values == pytest.approx(data[unknown], abs=1e-5)
        assert all(case.problem.parameters[key] != value for key, value in case.truth.items())
    assert set(peer_examples.EXAMPLES) == set(CASES)


def test_the_table_of_peers_compares_at_their_error_and_at_their_time():
    def run(program: str, error: float, seconds: float, trace: list[tuple[float, float]]) -> dict[str, Any]:
        return {"kind": "peer", "case": "lotka_volterra", "program": program, "share": 1.0, "method": f"{program} x",
                "error": error, "seconds": seconds, "trace": [(s, e, None) for s, e in trace], "load": 1.0}  # fmt: skip

    theirs = run("peer", 1e-2, 100.0, [(100.0, 1e-2)])
    ours = run("pinn", 1e-6, 4.0, [(2.0, 5e-3), (4.0, 1e-6)])
    text = peers.table([theirs, ours, run("classical", 1e-1, 0.1, [(0.1, 1e-1)])])
    assert "| lotka_volterra | peer x | 1.0e-02 | 100 | 100% | - | - | - |" in text
    assert "| lotka_volterra | pinn.solve | 1.0e-06 | 4 | - | 2 s | 50 times sooner | 1.0e-06 |" in text
    assert "| lotka_volterra | classical.solve | 1.0e-01 | 0.1 | - | - | never | 1.0e-01 |" in text
    assert peers.table([]) == "Nothing has been measured yet."
