"""From the journal's URL to a journal that can be used, or to the sentence that says why not."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ltv_guard.adapters.journal import queries
from ltv_guard.adapters.journal.sql import SqlJournal
from ltv_guard.adapters.journal.sqlite import SqliteStore
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.model.errors import JournalUnavailable

_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite"})
_HIGHEST_PORT = 65535
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
# SQLAlchemy's URLs for asyncpg say ssl=..., also as a mere yes or no.
_SSL = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "off": "disable",
}


async def open_journal(
    url: str, *, writer: bool = True, create: bool = True, busy_timeout_s: float = 5.0
) -> SqlJournal:
    """Opens the journal, creates it where there is none, and brings its schema up to date.

    `writer` is the daemon: the only one of its kind on a SQLite file, and the only one that sends. Commands
    open it with `writer=False`: they can read, pause, resume and resolve beside a running daemon.
    With `create=False` none is made: JournalMissing is raised where there is none.
    Raises JournalUnavailable, whose sentence never holds the URL.
    """
    try:
        parsed = parse_url(url)
    except ValueError as error:
        raise JournalUnavailable(str(error)) from None
    store = await _store(parsed, writer=writer, create=create, busy_timeout_s=busy_timeout_s)
    try:
        async with store.reading() as connection:
            is_new = bool((await connection.execute(queries.is_empty())).scalar_one())
    except BaseException:
        await store.close()
        raise
    return SqlJournal(store, is_new=is_new)


def parse_url(url: str) -> URL:
    """A journal's URL, if one can be opened. Raises ValueError, its sentence without the URL itself."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("the journal's URL is not one: write sqlite:////folder/journal.db") from None
    if "\x00" in url or (parsed.port or 0) > _HIGHEST_PORT:
        raise ValueError("the journal's URL holds a character or a port that cannot be")
    if parsed.drivername in _POSTGRES:
        if not parsed.database:
            raise ValueError("the journal's URL must name a database: postgresql://user@host/database")
        return _with_sslmode(parsed.set(drivername="postgresql+asyncpg"))
    if parsed.drivername not in _SQLITE:
        raise ValueError(
            f"the journal's URL begins with {parsed.drivername}: only sqlite and postgresql are possible"
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.query or parsed.host:
        raise ValueError("the journal's URL must name a file, nothing else: sqlite:////folder/journal.db")
    return parsed


def _with_sslmode(url: URL) -> URL:
    """The same URL in libpq's words, which asyncpg reads: what it does not know it sends to the server."""
    asked = url.query.get("ssl")
    if not isinstance(asked, str):
        return url
    mode = _SSL.get(asked.lower(), asked)
    return url.difference_update_query(["ssl"]).update_query_dict({"sslmode": url.query.get("sslmode", mode)})


async def _store(url: URL, *, writer: bool, create: bool, busy_timeout_s: float) -> Store:
    if url.drivername in _SQLITE:
        path = Path(url.database or "")
        return await SqliteStore.open(path, daemon=writer, create=create, busy_timeout_s=busy_timeout_s)
    try:
        # First in a thread: a reload comes here too, while loans are guarded.
        await asyncio.to_thread(import_module, "ltv_guard.adapters.journal.postgres")
        from ltv_guard.adapters.journal.postgres import PostgresStore  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        raise JournalUnavailable(
            "a journal in PostgreSQL needs its driver: pip install 'ltv-guard[postgres]'"
        ) from None
    return await PostgresStore.open(url, create=create, timeout_s=busy_timeout_s)
