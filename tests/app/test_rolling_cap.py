"""`wallet.max_add_24h` in a real journal: over restarts, under another name, and until a day has passed.

The day is the exchange's: its clock is put forward, and the daemon goes by that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, SECOND_ORDER, World, also_an_order, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

CAP = Decimal("0.1")
CAPPED = {
    "wallet": {"max_add_24h": {"BTC": str(CAP)}},
    "policy": {"limits": {"emergency_ltv": "0.86"}, "reduce": {"enabled": False}},
}
MINUTE, DAY = 60_000, 86_400_000


def added(world: World) -> Decimal:
    return sum((row.amount for row in world.effects()), Decimal(0))


def is_capped(world: World, times: int = 1) -> bool:
    return times * (CAP - Decimal("0.001")) < added(world) <= times * CAP


async def looks(world: World, count: int = 3) -> None:
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


def rename(world: World, old: str, new: str) -> None:
    """The same key under another name."""
    world.config["accounts"][new] = world.config["accounts"].pop(old)
    world.configure({})


@asynccontextmanager
async def capped_world(open_a_world: OpenWorld) -> AsyncIterator[World]:
    """A world whose daemon has added up to the cap, and whose loan needs as much again."""
    async with open_a_world(scenario_of(NEEDY["add"]), config=CAPPED) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.effects()))
            await world.until(world.none_is_open)
            await looks(world)
        assert is_capped(world)
        yield world


@pytest.mark.parametrize(
    "passed_ms",
    [pytest.param(0, marks=pytest.mark.slow), DAY - MINUTE],
    ids=["at once", "before a day is over"],
)
async def test_the_cap_outlives_a_restart_and_the_accounts_name(
    open_a_world: OpenWorld, passed_ms: int
) -> None:
    async with capped_world(open_a_world) as world:
        rename(world, "main", "renamed")
        world.exchange.set_clock(passed_ms)
        told = len(world.heard("protection_short"))
        async with world.guarded():
            await world.until(lambda: len(world.heard("protection_short")) > told)
            await looks(world)
        short = world.heard("protection_short")[-1]
        assert short["account"] == "renamed"
        assert any("wallet.max_add_24h" in note for note in short["held_back"])
        assert is_capped(world)
        await world.judge()


@pytest.mark.slow
async def test_a_day_later_a_daemon_that_starts_adds_as_much_again(open_a_world: OpenWorld) -> None:
    async with capped_world(open_a_world) as world:
        world.exchange.set_clock(DAY + MINUTE)
        async with world.guarded():
            await world.until(lambda: is_capped(world, 2))
            await world.until(world.none_is_open)
            await looks(world)
        assert is_capped(world, 2)
        await world.judge()


@pytest.mark.slow
async def test_a_day_later_a_daemon_that_runs_adds_as_much_again(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"]), config=CAPPED) as world, world.guarded():
        await world.until(lambda: is_capped(world))
        await world.until(world.none_is_open)
        world.exchange.set_clock(DAY - MINUTE)
        await looks(world, 5)
        assert is_capped(world)
        world.exchange.set_clock(DAY + MINUTE)
        await world.until(lambda: is_capped(world, 2))
        await world.until(world.none_is_open)
        await looks(world)
        assert is_capped(world, 2)
        await world.judge()


@pytest.mark.slow
async def test_what_nobody_knows_the_end_of_counts_over_a_restart(open_a_world: OpenWorld) -> None:
    """It did land, and no history says so: the other loan gets nothing of the cap."""
    scenario = also_an_order(scenario_of(NEEDY["add"]), debt="28000")  # an LTV of 0.737
    async with open_a_world(scenario, config=CAPPED) as world:
        world.fault("close_after", endpoint="adjust")
        world.fault("http_error", endpoint="history", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
        rename(world, "main", "renamed")
        world.price(37000)  # 0.757

        def is_short(loan_id: str) -> bool:
            told = [item for item in world.heard("protection_short") if item["loan_id"] == loan_id]
            return any("max_add_24h" in note for item in told for note in item["held_back"])

        async with world.guarded():
            await world.until(lambda: is_short(SECOND_ORDER))
            await looks(world)
            assert len(world.adjustments_sent()) == 1
            world.exchange.clear_faults()
            await world.until(world.none_is_open)
            await looks(world)
        assert is_capped(world)
        assert list(await world.judge()) == ["confirmed"]
