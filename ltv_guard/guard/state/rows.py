"""What the histories show of a loan, with what is known to be in it. Only reads the other trackers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Product
from ltv_guard.core.reconcile.coin_changes import EARLY_MS, row_of
from ltv_guard.core.reconcile.settlement import RESOLVED_WITHIN_MS
from ltv_guard.guard.state.freshness_tracker import FreshnessTracker
from ltv_guard.guard.state.history_shelf import HistoryShelf
from ltv_guard.guard.state.intent_book import IntentBook


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of the last histories, and whose they are."""

    _book: IntentBook
    _shelf: HistoryShelf
    _freshness: FreshnessTracker

    def of(self, key: LoanKey) -> tuple[HistoryRow, ...]:
        """What the histories show of the loan, of every kind; and what its coins have confirmed.

        What is confirmed has succeeded, though an old replica shows that it is being processed.
        """
        histories = self._shelf.histories
        found = [history for channel, history in histories.items() if channel.product is key.product]
        shown = tuple(self._as_it_ended(row) for history in found for row in history.of(key))
        awaited = self._not_shown(self._book.of_loan(key))
        return (*shown, *(row_of(item) for item in awaited if not self._freshness.is_let_go(item)))

    def _as_it_ended(self, row: HistoryRow) -> HistoryRow:
        if row.status is not RowStatus.PROCESSING:
            return row
        ours = (item for item in self._book.of_loan(row.key) if item.adjust_id == row.adjust_id)
        if not any(item.state is State.CONFIRMED for item in ours):
            return row
        # What it says of LTVs is of before it was carried out, both.
        return replace(row, status=RowStatus.SUCCESS, ltv_before=None, ltv_after=None)

    def is_processed(self, intent: Intent, row_id: str | None = None) -> bool:
        """Whether the history says that the exchange is still at it. `row_id`: its row, if no answer told."""
        history = self._shelf.histories.get(intent.channel)
        ids = {intent.adjust_id, row_id}
        return history is not None and any(
            row.adjust_id in ids and row.status is RowStatus.PROCESSING for row in history.of(intent.key)
        )

    def awaited(self) -> list[Intent]:
        """Adjustments that the coins of loans have confirmed, and whose rows no history has shown."""
        return self._not_shown(self._book.every)

    def awaits(self, key: LoanKey) -> bool:
        """Whether one of those is in this loan."""
        return bool(self._not_shown(self._book.of_loan(key)))

    def _not_shown(self, intents: Iterable[Intent]) -> list[Intent]:
        awaiting = [item for item in intents if item.awaits_row]
        if not awaiting:
            return []
        histories = self._shelf.histories
        shown = {(c.product, row.adjust_id) for c, history in histories.items() for row in history.rows}
        return [item for item in awaiting if (item.key.product, item.adjust_id) not in shown]

    def names(self, key: LoanKey) -> frozenset[str]:
        """What tells the rows apart that are there, understood or not: none is that of a new intent."""
        doubtful = (
            row.name
            for channel, history in self._shelf.histories.items()
            if channel.product is key.product
            for row in history.doubtful
        )
        return frozenset(row.adjust_id for row in self.of(key)) | frozenset(doubtful)

    def amounts(self, key: LoanKey) -> set[Decimal]:
        """Amounts that a new adjustment of the loan had better differ from: all that are remembered of it."""
        ours = {item.amount for item in self._book.of_loan(key)}
        return ours | {row.amount for row in self.of(key)}

    def claimed(self, product: Product) -> set[str]:
        """History ids that belong to an intent of ours."""
        ours = [item for item in self._book.every if item.key.product is product]
        ids = {item.adjust_id for item in ours if item.adjust_id is not None}
        for item in ours:
            if item.state is State.CONFIRMED and item.adjust_id is None:
                ids |= self._row_of_resolved(item, ids)
        return ids

    def _row_of_resolved(self, intent: Intent, taken: set[str]) -> set[str]:
        """The row of an intent that a person resolved as confirmed, and so without its id."""
        latest = (intent.signed_at_ms or 0) + (intent.recv_window_ms or 0) + RESOLVED_WITHIN_MS
        fitting = [
            row
            for row in self.of(intent.key)
            if (row.coin, row.direction, row.amount) == (intent.coin, intent.direction, intent.amount)
            and row.kind is intent.channel.kind
            and (intent.signed_at_ms or latest) - EARLY_MS <= row.at_ms <= latest
            and row.adjust_id not in intent.seen_ids | taken
        ]
        first = min(fitting, key=lambda row: row.at_ms, default=None)
        return set() if first is None else {first.adjust_id}

    def by_others(self, key: LoanKey) -> list[HistoryRow]:
        """What somebody else did to the loan: the user's own hand, as a rule."""
        rows = self.of(key)
        if not rows:
            return []
        claimed = self.claimed(key.product)
        return [row for row in rows if row.adjust_id not in claimed]


def foreign_add_ms(by_others: Iterable[HistoryRow], now: Moment) -> int | None:
    """How many ms ago the user added collateral by hand; None: not within what the history shows."""
    times = [row.at_ms for row in by_others if row.direction is Direction.ADD]
    return max(0, now.exchange_ms - max(times)) if times else None
