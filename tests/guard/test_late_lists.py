"""The lists of two products: which is waited for, how long, and what becomes of the one that is late."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine

import pytest
from slow_exchange import in_made_up_time, time_s

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Moment, Product
from ltv_guard.guard.reads.late_lists import Found, LateLists

POOL, ORDERS = Product.CRYPTO_LOAN, Product.LEGACY
BOTH = {POOL, ORDERS}
WAIT_S, GRACE_S = 1.0, 0.2

Took = tuple[set[Product], float]


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
        self.under_way = Counter[Product]()
        self.lists = LateLists(LoopClock(), wait_s=WAIT_S, grace_s=GRACE_S)

    def read(self, product: Product) -> Callable[[], Coroutine[None, None, Found]]:
        async def read() -> Found:
            self.asked.append(product)
            self.under_way[product] += 1
            began = LoopClock().now()
            try:
                await asyncio.sleep(self.takes_s[product])
            finally:
                self.under_way[product] -= 1
            if product in self.fails:
                return None, False
            return LoanBook(product=product, loans=(), began=began), True

        return read

    async def cycle(self) -> Took:
        """What came, and how long that took."""
        began_s = time_s()
        found = await self.lists.come({product: self.read(product) for product in (POOL, ORDERS)})
        assert set(found) | set(self.lists.left) == BOTH
        return set(found), round(time_s() - began_s, 3)

    async def cycles(self, number: int) -> list[set[Product]]:
        """As a guard has them that acts on nothing."""
        found = []
        for _ in range(number):
            found.append((await self.cycle())[0])
            if not await self.lists.late_ones_come():
                await asyncio.sleep(2)
        return found

    def is_late(self, product: Product) -> bool:
        return self.lists.left.get(product) is not None


async def with_late_orders(takes_s: float) -> Exchange:
    exchange = Exchange()
    await exchange.cycle()
    exchange.takes_s[ORDERS] = takes_s
    assert await exchange.cycle() == ({POOL}, 1.0)
    assert exchange.is_late(ORDERS)
    return exchange


def test_a_list_is_waited_for_twice_as_long_as_it_takes_as_a_rule_and_a_second_in_any_case() -> None:
    async def taken(*each_s: float) -> Took:
        exchange = Exchange()
        for takes_s in each_s:
            exchange.takes_s[ORDERS] = takes_s
            found = await exchange.cycle()
            await asyncio.sleep(takes_s)
            while exchange.lists.left:
                await exchange.cycle()
        return found

    assert in_made_up_time(taken(0.1, 0.9)) == (BOTH, 0.9)
    assert in_made_up_time(taken(0.1, 8.0)) == ({POOL}, 1.0)
    assert in_made_up_time(taken(4.0, 7.9)) == (BOTH, 7.9)
    assert in_made_up_time(taken(4.0, 8.1)) == ({POOL}, 8.0)
    assert in_made_up_time(taken(0.1, 0.1, 0.1, 8.0, 8.0, 8.0)) == ({POOL}, 1.0)
    assert in_made_up_time(taken(0.1, 0.1, 8.0, 8.0, 8.0, 15.9)) == (BOTH, 15.9)


def test_and_as_three_times_the_other_where_all_answers_are_slow() -> None:
    async def slow() -> Took:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s = {POOL: 2.0, ORDERS: 5.9}
        return await exchange.cycle()

    assert in_made_up_time(slow()) == (BOTH, 5.9)


def test_a_list_that_never_came_before_is_waited_for() -> None:
    assert in_made_up_time(Exchange(orders_s=8.0).cycle()) == (BOTH, 8.0)


def test_but_no_longer_once_it_has_failed() -> None:
    async def failed() -> None:
        exchange = Exchange(orders_s=8.0)
        exchange.fails = {ORDERS}
        assert await exchange.cycle() == (BOTH, 8.0)
        assert await exchange.cycle() == ({POOL}, 1.0)

    in_made_up_time(failed())


def test_one_that_fails_is_asked_for_anew_though_the_other_hangs() -> None:
    async def fails() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS], exchange.fails = 8.0, {POOL}
        assert await exchange.cycle() == ({POOL}, 1.0)
        exchange.fails.clear()
        assert await exchange.cycle() == ({POOL}, 0.3)
        assert exchange.asked.count(POOL) == 3

    in_made_up_time(fails())


def test_what_is_late_is_read_on_asked_for_once_and_holds_the_next_cycles_up_by_a_moment() -> None:
    async def late() -> None:
        exchange = await with_late_orders(6.0)
        exchange.asked.clear()
        for _ in range(2):
            assert await exchange.lists.late_ones_come()
            assert await exchange.cycle() == ({POOL}, 0.3)
        assert time_s() == pytest.approx(0.1 + 1.0 + 2 * (2.0 + 0.3))
        assert exchange.lists.left == {ORDERS: 5.6}
        await asyncio.sleep(0.5)
        assert await exchange.cycle() == (BOTH, 0.1)
        assert exchange.asked.count(ORDERS) == 0
        assert not await exchange.lists.late_ones_come()

    in_made_up_time(late())


def test_once_what_was_late_has_come_it_waits_for_the_other_no_longer() -> None:
    """That one is not late for it: the next cycle has both."""

    async def by_turns() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s = {POOL: 3.0, ORDERS: 12.0}
        assert await exchange.cycle() == ({POOL}, 9.0)
        await exchange.lists.late_ones_come()
        assert await exchange.cycle() == ({ORDERS}, 1.2)
        assert not exchange.is_late(POOL)
        exchange.takes_s[ORDERS] = 1.9
        assert await exchange.cycle() == (BOTH, 1.9)

    in_made_up_time(by_turns())


@pytest.mark.parametrize(
    ("pool_s", "orders_s"), [(0.25, 0.3), (1.2, 0.25), (3.5, 1.0), (0.5, 3.0), (0.3, 4.0), (9.0, 2.0)]
)
@pytest.mark.parametrize("hung_s", [0.0, 2.0, 8.5])
def test_lists_that_are_slow_from_now_on_are_soon_seen_together_again(
    pool_s: float, orders_s: float, hung_s: float
) -> None:
    async def slow() -> list[set[Product]]:
        exchange = Exchange()
        await exchange.cycles(10)
        exchange.takes_s = {POOL: pool_s, ORDERS: hung_s or orders_s}
        await exchange.cycle()
        exchange.takes_s[ORDERS] = orders_s
        return await exchange.cycles(40)

    found = in_made_up_time(slow())
    assert found[20:] == [BOTH] * 20


def test_what_was_late_and_failed_is_read_anew_and_waited_for_no_longer_than_that() -> None:
    async def fails() -> None:
        exchange = await with_late_orders(2.0)
        exchange.fails = {ORDERS}
        await exchange.lists.late_ones_come()
        assert await exchange.cycle() == ({POOL}, 0.3)
        assert exchange.asked.count(ORDERS) == 3
        await exchange.lists.late_ones_come()
        exchange.takes_s[ORDERS] = 0.2
        assert await exchange.cycle() == (BOTH, 0.2)

    in_made_up_time(fails())


def test_what_came_too_long_ago_to_be_taken_is_read_anew_and_waited_for_as_long_as_that_took() -> None:
    async def late() -> None:
        exchange = await with_late_orders(2.0)
        await asyncio.sleep(11.5)
        exchange.asked.clear()
        assert await exchange.cycle() == (BOTH, 2.0)
        assert exchange.asked == [POOL, ORDERS]

    in_made_up_time(late())


@pytest.mark.parametrize("product", [POOL, ORDERS])
def test_where_prices_cross_a_trigger_of_what_has_come_the_other_has_its_own_time_and_a_second_at_most(
    product: Product,
) -> None:
    async def crossing(usually_s: float, crosses_s: float) -> Took:
        exchange = Exchange(orders_s=usually_s)
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 8.0
        asyncio.get_running_loop().call_later(crosses_s, exchange.lists.crossed, {product})
        return await exchange.cycle()

    took_s = (0.5, 0.3, 1.0) if product is POOL else (1.0, 1.0, 3.0)
    found = [in_made_up_time(crossing(*times)) for times in ((0.1, 0.5), (0.1, 0.0), (1.5, 0.5))]
    assert found == [({POOL}, after_s) for after_s in took_s]


@pytest.mark.parametrize(("usually_s", "takes_s", "found"), [(0.1, 0.9, BOTH), (4.0, 8.0, {POOL})])
def test_what_prices_crossed_before_the_lists_were_asked_for_leaves_the_other_a_second(
    usually_s: float, takes_s: float, found: set[Product]
) -> None:
    async def crossed() -> Took:
        exchange = Exchange(orders_s=usually_s)
        await exchange.cycle()
        exchange.takes_s[ORDERS] = takes_s
        exchange.lists.crossed({POOL})
        return await exchange.cycle()

    assert in_made_up_time(crossed()) == (found, min(takes_s, 1.0))


@pytest.mark.parametrize("happens", ["prices cross", "the list comes"])
@pytest.mark.parametrize("after_s", [0.25, 0.0])
def test_a_cycle_ends_once_what_it_would_wait_for_happens_or_has_happened(
    happens: str, after_s: float
) -> None:
    async def ends() -> None:
        exchange = await with_late_orders(4.0)
        await asyncio.sleep(3.01 - after_s if happens == "the list comes" else 0.0)
        if happens == "prices cross":
            asyncio.get_running_loop().call_later(after_s, exchange.lists.crossed, {POOL})
            await asyncio.sleep(0.01)
        began_s = time_s()
        assert await exchange.lists.late_ones_come()
        assert time_s() - began_s <= after_s

    in_made_up_time(ends())


def test_pages_that_come_show_that_a_list_does_not_hang() -> None:
    async def page_by_page() -> Took:
        exchange = Exchange(orders_s=0.3)
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 6.5
        for after_s in (0.8, 1.7, 2.6):
            asyncio.get_running_loop().call_later(after_s, exchange.lists.goes_on, ORDERS)
        return await exchange.cycle()

    assert in_made_up_time(page_by_page()) == ({POOL}, 3.6)


@pytest.mark.parametrize("takes_s", [0.15, 2.0])
def test_prices_that_cross_a_trigger_of_what_is_late_have_it_asked_for_once_more(takes_s: float) -> None:
    """Whichever answer is the first is taken, and nothing is left running."""

    async def crossing() -> None:
        exchange = await with_late_orders(2.5)
        exchange.takes_s[ORDERS] = takes_s
        exchange.lists.crossed({ORDERS})
        assert (await exchange.cycle())[0] == (BOTH if takes_s < GRACE_S else {POOL})
        assert exchange.asked.count(ORDERS) == 3
        await asyncio.sleep(1.3)
        assert (await exchange.cycle())[0] == BOTH
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    in_made_up_time(crossing())


def test_and_once_at_a_time() -> None:
    async def crossing() -> None:
        exchange = await with_late_orders(60.0)
        exchange.asked.clear()
        exchange.fails = {ORDERS}
        for takes_s, asked in ((0.05, 10), (60.0, 11)):
            exchange.takes_s[ORDERS] = takes_s
            for _ in range(10):
                exchange.lists.crossed({ORDERS})
                assert (await exchange.cycle())[0] == {POOL}
            assert exchange.asked.count(ORDERS) == asked

    in_made_up_time(crossing())


def test_a_list_that_goes_on_hanging_fails_however_often_prices_cross() -> None:
    """What is alone is waited for until then, and that it failed is told."""

    async def crossing() -> Took:
        exchange = Exchange(orders_s=8.5)
        exchange.fails = {ORDERS}
        cycle = asyncio.create_task(exchange.cycle())
        while not cycle.done():
            await asyncio.sleep(1)
            exchange.lists.ask_once_more(ORDERS, exchange.read(ORDERS))
        return await cycle

    assert in_made_up_time(crossing()) == (BOTH, 9.5)


@pytest.mark.parametrize("takes_s", [0.8, 1.3, 3.0, 7.0])
def test_crossings_that_go_on_give_no_list_up_before_it_can_come(takes_s: float) -> None:
    """The first hangs and fails; of those that were asked for once more the older one goes on."""

    async def crossing() -> float:
        exchange = await with_late_orders(8.5)
        exchange.fails = {ORDERS}
        exchange.takes_s[ORDERS] = takes_s
        while True:
            exchange.lists.crossed({ORDERS})
            found = (await exchange.cycle())[0]
            if time_s() > 9:
                exchange.fails = set()
            if found == BOTH and not exchange.fails:
                return time_s()
            await asyncio.sleep(0.7)

    assert in_made_up_time(crossing()) < 9 + 2 * takes_s + 1


def test_a_cycle_takes_what_is_asked_for_while_it_waits_where_that_comes_first() -> None:
    """Where there is one product no cycle begins before its list has ended."""

    async def crossing(*, is_waited_for: bool) -> Took:
        exchange = Exchange(orders_s=8.0)
        if not is_waited_for:
            exchange.lists.ask_once_more(ORDERS, exchange.read(ORDERS))
        cycle = asyncio.create_task(exchange.cycle())
        await asyncio.sleep(0.5)
        exchange.takes_s[ORDERS] = 0.05
        if is_waited_for:
            exchange.lists.ask_once_more(POOL, exchange.read(POOL))
            exchange.lists.ask_once_more(ORDERS, exchange.read(ORDERS))
        assert exchange.asked.count(POOL) == 1
        return await cycle

    assert in_made_up_time(crossing(is_waited_for=True)) == (BOTH, 0.55)
    assert in_made_up_time(crossing(is_waited_for=False)) == (BOTH, 8.0)


def test_while_no_cycle_waits_nothing_is_asked_for_once_more() -> None:
    """The next one begins with that."""

    async def crossing() -> None:
        exchange = await with_late_orders(60.0)
        exchange.asked.clear()
        exchange.lists.crossed({ORDERS})
        exchange.lists.ask_once_more(ORDERS, exchange.read(ORDERS))
        await asyncio.sleep(0.1)
        assert exchange.asked == []
        await exchange.cycle()
        assert exchange.asked.count(ORDERS) == 1
        await exchange.lists.close()

    in_made_up_time(crossing())


@pytest.mark.parametrize("crossings", [0, 4])
def test_a_list_that_hung_counts_once_however_often_it_was_asked_for(crossings: int) -> None:
    async def hung() -> Took:
        exchange = Exchange()
        for _ in range(4):
            await exchange.cycle()
        exchange.takes_s[ORDERS] = 8.0
        await exchange.cycle()
        for _ in range(crossings):
            exchange.lists.crossed({ORDERS})
            await exchange.cycle()
        await asyncio.sleep(8)
        assert (await exchange.cycle())[0] == BOTH
        return await exchange.cycle()

    assert in_made_up_time(hung()) == ({POOL}, 1.0)


@pytest.mark.parametrize("fails_after_s", [0.05, 0.5, 1.5])
def test_one_that_goes_on_failing_hurries_no_cycle(fails_after_s: float) -> None:
    async def fails() -> int:
        exchange = await with_late_orders(2.0)
        exchange.takes_s[ORDERS], exchange.fails = fails_after_s, {ORDERS}
        exchange.asked.clear()
        while time_s() < 61:
            await exchange.cycles(1)
        return exchange.asked.count(POOL)

    assert in_made_up_time(fails()) <= 30


def test_one_of_two_answers_that_fails_leaves_the_other() -> None:
    async def crossing() -> Took:
        exchange = await with_late_orders(2.0)
        exchange.takes_s[ORDERS], exchange.fails = 0.1, {ORDERS}
        exchange.lists.crossed({ORDERS})
        await exchange.cycle()
        exchange.takes_s[ORDERS], exchange.fails = 60.0, set()
        await asyncio.sleep(0.6)
        return await exchange.cycle()

    assert in_made_up_time(crossing())[0] == BOTH


def test_a_read_that_raises_after_all_has_failed() -> None:
    async def raises() -> Found:
        raise ArithmeticError("of ours")

    async def go() -> Found:
        lists = Exchange().lists
        return (await lists.come({POOL: raises}))[POOL]

    assert in_made_up_time(go()) == (None, False)


def test_a_late_list_whose_reading_is_cut_off_by_whoever_is_read_anew() -> None:
    async def cut_off() -> list[set[Product]]:
        exchange = await with_late_orders(60.0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        exchange.takes_s[ORDERS] = 0.05
        return await exchange.cycles(3)

    assert in_made_up_time(cut_off())[-1] == BOTH


def test_a_guard_that_ends_takes_no_list_away_from_a_cycle_under_way() -> None:
    async def ended() -> Took:
        exchange = Exchange(orders_s=4.0)
        cycle = asyncio.create_task(exchange.cycle())
        await asyncio.sleep(1)
        await exchange.lists.close()
        return await cycle

    assert in_made_up_time(ended()) == (BOTH, 4.0)


def test_what_waits_for_a_late_list_ends_with_the_guard() -> None:
    async def ended() -> None:
        exchange = await with_late_orders(60.0)
        asyncio.get_running_loop().call_later(0.5, lambda: asyncio.ensure_future(exchange.lists.close()))
        began_s = time_s()
        assert await exchange.lists.late_ones_come()
        assert time_s() - began_s == pytest.approx(0.5)

    in_made_up_time(ended())


def test_nor_what_was_left_beside_one_that_was_late() -> None:
    async def ended() -> None:
        exchange = await with_late_orders(2.0)
        exchange.takes_s[POOL] = 100.0
        await asyncio.sleep(0.9)
        assert (await exchange.cycle())[0] == {ORDERS}
        assert not exchange.is_late(POOL)
        await exchange.lists.close()
        assert exchange.under_way.total() == 0

    in_made_up_time(ended())


@pytest.mark.parametrize("ends", ["after the cycle", "while it waits"])
def test_at_the_end_nothing_is_left_running(ends: str) -> None:
    async def ended() -> None:
        exchange = Exchange()
        await exchange.cycle()
        exchange.takes_s[ORDERS] = 100.0
        cycle = asyncio.create_task(exchange.cycle())
        await asyncio.sleep(0.5 if ends == "while it waits" else 1.5)
        await exchange.lists.close()
        assert (await cycle)[0] == {POOL}
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert time_s() < 2

    in_made_up_time(ended())
