"""Differential equations with networks and with classical methods, from one declaration.

`sciml.load("burgers")` or `sciml.Problem(...)` gives a problem; `sciml.pinn.solve` and `sciml.classical.solve` solve
it. Importing the package is cheap: everything below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.domain import Box
    from sciml.fit import Fit, load_fit
    from sciml.problem import Condition, Problem
    from sciml.registry import load, names
    from sciml.solution import Solution, Status, load_solution

__version__ = "0.1.0"

_EXPORTS = {
    "Box": "sciml.domain",
    "Condition": "sciml.problem",
    "Fit": "sciml.fit",
    "Problem": "sciml.problem",
    "Solution": "sciml.solution",
    "Status": "sciml.solution",
    "load": "sciml.registry",
    "load_fit": "sciml.fit",
    "load_solution": "sciml.solution",
    "names": "sciml.registry",
}
# Rooms that may be used as attributes after a plain `import sciml`; the commands (solve, compare) are no attributes.
_ROOMS = (
    "classical",
    "comparison",
    "errors",
    "network",
    "notation",
    "pinn",
    "plotting",
    "sindy",
    "sweep",
    "testing",
    "training",
)

__all__ = [
    "Box",
    "Condition",
    "Fit",
    "Problem",
    "Solution",
    "Status",
    "__version__",
    "load",
    "load_fit",
    "load_solution",
    "names",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"sciml.{name}")
    raise AttributeError(f"module 'sciml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
