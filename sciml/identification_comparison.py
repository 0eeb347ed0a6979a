"""An honest comparison of identifications: a network and least squares around a classical solver, at equal time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from sciml.command import NOT_CONVERGED, SOLVED, Arguments
from sciml.declaration import number
from sciml.errors import ArgumentError, ProblemError, SolveError, closest
from sciml.fit_table import function_row, shown, text_table
from sciml.identification import BUDGET, Request, identified, requested_identification
from sciml.report import title, versions
from sciml.typography import short

if TYPE_CHECKING:
    from sciml.fit import Fit

__all__ = ["IdentificationComparison", "Run", "compare_identifications", "compared", "truth_of"]

# The classical solver runs again with the whole budget only if that is worth it.
LONGER = 1.5


@final
@dataclass(frozen=True)
class Run:
    """One identification: who, the budget in seconds, the fit, or a note why there is none."""

    who: str
    budget: float
    fit: Fit | None
    note: str = ""


@final
@dataclass(frozen=True)
class IdentificationComparison:
    """A network's fit against the classical one.

    Attributes
    ----------
    problem : name or equations.
    runs : the network with the budget, the classical solver with the network's time, and, where it did not converge in
        that, with the whole budget.
    truth : true values by name, as far as they are known.
    """

    problem: str
    runs: tuple[Run, ...]
    truth: Mapping[str, float]

    @property
    def success(self) -> bool:
        """Whether the network's fit and one of the classical solver converged."""
        done = {run.who for run in self.runs if run.fit is not None and run.fit.success}
        return done == {"network", "classical"}

    def error(self, fit: Fit, name: str) -> float | None:
        """Return the relative error of a number, None where the truth is not known."""
        if name not in self.truth:
            return None
        true = self.truth[name]
        return abs(fit.parameters[name].value - true) / (abs(true) or 1.0)

    def table(self) -> str:
        """Return all runs in one table."""
        head = ["", "seconds", "status", "name", "value", "standard error", "95 % interval"]
        rows: list[list[str]] = []
        for run in self.runs:
            if run.fit is None:
                rows.append([run.who, "", "none", *[""] * (len(head) - 3)])
                continue
            first = [run.who, f"{run.fit.wall_time:.3g}", run.fit.status.value]
            for name, e in run.fit.parameters.items():
                rows.append([*first, name, *shown(e)])
                first = [""] * 3
            for function in run.fit.functions.values():
                rows.append([*first, *function_row(function)])
                first = [""] * 3
        if self.truth:
            head += ["error", "inside"]
            rows = [[*row, *cells] for row, cells in zip(rows, self._judged(), strict=True)]
        notes = [f"{run.who}: {run.note}" for run in self.runs if run.note]
        return "\n".join([text_table(head, rows), *notes])

    def _judged(self) -> list[tuple[str, str]]:
        """Return error and whether the interval has the truth, for each row of the table."""
        cells: list[tuple[str, str]] = []
        for run in self.runs:
            if run.fit is None:
                cells.append(("", ""))
                continue
            for name, e in run.fit.parameters.items():
                error = self.error(run.fit, name)
                inside = "" if error is None else "yes" if e.contains(self.truth[name]) else "no"
                cells.append(("" if error is None else f"{100 * error:.2g} %", inside))
            cells += [("", "")] * len(run.fit.functions)
        return cells

    @property
    def text(self) -> str:
        """One sentence for the user."""
        network = next((run for run in self.runs if run.who == "network" and run.fit is not None), None)
        others = [run for run in self.runs if run.who == "classical" and run.fit is not None]
        if network is None or network.fit is None:
            return "the network has no result" if others else "there is no result"
        said = f"network {self._quality(network.fit)} in {network.fit.wall_time:.2g} s"
        best = others[-1].fit if others else None
        if best is None:
            return f"{said}; the classical solver has no result"
        ratio = network.fit.wall_time / max(best.wall_time, 1e-3)
        pace = f"{ratio:.2g} times faster" if ratio >= 1 else f"the network is {1 / ratio:.2g} times faster"
        distance = self._distance(network.fit, best)
        apart = "" if distance is None else f"; they differ by {distance:.2g} standard errors at most"
        return f"{said}; classical {self._quality(best)} in {best.wall_time:.2g} s ({pace}){apart}"

    def _quality(self, fit: Fit) -> str:
        known = [error for error in (self.error(fit, name) for name in fit.parameters) if error is not None]
        if known:
            return f"to {100 * max(known):.2g} %"
        spread = [e.standard_error / (abs(e.value) or 1.0) for e in fit.parameters.values()]
        return f"with standard errors up to {short(100 * max(spread))} %" if spread else fit.status.value

    @staticmethod
    def _distance(one: Fit, other: Fit) -> float | None:
        """Return the largest difference of two fits to the same data, in the larger standard error."""
        found = []
        for name, e in one.parameters.items():
            error = max(e.standard_error, other.parameters[name].standard_error)
            if math.isfinite(error) and error > 0:
                found.append(abs(e.value - other.parameters[name].value) / error)
        return max(found, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts."""
        runs = []
        for run in self.runs:
            entry: dict[str, Any] = {"who": run.who, "budget": run.budget, "note": run.note or None, "fit": None}
            if run.fit is not None:
                errors = {name: self.error(run.fit, name) for name in run.fit.parameters}
                entry |= {"fit": run.fit.to_dict(), "errors": errors}
            runs.append(entry)
        return {
            "problem": self.problem,
            "runs": runs,
            "truth": dict(self.truth),
            "success": self.success,
            "text": self.text,
            "versions": versions(),
        }


def compared(request: Request, arguments: Arguments, truth: Mapping[str, float]) -> IdentificationComparison:
    """Run both solvers at equal time."""
    budget = arguments.get("budget", BUDGET)
    network = _run("network", "pinn", request, arguments, budget)
    spent = budget if network.fit is None else min(budget, max(network.fit.wall_time, 0.1))
    runs = [network, _run("classical", "classical", request, arguments, spent)]
    last = runs[-1].fit
    if spent * LONGER < budget and (last is not None and not last.success):
        runs.append(_run("classical", "classical", request, arguments, budget))
    return IdentificationComparison(title(request.problem), tuple(runs), truth)


def _run(who: str, method: str, request: Request, arguments: Arguments, budget: float) -> Run:
    try:
        return Run(who, budget, identified(request, method, arguments, budget))
    except SolveError as error:
        from sciml.fit import Fit

        return Run(who, budget, error.solution if isinstance(error.solution, Fit) else None, str(error))
    except ProblemError as error:
        # What one of them cannot treat at all is a result of the comparison too.
        return Run(who, budget, None, " ".join(str(error).split()))


def truth_of(pairs: Sequence[tuple[str, str]], request: Request) -> dict[str, float]:
    """Return the true values that a command line gives."""
    found: dict[str, float] = {}
    for name, text in pairs:
        if name not in request.unknown:
            raise ArgumentError(
                f"--truth: {name!r} is not among what is unknown ({', '.join(request.unknown)})"
                f"{closest(name, request.unknown)}"
            )
        if name in found:
            raise ArgumentError(f"--truth: {name!r} is given twice")
        found[name] = number(f"--truth: {name}", text, {})
    return found


def compare_identifications(arguments: Arguments) -> int:
    """Do what `python -m sciml.compare --identify` does and return its exit code."""
    import sys
    from contextlib import redirect_stdout

    from sciml.fit_plotting import plot_fits
    from sciml.plotting import write_figure
    from sciml.report import describe_problem, json_text, results_directory, write_json
    from sciml.request import directory_name
    from sciml.threads import fitting_threads

    request = requested_identification(arguments, "compare")
    truth = truth_of(arguments.get("truth", []), request)
    problem = request.problem
    with (
        results_directory(
            arguments.get("out") or f"runs/identify-{directory_name(problem)}", ("comparison.json",)
        ) as directory,
        redirect_stdout(sys.stderr if arguments.get("json") else sys.stdout),
        fitting_threads(small=problem.domain.dimension == 1),
    ):
        print(describe_problem(problem))
        print(request.assumptions(), flush=True)
        comparison = compared(request, arguments, truth)
        print(comparison.table())
        print(comparison.text)
        written = [write_json(comparison.to_dict(), directory / "comparison.json").name]
        fits = [(run.who, run.fit) for run in comparison.runs if run.fit is not None]
        if any(fit.parameters for _, fit in fits):
            figure = plot_fits(fits, truth)
            written += [write_figure(figure, directory / f"comparison.{suffix}").name for suffix in ("png", "pdf")]
        print(f"written to {directory}: {', '.join(written)}")
    if arguments.get("json"):
        print(json_text(comparison.to_dict()))
    return SOLVED if comparison.success else NOT_CONVERGED
