"""Compiled expressions agree with SymPy and mpmath, in NumPy and torch, with their gradients."""

import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from numpy.testing import assert_allclose

from sciml.errors import ArgumentError
from sciml.notation import At, Partial, Vocabulary, differentiate, parse_expression, to_numpy, to_torch

WORDS = Vocabulary(("x", "y"), ("u",), ("nu",), {"k": ("x",), "f": ("u",), "g": ("x", "y")})
x, y, nu = (sympy.Symbol(name, real=True) for name in ("x", "y", "nu"))
u = WORDS.unknown("u")

X = np.array([-0.83, -0.21, 0.37, 0.78])
Y = np.array([0.52, -0.94, 0.66, 1.3])

FORMULAS = [
    *(f"{name}(x)" for name in ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "atanh"]),
    *(f"{name}(x)" for name in ["exp", "abs", "sign", "erf", "erfc", "heaviside", "sigmoid", "cbrt", "sec", "csc"]),
    *(f"{name}(x)" for name in ["cot", "sech", "csch", "coth"]),
    *(f"{name}(x + 2)" for name in ["log", "log10", "log2", "sqrt", "acosh"]),
    "atan2(x, y)",
    "atan2(x, 1/2)",
    "atan2(0.3, y)",
    "min(x, y)",
    "max(x, y, 0)",
    "max(x, 0.25)",
    "heaviside(x, 0.25)",
    "x^2 + x^3 - x^5/y^2",
    "x^-1 + y^-3",
    "(x + 2)^(1/2) + (x + 2)^(-1/2) + (x + 2)^(3/2) + (x + 2)^(-5/2)",
    "(x + 2)^(1/3)*(y + 2)^(-2/3)",
    "(x + 2)^y",
    "2^x + (1/3)^y",
    "(x + 2)^2.0 + (x + 2)^0.7",
    "x^70",
    "-x - y + 3",
    "-(x + y)*(x - 2*y)/(3*x*y)",
    "2/(3*x) - 5/(x*y)",
    "pi*x + e*y + sqrt(2)/3",
    "where(x < 0, x^2, sin(y))",
    "where(0 <= x and y > 0, x, x < -0.5 or y < -0.5, 2*y, 3)".replace("where", "piecewise"),
    "where(not (x < 0 and y > 0), 1, 2)",
    "where(x > 0, sqrt(abs(x)), where(y > 0, log(abs(y)), x*y))",
    "where(x == 0, 1, sin(x)/x)",
    "where(x != y, x, y)",
]


# torch's own forward mode uses what torch has deprecated
FORWARD = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def values(expression: Any, points: dict[Any, np.ndarray]) -> np.ndarray:
    """Evaluate by SymPy to 30 digits, point by point."""
    count = len(next(iter(points.values())))
    rows = [{name: sympy.Float(float(column[i]), 40) for name, column in points.items()} for i in range(count)]
    return np.array([float(expression.subs(row).evalf(30)) for row in rows])


@pytest.mark.parametrize("text", FORMULAS)
def test_values_in_both_backends_agree_with_sympy(text: str) -> None:
    expression = parse_expression(text, WORDS)
    expected = values(expression, {x: X, y: Y})
    assert_allclose(to_numpy([expression], [x, y])(X, Y)[0], expected, rtol=2e-14, atol=1e-15)
    (tensor,) = to_torch([expression], [x, y])(torch.tensor(X), torch.tensor(Y))
    assert tensor.dtype == torch.float64
    assert_allclose(tensor.numpy(), expected, rtol=2e-14, atol=1e-15)


@pytest.mark.parametrize("text", FORMULAS)
def test_gradients_in_torch_agree_with_sympy(text: str) -> None:
    expression = parse_expression(text, WORDS)
    inputs = [torch.tensor(X, requires_grad=True), torch.tensor(Y, requires_grad=True)]
    (value,) = to_torch([expression], [x, y])(*inputs)
    gradients = torch.autograd.grad(value.sum(), inputs, allow_unused=True) if value.requires_grad else (None, None)
    compiled = to_numpy([differentiate(expression, x), differentiate(expression, y)], [x, y])(X, Y)
    for symbol, gradient, by_numpy in zip((x, y), gradients, compiled, strict=True):
        slope = differentiate(expression, symbol).replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)
        expected = values(slope, {x: X, y: Y})
        assert_allclose(by_numpy, expected, rtol=1e-12, atol=1e-13)
        found = np.zeros(4) if gradient is None else gradient.numpy()
        assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@FORWARD
@pytest.mark.parametrize("text", FORMULAS)
def test_programs_run_on_the_meta_device_in_single_precision_and_under_transforms(text: str) -> None:
    program = to_torch([parse_expression(text, WORDS)], [x, y])
    (meta,) = program(torch.empty(3, 1, device="meta"), torch.empty(4, device="meta"))
    assert (meta.device.type, meta.dtype, tuple(meta.shape)) == ("meta", torch.float32, (3, 4))
    single = [torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)]
    (direct,) = program(*single)
    assert direct.dtype == torch.float32

    def at_one_point(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return program(a, b)[0]

    assert_allclose(torch.func.vmap(at_one_point)(*single).numpy(), direct.numpy(), rtol=1e-5)
    double = [torch.tensor(X), torch.tensor(Y)]
    reverse = torch.func.vmap(torch.func.jacrev(at_one_point))(*double)
    forward = torch.func.vmap(torch.func.jacfwd(at_one_point))(*double)
    assert_allclose(forward.numpy(), reverse.numpy(), rtol=1e-12, atol=1e-14)


def test_numpy_keeps_single_precision() -> None:
    expression = parse_expression("sin(x)/3 + 0.1*where(x < 0, 1, 2) + max(x, 0.5)", WORDS)
    (value,) = to_numpy([expression], [x])(X.astype(np.float32))
    assert value.dtype == np.float32
    assert_allclose(value, to_numpy([expression], [x])(X)[0], rtol=1e-6)


def test_leaves_are_whatever_is_given_as_an_argument() -> None:
    residual = parse_expression("u*u_x - nu*u_xx + x", WORDS)
    slope, curvature = (WORDS.expression(Partial("u", orders)) for orders in ((1, 0), (2, 0)))
    (value,) = to_numpy([residual], [u, slope, curvature, nu, x])(2.0, 3.0, 4.0, 0.5, X)
    assert_allclose(value, 4.0 + X)
    at = At(u, (1, y))
    (value,) = to_torch([at**2 + at], [at])(torch.tensor([3.0]))
    assert value.item() == 12.0
    whole = parse_expression("sin(x) + y", WORDS)
    (value,) = to_numpy([whole * 2], [sympy.sin(x), y])(5.0, 1.0)
    assert value == 12.0


def test_every_result_has_the_common_shape_of_the_inputs() -> None:
    expressions = [x, x + y, sympy.Integer(3), y**2, sympy.pi * nu]
    column, row = np.zeros((3, 1)), np.ones(4)
    results = to_numpy(expressions, [x, y, nu])(column, row, 2.0)
    assert [result.shape for result in results] == [(3, 4)] * 5
    results[0][0, 0] = 7.0  # results are fresh arrays
    assert column[0, 0] == 0.0
    tensors = to_torch(expressions, [x, y, nu])(torch.zeros(3, 1), torch.ones(4), 2.0)
    assert [tuple(tensor.shape) for tensor in tensors] == [(3, 4)] * 5
    assert all(tensor.dtype == torch.float32 for tensor in tensors)
    alone = np.ones(3)
    assert to_numpy([x], [x])(alone)[0] is not alone


def test_numbers_alone_are_double_precision() -> None:
    assert to_torch([x / 3], [x])(1)[0].dtype == torch.float64
    assert to_torch([sympy.Rational(1, 3)], [])()[0].item() == 1 / 3
    assert to_numpy([x / 3], [x])(np.array([1, 2]))[0].dtype == np.float64
    assert to_numpy([sympy.pi], [])()[0] == math.pi
    assert to_torch([x / 3], [x])(torch.tensor([1, 2]))[0].dtype == torch.float64


def test_numbers_are_correctly_rounded() -> None:
    for text in ["pi^2/6", "exp(pi) - pi^20/10^9", "sqrt(2) + sqrt(3)", "log(3)", "1/3 - 0.1", "sin(1)^2"]:
        expression = parse_expression(text, WORDS)
        assert to_numpy([expression], [])()[0] == float(expression.evalf(40))


def test_equal_subexpressions_are_computed_once() -> None:
    calls: list[int] = []

    def counting(value: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return torch.sin(value)

    expressions = [parse_expression(text, WORDS) for text in ("k + k^2", "exp(k)*nu", "3*k*x - 2*k*x*nu")]
    results = to_torch(expressions, [x, nu], {"k": counting})(torch.tensor(X), 0.5)
    assert len(calls) == 1
    assert_allclose(results[2].numpy(), 2 * np.sin(X) * X)
    shared, alone = (to_numpy([sympy.exp(sympy.sin(x) * y)] * n, [x, y]) for n in (5, 1))
    assert len(shared._steps) == len(alone._steps)


def test_declared_functions_are_called_and_differentiated() -> None:
    expression = parse_expression("d(k*u_x, x) + f + f_u*u", WORDS)
    slope, curvature = (WORDS.expression(Partial("u", orders)) for orders in ((1, 0), (2, 0)))
    functions = {"k": lambda a: torch.exp(2 * a), "f": lambda a: a**3}
    arrays = [X, Y, X + Y, X * Y]
    expected = np.exp(2 * X) * (X * Y) + 2 * np.exp(2 * X) * (X + Y) + Y**3 + 3 * Y**2 * Y
    arguments = [x, u, slope, curvature]
    assert_allclose(to_numpy([expression], arguments, functions)(*arrays)[0], expected, rtol=1e-13)
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    (value,) = to_torch([expression], arguments, functions)(*tensors)
    assert_allclose(value.detach().numpy(), expected, rtol=1e-13)
    by_x, by_u = torch.autograd.grad(value.sum(), tensors[:2])
    assert_allclose(by_x.numpy(), 2 * np.exp(2 * X) * X * Y + 4 * np.exp(2 * X) * (X + Y), rtol=1e-12)
    assert_allclose(by_u.numpy(), 3 * Y**2 + 9 * Y**2, rtol=1e-12)


def test_higher_and_mixed_derivatives_of_declared_functions() -> None:
    expression = parse_expression("g_xxy + k_xxx", WORDS)
    functions = {"g": lambda a, b: torch.sin(a) * b**3, "k": lambda a: a**4}
    expected = -np.sin(X) * 3 * Y**2 + 24 * X
    assert_allclose(to_numpy([expression], [x, y], functions)(X, Y)[0], expected, rtol=1e-13)

    def at_one_point(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return to_torch([expression], [x, y], functions)(a, b)[0]

    slopes = torch.func.vmap(torch.func.grad(at_one_point))(torch.tensor(X), torch.tensor(Y))
    assert_allclose(slopes.numpy(), -np.cos(X) * 3 * Y**2 + 24, rtol=1e-12)


def test_gradients_reach_the_parameters_of_a_declared_function() -> None:
    weight = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    program = to_torch([parse_expression("k_x*nu", WORDS)], [x, nu], {"k": lambda a: torch.sin(weight * a)})
    (value,) = program(torch.tensor(X), 2.0)
    (gradient,) = torch.autograd.grad(value.sum(), weight)
    assert_allclose(gradient.item(), np.sum(2 * (np.cos(1.7 * X) - 1.7 * X * np.sin(1.7 * X))), rtol=1e-12)


def test_a_declared_function_that_returns_a_constant_or_a_wrong_shape() -> None:
    program = to_torch([parse_expression("k + k_x", WORDS)], [x], {"k": lambda a: 2.0})
    assert program(torch.zeros(3))[0].tolist() == [2.0, 2.0, 2.0]
    for wrong in (lambda a: a.sum(), lambda a: "no"):
        with pytest.raises(ArgumentError, match="function 'k' must return a tensor of shape"):
            to_torch([WORDS.function("k")], [x], {"k": wrong})(torch.zeros(3))


@FORWARD
@pytest.mark.parametrize(
    "text",
    [
        "where(x > 0, sqrt(x), 0)",
        "where(x > 0, log(x), x)",
        "where(x == 0, 1, sin(x)/x)",
        "where(x < 0, 1/x, x^2)",
        "where(x < 500, exp(x), 1)",
        "piecewise(x < 0, 1, x < 1, sqrt(x + 0.1), x < 2, log(x), sqrt(x - 1))",
        "where(x < 0, where(x < -1, sqrt(-x - 1), x), log(x + 0.5))",
        "sech(x) + csch(x + 0.5)",
    ],
)
def test_gradients_are_finite_and_right_beside_a_branch_that_is_not_taken(text: str) -> None:
    points = torch.tensor([-1000.0, -1.5, -0.25, 0.0, 0.25, 1.5, 3.0, 1000.0], dtype=torch.float64, requires_grad=True)
    expression = parse_expression(text, WORDS)
    (value,) = to_torch([expression], [x])(points)
    (gradient,) = torch.autograd.grad(value.sum(), points, create_graph=True)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    (second,) = torch.autograd.grad(gradient.sum(), points)
    assert torch.isfinite(second).all()
    inside = points.detach().numpy()[[2, 4, 5]]
    assert_allclose(gradient.detach().numpy()[[2, 4, 5]], values(differentiate(expression, x), {x: inside}), rtol=1e-12)
    _, tangent = torch.func.jvp(
        lambda a: to_torch([expression], [x])(a)[0], (points.detach(),), (torch.ones(8).double(),)
    )
    assert_allclose(tangent.numpy(), gradient.detach().numpy(), rtol=1e-12)


def test_points_outside_a_domain_give_nan_without_warnings() -> None:
    (value,) = to_numpy([parse_expression("sqrt(x) + 1/y", WORDS)], [x, y])(np.array([-1.0, 1.0]), np.array([1.0, 0.0]))
    assert np.isnan(value[0])
    assert np.isinf(value[1])


def test_derivatives_of_steps_are_zero_almost_everywhere() -> None:
    slope = sympy.diff(sympy.sign(x) + sympy.Heaviside(x), x)
    assert slope.has(sympy.DiracDelta)
    assert_allclose(to_numpy([slope + x], [x])(X)[0], X)


def test_what_sympy_leaves_of_absolute_values_of_derivatives_is_compiled_as_real() -> None:
    slope, curvature = (WORDS.expression(Partial("u", orders)) for orders in ((1, 0), (2, 0)))
    awkward = sympy.Abs(slope).diff(x)
    assert awkward.has(sympy.re)
    (value,) = to_numpy([awkward], [slope, curvature])(X, Y)
    assert_allclose(value, np.sign(X) * Y)
    (value,) = to_numpy([sympy.Abs(u).diff(u)], [u])(X)
    assert_allclose(value, np.sign(X))


MISSING: list[tuple[Any, str]] = [
    (nu * x, "no value for nu: the arguments are x, u_x"),
    (u, r"no value for u\(x, y\)"),
    (WORDS.expression(Partial("u", (2, 1))), "no value for u_"),
    (At(u, (x, 0)), r"no value for u\(x, 0\)"),
    (WORDS.function("k"), r"no value for k\(x\)"),
    (WORDS.derivative("f", {"u": 1}), "no value for f_u"),
    (sympy.gamma(x), "gamma has no numerical meaning"),
    (sympy.asin(2) * x, "not a real number"),
    (sympy.sqrt(-2) * x, "not a real number"),
]


@pytest.mark.parametrize(("expression", "message"), MISSING, ids=[message for _, message in MISSING])
def test_a_leaf_without_a_value_is_named(expression: Any, message: str) -> None:
    for compile_to in (to_numpy, to_torch):
        with pytest.raises(ArgumentError, match=message):
            compile_to([expression], [x, WORDS.expression(Partial("u", (1, 0)))])


def test_wrong_inputs_are_named() -> None:
    for program, array in (
        (to_numpy([x + y], [x, y]), np.zeros),
        (to_torch([x + y], [x, y]), torch.zeros),
    ):
        with pytest.raises(ArgumentError, match=r"2 inputs are needed \(x, y\), 1 came"):
            program(array(3))
        with pytest.raises(ArgumentError, match="do not broadcast"):
            program(array(3), array(4))
        with pytest.raises(ArgumentError, match="input 2 must be"):
            program(array(3), "text")


def test_programs_can_be_pickled() -> None:
    expression = parse_expression("where(x < 0, sech(x), max(x, y)^2)", WORDS)
    for program in (to_numpy([expression], [x, y]), to_torch([expression], [x, y])):
        again = pickle.loads(pickle.dumps(program))
        inputs = (X, Y) if program is not to_torch else (torch.tensor(X), torch.tensor(Y))
        assert_allclose(np.asarray(again(*inputs)[0]), np.asarray(program(*inputs)[0]), rtol=0)


def test_compiling_to_numpy_does_not_import_torch() -> None:
    code = """
import sys, sympy
from sciml.notation import to_numpy
x = sympy.Symbol("x", real=True)
assert to_numpy([sympy.erf(x)], [x])([0.0])[0] == 0
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
