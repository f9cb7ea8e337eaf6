"""A repayment may be paid with collateral, or be of one fixed loan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("collateral_coin", "collateral_before", "contract_id"):
        op.add_column("intents", sa.Column(name, sa.Text))
