"""A journal that goes back while it is in use is as one that is new: it waits, and then goes on."""

from __future__ import annotations

from decimal import Decimal

import structlog
from exchange_model import MARGIN_MS, a_guard, a_world, key_of
from exchange_world import WINDOW_MS

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State


async def test_an_add_in_flight_that_the_journal_has_lost_is_not_made_twice() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    guard = a_guard(world, journal)
    before = journal.snapshot()
    world.answers = ["late:5900"]
    await guard.cycle()
    assert len(world.sent) == 1
    journal.goes_back(before)
    with structlog.testing.capture_logs() as events:
        for _ in range(40):
            world.advance(500)
            await guard.cycle()
    assert len(world.sent) == len(world.applied) == 1
    assert world.ltv(key_of(1)) <= Decimal("0.65")
    assert [item["log_level"] for item in events if item["event"] == "journal_restored"] == ["critical"]
    assert not any(item.is_open for item in guard._memory.intents.every)


async def test_what_was_lost_and_never_landed_is_made_good_after_the_wait() -> None:
    world, journal = a_world("0.77"), MemoryJournal()
    guard = a_guard(world, journal)
    before = journal.snapshot()
    world.answers = ["lost_request"]
    await guard.cycle()
    journal.goes_back(before)
    world.advance(WINDOW_MS + MARGIN_MS - 200)
    await guard.cycle()
    assert len(world.sent) == 1
    for _ in range(40):
        world.advance(500)
        await guard.cycle()
    assert len(world.sent) == 2
    assert world.ltv(key_of(1)) <= Decimal("0.65")
    assert [item.state for item in journal.snapshot().intents.values()] == [State.CONFIRMED]
