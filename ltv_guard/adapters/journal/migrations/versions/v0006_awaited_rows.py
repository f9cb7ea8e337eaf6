"""That an add awaits its row is told by a column; until now the words of `ret_msg` told it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WORDS = "accepted, and its coins are in the loan: its row in the history is still awaited"


def upgrade() -> None:
    awaits_row = sa.Column("awaits_row", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("intents", awaits_row)
    intents = sa.table("intents", sa.column("ret_msg"), sa.column("awaits_row"))
    op.execute(intents.update().where(intents.c.ret_msg == _WORDS).values(awaits_row=sa.true()))
