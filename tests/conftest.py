"""Properties are checked on the same examples in every run, unless HYPOTHESIS_PROFILE=random; places to work in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# What these say when a claim of theirs fails is as good as in a test.
pytest.register_assert_rewrite("formulas", "heat_measurements")


@pytest.fixture
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in an empty directory of its own."""
    monkeypatch.chdir(tmp_path)
