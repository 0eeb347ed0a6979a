"""Self-scaled Broyden updates of a dense inverse Hessian."""

from __future__ import annotations

import math
import sys
from typing import ClassVar, final

from sciml.training.quasi_newton import DenseQuasiNewton

__all__ = ["SelfScaledBroyden"]


@final
class SelfScaledBroyden(DenseQuasiNewton):
    r"""Broyden's family of quasi-Newton updates with the member and the scale chosen anew at every step.

    With s, y, H as in BFGS, b = s'H^-1 s / s'y, h = y'Hy / s'y (b = h = 1 where the model was right) and
    a = b h - 1 >= 0,

    rho = min(1, h (1 - sqrt(a / (1 + a)))),  theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b)),
    sigma = (1 + a theta)^(1 / (P - 1)),

    tau = min(1, 1/b) min(1/sigma, 1/theta) for theta > 0 and min(min(1, 1/b) / sigma, 1 + a theta) otherwise,
    phi = (1 - theta) / (1 + a theta),

    H <- (H - Hy (Hy)' / y'Hy + phi (y'Hy) v v') / tau + s s' / s'y,  v = s / s'y - Hy / y'Hy.

    tau < 1 corrects large eigenvalues of the Hessian's approximation, from which BFGS recovers slowly; on residuals of
    differential equations, whose Hessians are ill conditioned, this pays. One call of `step` is one line search.

    Parameters
    ----------
    evaluations
        Largest number of evaluations in one line search, at least 2.

    References
    ----------
    Al-Baali, Khalfan, Optim. Methods Softw. 20 (2005) 679-691, doi:10.1080/10556780410001709448. For networks: Urban,
    Stefanou, Pons, doi:10.1016/j.jcp.2024.113656, arXiv:2405.04230; Kiyani, Shukla, Urban, Darbon, Karniadakis,
    doi:10.1016/j.cma.2025.118308, arXiv:2501.16371.
    """

    name: ClassVar[str] = "ssbroyden"

    def _family(self, b: float, h: float, count: int, first: bool) -> tuple[float, float]:
        a = max(b * h - 1, sys.float_info.epsilon)
        rho = min(1.0, h * (1 - math.sqrt(a / (1 + a))))
        theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
        sigma = 1 + a * theta
        root = sigma ** (1 / (count - 1)) if count > 1 else 1.0
        shrink = min(1.0, 1 / b)
        tau = shrink * min(1 / root, 1 / theta) if theta > 0 else min(shrink / root, sigma)
        return (1 - theta) / sigma, 1.0 if first else tau
