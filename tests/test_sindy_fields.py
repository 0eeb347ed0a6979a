"""Discovery of partial differential equations: right laws, invariances, and answers that say when not to be trusted."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from sciml import sindy
from sciml.errors import ArgumentError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WAVES = (0.6, 1.2, 1.9, 2.7)


def _noisy(field: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=field.shape)
    return field + level * np.sqrt(np.mean(np.abs(field) ** 2)) * noise


def _advection_diffusion(
    speed: float = 0.7, diffusion: float = 0.2, n: int = 128, m: int = 96
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u_t = -speed u_x + diffusion u_xx, as a sum of damped travelling waves."""
    x, t = np.linspace(0, 12, n), np.linspace(0, 3, m)
    X, T = np.meshgrid(x, t, indexing="ij")
    waves = [np.exp(-diffusion * k**2 * T) * np.cos(k * (X - speed * T) + 3 * k) for k in WAVES]
    return x, t, np.sum(waves, axis=0)


@functools.cache
def _burgers(viscosity: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u_t = -u u_x + viscosity u_xx by Cole and Hopf: u = -2 viscosity phi_x / phi with phi a sum of heat modes."""
    x, t = np.linspace(-np.pi, np.pi, 128), np.linspace(0, 3, 96)
    X, T = np.meshgrid(x, t, indexing="ij")
    phi, slope = 2.0 + 0 * X, 0 * X
    for k, a, shift in ((1, 1.2, 0.3), (2, 0.5, 1.0), (3, 0.15, 2.0)):
        damped = a * np.exp(-viscosity * k**2 * T)
        phi, slope = phi + damped * np.cos(k * X + shift), slope - k * damped * np.sin(k * X + shift)
    return x, t, -2 * viscosity * slope / phi


@functools.cache
def _two_solitons() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u_t = -6 u u_x - u_xxx by Hirota: u = 2 (log F)_xx."""
    x, t = np.linspace(-15, 25, 200), np.linspace(0, 8, 120)
    X, T = np.meshgrid(x, t, indexing="ij")
    k, p = 1.0, 1.5
    a = np.exp(k * (X - 2) - k**3 * T)
    b = np.exp(p * (X + 6) - p**3 * T)
    c = ((k - p) / (k + p)) ** 2
    F = 1 + a + b + c * a * b
    Fx = k * a + p * b + c * (k + p) * a * b
    Fxx = k**2 * a + p**2 * b + c * (k + p) ** 2 * a * b
    return x, t, 2 * (Fxx * F - Fx**2) / F**2


def _close(law: sindy.Discovery, name: str, expected: dict[str, float], errors: float = 4.5) -> None:
    assert set(law.coefficients[name]) == set(expected)
    for term, value in expected.items():
        assert abs(law.coefficients[name][term] - value) < errors * law.standard_errors[name][term]


@pytest.mark.parametrize("level", [0.0, 0.05, 0.5])
def test_advection_and_diffusion_are_found(level: float) -> None:
    x, t, u = _advection_diffusion()
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, level)})
    _close(law, "u", {"u_x": -0.7, "u_xx": 0.2})
    assert law.trusted
    assert law.equations[0].startswith("u_t = ")
    if level:
        assert law.noise["u"] == pytest.approx(level * np.sqrt(np.mean(u**2)), rel=0.03)


@pytest.mark.parametrize("level", [pytest.param(0.0, marks=pytest.mark.slow), 0.01, 0.2])
def test_viscous_burgers_is_found(level: float) -> None:
    x, t, u = _burgers()
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, level)})
    _close(law, "u", {"u*u_x": -1.0, "u_xx": 0.1})
    assert law.trusted


def test_korteweg_and_de_vries_is_found_in_two_noisy_solitons() -> None:
    x, t, u = _two_solitons()
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, 0.1)})
    _close(law, "u", {"u*u_x": -6.0, "u_xxx": -1.0})


def test_a_complex_field_becomes_two_real_ones() -> None:
    x, t = np.linspace(0, 12, 128), np.linspace(0, 3, 96)
    X, T = np.meshgrid(x, t, indexing="ij")
    h = np.sum([np.exp(1j * (k * X - 0.5 * k**2 * T + 2 * k * k)) for k in WAVES], axis=0)  # i h_t = -h_xx/2
    generator = np.random.default_rng(1)
    h = h + 0.1 * (generator.normal(size=h.shape) + 1j * generator.normal(size=h.shape))
    law = sindy.discover_field({"x": x, "t": t}, {"h": h}, degree=2, order=4)
    assert law.names == ("hr", "hi")
    _close(law, "hr", {"hi_xx": -0.5})
    _close(law, "hi", {"hr_xx": 0.5})


def test_two_space_dimensions() -> None:
    x, y, t = np.linspace(0, 10, 48), np.linspace(0, 8, 40), np.linspace(0, 2, 40)
    X, Y, T = np.meshgrid(x, y, t, indexing="ij")
    u = sum(
        np.exp(-(0.3 * k**2 + 0.1 * q**2) * T) * np.cos(k * X + q * Y + 5 * k * q)
        for k, q in ((0.8, 0.5), (1.4, -0.9), (0.5, 1.6), (2.0, 0.7))
    )
    law = sindy.discover_field({"x": x, "y": y, "t": t}, {"u": _noisy(u, 0.1)}, degree=2, order=2)
    _close(law, "u", {"u_xx": 0.3, "u_yy": 0.1})


def test_units_scale_the_coefficients_and_nothing_else() -> None:
    x, t, u = _burgers()
    u = _noisy(u, 0.1)
    law = sindy.discover_field({"x": x, "t": t}, {"u": u})
    length, duration, size = 1e-6, 3e4, 1e5
    other = sindy.discover_field({"x": length * x, "t": duration * t}, {"u": size * u})
    expected = {"u*u_x": length / duration / size, "u_xx": length**2 / duration}
    assert set(other.coefficients["u"]) == set(law.coefficients["u"]) == set(expected)
    for term, factor in expected.items():
        assert other.coefficients["u"][term] == pytest.approx(factor * law.coefficients["u"][term], rel=1e-6)
        assert other.standard_errors["u"][term] == pytest.approx(factor * law.standard_errors["u"][term], rel=1e-4)


def test_the_order_of_the_fields_does_not_matter() -> None:
    x, t, u = _advection_diffusion()
    _, _, v = _advection_diffusion(speed=-0.4, diffusion=0.1)
    u, v = _noisy(u, 0.1, 1), _noisy(v, 0.1, 2)
    one = sindy.discover_field({"x": x, "t": t}, {"u": u, "v": v}, degree=2, order=3)
    two = sindy.discover_field({"x": x, "t": t}, {"v": v, "u": u}, degree=2, order=3)
    for name in "uv":
        assert set(one.coefficients[name]) == set(two.coefficients[name]) == {f"{name}_x", f"{name}_xx"}
        for term, value in one.coefficients[name].items():
            assert two.coefficients[name][term] == pytest.approx(value, rel=1e-6)


def test_an_answer_repeats_bit_for_bit() -> None:
    x, t, u = _burgers()
    laws = [sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, 0.1)}) for _ in range(2)]
    assert laws[0].coefficients == laws[1].coefficients


def test_the_law_is_a_problem_with_the_users_domain_and_conditions() -> None:
    x, t, u = _advection_diffusion()
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, 0.01)})
    problem = law.problem((0.0, 1.0), "sin(x)", domain={"x": (0.0, 2 * np.pi)})
    assert problem.unknowns == ("u",)
    assert problem.coordinates == ("x", "t")
    from sciml import classical

    solution = classical.solve(problem)
    speed, diffusion = -law.coefficients["u"]["u_x"], law.coefficients["u"]["u_xx"]
    places = np.linspace(0, 6, 7)
    exact = np.exp(-diffusion) * np.sin(places - speed)
    np.testing.assert_allclose(solution(places, 1.0), exact, atol=1e-5)


def test_what_is_known_stays_and_what_is_forbidden_stays_out() -> None:
    x, t, u = _burgers()
    grids, fields = {"x": x, "t": t}, {"u": _noisy(u, 0.05)}
    law = sindy.discover_field(grids, fields, known="u_t = 0.1*u_xx + ...")
    assert law.coefficients["u"]["u_xx"] == 0.1
    assert law.standard_errors["u"]["u_xx"] == 0.0
    assert law.coefficients["u"]["u*u_x"] == pytest.approx(-1.0, abs=0.02)
    law = sindy.discover_field(grids, fields, forbidden=["u*u_x"])
    assert "u*u_x" not in law.coefficients["u"]
    law = sindy.discover_field(grids, fields, library=["u", "u*u_x", "u_xx", "u_xxx"])
    assert set(law.coefficients["u"]) == {"u*u_x", "u_xx"}


def test_a_known_equation_alone_is_judged() -> None:
    x, t, u = _advection_diffusion()
    grids, fields = {"x": x, "t": t}, {"u": _noisy(u, 0.05)}
    assert sindy.discover_field(grids, fields, known="u_t = -0.7*u_x + 0.2*u_xx").trusted
    assert not sindy.discover_field(grids, fields, known="u_t = -0.7*u_x + 0.3*u_xx").trusted


def test_a_library_without_a_true_term_is_flagged() -> None:
    x, t, u = _advection_diffusion()
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, 0.01)}, library=["u", "u_x", "u**2"])
    assert not law.trusted
    assert "does not explain" in law.message


def test_noise_and_constants_are_not_trusted() -> None:
    x, t = np.linspace(0, 1, 64), np.linspace(0, 1, 64)
    for field in (
        np.random.default_rng(0).normal(size=(64, 64)),
        np.full((64, 64), 3.0),
        np.zeros((64, 64)),
        3.0 + np.random.default_rng(1).normal(size=(64, 64)),
    ):
        law = sindy.discover_field({"x": x, "t": t}, {"u": field})
        assert not law.trusted
        assert law.message
        assert len(law.equations) == 1


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_shocks_are_right_or_flagged(level: float) -> None:
    x, t = np.linspace(-2, 2, 72), np.linspace(0.02, 1.5, 48)
    X, T = np.meshgrid(x, t, indexing="ij")
    # A rarefaction from x = -1 and a shock from x = 0 that do not meet before t = 2.
    u = np.where(X < -1, 0.0, np.where(X < -1 + T, (X + 1) / T, np.where(X < T / 2, 1.0, 0.0)))
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(u, level)}, degree=2, order=2)
    assert set(law.coefficients["u"]) == {"u*u_x"} or not law.trusted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, t, u: ({"x": x, "t": t}, {"u": u.T}), "transpose"),
        (lambda x, t, u: ({"x": x, "t": t}, {"u": u[:, :-1]}), "shape"),
        (lambda x, t, u: ({"x": x, "t": t}, {"u": np.where(u > 0, np.nan, u)}), "not finite"),
        (lambda x, t, u: ({"x": x**3, "t": t}, {"u": u}), "evenly"),
        (lambda x, t, u: ({"x": x[::-1], "t": t}, {"u": u}), "increasing"),
        (lambda x, t, u: ({"t": t}, {"u": u[0]}), "one or two space"),
        (lambda x, t, u: ({"x": x[:9], "t": t}, {"u": u[:9]}), "at least 16"),
        (lambda x, t, u: ({"x": x, "t": t}, u), "mapping"),
        (lambda x, t, u: ({"x": x, "t": t}, {}), "mapping"),
        (lambda x, t, u: ({"x": x, "t": t}, {"u": u.astype(str)}), "numbers"),
        (lambda x, t, u: ({"x": x, "t": t}, {"x": u}), "declared"),
        (lambda x, t, u: ({"x": "abc", "t": t}, {"u": u}), "numbers"),
    ],
)
def test_bad_data_are_refused_with_advice(change, words: str) -> None:
    coordinates, fields = change(*_burgers())
    with pytest.raises(ArgumentError, match=words):
        sindy.discover_field(coordinates, fields)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"degree": 0}, "degree"),
        ({"order": 2.5}, "order"),
        ({"degree": 2, "library": ["u"]}, "exclude"),
        ({"library": ["u*u_xx"]}, "no derivative of a product"),
        ({"library": ["sin(u)"]}, "powers"),
        ({"library": ["q"]}, "library"),
        ({"library": []}, "at least one term"),
        ({"known": "u_x = u"}, "time derivatives"),
        ({"known": ["u_t = u", "u_t = u_x"]}, "two equations"),
        ({"forbidden": {"w": ["u"]}}, "no field"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_bad_options_are_refused_with_advice(options: dict, words: str) -> None:
    x, t, u = _burgers()
    with pytest.raises(ArgumentError, match=words):
        sindy.discover_field({"x": x, "t": t}, {"u": u}, **options)


@pytest.mark.parametrize(
    ("name", "level", "expected"),
    [
        ("burgers", 1.0, {"u": {"u*u_x": -1.0}}),
        ("kdv", 1.0, {"u": {"u*u_x": -1.0, "u_xxx": -1.0}}),
        ("ks", 1.0, {"u": {"u*u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0}}),
    ],
)
def test_fields_under_noise_as_large_as_themselves(name: str, level: float, expected: dict) -> None:
    path = DATA / f"esindy_{name}.mat"
    if not path.exists():
        pytest.skip(f"{path.name} is not there: it comes from the Ensemble-SINDy paper")
    raw = scipy.io.loadmat(path)
    x, t = (np.ravel(a).astype(float) for a in raw["xs"].ravel())
    fields = {k: _noisy(np.asarray(u, float), level, 3) for k, u in zip("uv", raw["U_exact"].ravel(), strict=False)}
    law = sindy.discover_field({"x": x, "t": t}, fields)
    for unknown, terms in expected.items():
        assert set(law.coefficients[unknown]) == set(terms)
        for term, value in terms.items():
            assert law.coefficients[unknown][term] == pytest.approx(value, rel=0.12)


def test_the_coordinate_called_t_is_the_time_wherever_it_stands() -> None:
    x, t = np.linspace(0, 10, 120), np.linspace(0, 2, 80)
    u = sum(np.exp(-0.5 * (k**2) * t) * np.cos(k * x[:, None] + k) for k in (0.6, 1.2, 1.9))
    u = u + 0.01 * np.random.default_rng(0).normal(size=u.shape)
    law = sindy.discover_field({"x": x, "t": t}, {"u": u})
    exchanged = sindy.discover_field({"t": t, "x": x}, {"u": u.T})
    assert set(law.coefficients["u"]) == {"u_xx"}
    assert exchanged.coefficients == law.coefficients
    assert exchanged.trusted
