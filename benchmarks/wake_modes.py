"""Two modes and the shift mode of a cylinder's wake (cylinder_wake_pod.mat): the mean-field model from 5,000 rows.

    python -m benchmarks.wake_modes [FILE.mat] [--stride 25]

Without a file it reads the one of ../shared/data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp
from scipy.io import loadmat

from sciml import sindy

FILE = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "cylinder_wake_pod.mat"


def main(argv: list[str] | None = None) -> int:
    """Discover the law, with the terms of Noack et al. (2003, doi:10.1017/S0022112003006694), and follow it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=FILE)
    parser.add_argument("--stride", type=int, default=25, help="of the rows, 0.02 time units apart")
    given = parser.parse_args(argv)
    table = loadmat(given.file)
    x = np.column_stack([table["alpha"][: 5000 : given.stride, :2], table["alphaS"][: 5000 : given.stride, 0]])
    t = 0.02 * given.stride * np.arange(len(x))
    plane = ["x", "y", "x*z", "y*z"]
    law = sindy.discover(t, x, library={"x": plane, "y": plane, "z": ["1", "z", "x**2", "y**2"]})
    print("\n".join(law.equations), law.message, law.diagnostics["assumption"], sep="\n")
    end = t[-1] + 300
    later = solve_ivp(lambda _, s: law.predict(s), (0, end), law.states[0][0], "LSODA", rtol=1e-7, atol=1e-7)
    late = np.hypot(*later.y[:2, later.t > end - 100])
    print(f"{law.wall_time:.1f} s; solved up to {later.t[-1]:.0f}; r {late.min():.1f} to {late.max():.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
