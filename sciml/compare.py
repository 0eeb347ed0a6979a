"""The command `python -m sciml.compare`: a network against the classical solver at equal accuracy and equal time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from sciml import __version__
from sciml.command import NOT_CONVERGED, SOLVED, Arguments, Option, Progress, leave, parse, positive, run, usage
from sciml.errors import ArgumentError
from sciml.identify import DATA_OPTIONS
from sciml.request import PROBLEM_OPTIONS, TRUTH, directory_name, requested_problem
from sciml.solve import BUDGET, NETWORK_OPTIONS, REFERENCE_BUDGET, solution_of

if TYPE_CHECKING:
    from sciml.comparison import Comparison

__all__ = ["main"]

OPTIONS = (
    *PROBLEM_OPTIONS,
    *NETWORK_OPTIONS,
    Option("identify", "compare how unknown numbers are identified from data, both solvers at equal time (60 s)"),
    *DATA_OPTIONS,
    TRUTH,
    Option("rtol", "with --identify: tolerance of the classical solver (1e-8)", "R",
           positive("the tolerance", below=1)),
    Option("out", "directory for the results (runs/NAME, runs/identify-NAME)", "DIR"),
    Option("json", "print one JSON object on stdout, and everything else on stderr"),
    Option("list", "list the bundled problems"),
    Option("traceback", "show where in the program an unexpected error happened"),
    Option("version", "print the version"),
    Option("help", "print this text"),
)  # fmt: skip
IDENTIFICATION = (*(option.name for option in (*DATA_OPTIONS, TRUTH)), "rtol")

HELP = usage(
    "compare",
    (
        "NAME [options]",
        "FILE.py [options]",
        "EQUATION... CONDITION... --domain x=0:1 t=0:1 [options]",
        "--identify NAME --data FILE --unknown nu [options]",
    ),
    "Compare a network with the classical solver: who is faster at equal accuracy, who more accurate in equal time?",
    OPTIONS,
    ("burgers", "helmholtz --budget 60", "--identify burgers --data points.csv --unknown nu --set nu=0.1"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 measured and converged, 1 not converged, 2 wrong usage."""
    return run("compare", _main, sys.argv[1:] if argv is None else argv)


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
        return _compare(arguments)
    return SOLVED


def _compare(arguments: Arguments) -> int:
    if arguments.get("identify"):
        for name in ("optimizer", "soft-conditions"):
            if arguments.get(name) is not None:
                raise ArgumentError(f"--{name} has no meaning with --identify")
        from sciml.identification_comparison import compare_identifications

        return compare_identifications(arguments)
    for name in IDENTIFICATION:
        if arguments.get(name) is not None:
            raise ArgumentError(f"--{name} goes with --identify")
    problem = requested_problem(arguments, "compare")
    problem.check_forward()
    from sciml.comparison import compare, reference
    from sciml.report import describe_problem, json_text, results_directory, title, versions, write_json
    from sciml.threads import fitting_threads

    budget = arguments.get("budget", BUDGET)
    with (
        results_directory(arguments.get("out") or f"runs/{directory_name(problem)}", ("comparison.json",)) as directory,
        redirect_stdout(sys.stderr if arguments.get("json") else sys.stdout),
        fitting_threads(small=problem.domain.dimension == 1),
    ):
        print(describe_problem(problem), flush=True)
        with Progress("reference") as progress:
            against = reference(problem, budget=max(budget, REFERENCE_BUDGET), progress=progress)
        solution = solution_of(problem, "pinn", arguments)
        print(f"network: {solution.status.value}: {solution.message}", flush=True)
        with Progress("classical") as progress:
            comparison = compare(problem, solution, against=against, budget=budget, progress=progress)
        print(table(comparison))
        print(comparison.text)
        result = {
            **comparison.to_dict(),
            "problem": title(problem),
            "success": solution.success,
            "status": solution.status.value,
            "values": dict(problem.parameters),
            "versions": versions(),
        }
        written = [write_json(result, directory / "comparison.json").name]
        from sciml.plotting import plot_comparison, write_figure

        figure = plot_comparison(comparison)
        written += [write_figure(figure, directory / f"comparison.{suffix}").name for suffix in ("png", "pdf")]
        print(f"written to {directory}: {', '.join(written)}")
    if arguments.get("json"):
        print(json_text(result))
    return SOLVED if solution.success else NOT_CONVERGED


def table(comparison: Comparison) -> str:
    """Return the runs as a table: method, tolerance, seconds, relative L2 error."""
    rows = [("network", "", comparison.network_seconds, comparison.network_error, comparison.network_method)]
    rows += [("classical", f"{s.rtol:.0e}", s.seconds, s.error, s.method) for s in comparison.steps]
    lines = [f"{'':<10}{'rtol':>8}{'seconds':>10}{'error':>10}  solver"]
    for who, rtol, seconds, error, how in rows:
        # What the reference cannot see is at most its accuracy.
        shown = f"{error:.1e}" if error > comparison.accuracy else f"<={comparison.accuracy:.0e}"
        lines.append(f"{who:<10}{rtol:>8}{seconds:>10.3g}{shown:>10}  {how}")
    return "\n".join([*lines, f"errors are relative L2 against {comparison.reference}"])


if __name__ == "__main__":
    leave(main())
