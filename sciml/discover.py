"""The command `python -m sciml.discover`: the equations behind a file of measurements, and how sure they are."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml import __version__
from sciml.command import (
    NOT_CONVERGED,
    SOLVED,
    Arguments,
    Option,
    Progress,
    choice,
    leave,
    parse,
    positive,
    run,
    usage,
    whole,
)
from sciml.data_names import entries, listed
from sciml.errors import ArgumentError, closest

if TYPE_CHECKING:
    from sciml.gridded import Grid
    from sciml.sindy.discovery import Discovery
    from sciml.tabular import Records

__all__ = ["main"]

SEED = 0
METHODS = ("evidence", "ensemble", "STLSQ", "SR3", "SSR", "FROLS", "MIOSR")


def _names(text: str) -> list[str]:
    names = entries(text)
    if len(set(names)) < len(names):
        raise ArgumentError(f"every name stands once, not as in {text!r}")
    return names


def _columns(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in entries(text):
        new, equals, old = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z]\w*", new.strip()) or not old.strip() or new.strip() in found:
            raise ArgumentError(f"a column is written as u=usol (the new name first, each once), not {part!r}")
        found[new.strip()] = old.strip()
    return found


def _noise(text: str) -> float | dict[str, float]:
    """Read one number for all unknowns, or x=0.1,y=0.2."""
    number = positive("the noise")
    if "=" not in text:
        return number(text)
    found: dict[str, float] = {}
    for part in entries(text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name in found:
            raise ArgumentError(f"noise is written as 0.1 or as x=0.1,y=0.2 (each once), not {text!r}")
        found[name] = number(value)
    return found


def _forbidden(text: str) -> tuple[str | None, list[str]]:
    """Read terms that no equation may have, or after the name of an unknown and a colon those of its equation."""
    match = re.fullmatch(r"\s*([A-Za-z]\w*)\s*:(.*)", text, re.DOTALL)
    return (match[1], entries(match[2])) if match else (None, entries(text))


def _degree(text: str) -> int:
    return _bounded(whole("the degree", least=0)(text), "the degree", 20)


def _order(text: str) -> int:
    return _bounded(whole("the order", least=1)(text), "the order", 8)


def _bounded(value: int, what: str, most: int) -> int:
    if value > most:
        raise ArgumentError(f"{what} must be at most {most}, not {value}")
    return value


OPTIONS = (
    Option("names", "names of the columns that are unknowns, or new names for all columns but the time", "x,y", _names),
    Option("columns", "columns by new names; alpha:2 is the second column of a matrix", "u=usol,v=alpha:2", _columns),
    Option("time", "the column of times (found by its name, or a first column that increases)", "COLUMN"),
    Option("step", "time step of a file without times", "DT", positive("the time step")),
    Option("group", "column whose equal entries mark a trajectory (else a new one begins where the time goes back)",
           "COLUMN"),
    Option("control", "columns that are inputs", "u,v", _names),
    Option("discrete", "the rows are successive states of a map"),
    Option("degree", "highest degree of the polynomials (chosen by the data)", "N", _degree),
    Option("order", "highest order of the derivatives of fields", "N", _order),
    Option("library", "terms to choose from, instead of polynomials", "1,x,sin(x)", entries),
    Option("known", "an equation that is known; ending in '+ ...' where terms may be added; may be repeated",
           "EQUATION", str, lambda token: "=" in token and not token.startswith("-")),
    Option("forbidden", "terms that no equation may have, or after 'y:' the equation of y; may be repeated",
           "TERMS", _forbidden, lambda token: False),
    Option("noise", "standard deviation of the noise, if it is known (0.1 or x=0.1,y=0.2)", "S", _noise),
    Option("method", f"{', '.join(METHODS)} (evidence)", "M", choice("the method", METHODS)),
    Option("threshold", "threshold of an ensemble or of STLSQ", "T", positive("the threshold")),
    Option("field", "the file holds fields on a grid (found by itself in an archive)"),
    Option("coordinates", "coordinates of fields in the order of the axes, x,t or x=xx,t=tt", "x,t", _names),
    Option("seed", f"seed of the random numbers ({SEED})", "N", whole("the seed", least=0)),
    Option("out", "directory for the results (runs/NAME)", "DIR"),
    Option("json", "print one JSON object on stdout, and everything else on stderr"),
    Option("traceback", "show where in the program an unexpected error happened"),
    Option("version", "print the version"),
    Option("help", "print this text"),
)  # fmt: skip

HELP = usage(
    "discover",
    ("FILE [options]",),
    "Find the differential equations behind measurements: tables (.csv, .tsv, .txt, .dat), arrays (.npz, .npy, .mat).",
    OPTIONS,
    (
        "trajectory.csv",
        "pelts.dat --names hare,lynx --degree 2 --json",
        'pendulum.csv --time seconds --library "1,q,p,sin(q)" --known "q\' = p"',
        "burgers.mat --columns u=usol",
    ),
)

ONLY_TRAJECTORIES = ("step", "group", "control", "discrete", "noise", "method", "threshold")
ONLY_EVIDENCE = ("known", "forbidden", "noise")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 trusted, 1 not to be trusted, 2 wrong usage, 130 interrupted."""
    return run("discover", _main, sys.argv[1:] if argv is None else argv)


def _main(argv: Sequence[str]) -> int:
    arguments = parse(argv, OPTIONS)
    if arguments.get("help"):
        print(HELP.replace("0 solved, 1 not converged", "0 found, 1 found but not to be trusted"))
    elif arguments.get("version"):
        print(f"sciml {__version__}")
    else:
        return _discover(arguments, argv)
    return SOLVED


def _discover(arguments: Arguments, argv: Sequence[str]) -> int:
    path = _file(arguments)
    if arguments.get("threshold") is not None and arguments.get("method", "evidence") == "evidence":
        raise ArgumentError("--threshold has no meaning for the method evidence, which has none")
    for name in ONLY_EVIDENCE:
        if arguments.get(name) is not None and arguments.get("method", "evidence") != "evidence":
            raise ArgumentError(f"--{name} needs the method evidence, not {arguments.get('method')}")
    if arguments.get("library") is not None and arguments.get("degree") is not None:
        raise ArgumentError("give --library or --degree, not both")
    measured = _measurements(path, arguments)
    from sciml.discovery_report import describe_data, describe_law, document, write_results
    from sciml.report import json_text, results_directory
    from sciml.threads import fitting_threads

    stdout = sys.stdout
    with (
        results_directory(arguments.get("out") or f"runs/{path.stem}") as directory,
        redirect_stdout(sys.stderr if arguments.get("json") else stdout),
        fitting_threads(small=True),
    ):
        print(describe_data(path.name, measured), flush=True)
        law = _law(measured, arguments)
        print(describe_law(law), flush=True)
        found = document(law, path.name, measured.assumptions)
        written = write_results(law, found, directory, argv, arguments.options)
        print(f"written to {directory}: {', '.join(written)}")
    if arguments.get("json"):
        print(json_text(found))
    return SOLVED if law.trusted else NOT_CONVERGED


def _file(arguments: Arguments) -> Path:
    files = list(arguments.positional)
    if not files:
        raise ArgumentError("give a file of measurements: python -m sciml.discover trajectory.csv; --help shows more")
    if len(files) > 1:
        raise ArgumentError(f"one file at a time, but got {files[1]!r} too; --group marks trajectories")
    return Path(files[0])


def _measurements(path: Path, arguments: Arguments) -> Records | Grid:
    """Read the file as fields, if it has some or the options say so, or as trajectories."""
    from sciml.gridded import grid_of
    from sciml.tabular import records_of

    names, columns = arguments.get("names"), arguments.get("columns")
    if names and columns:
        raise ArgumentError("give --names or --columns, not both")
    wants = bool(arguments.get("field") or arguments.get("coordinates"))
    wants = wants or arguments.get("order") is not None
    given = next((name for name in ONLY_TRAJECTORIES if arguments.get(name) is not None), None)
    if wants and given:
        raise ArgumentError(f"--{given} has no meaning for fields (--field, --coordinates, --order)")
    if given is None:
        try:
            grid = grid_of(
                path,
                names=names,
                columns=columns,
                coordinates=arguments.get("coordinates"),
                time=arguments.get("time"),
            )
        except ArgumentError:
            # Names that fit no array may be those of a trajectory's columns.
            if wants:
                raise
            grid = None
        if grid is not None:
            return grid
    if wants:
        hint = "" if arguments.get("coordinates") else "; --coordinates x,t names them"
        raise ArgumentError(f"{path.name} holds no field: no array has axes as long as its coordinates are{hint}")
    records = records_of(
        path,
        names=names,
        columns=columns,
        time=arguments.get("time"),
        step=arguments.get("step"),
        control=arguments.get("control", ()),
        group=arguments.get("group"),
    )
    if arguments.get("method", "evidence") == "evidence":
        from sciml.sindy.trajectories import refuse_many

        refuse_many(len(records.names), path.name)
    return records


def _law(measured: Records | Grid, arguments: Arguments) -> Discovery:
    """Find the law, showing progress."""
    from sciml.gridded import Grid

    start = time.monotonic()
    with Progress("discovery") as progress:

        def report(text: str) -> None:
            progress({"stage": text, "seconds": time.monotonic() - start})

        if isinstance(measured, Grid):
            return _field_law(measured, arguments, report)
        return _trajectory_law(measured, arguments, report)


def _trajectory_law(measured: Records, arguments: Arguments, report: Any) -> Discovery:
    asked = {
        "library": arguments.get("library"),
        "degree": arguments.get("degree"),
        "known": arguments.get("known"),
        "forbidden": _shut(arguments.get("forbidden"), measured.names),
        "noise": arguments.get("noise"),
        "discrete": bool(arguments.get("discrete")),
        "seed": arguments.get("seed", SEED),
    }
    one, control = len(measured.times) == 1, None
    t = measured.times[0] if one else list(measured.times)
    x = measured.states[0] if one else list(measured.states)
    if measured.control_names:
        control = measured.control[0] if one else list(measured.control)
    method = arguments.get("method", "evidence")
    if method == "evidence":
        from sciml import sindy

        control_names = measured.control_names or None
        return sindy.discover(
            t, x, names=measured.names, control=control, control_names=control_names, progress=report, **asked
        )
    from sciml.sindy.estimator import SINDy

    model = SINDy(method, names=measured.names, missing=True, threshold=arguments.get("threshold"), **asked)
    return model.fit(x, t=t, u=control).law_


def _shut(given: Sequence[tuple[str | None, list[str]]] | None, names: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the forbidden terms of each unknown."""
    if given is None:
        return None
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, terms in given:
        if name is not None and name not in found:
            raise ArgumentError(f"--forbidden: {name!r} is no unknown{closest(name, found)}; there are {listed(names)}")
        for each in names if name is None else (name,):
            found[each] += terms
    return found


def _field_law(measured: Grid, arguments: Arguments, report: Any) -> Discovery:
    from sciml import sindy

    names = ("library", "degree", "order", "known", "seed")
    asked = {name: arguments.get(name) for name in names if arguments.get(name) is not None}
    parts = [(f"{n}r", f"{n}i") if u.dtype.kind == "c" else (n,) for n, u in measured.fields.items()]
    asked["forbidden"] = _shut(arguments.get("forbidden"), sum(parts, ()))
    return sindy.discover_field(coordinates=measured.coordinates, fields=measured.fields, progress=report, **asked)


if __name__ == "__main__":
    leave(main())
