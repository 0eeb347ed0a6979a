"""Text and LaTeX are written as one would write them by hand."""

import matplotlib as mpl
import pytest
import sympy
from matplotlib.mathtext import MathTextParser

from sciml.errors import NotationError
from sciml.notation import (
    Vocabulary,
    parse_condition,
    parse_equation,
    parse_expression,
    to_latex,
    to_text,
)
from sciml.notation.latex import name_to_latex

FIELD = Vocabulary(("x", "t"), ("u", "v"), ("nu", "beta", "h", "Re", "x1"), {"k": ("x",), "f": ("u",)})
PLANE = Vocabulary(("x", "y"), ("psi", "u1"), ())
TRAJECTORY = Vocabulary(("t",), ("x", "theta"), ("a", "lam"))

TEXTS = [
    # typed, text, LaTeX
    ("u*u_x + u_t = u_xx*nu", "u_t + u*u_x = nu*u_xx", r"u_t + u\,u_x = \nu\,u_{xx}"),
    ("-4*u_xx + u_tt", "u_tt - 4*u_xx = 0", r"u_{tt} - 4\,u_{xx} = 0"),
    ("u_xxxx + u_xx + u*u_x + u_t", "u_t + u*u_x + u_xx + u_xxxx = 0", r"u_t + u\,u_x + u_{xx} + u_{xxxx} = 0"),
    ("u_xx = u^3 - 5*u + 1", "u_xx = u**3 - 5*u + 1", r"u_{xx} = u^{3} - 5\,u + 1"),
    ("u_xx*(1 - u^2)", "(1 - u**2)*u_xx = 0", r"(1 - u^{2})\,u_{xx} = 0"),
    ("sin(x)*exp(-t)/2", "exp(-t)*sin(x)/2 = 0", r"\frac{e^{-t}\,\sin(x)}{2} = 0"),
    ("1/x", "1/x = 0", r"\frac{1}{x} = 0"),
    ("-1/(2*x*t)", "-1/(2*t*x) = 0", r"-\frac{1}{2\,t\,x} = 0"),
    ("x**(-1/2)", "1/sqrt(x) = 0", r"\frac{1}{\sqrt{x}} = 0"),
    ("x**(1/3)", "x**(1/3) = 0", r"x^{\frac{1}{3}} = 0"),
    ("(x + t)**-2", "1/(t + x)**2 = 0", r"\frac{1}{(t + x)^{2}} = 0"),
    ("-2*x", "-2*x = 0", r"-2\,x = 0"),
    ("-(x + t)*u", "-(t + x)*u = 0", r"-(t + x)\,u = 0"),
    ("2/3*x", "2*x/3 = 0", r"\frac{2\,x}{3} = 0"),
    ("1e-4*u_xx", "0.0001*u_xx = 0", r"0.0001\,u_{xx} = 0"),
    ("1e-7*u", "1e-07*u = 0", r"1 \cdot 10^{-7}\,u = 0".replace(r"1 \cdot ", "")),
    ("2.5e20*u", "2.5e+20*u = 0", r"2.5 \cdot 10^{20}\,u = 0"),
    ("2*2^x", "2*2**x = 0", r"2 \cdot 2^{x} = 0"),
    ("sin(x)^2 + e", "sin(x)**2 + e = 0", r"\sin^{2}(x) + e = 0"),
    ("u_x^2", "u_x**2 = 0", r"u_x^{2} = 0"),
    ("abs(u)*sign(x)", "sign(x)*abs(u) = 0", r"\operatorname{sign}(x)\,\left|u\right| = 0"),
    ("max(x, 0) + erf(x)", "erf(x) + max(0, x) = 0", None),
    ("d(k*u_x, x)", "k_x*u_x + k(x)*u_xx = 0", r"k_x(x)\,u_x + k(x)\,u_{xx} = 0"),
    ("f_u*u_x + f", "f_u*u_x + f(u) = 0", r"f_u(u)\,u_x + f(u) = 0"),
    ("x1*Re*beta", "Re*beta*x1 = 0", r"\mathrm{Re}\,\beta\,x_1 = 0"),
    ("where(x < 0 and t >= 1, 1, u)", "where(t >= 1 and x < 0, 1, u) = 0", None),
    ("piecewise(x<0, 1, x<1, 2, 3)", "piecewise(x < 0, 1, x < 1, 2, 3) = 0", None),
]


@pytest.mark.parametrize(("typed", "text", "latex"), TEXTS, ids=[typed for typed, *_ in TEXTS])
def test_an_equation_is_written_by_hand(typed: str, text: str, latex: str | None) -> None:
    equation = parse_equation(typed, FIELD)
    assert to_text(equation, FIELD) == text
    if latex is not None:
        assert to_latex(equation, FIELD) == latex


def test_choices_are_written_as_cases() -> None:
    choice = parse_expression("where(0 < x and t <= 1, x/2, 0)", FIELD)
    assert to_latex(choice, FIELD) == (
        r"\begin{cases} \frac{x}{2} & \text{for } t \leq 1 \text{ and } 0 < x \\ 0 & \text{otherwise} \end{cases}"
    )


def test_one_coordinate_gives_primes() -> None:
    equation = parse_equation("theta'' = -sin(theta) - lam*x''''^2", TRAJECTORY)
    assert to_text(equation, TRAJECTORY) == "theta'' = -lam*x''''**2 - sin(theta)"
    assert to_latex(equation, TRAJECTORY) == r"\theta'' = -\lambda\,(x^{(4)})^{2} - \sin(\theta)"
    assert to_latex(parse_expression("x'^2", TRAJECTORY), TRAJECTORY) == "x'^{2}"


def test_subscripts_of_names_and_of_derivatives_meet() -> None:
    assert to_latex(parse_expression("u1_xy + psi_yy", PLANE), PLANE) == r"\psi_{yy} + u_{1,xy}"


@pytest.mark.parametrize(
    ("typed", "text", "latex"),
    [
        ("u(x, 0) = -sin(pi*x)", "u(x, 0) = -sin(pi*x)", r"u(x, 0) = -\sin(\pi\,x)"),
        ("h*u(1, t) + u_x(1, t) = 0", "u_x(1, t) + h*u(1, t) = 0", r"u_x(1, t) + h\,u(1, t) = 0"),
        ("u(boundary) = 0", "u(boundary) = 0", r"u|_{\partial\Omega} = 0"),
        ("u_x(1/2, t) = 0", "u_x(1/2, t) = 0", r"u_x\left(\frac{1}{2}, t\right) = 0"),
    ],
)
def test_a_condition_is_written_with_its_place(typed: str, text: str, latex: str) -> None:
    condition = parse_condition(typed, FIELD)
    assert to_text(condition, FIELD) == text
    assert to_latex(condition, FIELD) == latex


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("nu", r"\nu"),
        ("x1", "x_1"),
        ("x12", "x_{12}"),
        ("nu_x", r"\nu_x"),
        ("Re", r"\mathrm{Re}"),
        ("lambda_", r"\lambda"),
        ("Omega", r"\Omega"),
        ("alpha_max", r"\alpha_{\mathrm{max}}"),
        ("c_1", "c_1"),
    ],
)
def test_names_in_latex(name: str, latex: str) -> None:
    assert name_to_latex(name) == latex


@pytest.mark.parametrize("typed", [typed for typed, *_ in TEXTS if not typed.startswith(("where", "piecewise"))])
def test_figures_can_show_the_latex(typed: str) -> None:
    mpl.use("agg")
    latex = to_latex(parse_equation(typed, FIELD), FIELD)
    assert MathTextParser("path").parse(f"${latex}$").width > 0


def test_what_has_no_text_is_refused() -> None:
    x = FIELD.symbol("x")
    for expression, message in [
        (sympy.Symbol("q", real=True) + 1, "neither a coordinate nor a parameter"),
        (sympy.Function("w", real=True)(x), "has no notation"),
        (sympy.Integral(x, x), "Integral is not part"),
        (sympy.DiracDelta(x), "DiracDelta is not part"),
    ]:
        with pytest.raises(NotationError, match=message):
            to_text(expression, FIELD)
    shadowed = Vocabulary(("x",), ("u",), ("exp",))
    with pytest.raises(NotationError, match="that name is declared"):
        to_text(sympy.exp(x), shadowed)


def test_shadowed_constants_are_written_otherwise() -> None:
    words = Vocabulary(("x", "y"), ("u",), ("e", "E", "pi", "sqrt"))
    expression = sympy.pi + sympy.E + sympy.sqrt(words.symbol("x")) + words.symbol("pi")
    text = to_text(expression, words)
    assert parse_expression(text, words) == expression
    assert "acos(-1)" in text
