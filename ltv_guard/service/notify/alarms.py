"""Which alarms are new, due again, or over: from what lasts now and what was told before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256

from ltv_guard.core.model.notices import Alarm
from ltv_guard.core.model.status import AlertStatus

TOLD_APART_BY = ("what", "contract")


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one look comes to. `begun` and `again` are to be told; `changed` only to be written.

    `noted`: ids of what has happened, and was acknowledged: nothing is left of it.
    """

    begun: list[Alarm] = field(default_factory=list)
    again: list[Alarm] = field(default_factory=list)
    changed: list[Alarm] = field(default_factory=list)
    over: list[Alarm] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)


def id_of(alert: AlertStatus) -> str:
    """The same for the same trouble, also after a restart: short enough to be typed at night.

    Troubles of one name differ in `what` (a read, what was being worked out) or in the `contract` of a pool
    that they are about, where they have one.
    """
    parts = (alert.event, alert.account or "", alert.product or "", alert.loan_id or "")
    own = (alert.details[name] for name in TOLD_APART_BY if name in alert.details)
    return sha256("|".join((*parts, *own)).encode()).hexdigest()[:8]


def turn(
    lasting: Sequence[AlertStatus],
    known: Iterable[Alarm],
    *,
    now_ms: int,
    repeat_ms: int,
    ltv_of: Callable[[Alarm], Decimal | None],
    sees_all: bool,
) -> Turn:
    """`sees_all`: every account has been looked at, so that what does not last any more is over."""
    there: Mapping[str, AlertStatus] = {id_of(alert): alert for alert in lasting}
    before = {alarm.alarm_id: alarm for alarm in known}
    found = Turn()
    for alarm_id, alert in there.items():
        alarm = before.get(alarm_id)
        if alarm is None:
            found.begun.append(_begun(alarm_id, alert, now_ms))
            continue
        if alert.has_happened and alarm.acknowledged_at_ms is not None:
            found.noted.append(alarm_id)
            continue
        ltv = ltv_of(alarm) if alarm.acknowledged_at_ms is not None else None
        if alarm.is_due(now_ms, repeat_ms, ltv):
            found.again.append(
                replace(alarm, told_at_ms=now_ms, acknowledged_at_ms=None, acknowledged_ltv=None)
            )
        elif ltv is not None and alarm.acknowledged_ltv is None:
            found.changed.append(replace(alarm, acknowledged_ltv=ltv))
    if sees_all:
        found.over = [alarm for alarm_id, alarm in before.items() if alarm_id not in there]
    return found


def _begun(alarm_id: str, alert: AlertStatus, now_ms: int) -> Alarm:
    return Alarm(
        alarm_id=alarm_id,
        event=alert.event,
        account=alert.account or "",
        product=alert.product or "",
        loan_id=alert.loan_id or "",
        since_ms=alert.since_ms,
        told_at_ms=now_ms,
    )
