"""Many accounts behind one address: together they ask for no more than the budget, and each is helped."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    BOTH_PRODUCTS,
    CALM,
    LEGACY,
    NEEDY,
    SECRET,
    also_an_order,
    scenario_of,
)

from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld

ACCOUNTS, BUDGET = 12, 60


def user(number: int) -> str:
    return str(500 + number)


def order_id(number: int) -> str:
    return str(5000 + number)


def scenario() -> dict[str, Any]:
    """Everybody owes alike, so that all breach at once. The exchange bans at one request above the budget."""
    order = AN_ORDER.borrowed["orders"][0]
    return scenario_of(
        CALM,
        keys=[{"key": f"key-{number}", "secret": SECRET, "user": user(number)} for number in range(ACCOUNTS)],
        users={
            user(number): {"funding": {"BTC": "5"}, "orders": [{**order, "order_id": order_id(number)}]}
            for number in range(ACCOUNTS)
        },
        limits={"ip_requests": BUDGET},
    )


async def test_a_quiet_cycle_reads_nothing_twice(open_a_world: OpenWorld) -> None:
    """The terms of coins are asked for by orders and by the pool, and answered once."""
    scenario = also_an_order(scenario_of(CALM, A_POOL))
    async with open_a_world(scenario, config=BOTH_PRODUCTS, product=A_POOL) as world:
        await world.trust_journal()
        assert await app.run_once(world.settings(), asyncio.Event()) == 0
        asked = world.exchange.requests
        assert {path for path, times in asked.items() if times > 1} == set()
        assert asked["GET /v5/crypto-loan/collateral-data"] == 1


@pytest.mark.slow
async def test_no_five_seconds_hold_more_than_the_budget_at_start_at_rest_and_when_all_breach(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario()) as world:
        accounts: dict[str, Any] = {}
        (world.folder / "all.secret").write_text(SECRET)
        for number in range(ACCOUNTS):
            (world.folder / f"{number}.key").write_text(f"key-{number}")
            accounts[f"a{number}"] = {
                "products": [LEGACY],
                "api_key_file": f"{number}.key",
                "api_secret_file": "all.secret",
            }
        world.config["accounts"] = accounts
        world.configure({"exchange": {"ip_budget_per_5s": BUDGET}})
        await world.trust_journal()
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) >= 3 * ACCOUNTS)
            world.price(NEEDY["add"])
            await world.until(
                lambda: all(
                    world.ltv(order_id(number), user(number)) < Decimal("0.7") for number in range(ACCOUNTS)
                ),
                within_s=90,
            )
        assert world.exchange.limits.violations["ip"] == 0, "the budget must never be passed"
        assert not world.heard("exchange_banned")
