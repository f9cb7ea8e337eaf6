"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LOAN = ["environment", "user_id", "product", "loan_id"]
_IS_OPEN = "state IN ('planned', 'sent', 'accepted', 'unknown')"
_STATES = (
    "state IN ('planned', 'sent', 'accepted', 'unknown', "
    "'withdrawn', 'rejected', 'confirmed', 'absent', 'ambiguous')"
)
COLUMNS = (
    *("intent_id", "environment", "user_id", "account", "product", "loan_id", "direction", "coin", "amount"),
    *("state", "reason", "collateral_before", "ltv_before", "observed_at_ms", "seen_ids", "created_at_ms"),
    *("updated_at_ms", "rescue_of", "signed_at_ms", "recv_window_ms", "adjust_id", "ret_code", "ret_msg"),
    "ltv_after",
)


def upgrade() -> None:
    create_intents(directions="direction IN ('add', 'reduce')", coins_before="collateral_before")
    create_indexes()
    _create_episodes()
    _create_switches()
    _create_marks()


def create_intents(*, directions: str, coins_before: str) -> None:
    op.create_table(
        "intents",
        sa.Column("intent_id", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("loan_id", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("coin", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column(coins_before, sa.Text, nullable=False),
        sa.Column("ltv_before", sa.Text, nullable=False),
        sa.Column("observed_at_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ids", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.Column("rescue_of", sa.Text),
        sa.Column("signed_at_ms", sa.BigInteger),
        sa.Column("recv_window_ms", sa.BigInteger),
        sa.Column("adjust_id", sa.Text),
        sa.Column("ret_code", sa.BigInteger),
        sa.Column("ret_msg", sa.Text),
        sa.Column("ltv_after", sa.Text),
        sa.PrimaryKeyConstraint("intent_id", name=op.f("pk_intents")),
        sa.ForeignKeyConstraint(["rescue_of"], ["intents.intent_id"], name=op.f("fk_intents_rescue_of")),
        sa.UniqueConstraint("rescue_of", name=op.f("uq_intents_rescue_of")),
        sa.CheckConstraint(_STATES, name=op.f("ck_intents_state")),
        sa.CheckConstraint(directions, name=op.f("ck_intents_direction")),
        sa.CheckConstraint("rescue_of <> intent_id", name=op.f("ck_intents_rescue")),
    )


def create_indexes() -> None:
    _create_unique("uq_intents_open", _LOAN, where=f"{_IS_OPEN} AND rescue_of IS NULL")
    _create_unique("uq_intents_open_rescue", _LOAN, where=f"{_IS_OPEN} AND rescue_of IS NOT NULL")
    _create_unique(
        "uq_intents_adjust_id",
        ["environment", "user_id", "product", "adjust_id"],
        where="adjust_id IS NOT NULL",
    )
    op.create_index("ix_intents_updated", "intents", ["environment", "user_id", "updated_at_ms"])
    op.create_index("ix_intents_created", "intents", ["environment", "user_id", "created_at_ms"])


def _create_unique(name: str, columns: list[str], *, where: str) -> None:
    op.create_index(
        name, "intents", columns, unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _create_episodes() -> None:
    op.create_table(
        "episodes",
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("loan_id", sa.Text, nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint(*_LOAN, name=op.f("pk_episodes")),
    )


def _create_switches() -> None:
    op.create_table(
        "pauses",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_pauses")),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("alive_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_table(
        "acknowledgements",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", "run_id", name=op.f("pk_acknowledgements")),
        sa.ForeignKeyConstraint(
            ["account"], ["pauses.account"], ondelete="CASCADE", name=op.f("fk_acknowledgements_account")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], ondelete="CASCADE", name=op.f("fk_acknowledgements_run_id")
        ),
    )


def _create_marks() -> None:
    op.create_table(
        "bans",
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("set_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_bans")),
    )
    op.create_table(
        "last_sent",
        sa.Column("slot", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("intent_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_last_sent")),
        sa.CheckConstraint("slot = 1", name=op.f("ck_last_sent_one_row")),
    )
