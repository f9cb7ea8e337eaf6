"""The scenario no_coins_left before the real daemon: what is said in time, and what saves the pool."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e_world import A_POOL, KEY, SECRET, Product, Tree, World

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
GUARDED, TWIN = "100001", "100002"
SCENARIO = Path(__file__).parents[2] / "config" / "scenarios" / "no_coins_left.yaml"
POLICY = {"collateral_preference": ["USDT", "BTC"], "reduce": {"enabled": False}}


@pytest.fixture
def product() -> Product:
    return A_POOL


def scenario() -> Tree:
    found: Tree = yaml.safe_load(SCENARIO.read_text())
    return found | {"keys": [{"key": KEY, "secret": SECRET, "user": GUARDED}], "ids": "fixed"}


def is_over(world: World) -> bool:
    """Whether prices have come to the end of their path."""
    market = world.exchange.market
    return world.exchange.moment().market_s >= market.length_s


@pytest.mark.slow
async def test_with_it_off_the_loan_is_lost_and_that_is_said_in_time_with_what_would_save_it(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario(), config={"policy": POLICY}) as world, world.guarded():
        await world.until(lambda: bool(world.heard("protection_short")))
        short = world.heard("protection_short")[0]
        assert short["level"] == "critical"
        assert short["ltv"] < D("0.80")
        assert world.exchange.ledger.liquidations == []
        sold = next(item for item in short["help"] if "of its collateral" in item)
        assert sold.startswith("repaying ")
        assert "with BTC of its collateral brings it to" in sold
        assert sold.endswith("(policy.repay_with_collateral is off)")
        assert any("to the Funding wallet" in item for item in short["by_hand"])
        assert any("there with BTC of its collateral, for up to" in item for item in short["by_hand"])
        await world.until(lambda: bool(world.heard("loan_liquidated")), within_s=60)
        assert {item.user for item in world.exchange.ledger.liquidations} == {GUARDED, TWIN}
        assert world.effects() == []


@pytest.mark.slow
async def test_with_it_on_the_pool_survives_and_what_it_costs_is_told(open_a_world: OpenWorld) -> None:
    """In the end 0.5 % of what was repaid is gone, and what is left of the collateral is the user's."""
    policy = POLICY | {"repay_with_collateral": {"enabled": True}}
    async with open_a_world(scenario(), config={"policy": policy}) as world, world.guarded():
        await world.until(lambda: is_over(world), within_s=60)
        ledger = world.exchange.ledger
        assert [item.user for item in ledger.liquidations] == [TWIN]
        rows = [row for row in ledger.repayments if row.selling and row.user == GUARDED]
        pool = ledger.accounts[GUARDED].pool
        assert pool is not None
        assert pool.flexible["USDT"] == 30000 - sum(row.amount for row in rows)
        assert pool.collateral["BTC"] > D("0.4")
        told = [item for item in world.heard("decision_made") if item["cause"] == "repay_with_collateral"]
        assert any(item["reason"].endswith("USD at most") for item in told)
