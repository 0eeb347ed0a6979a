"""The command `python -m sciml.solve`: solve a problem, compare, leave figure, history, solution, configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING

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
from sciml.errors import ArgumentError, ScimlError, SolveError
from sciml.request import PROBLEM_OPTIONS, directory_name, requested_problem

if TYPE_CHECKING:
    from sciml.problem import Problem
    from sciml.report import Results
    from sciml.solution import Solution

__all__ = ["main"]

SEED = 0
BUDGET = 30.0
# The yardstick may take longer than a contestant that was given very little time.
REFERENCE_BUDGET = 20.0

NETWORK_OPTIONS = (
    Option("budget", f"at most this many seconds for each solver ({BUDGET:g}; --method classical: no limit)", "SECONDS",
           positive("the budget")),
    Option("tol", "estimated relative L2 error to stop at (1e-4)", "T", positive("the tolerance", below=1)),
    Option("seed", f"seed of the random numbers ({SEED}); the same seed gives the same result", "N",
           whole("the seed", least=0)),
    Option("device", "device of the network: cpu, cuda, cuda:1 (cpu)", "D"),
    Option("dtype", "precision of the network: float64 or float32 (float64)", "T",
           choice("the precision", ("float64", "float32"))),
    Option("optimizer", "how the network is trained: auto, levenberg-marquardt, lbfgs, adam, ... (auto)", "O"),
    Option("iterations", "at most this many iterations of the optimizer", "N", whole("iterations", least=1)),
    Option("network", 'units x hidden layers of the network, and its activation: 12x5, "20x3 sin" (by the problem)',
           "12x5"),
    Option("soft-conditions", "leave the conditions to the loss, in place of a network that meets them exactly"),
)  # fmt: skip

OPTIONS = (
    Option("method", "pinn (a network) or classical (pinn)", "M", choice("the method", ("pinn", "classical"))),
    *PROBLEM_OPTIONS,
    *NETWORK_OPTIONS,
    Option(
        "stages",
        "take one implicit Runge-Kutta step of so many stages, up to 500, from the first time to the last",
        "N",
        whole("stages", least=1),
    ),
    Option("rtol", "tolerance of the classical solver (1e-8)", "R", positive("the tolerance", below=1)),
    Option("out", "directory for the results (runs/NAME)", "DIR"),
    Option("no-compare", "leave out the comparison with the classical solver"),
    Option("json", "print one JSON object on stdout, and everything else on stderr"),
    Option("list", "list the bundled problems"),
    Option("traceback", "show where in the program an unexpected error happened"),
    Option("version", "print the version"),
    Option("help", "print this text"),
)

HELP = usage(
    "solve",
    ("NAME [options]", "FILE.py [options]", "EQUATION... CONDITION... --domain x=0:1 t=0:1 [options]"),
    "Solve a differential equation with a network or with classical methods.",
    OPTIONS,
    (
        "burgers",
        "burgers --set nu=0.02 --budget 10",
        "heat_2d --method classical --json",
        'poisson --optimizer levenberg-marquardt --network "20x3 sin"',
        "allen_cahn --stages 100 --tol 1e-5",
        '"u_t = 0.1*u_xx" "u(x,0) = sin(pi*x)" "u(0,t) = 0" "u(1,t) = 0" --domain x=0:1 t=0:1',
        '"-laplacian(u) = 1" "u(boundary) = 0" --domain x=0:1 y=0:1',
    ),
)

# Options without a meaning for the classical solver; a seed is accepted, since it changes nothing there either.
ONLY_NETWORK = ("optimizer", "iterations", "dtype", "stages", "network", "soft-conditions")
# Options without a meaning for a step.
NOT_WITH_STAGES = ("device", "dtype", "optimizer", "iterations", "network", "soft-conditions")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 solved, 1 not converged, 2 wrong usage, 130 interrupted."""
    return run("solve", _main, sys.argv[1:] if argv is None else argv)


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
        return _solve(arguments, argv)
    return SOLVED


def _solve(arguments: Arguments, argv: Sequence[str]) -> int:
    method = arguments.get("method", "pinn")
    if method == "classical":
        for name in ONLY_NETWORK:
            if arguments.get(name) is not None:
                raise ArgumentError(f"--{name} has no meaning with --method classical")
    if arguments.get("stages") is not None:
        for name in NOT_WITH_STAGES:
            if arguments.get(name) is not None:
                raise ArgumentError(f"--{name} has no meaning with --stages")
    problem = requested_problem(arguments)
    problem.check_forward()
    from sciml.report import Results, describe_problem, failure, json_text, results_directory
    from sciml.threads import fitting_threads

    seed, stdout = arguments.get("seed", SEED), sys.stdout
    # With --json stdout belongs to the one object; what a person reads goes to stderr.
    with (
        results_directory(arguments.get("out") or f"runs/{directory_name(problem)}") as directory,
        redirect_stdout(sys.stderr if arguments.get("json") else stdout),
        fitting_threads(small=problem.domain.dimension == 1),
    ):
        print(describe_problem(problem), flush=True)
        try:
            solution = solution_of(problem, method, arguments)
        except SolveError as error:
            if error.solution is None:
                if arguments.get("json"):
                    print(json_text(failure(problem, method, seed, str(error))), file=stdout)
                raise
            solution = error.solution
        print(f"{solution.status.value} after {solution.wall_time:.2g} s: {solution.message}", flush=True)
        results = Results(problem, method, solution, seed)
        # The solution is on the disk before the comparison, which takes its time, can be interrupted.
        written = results.write_solution(directory)
        results = noted(measured, results, arguments)
        print(results.error_line(), flush=True)
        if method == "pinn" and results.against is not None and not arguments.get("no-compare"):
            results = noted(compared, results, arguments)
            print(results.comparison.text if results.comparison else f"no comparison: {results.note}", flush=True)
        written += results.write_report(directory, argv, arguments.options)
        print(f"written to {directory}: {', '.join(written)}")
    if arguments.get("json"):
        print(json_text(results.to_dict()))
    return SOLVED if solution.success else NOT_CONVERGED


def solution_of(problem: Problem, method: str, arguments: Arguments) -> Solution:
    """Solve with the options of the command line, showing progress."""
    names = ("tol", "budget", "device", "dtype", "optimizer", "iterations", "network")
    options = {name: value for name in names if (value := arguments.get(name)) is not None}
    if arguments.get("soft-conditions"):
        options["exact_conditions"] = False
    if method == "classical":
        from sciml import classical

        rtol = arguments.get("rtol", options.get("tol"))
        tolerance = {} if rtol is None else {"rtol": rtol}
        with Progress("classical") as progress:
            return classical.solve(problem, budget=options.get("budget"), progress=progress, **tolerance)
    from sciml import pinn

    stages = arguments.get("stages")
    with Progress("network") as progress:
        if stages is not None:
            return pinn.solve_step(
                problem, stages=stages, seed=arguments.get("seed", SEED), progress=progress, **options
            )
        return pinn.solve(problem, seed=arguments.get("seed", SEED), progress=progress, **options)


def noted(step: Callable[[Results, Arguments], Results], results: Results, arguments: Arguments) -> Results:
    """Take a step that adds to the results; where it fails, the results stay and a note says why."""
    try:
        return step(results, arguments)
    except ScimlError as error:
        return replace(results, note=str(error))
    except Exception as error:
        if arguments.get("traceback"):
            raise
        fault = "a fault of the program, --traceback shows where"
        return replace(results, note=f"{type(error).__name__}: {error} ({fault})")


def measured(results: Results, arguments: Arguments) -> Results:
    """Add the error against the exact solution, or against a classical one that is tighter than the result."""
    from sciml.comparison import reference

    problem, estimate = results.problem, results.solution.estimate
    if results.method == "classical" and not problem.has_exact:
        tighter = estimate is None or estimate > 10 * problem.reference
        if not tighter:
            return replace(results, note="no exact solution is known, and no classical one that is more accurate")
    with Progress("reference") as progress:
        budget = max(arguments.get("budget", BUDGET), REFERENCE_BUDGET)
        against = reference(problem, budget=budget, progress=progress)
    return replace(results, against=against, error=against.error(results.solution))


def compared(results: Results, arguments: Arguments) -> Results:
    """Add the comparison with the classical solver."""
    from sciml.comparison import compare

    with Progress("classical") as progress:
        comparison = compare(
            results.problem,
            results.solution,
            against=results.against,
            budget=arguments.get("budget", BUDGET),
            progress=progress,
        )
    return replace(results, comparison=comparison)


if __name__ == "__main__":
    leave(main())
