"""The same measurements of a heated rod given in several ways, and problems that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml import Problem
from sciml.observations import Observations, observations_of

X, T = np.linspace(0, 1, 5), np.linspace(0, 2, 4)
U = np.exp(-T)[None, :] * np.sin(np.pi * X)[:, None]
POINTS = np.stack([grid.ravel() for grid in np.meshgrid(X, T, indexing="ij")], axis=1)
GRID = {"x": X, "t": T, "u": U}
FLAT = {"x": POINTS[:, 0], "t": POINTS[:, 1], "u": U.ravel()}
PLAIN = np.column_stack([POINTS, U.ravel()])


def heat(**changes: Any) -> Problem:
    problem = Problem("u_t = k*u_xx", [], {"x": (0, 1), "t": (0, 2)}, {"k": 0.1})
    return problem.replace(**changes) if changes else problem


def flow() -> Problem:
    return Problem(["u_t + u*u_x = -p_x", "u_x = 0"], [], {"x": (0, 1), "t": (0, 2)}, unknowns=["u", "p"])


def ring() -> Problem:
    return Problem("u_t + u_x = 0", ["u(0, t) = u(1, t)"], {"x": (0, 1), "t": (0, 2)})


def one(data: Any, problem: Problem | None = None, **options: Any) -> Observations:
    (found,) = observations_of(data, problem or heat(), **options)
    return found


def same(found: Observations, points: np.ndarray = POINTS, **values: np.ndarray) -> bool:
    wanted = values or {"u": U.ravel()}
    assert found.points.dtype == np.float64
    assert list(found.values) == list(wanted)
    return np.array_equal(found.points, points) and all(
        np.array_equal(found.values[name], wanted[name], equal_nan=True) for name in wanted
    )


def frame() -> Any:
    return pytest.importorskip("pandas").DataFrame(FLAT)


def dataset() -> Any:
    return pytest.importorskip("xarray").Dataset({"u": (("x", "t"), U)}, coords={"x": X, "t": T})


def text(separator: str, decimal: str = ".", head: str | None = None) -> str:
    rows = [separator.join(repr(float(v)).replace(".", decimal) for v in row) for row in PLAIN]
    return "\n".join([separator.join("xtu") if head is None else head, *rows]) + "\n"


TEXTS = {
    "a.csv": text(","),
    "semicolons.csv": text(";"),
    "decimal_commas.csv": text(";", ","),
    "decimal_commas_and_tabs.txt": text("\t", ","),
    "tabs.tsv": text("\t"),
    "blanks.dat": text("   "),
    "comma_blank.txt": text(", "),
    "quoted.csv": text(",", head='"x","t","u"'),
    "remarks.csv": "# measured in spring\n\n# twice\n" + text(","),
    "savetxt.txt": text(" ", head="# x t u"),
    "no_names.csv": text(",", head="# from the second rig"),
    "mark_of_excel.csv": "\ufeff" + text(","),
    "carriage_returns.csv": text(",").replace("\n", "\r\n"),
    "fortran.dat": text(" ", head="x t u\n").replace("e-", "D-"),
    "other_columns.CSV": text(",", head="x,t,u,who").replace("\n", ",a b\n").replace("who,a b", "who"),
}
