r"""Data-parallel training: every process has rows of its own, and all of them take the same steps.

With rows :math:`R_1, \dots, R_m` of a term in m processes and N their number in all,

.. math:: \mathrm{mean}(r^2) = \frac1N \sum_p \sum_{i \in R_p} r_i^2, \quad
          J^T J = \sum_p J_p^T J_p, \quad J^T v = \sum_p J_p^T v_p,

so that sums of P^2 numbers a step of Gauss-Newton, and of P numbers a gradient, are all that is sent: the work grows
with the points, what is sent does not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, final

import torch
from torch import Tensor
from torch import distributed as dist

from sciml.errors import ArgumentError, SolveError
from sciml.training.differential import Differential
from sciml.training.objective import Evaluation, Objective, Rows
from sciml.training.share import Share

__all__ = ["ParallelObjective", "Processes", "processes"]


@final
@dataclass(frozen=True)
class Processes:
    """Which process this is, `rank` from 0 on, of how many, `size`, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0


@contextmanager
def processes(device: str = "cpu") -> Iterator[Processes]:
    """Join the processes that `torchrun` started, and leave them at the end; one process where it did not.

    Parameters
    ----------
    device
        "cpu" (gloo) or "cuda" (nccl; each process takes the GPU of its local rank).

    Examples
    --------
    >>> with processes() as here:
    ...     here.rank, here.size
    (0, 1)
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    found = torch.device(device)
    if found.type == "cuda":
        found = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(found)
    if size == 1:
        yield Processes(0, 1, found)
        return
    if not dist.is_available():
        raise ArgumentError(f"WORLD_SIZE is {size}, but this build of torch has no torch.distributed; accepted is 1")
    dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield Processes(rank, size, found)
    finally:
        dist.destroy_process_group()


@final
class ParallelObjective(Objective):
    r"""An objective whose rows are spread over processes; losses, gradients and Gauss-Newton models are those of all.

    Every process makes the same calls, such as a `Trainer` of the same arguments. `sizes`, `residuals`, `jacobian` and
    `product` of a model speak of this process's rows, everything else of the rows of all. The sums have the same bits
    in every process, and with them the steps; before each sum the processes compare their parameters, so that they
    stop with an error where different processors or libraries round differently, instead of parting in silence.

    Parameters
    ----------
    objective
        This process's rows: an objective over its own points, or a `Share` of one that all processes have. Terms,
        weights and number of parameters are the same everywhere, and so must be whatever else the residuals depend on
        (such as the scales of `pinn`'s residuals). The initial parameters are those of the first process.
    group
        A group of `torch.distributed`; None: all processes. Without torchrun there is one.

    Raises
    ------
    ArgumentError
        If the processes' objectives do not belong together, or the processes were started but not joined.

    Notes
    -----
    `resample` and `fresh` hand the objective a generator of this process's own, made from the given one; an objective
    that has a generator itself must be given one that is seeded by the rank. Batches need equally many rows in every
    process. Each process saves a checkpoint of its own, for its points.

    Examples
    --------
    >>> from sciml.network import MLP
    >>> from sciml.training import FitObjective, Trainer
    >>> x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    >>> with processes() as here:
    ...     mine = slice(here.rank, None, here.size)
    ...     objective = ParallelObjective(FitObjective(MLP(1, 1, 6, 2), x[mine], torch.sin(3 * x[mine])))
    ...     Trainer(objective, tol=1e-6, iterations=200).run().success
    True
    """

    def __init__(self, objective: Objective, group: Any = None) -> None:
        if not isinstance(objective, Objective) or isinstance(objective, ParallelObjective):
            raise ArgumentError(
                f"objective: {type(objective).__name__} is not accepted; accepted are objectives of this process's rows"
            )
        self._local = objective
        self._group = group
        joined = dist.is_available() and dist.is_initialized()
        if not joined and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ArgumentError(
                "torch.distributed: several processes were started but have not joined; accepted are objectives made "
                "within `with processes():` or after torch.distributed.init_process_group"
            )
        self.rank = dist.get_rank(group) if joined else 0
        self.processes = dist.get_world_size(group) if joined else 1
        theta = objective.parameters()
        if joined and dist.get_backend(group) == "nccl" and theta.device.type != "cuda":
            raise ArgumentError(f"objective: its tensors are on {theta.device}; accepted with nccl are those of a GPU")
        sizes = objective.sizes()
        if not sum(sizes.values()):
            raise ArgumentError("objective: it has no rows; accepted are objectives with at least one in every process")
        self._names = tuple(sizes)
        # Compared before the parameters are sent: a sum of tensors of different lengths would never return.
        about = [len(theta), theta.dtype, list(sizes), [list(g) for g in objective.groups()], sorted(self._weights())]
        if not self._alike(repr(about).encode(), theta.device):
            raise ArgumentError(
                "objective: the processes' objectives differ; accepted are equal terms, weights, precision and numbers "
                f"of parameters. Here: {len(theta)} parameters ({theta.dtype}), {dict(self._weights())}"
            )
        if self.processes > 1:
            objective.load(self._sum(theta if self.rank == 0 else torch.zeros_like(theta)))

    def _weights(self) -> list[tuple[str, float]]:
        return [(name, self._local.weight(name)) for name in self._names]

    # -- this process's rows --------------------------------------------------------------------------------------

    @property
    def local(self) -> Objective:
        """The objective of this process's rows."""
        return self._local

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights by term."""
        return self._local.weights

    def parameters(self) -> Tensor:
        """Return a copy of the parameters, [P]."""
        return self._local.parameters()

    def load(self, theta: Tensor) -> None:
        """Set the parameters from [P]."""
        self._local.load(theta)

    def sizes(self) -> Mapping[str, int]:
        """Return how many rows of each term this process has."""
        return self._local.sizes()

    def residuals(self, rows: Rows | None = None) -> dict[str, Tensor]:
        """Return r_k at this process's rows."""
        return self._local.residuals(rows)

    def jacobian(
        self, rows: Rows | None = None, out: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return r_k and J_k at this process's rows."""
        return self._local.jacobian(rows, out)

    def weighted_gradient(
        self, factors: Mapping[str, float], rows: Rows | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return r_k and sum_k factors[k] J_k' r_k of this process's rows."""
        return self._local.weighted_gradient(factors, rows)

    def differential(self, rows: Rows | None = None) -> Differential:
        """Return r_k and products with J_k of this process's rows."""
        return self._local.differential(rows)

    def gram(
        self, factors: Mapping[str, float], kept: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return r_k, sum_k f_k J_k'J_k and sum_k f_k J_k'r_k of this process's rows."""
        return self._local.gram(factors, kept)

    def groups(self) -> Sequence[Sequence[str]]:
        """Return the names of terms that share their points."""
        return self._local.groups()

    def chunk_size(self) -> int:
        """Return how many rows are treated at once."""
        return self._local.chunk_size()

    def resample(self, generator: torch.Generator) -> None:
        """Draw new points, in every process others."""
        self._local.resample(self._own(generator))

    def fresh(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return residuals at newly drawn points, in every process others."""
        return self._local.fresh(self._own(generator))

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint of this process must keep besides the parameters."""
        return self._local.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set what `state` returned."""
        self._local.restore(state)

    def _own(self, generator: torch.Generator) -> torch.Generator:
        if isinstance(self._local, Share):  # it has the points of all processes
            return generator
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return torch.Generator().manual_seed(seed + self.rank)

    # -- all rows -------------------------------------------------------------------------------------------------

    def counts(self, rows: Rows | None = None) -> dict[str, int]:
        """Return how many rows of each term are in use in all processes together."""
        here = super().counts(rows)
        numbers = torch.tensor([here.get(name, 0) for name in self._names], device=self._device())
        total = self._summed(numbers, "counts").tolist()
        return {name: n for name, n in zip(self._names, total, strict=True) if n or rows is None}

    def evaluation(self, residuals: Mapping[str, Tensor]) -> Evaluation:
        """Return the loss of the residual vectors of all processes."""
        squares = [float(residuals[name].square().sum()) if name in residuals else 0.0 for name in self._names]
        numbers = [float(residuals[name].numel()) if name in residuals else 0.0 for name in self._names]
        both = torch.tensor([squares, numbers], dtype=torch.float64, device=self._device())
        squares, numbers = self._summed(both, "evaluation").tolist()
        terms = {name: s / n for name, s, n in zip(self._names, squares, numbers, strict=True) if n}
        return Evaluation(sum(self.weight(name) * value for name, value in terms.items()), terms)

    def summed(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, the same bits in each."""
        return self._summed(tensor, f"a sum of {tuple(tensor.shape)}")

    def gathered(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the rows [n_k, ...] of all processes by term, in the order of the processes."""
        if self.processes == 1:
            return dict(parts)
        like = next(iter(parts.values()))
        mine = {name: parts[name] if name in parts else like[:0] for name in self._names}
        lengths = torch.zeros(self.processes, len(mine), dtype=torch.int64, device=like.device)
        lengths[self.rank] = torch.tensor([len(part) for part in mine.values()])
        lengths = self._summed(lengths, "gathered").tolist()
        result: dict[str, Tensor] = {}
        for k, (name, part) in enumerate(mine.items()):
            longest = max(row[k] for row in lengths)
            if longest:
                padded = part.new_zeros(longest, *part.shape[1:])
                padded[: len(part)] = part
                pieces = [torch.empty_like(padded) for _ in range(self.processes)]
                dist.all_gather(pieces, padded, group=self._group)
                result[name] = torch.cat([piece[: row[k]] for piece, row in zip(pieces, lengths, strict=True)])
        return result

    def decided(self, flag: bool) -> bool:
        """Return the first process's answer."""
        answer = torch.tensor([int(flag) if self.rank == 0 else 0], device=self._device())
        return bool(self._summed(answer, "decided"))

    # -- between the processes ------------------------------------------------------------------------------------

    def _device(self) -> torch.device:
        return self._local.parameters().device

    def _summed(self, tensor: Tensor, what: str) -> Tensor:
        """Return the sum over all processes after a look whether all of them are here, with the same parameters."""
        if self.processes == 1:
            return tensor
        theta = self._local.parameters()
        if not self._alike(what.encode() + theta.cpu().numpy().tobytes(), theta.device):
            raise SolveError(
                f"the processes have parted: their parameters or calls differ (here: {what}). All must make the same "
                "calls, on equal processors with equal libraries and numbers of threads"
            )
        return self._sum(tensor)

    def _alike(self, content: bytes, device: torch.device) -> bool:
        """Return, in every process alike, whether all have the same content."""
        if self.processes == 1:
            return True
        digest = int.from_bytes(blake2b(content, digest_size=7).digest(), "big")
        extremes = torch.tensor([digest, -digest], dtype=torch.int64, device=device)
        dist.all_reduce(extremes, dist.ReduceOp.MAX, group=self._group)
        return int(extremes[0]) == -int(extremes[1])

    def _sum(self, tensor: Tensor) -> Tensor:
        # Both gloo and nccl add each part of a tensor in one place and send the result round: the bits are the same.
        total = tensor.contiguous().clone()
        dist.all_reduce(total, group=self._group)
        return total
