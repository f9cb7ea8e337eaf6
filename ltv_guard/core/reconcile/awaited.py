"""What an intent's end waits for, as a value: `guard/sentences.py` says it in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ltv_guard.core.model.history import DoubtfulRow


class Awaited(StrEnum):
    """Everything that the end of an intent may wait for."""

    WINDOW = "window"
    WHOLE_HISTORY = "whole_history"
    DOUBTFUL_ROW = "doubtful_row"
    ROW = "row"
    PROCESSING = "processing"
    LATE_ROW = "late_row"
    SECOND_LOOK = "second_look"
    SECOND_ROW = "second_row"
    LOANS = "loans"
    ROW_OF_COINS = "row_of_coins"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is waited for; `row` is the one that is not understood and may be the intent's own."""

    kind: Awaited
    row: DoubtfulRow | None = None
