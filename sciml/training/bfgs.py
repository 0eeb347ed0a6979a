"""BFGS with a dense inverse Hessian."""

from __future__ import annotations

from typing import ClassVar, final

from sciml.training.quasi_newton import DenseQuasiNewton

__all__ = ["BFGS"]


@final
class BFGS(DenseQuasiNewton):
    """BFGS with a dense inverse Hessian H [P, P] and a strong-Wolfe line search; one call of `step` is one search.

    H <- (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y, for a step s and the change y of the gradient along it.

    Parameters
    ----------
    evaluations
        Largest number of evaluations in one line search, at least 2.

    References
    ----------
    Nocedal, Wright, Numerical Optimization, 2nd ed., chapter 6, doi:10.1007/978-0-387-40065-5

    Examples
    --------
    >>> import torch
    >>> from sciml.training import ModuleObjective, Trainer
    >>> line = torch.nn.Linear(1, 1, dtype=torch.float64)
    >>> x = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    >>> Trainer(ModuleObjective(line, lambda m: {"data": m(x) - 2 * x}), BFGS(), tol=1e-20, iterations=20).run().success
    True
    """

    name: ClassVar[str] = "bfgs"

    def _family(self, b: float, h: float, count: int, first: bool) -> tuple[float, float]:
        return 1.0, 1.0
