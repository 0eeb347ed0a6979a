"""What a discovery is good for: a function, a simulation, a problem, a file, and other libraries' objects."""

from __future__ import annotations

import numpy as np
import pytest

from sciml import sindy
from sciml.errors import ArgumentError, FileFormatError
from sciml.sindy.exports import equation_text
from sciml.status import Status

LORENZ = {
    "x": {"x": -10.0, "y": 10.0},
    "y": {"x": 28.0, "y": -1.0, "x*z": -1.0},
    "z": {"z": -8 / 3, "x*y": 1.0},
}


def _law(coefficients=None, **more) -> sindy.Discovery:
    coefficients = coefficients or LORENZ
    names = tuple(coefficients)
    equations = tuple(equation_text(f"{name}'", terms) for name, terms in coefficients.items())
    return sindy.Discovery(names, equations, coefficients, **more)


def _exact(x: np.ndarray) -> np.ndarray:
    return np.stack(
        [10 * (x[:, 1] - x[:, 0]), 28 * x[:, 0] - x[:, 1] - x[:, 0] * x[:, 2], x[:, 0] * x[:, 1] - 8 / 3 * x[:, 2]], 1
    )


def test_equations_are_text_in_the_notation() -> None:
    assert _law().equations[0] == "x' = -10*x + 10*y"
    assert equation_text("x'", {}) == "x' = 0"
    assert equation_text("x'", {"1": -0.5, "sin(x) + 1": -1.0}) == "x' = -0.5 - (sin(x) + 1)"


def test_the_equations_in_every_other_form_have_the_same_values() -> None:
    torch = pytest.importorskip("torch")
    law, x = _law(), np.random.default_rng(0).normal(size=(20, 3))
    assert np.allclose(law.predict(x), _exact(x), rtol=1e-13)
    assert np.allclose(law.predict(x[0]), _exact(x)[0], rtol=1e-13)
    assert np.allclose(law.to_torch()(torch.tensor(x)).detach().numpy(), _exact(x), rtol=1e-12)
    assert np.allclose(np.asarray(law.to_pysindy().predict(x)), _exact(x), rtol=1e-12)
    assert [str(equation.rhs.func) for equation in law.to_sympy()] == ["<class 'sympy.core.add.Add'>"] * 3
    assert "\\begin{aligned}" in law._repr_latex_()


def test_the_coefficients_of_the_torch_module_can_be_trained() -> None:
    torch = pytest.importorskip("torch")
    module = _law().to_torch()
    module(torch.ones(4, 3, dtype=torch.float64)).sum().backward()
    assert module.coefficients.grad.abs().min() > 0
    with pytest.raises(ArgumentError, match="shape"):
        module(torch.ones(4, 2))


def test_a_simulation_has_the_order_of_its_tolerance_and_is_the_same_in_a_batch() -> None:
    law = _law({"x": {"y": 1.0}, "y": {"x": -1.0}})
    t = np.linspace(0, 20, 77)
    for rtol in (1e-5, 1e-8):
        found = law.simulate([1.0, 0.0], t, rtol=rtol)
        assert found.success
        assert np.abs(found.states[:, 0] - np.cos(t)).max() < 300 * rtol
    starts = np.random.default_rng(0).normal(size=(20, 2))
    batch = law.simulate(starts, t)
    assert batch.states.shape == (20, 77, 2)
    for k in (0, 7, 19):
        assert np.allclose(batch.states[k], law.simulate(starts[k], t).states, atol=1e-6)


def test_a_blow_up_gives_every_row_and_says_so() -> None:
    law = _law({"x": {"x**2": 1.0}})
    t = np.linspace(0, 2, 21)
    found = law.simulate([[1.0], [-1.0]], t)
    assert found.states.shape == (2, 21, 1)
    assert found.statuses == (Status.DIVERGED, Status.CONVERGED)
    assert np.allclose(found.states[0, :10, 0], 1 / (1 - t[:10]), rtol=1e-5)
    assert np.isnan(found.states[0, 11:]).all()
    assert np.allclose(found.states[1, :, 0], -1 / (1 + t), rtol=1e-6)
    assert "1 of 2 solutions" in found.message


def test_a_stiff_law_is_simulated_to_its_end() -> None:
    law = _law({"x": {"x": -1e5, "y": 1e5}, "y": {"y": -1.0}})
    t = np.linspace(0, 2, 11)
    found = law.simulate([0.0, 1.0], t)
    assert found.success
    assert np.allclose(found.states[1:, 0], np.exp(-t[1:]), rtol=1e-3)


def test_the_score_of_the_true_law_is_one_and_of_no_law_about_zero() -> None:
    law, t = _law(), np.linspace(0, 5, 501)
    x = law.simulate([-8, 7, 27], t).states
    assert law.score(x, t) == pytest.approx(1, abs=1e-6)
    assert abs(_law({name: {"1": 0.0} for name in "xyz"}).score(x, t)) < 0.2


def test_a_saved_discovery_is_read_back_bit_for_bit(tmp_path) -> None:
    t = np.linspace(0, 6, 200)
    x = np.stack([np.cos(t), np.sin(t)], 1) + 0.02 * np.random.default_rng(0).normal(size=(200, 2))
    law = sindy.discover(t, x, degree=2)
    again = sindy.load_discovery(law.save(tmp_path / "law"))
    for name in ("names", "equations", "coefficients", "standard_errors", "intervals", "inclusion", "noise", "kind"):
        assert getattr(again, name) == getattr(law, name), name
    assert again.alternatives == law.alternatives
    assert all((a == b).all() for a, b in zip(again.states + again.data, law.states + law.data, strict=True))
    assert again.diagnostics["reason"] == law.diagnostics["reason"]
    assert repr(again) == repr(law)


def test_a_damaged_file_is_refused(tmp_path) -> None:
    path = _law().save(tmp_path / "law")
    content = bytearray(path.read_bytes())
    content[content.index(b"-10.0")] = ord("+")
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match="damaged"):
        sindy.load_discovery(path)
    with pytest.raises(FileFormatError, match="no discovery file"):
        sindy.load_discovery(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda law: law.predict(np.zeros((3, 2))), "shape"),
        (lambda law: law.simulate([1, 2], [0, 1]), "initial"),
        (lambda law: law.simulate([1, 2, np.nan], [0, 1]), "initial"),
        (lambda law: law.simulate([1, 2, 3], [1, 0]), "increasing"),
        (lambda law: law.problem(), "initial"),
        (lambda law: law.problem(initial=[1, 2]), "initial"),
    ],
)
def test_a_wrong_argument_of_a_method_is_named(call, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call(_law())
