"""The way to the newest schema, by Alembic: imported only for a journal that is not there yet."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, inspect

from ltv_guard.adapters.journal.schema import VERSION_TABLE, SchemaState
from ltv_guard.core.model.errors import JournalUnavailable

# Set before Alembic is imported: it tells of its plugins at once, and our log is an interface.
logging.getLogger("alembic").setLevel(logging.WARNING)

from alembic import command  # noqa: E402
from alembic.config import Config  # noqa: E402
from alembic.runtime.migration import MigrationContext  # noqa: E402
from alembic.script import ScriptDirectory  # noqa: E402


def standing(connection: Connection, place: str) -> SchemaState:
    """Raises JournalUnavailable where the schema is newer than this program, or not a journal's."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    revision = context.get_current_revision()
    if revision is None:
        if inspect(connection).has_table("intents"):
            raise JournalUnavailable(
                f"{place} holds tables that are not a journal's: give the journal its own"
            )
        return SchemaState.EMPTY
    scripts = ScriptDirectory.from_config(_config())
    if revision == scripts.get_current_head():
        return SchemaState.CURRENT
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise JournalUnavailable(
            f"{place} was written by a newer ltv-guard (schema {revision}): upgrade ltv-guard to use it"
        )
    return SchemaState.OLDER


def upgrade(connection: Connection) -> None:
    """Brings the schema to the newest revision, within the connection's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "ltv_guard.adapters.journal:migrations")
    config.set_main_option("path_separator", "os")
    return config
