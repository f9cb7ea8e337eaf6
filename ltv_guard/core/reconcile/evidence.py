"""What the end of an open intent is told by: what one tick read, and what was seen of it before. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.model.history import History, HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Loan, Moment
from ltv_guard.core.reconcile.coin_changes import unexplained_change


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlightWatch:
    """What this process knows of an open intent: since when, and when the history first lacked it.

    `since` is the moment it was sent, or the start of the process if it was sent by an earlier one. `moved`:
    its loan as it was shown once, with just its coins moved and no row that explains them. `row_id`: the row
    that was its own while the exchange processed it; its time may be another once it has ended.
    """

    since: Moment
    first_missed: Moment | None = None
    moved: Loan | None = None
    row_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one tick read: the product's history, and the loan (None: it is no longer listed)."""

    history: History
    loan: Loan | None
    claimed: Collection[str]
    siblings: Collection[Decimal] = ()

    def noted_in(self, watch: InFlightWatch, intent: Intent) -> InFlightWatch:
        """The watch, with the loan where this shows that just the intent's coins have moved."""
        return replace(watch, moved=self.loan) if self._of(self.loan, intent) == intent.change else watch

    def unexplained(self, intent: Intent, watch: InFlightWatch) -> Decimal | None:
        """Coins that moved, and no row tells of it: the intent's own change, if they were ever shown to have.

        An old replica may show the loan as it was before. A row that explains them by now ends it.
        """
        if self._of(watch.moved, intent) == intent.change:
            return intent.change
        return self._of(self.loan, intent)

    def _of(self, loan: Loan | None, intent: Intent) -> Decimal | None:
        return unexplained_change(intent, self.history.rows, loan, self.siblings, self.claimed)


def is_shown_without(intent: Intent, watch: InFlightWatch, loan: Loan, rows: Collection[HistoryRow]) -> bool:
    """Whether the loan is shown as before an intent whose coins it had been shown with: an old replica."""
    had_moved = unexplained_change(intent, rows, watch.moved) == intent.change
    return had_moved and unexplained_change(intent, rows, loan) == 0
