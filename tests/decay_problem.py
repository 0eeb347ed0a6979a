"""Exponential decay from a number that may be unknown, for the tests of identification."""

from __future__ import annotations

from sciml import Problem


def decay(**changes) -> Problem:
    return Problem("y' = -k*y", "y(0) = a", {"t": (0, 2)}, {"k": 0.5, "a": 1.0}).replace(**changes)
