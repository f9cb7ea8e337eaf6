"""A journal behind a pooler that pools by transaction: a fleet's, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from journal_postgres import PostgresMachine
from journal_tables import execute_in
from pooler import pgbouncer

from ltv_guard.adapters.journal import open_fleet_journal, open_journal
from ltv_guard.adapters.journal.fleet import FleetJournal
from ltv_guard.adapters.journal.postgres_url import is_pooled_by_transaction, parse_url
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.leases import Worker
from ltv_guard.core.model.loans import Owner

Made = Callable[..., Intent]
WORKER = Worker(name="w1", egress="e")


@pytest.fixture
async def pooled(postgres_url: str, tmp_path: Path) -> AsyncIterator[str]:
    with pgbouncer(postgres_url, tmp_path) as url:
        yield url


async def held(url: str, owner: Owner) -> FleetJournal:
    journal = await open_fleet_journal(f"{url}?pooler=transaction", idle_s=5)
    leases = journal.leases_of("testnet")
    view = await leases.beat(WORKER, ["main"], 60_000)
    (tenure,) = await leases.take(WORKER, view.leases, 60_000)
    journal.hold(tenure)
    await journal.claim_for("main", owner)
    return journal


def test_what_a_url_says_of_a_pooler_is_ours_alone() -> None:
    url = "postgresql://db/journal?sslmode=require"
    assert parse_url(f"{url}&pooler=transaction") == parse_url(url)
    assert is_pooled_by_transaction(f"{url}&pooler=transaction")
    assert not is_pooled_by_transaction(url)
    with pytest.raises(ValueError, match="pooler=transaction, and nothing else"):
        parse_url(f"{url}&pooler=statement")


@pytest.mark.slow
async def test_many_who_ask_at_once_share_a_few_sessions(pooled: str, owner: Owner) -> None:
    journal = await held(pooled, owner)
    leases = journal.leases_of("testnet")
    views = await asyncio.gather(*(leases.look("e") for _ in range(60)))
    assert {len(view.leases) for view in views} == {1}
    await journal.close()


@pytest.mark.slow
async def test_each_transaction_is_bounded_though_no_session_is_anybody_s(pooled: str, owner: Owner) -> None:
    journal = await held(pooled, owner)
    names = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout")

    def shown(session: object) -> list[str]:
        return [session.rows(f"SHOW {name}")[0][name] for name in names]  # type: ignore[attr-defined]

    assert await journal._store.read(shown) == ["on", "5s", "5s"]
    await journal.close()


@pytest.mark.slow
async def test_a_server_that_lacks_what_was_sent_is_noticed_though_the_pooler_stood(
    pooled: str, postgres_server: str, owner: Owner, planned: Made, sent: Made
) -> None:
    """The connection to the pooler lives on, and another server answers: what was sent may not be in it."""
    journal = await held(pooled, owner)
    assert await journal.write_sent(sent(planned()))
    await execute_in(journal, "UPDATE sent_counts SET sent = 0")
    machine = await PostgresMachine.of(postgres_server)
    await asyncio.to_thread(machine.stop)
    with pytest.raises(JournalUnavailable):
        await journal.open_intents(owner)
    await asyncio.to_thread(machine.start)

    async with asyncio.timeout(20):
        while not journal.restorations:
            try:
                await journal.open_intents(owner)
            except JournalUnavailable:
                await asyncio.sleep(0.1)
    assert "brought back to before" in journal.restorations[0]
    await journal.close()


@pytest.mark.slow
async def test_a_daemon_by_itself_is_refused_there(pooled: str, owner: Owner) -> None:
    with pytest.raises(JournalUnavailable, match=r"behind a pooler.*pooler=transaction in the journal's URL"):
        await open_journal(pooled)
    journal = await open_journal(f"{pooled}?pooler=transaction")
    with pytest.raises(JournalUnavailable, match=r"no claim on a user lasts: set fleet\.enabled"):
        await journal.claim(owner)
    assert await journal.list_intents() == (), "commands work there"
    await journal.pause(None, "a look", 1)
    await journal.close()
