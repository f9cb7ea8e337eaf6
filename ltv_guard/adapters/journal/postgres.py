"""A journal in PostgreSQL, which several machines may share, each guarding users of its own.

A daemon's claim on a user is an advisory lock of one session, and what it writes for that user goes through
that very session: while the writes succeed, the claim holds. A pooler in front must pool by session, but for
a fleet, whose claims are leases: with `pooler=transaction` in the URL nothing is kept in a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection, NullPool, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ltv_guard.adapters.journal import statements
from ltv_guard.adapters.journal.failures import told
from ltv_guard.adapters.journal.lineage import Lineage, origin_of
from ltv_guard.adapters.journal.owner_lock import OwnerLock, lock_number, owner_name
from ltv_guard.adapters.journal.postgres_connection import (
    begin_anew,
    connected,
    is_open,
    left_if_silent,
)
from ltv_guard.adapters.journal.postgres_pooled import UNNAMED, PooledTransactions
from ltv_guard.adapters.journal.postgres_schema import NOW_MS, prepare
from ltv_guard.adapters.journal.postgres_session import PostgresSession
from ltv_guard.adapters.journal.postgres_url import is_pooled_by_transaction, parse_url
from ltv_guard.adapters.journal.records import owner_row
from ltv_guard.adapters.journal.session import Session
from ltv_guard.adapters.journal.store import Shared
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner

T = TypeVar("T")

_ALIVE = text("SELECT 1")
_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)


class PostgresStore:
    """Implements `Store`. Made by `open`.

    Not continuous at its start: only later sessions can be held against those before.
    """

    def __init__(self, place_url: str, *, timeout_s: float, shared: Shared | None = None) -> None:
        url = parse_url(place_url)
        host = url.host or url.query.get("host", "localhost")
        self.place = f"the journal in PostgreSQL (database {url.database} on {host})"
        self.is_continuous = False
        self.now_ms = NOW_MS
        # The timeline of now, and which database: a standby that was promoted has another, a copy too.
        self.origin = (
            "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        self.json = "CAST(:{} AS JSON)"
        self.locked_row = "FOR UPDATE"
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._timeout_s = timeout_s
        is_pooled = is_pooled_by_transaction(place_url)
        self._idle_s = 0.0 if shared is None else shared.idle_s
        self._pooled = PooledTransactions(self.origin, timeout_s, self._idle_s) if is_pooled else None
        most = {} if shared is None else {"pool_size": shared.sessions, "max_overflow": 0}
        self._shared = self._engine(pool_timeout=timeout_s, **most)
        event.listen(self._shared.sync_engine, "checkout", is_open)
        self._reading = self._shared.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = self._engine(poolclass=NullPool)
        self._claims: dict[Owner, OwnerLock] = {}
        self._lineage = Lineage(self.place)
        self._shared_since = 0  # restorations that were known when its sessions began
        self._counted: dict[Owner, int] = {}

    @classmethod
    async def open(
        cls, url: str, *, create: bool = True, timeout_s: float, shared: Shared | None = None
    ) -> Self:
        """Makes the schema current. Raises JournalUnavailable."""
        try:
            store = cls(url, timeout_s=timeout_s, shared=shared)
        except ValueError as error:
            raise JournalUnavailable(str(error)) from None
        try:
            with told(store.place, *_DRIVER):
                async with store._transaction() as connection:
                    await prepare(connection, store.place, create=create)
        except BaseException:
            await store.close()
            raise
        return store

    async def read(self, work: Callable[[Session], T]) -> T:
        if self._pooled is not None:
            return await self._write(work)
        with told(self.place, *_DRIVER):
            await self._leave_the_server_before()
            # Each statement sees what is committed by then, within a transaction as without: without is a
            # round trip instead of three.
            async with self._reading.connect() as connection, left_if_silent(connection):
                try:
                    return await connection.run_sync(_within, work)
                except DBAPIError as error:
                    await begin_anew(connection, error)
                return await connection.run_sync(_within, work)

    async def _write(self, work: Callable[[Session], T]) -> T:
        with told(self.place, *_DRIVER):
            await self._leave_the_server_before()
            async with self._transaction() as connection:
                return await connection.run_sync(_within, work)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._shared.connect() as connection, left_if_silent(connection):
            try:
                await self._begin(connection)
            except DBAPIError as error:
                await begin_anew(connection, error)
                await self._begin(connection)
            yield connection
            await connection.commit()

    async def _begin(self, connection: AsyncConnection) -> None:
        if self._pooled is None:
            await connection.execute(_ALIVE)
        elif await self._pooled.is_news(connection):
            raw = (await connection.get_raw_connection()).driver_connection
            self._lineage.meet(await origin_of(raw))

    async def write(self, work: Callable[[Session], T], owner: Owner | None = None) -> T:
        claim = self._claims.get(owner) if owner else None
        if claim is None:
            if owner is not None:
                self._counted.pop(owner, None)
            found = await self._write(work)
            if owner is not None and owner in self._counted:  # a fleet's: its lease is its claim
                self._lineage.has_sent(owner, self._counted.pop(owner))
            return found
        with told(self.place, *_DRIVER):
            async with claim.turn:
                self._counted.pop(claim.owner, None)
                async with (await claim.session()).begin() as transaction:
                    result = await transaction.connection.run_sync(_within, work)
                if claim.owner in self._counted:
                    self._lineage.has_sent(claim.owner, self._counted[claim.owner])
                return result

    async def claim(self, owner: Owner) -> None:
        if owner in self._claims:
            return
        if self._pooled is not None:
            raise JournalUnavailable(
                f"{self.place} is behind a pooler that pools by transaction, where no claim on a user lasts: "
                "set fleet.enabled, or connect without it"
            )
        claim = OwnerLock(self._sessions, owner, self._lineage)
        with told(self.place, *_DRIVER):
            await claim.session()
        self._claims[owner] = claim

    def lock_pauses(self, session: Session, *, exclusive: bool) -> None:
        lock = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        session.rows(f"SELECT {lock}({lock_number('pauses')})")

    def shares_user(self, session: Session, owner: Owner) -> bool:
        number = lock_number(owner_name(owner))
        (found,) = session.rows(f"SELECT pg_try_advisory_xact_lock_shared({number}) AS held")
        return bool(found["held"])

    def note_sent(self, session: Session, intent: Intent) -> None:
        """Counts it; the count holds once the transaction is committed."""
        (counted,) = session.rows(statements.ONE_MORE_SENT, owner_row(intent.owner))
        self._counted[intent.owner] = counted["sent"]

    @property
    def restorations(self) -> Sequence[str]:
        return tuple(self._lineage.restorations)

    @property
    def slow_jobs_ended(self) -> int:
        """Not counted: a user waits behind nobody but himself, and each statement has its timeout."""
        return 0

    async def seal(self) -> None:
        """A restart waits, always."""

    async def close(self) -> None:
        """A server that is out of reach is not waited for long: it will miss us by itself."""
        ends = [claim.give_up() for claim in self._claims.values()]
        ends += [self._sessions.dispose(), self._shared.dispose()]
        self._claims.clear()
        tasks = [asyncio.create_task(end) for end in ends]
        _, late = await asyncio.wait(tasks, timeout=2 * self._timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _engine(self, **options: Any) -> AsyncEngine:  # noqa: ANN401 - SQLAlchemy's own
        how = {"async_creator_fn": self._connect, **({} if self._pooled is None else UNNAMED)}
        return create_async_engine("postgresql+asyncpg://", connect_args=how, hide_parameters=True, **options)

    async def _leave_the_server_before(self) -> None:
        """Sessions with a server that another has taken the place of would show what is no longer so."""
        known = len(self._lineage.restorations)
        if self._shared_since != known:
            self._shared_since = known
            await self._shared.dispose()

    async def _connect(self) -> Any:  # noqa: ANN401 - a driver's connection
        try:
            connection = await connected(
                self._dsn, self._timeout_s, self._idle_s, is_pooled=self._pooled is not None
            )
        except RuntimeError as error:  # no thread is to be had to look the host's name up
            raise JournalUnavailable(f"{self.place} cannot be reached ({error})") from error
        try:
            self._lineage.meet(await origin_of(connection))
        except BaseException:
            connection.terminate()
            raise
        return connection


def _within(connection: Connection, work: Callable[[Session], T]) -> T:
    return work(PostgresSession(connection))
