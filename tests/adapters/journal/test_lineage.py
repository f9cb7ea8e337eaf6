"""A server that lost what was written to it never passes for the one that it was written to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from journal_postgres import Snapshot, end_every_session, execute, name_of
from journal_tables import rows_in

from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.adapters.journal.lineage import JournalOrigin, Lineage
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner

Plan = Callable[..., Intent]
Send = Callable[[Intent], Intent]
OWNER, OTHER = Owner("testnet", "4711"), Owner("testnet", "4712")
KNOWN = JournalOrigin(system=7, timeline=1, sent={OWNER: 3})


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        (KNOWN, None),
        (JournalOrigin(system=7, timeline=1, sent={OWNER: 4, OTHER: 1}), None),
        (JournalOrigin(system=None, timeline=None, sent={OWNER: 3}), None),
        (JournalOrigin(system=8, timeline=1, sent={OWNER: 3}), "another server"),
        (JournalOrigin(system=7, timeline=2, sent={OWNER: 3}), "failed over"),
        (JournalOrigin(system=7, timeline=1, sent={OWNER: 2}), "1 sent adjustment"),
        (JournalOrigin(system=None, timeline=None, sent={OTHER: 9}), "3 sent adjustment"),
    ],
)
def test_a_session_is_held_against_those_before(origin: JournalOrigin, why: str | None) -> None:
    lineage = Lineage("the journal")
    lineage.meet(KNOWN)
    lineage.meet(origin)
    assert (why in lineage.restorations[0]) if why else not lineage.restorations


def test_what_was_lost_is_noted_once_and_normal_from_then_on() -> None:
    lineage = Lineage("the journal")
    lineage.meet(KNOWN)
    lineage.has_sent(OWNER, 5)
    for _ in range(3):
        lineage.meet(KNOWN)
    assert len(lineage.restorations) == 1


def test_a_session_that_may_not_ask_hides_no_change_between_those_that_may() -> None:
    lineage = Lineage("the journal")
    lineage.meet(KNOWN)
    lineage.meet(JournalOrigin(system=None, timeline=None, sent={OWNER: 3}))
    lineage.meet(JournalOrigin(system=8, timeline=1, sent={OWNER: 3}))
    assert len(lineage.restorations) == 1


@pytest.fixture
async def snapshot(postgres_server: str, postgres_url: str) -> Snapshot:
    """Of a journal that was opened once."""
    await (await open_journal(postgres_url)).close()
    taken = Snapshot(postgres_server, postgres_url)
    await taken.take()
    return taken


@pytest.fixture
async def journal(snapshot: Snapshot, postgres_url: str) -> AsyncIterator[SqlJournal]:
    journal = await open_journal(postgres_url)
    await journal.claim(OWNER)
    yield journal
    await journal.close()


async def send(journal: SqlJournal, intent: Intent, sent: Send) -> None:
    await journal.plan(intent)
    assert await journal.mark_sent(sent(intent))


async def test_a_failover_that_lost_what_was_sent_is_found_by_the_next_session(
    journal: SqlJournal, snapshot: Snapshot, planned: Plan, sent: Send
) -> None:
    await send(journal, planned("lost"), sent)
    await snapshot.fail_over()
    with pytest.raises(JournalUnavailable):  # the session that was lost
        await journal.plan(planned("next"))
    assert not journal.restorations
    with pytest.raises(JournalUnavailable, match="brought back to before: 1 sent adjustment"):
        await journal.plan(planned("next"))
    assert len(journal.restorations) == 1
    await send(journal, planned("next"), sent)


async def test_a_read_finds_it_and_no_write_follows_that_does_not_know(
    journal: SqlJournal, snapshot: Snapshot, planned: Plan, sent: Send
) -> None:
    await send(journal, planned("lost"), sent)
    await snapshot.fail_over()
    assert await journal.open_intents(OWNER) == ()
    assert len(journal.restorations) == 1
    with pytest.raises(JournalUnavailable):
        await journal.plan(planned("next"))
    await journal.plan(planned("next"))


async def test_sessions_that_end_by_themselves_are_no_restoration(
    journal: SqlJournal, postgres_url: str, planned: Plan, sent: Send
) -> None:
    await send(journal, planned("one"), sent)
    await end_every_session(postgres_url)
    with pytest.raises(JournalUnavailable):
        await journal.plan(planned("two"))
    await send(journal, planned("two"), sent)
    assert not journal.restorations


async def test_what_was_planned_and_never_sent_may_be_lost(
    journal: SqlJournal, snapshot: Snapshot, planned: Plan
) -> None:
    await journal.plan(planned("never left"))
    await snapshot.fail_over()
    assert await journal.open_intents(OWNER) == ()
    assert not journal.restorations


async def test_a_user_who_may_not_ask_for_the_servers_number_is_told_by_the_count(
    postgres_server: str, postgres_url: str, snapshot: Snapshot, planned: Plan, sent: Send
) -> None:
    role = name_of(postgres_url)
    await execute(postgres_server, f"CREATE ROLE {role} LOGIN")
    for url in (postgres_url, postgres_url.replace(f"/{role}?", f"/{role}_before?")):
        for function in ("pg_control_system()", "pg_control_checkpoint()"):
            await execute(url, f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        await execute(url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    journal = await open_journal(postgres_url.replace("//postgres:", f"//{role}:"))
    await journal.claim(OWNER)
    await send(journal, planned("lost"), sent)
    await snapshot.fail_over()
    await journal.open_intents(OWNER)
    assert "1 sent adjustment" in journal.restorations[0]
    await journal.close()


async def test_a_journal_of_the_version_before_goes_on_and_counts(
    url: str, begin: Callable[..., object], planned: Plan, sent: Send
) -> None:
    await begin(url, "0002")  # type: ignore[misc]
    journal = await open_journal(url)
    await journal.claim(OWNER)
    for name in ("one", "two"):
        await send(journal, planned(name), sent)
    counts = await rows_in(journal, "SELECT user_id, sent FROM sent_counts")
    assert counts == [{"user_id": "4711", "sent": 2}]
    await journal.close()
