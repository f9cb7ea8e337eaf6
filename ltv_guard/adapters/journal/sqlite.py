"""A journal in a SQLite file: one connection that writes, another that only reads, a lock file and a seal.

Beside `journal.db` lie `-wal` and `-shm` (SQLite's own; a copy without them is no copy), `.lock` and `.seal`.
The file must lie on a local disk: on a network filesystem neither SQLite's locks nor ours can be relied on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Self, TypeVar

from ltv_guard.adapters.journal import newest, schema, statements
from ltv_guard.adapters.journal.failures import JournalLocked, corrupt, locked, missing, replaced, told
from ltv_guard.adapters.journal.files import SQLITES, JournalFiles, beside
from ltv_guard.adapters.journal.lockfile import LockFile
from ltv_guard.adapters.journal.records import owner_row
from ltv_guard.adapters.journal.seal import Seal
from ltv_guard.adapters.journal.session import Session
from ltv_guard.adapters.journal.sqlite_connection import SqliteConnection
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner

T = TypeVar("T")


CACHE_KB = 2000  # as SQLite has it by itself
CACHE_OF_A_CHECK_KB = 128  # it reads every page once: none of them is worth keeping


class SqliteStore:
    """Implements `Store`. Made by `open`. A daemon's holds the lock file for as long as it lives."""

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self.place = f"the journal {path}"
        self.is_continuous = False
        self.now_ms = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
        self.origin = "'file'"
        self.json = ":{}"
        self.locked_row = ""  # whoever writes has the whole file
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock: LockFile | None = None
        self._seal = Seal(beside(path, ".seal"), path)
        self._is_sealed = False
        self._files = JournalFiles(path)
        self._writer = SqliteConnection(path, is_writer=True, busy_timeout_s=busy_timeout_s)
        self._reader = SqliteConnection(path, is_writer=False, busy_timeout_s=busy_timeout_s)

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

    async def read(self, work: Callable[[Session], T]) -> T:
        return await self._told(self._reader, lambda: self._reader.transaction(work))

    async def write(self, work: Callable[[Session], T], owner: Owner | None = None) -> T:  # noqa: ARG002 - one lock for all
        def within_files_that_are_there() -> T:
            self._check_are_in_place()
            result = self._writer.transaction(work)
            # What was committed to a file without a name is lost at the next start.
            self._check_are_in_place()
            return result

        return await self._told(self._writer, within_files_that_are_there)

    async def _told(self, connection: SqliteConnection, job: Callable[[], T]) -> T:
        try:
            with told(self.place):
                return await connection.run(job)
        except JournalLocked as error:
            holder = await self._holder()
            if holder is None:
                raise
            raise locked(self.place, holder) from error

    async def _holder(self) -> str | None:
        with suppress(RuntimeError):  # no thread is to be had: who it is stays unknown
            return await asyncio.to_thread(self._files.who_locks)
        return None

    async def claim(self, owner: Owner) -> None:
        """The lock file is a claim on every owner."""

    def lock_pauses(self, session: Session, *, exclusive: bool) -> None:
        """BEGIN IMMEDIATE has done it."""

    def note_sent(self, session: Session, intent: Intent) -> None:
        session.execute(statements.SET_LAST_SENT, {"slot": 1, "intent_id": intent.intent_id})
        session.rows(statements.ONE_MORE_SENT, owner_row(intent.owner))
        if self._is_sealed:
            self._seal.write(intent.intent_id)

    def shares_user(self, session: Session, owner: Owner) -> bool:  # noqa: ARG002 - one file, one daemon
        return True

    @property
    def restorations(self) -> Sequence[str]:
        """None: a file that is exchanged while it is open is not written to any more."""
        return ()

    @property
    def slow_jobs_ended(self) -> int:
        return self._reader.slow_jobs_ended + self._writer.slow_jobs_ended

    async def seal(self) -> None:
        await self.write(lambda session: self._seal.write(_last_sent(session)))
        self._is_sealed = True

    async def close(self) -> None:
        """Waits for the writer; where that does not end, the lock is kept until the process ends."""
        await self._reader.close()
        if not await self._writer.close():
            return  # what it may yet write, no other daemon must write beside: the lock ends with the process
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
        standing = await self.read(self._standing_if_sound)
        if standing is schema.SchemaState.EMPTY:
            if not create:
                raise missing(self.place)
            await self.write(self._create_unless_done)
        elif standing is schema.SchemaState.OLDER:
            await self._upgrade()
        if daemon:
            await self.write(self._check_continuity)
            self._files.remember(*SQLITES)

    def _standing_if_sound(self, session: Session) -> schema.SchemaState:
        session.execute(f"PRAGMA cache_size = {-CACHE_OF_A_CHECK_KB}")
        if [row["quick_check"] for row in session.rows("PRAGMA quick_check(1)")] != ["ok"]:
            raise corrupt(self.place)
        session.execute(f"PRAGMA cache_size = {-CACHE_KB}")
        return self._standing(session)

    def _standing(self, session: Session) -> schema.SchemaState:
        found = session.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        return schema.standing(session, {row["name"] for row in found}, self.place)

    def _create_unless_done(self, session: Session) -> None:
        if self._standing(session) is schema.SchemaState.EMPTY:
            for statement in newest.SQLITE:
                session.execute(statement)

    async def _upgrade(self) -> None:
        # A daemon of an older version must not find its tables changed under it.
        borrowed = LockFile.take(beside(self._path, ".lock")) if self._lock is None else None
        try:
            await asyncio.to_thread(import_module, "ltv_guard.adapters.journal.schema_upgrade")
            from ltv_guard.adapters.journal import schema_upgrade  # noqa: PLC0415 - slow, and rarely needed

            await self._told(
                self._writer,
                lambda: schema_upgrade.upgrade_file(self._path, busy_timeout_s=self._busy_timeout_s),
            )
        finally:
            if borrowed is not None:
                borrowed.release()

    def _check_continuity(self, session: Session) -> None:
        # Shows, before anything depends on it, whether we can write: BEGIN IMMEDIATE alone does not.
        session.execute("DELETE FROM last_sent WHERE false")
        # A file made anew may be given the inode of the one before: it has seen no run.
        (has_run,) = (bool(row["found"]) for row in session.rows(statements.HAS_RUN))
        last = _last_sent(session)
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


def _last_sent(session: Session) -> str | None:
    return next((row["intent_id"] for row in session.rows(statements.LAST_SENT)), None)


def _resolved(path: Path) -> Path:
    # Two names of one file must lead to one lock.
    with told(f"the journal {path}"):
        return path.resolve()


def _check_can_be(path: Path) -> None:
    if not path.parent.is_dir():
        raise JournalUnavailable(f"the folder of the journal {path} does not exist: create it first")
    if path.exists() and not path.is_file():
        raise JournalUnavailable(f"the journal {path} is not a file: name one")
