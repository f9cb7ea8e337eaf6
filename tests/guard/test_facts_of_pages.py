"""Of a list that was acted on before it was whole, each loan counts by when it was asked for itself."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from core_builders import LAG, MARGIN, REDUCE, SENT, intent, key, loan, moment

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Loan, Moment, Product
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.lag_watch import Measurer
from ltv_guard.guard.reconciler import Reconciler
from ltv_guard.guard.settlement_reporter import SettlementReporter
from ltv_guard.guard.slowness import Slowness
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

LONG_BEFORE = moment(SENT - 30_000)


@dataclass
class Settling:
    """What settles and measures one intent, at a time that is set."""

    item: Intent
    at: Moment = LONG_BEFORE

    def __post_init__(self) -> None:
        self.memory = Memory(MemoryJournal(), TIMING.backoff)
        self.memory.intents.remember([self.item])
        alerts = AlertRepeater(lambda: self.at.monotonic_ms)
        assumed = SettlementTimeouts(processing_margin_ms=MARGIN, history_lag_ms=LAG)
        self.measurer = Measurer(self, self.memory, alerts, assumed)
        self.reconciler = Reconciler(
            self,
            self.memory,
            self.measurer,
            SettlementReporter(self, alerts),
            on_absent=lambda _item, _now: None,
        )

    def now(self) -> Moment:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def shows(self, shown: Loan, asked: Moment) -> dict[Product, LoanBook]:
        """A list that was read long ago, but for this loan."""
        self.at = asked
        book = LoanBook(
            product=Product.LEGACY, loans=(shown,), began=LONG_BEFORE, asked={key(): asked}, pages=2
        )
        return {Product.LEGACY: book}


async def test_coins_are_shown_since_the_loan_was_asked_for_not_since_the_list_began() -> None:
    released = intent(State.ACCEPTED, direction=REDUCE, amount="0.1", before="1", adjust_id="1")
    settling = Settling(released)
    for after_ms in (1_000, 2_000):
        books = settling.shows(loan("0.60", held="0.9"), moment(SENT + after_ms))
        snapshot = Snapshot(books=books, open_intents=(released,))
        assert await settling.reconciler.settle_by_coins(snapshot) == (released,)


def test_how_late_a_page_is_counts_from_its_own_request() -> None:
    added = intent(State.ACCEPTED, amount="0.1", before="1", adjust_id="1")
    settling = Settling(added)
    settling.memory.intents.watch(added, moment(SENT))
    settling.measurer.measure(settling.shows(loan("0.75", held="1"), moment(SENT + 4_000)), {})
    settling.measurer.measure(settling.shows(loan("0.65", held="1.1"), moment(SENT + 6_000)), {})
    assert settling.memory.lateness.slowest() == (f"{Product.LEGACY} loans", 6_000)


def test_a_list_that_is_not_whole_tells_nothing_of_how_slow_all_is() -> None:
    alerts = AlertRepeater(lambda: 0)
    slowness = Slowness(alerts, longest_ms=10_000)
    with structlog.testing.capture_logs() as told:
        assert slowness.tell(Snapshot(sweep_ms=12_000))
        assert not slowness.tell(Snapshot(in_haste=True))
        assert not slowness.tell(Snapshot(sweep_ms=2_000))
    assert [item["event"] for item in told] == ["guard_slow", "guard_in_time"]
