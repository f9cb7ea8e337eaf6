"""A journal in a SQLite file: one connection that writes, others that only read, a lock file and a seal.

Beside `journal.db` lie `-wal` and `-shm` (SQLite's own; a copy without them is no copy), `.lock` and `.seal`.
The file must lie on a local disk: on a network filesystem neither SQLite's locks nor ours can be relied on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, delete, false, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ltv_guard.adapters.journal import queries, schema
from ltv_guard.adapters.journal.failures import JournalLocked, corrupt, locked, missing, replaced, told
from ltv_guard.adapters.journal.files import SQLITES, JournalFiles, beside
from ltv_guard.adapters.journal.lockfile import LockFile
from ltv_guard.adapters.journal.seal import Seal
from ltv_guard.adapters.journal.sqlite_engines import reading_engine, writing_engine
from ltv_guard.adapters.journal.tables import last_sent
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner


class SqliteStore:
    """Made by `open`. A daemon's holds the lock file for as long as it lives."""

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self.place = f"the journal {path}"
        self.is_continuous = False
        self._path = path
        self._lock: LockFile | None = None
        self._seal = Seal(beside(path, ".seal"), path)
        self._is_sealed = False
        self._files = JournalFiles(path)
        self._writer = writing_engine(path, busy_timeout_s=busy_timeout_s)
        self._reader = reading_engine(path, busy_timeout_s=busy_timeout_s)

    @classmethod
    async def open(cls, path: Path, *, daemon: bool, create: bool = True, busy_timeout_s: float) -> Self:
        """Makes the file where there is none, and its schema current. Raises JournalUnavailable."""
        store = cls(_resolved(path), busy_timeout_s=busy_timeout_s)
        try:
            await store._open(daemon=daemon, create=create)
        except BaseException:
            await store.close()
            raise
        return store

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._told(), self._reader.begin() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, owner: Owner | None = None) -> AsyncIterator[AsyncConnection]:  # noqa: ARG002 - one lock for all
        async with self._told():
            await asyncio.to_thread(self._check_are_in_place)
            async with self._writer.begin() as connection:
                yield connection
            # What was committed to a file without a name is lost at the next start.
            await asyncio.to_thread(self._check_are_in_place)

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        try:
            with told(self.place):
                yield
        except JournalLocked as error:
            holder = await asyncio.to_thread(self._files.who_locks)
            if holder is None:
                raise
            raise locked(self.place, holder) from error

    async def claim(self, owner: Owner) -> None:
        """The lock file is a claim on every owner."""

    async def lock_pauses(self, connection: AsyncConnection, *, exclusive: bool) -> None:
        """BEGIN IMMEDIATE has done it."""

    async def note_sent(self, connection: AsyncConnection, intent: Intent) -> None:
        await connection.execute(delete(last_sent))
        await connection.execute(insert(last_sent).values(slot=1, intent_id=intent.intent_id))
        await connection.execute(queries.one_more_sent(intent.owner, connection.dialect.name))
        if self._is_sealed:
            await asyncio.to_thread(self._seal.write, intent.intent_id)

    @property
    def restorations(self) -> Sequence[str]:
        """None: a file that is exchanged while it is open is not written to any more."""
        return ()

    async def seal(self) -> None:
        async with self.writing() as connection:
            await asyncio.to_thread(self._seal.write, await _last_sent(connection))
        self._is_sealed = True

    async def close(self) -> None:
        await self._reader.dispose()
        await self._writer.dispose()
        self._seal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _open(self, *, daemon: bool, create: bool) -> None:
        with told(self.place):
            if not create and not self._path.exists():
                raise missing(self.place)
            _check_can_be(self._path)
            self._files.make()
            if daemon:
                self._files.close_to_others()
                self._lock = LockFile.take(beside(self._path, ".lock"))
            self._files.remember("")
        async with self.reading() as connection:
            if (await connection.execute(text("PRAGMA quick_check(1)"))).scalar_one() != "ok":
                raise corrupt(self.place)
            await schema.prepare(connection)
            standing = await connection.run_sync(schema.standing, self.place)
        if standing is schema.SchemaState.EMPTY and not create:
            raise missing(self.place)
        if standing is not schema.SchemaState.CURRENT:
            await self._upgrade(standing)
        if daemon:
            await self._check_continuity()
            self._files.remember(*SQLITES)

    async def _upgrade(self, standing: schema.SchemaState) -> None:
        borrowed = None
        if standing is schema.SchemaState.OLDER and self._lock is None:
            # A daemon of an older version must not find its tables changed under it.
            borrowed = LockFile.take(beside(self._path, ".lock"))
        try:
            async with self.writing() as connection:
                await connection.run_sync(self._upgrade_unless_done)
        finally:
            if borrowed is not None:
                borrowed.release()

    def _upgrade_unless_done(self, connection: Connection) -> None:
        if schema.standing(connection, self.place) is not schema.SchemaState.CURRENT:
            schema.upgrade(connection)

    async def _check_continuity(self) -> None:
        async with self.writing() as connection:
            # Shows, before anything depends on it, whether we can write: BEGIN IMMEDIATE alone does not.
            await connection.execute(delete(last_sent).where(false()))
            # A file made anew may be given the inode of the one before: it has seen no run.
            has_run = bool((await connection.execute(queries.has_run())).scalar_one())
            last = await _last_sent(connection)
            self.is_continuous = has_run and self._seal.matches(last)
            self._is_sealed = self.is_continuous
            if not self.is_continuous:
                self._seal.break_()
            else:
                self._seal.write(last)

    def _check_are_in_place(self) -> None:
        """Raises JournalUnavailable where a file was taken away: nobody else would see what is written."""
        gone = self._files.first_that_is_gone()
        if gone is None and self._lock is not None and not self._lock.is_in_place:
            gone = beside(self._path, ".lock")
        if gone is not None:
            raise replaced(self.place if gone == self._path else f"the file {gone} of {self.place}")


async def _last_sent(connection: AsyncConnection) -> str | None:
    return (await connection.execute(select(last_sent.c.intent_id))).scalar_one_or_none()


def _resolved(path: Path) -> Path:
    # Two names of one file must lead to one lock.
    with told(f"the journal {path}"):
        return path.resolve()


def _check_can_be(path: Path) -> None:
    if not path.parent.is_dir():
        raise JournalUnavailable(f"the folder of the journal {path} does not exist: create it first")
    if path.exists() and not path.is_file():
        raise JournalUnavailable(f"the journal {path} is not a file: name one")
