"""A journal in PostgreSQL, which several machines may share, each guarding users of its own.

A daemon's claim on a user is an advisory lock of one session, and what it writes for that user goes through
that very session: while the writes succeed, the claim holds. A pooler in front must pool by session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Self

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import URL, Connection, NullPool, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ltv_guard.adapters.journal import queries, schema
from ltv_guard.adapters.journal.failures import missing, told
from ltv_guard.adapters.journal.lineage import Lineage, origin_of
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner

_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError)
_LOCK_NOT_AVAILABLE = "55P03"
_DURABLE = {"fsync": "on", "synchronous_commit": "on"}
# Whether another session holds a lock of ours: a daemon's claim, or for a moment a command.
_OTHERS = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid <> pg_backend_pid())"
)


class PostgresStore:
    """Made by `open`. Not continuous at its start: only later sessions can be held against those before."""

    def __init__(self, url: URL, *, timeout_s: float) -> None:
        host = url.host or url.query.get("host", "localhost")
        self.place = f"the journal in PostgreSQL (database {url.database} on {host})"
        self.is_continuous = False
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._timeout_s = timeout_s
        self._shared = self._engine(pool_pre_ping=True, pool_timeout=timeout_s)
        self._sessions = self._engine(poolclass=NullPool)
        self._claims: dict[Owner, _Claim] = {}
        self._lineage = Lineage(self.place)
        self._shared_since = 0  # restorations that were known when its sessions began
        self._counted: dict[Owner, int] = {}

    @classmethod
    async def open(cls, url: URL, *, create: bool = True, timeout_s: float) -> Self:
        """Makes the schema current. Raises JournalUnavailable."""
        store = cls(url, timeout_s=timeout_s)
        try:
            async with store.writing() as connection:
                await store._check_durability(connection)
                await connection.execute(select(func.pg_advisory_xact_lock(_number("schema"))))
                await schema.prepare(connection)
                if not create:
                    await connection.run_sync(store._check_is_there)
                await connection.run_sync(store._upgrade)
        except BaseException:
            await store.close()
            raise
        return store

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with told(self.place, *_DRIVER):
            await self._leave_the_server_before()
            async with self._shared.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, owner: Owner | None = None) -> AsyncIterator[AsyncConnection]:
        claim = self._claims.get(owner) if owner else None
        with told(self.place, *_DRIVER):
            if claim is None:
                await self._leave_the_server_before()
                async with self._shared.begin() as connection:
                    yield connection
                return
            async with claim.turn:
                self._counted.pop(claim.owner, None)
                async with (await claim.session()).begin() as transaction:
                    yield transaction.connection
                if claim.owner in self._counted:
                    self._lineage.has_sent(claim.owner, self._counted[claim.owner])

    async def claim(self, owner: Owner) -> None:
        if owner in self._claims:
            return
        claim = _Claim(self._sessions, owner, self._lineage)
        with told(self.place, *_DRIVER):
            await claim.session()
        self._claims[owner] = claim

    async def lock_pauses(self, connection: AsyncConnection, *, exclusive: bool) -> None:
        lock = func.pg_advisory_xact_lock if exclusive else func.pg_advisory_xact_lock_shared
        await connection.execute(select(lock(_number("pauses"))))

    async def note_sent(self, connection: AsyncConnection, intent: Intent) -> None:
        """Counts it; the count holds once the transaction is committed."""
        counted = await connection.execute(queries.one_more_sent(intent.owner, connection.dialect.name))
        self._counted[intent.owner] = counted.scalar_one()

    @property
    def restorations(self) -> Sequence[str]:
        return tuple(self._lineage.restorations)

    async def seal(self) -> None:
        """A restart waits, always."""

    async def close(self) -> None:
        for claim in self._claims.values():
            await claim.give_up()
        self._claims.clear()
        await self._sessions.dispose()
        await self._shared.dispose()

    def _engine(self, **options: Any) -> AsyncEngine:  # noqa: ANN401 - SQLAlchemy's own
        return create_async_engine(
            "postgresql+asyncpg://", async_creator=self._connect, hide_parameters=True, **options
        )

    async def _leave_the_server_before(self) -> None:
        """Sessions with a server that another has taken the place of would show what is no longer so."""
        known = len(self._lineage.restorations)
        if self._shared_since != known:
            self._shared_since = known
            await self._shared.dispose()

    async def _connect(self) -> Any:  # noqa: ANN401 - a driver's connection
        # asyncpg reads the URL itself, so that everything libpq knows (sslmode, passfile) works.
        connection = await asyncpg.connect(
            self._dsn,
            timeout=self._timeout_s,
            command_timeout=2 * self._timeout_s,
            server_settings={
                "application_name": "ltv-guard",
                "synchronous_commit": "on",
                "lock_timeout": f"{self._timeout_s * 1000:.0f}",
                # A session whose machine has vanished must not hold its claim for two hours.
                "tcp_keepalives_idle": "30",
                "tcp_keepalives_interval": "10",
                "tcp_keepalives_count": "3",
            },
        )
        try:
            self._lineage.meet(await origin_of(connection))
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _check_durability(self, connection: AsyncConnection) -> None:
        for name, needed in _DURABLE.items():
            held = (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            if held != needed:
                raise JournalUnavailable(
                    f"{self.place} runs with {name} = {held}, and may forget what was sent: set it {needed}"
                )

    def _check_is_there(self, connection: Connection) -> None:
        if schema.standing(connection, self.place) is schema.SchemaState.EMPTY:
            raise missing(self.place)

    def _upgrade(self, connection: Connection) -> None:
        standing = schema.standing(connection, self.place)
        if standing is schema.SchemaState.OLDER and connection.execute(_OTHERS).scalar_one():
            # A daemon of an older version must not find its tables changed under it.
            raise JournalUnavailable(
                f"another ltv-guard is using {self.place}, whose schema is an older version's: "
                "stop every daemon on it first, then bring it up to date"
            )
        if standing is not schema.SchemaState.CURRENT:
            schema.upgrade(connection)


class _Claim:
    """An owner's advisory lock and the session that holds it; taken again when the session was lost."""

    def __init__(self, sessions: AsyncEngine, owner: Owner, lineage: Lineage) -> None:
        self.turn = asyncio.Lock()
        self.owner = owner
        self._sessions = sessions
        self._lineage = lineage
        self._known: int | None = None  # restorations when the last session was taken
        self._session: AsyncConnection | None = None

    async def session(self) -> AsyncConnection:
        """Raises JournalUnavailable, once, where what was written before may be lost: think anew first."""
        if self._session is not None and (self._session.invalidated or self._is_behind):
            # Left to itself it would connect anew, without the lock.
            await self.give_up()
        if self._session is None:
            self._session = await self._taken()
            is_news = self._known is not None and self._is_behind
            self._known = len(self._lineage.restorations)
            if is_news:
                raise JournalUnavailable(f"{self._lineage.restorations[-1]}: what was decided is given up")
        return self._session

    @property
    def _is_behind(self) -> bool:
        return self._known != len(self._lineage.restorations)

    async def give_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _taken(self) -> AsyncConnection:
        name = f"{self.owner.environment} {self.owner.user_id}"
        session = await self._sessions.connect()
        try:
            async with session.begin():
                # Long enough for a daemon that is just ending, or for our own lost session to be noticed.
                await session.execute(text("SET LOCAL lock_timeout = '1s'"))
                await session.execute(select(func.pg_advisory_lock(_number(name))))
        except BaseException as error:
            await session.close()
            if isinstance(error, DBAPIError) and _sqlstate(error) == _LOCK_NOT_AVAILABLE:
                raise JournalUnavailable(
                    f"another ltv-guard guards the {self.owner.environment} user {self.owner.user_id} "
                    "with this journal: stop it first"
                ) from error
            raise
        return session


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _number(name: str) -> int:
    """The 64-bit number that PostgreSQL knows an advisory lock by."""
    return int.from_bytes(sha256(f"ltv-guard {name}".encode()).digest()[:8], signed=True)
