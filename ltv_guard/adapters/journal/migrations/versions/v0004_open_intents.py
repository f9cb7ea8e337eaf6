"""Open intents of a user, and the newest of all, are found as fast among many as among few."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_IS_OPEN = "state IN ('planned', 'sent', 'accepted', 'unknown')"


def upgrade() -> None:
    op.create_index(
        "ix_intents_open",
        "intents",
        ["environment", "user_id", "created_at_ms"],
        sqlite_where=sa.text(_IS_OPEN),
        postgresql_where=sa.text(_IS_OPEN),
    )
    op.create_index("ix_intents_newest", "intents", ["created_at_ms", "intent_id"])
