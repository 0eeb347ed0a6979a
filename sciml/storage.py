"""Solutions as files: one safetensors file with JSON in its header, tables as CSV, and xarray data sets.

The file holds the problem as text, the arrays of the evaluator and the history. Nothing in it is ever executed: no
pickle, no path of a Python file. A digest over everything makes damage visible.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ArgumentError, FileFormatError, ProblemWarning, ScimlError, closest
from sciml.grids import axes_of, tensor_points

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.solution import Evaluator, Solution

__all__ = ["dataset", "load", "save", "table"]

FORMAT = "sciml.solution"
VERSION = 1
FILE_NAME = "solution.safetensors"

# Where the evaluator of a saved solution lives. A fixed table: a file never says what is imported.
EVALUATORS: Mapping[str, tuple[str, str]] = {
    "network": ("sciml.pinn.evaluator", "NetworkEvaluator"),
    "flow": ("sciml.pinn.flow", "FlowEvaluator"),
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
    from safetensors.numpy import save as to_bytes

    kind = solution.evaluator.kind
    if kind not in EVALUATORS:
        raise ArgumentError(f"a solution of the kind {kind!r} cannot be saved; known are {', '.join(EVALUATORS)}")
    state, rest = solution.evaluator.state()
    arrays: dict[str, np.ndarray] = {}
    complex_names = []
    for name, value in state.items():
        array = np.array(value, order="C")
        if array.dtype.kind == "c":
            complex_names.append(name)
            array = np.stack([np.real(array), np.imag(array)], axis=-1)
        arrays[f"evaluator/{name}"] = array
    for name, values in solution.history.items():
        arrays[f"history/{name}"] = np.array(values)
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
        "details": {key: value for key, value in map(_plain_item, solution.details.items()) if value is not None},
    }
    text = json.dumps(document, ensure_ascii=False)
    metadata = {"format": FORMAT, "version": str(VERSION), "solution": text, "sha256": _digest(text, arrays)}
    target = _target(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(target, to_bytes(arrays, metadata))
    except OSError as error:
        raise ArgumentError(f"the solution cannot be written to {target}: {error.strerror or error}") from None
    return target


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
    from sciml.problem import Problem
    from sciml.solution import Solution
    from sciml.status import Status

    target = _existing(path)
    document, arrays = _read(target)
    try:
        saved = document["problem"]
        if problem is None:
            problem = _with_functions(Problem.from_dict(saved), saved)
        elif not _same(problem, saved):
            raise FileFormatError(f"{target} holds the solution of another problem than the one given")
        module, name = EVALUATORS[document["kind"]]
        evaluator_class: type[Evaluator] = getattr(importlib.import_module(module), name)
        state = {key.removeprefix("evaluator/"): a for key, a in arrays.items() if key.startswith("evaluator/")}
        for key in document["complex"]:
            state[key] = state[key][..., 0] + 1j * state[key][..., 1]
        return Solution(
            problem,
            evaluator_class.restore(state, document["evaluator"], problem),
            method=document["method"],
            status=Status(document["status"]),
            message=document["message"],
            wall_time=document["wall_time"],
            estimate=document["estimate"],
            history={key: arrays[f"history/{key}"] for key in document["history"]},
            details=document["details"],
        )
    except FileFormatError:
        raise
    except (ScimlError, KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise FileFormatError(
            f"{target} is a solution file, but its contents do not fit this version of sciml "
            f"({type(error).__name__}: {error}); solve the problem again"
        ) from error


def _read(target: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the document and the arrays of a solution file after checking format, version and digest."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(target, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise FileFormatError(
            f"{target} is damaged, cut off, or not a safetensors file ({error}); "
            "save the solution again or copy the file once more"
        ) from None
    if metadata.get("format") != FORMAT:
        raise FileFormatError(
            f"{target} is a safetensors file, but not a saved solution; give a file written by Solution.save"
        )
    if metadata.get("version") != str(VERSION):
        raise FileFormatError(
            f"{target} has the format version {metadata.get('version')}, this sciml reads version {VERSION}; "
            "use a newer sciml or solve the problem again"
        )
    text = metadata.get("solution", "")
    if metadata.get("sha256") != _digest(text, arrays):
        raise FileFormatError(f"{target} is damaged: its contents do not match its checksum; copy the file once more")
    return json.loads(text), arrays


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


def _target(path: str | Path) -> Path:
    target = Path(path)
    if target.is_dir():
        return target / FILE_NAME
    return target if target.suffix == ".safetensors" else target.with_name(target.name + ".safetensors")


def _existing(path: str | Path) -> Path:
    given = Path(path)
    for target in (given, given / FILE_NAME, given.with_name(given.name + ".safetensors")):
        if target.is_file():
            return target
    known = [entry.name for entry in given.parent.glob("*")] if given.parent.is_dir() else []
    raise FileFormatError(f"there is no solution file {given}{closest(given.name, known)}")


def _write_whole(target: Path, content: bytes) -> None:
    """Write under a temporary name first: an interrupted save leaves the old file as it was."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.array(array, order="C").tobytes())
    return digest.hexdigest()


def _plain_item(item: tuple[str, Any]) -> tuple[str, Any]:
    """Return a detail as JSON has it, or None for what lives in memory only (the coarser solution, functions)."""
    name, value = item
    return name, plain(value)


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


def _with_functions(problem: Problem, saved: Mapping[str, Any]) -> Problem:
    """Restore what a file cannot carry from the bundled problem it came from, if that still says the same.

    A user's own problem file is not run: a path inside a file is no reason to execute what lies there.
    """
    from sciml.registry import load as load_problem
    from sciml.registry import names

    missing = saved.get("callables") or []
    origin = saved.get("origin") or {}
    if not missing:
        return problem
    if origin.get("problem") in names():
        try:
            bundled = load_problem(origin["problem"], **{**origin.get("arguments", {}), **origin.get("parameters", {})})
        except ScimlError:
            bundled = None
        if bundled is not None and _same(bundled, saved):
            return bundled
    warnings.warn(
        f"the file cannot carry functions of Python ({', '.join(missing)}), and the loaded problem is without them; "
        "give the problem: load_solution(path, problem)",
        ProblemWarning,
        stacklevel=4,
    )
    return problem


def _same(problem: Problem, saved: Mapping[str, Any]) -> bool:
    """Whether a problem says what the saved one said, as far as the solution depends on it."""
    mine = json.loads(json.dumps(problem.to_dict()))
    return all(
        mine.get(key) == saved.get(key) for key in ("equations", "conditions", "domain", "parameters", "unknowns")
    )
