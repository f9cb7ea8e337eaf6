"""A pool whose amounts are of now, while what they count for, each and in all, and its LTV are of before."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import HELD, POLICY, POOL, a_guard
from transfers_and_repayments import cycles
from two_coin_pool import ETHER, TWO_COINS, TwoCoins, a_pool_of_two

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.model.policy import LoanPolicy
from ltv_guard.guard.cycle import Guard

FALLS = [("0.994", "1"), ("0.99", "1"), ("0.985", "0.996"), ("0.98", "0.992")]
TARGET = Decimal("0.65")
FAR_PAST = Decimal("0.94")  # of the target: farther than prices move an LTV while it is late


def preferring(*coins: str) -> LoanPolicy:
    return replace(POLICY, collateral_preference=coins)


@pytest.mark.parametrize("falls", FALLS)
async def test_the_old_worth_of_one_coin_bears_out_no_ltv_of_before_two_adds(falls: tuple[str, str]) -> None:
    """The first is of ETH, and large, the second of BTC, and small, as prices fell little since."""
    world = a_pool_of_two("0.79", "1", "20", {HELD: "100", ETHER: "8.65"})
    guard = a_guard(world, MemoryJournal(), kinds=TWO_COINS, policy=preferring(ETHER, HELD))
    world.advance(1_000)
    before_ms = world.true_ms - 500
    for fall in falls:
        await cycles(guard, world, 1, ms=1_000)
        world.price *= Decimal(fall)
        world.note()
    world.worth_late_ms = world.true_ms - before_ms
    await guard.cycle()
    assert [item.coin for item in world.sent] == [ETHER, HELD]


@pytest.mark.parametrize("ltv", ["0.78", "0.83"])
@pytest.mark.parametrize("row", ["late", "processed", "of before"])
async def test_for_the_first_coins_of_a_kind_that_count_for_nothing_yet_the_next_is_not_added(
    row: str, ltv: str
) -> None:
    """What they will count for is not known."""
    world = a_pool_of_two(ltv, "0", "20", {HELD: "100", ETHER: "100"})
    guard = a_guard(world, MemoryJournal(), kinds=TWO_COINS, policy=preferring(HELD, ETHER))
    world.worth_late_ms, world.row_lag_ms = 4_000, 4_000 if row == "late" else 0
    world.answers = ["pending:1500"] if row == "processed" else []
    await cycles(guard, world, 1, ms=500)
    world.old_rows_ms = 4_000 if row == "of before" else 0
    await cycles(guard, world, 8, ms=500)
    assert [item.coin for item in world.sent] == [HELD]


@pytest.mark.parametrize("ltv", ["0.78", "0.83"])
async def test_coins_that_go_on_counting_for_nothing_leave_no_pool_alone(ltv: str) -> None:
    world = a_pool_of_two(ltv, "0", "20", {HELD: "100", ETHER: "100"})
    guard = a_guard(world, MemoryJournal(), kinds=TWO_COINS, policy=preferring(HELD, ETHER))
    world.worth_late_ms = world.row_lag_ms = 600_000
    await cycles(guard, world, 15, ms=1_000)
    assert [item.coin for item in world.sent][:2] == [HELD, ETHER]


@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 2_000), marks=pytest.mark.nightly)], ids=str
)
@pytest.mark.timeout(900)
async def test_whatever_comes_late_no_add_is_made_far_too_large(seeds: range) -> None:
    for seed in seeds:
        life = Life(random.Random(seed))
        await life.lived()
        assert not life.too_large, seed


class Life:
    """A pool while prices fall slowly, and what is shown of it is late now and then."""

    def __init__(self, chance: random.Random) -> None:
        held, ether = chance.choice([("1", "0"), ("1", "10"), ("1", "20"), ("0.3", "20")])
        wallet = {HELD: chance.choice(["0.2", "50", "50"]), ETHER: chance.choice(["4", "500", "500"])}
        self.chance = chance
        self.world = a_pool_of_two(chance.choice(["0.70", "0.745", "0.76"]), held, ether, wallet)
        self.journal = MemoryJournal()
        self.policy = preferring(*chance.choice([(HELD, ETHER), (ETHER, HELD)]))
        self.too_large: list[Intent] = []
        self.world.on_sent = self.weigh

    def weigh(self, intent: Intent) -> None:
        """Where it leads in truth, with all that is on its way. A rescue is bounded by other rules."""
        if intent.direction is not Direction.ADD or intent.rescue_of is not None:
            return
        coming = [intent, *(item.intent for item in self.world.pending if not item.fails)]
        more = {
            coin: sum((item.amount for item in coming if item.coin == coin), Decimal(0))
            for coin in (HELD, ETHER)
        }
        if self.world.ltv_with(POOL, more) < TARGET * FAR_PAST:
            self.too_large.append(intent)

    async def lived(self) -> None:
        guard = self.a_guard()
        for _ in range(60):
            self.weather()
            if self.chance.random() < 0.06:
                guard = self.a_guard()
            await guard.cycle()
            self.world.advance(self.chance.choice([500, 1_000, 2_000]))

    def a_guard(self) -> Guard:
        return a_guard(self.world, self.journal, kinds=TWO_COINS, policy=self.policy)

    def weather(self) -> None:
        world, chance = self.world, self.chance
        world.stale_ms = world.old_ltv_ms = world.worth_late_ms = world.old_rows_ms = 0
        late_ms = chance.choice([1_000, 2_000, 4_000, 5_000])
        for what in chance.choice([(), (), ("stale",), ("ltv",), ("rows",), ("ltv", "rows"), ("worth",)]):
            late(world, what, late_ms)
        world.row_lag_ms = chance.choice([0, 0, 0, 2_000, 4_500])
        world.prices_down = chance.random() < 0.08
        if chance.random() < 0.3:
            world.answers = [chance.choice(ANSWERS)]
        if chance.random() < 0.6:
            world.price *= Decimal(chance.choice(["0.998", "0.997", "0.995", "0.994", "0.99"]))
            world.note()


ANSWERS = (
    *("pending:1500", "pending:3000", "pending:8000", "failing:1000"),
    *("lost_answer", "lost_request", "unheard:1500", "unheard:12000", "late:1000"),
)


def late(world: TwoCoins, what: str, ms: int) -> None:
    match what:
        case "stale":
            world.stale_ms = ms
        case "ltv":
            world.old_ltv_ms = ms
        case "worth":
            world.worth_late_ms = ms
        case "rows":
            world.old_rows_ms = min(ms, 4_500)
