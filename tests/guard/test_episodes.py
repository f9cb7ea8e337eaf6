"""Nobody is helped before the episode is durable; beside a slow journal the most urgent still goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import pytest
import structlog
from exchange_model import ModelPath, a_guard, a_world, key_of
from hanging_exchange import a_hanging_world, beside
from slow_exchange import SlowAccountDaemon, in_made_up_time

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Owner
from ltv_guard.core.ports import Episode, Pause, Standing

SLOW_S = 12  # longer than max_snapshot_age


class SlowJournal(MemoryJournal):
    """Tells of pauses, asked for between decisions and acts, once `waits` has come back."""

    waits: Callable[[], Awaitable[object]]

    async def standing(self, owner: Owner) -> Standing:
        pauses = tuple(self.snapshot().pauses.values())
        intents, episodes = await self.open_intents(owner), await self.episodes(owner)
        return Standing(open_intents=intents, episodes=episodes, pauses=pauses)

    async def pauses(self) -> tuple[Pause, ...]:
        await self.waits()
        return await super().pauses()


class FaultyJournal(MemoryJournal):
    """An error of ours comes up wherever an episode is written."""

    async def write_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        _check([episode] if episode else [])
        return await super().write_sent(intent)

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        _check(episodes)


def _check(episodes: Sequence[Episode]) -> None:
    if episodes:
        raise KeyError("a defect")


async def test_the_commit_of_an_adjustment_takes_its_episode_along() -> None:
    written: list[str] = []
    world, journal = a_world("0.80"), MemoryJournal(on_write=written.append)
    await a_guard(world, journal).cycle()
    assert [key for _, key in journal.snapshot().episodes] == [key_of(1)]
    assert (len(world.sent), written) == (1, ["write_sent", "record"])


async def test_where_nobody_can_be_helped_it_is_written_by_itself() -> None:
    world, journal = a_world("0.80"), MemoryJournal()
    world.wallet.clear()
    await a_guard(world, journal).cycle()
    assert world.sent == []
    assert [key for _, key in journal.snapshot().episodes] == [key_of(1)]


async def test_one_that_is_over_is_written_though_acting_on_another_loan_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, journal = a_world("0.80", "0.60"), MemoryJournal()
    guard = a_guard(world, journal)
    await guard.cycle()
    world.advance(15_000)
    world.loans[key_of(2)].debt *= Decimal("0.80") / world.ltv(key_of(2))
    world.note()

    async def fails(_: ModelPath) -> bool:
        raise KeyError("a defect")

    monkeypatch.setattr(ModelPath, "turn", fails)
    with pytest.raises(KeyError):
        await guard.cycle()
    episodes = journal.snapshot().episodes.values()
    assert {item.key: item.closed_at_ms is not None for item in episodes} == {
        key_of(1): True,
        key_of(2): False,
    }


async def test_while_nothing_can_be_written_memory_stays_flat() -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    world = a_world("0.80")
    guard = a_guard(world, MemoryJournal(on_write=full))
    for _ in range(3):
        with pytest.raises(JournalUnavailable, match="write_sent"):
            await guard.cycle()
        world.advance(15_000)
    memory = guard._memory
    assert not memory.freshness._prices
    assert not memory.wallet._before


async def test_an_error_of_ours_in_writing_one_down_holds_nothing_up() -> None:
    world = a_world("0.80")
    with structlog.testing.capture_logs() as events:
        await a_guard(world, FaultyJournal()).cycle()
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
    world, pauses = a_hanging_world("0.60", "0.60"), MemoryJournal.pauses

    async def slow(self: MemoryJournal) -> tuple[Pause, ...]:
        await asyncio.sleep(SLOW_S)
        return await pauses(self)

    monkeypatch.setattr(MemoryJournal, "pauses", slow)
    monkeypatch.setattr(MemoryJournal, "standing", SlowJournal.standing)

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


async def test_where_a_commit_takes_longer_than_the_window_the_most_urgent_by_then_goes_first() -> None:
    world, stalled = a_world("0.80", "0.78"), list[str]()

    def stall(name: str) -> None:
        if name == "write_sent" and not stalled:
            stalled.append(name)
            world.loans[key_of(2)].debt *= Decimal("0.93") / world.ltv(key_of(2))
            world.note()
            world.advance(5_000)

    guard = a_guard(world, MemoryJournal(on_write=stall))
    await guard.cycle()
    world.advance(1_000)
    await guard.cycle()
    assert world.sent[0].key == key_of(2)
