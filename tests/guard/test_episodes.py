"""Episodes are written down while decisions are told; nobody is helped before they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import cast

import pytest
import structlog
from core_builders import START, decide_one, facts, loan, moment
from exchange_model import a_guard, a_world, key_of
from hanging_exchange import a_hanging_world, beside
from slow_exchange import SlowAccountDaemon, in_made_up_time

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.decide.decision import EpisodeChange
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Clock, Episode
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.episodes import Episodes
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater

OWNER = Owner("testnet", "1")
SLOW_S = 12  # longer than max_snapshot_age


class StandingClock:
    def now(self) -> object:
        return moment(START)


class SlowJournal(MemoryJournal):
    """Episodes are durable once `waits` has come back."""

    waits: Callable[[], Awaitable[object]]
    asked = 0

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        self.asked += 1
        await self.waits()
        await super().write_episodes(owner, episodes)


def kept_in(journal: MemoryJournal) -> Episodes:
    alerts = AlertRepeater(lambda: 0)
    return Episodes(journal, cast("Clock", StandingClock()), alerts, Defects(alerts))


def open_one(episodes: Episodes) -> None:
    opens = decide_one(facts(loan("0.80")))
    assert opens.episode is EpisodeChange.OPENS
    episodes.keep(OWNER, Snapshot(), [opens])


async def a_moment() -> None:
    await asyncio.sleep(0.01)


async def test_whoever_waits_waits_for_what_was_begun_by_then() -> None:
    written: list[str] = []
    durable = [asyncio.Event(), asyncio.Event()]
    left = iter(durable)
    journal = SlowJournal(on_write=written.append)
    journal.waits = lambda: next(left).wait()
    episodes = kept_in(journal)
    open_one(episodes)
    waiting = [asyncio.create_task(episodes.are_kept()) for _ in range(2)]
    await a_moment()
    open_one(episodes)  # another lane does
    waiting.pop().cancel()
    await a_moment()
    assert (written, waiting[0].done()) == ([], False)
    durable[0].set()
    await waiting[0]
    assert written == ["write_episodes"]
    durable[1].set()
    await episodes.are_kept()
    assert written == ["write_episodes"] * 2


async def test_they_are_written_in_the_order_in_which_they_were_begun() -> None:
    """A fleet writes each over a connection of its own: one that opens and one that closes, of one loan."""
    journal = SlowJournal()
    durable = asyncio.Event()
    journal.waits = durable.wait
    episodes = kept_in(journal)
    for _ in range(3):
        open_one(episodes)
    await a_moment()
    assert journal.asked == 1
    durable.set()
    await episodes.are_kept()
    assert journal.asked == 3


async def test_each_lane_hears_of_a_journal_that_fails_until_the_cycle_is_over() -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    episodes = kept_in(MemoryJournal(on_write=full))
    open_one(episodes)
    for _ in range(2):
        with pytest.raises(JournalUnavailable, match="write_episodes"):
            await episodes.are_kept()
    episodes.drop()
    await episodes.are_kept()


async def test_an_error_of_ours_in_writing_one_down_holds_nothing_up() -> None:
    world, journal = a_world("0.80"), MemoryJournal()

    def faulty(name: str) -> None:
        if name == "write_episodes":
            raise KeyError("a defect")

    journal.on_write = faulty
    with structlog.testing.capture_logs() as events:
        await a_guard(world, journal).cycle()
    assert len(world.sent) == 1
    assert [item["what"] for item in events if item["event"] == "defect"] == ["keeping episodes"]


async def test_nobody_is_helped_before_they_are_durable_but_the_decision_is_told() -> None:
    world, journal, durable = a_world("0.80"), SlowJournal(), asyncio.Event()
    journal.waits = durable.wait
    with structlog.testing.capture_logs() as events:
        cycle = asyncio.create_task(a_guard(world, journal).cycle())
        await asyncio.sleep(0.05)
        assert ("decision_made", world.sent) == (events[-1]["event"], [])
        durable.set()
        await cycle
    assert len(world.sent) == 1


async def test_a_cycle_in_which_nobody_can_be_helped_hears_of_a_journal_that_fails() -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    world, journal = a_world("0.80"), MemoryJournal(on_write=full)
    world.wallet.clear()
    with pytest.raises(JournalUnavailable, match="write_episodes"):
        await a_guard(world, journal).cycle()


async def test_what_a_cycle_that_broke_off_was_writing_down_does_not_land_beside_the_next() -> None:
    world, journal, durable = a_world("0.80"), SlowJournal(), asyncio.Event()
    journal.waits = durable.wait
    guard = a_guard(world, journal)
    broken = asyncio.create_task(guard.cycle())
    await asyncio.sleep(0.05)
    broken.cancel()
    await asyncio.wait([broken])
    written: list[str] = []
    journal.on_write = written.append
    cycle = asyncio.create_task(guard.cycle())
    await asyncio.sleep(0.05)
    durable.set()
    await cycle
    assert (written.count("write_episodes"), len(world.sent)) == (1, 1)


def test_where_they_take_long_to_write_the_most_urgent_loan_still_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
