"""The last step of an identification: least squares on trained layers for state, unknowns, noise and uncertainty.

The hidden layers of each state network are kept and a wide layer of random sines is put on top of them
(`sciml.pinn.polish`); its coefficients and the unknown quantities then minimise

    sum (state - data)^2 / sigma^2 + N mean(residual^2) / epsilon^2 + prior

by Gauss-Newton. The problem is nearly linear, so its normal matrix gives the covariance. sigma is the likeliest noise;
epsilon balances what looser equations leave open against the residual that the networks cannot avoid
(`sciml.pinn.evidence`). Sizes of functions are those of largest evidence (D. J. C. MacKay,
doi:10.1162/neco.1992.4.3.415).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.network import MLP, Sum
from sciml.pinn.evidence import LinearSystem, best_choice
from sciml.pinn.experiment import Experiment
from sciml.pinn.inverse_objective import InverseObjective
from sciml.pinn.piece import Piece
from sciml.pinn.polish import wide_layer
from sciml.pinn.quantities import Quantities, UnknownFunction
from sciml.training import Evaluation

__all__ = ["Identified", "identified"]

ROUNDS = 8
# Rows of the equations a column may grow by this.
MOST_GROWTH = 3
FRESH = 2048
LEAST_PART = 1e-3
# Sizes of functions that differ by less count as equal; none changes by more at once.
SAME_SIZE, LARGEST_RATIO = 1.2, 10.0
# Quantities that move less than this part of themselves have settled.
SAME = 1e-9


@final
@dataclass(frozen=True)
class Identified:
    """A state with its quantities and their covariance.

    Attributes
    ----------
    objective : with the networks, the quantities, the noise and the tightness found.
    theta : the quantities [Q].
    covariance : of the quantities with what the equations' residual may add to it, [Q, Q].
    freedom : data less what was determined by them.
    evaluation : losses, of the equations on fresh points.
    equations : mean square of the equations' relative residuals on fresh points.
    settled : whether Gauss-Newton came to rest.
    columns, rows : of the last least-squares problem.
    seconds : what it took.
    """

    objective: InverseObjective
    theta: Tensor
    covariance: Tensor
    freedom: float
    evaluation: Evaluation
    equations: float
    settled: bool
    columns: int
    rows: int
    seconds: float


def identified(
    objective: InverseObjective,
    data: Sequence[Experiment],
    columns: int,
    noise: Mapping[str, float] | None,
    generator: torch.Generator,
    budget: float | None = None,
    points: int = 8,
    rounds: int = ROUNDS,
    settling: float = 0.03,
) -> Identified | None:
    """Return the state corrected with `columns` coefficients for each network, or None if that fails.

    Parameters
    ----------
    objective : with trained MLPs, which are copied.
    data : the experiments with all their data.
    noise : standard deviations where they are known.
    budget : seconds after which no further round is begun.
    points : of the equations for each coefficient, at first.
    rounds : of Gauss-Newton, each with other points, at most.
    settling : quantities that move less than this part of their standard error have settled.
    """
    start = time.perf_counter()
    experiments = []
    for experiment, whole in zip(objective.experiments, data, strict=True):
        trained = deepcopy(experiment.network)
        assert isinstance(trained, MLP)
        trained.requires_grad_(False)
        piece = Piece(experiment.ansatz, trained)
        wide = wide_layer(piece, max(columns // trained.outputs, 1), generator)
        corrected = experiment.with_network(Sum([trained, wide]))
        corrected.measured = whole.measured
        experiments.append(corrected)
    quantities = _copied(objective.quantities)
    sizes = _sizes(objective)
    target = InverseObjective(experiments, quantities, dict(sizes), 1.0, objective.multiplicative)
    count = len(target.parameters())
    rows = points * count // len(experiments)
    most_rows = MOST_GROWTH * rows
    settled, covariance, freedom, bias = False, None, float(target.data), 0.0
    for number in range(rounds):
        target.draw(rows)
        target.resample(count=rows)
        theta = target.parameters()
        target.sigma, target.tightness = dict(sizes), 1.0
        system = LinearSystem.of(target)
        if system is None:
            return None
        choice = best_choice(system, theta, sizes, noise)
        covariance, freedom, bias = choice.covariance, choice.freedom, choice.bias
        target.sigma, target.tightness = choice.sigma, choice.tightness
        part = _descended(target, theta, choice.theta)
        evaluation = target.evaluation(target.fresh(count=FRESH))
        if not evaluation.finite or part == 0:
            break
        fresh, inside = target.equation_loss(evaluation.terms), target.equation_loss(target.evaluate().terms)
        if fresh > 4 * inside and rows < most_rows:
            rows *= 2
            if budget is None or 3 * (time.perf_counter() - start) < budget:
                continue
            break
        moved = (choice.theta - theta)[-quantities.count :]
        spread = covariance.diagonal().clamp_min(0).sqrt()
        size = choice.theta[-quantities.count :].abs()
        settled = number > 0 and part == 1 and bool((moved.abs() <= settling * spread + SAME * size).all())
        late = budget is not None and (time.perf_counter() - start) * (number + 2) / (number + 1) > budget
        # The last round's covariance belongs to the last sizes.
        resized = part == 1 and not late and number + 1 < rounds and _resized(quantities, covariance)
        if late or (settled and not resized):
            break
    evaluation = target.evaluation(target.fresh(count=FRESH))
    assert covariance is not None
    return Identified(
        target,
        quantities.parameters(),
        (1 + bias) * covariance,
        freedom,
        evaluation,
        target.equation_loss(evaluation.terms),
        settled,
        count,
        rows,
        time.perf_counter() - start,
    )


def _descended(objective: InverseObjective, theta: Tensor, found: Tensor) -> float:
    """Go from theta towards the minimum of the linearised problem as far as the loss falls; return the part gone."""
    objective.load(theta)
    before, part = objective.evaluate().loss, 1.0
    while part > LEAST_PART:
        objective.load(theta + part * (found - theta))
        loss = objective.evaluate().loss
        if loss <= before * (1 + 1e-9):
            return part
        part /= 2
    objective.load(theta)
    return 0.0


def _resized(quantities: Quantities, covariance: Tensor) -> bool:
    """Give each unknown function the size that its coefficients suggest; return whether one has changed.

    With K coefficients w of unit prior variance, of which the data determine gamma = K - tr cov(w), the size of largest
    evidence is |w| / sqrt(gamma) times the present one.
    """
    changed = False
    for name, place in quantities.places().items():
        f = quantities.functions[name]
        weights = f.weights
        count = len(weights)
        spread = count * covariance.diagonal()[place.start : place.start + count].sum()
        determined = max(count - float(spread), 0.5)
        ratio = min(max(math.sqrt(float(weights.square().sum()) / determined), 1 / LARGEST_RATIO), LARGEST_RATIO)
        if not 1 / SAME_SIZE < ratio < SAME_SIZE:
            f.factor *= ratio
            with torch.no_grad():
                for p in f.trained:
                    p /= ratio
            changed = True
    return changed


def _copied(quantities: Quantities) -> Quantities:
    functions = {
        name: UnknownFunction(f.name, f.arguments, deepcopy(f.network), f.offset, f.factor)
        for name, f in quantities.functions.items()
    }
    return Quantities(quantities.ranges, quantities.z, functions)


def _sizes(objective: InverseObjective) -> dict[str, float]:
    """The largest size of what was measured, by observed name."""
    found: dict[str, float] = {}
    for experiment in objective.experiments:
        for measured in experiment.measured:
            for key, row in zip(measured.keys, measured.values, strict=True):
                size = 1.0 if objective.multiplicative else float(row.abs().max())
                found[key] = max(found.get(key, 0.0), size or 1.0)
    return found
