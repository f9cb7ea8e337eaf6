"""How we connect to SQLite: one connection that writes durably, others that cannot write at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ltv_guard.core.model.errors import JournalUnavailable

# What is set, and what must then be read back. FULL alone makes a commit in WAL mode survive a power cut.
_WRITER_PRAGMAS: tuple[tuple[str, Any], ...] = (
    ("journal_mode", "wal"),
    ("synchronous", 2),
    ("fullfsync", 1),
    ("foreign_keys", 1),
)
_READER_PRAGMAS: tuple[tuple[str, Any], ...] = (("query_only", 1),)


def writing_engine(path: Path, *, busy_timeout_s: float) -> AsyncEngine:
    """One connection, whose transactions take the write lock at once: an upgrade halfway could not wait."""
    engine = _engine(path, _WRITER_PRAGMAS, busy_timeout_s=busy_timeout_s, connections=1)
    _begin_with(engine, "BEGIN IMMEDIATE")
    return engine


def reading_engine(path: Path, *, busy_timeout_s: float) -> AsyncEngine:
    """Connections that never take a write lock, and so never wait for the writer nor hold it up."""
    engine = _engine(path, _READER_PRAGMAS, busy_timeout_s=busy_timeout_s, connections=4)
    _begin_with(engine, "BEGIN")
    return engine


def _engine(
    path: Path, pragmas: tuple[tuple[str, Any], ...], *, busy_timeout_s: float, connections: int
) -> AsyncEngine:
    engine = create_async_engine(
        # mode=rw: a file that has gone must be an error, not a new and empty journal.
        URL.create(
            "sqlite+aiosqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"}
        ),
        connect_args={"timeout": busy_timeout_s, "isolation_level": None},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_timeout_s,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
        try:
            _set(connection, pragmas, path)
        except BaseException:
            connection.close()
            raise

    return engine


def _set(connection: Any, pragmas: tuple[tuple[str, Any], ...], path: Path) -> None:  # noqa: ANN401 - as above
    cursor = connection.cursor()
    for name, value in pragmas:
        cursor.execute(f"PRAGMA {name} = {value}")
        cursor.execute(f"PRAGMA {name}")
        (held,) = cursor.fetchone()
        if held != value:
            raise JournalUnavailable(
                f"the journal {path} cannot be made safe: SQLite keeps {name} at {held} instead of {value}"
            )
    cursor.close()


def _begin_with(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)
