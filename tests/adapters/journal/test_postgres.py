"""What only a journal in PostgreSQL does: claims, and sentences about a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from journal_postgres import end_every_session
from journal_tables import execute_in, rows_in

from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.adapters.journal.postgres_session import PostgresSession
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner

Plan = Callable[..., Intent]
Send = Callable[[Intent], Intent]
OTHER = Owner("testnet", "4712")


@pytest.fixture
async def journal(postgres_url: str) -> AsyncIterator[SqlJournal]:
    journal = await open_journal(postgres_url)
    yield journal
    await journal.close()


@pytest.fixture
async def elsewhere(postgres_url: str, journal: SqlJournal) -> AsyncIterator[SqlJournal]:
    """The same journal, opened by a second machine."""
    elsewhere = await open_journal(postgres_url)
    yield elsewhere
    await elsewhere.close()


async def test_a_user_is_guarded_by_one_daemon(
    journal: SqlJournal, elsewhere: SqlJournal, owner: Owner
) -> None:
    await journal.claim(owner)
    with pytest.raises(JournalUnavailable, match="another ltv-guard guards the testnet user 4711"):
        await elsewhere.claim(owner)
    await elsewhere.claim(OTHER)


async def test_a_daemon_that_ends_gives_up_its_claims(
    postgres_url: str, elsewhere: SqlJournal, owner: Owner
) -> None:
    first = await open_journal(postgres_url)
    await first.claim(owner)
    await first.close()
    await elsewhere.claim(owner)


async def test_a_lost_session_fails_a_write_and_is_taken_again(
    postgres_url: str, journal: SqlJournal, owner: Owner, elsewhere: SqlJournal, planned: Plan
) -> None:
    await journal.claim(owner)
    await end_every_session(postgres_url)
    with pytest.raises(JournalUnavailable):
        await journal.plan(planned())
    await journal.plan(planned())
    with pytest.raises(JournalUnavailable, match="another ltv-guard"):
        await elsewhere.claim(owner)


async def test_who_lost_its_claim_to_another_writes_nothing_more(
    postgres_url: str, journal: SqlJournal, elsewhere: SqlJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await journal.claim(owner)
    await journal.plan(planned())
    await end_every_session(postgres_url)
    await elsewhere.claim(owner)
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            await journal.mark_sent(sent(planned()))
    assert await elsewhere.mark_sent(sent(planned()))


async def test_a_restart_of_the_server_is_survived(
    postgres_url: str, journal: SqlJournal, owner: Owner, planned: Plan
) -> None:
    await journal.pauses()
    await end_every_session(postgres_url)
    assert await journal.pauses() == ()
    await journal.plan(planned())


async def test_a_pause_waits_for_a_send_that_is_being_written(postgres_url: str, journal: SqlJournal) -> None:
    store = journal._store
    async with store._shared.begin() as sending:
        await sending.run_sync(lambda each: store.lock_pauses(PostgresSession(each), exclusive=False))
        pausing = asyncio.create_task(journal.pause(None, "audit", 1))
        await until_somebody_waits(postgres_url)
        assert not pausing.done()
    await pausing


async def until_somebody_waits(url: str) -> None:
    connection = await asyncpg.connect(url)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not await connection.fetchval(waiting):  # noqa: ASYNC110 - a server has no event to wait for
        await asyncio.sleep(0.01)
    await connection.close()


async def test_machines_that_open_an_empty_database_at_once_migrate_it_once(postgres_url: str) -> None:
    journals = await asyncio.gather(*(open_journal(postgres_url) for _ in range(4)))
    for journal in journals:
        await journal.close()


async def test_a_restart_always_waits(postgres_url: str, journal: SqlJournal) -> None:
    await journal.begin_run("run", 1)
    await journal.seal()
    again = await open_journal(postgres_url)
    assert not again.is_new
    assert not again.is_continuous
    await again.close()


async def test_commits_are_durable_whatever_the_database_is_set_to(postgres_url: str) -> None:
    await executed(postgres_url, "SET synchronous_commit = off")
    journal = await open_journal(postgres_url)
    assert await rows_in(journal, "SHOW synchronous_commit") == [{"synchronous_commit": "on"}]
    await journal.close()


async def test_a_read_only_server_is_told(postgres_url: str) -> None:
    await executed(postgres_url, "SET default_transaction_read_only = on")
    with pytest.raises(JournalUnavailable, match="cannot be written"):
        await open_journal(postgres_url)


async def executed(url: str, setting: str) -> None:
    connection = await asyncpg.connect(url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} {setting}")
    await connection.close()


async def test_a_database_that_does_not_exist_is_told(postgres_server: str) -> None:
    with pytest.raises(JournalUnavailable, match="create that database first"):
        await open_journal(postgres_server.replace("/postgres?", "/nowhere?"))


async def test_a_schema_from_the_future_asks_for_an_upgrade(postgres_url: str, journal: SqlJournal) -> None:
    await execute_in(journal, "UPDATE journal_version SET version_num = '9999'")
    with pytest.raises(JournalUnavailable, match="upgrade ltv-guard"):
        await open_journal(postgres_url)


async def test_a_server_out_of_reach_is_told_without_the_password() -> None:
    with pytest.raises(JournalUnavailable, match="cannot be reached") as refused:
        await open_journal("postgresql://guard:hunter2@127.0.0.1:1/journal?sslmode=disable")
    assert "hunter2" not in str(refused.value)


async def test_a_server_whose_name_no_thread_can_look_up_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
    with pytest.raises(
        JournalUnavailable, match=r"on db\.example\) cannot be reached \(can't start new thread"
    ):
        await open_journal("postgresql://guard:hunter2@db.example/journal?sslmode=disable")


async def test_a_server_that_is_out_of_reach_holds_up_no_end(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal(postgres_url, busy_timeout_s=0.5)
    await journal.claim(Owner("testnet", "1"))
    waited = []

    async def waits_for_the_server(connection: asyncpg.Connection) -> None:
        waited.append(connection)
        try:
            await asyncio.Event().wait()
        finally:
            connection.terminate()  # as the driver does

    monkeypatch.setattr(asyncpg.Connection, "close", waits_for_the_server)
    async with asyncio.timeout(5):
        await journal.close()
    assert waited
