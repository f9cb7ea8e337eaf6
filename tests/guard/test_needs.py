"""What is waited for before something is decided: an emergency does not wait for what it can do without."""

from __future__ import annotations

from decimal import Decimal

import pytest
from shown_loans import a_pool, an_order

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Loan, Moment
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory

NOW = Moment(exchange_ms=1_900_000_000_000, monotonic_ms=1_000)


ORDER, POOL = an_order(Decimal("0.70")), a_pool(Decimal("0.70"))


@pytest.mark.parametrize(
    ("emergencies", "waits"),
    [((ORDER,), False), ((POOL,), True), ((ORDER, POOL), True), ((), True)],
    ids=["of the order", "of the pool", "of both", "none"],
)
def test_an_emergency_of_an_order_does_not_wait_for_the_prices_of_a_pool(
    emergencies: tuple[Loan, ...], *, waits: bool
) -> None:
    needs = Needs(Rulebook(), Memory(MemoryJournal()), channels=(), products=())
    books = {
        item.key.product: LoanBook(product=item.key.product, loans=(item,), began=NOW)
        for item in (ORDER, POOL)
    }
    wanted = needs.to_decide(Snapshot(books=books), NOW, emergencies=emergencies)
    assert wanted.needs_prices is waits
