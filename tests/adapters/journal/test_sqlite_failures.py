"""What breaks a SQLite journal, done to a real file: each is one sentence, and nothing is sent."""

# ruff: noqa: ASYNC221, ASYNC240 - nothing else waits for these tests' loop

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from held_intents import intent_in
from journal_tables import execute_in, rows_in

from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.journal import SqlJournal, open_journal, schema, sqlite_connection, statements
from ltv_guard.adapters.journal.sqlite_connection import SqliteConnection
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.ports import Episode
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.episodes import Episodes
from ltv_guard.guard.state.unwritten_episodes import UnwrittenEpisodes
from ltv_guard.log.alert_repeater import AlertRepeater

Plan = Callable[..., Intent]
Send = Callable[[Intent], Intent]
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user of this machine can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Permissions bite: where the tests run as root, this one does not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


async def test_while_another_holds_the_file_what_ends_is_counted(path: Path) -> None:
    journal = await open_journal(f"sqlite:///{path}", busy_timeout_s=sqlite_connection.SLOW_S + 0.2)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="is locked"):
            await journal.pause(None, "", 0)
    assert journal.slow_jobs_ended >= 1
    await journal.close()


async def test_jobs_that_have_others_wait_behind_them_are_counted_and_quick_ones_are_not(path: Path) -> None:
    now_s = [1000.0]

    def fails() -> None:
        now_s[0] += sqlite_connection.SLOW_S
        raise KeyError

    def takes(seconds: float) -> Callable[[], None]:
        return lambda: now_s.__setitem__(0, now_s[0] + seconds)

    connection = SqliteConnection(path, is_writer=True, busy_timeout_s=1, monotonic=lambda: now_s[0])
    counted = []
    for job in (takes(0), takes(0.9), takes(60), fails, takes(0)):
        with suppress(KeyError):
            await connection.run(job)
        await connection.run(takes(0))  # the thread is done with the one before
        counted.append(connection.slow_jobs_ended)
    await connection.close()
    assert counted == [0, 0, 1, 2, 2]


async def with_a_plan(path: Path, intent: Intent) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    await journal.plan(intent)
    await journal.close()


async def refusal(path: Path, *, writer: bool = True) -> str:
    """The sentence with which the journal at `path` is refused."""
    with pytest.raises(JournalUnavailable) as refused:
        await open_journal(f"sqlite:///{path}", writer=writer, busy_timeout_s=0.2)
    assert "\n" not in str(refused.value)
    assert "Error" not in str(refused.value)
    return str(refused.value)


async def test_a_missing_folder_is_named(path: Path) -> None:
    assert "folder" in await refusal(path / "deeper" / "journal.db")


async def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    assert "is not a file" in await refusal(tmp_path)


@pytest.mark.parametrize("writer", [True, False], ids=["daemon", "command"])
async def test_a_file_of_something_else_is_corrupt(path: Path, writer: bool) -> None:  # noqa: FBT001
    path.write_bytes(b"price,ltv\n" * 1000)
    assert "is corrupt; restore it" in await refusal(path, writer=writer)


async def test_a_damaged_page_is_found_when_the_journal_is_opened(path: Path, planned: Plan) -> None:
    await with_a_plan(path, planned())
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(os.urandom(size // 2))
    assert "is corrupt; restore it" in await refusal(path)


async def test_to_look_through_a_large_journal_keeps_none_of_its_pages_in_memory(
    path: Path, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_a_plan(path, planned())
    asked: list[str] = []
    connect = sqlite_connection.connect

    def overheard(*args: Any, **named: Any) -> sqlite3.Connection:  # noqa: ANN401 - as it is asked
        connection = connect(*args, **named)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite_connection, "connect", overheard)
    await (await open_journal(f"sqlite:///{path}")).close()
    told = [item for item in asked if "cache_size" in item or "quick_check" in item]
    assert told == ["PRAGMA cache_size = -128", "PRAGMA quick_check(1)", "PRAGMA cache_size = -2000"]


async def test_a_truncated_file_is_corrupt(path: Path, planned: Plan) -> None:
    await with_a_plan(path, planned())
    os.truncate(path, path.stat().st_size // 2)
    assert "is corrupt; restore it" in await refusal(path)


async def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE intents (wish TEXT)")
        other.commit()
    assert "not a journal's" in await refusal(path)


@pytest.mark.parametrize("writer", [True, False], ids=["daemon", "command"])
async def test_a_schema_from_the_future_asks_for_an_upgrade(path: Path, planned: Plan, writer: bool) -> None:  # noqa: FBT001
    await with_a_plan(path, planned())
    with closing(sqlite3.connect(path)) as future:
        future.execute("UPDATE journal_version SET version_num = '9999'")
        future.commit()
    assert "newer ltv-guard (schema 9999): upgrade" in await refusal(path, writer=writer)


async def test_a_row_that_makes_no_sense_stops_everything(path: Path, planned: Plan) -> None:
    await with_a_plan(path, planned())
    with closing(sqlite3.connect(path)) as hand:
        hand.execute("UPDATE intents SET amount = 'lots'")
        hand.commit()
    journal = await open_journal(f"sqlite:///{path}")
    with pytest.raises(JournalUnavailable, match="intent one makes no sense"):
        await journal.open_intents(planned().owner)
    await journal.close()


async def test_the_database_refuses_a_state_that_does_not_exist(path: Path, planned: Plan) -> None:
    await with_a_plan(path, planned())
    with closing(sqlite3.connect(path)) as hand, pytest.raises(sqlite3.IntegrityError):
        hand.execute("UPDATE intents SET state = 'hopeful'")


async def test_a_second_daemon_is_refused_and_told_who_holds_the_journal(path: Path) -> None:
    first = await open_journal(f"sqlite:///{path}")
    assert f"(process {os.getpid()}) is using the journal {path}" in await refusal(path)
    await first.close()
    second = await open_journal(f"sqlite:///{path}")
    await second.close()


async def test_another_name_of_the_file_is_the_same_journal(path: Path, tmp_path: Path) -> None:
    first = await open_journal(f"sqlite:///{path}")
    (tmp_path / "alias.db").symlink_to(path)
    assert "is using the journal" in await refusal(tmp_path / "alias.db")
    await first.close()


async def test_commands_work_beside_a_daemon(path: Path, planned: Plan, sent: Send) -> None:
    daemon = await open_journal(f"sqlite:///{path}")
    command = await open_journal(f"sqlite:///{path}", writer=False)
    await daemon.plan(planned())
    await command.pause(None, "audit", 1)
    assert not await daemon.mark_sent(sent(planned()))
    await command.resume(None)
    assert await daemon.mark_sent(sent(planned()))
    assert await intent_in(command, "one") == sent(planned())
    await command.close()
    await daemon.close()


async def test_a_command_can_pause_before_the_first_start(path: Path) -> None:
    command = await open_journal(f"sqlite:///{path}", writer=False)
    await command.pause(None, "not yet", 1)
    await command.close()
    daemon = await open_journal(f"sqlite:///{path}")
    assert daemon.is_new
    assert len(await daemon.pauses()) == 1
    await daemon.close()


async def test_a_lock_held_too_long_fails_the_write_and_no_read(path: Path, planned: Plan) -> None:
    journal = await open_journal(f"sqlite:///{path}", busy_timeout_s=0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="is locked by another program"):
            await journal.plan(planned())
        assert await journal.open_intents(planned().owner) == ()
        other.execute("ROLLBACK")
    await journal.plan(planned())
    await journal.close()


def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


async def test_a_journal_that_is_given_no_thread_says_so_each_time_and_is_used_once_it_has_one(
    path: Path, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_a_plan(path, planned())
    with monkeypatch.context() as crowded:
        no_more_threads(crowded)
        connection = SqliteConnection(path, is_writer=True, busy_timeout_s=0.2)
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="cannot be used: this machine gives it no thread"):
                await asyncio.wait_for(connection.run(lambda: None), 5)
    assert await connection.run(lambda: connection.transaction(lambda _: "done")) == "done"
    await connection.close()


async def test_a_lock_is_told_where_no_thread_is_to_be_had_to_look_who_holds_it(
    path: Path, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal(f"sqlite:///{path}", busy_timeout_s=0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        no_more_threads(monkeypatch)
        with pytest.raises(JournalUnavailable, match="is locked by another program"):
            await journal.plan(planned())
    monkeypatch.undo()
    await journal.close()


async def test_a_journal_that_is_closed_is_not_opened_again_by_whoever_comes_late(
    path: Path, planned: Plan
) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    await journal.plan(planned())
    await journal.close()
    before = threading.active_count()
    with pytest.raises(JournalUnavailable, match="is closed"):
        await journal.open_intents(planned().owner)
    assert threading.active_count() == before
    await journal.close()


async def test_a_disk_that_hangs_holds_up_no_end_and_nobody_else_may_write_meanwhile(
    path: Path, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "CLOSED_WITHIN_S", 0.1)
    journal = await open_journal(f"sqlite:///{path}")
    hangs = threading.Event()
    writing = asyncio.create_task(journal._store.write(lambda _: hangs.wait(20)))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await journal.close()
    with pytest.raises(JournalUnavailable, match="is using the journal"):
        await open_journal(f"sqlite:///{path}")
    hangs.set()
    await writing
    await journal.close()
    again = await open_journal(f"sqlite:///{path}")
    await again.plan(planned())
    await again.close()


async def test_a_reader_that_lingers_does_not_hold_up_a_write(path: Path, planned: Plan) -> None:
    journal = await open_journal(f"sqlite:///{path}", busy_timeout_s=0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM intents").fetchall()
        await journal.plan(planned())
    assert await intent_in(journal, "one") == planned()
    await journal.close()


async def test_a_reader_cannot_write(path: Path) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    with pytest.raises(JournalUnavailable, match="read-only"):
        await journal._store.read(lambda session: session.execute("DELETE FROM intents"))
    await journal.close()


async def test_what_is_committed_survives_a_power_cut(path: Path) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    assert await rows_in(journal, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    assert await rows_in(journal, "PRAGMA synchronous") == [{"synchronous": 2}]
    await journal.close()


async def test_a_filesystem_that_cannot_make_it_safe_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "_WRITER_PRAGMAS", (("journal_mode", "impossible"),))
    assert "cannot be made safe: SQLite keeps journal_mode at delete" in await refusal(path)


async def test_an_older_schema_is_not_changed_under_a_daemon_that_uses_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = await open_journal(f"sqlite:///{path}")
    monkeypatch.setattr(schema, "standing", lambda *_: schema.SchemaState.OLDER)
    assert "is using the journal" in await refusal(path, writer=False)
    await daemon.close()
    command = await open_journal(f"sqlite:///{path}", writer=False)
    await command.close()


async def until_full(journal: SqlJournal, planned: Plan) -> str:
    try:
        for number in range(10_000):
            await journal.plan(planned(f"filler {number}", reason="x" * 2_000))
    except JournalUnavailable as refused:
        return str(refused)
    return "never full"


async def test_a_full_file_refuses_the_plan_and_the_send_and_recovers(
    path: Path, planned: Plan, sent: Send
) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    await journal.plan(planned())
    await execute_in(journal, "PRAGMA max_page_count = 40")
    assert "there is no space left" in await until_full(journal, planned)
    with pytest.raises(JournalUnavailable, match="there is no space left"):
        await journal.mark_sent(replace(sent(planned()), ret_msg="x" * 20_000))
    assert await intent_in(journal, "one") == planned()
    await execute_in(journal, "PRAGMA max_page_count = 4000")
    assert await journal.mark_sent(sent(planned()))
    await journal.close()


async def test_a_full_disk_refuses_the_plan_and_recovers(tmp_path: Path, planned: Plan, sent: Send) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    try:
        journal = await open_journal(f"sqlite:///{disk}/journal.db")
        await journal.plan(planned())
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 50_000)
        assert "there is no space left" in await until_full(journal, planned)
        with pytest.raises(JournalUnavailable):
            await journal.mark_sent(replace(sent(planned()), ret_msg="x" * 100_000))
        ballast.unlink()
        assert await intent_in(journal, "one") == planned()
        assert await journal.mark_sent(sent(planned()))
        await journal.close()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("writer", [True, False], ids=["daemon", "command"])
async def test_a_read_only_folder_is_told(
    shared_folder: Path,
    planned: Plan,
    writer: bool,  # noqa: FBT001
    request: pytest.FixtureRequest,
) -> None:
    path = shared_folder / "journal.db"
    await with_a_plan(path, planned())
    shared_folder.chmod(0o555)
    request.getfixturevalue("unprivileged")
    word = await refusal(path, writer=writer)
    assert ("the lock file" if writer else "writ") in word


async def test_a_read_only_file_is_told_before_anything_depends_on_it(
    shared_folder: Path, planned: Plan, request: pytest.FixtureRequest
) -> None:
    path = shared_folder / "journal.db"
    await with_a_plan(path, planned())
    path.chmod(0o444)
    shared_folder.chmod(0o777)
    path.with_name("journal.db.lock").unlink()
    request.getfixturevalue("unprivileged")
    assert "cannot be written" in await refusal(path)


async def test_a_new_journal_in_a_read_only_folder_is_told(
    shared_folder: Path, request: pytest.FixtureRequest
) -> None:
    shared_folder.chmod(0o555)
    request.getfixturevalue("unprivileged")
    assert "cannot be written" in await refusal(shared_folder / "journal.db")


def removed(path: Path) -> None:
    path.unlink()


def replaced_by_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def moved_with_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def without_its_lock(path: Path) -> None:
    path.with_name("journal.db.lock").unlink()


@pytest.mark.parametrize(
    "harm",
    [removed, replaced_by_a_copy, moved_with_its_folder, without_its_lock],
    ids=lambda harm: harm.__name__,
)
async def test_a_journal_that_went_away_takes_no_more_intents(
    path: Path, planned: Plan, sent: Send, harm: Callable[[Path], None]
) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    await journal.plan(planned())
    harm(path)
    with pytest.raises(JournalUnavailable, match="removed or replaced while it was in use"):
        await journal.mark_sent(sent(planned()))
    with pytest.raises(JournalUnavailable, match="removed or replaced while it was in use"):
        await journal.plan(planned("two"))
    await journal.close()


async def test_a_journal_that_goes_away_during_a_write_is_noticed(
    path: Path, planned: Plan, sent: Send
) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    await journal.plan(planned())
    with pytest.raises(JournalUnavailable, match="removed or replaced"):
        await journal._store.write(lambda _: path.unlink())
    await journal.close()


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (statements.OPEN_OF, "USING INDEX ix_intents_open"),
        (statements.RECENT_OF, "USING INDEX ix_intents_updated"),
        (statements.NEWEST_FEW, "USING INDEX ix_intents_newest"),
    ],
    ids=["open", "recent", "newest"],
)
async def test_what_a_cycle_asks_for_is_found_without_reading_all(
    path: Path, statement: str, index: str
) -> None:
    await (await open_journal(f"sqlite:///{path}")).close()
    values = {"environment": "testnet", "user_id": "1", "since_ms": 1, "limit": 1}
    with closing(sqlite3.connect(path)) as other:
        plan = " / ".join(row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {statement}", values))
    assert index in plan
    assert ("SCAN" in plan) == (statement is statements.NEWEST_FEW)  # of which the index gives the first few


async def test_cancelling_a_write_leaves_a_journal_that_works(path: Path, planned: Plan, sent: Send) -> None:
    journal = await open_journal(f"sqlite:///{path}")
    for number in range(30):
        await journal.plan(planned(f"{number}"))
        await cancelled_after(number, journal.mark_sent(sent(planned(f"{number}"))))
    held = await journal.open_intents(planned().owner)
    assert {intent.state for intent in held} <= {State.PLANNED, State.SENT}
    assert len(held) == 30
    await journal.close()


async def cancelled_after(steps: int, write: Awaitable[object]) -> None:
    """Runs `write`, and cancels it after so many turns of the event loop."""
    task = asyncio.ensure_future(write)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})


async def test_an_episode_of_an_unknown_product_is_passed_over_and_the_others_are_read(
    path: Path, planned: Plan
) -> None:
    await with_a_plan(path, planned())
    owner = planned().owner
    journal = await open_journal(f"sqlite:///{path}")
    ours = [Episode(key=LoanKey(Product.LEGACY, name), opened_at_ms=1) for name in ("1", "2")]
    await journal.write_episodes(owner, ours)
    await journal.close()
    with closing(sqlite3.connect(path)) as hand:
        hand.execute("UPDATE episodes SET product = 'moon_loan' WHERE loan_id = '2'")
        hand.commit()
    journal = await open_journal(f"sqlite:///{path}")
    assert await journal.episodes(owner) == (ours[0],)
    standing = await journal.standing(owner)
    assert standing.odd_rows == ("the episode of loan '2' is of an unknown product, 'moon_loan'",)
    alerts = AlertRepeater(lambda: 0)
    episodes = Episodes(journal, UnwrittenEpisodes(), ExchangeClock(), Defects(alerts), alerts)
    with structlog.testing.capture_logs() as heard:
        for _ in range(2):
            assert episodes.read(standing) == {ours[0].key: ours[0]}
    await journal.close()
    assert [(item["event"], item["why"]) for item in heard] == [("journal_row_odd", standing.odd_rows[0])]
