"""From a stream function to a solution: the pressure by least squares, and the evaluator of velocities and pressure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from sciml.network import MLP, network_from_description
from sciml.network.mlp import Layer
from sciml.notation import Partial
from sciml.pinn.collocation import Sampler
from sciml.pinn.evaluator import NetworkEvaluator
from sciml.pinn.piece import Piece
from sciml.pinn.random_features import least_squares, random_network
from sciml.pinn.residual import ResidualGroup, residual_group
from sciml.pinn.streamfunction import Stream, stream_function
from sciml.problem import Problem
from sciml.solution import Evaluator

__all__ = ["FlowEvaluator", "evaluator_of"]

FEATURES = 300
POINTS = 1000
SCALES = (2.0, 4.0, 8.0)


@final
class FlowEvaluator(Evaluator):
    """Velocities from the network of a stream function, the pressure from a network of its own.

    Parameters
    ----------
    velocity : evaluator of the velocities.
    pressure : its network under its ansatz.
    """

    kind: ClassVar[str] = "flow"

    def __init__(self, velocity: NetworkEvaluator, pressure: Piece) -> None:
        self.velocity = velocity
        self.pressure = pressure

    def evaluate(self, partials: Sequence[Partial], points: np.ndarray) -> np.ndarray:
        """Return the partials [len(partials), N] at points [N, 2]."""
        result = np.empty((len(partials), len(points)))
        (name,) = self.pressure.ansatz.represented
        rows = [[k for k, p in enumerate(partials) if (p.unknown == name) is asked] for asked in (False, True)]
        for kept, evaluator in zip(rows, (self.velocity, NetworkEvaluator([self.pressure], {})), strict=True):
            if kept:
                result[kept] = evaluator.evaluate([partials[k] for k in kept], points)
        return result

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the states of both networks."""
        arrays, rest = self.velocity.state()
        more, other = NetworkEvaluator([self.pressure], {}).state()
        arrays |= {f"pressure.{name}": value for name, value in more.items()}
        return arrays, {**rest, "pressure": other["architectures"]}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any], problem: Problem) -> FlowEvaluator:
        """Rebuild the stream function of the problem and the networks from their arrays."""
        stream = stream_function(problem)
        if stream is None:
            raise ValueError("this problem has no stream function")
        pieces = []
        for start, key, ansatz in (
            ("0.", "architectures", stream.ansatz),
            ("pressure.0.", "pressure", stream.pressure),
        ):
            network = network_from_description(rest[key][0])
            state = {k[len(start) :]: torch.as_tensor(np.array(v)) for k, v in arrays.items() if k.startswith(start)}
            network.load_state_dict(state)
            pieces.append(Piece(ansatz, network))
        return cls(NetworkEvaluator(pieces[:1], rest["ansatz"]), pieces[1])


def evaluator_of(
    pieces: Sequence[Piece], options: Mapping[str, Any], stream: Stream | None, generator: torch.Generator
) -> Evaluator:
    """Return the evaluator of trained pieces; those of a stream function get a pressure."""
    evaluator = NetworkEvaluator(pieces, options)
    return evaluator if stream is None else FlowEvaluator(evaluator, _fitted_pressure(stream, pieces[0], generator))


def _fitted_pressure(stream: Stream, velocity: Piece, generator: torch.Generator) -> Piece:
    """Return the pressure whose gradient fits the momentum equations best, with its level where it is given.

    It is a network of random features, with the scale that fits best at fresh points.
    """
    like = next(velocity.network.parameters())
    ansatz = stream.pressure
    sampler = Sampler(ansatz.problem.domain, generator, like.dtype, like.device)
    forces = residual_group(stream.ansatz, list(stream.forces))
    gradient = residual_group(ansatz, list(ansatz.residuals.values()))
    points, fresh = sampler.interior(POINTS), sampler.interior(POINTS)
    needed, check = (_values(forces, velocity.network, place) for place in (points, fresh))
    best: tuple[float, MLP] | None = None
    for scale in SCALES:
        network = random_network(ansatz, FEATURES, scale, generator).to(like)
        block = gradient.block(points)
        jet, tape = gradient.field.record(network, block)
        value, cotangent = gradient.linearised(block, jet)
        matrix = torch.cat([tape.jacobian(rows) for rows in cotangent])
        coefficients = -least_squares(matrix, (value + needed).reshape(-1))
        last = network.layers[-1]
        assert isinstance(last, Layer)
        with torch.no_grad():
            last.weight.copy_(coefficients[:FEATURES].reshape(last.weight.shape))
            last.bias.zero_()
        misfit = float((_values(gradient, network, fresh) + check).square().mean())
        if best is None or misfit < best[0]:
            best = misfit, network
    assert best is not None
    piece = Piece(ansatz, best[1])
    _level(stream, piece, sampler)
    return piece


def _values(group: ResidualGroup, network: torch.nn.Module, points: Tensor) -> Tensor:
    block = group.block(points)
    with torch.no_grad():
        return group.values(block, group.field.network_jet(network, block))


def _level(stream: Stream, piece: Piece, sampler: Sampler) -> None:
    """Shift the pressure to its given level, or to mean zero."""
    (name,) = piece.ansatz.represented
    place = sampler.interior(POINTS) if stream.level is None else sampler.lower.new_tensor([stream.level[0]])
    wanted = 0.0 if stream.level is None else stream.level[1]
    present = float(piece.trace([Partial(name, (0, 0))], place).mean())
    assert isinstance(piece.network, MLP)
    last = piece.network.layers[-1]
    assert isinstance(last, Layer)
    with torch.no_grad():
        last.bias.add_(wanted - present)
