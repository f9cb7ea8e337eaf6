"""From the journal's URL to a journal that can be used, or to the sentence that says why not."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ltv_guard.adapters.journal import statements
from ltv_guard.adapters.journal.sql import SqlJournal
from ltv_guard.adapters.journal.sqlite import SqliteStore
from ltv_guard.adapters.journal.store import Shared, Store
from ltv_guard.core.model.errors import JournalUnavailable

if TYPE_CHECKING:
    from ltv_guard.adapters.journal.fleet import FleetJournal

BUSY_TIMEOUT_S = 5.0
MOST_SESSIONS = 10  # of a worker at once, however many its accounts
_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


async def open_journal(
    url: str, *, writer: bool = True, create: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> SqlJournal:
    """Opens the journal, creates it where there is none, and brings its schema up to date.

    `writer` is the daemon: the only one of its kind on a SQLite file, and the only one that sends. Commands
    open it with `writer=False`: they can read, pause, resume and resolve beside a running daemon.
    With `create=False` none is made: JournalMissing is raised where there is none.
    Raises JournalUnavailable, whose sentence never holds the URL.
    """
    store = await _store(url, writer=writer, create=create, busy_timeout_s=busy_timeout_s)
    return SqlJournal(store, is_new=await _is_new(store))


async def open_fleet_journal(url: str, *, idle_s: float) -> FleetJournal:
    """The journal of one worker of a fleet; raises as `open_journal`.

    A worker that stands still in the middle of a transaction holds its locks for `idle_s` at most.
    """
    if url.partition(":")[0] in _POSTGRES:
        store = await _on_a_server(
            url,
            create=True,
            busy_timeout_s=BUSY_TIMEOUT_S,
            shared=Shared(sessions=MOST_SESSIONS, idle_s=idle_s),
        )
    else:
        store = await _store(url, writer=True, create=True, busy_timeout_s=BUSY_TIMEOUT_S)
    from ltv_guard.adapters.journal.fleet import FleetJournal  # noqa: PLC0415 - for a fleet alone

    return FleetJournal(store, is_new=await _is_new(store))


async def _is_new(store: Store) -> bool:
    try:
        (found,) = await store.read(lambda session: session.rows(statements.HAS_ANYTHING))
    except BaseException:
        await store.close()
        raise
    return not found["found"]


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
    return await _on_a_server(url, create=create, busy_timeout_s=busy_timeout_s)


async def _on_a_server(
    url: str, *, create: bool, busy_timeout_s: float, shared: Shared | None = None
) -> Store:
    try:
        # First in a thread: a reload comes here too, while loans are guarded.
        await asyncio.to_thread(import_module, "ltv_guard.adapters.journal.postgres")
        from ltv_guard.adapters.journal.postgres import PostgresStore  # noqa: PLC0415 - its driver is an extra
    except ImportError:
        raise JournalUnavailable(
            "a journal in PostgreSQL needs its driver: pip install 'ltv-guard[postgres]'"
        ) from None
    return await PostgresStore.open(url, create=create, timeout_s=busy_timeout_s, shared=shared)


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
