"""Too few coins for all loans, against the real daemon: they go where they lower the worst danger.

Prices stand still. Danger is the true LTV, from the sandbox's own ledger, by the liquidation LTV.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import (
    AN_ORDER,
    BOTH_PRODUCTS,
    ORDER,
    SECOND_ORDER,
    USER,
    Tree,
    World,
    merged,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
PRICE = D(40000)
LIQUIDATION = {ORDER: D("0.95"), SECOND_ORDER: D("0.95"), "pool": D("0.92")}
LEVEL = D("0.002")
HAIRCUT = D("0.9")


def order(order_id: str, ltv: str, held: str = "1") -> Tree:
    debt = D(ltv) * D(held) * PRICE
    return {
        **AN_ORDER.borrowed["orders"][0],
        "order_id": order_id,
        "debt": format(debt, "f"),
        "collateral": held,
    }


def pool(ltv: str, held: str = "1") -> Tree:
    debt = D(ltv) * D(held) * PRICE * HAIRCUT
    return {"flexible": {"USDT": format(debt, "f")}, "collateral": {"BTC": held}}


def account(*orders: Tree, funds: str, **loans: Tree) -> Tree:
    return scenario_of(
        PRICE,
        pool_terms={"liquidation_ltv": "0.92"},
        users={USER: {"funding": {"BTC": funds}, "orders": list(orders), **loans}},
    )


def config_with(**changes: Tree) -> Tree:
    return merged({"policy": {"reduce": {"enabled": False}, "collateral_preference": ["BTC"]}}, changes)


def danger(world: World, loan_id: str) -> Decimal:
    return world.ltv(loan_id) / LIQUIDATION[loan_id]


def given_to(world: World, loan_id: str) -> Decimal:
    return sum((row.amount for row in world.effects(loan_id)), D(0))


def left(world: World) -> Decimal:
    balance: Decimal = world.exchange.ledger.accounts[USER].balance("BTC")
    return balance


async def until_the_coins_are_where_they_stay(world: World, *, left_over: str = "0.001") -> None:
    """Waits until the wallet is down to `left_over`, and then for more looks, at which nothing may move."""

    async def spent() -> bool:
        return left(world) <= D(left_over) and await world.none_is_open()

    await world.until(spent)
    await looks(world)


async def looks(world: World, count: int = 5) -> None:
    """Lets the guard look so many times more, and do nothing."""
    moved, seen = len(world.adjustments_sent()), len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)
    assert len(world.adjustments_sent()) == moved


def are_level(world: World, loans: Sequence[str]) -> bool:
    found = [danger(world, loan_id) for loan_id in loans]
    return max(found) - min(found) <= LEVEL


async def test_with_half_of_what_two_orders_need_both_end_level_and_stay_so(open_a_world: OpenWorld) -> None:
    """One BTC at 0.84 and two at 0.78: 0.69 BTC would bring both to their target."""
    both = [order(ORDER, "0.84"), order(SECOND_ORDER, "0.78", "2")]
    async with open_a_world(account(*both, funds="0.346"), config=config_with()) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world)
        assert are_level(world, [ORDER, SECOND_ORDER])
        best = D("2.4") / D("3.346") / D("0.95")
        assert best <= danger(world, ORDER) <= best + LEVEL
        short = {event["loan_id"] for event in world.heard("protection_short")}
        assert short == {ORDER, SECOND_ORDER}
        await world.judge()


async def test_where_it_does_not_reach_to_level_them_all_goes_to_the_worse(open_a_world: OpenWorld) -> None:
    both = [order(ORDER, "0.78", "2"), order(SECOND_ORDER, "0.84")]
    async with open_a_world(account(*both, funds="0.06"), config=config_with()) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world)
        assert given_to(world, ORDER) == 0
        assert D("0.0598") < given_to(world, SECOND_ORDER) <= D("0.06")
        assert danger(world, SECOND_ORDER) > danger(world, ORDER)
        await world.judge()


@pytest.mark.parametrize(
    ("funds", "served"), [("0.08", SECOND_ORDER), ("0.4", ORDER)], ids=["too little", "enough"]
)
async def test_a_hopeless_loan_takes_nothing_from_one_that_can_be_saved(
    open_a_world: OpenWorld, funds: str, served: str
) -> None:
    """A hundred BTC, a ten-thousandth below liquidation: 0.1 BTC would bring it away from there, 0.08 not."""
    both = [order(ORDER, "0.9499", "100"), order(SECOND_ORDER, "0.79")]
    config = config_with(policy={"limits": {"min_adjustment_ratio": "0.0001"}})  # 0.08 BTC are not too few
    async with open_a_world(account(*both, funds=funds), config=config) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world)
        assert {row.loan_id for row in world.effects()} == {served}
        assert D(funds) - D("0.02") < given_to(world, served) <= D(funds)
        assert not world.exchange.ledger.liquidations
        await world.judge()


@pytest.mark.slow
async def test_coins_too_few_to_be_of_use_to_a_big_loan_go_to_the_small_one(open_a_world: OpenWorld) -> None:
    """0.15 BTC are less than `min_adjustment_ratio` of a hundred: they would lie in the wallet for nobody."""
    both = [order(ORDER, "0.84", "100"), order(SECOND_ORDER, "0.79")]
    async with open_a_world(account(*both, funds="0.15"), config=config_with()) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world)
        assert given_to(world, ORDER) == 0
        assert D("0.149") < given_to(world, SECOND_ORDER) <= D("0.15")
        await world.judge()


@pytest.mark.parametrize("worse", ["pool", pytest.param(ORDER, marks=pytest.mark.slow)])
async def test_an_order_and_a_pool_that_share_a_coin_end_level(open_a_world: OpenWorld, worse: str) -> None:
    """Nine tenths of the pool's coins count, and it is liquidated earlier: a coin helps each differently."""
    ltvs = {"pool": "0.76", ORDER: "0.86"} if worse == ORDER else {"pool": "0.83", ORDER: "0.82"}
    scenario = account(order(ORDER, ltvs[ORDER]), funds="0.2", pool=pool(ltvs["pool"], "2"))
    config = merged(config_with(), BOTH_PRODUCTS)
    async with open_a_world(scenario, config=config) as world:
        assert max(LIQUIDATION.keys() - {SECOND_ORDER}, key=lambda name: danger(world, name)) == worse
        async with world.guarded():
            await until_the_coins_are_where_they_stay(world)
            assert given_to(world, ORDER) > D("0.03")
            assert given_to(world, "pool") > D("0.03")
            assert are_level(world, [ORDER, "pool"])
            await world.judge()


@pytest.mark.slow
async def test_both_products_share_though_the_pool_would_rather_have_another_coin(
    open_a_world: OpenWorld,
) -> None:
    """A few USDT in the wallet are no reason to take of the BTC what the order needs as badly."""
    scenario = account(order(ORDER, "0.86"), funds="0.2", pool=pool("0.83", "2"))
    scenario["users"][USER]["funding"]["USDT"] = "5"
    config = merged(config_with(policy={"collateral_preference": ["USDT", "BTC"]}), BOTH_PRODUCTS)
    async with open_a_world(scenario, config=config) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world)
        assert are_level(world, [ORDER, "pool"])
        await world.judge()


async def test_the_reserve_serves_the_emergency_alone(open_a_world: OpenWorld) -> None:
    """Nothing is above the reserve: the calm order gets none of it, though the urgent one leaves some."""
    both = [order(ORDER, "0.84"), order(SECOND_ORDER, "0.78")]
    config = config_with(wallet={"reserve": {"BTC": "0.4"}})
    async with open_a_world(account(*both, funds="0.4"), config=config) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world, left_over="0.11")
        assert world.is_at_target("add", ORDER)
        assert given_to(world, SECOND_ORDER) == 0
        (short,) = world.heard("protection_short")
        assert (short["loan_id"], short["level"]) == (SECOND_ORDER, "critical")
        assert any("wallet.reserve of 0.4" in note for note in short["held_back"])
        world.price(PRICE * D("0.78") / D("0.81"))  # now it is an emergency as well
        await world.until(lambda: given_to(world, SECOND_ORDER) > D("0.1"))
        await world.until_quiet()
        await world.judge()


@pytest.mark.slow
async def test_what_is_above_the_reserve_is_there_for_all(open_a_world: OpenWorld) -> None:
    """0.1 BTC are, and bring the two level below the emergency; the reserve stays where it is."""
    both = [order(ORDER, "0.79"), order(SECOND_ORDER, "0.78")]
    config = config_with(wallet={"reserve": {"BTC": "0.4"}})
    async with open_a_world(account(*both, funds="0.5"), config=config) as world, world.guarded():
        await until_the_coins_are_where_they_stay(world, left_over="0.401")
        assert left(world) >= D("0.4")
        assert are_level(world, [ORDER, SECOND_ORDER])
        await world.judge()
