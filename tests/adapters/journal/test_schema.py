"""The migrations lead to the schema that the program has in mind, and say nothing in the log."""

# ruff: noqa: ANN401 - an inspector's findings have no types

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from journal_tables import begun_at as migrated_to
from journal_tables import engine_of, rows_of
from sqlalchemy import Connection, Table, inspect

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.journal.records import CHANGING_COLUMNS, INTENT_COLUMNS
from ltv_guard.adapters.journal.schema import NEWEST, REVISIONS, VERSION_TABLE
from ltv_guard.adapters.journal.schema_upgrade import _config
from ltv_guard.adapters.journal.tables import metadata


@pytest.mark.parametrize("begun_at", [None, "0001"])
async def test_migrations_end_at_the_schema_in_the_code(
    url: str, begin: Callable[[str, str], Awaitable[None]], begun_at: str | None
) -> None:
    if begun_at is not None:
        await begin(url, begun_at)
    await (await open_journal(url)).close()
    engine = engine_of(url)
    async with engine.begin() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(described)
        await connection.run_sync(made_anew)
        assert migrated == await connection.run_sync(described)
    await engine.dispose()


async def test_a_new_file_has_the_schema_that_migrations_lead_to(tmp_path: Path) -> None:
    new, migrated = (f"sqlite:///{tmp_path}/{name}.db" for name in ("new", "migrated"))
    await (await open_journal(new)).close()
    await migrated_to(migrated, NEWEST)
    assert await statements_in(new) == await statements_in(migrated)
    assert await rows_of(new, VERSION_TABLE) == await rows_of(migrated, VERSION_TABLE)


async def statements_in(url: str) -> set[str]:
    """What made the tables and indexes, blanks apart."""
    made = [row["sql"] for row in await rows_of(url, "sqlite_master") if row["sql"] is not None]
    return {" ".join(statement.replace("(", " ( ").replace(")", " ) ").split()) for statement in made}


def test_the_revisions_are_those_that_migrations_know() -> None:
    scripts = ScriptDirectory.from_config(_config())
    assert scripts.get_current_head() == NEWEST
    assert {script.revision for script in scripts.walk_revisions()} == set(REVISIONS)


def test_what_is_written_of_an_intent_is_every_column_of_its_table() -> None:
    assert tuple(metadata.tables["intents"].columns.keys()) == INTENT_COLUMNS
    assert set(CHANGING_COLUMNS) <= set(INTENT_COLUMNS)


async def test_opening_again_changes_nothing(url: str) -> None:
    for _ in range(2):
        journal = await open_journal(url)
        assert await rows_of(url, VERSION_TABLE) == [{"version_num": NEWEST}]
        await journal.close()


async def test_migrations_say_nothing_in_our_log(
    sqlite_url: str, begin: Callable[[str, str], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await begin(sqlite_url, "0001")
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
