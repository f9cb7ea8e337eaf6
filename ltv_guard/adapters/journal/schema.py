"""The journal's schema: whether a database has the newest; where it has not, `migrating` knows the way."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from importlib import import_module

from sqlalchemy import ColumnClause, Connection, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

VERSION_TABLE = "journal_version"
NEWEST = "0003"


class SchemaState(Enum):
    """How a database's schema stands to this program's."""

    EMPTY = auto()
    OLDER = auto()
    CURRENT = auto()


async def prepare(connection: AsyncConnection) -> None:
    """To be awaited first: where the schema is not the newest, Alembic is imported, in a thread."""
    if not await connection.run_sync(_is_newest):
        await asyncio.to_thread(import_module, "ltv_guard.adapters.journal.migrating")


def standing(connection: Connection, place: str) -> SchemaState:
    """Raises JournalUnavailable where the schema is newer than this program, or not a journal's."""
    if _is_newest(connection):
        return SchemaState.CURRENT
    from ltv_guard.adapters.journal import migrating  # noqa: PLC0415 - slow, and rarely needed

    return migrating.standing(connection, place)


def upgrade(connection: Connection) -> None:
    """Brings the schema to the newest revision, within the connection's transaction."""
    from ltv_guard.adapters.journal import migrating  # noqa: PLC0415 - slow, and rarely needed

    migrating.upgrade(connection)


def _is_newest(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    version: ColumnClause[str] = column("version_num")
    versions = connection.execute(select(version).select_from(table(VERSION_TABLE)))
    return versions.scalars().all() == [NEWEST]
