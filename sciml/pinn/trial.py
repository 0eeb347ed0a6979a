"""When a time window is given up for shorter ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from sciml.pinn.plan import Plan
from sciml.pinn.progress import Limits
from sciml.pinn.window import Window

__all__ = ["EASY_LOSS", "Halving", "hopeless"]

# A window with such a loss is on its way, however slow: halving it would not help.
EASY_LOSS = 1e-7
# The loss falls ever more slowly: so many times what the latest rate promises.
SLOWING = 2.0


def hopeless(window: Window, plan: Plan, loss: float) -> bool:
    """Whether the loss falls so slowly that two shorter windows would be done sooner.

    It must have fallen to `trial_loss` after `trial_steps` steps, and from then on promise, at the rate of the last
    half of the steps, to be small enough within `promise` trials more.
    """
    if window.rounds < plan.trial_steps or loss <= EASY_LOSS:
        return False
    if loss > plan.trial_loss:
        return True
    then, former, _ = window.latest_half
    rate = math.log(max(former / loss, 1.0)) / (window.rounds - then)
    return rate * plan.promise * plan.trial_steps < math.log(loss / EASY_LOSS)


@final
@dataclass(frozen=True)
class Halving:
    """Whether windows of half the length would be done sooner than this one, and in time.

    Training on takes log(factor)/rate at the rate of its latest half, more as it slows down.

    Attributes
    ----------
    window : that is being trained.
    begun : seconds at which its training began.
    remaining : time that it and later windows have to cover.
    cost : seconds that a window took so far, if one is finished.
    patience : training on may be so many times the work that the window took so far.
    """

    window: Window
    limits: Limits
    begun: float
    remaining: float
    cost: float | None
    patience: float

    def __call__(self, factor: float) -> bool:
        """Decide, if the loss is too large by `factor`."""
        _, loss, then = self.window.latest_half
        rate = math.log(max(loss / self.window.loss, 1.0)) / max(self.window.work - then, 1.0)
        if SLOWING * math.log(max(factor, 1.0)) <= rate * self.patience * self.window.work:
            return False
        left = self.limits.left()
        cost = self.limits.seconds() - self.begun if self.cost is None else self.cost
        return left is None or self.remaining / self.window.length * cost < left
