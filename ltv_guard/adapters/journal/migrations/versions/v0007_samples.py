"""LTVs and prices, once a minute: what the page's charts are drawn from after a restart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("ltvs", sa.Text, nullable=False),
        sa.Column("prices", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("environment", "user_id", "at_ms", name="pk_samples"),
    )
