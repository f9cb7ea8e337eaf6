"""The migrations lead to the schema that the program has in mind, and say nothing in the log."""

# ruff: noqa: ANN401 - an inspector's findings have no types

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, inspect, text

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.journal.migrating import _config
from ltv_guard.adapters.journal.schema import NEWEST, VERSION_TABLE
from ltv_guard.adapters.journal.tables import metadata


@pytest.mark.parametrize("begun_at", [None, "0001"])
async def test_migrations_end_at_the_schema_in_the_code(
    url: str, begin: Callable[[str, str], Awaitable[None]], begun_at: str | None
) -> None:
    if begun_at is not None:
        await begin(url, begun_at)
    journal = await open_journal(url)
    async with journal._store.writing() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(described)
        await connection.run_sync(made_anew)
        assert migrated == await connection.run_sync(described)
    await journal.close()


def test_the_newest_schema_is_the_one_that_migrations_end_at() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == NEWEST


async def test_opening_again_changes_nothing(url: str) -> None:
    for _ in range(2):
        journal = await open_journal(url)
        async with journal._store.reading() as connection:
            rows = (await connection.execute(text(f"SELECT * FROM {VERSION_TABLE}"))).all()  # noqa: S608
        assert rows == [("0003",)]
        await journal.close()


async def test_migrations_say_nothing_in_our_log(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    journal = await open_journal(sqlite_url)
    await journal.close()
    assert caplog.records == []


def differences(connection: Connection) -> list[Any]:
    options = {"version_table": VERSION_TABLE, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def described(connection: Connection) -> dict[str, list[Any]]:
    """Of every table what Alembic does not compare: checks, keys, and the condition of partial indexes."""
    inspector = inspect(connection)
    return {
        table.name: [
            names(inspector.get_columns(table.name)),
            in_order(inspector.get_check_constraints(table.name)),
            in_order(inspector.get_foreign_keys(table.name)),
            in_order(inspector.get_unique_constraints(table.name)),
            inspector.get_pk_constraint(table.name),
            in_order(conditions(index) for index in inspector.get_indexes(table.name)),
        ]
        for table in metadata.sorted_tables
    }


def names(columns: Any) -> list[Any]:
    return [(column["name"], column["nullable"], str(column["type"])) for column in columns]


def conditions(index: Any) -> Any:
    options = index.get("dialect_options", {})
    return index | {"dialect_options": {name: str(value) for name, value in options.items()}}


def in_order(items: Any) -> list[Any]:
    return sorted(items, key=repr)


def made_anew(connection: Connection) -> None:
    tables: list[Table] = metadata.sorted_tables
    metadata.drop_all(connection, tables=tables)
    metadata.create_all(connection, tables=tables)
