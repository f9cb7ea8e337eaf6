"""The lists of two products: which is waited for, how long, and what becomes of the one that is late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from slow_exchange import in_made_up_time, time_s

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.guard.reads.late_lists import Found, LateLists

POOL, ORDERS = Product.CRYPTO_LOAN, Product.LEGACY
WAIT_S, GRACE_S = 1.0, 0.2


class LoopClock:
    def now(self) -> Moment:
        ms = round(time_s() * 1000)
        return Moment(exchange_ms=ms, monotonic_ms=ms)


class Exchange:
    """`takes_s`: each list's time; `fails`: those of which nothing comes."""

    def __init__(self, pool_s: float = 0.1, orders_s: float = 0.1) -> None:
        self.takes_s = {POOL: pool_s, ORDERS: orders_s}
        self.fails: set[Product] = set()
        self.asked: list[Product] = []
        self.lists = LateLists(LoopClock(), wait_s=WAIT_S, grace_s=GRACE_S)

    def _read(self, product: Product) -> Callable[[], Coroutine[None, None, Found]]:
        async def read() -> Found:
            self.asked.append(product)
            began = LoopClock().now()
            await asyncio.sleep(self.takes_s[product])
            if product in self.fails:
                return None, False
            return LoanBook(product=product, loans=(), began=began), True

        return read

    async def cycle(self) -> tuple[set[Product], float | None, float]:
        """What came, how long the other was waited for, and how long all took."""
        began_s = time_s()
        found, waited_s = await self.lists.come({product: self._read(product) for product in (POOL, ORDERS)})
        return set(found), waited_s, round(time_s() - began_s, 3)


def test_a_list_is_waited_for_as_long_as_twice_the_fastest_of_its_last_five_or_a_second() -> None:
    async def taken(*each_s: float) -> tuple[set[Product], float | None, float]:
        exchange = Exchange()
        for takes_s in each_s:
            exchange.takes_s[ORDERS] = takes_s
            found = await exchange.cycle()
            await asyncio.sleep(takes_s + 7.1)
        return found

    both, one = {POOL, ORDERS}, {POOL}
    assert in_made_up_time(taken(0.1, 0.9)) == (both, None, 0.9)
    assert in_made_up_time(taken(0.1, 8.0)) == (one, 1.0, 1.0)
    assert in_made_up_time(taken(4.0, 7.9)) == (both, None, 7.9)
    assert in_made_up_time(taken(4.0, 8.1)) == (one, 8.0, 8.0)
    assert in_made_up_time(taken(0.1, 4.0, 4.0, 4.0, 4.0, 7.9)) == (one, 1.0, 1.0)
    assert in_made_up_time(taken(0.1, 4.0, 4.0, 4.0, 4.0, 4.0, 7.9)) == (both, None, 7.9)


def test_and_as_three_times_the_other_where_all_answers_are_slow() -> None:
    async def slow() -> tuple[set[Product], float | None, float]:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s = {POOL: 2.0, ORDERS: 5.9}
        return await exchange.cycle()

    assert in_made_up_time(slow()) == ({POOL, ORDERS}, None, 5.9)


def test_a_list_that_never_came_before_is_waited_for() -> None:
    assert in_made_up_time(Exchange(orders_s=8.0).cycle()) == ({POOL, ORDERS}, None, 8.0)


def test_but_no_longer_once_it_has_failed() -> None:
    async def failed() -> None:
        exchange = Exchange(orders_s=8.0)
        exchange.fails = {ORDERS}
        assert await exchange.cycle() == ({POOL, ORDERS}, None, 8.0)
        assert await exchange.cycle() == ({POOL}, 1.0, 1.0)

    in_made_up_time(failed())


def test_nothing_is_gone_on_with_where_the_other_list_failed() -> None:
    async def failed() -> tuple[set[Product], float | None, float]:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS], exchange.fails = 8.0, {POOL}
        return await exchange.cycle()

    assert in_made_up_time(failed()) == ({POOL, ORDERS}, None, 8.0)


def test_what_is_late_is_read_on_asked_for_once_and_holds_the_next_cycles_up_by_a_moment() -> None:
    async def late() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 6.0
        exchange.asked.clear()
        assert await exchange.cycle() == ({POOL}, 1.0, 1.0)
        assert await exchange.cycle() == ({POOL}, 0.3, 0.3)
        assert await exchange.lists.late_ones_come()
        assert await exchange.cycle() == ({POOL}, 0.3, 0.3)
        assert await exchange.lists.late_ones_come()
        assert time_s() == pytest.approx(0.1 + 1.0 + 0.3 + 2.0 + 0.3 + 2.0)
        assert exchange.asked.count(ORDERS) == 1
        await asyncio.sleep(0.5)
        assert await exchange.cycle() == ({POOL, ORDERS}, None, 0.1)
        assert exchange.asked.count(ORDERS) == 1
        assert not await exchange.lists.late_ones_come()

    in_made_up_time(late())


def test_once_what_was_late_has_come_it_waits_for_the_other_no_longer() -> None:
    async def by_turns() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s = {POOL: 3.0, ORDERS: 12.0}
        assert await exchange.cycle() == ({POOL}, 9.0, 9.0)
        assert await exchange.lists.late_ones_come()
        assert await exchange.cycle() == ({ORDERS}, 1.2, 1.2)

    in_made_up_time(by_turns())


def test_what_was_late_and_failed_is_read_anew_and_waited_for_no_longer_than_that() -> None:
    async def fails() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS], exchange.fails = 2.0, {ORDERS}
        await exchange.cycle()
        await exchange.lists.late_ones_come()
        assert await exchange.cycle() == ({POOL}, 0.3, 0.3)
        assert exchange.asked.count(ORDERS) == 3
        await exchange.lists.late_ones_come()
        exchange.takes_s[ORDERS] = 0.2
        assert await exchange.cycle() == ({POOL, ORDERS}, None, 0.2)

    in_made_up_time(fails())


def test_what_came_longer_ago_is_read_anew_and_waited_for_once_it_is_slow_as_a_rule() -> None:
    async def late() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 2.0
        for found in (*[({POOL}, 1.0, 1.0)] * 5, ({POOL, ORDERS}, None, 2.0)):
            exchange.asked.clear()
            assert await exchange.cycle() == found
            assert exchange.asked == [POOL, ORDERS]
            await asyncio.sleep(8.5)

    in_made_up_time(late())


@pytest.mark.parametrize("product", [POOL, ORDERS])
def test_prices_that_cross_a_trigger_of_what_has_come_end_the_wait(product: Product) -> None:
    async def crossing() -> tuple[set[Product], float | None, float]:
        exchange = Exchange(orders_s=4.0)
        await exchange.cycle()
        asyncio.get_running_loop().call_later(0.5, exchange.lists.crossed, {product})
        return await exchange.cycle()

    all_of_it = ({POOL, ORDERS}, None, 4.0)
    assert in_made_up_time(crossing()) == (({POOL}, None, 0.5) if product is POOL else all_of_it)


def test_and_so_does_what_is_still_waited_for_at_the_end_of_a_cycle() -> None:
    async def crossing() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 8.0
        await exchange.cycle()
        began_s = time_s()
        asyncio.get_running_loop().call_later(0.25, exchange.lists.crossed, {POOL})
        assert await exchange.lists.late_ones_come()
        assert time_s() == began_s + 0.25

    in_made_up_time(crossing())


def test_what_prices_crossed_before_the_lists_were_asked_for_ends_no_wait() -> None:
    async def crossed() -> tuple[set[Product], float | None, float]:
        exchange = Exchange(orders_s=4.0)
        await exchange.cycle()
        exchange.lists.crossed({POOL})
        return await exchange.cycle()

    assert in_made_up_time(crossed()) == ({POOL, ORDERS}, None, 4.0)


@pytest.mark.parametrize("happens", ["prices cross", "the list comes"])
def test_a_cycle_ends_at_once_where_what_it_would_wait_for_has_happened(happens: str) -> None:
    async def ends() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 4.0
        await exchange.cycle()
        await asyncio.sleep(1.0 if happens == "prices cross" else 3.1)
        began_s = time_s()
        if happens == "prices cross":
            exchange.lists.crossed({POOL})
        assert await exchange.lists.late_ones_come()
        assert time_s() == began_s

    in_made_up_time(ends())


def test_pages_that_come_show_that_a_list_does_not_hang() -> None:
    async def page_by_page() -> tuple[set[Product], float | None, float]:
        exchange = Exchange(orders_s=0.3)
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 6.5
        for after_s in (0.8, 1.7, 2.6):
            asyncio.get_running_loop().call_later(after_s, exchange.lists.goes_on, ORDERS)
        return await exchange.cycle()

    assert in_made_up_time(page_by_page()) == ({POOL}, 3.6, 3.6)


def test_a_guard_that_ends_takes_no_list_away_from_a_cycle_under_way() -> None:
    async def ended() -> tuple[set[Product], float | None, float]:
        exchange = Exchange(orders_s=4.0)
        cycle = asyncio.create_task(exchange.cycle())
        await asyncio.sleep(1)
        await exchange.lists.close()
        return await cycle

    assert in_made_up_time(ended()) == ({POOL, ORDERS}, None, 4.0)


@pytest.mark.parametrize("takes_s", [0.15, 2.0])
def test_prices_that_cross_a_trigger_of_what_is_late_have_it_asked_for_once_more(takes_s: float) -> None:
    """Whichever answer is the first is taken, and nothing is left running."""

    async def crossing() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 2.5
        await exchange.cycle()
        exchange.takes_s[ORDERS] = takes_s
        exchange.lists.crossed({ORDERS})
        taken = {POOL, ORDERS} if takes_s < GRACE_S else {POOL}
        assert (await exchange.cycle())[0] == taken
        assert exchange.asked.count(ORDERS) == 3
        await asyncio.sleep(1.3)
        assert (await exchange.cycle())[0] == {POOL, ORDERS}
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    in_made_up_time(crossing())


def test_one_of_two_answers_that_fails_leaves_the_other() -> None:
    async def crossing() -> tuple[set[Product], float | None, float]:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 2.0
        await exchange.cycle()
        exchange.takes_s[ORDERS], exchange.fails = 0.1, {ORDERS}
        exchange.lists.crossed({ORDERS})
        await exchange.cycle()
        exchange.fails.clear()
        await asyncio.sleep(0.6)
        return await exchange.cycle()

    assert in_made_up_time(crossing())[0] == {POOL, ORDERS}


def test_at_the_end_nothing_is_left_running() -> None:
    async def ended() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 100.0
        await exchange.cycle()
        await exchange.lists.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert time_s() < 2

    in_made_up_time(ended())
