"""The schema of a journal in PostgreSQL: looked at when it is opened, made, and brought up to date."""

from __future__ import annotations

import asyncio
from importlib import import_module

from sqlalchemy import Connection, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ltv_guard.adapters.journal import schema
from ltv_guard.adapters.journal.failures import missing
from ltv_guard.adapters.journal.owner_lock import lock_number
from ltv_guard.adapters.journal.postgres_session import PostgresSession
from ltv_guard.core.model.errors import JournalUnavailable

NOW_MS = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"

_DURABLE = {"fsync": "on", "synchronous_commit": "on"}
# Whether another session holds a lock of ours: a daemon's claim, or for a moment a command.
_OTHERS = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid <> pg_backend_pid()) "
    "AS found"
)
_TABLES = (
    "SELECT relname AS name FROM pg_catalog.pg_class "
    "WHERE relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(oid)"
)
# Workers of a fleet hold no lock of a session. One that leaves is no more counted with, and writes as long as
# it holds anything.
_WORKERS = (
    f"SELECT EXISTS (SELECT 1 FROM workers WHERE expires_at_ms > {NOW_MS}) "  # noqa: S608
    f"OR EXISTS (SELECT 1 FROM leases WHERE expires_at_ms > {NOW_MS}) AS found"
)


async def prepare(connection: AsyncConnection, place: str, *, create: bool) -> None:
    """Makes the schema current, within the transaction of `connection`. Raises JournalUnavailable."""
    await _check_durability(connection, place)
    await connection.execute(select(func.pg_advisory_xact_lock(lock_number("schema"))))
    standing = await connection.run_sync(_standing, place)
    if standing is schema.SchemaState.CURRENT:
        return
    if standing is schema.SchemaState.EMPTY and not create:
        raise missing(place)
    if standing is schema.SchemaState.OLDER and await connection.run_sync(_has_others):
        # A daemon of an older version must not find its tables changed under it.
        raise JournalUnavailable(
            f"another ltv-guard is using {place}, whose schema is an older version's: "
            "stop every daemon on it first, then bring it up to date"
        )
    await asyncio.to_thread(import_module, "ltv_guard.adapters.journal.schema_upgrade")
    from ltv_guard.adapters.journal import schema_upgrade  # noqa: PLC0415 - slow, and rarely needed

    await connection.run_sync(schema_upgrade.upgrade)


def _has_others(connection: Connection) -> bool:
    session = PostgresSession(connection)
    if session.rows(_OTHERS)[0]["found"]:
        return True
    is_shared = {"workers", "leases"} <= _tables(session)
    return is_shared and bool(session.rows(_WORKERS)[0]["found"])


def _standing(connection: Connection, place: str) -> schema.SchemaState:
    session = PostgresSession(connection)
    return schema.standing(session, _tables(session), place)


def _tables(session: PostgresSession) -> set[str]:
    return {row["name"] for row in session.rows(_TABLES)}


async def _check_durability(connection: AsyncConnection, place: str) -> None:
    for name, needed in _DURABLE.items():
        held = (await connection.execute(text(f"SHOW {name}"))).scalar_one()
        if held != needed:
            raise JournalUnavailable(
                f"{place} runs with {name} = {held}, and may forget what was sent: set it {needed}"
            )
