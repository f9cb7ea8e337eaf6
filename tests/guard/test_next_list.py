"""The next cycle's list, begun while adjustments are still made by the last one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.core.ports import Clock, Hear, LoanExchange
from ltv_guard.guard.reads.history_reads import AT_ONCE_MS
from ltv_guard.guard.reads.next_list import TAKEN_WITHIN_MS, NextList


@dataclass
class Listed:
    """An exchange that lists its loans once `there` is set, and a clock."""

    now_ms: int = 1_000
    read: int = 0
    error: Exception | None = None
    sent_at_ms: int = 0
    there: asyncio.Event = field(default_factory=asyncio.Event)
    product: Product = Product.LEGACY

    def now(self) -> Moment:
        return Moment(exchange_ms=self.now_ms, monotonic_ms=self.now_ms)

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        self.read += 1
        began = self.now()
        await self.there.wait()
        if self.error is not None:
            raise self.error
        return LoanBook(product=self.product, loans=(), began=began)


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def a_list(shown: Listed) -> tuple[NextList, LoanExchange]:
    clock: Clock = shown  # type: ignore[assignment]
    exchange: LoanExchange = shown  # type: ignore[assignment]
    return NextList(clock, lambda moment: shown.sent_at_ms < moment.exchange_ms), exchange


async def test_it_is_read_once_and_handed_to_one_cycle() -> None:
    shown = Listed()
    following, exchange = a_list(shown)
    assert [following.is_there(exchange), following.is_there(exchange)] == [False, False]
    shown.there.set()
    await settled()
    assert following.is_there(exchange)
    begun = following.take(Product.LEGACY)
    assert begun is not None
    assert (await begun.list).began == Moment(exchange_ms=1_000, monotonic_ms=1_000)
    assert following.take(Product.LEGACY) is None
    assert shown.read == 1


@pytest.mark.parametrize("in_time", [True, False])
async def test_one_that_is_waited_for_comes_or_goes_on_being_read(*, in_time: bool) -> None:
    following, exchange = a_list(shown := Listed())
    if in_time:
        asyncio.get_running_loop().call_soon(shown.there.set)
    assert await following.comes(exchange, 5 if in_time else 0.001) is in_time
    begun = following.take(Product.LEGACY)
    assert begun is not None
    assert begun.list.done() is in_time
    assert shown.read == 1
    shown.there.set()
    await begun.list


async def test_one_that_is_still_being_read_is_handed_over_too() -> None:
    following, exchange = a_list(shown := Listed())
    following.is_there(exchange)
    begun = following.take(Product.LEGACY)
    shown.there.set()
    assert begun is not None
    assert (await begun.list).loans == ()


@pytest.mark.parametrize("error", [None, ExchangeUnavailable("down")], ids=["old", "failed"])
async def test_one_that_failed_or_is_old_is_read_anew(error: Exception | None) -> None:
    following, exchange = a_list(shown := Listed(error=error))
    following.is_there(exchange)
    await settled()
    if error is None:
        shown.now_ms += TAKEN_WITHIN_MS + 1
    shown.there.set()
    await settled()
    assert following.is_there(exchange)  # nobody waits for it for ever
    assert following.take(Product.LEGACY) is None


async def test_at_the_end_it_is_read_no_further() -> None:
    following, exchange = a_list(Listed())
    following.is_there(exchange)
    await settled()
    await following.close()
    assert following.take(Product.LEGACY) is None


async def test_one_that_prices_asked_for_is_begun_once_and_taken_by_the_cycle_that_comes_at_once() -> None:
    following, exchange = a_list(shown := Listed())
    following.read_now(exchange)
    following.read_now(exchange)
    await settled()
    shown.there.set()
    await settled()
    assert shown.read == 1
    assert following.take(Product.LEGACY) is not None


@pytest.mark.parametrize("change", ["time passed", "something was sent"])
async def test_one_that_prices_asked_for_is_of_no_use_later(change: str) -> None:
    following, exchange = a_list(shown := Listed())
    following.read_now(exchange)
    shown.there.set()
    await settled()
    if change == "time passed":
        shown.now_ms += AT_ONCE_MS + 1
    else:
        shown.sent_at_ms = shown.now_ms
    assert following.take(Product.LEGACY) is None


async def test_another_crossing_has_a_list_read_anew_that_is_of_no_use_any_more() -> None:
    following, exchange = a_list(shown := Listed())
    following.read_now(exchange)
    shown.there.set()
    await settled()
    shown.now_ms += AT_ONCE_MS + 1
    following.read_now(exchange)
    await settled()
    assert shown.read == 2
    assert following.take(Product.LEGACY) is not None


async def test_prices_have_no_list_read_while_something_is_open() -> None:
    following, exchange = a_list(shown := Listed())
    shown.sent_at_ms = shown.now_ms
    following.read_now(exchange)
    await settled()
    assert shown.read == 0


async def test_one_that_is_lent_and_not_needed_is_of_use_to_the_next_cycle() -> None:
    following, exchange = a_list(shown := Listed())
    following.read_now(exchange)
    lent = following.lend(exchange)
    assert following.take(Product.LEGACY) is None
    following.give_back(Product.LEGACY, lent)
    assert following.take(Product.LEGACY) is lent
    await settled()
    assert shown.read == 1


@pytest.mark.parametrize("since", ["another is read", "it has ended"])
async def test_but_where_another_is_read_or_no_cycle_comes_it_is_read_no_further(since: str) -> None:
    following, exchange = a_list(Listed())
    lent = following.lend(exchange)
    if since == "it has ended":
        await following.close()
    else:
        following.read_now(exchange)
    following.give_back(Product.LEGACY, lent)
    await settled()
    assert lent.list.cancelled()
    await following.close()


async def test_nothing_is_lent_nor_taken_after_it_that_something_was_sent_since() -> None:
    following, exchange = a_list(shown := Listed())
    following.read_now(exchange)
    before = following.lend(exchange)
    following.give_back(Product.LEGACY, before)
    shown.now_ms += 1
    shown.sent_at_ms = shown.now_ms
    lent = following.lend(exchange)
    assert lent is not before
    following.give_back(Product.LEGACY, lent)
    assert following.take(Product.LEGACY) is None
    await following.close()
