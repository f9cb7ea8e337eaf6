"""Whether what was read was too old to be acted on: said when it begins, and when it ends. Logs only."""

from __future__ import annotations

import structlog

from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater

TOPIC = "slow"
MOST_NAMED = 10  # loans in one event
BY_ID = (
    "reading all loans takes longer than schedule.max_snapshot_age_s: a loan that needs help is read again "
    "by its id, releases wait"
)
UNANSWERED = (
    "a loan is above its trigger, and what could be read of it was older than schedule.max_snapshot_age_s "
    "when it was to be acted on: add collateral by hand"
)
PUT_OFF = "what was read was older than schedule.max_snapshot_age_s when it was to be acted on"

log = structlog.stdlib.get_logger()


class Slowness:
    """`longest_ms` is how old facts may be when an adjustment leaves."""

    def __init__(self, alerts: AlertRepeater, *, longest_ms: int) -> None:
        self._alerts = alerts
        self._longest_ms = longest_ms

    def tell(self, snapshot: Snapshot) -> bool:
        """Whether it was; CRITICAL, and again, where a breach stands unanswered for it."""
        breaches = [item for item in snapshot.too_old if item.decision.breach]
        details = {
            "what": "loans",
            "age_ms": max([snapshot.sweep_ms, *(item.age_ms for item in snapshot.too_old)]),
            "longest_ms": self._longest_ms,
            "loan_ids": [
                item.decision.loan.key.loan_id for item in (breaches or snapshot.too_old)[:MOST_NAMED]
            ],
        }
        if breaches:
            self._alerts.grave(TOPIC, "unanswered", "guard_slow", why=UNANSWERED, **details)
        elif snapshot.in_haste:  # tells nothing of how long reading all takes; releases wait for that
            return False
        elif snapshot.too_old or snapshot.sweep_ms > self._longest_ms:
            why = BY_ID if snapshot.sweep_ms > self._longest_ms else PUT_OFF
            self._alerts.once(TOPIC, "warning", "guard_slow", why=why, **details)
        else:
            if self._alerts.ended(TOPIC):
                log.info("guard_in_time")
            return False
        return True
