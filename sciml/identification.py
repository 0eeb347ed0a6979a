"""What the commands identify and compare do: the request of a command line, its fits, and what is said of them."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from sciml.command import Arguments, Progress
from sciml.declaration import number
from sciml.errors import ArgumentError, ScimlError
from sciml.observations import Observations, observations_of
from sciml.report import title, versions, write_json
from sciml.request import requested_problem
from sciml.storage import write_csv
from sciml.unknowns import check_data, noise_of, unknowns_of

if TYPE_CHECKING:
    from sciml.fit import Fit
    from sciml.problem import Problem

__all__ = ["Request", "failed", "identified", "requested_identification", "result", "write_report"]

SEED = 0
BUDGET = 60.0
# The start of an unknown number of typed equations, where neither --set nor --bounds say anything.
START = "1"


@final
@dataclass(frozen=True)
class Request:
    """An identification that a command line asks for.

    Attributes
    ----------
    problem : with the starts of the unknown numbers as its parameters.
    unknown : names of numbers and functions.
    observations : of each experiment.
    noise : standard deviation, by name or for all; None if it is to be estimated.
    noise_model : "additive" or "multiplicative".
    bounds : by name (lower, upper), None for an open side.
    without_conditions : whether the problem's own conditions were left out.
    seed : of the random numbers.
    """

    problem: Problem
    unknown: tuple[str, ...]
    observations: tuple[Observations, ...]
    noise: float | dict[str, float] | None
    noise_model: str
    bounds: Mapping[str, tuple[float | None, float | None]]
    without_conditions: bool
    seed: int

    def assumptions(self) -> str:
        """Return in words what is unknown, where the search starts, what is assumed, and what is known of the data."""
        unknown = []
        for name in self.unknown:
            if name in self.problem.unknown_functions:
                unknown.append(f"{name}({', '.join(self.problem.unknown_functions[name])})")
                continue
            sides = [side if side is None else f"{side:g}" for side in self.bounds.get(name, ())]
            within = f" within [{sides[0] or '-inf'}, {sides[1] or 'inf'}]" if sides else ""
            unknown.append(f"{name}, starting at {self.problem.parameters[name]:g}{within}")
        count = len(self.problem.conditions)
        if count:
            conditions = f"the {count} above are assumed; --no-conditions assumes none"
        else:
            conditions = "none (--no-conditions)" if self.without_conditions else "none"
        numbers = [
            f"{one.source}: {', '.join(f'{n} of {name}' for name, n in one.counts.items())}"
            + (f", {one.left_out} without a number (NaN) left out" if one.left_out else "")
            for one in self.observations
        ]
        shown = numbers if len(numbers) <= 3 else [*numbers[:2], f"and {len(numbers) - 2} more"]
        rows = {
            "unknown": "; ".join(unknown),
            "conditions": conditions,
            "data": "; ".join(shown),
            "noise": f"{_noise_text(self.noise)}, {self.noise_model}",
        }
        return "\n".join(f"    {key + ':':<12}{text}" for key, text in rows.items())


def _noise_text(noise: float | Mapping[str, float] | None) -> str:
    if noise is None:
        return "to be estimated"
    if isinstance(noise, Mapping):
        return ", ".join(f"{name} {size:g}" for name, size in noise.items())
    return f"{noise:g}"


def requested_identification(arguments: Arguments, command: str = "identify") -> Request:
    """Build what a command line asks for and read its data.

    Raises
    ------
    ScimlError : the command line, the problem or the data are not in order; the text says what to change.
    """
    files = arguments.get("data", [])
    if arguments.positional and not files:
        raise ArgumentError("no data: --data FILE gives a file with measurements")
    signatures = _once("--functions", arguments.get("functions", []))
    asked = _once("--unknown", [name for names in arguments.get("unknown", []) for name in names])
    bounds = _bounds(arguments.get("bounds", []))
    functions = [signature.partition("(")[0] for signature in signatures]
    starts = {name: _start(bounds.get(name)) for name in asked if name not in functions}
    problem = requested_problem(arguments, command, functions=signatures, starts=starts)
    without = bool(arguments.get("no-conditions"))
    if without:
        problem = problem.replace(conditions=[], unknowns=problem.unknowns)
    unknown = (*asked, *(name for name in problem.unknown_functions if name not in asked))
    if not unknown:
        known = ", ".join(problem.parameters) or "none"
        raise ArgumentError(
            f'nothing is unknown: --unknown NAME names parameters ({known}), --functions "k(x)" adds functions'
        )
    for name, (low, high) in bounds.items():
        if low is not None and high is not None and low >= high:
            raise ArgumentError(f"--bounds: {name}={low:g}:{high:g} is empty, expected lower < upper")
        start = problem.parameters.get(name)
        if start is not None and not (low if low is not None else start) <= start <= (
            high if high is not None else start
        ):
            raise ArgumentError(
                f"--bounds: the search for {name} starts at {start:g}, which is outside; --set {name}=..."
            )
    wanted = unknowns_of(problem, unknown, bounds or None)
    columns = _mapping("--columns", [pair for pairs in arguments.get("columns", []) for pair in pairs])
    observations = observations_of(files, problem, columns or None)
    noise = _noise([pair for pairs in arguments.get("noise", []) for pair in pairs])
    noise_model = arguments.get("noise-model", "additive")
    sizes = noise_of(noise, dict.fromkeys(name for one in observations for name in one.values))
    check_data(wanted, observations, noise=sizes, noise_model=noise_model)
    return Request(
        problem=problem,
        unknown=unknown,
        observations=observations,
        noise=noise,
        noise_model=noise_model,
        bounds=bounds,
        without_conditions=without,
        seed=arguments.get("seed", SEED),
    )


def _once(option: str, names: Sequence[str]) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"{option} names {name!r} twice")
    return list(names)


def _mapping(option: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ArgumentError(f"{option}: {name!r} is given twice, {found[name]!r} and {value!r}")
        found[name] = value
    return found


def _bounds(pairs: Sequence[tuple[str, tuple[str, str]]]) -> dict[str, tuple[float | None, float | None]]:
    return {
        name: (_side(name, sides[0], "-inf"), _side(name, sides[1], "inf"))
        for name, sides in _mapping("--bounds", pairs).items()
    }


def _side(name: str, text: str, open_: str) -> float | None:
    return None if text in ("", open_, f"+{open_}") else number(f"--bounds: a bound of {name}", text, {})


def _start(bounds: tuple[float | None, float | None] | None) -> str:
    """Return where the search for a number without a declared value begins: within its bounds."""
    low, high = bounds or (None, None)
    if low is not None and high is not None:
        return repr(math.sqrt(low * high) if 0 < low < high else (low + high) / 2)
    if low is not None and low >= 1:
        return repr(low + abs(low))
    if high is not None and high <= 1:
        return repr(high - (abs(high) or 1.0))
    return START


def _noise(pairs: Sequence[tuple[str | None, float]]) -> float | dict[str, float] | None:
    if not pairs:
        return None
    if len(pairs) == 1 and pairs[0][0] is None:
        return pairs[0][1]
    named = [(name, size) for name, size in pairs if name is not None]
    if len(named) < len(pairs):
        raise ArgumentError("--noise: give one number for all, or one for each name: --noise u=0.01 v=0.02")
    return _mapping("--noise", named)


def identified(request: Request, method: str, arguments: Arguments, budget: float | None = None) -> Fit:
    """Run an identification with the options of the command line, showing progress.

    Parameters
    ----------
    method : "pinn" or "classical".
    budget : seconds, instead of those of the command line.
    """
    common: dict[str, Any] = {
        "noise": request.noise,
        "noise_model": request.noise_model,
        "bounds": dict(request.bounds) or None,
        "budget": arguments.get("budget", BUDGET) if budget is None else budget,
    }
    with Progress("network" if method == "pinn" else "classical") as progress:

        def show(report: Mapping[str, Any]) -> None:
            numbers = report.get("parameters") or {}
            shown = "".join(f"  {name} = {float(value):.5g}" for name, value in list(numbers.items())[:4])
            stage = str(report.get("stage") or ("network" if method == "pinn" else "classical"))
            progress({**report, "stage": f"{stage}{shown}"})

        data, unknown = list(request.observations), list(request.unknown)
        if method == "classical":
            from sciml import classical

            options = {"rtol": arguments.get("rtol")}
            return classical.identify(request.problem, data, unknown, progress=show, **common, **_given(options))
        from sciml import pinn

        if arguments.get("stages") is not None:
            from sciml.pinn.snapshots import snapshots_in

            moments = [time for times in arguments.get("times", []) for time in times]
            del common["noise_model"]
            options = {name: arguments.get(name) for name in ("tol", "network", "stages")}
            snapshots = snapshots_in(data, request.problem, moments or None)
            return pinn.identify_step(
                request.problem, snapshots, unknown, seed=request.seed, progress=show, **common, **_given(options)
            )
        options = {name: arguments.get(name) for name in ("tol", "device", "dtype", "iterations", "network", "start")}
        return pinn.identify(
            request.problem, data, unknown, seed=request.seed, progress=show, **common, **_given(options)
        )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def result(fit: Fit, request: Request, method: str) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    return {
        **fit.to_dict(),
        **_about(request, method),
        "solver": fit.method,
        "iterations": fit.details.get("iterations"),
    }


def failed(request: Request, method: str, message: str) -> dict[str, Any]:
    """Return what `--json` prints where there is no fit at all."""
    missing = ("parameters", "functions", "noise", "seconds", "solver", "iterations", "correlation", "undetermined")
    return {
        **dict.fromkeys(missing),
        **_about(request, method),
        "success": False,
        "status": "failed",
        "message": message,
    }


def _about(request: Request, method: str) -> dict[str, Any]:
    declared = request.problem.to_dict()
    return {
        "problem": title(request.problem),
        "equations": declared["equations"],
        "conditions": declared["conditions"],
        "method": method,
        "start": {name: request.problem.parameters[name] for name in request.unknown if name in declared["parameters"]},
        "bounds": {name: list(sides) for name, sides in request.bounds.items()},
        "noise_model": request.noise_model,
        "seed": request.seed,
        "versions": versions(),
    }


def write_report(
    fit: Fit, request: Request, method: str, directory: Path, command: Sequence[str], options: Mapping[str, Any]
) -> list[str]:
    """Write fit, history, figure and configuration; return the names of the files, or why one is missing."""
    from sciml.plotting import write_figure

    written: list[str] = []
    try:
        written.append(fit.save(directory / "fit.safetensors").name)
    except ScimlError as error:
        written.append(f"no fit file ({error})")
    lengths = {len(series) for series in fit.history.values()}
    if len(lengths) == 1 and lengths != {0}:
        written.append(write_csv(fit.history, directory / "history.csv").name)
    try:
        figure = fit.plot()
        written += [write_figure(figure, directory / f"figure.{suffix}").name for suffix in ("png", "pdf")]
    except ScimlError as error:
        written.append(f"no figure ({error})")
    config = {
        "command": list(command),
        "options": {name: value for name, value in options.items() if name != "json"},
        "problem": request.problem.to_dict(),
        "result": result(fit, request, method),
        "platform": platform.platform(),
    }
    return [*written, write_json(config, directory / "config.json").name]
