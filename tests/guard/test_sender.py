"""Signed once, written down, then sent: whatever turn, journal and operator do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import structlog
from core_builders import START, decide_one, facts, intent, loan
from held_intents import intent_in

from ltv_guard.adapters.journal import MemoryJournal
from ltv_guard.core.decide.decision import EpisodeChange
from ltv_guard.core.model.errors import AlreadyOpen, ExchangeUnavailable, JournalUnavailable
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Moment, Owner
from ltv_guard.core.ports import Episode, SignedAdjustment
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.episodes import Episodes
from ltv_guard.guard.sender import Sender
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

PLANNED = intent(State.PLANNED, signed_at_ms=None, recv_window_ms=None)
NOW = Moment(exchange_ms=START + 100, monotonic_ms=100)


class StandingClock:
    def now(self) -> Moment:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass
class Path:
    """A way to write, whose turn comes when it is set; `left` is what stood written when it left."""

    journal: MemoryJournal
    channel: Channel = PLANNED.channel
    turn_comes: asyncio.Event = field(default_factory=asyncio.Event)
    unavailable: bool = False
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
        self.left.append(await intent_in(self.journal, signed.intent_id))
        return "77"


@dataclass
class Bench:
    """A sender, and what it writes to; `written` are the journal's writes in their order."""

    journal: MemoryJournal
    path: Path
    episodes: Episodes
    sender: Sender
    written: list[str]
    stops: bool = False

    def open_episode(self) -> None:
        opens = decide_one(facts(loan("0.80")))
        assert opens.episode is EpisodeChange.OPENS
        self.episodes.keep(PLANNED.owner, Snapshot(), [opens])

    async def send(self) -> Intent:
        after, _ = await self.sender.send(PLANNED, self.path, NOW)
        return after


@pytest.fixture
def bench() -> Bench:
    written: list[str] = []
    journal = MemoryJournal(on_write=written.append)
    alerts, clock = AlertRepeater(lambda: 0), StandingClock()
    episodes = Episodes(journal, clock, alerts, Defects(alerts))
    path = Path(journal)
    path.turn_comes.set()

    def stopping() -> bool:
        return made.stops

    sender = Sender(IntentBook(journal), episodes, clock, max_age_ms=10_000, stopping=stopping)
    made = Bench(journal, path, episodes, sender, written)
    return made


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

    async def slow(self: MemoryJournal, intent: Intent) -> bool:
        written = await write(self, intent)
        await durable.wait()
        return written

    monkeypatch.setattr(MemoryJournal, "write_sent", slow)
    sending = asyncio.create_task(bench.send())
    await until_written(bench, "write_sent")
    await asyncio.sleep(0.05)
    assert bench.path.left == []
    durable.set()
    assert (await sending).state is State.ACCEPTED


async def test_nothing_leaves_that_the_journal_did_not_take(bench: Bench) -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    bench.journal.on_write = full
    with pytest.raises(JournalUnavailable, match="write_sent"):
        await bench.send()
    assert bench.path.left == []


async def test_nothing_leaves_before_the_episode_that_it_opens_is_durable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable, write = asyncio.Event(), MemoryJournal.write_episodes

    async def slow(self: MemoryJournal, owner: Owner, episodes: Sequence[Episode]) -> None:
        await durable.wait()
        await write(self, owner, episodes)

    monkeypatch.setattr(MemoryJournal, "write_episodes", slow)
    bench.open_episode()
    other_lane = asyncio.create_task(bench.episodes.are_kept())
    sending = asyncio.create_task(bench.send())
    await asyncio.sleep(0.05)
    assert (bench.written, bench.path.left) == ([], [])
    other_lane.cancel()
    await asyncio.sleep(0.05)
    durable.set()
    assert (await sending).state is State.ACCEPTED
    assert bench.written == ["write_episodes", "write_sent", "record"]


async def test_nothing_leaves_where_its_episode_could_not_be_written_until_the_next_cycle(
    bench: Bench,
) -> None:
    def full(name: str) -> None:
        raise JournalUnavailable(f"{name}: there is no space left")

    bench.journal.on_write = full
    bench.open_episode()
    for _ in range(2):  # each lane hears of it
        with pytest.raises(JournalUnavailable, match="write_episodes"):
            await bench.send()
    bench.journal.on_write = bench.written.append
    assert bench.path.left == []
    bench.episodes.read(await bench.journal.standing(PLANNED.owner))
    assert (await bench.send()).state is State.ACCEPTED


async def test_an_episode_that_another_lane_begins_meanwhile_is_not_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable, write = [asyncio.Event(), asyncio.Event()], MemoryJournal.write_episodes
    left = iter(durable)

    async def slow(self: MemoryJournal, owner: Owner, episodes: Sequence[Episode]) -> None:
        await next(left).wait()
        await write(self, owner, episodes)

    monkeypatch.setattr(MemoryJournal, "write_episodes", slow)
    bench.open_episode()
    sending = asyncio.create_task(bench.send())
    await asyncio.sleep(0.01)
    bench.open_episode()
    durable[0].set()
    assert (await sending).state is State.ACCEPTED
    assert bench.written == ["write_episodes", "write_sent", "record"]
    durable[1].set()
    await bench.episodes.are_kept()
    assert bench.written[3:] == ["write_episodes"]


async def test_episodes_are_written_in_the_order_in_which_they_were_begun(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fleet writes each over a connection of its own: one that opens and one that closes, of one loan."""
    under_way, most, write = 0, 0, MemoryJournal.write_episodes

    async def slow(self: MemoryJournal, owner: Owner, episodes: Sequence[Episode]) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        await write(self, owner, episodes)
        under_way -= 1

    monkeypatch.setattr(MemoryJournal, "write_episodes", slow)
    for _ in range(3):
        bench.open_episode()
    await bench.episodes.are_kept()
    assert (bench.written, most) == (["write_episodes"] * 3, 1)


async def test_a_stop_while_its_episode_is_written_down_is_obeyed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(self: MemoryJournal, owner: Owner, episodes: Sequence[Episode]) -> None:
        bench.stops = True

    monkeypatch.setattr(MemoryJournal, "write_episodes", slow)
    bench.open_episode()
    assert (await bench.send()).ret_msg == "shutting down"
    assert bench.path.left == []


async def test_an_error_of_ours_in_writing_an_episode_down_holds_nothing_up(bench: Bench) -> None:
    def faulty(name: str) -> None:
        if name == "write_episodes":
            raise KeyError("a defect")

    bench.journal.on_write = faulty
    bench.open_episode()
    with structlog.testing.capture_logs() as events:
        assert (await bench.send()).state is State.ACCEPTED
    assert [item["what"] for item in events if item["event"] == "defect"] == ["keeping episodes"]


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
