"""Files of measurements survive interruptions: what was written whole is read, what is appended is never swallowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lines import append_line, read_lines

RECORDS = [{"name": "heat", "error": 1e-3}, {"name": "Schr\u00f6dinger\u2028", "steps": [None, {"seconds": 2}]}]


def test_a_file_that_is_not_there_has_no_records(tmp_path: Path):
    assert read_lines(tmp_path / "none.jsonl") == []


@given(st.data())
def test_wherever_a_file_is_cut_whole_lines_are_kept_and_the_next_one_too(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    path = tmp_path_factory.mktemp("any") / "found.jsonl"
    for record in RECORDS:
        append_line(path, record)
    assert read_lines(path) == RECORDS
    content = path.read_bytes()
    kept = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:kept])
    # A line is whole from its closing brace on.
    ends = [len(json.dumps(RECORDS[0])), len(content) - 1]
    whole = RECORDS[: sum(kept >= end for end in ends)]
    assert read_lines(path) == whole
    append_line(path, {"name": "next"})
    assert read_lines(path) == [*whole, {"name": "next"}]
