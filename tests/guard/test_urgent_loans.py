"""Loans that prices or a page put at their triggers are read by their ids, where a whole read takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
import structlog
from core_builders import intent, key, loan

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import Clock, Hear, LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.last_lists import LastLists
from ltv_guard.guard.reads.urgent_loans import UrgentLoans
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

MANY = 150
BEGAN_MS = 1_000
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")


@dataclass
class Shown:
    """An exchange whose whole list takes as long as `slow` is clear, and whose loans are read at once."""

    number: int = MANY
    pages: int = 2
    ltv: str = "0.60"
    now_ms: int = BEGAN_MS
    whole_reads: int = 0
    cut_off: int = 0
    single: list[str] = field(default_factory=list)
    error: Exception | None = None
    hangs: bool = False
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    product: Product = Product.LEGACY
    hear: Hear | None = None
    is_read: asyncio.Event = field(default_factory=asyncio.Event)
    gone: set[str] = field(default_factory=set)
    intents: IntentBook = field(default_factory=lambda: IntentBook(MemoryJournal()))

    def now(self) -> Moment:
        return Moment(exchange_ms=self.now_ms, monotonic_ms=self.now_ms)

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        self.hear = hear
        self.is_read.set()
        began = self.now()
        try:
            await self.slow.wait()
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        finally:
            self.is_read.clear()
        self.whole_reads += 1
        loans = tuple(loan(self.ltv, loan_id=str(number)) for number in range(self.number))
        return LoanBook(product=self.product, loans=loans, began=began, pages=self.pages)

    async def loan(self, wanted: LoanKey) -> LoanBook:
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        self.single.append(wanted.loan_id)
        found = () if wanted.loan_id in self.gone else (loan("0.76", loan_id=wanted.loan_id),)
        return LoanBook(product=self.product, loans=found, began=self.now())

    async def shows(self, ltv: str, loan_id: str) -> None:
        """A page of the list that is about to be read comes."""
        await self.is_read.wait()
        assert self.hear is not None
        page = (loan(ltv, loan_id=loan_id), loan("0.61", loan_id="8"))
        self.hear(LoanBook(product=self.product, loans=page, began=self.now()))


@dataclass
class ShownPool:
    """A pool beside those orders: one page, which shows this LTV once `there` is set."""

    orders: Shown
    ltv: str = "0.60"
    there: asyncio.Event = field(default_factory=asyncio.Event)
    product: Product = Product.CRYPTO_LOAN

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        assert hear is None
        await self.there.wait()
        pool = replace(loan(self.ltv), key=POOL)
        return LoanBook(product=self.product, loans=(pool,), began=self.orders.now())


def urgent_of(shown: Shown) -> UrgentLoans:
    clock = cast("Clock", shown)
    return UrgentLoans(
        clock,
        Defects(AlertRepeater(lambda: shown.now_ms)),
        shown.intents,
        last=LastLists(clock, Rulebook().is_in_need, longest_ms=10_000),
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


@pytest.mark.parametrize("case", ["a short list", "it has something open", "no list before"])
async def test_nothing_is_hurried_where_it_need_not_or_may_not_be(case: str) -> None:
    shown = Shown(pages=1 if case == "a short list" else 2)
    urgent = urgent_of(shown)
    if case != "no list before":
        await whole(urgent, shown)
    if case == "it has something open":
        shown.intents.remember([intent(loan_id="7")])
    urgent.ask([key("7")])

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


async def in_haste(urgent: UrgentLoans, shown: Shown, ltv: str = "0.76", loan_id: str = "7") -> LoanBook:
    """The book, where a page that comes while the others are being read brings it."""
    reading = asyncio.create_task(book_of(urgent, shown))
    await asyncio.sleep(0)
    shown.now_ms += 500
    await shown.shows(ltv, loan_id)
    async with asyncio.timeout(5):
        book, is_whole = await reading
    assert not is_whole
    return book


async def test_a_loan_that_a_page_shows_in_breach_is_read_while_the_other_pages_are() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    book = await in_haste(urgent, shown)

    assert (shown.single, shown.whole_reads) == (["7"], 1)
    assert len(book.loans) == MANY
    shown_as = {item.key.loan_id: str(item.ltv) for item in book.loans}
    assert [shown_as[name] for name in ("7", "8", "9")] == ["0.76", "0.61", "0.60"]
    asked = [book.asked_at(key(name)).exchange_ms - BEGAN_MS for name in ("7", "8", "9")]
    assert asked == [500, 500, 0]


@pytest.mark.parametrize("ltv", ["0.74", "0.76"], ids=["below its trigger", "in need the last time as well"])
async def test_a_page_without_a_new_breach_is_no_reason_to_hurry(ltv: str) -> None:
    shown = Shown(ltv=ltv)
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    reading = asyncio.create_task(ends_sweep(urgent, shown))
    await shown.shows(ltv, "7")

    assert (await reading)[1]
    assert shown.single == []


async def test_pages_never_hurry_twice_in_a_row() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    await in_haste(urgent, shown)
    reading = asyncio.create_task(ends_sweep(urgent, shown))
    await shown.shows("0.76", "9")

    assert (await reading)[1]
    assert shown.single == ["7"]


async def test_a_list_that_takes_long_may_be_older_by_two_whole_reads() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await asyncio.sleep(0.001)
    shown.now_ms += 12_000
    shown.slow.set()
    await reading
    shown.slow.clear()
    shown.now_ms += 21_000
    await in_haste(urgent, shown)
    shown.slow.set()
    await book_of(urgent, shown)
    shown.slow.clear()
    shown.now_ms += 10_001
    urgent.ask([key("7")])

    assert (await ends_sweep(urgent, shown))[1]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.ACCEPTED])
async def test_what_is_open_of_another_loan_is_read_by_its_id_beside_it(state: State) -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    shown.intents.remember([intent(state, loan_id="20")])
    book = await in_haste(urgent, shown)

    assert shown.single == ["20", "7"]
    assert book.asked_at(key("20")).exchange_ms == BEGAN_MS + 500


@pytest.mark.parametrize(("after_ms", "read"), [(0, ["20", "7"]), (-2_000, ["7"])], ids=["since", "before"])
async def test_of_no_loan_what_was_before_an_adjustment_is_acted_on(after_ms: int, read: list[str]) -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    shown.intents.remember([intent(State.CONFIRMED, loan_id="20", updated_at_ms=BEGAN_MS + after_ms)])
    await in_haste(urgent, shown)

    assert shown.single == read


async def test_where_much_is_open_or_what_is_open_is_not_shown_all_are_read() -> None:
    for gone, is_open in (({"20"}, ["20"]), (set(), ["20", "21", "22", "23"])):
        shown = Shown(gone=gone)
        urgent = urgent_of(shown)
        await whole(urgent, shown)
        shown.intents.remember(intent(loan_id=name, intent_id=name) for name in is_open)
        reading = asyncio.create_task(ends_sweep(urgent, shown))
        await shown.shows("0.76", "7")

        assert (await reading)[1]


async def test_whoever_reads_ahead_is_told_of_haste() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    told: list[list[str]] = []
    urgent.on_haste = lambda: told.append(list(shown.single))
    await whole(urgent, shown)
    await in_haste(urgent, shown)

    assert told == [[]]  # before the first of them is read


@pytest.mark.parametrize("wakes", ["a read", "prices"])
async def test_a_pool_at_its_trigger_waits_for_no_long_list_of_orders(wakes: str) -> None:
    shown = Shown()
    urgent, pool = urgent_of(shown), ShownPool(shown)
    pool.there.set()
    await urgent.book(cast("LoanExchange", pool))
    await whole(urgent, shown)
    pool.there.clear()
    urgent.begin()
    reads = asyncio.gather(book_of(urgent, shown), urgent.book(cast("LoanExchange", pool)))
    await asyncio.sleep(0)
    if wakes == "a read":
        pool.ltv = "0.76"
    else:
        urgent.ask([POOL])
    await asyncio.sleep(0.001)
    pool.there.set()
    async with asyncio.timeout(5):
        (orders, is_whole), (_, pool_is_whole) = await reads

    assert (is_whole, pool_is_whole, len(orders.loans)) == (False, True, MANY)
    assert shown.single == []


async def test_a_pool_that_prices_put_at_its_trigger_after_it_was_read_is_read_again() -> None:
    shown = Shown()
    urgent, pool = urgent_of(shown), ShownPool(shown)
    pool.there.set()
    await whole(urgent, shown)
    books = {Product.CRYPTO_LOAN: (await urgent.book(cast("LoanExchange", pool)))[0]}
    assert urgent.unread(books) == []
    shown.now_ms += 1
    urgent.ask([POOL])

    assert urgent.unread(books) == [POOL]
