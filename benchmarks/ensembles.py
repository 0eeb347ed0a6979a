"""Ensemble-SINDy here and in pysindy, on the same data and the same bootstraps, in turn within one run.

    python -m benchmarks.ensembles [--members 1000] [--degree 5] [--noise 0.01] [--rounds 5] [--sample 40] [--json FILE]

The data are the Lorenz system (dt 0.01, 10 s, noise relative to the RMS of the centred states), derivatives by
pysindy's smoothed finite differences, all monomials up to the degree; STLSQ with threshold 0.2. pysindy's members
cost the same each, so a sample of them is timed and scaled. Everything runs on one thread; a ratio is the median of
the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp

from sciml.sindy.ensembles import ensemble
from sciml.sindy.libraries import exponent_table

__all__ = ["data", "main", "measured"]

THRESHOLD = 0.2


def data(degree: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features [1000, p] and derivatives [1000, 3] of a noisy Lorenz trajectory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysindy

    def rate(_: float, u: np.ndarray) -> list[float]:
        return [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]

    t = 0.01 * np.arange(1000)
    clean = solve_ivp(rate, (0, 10), [-8, 8, 27], t_eval=t, rtol=1e-10, atol=1e-10).y.T
    x = clean + noise * clean.std() * np.random.default_rng(seed).normal(size=clean.shape)
    smooth = pysindy.SmoothedFiniteDifference()
    rates = np.asarray(smooth._differentiate(x, t))
    return np.prod(x[:, None] ** exponent_table(3, degree), axis=2), rates


def measured(members: int, degree: int, noise: float, rounds: int, sample: int) -> dict[str, float]:
    """Time both in turn and compare the members of the sample; seconds are for all members."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysindy

    features, rates = data(degree, noise)
    ours, direct, wrapped, identical, largest = [], [], [], 0, 0.0
    for number in range(rounds):
        start = time.perf_counter()
        result = ensemble(features, rates, members=members, threshold=THRESHOLD, seed=number)
        ours.append(time.perf_counter() - start)
        assert result.counts is not None
        counts = result.counts[:sample].int().numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            theirs = []
            for count in counts:
                rows = np.repeat(np.arange(len(count)), count)
                theirs.append(pysindy.STLSQ(threshold=THRESHOLD).fit(features[rows], rates[rows]).coef_)
            direct.append((time.perf_counter() - start) * members / sample)
            wrapper = pysindy.EnsembleOptimizer(pysindy.STLSQ(threshold=THRESHOLD), bagging=True, n_models=sample)
            start = time.perf_counter()
            wrapper.fit(features, rates)
            wrapped.append((time.perf_counter() - start) * members / sample)
        for one, other in zip(result.members[:sample].numpy(), theirs, strict=True):
            same = np.array_equal(one != 0, other != 0)
            identical += same
            if same:
                largest = max(largest, float(np.max(abs(one - other) / np.where(other == 0, 1, abs(other)))))
    return {
        "members": members,
        "terms": features.shape[1],
        "seconds": min(ours),
        "seconds_median": statistics.median(ours),
        "pysindy_seconds": min(direct),
        "ensemble_optimizer_seconds": min(wrapped),
        "ratio": statistics.median(b / a for a, b in zip(ours, direct, strict=True)),
        "ensemble_optimizer_ratio": statistics.median(b / a for a, b in zip(ours, wrapped, strict=True)),
        "identical_supports": identical / (rounds * sample),
        "largest_relative_difference": largest,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of one setting."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--degree", type=int, default=5)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = measured(given.members, given.degree, given.noise, given.rounds, min(given.sample, given.members))
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<30}{value:.4g}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
