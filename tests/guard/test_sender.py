"""Signed once, written down, then sent: whatever turn, journal and operator do meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from core_builders import START, intent
from held_intents import intent_in

from ltv_guard.adapters.journal import MemoryJournal
from ltv_guard.core.model.errors import AlreadyOpen, ExchangeUnavailable, JournalUnavailable, WriteNotSent
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Moment
from ltv_guard.core.ports import Episode, SignedAdjustment
from ltv_guard.guard.left_open import LeftOpen
from ltv_guard.guard.sender import Sender
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

PLANNED = intent(State.PLANNED, signed_at_ms=None, recv_window_ms=None)
NOW = Moment(exchange_ms=START + 100, monotonic_ms=100)


@dataclass
class StandingClock:
    """It goes on by `later_ms` where a test says so."""

    later_ms: int = 0

    def now(self) -> Moment:
        later_ms = self.later_ms
        return Moment(exchange_ms=NOW.exchange_ms + later_ms, monotonic_ms=NOW.monotonic_ms + later_ms)


@dataclass
class Path:
    """A way to write, whose turn comes when it is set; `left` is what stood written when it left."""

    journal: MemoryJournal
    channel: Channel = PLANNED.channel
    turn_comes: asyncio.Event = field(default_factory=asyncio.Event)
    unavailable: bool = False
    refuses_connections: bool = False
    signed: int = 0
    left: list[Intent | None] = field(default_factory=list)

    async def turn(self) -> bool:
        return False

    async def history(self, since_ms: int) -> History:
        raise NotImplementedError

    async def sign(self, intent: Intent) -> SignedAdjustment:
        await self.turn_comes.wait()
        if self.unavailable:
            raise ExchangeUnavailable("banned")
        self.signed += 1
        return SignedAdjustment(
            intent_id=intent.intent_id, body=b"{}", headers={}, signed_at_ms=START + 90, recv_window_ms=5_000
        )

    async def send(self, signed: SignedAdjustment) -> str:
        if self.refuses_connections:
            raise WriteNotSent("connection refused")
        self.left.append(await intent_in(self.journal, signed.intent_id))
        return "77"


@dataclass
class Bench:
    """A sender, and what it writes to; `written` are the journal's writes in their order."""

    journal: MemoryJournal
    path: Path
    sender: Sender
    clock: StandingClock
    written: list[str]

    async def send(self) -> Intent:
        after, _ = await self.sender.send(PLANNED, self.path, NOW)
        return after

    async def read_again(self) -> list[State]:
        """What the next cycle makes of what the journal says is open."""
        book = IntentBook(self.journal)
        left_open = LeftOpen(book, self.sender, self.clock, AlertRepeater(lambda: 0))
        await left_open.take_over(await self.journal.open_intents(PLANNED.owner))
        return [item.state for item in await self.journal.list_intents()]


@pytest.fixture
def bench() -> Bench:
    written: list[str] = []
    journal = MemoryJournal(on_write=written.append)
    clock = StandingClock()
    sender = Sender(IntentBook(journal), clock, max_age_ms=10_000, stopping=lambda: False)
    path = Path(journal)
    path.turn_comes.set()
    return Bench(journal, path, sender, clock, written)


async def until_written(bench: Bench, name: str) -> None:
    async with asyncio.timeout(10):
        while name not in bench.written:  # noqa: ASYNC110 - what is written is only seen
            await asyncio.sleep(0.005)


async def test_one_commit_stands_between_the_decision_and_the_bytes(bench: Bench) -> None:
    after = await bench.send()
    assert bench.written == ["write_sent", "record"]
    (written,) = bench.path.left
    assert written is not None
    assert (written.state, written.signed_at_ms, written.recv_window_ms) == (State.SENT, START + 90, 5_000)
    assert (after.state, after.adjust_id, bench.path.signed) == (State.ACCEPTED, "77", 1)


async def test_what_waits_for_its_turn_stands_written_as_planned(bench: Bench) -> None:
    bench.path.turn_comes.clear()
    sending = asyncio.create_task(bench.send())
    await until_written(bench, "plan")
    assert (await bench.journal.list_intents(), bench.path.left) == ((PLANNED,), [])
    bench.path.turn_comes.set()
    assert (await sending).state is State.ACCEPTED
    assert bench.written == ["plan", "mark_sent", "record"]
    assert [item and item.state for item in bench.path.left] == [State.SENT]


async def test_nothing_leaves_before_the_commit_has_returned(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable, write = asyncio.Event(), MemoryJournal.write_sent

    async def slow(self: MemoryJournal, intent: Intent, episode: Episode | None = None) -> bool:
        written = await write(self, intent, episode)
        await durable.wait()
        return written

    monkeypatch.setattr(MemoryJournal, "write_sent", slow)
    sending = asyncio.create_task(bench.send())
    await until_written(bench, "write_sent")
    await asyncio.sleep(0.05)
    assert bench.path.left == []
    durable.set()
    assert (await sending).state is State.ACCEPTED


IN_TIME_MS = 5_000 - 10 - 1  # it was signed 10 ms ago, and a millisecond of its receive window is left


@pytest.mark.parametrize("slow_ms", [IN_TIME_MS, IN_TIME_MS + 1, 9_000])
async def test_what_was_written_down_so_slowly_that_its_window_is_over_does_not_leave(
    bench: Bench, slow_ms: int
) -> None:
    def stalls(name: str) -> None:
        if name == "write_sent":
            bench.clock.later_ms = slow_ms

    bench.journal.on_write = stalls
    after = await bench.send()
    if slow_ms == IN_TIME_MS:
        assert after.state is State.ACCEPTED
        return
    assert (after.state, bench.path.left) == (State.WITHDRAWN, [])
    assert "its receive window is over" in (after.ret_msg or "")
    assert await bench.journal.list_intents() == (after,)


async def test_nothing_leaves_that_the_journal_did_not_take(bench: Bench) -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    bench.journal.on_write = full
    with pytest.raises(JournalUnavailable, match="write_sent"):
        await bench.send()
    assert bench.path.left == []


@pytest.mark.parametrize("how", ["its window is over", "no connection"])
async def test_what_never_left_is_withdrawn_once_the_journal_that_failed_meanwhile_is_read(
    bench: Bench, how: str
) -> None:
    def fails_once(name: str) -> None:
        if name == "write_sent" and how == "its window is over":
            bench.clock.later_ms = 5_000
        if name == "record":
            bench.journal.on_write = lambda _: None
            raise JournalUnavailable("locked")

    bench.journal.on_write = fails_once
    bench.path.refuses_connections = how == "no connection"
    with pytest.raises(JournalUnavailable):
        await bench.send()
    assert [item.state for item in await bench.journal.list_intents()] == [State.SENT]
    assert await bench.read_again() == [State.WITHDRAWN]
    assert bench.path.left == []


async def test_what_was_committed_though_the_journal_said_that_it_failed_never_left_either(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MemoryJournal.write_sent

    async def in_doubt(self: MemoryJournal, intent: Intent, episode: Episode | None = None) -> bool:
        await write(self, intent, episode)
        raise JournalUnavailable("the connection was lost as it committed")

    monkeypatch.setattr(MemoryJournal, "write_sent", in_doubt)
    with pytest.raises(JournalUnavailable):
        await bench.send()
    assert await bench.read_again() == [State.WITHDRAWN]
    assert bench.path.left == []


async def test_what_has_left_is_unknown_though_its_answer_could_not_be_written_down(bench: Bench) -> None:
    def fails_once(name: str) -> None:
        if name == "record":
            bench.journal.on_write = lambda _: None
            raise JournalUnavailable("locked")

    bench.journal.on_write = fails_once
    with pytest.raises(JournalUnavailable):
        await bench.send()
    assert len(bench.path.left) == 1
    assert await bench.read_again() == [State.UNKNOWN]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_second_intent_of_a_loan_does_not_leave(bench: Bench, *, waits: bool) -> None:
    await bench.journal.plan(
        intent(State.PLANNED, intent_id="before", signed_at_ms=None, recv_window_ms=None)
    )
    if waits:
        bench.path.turn_comes.clear()
    with pytest.raises(AlreadyOpen):
        await bench.send()
    assert bench.path.left == []
    assert [item.intent_id for item in await bench.journal.list_intents()] == ["before"]


async def test_a_pause_at_the_last_moment_is_obeyed_and_told_in_the_journal(bench: Bench) -> None:
    await bench.journal.pause("main", "look", 1)
    await bench.journal.pause(None, "look", 1)
    after = await bench.send()
    assert (after.state, after.ret_msg, bench.path.left) == (State.WITHDRAWN, "paused", [])
    assert await bench.journal.list_intents() == (after,)


async def test_what_could_not_be_signed_is_told_in_the_journal_all_the_same(bench: Bench) -> None:
    bench.path.unavailable = True
    after = await bench.send()
    assert (after.state, after.ret_msg, bench.path.left) == (State.WITHDRAWN, "not sent: banned", [])
    assert await bench.journal.list_intents() == (after,)
