"""The events of an account's key: what is wrong with it, and when it ends. Logs only."""

from __future__ import annotations

import structlog

from ltv_guard.core.model.key_end import LAST_NOTICE_MS
from ltv_guard.core.ports import Identity
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.utc import iso

log = structlog.stdlib.get_logger()


class KeyReporter:
    """Says what a key may do that it need not, what it lacks, and that it ends. Holds nothing itself."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts

    def rights(self, identity: Identity, *, live: bool, transfers: bool) -> None:
        """What the key may do and need not, and what it lacks; `live` and `transfers` are the settings."""
        if identity.can_withdraw:
            log.warning(
                "key_can_withdraw", why="this key may withdraw funds; ltv-guard needs only 'Spot trade'"
            )
        if live and not identity.ip_bound:
            log.warning("key_without_ip", expires_at=identity.expires_at, why="it dies after 90 days")
        if live and transfers and not identity.can_transfer:
            log.warning(
                "key_cannot_transfer",
                why="sources.unified_transfer is enabled, and the key lacks 'Account Transfer'",
            )

    def end(self, ends_at_ms: int | None, notice_ms: int | None, now_ms: int) -> None:
        """That the key ends: once at each distance, and again and again on its last day."""
        topic = "key_end"
        if ends_at_ms is None or notice_ms is None:
            if self._alerts.ended(topic):
                log.warning("key_renewed", expires_at=None if ends_at_ms is None else iso(ends_at_ms))
            return
        state = (ends_at_ms, notice_ms)
        told = {
            "expires_at": iso(ends_at_ms),
            "seconds_left": (ends_at_ms - now_ms) // 1000,
            "mend": "make a new key for the same user, write it into the key's files, and send SIGHUP",
        }
        if notice_ms <= LAST_NOTICE_MS:
            self._alerts.grave(topic, state, "key_expires", **told)
        elif self._alerts.changed(topic, state):
            log.warning("key_expires", **told)

    def human(self, why: str | None, mend: str = "", code: int | None = None) -> None:
        """That only a person can go on (`why`), again and again; None: that it is over, once."""
        if why is not None:
            self._alerts.grave("human", why, "needs_human", why=why, mend=mend or None, ret_code=code)
        elif self._alerts.ended("human"):
            log.warning("human_not_needed", why="the key answers well again")
