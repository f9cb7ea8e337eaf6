"""Loans breach one after another while prices fall: each add, and whose turn it is, go by prices of then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import TARGETS, USER, Tree, World, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
STEP_S = 0.1
LANDS_WITHIN = D("0.005")
PROOF = "1999"
PRICES = {"BTC": D(40_000), "ETH": D(2_000)}


def order(order_id: str, ltv: str, coin: str = "BTC") -> Tree:
    held = D(1) if coin == "BTC" else D(20)
    return {
        "order_id": order_id,
        "loan_coin": "USDT",
        "debt": format(D(ltv) * held * PRICES[coin], "f"),
        "collateral_coin": coin,
        "collateral": format(held, "f"),
    }


NO_RELEASES: Tree = {"policy": {"reduce": {"enabled": False}}}


def crash(*orders: Tree) -> Tree:
    """These orders, and one to show first what directions mean: then several may leave in one cycle."""
    scenario = scenario_of(
        PRICES["BTC"],
        users={USER: {"funding": {"BTC": "50", "ETH": "500"}, "orders": [*orders, order(PROOF, "0.60")]}},
    )
    scenario["market"]["coins"]["ETH"] = {"path": [[0, str(PRICES["ETH"])]]}
    scenario["coins"]["ETH"] = {"tiers": [{"ratio": "0.9"}]}
    return scenario


@asynccontextmanager
async def falling(world: World, *, at_once: str, each_second: str) -> AsyncIterator[None]:
    """A price of BTC that falls by a part at once, and by another each second until the block ends."""

    async def fall() -> None:
        price = PRICES["BTC"] * (1 - D(at_once))
        while True:
            world.price(price)
            await asyncio.sleep(STEP_S)
            price *= 1 - D(each_second) * D(str(STEP_S))

    task = asyncio.create_task(fall())
    try:
        yield
    finally:
        task.cancel()


async def until_calm(world: World) -> None:
    """Some looks at loans that ask for nothing, and whose history tells by then what directions mean."""
    world.exchange.user_adjust(USER, PROOF, "add", D("0.05"))
    await world.until(lambda: len(world.heard("cycle_finished")) > 1)
    assert not world.adjustments_sent()


def served(world: World) -> list[str]:
    return [row.loan_id for row in world.effects()]


async def test_three_orders_land_at_their_targets_though_prices_go_on_falling(
    open_a_world: OpenWorld,
) -> None:
    scenario = crash(order("1001", "0.742"), order("1002", "0.740"), order("1003", "0.738"))
    async with open_a_world(scenario, config=NO_RELEASES) as world, world.guarded():
        await until_calm(world)
        async with falling(world, at_once="0.03", each_second="0.007"):
            await world.until(lambda: {"1001", "1002", "1003"} <= set(served(world)))
        first = {row.loan_id: row.ltv_after for row in reversed(world.effects())}
        assert {loan_id: abs(ltv - TARGETS["add"]) <= LANDS_WITHIN for loan_id, ltv in first.items()} == {
            "1001": True,
            "1002": True,
            "1003": True,
        }
        await world.until(world.none_is_open)
        await world.judge()


@pytest.mark.parametrize("others", [0, pytest.param(110, marks=pytest.mark.slow)])
async def test_the_next_turn_is_that_of_the_order_whose_coin_has_fallen_most(
    open_a_world: OpenWorld, others: int
) -> None:
    """Where there are many pages, prices tell which it is, before it is read by its id.

    One turn may pass before the price is seen, where this machine's disk stalls for a second.
    """
    calm = [order(str(2001 + number), "0.45") for number in range(others)]
    fallen = order("1005", "0.690", "ETH")
    needy = [order(f"100{1 + rank}", ltv) for rank, ltv in enumerate(("0.70", "0.698", "0.696", "0.694"))]
    async with open_a_world(crash(*calm, *needy, fallen), config=NO_RELEASES) as world, world.guarded():
        await until_calm(world)
        for coin, price in PRICES.items():
            world.price(price * D("0.914"), coin)
        await world.until(lambda: bool(served(world)))
        world.price(PRICES["ETH"] * D("0.88"), "ETH")
        await world.until(lambda: len(served(world)) > 4)
        assert served(world)[0] == "1001"
        assert "1005" in served(world)[:3]  # by the prices of before it would come last
        await world.until(world.none_is_open)
        await world.judge()


async def test_the_next_leaves_in_its_turn_though_the_answer_before_takes_long(
    open_a_world: OpenWorld,
) -> None:
    """All three arrive before the first is answered."""
    scenario = crash(order("1001", "0.72"), order("1002", "0.71"), order("1003", "0.70"))
    waits = {"recv_window_ms": 7000, "request_timeout_s": 6}
    patient: Tree = {**NO_RELEASES, "exchange": waits, "schedule": {"shutdown_timeout_s": 20}}
    async with open_a_world(scenario, config=patient) as world, world.guarded():
        await until_calm(world)
        world.fault("slow", endpoint="adjust", times=None, seconds="5")
        world.price(PRICES["BTC"] * D("0.91"))
        await world.until(lambda: len(served(world)) > 2)
        assert not world.heard("adjustment_accepted") + world.heard("adjustment_unknown")
        await world.until(world.none_is_open)
        await world.judge()
