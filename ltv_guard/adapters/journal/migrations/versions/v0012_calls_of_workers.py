"""How many requests each worker of a fleet may ask the exchange for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("calls", "calls_until_ms"):
        op.add_column("workers", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
