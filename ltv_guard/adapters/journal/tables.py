"""The journal's tables, and what the database itself refuses. Times are ms, amounts and LTVs plain text.

What the migrations lead to, and `newest` too: tests hold them to it. A run imports it only where Alembic
makes or changes a schema. What the tables hold is read and written by `statements`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    false,
    text,
)

from ltv_guard.adapters.journal.statements import IS_OPEN
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _partial(name: str, *columns: str, where: str, unique: bool = True) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


_LOAN = ("environment", "user_id", "product", "loan_id")

intents = Table(
    "intents",
    metadata,
    Column("intent_id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("loan_id", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("coin", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("coins_before", Text, nullable=False),
    Column("ltv_before", Text, nullable=False),
    Column("observed_at_ms", BigInteger, nullable=False),
    Column("seen_ids", Text, nullable=False),  # a JSON list
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("rescue_of", Text, ForeignKey("intents.intent_id"), unique=True),
    Column("signed_at_ms", BigInteger),
    Column("recv_window_ms", BigInteger),
    Column("adjust_id", Text),
    Column("ret_code", BigInteger),
    Column("ret_msg", Text),
    Column("ltv_after", Text),
    Column("awaits_row", Boolean, nullable=False, server_default=false()),
    Column("collateral_coin", Text),
    Column("collateral_before", Text),
    Column("contract_id", Text),
    CheckConstraint(f"state IN ({_listed(State)})", name="state"),
    CheckConstraint(f"direction IN ({_listed(Direction)})", name="direction"),
    CheckConstraint("rescue_of <> intent_id", name="rescue"),
    # Two bugs at once could not send two adjustments for one need: these indexes would refuse the second.
    _partial("uq_intents_open", *_LOAN, where=f"{IS_OPEN} AND rescue_of IS NULL"),
    _partial("uq_intents_open_rescue", *_LOAN, where=f"{IS_OPEN} AND rescue_of IS NOT NULL"),
    _partial(
        "uq_intents_adjust_id",
        "environment",
        "user_id",
        "product",
        "adjust_id",
        where="adjust_id IS NOT NULL",
    ),
    Index("ix_intents_updated", "environment", "user_id", "updated_at_ms"),
    Index("ix_intents_created", "environment", "user_id", "created_at_ms"),
    _partial("ix_intents_open", "environment", "user_id", "created_at_ms", where=IS_OPEN, unique=False),
    Index("ix_intents_newest", "created_at_ms", "intent_id"),
)

episodes = Table(
    "episodes",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("product", Text, primary_key=True),
    Column("loan_id", Text, primary_key=True),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("closed_at_ms", BigInteger),
)

pauses = Table(
    "pauses",
    metadata,
    Column("account", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("alive_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("account", Text, ForeignKey("pauses.account", ondelete="CASCADE"), primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("host", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    Column("set_at_ms", BigInteger, nullable=False),
)

# One row at most: the counterpart, inside the database, of what the seal beside it says.
last_sent = Table(
    "last_sent",
    metadata,
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("intent_id", Text, nullable=False),
    CheckConstraint("slot = 1", name="one_row"),
)

# How often an intent of each user was marked sent: a server that was brought back to before shows fewer.
sent_counts = Table(
    "sent_counts",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("sent", BigInteger, nullable=False),
)

# What people are to be told, until a target has it.
notices = Table(
    "notices",
    metadata,
    Column("notice_id", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
)

# Critical events that last, and whether a person has acknowledged them.
alarms = Table(
    "alarms",
    metadata,
    Column("alarm_id", Text, primary_key=True),
    Column("event", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("loan_id", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("told_at_ms", BigInteger, nullable=False),
    Column("acknowledged_at_ms", BigInteger),
    Column("acknowledged_ltv", Text),
)

# LTVs and prices, once a minute, as JSON: drawn, and never decided on.
samples = Table(
    "samples",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("at_ms", BigInteger, primary_key=True),
    Column("ltvs", Text, nullable=False),
    Column("prices", Text, nullable=False),
)

# A fleet's: which worker guards which account, by the database's clock. `epoch` only grows. `handed_over`:
# the database's own origin, where the last holder gave it back with nothing under way; null otherwise.
leases = Table(
    "leases",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("user_id", Text),
    Column("egress", Text, nullable=False),
    Column("worker", Text),
    Column("epoch", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("handed_over", Text),
    Column("last_cycle_ms", BigInteger),
    # Two accounts of one user would each adjust the same loans.
    _partial("uq_leases_user", "environment", "user_id", where="user_id IS NOT NULL"),
)

workers = Table(
    "workers",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("egress", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    # Requests in 5 s that it may ask the exchange for, and until when.
    Column("calls", BigInteger, nullable=False, server_default="0"),
    Column("calls_until_ms", BigInteger, nullable=False, server_default="0"),
)
