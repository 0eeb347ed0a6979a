"""The number of threads that a command uses is chosen, and given back."""

from __future__ import annotations

import torch

from sciml import Problem, pinn
from sciml.threads import fitting_threads


def test_the_number_of_threads_is_one_or_what_torch_chose_and_is_restored():
    before = torch.get_num_threads()
    with fitting_threads() as number:
        assert number in (1, before)
        assert torch.get_num_threads() == number
    assert torch.get_num_threads() == before


def test_ordinary_equations_are_solved_on_one_thread_and_torchs_number_is_left_as_it_was():
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        problem = Problem("y' = -y", "y(0) = 1", {"t": (0, 1)})
        pinn.solve(problem, progress=lambda report: seen.add(torch.get_num_threads()))
        assert seen == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
