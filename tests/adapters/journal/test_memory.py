"""What the memory journal adds for tests: failing writes, and copies of what would be on the disk."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ltv_guard.adapters.journal import MemoryJournal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent

Plan = Callable[..., Intent]


async def test_a_failing_write_writes_nothing(planned: Plan) -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    journal = MemoryJournal(on_write=full)
    with pytest.raises(JournalUnavailable, match="plan: there is no space left"):
        await journal.plan(planned())
    assert await journal.list_intents() == ()


async def test_a_snapshot_is_not_changed_by_what_comes_later(planned: Plan) -> None:
    journal = MemoryJournal()
    before = journal.snapshot()
    await journal.plan(planned())
    assert await MemoryJournal.restored(before).list_intents() == ()
    assert await MemoryJournal.restored(journal.snapshot()).list_intents() == (planned(),)


async def test_a_restored_journal_is_not_changed_by_the_one_that_died(planned: Plan) -> None:
    dead = MemoryJournal()
    alive = MemoryJournal.restored(dead.snapshot())
    await dead.plan(planned())
    assert await alive.list_intents() == ()
