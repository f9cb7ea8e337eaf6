"""What breaks a journal, done to the real file under the real daemon: unwritten, nothing leaves."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from e2e_world import NEEDY, World, ran, scenario_of
from journal_tables import execute_in

from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.service import live_run as running
from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

BALLAST = (
    "INSERT INTO intents (intent_id, environment, user_id, account, product, loan_id, direction, coin,"
    " amount, state, reason, coins_before, ltv_before, observed_at_ms, seen_ids, created_at_ms,"
    " updated_at_ms)"
    " VALUES (:id, 'nowhere', '1', 'x', 'x', 'x', 'add', 'X', '1',"
    " 'withdrawn', :reason, '1', '1', 1, '[]', 1, 1)"
)
NO_BEAT = "CREATE TRIGGER no_beat BEFORE UPDATE ON runs BEGIN SELECT RAISE(FAIL, 'no more beats'); END"
# Written as sent at once, or after a wait for its turn.
NO_SENDS = [
    f"CREATE TRIGGER no_{change} BEFORE {change} ON intents WHEN NEW.state = 'sent' "
    "BEGIN SELECT RAISE(FAIL, 'no more sending'); END"
    for change in ("INSERT", "UPDATE")
]
NO_END = (
    "CREATE TRIGGER no_end BEFORE UPDATE ON intents WHEN NEW.state = 'accepted' "
    "BEGIN SELECT RAISE(FAIL, 'no more answers'); END"
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[SqlJournal]:
    """The journals that daemons in this process have opened, so that a test can limit their file's size."""
    found: list[SqlJournal] = []

    async def opening(url: str, *, writer: bool) -> SqlJournal:
        journal = await open_journal(url, writer=writer, busy_timeout_s=0.3)
        found.append(journal)
        return journal

    monkeypatch.setattr(running, "open_journal", opening)
    return found


async def limit(journal: SqlJournal, pages: int) -> None:
    await execute_in(journal, f"PRAGMA max_page_count = {pages}")


async def fill(journal: SqlJournal) -> None:
    """Leaves no room for another intent, as a disk that somebody else has filled."""
    await limit(journal, 1)  # which SQLite takes for: not a page more than there is
    for reason in ("x" * 1000, "x"):
        with suppress(JournalUnavailable):
            while True:
                await execute_in(journal, BALLAST, {"id": uuid4().hex, "reason": reason})


async def make_room(journal: SqlJournal) -> None:
    await limit(journal, 1_000_000)
    await execute_in(journal, "DELETE FROM intents WHERE environment = 'nowhere'")


def journal_file(world: World) -> Path:
    return world.folder / "journal.db"


@asynccontextmanager
async def guarded(world: World, *, status: int) -> AsyncIterator[None]:
    """The real daemon, for as long as the block lasts; it must end with `status`."""
    stop = asyncio.Event()
    daemon = asyncio.create_task(app.run_daemon(world.settings(), stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(15):
            ended = await daemon
    assert ended == status


async def cycles(world: World, count: int) -> None:
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


async def refused(world: World, sentence: str) -> None:
    """Waits for the one clear message, and lets the daemon try for a while after it."""
    await world.until(lambda: bool(world.heard("journal_unavailable")))
    asked = world.exchange.requests.total()
    await world.until(lambda: world.exchange.requests.total() > asked + 8)
    told = world.heard("journal_unavailable")
    assert [event["level"] for event in told] == ["critical"], told
    assert sentence in told[0]["why"]
    assert not world.heard("cycle_failed")


async def test_a_full_disk_sends_nothing_and_is_gone_on_from_once_there_is_space(
    open_a_world: OpenWorld, opened: list[SqlJournal]
) -> None:
    async with open_a_world() as world, guarded(world, status=0):
        await cycles(world, 1)
        await fill(opened[0])
        world.price(NEEDY["add"])
        await refused(world, "there is no space left")
        assert not world.exchange.writes
        await make_room(opened[0])
        await world.until_settled_at_target()
        await world.until(lambda: bool(world.heard("journal_available")))
        assert len(world.heard("journal_available")) == 1
        await world.judge()


async def test_a_journal_that_only_reads_is_told_while_nothing_has_to_be_done_yet(
    open_a_world: OpenWorld, opened: list[SqlJournal], timings: Timings
) -> None:
    timings.change(beat_ms=200)
    async with open_a_world() as world, guarded(world, status=1):
        await cycles(world, 1)
        await execute_in(opened[0], NO_BEAT)
        await refused(world, "no more beats")
        beat = world.heard("cycle_finished")[
            -1
        ]  # the loans can be read, and the heartbeat says what is wrong
        assert (beat["outcome"], beat["critical"]) == ("ok", ["journal_unavailable"])
        assert not world.heard("journal_available")


async def test_a_full_disk_at_the_end_shows_in_the_exit_status(
    open_a_world: OpenWorld, opened: list[SqlJournal]
) -> None:
    async with open_a_world() as world, guarded(world, status=1):
        await cycles(world, 1)
        await fill(opened[0])
        world.price(NEEDY["add"])
        await refused(world, "there is no space left")
        assert not world.exchange.writes


async def test_what_can_not_be_marked_sent_does_not_leave(
    open_a_world: OpenWorld, opened: list[SqlJournal]
) -> None:
    async with open_a_world() as world, guarded(world, status=0):
        await cycles(world, 1)
        for no_send in NO_SENDS:
            await execute_in(opened[0], no_send)
        world.price(NEEDY["add"])
        await refused(world, "no more sending")
        assert not world.exchange.writes
        for change in ("INSERT", "UPDATE"):
            await execute_in(opened[0], f"DROP TRIGGER no_{change}")
        await world.until_settled_at_target()
        assert "confirmed" in await world.judge()


async def test_an_answer_that_can_not_be_written_down_is_found_in_the_history(
    open_a_world: OpenWorld, opened: list[SqlJournal]
) -> None:
    async with open_a_world() as world, guarded(world, status=0):
        await cycles(world, 1)
        await execute_in(opened[0], NO_END)
        world.price(NEEDY["add"])
        await world.until_settled_at_target()
        assert list(await world.judge()) == ["confirmed"]
        assert world.heard("journal_unavailable")


async def test_a_journal_that_is_locked_for_a_while_is_waited_for(
    open_a_world: OpenWorld, opened: list[SqlJournal]
) -> None:
    async with open_a_world() as world, guarded(world, status=0):
        await cycles(world, 1)
        with closing(sqlite3.connect(journal_file(world), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            world.price(NEEDY["add"])
            await refused(world, "is locked by another program")
            assert not world.exchange.writes
            other.execute("ROLLBACK")
        await world.until_settled_at_target()
        await world.judge()


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def moved_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


@pytest.mark.parametrize("harm", [deleted, replaced, moved_away], ids=lambda harm: harm.__name__)
async def test_a_journal_that_goes_away_mid_run_sends_nothing_and_ends_in_failure(
    open_a_world: OpenWorld, opened: list[SqlJournal], harm: Callable[[Path], None]
) -> None:
    async with open_a_world() as world:
        async with guarded(world, status=1):
            await cycles(world, 1)
            harm(journal_file(world))
            world.price(NEEDY["add"])
            await refused(world, "removed or replaced")
            assert not world.exchange.writes
        # A new one is begun, and waits: what went away may have known of an adjustment under way.
        async with world.guarded():
            await world.until_settled_at_target()
        assert world.heard("daemon_started")[-1]["continuous"] is False
        await world.judge()


async def test_a_restored_older_journal_waits_and_does_not_add_again(open_a_world: OpenWorld) -> None:
    """The copy is from before the add; the add is still under way when the daemon on the copy starts."""
    async with open_a_world() as world:
        shutil.copy(journal_file(world), world.folder / "copy.db")
        world.price(NEEDY["add"])
        world.fault("apply_late", endpoint="adjust", delay_s="0.9")
        async with world.guarded():
            await world.until(lambda: bool(world.adjustments_sent()))
        for beside in world.folder.glob("journal.db*"):
            if beside.suffix != ".seal":
                beside.unlink()
        shutil.copy(world.folder / "copy.db", journal_file(world))
        async with world.guarded():
            await cycles(world, 10)
            assert world.heard("daemon_started")[-1]["continuous"] is False
            assert world.is_at_target()
        assert len(world.effects()) == 1
        assert await world.intents() == ()


async def test_a_second_run_on_the_journal_is_refused_and_the_first_goes_on(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, world.guarded():
        await cycles(world, 1)
        status, second = await ran("run", "--once", "-c", world.config_file)
        assert status == 1
        (sentence,) = second.errors
        assert "another ltv-guard (process " in sentence
        assert [event["event"] for event in second.events] == ["start_failed"]
        assert len(second.lines) == 1
        world.price(NEEDY["add"])
        await world.until_settled_at_target()


async def test_a_corrupt_journal_is_refused_in_one_sentence(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        journal_file(world).write_bytes(b"price,ltv\n" * 1000)
        status, run = await ran("run", "-c", world.config_file)
        assert status == 1
        (sentence,) = run.errors
        assert "is corrupt; restore it" in sentence
        assert not world.exchange.requests
