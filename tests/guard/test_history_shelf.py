"""What a history that lacks rows tells of them: nothing, where an earlier one had shown some of them."""

from __future__ import annotations

import pytest
from core_builders import START, intent, moment, row

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.guard.state.history_shelf import HistoryShelf
from ltv_guard.guard.state.intent_book import IntentBook

LONG_MS = 20_000
CONFIRMED = intent(State.CONFIRMED, adjust_id="own")


def lacking(*shown: str) -> list[Intent]:
    """Whose rows have been missing for long, by these histories, so long apart."""
    book = IntentBook(MemoryJournal())
    book.remember([CONFIRMED])
    shelf, channel = HistoryShelf(book), CONFIRMED.channel
    for number, ids in enumerate(shown, start=1):
        rows = tuple(row(adjust_id) for adjust_id in ids.split())
        history = History(rows=rows, began=moment(START + number * (LONG_MS + 1)))
        shelf.note_rows(channel, shelf.put(channel, history, START - LONG_MS))
    return shelf.lacked_throughout([CONFIRMED], LONG_MS)


@pytest.mark.parametrize(
    ("shown", "lacks"),
    [
        (("r1", "r1"), True),
        (("r1", "own"), False),
        (("r1", "r1", "r1 own"), False),
        (("r1",), False),
        (("r1", "r2"), False),  # it is known to be old, for it lacks a row that was shown
    ],
)
def test_a_row_is_missing_by_whole_histories_from_first_to_last(
    shown: tuple[str, ...], *, lacks: bool
) -> None:
    assert lacking(*shown) == ([CONFIRMED] if lacks else [])


def test_a_row_that_is_processed_still_makes_no_history_old_and_one_that_had_ended_does() -> None:
    shelf, channel = HistoryShelf(IntentBook(MemoryJournal())), CONFIRMED.channel
    processed, ended = row("r1", status=RowStatus.PROCESSING), row("r1")
    kept = [
        shelf.put(channel, History(rows=(shown,), began=moment(START + number)), START)
        for number, shown in enumerate([processed, processed, ended, processed])
    ]
    assert [item.is_old for item in kept] == [False, False, False, True]
    assert kept[-1].rows == (ended,)
