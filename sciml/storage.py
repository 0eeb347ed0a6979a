"""Solutions as files: one safetensors file with JSON in its header, tables as CSV, and xarray data sets.

The file holds the problem as text, the arrays of the evaluator and the history. Nothing in it is ever executed: no
pickle, no path of a Python file. A digest over everything makes damage visible.
"""

from __future__ import annotations

import importlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.containers import Container, join_complex, split_complex
from sciml.errors import ArgumentError, FileFormatError, ProblemWarning, ScimlError, closest
from sciml.grids import axes_of, tensor_points

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.solution import Evaluator, Solution

__all__ = ["dataset", "load", "save", "table"]

FILE = Container("solution", 1, "Solution.save", "solve the problem again")

# Where the evaluator of a saved solution lives. A fixed table: a file never says what is imported.
EVALUATORS: Mapping[str, tuple[str, str]] = {
    "network": ("sciml.pinn.evaluator", "NetworkEvaluator"),
    "flow": ("sciml.pinn.flow", "FlowEvaluator"),
    "step": ("sciml.pinn.step_evaluator", "StepEvaluator"),
    "collocation": ("sciml.classical.evaluator", "CollocationEvaluator"),
    "fourier": ("sciml.classical.evaluator", "FourierEvaluator"),
    "ordinary": ("sciml.classical.evaluator", "OrdinaryEvaluator"),
    "stationary": ("sciml.classical.fields", "StationaryEvaluator"),
}

# Points per coordinate of tables and data sets when the user does not say.
TABLE = {1: 1001, 2: 101, 3: 31}


def save(solution: Solution, path: str | Path) -> Path:
    """Write a solution to one file.

    Parameters
    ----------
    solution : Solution
    path : str or Path
        a file (the suffix `.safetensors` is added where it is missing), or an existing directory, which then gets
        `solution.safetensors`. Missing parent directories are made.

    Returns
    -------
    Path
        the file. It appears whole or not at all.

    Raises
    ------
    ArgumentError
        the evaluator of this solution cannot be saved, or the path cannot be written.
    """
    return FILE.write(path, *packed(solution))


def load(path: str | Path, problem: Problem | None = None) -> Solution:
    """Read a solution that `save` wrote; its values are bit-identical to those of the saved one.

    Parameters
    ----------
    path : str or Path
        the file, or the directory that holds `solution.safetensors`.
    problem : Problem, optional
        attached instead of the one in the file. Needed only where the problem holds functions of Python: those of
        bundled problems are found again by name, others are not in the file and are then missing with a warning.

    Raises
    ------
    FileFormatError
        the file does not exist, is damaged, cut off, or not a solution, or `problem` does not belong to it.
    """
    target = FILE.existing(path)
    document, arrays = FILE.read(target)
    with contents_of(target, FILE):
        saved = document["problem"]
        if problem is not None and not same_problem(problem, saved):
            raise FileFormatError(f"{target} holds the solution of another problem than the one given")
        return unpacked(document, arrays, restored_problem(saved) if problem is None else problem)


def packed(solution: Solution) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a solution as a JSON-able document and arrays by name.

    Raises
    ------
    ArgumentError
        the evaluator of this solution cannot be saved.
    """
    kind = solution.evaluator.kind
    if kind not in EVALUATORS:
        raise ArgumentError(f"a solution of the kind {kind!r} cannot be saved; known are {', '.join(EVALUATORS)}")
    state, rest = solution.evaluator.state()
    real, complex_names = split_complex(state)
    arrays = {f"evaluator/{name}": array for name, array in real.items()}
    arrays |= {f"history/{name}": np.array(values) for name, values in solution.history.items()}
    document = {
        "problem": solution.problem.to_dict(),
        "kind": kind,
        "evaluator": rest,
        "complex": complex_names,
        "history": list(solution.history),
        "method": solution.method,
        "status": solution.status.value,
        "message": solution.message,
        "wall_time": float(solution.wall_time),
        "estimate": None if solution.estimate is None else float(solution.estimate),
        "details": plain_details(solution.details),
    }
    return document, arrays


def unpacked(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray], problem: Problem) -> Solution:
    """Return the solution that `packed` took apart; within `contents_of`, since a file may say anything."""
    from sciml.solution import Solution
    from sciml.status import Status

    module, name = EVALUATORS[document["kind"]]
    evaluator_class: type[Evaluator] = getattr(importlib.import_module(module), name)
    state = {key.removeprefix("evaluator/"): a for key, a in arrays.items() if key.startswith("evaluator/")}
    return Solution(
        problem,
        evaluator_class.restore(join_complex(state, document["complex"]), document["evaluator"], problem),
        method=document["method"],
        status=Status(document["status"]),
        message=document["message"],
        wall_time=document["wall_time"],
        estimate=document["estimate"],
        history={key: arrays[f"history/{key}"] for key in document["history"]},
        details=document["details"],
    )


@contextmanager
def contents_of(target: Path, file: Container) -> Iterator[None]:
    """Turn whatever wrong contents lead to into the one error that a reader of files may meet."""
    try:
        yield
    except FileFormatError:
        raise
    except (ScimlError, KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise FileFormatError(
            f"{target} is a {file.name} file, but its contents do not fit this version of sciml "
            f"({type(error).__name__}: {error}); {file.advice}"
        ) from error


def table(solution: Solution, points: np.ndarray | None = None, path: str | Path | None = None) -> dict[str, Any]:
    """Return coordinates and unknowns as columns.

    Parameters
    ----------
    solution : Solution
    points : array [N, d], optional
        an equispaced tensor grid of 1001, 101 x 101 or 31 x 31 x 31 points if absent (of at most 10,000 points, but
        two per coordinate, from four dimensions on).
    path : str or Path, optional
        write the columns there as CSV with a header; the numbers have 17 digits and are read back exactly.

    Returns
    -------
    dict of str to ndarray [N]
    """
    problem = solution.problem
    if points is None:
        dimension = len(problem.coordinates)
        points = tensor_points(axes_of(problem.domain, TABLE.get(dimension, max(2, int(10_000 ** (1 / dimension))))))
    points = np.asarray(points, dtype=np.float64)
    values = solution.evaluate(problem.unknowns, points)
    columns = dict(zip(problem.coordinates, points.T, strict=True)) | dict(zip(problem.unknowns, values, strict=True))
    if path is not None:
        write_csv(columns, path)
    return columns


def write_csv(columns: Mapping[str, Any], path: str | Path) -> Path:
    """Write columns of equal length as CSV with a header, each number with the digits that restore it exactly."""
    target = Path(path)
    quoted = [f'"{name}"' if "," in name or '"' in name else name for name in (n.replace('"', '""') for n in columns)]
    lines = [",".join(quoted)]
    lines += [",".join(map(repr, row)) for row in zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True)]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"the table cannot be written to {target}: {error.strerror or error}") from None
    return target


def dataset(solution: Solution, sizes: Mapping[str, int]) -> Any:
    """Return an `xarray.Dataset` of the unknowns on an equispaced grid; `sizes` gives points per coordinate."""
    try:
        import xarray
    except ImportError:
        raise ArgumentError('to_xarray needs xarray, which is an extra: pip install "sciml[xarray]"') from None
    problem = solution.problem
    for name, size in sizes.items():
        if name not in problem.coordinates:
            raise ArgumentError(f"{name!r} is not a coordinate{closest(name, problem.coordinates)}")
        if not isinstance(size, int) or size < 2:
            raise ArgumentError(f"the number of points in {name!r} must be an integer of at least 2, not {size!r}")
    default = TABLE.get(len(problem.coordinates), 11)
    axes = axes_of(problem.domain, {name: sizes.get(name, default) for name in problem.coordinates})
    values = solution.evaluate(problem.unknowns, tensor_points(axes))
    shape = [len(axis) for axis in axes]
    return xarray.Dataset(
        {name: (problem.coordinates, v.reshape(shape)) for name, v in zip(problem.unknowns, values, strict=True)},
        coords=dict(zip(problem.coordinates, axes, strict=True)),
        attrs={"problem": problem.name, "method": solution.method, **problem.parameters},
    )


def plain_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return details as JSON has them, without what lives in memory only (the coarser solution, functions)."""
    found = {name: plain(value) for name, value in details.items()}
    return {name: value for name, value in found.items() if value is not None}


def plain(value: Any) -> Any:
    """Return numbers, texts and nested sequences and mappings as plain Python for JSON; None for anything else."""
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None


def restored_problem(saved: Mapping[str, Any], *, needed: str = "", reader: str = "load_solution") -> Problem:
    """Return the problem of a file, with what the file cannot carry from the bundled problem it came from.

    That one must still say the same. A user's own problem file is not run: a path inside a file is no reason to execute
    what lies there; what is then missing is named in a warning.

    Parameters
    ----------
    saved : from `Problem.to_dict`.
    needed : only functions whose name begins so are worth a warning ("functions": not a missing exact solution).
    reader : to which the problem can be given.
    """
    from sciml.problem import Problem
    from sciml.registry import load as load_problem
    from sciml.registry import names

    problem = Problem.from_dict(saved)
    missing = saved.get("callables") or []
    origin = saved.get("origin") or {}
    if not missing:
        return problem
    if origin.get("problem") in names():
        try:
            bundled = load_problem(origin["problem"], **{**origin.get("arguments", {}), **origin.get("parameters", {})})
        except ScimlError:
            bundled = None
        if bundled is not None and same_problem(bundled, saved):
            return bundled
    missing = [name for name in missing if name.startswith(needed)]
    if missing:
        warnings.warn(
            f"the file cannot carry functions of Python ({', '.join(missing)}), and the loaded problem is without "
            f"them; give the problem: {reader}(path, problem)",
            ProblemWarning,
            stacklevel=4,
        )
    return problem


def same_problem(problem: Problem, saved: Mapping[str, Any]) -> bool:
    """Whether a problem says what the saved one said, as far as the solution depends on it."""
    mine = json.loads(json.dumps(problem.to_dict()))
    return all(
        mine.get(key) == saved.get(key) for key in ("equations", "conditions", "domain", "parameters", "unknowns")
    )
