"""Fits as files: everything that was identified, the states, the data, and what a solver needs to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.containers import Container, join_complex, split_complex
from sciml.errors import ArgumentError, FileFormatError
from sciml.inference import Estimate
from sciml.observations import Observations
from sciml.storage import contents_of, packed, plain, plain_details, restored_problem, same_problem, unpacked

if TYPE_CHECKING:
    from sciml.fit import Fit, FunctionEstimate
    from sciml.problem import Problem

__all__ = ["load", "save"]

FILE = Container("fit", 1, "Fit.save", "identify once more")

Arrays = dict[str, np.ndarray]


def save(fit: Fit, path: str | Path) -> Path:
    """Write a fit to one file.

    Parameters
    ----------
    fit : Fit
    path : a file (the suffix `.safetensors` is added where it is missing), or an existing directory, which then gets
        `fit.safetensors`. Missing parent directories are made.

    Returns
    -------
    Path : the file. It appears whole or not at all.

    Raises
    ------
    ArgumentError : a state or an unknown function is of a kind that no file can hold, or the path cannot be written.
    """
    arrays: Arrays = {
        "parameters": np.array([[e.value, e.standard_error, *e.interval] for e in fit.parameters.values()]).reshape(
            -1, 4
        ),
        "correlation": np.asarray(fit.correlation, dtype=np.float64),
        "covariance": np.asarray(fit.covariance, dtype=np.float64),
        "noise": np.array(list(fit.noise.values()), dtype=np.float64),
    }
    state, complex_names = split_complex(fit.state)
    arrays |= _under("state", state)
    arrays |= _under("history", fit.history)
    solutions = []
    for number, solution in enumerate(fit.solutions):
        document, parts = packed(solution)
        solutions.append(document)
        arrays |= _under(f"solution {number}", parts)
    for number, one in enumerate(fit.observations):
        arrays |= _under(f"data {number}", {"points": one.points, **{f"value/{k}": v for k, v in one.values.items()}})
    for number, residuals in enumerate(fit.residuals):
        arrays |= _under(f"residual {number}", residuals)
    functions = []
    for number, (name, function) in enumerate(fit.functions.items()):
        document, parts = _packed_function(function)
        functions.append({"of": name, **document})
        arrays |= _under(f"function {number}", parts)
    document = {
        "problem": fit.problem.to_dict(),
        "parameters": list(fit.parameters),
        "functions": functions,
        "solutions": solutions,
        "observations": [{"source": one.source, "values": list(one.values)} for one in fit.observations],
        "residuals": [list(residuals) for residuals in fit.residuals],
        "noise": list(fit.noise),
        "noise_given": bool(fit.noise_given),
        "noise_model": fit.noise_model,
        "freedom": float(fit.freedom),
        "undetermined": plain(list(fit.undetermined)),
        "method": fit.method,
        "status": fit.status.value,
        "message": fit.message,
        "wall_time": float(fit.wall_time),
        "history": list(fit.history),
        "details": plain_details(fit.details),
        "state": list(fit.state),
        "complex": complex_names,
    }
    return FILE.write(path, document, arrays)


def load(path: str | Path, problem: Problem | Sequence[Problem] | None = None) -> Fit:
    """Read a fit that `save` wrote; parameters, functions, states and `state` are bit-identical.

    Parameters
    ----------
    path : the file, or the directory that holds `fit.safetensors`.
    problem : attached instead of the one in the file, with the identified values; one for each experiment where they
        differ. Needed only where the problem holds functions of Python in its equations or conditions.

    Raises
    ------
    FileFormatError : the file does not exist, is damaged, cut off, or no fit, or `problem` does not belong to it.
    """
    from sciml.fit import Fit
    from sciml.status import Status

    target = FILE.existing(path)
    document, arrays = FILE.read(target)
    with contents_of(target, FILE):
        problems = _problems(document, problem, target)
        numbers = dict(zip(document["parameters"], arrays["parameters"].tolist(), strict=True))
        solutions = [
            unpacked(saved, _below(f"solution {k}", arrays), own)
            for k, (saved, own) in enumerate(zip(document["solutions"], problems[1:], strict=True))
        ]
        return Fit(
            problems[0],
            parameters={
                name: Estimate(value, error, (low, high)) for name, (value, error, low, high) in numbers.items()
            },
            functions={
                one["of"]: _unpacked_function(one, _below(f"function {k}", arrays))
                for k, one in enumerate(document["functions"])
            },
            solutions=tuple(solutions),
            observations=tuple(
                Observations(part["points"], {name: part[f"value/{name}"] for name in one["values"]}, one["source"])
                for one, part in ((one, _below(f"data {k}", arrays)) for k, one in enumerate(document["observations"]))
            ),
            residuals=tuple(
                {name: arrays[f"residual {k}/{name}"] for name in names}
                for k, names in enumerate(document["residuals"])
            ),
            noise=dict(zip(document["noise"], arrays["noise"].tolist(), strict=True)),
            noise_given=document["noise_given"],
            noise_model=document["noise_model"],
            correlation=arrays["correlation"],
            covariance=arrays["covariance"],
            freedom=document["freedom"],
            undetermined=document["undetermined"],
            method=document["method"],
            status=Status(document["status"]),
            message=document["message"],
            wall_time=document["wall_time"],
            history={name: arrays[f"history/{name}"] for name in document["history"]},
            details=document["details"],
            state=join_complex({name: arrays[f"state/{name}"] for name in document["state"]}, document["complex"]),
        )


def _problems(document: Mapping[str, Any], given: Problem | Sequence[Problem] | None, target: Path) -> list[Problem]:
    """Return the problem of the fit and that of each experiment; those that say the same are one object."""
    saved = [document["problem"], *(one["problem"] for one in document["solutions"])]
    if given is not None:
        several: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given] * max(len(saved) - 1, 1)
        if len(several) != max(len(saved) - 1, 1):
            raise FileFormatError(
                f"{target} holds {len(saved) - 1} experiments, but {len(several)} problems were given"
            )
        return [_identified(one, own, target) for one, own in zip([several[0], *several], saved, strict=False)]
    found: list[Problem] = []
    for number, one in enumerate(saved):
        same = next((k for k in range(number) if saved[k] == one), None)
        made = restored_problem(one, needed="functions", reader="load_fit") if same is None else found[same]
        found.append(made)
    return found


def _identified(problem: Problem, saved: Mapping[str, Any], target: Path) -> Problem:
    """Return a given problem with the values that were identified."""
    values = {name: value for name, value in saved["parameters"].items() if name in problem.parameters}
    changed = problem.replace(**values) if values != dict(problem.parameters) else problem
    if not same_problem(changed, saved):
        raise FileFormatError(f"{target} holds the fit of another problem than the one given")
    return changed


def _packed_function(function: FunctionEstimate) -> tuple[dict[str, Any], Arrays]:
    """Return an identified function; which parameters are trained belongs to it, as its covariance is of those."""
    network = function.network
    if not hasattr(network, "description"):
        kind = type(network).__name__
        raise ArgumentError(f"the function {function.name}: only an MLP or a sum of them can be saved, not {kind}")
    arrays = {f"network/{name}": value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    if function.covariance is not None:
        arrays["covariance"] = np.asarray(function.covariance, dtype=np.float64)
    return {
        "name": function.name,
        "arguments": list(function.arguments),
        "lower": [float(side) for side in function.lower],
        "upper": [float(side) for side in function.upper],
        "offset": float(function.offset),
        "factor": float(function.factor),
        "quantile": float(function.quantile),
        "network": network.description(),
        "trained": [name for name, parameter in network.named_parameters() if parameter.requires_grad],
    }, arrays


def _unpacked_function(saved: Mapping[str, Any], own: Arrays) -> FunctionEstimate:
    import torch

    from sciml.fit import FunctionEstimate
    from sciml.network import network_from_description

    network: Any = network_from_description(saved["network"])
    state = {name.removeprefix("network/"): a for name, a in own.items() if name.startswith("network/")}
    network.load_state_dict({name: torch.as_tensor(np.array(array)) for name, array in state.items()})
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in saved["trained"])
    return FunctionEstimate(
        saved["name"],
        tuple(saved["arguments"]),
        tuple(saved["lower"]),
        tuple(saved["upper"]),
        network,
        saved["offset"],
        saved["factor"],
        own.get("covariance"),
        saved["quantile"],
    )


def _under(place: str, arrays: Mapping[str, Any]) -> Arrays:
    return {f"{place}/{name}": np.asarray(array) for name, array in arrays.items()}


def _below(place: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {name.removeprefix(f"{place}/"): array for name, array in arrays.items() if name.startswith(f"{place}/")}
