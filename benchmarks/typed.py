"""Problems that no file contains, typed as text, each with its exact solution: what a user would come with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sciml import Problem

__all__ = ["TYPED"]

_LINE = {"x": (0, 1)}
_SQUARE = {"x": (0, 1), "y": (0, 1)}
_STRIP = {"x": (0, 1), "t": (0, 1)}

TYPED: dict[str, Callable[[], Problem]] = {
    # Fisher's equation; the wave of M. J. Ablowitz and A. Zeppetella (1979, doi:10.1007/BF02462380).
    "travelling wave": partial(
        Problem,
        "u_t = u_xx + 6*u*(1 - u)",
        [
            "u(x, 0) = 1/(1 + exp(x))**2",
            "u(-5, t) = 1/(1 + exp(-5 - 5*t))**2",
            "u(10, t) = 1/(1 + exp(10 - 5*t))**2",
        ],
        {"x": (-5, 10), "t": (0, 1)},
        exact="1/(1 + exp(x - 5*t))**2",
    ),
    "boundary layer": partial(
        Problem,
        "-u_xx/100 + u_x = 1",
        ["u(0) = 0", "u(1) = 0"],
        _LINE,
        exact="x - (exp(100*(x - 1)) - exp(-100))/(1 - exp(-100))",
    ),
    "boundary layers, reaction": partial(
        Problem,
        "-u_xx/2500 + u = 1",
        ["u(0) = 0", "u(1) = 0"],
        _LINE,
        exact="1 - (exp(-50*x) + exp(50*(x - 1)))/(1 + exp(-50))",
    ),
    "mixed conditions": partial(
        Problem,
        "laplacian(u) = exp(x)*sin(2*y) - 4*exp(x)*sin(2*y)",
        [
            "u(0, y) = sin(2*y)",
            "u_x(1, y) + u(1, y) = 2*exp(1)*sin(2*y)",
            "u_y(x, 0) = 2*exp(x)",
            "u(x, 1) = exp(x)*sin(2)",
        ],
        _SQUARE,
        exact="exp(x)*sin(2*y)",
    ),
    "variable coefficient": partial(
        Problem,
        "u_t = d((1 + x**2)*u_x, x) - exp(-t)*((1 - pi**2*(1 + x**2))*sin(pi*x) + 2*pi*x*cos(pi*x))",
        ["u(x, 0) = sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"],
        _STRIP,
        exact="exp(-t)*sin(pi*x)",
    ),
    "coupled system": partial(
        Problem,
        [
            "u_t = u_xx/10 - u*v + (pi**2/10 - 1)*exp(-t)*sin(pi*x) + exp(-2*t)*sin(pi*x)*cos(pi*x)",
            "v_t = v_xx/10 + u**2 + (pi**2/10 - 1)*exp(-t)*cos(pi*x) - exp(-2*t)*sin(pi*x)**2",
        ],
        [
            "u(x, 0) = sin(pi*x)",
            "v(x, 0) = cos(pi*x)",
            "u(0, t) = 0",
            "u(1, t) = 0",
            "v_x(0, t) = 0",
            "v_x(1, t) = 0",
        ],
        _STRIP,
        exact={"u": "exp(-t)*sin(pi*x)", "v": "exp(-t)*cos(pi*x)"},
    ),
    "plate, simply supported": partial(
        Problem,
        "u_xxxx + 2*u_xxyy + u_yyyy = 25*pi**4*sin(pi*x)*sin(2*pi*y)",
        ["u(boundary) = 0", "u_xx(0, y) = 0", "u_xx(1, y) = 0", "u_yy(x, 0) = 0", "u_yy(x, 1) = 0"],
        _SQUARE,
        exact="sin(pi*x)*sin(2*pi*y)",
    ),
    "plate, clamped": partial(
        Problem,
        (
            "u_xxxx + 2*u_xxyy + u_yyyy = 24*(y - y**2)**2 + 24*(x - x**2)**2"
            " + 2*(2 - 12*x + 12*x**2)*(2 - 12*y + 12*y**2)"
        ),
        ["u(boundary) = 0", "u_x(0, y) = 0", "u_x(1, y) = 0", "u_y(x, 0) = 0", "u_y(x, 1) = 0"],
        _SQUARE,
        exact="(x - x**2)**2*(y - y**2)**2",
    ),
    # The lower branch of G. Bratu's problem; theta solves theta = sqrt(2)*cosh(theta/4).
    "bratu": partial(
        Problem,
        "u_xx + exp(u) = 0",
        ["u(0) = 0", "u(1) = 0"],
        _LINE,
        exact="-2*log(cosh(1.5171645990507543685*(x - 1/2)/2)/cosh(1.5171645990507543685/4))",
    ),
    "sine-gordon kink": partial(
        Problem,
        "u_tt = u_xx - sin(u)",
        [
            "u(x, 0) = 4*atan(exp(x/0.8))",
            "u_t(x, 0) = -3*sech(x/0.8)/2",
            "u(-5, t) = 4*atan(exp((-5 - 0.6*t)/0.8))",
            "u(5, t) = 4*atan(exp((5 - 0.6*t)/0.8))",
        ],
        {"x": (-5, 5), "t": (0, 2)},
        exact="4*atan(exp((x - 0.6*t)/0.8))",
    ),
    "kdv soliton": partial(
        Problem,
        "u_t + 6*u*u_x + u_xxx = 0",
        [
            "u(x, 0) = 2*sech(x)**2",
            "u(-8, t) = 2*sech(-8 - 4*t)**2",
            "u(12, t) = 2*sech(12 - 4*t)**2",
            "u_x(12, t) = -4*sech(12 - 4*t)**2*tanh(12 - 4*t)",
        ],
        {"x": (-8, 12), "t": (0, 1)},
        exact="2*sech(x - 4*t)**2",
    ),
    "stiff ordinary equation": partial(
        Problem,
        "y' = -50*(y - cos(t))",
        "y(0) = 0",
        {"t": (0, 3)},
        exact="(2500*cos(t) + 50*sin(t) - 2500*exp(-50*t))/2501",
    ),
    "heat with a Robin side": partial(
        Problem,
        "u_t = u_xx/4",
        ["u(x, 0) = cos(x)", "u_x(0, t) = 0", "u_x(1, t) + tan(1)*u(1, t) = 0"],
        _STRIP,
        exact="exp(-t/4)*cos(x)",
    ),
    "poisson in a cube": partial(
        Problem,
        "-laplacian(u) = 6*pi**2*sin(pi*x)*sin(pi*y)*sin(2*pi*z)",
        "u(boundary) = 0",
        {**_SQUARE, "z": (0, 1)},
        exact="sin(pi*x)*sin(pi*y)*sin(2*pi*z)",
    ),
    "drifting and spreading": partial(
        Problem,
        "u_t + u_x/2 + u_y/4 = laplacian(u)/20",
        [
            "u(x, y, 0) = exp(-5*(x**2 + y**2))",
            "u(boundary) = exp(-5*((x - t/2)**2 + (y - t/4)**2)/(1 + t))/(1 + t)",
        ],
        {"x": (-1, 1), "y": (-1, 1), "t": (0, 1)},
        exact="exp(-5*((x - t/2)**2 + (y - t/4)**2)/(1 + t))/(1 + t)",
    ),
    "thin boundary layer": partial(
        Problem,
        "-u_xx/1000 + u_x = 1",
        ["u(0) = 0", "u(1) = 0"],
        _LINE,
        # exp(-1000) is left out: it is zero in float64.
        exact="x - exp(1000*(x - 1))",
    ),
    # A shock of width 0.02 that moves through a third of the box.
    "moving front": partial(
        Problem,
        "u_t + u*u_x = u_xx/200",
        [
            "u(x, 0) = 1/2 - tanh(50*x)/2",
            "u(-1, t) = 1/2 - tanh(50*(-1 - t/2))/2",
            "u(1, t) = 1/2 - tanh(50*(1 - t/2))/2",
        ],
        {"x": (-1, 1), "t": (0, 1)},
        exact="1/2 - tanh(50*(x - t/2))/2",
    ),
    "wave number twenty": partial(
        Problem,
        "laplacian(u) + 400*u = 0",
        "u(boundary) = sin(12*x)*cos(16*y)",
        _SQUARE,
        exact="sin(12*x)*cos(16*y)",
    ),
    "sound in a pipe": partial(
        Problem,
        ["u_t = p_x", "p_t = u_x"],
        ["u(x, 0) = sin(3*pi*x)", "p(x, 0) = 0", "u(0, t) = 0", "u(1, t) = 0"],
        _STRIP,
        exact={"u": "sin(3*pi*x)*cos(3*pi*t)", "p": "cos(3*pi*x)*sin(3*pi*t)"},
    ),
}
