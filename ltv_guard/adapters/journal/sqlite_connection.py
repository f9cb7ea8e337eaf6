"""A connection to SQLite in a thread of its own: what happens in a transaction is one step for the loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote

from ltv_guard.adapters.journal.session import NOTHING, Row, Session, Violation
from ltv_guard.core.model.errors import JournalUnavailable

T = TypeVar("T")
Pragmas = tuple[tuple[str, Any], ...]
Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any]]

SLOW_S = 1.0  # a job that took so long had others wait behind it

CLOSED_WITHIN_S = 10.0  # longer than a lock is waited for

# What is set, and what must then be read back. FULL alone makes a commit in WAL mode survive a power cut.
_WRITER_PRAGMAS: Pragmas = (
    ("journal_mode", "wal"),
    ("synchronous", 2),
    ("fullfsync", 1),
    ("foreign_keys", 1),
)
_READER_PRAGMAS: Pragmas = (("query_only", 1),)


class SqliteSession:
    """Implements `Session` in the thread of its connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Mapping[str, Any] = NOTHING) -> list[Row]:
        found = self._execute(statement, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def execute(self, statement: str, values: Mapping[str, Any] = NOTHING) -> int:
        return self._execute(statement, values).rowcount

    def _execute(self, statement: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise Violation(str(error)) from error


class SqliteConnection:
    """Opened when it is first used. What is given to `run` is done in the order in which it came."""

    def __init__(
        self,
        path: Path,
        *,
        is_writer: bool,
        busy_timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._is_writer = is_writer
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._disconnected: asyncio.Future[None] | None = None
        self._monotonic = monotonic
        self.slow_jobs_ended = 0

    async def run(self, job: Callable[[], T]) -> T:
        """Does it in the thread. Whoever is cancelled while it waits does not undo it.

        Raises JournalUnavailable where there is no thread, and after `close`; and whatever the job raises.
        """
        if self._is_closed:
            raise JournalUnavailable(f"the journal {self._path} is closed: this run ends")
        if self._thread is None:
            self._thread = self._begun()
        return await self._asked(job)

    def transaction(self, work: Callable[[Session], T]) -> T:
        """For a job: what `work` returns, committed; whatever it raises undoes all of it.

        Raises what `connect` raises, where it is the first.
        """
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE" if self._is_writer else "BEGIN")
        try:
            result = work(SqliteSession(connection))
            connection.execute("COMMIT")
        except BaseException:
            self._undo(connection)
            raise
        return result

    async def close(self) -> bool:
        """Once all that was asked for is done. Whether it is: a disk that hangs is not waited for long."""
        self._is_closed = True
        if self._thread is not None:
            self._thread = None
            self._disconnected = self._asked(self._disconnect)
            self._jobs.put(None)
        if self._disconnected is None:
            return True
        done, _ = await asyncio.wait([self._disconnected], timeout=CLOSED_WITHIN_S)
        return bool(done)

    def _begun(self) -> threading.Thread:
        # A daemon: a disk that hangs holds up no exit.
        thread = threading.Thread(target=self._work, name="journal", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise JournalUnavailable(
                f"the journal {self._path} cannot be used: this machine gives it no thread ({error})"
            ) from error
        return thread

    def _asked(self, job: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put((job, loop, done))
        return done

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, loop, done = job
            began = self._monotonic()
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
                _tell(loop, _fail, done, error)
            else:
                _tell(loop, _succeed, done, result)
            self.slow_jobs_ended += self._monotonic() - began >= SLOW_S

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(
                self._path, is_writer=self._is_writer, busy_timeout_s=self._busy_timeout_s
            )
        return self._connection

    def _undo(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def connect(path: Path, *, is_writer: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """One that writes durably, or one that can't write. Raises sqlite3.Error, JournalUnavailable.

    A writer's transactions are to begin IMMEDIATE: an upgrade halfway could not wait.
    """
    connection = sqlite3.connect(
        # mode=rw: a file that has gone must be an error, not a new and empty journal.
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _set(connection, _WRITER_PRAGMAS if is_writer else _READER_PRAGMAS, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set(connection: sqlite3.Connection, pragmas: Pragmas, path: Path) -> None:
    for name, value in pragmas:
        connection.execute(f"PRAGMA {name} = {value}")
        (held,) = connection.execute(f"PRAGMA {name}").fetchone()
        if held != value:
            raise JournalUnavailable(
                f"the journal {path} cannot be made safe: SQLite keeps {name} at {held} instead of {value}"
            )


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], *what: object) -> None:
    with suppress(RuntimeError):  # the loop has ended: nobody waits any more
        loop.call_soon_threadsafe(how, *what)


def _succeed(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
