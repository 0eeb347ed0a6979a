"""Samples of an oscillator and of a wave to discover laws from, and how they get into a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def oscillator(noise: float = 0.01, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Van der Pol's oscillator x' = y, y' = (1 - x^2) y - x, 400 samples."""
    t = np.linspace(0, 20, 400)
    x = solve_ivp(
        lambda _, u: [u[1], (1 - u[0] ** 2) * u[1] - u[0]], (0, 20), [2, 0], t_eval=t, rtol=1e-9, atol=1e-9
    ).y.T
    return t, x + noise * np.random.default_rng(seed).normal(size=x.shape)


def write_csv(path: str, header: str, *columns: np.ndarray) -> None:
    np.savetxt(path, np.column_stack(columns), delimiter=",", header=header, comments="")


def wave(space: int = 32, moments: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, t = np.linspace(0, 2 * np.pi, space, endpoint=False), np.linspace(0, 3, moments)
    return x, t, np.sin(x[:, None] - 2 * t) + 0.5 * np.cos(2 * x[:, None] - 4 * t)
