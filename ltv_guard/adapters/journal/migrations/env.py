"""Run by Alembic: migrates over the connection and within the transaction that `schema_upgrade` gives it."""

from __future__ import annotations

from alembic import context

from ltv_guard.adapters.journal.schema import VERSION_TABLE
from ltv_guard.adapters.journal.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
