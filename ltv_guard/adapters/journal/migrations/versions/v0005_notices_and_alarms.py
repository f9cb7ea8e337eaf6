"""What people are to be told waits here, and which alarms last and were acknowledged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("made_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("notice_id", name="pk_notices"),
    )
    op.create_table(
        "alarms",
        sa.Column("alarm_id", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("loan_id", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("told_at_ms", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_at_ms", sa.BigInteger),
        sa.Column("acknowledged_ltv", sa.Text),
        sa.PrimaryKeyConstraint("alarm_id", name="pk_alarms"),
    )
