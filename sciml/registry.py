"""Finding and loading problems: the bundled ones and a user's own are files of the same form, loaded by their path."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import ArgumentError, ProblemError, ScimlError, UnknownProblemError, closest

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["describe", "load", "names", "path_of", "saved"]

# Files of the directories below the present one that are looked at for one that was not found.
MOST_FILES = 1000
# What reads results, by what they are; and the largest header of a file that is looked into, in bytes.
READERS = {
    "solution": "sciml.load_solution",
    "fit": "sciml.load_fit",
    "discovery": "sciml.sindy.load_discovery",
}
LARGEST_HEADER = 100_000_000

_SOURCE = re.compile(r"^Source:\s*(.+?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def _folder() -> Path:
    """The folder of the bundled problems: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "problems", package.parent / "problems"):
        if folder.is_dir():
            return folder
    raise UnknownProblemError("the bundled problems are missing from this installation; reinstall sciml")


def names() -> tuple[str, ...]:
    """Names of the bundled problems, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.py") if not path.stem.startswith("_")))


def path_of(name: str | Path) -> Path:
    """The file of a bundled problem (`"burgers"`) or of a user's own (`"path/to/my.py"`).

    Raises
    ------
    UnknownProblemError : if there is no such name or file, with the closest known name.
    """
    text = str(name)
    if text.endswith(".py"):
        path = Path(text)
        if not path.is_file():
            raise UnknownProblemError(f"no problem file {text!r}{_nearest_file(path)}")
        return path.resolve()
    known = names()
    if text not in known:
        if text.replace("-", "_") in known:
            text = text.replace("-", "_")
        else:
            raise UnknownProblemError(saved(text) or f"no problem named {text!r}{_nearest(text, known)}")
    return _folder() / f"{text}.py"


def saved(name: str | Path) -> str:
    """Return how a file or directory of results is read, an empty text for anything else."""
    path = Path(name)
    places = [path / f"{kind}.safetensors" for kind in READERS] if path.is_dir() else [path]
    for file in (*places, Path(f"{path}.safetensors")):
        kind = next((kind for kind in READERS if kind in _metadata(file)), None)
        if kind is not None:
            return f"{str(path)!r} holds a saved {kind} and no problem; read it with {READERS[kind]}({str(path)!r})"
    return ""


def _metadata(file: Path) -> Mapping[str, Any]:
    """The metadata of a safetensors file, empty for any other."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            return json.loads(stream.read(length))["__metadata__"] if length < LARGEST_HEADER else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _nearest(text: str, known: Sequence[str]) -> str:
    """Return which bundled problem or file may be meant by what is neither."""
    file = Path(f"{text}.py")
    if file.is_file():
        return f"; did you mean the file {str(file)!r}?"
    name = Path(text).name.lower().replace("-", "_")
    if hint := closest(name, known) or _beginning(name, known):
        return hint
    return _nearest_file(file, known=()) or "; python -m sciml.solve --list shows all"


def _beginning(name: str, known: Sequence[str]) -> str:
    """Return the names that begin as this one does, or that it begins with."""
    alike = [k for k in known if len(name) > 2 and (k.startswith(name) or name.startswith(k) or name in k.split("_"))]
    return f"; did you mean {' or '.join(map(repr, alike[:3]))}?" if alike else ""


def _nearest_file(path: Path, known: Sequence[str] | None = None) -> str:
    """Return which problem file or bundled problem may be meant by a file that is not there."""
    known = names() if known is None else known
    folder = path.parent
    if not folder.is_dir():
        there = f"; there is no directory {str(folder)!r}"
    else:
        beside = sorted(entry.name for entry in folder.glob("*.py"))
        if alike := difflib.get_close_matches(path.name, beside, n=1):
            return f"; did you mean {str(folder / alike[0])!r}?"
        there = ""
    try:
        deeper = sorted(str(p) for p in itertools.islice(Path().glob("*/*"), MOST_FILES) if p.name == path.name)
    except OSError:
        deeper = []
    if deeper:
        return f"; did you mean {deeper[0]!r}?"
    if path.stem in known:
        return f"{there}; {path.stem!r} without .py is a bundled problem"
    return there + closest(path.stem, known)


def describe(name: str | Path) -> str:
    """The first line of a problem file's docstring, read without running the file."""
    return _documentation(path_of(name)).split("\n")[0]


def _documentation(path: Path) -> str:
    try:
        return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    except (SyntaxError, UnicodeDecodeError):
        return ""


def load(name: str | Path, **parameters: Any) -> Problem:
    """Load a problem by name or by file.

    Parameters
    ----------
    name : a bundled name (see `names`) or the path of a Python file that defines `problem(**parameters)`. The file is
        run as Python code: load only files that you trust.
    parameters : handed to the file's `problem` function, or else replaced in the problem: `load("burgers", nu=0.02)`.

    Returns
    -------
    The Problem. Where it gives none itself its name is the file's stem, its description the first line of the file's
    docstring, and its source the paragraph there that begins with "Source:".

    Raises
    ------
    UnknownProblemError : no such name or file.
    ProblemError : the file cannot be run, or it defines no function `problem` that returns a Problem.
    ArgumentError : a parameter that the problem does not have.
    """
    from sciml.problem import Problem

    if not isinstance(name, (str, Path)):
        raise ArgumentError(f"name must be a problem's name or path, got {type(name).__name__}")
    path = path_of(name)
    make = _function(path)
    accepted = make.__code__.co_varnames[: make.__code__.co_argcount + make.__code__.co_kwonlyargcount]
    direct = {key: value for key, value in parameters.items() if key in accepted}
    rest = {key: value for key, value in parameters.items() if key not in accepted}
    try:
        problem = make(**direct)
    except ScimlError:
        raise
    except Exception as error:
        raise ProblemError(f"{path.name}: problem() failed with {type(error).__name__}: {error}") from error
    if not isinstance(problem, Problem):
        raise ProblemError(f"{path.name}: problem() must return a sciml.Problem, got {type(problem).__name__}")
    if rest:
        values = [key for key in rest if key not in problem.parameters]
        if values:
            known = tuple(dict.fromkeys((*accepted, *problem.parameters)))
            raise ArgumentError(
                f"problem {path.stem} has no parameter {values[0]!r}; "
                f"known: {', '.join(known) or 'none'}{closest(values[0], known)}"
            )
        problem = problem.replace(**rest)
    return _labelled(problem, path, parameters)


def _labelled(problem: Problem, path: Path, parameters: Mapping[str, Any]) -> Problem:
    """Fill in name, description, source and origin, from which a saved solution finds the exact solution again."""
    bundled = path.parent == _folder()
    documentation = _documentation(path)
    source = _SOURCE.search(documentation)
    labels = {
        "name": problem.name or path.stem,
        "description": problem.description or documentation.split("\n")[0],
        "source": problem.source or ("" if source is None else " ".join(source[1].split())),
    }
    origin = {
        "problem": path.stem if bundled else str(path),
        "arguments": {key: value for key, value in parameters.items() if isinstance(value, (int, float, str))},
        "parameters": dict(problem.parameters),
    }
    return problem.labelled(**labels, origin=origin)


def _function(path: Path) -> Any:
    """Run a problem file outside of sys.path and sys.modules and return its function `problem`."""
    specification = importlib.util.spec_from_file_location(f"sciml_problem_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ProblemError(f"{path.name} cannot be read as a Python file")
    module = importlib.util.module_from_spec(specification)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # an installed package's folder may be read-only
    try:
        specification.loader.exec_module(module)
    except ScimlError:
        raise
    except Exception as error:
        raise ProblemError(f"{path.name} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = written
    make = getattr(module, "problem", None)
    if not callable(make) or not hasattr(make, "__code__"):
        raise ProblemError(f"{path.name} must define a function problem() that returns a sciml.Problem")
    return make
