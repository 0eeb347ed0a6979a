"""Sequentially thresholded least squares for many problems at once: bootstraps, equations, thresholds.

All problems go through the rounds together; those whose support repeats leave. That is control flow that depends on the
data, so this needs values; the kernels below it (`sciml.sindy.moments`) run on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from sciml.sindy.moments import Moments, least_squares, problems_at_once, solve_active

__all__ = ["Thresholded", "stlsq"]


@final
@dataclass(frozen=True, eq=False)
class Thresholded:
    """Results of `stlsq`.

    Attributes
    ----------
    coefficients : [Q, p], zero outside the support; refitted without the ridge if that was asked for.
    support : bool [Q, p].
    rounds : int [Q], the round after which each problem's support stayed the same; `limit + 1` where it never did.
    """

    coefficients: Tensor
    support: Tensor
    rounds: Tensor


def stlsq(
    system: Moments,
    member: Tensor,
    equation: Tensor,
    threshold: Tensor,
    start: Tensor,
    *,
    alpha: float = 0.05,
    normalize: bool = False,
    relative: bool = False,
    limit: int = 20,
    unbias: bool = True,
) -> Thresholded:
    r"""Sequentially thresholded ridge regression of Q problems.

    From the support S = `start` on, each round solves
    :math:`\min_c \|\sqrt{w}\,(\dot x - \Theta_S c)\|^2 + \alpha \|c\|^2` and keeps the terms with
    :math:`|c_i| \ge` `threshold`, until the support repeats (Brunton, Proctor and Kutz 2016,
    doi:10.1073/pnas.1517384113). On equal rows this is pysindy's `STLSQ`, member by member.

    Parameters
    ----------
    system : Moments
    member, equation : int64 [Q], the bootstrap and the target of each problem.
    threshold : [Q]; start : bool [Q, p], the terms that a problem may use.
    alpha : weight of the ridge; normalize : for columns of unit length, thresholds and ridge count in these units.
    relative : the ridge alone counts in these units.
    limit : largest number of rounds; unbias : refit on the support without the ridge.
    """
    squares = system.gram[:, system.table.diagonal()]
    ridge = alpha * squares if normalize or relative else torch.full_like(squares, alpha)
    length = squares.sqrt()[member] if normalize else torch.ones_like(start, dtype=squares.dtype)
    coefficients = torch.zeros_like(length)
    support = start.clone()
    rounds = torch.full_like(member, limit + 1)
    left = torch.arange(len(member), device=member.device)
    for number in range(1, limit + 1):
        active = support[left]
        if number == 1 and bool(active.all()):
            found = _full(system, ridge)[member, equation]
        else:
            found = least_squares(system, member[left], equation[left], active, ridge)
        kept = active & (found.abs() * length[left] >= threshold[left, None])
        coefficients[left] = torch.where(kept, found, 0.0)
        support[left] = kept
        same = (kept == active).all(1)
        rounds[left[same]] = number
        left = left[~same]
        if not len(left):
            break
    if unbias:
        support = support & (coefficients.abs() > 1e-14)
        coefficients = least_squares(system, member, equation, support)
    return Thresholded(coefficients, support, rounds)


def _full(system: Moments, ridge: Tensor) -> Tensor:
    """Solve with all columns, [B, m, p]: one factor serves all equations of a bootstrap."""
    members, equations, terms = system.cross.shape
    member = torch.arange(members, device=ridge.device)
    columns = torch.arange(terms, device=ridge.device)[None]
    coefficients = torch.empty_like(system.cross)
    failed = torch.empty(members, dtype=torch.bool, device=ridge.device)
    for part in member.split(problems_at_once(ridge.device, terms)):
        coefficients[part], _, _, failed[part] = solve_active(
            system.gram, system.table, system.cross[part], part, columns, ridge
        )
    again = member[failed].repeat_interleave(equations)
    if len(again):
        every = torch.ones(len(again), terms, dtype=torch.bool, device=ridge.device)
        targets = torch.arange(equations, device=ridge.device).repeat(len(again) // equations)
        coefficients[again, targets] = least_squares(system, again, targets, every, ridge)
    return coefficients
