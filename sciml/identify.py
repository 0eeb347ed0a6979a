"""The command `python -m sciml.identify`: find unknown numbers and functions of a problem from data."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from sciml import __version__
from sciml.command import (
    NOT_CONVERGED,
    SOLVED,
    Arguments,
    Option,
    choice,
    leave,
    parse,
    positive,
    run,
    usage,
    whole,
)
from sciml.errors import ArgumentError, SolveError
from sciml.request import PROBLEM_OPTIONS, directory_name

if TYPE_CHECKING:
    from sciml.fit import Fit

__all__ = ["main"]

SEED = 0
BUDGET = 60.0

_PAIR = re.compile(r"\s*([A-Za-z][\w']*)\s*=\s*([^=]+)")
_BOUNDS = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*([^:=]*):([^:=]*)")
_SIGNATURE = re.compile(r"\s*[A-Za-z]\w*\s*\(\s*[A-Za-z]\w*\s*(?:,\s*[A-Za-z]\w*\s*)*\)\s*")
_DATA_FILE = re.compile(r"[^=]+\.(?:csv|tsv|txt|dat|npz|npy|mat)", re.IGNORECASE)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise ArgumentError(f"what is unknown is named as in the equations, nu or a,b, not {text!r}")
    return names


def _columns(text: str) -> list[tuple[str, str]]:
    matches = [_PAIR.fullmatch(part) for part in text.split(",")]
    if None in matches:
        raise ArgumentError(f"a column is written as u=usol (the problem's name first), not {text!r}")
    return [(match.group(1), match.group(2).strip()) for match in matches if match]


def _is_column(token: str) -> bool:
    # Not a derivative on the left: `u_t=u_xx` is an equation.
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9]*=[\w.-]+", token) is not None


def _noise(text: str) -> list[tuple[str | None, float]]:
    size = positive("a standard deviation")
    parts = [part.rpartition("=") for part in text.split(",")]
    for name, _, _ in parts:
        if (name and not re.fullmatch(r"\s*[A-Za-z]\w*'*\s*", name)) or (len(parts) > 1 and not name):
            raise ArgumentError(f"noise is written as 0.01, or u=0.01,v=0.02 by name, not {text!r}")
    return [(name.strip() or None, size(value.strip())) for name, _, value in parts]


def _is_noise(token: str) -> bool:
    return re.fullmatch(r"[A-Za-z]\w*=[\d.eE+-]+", token) is not None


def _bounds(text: str) -> tuple[str, tuple[str, str]]:
    match = _BOUNDS.fullmatch(text)
    if match is None or not (match.group(2).strip() or match.group(3).strip()):
        raise ArgumentError(f"bounds are written as nu=0:1, or nu=0: with one side open, not {text!r}")
    name, low, high = match.groups()
    return name, (low.strip(), high.strip())


def _times(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(f"times are numbers, 0.1,0.9, not {text!r}") from None


def _is_time(token: str) -> bool:
    return re.fullmatch(r"-?[\d.]+(?:[eE][+-]?\d+)?(?:,-?[\d.]+(?:[eE][+-]?\d+)?)*", token) is not None


def _signature(text: str) -> str:
    if _SIGNATURE.fullmatch(text) is None:
        raise ArgumentError(f"a function is written with its arguments, k(x), not {text!r}")
    return "".join(text.split())


DATA_OPTIONS = (
    Option("data", "file with measurements (.csv, .txt, .dat, .npz, .npy, .mat); several are several experiments",
           "FILE", str, lambda token: _DATA_FILE.fullmatch(token) is not None),
    Option("unknown", "what is unknown: parameters and functions", "nu", _names, lambda token: False),
    Option("columns", "names in the file by names of the problem", "u=usol t=time", _columns, _is_column),
    Option("noise", "standard deviation of the noise, or u=0.01 v=0.02 (estimated)", "0.01", _noise, _is_noise),
    Option("noise-model", "additive, or multiplicative for log-normal noise (additive)", "M",
           choice("the model of the noise", ("additive", "multiplicative"))),
    Option("bounds", "bounds of unknown numbers; one side may be left open", "nu=0:1 a=0:", _bounds,
           lambda token: _BOUNDS.fullmatch(token) is not None),
    Option("functions", "further unknown functions; in place of a parameter of the same name", '"k(x)"', _signature,
           lambda token: _SIGNATURE.fullmatch(token) is not None),
    Option("no-conditions", "assume none of the problem's conditions, only its equations"),
)  # fmt: skip

NETWORK_OPTIONS = (
    Option("budget", f"at most this many seconds ({BUDGET:g})", "SECONDS", positive("the budget")),
    Option("tol", "relative change of what is unknown at which to stop (1e-4)", "T",
           positive("the tolerance", below=1)),
    Option("seed", f"seed of the random numbers ({SEED}); the same seed gives the same result", "N",
           whole("the seed", least=0)),
    Option("device", "device of the network: cpu, cuda, cuda:1 (cpu)", "D"),
    Option("dtype", "precision of the network: float64 or float32 (float64)", "T",
           choice("the precision", ("float64", "float32"))),
    Option("iterations", "at most this many iterations of the optimizer", "N", whole("iterations", least=1)),
    Option("network", "size of the network: units x hidden layers (chosen by the problem)", "12x5"),
    Option("stages", "join data at two times by one implicit Runge-Kutta step of so many stages, up to 500", "N",
           whole("stages", least=1)),
    Option("times", "with --stages: which two times of the data", "0.1,0.9", _times, _is_time),
    Option("start", "a former fit of the same problem to go on from", "FIT.safetensors"),
)  # fmt: skip

OPTIONS = (
    *DATA_OPTIONS,
    Option("method", "pinn (a network) or classical (least squares around a solver) (pinn)", "M",
           choice("the method", ("pinn", "classical"))),
    *PROBLEM_OPTIONS,
    *NETWORK_OPTIONS,
    Option("rtol", "tolerance of the classical solver (1e-8)", "R", positive("the tolerance", below=1)),
    Option("out", "directory for the results (runs/identify-NAME)", "DIR"),
    Option("json", "print one JSON object on stdout, and everything else on stderr"),
    Option("list", "list the bundled problems"),
    Option("traceback", "show where in the program an unexpected error happened"),
    Option("version", "print the version"),
    Option("help", "print this text"),
)  # fmt: skip

HELP = usage(
    "identify",
    (
        "NAME --data FILE --unknown nu [options]",
        "FILE.py --data FILE --unknown nu [options]",
        "EQUATION... [CONDITION...] --domain x=0:1 t=0:1 --data FILE --unknown nu [options]",
    ),
    "Identify unknown numbers and functions of a differential equation from data, with 95 % intervals.",
    OPTIONS,
    (
        "burgers --data points.csv --unknown nu",
        "burgers --data burgers_shock.mat --columns u=usol --unknown nu --set nu=0.1 --no-conditions",
        "burgers --data burgers_shock.mat --columns u=usol --unknown nu --stages 100 --times 0.1,0.9",
        "lotka_volterra --data pelts.csv --unknown a,b,c,d --noise-model multiplicative --method classical",
        '"u_t = d(k(x)*u_x, x)" --domain x=0:1 t=0:1 --functions "k(x)" --data rod.csv',
    ),
)

# Options without a meaning for the other method; a seed is accepted, since it changes nothing there either.
ONLY_NETWORK = ("tol", "device", "dtype", "iterations", "network", "stages", "times", "start")
NOT_WITH_STAGES = ("device", "dtype", "iterations", "start")
ONLY_CLASSICAL = ("rtol",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 identified, 1 not converged, 2 wrong usage, 130 interrupted."""
    return run("identify", _main, sys.argv[1:] if argv is None else argv)


def _main(argv: Sequence[str]) -> int:
    arguments = parse(argv, OPTIONS)
    if arguments.get("help"):
        print(HELP)
    elif arguments.get("version"):
        print(f"sciml {__version__}")
    elif arguments.get("list"):
        from sciml.listing import listing

        print(listing())
    else:
        return _identify(arguments, argv)
    return SOLVED


def _identify(arguments: Arguments, argv: Sequence[str]) -> int:
    method = arguments.get("method", "pinn")
    for name in ONLY_NETWORK if method == "classical" else ONLY_CLASSICAL:
        if arguments.get(name) is not None:
            raise ArgumentError(f"--{name} has no meaning with --method {method}")
    stages = arguments.get("stages")
    for name in ("times",) if stages is None else NOT_WITH_STAGES:
        if arguments.get(name) is not None:
            raise ArgumentError(f"--{name} has no meaning {'without' if stages is None else 'with'} --stages")
    if stages is not None and arguments.get("noise-model") == "multiplicative":
        raise ArgumentError(
            "--noise-model multiplicative has no meaning with --stages; the noise of a step is additive"
        )
    from sciml.identification import failed, identified, requested_identification, result, write_report
    from sciml.report import describe_problem, json_text, results_directory
    from sciml.threads import fitting_threads

    request = requested_identification(arguments)
    problem, stdout = request.problem, sys.stdout
    # With --json stdout belongs to the one object; what a person reads goes to stderr.
    with (
        results_directory(arguments.get("out") or f"runs/identify-{directory_name(problem)}") as directory,
        redirect_stdout(sys.stderr if arguments.get("json") else stdout),
        fitting_threads(small=problem.domain.dimension == 1),
    ):
        print(describe_problem(problem))
        print(request.assumptions(), flush=True)
        try:
            fit = identified(request, method, arguments)
        except SolveError as error:
            found = _usable(error)
            if found is None:
                if arguments.get("json"):
                    print(json_text(failed(request, method, str(error))), file=stdout)
                raise
            fit = found
        print(f"{fit.status.value} after {fit.wall_time:.2g} s: {fit.message}")
        print(fit.table(), flush=True)
        written = write_report(fit, request, method, directory, argv, arguments.options)
        print(f"written to {directory}: {', '.join(written)}")
    if arguments.get("json"):
        print(json_text(result(fit, request, method)))
    return SOLVED if fit.success else NOT_CONVERGED


def _usable(error: SolveError) -> Fit | None:
    """Return the fit that a failed identification still has, if any."""
    from sciml.fit import Fit

    return error.solution if isinstance(error.solution, Fit) else None


if __name__ == "__main__":
    leave(main())
