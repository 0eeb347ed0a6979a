"""Gauss-Newton without forming the normal equations: preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from sciml.training.damping import DampedGaussNewton, Solver
from sciml.training.differential import GaussNewtonModel, gauss_newton_model
from sciml.training.kernel import DampedRows, stacked
from sciml.training.objective import Objective, Rows
from sciml.training.optimizer import Step, positive
from sciml.training.quasi_newton import whole

__all__ = ["GaussNewtonCG", "conjugate_gradients"]


@final
class GaussNewtonCG(DampedGaussNewton[GaussNewtonModel]):
    r"""Levenberg-Marquardt's steps by conjugate gradients, for networks and point sets where N P^2 is too much work.

    (A + lambda I) d = -g is solved with products A v = sum_k f_k J_k'(J_k v) that cost a tangent and a reverse pass
    through the network, O(N P). The preconditioner is the same matrix for `rows` rows only, J_s'J_s + lambda I,
    inverted in the space of the rows. The spectrum of A falls off exponentially, so that some hundred rows know nearly
    all directions whose eigenvalues exceed lambda, and ten products do the work of hundreds. Damping, acceptance and
    geodesic acceleration are those of Levenberg-Marquardt.

    Parameters
    ----------
    damping, acceleration, probe, bend
        As in `LevenbergMarquardt`; the acceleration was measured not to repay its second solution here.
    rows
        Rows of the preconditioner in all, at least 0 (none: the plain method); drawn anew for each model.
    products
        Largest number of products in one solution, at least 1.
    tolerance
        A solution ends when two products in a row lower the model's value by less than this fraction of what was
        gained so far, in (0, 1).
    keep
        Bytes of the network's records that may be kept in memory.

    Attributes
    ----------
    models, used : how many models were built and how many products were taken.

    References
    ----------
    Dembo, Eisenstat, Steihaug, doi:10.1137/0719025 (truncated Newton methods). Martens, ICML 2010 (curvature products
    for networks, and the rule to stop). Transtrum, Sethna, arXiv:1201.5885, doi:10.48550/arXiv.1201.5885.
    """

    name: ClassVar[str] = "gauss-newton-cg"

    def __init__(
        self,
        damping: float = 1e-2,
        *,
        acceleration: bool = False,
        probe: float = 0.1,
        bend: float = 0.75,
        rows: int = 1000,
        products: int = 50,
        tolerance: float = 0.1,
        keep: int = 1 << 30,
    ) -> None:
        super().__init__(damping, acceleration=acceleration, probe=probe, bend=bend, keep=keep)
        self.rows = whole("rows", rows, 0)
        self.products = whole("products", products, 1)
        self.tolerance = positive("tolerance", tolerance, below=1.0)
        self.models = 0
        self.used = 0
        self._sample: DampedRows | None = None

    def reset(self) -> None:
        """Forget all state."""
        super().reset()
        self.models = self.used = 0
        self._sample = None

    def step(self, objective: Objective, rows: Rows | None = None) -> Step:
        """Try one step; the parameters stay if the loss does not fall."""
        result = super().step(objective, rows)
        if not self._fresh:
            self._model = None  # its records are freed before there are new ones
        return result

    def _linearized(self, objective: Objective, former: GaussNewtonModel | None) -> GaussNewtonModel:
        self._sample = None
        if self.rows:
            rows = _sampled(objective, self.rows, self.models)
            self._sample = DampedRows(stacked(objective, objective.gathered(objective.jacobian(rows)[1])))
        self.models += 1
        return gauss_newton_model(objective, self.keep)

    def _solver(self, model: GaussNewtonModel) -> Solver | None:
        sample = self._sample
        if sample is not None and not sample.damp(self.damping):
            return None

        def solve(vector: Tensor) -> Tensor:
            solution, used = conjugate_gradients(
                lambda v: model.curvature(v) + self.damping * v,
                vector,
                None if sample is None else sample.solve,
                self.products,
                self.tolerance,
            )
            self.used += used
            return solution

        return solve

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the damping and the counters; a model that would be used again is built again, from the same rows."""
        tensors, numbers = super().state()
        return tensors, numbers | {"models": self.models - self._fresh, "used": self.used}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Set what `state` returned."""
        super().restore(tensors, numbers)
        self.models, self.used = int(numbers["models"]), int(numbers["used"])


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    vector: Tensor,
    precondition: Callable[[Tensor], Tensor] | None = None,
    products: int = 50,
    tolerance: float = 1e-2,
) -> tuple[Tensor, int]:
    """Return an approximate solution x of B x = v for a positive definite B, and the number of products taken.

    Each step lowers phi(x) = x'B x / 2 - v'x; the iteration ends after `products` steps, when two steps in a row gain
    less than `tolerance` times the gain so far, when the residual is zero, or where rounding spoils definiteness.

    References
    ----------
    Hestenes, Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409-436, doi:10.6028/jres.049.044
    """
    precondition = precondition or (lambda v: v)
    x, r = torch.zeros_like(vector), vector
    z = precondition(r)
    p, size = z, float(r.dot(z))
    gained, small, used = 0.0, 0, 0
    while used < products and size > 0 and small < 2:
        q = product(p)
        used += 1
        curvature = float(p.dot(q))
        if not curvature > 0:
            break
        length = size / curvature
        x = x + length * p
        r = r - length * q
        gained += length * size
        small = small + 1 if length * size < tolerance * gained else 0
        z = precondition(r)
        former, size = size, float(r.dot(z))
        p = z + (size / former) * p
    return x, used


def _sampled(objective: Objective, count: int, seed: int) -> Rows:
    """Return about `count` rows of all terms, a share by their lengths but some of each; equal within a group.

    Each of several processes takes this share of its own rows.
    """
    sizes, groups = objective.sizes(), objective.groups()
    share = min(1.0, count / max(1, sum(objective.counts().values())))
    generator = torch.Generator().manual_seed(seed)
    rows: dict[str, slice | Tensor] = {}
    for names in groups:
        size = sizes[names[0]]
        if not size:
            continue
        taken = min(size, max(round(share * size), 32))
        rows.update(dict.fromkeys(names, torch.randperm(size, generator=generator)[:taken]))
    return rows
