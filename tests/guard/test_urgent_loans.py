"""Loans that prices put at their triggers are read by their ids, where a whole read would take long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import structlog
from core_builders import key, loan

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.urgent_loans import A_PAGE, UrgentLoans
from ltv_guard.log.alert_repeater import AlertRepeater

MANY = A_PAGE + 50


@dataclass
class Shown:
    """An exchange whose whole list takes as long as `slow` is clear, and whose loans are read at once."""

    number: int = MANY
    now_ms: int = 1_000
    whole_reads: int = 0
    cut_off: int = 0
    single: list[str] = field(default_factory=list)
    error: Exception | None = None
    hangs: bool = False
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    product: Product = Product.LEGACY

    def now(self) -> Moment:
        return Moment(exchange_ms=self.now_ms, monotonic_ms=self.now_ms)

    async def loans(self) -> LoanBook:
        began = self.now()
        try:
            await self.slow.wait()
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        self.whole_reads += 1
        loans = tuple(loan("0.60", loan_id=str(number)) for number in range(self.number))
        return LoanBook(product=self.product, loans=loans, began=began)

    async def loan(self, wanted: LoanKey) -> LoanBook:
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        self.single.append(wanted.loan_id)
        found = (loan("0.76", loan_id=wanted.loan_id),)
        return LoanBook(product=self.product, loans=found, began=self.now())


def urgent_of(shown: Shown, *, may_hurry: bool = True) -> UrgentLoans:
    return UrgentLoans(
        cast("Clock", shown),
        Defects(AlertRepeater(lambda: shown.now_ms)),
        longest_ms=10_000,
        may_hurry=lambda: may_hurry,
    )


async def whole(urgent: UrgentLoans, shown: Shown) -> None:
    shown.slow.set()
    assert (await book_of(urgent, shown))[1]
    shown.slow.clear()


async def book_of(urgent: UrgentLoans, shown: Shown) -> tuple[LoanBook, bool]:
    return await urgent.book(cast("LoanExchange", shown))


async def ends_sweep(urgent: UrgentLoans, shown: Shown) -> tuple[LoanBook, bool]:
    """The book, where only the end of the whole read brings it."""
    reading = asyncio.create_task(book_of(urgent, shown))
    await asyncio.sleep(0.01)
    assert not reading.done()
    shown.slow.set()
    return await reading


async def test_a_sweep_under_way_is_given_up_for_what_is_urgent() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await asyncio.sleep(0)
    shown.now_ms += 500
    urgent.ask([key("7")])
    book, is_whole = await reading
    await asyncio.sleep(0)

    assert (is_whole, shown.single, shown.whole_reads, shown.cut_off) == (False, ["7"], 1, 1)
    assert len(book.loans) == MANY
    urged = book.loan(key("7"))
    assert urged is not None
    assert (str(urged.ltv), book.asked_at(key("7")).exchange_ms) == ("0.76", 1_500)
    assert book.asked_at(key("8")).exchange_ms == 1_000


async def test_after_it_all_loans_are_read_whatever_prices_say() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    urgent.ask([key("7")])
    assert not (await book_of(urgent, shown))[1]
    urgent.ask([key("8")])

    assert (await ends_sweep(urgent, shown))[1]
    assert shown.single == ["7"]


async def test_what_was_urgent_before_a_whole_read_is_so_no_more_after_it() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    urgent.ask([key("7")])
    await whole(urgent, shown)

    assert (await ends_sweep(urgent, shown))[1]
    assert shown.single == []


async def old(shown: Shown) -> None:
    shown.now_ms += 10_001


async def unreadable(shown: Shown) -> None:
    shown.error = ExchangeUnavailable("not now")


async def faulty(shown: Shown) -> None:
    shown.error = KeyError("a defect")


@pytest.mark.parametrize("change", [old, unreadable, faulty])
async def test_where_it_can_not_be_had_the_whole_read_goes_on(
    change: Callable[[Shown], Awaitable[None]],
) -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    await change(shown)
    urgent.ask([key("7")])

    with structlog.testing.capture_logs() as told:
        assert (await ends_sweep(urgent, shown))[1]
    assert [item["event"] for item in told] == (["defect"] if change is faulty else [])


@pytest.mark.parametrize("case", ["a short list", "something is open", "no list before", "another product"])
async def test_nothing_is_hurried_where_it_need_not_or_may_not_be(case: str) -> None:
    shown = Shown(number=A_PAGE if case == "a short list" else MANY)
    urgent = urgent_of(shown, may_hurry=case != "something is open")
    if case != "no list before":
        await whole(urgent, shown)
    other: Any = LoanKey(Product.CRYPTO_LOAN, "pool")
    urgent.ask([other if case == "another product" else key("7")])

    assert (await ends_sweep(urgent, shown))[1]
    assert shown.single == []


async def test_a_loan_that_hangs_does_not_hold_up_a_whole_read_that_is_done() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    shown.hangs = True
    urgent.ask([key("7")])

    async with asyncio.timeout(5):
        assert (await ends_sweep(urgent, shown))[1]
