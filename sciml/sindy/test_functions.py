r"""Test functions of the weak form: windows with polynomial tapers times plane waves, and their exact derivatives.

On an axis of n points with unit steps the window w is one on a flat top and falls to zero over 15 % at either end (just
outside of the samples) by the polynomial with :math:`S'(z) \propto (z (1 - z))^q`. Derivatives of a field are moved
onto :math:`\psi = w(x)\, e^{-i \kappa x}` by parts, without boundary terms and without differentiating data:

.. math:: (-1)^k \psi^{(k)} = \sum_l \binom{k}{l} (-1)^l w^{(l)} (i \kappa)^{k - l} e^{-i \kappa x}

Messenger and Bortz (2021), doi:10.1016/j.jcp.2021.110525; Gurevich, Reinbold and Grigoriev (2019),
doi:10.1063/1.5120861.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.polynomial import Polynomial

__all__ = ["leibniz", "window"]

# The noise of a k-th derivative grows with the k-th power of one over the taper, so high orders have wider ones.
TAPER = 0.15
WIDER = 0.02
FEWEST_STEPS = 5.0


def window(n: int, order: int) -> np.ndarray:
    """Return the window on n points and its derivatives up to `order`, as [order + 1, n], in units of one step.

    Parameters
    ----------
    n : int
        number of samples, with unit steps; the window vanishes one step outside of them.
    order : int
        highest derivative; the window is smooth enough for sums to be integrals at this order.
    """
    smoothness = order + 2
    length = n + 1.0
    # A taper of few points cannot carry its own derivatives: its sums would not be integrals.
    taper = min(max((TAPER + WIDER * (order - 1)) * length, FEWEST_STEPS * smoothness), 0.5 * length)
    slope = Polynomial([1.0, 0.0, -1.0]) ** smoothness  # of z = (1 + y)/2, in y: well conditioned about the middle
    step = slope.integ(lbnd=-1.0)
    step = step / step(1.0)
    place = np.arange(1.0, n + 1.0)
    rising, falling = place < taper, place > length - taper
    values = np.zeros((order + 1, n))
    values[0] = 1.0
    for k in range(order + 1):
        scale = (2.0 / taper) ** k
        values[k, rising] = scale * step(2.0 * place[rising] / taper - 1.0)
        values[k, falling] = (-1) ** k * scale * step(2.0 * (length - place[falling]) / taper - 1.0)
        step = step.deriv()
    return values


def leibniz(order: int, kappa: np.ndarray) -> np.ndarray:
    """Return the factors of w, w', ..., of the k-th derivative moved onto a plane wave, complex [K, k + 1]."""
    powers = np.arange(order, -1, -1)
    signs = np.array([comb(order, k) * (-1.0) ** k for k in range(order + 1)])
    return signs * (1j * kappa[:, None]) ** powers
