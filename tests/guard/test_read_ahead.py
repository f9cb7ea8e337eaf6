"""Wallet, history and prices, read beside the loans as soon as prices say that they will be wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

import pytest
from core_builders import START, intent, loan
from exchange_model import POOL, key_of
from hanging_exchange import a_hanging_world, beside
from slow_exchange import SlowAccountDaemon, in_made_up_time

from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Kind, LoanKey, Moment, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads import read_ahead
from ltv_guard.guard.reads.closer_look import CloserLook, Wanted
from ltv_guard.guard.reads.read_ahead import AHEAD_MS, TURNS_AFTER_LOANS, ReadAhead
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

ADJUSTMENTS = Channel(Product.LEGACY, Kind.ADJUSTMENT)
WANTED = Wanted(coins=frozenset({"BTC"}), histories={ADJUSTMENTS: 0})


@dataclass
class World:
    """A clock, the intents, and a closer look whose answers come once `slow` is clear."""

    now_ms: int = START + 100_000
    every: list[Intent] = field(default_factory=list)
    looks: int = 0
    wallet: dict[str, Decimal] | None = field(default_factory=lambda: {"BTC": Decimal(5)})
    prices: dict[str, Decimal] | None = field(default_factory=lambda: {"BTC": Decimal(40_000)})
    error: Exception | None = None
    late_history: bool = False
    has_room: bool = True
    grace_s: float = 0.2
    slow: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> Moment:
        return Moment(exchange_ms=self.now_ms, monotonic_ms=self.now_ms)

    def none_is_open(self) -> bool:
        return not any(item.is_open for item in self.every)

    def nothing_sent_since(self, moment: Moment) -> bool:
        return self.none_is_open() and all(item.updated_at_ms < moment.exchange_ms for item in self.every)

    async def read(self, snapshot: Snapshot, wanted: Wanted, *, ahead: bool = False) -> None:
        assert ahead
        self.looks += 1
        snapshot.wallet_began, snapshot.asked_coins = self.now(), wanted.coins
        await self.slow.wait()
        if self.error is not None:
            raise self.error
        snapshot.wallet, snapshot.prices = self.wallet, self.prices
        snapshot.asked = {ADJUSTMENTS}
        if not self.late_history:
            await self.read_on(snapshot, wanted.histories)

    async def read_on(self, snapshot: Snapshot, histories: Mapping[Channel, int]) -> None:
        snapshot.histories |= {channel: History(rows=(), began=self.now()) for channel in histories}


def shown(world: World) -> Snapshot:
    book = LoanBook(product=Product.LEGACY, loans=(loan("0.74"),), began=world.now())
    return Snapshot(books={Product.LEGACY: book})


async def it_leaves() -> None:
    for _ in range(TURNS_AFTER_LOANS + 1):
        await asyncio.sleep(0)


def ahead_of(world: World, *, saw_loans: bool = True) -> ReadAhead:
    ahead = ReadAhead(
        cast("CloserLook", world),
        lambda _: WANTED,
        cast("IntentBook", world),
        cast("Clock", world),
        Defects(AlertRepeater(lambda: world.now_ms)),
        has_room=lambda: world.has_room,
    )
    ahead.saw(shown(world).books if saw_loans else {})
    return ahead


async def test_what_was_read_ahead_is_what_a_closer_look_would_have_found() -> None:
    world = World()
    ahead = ahead_of(world)
    ahead.begin()
    ahead.begin()
    await it_leaves()
    snapshot = shown(world)
    taking = asyncio.create_task(ahead.take(snapshot, WANTED))
    await asyncio.sleep(0.01)
    assert not taking.done()
    world.slow.set()

    assert await taking
    assert world.looks == 1
    assert (snapshot.wallet, snapshot.prices, snapshot.asked) == (world.wallet, world.prices, {ADJUSTMENTS})
    assert snapshot.histories.keys() == {ADJUSTMENTS}


async def test_a_cycle_that_comes_at_once_may_take_it_too_and_none_that_comes_later() -> None:
    world = World()
    ahead = ahead_of(world)
    world.slow.set()
    ahead.begin()
    assert [await ahead.take(shown(world), WANTED) for _ in range(2)] == [True, True]
    world.now_ms += AHEAD_MS + 1
    assert not await ahead.take(shown(world), WANTED)
    assert world.looks == 1


async def test_a_cycle_after_one_that_sent_something_may_not_take_it() -> None:
    world = World()
    ahead = ahead_of(world)
    world.slow.set()
    ahead.begin()
    assert await ahead.take(shown(world), WANTED)
    sent_meanwhile(world)
    assert not await ahead.take(shown(world), WANTED)


async def test_nothing_is_read_ahead_where_requests_wait_for_each_other() -> None:
    world = World(has_room=False)
    ahead = ahead_of(world)
    ahead.begin()
    await it_leaves()
    assert not await ahead.take(shown(world), WANTED)
    assert world.looks == 0
    world.has_room = True
    ahead.begin()
    await it_leaves()
    assert world.looks == 1
    ahead.drop()


def too_old(world: World) -> None:
    world.now_ms += AHEAD_MS + 1


def sent_meanwhile(world: World) -> None:
    world.every.append(intent(updated_at_ms=world.now_ms, state=State.CONFIRMED))


def still_open(world: World) -> None:
    world.every.append(intent(state=State.SENT))


def wallet_unread(world: World) -> None:
    world.wallet = None


def prices_unread(world: World) -> None:
    world.prices = None


def faulty(world: World) -> None:
    world.error = KeyError("a defect")


@pytest.mark.parametrize(
    "change", [too_old, sent_meanwhile, still_open, wallet_unread, prices_unread, faulty]
)
async def test_what_may_not_be_so_any_more_is_read_anew(change: Callable[[World], None]) -> None:
    world = World()
    ahead = ahead_of(world)
    ahead.begin()
    await it_leaves()
    change(world)
    world.slow.set()

    assert not await ahead.take(shown(world), WANTED)


@pytest.mark.parametrize(
    "more",
    [
        {"coins": frozenset({"BTC", "ETH"})},
        {"unified": frozenset({"BTC"})},
        {"histories": {ADJUSTMENTS: 0, Channel(Product.LEGACY, Kind.REPAYMENT): 0}},
    ],
    ids=["coins", "unified", "histories"],
)
async def test_where_more_is_wanted_all_is_read_anew(more: dict[str, Any]) -> None:
    world = World()
    ahead = ahead_of(world)
    ahead.begin()
    world.slow.set()

    assert not await ahead.take(shown(world), replace(WANTED, **more))


async def test_a_history_that_did_not_come_soon_has_nothing_else_read_anew() -> None:
    world = World(late_history=True)
    ahead, snapshot = ahead_of(world), shown(world)
    ahead.begin()
    world.slow.set()

    assert await ahead.take(snapshot, WANTED)
    assert world.looks == 1
    assert (snapshot.wallet, snapshot.histories.keys()) == (world.wallet, {ADJUSTMENTS})


async def test_an_emergency_that_has_an_older_wallet_waits_a_moment_only() -> None:
    world = World()
    ahead = ahead_of(world)
    ahead.begin()
    async with asyncio.timeout(5):
        assert not await ahead.take(shown(world), replace(WANTED, spare={"BTC": Decimal(4)}))


async def test_an_emergency_goes_by_the_older_balance_of_a_coin_that_could_not_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(read_ahead, "EMERGENCY_WAIT_S", 60)  # however slow the machine is
    world = World(wallet={})
    world.slow.set()
    ahead = ahead_of(world)
    ahead.saw(shown(world).books)
    ahead.begin()
    snapshot = shown(world)
    assert await ahead.take(snapshot, replace(WANTED, spare={"BTC": Decimal(7), "ETH": Decimal(1)}))
    assert snapshot.wallet == {"BTC": Decimal(7)}
    assert snapshot.wallet_as_read == {}, "it proves nothing"


async def test_it_is_dropped_where_loans_read_since_ask_for_nothing_and_kept_where_they_are_older() -> None:
    world = World()
    ahead, before = ahead_of(world), shown(world)
    world.now_ms += 1
    ahead.begin()
    await it_leaves()
    world.slow.set()
    ahead.not_needed(before)
    assert await ahead.take(shown(world), WANTED)
    ahead.begin()
    ahead.not_needed(shown(world))
    assert not await ahead.take(shown(world), WANTED)


async def test_of_a_list_read_in_haste_it_is_the_urgent_loan_that_it_is_held_against() -> None:
    world = World()
    ahead, snapshot = ahead_of(world), shown(world)
    world.slow.set()
    world.now_ms += 5_000
    ahead.begin()
    key = snapshot.loans[0].key
    snapshot.books = {Product.LEGACY: replace(snapshot.books[Product.LEGACY], asked={key: world.now()})}
    ahead.not_needed(snapshot)

    assert not await ahead.take(snapshot, WANTED)


async def test_another_crossing_has_it_all_read_anew() -> None:
    world = World()
    ahead = ahead_of(world)
    world.slow.set()
    ahead.begin()
    await it_leaves()
    world.now_ms += AHEAD_MS + 1
    ahead.begin()

    assert await ahead.take(shown(world), WANTED)
    assert world.looks == 2


async def test_nothing_is_read_ahead_while_something_is_open_or_before_loans_were_seen() -> None:
    world = World(every=[intent(state=State.SENT)])
    ahead_of(world).begin()
    unseen = World()
    blind = ahead_of(unseen, saw_loans=False)
    blind.begin()
    await it_leaves()

    assert (world.looks, unseen.looks) == (0, 0)
    assert not await blind.take(shown(unseen), WANTED)


async def test_of_a_product_that_a_cycle_went_on_without_what_is_wanted_stays_known() -> None:
    world = World()
    ahead = ahead_of(world)
    ahead.saw({})
    ahead.begin()
    await it_leaves()
    assert world.looks == 1


async def test_beside_what_a_page_showed_all_that_was_begun_a_while_ago_is_begun_anew() -> None:
    world = World()
    ahead = ahead_of(world)
    looks = []
    for waited_ms in (0, AHEAD_MS, 1):
        world.now_ms += waited_ms
        ahead.begin_anew()
        await it_leaves()
        looks.append(world.looks)
    assert looks == [1, 1, 2]
    ahead.drop()


@pytest.mark.parametrize("change", [too_old, sent_meanwhile, still_open])
async def test_what_is_known_to_be_of_no_use_is_not_waited_for(change: Callable[[World], None]) -> None:
    world = World()
    ahead = ahead_of(world)
    ahead.begin()
    await it_leaves()
    change(world)

    async with asyncio.timeout(1):
        assert not await ahead.take(shown(world), WANTED)


@pytest.mark.parametrize("after_s", [40, 40.3, 41, 47.5])
@pytest.mark.parametrize("whom", [key_of(1), POOL], ids=["order", "pool"])
def test_where_prices_cross_the_request_for_loans_leaves_before_what_is_read_beside_it(
    whom: LoanKey, after_s: float
) -> None:
    world = a_hanging_world("0.60") if whom != POOL else a_hanging_world(pool="0.60")

    async def cross(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(after_s)
        world.asked.clear()
        daemon.wake(whom)
        await world.is_asked("wallet")

    in_made_up_time(beside(world, cross))
    assert next(iter(world.asked)) == f"loans {whom.product}"
