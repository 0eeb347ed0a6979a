"""ODEBench (d'Ascoli et al. 2024, doi:10.48550/arXiv.2310.05573): 63 ordinary equations of one to four states.

    python -m benchmarks.odebench [--noise 0 0.05] [--seed 0] [--only 34 59] [--json FILE]

The file (../shared/data/odebench.json) has two solutions of each. The law is found in the first one, without a
setting, and solved from both initial states: reconstruction is the R2 (mean over the states) on the first, for which
it starts from the denoised first state, generalisation on the second; above 0.9 counts. Noise is relative to each
state's root mean square; the R2 is against the clean solution. Where the file's own equation, solved with a tolerance
of 1e-11, has a generalisation below 0.9 (a chaotic system, to the file's accuracy), the line says so. Seconds are those
of the process.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from scipy.integrate import solve_ivp

from sciml import sindy
from sciml.errors import ScimlError

__all__ = ["fraction_explained", "main", "measured"]

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "odebench.json"
ENOUGH = 0.9


def fraction_explained(true: np.ndarray, found: np.ndarray) -> float:
    """Return the mean R2 of the states [N, d]; minus infinity where a solution stopped."""
    if found.shape != true.shape or not np.isfinite(found).all():
        return -np.inf
    spread = np.maximum(((true - true.mean(axis=0)) ** 2).sum(axis=0), 1e-300)
    return float(np.mean(1 - ((true - found) ** 2).sum(axis=0) / spread))


def measured(entry: dict[str, Any], noise: float, seed: int) -> dict[str, Any]:
    """Return how well the law found in the first solution reconstructs and generalises."""
    (t, x), (other_t, other) = [
        (np.array(each["t"]), np.array(each["y"], dtype=float).T) for each in entry["solutions"][0]
    ]
    names = [f"x_{k}" for k in range(x.shape[1])]
    rng = np.random.default_rng([seed, entry["id"]])
    samples = x + noise * np.sqrt(np.mean(x**2, axis=0)) * rng.normal(size=x.shape)
    row: dict[str, Any] = {"id": entry["id"], "truth": entry["substituted"][0], "noise": noise, "seed": seed}
    start = time.process_time()
    try:
        law = sindy.discover(t, samples, names=names)
    except ScimlError as error:
        return row | {"failure": str(error), "reconstruction": -np.inf, "generalisation": -np.inf}
    row["seconds"] = time.process_time() - start
    return row | {
        "reconstruction": fraction_explained(x, law.simulate(law.states[0][0], t).states),
        "generalisation": fraction_explained(other, law.simulate(other[0], other_t).states),
        "trusted": law.trusted,
        "equations": law.equations,
    }


def own(entry: dict[str, Any]) -> float:
    """Return the generalisation of the file's own equation."""
    record = entry["solutions"][0][1]
    t, x = np.array(record["t"]), np.array(record["y"], dtype=float).T
    names = [sympy.Symbol(f"x_{k}") for k in range(x.shape[1])]
    sides = sympy.lambdify(names, [sympy.sympify(side) for side in entry["substituted"][0]], "numpy")
    found = solve_ivp(lambda _, s: sides(*s), (t[0], t[-1]), x[0], "LSODA", t, rtol=1e-11, atol=1e-12).y.T
    return fraction_explained(x, found)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", nargs="*", type=float, default=[0.0, 0.05])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", type=int, default=[], help="numbers of the equations")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(argv)
    if not DATA.exists():
        print(f"{DATA.name} is not there")
        return 1
    entries = [e for e in json.loads(DATA.read_text()) if not given.only or e["id"] in given.only]
    rows: list[dict[str, Any]] = []
    for noise in given.noise:
        begin = len(rows)
        for entry in entries:
            row = measured(entry, noise, given.seed)
            rows.append(row)
            if min(row["reconstruction"], row["generalisation"]) <= ENOUGH:
                limit = own(entry)
                if limit <= ENOUGH:
                    row["own"] = limit
                print(
                    f"{row['id']:3} {row['truth']}\n    found {row.get('equations', row.get('failure'))}\n    R2 "
                    f"{row['reconstruction']:.3f}, {row['generalisation']:.3f}, trusted {row.get('trusted')}"
                    + (f"; the file's own equation has {limit:.3f}" if limit <= ENOUGH else ""),
                    flush=True,
                )
        part = rows[begin:]
        counts = [sum(row[key] > ENOUGH for row in part) for key in ("reconstruction", "generalisation")]
        seconds = [row["seconds"] for row in part if "seconds" in row]
        shares = [f"{count} of {len(part)} ({count / len(part):.3f})" for count in counts]
        print(
            f"noise {noise:g}: reconstruction {shares[0]}, generalisation {shares[1]}; "
            f"{np.median(seconds):.2f} s (median), at most {max(seconds):.1f}",
            flush=True,
        )
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
