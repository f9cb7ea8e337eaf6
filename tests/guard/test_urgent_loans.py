"""Loans that prices or a page put at their triggers are read by their ids, where all would take long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import structlog
from core_builders import key, loan

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import Clock, Hear, LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads import loans_at_once
from ltv_guard.guard.reads.haste import LONG_MS, Haste
from ltv_guard.guard.reads.last_lists import LastLists
from ltv_guard.guard.reads.urgent_loans import UrgentLoans
from ltv_guard.log.alert_repeater import AlertRepeater

MANY = 150
TURNS = 50  # of the loop
BEGAN_MS = 1_000
LONGEST_MS, APART_MS = 10_000, 15_000


@dataclass
class Shown:
    """An exchange whose whole list takes as long as `slow` is clear, and whose loans are read at once."""

    pages: int = 2
    ltv: str = "0.60"
    ltv_now: str = "0.76"
    now_of: dict[str, str] = field(default_factory=dict)
    now_ms: int = BEGAN_MS
    whole_reads: int = 0
    cut_off: int = 0
    single: list[str] = field(default_factory=list)
    error: Exception | None = None
    hangs: bool = False
    waits: set[str] = field(default_factory=set)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    product: Product = Product.LEGACY
    hear: Hear | None = None
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> Moment:
        return Moment(exchange_ms=self.now_ms, monotonic_ms=self.now_ms)

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        self.hear, began = hear, self.now()
        self.is_asked.set()
        try:
            await self.slow.wait()
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        finally:
            self.is_asked.clear()
        self.whole_reads += 1
        loans = tuple(loan(self.ltv, loan_id=str(number)) for number in range(MANY))
        return LoanBook(product=self.product, loans=loans, began=began, pages=self.pages)

    async def loan(self, wanted: LoanKey) -> LoanBook:
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        if wanted.loan_id in self.waits:
            await self.room.wait()
        self.single.append(wanted.loan_id)
        ltv = self.now_of.get(wanted.loan_id, self.ltv_now)
        found = (loan(ltv, loan_id=wanted.loan_id),)
        return LoanBook(product=self.product, loans=found, began=self.now())

    async def shows(self, *ltvs: str) -> None:
        """A page of the list that is being read comes: loans from the seventh on."""
        await self.is_asked.wait()
        assert self.hear is not None
        page = tuple(loan(ltv, loan_id=str(number)) for number, ltv in enumerate(ltvs, start=7))
        self.hear(LoanBook(product=self.product, loans=page, began=self.now()))


def urgent_of(
    shown: Shown,
    *,
    may_hurry: Callable[[], bool] = lambda: True,
    tells: bool = True,
    adjusted: Collection[str] = (),
) -> UrgentLoans:
    """`tells`: whether it is known whom the first list does not show as we left them: the `adjusted`."""
    clock = cast("Clock", shown)

    def adjusted_since(asked: Moment, product: Product) -> Collection[LoanKey] | None:
        assert product is shown.product
        return {key(name) for name in adjusted} if tells and asked.exchange_ms == BEGAN_MS else None

    last = LastLists(clock, Rulebook().is_in_need, longest_ms=LONGEST_MS, apart_ms=APART_MS)
    haste = Haste(last, may_hurry, adjusted_since)
    return UrgentLoans(clock, Defects(AlertRepeater(lambda: shown.now_ms)), last=last, haste=haste)


async def whole(urgent: UrgentLoans, shown: Shown) -> None:
    shown.slow.set()
    assert (await book_of(urgent, shown))[1]
    shown.slow.clear()


async def book_of(urgent: UrgentLoans, shown: Shown) -> tuple[LoanBook, bool]:
    return await urgent.book(cast("LoanExchange", shown))


async def all_has_run() -> None:
    """What can go on without the exchange has, however busy this machine is."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def ends_sweep(urgent: UrgentLoans, shown: Shown) -> tuple[LoanBook, bool]:
    """The book, where only the end of the whole read brings it."""
    reading = asyncio.create_task(book_of(urgent, shown))
    await all_has_run()
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


async def test_where_it_was_in_vain_all_loans_are_read_next_whatever_prices_say() -> None:
    shown = Shown(ltv_now="0.74")
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    urgent.ask([key("7")])
    assert not (await book_of(urgent, shown))[1]
    urgent.ask([key("7")])

    assert (await ends_sweep(urgent, shown))[1]
    assert shown.single == ["7"]


async def hurried(
    shown: Shown, *, adjusted: Collection[str] = (), takes_ms: int = LONG_MS + 1
) -> UrgentLoans:
    """A list that takes so long has just been given up for the seventh loan."""
    urgent = urgent_of(shown, adjusted=adjusted)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.is_asked.wait()
    shown.now_ms += takes_ms
    shown.slow.set()
    assert (await reading)[1]
    shown.slow.clear()
    urgent.ask([key("7")])
    assert not (await book_of(urgent, shown))[1]
    await all_has_run()
    return urgent


async def test_while_the_list_after_it_is_read_another_is_acted_on_and_the_list_goes_on() -> None:
    shown = Shown()
    urgent = await hurried(shown, adjusted=["7"])
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.is_asked.wait()
    shown.now_ms += 500
    urgent.ask([key("8")])
    urgent.begin(cast("LoanExchange", shown), [key("8")])
    book, is_whole = await reading
    await all_has_run()
    assert (is_whole, shown.single, shown.cut_off) == (False, ["7", "8", "7"], 1)
    asked = [book.asked_at(key(name)).exchange_ms - BEGAN_MS for name in ("7", "8", "9")]
    assert asked == [LONG_MS + 501, LONG_MS + 501, 0]  # whom we adjusted since is read beside
    assert urgent.went_by_pages(shown.product)

    begun = urgent.following.take(shown.product)
    assert begun is not None
    shown.slow.set()
    assert (await urgent.book(cast("LoanExchange", shown), begun))[1]
    assert (shown.whole_reads, shown.cut_off, shown.single) == (2, 1, ["7", "8", "7"])


@pytest.mark.parametrize(
    "case", ["something is open", "many", "the list is old", "begun long ago", "soon whole"]
)
async def test_else_that_list_is_waited_for(case: str) -> None:
    shown = Shown()
    urgent = await hurried(shown, takes_ms=LONG_MS + (case != "soon whole"))
    if case == "something is open":
        urgent._haste._adjusted_since = lambda *_: None
    if case == "the list is old":
        shown.now_ms += LONGEST_MS + 2 * (APART_MS + LONG_MS + 1)
    reading = asyncio.create_task(ends_sweep(urgent, shown))
    await shown.is_asked.wait()
    if case == "begun long ago":
        shown.now_ms += 3_001
    urgent.ask([key(str(number)) for number in range(10, 14 if case == "many" else 11)])
    assert (await reading)[1]
    assert shown.single == ["7"]


async def test_whom_only_prices_put_there_does_not_end_the_reading_of_that_list() -> None:
    shown = Shown(now_of={"8": "0.74"})
    urgent = await hurried(shown)
    urgent.ask([key("8")])
    assert (await ends_sweep(urgent, shown))[1]
    assert (shown.single, shown.cut_off) == (["7", "8"], 1)
    assert urgent.following.take(shown.product) is None


async def test_prices_that_were_wrong_just_before_are_believed_beside_that_list() -> None:
    shown = Shown(now_of={"7": "0.74"})
    urgent = await hurried(shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.is_asked.wait()
    shown.now_of["7"] = "0.76"
    urgent.ask([key("7")])
    await all_has_run()
    assert reading.done()
    assert not (await reading)[1]
    assert (shown.single, shown.cut_off) == (["7", "7"], 1)
    await urgent.following.close()


async def test_once_what_kept_it_from_being_read_is_over_it_is_read() -> None:
    shown = Shown()
    urgent = await hurried(shown)
    known, urgent._haste._adjusted_since = urgent._haste._adjusted_since, lambda *_: None
    urgent.ask([key("8")])
    reading = asyncio.create_task(book_of(urgent, shown))
    await all_has_run()
    assert shown.single == ["7"]
    urgent._haste._adjusted_since = known
    urgent.look_again()
    assert not (await reading)[1]
    assert shown.single == ["7", "8"]
    await urgent.following.close()


async def test_what_was_urgent_before_a_whole_read_is_so_no_more_after_it() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    urgent.ask([key("7")])
    await whole(urgent, shown)

    assert (await ends_sweep(urgent, shown))[1]
    assert shown.single == []


async def old(shown: Shown) -> None:
    shown.now_ms += LONGEST_MS + 2 * APART_MS + 1


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
    shown, is_open = Shown(pages=1 if case == "a short list" else 2), case == "something is open"
    urgent = urgent_of(shown, may_hurry=lambda: not is_open, tells=not is_open)
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


async def in_haste(urgent: UrgentLoans, shown: Shown, *ltvs: str) -> LoanBook:
    """The book, where a page that comes while the others are being read brings it."""
    reading = asyncio.create_task(book_of(urgent, shown))
    await asyncio.sleep(0)
    shown.now_ms += 500
    await shown.shows(*ltvs)
    async with asyncio.timeout(5):
        book, is_whole = await reading
    assert not is_whole
    assert urgent.went_by_pages(shown.product)
    assert urgent.following.take(shown.product) is None  # the next cycle reads a list of its own
    return book


async def waits(urgent: UrgentLoans, shown: Shown, *ltvs: str) -> None:
    """Though such a page comes, all are read."""
    reading = asyncio.create_task(ends_sweep(urgent, shown))
    await shown.shows(*ltvs)
    assert (await reading)[1]
    assert not urgent.went_by_pages(shown.product)
    shown.slow.clear()


async def test_a_loan_that_a_page_shows_in_breach_is_read_while_the_other_pages_are() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    book = await in_haste(urgent, shown, "0.76", "0.61")

    assert (shown.single, shown.whole_reads, len(book.loans)) == (["7"], 1, MANY)
    shown_as = {item.key.loan_id: str(item.ltv) for item in book.loans}
    assert [shown_as[name] for name in ("7", "8", "9")] == ["0.76", "0.61", "0.60"]
    asked = [book.asked_at(key(name)).exchange_ms - BEGAN_MS for name in ("7", "8", "9")]
    assert asked == [500, 500, 0]


async def test_of_many_on_a_page_the_worst_are_read() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    await in_haste(urgent, shown, "0.76", "0.80", "0.78", "0.81", "0.77")

    assert shown.single == ["10", "8", "9"]


@pytest.mark.parametrize("ltv", ["0.74", "0.76"], ids=["below its trigger", "in need the last time as well"])
async def test_a_page_without_a_new_breach_is_no_reason_to_hurry(ltv: str) -> None:
    shown = Shown(ltv=ltv)
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    await waits(urgent, shown, ltv)

    assert shown.single == []


@pytest.mark.parametrize("case", ["not all of ours is shown", "we adjusted many", "the list is old"])
async def test_a_page_is_not_acted_on_beside_a_list_that_may_be_of_before(case: str) -> None:
    shown = Shown()
    urgent = urgent_of(
        shown, tells=case != "not all of ours is shown", adjusted="123" if case == "we adjusted many" else ""
    )
    await whole(urgent, shown)
    if case == "the list is old":
        shown.now_ms += LONGEST_MS + 2 * (APART_MS + LONG_MS + 1)
    await waits(urgent, shown, "0.76")

    assert shown.single == []


async def test_whom_we_adjusted_since_the_last_list_is_read_beside() -> None:
    shown = Shown()
    urgent = urgent_of(shown, adjusted=["7", "9"])
    await whole(urgent, shown)
    book = await in_haste(urgent, shown, "0.76", "0.61")

    assert sorted(shown.single) == ["7", "9"]
    asked = [book.asked_at(key(name)).exchange_ms - BEGAN_MS for name in ("7", "8", "9", "10")]
    assert asked == [500, 500, 500, 0]


async def test_that_those_are_in_need_is_no_reason_to_hurry() -> None:
    shown = Shown(ltv_now="0.74", now_of={"9": "0.76"})
    urgent = urgent_of(shown, adjusted=["9"])
    await whole(urgent, shown)
    await waits(urgent, shown, "0.76")

    assert sorted(shown.single) == ["7", "9"]


async def test_a_list_that_took_long_may_be_older_by_two_such_reads() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.is_asked.wait()
    shown.now_ms += 12_000
    shown.slow.set()
    await reading
    shown.slow.clear()
    shown.now_ms += 12_000 + LONGEST_MS + 2 * APART_MS - 500
    await in_haste(urgent, shown, "0.76")


async def test_pages_never_hurry_twice_in_a_row() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    await in_haste(urgent, shown, "0.76")

    await waits(urgent, shown, "0.60", "0.76")
    assert shown.single == ["7"]


async def test_where_an_old_page_cried_wolf_the_sweep_goes_on() -> None:
    shown = Shown(ltv_now="0.74")
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    await waits(urgent, shown, "0.76")
    assert (shown.single, shown.cut_off) == (["7"], 0)


async def test_after_a_page_that_cried_wolf_the_next_may_be_right() -> None:
    shown = Shown(ltv_now="0.74")
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.shows("0.76")
    await all_has_run()
    assert shown.single == ["7"]
    shown.ltv_now = "0.76"
    await shown.shows("0.60", "0.76")

    assert not (await reading)[1]
    assert shown.single == ["7", "8"]


async def test_after_prices_that_came_too_soon_a_page_of_the_next_list_is_acted_on() -> None:
    """An exchange may show a crossing later than the prices do: those had the last sweep given up in vain."""
    shown = Shown(ltv_now="0.74")
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    urgent.ask([key("7")])
    assert not (await book_of(urgent, shown))[1]
    shown.ltv_now = "0.76"
    await in_haste(urgent, shown, "0.76")

    await waits(urgent, shown, "0.60", "0.76")
    assert shown.single == ["7", "7"]


@pytest.mark.parametrize("by", ["a page", "prices"])
async def test_who_was_looked_at_too_soon_is_looked_at_again_once_it_is_told_of_anew(by: str) -> None:
    shown = Shown(ltv_now="0.74")
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    shown.now_ms += LONGEST_MS + 1
    urgent.ask([key("7")])
    reading = asyncio.create_task(book_of(urgent, shown))
    await all_has_run()
    assert shown.single == ["7"]
    shown.ltv_now = "0.76"
    if by == "prices":
        urgent.ask([key("7")])
    else:
        await shown.shows("0.76")

    assert not (await reading)[1]
    assert shown.single == ["7", "7"]


async def test_beside_an_old_list_prices_hurry_where_it_is_known_what_it_lacks_of_ours() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    shown.now_ms += LONGEST_MS + 1
    urgent.ask([key("7")])

    assert not (await book_of(urgent, shown))[1]
    assert urgent.went_by_pages(shown.product)


async def test_whoever_reads_ahead_is_told_before_a_page_is_acted_on() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    told: list[list[str]] = []
    urgent.on_hurry = lambda: told.append(list(shown.single))
    await whole(urgent, shown)
    await in_haste(urgent, shown, "0.76")

    assert told == [[]]


async def test_and_before_a_loan_is_read_that_prices_put_there_while_something_was_open() -> None:
    shown, open_now, told = Shown(), [True], []
    urgent = urgent_of(shown, may_hurry=lambda: not open_now, tells=False)
    urgent.on_hurry = lambda: told.append(list(shown.single))
    await whole(urgent, shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.is_asked.wait()
    shown.now_ms += 500
    urgent.ask([key("7")])
    await all_has_run()
    assert told == []

    open_now.clear()
    urgent.look_again()
    assert not (await reading)[1]
    assert told == [[]]


async def asked_while_a_list_is_read(urgent: UrgentLoans, shown: Shown, *, hangs: bool) -> LoanBook:
    """The list, which is whole before the loan that prices put at its trigger has come."""
    await whole(urgent, shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.is_asked.wait()
    shown.now_ms += 500
    shown.hangs = hangs
    urgent.ask([key("7")])
    urgent.begin(cast("LoanExchange", shown), [key("7")])
    await asyncio.sleep(0)
    shown.slow.set()
    book, is_whole = await reading
    assert is_whole
    shown.slow.clear()
    return book


async def waits_for_room(reading: asyncio.Task[tuple[LoanBook, bool]], shown: Shown) -> None:
    """Until there is some, which there is now."""
    await all_has_run()
    assert not reading.done()
    shown.room.set()


@pytest.mark.parametrize("ltv", ["0.76", "0.74"], ids=["in need", "not in need"])
async def test_one_in_need_waits_for_none_whose_read_has_no_room_yet(ltv: str) -> None:
    shown = Shown(ltv_now=ltv, waits={"8"})
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    urgent.ask([key("7")])
    urgent.ask([key("8")])
    reading = asyncio.create_task(book_of(urgent, shown))
    if ltv == "0.74":
        await waits_for_room(reading, shown)
    async with asyncio.timeout(5):
        book, is_whole = await reading
    assert not is_whole
    read = {loan.key for loan in book.loans if str(loan.ltv) == ltv}
    assert read == ({key("7")} if ltv == "0.76" else {key("7"), key("8")})


async def test_by_a_page_what_we_adjusted_is_waited_for_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loans_at_once, "TOGETHER_S", 0)
    shown = Shown(waits={"3"})
    urgent = urgent_of(shown, adjusted=["3"])
    await whole(urgent, shown)
    reading = asyncio.create_task(book_of(urgent, shown))
    await shown.shows("0.76")
    await waits_for_room(reading, shown)
    async with asyncio.timeout(5):
        book, is_whole = await reading
    assert not is_whole
    assert {loan.key for loan in book.loans if str(loan.ltv) == "0.76"} == {key("3"), key("7")}


async def test_who_was_told_of_first_is_read_first() -> None:
    shown = Shown(ltv_now="0.74")
    urgent = urgent_of(shown)
    await whole(urgent, shown)
    told = [str(number) for number in (9, 3, 17, 5, 12, 8, 41)]
    for number in told:
        urgent.ask([key(number)])
    await book_of(urgent, shown)
    assert shown.single == told[:3]


async def test_a_loan_that_comes_after_the_list_whose_page_is_of_before_is_taken_in() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    book = await asked_while_a_list_is_read(urgent, shown, hangs=False)
    again = await urgent.crossed(book, 0.1)
    assert again is not None
    assert (str(again.loans[-1].ltv), again.asked_at(key("7")).exchange_ms) == ("0.76", 1_500)
    assert await urgent.crossed(again, 0) is None
    assert shown.single == ["7"]


async def test_a_loan_that_the_list_shows_as_it_was_later_is_not() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    book = await asked_while_a_list_is_read(urgent, shown, hangs=False)
    later = Moment(exchange_ms=1_600, monotonic_ms=1_600)
    assert await urgent.crossed(replace(book, asked={key("7"): later}), 0.1) is None


async def test_one_that_has_not_come_is_for_the_next_cycle() -> None:
    shown = Shown()
    urgent = urgent_of(shown)
    book = await asked_while_a_list_is_read(urgent, shown, hangs=True)
    assert await urgent.crossed(book, 0.01) is None
    shown.hangs = False
    shown.now_ms += 2_000  # what hangs for so long is asked for anew
    async with asyncio.timeout(5):
        hurried, is_whole = await book_of(urgent, shown)
    assert not is_whole
    assert hurried.asked_at(key("7")).exchange_ms == 3_500
    await urgent.at_once.close()
