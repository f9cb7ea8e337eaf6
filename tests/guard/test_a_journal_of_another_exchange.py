"""The journal is of another exchange (a sandbox, say) with the same loan: said, and no loan is lost."""

from __future__ import annotations

import itertools

import pytest
import structlog
from exchange_model import World, a_guard, a_world
from transfers_and_repayments import ADD, cycles, landed

from ltv_guard.adapters.journal.memory import MemoryJournal


async def a_journal_of_before(kind: str) -> MemoryJournal:
    world, journal = the_world(kind, "0.79"), MemoryJournal()
    await cycles(a_guard(world, journal), world, 4)
    assert landed(world) == [ADD]
    return MemoryJournal.restored(journal.snapshot())


def the_world(kind: str, ltv: str, *, first_id: int = 1000) -> World:
    world = a_world(ltv) if kind == "order" else a_world(pool=ltv)
    world._ids = itertools.count(first_id).__next__
    return world


@pytest.mark.parametrize("kind", ["order", "pool"])
async def test_a_loan_in_an_emergency_is_helped_once_the_history_has_lacked_the_row_for_long(
    kind: str,
) -> None:
    journal = await a_journal_of_before(kind)
    world = the_world(kind, "0.85", first_id=5000)
    guard = a_guard(world, journal)
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 8)
        assert landed(world) == []
        await cycles(guard, world, 15)
    (loan,) = world.loans
    assert world.ltv(loan) < 0.651
    assert "journal_does_not_fit" in [item["event"] for item in logs]


async def test_short_of_an_emergency_it_is_told_and_waited_for() -> None:
    journal = await a_journal_of_before("order")
    world = the_world("order", "0.78", first_id=5000)
    with structlog.testing.capture_logs() as logs:
        await cycles(a_guard(world, journal), world, 30)
    assert landed(world) == []
    assert "journal_does_not_fit" in [item["event"] for item in logs]


async def test_an_old_replica_after_a_restart_is_not_another_exchange() -> None:
    world, journal = the_world("order", "0.82"), MemoryJournal()
    await cycles(a_guard(world, journal), world, 4)
    world.stale_ms = world.old_rows_ms = 20_000
    with structlog.testing.capture_logs() as logs:
        await cycles(a_guard(world, MemoryJournal.restored(journal.snapshot())), world, 30)
    assert landed(world) == [ADD]
    assert "journal_does_not_fit" not in [item["event"] for item in logs]


@pytest.mark.parametrize("kind", ["order", "pool"])
async def test_a_loan_that_once_showed_the_add_is_of_this_exchange_however_long_old_replicas_answer(
    kind: str,
) -> None:
    world, journal = the_world(kind, "0.82"), MemoryJournal()
    await cycles(a_guard(world, journal), world, 4)
    guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    world.old_rows_ms = 180_000
    await cycles(guard, world, 1)
    world.stale_ms = 180_000
    await cycles(guard, world, 60)
    assert landed(world) == [ADD]


@pytest.mark.parametrize("kind", ["order", "pool"])
async def test_one_history_that_lacks_the_add_is_not_enough_however_long_ago_it_was(kind: str) -> None:
    """No other could be read since, and the loan is shown by an old replica for as long."""
    world, journal = the_world(kind, "0.82"), MemoryJournal()
    await cycles(a_guard(world, journal), world, 4)
    guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    world.stale_ms = world.old_rows_ms = 60_000
    await cycles(guard, world, 1)
    world.history_down = True
    await cycles(guard, world, 14)
    assert landed(world) == [ADD]


async def test_nor_is_a_loan_that_has_been_shown_for_a_moment_only() -> None:
    """Its page failed while histories lacked the add, and an old replica is the first to show it."""
    world, journal = a_world("0.50", "0.82"), MemoryJournal()
    world.rows_per_page = 1
    await cycles(a_guard(world, journal), world, 4)
    assert landed(world) == [ADD]
    guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    world.stale_ms = world.old_rows_ms = 60_000
    world.pages_up, world.single_down = 1, True
    await cycles(guard, world, 12)
    world.pages_up = None
    await cycles(guard, world, 3)
    assert landed(world) == [ADD]
