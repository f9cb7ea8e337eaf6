"""How late the exchange is: read off every adjustment, told, and used for the margins. Logs only."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import structlog

from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Product
from ltv_guard.core.ports import Clock
from ltv_guard.core.reconcile.balance_match import planned_since
from ltv_guard.core.reconcile.freshness import shows_before
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

log = structlog.stdlib.get_logger()


class Measurer:
    """Compares each read with what is known to have landed. `assumed` are the configured margins."""

    def __init__(
        self, clock: Clock, memory: Memory, alerts: AlertRepeater, assumed: SettlementTimeouts
    ) -> None:
        self._clock = clock
        self._memory = memory
        self._alerts = alerts
        self._assumed = assumed

    @property
    def timeouts(self) -> SettlementTimeouts:
        """How long to wait: as assumed, or longer where the exchange was seen to be slower."""
        return self._memory.lateness.timeouts(self._assumed)

    def measure(self, books: Mapping[Product, LoanBook], histories: Mapping[Channel, History]) -> None:
        """What loans show of adjustments that were accepted, and histories of what the loans showed."""
        for item in self._memory.rows.awaited():
            if item.channel in histories:
                self.measure_row(item, histories[item.channel])
        for book in books.values():
            self._measure_loans(book)
        self._tell()

    def _measure_loans(self, book: LoanBook) -> None:
        now = self._clock.now()
        lateness, endpoint = self._memory.lateness, f"{book.product} loans"
        unmeasured = {
            key: items
            for key in self._memory.intents.loans
            if key.product is book.product
            and (items := self._memory.freshness.under_way(key, now))
            and not all(lateness.is_measured(endpoint, item.intent_id) for item in items)
        }
        for loan in [loan for loan in book.loans if loan.key in unmeasured] if unmeasured else ():
            read_ms, under_way = book.asked_at(loan.key).exchange_ms, unmeasured[loan.key]
            for item in under_way:
                landed_ms = self._memory.intents.watch(item, now).since.exchange_ms
                if read_ms < landed_ms or lateness.is_measured(endpoint, item.intent_id):
                    continue
                later = planned_since(item, under_way)
                if shows_before(loan, item, self._memory.rows.of(loan.key), later):
                    lateness.lacks(endpoint, item.intent_id, read_ms)
                else:
                    lateness.shows(endpoint, item.intent_id, read_ms, landed_ms)

    def measure_row(self, intent: Intent, history: History) -> None:
        """What a complete history shows of an adjustment."""
        endpoint, read_ms = (
            f"{intent.channel.product} {intent.channel.kind} history",
            history.began.exchange_ms,
        )
        own = next((row for row in history.rows if row.adjust_id == intent.adjust_id), None)
        if own is not None:
            landed_ms = max(own.at_ms, intent.signed_at_ms or 0)
            self._memory.lateness.shows(endpoint, intent.intent_id, read_ms, landed_ms)
        elif not history.is_old:
            self._memory.lateness.lacks(endpoint, intent.intent_id, read_ms)

    def _tell(self) -> None:
        assumed_ms, used_ms = self._assumed.history_lag_ms, self.timeouts.history_lag_ms
        if used_ms <= assumed_ms:
            if self._alerts.ended("lateness"):
                log.info("exchange_as_assumed", assumed_s=_seconds(assumed_ms))
        elif self._alerts.changed("lateness", used_ms):
            endpoint, measured_ms = self._memory.lateness.slowest()
            log.warning(
                "exchange_slower_than_assumed",
                endpoint=endpoint,
                measured_s=_seconds(measured_ms),
                assumed_s=_seconds(assumed_ms),
                used_s=_seconds(used_ms),
            )


def _seconds(ms: int) -> Decimal:
    return Decimal(ms) / 1000
