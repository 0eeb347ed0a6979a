"""Fields without a law, or with few waves: the answer says what the data cannot say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sciml import sindy


def _noisy(u: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    return u + level * np.sqrt(np.mean(u**2)) * np.random.default_rng(seed).normal(size=u.shape)


def _varying_diffusion() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u_t = 0.2 ((1 + sin(x)/2) u_x)_x, which no library of constant coefficients has, by Fourier in x."""
    x, t = 2 * np.pi * np.arange(128) / 128, np.linspace(0, 3, 150)
    slope = np.fft.ifft(1j * np.fft.fftfreq(128, 1 / 128)[:, None] * np.fft.fft(np.eye(128), axis=0), axis=0).real
    rates, shapes = np.linalg.eig(0.2 * slope @ np.diag(1 + 0.5 * np.sin(x)) @ slope)
    start = np.linalg.solve(shapes, np.sin(x) + 0.5 * np.cos(2 * x + 0.3) + 0.3 * np.sin(3 * x + 1))
    return x, t, ((shapes * start) @ np.exp(np.outer(rates, t))).real


def _fisher() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u_t = u_xx/10 + u (1 - u)."""
    x, t = 20 * np.arange(150) / 150, np.linspace(0, 8, 100)
    k = 2 * np.pi / 20 * np.fft.rfftfreq(150, 1 / 150)
    start = 0.9 * np.exp(-((x - 7) ** 2)) + 0.3 * np.exp(-((x - 14) ** 2) / 2)

    def rate(_: float, u: np.ndarray) -> np.ndarray:
        return 0.1 * np.fft.irfft(-(k**2) * np.fft.rfft(u), 150) + u * (1 - u)

    return x, t, solve_ivp(rate, (0, 8), start, t_eval=t, rtol=1e-8, atol=1e-10).y


def test_a_clean_field_without_a_law_is_flagged() -> None:
    # Its fits of many terms took minutes and ten gigabytes.
    x, t, u = _varying_diffusion()
    law = sindy.discover_field({"x": x, "t": t}, {"u": u})
    assert not law.trusted
    assert "a fit, not a law" in law.message


def test_heat_with_time_called_a_place_is_flagged() -> None:
    x, t = 2 * np.pi * np.arange(128) / 128, np.linspace(0, 1, 150)
    u = sum(
        a * np.exp(-0.1 * k**2 * t[:, None]) * np.cos(k * x + p) for k, a, p in ((1, 1, 0), (2, 0.5, 1), (3, 0.3, 2))
    )
    law = sindy.discover_field({"s": t, "x": x}, {"u": u})
    assert not law.trusted


def test_equations_are_not_sought_again_from_terms_of_others_that_are_far_behind() -> None:
    x, t = 10 * np.arange(64)[:, None] / 64, np.linspace(0, 6, 60)
    u, v = np.zeros((64, 60)), np.zeros((64, 60))
    for m, a, p in ((1, 1.0, 0.3), (2, 0.6, 2.0), (3, -0.3, 4.0)):
        k = 2 * np.pi * m / 10
        u += a * np.cos(k * x + p) * np.cos(k * t)
        v -= k * a * np.cos(k * x + p) * np.sin(k * t)
    lines: list[str] = []
    law = sindy.discover_field(
        {"x": x.ravel(), "t": t}, {"u": u, "v": v}, degree=2, order=3, progress=lambda text: lines.append(text[:2])
    )
    assert {name: set(terms) for name, terms in law.coefficients.items()} == {"u": {"v"}, "v": {"u_xx"}}
    # First the noise, then u, then v, and u no more.
    assert [line for k, line in enumerate(lines) if k == 0 or lines[k - 1] != line] == ["no", "u:", "v:"]


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_single_wave_does_not_tell_decay_from_diffusion_and_the_answer_says_so(level: float) -> None:
    x, t = np.linspace(0, 2 * np.pi, 100), np.linspace(0, 1, 80)
    u = _noisy(np.cos(x)[:, None] * np.exp(-t), level)
    law = sindy.discover_field({"x": x, "t": t}, {"u": u})
    assert not law.trusted
    assert "cannot tell u from u_xx" in law.message


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_three_waves_tell_decay_from_diffusion(level: float) -> None:
    x, t = np.linspace(0, 2 * np.pi, 100), np.linspace(0, 1, 80)
    u = sum(a * np.cos(k * x + k)[:, None] * np.exp(-(k**2) * t) for k, a in ((1, 1.0), (2, 0.7), (3, 0.5)))
    law = sindy.discover_field({"x": x, "t": t}, {"u": _noisy(np.asarray(u), level)})
    assert set(law.coefficients["u"]) == {"u_xx"}
    assert law.trusted


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_a_series_in_the_place_of_a_forbidden_square_is_not_trusted(level: float) -> None:
    x, t, u = _fisher()
    grids, fields = {"x": x, "t": t}, {"u": _noisy(u, level)}
    law = sindy.discover_field(grids, fields, forbidden=["u**2"])
    assert not law.trusted
    assert "cancel" in law.message
    law = sindy.discover_field(grids, fields)
    assert set(law.coefficients["u"]) == {"u", "u**2", "u_xx"}
    assert law.trusted
    assert law.diagnostics["cancellation"]["u"] < 10
