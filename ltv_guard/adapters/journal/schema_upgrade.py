"""The way to the newest schema, by Alembic: imported only for an older journal, and for an empty server."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from ltv_guard.adapters.journal.sqlite_connection import connect

# Set before Alembic is imported: it tells of its plugins at once, and our log is an interface.
logging.getLogger("alembic").setLevel(logging.WARNING)

from alembic import command  # noqa: E402
from alembic.config import Config  # noqa: E402


def upgrade(connection: Connection) -> None:
    """Brings the schema to the newest revision, within the connection's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def upgrade_file(path: Path, *, busy_timeout_s: float) -> None:
    """Brings a SQLite file to the newest revision, in one transaction. Raises sqlite3.Error."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path, is_writer=True, busy_timeout_s=busy_timeout_s),
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin_immediately)
    try:
        with engine.begin() as connection:
            upgrade(connection)
    except DBAPIError as error:
        raise (error.orig or error) from error


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "ltv_guard.adapters.journal:migrations")
    config.set_main_option("path_separator", "os")
    return config
