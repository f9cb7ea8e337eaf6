"""The events of settling: how intents ended, which take long, and what contradicts the journal. Logs only."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.ports import Clock
from ltv_guard.core.reconcile.awaited import Awaited, Waiting
from ltv_guard.guard import sentences
from ltv_guard.guard.loan_fields import named
from ltv_guard.log.alert_repeater import AlertRepeater

LONG_OPEN_MS = 60_000  # an intent open for longer than this is worth an alert

EVENTS = {
    State.CONFIRMED: ("info", "adjustment_confirmed"),
    State.REJECTED: ("error", "adjustment_rejected"),
    State.ABSENT: ("warning", "adjustment_absent"),
    State.AMBIGUOUS: ("critical", "adjustment_ambiguous"),
}
DOES_NOT_FIT = (
    "the journal says that it was confirmed, and the history does not show it: is this another exchange, "
    "or a journal that was copied? Its loan is helped in an emergency only"
)
FAILED = "its coins were in the loan, and the history says that it failed"

log = structlog.stdlib.get_logger()


class SettlementReporter:
    """Says what is news of intents. Holds nothing itself."""

    def __init__(self, clock: Clock, alerts: AlertRepeater) -> None:
        self._clock = clock
        self._alerts = alerts

    def ended(self, before: Intent, after: Intent) -> None:
        """How an intent ended, at the level that this asks for."""
        level, event = EVENTS[after.state]
        late = before.state is State.ABSENT
        getattr(log, "critical" if late else level)(
            event,
            intent_id=after.intent_id,
            adjust_id=after.adjust_id,
            ltv_after=after.ltv_after,
            late=late,
            row_awaited=after.awaits_row,
            ret_code=after.ret_code,
            ret_msg=after.ret_msg,
            **named(after.key),
        )
        if late or level == "critical":
            self._alerts.happened(event, intent_id=after.intent_id, **named(after.key))
        self._alerts.ended(("slow", after.intent_id))

    def waits(self, intent: Intent, waiting_for: Waiting | None, since_monotonic_ms: int) -> None:
        """An intent that is still open: an alert, once that has lasted."""
        if self._clock.now().monotonic_ms - since_monotonic_ms >= LONG_OPEN_MS:
            self._unsettled(intent, waiting_for)

    def beyond_history(self, intent: Intent) -> None:
        """Handed over to a person: its row, if there ever was one, is no longer shown."""
        self._unsettled(intent, Waiting(Awaited.PERSON))

    def awaits_row(self, intent: Intent) -> None:
        """One that its coins have confirmed, and no row yet: an alert, once that has lasted."""
        if self._clock.now().exchange_ms - intent.updated_at_ms >= LONG_OPEN_MS:
            self._unsettled(intent, Waiting(Awaited.ROW_OF_COINS))

    def row_came(self, intent: Intent, *, failed: bool) -> None:
        """The row of such a one, which may say that it failed."""
        self._alerts.ended(("slow", intent.intent_id))
        if failed:
            self._alerts.grave(
                ("failed", intent.intent_id),
                FAILED,
                "adjustment_contradicted",
                intent_id=intent.intent_id,
                why=FAILED,
                **named(intent.key),
            )

    def compared(self, missing: Collection[Intent], known: Collection[LoanKey]) -> None:
        """The journal held against the histories: intents whose rows are `missing`, of all `known` loans."""
        for item in missing:
            self._alerts.grave(
                ("misfit", item.key),
                item.intent_id,
                "journal_does_not_fit",
                intent_id=item.intent_id,
                adjust_id=item.adjust_id,
                why=DOES_NOT_FIT,
                **named(item.key),
            )
        for key in set(known) - {item.key for item in missing}:
            if self._alerts.ended(("misfit", key)):
                log.warning("journal_fits_again", **named(key))

    def _unsettled(self, intent: Intent, waiting_for: Waiting | None) -> None:
        self._alerts.grave(
            ("slow", intent.intent_id),
            waiting_for,
            "adjustment_unsettled",
            intent_id=intent.intent_id,
            intent_state=intent.state,
            waiting_for=None if waiting_for is None else sentences.waiting(waiting_for),
            mend=f"look it up on the exchange, then `ltv-guard journal resolve {intent.intent_id} --as ...`",
            **named(intent.key),
        )
