"""The trackers of one account, together: a guard that follows another takes them over as they are."""

from __future__ import annotations

import asyncio

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.model.timing import TIMING, Backoff
from ltv_guard.core.ports import Journal, Standing
from ltv_guard.guard.lag import Lateness
from ltv_guard.guard.last_known import LastKnown
from ltv_guard.guard.state.amount_bounds import AmountBounds
from ltv_guard.guard.state.contract_shelf import ContractShelf
from ltv_guard.guard.state.freshness_tracker import FreshnessTracker
from ltv_guard.guard.state.hidden_breaches import HiddenBreaches
from ltv_guard.guard.state.history_shelf import HistoryShelf
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.guard.state.low_ltv_timer import LowLtvTimer
from ltv_guard.guard.state.refusal_backoff import RefusalBackoff
from ltv_guard.guard.state.rows import Rows
from ltv_guard.guard.state.sales import SaleTracker
from ltv_guard.guard.state.wallet_tracker import WalletTracker
from ltv_guard.guard.unawaited import heed


class Memory:
    """A restart loses it without harm: it only waits longer. Touched by one cycle at a time.

    `owner`: whose key it is, once the exchange has said so.
    """

    def __init__(self, journal: Journal, backoff: Backoff = TIMING.backoff) -> None:
        self.intents = IntentBook(journal)
        self.shelf = HistoryShelf(self.intents)
        self.freshness = FreshnessTracker(self.intents)
        self.rows = Rows(self.intents, self.shelf, self.freshness)
        self.wallet = WalletTracker(self.intents)
        self.refusals = RefusalBackoff(backoff)
        self.bounds = AmountBounds()
        self.low_ltv = LowLtvTimer()
        self.hidden = HiddenBreaches()
        self.loans = LoanRegistry()
        self.lateness = Lateness()
        self.last_known = LastKnown()
        self.contracts = ContractShelf()
        self.sales = SaleTracker()
        self.owner: Owner | None = None
        self.journal = journal

    def forget_before(self, exchange_ms: int) -> None:
        """Drops what ended before `exchange_ms`, and what was noted of it: memory stays flat over days."""
        gone = self.intents.forget_before(exchange_ms)
        for tracker in (self.freshness, self.shelf, self.wallet, self.refusals, self.sales):
            tracker.forget(gone)
        for intent_id in gone:
            self.lateness.forget(intent_id)

    def forget_unless_written(self, intent: Intent) -> None:
        """Drops what was noted of an intent that no journal has taken: there is no end of it to come."""
        if all(item.intent_id != intent.intent_id for item in self.intents.of_loan(intent.key)):
            for tracker in (self.freshness, self.wallet, self.sales):
                tracker.forget([intent.intent_id])

    def begin_standing(self, owner: Owner) -> asyncio.Future[Standing] | None:
        """Begins to read it beside the loans; None while something is open, which may end meanwhile.

        A pause that comes later is seen by the send itself.
        """
        if not self.intents.none_is_open():
            return None
        reading = asyncio.ensure_future(self.journal.standing(owner))
        reading.add_done_callback(heed)
        return reading
