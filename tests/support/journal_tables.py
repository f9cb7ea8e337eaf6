"""The tables of a journal as they are, without anything of ours in between."""

from __future__ import annotations

from typing import Any

import asyncpg
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ltv_guard.adapters.journal import SqlJournal, schema_upgrade

Row = dict[str, Any]


def engine_of(url: str) -> AsyncEngine:
    if url.startswith("sqlite"):
        return create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))


async def begun_at(url: str, revision: str) -> None:
    """Makes the journal as a program did whose newest schema was `revision`."""
    engine = engine_of(url)
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade, revision)
    await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = schema_upgrade._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def execute(url: str, statement: str, *rows: Row) -> None:
    """Carries it out, once for each of `rows`, with foreign keys in force. Raises IntegrityError."""
    engine = engine_of(url)
    try:
        async with engine.connect() as connection:
            if url.startswith("sqlite"):
                await connection.execute(text("PRAGMA foreign_keys = 1"))
                await connection.commit()
            for row in rows or [{}]:
                await connection.execute(text(statement), row)
            await connection.commit()
    finally:
        await engine.dispose()


async def insert(url: str, table: str, *rows: Row) -> None:
    names, values = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
    await execute(url, f"INSERT INTO {table} ({names}) VALUES ({values})", *rows)  # noqa: S608


async def rows_of(url: str, table: str) -> list[Row]:
    """All of them, in an order of their own."""
    engine = engine_of(url)
    async with engine.connect() as connection:
        found = (await connection.execute(text(f"SELECT * FROM {table}"))).mappings().all()  # noqa: S608
    await engine.dispose()
    return in_order([dict(row) for row in found])


async def execute_in(journal: SqlJournal, statement: str, values: Row | None = None) -> None:
    """By the connection that it writes with."""
    await journal._store.write(lambda session: session.execute(statement, values or {}))


async def rows_in(journal: SqlJournal, statement: str) -> list[Row]:
    """By the connection that it writes with."""
    return await journal._store.write(lambda session: session.rows(statement))


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: str(list(row.values())))
