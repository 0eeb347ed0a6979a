r"""Poisson's equation in five and ten dimensions: a network against a tensor grid of Chebyshev points.

    python -m benchmarks.many_dimensions [--quick] [--no-network] [--json FILE]

`classical.solve` ends at three coordinates, which says nothing about what a grid can do. On a box the Laplacian is a
sum over the coordinates, so with the eigenvectors V of the m x m matrix A of -d^2/dx^2 at the interior points

.. math:: u = (V \otimes \dots \otimes V) \, (\lambda_{i_1} + \dots + \lambda_{i_d})^{-1} (V^{-1} \otimes \dots) f

costs about 2 d m^(d+1) multiplications (R. E. Lynch, J. R. Rice, D. H. Thomas, doi:10.1007/BF01386067). Both problems
have smooth solutions: the sum of cosines of `benchmarks.accuracy`, whose terms are among the network's features, and
exp(-sum (x - 1/2)^2), which couples all coordinates. Errors are relative L2 errors at 256 Sobol points, which the grid
reaches by interpolation from its interior points alone, two degrees short; so its error at these is told as well. That
interpolation is not timed. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.measurement import machine, matrix_rate, points_of
from benchmarks.rows import problem_of, row_named
from sciml import Problem, pinn

__all__ = ["PROBLEMS", "exact", "main", "problem", "tensor_solve"]

Real = NDArray[np.float64]
Record = dict[str, Any]
PROBLEMS = ("cosines", "gaussian")
# The largest grid: three arrays of that size are held.
UNKNOWNS = 70_000_000
QUICK_UNKNOWNS = 2_000_000
# Points at which errors are taken, and how many are interpolated to at once.
POINTS, CHUNK = 256, 8
SIZES = {5: (3, 5, 7, 9, 11, 14, 18), 10: (2, 3, 4, 5, 6)}
BUDGET = {"cosines": 30.0, "gaussian": 90.0}


def exact(name: str, points: Real) -> Real:
    """Return the solution at points [..., d]."""
    if name == "cosines":
        return np.cos(np.pi * points).sum(-1)
    return np.exp(-((points - 0.5) ** 2).sum(-1))


def problem(name: str, dimension: int) -> Problem:
    """Return the problem on the unit cube."""
    if name == "cosines":
        declared = problem_of(row_named(f"poisson_{dimension}d"))
        assert declared is not None
        return declared
    names = [f"x{k}" for k in range(1, dimension + 1)]
    square = " + ".join(f"({x} - 1/2)**2" for x in names)
    u = f"exp(-({square}))"
    return Problem(
        f"laplacian(u) = (4*({square}) - {2 * dimension})*{u}", f"u(boundary) = {u}", dict.fromkeys(names, (0, 1)),
        name=f"gaussian_{dimension}d",
    )  # fmt: skip


def _grid(axes: Sequence[Real], name: str) -> tuple[Real, Real]:
    """The solution and -laplacian(u) on the tensor grid of the axes, by coordinate to save memory."""
    d = len(axes)
    shapes = [[-1 if k == axis else 1 for k in range(d)] for axis in range(d)]
    if name == "cosines":
        u = np.zeros([len(axis) for axis in axes])
        for axis, shape in zip(axes, shapes, strict=True):
            u += np.cos(np.pi * axis).reshape(shape)
        return u, np.pi**2 * u
    square = np.zeros([len(axis) for axis in axes])
    for axis, shape in zip(axes, shapes, strict=True):
        square += ((axis - 0.5) ** 2).reshape(shape)
    u = np.exp(-square)
    return u, (2 * d - 4 * square) * u


def _along(matrix: Real, values: Real, axis: int) -> Real:
    """Apply a matrix [m, m] to one axis of values."""
    shape = values.shape
    before = int(np.prod(shape[:axis], dtype=np.int64))
    return np.matmul(matrix, values.reshape(before, shape[axis], -1)).reshape(shape)


def chebyshev(size: int) -> tuple[Real, Real]:
    """Return the points of [0, 1], ends included, and the matrix of the second derivative (L. N. Trefethen, cheb.m)."""
    k = np.arange(size)
    x = np.cos(np.pi * k / (size - 1))
    weight = np.where((k == 0) | (k == size - 1), 2.0, 1.0) * (-1.0) ** k
    gaps = x[:, None] - x[None, :] + np.eye(size)
    first = weight[:, None] / weight[None, :] / gaps
    first -= np.diag(first.sum(1))
    return (x + 1) / 2, 4 * first @ first


def tensor_solve(name: str, dimension: int, size: int) -> tuple[float, Real, Real]:
    """Solve with `size` interior points a coordinate; return seconds, these points [m], values [m, ..., m].

    The right-hand side and the boundary values are evaluated on the grid, which is timed as well.
    """
    start = time.perf_counter()
    nodes, second = chebyshev(size + 2)
    inner = nodes[1:-1]
    _, right = _grid([inner] * dimension, name)
    for axis in range(dimension):
        for end in (0, -1):
            axes = [inner] * dimension
            axes[axis] = nodes[[end]]
            face, _ = _grid(axes, name)
            shape = [-1 if k == axis else 1 for k in range(dimension)]
            right += second[1:-1, end].reshape(shape) * face
    eigen = np.linalg.eig(-second[1:-1, 1:-1])
    # The eigenvalues of this matrix are real and positive.
    values, vectors = np.real(eigen.eigenvalues), np.real(eigen.eigenvectors)
    inverse = np.linalg.inv(vectors)
    for axis in range(dimension):
        right = _along(inverse, right, axis)
    total = np.zeros((1,) * dimension)
    for axis in range(dimension):
        total = total + values.reshape([-1 if k == axis else 1 for k in range(dimension)])
    right /= total
    for axis in range(dimension):
        right = _along(vectors, right, axis)
    return time.perf_counter() - start, inner, right


def interpolate(nodes: Real, values: Real, points: Real) -> Real:
    """Return values [m, ..., m] on the tensor grid of the nodes at points [P, d], by Lagrange's polynomials."""
    gaps = nodes[:, None] - nodes[None, :] + np.eye(len(nodes))
    found = []
    for begin in range(0, len(points), CHUNK):
        part = points[begin : begin + CHUNK]
        lines = part[:, :, None, None] - nodes
        lines = np.where(np.eye(len(nodes), dtype=bool), 1.0, lines / gaps)
        basis = lines.prod(-1)  # [P, d, m]
        state = basis[:, 0] @ values.reshape(len(nodes), -1)
        for axis in range(1, points.shape[1]):
            state = np.matmul(basis[:, None, axis], state.reshape(len(part), len(nodes), -1))[:, 0]
        found.append(state[:, 0])
    return np.concatenate(found)


def measured(name: str, dimension: int, most: int, network: bool, seed: int) -> list[Record]:
    """Measure the ladder of grids, and the network, on a problem."""
    declared = problem(name, dimension)
    points = points_of(declared)[:POINTS]
    true = exact(name, points)

    def error(values: Real) -> float:
        return float(np.linalg.norm(values - true) / np.linalg.norm(true))

    rows: list[Record] = []
    for size in SIZES[dimension]:
        if size**dimension > most:
            break
        seconds, nodes, values = min((tensor_solve(name, dimension, size) for _ in range(2)), key=lambda run: run[0])
        about = f"{size} points a coordinate, {size**dimension:,} unknowns"
        nodal, _ = _grid([nodes] * dimension, name)
        size_of = float(np.linalg.norm(nodal))
        nodal -= values
        rows.append({"method": "tensor grid", "about": about, "seconds": seconds,
                     "error": error(interpolate(nodes, values, points)),
                     "nodal_error": float(np.linalg.norm(nodal)) / size_of})  # fmt: skip
    if network:
        solution = pinn.solve(declared, tol=1e-6, budget=BUDGET[name], seed=seed)
        rows.append({"method": "network", "about": solution.method, "seconds": solution.wall_time,
                     "error": error(solution.evaluate(["u"], points)[0])})  # fmt: skip
    return [{"problem": name, "dimension": dimension, **row} for row in rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_dimensions", description=(__doc__ or "").split("\n")[0].strip()
    )
    parser.add_argument("--quick", action="store_true", help="smaller grids, the network on the cosines only")
    parser.add_argument("--no-network", action="store_true", help="the grids only")
    parser.add_argument("--seed", type=int, default=0, help="of the network (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(argv)
    if given.seed < 0:
        parser.error("--seed must not be negative")
    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    rows: list[Record] = []
    print("| problem | d | method | | error | at its points | s |\n" + "| --- " * 7 + "|")
    with threadpool_limits(1, user_api="blas"):
        for name in PROBLEMS:
            for dimension in SIZES:
                network = not given.no_network and (not given.quick or name == "cosines")
                most = QUICK_UNKNOWNS if given.quick else UNKNOWNS
                for row in measured(name, dimension, most, network, given.seed):
                    rows.append(row)
                    cells = [name, str(dimension), row["method"], row["about"], f"{row['error']:.1e}"]
                    cells += [f"{row['nodal_error']:.1e}" if "nodal_error" in row else "-", f"{row['seconds']:.3g}"]
                    print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\nload average when it began {load:.1f}")
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        about = {"load": round(load, 2), "rate": round(matrix_rate(), 1), "seed": given.seed, "machine": machine()}
        given.json.write_text(json.dumps({"rows": rows, **about}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
