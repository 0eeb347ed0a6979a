"""Smoothers of noisy records: Whittaker's by likelihood, a cubic spline by cross-validation, a network.

    python -m benchmarks.smoothing [--draws 3] [--json FILE]

Records of Lorenz' system over 5 s: even steps of 0.01, scattered times, and wide gaps (a third of the record in five
pieces), with noise relative to the root mean square. Errors are relative L2 errors of the states and of their first
derivatives at the samples' times and, in the gaps' rows, in the gaps too; medians over the draws. The derivatives of
Whittaker's smooth values are those of the cubic spline through them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline, make_smoothing_spline

from benchmarks.discovery import lorenz, noisy
from sciml.sindy.network_smoothing import smooth_by_network
from sciml.sindy.smoothing import differences, smooth

__all__ = ["SMOOTHERS", "main", "record"]

SECONDS, STEP = 5.0, 0.01
KINDS = ("even", "scattered", "gaps")
NOISES = (0.01, 0.05, 0.2)
Curve = Callable[[np.ndarray, int], np.ndarray]


def record(kind: str, noise: float, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times and samples of one draw."""
    rng = np.random.default_rng(100 + draw)
    times = np.arange(0, SECONDS - 1e-9, STEP)
    if kind == "scattered":
        times = np.sort(rng.uniform(0, SECONDS, len(times)))
    if kind == "gaps":
        # Five gaps of a fifteenth of the record each.
        times = times[np.mod(times, SECONDS / 5) > SECONDS / 15]
    return times, noisy(lorenz(times), noise, draw)


def whittaker(times: np.ndarray, samples: np.ndarray) -> Curve:
    """Return the smoother that `discover` uses; gaps are filled by nodes without samples."""
    nodes = np.union1d(times, np.arange(times[0], times[-1], STEP))
    nodes = nodes[np.concatenate([[True], np.diff(nodes) > 1e-9])]
    at = np.abs(nodes[:, None] - times).argmin(axis=0)
    used = np.zeros(len(nodes), dtype=bool)
    used[at] = True
    # Penalties are in units of the step.
    first, rows = differences(nodes / STEP, np.array([0, len(nodes)]))
    columns = []
    for values in samples.T:
        full = np.zeros(len(nodes))
        full[at] = values
        columns.append(smooth(full, used, first, rows, 1).values)
    # Nodes that nearly coincide would make slopes of rounding errors.
    places = np.unique(np.floor(nodes / (0.5 * STEP)).astype(int), return_index=True)[1]
    places = places[np.concatenate([[True], np.diff(nodes[places]) > 0.4 * STEP])]
    spline = CubicSpline(nodes[places], np.stack(columns, 1)[places])
    return lambda t, order: spline(t, order)


def spline(times: np.ndarray, samples: np.ndarray) -> Curve:
    """Return SciPy's smoothing spline with its penalty by generalised cross-validation."""
    parts = [make_smoothing_spline(times, values) for values in samples.T]
    return lambda t, order: np.stack([part(t, order) for part in parts], 1)


def network(times: np.ndarray, samples: np.ndarray) -> Curve:
    """Return the network."""
    return smooth_by_network(times, samples)


SMOOTHERS: dict[str, Callable[[np.ndarray, np.ndarray], Curve]] = {
    "Whittaker, likelihood": whittaker,
    "cubic spline, cross-validation": spline,
    "network, early stopping": network,
}


def slopes(states: np.ndarray) -> np.ndarray:
    """Return the derivatives of Lorenz' states [N, 3]."""
    x, y, z = states.T
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean over the columns of the relative L2 error."""
    return float(np.mean(np.linalg.norm(found - exact, axis=0) / np.linalg.norm(exact, axis=0)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smoothing", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=int, default=3, help="of each kind of record (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(argv)
    if given.draws < 1:
        parser.error(f"--draws must be at least 1, got {given.draws}")
    torch.set_num_threads(1)
    print("| record | noise | smoother | states | derivatives | s |\n| --- | --- | --- | --- | --- | --- |")
    figures = []
    for kind in KINDS:
        for noise in NOISES:
            for name, make in SMOOTHERS.items():
                runs = []
                for draw in range(given.draws):
                    times, samples = record(kind, noise, draw)
                    began = time.process_time()
                    curve = make(times, samples)
                    taken = time.process_time() - began
                    at = np.arange(times[0], times[-1], STEP) if kind == "gaps" else times
                    exact = lorenz(at)
                    runs.append((relative(curve(at, 0), exact), relative(curve(at, 1), slopes(exact)), taken))
                states, rates, seconds = (statistics.median(run[k] for run in runs) for k in range(3))
                figures.append({"record": kind, "noise": noise, "smoother": name, "states": states,
                                "derivatives": rates, "seconds": seconds})  # fmt: skip
                print(f"| {kind} | {noise:.0%} | {name} | {states:.1e} | {rates:.1e} | {seconds:.3f} |", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
