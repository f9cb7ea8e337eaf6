"""Nobody is helped before the episode is durable; however long it takes, the most urgent loan goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import pytest
import structlog
from exchange_model import a_guard, a_world, key_of
from hanging_exchange import a_hanging_world, beside
from slow_exchange import SlowAccountDaemon, in_made_up_time

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import Direction, Owner
from ltv_guard.core.ports import Episode

SLOW_S = 12  # longer than max_snapshot_age


class SlowJournal(MemoryJournal):
    """Episodes are durable once `waits` has come back."""

    waits: Callable[[], Awaitable[object]]

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        await self.waits()
        await super().write_episodes(owner, episodes)


async def test_nobody_is_helped_before_it_is_durable() -> None:
    world, journal, durable = a_world("0.80"), SlowJournal(), asyncio.Event()
    journal.waits = durable.wait
    cycle = asyncio.create_task(a_guard(world, journal).cycle())
    await asyncio.sleep(0.05)
    assert world.sent == []
    durable.set()
    await cycle
    assert len(world.sent) == 1


async def test_an_error_of_ours_in_writing_one_down_holds_nothing_up() -> None:
    def faulty(name: str) -> None:
        if name == "write_episodes":
            raise KeyError("a defect")

    world = a_world("0.80")
    with structlog.testing.capture_logs() as events:
        await a_guard(world, MemoryJournal(on_write=faulty)).cycle()
    assert len(world.sent) == 1
    assert [item["what"] for item in events if item["event"] == "defect"] == ["keeping episodes"]


async def test_a_cycle_in_which_nobody_can_be_helped_hears_of_a_journal_that_fails() -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    world = a_world("0.80")
    world.wallet.clear()
    with pytest.raises(JournalUnavailable, match="write_episodes"):
        await a_guard(world, MemoryJournal(on_write=full)).cycle()


def test_where_it_takes_long_the_most_urgent_loan_still_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before is too old by then: it is read again."""
    world, write = a_hanging_world("0.60", "0.60"), MemoryJournal.write_episodes

    async def slow(self: MemoryJournal, owner: Owner, episodes: Sequence[Episode]) -> None:
        await asyncio.sleep(SLOW_S)
        await write(self, owner, episodes)

    monkeypatch.setattr(MemoryJournal, "write_episodes", slow)

    async def cross(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        for number, ltv in ((1, "0.84"), (2, "0.80")):
            key = key_of(number)
            world.loans[key].debt *= Decimal(ltv) / world.ltv(key)
        world.note()
        daemon.wake(key_of(1))
        await asyncio.sleep(2 * SLOW_S)

    in_made_up_time(beside(world, cross))
    assert world.sent[0].key == key_of(1)


@pytest.mark.parametrize("stall_ms", [700, 3_000, 6_000])
async def test_of_a_long_list_who_has_become_the_most_urgent_meanwhile_goes_first(stall_ms: int) -> None:
    world, journal = a_world("0.80", "0.78", "0.77", "0.50"), SlowJournal()
    world.rows_per_page = 1
    world.move(key_of(4), Direction.ADD, Decimal("0.05"), None)  # it shows what directions mean
    world.advance(1_000)
    fell = asyncio.Event()

    async def fall() -> None:
        if not fell.is_set():
            fell.set()
            world.loans[key_of(2)].debt *= Decimal("0.93") / world.ltv(key_of(2))
            world.note()
            world.advance(stall_ms)

    journal.waits = fall
    prices = {"BTC": world.price, "USDT": Decimal(1)}
    await a_guard(world, journal, streamed=lambda: prices).cycle()
    assert world.sent[0].key == key_of(2)
