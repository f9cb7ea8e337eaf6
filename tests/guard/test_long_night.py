"""The log of a long night is what it was before the package was rebuilt: the same but for sentences.

`long_night.jsonl` was written by `tests/support/long_night.py` with the code of commit 34e308e. A line that
differs is a change for everybody who reads logs: it stays as it was, or the changelog tells, as of
`adjustment_put_off`, which is said once where it was said each cycle, of `loan_agrees_again`, which waits
for five decisions, and of a journal that can't be written, which is told after what was decided. More fields,
and events that there were none of, are no change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from long_night import ACTS, Line, folded, play

from ltv_guard.log.events import CATALOGUE


@pytest.fixture(scope="module")
def before() -> list[Line]:
    text = Path(__file__).with_name("long_night.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("act", ACTS)
def test_a_long_night_is_logged_as_before_but_for_sentences(act: str, before: list[Line]) -> None:
    fields: dict[str, set[str]] = defaultdict(set)
    for line in before:
        fields[line["event"]] |= line.keys()
    now = [
        {field: value for field, value in line.items() if field in fields[line["event"]]}
        for line in play(act)
        if line["event"] in fields
    ]

    assert folded(now) == [line for line in before if line["act"] == act]


def test_nearly_everything_that_can_be_told_is_told_that_night(before: list[Line]) -> None:
    """All but what the process around the guards tells: start, end, reloads, descriptors, the log itself."""
    told = {line["event"] for line in before}

    assert told <= CATALOGUE.keys()
    assert len(told) >= 83
