"""Leases in a database: whose they are, and that nothing is written without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from journal_postgres import end_every_session, execute
from journal_tables import execute_in, rows_in

from ltv_guard.adapters.journal import open_fleet_journal, open_journal
from ltv_guard.adapters.journal.fleet import FleetJournal
from ltv_guard.adapters.journal.leases import SqlLeases
from ltv_guard.core.decide.calls import LEAST_CALLS
from ltv_guard.core.model.errors import JournalUnavailable, LeaseLost
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.leases import Lease, Tenure, Worker
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode

Plan = Callable[..., Intent]
Send = Callable[[Intent], Intent]
LEASE_MS = 60_000
ONE, OTHER = Worker(name="w1", egress="e"), Worker(name="w2", egress="e")


@pytest.fixture
async def journal(url_of_a_fleet: str) -> AsyncIterator[FleetJournal]:
    journal = await open_fleet_journal(url_of_a_fleet, idle_s=5)
    yield journal
    await journal.close()


@pytest.fixture
def leases(journal: FleetJournal) -> SqlLeases:
    return journal.leases_of("testnet")


async def taken(leases: SqlLeases, worker: Worker = ONE, *accounts: str) -> list[Tenure]:
    names = accounts or ("main",)
    view = await leases.beat(worker, names, LEASE_MS)
    wanted = [item for item in view.leases if item.account in names]
    return await leases.take(worker, wanted, LEASE_MS)


async def held(journal: FleetJournal, owner: Owner) -> Tenure:
    (tenure,) = await taken(journal.leases_of("testnet"))
    journal.hold(tenure)
    await journal.claim_for("main", owner)
    return tenure


async def expire(journal: FleetJournal) -> None:
    await execute_in(journal, "UPDATE leases SET expires_at_ms = 1")


async def test_a_worker_that_comes_is_seen_and_takes_what_is_free(leases: SqlLeases) -> None:
    view = await leases.beat(ONE, ["main", "b"], LEASE_MS)
    assert view.workers == ["w1"]
    assert {(item.account, item.epoch, item.is_free(view.now_ms)) for item in view.leases} == {
        ("main", 0, True),
        ("b", 0, True),
    }

    tenures = await leases.take(ONE, view.leases, LEASE_MS)
    assert {(item.account, item.worker, item.epoch) for item in tenures} == {
        ("main", "w1", 1),
        ("b", "w1", 1),
    }
    assert not any(item.is_orderly for item in tenures)


async def test_what_another_has_taken_meanwhile_is_not_taken(leases: SqlLeases) -> None:
    view = await leases.beat(ONE, ["main"], LEASE_MS)
    assert len(await leases.take(OTHER, view.leases, LEASE_MS)) == 1
    assert await leases.take(ONE, view.leases, LEASE_MS) == []


async def test_of_two_that_reach_for_all_at_once_each_account_is_one_s(leases: SqlLeases) -> None:
    accounts = [f"a{number}" for number in range(8)]
    view = await leases.beat(ONE, accounts, LEASE_MS)
    ones, others = await asyncio.gather(
        leases.take(ONE, view.leases, LEASE_MS), leases.take(OTHER, view.leases[::-1], LEASE_MS)
    )
    assert sorted(item.account for item in (*ones, *others)) == accounts


async def test_a_beat_renews_what_is_held_and_nothing_of_anybody_else(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    await taken(leases, ONE, "main")
    await taken(leases, OTHER, "b")
    await expire(journal)
    view = await leases.beat(ONE, ["main", "b"], LEASE_MS)
    assert {item.account for item in view.leases if not item.is_free(view.now_ms)} == {"main"}


async def test_who_has_not_been_heard_of_for_a_lease_is_no_live_worker(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    await leases.beat(OTHER, [], LEASE_MS)
    await execute_in(journal, "UPDATE workers SET expires_at_ms = 1")
    assert (await leases.beat(ONE, [], LEASE_MS)).workers == ["w1"]


async def test_what_is_given_back_in_order_is_known_to_be_by_whoever_takes_it(leases: SqlLeases) -> None:
    (first,) = await taken(leases)
    await leases.give_back([first], is_orderly=True)
    (second,) = await taken(leases, OTHER)
    assert (second.epoch, second.is_orderly) == (2, True)

    await leases.give_back([second], is_orderly=False)
    (third,) = await taken(leases)
    assert (third.epoch, third.is_orderly) == (3, False)


async def test_an_orderly_end_counts_once_and_not_after_the_next_holder_has_died(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    await leases.give_back(await taken(leases), is_orderly=True)
    (second,) = await taken(leases, OTHER)
    await expire(journal)
    (third,) = await taken(leases)
    assert (second.is_orderly, third.is_orderly) == (True, False)


async def test_a_tenure_of_before_gives_nothing_back_and_claims_nothing(
    journal: FleetJournal, leases: SqlLeases, owner: Owner
) -> None:
    """A worker that has lost an account and has it again: what it began under the first is over."""
    (old,) = await taken(leases)
    await expire(journal)
    await taken(leases, OTHER)
    await expire(journal)
    (new,) = await taken(leases)
    await leases.give_back([old], is_orderly=True)
    (row,) = await rows_in(journal, "SELECT worker, epoch FROM leases")
    assert row == {"worker": "w1", "epoch": new.epoch}
    journal.hold(old)
    with pytest.raises(LeaseLost):
        await journal.claim_for("main", owner)


async def test_an_orderly_end_counts_only_in_the_database_it_was_written_to(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    await leases.give_back(await taken(leases), is_orderly=True)
    await execute_in(journal, "UPDATE leases SET handed_over = 'as it was before a failover'")
    (tenure,) = await taken(leases, OTHER)
    assert not tenure.is_orderly


async def test_who_was_overtaken_gives_nothing_back(journal: FleetJournal, leases: SqlLeases) -> None:
    (old,) = await taken(leases)
    await expire(journal)
    await taken(leases, OTHER)
    await leases.give_back([old], is_orderly=True)
    (row,) = await rows_in(journal, "SELECT worker, epoch FROM leases")
    assert row == {"worker": "w2", "epoch": 2}


async def test_a_worker_that_leaves_is_counted_no_more(leases: SqlLeases) -> None:
    await leases.beat(OTHER, [], LEASE_MS)
    await leases.leave("w2")
    assert (await leases.beat(ONE, [], LEASE_MS)).workers == ["w1"]


# What each worker may ask the exchange for.


async def test_what_a_worker_may_ask_for_is_written_down_beside_what_the_others_may(
    leases: SqlLeases,
) -> None:
    for worker in (ONE, OTHER):
        await leases.beat(worker, [], LEASE_MS)
    assert await leases.use(ONE, 400, 0, 480) == 400
    assert await leases.use(OTHER, 240, 0, 480) == 80
    assert await leases.use(ONE, 240, 300, 480) == 300, "the exchange still counts so many"
    assert await leases.use(OTHER, 240, 0, 480) == 180
    view = await leases.beat(ONE, [], LEASE_MS)
    assert {item.name: item.calls for item in view.callers} == {"w1": 300, "w2": 180}


async def test_of_two_that_ask_for_more_at_once_the_sum_stays_below(leases: SqlLeases) -> None:
    for worker in (ONE, OTHER):
        await leases.beat(worker, [], LEASE_MS)
    for _ in range(5):
        got = await asyncio.gather(leases.use(ONE, 400, 0, 480), leases.use(OTHER, 400, 0, 480))
        assert sum(got) == 480
        await asyncio.gather(leases.use(ONE, 0, 0, 480), leases.use(OTHER, 0, 0, 480))


async def test_what_one_that_left_has_asked_for_counts_for_a_while(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    for worker in (ONE, OTHER):
        await leases.beat(worker, [], LEASE_MS)
    await leases.leave("w2", calls=100)
    assert await leases.use(ONE, 480, 0, 480) == 380
    assert [item.name for item in (await leases.register()).workers] == ["w1"]
    await execute_in(journal, "UPDATE workers SET calls_until_ms = 1 WHERE worker = 'w2'")
    assert await leases.use(ONE, 480, 0, 480) == 480
    await leases.beat(ONE, [], LEASE_MS)
    assert [row["worker"] for row in await rows_in(journal, "SELECT worker FROM workers")] == ["w1"]


async def test_one_whose_lease_is_over_asks_for_nothing_and_begins_with_the_least(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    await leases.beat(ONE, [], LEASE_MS)
    await leases.use(ONE, 400, 0, 480)
    await execute_in(journal, "UPDATE workers SET expires_at_ms = 2")
    assert await leases.use(ONE, 400, 0, 480) == 0
    assert (await leases.beat(ONE, [], LEASE_MS)).callers[0].calls == 400, "nobody had it meanwhile"
    await execute_in(journal, "UPDATE workers SET expires_at_ms = 2, calls_until_ms = 2")
    assert (await leases.beat(ONE, [], LEASE_MS)).callers[0].calls == LEAST_CALLS


async def test_everything_is_shown_to_people(leases: SqlLeases) -> None:
    await taken(leases)
    seen = await leases.register()
    assert [(item.account, item.worker, item.epoch) for item in seen.leases] == [("main", "w1", 1)]
    assert [(item.name, item.egress) for item in seen.workers] == [("w1", "e")]
    assert seen.now_ms < seen.workers[0].expires_at_ms


async def test_a_renewal_says_when_each_account_was_last_looked_at(leases: SqlLeases) -> None:
    await taken(leases, ONE, "main", "b")
    await leases.beat(ONE, ["main", "b"], LEASE_MS, ago_ms={"main": 4_000})
    seen = await leases.register()
    last = {item.account: item.last_cycle_ms for item in seen.leases}
    assert last["b"] is None
    assert last["main"] is not None
    assert 4_000 <= seen.now_ms - last["main"] < LEASE_MS

    await leases.beat(ONE, ["main", "b"], LEASE_MS)
    assert {item.account: item.last_cycle_ms for item in (await leases.register()).leases} == last


async def test_a_worker_that_is_leaving_is_counted_no_more_and_renews_what_it_holds_still(
    journal: FleetJournal, leases: SqlLeases
) -> None:
    await taken(leases, OTHER, "main")
    await expire(journal)
    view = await leases.beat(OTHER, ["main"], LEASE_MS, is_leaving=True)
    assert view.workers == []
    assert [item.is_free(view.now_ms) for item in view.leases] == [False]


# What is written under a lease.


async def test_who_holds_the_lease_writes_all_of_an_adjustment_s_life(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await held(journal, owner)
    await journal.plan(planned())
    assert await journal.mark_sent(sent(planned()))
    assert await journal.write_sent(sent(planned("two")))
    await journal.record(sent(planned()), sent(planned()).to(State.UNKNOWN, 3_000))
    assert journal.refused.total() == 0


async def test_without_a_lease_nothing_is_written(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    with pytest.raises(LeaseLost) as lost:
        await journal.claim_for("main", owner)
    assert lost.value.account == "main"
    for write in (
        journal.plan(planned()),
        journal.write_sent(sent(planned())),
        journal.write_episodes(owner, [Episode(key=planned().key, opened_at_ms=1)]),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert await journal.list_intents() == ()


async def test_an_expired_lease_lets_nothing_be_sent_but_answers_be_written_down(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await held(journal, owner)
    await journal.plan(planned())
    assert await journal.write_sent(sent(planned("two")))
    await expire(journal)

    with pytest.raises(LeaseLost):
        await journal.mark_sent(sent(planned()))
    with pytest.raises(LeaseLost):
        await journal.write_sent(sent(planned("three")))
    await journal.record(sent(planned("two")), sent(planned("two")).to(State.UNKNOWN, 3_000))

    states = {item.intent_id: item.state for item in await journal.list_intents()}
    assert states == {"one": State.PLANNED, "two": State.UNKNOWN}
    assert journal.refused == {"main": 2}


async def test_who_was_overtaken_writes_nothing_more(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await held(journal, owner)
    assert await journal.write_sent(sent(planned()))
    await expire(journal)
    await taken(journal.leases_of("testnet"), OTHER)

    with pytest.raises(LeaseLost):
        await journal.record(sent(planned()), sent(planned()).to(State.UNKNOWN, 3_000))
    with pytest.raises(LeaseLost):
        await journal.write_sent(sent(planned("two")))
    (intent,) = await journal.list_intents()
    assert intent.state is State.SENT


async def test_an_account_taken_again_is_written_for_under_its_new_epoch_alone(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    old = await held(journal, owner)
    await expire(journal)
    await taken(journal.leases_of("testnet"), OTHER)
    await expire(journal)
    new = await held(journal, owner)
    assert new.epoch == old.epoch + 2
    assert await journal.write_sent(sent(planned()))
    journal.hold(old)
    with pytest.raises(LeaseLost):
        await journal.write_sent(sent(planned("two")))


async def test_a_lease_whose_user_is_another_by_now_lets_nothing_be_written_for_the_one_before(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await held(journal, owner)
    await execute_in(journal, "UPDATE leases SET user_id = 'another'")
    with pytest.raises(LeaseLost):
        await journal.write_sent(sent(planned()))


async def test_two_accounts_of_one_user_are_never_held_side_by_side(
    journal: FleetJournal, owner: Owner
) -> None:
    await held(journal, owner)
    (tenure,) = await taken(journal.leases_of("testnet"), OTHER, "renamed")
    journal.hold(tenure)
    with pytest.raises(JournalUnavailable, match="under another account's name by another worker"):
        await journal.claim_for("renamed", owner)

    await execute_in(journal, "UPDATE leases SET expires_at_ms = 1 WHERE account = 'main'")
    await journal.claim_for("renamed", owner)


async def test_a_pause_holds_in_a_fleet_too(
    journal: FleetJournal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await held(journal, owner)
    await journal.pause(None, "a look", 1)
    assert not await journal.write_sent(sent(planned()))


# What only a server does.


@pytest.mark.slow
async def test_beside_a_daemon_without_a_fleet_nothing_is_written(
    postgres_url: str, owner: Owner, planned: Plan, sent: Send
) -> None:
    journal, alone = await open_fleet_journal(postgres_url, idle_s=5), await open_journal(postgres_url)
    await held(journal, owner)
    await alone.claim(owner)
    with pytest.raises(JournalUnavailable, match=r"without fleet\.enabled"):
        await journal.write_sent(sent(planned()))
    await alone.close()
    assert await journal.write_sent(sent(planned()))
    await journal.close()


@pytest.mark.slow
async def test_a_transaction_that_marks_sent_is_over_before_another_can_take_the_lease(
    postgres_url: str, owner: Owner, planned: Plan, sent: Send
) -> None:
    journal, elsewhere = (
        await open_fleet_journal(postgres_url, idle_s=5),
        await open_fleet_journal(postgres_url, idle_s=5),
    )
    await held(journal, owner)
    taking: list[asyncio.Task[list[Tenure]]] = []

    real = journal._check
    seen = (await elsewhere.leases_of("testnet").look("e")).leases
    free = [replace(item, expires_at_ms=0) for item in seen]
    assert all(isinstance(item, Lease) for item in free)

    def check(session: object, owner: Owner, *, is_sending: bool) -> None:
        real(session, owner, is_sending=is_sending)  # type: ignore[arg-type]
        if is_sending:  # it expires right after it was looked at, and another takes it before the commit
            session.execute("UPDATE leases SET expires_at_ms = 1")  # type: ignore[attr-defined]
            taking.append(asyncio.ensure_future(elsewhere.leases_of("testnet").take(OTHER, free, LEASE_MS)))

    journal._check = check  # type: ignore[method-assign]
    assert await journal.write_sent(sent(planned()))
    (tenure,) = await taking[0]
    assert tenure.epoch == 2
    assert [item.state for item in await elsewhere.open_intents(owner)] == [State.SENT]
    await journal.close()
    await elsewhere.close()


@pytest.mark.slow
async def test_who_stands_still_within_a_transaction_holds_no_lock_for_long(postgres_url: str) -> None:
    frozen, elsewhere = (
        await open_fleet_journal(postgres_url, idle_s=0.2),
        await open_fleet_journal(postgres_url, idle_s=5),
    )
    await taken(frozen.leases_of("testnet"))
    store = frozen._store
    async with store._shared.connect() as connection:  # type: ignore[attr-defined]
        await connection.exec_driver_sql("UPDATE leases SET expires_at_ms = 1")
        async with asyncio.timeout(10):
            await elsewhere.leases_of("testnet").beat(OTHER, ["main"], LEASE_MS)
            await elsewhere.leases_of("testnet").give_back(
                [Tenure(account="main", worker="w1", epoch=1)], is_orderly=False
            )
        await connection.invalidate()
    await frozen.close()
    await elsewhere.close()


@pytest.mark.slow
async def test_a_worker_has_ten_sessions_at_most(postgres_url: str) -> None:
    journal = await open_fleet_journal(postgres_url, idle_s=5)
    leases = journal.leases_of("testnet")
    await asyncio.gather(*(leases.look("e") for _ in range(40)))
    statement = "SELECT count(*) AS many FROM pg_stat_activity WHERE datname = current_database()"
    (found,) = await rows_in(journal, statement)
    assert found["many"] <= 10
    await journal.close()


@pytest.mark.slow
async def test_sessions_that_the_server_has_ended_fail_no_read_and_no_write(postgres_url: str) -> None:
    journal = await open_fleet_journal(postgres_url, idle_s=5)
    leases = journal.leases_of("testnet")
    for _ in range(5):
        await asyncio.gather(*(leases.look("e") for _ in range(5)))
        await end_every_session(postgres_url)
        await leases.beat(ONE, ["main"], LEASE_MS)
        await end_every_session(postgres_url)
        assert len((await leases.look("e")).leases) == 1
    await journal.close()


@pytest.mark.slow
async def test_a_schema_is_not_changed_under_workers_that_live(postgres_url: str) -> None:
    old = await open_fleet_journal(postgres_url, idle_s=5)
    await old.leases_of("testnet").beat(ONE, [], LEASE_MS)
    await execute_in(old, "UPDATE journal_version SET version_num = '0008'")
    with pytest.raises(JournalUnavailable, match="stop every daemon on it first"):
        await open_fleet_journal(postgres_url, idle_s=5)
    await old.close()


@pytest.mark.slow
async def test_a_schema_is_not_changed_under_a_worker_that_is_leaving_and_holds_an_account(
    postgres_url: str, begin: Callable[[str, str], Awaitable[None]]
) -> None:
    """It is no live worker any more, and may still write how an adjustment ended."""
    await begin(postgres_url, "0010")
    await execute(
        postgres_url,
        "INSERT INTO leases (environment, account, egress, worker, epoch, since_ms, expires_at_ms) "
        "VALUES ('testnet', 'main', 'e', 'w1', 1, 0, extract(epoch FROM now()) * 1000 + 60000)",
    )
    with pytest.raises(JournalUnavailable, match="stop every daemon on it first"):
        await open_fleet_journal(postgres_url, idle_s=5)
    await execute(postgres_url, "UPDATE leases SET worker = NULL, expires_at_ms = 0")
    await (await open_fleet_journal(postgres_url, idle_s=5)).close()


@pytest.mark.slow
async def test_a_send_that_was_refused_is_not_missed_by_a_later_session(
    postgres_url: str, owner: Owner, planned: Plan, sent: Send
) -> None:
    """It would be taken for one that a server which was brought back to before has lost."""
    journal = await open_fleet_journal(postgres_url, idle_s=5)
    await held(journal, owner)
    await journal.plan(planned())
    await expire(journal)
    with pytest.raises(LeaseLost):
        await journal.mark_sent(sent(planned()))
    await journal.record(planned(), planned().to(State.WITHDRAWN, 3_000))
    await end_every_session(postgres_url)
    assert await journal.open_intents(owner) == ()
    assert journal.restorations == ()
    await journal.close()
