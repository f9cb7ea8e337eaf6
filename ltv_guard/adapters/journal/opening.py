"""From the journal's URL to a journal that can be used, or to the sentence that says why not."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

from ltv_guard.adapters.journal import statements
from ltv_guard.adapters.journal.sql import SqlJournal
from ltv_guard.adapters.journal.sqlite import SqliteStore
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.model.errors import JournalUnavailable

_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


async def open_journal(
    url: str, *, writer: bool = True, create: bool = True, busy_timeout_s: float = 5.0
) -> SqlJournal:
    """Opens the journal, creates it where there is none, and brings its schema up to date.

    `writer` is the daemon: the only one of its kind on a SQLite file, and the only one that sends. Commands
    open it with `writer=False`: they can read, pause, resume and resolve beside a running daemon.
    With `create=False` none is made: JournalMissing is raised where there is none.
    Raises JournalUnavailable, whose sentence never holds the URL.
    """
    store = await _store(url, writer=writer, create=create, busy_timeout_s=busy_timeout_s)
    try:
        (found,) = await store.read(lambda session: session.rows(statements.HAS_ANYTHING))
    except BaseException:
        await store.close()
        raise
    return SqlJournal(store, is_new=not found["found"])


async def _store(url: str, *, writer: bool, create: bool, busy_timeout_s: float) -> Store:
    driver = url.partition(":")[0]
    if driver in _SQLITE:
        path = sqlite_file(url)
        return await SqliteStore.open(path, daemon=writer, create=create, busy_timeout_s=busy_timeout_s)
    if driver not in _POSTGRES:
        raise JournalUnavailable(
            f"the journal's URL begins with {driver}: only sqlite and postgresql are possible"
            if "://" in url
            else "the journal's URL is not one: write sqlite:////folder/journal.db"
        )
    try:
        # First in a thread: a reload comes here too, while loans are guarded.
        await asyncio.to_thread(import_module, "ltv_guard.adapters.journal.postgres")
        from ltv_guard.adapters.journal.postgres import PostgresStore  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        raise JournalUnavailable(
            "a journal in PostgreSQL needs its driver: pip install 'ltv-guard[postgres]'"
        ) from None
    return await PostgresStore.open(url, create=create, timeout_s=busy_timeout_s)


def sqlite_file(url: str) -> Path:
    """The file that a URL of SQLite names. Raises JournalUnavailable."""
    _, _, after = url.partition(":")
    name = unquote(after.removeprefix("///"))
    if not after.startswith("///") or not name or name == ":memory:" or "?" in after:
        raise JournalUnavailable(
            "the journal's URL must name a file, nothing else: sqlite:////folder/journal.db"
        )
    if "\x00" in name:
        raise JournalUnavailable("the journal's URL holds a character or a port that cannot be")
    return Path(name)
