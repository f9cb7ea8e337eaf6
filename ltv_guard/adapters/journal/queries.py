"""The journal's statements, as values: nothing here touches a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Delete,
    Executable,
    Insert,
    Select,
    Update,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ltv_guard.adapters.journal.records import row_of, stored_account
from ltv_guard.adapters.journal.tables import (
    ALL_ACCOUNTS,
    acknowledgements,
    bans,
    episodes,
    intents,
    pauses,
    runs,
    sent_counts,
)
from ltv_guard.core.model.intents import OPEN, Intent, State
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode

MOST_ALIKE = 5  # intents that an abbreviation may mean, to be shown

_OPEN_STATES = sorted(OPEN)


def open_of(owner: Owner) -> Select[Any]:
    return _of(owner).where(intents.c.state.in_(_OPEN_STATES)).order_by(*_OLDEST_FIRST)


def recent_of(owner: Owner, since_ms: int) -> Select[Any]:
    touched = or_(intents.c.updated_at_ms >= since_ms, intents.c.created_at_ms >= since_ms)
    return _of(owner).where(touched).order_by(*_OLDEST_FIRST)


def newest(limit: int | None) -> Select[Any]:
    return select(intents).order_by(intents.c.created_at_ms.desc(), intents.c.intent_id.desc()).limit(limit)


def one(intent_id: str) -> Select[Any]:
    return select(intents).where(intents.c.intent_id == intent_id)


def begins_with(written: str) -> Select[Any]:
    """Intents whose id begins so: letters of either case, with dashes or without."""
    stored = func.replace(func.lower(intents.c.intent_id), "-", "")
    return (
        select(intents)
        .where(func.substr(stored, 1, len(written)) == written)
        .order_by(*_OLDEST_FIRST)
        .limit(MOST_ALIKE)
    )


def state_of(intent_id: str) -> Select[Any]:
    return select(intents.c.state).where(intents.c.intent_id == intent_id)


def planned(intent: Intent) -> Insert:
    return insert(intents).values(row_of(intent))


def replaced(before: State, after: Intent) -> Update:
    """Compare-and-set: touches no row unless the journal holds it in the state `before`."""
    return (
        update(intents)
        .where(intents.c.intent_id == after.intent_id, intents.c.state == before.value)
        .values(row_of(after))
    )


def sent_unless_paused(intent: Intent) -> Update:
    held = exists().where(pauses.c.account.in_([ALL_ACCOUNTS, intent.account]))
    return replaced(State.PLANNED, intent).where(~held)


def one_more_sent(owner: Owner, dialect: str) -> Executable:
    """Counts, and returns the new count. `dialect`: the database's name, as SQLAlchemy knows it."""
    row = {"environment": owner.environment, "user_id": owner.user_id, "sent": 1}
    keys, more = ["environment", "user_id"], {"sent": sent_counts.c.sent + 1}
    if dialect == "postgresql":
        first = postgresql.insert(sent_counts).values(row)
        return first.on_conflict_do_update(index_elements=keys, set_=more).returning(sent_counts.c.sent)
    other = sqlite.insert(sent_counts).values(row)
    return other.on_conflict_do_update(index_elements=keys, set_=more).returning(sent_counts.c.sent)


def episodes_of(owner: Owner) -> Select[Any]:
    return select(episodes).where(
        episodes.c.environment == owner.environment, episodes.c.user_id == owner.user_id
    )


def episode_row(owner: Owner, episode: Episode) -> dict[str, Any]:
    return {
        "environment": owner.environment,
        "user_id": owner.user_id,
        "product": episode.key.product.value,
        "loan_id": episode.key.loan_id,
        "opened_at_ms": episode.opened_at_ms,
        "closed_at_ms": episode.closed_at_ms,
    }


def all_pauses() -> Select[Any]:
    return select(pauses).order_by(pauses.c.account)


def no_pause(account: str | None) -> Delete:
    return delete(pauses).where(pauses.c.account == stored_account(account))


def unacknowledged_by(run_id: str) -> Select[Any]:
    seen = select(acknowledgements.c.account).where(acknowledgements.c.run_id == run_id)
    return all_pauses().where(pauses.c.account.not_in(seen))


def all_bans() -> Select[Any]:
    return select(bans).order_by(bans.c.host)


def all_runs() -> Select[Any]:
    return select(runs).order_by(runs.c.started_at_ms, runs.c.run_id)


def forgotten_runs(before_ms: int) -> Delete:
    return delete(runs).where(runs.c.alive_at_ms < before_ms)


def is_empty() -> Select[Any]:
    return select(~exists(select(intents.c.intent_id)) & ~exists(select(runs.c.run_id)))


def has_run() -> Select[Any]:
    return select(exists(select(runs.c.run_id)))


def _of(owner: Owner) -> Select[Any]:
    return select(intents).where(
        intents.c.environment == owner.environment, intents.c.user_id == owner.user_id
    )


_OLDEST_FIRST = (intents.c.created_at_ms, intents.c.intent_id)
