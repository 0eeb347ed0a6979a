"""Properties are checked on the same examples in every run, unless HYPOTHESIS_PROFILE=random; places to work in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from sciml import Fit

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# What these say when a claim of theirs fails is as good as in a test.
pytest.register_assert_rewrite("formulas", "heat_measurements")


@pytest.fixture
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in an empty directory of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def identification_files(own_directory: None) -> None:
    """Run the test in a directory of its own among the files of `identifications`."""
    from identifications import write_files

    write_files()


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Fit]:
    """Let a solver that answers with the start stand in for the network's identification."""
    from identifications import fake
    from sciml import pinn

    run = fake()
    monkeypatch.setattr(pinn, "identify", run)
    return run
