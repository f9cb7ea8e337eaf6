"""The journal's statements, in the SQL that SQLite and PostgreSQL share: nothing here touches a database.

Values are named; those of an intent are the columns of `records.row_of`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ltv_guard.adapters.journal.records import ALL_ACCOUNTS, CHANGING_COLUMNS, INTENT_COLUMNS
from ltv_guard.core.model.intents import OPEN, State

MOST_ALIKE = 5  # intents that an abbreviation may mean, to be shown


def _named(columns: Iterable[str]) -> str:
    return ", ".join(f":{column}" for column in columns)


def put(table: str, keys: tuple[str, ...], columns: tuple[str, ...], *, kept: str = "") -> str:
    """Inserts a row of `keys` and `columns`, or makes the one with its keys the same but for `kept`."""
    every = (*keys, *columns)
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns if column != kept)
    return (
        f"INSERT INTO {table} ({', '.join(every)}) VALUES ({_named(every)}) "  # noqa: S608 - names of ours
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
    )


_OF = "SELECT * FROM intents WHERE environment = :environment AND user_id = :user_id"
_OLDEST_FIRST = "ORDER BY created_at_ms, intent_id"
# The sign keeps SQLite from reading all of a user's intents in this order, for want of sorting a few.
_SORTED = "ORDER BY +created_at_ms, intent_id"
# In the order in which ix_intents_open has them: SQLite compares words, and would pass it over.
_OPEN_STATES = ", ".join(f"'{state}'" for state in State if state in OPEN)
IS_OPEN = f"state IN ({_OPEN_STATES})"
_COLUMNS, _VALUES = ", ".join(INTENT_COLUMNS), _named(INTENT_COLUMNS)
_UNLESS_PAUSED = f"NOT EXISTS (SELECT 1 FROM pauses WHERE account = '{ALL_ACCOUNTS}' OR account = :account)"  # noqa: S608

OPEN_OF = f"{_OF} AND {IS_OPEN} {_OLDEST_FIRST}"
RECENT_OF = f"{_OF} AND (updated_at_ms >= :since_ms OR created_at_ms >= :since_ms) {_SORTED}"
NEWEST_FIRST = "SELECT * FROM intents ORDER BY created_at_ms DESC, intent_id DESC"
NEWEST_FEW = f"{NEWEST_FIRST} LIMIT :limit"
ONE = "SELECT * FROM intents WHERE intent_id = :intent_id"
# Letters of either case, with dashes or without.
BEGINS_WITH = (
    "SELECT * FROM intents WHERE substr(replace(lower(intent_id), '-', ''), 1, :length) = :written "  # noqa: S608
    f"{_OLDEST_FIRST} LIMIT {MOST_ALIKE}"
)
STATE_OF = "SELECT state FROM intents WHERE intent_id = :intent_id"

PLANNED = f"INSERT INTO intents ({_COLUMNS}) VALUES ({_VALUES})"  # noqa: S608
SENT_AT_ONCE = f"INSERT INTO intents ({_COLUMNS}) SELECT {_VALUES} WHERE {_UNLESS_PAUSED}"
# Compare-and-set: touches no row unless the journal holds it in the state `expected`. What an intent is about
# never changes, and an index that is not named here need not be written.
REPLACED = (
    f"UPDATE intents SET {', '.join(f'{column} = :{column}' for column in CHANGING_COLUMNS)} "  # noqa: S608
    "WHERE intent_id = :intent_id AND state = :expected"
)
SENT_UNLESS_PAUSED = f"{REPLACED} AND {_UNLESS_PAUSED}"
LAST_SENT = "SELECT intent_id FROM last_sent"
SET_LAST_SENT = put("last_sent", ("slot",), ("intent_id",))
# Counts, and returns the new count.
ONE_MORE_SENT = (
    "INSERT INTO sent_counts (environment, user_id, sent) VALUES (:environment, :user_id, 1) "
    "ON CONFLICT (environment, user_id) DO UPDATE SET sent = sent_counts.sent + 1 RETURNING sent"
)

EPISODES_OF = "SELECT * FROM episodes WHERE environment = :environment AND user_id = :user_id"
PUT_EPISODE = put(
    "episodes", ("environment", "user_id", "product", "loan_id"), ("opened_at_ms", "closed_at_ms")
)

PAUSES = "SELECT * FROM pauses ORDER BY account"
# A quiet account has none of them, and so is asked once.
IS_THERE = (
    f"SELECT EXISTS ({OPEN_OF}) AS open_intents, EXISTS ({EPISODES_OF}) AS episodes, "  # noqa: S608
    "EXISTS (SELECT 1 FROM pauses) AS pauses"
)
NO_PAUSE = "DELETE FROM pauses WHERE account = :account"
NO_PAUSE_THAT_IS_OVER = "DELETE FROM pauses WHERE until_ms <= :at_ms"
PAUSED = (
    "INSERT INTO pauses (account, reason, since_ms, until_ms) "
    "VALUES (:account, :reason, :since_ms, :until_ms)"
)
UNACKNOWLEDGED_BY = (
    "SELECT * FROM pauses WHERE account NOT IN "
    "(SELECT account FROM acknowledgements WHERE run_id = :run_id) ORDER BY account"
)
ACKNOWLEDGEMENTS = "SELECT * FROM acknowledgements"
ACKNOWLEDGED = "INSERT INTO acknowledgements (account, run_id, at_ms) VALUES (:account, :run_id, :at_ms)"

RUNS = "SELECT * FROM runs ORDER BY started_at_ms, run_id"
_RUN = ("host", "pid", "started_at_ms", "alive_at_ms")
BEGUN_RUN = put("runs", ("run_id",), _RUN)
LIVING_RUN = put("runs", ("run_id",), _RUN, kept="started_at_ms")
ENDED_RUN = "UPDATE runs SET alive_at_ms = :at_ms, ended_at_ms = :at_ms WHERE run_id = :run_id"
FORGOTTEN_RUNS = "DELETE FROM runs WHERE alive_at_ms < :before_ms"
HAS_RUN = "SELECT EXISTS (SELECT 1 FROM runs) AS found"
HAS_ANYTHING = "SELECT EXISTS (SELECT 1 FROM intents) OR EXISTS (SELECT 1 FROM runs) AS found"

BANS = "SELECT * FROM bans ORDER BY host"
PUT_BAN = put("bans", ("host",), ("until_ms", "set_at_ms"))
