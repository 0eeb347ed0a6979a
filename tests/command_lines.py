"""Equations as they are typed, and the problem that a command line means."""

from __future__ import annotations

import sciml
from sciml.command import parse
from sciml.request import PROBLEM_OPTIONS, requested_problem

HEAT = ["u_t = 0.1*u_xx", "u(x,0) = sin(pi*x)", "u(0,t) = 0", "u(1,t) = 0"]


def read(*argv: str) -> sciml.Problem:
    return requested_problem(parse(argv, PROBLEM_OPTIONS))
