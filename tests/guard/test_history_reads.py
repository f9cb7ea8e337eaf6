"""Histories are read beside the cycles: each is waited for once, and answers only what it can."""

from __future__ import annotations

import asyncio

import pytest
from exchange_model import World, a_world

from ltv_guard.core.model.history import History
from ltv_guard.core.model.loans import Channel, Kind, Moment, Product
from ltv_guard.guard.reads.history_reads import AT_HAND_MS, AT_ONCE_MS, AT_REST_MS, HistoryReads

CHANNEL = Channel(Product.LEGACY, Kind.ADJUSTMENT)


class Lists:
    """Histories that end when they are told to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[int] = []
        self.kept: dict[Channel, History] = {}
        self.may_end = asyncio.Event()
        self.fails = False
        self.sent_at_ms = 0
        self.trusted = True

    def nothing_sent_since(self, moment: Moment) -> bool:
        return self.sent_at_ms < moment.exchange_ms

    async def read(self, channel: Channel, since_ms: int) -> bool:
        self.asked.append(since_ms)
        began = self.world.now()
        await self.may_end.wait()
        if not self.fails:
            self.kept[channel] = History(rows=(), began=began)
        return not self.fails


@pytest.fixture
def lists() -> Lists:
    return Lists(a_world("0.6"))


@pytest.fixture
def reads(lists: Lists) -> HistoryReads:
    found = HistoryReads(
        lists.read,
        lists.kept,
        lists.world,
        wait_ms=20,
        longest_ms=10_000,
        nothing_sent_since=lists.nothing_sent_since,
    )
    found.trusted = lambda: lists.trusted
    return found


async def test_one_that_ends_soon_is_handed_out_at_once(lists: Lists, reads: HistoryReads) -> None:
    lists.may_end.set()
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    lists.world.advance(AT_REST_MS + 1)
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    assert lists.asked == [5, 5]


async def test_whoever_asks_right_after_another_gets_the_same(lists: Lists, reads: HistoryReads) -> None:
    lists.may_end.set()
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    lists.world.advance(AT_REST_MS)
    assert CHANNEL in await reads.ask({CHANNEL: 6})
    assert lists.asked == [5]


@pytest.mark.parametrize(("after_ms", "times"), [(AT_REST_MS - AT_HAND_MS, 1), (AT_REST_MS, 2)])
async def test_what_is_read_ahead_serves_whoever_needs_it_a_little_later(
    lists: Lists, reads: HistoryReads, after_ms: int, times: int
) -> None:
    lists.may_end.set()
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    lists.world.advance(after_ms)
    assert CHANNEL in await reads.ask({CHANNEL: 5}, anew=True)
    lists.world.advance(AT_HAND_MS)
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    assert len(lists.asked) == times


@pytest.mark.parametrize(("after_ms", "times"), [(AT_ONCE_MS, 1), (AT_ONCE_MS + 1, 2)])
async def test_until_the_journal_is_trusted_a_history_of_now_is_read_sooner(
    lists: Lists, reads: HistoryReads, after_ms: int, times: int
) -> None:
    lists.trusted = False
    lists.may_end.set()
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    lists.world.advance(after_ms)
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    assert len(lists.asked) == times


async def test_whoever_read_its_loans_beside_it_gets_the_same_however_long_the_answers_took(
    lists: Lists, reads: HistoryReads
) -> None:
    lists.may_end.set()
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    lists.world.advance(AT_REST_MS)
    beside = lists.world.now()
    lists.world.advance(5_000)
    assert CHANNEL in await reads.ask({CHANNEL: 5}, beside=beside)
    assert lists.asked == [5]


@pytest.mark.parametrize(
    ("anew", "sent", "after_ms", "times"),
    [
        (False, False, AT_REST_MS + 1, 1),
        (True, False, AT_REST_MS - AT_HAND_MS + 1, 2),
        (True, False, AT_REST_MS - AT_HAND_MS, 1),
        (True, True, AT_ONCE_MS + 1, 2),
        (True, True, AT_ONCE_MS, 1),
    ],
)
async def test_what_nobody_waited_for_is_no_history_of_now(
    lists: Lists, reads: HistoryReads, *, anew: bool, sent: bool, after_ms: int, times: int
) -> None:
    assert await reads.ask({CHANNEL: 5}) == {}
    lists.may_end.set()
    if sent:
        lists.sent_at_ms = lists.world.now().exchange_ms
    lists.world.advance(after_ms)
    await asyncio.sleep(0)
    assert CHANNEL in await reads.ask({CHANNEL: 5}, anew=anew)
    assert len(lists.asked) == times


@pytest.mark.parametrize(
    "change", ["the loans were read later", "something was sent", "it is to go back further"]
)
async def test_the_same_is_not_given_where_it_may_lack_what_the_loans_show(
    lists: Lists, reads: HistoryReads, change: str
) -> None:
    lists.may_end.set()
    await reads.ask({CHANNEL: 5})
    if change == "the loans were read later":
        lists.world.advance(AT_REST_MS + 1)
    if change == "something was sent":
        lists.sent_at_ms = lists.world.now().exchange_ms
    back_to_ms = 4 if change == "it is to go back further" else 5
    assert CHANNEL in await reads.ask({CHANNEL: back_to_ms}, beside=lists.world.now())
    assert lists.asked == [5, back_to_ms]


async def test_two_who_ask_at_the_same_time_both_get_it(lists: Lists, reads: HistoryReads) -> None:
    asking = asyncio.gather(reads.ask({CHANNEL: 5}), reads.ask({CHANNEL: 5}))
    await asyncio.sleep(0)
    lists.may_end.set()
    assert [CHANNEL in found for found in await asking] == [True, True]
    assert lists.asked == [5]


async def test_one_that_takes_long_is_not_begun_twice_and_handed_to_a_later_cycle(
    lists: Lists, reads: HistoryReads
) -> None:
    assert await reads.ask({CHANNEL: 5}) == {}
    began = lists.world.now()
    lists.world.advance(3_000)
    assert await reads.ask({CHANNEL: 7}) == {}
    assert reads.under_way() == [CHANNEL]
    lists.may_end.set()
    await asyncio.sleep(0)
    found = await reads.ask({CHANNEL: 7})
    assert found[CHANNEL].began == began
    assert lists.asked == [5]


async def test_one_that_does_not_go_back_far_enough_answers_nothing(
    lists: Lists, reads: HistoryReads
) -> None:
    assert await reads.ask({CHANNEL: 7}) == {}
    assert await reads.ask({CHANNEL: 5}) == {}
    lists.may_end.set()
    await asyncio.sleep(0)
    assert CHANNEL in await reads.ask({CHANNEL: 5})
    assert lists.asked == [7, 5]


async def test_an_old_one_is_better_than_nothing_while_the_next_is_read(
    lists: Lists, reads: HistoryReads
) -> None:
    assert await reads.ask({CHANNEL: 5}) == {}
    began = lists.world.now()
    lists.may_end.set()
    await asyncio.sleep(0)
    lists.may_end.clear()
    lists.world.advance(60_000)
    found = await reads.ask({CHANNEL: 6})
    assert found[CHANNEL].began == began
    assert lists.asked == [5, 6]
    assert await reads.ask({CHANNEL: 6}) == {}  # and it is handed out once
    await reads.close()
    assert reads.under_way() == []


async def test_one_that_fails_is_begun_anew(lists: Lists, reads: HistoryReads) -> None:
    lists.may_end.set()
    lists.fails = True
    assert await reads.ask({CHANNEL: 5}) == {}
    lists.fails = False
    assert CHANNEL in await reads.ask({CHANNEL: 5})
