"""From a declaration and data to the experiments of an identification: ansatz, network, data at points, unknowns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from sympy.core.function import AppliedUndef

from sciml.network import MLP
from sciml.observations import Observations
from sciml.pinn.ansatz import build_ansatz
from sciml.pinn.collocation import Sampler
from sciml.pinn.course import Course, identification_plan
from sciml.pinn.experiment import Experiment, Measured
from sciml.pinn.plan import Plan
from sciml.pinn.quantities import Quantities, UnknownFunction, function_network
from sciml.pinn.residual import Field
from sciml.pinn.variation import stretched, wavenumbers
from sciml.problem import Problem
from sciml.unknowns import Unknowns

__all__ = ["Setup", "prepared"]

# An unknown function of an unknown is looked for a little beyond the measured values.
BEYOND = 0.05
# Fewer values tell little of how fast they vary.
FEWEST = 100


@final
@dataclass(frozen=True)
class Setup:
    """Everything that a search starts from.

    Attributes
    ----------
    problems, observations : of each experiment.
    unknowns : what is asked for.
    experiments, quantities : with initial networks and values.
    options : the keywords of `build_ansatz` for each experiment.
    plan, course : network, points and schedule.
    multiplicative : the model of the noise.
    sizes : standard deviation of the data (1 for logarithms) by observed name.
    """

    problems: tuple[Problem, ...]
    observations: tuple[Observations, ...]
    unknowns: Unknowns
    experiments: tuple[Experiment, ...]
    quantities: Quantities
    options: tuple[dict[str, Any], ...]
    plan: Plan
    course: Course
    multiplicative: bool
    sizes: dict[str, float]
    generator: torch.Generator


def prepared(
    problems: Sequence[Problem],
    observations: Sequence[Observations],
    unknowns: Unknowns,
    multiplicative: bool,
    generator: torch.Generator,
    dtype: torch.dtype,
    device: torch.device,
    network: str | None,
) -> Setup:
    """Build the experiments."""
    like = torch.zeros(1, dtype=dtype, device=device)
    plan, course = identification_plan(problems[0], network)
    z = like.new_tensor([r.inverse(problems[0].parameters.get(n, r.center)) for n, r in unknowns.ranges.items()])
    for k, (name, own) in enumerate(unknowns.ranges.items()):
        holder = next((p for p in problems if name in p.parameters), problems[0])
        z[k] = own.inverse(holder.parameters[name])
    functions = {name: _function(name, problems, observations, generator, like) for name in unknowns.functions}
    quantities = Quantities(unknowns.ranges, z, functions)
    experiments, options = [], []
    for number, (problem, own) in enumerate(zip(problems, observations, strict=True)):
        keywords = {
            "harmonics": plan.harmonics,
            "softened": sorted(c.name for c in problem.conditions if _mentions(c.expression, unknowns)),
            "levels": _levels(problem, own),
        }
        ansatz = build_ansatz(problem, **keywords)
        if ansatz.layers:
            # A layer's width depends on what may be unknown.
            initial = (c.name for c in ansatz.hard if c.kind == "initial")
            keywords["softened"] = sorted({*keywords["softened"], *initial})
            ansatz = build_ansatz(problem, **keywords)
        inputs, outputs = len(ansatz.inputs), len(ansatz.fields)
        net = MLP(
            inputs, outputs, plan.width, plan.depth, plan.activation,
            lower=[-1.0] * inputs, upper=[1.0] * inputs, generator=generator, dtype=dtype, device=device,
        )  # fmt: skip
        label = f"[{number + 1}] " if len(problems) > 1 else ""
        sampler = Sampler(problem.domain, generator, dtype, device)
        experiment = Experiment(problem, ansatz, net, sampler, quantities, label)
        experiment.measured = _measured(experiment, own, like)
        if course.stretched:
            stretched(net, _varying(experiment, own, multiplicative, generator), generator)
        experiments.append(experiment)
        options.append(keywords)
    sizes: dict[str, list[np.ndarray]] = {}
    for own in observations:
        for name, values in own.values.items():
            sizes.setdefault(name, []).append(values[np.isfinite(values)])
    spread = {name: 1.0 if multiplicative else _spread(np.concatenate(parts)) for name, parts in sizes.items()}
    return Setup(
        tuple(problems), tuple(observations), unknowns, tuple(experiments), quantities, tuple(options), plan,
        course, multiplicative, spread, generator,
    )  # fmt: skip


def _spread(values: np.ndarray) -> float:
    spread = float(values.std())
    return spread or float(abs(values).max()) or 1.0


def _mentions(expression: Any, unknowns: Unknowns) -> bool:
    names = {str(s) for s in expression.free_symbols} | {str(f.func) for f in expression.atoms(AppliedUndef)}
    return bool(names & set(unknowns.names))


def _levels(problem: Problem, own: Observations) -> dict[str, list[float]]:
    """Mean and spread of what was measured of the unknowns themselves."""
    found = {}
    for name in problem.unknowns:
        if name in own.values:
            values = own.values[name][np.isfinite(own.values[name])]
            if len(values):
                found[name] = [float(values.mean()), _spread(values)]
    return found


def _measured(experiment: Experiment, own: Observations, like: torch.Tensor) -> list[Measured]:
    """Group the names that were measured at the same points."""
    groups: dict[bytes, list[str]] = {}
    for name, values in own.values.items():
        groups.setdefault(np.isfinite(values).tobytes(), []).append(name)
    found = []
    for names in groups.values():
        there = np.isfinite(own.values[names[0]])
        if not there.any():
            continue
        partials = [experiment.problem.vocabulary.parse_partial(name) for name in names]
        field = Field(experiment.ansatz, partials)
        points = torch.as_tensor(own.points[there], dtype=like.dtype, device=like.device)
        values = torch.as_tensor(np.stack([own.values[name][there] for name in names])).to(like)
        terms = [f"{experiment.label}data {name}" for name in names]
        block = field.block(points)
        found.append(Measured(partials, terms, names, field, block, values))
    return found


def _varying(
    experiment: Experiment, own: Observations, multiplicative: bool, generator: torch.Generator
) -> torch.Tensor:
    """Wavenumbers of the data along the network's inputs; 0 for those that are not coordinates themselves."""
    box, features = experiment.problem.domain, experiment.ansatz.features
    found = torch.zeros(box.dimension, dtype=torch.float64)
    for values in own.values.values():
        there = np.isfinite(values)
        if there.sum() >= FEWEST:
            places = 2 * (own.points[there] - np.asarray(box.lower)) / np.asarray(box.lengths) - 1
            sizes = np.log(values[there]) if multiplicative else values[there]
            measured = torch.as_tensor(sizes, dtype=torch.float64)[None]
            found = torch.maximum(found, wavenumbers(torch.as_tensor(places), measured, generator))
    parts = [found[i : i + 1] if len(group) == 1 else found.new_zeros(len(group)) for i, group in enumerate(features)]
    return torch.cat([*parts, found.new_zeros(len(experiment.ansatz.layers))])


def _function(
    name: str,
    problems: Sequence[Problem],
    observations: Sequence[Observations],
    generator: torch.Generator,
    like: torch.Tensor,
) -> UnknownFunction:
    """An unknown function on the range of its arguments."""
    holder = next(p for p in problems if name in p.unknown_functions)
    arguments = holder.unknown_functions[name]
    lower, upper = [], []
    for argument in arguments:
        if argument in holder.coordinates:
            ends = [p.domain.interval(argument) for p in problems]
            low, high = min(e[0] for e in ends), max(e[1] for e in ends)
        else:
            values = np.concatenate([o.values[argument] for o in observations if argument in o.values] or [np.zeros(1)])
            values = values[np.isfinite(values)]
            low, high = float(values.min()), float(values.max())
            low, high = low - BEYOND * (high - low or 1.0), high + BEYOND * (high - low or 1.0)
        lower.append(low)
        upper.append(high)
    return UnknownFunction(name, tuple(arguments), function_network(lower, upper, generator, like), 0.0, 1.0)
