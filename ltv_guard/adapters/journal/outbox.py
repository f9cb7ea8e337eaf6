"""Notices that wait for delivery, and alarms that last: what a restart must neither lose nor tell twice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.adapters.journal.records import storable
from ltv_guard.adapters.journal.session import Row, Session
from ltv_guard.adapters.journal.statements import put
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.model.notices import Alarm, Notice

MOST_WAITING = 1000  # for one target: beyond them the oldest give way, which the summary counts
PUT_NOTICE = put("notices", ("notice_id",), ("target", "level", "title", "body", "made_at_ms"))
WAITING = "SELECT * FROM notices WHERE target = :target ORDER BY made_at_ms, notice_id"
DELIVERED = "DELETE FROM notices WHERE notice_id = :notice_id"
TOO_MANY = (
    "DELETE FROM notices WHERE target = :target AND notice_id NOT IN (SELECT notice_id FROM notices "  # noqa: S608
    f"WHERE target = :target ORDER BY made_at_ms DESC, notice_id DESC LIMIT {MOST_WAITING})"
)
COUNTED = "SELECT target, COUNT(*) AS waiting FROM notices GROUP BY target"
ALARMS = "SELECT * FROM alarms ORDER BY since_ms, alarm_id"
PUT_ALARM = put(
    "alarms",
    ("alarm_id",),
    (
        *("event", "account", "product", "loan_id", "since_ms", "told_at_ms"),
        *("acknowledged_at_ms", "acknowledged_ltv"),
    ),
)
OVER = "DELETE FROM alarms WHERE alarm_id = :alarm_id"
ACKNOWLEDGED = (
    "UPDATE alarms SET acknowledged_at_ms = :at_ms, acknowledged_ltv = NULL "
    "WHERE substr(alarm_id, 1, :length) = :written"
)


class SqlOutbox:
    """Every method raises JournalUnavailable; every write is durable when it returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(
        self, notices: Sequence[Notice], alarms: Sequence[Alarm] = (), over: Sequence[str] = ()
    ) -> None:
        """Notices to deliver, alarms as they are now, ids of those that are over: all of it, or nothing."""

        def write(session: Session) -> None:
            for notice in notices:
                session.execute(PUT_NOTICE, _row_of_notice(notice))
            for target in {notice.target for notice in notices}:
                session.execute(TOO_MANY, {"target": target})
            for alarm in alarms:
                session.execute(PUT_ALARM, _row_of_alarm(alarm))
            for alarm_id in over:
                session.execute(OVER, {"alarm_id": alarm_id})

        await self._store.write(write)

    async def waiting(self, target: str) -> tuple[Notice, ...]:
        """The oldest first."""
        rows = await self._store.read(lambda session: session.rows(WAITING, {"target": target}))
        return tuple(Notice(**row) for row in rows)

    async def counted(self) -> dict[str, int]:
        """Target -> how many wait for it."""
        rows = await self._store.read(lambda session: session.rows(COUNTED))
        return {row["target"]: row["waiting"] for row in rows}

    async def delivered(self, notice_ids: Sequence[str]) -> None:
        """They wait no longer."""

        def write(session: Session) -> None:
            for notice_id in notice_ids:
                session.execute(DELIVERED, {"notice_id": notice_id})

        await self._store.write(write)

    async def alarms(self) -> tuple[Alarm, ...]:
        """All that last, as they were written last."""
        rows = await self._store.read(lambda session: session.rows(ALARMS))
        return tuple(_alarm_of(row) for row in rows)

    async def acknowledge(self, written: str, at_ms: int) -> tuple[Alarm, ...]:
        """Those whose ids begin with `written` (all of them, where it is empty). `at_ms` is wall time."""
        begun = written.strip().lower()

        def write(session: Session) -> list[Row]:
            session.execute(ACKNOWLEDGED, {"at_ms": at_ms, "written": begun, "length": len(begun)})
            return session.rows(ALARMS)

        alarms = map(_alarm_of, await self._store.write(write))
        return tuple(alarm for alarm in alarms if alarm.alarm_id.startswith(begun))


def _row_of_notice(notice: Notice) -> Row:
    return {
        "notice_id": notice.notice_id,
        "target": notice.target,
        "level": notice.level,
        "title": storable(notice.title),
        "body": "\n".join(map(storable, notice.body.split("\n"))),
        "made_at_ms": notice.made_at_ms,
    }


def _row_of_alarm(alarm: Alarm) -> Row:
    ltv = alarm.acknowledged_ltv
    return {
        "alarm_id": alarm.alarm_id,
        "event": alarm.event,
        "account": alarm.account,
        "product": alarm.product,
        "loan_id": storable(alarm.loan_id),
        "since_ms": alarm.since_ms,
        "told_at_ms": alarm.told_at_ms,
        "acknowledged_at_ms": alarm.acknowledged_at_ms,
        "acknowledged_ltv": None if ltv is None else format(ltv, "f"),
    }


def _alarm_of(row: Row) -> Alarm:
    ltv = row["acknowledged_ltv"]
    return Alarm(**{**row, "acknowledged_ltv": None if ltv is None else Decimal(ltv)})
