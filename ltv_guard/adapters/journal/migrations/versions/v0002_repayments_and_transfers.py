"""Intents may repay and transfer as well; what there was before is no longer of collateral alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ltv_guard.adapters.journal.migrations.versions import v0001_first as before

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DIRECTIONS = "direction IN ('add', 'reduce', 'repay', 'transfer')"
_INDEXES = (
    "uq_intents_open",
    "uq_intents_open_rescue",
    "uq_intents_adjust_id",
    "ix_intents_updated",
    "ix_intents_created",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("intents", "collateral_before", new_column_name="coins_before")
        op.drop_constraint(op.f("ck_intents_direction"), "intents", type_="check")
        op.create_check_constraint(op.f("ck_intents_direction"), "intents", _DIRECTIONS)
    else:
        _copy()


def _copy() -> None:
    """SQLite changes no check in place: the rows move to a new table."""
    for name in _INDEXES:
        op.drop_index(name, "intents")
    op.rename_table("intents", "intents_0001")
    old = sa.table("intents_0001", *(sa.column(name) for name in before.COLUMNS))
    before.create_intents(directions=_DIRECTIONS, coins_before="coins_before")
    new = sa.table("intents", *(sa.column(_renamed(name)) for name in before.COLUMNS))
    rows = sa.select(*(old.c[name] for name in before.COLUMNS))
    op.execute(new.insert().from_select([_renamed(name) for name in before.COLUMNS], rows))
    op.drop_table("intents_0001")
    before.create_indexes()


def _renamed(name: str) -> str:
    return "coins_before" if name == "collateral_before" else name
