"""A journal that an earlier version wrote: nothing in it is lost or changed, and every rule still holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from held_intents import intent_in
from journal_tables import Row, execute, in_order, insert, rows_in, rows_of
from sqlalchemy.exc import IntegrityError

from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.adapters.journal.lockfile import LockFile
from ltv_guard.adapters.journal.schema import NEWEST, VERSION_TABLE
from ltv_guard.core.model.errors import AlreadyOpen, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product
from ltv_guard.core.ports import Episode, Pause

Begin = Callable[[str, str], Awaitable[None]]
Plan = Callable[..., Intent]

OTHERS = {
    "episodes": [
        {
            "environment": "testnet",
            "user_id": "4711",
            "product": "crypto_loan",
            "loan_id": "pool",
            "opened_at_ms": 1_700_000_000_000,
            "closed_at_ms": None,
        }
    ],
    "pauses": [{"account": "*", "reason": "a look, first", "since_ms": 1_700_000_000_001}],
    "runs": [
        {
            "run_id": "r1",
            "host": "here",
            "pid": 7,
            "started_at_ms": 1_699_999_000_000,
            "alive_at_ms": 1_700_000_000_000,
            "ended_at_ms": 1_700_000_000_002,
        }
    ],
    "acknowledgements": [{"account": "*", "run_id": "r1", "at_ms": 1_700_000_000_003}],
    "bans": [{"host": "api.bybit.com", "until_ms": 1_700_000_600_000, "set_at_ms": 1_700_000_000_000}],
    "last_sent": [{"slot": 1, "intent_id": "rescue"}],
}


# Up to schema 0005 nothing else told that the row of an add was awaited.
WORDS_OF_AN_AWAITED_ROW = "accepted, and its coins are in the loan: its row in the history is still awaited"


def written(intent_id: str, state: str, **changes: object) -> Row:
    """A row as the first version wrote it; each of a loan of its own unless told otherwise."""
    answered = state in {"accepted", "confirmed"}
    row: Row = {
        "intent_id": intent_id,
        "environment": "testnet",
        "user_id": "4711",
        "account": "main",
        "product": "crypto_loan_legacy",
        "loan_id": f"loan-of-{intent_id}",
        "direction": "add",
        "coin": "BTC",
        "amount": "0.01000123",
        "state": state,
        "reason": "LTV 0.7612 gegen 0.75: „0.01“ 超过",
        "collateral_before": "1.50000000",
        "ltv_before": "0.7612",
        "observed_at_ms": 1_700_000_000_000,
        "seen_ids": json.dumps(["1794318409405331967"]),
        "created_at_ms": 1_700_000_000_100,
        "updated_at_ms": 1_700_000_000_900,
        "rescue_of": None,
        "signed_at_ms": None if state == "planned" else 1_700_000_000_200,
        "recv_window_ms": None if state == "planned" else 5000,
        "adjust_id": f"id-of-{intent_id}" if answered else None,
        "ret_code": 177011 if state == "rejected" else None,
        "ret_msg": "not enough balance" if state == "rejected" else None,
        "ltv_after": "0.6500" if state == "confirmed" else None,
    }
    return row | changes


# The rescue stands before what it rescues: the order of rows promises nothing.
INTENTS = [
    written("rescue", "accepted", loan_id="L1", rescue_of="first", amount="0.2", adjust_id="9"),
    written("first", "unknown", loan_id="L1", ret_code=10016, ret_msg="Server error"),
    written("planned", "planned"),
    written("sent", "sent", account="other", user_id="4712", loan_id="L1"),
    written("withdrawn", "withdrawn", loan_id="L1", ret_msg="paused"),
    written("rejected", "rejected", loan_id="L1"),
    written("confirmed", "confirmed", loan_id="L1", direction="reduce", collateral_before="7E-8"),
    written("absent", "absent", loan_id="L1"),
    written("ambiguous", "ambiguous", loan_id="L1", seen_ids="[]"),
    written("of-the-pool", "confirmed", product="crypto_loan", loan_id="pool", adjust_id="27511"),
    written("awaited", "confirmed", loan_id="L1", ret_msg=WORDS_OF_AN_AWAITED_ROW),
    written("older-rescue", "confirmed", product="crypto_loan", loan_id="pool", rescue_of="of-the-pool"),
]


@pytest.fixture
async def old_url(url: str, begin: Begin) -> str:
    """The URL of a journal of the first version, with something in every table."""
    await begin(url, "0001")
    first = next(row for row in INTENTS if row["intent_id"] == "first")
    pool = next(row for row in INTENTS if row["intent_id"] == "of-the-pool")
    await insert(url, "intents", first, pool)
    await insert(url, "intents", *(row for row in INTENTS if row not in (first, pool)))
    for table, rows in OTHERS.items():
        await insert(url, table, *rows)
    return url


@asynccontextmanager
async def opened(url: str, *, writer: bool = True) -> AsyncIterator[SqlJournal]:
    journal = await open_journal(url, writer=writer)
    try:
        yield journal
    finally:
        await journal.close()


async def test_what_was_written_is_all_there_and_unchanged(old_url: str) -> None:
    before = await rows_of(old_url, "intents")
    assert before == in_order(INTENTS)
    async with opened(old_url):
        pass
    renamed = [
        {("coins_before" if name == "collateral_before" else name): value for name, value in row.items()}
        for row in before
    ]
    new = dict.fromkeys(("collateral_coin", "collateral_before", "contract_id"))
    kept = [{"awaits_row": row["intent_id"] == "awaited"} | new for row in renamed]
    expected = [row | column for row, column in zip(renamed, kept, strict=True)]
    assert await rows_of(old_url, "intents") == expected
    for table, rows in OTHERS.items():
        new = {"until_ms": None} if table == "pauses" else {}
        assert await rows_of(old_url, table) == [row | new for row in rows], table
    assert await rows_of(old_url, VERSION_TABLE) == [{"version_num": NEWEST}]


async def test_nothing_of_the_way_is_left_behind(old_url: str) -> None:
    names = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'intents%'"
        if old_url.startswith("sqlite")
        else "SELECT tablename FROM pg_tables WHERE tablename LIKE 'intents%'"
    )
    async with opened(old_url) as journal:
        assert [list(row.values()) for row in await rows_in(journal, names)] == [["intents"]]


async def test_what_was_open_is_open_with_every_field(old_url: str, owner: Owner) -> None:
    async with opened(old_url) as journal:
        held = {intent.intent_id: intent for intent in await journal.open_intents(owner)}
        assert set(held) == {"planned", "first", "rescue"}
        rescue = held["rescue"]
        assert (rescue.state, rescue.rescue_of, rescue.adjust_id) == (State.ACCEPTED, "first", "9")
        assert (rescue.coins_before, rescue.ltv_before) == (Decimal("1.50000000"), Decimal("0.7612"))
        released = await intent_in(journal, "confirmed")
        assert released is not None
        assert (released.direction, released.coins_before) == (Direction.REDUCE, Decimal("7E-8"))
        assert released.reason == INTENTS[0]["reason"]
        assert len(await journal.list_intents()) == len(INTENTS)
        assert await journal.pauses() == (
            Pause(account=None, reason="a look, first", since_ms=1_700_000_000_001),
        )
        assert await journal.episodes(owner) == (
            Episode(key=LoanKey(Product.CRYPTO_LOAN, "pool"), opened_at_ms=1_700_000_000_000),
        )


async def test_a_loan_still_has_one_open_intent_and_one_rescue(old_url: str, planned: Plan) -> None:
    async with opened(old_url) as journal:
        for direction in (Direction.ADD, Direction.REPAY):
            with pytest.raises(AlreadyOpen):
                await journal.plan(planned("new", loan="L1", direction=direction))
        with pytest.raises(AlreadyOpen):
            await journal.plan(planned("new", loan="L1", rescue_of="first"))
        with pytest.raises(AlreadyOpen):
            await journal.plan(planned("new", loan="L9", rescue_of="of-the-pool"))


async def test_what_is_refused_by_the_database_itself_still_is(old_url: str) -> None:
    async with opened(old_url):
        pass
    good = written("new", "confirmed") | {"coins_before": "1"}
    del good["collateral_before"]
    for change in (
        {"rescue_of": "nobody"},
        {"rescue_of": "new"},
        {"intent_id": "first"},
        {"direction": "borrow"},
        {"state": "lost"},
        {"adjust_id": "9"},
        {"state": "unknown", "loan_id": "L1", "adjust_id": None},
        {"reason": None},
    ):
        with pytest.raises(IntegrityError):
            await insert(old_url, "intents", good | change)
    await insert(old_url, "intents", good)


@pytest.mark.parametrize(
    ("key", "direction"),
    [
        (LoanKey(Product.LEGACY, "L2"), Direction.REPAY),
        (LoanKey(Product.CRYPTO_LOAN, "pool"), Direction.REPAY),
        (LoanKey(Product.FUNDING, "BTC"), Direction.TRANSFER),
    ],
)
async def test_repayments_and_transfers_have_their_place_now(
    old_url: str, planned: Plan, key: LoanKey, direction: Direction
) -> None:
    new = planned("new", key=key, direction=direction, coins_before=Decimal("1000.5"))
    async with opened(old_url) as journal:
        await journal.plan(new)
        assert await intent_in(journal, "new") == new
        with pytest.raises(AlreadyOpen):
            await journal.plan(planned("another", key=key, direction=direction))


async def test_the_first_version_had_no_place_for_them(old_url: str) -> None:
    for direction in ("repay", "transfer"):
        with pytest.raises(IntegrityError):
            await insert(old_url, "intents", written("new", "planned", direction=direction))


async def test_what_was_begun_by_the_first_version_ends_in_the_second(old_url: str) -> None:
    async with opened(old_url) as journal:
        before = await intent_in(journal, "first")
        assert before is not None
        after = before.to(State.CONFIRMED, 1_700_000_009_000, adjust_id="10", ltv_after=Decimal("0.65"))
        await journal.record(before, after)
    async with opened(old_url) as journal:
        assert await intent_in(journal, "first") == after


# Commands


async def test_a_command_brings_it_up_to_date_where_no_daemon_runs(old_url: str) -> None:
    async with opened(old_url, writer=False) as journal:
        assert len(await journal.list_intents()) == len(INTENTS)
        assert await journal.resume(None)
    assert await rows_of(old_url, VERSION_TABLE) == [{"version_num": NEWEST}]


@pytest.mark.parametrize("writer", [True, False], ids=["daemon", "command"])
async def test_a_file_that_an_older_daemon_uses_stays_as_it_is(
    tmp_path: Path, sqlite_url: str, begin: Begin, *, writer: bool
) -> None:
    await begin(sqlite_url, "0001")
    await insert(sqlite_url, "intents", *INTENTS[2:4])
    lock = LockFile.take(tmp_path / "journal.db.lock")
    with pytest.raises(JournalUnavailable, match=r"another ltv-guard \(process \d+\) is using"):
        await open_journal(sqlite_url, writer=writer)
    assert await rows_of(sqlite_url, VERSION_TABLE) == [{"version_num": "0001"}]
    assert await rows_of(sqlite_url, "intents") == in_order(INTENTS[2:4])
    lock.release()
    async with opened(sqlite_url, writer=writer) as journal:
        assert len(await journal.list_intents()) == 2


@pytest.mark.parametrize("writer", [True, False], ids=["daemon", "command"])
async def test_a_database_that_an_older_daemon_uses_stays_as_it_is(
    postgres_url: str, begin: Begin, owner: Owner, *, writer: bool
) -> None:
    async with opened(postgres_url) as daemon:
        await daemon.claim(owner)
        # As the older daemon's, whose claim is the same: its tables are the older ones.
        await called(postgres_url, "0001")
        with pytest.raises(JournalUnavailable, match=r"another ltv-guard is using .*stop every daemon"):
            await open_journal(postgres_url, writer=writer)
        await called(postgres_url, NEWEST)
        async with opened(postgres_url, writer=writer):  # up to date: nothing is to be changed
            pass


async def called(url: str, revision: str) -> None:
    await execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")  # noqa: S608
