"""Evaluating and solving a discovered law, here and in pysindy, in turn within one run.

    python -m benchmarks.laws [--rounds 5] [--json FILE]

Both have the Lorenz equations from the same clean record (degree 2, dt 0.01, 10 s). `predict` is timed for one state
and for 1,000; `simulate` for one time unit with 100 points, at each package's own defaults and at tolerances of 1e-12
for both, with the largest error against a solution at 1e-13. Times are the shortest of the rounds, a ratio is the
median of the rounds' ratios; one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from sciml.sindy.estimator import SINDy

__all__ = ["main", "measured"]


def _rate(_: float, u: np.ndarray) -> list[float]:
    return [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]


def _mean_time(call: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Time every case in turn, `rounds` times."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysindy

    t = 0.01 * np.arange(1000)
    x = solve_ivp(_rate, (0, 10), [-8, 8, 27], t_eval=t, rtol=1e-11, atol=1e-11).y.T
    x = np.ascontiguousarray(x)
    ours = SINDy(degree=2).fit(x, t=t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pysindy.SINDy(feature_library=pysindy.PolynomialLibrary(degree=2)).fit(x, t=0.01)
    unit = t[:101]
    cases: dict[str, tuple[Callable[[], Any], Callable[[], Any], int, int]] = {
        "predict 1 state": (lambda: ours.predict(x[:1]), lambda: theirs.predict(x[:1]), 2000, 20),
        "predict 1000 states": (lambda: ours.predict(x), lambda: theirs.predict(x), 200, 20),
        "simulate, defaults": (lambda: ours.simulate(x[0], unit)[:], lambda: theirs.simulate(x[0], unit), 20, 1),
        "simulate, 1e-12": (
            lambda: ours.simulate(x[0], unit, rtol=1e-12, atol=1e-12)[:],
            lambda: theirs.simulate(x[0], unit),
            10,
            1,
        ),
    }
    exact = solve_ivp(_rate, (0, 1), x[0], "DOP853", t_eval=unit, rtol=1e-13, atol=1e-13).y.T
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (here, there, many, few) in cases.items():
            here()
            there()
            pairs = [(_mean_time(here, many), _mean_time(there, few)) for _ in range(rounds)]
            found[name] = {
                "seconds": min(a for a, _ in pairs),
                "pysindy_seconds": min(b for _, b in pairs),
                "ratio": statistics.median(b / a for a, b in pairs),
            }
            if name.startswith("simulate"):
                found[name] |= {
                    "error": float(abs(here() - exact).max()),
                    "pysindy_error": float(abs(there() - exact).max()),
                }
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    found = measured(given.rounds)
    print(f"{'':<22}{'here':>12}{'pysindy':>12}{'ratio':>9}   error here, pysindy")
    for name, row in found.items():
        errors = f"   {row['error']:.1e}, {row['pysindy_error']:.1e}" if "error" in row else ""
        print(f"{name:<22}{row['seconds']:>10.3g} s{row['pysindy_seconds']:>10.3g} s{row['ratio']:>9.0f}{errors}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
