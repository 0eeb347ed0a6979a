r"""Layers that a parabolic equation makes of data that disagree in slope, put into the ansatz in closed form.

Where an initial value u0 has a jump J of its slope under periodic continuation, diffusion D rounds the kink at once,
over a width of sqrt(4 D t). No smooth network follows that from t = 0 on. With s the distance from the kink and
q = sqrt(4 D t) the function :math:`k(s, t) = q\,e^{-s^2/q^2}/\sqrt\pi - s\,\mathrm{erfc}(s/q)` makes |s| + k the heat
evolution of |s| (H. S. Carslaw and J. C. Jaeger, Conduction of Heat in Solids, 1959, section 2.4). The ansatz takes
u0 + (J/2) c k with c smooth and 1 at the kink, and the network sees the kink through the same function.
"""

from __future__ import annotations

import math
from typing import Any

import sympy

from sciml.notation import Partial
from sciml.problem import Problem

__all__ = ["kink_layer", "slope_in"]

# Instead of t the layer takes t + SMALL*T, less its value at t = 0: finite for t = 0, and exact there.
SMALL = 1e-10
# A layer wider than this part of the period is no layer.
WIDEST = 0.125


def kink_layer(
    problem: Problem, unknown: str, coordinate: str, initial: sympy.Expr
) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Return what to add to g, and a feature for the network, if the initial value has a kink that diffusion rounds.

    Parameters
    ----------
    coordinate : a periodic one.
    initial : the initial value of the unknown, parameters put in.
    """
    diffusion = _diffusion(problem, unknown, coordinate)
    if diffusion is None or problem.time is None:
        return None
    x, t = problem.vocabulary.symbol(coordinate), problem.vocabulary.symbol(problem.time)
    a, b = problem.domain.interval(coordinate)
    start, stop = problem.domain.interval(problem.time)
    length, duration = b - a, stop - start
    if math.sqrt(4 * diffusion * duration) > WIDEST * length:
        return None
    slope: Any = sympy.diff(initial, x)
    jump: Any = slope.subs(x, sympy.nsimplify(a)) - slope.subs(x, sympy.nsimplify(b))
    if not jump.is_number or abs(float(jump)) < 1e-9 * (1 + abs(float(slope.subs(x, sympy.nsimplify(a))))):
        return None  # smooth, or a kink that varies with further coordinates
    middle = (a + b) / 2
    angle = sympy.pi * (x - middle) / length
    c = -sympy.cos(2 * angle)
    distance = length / 2 - sympy.Abs(x - middle)
    smooth_distance = length / sympy.pi * sympy.cos(angle)

    def rounded(s: Any, time: Any) -> Any:
        q = sympy.sqrt(4 * diffusion * (time + SMALL * duration))
        return q / sympy.sqrt(sympy.pi) * sympy.exp(-(s**2) / q**2) - s * sympy.erfc(s / q)

    elapsed = t - start
    addition = sympy.Float(float(jump) / 2, 17) * c * (rounded(distance, elapsed) - rounded(distance, sympy.Integer(0)))
    feature = smooth_distance + rounded(smooth_distance, elapsed)
    return addition, (2 * feature - length / sympy.pi) * (sympy.pi / length)


def _diffusion(problem: Problem, unknown: str, coordinate: str) -> float | None:
    """The constant D if an equation reads u_t = D u_xx + (lower orders); else None."""
    if problem.time is None or problem.order(unknown, problem.time) != 1 or problem.order(unknown, coordinate) != 2:
        return None
    names = problem.coordinates
    first = Partial(unknown, tuple(int(c == problem.time) for c in names))
    second = Partial(unknown, tuple(2 * int(c == coordinate) for c in names))
    for residual in problem.residuals:
        slopes = [slope_in(problem, residual, partial) for partial in (first, second)]
        if all(slope is not None and slope.is_number for slope in slopes) and slopes[0] != 0:
            ratio = float(-slopes[1] / slopes[0])  # type: ignore[operator]
            return ratio if ratio > 0 else None
    return None


def slope_in(problem: Problem, residual: sympy.Expr, partial: Partial) -> Any:
    """The derivative of a residual by one of its partials, parameters put in."""
    stand_in = sympy.Dummy("p", real=True)
    flat: Any = problem.substituted(residual).xreplace({problem.vocabulary.expression(partial): stand_in})
    return sympy.diff(flat, stand_in)
