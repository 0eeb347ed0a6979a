r"""What training left over, by least squares: a wide layer of random features on top of the trained hidden layers.

Training bends the hidden layers h(x) of a network to the layers, fronts and waves of the solution. Once they are, a
correction :math:`\sum_j a_j\sin(w_j\cdot h(x) + b_j)` with w and b drawn once is linear in its coefficients a, and
Gauss-Newton steps for them are least-squares problems of a few hundred columns, solved to rounding. Where the solution
is smooth on the scale of the trained features this gains several digits in the time of a few training steps; at a
sharp front, a factor. It is the idea of random features and extreme learning machines (S. Dong and Z. Li,
doi:10.1016/j.cma.2021.114129) on features that are not random any more.

The same least squares carries an error from window to window: e solves the equation linearised about the solution,
L e = 0, from what it was at the start of the window, so that a chain of windows knows what an unstable equation makes
of its earlier errors.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from sciml.network import MLP, Sum
from sciml.network.activations import Sine
from sciml.network.mlp import Layer
from sciml.notation import Partial
from sciml.pinn.ansatz import Trace
from sciml.pinn.collocation import Sampler
from sciml.pinn.objective import ForwardObjective
from sciml.pinn.piece import Piece
from sciml.pinn.progress import values_of
from sciml.pinn.random_features import least_squares, stacked
from sciml.pinn.residual import Field
from sciml.pinn.waves import TERMS as WAVE_TERMS
from sciml.pinn.window import JET_WORK, Window
from sciml.training import Evaluation

__all__ = ["Polished", "can_be_polished", "carried", "polished", "wide_layer"]

# Points for each column of the least-squares problem; more where fewer let the residual grow between them.
POINTS, MOST_POINTS, MOST_ROWS = 6, 12, 9600
OVERFITTED = 3.0
NEWTON_STEPS = 3
# An estimate needs two digits, and no large coefficients.
CARRYING_RIDGE = 1e-6
CARRIED = 1.0
HELPFUL = 0.7
# Of waves (`sciml.pinn.waves`): sines of the time and their largest wave number; the part of the sines for each order.
TIMED, TIMED_SCALE = 16, 6.0
RIDING = 3
PAYING = 0.1
FRESH = 2048


@final
@dataclass(frozen=True)
class Polished:
    """A corrected state.

    Attributes
    ----------
    piece : the trained network and its correction.
    before : the loss on fresh points without the correction.
    evaluation : with it, on the same points.
    columns : coefficients of the correction.
    points : rows of the last least-squares problem.
    seconds : what it took.
    work : multiplications, about, as of a window.
    """

    piece: Piece
    before: float
    evaluation: Evaluation
    columns: int
    points: int
    seconds: float
    work: float

    @property
    def loss(self) -> float:
        """The loss on fresh points."""
        return self.evaluation.loss

    @property
    def helps(self) -> bool:
        """Whether the loss is clearly smaller, and not by the choice of points."""
        return self.loss < HELPFUL * self.before

    @property
    def pays(self) -> bool:
        """Whether more columns are likely to help more."""
        return self.loss < PAYING * self.before

    @property
    def correction(self) -> MLP:
        """The network of the correction alone; it carries no waves."""
        return self.parts[1]

    @property
    def parts(self) -> list[MLP]:
        """The trained network and the correction."""
        assert isinstance(self.piece.network, Sum)
        return list(self.piece.network)


def can_be_polished(network: nn.Module) -> bool:
    """Whether the network has hidden layers to build on, and the precision for least squares."""
    return isinstance(network, MLP) and len(network.layers) > 1 and network.layers[0].weight.dtype == torch.float64


def polished(piece: Piece, like: ForwardObjective, columns: int, generator: torch.Generator) -> Polished:
    """Return the state with its correction of `columns` coefficients.

    Parameters
    ----------
    piece : its network is an MLP, which is copied.
    like : an objective whose scales are taken.
    """
    start = time.perf_counter()
    trained = deepcopy(piece.network)
    assert isinstance(trained, MLP)
    trained.requires_grad_(False)
    count = max(columns // trained.outputs, 1)
    parts, offsets = [trained, wide_layer(piece, count, generator)], [0, 0]
    ansatz = piece.ansatz.with_waves
    if ansatz.carrying:
        parts += _multipliers(piece, count, generator)
        offsets += _offsets(parts[2:], trained.outputs)
    result = Piece(ansatz, Sum(parts, offsets))
    objective = _objective(result, like)
    columns = len(objective.parameters())
    fresh = _objective(result, like)
    fresh.draw(FRESH)
    before = fresh.evaluate().loss
    best, best_state = fresh.evaluate(), objective.parameters()
    # The waves' columns are many and alike in all equations, which makes the rows.
    rows = POINTS * columns // (len(ansatz.residuals) if ansatz.carrying else 1)
    work = 0.0
    for _ in range(NEWTON_STEPS):
        objective.draw(rows)
        objective.resample(count=rows)
        theta = objective.parameters()
        work += rows * columns * (2 * columns + JET_WORK)
        matrix, vector = stacked(objective)
        if not bool(torch.isfinite(matrix).all() and torch.isfinite(vector).all()):
            break
        # Solved for the coefficients themselves: the ridge then bounds them, not only the last step.
        found = -least_squares(matrix, vector - matrix @ theta)
        predicted = float((vector + matrix @ (found - theta)).square().sum())
        objective.load(found)
        evaluation = fresh.evaluate()
        loss, improved = evaluation.loss, evaluation.loss < best.loss
        if improved:
            best, best_state = evaluation, found
        close = OVERFITTED * predicted
        if improved and loss <= close:
            break
        if not improved or objective.evaluate().loss <= close:
            # Small at the points and not between them; otherwise the equation is not linear, and is linearised again.
            objective.load(best_state)
            rows *= 2
            if rows > max(MOST_POINTS * columns, MOST_ROWS):
                break
    objective.load(best_state)
    return Polished(result, before, best, columns, objective.size, time.perf_counter() - start, work)


def _multipliers(piece: Piece, count: int, generator: torch.Generator) -> list[MLP]:
    """Networks for what multiplies the waves: of time alone where the waves are not integrated, else sines as wide.

    The leading multiplier cannot depend on the place: every short wave passes every place.
    """
    each = len(piece.ansatz.fields) ** 2
    time = timed_layer(piece, TIMED, each, generator)
    return [time, *(wide_layer(piece, max(count // RIDING, 1), generator, each) for _ in range(WAVE_TERMS - 1))]


def _offsets(parts: Sequence[MLP], start: int) -> list[int]:
    """Where the outputs of parts lie that follow each other."""
    return list(itertools.accumulate((part.outputs for part in parts[:-1]), initial=start))


def timed_layer(piece: Piece, count: int, outputs: int, generator: torch.Generator) -> MLP:
    """A network of one hidden layer of `count` random sines of the time alone; its output is zero."""
    problem, like = piece.ansatz.problem, next(piece.network.parameters())
    assert problem.time is not None
    before = sum(len(group) for group in piece.ansatz.features[: problem.domain.index(problem.time)])
    inputs = len(piece.ansatz.inputs)
    network = MLP(
        inputs,
        outputs,
        count,
        1,
        "sin",
        lower=[-1.0] * inputs,
        upper=[1.0] * inputs,
        generator=generator,
        dtype=like.dtype,
        device=like.device,
    )
    network.requires_grad_(False)
    hidden, last = network.layers
    assert isinstance(hidden, Layer)
    assert isinstance(last, Layer)
    weight = TIMED_SCALE * (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1).to(like)
    place = (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1).to(like)
    hidden.weight.zero_()
    hidden.weight[:, before] = weight
    hidden.bias.copy_(-weight * place)
    last.weight.zero_()
    last.bias.zero_()
    last.requires_grad_(True)
    return network


def carried(piece: Piece, window: Window, error: Trace, columns: int, generator: torch.Generator) -> MLP:
    """Return the network N of an error e = `error` + s*d*N that solves the equation linearised about a solution.

    Parameters
    ----------
    piece : the solution.
    window : with the trained part of its network.
    error : e at the start of the window.
    """
    ansatz, former = piece.ansatz, piece.ansatz.trace
    trained = window.piece.network
    assert isinstance(trained, MLP)
    wide = wide_layer(Piece(ansatz, trained), max(columns // trained.outputs, 1), generator)
    frozen = deepcopy(piece.network).requires_grad_(False)
    assert isinstance(frozen, (MLP, Sum))
    both = Sum([*(frozen if isinstance(frozen, Sum) else [frozen]), wide])

    def moved(partials: Sequence[Partial], points: Tensor) -> Tensor:
        own = error(partials, points)
        return own if former is None else own + former(partials, points)

    still = _objective(Piece(ansatz, both), window.objective)
    shifted = _objective(Piece(replace(ansatz, trace=moved), both), window.objective)
    still.draw(2 * POINTS * len(still.parameters()))
    shifted.take_points(still)
    matrix, before = stacked(still)
    _, after = stacked(shifted)
    found = -least_squares(matrix, after - before, CARRYING_RIDGE)
    # What the features cannot follow acts as a source all through the window. Where that would be more than the error
    # itself it is left as it was: too long, if the equation would damp it.
    rest = float((after - before + matrix @ found).norm()) * still.largest_scale * window.length
    if rest < CARRIED * _size(error, piece, still.sampler):
        still.load(found)
    return wide


def _size(error: Trace, piece: Piece, sampler: Sampler) -> float:
    """Root mean square of an error at the start of a window."""
    problem = piece.ansatz.problem
    assert problem.time is not None
    points = sampler.place({problem.time: problem.domain.interval(problem.time)[0]}, 256)
    return float(error(values_of(piece.ansatz), points).square().sum(0).mean().sqrt())


def _objective(piece: Piece, like: ForwardObjective) -> ForwardObjective:
    sampler = Sampler(
        piece.ansatz.problem.domain, like.sampler.generator, like.sampler.lower.dtype, like.sampler.lower.device
    )
    objective = ForwardObjective(piece.ansatz, piece.network, sampler)
    objective.take_scales(like)
    return objective


def wide_layer(piece: Piece, count: int, generator: torch.Generator, outputs: int | None = None) -> MLP:
    """A network whose hidden layers are those of the piece and one more of `count` random sines; its output is zero.

    The weights of a unit are uniform and relative to the spread of each hidden unit over the window; its centre is the
    hidden state of a random point.
    """
    old = piece.network
    assert isinstance(old, MLP)
    like = old.layers[0].weight
    assert isinstance(like, Tensor)
    hidden = [layer for layer in old.layers if isinstance(layer, Layer) and layer.function is not None]
    functions = [layer.function for layer in hidden if layer.function is not None]
    widths = [*(len(layer.bias) for layer in hidden), count]
    description = {**old.description(), "activation": [f.name for f in (*functions, Sine())], "widths": widths}
    description["outputs"] = old.outputs if outputs is None else outputs
    network = MLP.from_description(description, device=like.device)
    state = _features(piece, 1000, generator)
    for new, layer in zip(network.layers, hidden, strict=False):
        new.load_state_dict(layer.state_dict())
        with torch.no_grad():
            state = layer(state)
    *_, added, last = network.layers
    assert isinstance(added, Layer)
    assert isinstance(last, Layer)
    width = state.shape[1]
    spread = state.std(0)
    spread = spread.clamp_min(1e-9 * float(spread.max()) + torch.finfo(like.dtype).tiny)
    uniform = 2 * torch.rand(count, width, generator=generator, dtype=torch.float64) - 1
    chosen = torch.randint(len(state), (count,), generator=generator)
    weight = uniform.to(like) / spread * math.sqrt(2 / width)
    network.requires_grad_(False)
    added.weight.copy_(weight)
    added.bias.copy_(-(weight * state[chosen.to(like.device)]).sum(1))
    last.weight.zero_()
    last.bias.zero_()
    last.requires_grad_(True)
    return network


def _features(piece: Piece, count: int, generator: torch.Generator) -> Tensor:
    """The network's inputs at points of the window."""
    like = next(piece.network.parameters())
    sampler = Sampler(piece.ansatz.problem.domain, generator, like.dtype, like.device)
    return Field(piece.ansatz, values_of(piece.ansatz)).block(sampler.interior(count)).inputs[0]
