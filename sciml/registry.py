"""Finding and loading problems: the bundled ones and a user's own are files of the same form, loaded by their path."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import ArgumentError, ProblemError, ScimlError, UnknownProblemError, closest

if TYPE_CHECKING:
    from sciml.problem import Problem

__all__ = ["describe", "load", "names", "path_of"]

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
            raise UnknownProblemError(f"no problem file {text!r}")
        return path.resolve()
    known = names()
    if text not in known:
        if text.replace("-", "_") in known:
            text = text.replace("-", "_")
        else:
            hint = closest(text, known) or "; python -m sciml.solve --list shows all"
            raise UnknownProblemError(f"no problem named {text!r}{hint}")
    return _folder() / f"{text}.py"


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
