"""The workers of a fleet in the database: who lives, and what each may ask the exchange for.

Within a transaction of `leases.py`; times are ms of the database's clock.
"""

from __future__ import annotations

import os
import socket

from ltv_guard.adapters.journal.records import LONGEST_ID, storable
from ltv_guard.adapters.journal.session import Row, Session
from ltv_guard.adapters.journal.statements import put
from ltv_guard.core.decide.calls import LEAST_CALLS
from ltv_guard.core.model.leases import Worker

FORGOTTEN_MS = 24 * 3600 * 1000  # so long a worker is shown after it was last heard of
CALLS_COUNT_MS = 5_000  # so long the exchange counts a request

_COLUMNS = ("environment", "egress", "host", "pid", "since_ms", "expires_at_ms")
# Once that is over others may have taken what it might ask for: it begins with the least again.
_PUT = (
    put("workers", ("worker",), _COLUMNS, kept="since_ms")
    + ", calls = CASE WHEN workers.calls_until_ms > :now_ms OR workers.calls < :least THEN workers.calls "
    "ELSE :least END, calls_until_ms = :calls_until_ms"
)
_IS_KNOWN = "(expires_at_ms >= :before_ms OR calls_until_ms > :now_ms)"
_FORGET = f"DELETE FROM workers WHERE NOT {_IS_KNOWN}"  # noqa: S608 - ours
_OF = "SELECT * FROM workers WHERE environment = :environment AND egress = :egress"
_BEHIND = f"{_OF} AND {_IS_KNOWN} ORDER BY worker"
_EVERYONE = "SELECT * FROM workers WHERE expires_at_ms > 0 ORDER BY egress, worker"
_USE = (
    "UPDATE workers SET calls = :calls, calls_until_ms = expires_at_ms + :count_ms "
    "WHERE worker = :worker AND expires_at_ms > :now_ms"
)
_LEAVE = (
    "UPDATE workers SET expires_at_ms = 0, calls = :calls, calls_until_ms = :until_ms WHERE worker = :worker"
)


def put_in(session: Session, row: Row, now_ms: int, until_ms: int) -> None:
    """The worker of `row` lives, and may ask for what it might until then; long gone ones are forgotten."""
    calls = {"now_ms": now_ms, "least": LEAST_CALLS, "calls_until_ms": until_ms + CALLS_COUNT_MS}
    session.execute(_PUT, {**row, **calls})
    session.execute(_FORGET, _known_at(now_ms))


def row_of(environment: str, worker: Worker, now_ms: int, until_ms: int) -> Row:
    """Of this process."""
    return {
        "worker": worker.name,
        "environment": environment,
        "egress": worker.egress,
        "host": storable(socket.gethostname(), LONGEST_ID),
        "pid": os.getpid(),
        "since_ms": now_ms,
        "expires_at_ms": until_ms,
    }


def behind(session: Session, environment: str, egress: str, now_ms: int, how: str = "") -> tuple[Worker, ...]:
    """Those of an egress that were heard of within a day. `how`: what the SELECT ends with."""
    named = {"environment": environment, "egress": egress, **_known_at(now_ms)}
    return tuple(map(_worker_of, session.rows(f"{_BEHIND} {how}", named)))


def everyone(session: Session) -> tuple[Worker, ...]:
    """Of all environments and egresses, but for those that have left."""
    return tuple(map(_worker_of, session.rows(_EVERYONE)))


def use(session: Session, worker: str, calls: int, now_ms: int) -> int:
    """Writes down that it may ask for so many. Returns that; 0 where its lease is over."""
    values = {"calls": calls, "count_ms": CALLS_COUNT_MS, "worker": worker, "now_ms": now_ms}
    return calls if session.execute(_USE, values) else 0


def leave(session: Session, worker: str, calls: int, now_ms: int) -> None:
    """It is no more; so many requests of it count for a while."""
    session.execute(_LEAVE, {"worker": worker, "calls": calls, "until_ms": now_ms + CALLS_COUNT_MS})


def _known_at(now_ms: int) -> Row:
    return {"before_ms": now_ms - FORGOTTEN_MS, "now_ms": now_ms}


def _worker_of(row: Row) -> Worker:
    return Worker(
        name=row["worker"],
        egress=row["egress"],
        host=row["host"],
        pid=row["pid"],
        since_ms=row["since_ms"],
        expires_at_ms=row["expires_at_ms"],
        calls=row["calls"],
        calls_until_ms=row["calls_until_ms"],
    )
