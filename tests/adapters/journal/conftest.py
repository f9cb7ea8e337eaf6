"""Journals to test, each empty: in memory, in a SQLite file, in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from journal_postgres import execute, postgres_server, postgres_url
from journal_tables import begun_at
from pooler import pgbouncer

from ltv_guard.adapters.journal import MemoryJournal, SqlJournal, open_journal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product

__all__ = ["postgres_server", "postgres_url"]

OWNER = Owner("testnet", "4711")


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest) -> str:
    """The URL of a journal that does not exist yet."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    return await emptied(request.getfixturevalue("postgres_server"))


@pytest.fixture(
    params=["sqlite", *(pytest.param(name, marks=pytest.mark.slow) for name in ("postgres", "pooled"))]
)
async def url_of_a_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The same; PostgreSQL, which a fleet has, takes a while: alone, and behind PgBouncer."""
    if request.param == "sqlite":
        yield str(request.getfixturevalue("sqlite_url"))
        return
    url = await emptied(request.getfixturevalue("postgres_server"))
    if request.param == "postgres":
        yield url
        return
    with pgbouncer(url, tmp_path) as pooled:
        yield f"{pooled}?pooler=transaction"


async def emptied(postgres_server: str) -> str:
    """The server's own database, which is much faster to empty than another is to make."""
    await execute(postgres_server, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres_server


@pytest.fixture
def begin() -> Callable[[str, str], Awaitable[None]]:
    """Makes the journal at a URL as a program did whose newest schema was that revision."""
    return begun_at


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def journal(request: pytest.FixtureRequest) -> AsyncIterator[MemoryJournal | SqlJournal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    if request.param == "sqlite":
        url = request.getfixturevalue("sqlite_url")
    else:
        url = await emptied(request.getfixturevalue("postgres_server"))
    journal = await open_journal(url)
    yield journal
    await journal.close()


@pytest.fixture
def owner() -> Owner:
    return OWNER


@pytest.fixture
def planned() -> Callable[..., Intent]:
    """Makes planned intents, each of a loan of its own unless `loan` says otherwise."""

    def make(intent_id: str = "one", *, loan: str | None = None, **changes: Any) -> Intent:  # noqa: ANN401 - fields of Intent
        values: dict[str, Any] = {
            "intent_id": intent_id,
            "owner": OWNER,
            "account": "main",
            "key": LoanKey(Product.LEGACY, loan or f"loan-of-{intent_id}"),
            "direction": Direction.ADD,
            "coin": "BTC",
            "amount": Decimal("0.01000000"),
            "state": State.PLANNED,
            "reason": "LTV 0.76 reached the trigger 0.75",
            "coins_before": Decimal("1.5"),
            "ltv_before": Decimal("0.7612"),
            "observed_at_ms": 1_000,
            "seen_ids": frozenset({"10", "9"}),
            "created_at_ms": 1_100,
            "updated_at_ms": 1_100,
        }
        return Intent(**(values | changes))

    return make


@pytest.fixture
def sent() -> Callable[[Intent], Intent]:
    """The same intent, signed and about to leave."""
    return lambda intent: intent.to(State.SENT, 1_200, signed_at_ms=1_190, recv_window_ms=5_000)
