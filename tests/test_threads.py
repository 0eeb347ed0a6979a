"""The number of threads that a command uses is chosen, and given back."""

from __future__ import annotations

import torch

from sciml.threads import fitting_threads


def test_the_number_of_threads_is_one_or_what_torch_chose_and_is_restored():
    before = torch.get_num_threads()
    with fitting_threads() as number:
        assert number in (1, before)
        assert torch.get_num_threads() == number
    assert torch.get_num_threads() == before
