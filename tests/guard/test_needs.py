"""What is waited for before something is decided: an emergency does not wait for what it can do without."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import REPAY, D, intent
from core_pools import POOL as OF_POOL
from shown_loans import a_pool, an_order

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Kind, Loan, Moment, Product
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.reconcile.charged_fee import Charge
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


@pytest.mark.parametrize(
    ("order", "pool", "waits"),
    [("0.78", "0.70", False), ("0.78", "0.78", True), ("0.70", "0.78", True), ("0.70", "0.70", True)],
)
def test_nor_does_an_order_at_its_trigger_wait_for_those_of_a_pool_that_is_not(
    order: str, pool: str, *, waits: bool
) -> None:
    needs = Needs(Rulebook(), Memory(MemoryJournal()), channels=(), products=())
    books = {
        item.key.product: LoanBook(product=item.key.product, loans=(item,), began=NOW)
        for item in (an_order(Decimal(order)), a_pool(Decimal(pool)))
    }
    assert needs.to_decide(Snapshot(books=books), NOW).needs_prices is waits


def test_while_a_fee_is_in_doubt_all_that_the_pool_lists_is_read() -> None:
    """A hand may have taken collateral out: only its row tells."""
    memory = Memory(MemoryJournal())
    channels = [Channel(product, kind) for product in (Product.CRYPTO_LOAN, Product.LEGACY) for kind in Kind]
    needs = Needs(Rulebook(), memory, channels=channels, products=[Product.CRYPTO_LOAN, Product.LEGACY])
    sale = replace(intent(State.CONFIRMED, direction=REPAY, coin="USDT"), key=OF_POOL, collateral_coin="BTC")
    memory.sales.has_landed(sale)
    assert needs.to_settle([], NOW, trusted=True) == {}
    memory.sales.saw(sale, Charge(repaid=D(1000), sold=D("0.03"), fee=D("0.5"), cost_usd=D(500)), NOW)
    read = needs.to_settle([], NOW, trusted=True)
    assert set(read) == {channel for channel in channels if channel.product is Product.CRYPTO_LOAN}
